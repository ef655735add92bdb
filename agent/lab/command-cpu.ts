/** Operations on CPU groups as the writes to control group files that do the same. */
import { assertNever } from '../api/result.ts';
import { type FileWrite, writesFor } from '../cpu/files.ts';
import { parentPath } from '../cpu/group.ts';
import { wordsToHold, wordsToLetGo } from '../cpu/holder.ts';
import { initialLimits, withChange } from '../cpu/limits.ts';
import {
  type CpuHierarchy,
  type CpuMachine,
  directoryOf,
  hasOwnPlace,
  ownProcesses,
  paperMachine,
  placeOf,
} from '../cpu/machine.ts';
import type { CpuOperation } from '../cpu/operation.ts';

export interface CpuCommandContext {
  /** Where the lab's groups are; without it they are where cgroup v2 usually is. */
  readonly cpu?: {
    readonly lab: string;
    readonly machine: CpuMachine;
    /** Whether groups are in a group when an operation comes to it. */
    readonly isOpen: (group: string) => boolean;
  };
}

const nowhere = { lab: 'lab', machine: paperMachine([0]), isOpen: (): boolean => false };

/** `word` quotes for sh. */
export function commandsOfCpu(
  operation: CpuOperation,
  { cpu = nowhere }: CpuCommandContext,
  word: (text: string) => string,
): readonly string[] {
  const { hierarchies } = cpu.machine;
  const write = (directory: string, { file, text }: FileWrite): string => {
    const to = word(`${directory}/${file}`);
    // The kernel takes every partition, and only the file tells whether it has made one.
    const isKept = file === 'cpuset.cpus.partition' && text !== 'member';
    return `echo ${word(text)} > ${to}${isKept ? ` && grep -qx ${word(text)} ${to}` : ''}`;
  };
  const drain = (from: string, to: string): string =>
    `for pid in $(cat ${word(`${from}/cgroup.procs`)}); do echo "$pid" > ${word(`${to}/cgroup.procs`)}; done`;
  const hand = ({ controllers }: CpuHierarchy, directory: string, sign: string): string =>
    write(directory, {
      file: 'cgroup.subtree_control',
      text: controllers.map((one) => `${sign}${one}`).join(' '),
    });
  // A unit that holds the groups goes with them, and has no processes beside them.
  const outside = ({ base }: CpuHierarchy): string =>
    cpu.machine.holder === undefined ? base : parentOf(base);
  const each = (say: (one: CpuHierarchy, directory: string) => readonly string[]): string[] =>
    'group' in operation
      ? hierarchies.flatMap((one) => say(one, directoryOf(one, cpu.lab, operation.group)))
      : [];
  switch (operation.kind) {
    case 'start-cpu-holder': {
      const [hierarchy] = hierarchies;
      if (hierarchy === undefined) return [];
      const own = `${hierarchy.base}/${ownProcesses}/cgroup.procs`;
      return [
        wordsToHold(cpu.lab, hierarchy).map(word).join(' '),
        // It says that it has started before it has gone to its own group.
        `until [ -n "$(cat ${word(own)} 2>/dev/null)" ]; do sleep 0.1; done`,
      ];
    }
    case 'stop-cpu-holder':
      return [wordsToLetGo(operation.unit).map(word).join(' ')];
    case 'add-cpu-group':
      return each((one, directory) => [
        ...(operation.group === '' && one.version === 2 ? [hand(one, one.base, '+')] : []),
        `mkdir ${word(directory)}`,
        ...(one.version === 1 && one.controllers.includes('cpuset')
          ? [
              `cat ${word(`${parentOf(directory)}/cpuset.mems`)} > ${word(`${directory}/cpuset.mems`)}`,
            ]
          : []),
        ...writesFor(one, initialLimits, operation.limits).map((text) => write(directory, text)),
      ]);
    case 'remove-cpu-group': {
      const parent = parentPath(operation.group);
      return each((one, directory) => [
        drain(directory, parent === null ? outside(one) : placeOf(one, cpu.lab, parent, true)),
        // Until the kernel lets go of it, some time after its directory, its cap binds its parent's.
        ...(one.version === 1 && one.controllers.includes('cpu') && operation.limits.quota !== null
          ? [write(directory, { file: 'cpu.cfs_quota_us', text: '-1' })]
          : []),
        `rmdir ${word(directory)}`,
      ]);
    }
    case 'open-cpu-group':
      return each((one, directory) => {
        if (!hasOwnPlace(one)) return [];
        const place = `${directory}/${ownProcesses}`;
        return [
          `mkdir ${word(place)}`,
          drain(directory, place),
          ...(one.version === 2 ? [hand(one, directory, '+')] : []),
        ];
      });
    case 'close-cpu-group':
      return each((one, directory) => {
        if (!hasOwnPlace(one)) return [];
        const place = `${directory}/${ownProcesses}`;
        return [
          ...(one.version === 2 ? [hand(one, directory, '-')] : []),
          drain(place, directory),
          `rmdir ${word(place)}`,
        ];
      });
    case 'change-cpu-group': {
      const before = withChange(initialLimits, operation.before);
      return each((one, directory) =>
        writesFor(one, before, operation.after).map((text) => write(directory, text)),
      );
    }
    case 'move-process': {
      const { namespace, name, after } = operation;
      const mark = `NETLOOM_RUN=${cpu.lab}/${namespace ?? ''}/${name}`;
      return hierarchies.map((one) => {
        const place =
          after === null ? outside(one) : placeOf(one, cpu.lab, after, cpu.isOpen(after));
        return (
          `for pid in $(grep -lz ${word(`^${mark}$`)} /proc/[0-9]*/environ | cut -d / -f 3); do ` +
          `echo "$pid" > ${word(`${place}/cgroup.procs`)}; done`
        );
      });
    }
    default:
      return assertNever(operation);
  }
}

/** What a shell says to go to a group itself, before it starts a process there. */
export function enterGroup(
  group: string,
  { cpu = nowhere }: CpuCommandContext,
  word: (text: string) => string,
): readonly string[] {
  return cpu.machine.hierarchies.map((one) => {
    const place = placeOf(one, cpu.lab, group, cpu.isOpen(group));
    return `echo $$ > ${word(`${place}/cgroup.procs`)}`;
  });
}

function parentOf(directory: string): string {
  return directory.slice(0, directory.lastIndexOf('/'));
}
