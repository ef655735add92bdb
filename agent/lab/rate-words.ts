/** A rate in bit/s as a person reads it, with an SI prefix and exact to a thousandth of it: `10 Mbit/s`. */
export function rateWords(rate: number): string {
  const [prefix, unit] = (
    [
      ['G', 1e9],
      ['M', 1e6],
      ['k', 1e3],
    ] as const
  ).find(([, size]) => rate >= size) ?? ['', 1];
  return `${Number((rate / unit).toFixed(3))} ${prefix}bit/s`;
}
