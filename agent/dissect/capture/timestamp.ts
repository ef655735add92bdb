/** Times of captures: 64-bit counts of some fraction of a second since the epoch. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Ticks of a second: 10 or 2 to some power (`if_tsresol` of pcapng). */
export type TicksPerSecond = bigint;

export const microseconds: TicksPerSecond = 1_000_000n;

/** The octet of `if_tsresol`: the highest bit tells the base, the others the power. */
export function ticksOf(resolution: number): TicksPerSecond {
  const power = BigInt(resolution & 0x7f);
  return resolution < 0x80 ? 10n ** power : 2n ** power;
}

/** `offset` are seconds to be added. */
export function timestampOf(
  high: number,
  low: number,
  ticks: TicksPerSecond,
  offset: bigint,
): Timestamp {
  // Microseconds of any time that we will see are exact numbers.
  if (ticks === microseconds && offset === 0n && high < 0x200000) {
    const count = high * 2 ** 32 + low;
    const seconds = Math.floor(count / 1e6);
    return { seconds, nanoseconds: (count - seconds * 1e6) * 1000 };
  }
  const count = (BigInt(high) << 32n) | BigInt(low);
  const seconds = count / ticks;
  const nanoseconds = ((count - seconds * ticks) * 1_000_000_000n) / ticks;
  return { seconds: Number(seconds + offset), nanoseconds: Number(nanoseconds) };
}
