/**
 * What a person can do with labs and realms: the code under both the bridge and the command line. It knows files,
 * records and agents, and composes what they say; it keeps no state of its own that matters.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type ApplyOutcome,
  asksForInternet,
  assertNever,
  type CheckResult,
  emptyInventory,
  fail,
  type Failure,
  type InterfaceStateChange,
  type Inventory,
  type LabRecord,
  type LabStatus,
  type Plan,
  type PlanGoal,
  type PlanTarget,
  type ProcessExit,
  type ProcessPlace,
  type ProcessProgress,
  type RealmName,
  type Result,
  succeed,
  type TerminalSize,
  type TransactionProgress,
} from '../../agent/api/index.ts';
import { planLab } from '../../agent/lab/plan.ts';
import type { BridgeStreamMessage } from '../bridge/host.ts';
import type { LabOverview, LabState, RealmOverview } from '../bridge/contract.ts';
import { hashOf, readTextFile } from '../library/atomic-file.ts';
import {
  agentLost,
  invalidDocument,
  nothingAwaits,
  notUp,
  realmAbsent,
  stalePlan,
  takenByOtherFile,
  unknownLab,
  unknownRevision,
  upElsewhere,
} from './failures.ts';
import {
  type FoundRecord,
  forgetLab,
  markDown,
  readRecord,
  readRecords,
  readRevision,
} from './lab-files.ts';
import { asksForTheSame, readLab } from './read-lab.ts';
import type { AgentConnection, RealmDoor, RealmSight, StartOptions } from './realm-door.ts';
import { RealmSession } from './realm-session.ts';

export interface WorkbenchOptions {
  readonly door: RealmDoor;
  /** Gets what changed; the streams of the bridge. */
  readonly publish?: (message: BridgeStreamMessage) => void;
}

interface RememberedPlan {
  readonly plan: Plan;
  readonly realm: RealmName;
  readonly target: PlanTarget;
  /** Made by the realm's agent, which knows it under the same id; else made here, against nothing. */
  readonly byAgent: boolean;
}

export interface ApplyOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TransactionProgress) => void) | undefined;
  /** Seconds; undefined is the plan's own; null is without a deadline. */
  readonly confirmWithin?: number | null | undefined;
}

export interface ProcessRequest {
  readonly place: ProcessPlace;
  /** Null starts the person's shell. */
  readonly command: readonly string[] | null;
  readonly terminal: TerminalSize | null;
}

export interface ProcessOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (progress: ProcessProgress) => void;
}

const maximumPlans = 200;
const settleMilliseconds = 20;

export class Workbench {
  readonly #door: RealmDoor;
  readonly #publish: (message: BridgeStreamMessage) => void;
  readonly #sessions = new Map<RealmName, RealmSession>();
  readonly #plans = new Map<string, RememberedPlan>();
  /** The agent's id of a plan that was shown under an id of ours. */
  readonly #shownIds = new Map<string, string>();
  /** What watched realms looked like last. */
  readonly #sights = new Map<RealmName, RealmSight['state']>();
  readonly #settling = new Map<string, NodeJS.Timeout>();
  /** What was published last of each realm and lab. */
  readonly #lastNews = new Map<string, string>();
  /** Realms that are still to be made and may have a way out then. */
  readonly #allowedInternet = new Set<RealmName>();
  /** Texts of kept revisions; they never change. */
  readonly #revisionTexts = new Map<string, string>();
  #stopWatching: (() => void) | null = null;

  constructor(options: WorkbenchOptions) {
    this.#door = options.door;
    this.#publish = options.publish ?? (() => undefined);
  }

  /** Follows realms that come, go and lose their agent, whoever causes it; publishes what changes. */
  watch(): void {
    this.#stopWatching ??= this.#door.watch((sight) => void this.#follow(sight));
  }

