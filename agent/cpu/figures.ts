/** What a split comes to: numbers that are derived, never written anywhere. Pure. */
import { differenceOf, intersectionOf, type CpuSet } from './cpu-list.ts';
import { type Contender, shareFairly } from './fair-share.ts';
import { type CpuGroup, type CpuSplit, defaultWeight, type GroupPath, joinPath } from './group.ts';

/** Cores. */
export interface GroupFigures {
  /** CPUs that it can run on: its pins within its parent's; its parent's where those leave nothing. */
  readonly cpus: CpuSet;
  /** Whether none of its pins is among its parent's CPUs, so that they have no effect. */
  readonly pinsLost: boolean;
  /** The least along the path from the root: caps and CPUs. */
  readonly ceiling: number;
  /** The group whose cap or pins that is; null is the machine. */
  readonly heldBy: GroupPath | null;
  /** What it gets when every group and every bound process wants all it can get. Computed; no kernel promises it. */
  readonly guaranteed: number;
  /** What limits of its groups hand out together, each by itself. */
  readonly allotted: number;
  /** `allotted` above its ceiling. */
  readonly overcommit: number;
  /** Its ceiling above `allotted`. */
  readonly unallocated: number;
}

/** WEIGHT_IDLEPRIO of 1024, on the scale of cpu.weight (kernel/sched/sched.h). */
export const idleWeight = (3 * 100) / 1024;

/** A group as it is come to from above. */
interface Place {
  readonly path: GroupPath;
  readonly group: CpuGroup;
  readonly limits: Limits;
  readonly share: number;
}

/** What was found out of groups before: the same group with the same around it comes to the same. */
export type KnownFigures = WeakMap<
  CpuGroup,
  Pick<Place, 'path' | 'limits' | 'share'> & {
    readonly figures: GroupFigures;
    readonly children: readonly Place[];
  }
>;

/**
 * Figures by path; the root's is the empty one. With `known` kept from call to call only what a change concerns is found out
 * again, and what stays the same is the same object.
 */
export function figuresOf(
  { cpus, root }: CpuSplit,
  known: KnownFigures = new WeakMap(),
): ReadonlyMap<GroupPath, GroupFigures> {
  const figures = new Map<GroupPath, GroupFigures>();
  const top = limitsOf('', root, { cpus, ceiling: cpus.length, heldBy: null });
  const left: Place[] = [{ path: '', group: root, limits: top, share: top.ceiling }];
  for (let place = left.pop(); place !== undefined; place = left.pop()) {
    const { path, group, limits, share } = place;
    let found = known.get(group);
    if (found?.path !== path || found.share !== share || !areEqual(found.limits, limits)) {
      found = { path, limits, share, ...lookAt(place) };
      known.set(group, found);
    }
    figures.set(path, found.figures);
    left.push(...found.children);
  }
  return figures;
}

/** The figures of one group, and what it leaves for those in it. */
function lookAt({ path, group, limits, share }: Place): {
  readonly figures: GroupFigures;
  readonly children: readonly Place[];
} {
  const shared = sharedCpus(group, limits);
  const children = group.groups.map((child) => {
    const at = joinPath(path, child.name);
    const around = child.exclusivity === 'shared' ? { ...limits, cpus: shared } : limits;
    return { path: at, group: child, limits: limitsOf(at, child, around) };
  });
  const contenders = children.map(({ group: child, limits: { ceiling, cpus: own } }): Contender => {
    const weight = child.idle ? idleWeight : child.weight;
    return { weight, limit: ceiling, cpus: own };
  });
  if (group.direct) {
    contenders.push({
      weight: defaultWeight,
      limit: Math.min(limits.ceiling, shared.length),
      cpus: shared,
    });
  }
  const shares = shareFairly(share, contenders);
  const allotted = children.reduce((sum, child) => sum + (ownLimit(child.group) ?? 0), 0);
  return {
    figures: {
      ...limits,
      guaranteed: share,
      allotted,
      overcommit: Math.max(0, allotted - limits.ceiling),
      unallocated: group.groups.length === 0 ? 0 : Math.max(0, limits.ceiling - allotted),
    },
    children: children.map((child, index) => ({ ...child, share: shares[index] ?? 0 })),
  };
}

function areEqual(one: Limits, other: Limits): boolean {
  if (one === other) return true;
  return (
    one.ceiling === other.ceiling &&
    one.heldBy === other.heldBy &&
    one.pinsLost === other.pinsLost &&
    one.cpus.length === other.cpus.length &&
    one.cpus.every((cpu, index) => cpu === other.cpus[index])
  );
}

type Limits = Pick<GroupFigures, 'cpus' | 'pinsLost' | 'ceiling' | 'heldBy'>;

function limitsOf(
  path: GroupPath,
  group: CpuGroup,
  around: Pick<Limits, 'cpus' | 'ceiling' | 'heldBy'>,
): Limits {
  const within = group.pins === null ? around.cpus : intersectionOf(group.pins, around.cpus);
  const pinsLost = group.pins !== null && within.length === 0;
  const cpus = pinsLost ? around.cpus : within;
  let { ceiling, heldBy } = around;
  // CPUs fewer than the parent's: by its own pins, or because others have theirs for themselves.
  if (cpus.length < ceiling) [ceiling, heldBy] = [cpus.length, path];
  if (group.cap !== null && group.cap < ceiling) [ceiling, heldBy] = [group.cap, path];
  return { cpus, pinsLost, ceiling, heldBy };
}

/** What is left of a group's CPUs for those of its groups that have none for themselves, and for its own processes. */
function sharedCpus(group: CpuGroup, { cpus }: Limits): CpuSet {
  const taken = group.groups.flatMap(({ exclusivity, pins }) =>
    exclusivity === 'shared' ? [] : (pins ?? []),
  );
  if (taken.length === 0) return cpus;
  const left = differenceOf(cpus, taken);
  return left.length === 0 ? cpus : left;
}

/** What a group's own settings limit it to, whatever is around it; null without any. */
export function ownLimit({ cap, pins }: CpuGroup): number | null {
  if (cap === null) return pins?.length ?? null;
  return pins === null ? cap : Math.min(cap, pins.length);
}
