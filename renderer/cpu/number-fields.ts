/** Numbers as a person types them. Pure. */

/** Cores with up to five decimals, a comma or a point before them; null for what is none. */
export function parseCores(text: string): number | null {
  const plain = text.trim().replace(',', '.');
  return /^\d{1,6}(\.\d{1,5})?$/.test(plain) ? Number(plain) : null;
}

export function parseNumber(
  text: string,
  least: number,
  most: number,
  whole: boolean,
): number | null {
  const value = parseCores(text);
  if (value === null || value < least || value > most) return null;
  return whole && !Number.isInteger(value) ? null : value;
}
