/** Labs in a realm: answers what is asked about them. The parts that know how are beside it. */
import type { PlanTarget } from '../api/calls.ts';
import type { CpuMachineSample } from '../api/cpu.ts';
import { type ExportRecords, maximumExportRecords } from '../api/flow-export.ts';
import type { InterfaceStateChange } from '../api/interface-state.ts';
import type {
  ApplyOutcome,
  CheckResult,
  LabRecord,
  LabStatus,
  Recovery,
  TransactionProgress,
} from '../api/lab.ts';
import type { Plan } from '../api/plan.ts';
import type { ProcessPlace } from '../api/process.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { commitJournal } from '../apply/commit.ts';
import { clearDeadlines } from '../apply/deadline.ts';
import { isUp, unknownLab } from '../apply/history.ts';
import type { Recovered } from '../apply/recovery.ts';
import { TransactionRunner } from '../apply/transaction.ts';
import type { ChangeTools } from './change-tools.ts';
import type { ReadFile } from '../cpu/files.ts';
import { Confirmations } from './confirmations.ts';
import { CpuBindings } from './cpu-bindings.ts';
import { watchCpu } from './cpu-watch.ts';
import { InterfaceStates } from './interface-states.ts';
import { LabApplier } from './lab-applier.ts';
import { runChecks } from './lab-checks.ts';
import { LabDocuments } from './lab-documents.ts';
import { DriftWatch } from './lab-drift.ts';
import { LabNodes, type NodeInterfaces } from './lab-nodes.ts';
import type { Caller, LabServiceOptions } from './lab-options.ts';
import { LabPlanner } from './lab-planner.ts';
import { recoverRealm } from './lab-recovery.ts';
import { LabRestorer } from './lab-restorer.ts';
import { LabStates, notUpForChecks } from './lab-states.ts';
import { OpenFlowShelf } from './openflow-shelf.ts';
import { awaitingConfirmation, PendingChange } from './pending-change.ts';
import type { Spot } from './processes.ts';
import { isSettled } from './settled.ts';

export class LabService {
  /** Processes that people have bound to CPU groups. */
  readonly bindings: CpuBindings;
  private readonly options: LabServiceOptions;
  private readonly runner: TransactionRunner;
  private readonly pending = new PendingChange();
  private readonly states: LabStates;
  private readonly planner: LabPlanner;
  private readonly drift: DriftWatch;
  private readonly confirmations: Confirmations;
  private readonly applier: LabApplier;
  private readonly restorer: LabRestorer;
  private readonly nodes: LabNodes;
  private readonly interfaces: InterfaceStates;
  private readonly subscription: Disposable;

  private constructor(
    options: LabServiceOptions,
    records: readonly LabRecord[],
    openFlow: OpenFlowShelf,
  ) {
    const { pending } = this;
    const documents = new LabDocuments();
    const runner = new TransactionRunner({
      stateDirectory: options.stateDirectory,
      incarnation: options.incarnation,
      faults: options.faults,
      commit: (entry, faults) => commitJournal(options.store, entry, faults),
    });
    const states = new LabStates(options, runner, documents, pending);
    for (const record of records) {
      states.byName.set(record.name, { record, drift: null, checks: [] });
    }
    const planner = new LabPlanner(options, states, documents, openFlow);
    const drift = new DriftWatch(options, runner, states, planner);
    const recover: ChangeTools['recover'] = (decided) => recoverRealm(options, openFlow, decided);
    const bindings = new CpuBindings(options, states, runner);
    const tools = { options, runner, states, planner, pending, drift, bindings, recover };
    this.bindings = bindings;
    this.options = options;
    this.runner = runner;
    this.states = states;
    this.planner = planner;
    this.drift = drift;
    this.confirmations = new Confirmations(tools, documents);
    this.applier = new LabApplier(tools, this.confirmations);
    this.restorer = new LabRestorer(tools);
    this.nodes = new LabNodes(options, states);
    this.interfaces = new InterfaceStates({
      tracker: options.tracker,
      inForce: (lab) => states.inForceOf(lab),
      exclusively: (lab, action) => runner.exclusively(lab, () => Promise.resolve(action())),
      idle: () => runner.idle(),
    });
    options.engines.onRestored((namespace) => {
      void this.restorer.restore(namespace);
    });
    this.subscription = options.tracker.onDelta(() => {
      drift.lookSoon();
    });
  }

