/** cpu plan: what a split comes to, on paper. cpu show: what its groups are and use. cpu bind: who is in them. */
import { availableParallelism } from 'node:os';
import type { CpuGroupCondition, CpuGroupSample, CpuMachineSample } from '../../agent/api/index.ts';
import { firstCpus } from '../../agent/cpu/cpu-list.ts';
import { type PaperGroup, type PaperSplit, paperSplitOf } from '../../agent/lab/cpu-paper.ts';
import { groupLabel } from '../../agent/lab/cpu-split.ts';
import { scaleSplit } from '../../agent/lab/scale-cpu.ts';
import { invalidDocument } from '../workbench/failures.ts';
import { readLab } from '../workbench/read-lab.ts';
import { type Context, labOf, readSource } from './context.ts';
import {
  type ExitCode,
  formatTable,
  printable,
  printFailure,
  printJson,
  printProgress,
  printResult,
} from './output.ts';
import { agentOf } from './process-verbs.ts';

export interface CpuShowOptions {
  readonly watch?: boolean;
  readonly json?: boolean;
  /** Milliseconds between two looks. */
  readonly every: number;
}

const conditionWords: Readonly<Record<CpuGroupCondition, string>> = {
  'at-cap': 'at its cap',
  'held-back': 'held back',
  starved: 'starved',
  'pins-lost': 'pins lost',
  'partition-ended': 'no longer alone',
  'limits-gone': 'limits gone',
  'changed-outside': 'changed from outside',
  gone: 'gone',
};

function describeSample({ groups, processes }: CpuMachineSample): string {
  const cores = (value: number | null): string => (value === null ? '–' : value.toFixed(2));
  const percent = (share: number | null): string =>
    share === null ? '–' : `${(share * 100).toFixed(0)} %`;
  const rows = groups.map((one) => [
    groupLabel(one.group),
    cores(one.use),
    cores(one.cap),
    one.idle ? 'idle' : String(one.weight),
    one.pins === '' ? '–' : one.pins,
    percent(one.throttled),
    percent(one.pressure?.some ?? null),
    String(one.processes),
    describeConditions(one),
  ]);
  const head = ['GROUP', 'CORES', 'CAP', 'WEIGHT', 'PINS', 'THROTTLED', 'PRESSURE', 'PROCESSES'];
  const table = formatTable([...head, 'STATE'], rows);
  if (processes.length === 0) return table;
  const bound = processes.map((one) => [
    String(one.pid),
    one.name,
    groupLabel(one.group),
    cores(one.use),
  ]);
  return `${table}\n\n${formatTable(['PID', 'PROCESS', 'GROUP', 'CORES'], bound)}`;
}

function describeConditions({ conditions, heldBy }: CpuGroupSample): string {
  const words = conditions.map((one) =>
    one === 'held-back' && heldBy !== null
      ? `held back by ${groupLabel(heldBy)}`
      : conditionWords[one],
  );
  return words.length === 0 ? 'ok' : words.join(', ');
}

