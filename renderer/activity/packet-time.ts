/** Times of packets as people read them. Pure. */

/** `20:16:03.123456`: the clock here, to the microsecond. */
export function clockText(seconds: number, nanoseconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const micro = String(Math.floor(nanoseconds / 1000)).padStart(6, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${micro}`;
}

/** `+12 µs`, `+3.4 ms`, `+1.2 s`; of times before, with a minus. */
export function delayText(seconds: number): string {
  const sign = seconds < 0 ? '−' : '+';
  const size = Math.abs(seconds);
  if (size < 1e-3) return `${sign}${String(Math.round(size * 1e6))} µs`;
  if (size < 1) return `${sign}${String(Number((size * 1e3).toPrecision(3)))} ms`;
  return `${sign}${String(Number(size.toPrecision(3)))} s`;
}
