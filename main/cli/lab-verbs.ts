/** up, plan, check, undo, redo, down, list. */
import { createInterface } from 'node:readline/promises';
import {
  type ApplyOutcome,
  asksForInternet,
  type CheckResult,
  fail,
  type Failure,
  type Plan,
  type PlanTarget,
  type RealmName,
  type Result,
  succeed,
  transcriptOf,
} from '../../agent/api/index.ts';
import { scaleSplit } from '../../agent/lab/scale-cpu.ts';
import { invalidDocument } from '../workbench/failures.ts';
import { listLabs } from '../workbench/lab-list.ts';
import { readLab } from '../workbench/read-lab.ts';
import { takeAllDown, takeDown } from '../workbench/take-down.ts';
import {
  askWhetherToKeep,
  awaitingWords,
  howToConfirm,
  settleChange,
  settledSentence,
} from './awaiting-verbs.ts';
import { type Context, labOf, parseRealm, readSource } from './context.ts';
import {
  describeCheck,
  describePlan,
  type ExitCode,
  formatTable,
  printFailure,
  printJson,
  printProgress,
  printResult,
} from './output.ts';

export interface UpOptions {
  readonly realm?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
  readonly replace?: boolean;
  readonly revision?: number;
  /** Seconds. */
  readonly confirmWithin?: number | 'never';
  readonly internet?: boolean;
  readonly scale?: boolean;
}

/** A plan; an agent that is lost is started again first, since the plan is there to be applied. */
async function planToApply(
  context: Context,
  target: PlanTarget,
  lab: string,
  realm: RealmName | null,
): Promise<Result<Plan>> {
  const plan = await context.workbench.plan(target, realm);
  if (plan.ok || plan.failure.code !== 'agent-lost') return plan;
  const lost = realm ?? (await context.workbench.realmOf(lab));
  printProgress(`The agent of ${lost} does not answer; starting it again.`);
  const started = await context.workbench.startAgent(lost);
  return started.ok ? context.workbench.plan(target, realm) : started;
}

/** Asks on the terminal. Without one there is nobody to ask. */
async function confirm(question: string): Promise<Result<boolean>> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    return fail({
      kind: 'refused',
      code: 'not-confirmed',
      object: 'plan',
      reason: 'There is no terminal on which it could be confirmed.',
      next: 'Look at it with netloom plan, then give --yes.',
    });
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`${question} [y/N] `);
    return succeed(/^y(?:es)?$/i.test(answer.trim()));
  } finally {
    prompt.close();
  }
}

/** Aborted by Ctrl-C: an apply is then rolled back. A second Ctrl-C ends the command as usual. */
export function interruptSignal(): { readonly signal: AbortSignal; readonly release: () => void } {
  const abort = new AbortController();
  const interrupt = (): void => {
    abort.abort();
    process.off('SIGINT', interrupt);
  };
  process.on('SIGINT', interrupt);
  return {
    signal: abort.signal,
    release: () => process.off('SIGINT', interrupt),
  };
}

async function applyPlan(
  context: Context,
  plan: Plan,
  confirmWithin: number | null | undefined,
): Promise<Result<ApplyOutcome>> {
  const { signal, release } = interruptSignal();
  let phase = '';
  try {
    return await context.workbench.apply(plan.id ?? '', {
      signal,
      confirmWithin,
      onProgress: (progress) => {
        if (progress.phase === phase) return;
        phase = progress.phase;
        if (phase === 'roll-back') printProgress(`${plan.lab}: a step failed; rolling back.`);
      },
    });
  } finally {
    release();
  }
}

function sentenceOf(outcome: ApplyOutcome, realm: string): string {
  const { lab, up, revision, operations, milliseconds } = outcome;
  const count = `${String(operations)} ${operations === 1 ? 'operation' : 'operations'}`;
  const effort = `${count} in ${milliseconds.toFixed(0)} ms`;
  if (up) return `${lab} is up in ${realm} at revision ${String(revision)}: ${effort}.`;
  return revision === 0 ? `${lab} is back at nothing: ${effort}.` : `${lab} is down: ${effort}.`;
}

