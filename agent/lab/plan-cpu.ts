/** The part of a plan that is CPU groups: their own operations around those of the network, and who runs in which. */
import type { LabDocument } from '../api/document.ts';
import type { Inventory } from '../api/inventory.ts';
import type { Failure } from '../api/result.ts';
import { differenceOf, firstCpus, formatCpuList, isSubset } from '../cpu/cpu-list.ts';
import { cpusForItself, type GroupPath, parentPath, walkGroups } from '../cpu/group.ts';
import { limitsOf } from '../cpu/limits.ts';
import { comparesCaps, type CpuMachine, paperMachine } from '../cpu/machine.ts';
import type { CpuOperation } from '../cpu/operation.ts';
import { planSplit, type SplitPlan } from '../cpu/plan-split.ts';
import { ratioOf } from '../cpu/quota.ts';
import type { CpuCommandContext } from './command-cpu.ts';
import { groupLabel, groupOfProcess, splitOf } from './cpu-split.ts';
import type { NetworkProcess } from './network.ts';
import type { Operation } from './operation.ts';
import { failureOf } from './sentences.ts';

/** What a realm has for CPU groups. */
export type CpuRealm =
  | {
      readonly kind: 'offered';
      readonly machine: CpuMachine;
      /** Why nothing can be written there now; null when it can. */
      readonly lack?: Failure | null;
      /** The group of the lab that a process is in; null is none. */
      readonly groupOf: (pid: number) => GroupPath | null;
    }
  | {
      readonly kind: 'lacking';
      /** Why there can be none. */
      readonly failure: Failure;
    };

export interface CpuPlanInput {
  readonly lab: string;
  readonly desired: LabDocument | null;
  readonly base: LabDocument | null;
  readonly inventory: Inventory;
  /** Missing where nobody has looked: the plan is then for a machine on paper. */
  readonly cpu?: CpuRealm | undefined;
}

export interface CpuPlan {
  /** The operations of the network with those on groups around them. */
  readonly weave: (operations: readonly Operation[]) => readonly Operation[];
  readonly refusals: readonly Failure[];
  readonly context: Pick<CpuCommandContext, 'cpu'>;
}

const nothing: CpuPlan = { weave: (operations) => operations, refusals: [], context: {} };

/** `processes` are those that the document asks for. */
export function planCpu(input: CpuPlanInput, processes: readonly NetworkProcess[]): CpuPlan {
  const { lab, desired, base, cpu } = input;
  const wanted = desired?.cpu !== undefined;
  if (cpu?.kind === 'lacking') {
    return wanted ? { ...nothing, refusals: [cpu.failure] } : nothing;
  }
  const machine = cpu?.machine ?? paperMachine(firstCpus(desired?.cpu?.cores ?? 1));
  const { holder } = machine;
  const hasHolder = holder?.state === 'held' || holder?.state === 'left';
  if (!wanted && machine.groups.size === 0 && !hasHolder) return nothing;
  const split = desired === null ? null : splitOf(desired, machine.cpus);
  const refusals = desired === null ? [] : refusalsOf(desired, machine);
  if (wanted && holder?.state === 'foreign') {
    refusals.push(failureOf('refused', 'cpu-holder-foreign', holder.unit, { unit: holder.unit }));
  }
  if (refusals.length > 0) return { ...nothing, refusals };
  const { first, last } = aroundHolder(planSplit(split, machine), holder, wanted);
  const lack = cpu?.lack ?? null;
  if (lack !== null && first.length + last.length > 0) return { ...nothing, refusals: [lack] };
  const moves = movesOf(input, processes);
  const opened = new Set(
    split === null
      ? []
      : [...walkGroups(split.root)].flatMap(([path, { groups }]) =>
          path === '' || groups.length > 0 ? [path] : [],
        ),
  );
  return {
    refusals,
    context: { cpu: { lab, machine, isOpen: (group) => opened.has(group) } },
    weave: (operations) => {
      const others = operations.map((operation) => withGroup(operation, desired, base));
      const restarted = new Set(
        others.flatMap((one) => (one.kind === 'start-process' ? [keyOf(one)] : [])),
      );
      const moved = moves.filter((one) => !restarted.has(keyOf(one)));
      return [...first, ...moved, ...others, ...last];
    },
  };
}

