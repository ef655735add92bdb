function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Equality of plain data: numbers, texts, booleans, null, arrays and objects of them. */
export function equalData(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (!isRecord(one) || !isRecord(other) || Array.isArray(one) !== Array.isArray(other)) {
    return false;
  }
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  // A loop without a closure: this runs for every view of the inventory.
  for (const key of keys) {
    if (!Object.hasOwn(other, key) || !equalData(one[key], other[key])) return false;
  }
  return true;
}
