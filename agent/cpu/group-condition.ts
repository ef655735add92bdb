/** What is the matter with a group, judged by what was seen of it between two moments. Pure. */
import type { CpuGroupCondition } from '../api/cpu.ts';
import { type CpuSet, isSubset } from './cpu-list.ts';
import { type GroupPath, parentPath } from './group.ts';

/** What was seen of one group. Shares are 0 to 1, of the time in between; null is what nobody counts. */
export interface GroupSight {
  readonly group: GroupPath;
  /** Whether it is there at all, and whether the files of its limits are. */
  readonly isThere: boolean;
  readonly hasLimits: boolean;
  /** Whether its limits are those that are wanted. */
  readonly isAsWanted: boolean;
  /** Whether it has its pins for itself, where it is to. */
  readonly hasPartition: boolean;
  /** Its pins, as the document has them; empty without. */
  readonly pins: CpuSet;
  /** CPUs that it can run on; null where the kernel does not say. */
  readonly cpus: CpuSet | null;
  readonly guaranteed: number;
  readonly use: number | null;
  /** Share of periods in which its own cap stopped it. */
  readonly throttled: number | null;
  /** Whether the kernel has stopped it by whatever cap, its own or one above; null where it counts only own ones. */
  readonly stopped: boolean | null;
  /** Share of the time in which something of it waited for a CPU. */
  readonly waiting: number | null;
}

/** A cap counts as used up when it stops its group in so many periods. */
const usedUp = 0.95;
/** Above this a cap is felt. */
const felt = 0.05;
/** Cores below which a group does not count as one that wants to run. */
const leastUse = 0.01;
/** Share of the time in which something waits, from which a group may count as starved. */
const longWait = 0.5;
/** Of what is its own, a starved group gets less than this part. */
const enough = 0.8;

export interface Judgement {
  readonly conditions: CpuGroupCondition[];
  readonly heldBy: GroupPath | null;
}

/** Of each group in turn; those around it have to be among them. */
export function judgeGroups(
  sights: ReadonlyMap<GroupPath, GroupSight>,
): ReadonlyMap<GroupPath, Judgement> {
  return new Map([...sights].map(([group, sight]) => [group, judge(sight, sights)]));
}

function judge(sight: GroupSight, sights: ReadonlyMap<GroupPath, GroupSight>): Judgement {
  if (!sight.isThere) return { conditions: ['gone'], heldBy: null };
  const conditions: CpuGroupCondition[] = [];
  const throttled = sight.throttled ?? 0;
  if (throttled >= usedUp) conditions.push('at-cap');
  const heldBy = throttled < felt ? holderOf(sight, sights) : null;
  if (heldBy !== null) conditions.push('held-back');
  const isStarved =
    throttled < felt &&
    heldBy === null &&
    (sight.waiting ?? 0) >= longWait &&
    sight.use !== null &&
    sight.use < enough * sight.guaranteed;
  if (isStarved) conditions.push('starved');
  const { pins, cpus } = sight;
  if (pins.length > 0 && cpus !== null && (cpus.length === 0 || !isSubset(cpus, pins))) {
    conditions.push('pins-lost');
  }
  if (!sight.hasPartition) conditions.push('partition-ended');
  if (!sight.hasLimits) conditions.push('limits-gone');
  else if (!sight.isAsWanted) conditions.push('changed-outside');
  return { conditions, heldBy };
}

/**
 * The nearest group around one whose cap stops everything in it. Where the kernel does not say whether a group was stopped
 * by a cap above it (cpu.stat.local, from Linux 6.6 on and only of cgroup v2), one that runs while a cap above it is felt
 * counts as stopped.
 */
function holderOf(
  { group, stopped, use }: GroupSight,
  sights: ReadonlyMap<GroupPath, GroupSight>,
): GroupPath | null {
  if (!(stopped ?? (use !== null && use >= leastUse))) return null;
  for (let at = parentPath(group); at !== null; at = parentPath(at)) {
    if ((sights.get(at)?.throttled ?? 0) >= felt) return at;
  }
  return null;
}
