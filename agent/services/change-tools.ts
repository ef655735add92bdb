/** What everything works with that changes a lab in the kernel. */
import type { Result } from '../api/result.ts';
import type { Recovered } from '../apply/recovery.ts';
import type { TransactionRunner } from '../apply/transaction.ts';
import type { CpuBindings } from './cpu-bindings.ts';
import type { DriftWatch } from './lab-drift.ts';
import type { LabServiceOptions } from './lab-options.ts';
import type { LabPlanner } from './lab-planner.ts';
import type { LabStates } from './lab-states.ts';
import type { PendingChange } from './pending-change.ts';

export interface ChangeTools {
  readonly options: LabServiceOptions;
  readonly runner: TransactionRunner;
  readonly states: LabStates;
  readonly planner: LabPlanner;
  readonly pending: PendingChange;
  readonly drift: DriftWatch;
  readonly bindings: CpuBindings;
  /** As `recoverRealm`; null when there is nothing to recover from. */
  readonly recover: (decided: boolean) => Promise<Result<Recovered | null>>;
}