/** What holds the groups' place is there before them and goes after them. */
function aroundHolder(
  { first, last }: SplitPlan,
  holder: CpuMachine['holder'],
  wanted: boolean,
): Readonly<Record<keyof SplitPlan, readonly CpuOperation[]>> {
  if (holder === undefined || holder.state === 'foreign') return { first, last };
  const { unit, state } = holder;
  if (wanted) {
    const starts = state !== 'held';
    return { first: starts ? [{ kind: 'start-cpu-holder', unit }, ...first] : first, last };
  }
  const stops = state !== 'absent';
  return { first, last: stops ? [...last, { kind: 'stop-cpu-holder', unit }] : last };
}

type ProcessName = Pick<NetworkProcess, 'namespace' | 'name'>;

function keyOf({ namespace, name }: ProcessName): string {
  return `${namespace ?? ''}/${name}`;
}

/** A process that starts does so in its group; one that stops is started there again on the way back. */
function withGroup(
  operation: Operation,
  desired: LabDocument | null,
  base: LabDocument | null,
): Operation {
  if (operation.kind !== 'start-process' && operation.kind !== 'stop-process') return operation;
  const document = operation.kind === 'start-process' ? desired : base;
  const group = document === null ? null : groupOfProcess(document, operation);
  return group === null ? operation : { ...operation, group };
}

/** Processes that go on running and are not where they are to be. */
function movesOf(
  { lab, desired, inventory, cpu }: CpuPlanInput,
  processes: readonly NetworkProcess[],
): readonly Extract<CpuOperation, { readonly kind: 'move-process' }>[] {
  if (desired === null || cpu?.kind !== 'offered') return [];
  return processes.flatMap(({ namespace, name }) => {
    const view = inventory.namespaces.find(({ names, root }) =>
      namespace === null ? root : names.includes(namespace),
    );
    const run = view?.runs.find((one) => one.lab === lab && one.name === name);
    if (run === undefined) return [];
    const before = cpu.groupOf(run.pid);
    const after = groupOfProcess(desired, { namespace, name });
    return before === after ? [] : [{ kind: 'move-process', namespace, name, before, after }];
  });
}

/** Why the split cannot be on this machine. */
function refusalsOf(document: LabDocument, machine: CpuMachine): Failure[] {
  const split = splitOf(document, machine.cpus);
  if (split === null) return [];
  const refusals: Failure[] = [];
  const cores = document.cpu?.cores ?? machine.cpus.length;
  const has = machine.cpus.length;
  if (cores > has) {
    const values = { cores, has };
    return [failureOf('refused', 'cpu-too-few-cores', document.name, values)];
  }
  const controllers = machine.hierarchies.flatMap((one) => one.controllers);
  const cpuset = machine.hierarchies.find((one) => one.controllers.includes('cpuset'));
  const taken = cpusForItself(split.root);
  if (taken !== null && isSubset(machine.cpus, taken)) {
    const values = { pins: formatCpuList(machine.cpus) };
    refusals.push(failureOf('refused', 'cpu-partition-takes-all', document.name, values));
  }
  const ratios = new Map<GroupPath, number>();
  for (const [path, group] of walkGroups(split.root)) {
    const label = groupLabel(path);
    const lacks = (what: string): void => {
      refusals.push(failureOf('unsupported', 'cpu-machine-lacks', label, { group: label, what }));
    };
    const [missing] = differenceOf(group.pins ?? [], machine.cpus);
    if (group.pins !== null && !controllers.includes('cpuset'))
      lacks('pins (the controller cpuset)');
    else if (missing !== undefined) {
      const values = { group: label, cpu: missing };
      refusals.push(failureOf('refused', 'cpu-pins-not-here', label, values));
    }
    if (group.burst > 0 && !machine.features.burst) lacks('bursts (Linux 5.14 has them)');
    if (group.idle && !machine.features.idle) lacks('idle groups (Linux 5.15 has them)');
    if (group.exclusivity !== 'shared' && cpuset?.version !== 2) {
      lacks('partitions (cgroup v2 has them)');
    } else if (group.exclusivity !== 'shared' && !machine.features.partitions) {
      const values = { group: label, base: cpuset?.base ?? '' };
      refusals.push(failureOf('unsupported', 'cpu-no-partitions', label, values));
    }
    if (!comparesCaps(machine)) continue;
    const parent = parentPath(path);
    const around = parent === null ? Infinity : (ratios.get(parent) ?? Infinity);
    const own = ratioOf(limitsOf(group));
    if (group.cap !== null && own > around) {
      const values = { group: label, cap: group.cap, parent: groupLabel(parent ?? '') };
      refusals.push(failureOf('refused', 'cpu-cap-above-parent', label, values));
    }
    ratios.set(path, Math.min(own, around));
  }
  return refusals;
}
