/** The change that is in the kernel and waits to be confirmed; how it ends is in `confirmations.ts`. */
import type { ApplyOutcome, LabStatus } from '../api/lab.ts';
import type { Failure } from '../api/result.ts';
import type { Deadline } from '../apply/deadline.ts';
import type { Journal } from '../apply/journal.ts';

export interface Pending {
  readonly entry: Journal;
  readonly deadline: Deadline;
  readonly timer: NodeJS.Timeout;
}

export class PendingChange {
  /** Null when none waits. */
  current: Pending | null = null;

  /** As a lab’s status tells it. */
  of(lab: string): LabStatus['awaiting'] {
    const pending = this.current;
    if (pending?.entry.lab !== lab) return null;
    return { ...awaitingOf(pending.deadline), within: pending.entry.confirmWithin ?? 0 };
  }
}

export function awaitingOf(deadline: Deadline): NonNullable<ApplyOutcome['awaiting']> {
  return { token: deadline.token, endsInMilliseconds: Math.round(deadline.remaining()) };
}

export function awaitingConfirmation(lab: string): Failure {
  return {
    kind: 'busy',
    code: 'awaiting-confirmation',
    object: lab,
    reason: `A change of lab ${lab} waits to be confirmed; nothing else changes in this realm meanwhile.`,
    next: 'Confirm it or take it back first.',
    values: { lab },
  };
}
