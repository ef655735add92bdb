/** OpenFlow tables of a bridge, read and replaced by ovs-ofctl(8), which knows the syntax of its lines. */
import type { OpenFlowEntry } from '../api/openflow.ts';
import type { OpenFlowTables } from '../api/ovs.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { runCommand } from '../kernel/process.ts';
import { ovsFailure } from './failures.ts';
import {
  meterId,
  parseFlows,
  parseFlowStatistics,
  parseGroups,
  parseMeters,
  tableChanges,
} from './openflow-lines.ts';

/** All versions: the highest that the bridge speaks too is taken. */
const versions = 'OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15';
const timeout = 30_000;

interface Call {
  readonly target: string;
  readonly command: string;
  /** Before the command. */
  readonly options?: readonly string[];
  /** After the target. */
  readonly words?: readonly string[];
  /** Lines of its input, which is `-` among the words. */
  readonly lines?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** What ovs-ofctl printed, or what it said instead. Ports have their names, which stay when numbers change. */
async function ofctl(call: Call): Promise<Result<string>> {
  const { target, command, options = [], words = [], lines } = call;
  const ran = await runCommand({
    file: 'ovs-ofctl',
    args: ['-O', versions, '--names', ...options, command, target, ...words],
    purpose: `${command} on ${target}`,
    timeout,
    maximumOutput: 64 * 1024 * 1024,
    ...(lines === undefined ? {} : { input: `${lines.join('\n')}\n` }),
    signal: call.signal,
  });
  if (!ran.ok) return ran;
  if (ran.value.exitCode === 0) return succeed(ran.value.stdout);
  return fail(openFlowRefused(target, command, ran.value.stderr, lines));
}

/** Lines of the log, and what follows from the first error, say nothing. */
function wordsOf(stderr: string): string {
  return stderr
    .split('\n')
    .map((line) => line.replace(/^ovs-ofctl: /, '').trim())
    .filter((line) => line !== '' && !/^\d{4}-\d\d-\d\dT|OFPBFC_MSG_FAILED|^bundle_id=/.test(line))
    .filter((line, at, all) => at === 0 || all.length === 1 || !line.startsWith('talking to '))
    .join(' ')
    .replace(/^-:\d+: /, '')
    .slice(0, 1500);
}

function openFlowRefused(
  target: string,
  command: string,
  stderr: string,
  lines: readonly string[] | undefined,
): Failure {
  const detail = wordsOf(stderr);
  if (
    /^ovs-ofctl: (?:.* is not a bridge or a socket|.*failed to connect|.*\(No such file)/m.test(
      stderr,
    )
  ) {
    return ovsFailure(
      'unreachable',
      'ovs-unreachable',
      target,
      `Open vSwitch does not answer at ${target}: ${detail}.`,
      'Start Open vSwitch, then try again.',
      { detail },
    );
  }
  const number = Number(/^ovs-ofctl: -:(\d+):/m.exec(stderr)?.[1] ?? 0);
  const line = (lines?.[number - 1] ?? '').replace(/^(?:flow|group) \S+ /, '');
  if (line !== '') return lineRefused(line, detail);
  return ovsFailure(
    'refused',
    'openflow-refused',
    target,
    `Open vSwitch refuses ${command}: ${detail}.`,
    'Correct the flows, groups and meters and try again.',
    { detail },
  );
}

function lineRefused(line: string, detail: string): Failure {
  return ovsFailure(
    'refused',
    'openflow-line-refused',
    line,
    `Open vSwitch does not take the line ${line.slice(0, 300)}: ${detail}.`,
    'Correct the line; ovs-ofctl(8) describes its syntax.',
    { line: line.slice(0, 500), detail },
  );
}

/** Flows, groups and meters in the form that ovs-ofctl prints, ports by name, without counters. */
export async function readOpenFlow(target: string): Promise<Result<OpenFlowTables>> {
  const [flows, groups, meters] = await Promise.all([
    ofctl({ target, command: 'dump-flows', options: ['--no-stats'] }),
    ofctl({ target, command: 'dump-groups' }),
    ofctl({ target, command: 'dump-meters' }),
  ]);
  if (!flows.ok) return flows;
  if (!groups.ok) return groups;
  // OpenFlow before 1.3 has no meters.
  if (!meters.ok && !isVersionLacking(meters.failure)) return meters;
  return succeed({
    flows: parseFlows(flows.value),
    groups: parseGroups(groups.value),
    meters: meters.ok ? parseMeters(meters.value) : [],
  });
}

function isVersionLacking({ values }: Failure): boolean {
  return /usable flow formats|bundles need/.test(String(values?.['detail'] ?? ''));
}

/** Flows with their counters, by table and priority. */
export async function readFlowStatistics(
  target: string,
): Promise<Result<readonly OpenFlowEntry[]>> {
  const flows = await ofctl({ target, command: 'dump-flows' });
  return flows.ok ? succeed(parseFlowStatistics(flows.value)) : flows;
}

/**
 * Makes the tables of a bridge exactly these. Flows and groups change in one bundle, all or none; what stays as it is keeps
 * its counters. Meters come before it and go after it. A bridge that speaks no OpenFlow from 1.3 on has no bundles: its
 * flows change one after the other. Fails with 'refused' and the line, where one can be told.
 */
export async function replaceOpenFlow(
  target: string,
  tables: OpenFlowTables,
  signal?: AbortSignal,
): Promise<Result<void>> {
  const before = await readOpenFlow(target);
  if (!before.ok) return before;
  const changes = tableChanges(before.value, tables);
  const done: { readonly command: string; readonly words: readonly string[] }[] = [];
  const takeBack = async (failure: Failure): Promise<Result<void>> => {
    for (const { command, words } of done.reverse()) await ofctl({ target, command, words });
    return fail(failure);
  };
  const known = new Map(before.value.meters.map((line) => [meterId(line), line]));
  for (const line of [...changes.addMeters, ...changes.changeMeters]) {
    const former = known.get(meterId(line));
    const command = former === undefined ? 'add-meter' : 'mod-meter';
    const changed = await ofctl({ target, command, words: [line], signal });
    if (!changed.ok) {
      const { failure } = changed;
      const isLine = failure.code === 'openflow-refused';
      return takeBack(isLine ? lineRefused(line, String(failure.values?.['detail'])) : failure);
    }
    done.push(
      former === undefined
        ? { command: 'del-meter', words: [`meter=${meterId(line) ?? ''}`] }
        : { command: 'mod-meter', words: [former] },
    );
  }
  if (changes.bundle.length > 0) {
    const bundled = await replaceFlowsAndGroups(target, tables, changes.bundle, signal);
    if (!bundled.ok) return takeBack(bundled.failure);
  }
  for (const id of changes.removeMeters) {
    const removed = await ofctl({ target, command: 'del-meter', words: [`meter=${id}`] });
    if (!removed.ok) return removed;
  }
  return succeed(undefined);
}

async function replaceFlowsAndGroups(
  target: string,
  tables: OpenFlowTables,
  lines: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Result<void>> {
  const bundled = await ofctl({ target, command: 'bundle', words: ['-'], lines, signal });
  if (bundled.ok) return succeed(undefined);
  if (!isVersionLacking(bundled.failure)) {
    if (bundled.failure.code !== 'openflow-refused') return bundled;
    return fail(await findRefused(target, lines, bundled.failure, signal));
  }
  const groups = tables.groups.map((line) => line);
  if (groups.length > 0) {
    const added = await ofctl({
      target,
      command: 'add-groups',
      words: ['-'],
      lines: groups,
      signal,
    });
    if (!added.ok) return added;
  }
  const replaced = await ofctl({
    target,
    command: 'replace-flows',
    words: ['-'],
    lines: tables.flows,
    signal,
  });
  return replaced.ok ? succeed(undefined) : replaced;
}

/**
 * The switch names no line, so the shortest beginning of a bundle that it refuses is looked for. A bundle that it takes
 * would stay, so each ends with a line that it never takes.
 */
async function findRefused(
  target: string,
  lines: readonly string[],
  whole: Failure,
  signal: AbortSignal | undefined,
): Promise<Failure> {
  const said = String(whole.values?.['detail'] ?? '');
  const poisonGroup = 'group:4294966784';
  const poison = `flow add priority=1,actions=${poisonGroup}`;
  const isRefused = async (count: number): Promise<boolean> => {
    const tried = await ofctl({
      target,
      command: 'bundle',
      words: ['-'],
      lines: [...lines.slice(0, count), poison],
      signal,
    });
    if (tried.ok) return false;
    // The poison is the only error of a bundle whose other lines are taken.
    const errors = String(tried.failure.values?.['detail'] ?? '').split('Error ');
    return errors.some((error) => error.startsWith('OFP') && !error.includes(poisonGroup));
  };
  let taken = 0;
  let refused = lines.length;
  while (refused - taken > 1) {
    const middle = Math.floor((taken + refused) / 2);
    if (await isRefused(middle)) refused = middle;
    else taken = middle;
  }
  const line = lines[refused - 1]?.replace(/^(?:flow|group) \S+ /, '');
  return line === undefined ? whole : lineRefused(line, said);
}
