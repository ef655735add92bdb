/**
 * test: each file in a fresh sandbox of its own: up, check, down, nothing left. A file is skipped only for what the
 * machine lacks, as the doctor's probes say, or for CPU groups, which no sandbox has; skipping what the machine offers is a
 * failure.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Capability,
  fail,
  type Failure,
  type Inventory,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { examineMachine } from '../workbench/doctor.ts';
import { invalidDocument } from '../workbench/failures.ts';
import { readLab } from '../workbench/read-lab.ts';
import type { AgentConnection } from '../workbench/realm-door.ts';
import { inThrowAwayRealm } from '../workbench/throw-away-realm.ts';
import { type Context, readSource } from './context.ts';
import {
  describeCheck,
  describeFailure,
  type ExitCode,
  printJson,
  printProgress,
  printResult,
} from './output.ts';

type Outcome = 'passed' | 'failed' | 'skipped';

export interface FileOutcome {
  readonly file: string;
  readonly outcome: Outcome;
  /** What went wrong or is missing; null for a file that passed. */
  readonly reason: string | null;
  /** Of the Open vSwitches that it had, each once: `netdev` and `system`. */
  readonly datapaths?: readonly string[];
}

interface Trial {
  /** Why checks were skipped; null where none was. */
  readonly skipped: string | null;
  readonly datapaths: readonly string[];
}

/** What of an inventory tells whether a lab has left something: names and kinds, neither indexes nor processes. */
function traces(inventory: Inventory): unknown {
  const nameOf = new Map(
    inventory.namespaces.map(({ id, names, root }) => [id, root ? '' : names.join(' ')]),
  );
  return {
    namespaces: inventory.namespaces.map(({ names, mounts }) => [names, mounts]).sort(),
    links: inventory.links
      .map((link) => `${nameOf.get(link.namespace) ?? '?'}:${link.name}`)
      .sort(),
    marked: [...inventory.namespaces, ...inventory.links].filter(({ lab }) => lab !== null).length,
  };
}

function broken(object: string, code: string, reason: string): Failure {
  return { kind: 'verification', code, object, reason, next: 'Look at what is said above it.' };
}

async function applyTarget(
  agent: AgentConnection,
  target: Parameters<typeof agent.call<'lab.plan'>>[1]['target'],
): Promise<Result<void>> {
  const plan = await agent.call('lab.plan', { target });
  if (!plan.ok) return plan;
  const [refusal] = plan.value.refusals;
  if (refusal !== undefined) return fail(refusal);
  const applied = await agent.call('lab.apply', { plan: plan.value.id ?? '' });
  return applied.ok ? succeed(undefined) : applied;
}

/** Up, check, down, nothing left. The failed checks in the failure. */
async function tryLab(
  agent: AgentConnection,
  lab: string,
  path: string,
  text: string,
): Promise<Result<Trial>> {
  const before = await agent.call('inventory.snapshot', {});
  if (!before.ok) return before;
  const up = await applyTarget(agent, { kind: 'document', text, path, replace: false });
  if (!up.ok) return up;
  const checked = await agent.call(
    'lab.check',
    { lab },
    { onProgress: (result) => printProgress(describeCheck(result)) },
  );
  if (!checked.ok) return checked;
  const during = await agent.call('inventory.snapshot', {});
  if (!during.ok) return during;
  const down = await applyTarget(agent, { kind: 'down', lab });
  if (!down.ok) return down;
  const after = await agent.call('inventory.snapshot', {});
  if (!after.ok) return after;
  if (!isDeepStrictEqual(traces(before.value), traces(after.value))) {
    return fail(
      broken(lab, 'left-behind', 'Something of the lab was left after it was taken down.'),
    );
  }
  const { results } = checked.value;
  const failed = results.filter(({ outcome }) => outcome === 'failed');
  if (failed.length > 0) {
    const sentences = failed.map(({ label, sentence }) => `${label}: ${sentence}`).join(' ');
    return fail(broken(lab, 'check-failed', sentences));
  }
  return succeed({
    skipped: results.find(({ outcome }) => outcome === 'skipped')?.sentence ?? null,
    datapaths: [...new Set(during.value.engines.map(({ datapath }) => datapath))].sort(),
  });
}

/** The capability that a failure says is missing, when the doctor says the same. */
function excuse(failure: Failure, capabilities: readonly Capability[]): string | null {
  if (failure.kind !== 'unsupported') return null;
  const named = failure.values?.['capability'] ?? failure.values?.['kind'];
  const wanted = typeof named === 'string' ? [named, `link:${named}`] : ['sandbox'];
  const missing = capabilities.find(({ name, available }) => !available && wanted.includes(name));
  return missing === undefined ? null : `${missing.name}: ${missing.reason ?? failure.reason}`;
}

export async function test(
  context: Context,
  words: readonly string[],
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  let capabilities: readonly Capability[] | null = null;
  const findExcuse = async (failure: Failure): Promise<string | null> => {
    // Whether a sandbox may have CPU groups is not of the machine, but of where the command was started.
    if (/^cpu-in-sandbox(?:-v1)?$/.test(failure.code)) return `${failure.reason} ${failure.next}`;
    if (failure.kind !== 'unsupported') return null;
    capabilities ??= await examineMachine(context);
    return excuse(failure, capabilities);
  };
  const tryFile = async (word: string): Promise<FileOutcome> => {
    const source = await readSource(context, word);
    if (!source.ok)
      return { file: word, outcome: 'failed', reason: describeFailure(source.failure) };
    const { path, text } = source.value;
    const { document, problems } = readLab(text, path);
    if (document === null || problems.length > 0) {
      const reason = describeFailure(invalidDocument(path, problems));
      return { file: path, outcome: 'failed', reason };
    }
    printProgress(`${document.name} (${path}) …`);
    const tried = await inThrowAwayRealm(context.door, 'test', (agent) =>
      tryLab(agent, document.name, path, text),
    );
    if (tried.ok) {
      // A check that was skipped proves nothing, and no probe excuses it.
      const { skipped, datapaths } = tried.value;
      const found = datapaths.length === 0 ? {} : { datapaths };
      return skipped === null
        ? { file: path, outcome: 'passed', reason: null, ...found }
        : { file: path, outcome: 'failed', reason: `A check was skipped: ${skipped}`, ...found };
    }
    const excused = await findExcuse(tried.failure);
    return excused === null
      ? { file: path, outcome: 'failed', reason: describeFailure(tried.failure) }
      : { file: path, outcome: 'skipped', reason: excused };
  };

  const outcomes: FileOutcome[] = [];
  for (const word of words) {
    const outcome = await tryFile(word);
    outcomes.push(outcome);
    const on =
      outcome.datapaths === undefined ? '' : ` (Open vSwitch on ${outcome.datapaths.join(', ')})`;
    const line = `${outcome.outcome} ${outcome.file}${on}${outcome.reason === null ? '' : `: ${outcome.reason}`}`;
    if (options.json === true) printProgress(line);
    else printResult(line);
  }
  const count = (wanted: Outcome): number =>
    outcomes.filter(({ outcome }) => outcome === wanted).length;
  const [passed, failed, skipped] = [count('passed'), count('failed'), count('skipped')];
  if (options.json === true) printJson({ files: outcomes, passed, failed, skipped });
  else {
    printResult(`${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`);
  }
  return failed === 0 && passed > 0 ? 0 : 1;
}
