/**
 * From a split that is wanted and groups that are there to operations, in an order that both versions of control groups
 * accept and in which no group ever has more than before or after.
 */
import { equalData } from '../api/equal-data.ts';
import {
  type CpuSet,
  formatCpuList,
  isSubset,
  overlaps,
  parseCpuList,
  unionOf,
} from './cpu-list.ts';
import {
  type CpuSplit,
  cpusForItself,
  depthOf,
  type GroupPath,
  parentPath,
  walkGroups,
} from './group.ts';
import {
  type CpuLimits,
  initialLimits,
  limitsOf,
  partitionInForce,
  type SomeCpuLimits,
  withChange,
} from './limits.ts';
import { comparesCaps, type CpuGroupView, type CpuMachine, writesPinsOut } from './machine.ts';
import type { CpuGroupOperation } from './operation.ts';
import { ratioOf } from './quota.ts';

export interface SplitPlan {
  /** What makes room: before processes are started or moved. */
  readonly first: readonly CpuGroupOperation[];
  /** What takes away: when nothing needs it any more. */
  readonly last: readonly CpuGroupOperation[];
}

export interface Wanted {
  readonly limits: CpuLimits;
  readonly open: boolean;
}

interface Kept extends Wanted {
  readonly group: GroupPath;
  readonly seen: CpuGroupView;
}

/** `split` null takes everything away. */
export function planSplit(split: CpuSplit | null, machine: CpuMachine): SplitPlan {
  const wanted = wantedOf(split, machine);
  const seen = machine.groups;
  const kept: Kept[] = [];
  const added: (readonly [GroupPath, Wanted])[] = [];
  for (const [group, one] of wanted) {
    const view = seen.get(group);
    if (view?.complete === true) kept.push({ group, ...one, seen: view });
    else added.push([group, one]);
  }
  const removed = [...seen.keys()].filter((group) => !wanted.has(group));
  const downwards = kept.toSorted((one, other) => depthOf(one.group) - depthOf(other.group));
  const upwards = downwards.toReversed();
  const goingUpwards = removed.toSorted((one, other) => depthOf(other) - depthOf(one));
  const changes = new Changes(seen, wanted, machine);
  const pinned = [
    ...downwards.map(({ group, limits: { cpus } }) => ({ group, cpus })),
    ...removed.flatMap((group) => {
      const cpus = changes.pinsOfGoing(group);
      return cpus === null ? [] : [{ group, cpus }];
    }),
  ].toSorted((one, other) => depthOf(one.group) - depthOf(other.group));

  const opens = downwards
    .filter(({ open, seen: view }) => open && !view.open)
    .map(({ group }): CpuGroupOperation => ({ kind: 'open-cpu-group', group }));
  for (const { group, limits } of upwards) changes.lowerBurst(group, limits);
  changes.leavePartitions(upwards);
  for (const group of goingUpwards) changes.releaseCap(group);
  for (const { group, limits } of upwards) changes.shrinkCap(group, limits);
  for (const { group, limits } of downwards) changes.growCap(group, limits);
  for (const { group, cpus } of pinned) changes.growPins(group, cpus);
  for (const { group, cpus } of pinned.toReversed()) changes.shrinkPins(group, cpus);
  for (const { group, limits } of downwards) changes.raiseRest(group, limits);
  const adds = added.flatMap(([group, { limits, open }]): CpuGroupOperation[] => [
    { kind: 'add-cpu-group', group, limits: { ...limits, partition: 'member' } },
    ...(open ? [{ kind: 'open-cpu-group', group } as const] : []),
  ]);
  const partitions = changes.joinPartitions(wanted);
  // Groups that go may be pinned to what one takes for itself, and the kernel asks its siblings: then it waits for them.
  const isLate = removed.length > 0;
  return {
    first: [...opens, ...changes.operations, ...adds, ...(isLate ? [] : partitions)],
    last: [...removals(seen, wanted, changes.now), ...(isLate ? partitions : [])],
  };
}