  /** Lets go of all agents; realms and labs go on. */
  close(): void {
    this.#stopWatching?.();
    this.#stopWatching = null;
    for (const timer of this.#settling.values()) clearTimeout(timer);
    this.#settling.clear();
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  // Realms

  /** Realms that run, and ended ones in which labs were up. */
  async realms(): Promise<readonly RealmOverview[]> {
    const overviews = await Promise.all(
      (await this.#door.list()).map((realm) => this.realm(realm)),
    );
    return overviews.filter(({ state, labs }) => isThere(state) || labs.length > 0);
  }

  /** A realm as it is now; connects to its agent if that runs. */
  async realm(realm: RealmName): Promise<RealmOverview> {
    const sight = await this.#door.look(realm);
    if (sight.state === 'running') await this.#session(realm).connect();
    return this.#compose(sight);
  }

  /** Makes what is missing of the realm's keeper and agent. */
  async startRealm(realm: RealmName, options: StartOptions = {}): Promise<Result<RealmOverview>> {
    const started = await this.#session(realm).start(options);
    return started.ok ? succeed(await this.realm(realm)) : started;
  }

  /** Starts the agent of a realm that has lost its own; one that has ended is not made again. */
  async startAgent(realm: RealmName): Promise<Result<RealmOverview>> {
    const started = await this.#session(realm).restart();
    return started.ok ? succeed(await this.realm(realm)) : started;
  }

  /** Ends the agent; the realm and its labs go on. */
  async stopAgent(realm: RealmName): Promise<Result<void>> {
    const stopped = await this.#door.stop(realm);
    await this.#announceRealm(realm);
    return stopped;
  }

  /** The person allows the realm a way out until it ends: at once where it is there, else when it is made. */
  async allowInternet(realm: RealmName): Promise<Result<void>> {
    const sight = await this.#door.look(realm);
    if (isThere(sight.state) || realm === 'host') {
      const opened = await this.#door.openOutside(realm);
      await this.#announceRealm(realm);
      return opened;
    }
    const possible = this.#door.canOpenOutside();
    if (possible.ok) this.#allowedInternet.add(realm);
    return possible;
  }

  /** Ends a realm and everything in it. */
  async endRealm(realm: RealmName): Promise<Result<void>> {
    this.#sessions.get(realm)?.close();
    this.#allowedInternet.delete(realm);
    const ended = await this.#door.end(realm);
    await this.#announceRealm(realm);
    return ended;
  }

  async inventory(realm: RealmName): Promise<Result<Inventory>> {
    const connected = await this.#connect(realm);
    if (!connected.ok) return connected;
    return this.#session(realm).inventory();
  }

  // Labs

  /** Every lab that a realm knows or has known, the most telling record of each name. */
  async records(): Promise<ReadonlyMap<string, FoundRecord>> {
    const realms = await this.#door.list();
    const found = await Promise.all(
      realms.map(async (realm): Promise<readonly FoundRecord[]> => {
        const sight = await this.#door.look(realm);
        const session = this.#session(realm);
        if (sight.state === 'running' && (await session.connect()).ok) {
          return session.statuses.map(({ record }) => ({ realm, record }));
        }
        return readRecords(this.#door.stateDirectory(realm), realm);
      }),
    );
    const best = new Map<string, FoundRecord>();
    for (const one of found.flat()) {
      const other = best.get(one.record.name);
      if (other === undefined || this.#isMoreTelling(one, other)) best.set(one.record.name, one);
    }
    return best;
  }

  async record(lab: string): Promise<FoundRecord | null> {
    return (await this.records()).get(lab) ?? null;
  }

  /** The realm that a lab is (or was last) in, else its own sandbox. */
  async realmOf(lab: string): Promise<RealmName> {
    return (await this.record(lab))?.realm ?? `sandbox:${lab}`;
  }

  /**
   * A lab's state. `text` is the document as the asker has it; null stands for the file at `path`, or for the one that
   * the lab was brought up from.
   */
  async overview(lab: string, path: string | null, text: string | null): Promise<LabOverview> {
    const found = await this.record(lab);
    if (found === null) return this.#overviewOf(null, lab, null);
    const file = path ?? found.record.path;
    const content = text === null && file !== null ? await readTextFile(file) : null;
    return this.#overviewOf(found, lab, text ?? (content?.ok === true ? content.value.text : null));
  }

  /** As `overview`, with the record at hand and the text already read. */
  async overviewFrom(
    found: FoundRecord | null,
    lab: string,
    text: string | null,
  ): Promise<LabOverview> {
    return this.#overviewOf(found, lab, text);
  }

  /** Text of a kept revision. */
  async revisionText(lab: string, revision: number): Promise<Result<string>> {
    const found = await this.record(lab);
    if (found === null) return fail(unknownLab(lab));
    return this.#revisionText(found, revision);
  }

  /**
   * What would change. Asks the realm's agent; where there is no realm yet the plan is against nothing, and applying
   * it makes the realm first. The id is never null.
   */
  async plan(target: PlanTarget, wish: RealmName | null): Promise<Result<Plan>> {
    const lab = labOfTarget(target);
    if (!lab.ok) return lab;
    const found = await this.record(lab.value);
    const realm = wish ?? found?.realm ?? `sandbox:${lab.value}`;
    if (target.kind === 'document' && found !== null && found.realm !== realm) {
      const up = found.record.up && isThere((await this.#door.look(found.realm)).state);
      if (up) return fail(upElsewhere(lab.value, found.realm));
    }
    const sight = await this.#door.look(realm);
    if (sight.state === 'running' || sight.state === 'starting') {
      const connected = await this.#connect(realm);
      if (!connected.ok) return connected;
      const plan = await connected.value.call('lab.plan', { target });
      if (plan.ok) this.#remember({ plan: plan.value, realm, target, byAgent: true });
      return plan;
    }
    // The machine is always there, and only its agent knows what is on it.
    if (sight.state === 'agent-lost' || realm === 'host') return fail(agentLost(realm));
    const plan = await this.#planAgainstNothing(lab.value, target, realm);
    if (plan.ok) this.#remember({ plan: plan.value, realm, target, byAgent: false });
    return plan;
  }

  /** Applies a plan that `plan` gave. The last lab that goes down takes its realm with it. */
  async apply(planId: string, options: ApplyOptions = {}): Promise<Result<ApplyOutcome>> {
    const remembered = this.#plans.get(planId);
    if (remembered === undefined) {
      return fail(stalePlan(planId.slice(0, 64), 'The plan is not known (any more).'));
    }
    const refusal = remembered.plan.refusals[0];
    if (refusal !== undefined) return fail(refusal);
    const { plan, realm } = remembered;
    // It was allowed, and a person who brings such a lab up counts on it.
    if (asksForWayOut(plan) && (await this.#door.look(realm)).outside === 'lost') {
      const opened = await this.#door.openOutside(realm);
      if (!opened.ok) return opened;
    }
    const outcome = remembered.byAgent
      ? await this.#applyPlan(realm, planId, planId, options)
      : await this.#applyFirst(remembered, planId, options);
    if (!outcome.ok) return outcome;
    this.#plans.delete(planId);
    // Whoever asks next (the checks of a lab that was new just now) is to find what was applied.
    await this.#session(realm).refresh();
    if (plan.goal.kind === 'down' && outcome.value.realmEmpty) await this.#endIfEmpty(realm);
    this.#announceLab(outcome.value.lab);
    return outcome;
  }

  /** Keeps the change that awaits its confirmation, or takes it back. `token` null stands for the one that there is. */
  async settle(
    call: 'lab.confirm' | 'lab.revert',
    lab: string,
    token: string | null,
  ): Promise<Result<ApplyOutcome>> {
    const realm = await this.#realmAwaiting(lab);
    const connected = await this.#connect(realm);
    if (!connected.ok) {
      return connected.failure.code === 'realm-absent' ? fail(nothingAwaits(lab)) : connected;
    }
    const session = this.#session(realm);
    const wanted = token ?? session.statusOf(lab)?.awaiting?.token;
    if (wanted === undefined) return fail(nothingAwaits(lab));
    const outcome = await connected.value.call(call, { lab, token: wanted });
    await session.refresh();
    this.#announceLab(lab);
    return outcome;
  }

  /** Changes that wait to be confirmed, of the realms that are connected. */
  awaiting(): readonly {
    readonly realm: RealmName;
    readonly lab: string;
    readonly status: NonNullable<LabStatus['awaiting']>;
  }[] {
    return [...this.#sessions].flatMap(([realm, session]) =>
      session.statuses.flatMap(({ record, awaiting }) =>
        awaiting === null ? [] : [{ realm, lab: record.name, status: awaiting }],
      ),
    );
  }

  /** The realm whose agent says that the lab awaits a confirmation, else the one that it is (or would be) in. */
  async #realmAwaiting(lab: string): Promise<RealmName> {
    const found = await this.record(lab);
    const awaiting = this.awaiting().find((change) => change.lab === lab);
    // A lab that was never up before is known to an agent only: its own realm may have lost that.
    return awaiting?.realm ?? found?.realm ?? `sandbox:${lab}`;
  }

  /** Runs the checks of a lab that is up. */
  async check(
    lab: string,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly onProgress?: ((result: CheckResult) => void) | undefined;
    } = {},
  ): Promise<Result<readonly CheckResult[]>> {
    const found = await this.record(lab);
    if (found === null) return fail(unknownLab(lab));
    const connected = await this.#connect(found.realm);
    if (!connected.ok) {
      return connected.failure.code === 'realm-absent' ? fail(notUp(found.record)) : connected;
    }
    const checked = await connected.value.call('lab.check', { lab }, options);
    return checked.ok ? succeed(checked.value.results) : checked;
  }

  /** Takes an interface of a lab that is up down, or brings it up, in the kernel alone. */
  async setInterfaceState(change: InterfaceStateChange): Promise<Result<void>> {
    const found = await this.record(change.lab);
    if (found === null) return fail(unknownLab(change.lab));
    const connected = await this.#connect(found.realm);
    if (!connected.ok) {
      return connected.failure.code === 'realm-absent' ? fail(notUp(found.record)) : connected;
    }
    const set = await connected.value.call('interface.setState', change);
    return set.ok ? succeed(undefined) : set;
  }

  /** Removes record and revisions of a lab that is not up; nothing to do for one that is not known. */
  async forget(lab: string): Promise<Result<void>> {
    const found = await this.record(lab);
    if (found === null) return succeed(undefined);
    const sight = await this.#door.look(found.realm);
    if (sight.state === 'agent-lost' || sight.state === 'starting') {
      return fail(agentLost(found.realm));
    }
    if (sight.state === 'running') {
      const connected = await this.#connect(found.realm);
      if (!connected.ok) return connected;
      const forgotten = await connected.value.call('lab.forget', { lab });
      return forgotten.ok ? succeed(undefined) : forgotten;
    }
    const forgotten = await forgetLab(this.#door.stateDirectory(found.realm), lab);
    this.#announceLab(lab);
    return forgotten;
  }

  /** Whether the lab's objects are (as far as can be known) in a kernel. */
  async isUp(lab: string): Promise<boolean> {
    const found = await this.record(lab);
    if (found === null) return false;
    const { state } = await this.#overviewOf(found, lab, null);
    return state !== 'new' && state !== 'down' && state !== 'gone';
  }

  // Processes

  /** Runs one command until it ends; its input, size and acknowledgements go through `connection`. */
  async run(
    realm: RealmName,
    request: ProcessRequest,
    options: ProcessOptions,
  ): Promise<Result<ProcessExit>> {
    const connected = await this.#connect(realm);
    if (!connected.ok) return connected;
    return connected.value.call(
      'process.run',
      {
        place: request.place,
        command: [...(request.command ?? [process.env['SHELL'] ?? '/bin/sh'])],
        terminal: request.terminal,
        console: request.command === null,
      },
      options,
    );
  }

  /** The connection to a realm's agent that runs; fails with `unreachable`. */
  connection(realm: RealmName): Promise<Result<AgentConnection>> {
    return this.#connect(realm);
  }

  // Below: how it is done

  #session(realm: RealmName): RealmSession {
    const present = this.#sessions.get(realm);
    if (present !== undefined) return present;
    const session = new RealmSession(realm, this.#door, {
      labChanged: (_realm, lab) => {
        this.#announceLab(lab);
      },
      transaction: (_realm, progress) => {
        this.#publish({ stream: 'transaction', value: this.#asShown(progress) });
      },
      inventoryReset: (of, inventory) => {
        this.#publish({ stream: 'inventory', value: { kind: 'reset', realm: of, inventory } });
      },
      inventoryDelta: (of, delta) => {
        this.#publish({ stream: 'inventory', value: { kind: 'delta', realm: of, delta } });
      },
      connectionChanged: (of) => {
        void this.#announceRealm(of);
      },
    });
    this.#sessions.set(realm, session);
    return session;
  }

  async #connect(realm: RealmName): Promise<Result<AgentConnection>> {
    const session = this.#session(realm);
    if (session.connection !== null) return succeed(session.connection);
    const { state } = await this.#door.look(realm);
    if (state === 'agent-lost') return fail(agentLost(realm));
    if (state === 'absent' || state === 'gone') return fail(realmAbsent(realm));
    return session.connect();
  }

  async #planAgainstNothing(
    lab: string,
    target: PlanTarget,
    realm: RealmName,
  ): Promise<Result<Plan>> {
    const state = this.#door.stateDirectory(realm);
    const record = (await readRecord(state, realm, lab))?.record ?? null;
    const goal = goalAgainstNothing(target, lab, record);
    if (!goal.ok) return goal;
    const base = { id: `main-${randomUUID()}`, lab, realm, base: null } as const;
    if (goal.value.kind === 'down') {
      return succeed({
        ...base,
        goal: goal.value,
        document: null,
        steps: [],
        warnings: [],
        refusals: [],
        confirm: null,
      });
    }
    const path = target.kind === 'document' ? target.path : (record?.path ?? null);
    const text =
      goal.value.kind === 'document'
        ? succeed(target.kind === 'document' ? target.text : '')
        : await readRevision(state, lab, goal.value.revision);
    if (!text.ok) return text;
    const { document, problems } = readLab(text.value, path ?? undefined);
    if (document === null || problems.length > 0) {
      return fail(invalidDocument(path ?? lab, problems));
    }
    const planned = planLab({
      lab,
      desired: document,
      base: null,
      inventory: emptyInventory,
      ...(this.#allowedInternet.has(realm) ? { internet: 'allowed' as const } : {}),
    });
    const taken =
      target.kind === 'document' &&
      !target.replace &&
      record !== null &&
      record.path !== null &&
      record.path !== target.path
        ? [takenByOtherFile(record, target.path)]
        : [];
    return succeed({
      ...base,
      goal: goal.value,
      document: text.value,
      steps: [...planned.steps],
      warnings: [...planned.warnings],
      refusals: [...taken, ...planned.refusals],
      confirm: planned.confirm,
    });
  }

  #remember(remembered: RememberedPlan): void {
    const { id } = remembered.plan;
    if (id === null) return;
    this.#plans.delete(id);
    this.#plans.set(id, remembered);
    if (this.#plans.size > maximumPlans) {
      const [oldest] = this.#plans.keys();
      if (oldest !== undefined) this.#plans.delete(oldest);
    }
  }

  #asShown(progress: TransactionProgress): TransactionProgress {
    const shown = this.#shownIds.get(progress.plan);
    return shown === undefined ? progress : { ...progress, plan: shown };
  }

  async #applyPlan(
    realm: RealmName,
    agentId: string,
    shownId: string,
    options: ApplyOptions,
  ): Promise<Result<ApplyOutcome>> {
    const connected = await this.#connect(realm);
    if (!connected.ok) return connected;
    if (agentId !== shownId) this.#shownIds.set(agentId, shownId);
    const outcome = await connected.value.call(
      'lab.apply',
      {
        plan: agentId,
        ...(options.confirmWithin === undefined ? {} : { confirmWithin: options.confirmWithin }),
      },
      {
        signal: options.signal,
        onProgress: (progress) => options.onProgress?.(this.#asShown(progress)),
      },
    );
    this.#shownIds.delete(agentId);
    return outcome;
  }

  /** Applies a plan that was made against nothing: makes the realm, and sees there whether it still is nothing. */
  async #applyFirst(
    { plan, realm, target }: RememberedPlan,
    shownId: string,
    options: ApplyOptions,
  ): Promise<Result<ApplyOutcome>> {
    if (plan.goal.kind === 'down') return this.#settleGone(plan.lab, realm);
    const before = await this.#door.look(realm);
    const started = await this.#session(realm).start();
    if (!started.ok) return started;
    // The word was given for a realm of this name that was to be made; it is spent with that.
    const allowed = this.#allowedInternet.delete(realm);
    const opened =
      allowed && asksForWayOut(plan) ? await this.#door.openOutside(realm) : succeed(undefined);
    const outcome = opened.ok
      ? await this.#applyInNewRealm(started.value, plan, realm, target, shownId, options)
      : opened;
    // A realm that was made for this and holds nothing is not left behind.
    if (!outcome.ok && !isThere(before.state)) await this.#endIfEmpty(realm);
    return outcome;
  }

  async #applyInNewRealm(
    agent: AgentConnection,
    plan: Plan,
    realm: RealmName,
    target: PlanTarget,
    shownId: string,
    options: ApplyOptions,
  ): Promise<Result<ApplyOutcome>> {
    if (options.signal?.aborted === true) return fail(cancelled(plan.lab));
    const again = await agent.call('lab.plan', { target });
    if (!again.ok) return again;
    const refusal = again.value.refusals[0];
    if (refusal !== undefined) return fail(refusal);
    if (again.value.id === null || !isDeepStrictEqual(knownSteps(again.value), knownSteps(plan))) {
      return fail(
        stalePlan(plan.lab, 'The realm is not as empty as it was when the plan was made.'),
      );
    }
    return this.#applyPlan(realm, again.value.id, shownId, options);
  }

