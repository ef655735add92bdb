/**
 * What the kernel's queueing disciplines make of an impairment: the numbers that the agent sends and that `tc` commands
 * say, in one place. Pure. Sources: net/sched/sch_netem.c, net/sched/sch_tbf.c, tc-netem(8), tc-tbf(8).
 */
import type { Impairment } from './device.ts';

/** Major number of our root queueing discipline, `4e:` in tc(8): it says that it is ours. */
export const ownedQueueingHandle = 0x4e;

/** Packets that netem holds at once (the kernel's own default). */
export const netemLimit = 1000;

/** netem keeps its jitter in an int of nanoseconds (netem_change, "capping jitter"). */
const longestJitter = 2147.483;

/** Only a rate is a token bucket (tbf), anything else netem, with its own rate. */
export function queueingKindOf(impairment: Impairment): 'tbf' | 'netem' {
  const { rate, delay, jitter, loss, duplicate, reorder, corrupt } = impairment;
  const others = [delay, jitter, loss, duplicate, reorder, corrupt];
  return rate !== null && others.every((value) => value === 0) ? 'tbf' : 'netem';
}

/**
 * Token bucket of a rate, in bytes. It holds 5 ms of the rate, and at least a jumbo frame: longer frames than that are
 * dropped. 50 ms, or three such frames, may wait.
 */
export function tokenBucketOf(rate: number): { readonly burst: number; readonly limit: number } {
  const bytesPerSecond = Math.floor(rate / 8);
  const longest = 0xffffffff;
  const burst = Math.min(longest, Math.max(10_000, Math.ceil(bytesPerSecond / 200)));
  const waiting = Math.max(30_000, Math.ceil(bytesPerSecond / 20));
  return { burst, limit: Math.min(longest, burst + waiting) };
}

function clamp(value: number, lowest: number, highest: number): number {
  return Math.min(highest, Math.max(lowest, value));
}

/** To the microsecond. */
function roundDelay(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

/** To a ten-thousandth. */
export function roundPercentage(percentage: number): number {
  return clamp(Math.round(percentage * 10_000) / 10_000, 0, 100);
}

/**
 * Rounds to what the kernel holds, so that it reads back equal: whole bytes a second, microseconds, ten-thousandths of
 * a per cent.
 */
export function normaliseImpairment(impairment: Impairment): Impairment {
  const { rate } = impairment;
  return {
    rate: rate === null ? null : Math.max(8, Math.floor(rate / 8) * 8),
    delay: roundDelay(Math.max(0, impairment.delay)),
    jitter: roundDelay(clamp(impairment.jitter, 0, longestJitter)),
    loss: roundPercentage(impairment.loss),
    duplicate: roundPercentage(impairment.duplicate),
    reorder: roundPercentage(impairment.reorder),
    corrupt: roundPercentage(impairment.corrupt),
  };
}

/**
 * The words of tc(8) after `root handle 4e: `, such as `netem limit 1000 delay 10000us loss 1%`. Where a netem of
 * `before` is to be changed in place, they also say 0 for what that had and this has not: netem keeps what it is not
 * told (netem_change). A change between tbf and netem cannot be made in place.
 */
export function impairmentWords(impairment: Impairment, before: Impairment | null = null): string {
  const wanted = normaliseImpairment(impairment);
  const { rate } = wanted;
  if (queueingKindOf(wanted) === 'tbf' && rate !== null) {
    const { burst, limit } = tokenBucketOf(rate);
    return `tbf rate ${rate}bit burst ${burst} limit ${limit}`;
  }
  const old = before === null || queueingKindOf(before) === 'tbf' ? null : before;
  const words = ['netem limit', String(netemLimit)];
  const microseconds = (milliseconds: number): string => `${Math.round(milliseconds * 1000)}us`;
  if (wanted.delay > 0 || wanted.jitter > 0) {
    words.push('delay', microseconds(wanted.delay));
    if (wanted.jitter > 0) words.push(microseconds(wanted.jitter));
  }
  if (wanted.loss > 0) words.push(`loss ${wanted.loss}%`);
  if (wanted.duplicate > 0) words.push(`duplicate ${wanted.duplicate}%`);
  if (wanted.reorder > 0 || (old?.reorder ?? 0) > 0) words.push(`reorder ${wanted.reorder}%`);
  if (wanted.corrupt > 0 || (old?.corrupt ?? 0) > 0) words.push(`corrupt ${wanted.corrupt}%`);
  if (rate !== null) words.push(`rate ${rate}bit`);
  else if (old !== null && old.rate !== null) words.push('rate 0bit');
  return words.join(' ');
}

/** Field by field; null is none. */
export function sameImpairment(one: Impairment | null, other: Impairment | null): boolean {
  if (one === null || other === null) return one === other;
  const fields = new Map<string, unknown>(Object.entries(other));
  return Object.entries(one).every(([key, value]) => fields.get(key) === value);
}
