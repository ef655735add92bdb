/** cpu plan: what a split comes to, on paper. cpu show: what its groups are and use. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { CpuGroupState, CpuGroupStates, Result } from '../../agent/api/index.ts';
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

interface GroupUse extends CpuGroupState {
  /** Cores used between two looks; null where the kernel does not count. */
  readonly cores: number | null;
  /** Part of the periods in between in which its own cap stopped it, 0 to 1. */
  readonly throttledPart: number;
}

/** A group that was not there before has no use yet. */
function useBetween(before: CpuGroupStates, after: CpuGroupStates): readonly GroupUse[] {
  const earlier = new Map(before.groups.map((one) => [one.group, one]));
  const microseconds = (after.time - before.time) * 1000;
  return after.groups.map((now) => {
    const then = earlier.get(now.group) ?? now;
    const used = now.usage === null || then.usage === null ? null : now.usage - then.usage;
    const periods = now.periods - then.periods;
    return {
      ...now,
      cores: used === null || microseconds <= 0 ? null : Math.max(0, used / microseconds),
      throttledPart: periods > 0 ? (now.throttled - then.throttled) / periods : 0,
    };
  });
}

function describeUse(uses: readonly GroupUse[]): string {
  const percent = (value: number): string => `${value.toFixed(0)} %`;
  const rows = uses.map((one) => [
    groupLabel(one.group),
    one.cores === null ? '–' : one.cores.toFixed(2),
    one.cap === null ? '–' : one.cap.toFixed(2),
    one.idle ? 'idle' : String(one.weight),
    one.pins === '' ? '–' : one.pins,
    percent(one.throttledPart * 100),
    one.pressure === null ? '–' : percent(one.pressure.some),
    String(one.processes),
  ]);
  const head = ['GROUP', 'CORES', 'CAP', 'WEIGHT', 'PINS', 'THROTTLED', 'PRESSURE', 'PROCESSES'];
  return formatTable(head, rows);
}

/** Two looks, and what was used in between; with `watch` on and on, until Ctrl-C or until the lab is gone. */
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
  const look = (): Promise<Result<CpuGroupStates>> =>
    agent.value.call('cpu.groups', { lab: lab.value });
  const end = new AbortController();
  const stop = (): void => {
    end.abort();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  let before = await look();
  while (before.ok) {
    await delay(options.every, undefined, { signal: end.signal }).catch(() => undefined);
    if (end.signal.aborted) return 0;
    const after = await look();
    if (!after.ok) return printFailure(after.failure, json);
    const uses = useBetween(before.value, after.value);
    if (options.watch !== true) {
      if (json) printJson({ lab: lab.value, groups: uses });
      else if (uses.length === 0) printResult(`${lab.value} has no CPU groups.`);
      else printResult(describeUse(uses));
      return 0;
    }
    if (json) process.stdout.write(`${JSON.stringify({ lab: lab.value, groups: uses })}\n`);
    else printResult(`${describeUse(uses)}\n`);
    before = after;
  }
  return printFailure(before.failure, json);
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