  /** Taking down what has gone with its realm: its record says so from now on. */
  async #settleGone(lab: string, realm: RealmName): Promise<Result<ApplyOutcome>> {
    const begun = performance.now();
    const state = this.#door.stateDirectory(realm);
    const found = await readRecord(state, realm, lab);
    if (found === null) return fail(unknownLab(lab));
    if (found.record.up) {
      const marked = await markDown(state, found.record);
      if (!marked.ok) return marked;
    }
    return succeed({
      lab,
      up: false,
      revision: found.record.revision,
      operations: 0,
      milliseconds: performance.now() - begun,
      realmEmpty: false,
      awaiting: null,
    });
  }

  /** Ends a realm whose agent runs and has no lab up. */
  async endEmptyRealm(realm: RealmName): Promise<void> {
    if ((await this.#connect(realm)).ok) await this.#endIfEmpty(realm);
  }

  async #endIfEmpty(realm: RealmName): Promise<void> {
    if (realm === 'host') return;
    const { connection } = this.#session(realm);
    if (connection !== null) {
      const listed = await connection.call('lab.list', {});
      if (!listed.ok || listed.value.labs.some(({ record, busy }) => record.up || busy)) return;
    }
    await this.endRealm(realm);
  }

  #isMoreTelling(one: FoundRecord, other: FoundRecord): boolean {
    const rank = ({ realm, record }: FoundRecord): number => {
      if (!record.up) return 0;
      return this.#sessions.get(realm)?.connection?.info.incarnation === record.incarnation ? 2 : 1;
    };
    if (rank(one) !== rank(other)) return rank(one) > rank(other);
    const time = ({ record }: FoundRecord): string => record.revisions.at(-1)?.time ?? '';
    return time(one) > time(other);
  }

  async #revisionText({ realm, record }: FoundRecord, revision: number): Promise<Result<string>> {
    // Numbers are used again after an undo and a new document; times are not.
    const time = record.revisions.find(({ number }) => number === revision)?.time;
    if (time === undefined) return fail(unknownRevision(record.name, revision));
    const key = `${realm} ${record.name} ${String(revision)} ${time}`;
    const known = this.#revisionTexts.get(key);
    if (known !== undefined) return succeed(known);
    const connection = this.#sessions.get(realm)?.connection ?? null;
    let text: Result<string>;
    if (connection === null) {
      text = await readRevision(this.#door.stateDirectory(realm), record.name, revision);
    } else {
      const answer = await connection.call('lab.document', { lab: record.name, revision });
      text = !answer.ok
        ? answer
        : answer.value.text === null
          ? fail(unknownRevision(record.name, revision))
          : succeed(answer.value.text);
    }
    if (text.ok) {
      if (this.#revisionTexts.size >= 100) this.#revisionTexts.clear();
      this.#revisionTexts.set(key, text.value);
    }
    return text;
  }

  async #overviewOf(
    found: FoundRecord | null,
    lab: string,
    text: string | null,
  ): Promise<LabOverview> {
    if (found === null) {
      return {
        name: lab,
        state: 'new',
        realm: `sandbox:${lab}`,
        status: null,
        canUndo: false,
        canRedo: false,
        revisions: [],
      };
    }
    const { realm, record } = found;
    const session = this.#sessions.get(realm);
    const status = session?.statusOf(lab) ?? null;
    const agent = session?.connection ?? null;
    const sight = agent === null ? await this.#door.look(realm) : null;
    const inForce = record.up && record.incarnation === agent?.info.incarnation;
    const state = await this.#stateOf(found, status, inForce, sight, text);
    const canRedo = record.revisions.some(({ number }) => number > record.revision);
    return {
      name: lab,
      state,
      realm,
      status,
      canUndo: inForce && record.revision > 0,
      // At revision 0 everything was undone; the realm need not be there for the way back.
      canRedo: canRedo && (inForce || (!record.up && record.revision === 0)),
      revisions: record.revisions,
    };
  }

  async #stateOf(
    found: FoundRecord,
    status: LabStatus | null,
    inForce: boolean,
    sight: RealmSight | null,
    text: string | null,
  ): Promise<LabState> {
    const { record } = found;
    if (!record.up) return 'down';
    if (!inForce) {
      return sight !== null && isThere(sight.state) ? 'unknown' : 'gone';
    }
    if (status !== null && status.drift !== null && status.drift > 0) return 'drifted';
    if (text === null || record.documentHash === null) return 'up';
    if (hashOf(text) === record.documentHash) return 'up';
    const base = await this.#revisionText(found, record.revision);
    return base.ok && asksForTheSame(base.value, text) ? 'up' : 'changed';
  }

  async #compose(sight: RealmSight): Promise<RealmOverview> {
    const session = this.#sessions.get(sight.realm);
    const info = session?.connection?.info ?? null;
    const records =
      info === null
        ? await readRecords(this.#door.stateDirectory(sight.realm), sight.realm)
        : (session?.statuses ?? [])
            .filter(({ record }) => record.incarnation === info.incarnation)
            .map(({ record }) => ({ realm: sight.realm, record }));
    return {
      ...sight,
      labs: records
        .filter(({ record }) => record.up)
        .map(({ record }) => record.name)
        .sort(),
      agent: info,
    };
  }

  /** A realm looks different: connects to an agent that has come, lets go of one that has gone, and tells. */
  async #follow(sight: RealmSight): Promise<void> {
    const { realm, state } = sight;
    const known = this.#sights.get(realm);
    this.#sights.set(realm, state);
    const session = this.#session(realm);
    if (!isThere(state)) session.close();
    if (state === 'running' && session.connection === null) await session.connect();
    if (known === undefined && !isThere(state)) return;
    await this.#announceRealm(realm);
  }

  async #announceRealm(realm: RealmName): Promise<void> {
    if (this.#stopWatching === null) return;
    const overview = await this.#compose(await this.#door.look(realm));
    this.#publishNews(`realm ${realm}`, { stream: 'realm', value: overview });
    for (const { record } of await readRecords(this.#door.stateDirectory(realm), realm)) {
      this.#announceLab(record.name);
    }
  }

  /** Several causes often have one effect: what was said last is not said again. */
  #publishNews(subject: string, message: BridgeStreamMessage): void {
    const text = JSON.stringify(message.value);
    if (this.#lastNews.get(subject) === text) return;
    this.#lastNews.set(subject, text);
    this.#publish(message);
  }

  /** Several events at once make one message. */
  #announceLab(lab: string): void {
    if (this.#settling.has(lab) || this.#stopWatching === null) return;
    this.#settling.set(
      lab,
      setTimeout(() => {
        this.#settling.delete(lab);
        void this.overview(lab, null, null).then((overview) => {
          this.#publishNews(`lab ${lab}`, { stream: 'lab', value: overview });
        });
      }, settleMilliseconds),
    );
  }
}