/** What every group is to have, parents first; on cgroup v1 with its pins written out. */
export function wantedOf(
  split: CpuSplit | null,
  machine: Pick<CpuMachine, 'cpus' | 'hierarchies'>,
): ReadonlyMap<GroupPath, Wanted> {
  const wanted = new Map<GroupPath, Wanted>();
  if (split === null) return wanted;
  const writesOut = writesPinsOut(machine);
  const all = formatCpuList(machine.cpus);
  for (const [path, group] of walkGroups(split.root)) {
    const limits = path === '' ? limitsOfRoot(split) : limitsOf(group);
    let inherited = all;
    for (let at = parentPath(path); at !== null; at = parentPath(at)) {
      const around = wanted.get(at)?.limits.cpus ?? '';
      if (around === '') continue;
      inherited = around;
      break;
    }
    const own = limits.cpus === all ? '' : limits.cpus;
    const cpus = own === '' && writesOut ? inherited : own;
    wanted.set(path, { limits: { ...limits, cpus }, open: group.groups.length > 0 || path === '' });
  }
  return wanted;
}

function limitsOfRoot({ root }: CpuSplit): CpuLimits {
  const limits = limitsOf(root);
  const taken = cpusForItself(root);
  return taken === null ? limits : { ...limits, cpus: formatCpuList(taken), partition: 'root' };
}

/** Bottom-up: a group goes when nothing is in it, and closes when its last group has gone. */
function removals(
  seen: CpuMachine['groups'],
  wanted: ReadonlyMap<GroupPath, Wanted>,
  now: ReadonlyMap<GroupPath, CpuLimits>,
): readonly CpuGroupOperation[] {
  const upwards = [...seen].toSorted(([one], [other]) => depthOf(other) - depthOf(one));
  return upwards.flatMap(([group, view]): CpuGroupOperation[] => {
    const target = wanted.get(group);
    const closes = view.open && target?.open !== true;
    return [
      ...(closes ? [{ kind: 'close-cpu-group', group } as const] : []),
      ...(target === undefined
        ? [{ kind: 'remove-cpu-group', group, limits: now.get(group) ?? view.limits } as const]
        : []),
    ];
  });
}

/** Changes of groups that stay, or go only later, and what they have come to in between. */
class Changes {
  readonly operations: CpuGroupOperation[] = [];
  readonly now: Map<GroupPath, CpuLimits>;
  private readonly wanted: ReadonlyMap<GroupPath, Wanted>;
  private readonly machine: CpuMachine;
  private readonly stepsOverUnions: boolean;

  constructor(
    seen: CpuMachine['groups'],
    wanted: ReadonlyMap<GroupPath, Wanted>,
    machine: CpuMachine,
  ) {
    this.now = new Map(
      [...seen].map(([group, { limits }]) => [
        group,
        { ...limits, partition: partitionInForce(limits.partition) },
      ]),
    );
    this.wanted = wanted;
    this.machine = machine;
    this.stepsOverUnions = writesPinsOut(machine);
  }

  lowerBurst(group: GroupPath, { burst }: CpuLimits): void {
    if (burst < this.at(group).burst) this.change(group, { burst });
  }

  shrinkCap(group: GroupPath, { quota, period }: CpuLimits): void {
    const ratio = ratioOf({ quota, period });
    const now = ratioOf(this.at(group));
    const shrinks = ratio <= now && ratio <= this.roomFor(group, (at) => this.at(at));
    // A cap that goes stands in the way of a parent's that comes.
    const makesWay = ratio === Infinity && now > this.roomFor(group, (at) => this.goalOf(at));
    if (shrinks || makesWay) this.change(group, { quota, period });
  }

  /**
   * The ratio that a group's cap must stay within. Only cgroup v1 asks: there a group without a cap gets one above its
   * parent's only when that has grown.
   */
  private roomFor(group: GroupPath, limitsAt: (group: GroupPath) => CpuLimits): number {
    if (!comparesCaps(this.machine)) return Infinity;
    for (let at = parentPath(group); at !== null; at = parentPath(at)) {
      const ratio = ratioOf(limitsAt(at));
      if (ratio !== Infinity) return ratio;
    }
    return Infinity;
  }

  private goalOf(group: GroupPath): CpuLimits {
    return this.wanted.get(group)?.limits ?? initialLimits;
  }

  growCap(group: GroupPath, { quota, period }: CpuLimits): void {
    this.change(group, { quota, period });
  }

