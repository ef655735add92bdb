/** What the kernel took and did not do, which is read back, and what its errors mean here: in a sentence. */
import type { Failure } from '../api/result.ts';
import type { GroupPath } from '../cpu/group.ts';

export function notAsWritten(file: string, wanted: string, shown: string): Failure {
  return {
    kind: 'verification',
    code: 'cpu-not-as-written',
    object: file.slice(0, 512),
    reason: `The kernel took ${JSON.stringify(wanted)} and shows ${JSON.stringify(shown)}.`,
    next: 'Look at the group around it, and at what else changes this file.',
    values: { wanted, shown },
  };
}

/** The kernel takes every partition and says in the file what became of it (perr_strings of kernel/cgroup/cpuset.c). */
export function partitionRefused(group: GroupPath, cpus: string, shown: string): Failure {
  const label = group === '' ? '/' : group;
  const said = /\((.*)\)/.exec(shown)?.[1] ?? shown;
  return {
    kind: 'verification',
    code: 'cpu-partition-refused',
    object: label,
    reason: `The kernel does not give ${label} the CPUs ${cpus} for itself; it says: ${said}.`,
    next: 'Pin it to CPUs that no other group of the machine is pinned to, and that leave others some; or remove `partition`.',
    values: { group: label, pins: cpus, said },
  };
}

/** Not the kernel's usual sense of EAGAIN (cgroup-v2.rst, cgroup.max.descendants and cgroup.max.depth). */
export function tooManyGroups(directory: string, cause: Failure): Failure {
  const object = directory.slice(0, 512);
  return {
    kind: 'refused',
    code: 'cpu-groups-limited',
    object,
    reason: `What is around ${object} allows no more control groups in it, or none so deep.`,
    next: 'Raise cgroup.max.descendants or cgroup.max.depth there, or ask for fewer groups.',
    values: { directory: object },
    causes: [cause],
  };
}
