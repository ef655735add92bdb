/**
 * One change of a lab from its journal to its commit: journal → execute → verify → commit, or roll-back. One at a
 * time in a realm.
 */
import { randomUUID } from 'node:crypto';
import type { LabRecord, TransactionProgress } from '../api/lab.ts';
import type { PlanGoal } from '../api/plan.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { Operation } from '../lab/operation.ts';
import { Deadline } from './deadline.ts';
import { noTolerance, type OperationExecutor } from './executor.ts';
import type { Faults } from './fault.ts';
import { beginJournal, type Journal, type OpenJournal } from './journal.ts';
import { delay, Pace } from './pace.ts';
import { fingerprint } from './fingerprint.ts';
import { takeBack, takesTime } from './take-back.ts';

export interface TransactionRequest {
  readonly plan: string;
  readonly lab: string;
  readonly goal: PlanGoal;
  readonly base: number | null;
  readonly document: string | null;
  readonly newRevision: number | null;
  readonly recordBefore: LabRecord | null;
  readonly recordAfter: LabRecord;
  readonly operations: readonly Operation[];
  readonly makeExecutor: () => OperationExecutor;
  /** What would still have to be done for the same goal, by a fresh look at the kernel. */
  readonly remaining: () => Promise<Result<readonly Operation[]>>;
  /** Seconds in which it must be confirmed; null when it need not be. */
  readonly confirmWithin: number | null;
  readonly signal: AbortSignal;
  readonly report: (progress: TransactionProgress) => void;
}

export interface TransactionTools {
  readonly stateDirectory: string;
  readonly incarnation: string;
  readonly faults: Faults;
  /** Writes the revision and the record that a journal leads to; `commit.ts`. */
  readonly commit: (entry: Journal, faults: Faults) => Result<void>;
}

/** The kernel finishes some things after it has said yes: the end of a namespace, a port's state. */
const settleMilliseconds = 3000;
const settleStep = 20;

export class TransactionRunner {
  private readonly tools: TransactionTools;
  private lab: string | null = null;
  private current: Promise<void> = Promise.resolve();

  constructor(tools: TransactionTools) {
    this.tools = tools;
  }

  /** Lab of the transaction that runs now. */
  get running(): string | null {
    return this.lab;
  }

  /** Why a transaction would be refused now; null when it would not. */
  get busy(): Failure | null {
    return this.lab === null ? null : busy(this.lab);
  }

  /**
   * Runs `action` as the one that may change the realm. Fails with 'busy' when there is another.
   */
  async exclusively<T>(lab: string, action: () => Promise<Result<T>>): Promise<Result<T>> {
    if (this.lab !== null) return fail(busy(this.lab));
    this.lab = lab;
    const running = action();
    this.current = running.then(ignore, ignore);
    try {
      return await running;
    } finally {
      this.lab = null;
    }
  }

  /** Resolves when what runs now has ended. */
  idle(): Promise<void> {
    return this.current;
  }

  /**
   * To be called within `exclusively`. Succeeds when the goal is reached and recorded, with null, or when it is reached
   * and awaits its confirmation: `recover` comes to its end then, once the deadline is decided. All failures but
   * 'rollback-failed' mean that everything is as it was before.
   */
  async run(request: TransactionRequest): Promise<Result<Journal | null>> {
    const { faults, stateDirectory } = this.tools;
    const { operations } = request;
    const report = (phase: TransactionProgress['phase'], done: number): void => {
      this.report(request, phase, done, null);
    };
    report('journal', 0);
    faults.dieAt('kill-before-journal');
    const journal = beginJournal(stateDirectory, this.entryOf(request));
    if (!journal.ok) return journal;
    faults.dieAt('kill-after-journal');
    const deadline = await this.arm(request, journal.value);
    if (!deadline.ok) {
      const closed = journal.value.close();
      return closed.ok ? deadline : closed;
    }
    const executor = request.makeExecutor();
    try {
      const executed = await this.execute(request, journal.value, executor);
      if (executed !== null) {
        return await this.rollBack(request, journal.value, executor, executed, deadline.value);
      }
      const verified = await this.verify(request, journal.value);
      const failure = verified ?? this.await(request, journal.value, deadline.value);
      if (failure !== null) {
        const last = operations.length - 1;
        const stop = { failure, operation: null, last, uncertain: false };
        return await this.rollBack(request, journal.value, executor, stop, deadline.value);
      }
    } finally {
      executor.close();
    }
    if (deadline.value !== null) {
      journal.value.release();
      return succeed(journal.value.entry);
    }
    faults.dieAt('kill-before-commit');
    report('commit', operations.length);
    journal.value.mark('commit', operations.length);
    const committed = this.tools.commit(journal.value.entry, faults);
    // The kernel is as asked; only files are not. The journal stays, and the next start finishes them.
    if (!committed.ok) {
      journal.value.release();
      return committed;
    }
    faults.dieAt('kill-after-commit');
    const closed = journal.value.close();
    return closed.ok ? succeed(null) : closed;
  }

