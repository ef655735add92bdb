/** The last minute of every group. Pure. */
import type { CpuMachineSample } from '../../agent/api/index.ts';
import type { GroupPath } from '../../agent/cpu/group.ts';

export interface HistoryPoint {
  /** Milliseconds of the sampler's clock. */
  readonly time: number;
  /** Cores. */
  readonly use: number;
  /** Cores that it may use at most; null without a cap. */
  readonly cap: number | null;
}
export type GroupHistory = readonly HistoryPoint[];

/** Above the most that a group can use, so that a cap is seen as a line. */
export const headroom = 1.12;

/** Milliseconds that are kept. */
export const historyLength = 60_000;

export function withSample(
  history: ReadonlyMap<GroupPath, GroupHistory>,
  { time, groups }: CpuMachineSample,
): ReadonlyMap<GroupPath, GroupHistory> {
  const next = new Map<GroupPath, GroupHistory>();
  for (const { group, use, cap } of groups) {
    const before = history.get(group) ?? [];
    // The first sample has no use yet.
    if (use === null) {
      if (before.length > 0) next.set(group, before);
      continue;
    }
    const from = before.findIndex((point) => point.time >= time - historyLength);
    next.set(group, [...(from < 0 ? [] : before.slice(from)), { time, use, cap }]);
  }
  return next;
}

/** A line of the use, and one of the cap, as points of an SVG that is `width` by `height`; the newest is at the right. */
export function linesOf(
  history: GroupHistory,
  most: number,
  width: number,
  height: number,
): { readonly use: string; readonly area: string; readonly cap: string } {
  const now = history.at(-1)?.time ?? 0;
  const x = (time: number): number => width * (1 - (now - time) / historyLength);
  const y = (cores: number): number => height * (1 - Math.min(1, cores / Math.max(most, 1e-9)));
  const point = (time: number, cores: number): string =>
    `${x(time).toFixed(1)},${y(cores).toFixed(1)}`;
  const use = history.map((each) => point(each.time, each.use)).join(' ');
  const first = history[0];
  const area =
    first === undefined ? '' : `${x(first.time).toFixed(1)},${height} ${use} ${width},${height}`;
  const capped = history.filter((each) => each.cap !== null);
  return { use, area, cap: capped.map((each) => point(each.time, each.cap ?? 0)).join(' ') };
}
