/** Labs in a realm: plan, apply, history, drift and checks. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { PlanTarget } from '../api/calls.ts';
import type { CpuGroupStates } from '../api/cpu.ts';
import { type LabDocument, namespaceOfNode } from '../api/document.ts';
import { type ExportRecords, maximumExportRecords } from '../api/flow-export.ts';
import type { InterfaceStateChange } from '../api/interface-state.ts';
import type {
  ApplyOutcome,
  CheckResult,
  LabEvent,
  LabRecord,
  LabStatus,
  Recovery,
  TransactionProgress,
} from '../api/lab.ts';
import type { Plan, PlanGoal, Warning } from '../api/plan.ts';
import type { ProcessPlace } from '../api/process.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { commitJournal } from '../apply/commit.ts';
import { clearDeadlines, Deadline } from '../apply/deadline.ts';
import { KernelExecutor, logNameOf, type RunsAs } from '../apply/execute.ts';
import type { Faults } from '../apply/fault.ts';
import { fingerprint } from '../apply/fingerprint.ts';
import {
  type Arrival,
  type Destination,
  findDestination,
  hashDocument,
  isUp,
  nameConflict,
  recordAfter,
  unknownLab,
} from '../apply/history.ts';
import type { Journal } from '../apply/journal.ts';
import type { LabStore } from '../apply/lab-store.ts';
import { recover, type Recovered } from '../apply/recovery.ts';
import { notConfirmed, TransactionRunner } from '../apply/transaction.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import { findBridgedDrop } from '../kernel/bridge-filter.ts';
import { findPerson } from '../kernel/person.ts';
import type { Engines } from '../ovs/engines.ts';
import { collectorProcessName, isCollector } from '../lab/collector.ts';
import { type ReadDocument, readDocument } from '../lab/document-text.ts';
import { machineOfProcess, machineProcessName } from '../lab/virtual-machine.ts';
import { linkKey, networkOf } from '../lab/network.ts';
import type { Operation } from '../lab/operation.ts';
import { type LabPlan, type PlanInput, planLab } from '../lab/plan.ts';
import { failureOf } from '../lab/sentences.ts';
import { relayOf } from '../lab/tunnel.ts';
import { readCollected } from './collected.ts';
import type { RealmCpu } from './cpu-realm.ts';
import { restoringOperations } from './engine-restore.ts';
import { InterfaceStates, unknownNode } from './interface-states.ts';
import { runChecks } from './lab-checks.ts';
import type { Spot } from './processes.ts';
import { OpenFlowShelf } from './openflow-shelf.ts';
import { isSettled } from './settled.ts';

export interface LabServiceOptions {
  /** `host` or `sandbox:NAME`. */
  readonly realm: string;
  readonly stateDirectory: string;
  readonly incarnation: string;
  /** Why nothing may be changed here; null when it may. */
  readonly readOnly: Failure | null;
  readonly tracker: InventoryTracker;
  readonly store: LabStore;
  readonly faults: Faults;
  /** Ends what we run in a namespace before the namespace goes. */
  readonly prepareRemoval: (namespace: string) => Promise<void>;
  readonly publish: (event: LabEvent) => void;
  /** Told when a change was taken back that nobody confirmed in time. */
  readonly onRecovery?: (recovery: Recovery) => void;
  /** Why this machine lacks a capability; null when it has it. */
  readonly lackOf?: (capability: string) => string | null;
  readonly engines: Engines;
  /** As in `ExecutorOptions`. */
  readonly collectorProgram?: string;
  /** Without it the realm has no CPU groups. */
  readonly cpu?: RealmCpu;
}

/** What a request for a plan comes to, before the kernel is looked at. */
interface Intent {
  readonly lab: string;
  readonly destination: Destination;
  /** Text of what is wanted; null is nothing. */
  readonly text: string | null;
  readonly desired: LabDocument | null;
  /** File of the document; undefined leaves the lab's as it is. */
  readonly path: string | null | undefined;
  readonly replace: boolean;
  readonly warnings: readonly Warning[];
}

interface Draft {
  readonly plan: Plan & { readonly id: string };
  readonly intent: Intent;
  readonly operations: readonly Operation[];
  readonly recordBefore: LabRecord | null;
  readonly baseDocument: LabDocument | null;
  /** Interfaces with the only way out of their namespace, which it moves. */
  readonly onlyWays: readonly string[];
}

/** A change that is in the kernel and waits to be confirmed. */
interface Pending {
  readonly entry: Journal;
  readonly deadline: Deadline;
  readonly timer: NodeJS.Timeout;
}

/** Who asks, as the kernel says: on the host, a lab's processes run as them. Null where nobody is asked for. */
export type Caller = { readonly uid: number } | null;

interface LabState {
  record: LabRecord;
  drift: number | null;
  checks: readonly CheckResult[];
}