async function runChecks(
  context: Context,
  lab: string,
  json: boolean,
): Promise<Result<readonly CheckResult[]>> {
  const { signal, release } = interruptSignal();
  try {
    return await context.workbench.check(lab, {
      signal,
      onProgress: (result) => {
        if (json) printProgress(describeCheck(result));
        else printResult(describeCheck(result));
      },
    });
  } finally {
    release();
  }
}

const holds = (checks: readonly CheckResult[]): boolean =>
  checks.every(({ outcome }) => outcome !== 'failed');

/** The plan with the time that was asked for instead of its own. */
function withTime(plan: Plan, confirmWithin: number | null | undefined): Plan {
  if (plan.confirm === null || confirmWithin === undefined) return plan;
  const confirm = confirmWithin === null ? null : { ...plan.confirm, within: confirmWithin };
  return { ...plan, confirm };
}

/** The document for the CPUs that the machine has, where the plan says that those are too few; null where they are not. */
function scaledTarget(target: PlanTarget, { refusals }: Plan): Result<PlanTarget | null> {
  const has = refusals.find(({ code }) => code === 'cpu-too-few-cores')?.values?.['has'];
  if (target.kind !== 'document' || typeof has !== 'number') return succeed(null);
  const { document } = readLab(target.text);
  if (document === null) return succeed(null);
  const text = scaleSplit(target.text, document, has);
  return text.ok ? succeed({ ...target, text: text.value }) : text;
}

/** Shows a plan, has it confirmed, applies it and, where the lab is up then, runs its checks. */
async function carryOut(
  context: Context,
  target: PlanTarget,
  lab: string,
  options: {
    readonly realm: RealmName | null;
    readonly yes: boolean;
    readonly json: boolean;
    readonly checks: boolean;
    readonly confirmWithin?: number | null | undefined;
    /** Whether the person allows the realm a way out. */
    readonly internet?: boolean;
    /** Whether a CPU split for more CPUs is made smaller. */
    readonly scale?: boolean;
  },
): Promise<ExitCode> {
  const { json } = options;
  if (options.internet === true) {
    const { workbench } = context;
    const allowed = await workbench.allowInternet(options.realm ?? (await workbench.realmOf(lab)));
    if (!allowed.ok) return printFailure(allowed.failure, json);
  }
  let planned = await planToApply(context, target, lab, options.realm);
  if (planned.ok && options.scale === true) {
    const scaled = scaledTarget(target, planned.value);
    if (!scaled.ok) return printFailure(scaled.failure, json);
    if (scaled.value !== null) {
      planned = await planToApply(context, scaled.value, lab, options.realm);
    }
  }
  if (!planned.ok) return printFailure(planned.failure, json);
  const plan = planned.value;
  printProgress(describePlan(withTime(plan, options.confirmWithin)));
  const [refusal] = plan.refusals;
  if (refusal !== undefined) {
    for (const other of plan.refusals.slice(1)) printFailure(other);
    printFailure(refusal, json);
    return 1;
  }
  if (plan.steps.length > 0 && !options.yes) {
    const confirmed = await confirm('Apply?');
    if (!confirmed.ok) return printFailure(confirmed.failure, json);
    if (!confirmed.value) {
      printProgress('Nothing was changed.');
      return 1;
    }
  }
  const applied = await applyPlan(context, plan, options.confirmWithin);
  if (!applied.ok) {
    const code = printFailure(applied.failure, json);
    return code === 2 ? 1 : code;
  }
  const outcome = applied.value;
  if (!json) printResult(sentenceOf(outcome, plan.realm));
  const checked =
    options.checks && outcome.up
      ? await runChecks(context, outcome.lab, json)
      : succeed<readonly CheckResult[]>([]);
  if (json) {
    printJson({
      lab: outcome.lab,
      realm: plan.realm,
      steps: plan.steps,
      warnings: plan.warnings,
      outcome,
      checks: checked.ok ? checked.value : null,
    });
  }
  const { awaiting } = outcome;
  if (awaiting !== null) {
    const code = await decide(context, outcome.lab, awaiting.token);
    if (code !== 0) return code;
  }
  if (!checked.ok) return printFailure(checked.failure);
  return holds(checked.value) ? 0 : 1;
}