function isThere(state: RealmSight['state']): boolean {
  return state === 'running' || state === 'agent-lost' || state === 'starting';
}

function cancelled(lab: string): Failure {
  return {
    kind: 'cancelled',
    code: 'cancelled',
    object: lab,
    reason: 'It was cancelled before anything changed.',
    next: 'Nothing needs to be done.',
  };
}

function labOfTarget(target: PlanTarget): Result<string> {
  if (target.kind !== 'document') return succeed(target.lab);
  const { document, problems } = readLab(target.text, target.path ?? undefined);
  if (document !== null && problems.length === 0) return succeed(document.name);
  return fail(invalidDocument(target.path ?? 'the document', problems));
}

/** Where a request leads when there is no realm; the same rules as the agent's. */
function goalAgainstNothing(
  target: PlanTarget,
  lab: string,
  record: LabRecord | null,
): Result<PlanGoal> {
  if (target.kind === 'document') return succeed({ kind: 'document' });
  if (record === null) return fail(unknownLab(lab));
  switch (target.kind) {
    case 'down':
      return succeed({ kind: 'down' });
    case 'revision': {
      const kept = record.revisions.some(({ number }) => number === target.revision);
      if (target.revision === 0) return fail(notUp(record));
      return kept
        ? succeed({ kind: 'revision', revision: target.revision })
        : fail(unknownRevision(lab, target.revision));
    }
    case 'undo':
      return fail(notUp(record));
    case 'redo': {
      const later = record.revisions.find(({ number }) => number > record.revision);
      return record.up || record.revision !== 0 || later === undefined
        ? fail(notUp(record))
        : succeed({ kind: 'revision', revision: later.number });
    }
    default:
      return assertNever(target);
  }
}

/** Whether what a plan leads to stands for more than its realm. */
function asksForWayOut({ document }: Plan): boolean {
  const read = document === null ? null : readLab(document).document;
  return read !== null && asksForInternet(read);
}

/**
 * Steps as far as they can be known before there is a realm: not which datapath Open vSwitch will have there, nor the form in
 * which it reads the lines of its tables, nor the CPUs that cgroup v1 wants written out where a group has its parent's.
 */
function knownSteps({ steps }: Plan): readonly unknown[] {
  return steps.map(({ commands: _, changes, ...step }) => ({
    ...step,
    changes:
      step.object === 'openflow'
        ? []
        : changes.filter(({ field }) => field !== 'datapath' && field !== 'pins'),
  }));
}