const keptPlans = 64;
const keptDocuments = 64;
const driftDelay = 200;
/** Milliseconds between two looks at the files of CPU groups. */
const groupLook = 1000;
/** Thousands of groups take long to read: the next look at them is this many times as long away. */
const groupLookPause = 10;
/** Milliseconds between two looks at a deadline: it counts while the machine sleeps, timers do not. */
const deadlineLook = 250;

export class LabService {
  private readonly options: LabServiceOptions;
  private readonly runner: TransactionRunner;
  private readonly labs = new Map<string, LabState>();
  /** Requests behind plan ids, the oldest first. */
  private readonly plans = new Map<string, { readonly lab: string; readonly target: PlanTarget }>();
  /** Read documents by hash: a lab's is needed at every look at its drift, a plan's again when it is applied. */
  private readonly documents = new Map<string, ReadDocument>();
  private readonly subscription: Disposable;
  private readonly interfaces: InterfaceStates;
  private driftTimer: NodeJS.Timeout | undefined;
  private groupTimer: NodeJS.Timeout | undefined;
  private nextGroupLook = 0;
  private pending: Pending | null = null;
  private closed = false;

  private readonly openFlow: OpenFlowShelf;

  private constructor(
    options: LabServiceOptions,
    records: readonly LabRecord[],
    openFlow: OpenFlowShelf,
  ) {
    this.options = options;
    this.openFlow = openFlow;
    options.engines.onRestored((namespace) => {
      void this.restore(namespace);
    });
    for (const record of records) {
      this.labs.set(record.name, { record, drift: null, checks: [] });
    }
    this.runner = new TransactionRunner({
      stateDirectory: options.stateDirectory,
      incarnation: options.incarnation,
      faults: options.faults,
      commit: (entry, faults) => commitJournal(options.store, entry, faults),
    });
    this.interfaces = new InterfaceStates({
      tracker: options.tracker,
      inForce: (lab) => this.documentOfUp(lab),
      exclusively: (lab, action) => this.runner.exclusively(lab, () => Promise.resolve(action())),
      idle: () => this.runner.idle(),
    });
    this.subscription = options.tracker.onDelta(() => {
      this.lookSoon();
    });
    if (options.cpu !== undefined) {
      this.groupTimer = setInterval(() => {
        this.lookAtGroups();
      }, groupLook);
      this.groupTimer.unref();
    }
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
    for (const record of loaded.value.records) await labs.prepareInForce(record);
    const failures = [...loaded.value.failures];
    if (!recovered.ok) failures.push(recovered.failure);
    const found = recovered.ok ? recovered.value : null;
    const recoveries = found === null ? [] : [found.recovery];
    if (found?.recovery.outcome === 'awaiting') {
      const adopted = await labs.resume(found.entry);
      if (!adopted.ok) failures.push(adopted.failure);
    } else if (recovered.ok && found === null && options.readOnly === null) {
      clearDeadlines(options.stateDirectory, null);
    }
    labs.lookAtDrift();
    return succeed({ labs, recoveries, failures });
  }

  /** Resolves when the running transaction, if any, has come to its end. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.driftTimer);
    clearInterval(this.groupTimer);
    // What waits goes on waiting: its watchdog sees to it, or the next agent.
    clearInterval(this.pending?.timer);
    await this.interfaces.close();
    this.subscription[Symbol.dispose]();
    await this.runner.idle();
  }

  /** Lab of the transaction that runs now. */
  get running(): string | null {
    return this.runner.running;
  }

  list(): readonly LabStatus[] {
    return [...this.labs.values()].map((state) => this.statusOf(state));
  }

  /** Text of a kept revision, of the one in force when `revision` is null; null at revision 0. */
  document(
    lab: string,
    revision: number | null,
  ): Result<{ readonly status: LabStatus; readonly text: string | null }> {
    const state = this.labs.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    const status = this.statusOf(state);
    const number = revision ?? state.record.revision;
    if (number === 0) return succeed({ status, text: null });
    const pending = this.pending?.entry;
    if (pending?.lab === lab && pending.newRevision === number) {
      return succeed({ status, text: pending.document });
    }
    const text = this.options.store.readRevision(lab, number);
    return text.ok ? succeed({ status, text: text.value }) : text;
  }

  /** Asks Open vSwitch about what a plan for this target will compare. To be waited for before `plan`. */
  async prepare(target: PlanTarget): Promise<void> {
    const intent = this.readIntent(target);
    if (!intent.ok) return;
    await this.openFlow.prepare(intent.value.desired);
    const record = this.labs.get(intent.value.lab)?.record;
    if (record !== undefined) await this.prepareInForce(record);
  }

  private async prepareInForce(record: LabRecord): Promise<void> {
    if (!isUp(record, this.options.incarnation)) return;
    const document = this.documentInForce(record);
    if (document.ok) await this.openFlow.prepare(document.value);
  }

