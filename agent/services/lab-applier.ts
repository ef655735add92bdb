/** Carries plans out. */
import type { ApplyOutcome, LabRecord, TransactionProgress } from '../api/lab.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { Deadline } from '../apply/deadline.ts';
import { type Arrival, recordAfter } from '../apply/history.ts';
import { failureOf } from '../lab/sentences.ts';
import type { ChangeTools } from './change-tools.ts';
import type { Confirmations } from './confirmations.ts';
import { executorOf } from './lab-executor.ts';
import type { Caller } from './lab-options.ts';
import { type Draft, stalePlan } from './lab-planner.ts';
import { awaitingConfirmation, awaitingOf } from './pending-change.ts';

export class LabApplier {
  private readonly tools: ChangeTools;
  private readonly confirmations: Confirmations;

  constructor(tools: ChangeTools, confirmations: Confirmations) {
    this.tools = tools;
    this.confirmations = confirmations;
  }

  async apply(
    id: string,
    signal: AbortSignal,
    onProgress: (progress: TransactionProgress) => void,
    confirmWithin?: number | null,
    caller: Caller = null,
  ): Promise<Result<ApplyOutcome>> {
    const start = performance.now();
    const { readOnly } = this.tools.options;
    if (readOnly !== null) return fail(readOnly);
    const kept = this.tools.planner.plans.get(id);
    const { busy } = this.tools.runner;
    if (busy !== null) return fail(busy);
    const pending = this.tools.pending.current;
    if (pending !== null) return fail(awaitingConfirmation(pending.entry.lab));
    if (kept === undefined) return fail(stalePlan(id));
    const { target } = kept;
    const burst = this.tools.options.tracker.expectBurst();
    const outcome = await this.tools.runner.exclusively(kept.lab, async () => {
      const recovered = await this.tools.recover(false);
      if (!recovered.ok) return recovered;
      if (recovered.value !== null) {
        const { recovery } = recovered.value;
        this.tools.states.reload(recovery.lab);
        if (recovery.failure !== null) return fail(recovery.failure);
      }
      await this.tools.planner.prepare(target);
      const draft = this.tools.planner.draft(target, caller);
      if (!draft.ok) {
        // What could be planned and no longer can: that is what has changed.
        return fail({ ...stalePlan(id), causes: [draft.failure] });
      }
      if (draft.value.plan.id !== id) return fail(stalePlan(id));
      const [refusal, ...more] = draft.value.plan.refusals;
      if (refusal !== undefined) {
        return fail(more.length === 0 ? refusal : { ...refusal, causes: [refusal, ...more] });
      }
      const { confirm } = draft.value.plan;
      const [only] = draft.value.onlyWays;
      if (confirm !== null && confirmWithin === null && only !== undefined) {
        return fail(failureOf('refused', 'uplink-needs-deadline', only, { interface: only }));
      }
      const within =
        confirm === null || confirmWithin === null ? null : (confirmWithin ?? confirm.within);
      const carriedOut = await this.carryOut(
        draft.value,
        signal,
        onProgress,
        start,
        within,
        caller,
      );
      this.tools.bindings.settle(kept.lab);
      return carriedOut;
    });
    burst[Symbol.dispose]();
    if (outcome.ok) this.tools.planner.plans.delete(id);
    // Only now is the lab not busy any more.
    const state = this.tools.states.byName.get(kept.lab);
    if (state !== undefined) this.tools.states.publish(state);
    this.tools.drift.lookSoon();
    return outcome;
  }

  private async carryOut(
    draft: Draft,
    signal: AbortSignal,
    onProgress: (progress: TransactionProgress) => void,
    start: number,
    confirmWithin: number | null,
    caller: Caller,
  ): Promise<Result<ApplyOutcome>> {
    const { intent, operations, recordBefore, plan } = draft;
    const { incarnation, realm } = this.tools.options;
    const { lab, desired } = intent;
    const arrival = recordAfter(recordBefore, {
      lab,
      realm,
      incarnation,
      destination: intent.destination,
      document: intent.text,
      path: intent.path,
      steps: operations.length,
      time: new Date().toISOString(),
    });
    const before = this.tools.states.byName.get(lab);
    if (before !== undefined) this.tools.states.publish(before);
    if (operations.length > 0 || !sameRecord(recordBefore, arrival)) {
      const done = await this.tools.runner.run({
        plan: plan.id,
        lab,
        goal: intent.destination.goal,
        base: plan.base,
        document: intent.text,
        newRevision: arrival.newRevision,
        recordBefore,
        recordAfter: arrival.record,
        operations,
        makeExecutor: () => executorOf(this.tools.options, lab, draft.baseDocument, caller),
        remaining: () => this.tools.planner.remaining(lab, desired, draft.baseDocument),
        confirmWithin,
        signal,
        report: (progress) => {
          onProgress(progress);
          this.tools.options.publish({ kind: 'transaction', progress });
        },
      });
      if (!done.ok) {
        this.tools.states.reload(lab);
        return done;
      }
      if (done.value !== null) {
        const deadline = new Deadline(this.tools.options.stateDirectory, done.value.id);
        this.confirmations.wait(done.value, deadline);
      }
    }
    const drift = arrival.record.up ? 0 : null;
    const pending = this.tools.pending.current;
    this.tools.states.byName.set(lab, { record: arrival.record, drift, checks: [] });
    return succeed({
      lab,
      up: arrival.record.up,
      revision: arrival.record.revision,
      operations: operations.length,
      milliseconds: performance.now() - start,
      realmEmpty: intent.destination.goal.kind === 'down' && !this.tools.states.hasLabsUp(),
      awaiting: pending === null ? null : awaitingOf(pending.deadline),
    });
  }
}

function sameRecord(before: LabRecord | null, arrival: Arrival): boolean {
  return JSON.stringify(before) === JSON.stringify(arrival.record);
}