/** Asks whether a change is to stay; without a terminal says how to answer. */
async function decide(context: Context, lab: string, token: string): Promise<ExitCode> {
  // The checks have taken some of the time.
  const { status } = await context.workbench.overview(lab, null, null);
  const awaiting = status?.awaiting ?? null;
  if (awaiting?.token !== token) return printFailure(notKept(lab));
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    printProgress(`${lab} ${awaitingWords(awaiting)}. ${howToConfirm(lab)}`);
    return 0;
  }
  const answer = await askWhetherToKeep(awaiting);
  if (answer === 'late') return printFailure(notKept(lab));
  if (answer === 'nothing') {
    printProgress(`Not answered: it goes back when its time is over. ${howToConfirm(lab)}`);
    return 1;
  }
  const call = answer === 'keep' ? 'lab.confirm' : 'lab.revert';
  const settled = await settleChange(context, call, lab, token);
  if (!settled.ok) return printFailure(settled.failure);
  printProgress(settledSentence(call, settled.value));
  return answer === 'keep' ? 0 : 1;
}

function notKept(lab: string): Failure {
  return {
    kind: 'timeout',
    code: 'not-confirmed-in-time',
    object: lab,
    reason: `The change of lab ${lab} was not confirmed in time and is taken back.`,
    next: 'Apply again and confirm it.',
    values: { lab },
  };
}

export async function up(context: Context, word: string, options: UpOptions): Promise<ExitCode> {
  const json = options.json === true;
  const confirmWithin = options.confirmWithin === 'never' ? null : options.confirmWithin;
  const common = { yes: options.yes === true, json, checks: true, confirmWithin };
  const internet = options.internet === true;
  if (options.revision !== undefined) {
    const lab = await labOf(context, word);
    if (!lab.ok) return printFailure(lab.failure, json);
    const realm = parseRealm(options.realm, lab.value);
    if (!realm.ok) return printFailure(realm.failure, json);
    const target = { kind: 'revision', lab: lab.value, revision: options.revision } as const;
    return carryOut(context, target, lab.value, { ...common, internet, realm: realm.value });
  }
  const source = await readSource(context, word);
  if (!source.ok) return printFailure(source.failure, json);
  const { path, text } = source.value;
  const { document, problems, advice } = readLab(text, path);
  if (document === null || problems.length > 0) {
    return printFailure(invalidDocument(path, problems), json);
  }
  for (const one of advice) printProgress(`advice: ${one.object}: ${one.reason}`);
  const realm = parseRealm(options.realm, document.name);
  if (!realm.ok) return printFailure(realm.failure, json);
  const target = { kind: 'document', text, path, replace: options.replace === true } as const;
  const asks = asksForInternet(document);
  if (internet && !asks) {
    printProgress(
      'advice: --internet: the lab has no node of the kind internet; nothing is opened.',
    );
  }
  const allows = { internet: internet && asks, scale: options.scale === true };
  return carryOut(context, target, document.name, { ...common, ...allows, realm: realm.value });
}

export async function plan(
  context: Context,
  word: string,
  options: { readonly commands?: boolean; readonly json?: boolean; readonly realm?: string },
): Promise<ExitCode> {
  const json = options.json === true;
  const source = await readSource(context, word);
  if (!source.ok) return printFailure(source.failure, json);
  const { path, text } = source.value;
  const { document, problems } = readLab(text, path);
  if (document === null || problems.length > 0) {
    return printFailure(invalidDocument(path, problems), json);
  }
  const realm = parseRealm(options.realm, document.name);
  if (!realm.ok) return printFailure(realm.failure, json);
  const target = { kind: 'document', text, path, replace: false } as const;
  const planned = await context.workbench.plan(target, realm.value);
  if (!planned.ok) return printFailure(planned.failure, json);
  if (json) {
    // An id of ours means something to this process alone.
    const againstNothing = planned.value.id?.startsWith('main-') === true;
    printJson(againstNothing ? { ...planned.value, id: null } : planned.value);
  } else if (options.commands === true) {
    process.stdout.write(transcriptOf(planned.value));
  } else {
    printResult(describePlan(planned.value));
  }
  for (const refusal of planned.value.refusals) printFailure(refusal);
  return planned.value.refusals.length > 0 ? 1 : 0;
}