  /** What a switch that was started again does not remember is put back for every lab that has bridges there. */
  private async restore(namespace: string | null): Promise<void> {
    const { incarnation, readOnly, tracker } = this.options;
    if (readOnly !== null) return;
    // What is carried out now is what is to be there.
    const settled = async (): Promise<void> => {
      while (this.runner.running !== null) await this.runner.idle();
    };
    await settled();
    for (const name of [...this.labs.keys()]) {
      await settled();
      const record = this.labs.get(name)?.record;
      if (
        record === undefined ||
        this.closed ||
        this.pending !== null ||
        !isUp(record, incarnation)
      )
        continue;
      const document = this.documentInForce(record);
      if (!document.ok) continue;
      const network = networkOf(document.value);
      if (![...network.switches.values()].some((one) => one.namespace === namespace)) continue;
      const remaining = async (): Promise<Result<readonly Operation[]>> => {
        await this.openFlow.prepare(document.value);
        tracker.refresh();
        const planned = this.planWith(record.name, document.value, document.value);
        const left = remainingOf(planned);
        return left.ok ? succeed(restoringOperations(left.value, network, namespace)) : left;
      };
      const text = this.options.store.readRevision(record.name, record.revision);
      await this.runner.exclusively(record.name, async (): Promise<Result<unknown>> => {
        const operations = await remaining();
        if (!operations.ok || operations.value.length === 0) return operations;
        return this.runner.run({
          plan: 'restore',
          lab: record.name,
          goal: { kind: 'revision', revision: record.revision },
          base: record.revision,
          document: text.ok ? text.value : null,
          newRevision: null,
          recordBefore: record,
          recordAfter: record,
          operations: operations.value,
          makeExecutor: () => executorOf(this.options, record.name, document.value, null),
          remaining,
          confirmWithin: null,
          signal: new AbortController().signal,
          report: (progress) => {
            this.options.publish({ kind: 'transaction', progress });
          },
        });
      });
      this.announce(record.name);
    }
  }

  private planWith(lab: string, desired: LabDocument | null, base: LabDocument | null): LabPlan {
    const { realm, tracker } = this.options;
    const inventory = tracker.snapshot();
    const engine = engineInputOf(realm, this.openFlow, desired);
    const cpu = cpuInputOf(this.options, lab);
    return planLab({ lab, desired, base, inventory, ...engine, ...cpu });
  }

  /** What it would take. The id is good for `apply` until document, base or the state that matters has changed. */
  plan(target: PlanTarget, caller: Caller = null): Result<Plan> {
    const draft = this.draft(target, caller);
    if (!draft.ok) return draft;
    const { plan } = draft.value;
    this.plans.delete(plan.id);
    this.plans.set(plan.id, { lab: plan.lab, target });
    for (const id of this.plans.keys()) {
      if (this.plans.size <= keptPlans) break;
      this.plans.delete(id);
    }
    return succeed(plan);
  }

  async apply(
    id: string,
    signal: AbortSignal,
    onProgress: (progress: TransactionProgress) => void,
    confirmWithin?: number | null,
    caller: Caller = null,
  ): Promise<Result<ApplyOutcome>> {
    const start = performance.now();
    const { readOnly } = this.options;
    if (readOnly !== null) return fail(readOnly);
    const kept = this.plans.get(id);
    const { busy } = this.runner;
    if (busy !== null) return fail(busy);
    if (this.pending !== null) return fail(awaitingConfirmation(this.pending.entry.lab));
    if (kept === undefined) return fail(stalePlan(id));
    const { target } = kept;
    const burst = this.options.tracker.expectBurst();
    const outcome = await this.runner.exclusively(kept.lab, async () => {
      const recovered = await recoverRealm(this.options, this.openFlow);
      if (!recovered.ok) return recovered;
      if (recovered.value !== null) {
        const { recovery } = recovered.value;
        this.reload(recovery.lab);
        if (recovery.failure !== null) return fail(recovery.failure);
      }
      await this.prepare(target);
      const draft = this.draft(target, caller);
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
      return this.carryOut(draft.value, signal, onProgress, start, within, caller);
    });
    burst[Symbol.dispose]();
    if (outcome.ok) this.plans.delete(id);
    // Only now is the lab not busy any more.
    const state = this.labs.get(kept.lab);
    if (state !== undefined) this.publishStatus(state);
    this.lookSoon();
    return outcome;
  }

  /** Keeps the change that awaits its confirmation. */
  confirm(lab: string, token: string): Promise<Result<ApplyOutcome>> {
    return this.settle(lab, token, 'confirmed');
  }

  /** Takes the change back that awaits its confirmation. */
  revert(lab: string, token: string): Promise<Result<ApplyOutcome>> {
    return this.settle(lab, token, 'reverting');
  }

