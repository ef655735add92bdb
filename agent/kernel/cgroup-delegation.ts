/**
 * Control groups that somebody has handed over: a scope of systemd's with `Delegate=`, or a directory that root made and
 * gave away. They are found from where a process is, never made.
 */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { type Result, succeed } from '../api/result.ts';
import { type CpuController, type CpuHierarchy, ownProcesses } from '../cpu/machine.ts';
import {
  type CgroupLayout,
  directoryOfProcess,
  type FoundHierarchy,
  hierarchyAt,
  isSystemdMachine,
} from './cgroup-hierarchies.ts';
import { drain, makeDirectory, moveProcess, processesFile, readText } from './cgroup-directory.ts';
import { isErrno, systemFailure } from './kernel-failure.ts';
import { readExtendedAttribute } from './native.ts';

/** Why no group can be made in a directory. */
export type PlaceLack = 'missing' | 'read-only' | 'forbidden';

/** Null when groups can be made there. access(2) looks at the mount as well as at the mode. */
export function lackOfPlace(directory: string): PlaceLack | null {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    const failure = systemFailure(directory, error);
    if (isErrno(failure, 'EROFS')) return 'read-only';
    return isErrno(failure, 'EACCES', 'EPERM') ? 'forbidden' : 'missing';
  }
}

function canWrite(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** systemd.resource-control(5), `Delegate=`: what it has handed over bears one of the two. */
const delegationMarks = ['user.delegate', 'trusted.delegate'] as const;

/**
 * The delegated group that a process is in, in each hierarchy that has one; `places` is its /proc/PID/cgroup, parsed. A
 * group is delegated when it is not the top, whoever asks may make groups in it and move processes, and systemd, where
 * it manages the tree, says so: other groups it takes back.
 */
export function findDelegatedGroups(
  layout: CgroupLayout,
  places: ReadonlyMap<string, string>,
): readonly CpuHierarchy[] {
  return layout.hierarchies.flatMap((hierarchy) => {
    const at = directoryOfProcess(hierarchy, places);
    if (at === null) return [];
    const isLeaf = path.basename(at) === ownProcesses;
    const directory = hierarchy.version === 2 && isLeaf ? path.dirname(at) : at;
    if (directory === hierarchy.mountPoint || !isUsable(hierarchy, directory)) return [];
    const controllers = controllersIn(hierarchy, directory);
    if (controllers.length === 0) return [];
    const below = path.posix.relative(hierarchy.mountPoint, directory);
    return [{ ...hierarchyAt(hierarchy, below), controllers }];
  });
}

function isUsable({ version }: FoundHierarchy, directory: string): boolean {
  const files = [processesFile, ...(version === 2 ? ['cgroup.subtree_control'] : [])];
  if (lackOfPlace(directory) !== null) return false;
  if (!files.every((file) => canWrite(path.join(directory, file)))) return false;
  if (!isSystemdMachine()) return true;
  return delegationMarks.some((mark) => readExtendedAttribute(directory, mark) !== null);
}

/** A group of cgroup v1's cpuset takes nobody while it has no CPUs or no memory; v2 says what a group may hand down. */
function controllersIn(hierarchy: FoundHierarchy, directory: string): readonly CpuController[] {
  const read = (file: string): string => readText(path.join(directory, file))?.trim() ?? '';
  if (hierarchy.version === 2) {
    const offered = read('cgroup.controllers').split(' ');
    return hierarchy.controllers.filter((one) => offered.includes(one));
  }
  const isFurnished = read('cpuset.cpus') !== '' && read('cpuset.mems') !== '';
  return hierarchy.controllers.filter((one) => one !== 'cpuset' || isFurnished);
}

/**
 * Where the processes of whoever it was handed to are: cgroup v2 wants none beside groups with controllers, so there they
 * have a leaf of their own.
 */
export function ownPlaceIn({ version, base }: CpuHierarchy): string {
  return version === 2 ? path.join(base, ownProcesses) : base;
}

/** Moves all processes of a delegated group to where they leave it free; nothing is to do where they are. */
export function clearDelegatedGroup(group: CpuHierarchy): Result<void> {
  const place = ownPlaceIn(group);
  if (place === group.base) return succeed(undefined);
  const made = makeDirectory(place);
  if (!made.ok) return made;
  const drained = drain(group.base, place);
  return drained.ok ? succeed(undefined) : drained;
}

/** Moves a process to where those of whoever it was handed to are. */
export function enterDelegatedGroup(group: CpuHierarchy, pid: number): Result<void> {
  return moveProcess(pid, ownPlaceIn(group));
}