  /** Null when no deadline is asked for. */
  private async arm(
    request: TransactionRequest,
    { entry }: OpenJournal,
  ): Promise<Result<Deadline | null>> {
    if (request.confirmWithin === null) return succeed(null);
    const deadline = new Deadline(this.tools.stateDirectory, entry.id);
    const armed = await deadline.arm(request.lab, request.confirmWithin, request.operations);
    this.tools.faults.dieAt('kill-after-arm');
    return armed.ok ? succeed(deadline) : armed;
  }

  /** Everything is in place: from now on the deadline runs. A failure when it could not begin. */
  private await(
    request: TransactionRequest,
    journal: OpenJournal,
    deadline: Deadline | null,
  ): Failure | null {
    if (deadline === null || request.confirmWithin === null) return null;
    this.tools.faults.dieAt('kill-before-awaiting');
    journal.mark('awaiting', request.operations.length);
    const begun = deadline.begin(request.confirmWithin);
    if (!begun.ok) return begun.failure;
    // It took so long that the watchdog has given up on it.
    return deadline.verdict() === 'pending' ? null : notConfirmed(request.lab);
  }

  private entryOf(request: TransactionRequest): Journal {
    return {
      version: 1,
      id: randomUUID(),
      plan: request.plan,
      lab: request.lab,
      incarnation: this.tools.incarnation,
      startedAt: new Date().toISOString(),
      goal: request.goal,
      base: request.base,
      document: request.document,
      newRevision: request.newRevision,
      recordBefore: request.recordBefore,
      recordAfter: request.recordAfter,
      operations: [...request.operations],
      confirmWithin: request.confirmWithin,
    };
  }

  private async execute(
    request: TransactionRequest,
    journal: OpenJournal,
    executor: OperationExecutor,
  ): Promise<Stop | null> {
    const { faults } = this.tools;
    const pace = new Pace();
    const { operations } = request;
    for (let first = 0; first < operations.length;) {
      const next = first + executor.groupAt(operations, first);
      if (request.signal.aborted) {
        const last = first - 1;
        return { failure: cancelled(request.lab), operation: null, last, uncertain: false };
      }
      const group = operations.slice(first, next);
      const indexes = group.map((_, place) => first + place);
      for (const operation of group) if (takesTime(operation)) await executor.prepare(operation);
      journal.mark('execute', next - 1);
      for (const index of indexes) faults.dieAt('kill-before', index);
      const injected = firstFailure(indexes, (index) => faults.failureAt('fail-at', index));
      const failed =
        injected === null
          ? await executor.execute(group, noTolerance, () => {
              for (const index of indexes) faults.dieAt('kill-mid', index);
              return firstFailure(indexes, (index) => faults.failureAt('fail-mid', index));
            })
          : { failure: injected, begun: false };
      if (failed !== null) {
        return {
          failure: failed.failure,
          operation: failed.operation === undefined ? first : first + failed.operation,
          last: failed.begun ? next - 1 : first - 1,
          uncertain: failed.begun,
        };
      }
      for (const operation of group) if (takesTime(operation)) await executor.conclude(operation);
      for (const index of indexes) faults.dieAt('kill-after', index);
      if (pace.due) {
        if (pace.mayReport()) this.report(request, 'execute', next, null);
        await pace.rest();
      }
      first = next;
    }
    this.report(request, 'execute', request.operations.length, null);
    return null;
  }

  /** Null when the kernel shows what was asked for. */
  private async verify(request: TransactionRequest, journal: OpenJournal): Promise<Failure | null> {
    const { faults } = this.tools;
    const total = request.operations.length;
    this.report(request, 'verify', total, null);
    journal.mark('verify', total);
    faults.dieAt('kill-before-verify');
    const injected = faults.failureAt('fail-verify');
    if (injected !== null) return injected;
    const settled = await settle(request, (remaining) => remaining.length === 0);
    if (!settled.ok) return settled.failure;
    if (request.signal.aborted) return cancelled(request.lab);
    return settled.value.length > 0 ? unverified(request.lab, settled.value) : null;
  }