  /** Recovers from an open journal, then takes the labs from the store. */
  static async open(options: LabServiceOptions): Promise<Result<OpenedLabs>> {
    const openFlow = new OpenFlowShelf(options.engines);
    const recovered =
      options.readOnly === null
        ? await recoverRealm(options, openFlow)
        : succeed<Recovered | null>(null);
    const loaded = options.store.load();
    if (!loaded.ok) return loaded;
    const labs = new LabService(options, loaded.value.records, openFlow);
    for (const record of loaded.value.records) await labs.planner.prepareInForce(record);
    const failures = [...loaded.value.failures];
    if (!recovered.ok) failures.push(recovered.failure);
    const found = recovered.ok ? recovered.value : null;
    const recoveries = found === null ? [] : [found.recovery];
    if (found?.recovery.outcome === 'awaiting') {
      const adopted = await labs.confirmations.resume(found.entry);
      if (!adopted.ok) failures.push(adopted.failure);
    } else if (recovered.ok && found === null && options.readOnly === null) {
      clearDeadlines(options.stateDirectory, null);
    }
    if (options.readOnly === null) {
      for (const { name } of loaded.value.records) labs.bindings.settle(name);
    }
    labs.drift.look();
    return succeed({ labs, recoveries, failures });
  }

  /** Resolves when the running transaction, if any, has come to its end. */
  async close(): Promise<void> {
    this.restorer.close();
    this.drift.close();
    this.confirmations.close();
    await this.interfaces.close();
    this.subscription[Symbol.dispose]();
    await this.runner.idle();
  }

  /** Lab of the transaction that runs now. */
  get running(): string | null {
    return this.runner.running;
  }

  list(): readonly LabStatus[] {
    return [...this.states.byName.values()].map((state) => this.states.statusOf(state));
  }

  /** Text of a kept revision, of the one in force when `revision` is null; null at revision 0. */
  document(
    lab: string,
    revision: number | null,
  ): Result<{ readonly status: LabStatus; readonly text: string | null }> {
    const state = this.states.byName.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    const status = this.states.statusOf(state);
    const number = revision ?? state.record.revision;
    if (number === 0) return succeed({ status, text: null });
    const pending = this.pending.current?.entry;
    if (pending?.lab === lab && pending.newRevision === number) {
      return succeed({ status, text: pending.document });
    }
    const text = this.options.store.readRevision(lab, number);
    return text.ok ? succeed({ status, text: text.value }) : text;
  }

  /** Asks Open vSwitch about what a plan for this target will compare. To be waited for before `plan`. */
  prepare(target: PlanTarget): Promise<void> {
    return this.planner.prepare(target);
  }

  /** What it would take. The id is good for `apply` until document, base or the state that matters has changed. */
  plan(target: PlanTarget, caller: Caller = null): Result<Plan> {
    return this.planner.plan(target, caller);
  }

  /** `confirmWithin` in seconds: null is no deadline, undefined the plan’s own. */
  apply(
    id: string,
    signal: AbortSignal,
    onProgress: (progress: TransactionProgress) => void,
    confirmWithin?: number | null,
    caller: Caller = null,
  ): Promise<Result<ApplyOutcome>> {
    return this.applier.apply(id, signal, onProgress, confirmWithin, caller);
  }

  /** Keeps the change that awaits its confirmation. */
  confirm(lab: string, token: string): Promise<Result<ApplyOutcome>> {
    return this.confirmations.settle(lab, token, 'confirmed');
  }

  /** Takes the change back that awaits its confirmation. */
  revert(lab: string, token: string): Promise<Result<ApplyOutcome>> {
    return this.confirmations.settle(lab, token, 'reverting');
  }

