/** Operations on CPU groups as a person reads them. */
import type { PlanStep, StepChange } from '../api/plan.ts';
import { assertNever } from '../api/result.ts';
import { initialLimits, type SomeCpuLimits } from '../cpu/limits.ts';
import type { CpuOperation } from '../cpu/operation.ts';
import { coresOf } from '../cpu/quota.ts';
import { groupLabel } from './cpu-split.ts';

type Description = Omit<PlanStep, 'id' | 'commands'>;

export function describeCpu(operation: CpuOperation): Description {
  switch (operation.kind) {
    case 'start-cpu-holder':
    case 'stop-cpu-holder':
      return {
        verb: operation.kind === 'start-cpu-holder' ? 'add' : 'remove',
        object: 'cpu-holder',
        label: operation.unit,
        targets: [],
        changes: [],
      };
    case 'add-cpu-group':
    case 'remove-cpu-group': {
      const adds = operation.kind === 'add-cpu-group';
      return {
        verb: adds ? 'add' : 'remove',
        object: 'cpu-group',
        label: groupLabel(operation.group),
        targets: [],
        changes: adds ? changesOf(initialLimits, operation.limits) : [],
      };
    }
    case 'open-cpu-group':
    case 'close-cpu-group': {
      const [before, after] = operation.kind === 'open-cpu-group' ? ['no', 'yes'] : ['yes', 'no'];
      return {
        verb: 'change',
        object: 'cpu-group',
        label: groupLabel(operation.group),
        targets: [],
        changes: [{ field: 'holds-groups', before, after }],
      };
    }
    case 'change-cpu-group':
      return {
        verb: 'change',
        object: 'cpu-group',
        label: groupLabel(operation.group),
        targets: [],
        changes: changesOf(operation.before, operation.after),
      };
    case 'move-process': {
      const { namespace, name, before, after } = operation;
      const word = (group: string | null): string | null =>
        group === null ? null : groupLabel(group);
      return {
        verb: 'change',
        object: 'process',
        label: namespace === null ? name : `${name} in ${namespace}`,
        targets: namespace === null ? [] : [{ node: namespace, interface: null }],
        changes: [{ field: 'cpu-group', before: word(before), after: word(after) }],
      };
    }
    default:
      return assertNever(operation);
  }
}

function changesOf(before: SomeCpuLimits, after: SomeCpuLimits): StepChange[] {
  const changes: StepChange[] = [];
  const add = (field: StepChange['field'], one: string | null, other: string | null): void => {
    if (one !== other) changes.push({ field, before: one, after: other });
  };
  if (after.quota !== undefined && before.quota !== undefined) {
    add('cap', capWords(before), capWords(after));
  }
  if (after.burst !== undefined) add('burst', burstWords(before), burstWords(after));
  if (after.weight !== undefined) add('weight', String(before.weight), String(after.weight));
  if (after.idle !== undefined) add('idle', onOff(before.idle), onOff(after.idle));
  if (after.cpus !== undefined) add('pins', before.cpus || null, after.cpus || null);
  if (after.partition !== undefined) {
    add('partition', before.partition ?? null, after.partition);
  }
  return changes;
}

/** `8 cores`, and the period where it is another than usual; null without a cap. */
export function capWords({ quota, period }: SomeCpuLimits): string | null {
  if (quota === undefined || quota === null) return null;
  const every = period ?? initialLimits.period;
  const cores = Number((coresOf({ quota, period: every }) ?? 0).toFixed(5));
  const words = `${cores} ${cores === 1 ? 'core' : 'cores'}`;
  return every === initialLimits.period ? words : `${words} over ${every / 1000} ms`;
}

function burstWords({ burst }: SomeCpuLimits): string | null {
  return burst === undefined || burst === 0 ? null : `${burst / 1000} ms`;
}

function onOff(on: boolean | undefined): string {
  return on === true ? 'on' : 'off';
}
