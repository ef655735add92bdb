/** A CPU split: groups that share a machine's cores, each within the one around it. Pure data. */
import { type CpuSet, unionOf } from './cpu-list.ts';
import { defaultPeriod } from './quota.ts';

/** Whether others may run on a group's pinned CPUs; `isolated` also takes them out of load balancing. */
export type Exclusivity = 'shared' | 'root' | 'isolated';

export interface CpuGroup {
  readonly name: string;
  /** Cores that it may use at most, averaged over a period; null is no cap of its own. */
  readonly cap: number | null;
  /** Microseconds. */
  readonly period: number;
  /** Cores above the cap, in one period, that it has saved up before. */
  readonly burst: number;
  /** 1 to 10000: its part of what its siblings contend for. */
  readonly weight: number;
  /** Runs only when nobody else wants to. */
  readonly idle: boolean;
  /** CPUs that it may run on; null are its parent's. */
  readonly pins: CpuSet | null;
  readonly exclusivity: Exclusivity;
  /** Whether processes are bound to it itself, beside its groups: they contend with them as one of them. */
  readonly direct: boolean;
  readonly groups: readonly CpuGroup[];
}

export const defaultWeight = 100;
export const minimumWeight = 1;
export const maximumWeight = 10_000;

/** A group as the kernel makes it. */
export const plainGroup: Omit<CpuGroup, 'name'> = {
  cap: null,
  period: defaultPeriod,
  burst: 0,
  weight: defaultWeight,
  idle: false,
  pins: null,
  exclusivity: 'shared',
  direct: false,
  groups: [],
};

/**
 * CPUs that a split takes from everybody else; null for none. A group has CPUs for itself only where the group around it has
 * (cgroup-v2.rst, cpuset.cpus.partition), so the root takes those of all groups in it as soon as one of them is alone. Null
 * as well where one of them has no pins: then nobody knows what the root would have to take.
 */
export function cpusForItself({ groups }: CpuGroup): CpuSet | null {
  if (groups.every(({ exclusivity }) => exclusivity === 'shared')) return null;
  let taken: CpuSet = [];
  for (const { pins } of groups) {
    if (pins === null) return null;
    taken = unionOf(taken, pins);
  }
  return taken;
}

export interface CpuSplit {
  /** CPUs of the machine that it is for. */
  readonly cpus: CpuSet;
  /** What holds all groups; a process bound to it may use every core. Its name is empty. */
  readonly root: CpuGroup;
}

/** `A/A1`; empty for the root. */
export type GroupPath = string;

export function joinPath(parent: GroupPath, name: string): GroupPath {
  return parent === '' ? name : `${parent}/${name}`;
}

/** Null for the root. */
export function parentPath(path: GroupPath): GroupPath | null {
  if (path === '') return null;
  const at = path.lastIndexOf('/');
  return at < 0 ? '' : path.slice(0, at);
}

export function depthOf(path: GroupPath): number {
  return path === '' ? 0 : path.split('/').length;
}

/** A group and all in it, parents before children. */
export function* walkGroups(
  group: CpuGroup,
  path: GroupPath = group.name,
): Generator<readonly [GroupPath, CpuGroup]> {
  // A stack instead of recursion: a document may nest deeper than a stack of calls.
  const left: (readonly [GroupPath, CpuGroup])[] = [[path, group]];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    yield next;
    const [at, { groups }] = next;
    for (const child of groups.toReversed()) left.push([joinPath(at, child.name), child]);
  }
}
