/** Plans of labs: what a request for one asks for, and what it would take. */
import { createHash } from 'node:crypto';
import type { PlanTarget } from '../api/calls.ts';
import type { LabDocument } from '../api/document.ts';
import type { LabRecord } from '../api/lab.ts';
import type { Plan, PlanGoal, Warning } from '../api/plan.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { fingerprint } from '../apply/fingerprint.ts';
import { type Destination, findDestination, isUp, nameConflict } from '../apply/history.ts';
import { findBridgedDrop } from '../kernel/bridge-filter.ts';
import { findPerson } from '../kernel/person.ts';
import { isCollector } from '../lab/collector.ts';
import type { Operation } from '../lab/operation.ts';
import type { PlanInput } from '../lab/plan-input.ts';
import { type LabPlan, planLab } from '../lab/plan.ts';
import { failureOf } from '../lab/sentences.ts';
import { relayOf } from '../lab/tunnel.ts';
import { machineOfProcess } from '../lab/virtual-machine.ts';
import { invalidDocument, type LabDocuments } from './lab-documents.ts';
import { notDelegated } from './cpu-realm.ts';
import type { Caller, LabServiceOptions } from './lab-options.ts';
import type { LabStates } from './lab-states.ts';
import type { OpenFlowShelf } from './openflow-shelf.ts';

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

export interface Draft {
  readonly plan: Plan & { readonly id: string };
  readonly intent: Intent;
  readonly operations: readonly Operation[];
  readonly recordBefore: LabRecord | null;
  readonly baseDocument: LabDocument | null;
  /** Interfaces with the only way out of their namespace, which it moves. */
  readonly onlyWays: readonly string[];
}

const keptPlans = 64;

export class LabPlanner {
  /** Requests behind plan ids, the oldest first. */
  readonly plans = new Map<string, { readonly lab: string; readonly target: PlanTarget }>();
  private readonly options: LabServiceOptions;
  private readonly states: LabStates;
  private readonly documents: LabDocuments;
  private readonly openFlow: OpenFlowShelf;

  constructor(
    options: LabServiceOptions,
    states: LabStates,
    documents: LabDocuments,
    openFlow: OpenFlowShelf,
  ) {
    this.options = options;
    this.states = states;
    this.documents = documents;
    this.openFlow = openFlow;
  }

  /** Asks Open vSwitch about what a plan for this target will compare. To be waited for before `plan`. */
  async prepare(target: PlanTarget): Promise<void> {
    const intent = this.readIntent(target);
    if (!intent.ok) return;
    await this.openFlow.prepare(intent.value.desired);
    const record = this.states.byName.get(intent.value.lab)?.record;
    if (record !== undefined) await this.prepareInForce(record);
  }

  /** As `prepare`, for a lab’s document in force. */
  async prepareInForce(record: LabRecord): Promise<void> {
    if (!isUp(record, this.options.incarnation)) return;
    const document = this.states.inForce(record);
    if (document.ok) await this.openFlow.prepare(document.value);
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

  /** The plan, and what carrying it out needs. */
  draft(target: PlanTarget, caller: Caller): Result<Draft> {
    const intent = this.readIntent(target);
    if (!intent.ok) return intent;
    const { lab, destination, desired, text } = intent.value;
    const { incarnation, realm, tracker, readOnly } = this.options;
    const recordBefore = this.states.byName.get(lab)?.record ?? null;
    const up = recordBefore !== null && isUp(recordBefore, incarnation);
    const base = up ? recordBefore.revision : null;
    let baseDocument: LabDocument | null = null;
    if (up) {
      const document = this.states.inForce(recordBefore);
      if (!document.ok) return document;
      baseDocument = document.value;
    }
    tracker.refresh();
    // A sandbox's own switches are off (`furnishRealm`); the machine's are left as they are.
    const bridgedDrop = realm === 'host' && desired !== null ? findBridgedDrop() : null;
    const planned = planLab({
      ...planInputOf(this.options, this.openFlow, lab, { desired, base: baseDocument }),
      bridgedDrop,
      ...(realm === 'host' ? { internet: 'host' as const } : {}),
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

  /** Against what the inventory shows now. */
  planWith(lab: string, desired: LabDocument | null, base: LabDocument | null): LabPlan {
    return planAgain(this.options, this.openFlow, lab, { desired, base });
  }

  /** As `findRemaining`. */
  remaining(
    lab: string,
    desired: LabDocument | null,
    base: LabDocument | null,
  ): Promise<Result<readonly Operation[]>> {
    return findRemaining(this.options, this.openFlow, lab, { desired, base });
  }

  private readIntent(target: PlanTarget): Result<Intent> {
    if (target.kind === 'document') {
      const read = this.documents.read(target.text, target.path);
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
    const record = this.states.byName.get(target.lab)?.record ?? null;
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
    const document = this.documents.readKept(text.value);
    return document.ok
      ? succeed({ ...intent, text: text.value, desired: document.value })
      : document;
  }
}

type Documents = Pick<PlanInput, 'desired' | 'base'>;

/** After a change: the operations that are still to be done, by a fresh look at kernel and Open vSwitch. */
export async function findRemaining(
  options: LabServiceOptions,
  openFlow: OpenFlowShelf,
  lab: string,
  documents: Documents,
): Promise<Result<readonly Operation[]>> {
  await openFlow.prepare(documents.desired);
  options.tracker.refresh();
  const planned = planAgain(options, openFlow, lab, documents);
  const [refusal] = planned.refusals;
  if (refusal !== undefined) return fail(refusal);
  return succeed(
    planned.operations.filter(
      (operation) => operation.kind !== 'change-link' || operation.unseen !== true,
    ),
  );
}

function planAgain(
  options: LabServiceOptions,
  openFlow: OpenFlowShelf,
  lab: string,
  documents: Documents,
): LabPlan {
  return planLab(planInputOf(options, openFlow, lab, documents));
}

/** The same for every plan of a realm: a roll-back is whole when the plan for the same goal is what it was before. */
function planInputOf(
  options: LabServiceOptions,
  openFlow: OpenFlowShelf,
  lab: string,
  documents: Documents,
): PlanInput {
  const { realm, tracker, lackOf } = options;
  return {
    lab,
    ...documents,
    inventory: tracker.snapshot(),
    ...(lackOf === undefined ? {} : { lackOf }),
    openFlow: openFlow.of(documents.desired).forms,
    realmEngine: realm === 'host' ? 'system' : 'private',
    ...cpuInputOf(options, lab),
  };
}

/** What plans need to know of CPU groups. */
function cpuInputOf({ cpu, realm }: LabServiceOptions, lab: string): Pick<PlanInput, 'cpu'> {
  if (cpu !== undefined) return { cpu: cpu.observe(lab) };
  return { cpu: { kind: 'lacking', failure: notDelegated(realm) } };
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

function planId(
  parts: readonly (PlanGoal | readonly Failure[] | string | number | boolean | null)[],
): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

export function stalePlan(id: string): Failure {
  return {
    kind: 'stale-plan',
    code: 'stale-plan',
    object: id.slice(0, 128),
    reason:
      'The document, the revision in force or the network has changed since this plan was made.',
    next: 'Plan again and look at the difference.',
  };
}