export async function check(
  context: Context,
  word: string,
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const checked = await runChecks(context, lab.value, json);
  if (!checked.ok) return printFailure(checked.failure, json);
  if (json) printJson({ lab: lab.value, results: checked.value });
  else if (checked.value.length === 0) printResult(`${lab.value} has no checks.`);
  return holds(checked.value) ? 0 : 1;
}

/** Undo and redo: the file is never rewritten, and it is said when it differs from what is now in force. */
export async function step(
  context: Context,
  verb: 'undo' | 'redo',
  word: string,
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, options.json);
  const code = await carryOut(context, { kind: verb, lab: lab.value }, lab.value, {
    realm: null,
    // A step back or forth is itself the confirmation: it can be taken back by its opposite.
    yes: true,
    json: options.json === true,
    checks: false,
  });
  if (code !== 0) return code;
  const overview = await context.workbench.overview(lab.value, null, null);
  const file = (await context.workbench.record(lab.value))?.record.path ?? null;
  if (file !== null && (overview.state === 'changed' || overview.state === 'down')) {
    printProgress(`The file ${file} was not changed; it now differs from what is in force.`);
  }
  return 0;
}

export async function down(
  context: Context,
  word: string | undefined,
  options: { readonly all?: boolean; readonly json?: boolean },
): Promise<ExitCode> {
  const json = options.json === true;
  if ((word === undefined) === (options.all !== true)) {
    return printFailure({
      kind: 'invalid-request',
      code: 'lab-or-all',
      object: 'down',
      reason: 'It takes the name of a lab, or --all.',
      next: 'Give one of them.',
    });
  }
  const outcomes: ApplyOutcome[] = [];
  const failures: Failure[] = [];
  if (word === undefined) {
    const all = await takeAllDown(context.workbench, (lab) =>
      printProgress(`Taking ${lab} down …`),
    );
    outcomes.push(...all.outcomes);
    failures.push(...all.failures);
  } else {
    const lab = await labOf(context, word);
    const outcome = lab.ok ? await takeDown(context.workbench, lab.value) : lab;
    if (outcome.ok) outcomes.push(outcome.value);
    else failures.push(outcome.failure);
  }
  if (json) printJson({ outcomes, failures });
  else for (const outcome of outcomes) printResult(sentenceOf(outcome, ''));
  if (!json && outcomes.length === 0 && failures.length === 0) printResult('No lab is up.');
  const codes = failures.map((failure) => printFailure(failure));
  return codes[0] ?? 0;
}

export async function list(
  context: Context,
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  const labs = await listLabs(context.workbench, context.library);
  const awaiting = context.workbench.awaiting();
  if (options.json === true) {
    printJson({ labs, awaiting: awaiting.map(({ lab, status }) => ({ lab, ...status })) });
    return 0;
  }
  if (labs.length === 0) {
    printResult('There are no labs. Bring one up: netloom up FILE.');
    return 0;
  }
  const stateOf = (name: string, state: string): string => {
    const change = awaiting.find(({ lab }) => lab === name)?.status;
    return change === undefined ? state : `${state}, ${awaitingWords(change)}`;
  };
  const rows = labs.map(({ name, state, realm, revision, path }) => [
    name,
    stateOf(name, state),
    realm ?? '–',
    revision === null ? '–' : String(revision),
    path,
  ]);
  printResult(formatTable(['LAB', 'STATE', 'REALM', 'REVISION', 'FILE'], rows));
  return 0;
}