/** One sample with what was used since the one before; with `watch` on and on, until Ctrl-C or until the lab is gone. */
export async function cpuShow(
  context: Context,
  word: string,
  options: CpuShowOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const agent = await agentOf(context, lab.value);
  if (!agent.ok) return printFailure(agent.failure, json);
  const end = new AbortController();
  const stop = (): void => {
    end.abort();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const show = (sample: CpuMachineSample): void => {
    // The first one only begins to count.
    if (sample.since === 0 || end.signal.aborted) return;
    if (options.watch !== true) {
      stop();
      if (json) printJson({ lab: lab.value, ...sample });
      else if (sample.groups.length === 0) printResult(`${lab.value} has no CPU groups.`);
      else printResult(describeSample(sample));
    } else if (json) process.stdout.write(`${JSON.stringify({ lab: lab.value, ...sample })}\n`);
    else printResult(`${describeSample(sample)}\n`);
  };
  const watched = await agent.value.call(
    'cpu.watch',
    { lab: lab.value, interval: options.every },
    { signal: end.signal, onProgress: show },
  );
  return watched.ok || end.signal.aborted ? 0 : printFailure(watched.failure, json);
}

export interface CpuBindOptions {
  readonly tree?: boolean;
  readonly json?: boolean;
}

/** Binds processes to a group; with `group` null puts them back where they were. */
export async function cpuBind(
  context: Context,
  word: string,
  group: string | null,
  pids: readonly number[],
  options: CpuBindOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const agent = await agentOf(context, lab.value);
  if (!agent.ok) return printFailure(agent.failure, json);
  const bound = await agent.value.call('cpu.bind', {
    lab: lab.value,
    group,
    pids: [...pids],
    descendants: options.tree === true,
  });
  if (!bound.ok) return printFailure(bound.failure, json);
  const { processes } = bound.value;
  if (json) printJson({ lab: lab.value, group, processes });
  else {
    for (const { pid, name, moved } of processes) {
      const where = group === null ? 'is where it was before' : `is in ${group}`;
      printResult(printable(`${name} (${String(pid)}) ${where}${moved ? '' : ' already'}.`));
    }
  }
  return 0;
}

export interface CpuPlanOptions {
  readonly scale?: boolean;
  readonly commands?: boolean;
  readonly json?: boolean;
}

export async function cpuPlan(
  context: Context,
  word: string,
  options: CpuPlanOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const source = await readSource(context, word);
  if (!source.ok) return printFailure(source.failure, json);
  const { path, text } = source.value;
  let { document, problems, advice } = readLab(text, path);
  if (document !== null && problems.length === 0 && options.scale === true) {
    const scaled = scaleSplit(text, document, availableParallelism());
    if (!scaled.ok) return printFailure(scaled.failure, json);
    ({ document, problems, advice } = readLab(scaled.value, path));
  }
  if (document === null || problems.length > 0) {
    return printFailure(invalidDocument(path, problems), json);
  }
  const split = paperSplitOf(document, firstCpus(availableParallelism()));
  if (split === null) {
    return printFailure(
      {
        kind: 'refused',
        code: 'cpu-no-split',
        object: document.name,
        reason: `The document of lab ${document.name} has no CPU split.`,
        next: 'Add `cpu` with its groups.',
        values: { lab: document.name },
      },
      json,
    );
  }
  if (json) printJson({ lab: document.name, ...split });
  else if (options.commands === true) {
    for (const command of split.steps.flatMap(({ commands }) => commands)) printResult(command);
  } else printResult(describeSplit(split));
  for (const one of advice) {
    if (one.code.startsWith('cpu-')) printProgress(`warning: ${one.object}: ${one.reason}`);
  }
  return 0;
}

function describeSplit(split: PaperSplit): string {
  const cores = (value: number): string => value.toFixed(2);
  const rows = split.groups.map((one) => [
    groupLabel(one.group),
    one.cap === null ? '–' : cores(one.cap),
    one.limits.idle ? 'idle' : String(one.limits.weight),
    one.limits.cpus === '' ? '–' : one.limits.cpus,
    cores(one.ceiling),
    one.heldBy === null ? 'machine' : groupLabel(one.heldBy),
    cores(one.guaranteed),
    noteOf(one),
  ]);
  const head = ['GROUP', 'CAP', 'WEIGHT', 'PINS', 'CEILING', 'HELD BY', 'CONTENDED', 'NOTE'];
  return [
    `${String(split.cpus.length)} CPUs. CONTENDED: cores when every group wants to run and nothing else does; computed, the kernel reserves nothing.`,
    formatTable(head, rows),
  ].join('\n');
}

function noteOf({ overcommit, unallocated }: PaperGroup): string {
  if (overcommit > 0) return `over-committed by ${overcommit.toFixed(2)}`;
  return unallocated > 0 ? `${unallocated.toFixed(2)} unallocated` : '';
}
