/** What a machine offers for CPU groups, and what is there of a lab's. Data; `agent/kernel` reads it. */
import type { CpuSet } from './cpu-list.ts';
import type { GroupPath } from './group.ts';
import type { CpuHolder } from './holder.ts';
import type { CpuLimits } from './limits.ts';

export const cpuControllers = ['cpu', 'cpuacct', 'cpuset'] as const;
export type CpuController = (typeof cpuControllers)[number];

/** A tree of control groups, with those of our controllers that it has. */
export interface CpuHierarchy {
  readonly version: 1 | 2;
  readonly controllers: readonly CpuController[];
  /** Directory that the lab's own is made in. */
  readonly base: string;
  /** The same place as /proc/PID/cgroup names it; empty for the top. */
  readonly place: string;
}

export interface CpuGroupView {
  readonly limits: CpuLimits;
  /** Whether groups in it have the controllers, and its own processes a place beside them. */
  readonly open: boolean;
  /** Whether it is there in every hierarchy. */
  readonly complete: boolean;
}

/** What a kernel may lack. */
export interface CpuFeatures {
  /** cpu.max.burst, from Linux 5.14 on. */
  readonly burst: boolean;
  /** cpu.idle, from Linux 5.15 on. */
  readonly idle: boolean;
  /** Whether the group that a lab's are made in is a partition, which alone can hand CPUs on for somebody alone. */
  readonly partitions: boolean;
}

export interface CpuMachine {
  /** CPUs that processes of the lab can run on. */
  readonly cpus: CpuSet;
  /** One for `cpu` at least. */
  readonly hierarchies: readonly CpuHierarchy[];
  readonly features: CpuFeatures;
  /** The lab's groups; the root's path is empty. */
  readonly groups: ReadonlyMap<GroupPath, CpuGroupView>;
  /** What holds their place; missing where that is simply there. */
  readonly holder?: CpuHolder | undefined;
}

/** In an opened group: where its own processes are. No document can give the name to a group. */
export const ownProcesses = '_self';

/** The name of a lab's directory. It is the mark of what is ours. */
export function rootDirectoryOf(lab: string): string {
  return `netloom.${lab}`;
}

/** A machine with nothing of the lab, where cgroup v2 is as it usually is: for plans against nothing. */
export function paperMachine(cpus: CpuSet): CpuMachine {
  return {
    cpus,
    hierarchies: [
      { version: 2, controllers: ['cpu', 'cpuset'], base: '/sys/fs/cgroup', place: '' },
    ],
    features: { burst: true, idle: true, partitions: true },
    groups: new Map(),
  };
}

export function directoryOf({ base }: CpuHierarchy, lab: string, group: GroupPath): string {
  return [base, rootDirectoryOf(lab), ...(group === '' ? [] : [group])].join('/');
}

/**
 * Where the processes of a group are. cgroup v1 has no rule against processes beside groups, but its `cpu` would have each of
 * them compete with a whole group; for its other controllers it makes no difference.
 */
export function placeOf(
  hierarchy: CpuHierarchy,
  lab: string,
  group: GroupPath,
  isOpen: boolean,
): string {
  const directory = directoryOf(hierarchy, lab, group);
  return isOpen && hasOwnPlace(hierarchy) ? `${directory}/${ownProcesses}` : directory;
}

export function hasOwnPlace({ version, controllers }: CpuHierarchy): boolean {
  return version === 2 || controllers.includes('cpu');
}

/** Whether pins have to be written out: a group of cgroup v1 has those CPUs that are written, and none at first. */
export function writesPinsOut({ hierarchies }: Pick<CpuMachine, 'hierarchies'>): boolean {
  return hierarchies.some(
    ({ version, controllers }) => version === 1 && controllers.includes('cpuset'),
  );
}

/** Whether `cpu` is cgroup v1's, which refuses a child's cap above its parent's. */
export function comparesCaps({ hierarchies }: CpuMachine): boolean {
  return hierarchies.some(
    ({ version, controllers }) => version === 1 && controllers.includes('cpu'),
  );
}