  private async rollBack(
    request: TransactionRequest,
    journal: OpenJournal,
    executor: OperationExecutor,
    stop: Stop,
    deadline: Deadline | null,
  ): Promise<Result<never>> {
    const report = (left: number): void => {
      this.report(request, 'roll-back', left, stop.operation);
    };
    report(stop.last + 1);
    const before = fingerprint(request.operations);
    const isTaken = await yieldTo(deadline, async () => {
      const remaining = await request.remaining();
      return remaining.ok && fingerprint(remaining.value) === before;
    });
    const taken = isTaken
      ? { failures: [] }
      : await takeBack({
          journal,
          executor,
          faults: this.tools.faults,
          from: stop.last,
          uncertain: (index) => stop.uncertain && index === stop.last,
          report,
        });
    const settled = await settle(
      { remaining: request.remaining, signal: null },
      (remaining) => fingerprint(remaining) === before,
    );
    const left: Failure[] = [...taken.failures];
    if (!settled.ok) left.push(settled.failure);
    else if (fingerprint(settled.value) !== before) {
      left.push(...difference(request.operations, settled.value));
    }
    report(0);
    deadline?.conclude();
    if (left.length > 0) {
      // The journal stays open: nothing else may happen here until somebody has looked.
      journal.release();
      return fail(rollbackFailed(request.lab, stop.failure, left));
    }
    const closed = journal.close();
    if (!closed.ok) return closed;
    deadline?.clear();
    return fail(rolledBack(request, stop));
  }

  private report(
    request: TransactionRequest,
    phase: TransactionProgress['phase'],
    done: number,
    failedStep: number | null,
  ): void {
    const total = request.operations.length;
    request.report({ lab: request.lab, plan: request.plan, phase, done, total, failedStep });
  }
}

function firstFailure(
  indexes: readonly number[],
  failureAt: (index: number) => Failure | null,
): Failure | null {
  for (const index of indexes) {
    const failure = failureAt(index);
    if (failure !== null) return failure;
  }
  return null;
}

function ignore(): void {
  // Whoever started it hears of its end.
}

/**
 * Decides that the change goes; where the watchdog has decided so, waits until that has taken it back, and gives whether
 * everything is as before.
 */
async function yieldTo(
  deadline: Deadline | null,
  isAsBefore: () => Promise<boolean>,
): Promise<boolean> {
  if (deadline === null) return false;
  const claimed = deadline.claim('reverting');
  if (!claimed.ok || claimed.value) return false;
  await deadline.settled();
  return isAsBefore();
}

interface Stop {
  readonly failure: Failure;
  /** Operation that failed; null when it was none. */
  readonly operation: number | null;
  /** Last operation that took effect, if only in part. */
  readonly last: number;
  /** Whether the last one may be half-made. */
  readonly uncertain: boolean;
}

/** Looks until `enough` holds or the patience ends; gives what was seen last. */
async function settle(
  request: {
    readonly remaining: TransactionRequest['remaining'];
    readonly signal: AbortSignal | null;
  },
  enough: (remaining: readonly Operation[]) => boolean,
): Promise<Result<readonly Operation[]>> {
  const deadline = performance.now() + settleMilliseconds;
  for (let wait = settleStep; ; wait = Math.min(wait * 2, 320)) {
    const remaining = await request.remaining();
    if (!remaining.ok || enough(remaining.value)) return remaining;
    if (performance.now() >= deadline || request.signal?.aborted === true) return remaining;
    await delay(wait);
  }
}

function busy(lab: string): Failure {
  return {
    kind: 'busy',
    code: 'transaction-running',
    object: lab,
    reason: `A change of lab ${lab} is under way in this realm.`,
    next: 'Wait until it has ended, then try again.',
    values: { lab },
  };
}

function cancelled(lab: string): Failure {
  return {
    kind: 'cancelled',
    code: 'apply-cancelled',
    object: lab,
    reason: `The change of lab ${lab} was cancelled.`,
    next: 'Plan again when it is wanted.',
    values: { lab },
  };
}

export function notConfirmed(lab: string): Failure {
  return {
    kind: 'timeout',
    code: 'not-confirmed-in-time',
    object: lab,
    reason: `The change of lab ${lab} was not confirmed in time and is taken back.`,
    next: 'Apply again and confirm it.',
    values: { lab },
  };
}

