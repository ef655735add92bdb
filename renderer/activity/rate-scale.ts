/** How a rate looks on the drawing. Pure. Rates span eight orders of magnitude, so all of it is logarithmic. */

/** Bits a second that are drawn slowest, and those from which on nothing gets faster. */
const slowest = 100;
const fastest = 10e9;

/** 0 for nothing, above it at least a tenth, 1 from 10 Gbit/s on. */
export function levelOf(bitsPerSecond: number): number {
  if (!(bitsPerSecond > 0)) return 0;
  const share = Math.log10(bitsPerSecond / slowest) / Math.log10(fastest / slowest);
  return 0.1 + 0.9 * Math.min(1, Math.max(0, share));
}

/** Units of the drawing a second that a dot moves at. */
export function speedOf(level: number): number {
  return 70 + 250 * level;
}

/** Up to so many packets a second each is a dot of its own; beyond, dots stand for more and more packets. */
export const singlePackets = 8;

/** Dots a second for so many packets a second. */
export function dotsOf(packetsPerSecond: number): number {
  if (!(packetsPerSecond > 0)) return 0;
  if (packetsPerSecond <= singlePackets) return packetsPerSecond;
  return singlePackets + 4 * Math.log10(packetsPerSecond / singlePackets);
}

/** Units of the drawing that a wire is thick where nothing may move. */
export function thicknessOf(level: number): number {
  return level === 0 ? 0 : 2 + 5 * level;
}