  /** Carries the checks of the document in force out; results are kept with the lab and published. */
  async check(
    lab: string,
    signal: AbortSignal,
    onResult: (result: CheckResult) => void,
  ): Promise<Result<readonly CheckResult[]>> {
    const state = this.states.byName.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    const { record } = state;
    if (!isUp(record, this.options.incarnation)) return fail(notUpForChecks(record));
    const document = this.states.inForce(record);
    if (!document.ok) return document;
    const results = await runChecks({
      document: document.value,
      namespaceFd: (namespace) => {
        const owned = this.nodes.checkNode(lab, namespace);
        if (!owned.ok) return owned;
        const tracked = this.options.tracker.namespaceHandle(namespace);
        return tracked.ok ? succeed(tracked.value.fd) : tracked;
      },
      collected: (node) => this.nodes.collected(lab, node, maximumExportRecords),
      groups: this.options.cpu?.groupsOf(lab) ?? null,
      isSettled: ({ ipv6 }) => isSettled(this.options.tracker.snapshot(), lab, ipv6),
      signal,
      onResult,
    });
    if (signal.aborted) {
      return fail({
        kind: 'cancelled',
        code: 'checks-cancelled',
        object: lab,
        reason: `The checks of lab ${lab} were cancelled.`,
        next: 'Run them again when they are wanted.',
        values: { lab },
      });
    }
    // Results of another revision say nothing about this one.
    const now = this.states.byName.get(lab);
    if (now !== undefined && now.record === record) {
      now.checks = results;
      this.states.publish(now);
    }
    return succeed(results);
  }

  forget(lab: string): Result<void> {
    const { readOnly, incarnation, store } = this.options;
    if (readOnly !== null) return fail(readOnly);
    const state = this.states.byName.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    if (isUp(state.record, incarnation) || this.runner.running === lab) {
      return fail({
        kind: 'refused',
        code: 'lab-is-up',
        object: lab,
        reason: `Lab ${lab} is up; its history is what can take it down.`,
        next: 'Take it down first.',
        values: { lab },
      });
    }
    const removed = store.remove(lab);
    if (!removed.ok) return removed;
    this.states.byName.delete(lab);
    this.options.publish({ kind: 'removed', lab });
    return succeed(undefined);
  }

  /** Takes an interface down or brings it up in the kernel, without a change of the document. */
  setInterfaceState(change: InterfaceStateChange): Promise<Result<void>> {
    const { readOnly } = this.options;
    if (readOnly !== null) return Promise.resolve(fail(readOnly));
    if (this.pending.current !== null) {
      return Promise.resolve(fail(awaitingConfirmation(this.pending.current.entry.lab)));
    }
    return this.interfaces.set(change);
  }

  /** What a place is; fails for a machine that does not run. */
  spotOf(place: ProcessPlace): Result<Spot> {
    return this.nodes.spotOf(place);
  }

  /** As `LabNodes` has it. */
  interfacesOf(lab: string, node: string): Result<NodeInterfaces> {
    return this.nodes.interfacesOf(lab, node);
  }

  /** What the collector of a node has received: at most `limit` records, and the totals. */
  collected(lab: string, node: string, limit: number): Result<ExportRecords> {
    return this.nodes.collected(lab, node, limit);
  }

  /** Samples of the machine's CPUs and of a lab's groups; `interval` in milliseconds, `lab` null is the machine alone. */
  watchCpu(
    lab: string | null,
    interval: number,
    signal: AbortSignal,
    onSample: (sample: CpuMachineSample) => void,
  ): Promise<Result<Record<string, never>>> {
    const watched =
      lab === null
        ? null
        : {
            document: () => this.states.inForceOf(lab),
            groups: (read: ReadFile) => this.options.cpu?.groupsOf(lab, read) ?? null,
            isChanging: () => this.runner.running === lab,
          };
    return watchCpu({ lab: watched, interval, signal, onSample });
  }
}

export interface OpenedLabs {
  readonly labs: LabService;
  readonly recoveries: readonly Recovery[];
  /** What could not be read; it is left as it is. */
  readonly failures: readonly Failure[];
}
