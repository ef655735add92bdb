/** How a change that waits to be confirmed ends: by a person, or at its deadline. */
import type { ApplyOutcome, Recovery, TransactionProgress } from '../api/lab.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { Deadline } from '../apply/deadline.ts';
import { isUp } from '../apply/history.ts';
import type { Journal } from '../apply/journal.ts';
import { notConfirmed } from '../apply/transaction.ts';
import type { ChangeTools } from './change-tools.ts';
import type { LabDocuments } from './lab-documents.ts';
import type { Pending } from './pending-change.ts';

/** Milliseconds between two looks at a deadline: it counts while the machine sleeps, timers do not. */
const deadlineLook = 250;

export class Confirmations {
  private readonly tools: ChangeTools;
  private readonly documents: LabDocuments;
  private closed = false;

  constructor(tools: ChangeTools, documents: LabDocuments) {
    this.tools = tools;
    this.documents = documents;
  }

  /** Ends a change as a person wishes it to end, if it is the one that they mean. */
  async settle(
    lab: string,
    token: string,
    wish: 'confirmed' | 'reverting',
  ): Promise<Result<ApplyOutcome>> {
    const start = performance.now();
    const { readOnly } = this.tools.options;
    if (readOnly !== null) return fail(readOnly);
    const { busy } = this.tools.runner;
    if (busy !== null) return fail(busy);
    const pending = this.tools.pending.current;
    if (pending?.entry.lab !== lab) return fail(nothingAwaits(lab));
    if (pending.entry.id !== token) return fail(staleToken(lab));
    const { deadline, entry } = pending;
    const late = wish === 'confirmed' && deadline.remaining() <= 0;
    const settled = await this.tools.runner.exclusively(lab, async () => {
      const claimed = deadline.claim(late ? 'reverting' : wish);
      if (!claimed.ok) return claimed;
      return this.finishPending(pending, claimed.value);
    });
    this.announce(lab);
    if (!settled.ok) return settled;
    const { outcome, failure } = settled.value;
    if (failure !== null) return fail(failure);
    if (wish === 'confirmed' && outcome !== 'committed') return fail(confirmedTooLate(lab));
    const record = this.tools.states.byName.get(lab)?.record;
    return succeed({
      lab,
      up: record?.up === true && isUp(record, this.tools.options.incarnation),
      revision: record?.revision ?? 0,
      operations: entry.operations.length,
      milliseconds: performance.now() - start,
      realmEmpty: false,
      awaiting: null,
    });
  }

  /** To be called within `exclusively`, when it is decided. */
  private async finishPending(
    { entry, timer }: Pending,
    decided: boolean,
  ): Promise<Result<Recovery>> {
    clearInterval(timer);
    const recovered = await this.tools.recover(decided);
    this.tools.pending.current = null;
    this.tools.states.reload(entry.lab);
    this.tools.bindings.settle(entry.lab);
    if (!recovered.ok) return recovered;
    if (recovered.value !== null) return succeed(recovered.value.recovery);
    return fail(nothingAwaits(entry.lab));
  }

  /** Takes over a change that another agent has left waiting. */
  async resume(entry: Journal): Promise<Result<void>> {
    const deadline = new Deadline(this.tools.options.stateDirectory, entry.id);
    if (entry.document !== null) this.documents.read(entry.document, null);
    this.tools.states.byName.set(entry.lab, { record: entry.recordAfter, drift: null, checks: [] });
    this.wait(entry, deadline);
    return deadline.adopt();
  }

  /** From now on the change is the one that waits. */
  wait(entry: Journal, deadline: Deadline): void {
    const timer = setInterval(() => {
      if (this.tools.runner.running !== null || this.closed) return;
      if (deadline.remaining() > 0 && deadline.verdict() === 'pending') return;
      void this.expire();
    }, deadlineLook);
    timer.unref();
    this.tools.pending.current = { entry, deadline, timer };
  }

  /** Nobody has confirmed in time: takes the change back, or waits for the watchdog that does. */
  private async expire(): Promise<void> {
    const pending = this.tools.pending.current;
    if (pending === null) return;
    const { lab } = pending.entry;
    const settled = await this.tools.runner.exclusively(lab, async () => {
      const claimed = pending.deadline.claim('reverting');
      this.tools.options.publish({
        kind: 'transaction',
        progress: progressOfRollBack(pending.entry),
      });
      return this.finishPending(pending, claimed.ok && claimed.value);
    });
    const operations = pending.entry.operations.length;
    this.tools.options.onRecovery?.(
      settled.ok ? settled.value : { lab, outcome: 'failed', operations, failure: settled.failure },
    );
    this.announce(lab);
  }

  private announce(lab: string): void {
    this.tools.states.announce(lab);
    this.tools.drift.lookSoon();
  }

  close(): void {
    this.closed = true;
    // What waits goes on waiting: its watchdog sees to it, or the next agent.
    clearInterval(this.tools.pending.current?.timer);
  }
}

function progressOfRollBack(entry: Journal): TransactionProgress {
  const total = entry.operations.length;
  return {
    lab: entry.lab,
    plan: entry.plan,
    phase: 'roll-back',
    done: total,
    total,
    failedStep: null,
  };
}

function staleToken(lab: string): Failure {
  return {
    kind: 'stale-plan',
    code: 'stale-token',
    object: lab,
    reason: `The change of lab ${lab} that waits to be confirmed is another one.`,
    next: 'Look at the state of the lab, then confirm it or take it back.',
    values: { lab },
  };
}

function confirmedTooLate(lab: string): Failure {
  return {
    ...notConfirmed(lab),
    code: 'confirmed-too-late',
    reason: `The confirmation came too late: the change of lab ${lab} was taken back, and everything is as before.`,
    next: 'Apply again, and confirm it in time.',
  };
}

function nothingAwaits(lab: string): Failure {
  return {
    kind: 'refused',
    code: 'nothing-awaits',
    object: lab,
    reason: `No change of lab ${lab} waits to be confirmed.`,
    next: 'Look at the state of the lab: it may have been confirmed or taken back already.',
    values: { lab },
  };
}
