/**
 * Where this machine's control groups are and which hierarchy has `cpu`, `cpuacct` and `cpuset`: cgroup v2, v1 or both at
 * once. Decided for each controller by the mount table (cgroups(7)).
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseCpuList } from '../cpu/cpu-list.ts';
import { partitionInForce } from '../cpu/limits.ts';
import { type CpuController, cpuControllers, type CpuHierarchy } from '../cpu/machine.ts';
import { listMounts, type Mount } from './mounts.ts';

export interface FoundHierarchy {
  readonly version: 1 | 2;
  readonly controllers: readonly CpuController[];
  readonly mountPoint: string;
  /** What of the hierarchy is mounted there, such as `/`. */
  readonly root: string;
}

export interface CgroupLayout {
  readonly mode: 'v2' | 'v1' | 'hybrid' | 'none';
  /** Those with a controller of ours. */
  readonly hierarchies: readonly FoundHierarchy[];
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** `readFile` gives the text of `cgroup.controllers` of a mount; undefined when it is not there. */
export function layoutOf(
  mounts: readonly Mount[],
  readFile: (file: string) => string | undefined = readText,
): CgroupLayout {
  const taken = new Set<string>();
  const hierarchies: FoundHierarchy[] = [];
  const known = new Set<string>();
  const add = (version: 1 | 2, mount: Mount, offered: readonly string[]): void => {
    const controllers = cpuControllers.filter((one) => offered.includes(one) && !taken.has(one));
    for (const one of controllers) taken.add(one);
    if (controllers.length === 0) return;
    hierarchies.push({ version, controllers, mountPoint: mount.mountPoint, root: mount.root });
  };
  for (const mount of mounts) {
    if (mount.fileSystem !== 'cgroup' || known.has(mount.device)) continue;
    known.add(mount.device);
    add(1, mount, mount.superOptions);
  }
  const unified = mounts.find(({ fileSystem }) => fileSystem === 'cgroup2');
  if (unified !== undefined) {
    const text = readFile(path.join(unified.mountPoint, 'cgroup.controllers')) ?? '';
    add(2, unified, text.trim().split(' '));
  }
  const hasVersion1 = known.size > 0;
  const mode =
    unified === undefined ? (hasVersion1 ? 'v1' : 'none') : hasVersion1 ? 'hybrid' : 'v2';
  return { mode, hierarchies };
}

export function findCgroupLayout(): CgroupLayout {
  const mounts = listMounts();
  return mounts.ok ? layoutOf(mounts.value) : { mode: 'none', hierarchies: [] };
}

/** The place of a process in each hierarchy of a /proc/PID/cgroup, by the hierarchy's controllers; v2's key is empty. */
export function parseProcessCgroups(text: string): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const line of text.split('\n')) {
    const fields = /^\d+:(?<controllers>[^:]*):(?<place>\/.*)$/.exec(line)?.groups;
    if (fields === undefined) continue;
    for (const one of (fields['controllers'] ?? '').split(',')) {
      places.set(one, fields['place'] ?? '/');
    }
  }
  return places;
}

/** Directory that a process is in, in one hierarchy; null when that cannot be seen through its mount. */
export function directoryOfProcess(
  hierarchy: FoundHierarchy,
  places: ReadonlyMap<string, string>,
): string | null {
  const [controller = ''] = hierarchy.controllers;
  const place = places.get(hierarchy.version === 2 ? '' : controller);
  if (place === undefined) return null;
  const within = path.posix.relative(hierarchy.root, place);
  return within.startsWith('..') ? null : path.posix.join(hierarchy.mountPoint, within);
}

/**
 * The hierarchies with the place of ours in each: `below` within the mount, `/` unless a group of the machine's was set
 * aside for us.
 */
export function hierarchiesBelow(layout: CgroupLayout, below: string): readonly CpuHierarchy[] {
  return layout.hierarchies.map((hierarchy) => hierarchyAt(hierarchy, below));
}

export function hierarchyAt(
  { version, controllers, mountPoint, root }: FoundHierarchy,
  below: string,
): CpuHierarchy {
  return {
    version,
    controllers,
    base: path.posix.join(mountPoint, below).replace(/\/$/, ''),
    place: path.posix.join(root, below).replace(/\/$/, ''),
  };
}

/** The same hierarchy with the place that a unit of systemd's holds in it. */
export function heldBy(hierarchy: CpuHierarchy, unit: string): CpuHierarchy {
  return {
    ...hierarchy,
    base: path.posix.join(hierarchy.base, unit),
    place: path.posix.join(hierarchy.place, '/', unit),
  };
}

/** CPUs that groups in this place can have. */
export function cpusOf(hierarchies: readonly CpuHierarchy[]): readonly number[] {
  const cpuset = hierarchies.find(({ controllers }) => controllers.includes('cpuset'));
  const files = [
    ...(cpuset === undefined
      ? []
      : ['cpuset.cpus.effective', 'cpuset.effective_cpus', 'cpuset.cpus'].map((file) =>
          path.join(cpuset.base, file),
        )),
    '/sys/devices/system/cpu/online',
  ];
  for (const file of files) {
    const cpus = parseCpuList(readText(file)?.trim() ?? '');
    if (cpus !== null && cpus.length > 0) return cpus;
  }
  return [0];
}

/** Whether what is made here can have CPUs for itself: the top of cgroup v2 hands them on, and else only a partition does. */
export function isPartition({ version, base, place }: CpuHierarchy): boolean {
  if (version !== 2) return false;
  // A container takes its own group for the top; only the real one has no type.
  if (place === '' && !existsSync(path.join(base, 'cgroup.type'))) return true;
  const text = readText(path.join(base, 'cpuset.cpus.partition'))?.trim() ?? 'member';
  return partitionInForce(text) !== 'member';
}

/** Whether systemd is process 1: the tree is its own then. */
export function isSystemdMachine(): boolean {
  return existsSync('/run/systemd/system');
}