  private async settle(
    lab: string,
    token: string,
    wish: 'confirmed' | 'reverting',
  ): Promise<Result<ApplyOutcome>> {
    const start = performance.now();
    const { readOnly } = this.options;
    if (readOnly !== null) return fail(readOnly);
    const { busy } = this.runner;
    if (busy !== null) return fail(busy);
    const { pending } = this;
    if (pending?.entry.lab !== lab) return fail(nothingAwaits(lab));
    if (pending.entry.id !== token) return fail(staleToken(lab));
    const { deadline, entry } = pending;
    const late = wish === 'confirmed' && deadline.remaining() <= 0;
    const settled = await this.runner.exclusively(lab, async () => {
      const claimed = deadline.claim(late ? 'reverting' : wish);
      if (!claimed.ok) return claimed;
      return this.finishPending(pending, claimed.value);
    });
    this.announce(lab);
    if (!settled.ok) return settled;
    const { outcome, failure } = settled.value;
    if (failure !== null) return fail(failure);
    if (wish === 'confirmed' && outcome !== 'committed') return fail(confirmedTooLate(lab));
    const record = this.labs.get(lab)?.record;
    return succeed({
      lab,
      up: record?.up === true && isUp(record, this.options.incarnation),
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
    const recovered = await recoverRealm(this.options, this.openFlow, decided);
    this.pending = null;
    this.reload(entry.lab);
    if (!recovered.ok) return recovered;
    if (recovered.value !== null) return succeed(recovered.value.recovery);
    return fail(nothingAwaits(entry.lab));
  }

  /** Takes over a change that another agent has left waiting. */
  private async resume(entry: Journal): Promise<Result<void>> {
    const deadline = new Deadline(this.options.stateDirectory, entry.id);
    if (entry.document !== null) this.readText(entry.document, null);
    this.labs.set(entry.lab, { record: entry.recordAfter, drift: null, checks: [] });
    this.wait(entry, deadline);
    return deadline.adopt();
  }

  private wait(entry: Journal, deadline: Deadline): void {
    const timer = setInterval(() => {
      if (this.runner.running !== null || this.closed) return;
      if (deadline.remaining() > 0 && deadline.verdict() === 'pending') return;
      void this.expire();
    }, deadlineLook);
    timer.unref();
    this.pending = { entry, deadline, timer };
  }

  /** Nobody has confirmed in time: takes the change back, or waits for the watchdog that does. */
  private async expire(): Promise<void> {
    const { pending } = this;
    if (pending === null) return;
    const { lab } = pending.entry;
    const settled = await this.runner.exclusively(lab, async () => {
      const claimed = pending.deadline.claim('reverting');
      this.options.publish({ kind: 'transaction', progress: progressOfRollBack(pending.entry) });
      return this.finishPending(pending, claimed.ok && claimed.value);
    });
    const operations = pending.entry.operations.length;
    this.options.onRecovery?.(
      settled.ok ? settled.value : { lab, outcome: 'failed', operations, failure: settled.failure },
    );
    this.announce(lab);
  }

  private announce(lab: string): void {
    const state = this.labs.get(lab);
    if (state === undefined) this.options.publish({ kind: 'removed', lab });
    else this.publishStatus(state);
    this.lookSoon();
  }

  /** Carries the checks of the document in force out; results are kept with the lab and published. */
  async check(
    lab: string,
    signal: AbortSignal,
    onResult: (result: CheckResult) => void,
  ): Promise<Result<readonly CheckResult[]>> {
    const state = this.labs.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    const { record } = state;
    if (!isUp(record, this.options.incarnation)) return fail(notUpForChecks(record));
    const document = this.documentInForce(record);
    if (!document.ok) return document;
    const results = await runChecks({
      document: document.value,
      namespaceFd: (namespace) => {
        const owned = this.checkNode(lab, namespace);
        if (!owned.ok) return owned;
        const tracked = this.options.tracker.namespaceHandle(namespace);
        return tracked.ok ? succeed(tracked.value.fd) : tracked;
      },
      collected: (node) => this.collected(lab, node, maximumExportRecords),
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
    const now = this.labs.get(lab);
    if (now !== undefined && now.record === record) {
      now.checks = results;
      this.publishStatus(now);
    }
    return succeed(results);
  }

  forget(lab: string): Result<void> {
    const { readOnly, incarnation, store } = this.options;
    if (readOnly !== null) return fail(readOnly);
    const state = this.labs.get(lab);
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
    this.labs.delete(lab);
    this.options.publish({ kind: 'removed', lab });
    return succeed(undefined);
  }

  /** Takes an interface down or brings it up in the kernel, without a change of the document. */
  setInterfaceState(change: InterfaceStateChange): Promise<Result<void>> {
    const { readOnly } = this.options;
    if (readOnly !== null) return Promise.resolve(fail(readOnly));
    if (this.pending !== null) {
      return Promise.resolve(fail(awaitingConfirmation(this.pending.entry.lab)));
    }
    return this.interfaces.set(change);
  }

  /** Document in force of a lab that is up. */
  private documentOfUp(lab: string): Result<LabDocument> {
    const state = this.labs.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    if (!isUp(state.record, this.options.incarnation)) return fail(notUpForNode(state.record));
    return this.documentInForce(state.record);
  }

  /** What a place is; fails for a machine that does not run. */
  spotOf(place: ProcessPlace): Result<Spot> {
    if (place.kind === 'realm') return succeed({ namespace: null, machine: null });
    const document = this.documentOfUp(place.lab);
    if (!document.ok) return document;
    const nodes = new Map(Object.entries(document.value.topology.nodes));
    const node = nodes.get(place.node);
    if (node === undefined) return fail(unknownNode(place.lab, place.node));
    if (node.kind === 'vm') return this.machineAt(place.lab, place.node);
    const namespace = namespaceOfNode(place.node, node);
    const owned = namespace === null ? succeed(undefined) : this.checkNode(place.lab, namespace);
    return owned.ok ? succeed({ namespace, machine: null }) : owned;
  }

  /** What the collector of a node has received: at most `limit` records, and the totals. */
  collected(lab: string, node: string, limit: number): Result<ExportRecords> {
    const document = this.documentOfUp(lab);
    if (!document.ok) return document;
    const nodes = new Map(Object.entries(document.value.topology.nodes));
    const found = nodes.get(node);
    if (found === undefined) return fail(unknownNode(lab, node));
    if (found.kind !== 'namespace' || found.collector === undefined) {
      return fail(failureOf('refused', 'check-without-collector', `${lab}:${node}`, { node }));
    }
    const log = path.join(logDirectoryOf(this.options, lab), logNameOf(node, collectorProcessName));
    const running = this.options.tracker
      .snapshot()
      .namespaces.some(
        ({ names, runs }) =>
          names.includes(node) &&
          runs.some((run) => run.lab === lab && isCollector(run.name, run.command)),
      );
    return readCollected(log, limit, running);
  }

  /** The CPU groups of a lab that is up, with what they use. */
  cpuGroups(lab: string): Result<CpuGroupStates> {
    const document = this.documentOfUp(lab);
    if (!document.ok) return document;
    const groups = this.options.cpu?.groupsOf(lab) ?? null;
    return succeed({
      time: performance.now(),
      groups: groups === null ? [] : [...groups.states()],
    });
  }

  private machineAt(lab: string, node: string): Result<Spot> {
    const process = machineProcessName(node);
    const view = this.options.tracker
      .snapshot()
      .namespaces.find(({ runs }) => runs.some((run) => run.lab === lab && run.name === process));
    if (view === undefined) {
      return fail({
        kind: 'refused',
        code: 'machine-not-running',
        object: `${lab}:${node}`,
        reason: `The virtual machine ${node} does not run.`,
        next: 'Plan and apply again: that starts it anew.',
        values: { lab, node },
      });
    }
    const namespace = view.root ? null : (view.names[0] ?? null);
    const log = path.join(logDirectoryOf(this.options, lab), logNameOf(namespace, process));
    return succeed({ namespace, machine: { lab, node, log } });
  }

  /** On the host, a namespace of a node's name may meanwhile be somebody else's: nobody is let into that. */
  private checkNode(lab: string, node: string): Result<void> {
    if (this.options.realm !== 'host') return succeed(undefined);
    const view = this.options.tracker
      .snapshot()
      .namespaces.find(({ names }) => names.includes(node));
    if (view?.lab === lab && !view.root) return succeed(undefined);
    return fail({
      kind: 'refused',
      code: 'foreign-node',
      object: `${lab}:${node}`,
      reason: `The namespace ${node} does not bear the mark of lab ${lab} (any more), so it may be somebody else’s.`,
      next: 'Plan the lab again, and look at what has changed.',
      values: { lab, node },
    });
  }

  private statusOf(state: LabState): LabStatus {
    return {
      record: state.record,
      drift: state.drift,
      checks: [...state.checks],
      busy: this.runner.running === state.record.name,
      awaiting: this.awaitingOf(state.record.name),
    };
  }

  private awaitingOf(lab: string): LabStatus['awaiting'] {
    const { pending } = this;
    if (pending?.entry.lab !== lab) return null;
    return { ...awaitingOf(pending.deadline), within: pending.entry.confirmWithin ?? 0 };
  }

  private publishStatus(state: LabState): void {
    this.options.publish({ kind: 'status', status: this.statusOf(state) });
  }

  private readIntent(target: PlanTarget): Result<Intent> {
    if (target.kind === 'document') {
      const read = this.readText(target.text, target.path);
      if (read.document === null) return fail(invalidDocument(target.path, read.problems));
      return succeed({
        lab: read.document.name,
        destination: { goal: { kind: 'document' }, cause: 'apply', revision: null },
        text: target.text,
        desired: read.document,
        path: target.path,
        replace: target.replace,
        warnings: read.advice.map(({ code, object, sentence, values }) => ({
          code,
          object,
          sentence,
          ...(values === undefined ? {} : { values }),
        })),
      });
    }
    const record = this.labs.get(target.lab)?.record ?? null;
    const found = findDestination(record, target, this.options.incarnation);
    if (!found.ok) return found;
    const revision = found.value.revision ?? 0;
    const intent = {
      lab: target.lab,
      destination: found.value,
      path: undefined,
      replace: false,
      warnings: [],
    };
    if (revision === 0) return succeed({ ...intent, text: null, desired: null });
    const text = this.options.store.readRevision(target.lab, revision);
    if (!text.ok) return text;
    const document = this.parseKept(text.value);
    return document.ok
      ? succeed({ ...intent, text: text.value, desired: document.value })
      : document;
  }

  private readText(text: string, path: string | null): ReadDocument {
    const hash = hashDocument(text);
    const known = this.documents.get(hash);
    // The places of problems name the file, so those are found anew.
    if (known !== undefined && known.problems.length === 0) return known;
    const read = readDocument(text, path === null ? {} : { file: path });
    this.documents.set(hash, read);
    for (const key of this.documents.keys()) {
      if (this.documents.size <= keptDocuments) break;
      this.documents.delete(key);
    }
    return read;
  }

  /** A document that was valid when it was kept. */
  private parseKept(text: string): Result<LabDocument> {
    const { document, problems } = this.readText(text, null);
    return document === null ? fail(invalidDocument(null, problems)) : succeed(document);
  }

  private documentInForce(record: LabRecord): Result<LabDocument> {
    const known =
      record.documentHash === null ? null : this.documents.get(record.documentHash)?.document;
    if (known !== null && known !== undefined) return succeed(known);
    const pending = this.pending?.entry;
    if (pending?.lab === record.name && pending.document !== null) {
      return this.parseKept(pending.document);
    }
    const text = this.options.store.readRevision(record.name, record.revision);
    return text.ok ? this.parseKept(text.value) : text;
  }

  private draft(target: PlanTarget, caller: Caller): Result<Draft> {
    const intent = this.readIntent(target);
    if (!intent.ok) return intent;
    const { lab, destination, desired, text } = intent.value;
    const { incarnation, realm, tracker, readOnly, lackOf } = this.options;
    const recordBefore = this.labs.get(lab)?.record ?? null;
    const up = recordBefore !== null && isUp(recordBefore, incarnation);
    const base = up ? recordBefore.revision : null;
    let baseDocument: LabDocument | null = null;
    if (up) {
      const document = this.documentInForce(recordBefore);
      if (!document.ok) return document;
      baseDocument = document.value;
    }
    tracker.refresh();
    // A sandbox's own switches are off (`furnishRealm`); the machine's are left as they are.
    const bridgedDrop = realm === 'host' && desired !== null ? findBridgedDrop() : null;
    const planned = planLab({
      lab,
      desired,
      base: baseDocument,
      inventory: tracker.snapshot(),
      bridgedDrop,
      ...(lackOf === undefined ? {} : { lackOf }),
      ...(realm === 'host' ? { internet: 'host' as const } : {}),
      ...engineInputOf(realm, this.openFlow, desired),
      ...cpuInputOf(this.options, lab),
    });
    const refusals = [...planned.refusals, ...this.openFlow.of(desired).failures];
    if (realm === 'host') refusals.push(...refusalsOfRuns(planned.operations, caller));
    if (destination.goal.kind === 'document') {
      const conflict = nameConflict(recordBefore, intent.value.path ?? null, intent.value.replace);
      if (conflict !== null) refusals.unshift(conflict);
    }
    if (readOnly !== null) refusals.unshift(readOnly);
    const id = planId([
      realm,
      incarnation,
      lab,
      destination.goal,
      text,
      intent.value.path ?? null,
      intent.value.replace,
      base,
      recordBefore?.revision ?? null,
      fingerprint(planned.operations),
      refusals,
    ]);
    return succeed({
      intent: intent.value,
      operations: planned.operations,
      recordBefore,
      baseDocument,
      onlyWays: planned.onlyWays,
      plan: {
        id,
        lab,
        realm,
        goal: destination.goal,
        base,
        document: text,
        steps: [...planned.steps],
        warnings: [...intent.value.warnings, ...planned.warnings],
        refusals,
        confirm: planned.confirm,
      },
    });
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
    const { incarnation, realm, tracker } = this.options;
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
    const before = this.labs.get(lab);
    if (before !== undefined) this.publishStatus(before);
    if (operations.length > 0 || !sameRecord(recordBefore, arrival)) {
      const done = await this.runner.run({
        plan: plan.id,
        lab,
        goal: intent.destination.goal,
        base: plan.base,
        document: intent.text,
        newRevision: arrival.newRevision,
        recordBefore,
        recordAfter: arrival.record,
        operations,
        makeExecutor: () => executorOf(this.options, lab, draft.baseDocument, caller),
        remaining: async () => {
          await this.openFlow.prepare(desired);
          tracker.refresh();
          return remainingOf(this.planWith(lab, desired, draft.baseDocument));
        },
        confirmWithin,
        signal,
        report: (progress) => {
          onProgress(progress);
          this.options.publish({ kind: 'transaction', progress });
        },
      });
      if (!done.ok) {
        this.reload(lab);
        return done;
      }
      if (done.value !== null) {
        this.wait(done.value, new Deadline(this.options.stateDirectory, done.value.id));
      }
    }
    const drift = arrival.record.up ? 0 : null;
    this.labs.set(lab, { record: arrival.record, drift, checks: [] });
    return succeed({
      lab,
      up: arrival.record.up,
      revision: arrival.record.revision,
      operations: operations.length,
      milliseconds: performance.now() - start,
      realmEmpty: intent.destination.goal.kind === 'down' && !this.hasLabsUp(),
      awaiting: this.pending === null ? null : awaitingOf(this.pending.deadline),
    });
  }

  private hasLabsUp(): boolean {
    return [...this.labs.values()].some(({ record }) => isUp(record, this.options.incarnation));
  }

  /** Takes a lab's record from the store again. */
  private reload(lab: string): void {
    const record = this.options.store.readRecord(lab);
    if (!record.ok) return;
    const state = this.labs.get(lab);
    if (record.value === null) {
      this.labs.delete(lab);
    } else if (state === undefined) {
      this.labs.set(lab, { record: record.value, drift: null, checks: [] });
    } else {
      state.record = record.value;
    }
  }

  /** Nothing tells of changes of control groups; a lab that has some is looked at once a second. */
  private lookAtGroups(): void {
    if (performance.now() < this.nextGroupLook) return;
    const hasGroups = [...this.labs.values()].some(({ record }) => {
      if (!isUp(record, this.options.incarnation)) return false;
      const document = this.documentInForce(record);
      return document.ok && document.value.cpu !== undefined;
    });
    if (hasGroups) this.lookSoon();
  }

  private lookSoon(): void {
    if (this.closed || this.driftTimer !== undefined) return;
    this.driftTimer = setTimeout(() => {
      this.driftTimer = undefined;
      const begun = performance.now();
      this.lookAtDrift();
      const ended = performance.now();
      this.nextGroupLook = ended + (ended - begun) * groupLookPause;
    }, driftDelay);
    this.driftTimer.unref();
  }

  /** Compares every lab that is up with what the inventory shows; tells of differences that are new. */
  private lookAtDrift(): void {
    // During a transaction everything drifts; it looks again at its end.
    if (this.closed || this.runner.running !== null) return;
    for (const state of this.labs.values()) {
      const drift = this.driftOf(state.record);
      if (drift === state.drift) continue;
      state.drift = drift;
      this.publishStatus(state);
    }
  }

  private driftOf(record: LabRecord): number | null {
    if (!isUp(record, this.options.incarnation)) return null;
    const document = this.documentInForce(record);
    if (!document.ok) return null;
    const desired = document.value;
    const planned = this.planWith(record.name, desired, desired);
    return planned.operations.length + planned.refusals.length;
  }
}

export interface OpenedLabs {
  readonly labs: LabService;
  readonly recoveries: readonly Recovery[];
  /** What could not be read; it is left as it is. */
  readonly failures: readonly Failure[];
}

function recoverRealm(
  options: LabServiceOptions,
  openFlow: OpenFlowShelf,
  decided = false,
): Promise<Result<Recovered | null>> {
  const { stateDirectory, incarnation, store, faults, tracker } = options;
  return recover({
    decided,
    stateDirectory,
    incarnation,
    store,
    faults,
    makeExecutor: (entry) => {
      const documents = documentsOf(store, entry);
      return executorOf(options, entry.lab, documents.ok ? documents.value.base : null, null);
    },
    remaining: async (entry) => {
      const documents = documentsOf(store, entry);
      if (!documents.ok) return documents;
      const { desired } = documents.value;
      await openFlow.prepare(desired);
      tracker.refresh();
      const inventory = tracker.snapshot();
      const engine = engineInputOf(options.realm, openFlow, desired);
      const cpu = cpuInputOf(options, entry.lab);
      return remainingOf(
        planLab({ lab: entry.lab, ...documents.value, inventory, ...engine, ...cpu }),
      );
    },
  });
}

function executorOf(
  options: LabServiceOptions,
  lab: string,
  base: LabDocument | null,
  caller: Caller,
): KernelExecutor {
  const network = base === null ? null : networkOf(base);
  const isListed = (namespace: string | null, link: string): boolean => {
    if (network === null) return false;
    if (namespace !== null && link === 'lo') return network.namespaces.has(namespace);
    return network.links.has(linkKey(namespace, link));
  };
  return new KernelExecutor({
    lab,
    isListed,
    onRemoval: options.prepareRemoval,
    logDirectory: logDirectoryOf(options, lab),
    runsAs: runsAs(options.realm, caller),
    engines: options.engines,
    collectorProgram: options.collectorProgram,
    cgroups: options.cpu?.groupsOf(lab) ?? null,
  });
}

function logDirectoryOf(options: LabServiceOptions, lab: string): string {
  return path.join(options.stateDirectory, 'logs', lab);
}

function runsAs(realm: string, caller: Caller): RunsAs {
  return realm === 'host' ? { kind: 'person', uid: caller?.uid ?? null } : { kind: 'agent' };
}

/** On the host: why these operations cannot start the processes that they start, as the one who asks. */
function refusalsOfRuns(operations: readonly Operation[], caller: Caller): readonly Failure[] {
  const started = operations.flatMap((operation) =>
    operation.kind === 'start-process' && operation.uid === undefined ? [operation] : [],
  );
  // Their taps and the place of their consoles are the agent's.
  const machines = started.flatMap(({ name }) => machineOfProcess(name) ?? []);
  if (machines.length > 0) {
    return machines.map((node) => failureOf('refused', 'machine-on-host', node, { node }));
  }
  const runs = started.flatMap((operation) =>
    operation.namespace === null ? [] : [{ ...operation, namespace: operation.namespace }],
  );
  const asked = runs.filter(
    ({ name, command }) => relayOf(name, command) === null && !isCollector(name, command),
  );
  const uid = caller?.uid ?? 0;
  if (uid === 0) {
    return asked.map(({ name, namespace }) =>
      failureOf('refused', 'run-as-root', `process ${name} of ${namespace}`, {
        name,
        place: namespace,
      }),
    );
  }
  if (runs.length === 0) return [];
  const person = findPerson(uid);
  return person.ok ? [] : [person.failure];
}

/** What plans need to know of CPU groups. */
function cpuInputOf({ cpu, realm }: LabServiceOptions, lab: string): Pick<PlanInput, 'cpu'> {
  if (cpu !== undefined) return { cpu: cpu.observe(lab) };
  return { cpu: { kind: 'lacking', failure: failureOf('refused', 'cpu-in-sandbox', realm, {}) } };
}

/** What plans need to know of Open vSwitch. */
function engineInputOf(
  realm: string,
  openFlow: OpenFlowShelf,
  desired: LabDocument | null,
): Pick<PlanInput, 'openFlow' | 'realmEngine'> {
  return {
    openFlow: openFlow.of(desired).forms,
    realmEngine: realm === 'host' ? 'system' : 'private',
  };
}

function documentsOf(
  store: LabStore,
  entry: Journal,
): Result<{ readonly desired: LabDocument | null; readonly base: LabDocument | null }> {
  const parse = (text: string): Result<LabDocument> => {
    const { document, problems } = readDocument(text);
    return document === null ? fail(invalidDocument(null, problems)) : succeed(document);
  };
  const desired = entry.document === null ? succeed(null) : parse(entry.document);
  if (!desired.ok) return desired;
  if (entry.base === null) return succeed({ desired: desired.value, base: null });
  const text = store.readRevision(entry.lab, entry.base);
  if (!text.ok) return text;
  const base = parse(text.value);
  return base.ok ? succeed({ desired: desired.value, base: base.value }) : base;
}

function remainingOf(planned: LabPlan): Result<readonly Operation[]> {
  const [refusal] = planned.refusals;
  if (refusal !== undefined) return fail(refusal);
  return succeed(
    planned.operations.filter(
      (operation) => operation.kind !== 'change-link' || operation.unseen !== true,
    ),
  );
}

function sameRecord(before: LabRecord | null, arrival: Arrival): boolean {
  return JSON.stringify(before) === JSON.stringify(arrival.record);
}

function planId(
  parts: readonly (PlanGoal | readonly Failure[] | string | number | boolean | null)[],
): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function stalePlan(id: string): Failure {
  return {
    kind: 'stale-plan',
    code: 'stale-plan',
    object: id.slice(0, 128),
    reason:
      'The document, the revision in force or the network has changed since this plan was made.',
    next: 'Plan again and look at the difference.',
  };
}

function invalidDocument(path: string | null, problems: readonly Failure[]): Failure {
  const [first] = problems;
  return {
    kind: 'invalid-document',
    code: 'invalid-document',
    object: (path ?? 'document').slice(0, 512),
    reason:
      problems.length === 1 && first !== undefined
        ? first.reason
        : `The document has ${problems.length} problems.`,
    next: 'Correct the places that are listed.',
    values: { problems: problems.length },
    causes: problems.slice(0, 1000),
  };
}

function awaitingOf(deadline: Deadline): NonNullable<ApplyOutcome['awaiting']> {
  return { token: deadline.token, endsInMilliseconds: Math.round(deadline.remaining()) };
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

function awaitingConfirmation(lab: string): Failure {
  return {
    kind: 'busy',
    code: 'awaiting-confirmation',
    object: lab,
    reason: `A change of lab ${lab} waits to be confirmed; nothing else changes in this realm meanwhile.`,
    next: 'Confirm it or take it back first.',
    values: { lab },
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

function notUpForChecks(record: LabRecord): Failure {
  return {
    kind: 'refused',
    code: 'lab-not-up',
    object: record.name,
    reason: `Lab ${record.name} is not up, so there is nothing to check.`,
    next: 'Bring it up first.',
    values: { lab: record.name },
  };
}

function notUpForNode(record: LabRecord): Failure {
  return {
    ...notUpForChecks(record),
    reason: `Lab ${record.name} is not up, so its nodes do not exist.`,
  };
}
