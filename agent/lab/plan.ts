import type { Inventory } from '../api/inventory.ts';
import type { LabDocument } from '../api/document.ts';
import type { PlanStep, Warning } from '../api/plan.ts';
import type { Failure } from '../api/result.ts';
import type { Operation } from './operation.ts';

export interface PlanInput {
  readonly lab: string;
  /** What is wanted; null takes the lab down. */
  readonly desired: LabDocument | null;
  /** The document in force, null when there is none. */
  readonly base: LabDocument | null;
  readonly inventory: Inventory;
}

export interface LabPlan {
  readonly operations: readonly Operation[];
  /** One for each operation, in the same order. */
  readonly steps: readonly PlanStep[];
  readonly warnings: readonly Warning[];
  /** Not empty: nothing may be applied, and there are no operations. */
  readonly refusals: readonly Failure[];
}

export function planLab(input: PlanInput): LabPlan {
  throw new Error(`not yet: ${input.lab}`);
}