/** Words for an operation in failures; the full description is the plan's. */
function wordsOf(operation: Operation): string {
  const { kind } = operation;
  const place = 'namespace' in operation ? (operation.namespace ?? 'realm') : '';
  switch (operation.kind) {
    case 'add-veth':
    case 'remove-veth':
      return `${kind} ${operation.ends.map((end) => `${end.namespace ?? 'realm'}:${end.name}`).join(' – ')}`;
    case 'add-address':
    case 'remove-address':
      return `${kind} ${operation.address} on ${place}:${operation.interface}`;
    case 'change-address':
      return `${kind} ${operation.before} to ${operation.after} on ${place}:${operation.interface}`;
    case 'add-route':
    case 'remove-route':
      return `${kind} ${operation.route.to} in ${place}`;
    case 'add-namespace':
    case 'remove-namespace':
      return `${kind} ${operation.name}`;
    case 'change-forwarding':
      return `${kind} ${operation.family} in ${place}`;
    case 'change-rules':
      return `${kind} in ${place}`;
    case 'start-engine':
    case 'stop-engine':
      return `${kind} of ${place}`;
    case 'start-cpu-holder':
    case 'stop-cpu-holder':
      return `${kind} ${operation.unit}`;
    case 'add-cpu-group':
    case 'remove-cpu-group':
    case 'open-cpu-group':
    case 'close-cpu-group':
    case 'change-cpu-group':
      return `${kind} ${operation.group === '' ? '/' : operation.group}`;
    case 'attach-uplink':
    case 'detach-uplink':
      return `${kind} ${place}:${operation.interface} at ${operation.bridge}`;
    default:
      return `${kind} ${place}:${operation.name}`;
  }
}

/** At most this many causes are listed; a lab may have thousands. */
const listedCauses = 50;

function unverified(lab: string, remaining: readonly Operation[]): Failure {
  return {
    kind: 'verification',
    code: 'not-as-asked',
    object: lab,
    reason: `After the change the kernel still differs in ${remaining.length} steps from what lab ${lab} asks for.`,
    next: 'Look at the steps that remain; something else may be changing the same objects.',
    values: { lab, steps: remaining.length },
    causes: remaining.slice(0, listedCauses).map((operation) => ({
      kind: 'verification',
      code: 'step-remains',
      object: wordsOf(operation).slice(0, 512),
      reason: 'The kernel does not show this.',
      next: 'Look at the object with ip(8).',
    })),
  };
}

export function difference(
  before: readonly Operation[],
  after: readonly Operation[],
): readonly Failure[] {
  const key = (operation: Operation): string => fingerprint([operation]);
  const earlier = new Set(before.map(key));
  const later = new Set(after.map(key));
  const changed = [
    ...after.filter((operation) => !earlier.has(key(operation))),
    ...before.filter((operation) => !later.has(key(operation))),
  ];
  return changed.slice(0, listedCauses).map((operation) => ({
    kind: 'verification',
    code: 'not-as-before',
    object: wordsOf(operation).slice(0, 512),
    reason: 'This is not as it was before the change.',
    next: 'Look at the object with ip(8).',
  }));
}

export function rollbackFailed(
  lab: string,
  cause: Failure | null,
  left: readonly Failure[],
): Failure {
  return {
    kind: 'rollback-failed',
    code: 'rollback-failed',
    object: lab,
    reason:
      `The change of lab ${lab} could not be taken back in full: ${left.length} objects are neither as before nor as asked.` +
      (cause === null ? '' : ` It had failed because: ${cause.reason}`).slice(0, 1000),
    next: 'Look at the list, put the objects right by hand or end the realm; the next change tries to recover first.',
    values: { lab, left: left.length },
    causes: [...(cause === null ? [] : [cause]), ...left].slice(0, listedCauses),
  };
}

function rolledBack(request: TransactionRequest, stop: Stop): Failure {
  const { failure } = stop;
  if (failure.kind === 'cancelled') return failure;
  const operation = stop.operation === null ? undefined : request.operations[stop.operation];
  const step = operation === undefined ? 'The change' : `Step ${wordsOf(operation)}`;
  return {
    kind: 'rolled-back',
    code: 'rolled-back',
    object: operation === undefined ? request.lab : failure.object,
    reason: `${step} failed: ${failure.reason} Everything is as it was before.`.slice(0, 2000),
    next: failure.next,
    values: { lab: request.lab, step: stop.operation ?? -1 },
    causes: [failure],
  };
}
