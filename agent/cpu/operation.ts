/**
 * Operations on CPU groups: data, like those on the network. Groups are named by their paths in the lab's own tree; where
 * that is in which hierarchy, the machine says that they are carried out on.
 */
import { z } from 'zod';
import { assertNever } from '../api/result.ts';
import type { GroupPath } from './group.ts';
import {
  type CpuLimits,
  CpuLimitsSchema,
  type SomeCpuLimits,
  SomeCpuLimitsSchema,
} from './limits.ts';

/** Starts or stops the unit of systemd's that holds the place of the lab's groups: first of all, and last. */
export type CpuHolderOperation = {
  readonly kind: 'start-cpu-holder' | 'stop-cpu-holder';
  readonly unit: string;
};

export type CpuGroupOperation =
  | {
      /** Makes a group with its limits, in every hierarchy. */
      readonly kind: 'add-cpu-group';
      readonly group: GroupPath;
      readonly limits: CpuLimits;
    }
  | {
      /** Processes that are left in it go to its parent's own. */
      readonly kind: 'remove-cpu-group';
      readonly group: GroupPath;
      /** As they are when it goes. */
      readonly limits: CpuLimits;
    }
  | {
      /**
       * Readies a group for groups in it: its processes go to `_self` beside them, since a group of cgroup v2 with
       * controllers for its children has no processes itself; then the children get the controllers. And the way back.
       */
      readonly kind: 'open-cpu-group' | 'close-cpu-group';
      readonly group: GroupPath;
    }
  | {
      /** Every key of `after` is in `before`. */
      readonly kind: 'change-cpu-group';
      readonly group: GroupPath;
      readonly before: SomeCpuLimits;
      readonly after: SomeCpuLimits;
    }
  | {
      /** A process of the lab goes to another group, with all that it has started; null is none of the lab's. */
      readonly kind: 'move-process';
      readonly namespace: string | null;
      readonly name: string;
      readonly before: GroupPath | null;
      readonly after: GroupPath | null;
    };

export type CpuOperation = CpuHolderOperation | CpuGroupOperation;

export const cpuOperationSchemas = [
  z.strictObject({ kind: z.enum(['start-cpu-holder', 'stop-cpu-holder']), unit: z.string() }),
  z.strictObject({
    kind: z.enum(['add-cpu-group', 'remove-cpu-group']),
    group: z.string(),
    limits: CpuLimitsSchema,
  }),
  z.strictObject({ kind: z.enum(['open-cpu-group', 'close-cpu-group']), group: z.string() }),
  z.strictObject({
    kind: z.literal('change-cpu-group'),
    group: z.string(),
    before: SomeCpuLimitsSchema,
    after: SomeCpuLimitsSchema,
  }),
  z.strictObject({
    kind: z.literal('move-process'),
    namespace: z.string().nullable(),
    name: z.string(),
    before: z.string().nullable(),
    after: z.string().nullable(),
  }),
] as const;

/** The operation that takes one back. */
export function inverseOfCpu(operation: CpuOperation): CpuOperation {
  if (!isHolderOperation(operation)) return inverseOfGroup(operation);
  const starts = operation.kind === 'start-cpu-holder';
  return { ...operation, kind: starts ? 'stop-cpu-holder' : 'start-cpu-holder' };
}

export function inverseOfGroup(operation: CpuGroupOperation): CpuGroupOperation {
  switch (operation.kind) {
    case 'add-cpu-group':
      return { ...operation, kind: 'remove-cpu-group' };
    case 'remove-cpu-group':
      return { ...operation, kind: 'add-cpu-group' };
    case 'open-cpu-group':
      return { ...operation, kind: 'close-cpu-group' };
    case 'close-cpu-group':
      return { ...operation, kind: 'open-cpu-group' };
    case 'change-cpu-group':
      return { ...operation, before: operation.after, after: operation.before };
    case 'move-process':
      return { ...operation, before: operation.after, after: operation.before };
    default:
      return assertNever(operation);
  }
}

export function isHolderOperation(operation: {
  readonly kind: string;
}): operation is CpuHolderOperation {
  return operation.kind === 'start-cpu-holder' || operation.kind === 'stop-cpu-holder';
}
