/** Rates as people read them: bits and packets a second, never bare numbers. Pure. */
import { rateText } from '../topology/live.ts';
import { shortCount } from '../topology/openflow/flow-rows.ts';

/** `1.23 Mbit/s` of bytes a second: three digits, since the rest changes with every reading. */
export function bitRateText(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  return rateText(bits < 1000 ? Math.round(bits) : Number(bits.toPrecision(3)));
}

/** `98 B`, `782 kB`. */
export function bytesText(bytes: number): string {
  const count = shortCount(bytes);
  return count.includes(' ') ? `${count}B` : `${count} B`;
}

/** `1.0`, `340`, `12.3 k`: the number of packets a second. */
export function packetRateText(packetsPerSecond: number): string {
  if (packetsPerSecond === 0) return '0';
  return packetsPerSecond < 10 ? packetsPerSecond.toFixed(1) : shortCount(packetsPerSecond);
}