  /** cgroup v1 wants a child's CPUs among its parent's at every moment: over what is old and new, top-down. */
  growPins(group: GroupPath, cpus: string): void {
    const before = setOf(this.at(group).cpus);
    const after = setOf(cpus);
    if (this.stepsOverUnions) this.change(group, { cpus: formatCpuList(unionOf(before, after)) });
    else if (after.length === 0 || (before.length > 0 && isSubset(before, after))) {
      this.change(group, { cpus });
    }
  }

  shrinkPins(group: GroupPath, cpus: string): void {
    this.change(group, { cpus });
  }

  raiseRest(group: GroupPath, { burst, weight, idle }: CpuLimits): void {
    this.change(group, { burst });
    this.change(group, { weight, idle });
  }

  /**
   * A partition whose CPUs change, or that a sibling's could overlap in between, is none meanwhile: the kernel makes it
   * invalid without a word and does not heal it. What is in it goes with it, and its own are made again later.
   */
  leavePartitions(upwards: readonly Kept[]): void {
    const leaving = new Set<GroupPath>();
    for (const { group, limits } of upwards) {
      const now = this.at(group);
      if (now.partition === 'member') continue;
      const isSame = now.partition === limits.partition && now.cpus === limits.cpus;
      if (!isSame || this.isOverlapped(group)) leaving.add(group);
    }
    for (const group of this.now.keys()) if (!this.wanted.has(group)) leaving.add(group);
    for (const group of [...this.now.keys()].toSorted((a, b) => depthOf(b) - depthOf(a))) {
      if (this.at(group).partition === 'member') continue;
      if (isWithin(group, leaving)) this.change(group, { partition: 'member' });
    }
  }

  joinPartitions(wanted: ReadonlyMap<GroupPath, Wanted>): readonly CpuGroupOperation[] {
    const operations: CpuGroupOperation[] = [];
    for (const [group, { limits }] of wanted) {
      const partition = this.now.get(group)?.partition ?? 'member';
      if (partition === limits.partition) continue;
      operations.push({
        kind: 'change-cpu-group',
        group,
        before: { partition },
        after: { partition: limits.partition },
      });
    }
    return operations;
  }

  /** On cgroup v1 the cap of a group that goes may stand in the way of what its parent becomes. */
  releaseCap(group: GroupPath): void {
    if (ratioOf(this.at(group)) <= this.roomFor(group, (at) => this.goalOf(at))) return;
    this.change(group, { burst: 0 });
    this.change(group, { quota: null });
  }

  /** And so may its pins: then it has what is to be around it, until it goes. Null where they do not. */
  pinsOfGoing(group: GroupPath): string | null {
    const around = this.nearestKept(group);
    if (around === null || !this.stepsOverUnions) return null;
    return isSubset(setOf(this.at(group).cpus), setOf(around.cpus)) ? null : around.cpus;
  }

  /** What the nearest group around one that goes is to have. */
  private nearestKept(group: GroupPath): CpuLimits | null {
    for (let at = parentPath(group); at !== null; at = parentPath(at)) {
      const found = this.wanted.get(at);
      if (found !== undefined) return found.limits;
    }
    return null;
  }

  private isOverlapped(group: GroupPath): boolean {
    const own = setOf(this.at(group).cpus);
    const parent = parentPath(group);
    for (const [other, now] of this.now) {
      if (other === group || parentPath(other) !== parent) continue;
      const then = this.wanted.get(other)?.limits.cpus ?? now.cpus;
      if (then !== now.cpus && overlaps(own, unionOf(setOf(now.cpus), setOf(then)))) return true;
    }
    return false;
  }

  private at(group: GroupPath): CpuLimits {
    return this.now.get(group) ?? initialLimits;
  }

  private change(group: GroupPath, after: SomeCpuLimits): void {
    const now = this.at(group);
    const then = withChange(now, after);
    if (equalData(now, then)) return;
    const keys = new Set(Object.keys(after));
    const before = Object.fromEntries(Object.entries(now).filter(([key]) => keys.has(key)));
    this.operations.push({ kind: 'change-cpu-group', group, before, after });
    this.now.set(group, then);
  }
}

function isWithin(group: GroupPath, others: ReadonlySet<GroupPath>): boolean {
  for (let at: GroupPath | null = group; at !== null; at = parentPath(at)) {
    if (others.has(at)) return true;
  }
  return false;
}

function setOf(cpus: string): CpuSet {
  return parseCpuList(cpus) ?? [];
}
