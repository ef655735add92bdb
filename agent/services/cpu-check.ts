/** Measures what CPU groups use while they are kept busy, by the kernel's own counters. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Result, succeed } from '../api/result.ts';
import { type GroupPath, parentPath } from '../cpu/group.ts';
import { coresOf } from '../cpu/quota.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import { type CpuLoad, startCpuLoad } from '../kernel/cpu-load.ts';
import { KeptFiles } from '../kernel/kept-files.ts';
import { LiveCpus } from '../kernel/live-cpus.ts';
import type { ResolvedCpuCheck } from '../lab/check.ts';
import { groupLabel } from '../lab/cpu-split.ts';
import { type Finding, finding, notDone } from './check-finding.ts';

/** Milliseconds until load and quota have found their balance: a few periods, and what was saved up for a burst is gone. */
const warmUp = 500;
/** A machine on which others run has no CPU to spare at times, which is no verdict: measured again, a few times. */
const measurements = 3;

/** Cores that a group used, and how many times as much its caps would have let it use; infinite without any. */
export interface GroupUse {
  readonly used: number;
  readonly room: number;
}

export interface CpuMeasurement extends GroupUse {
  /** Of the groups that were kept busy beside it. */
  readonly beside: readonly GroupUse[];
  /** Cores that whatever is not of the lab used. */
  readonly foreign: number;
}

export async function checkCpu(
  check: ResolvedCpuCheck,
  groups: Cgroups | null,
  signal: AbortSignal,
): Promise<Finding> {
  if (groups === null) {
    throw new Error('a lab with CPU groups is up where there can be none');
  }
  for (let done = 1; ; done += 1) {
    const measured = await measure(check, groups, signal);
    if (!measured.ok) return notDone(measured.failure);
    const found = judgeCpu(check, measured.value);
    if (found.outcome !== 'skipped' || done === measurements || signal.aborted) return found;
  }
}

async function measure(
  { group, against, milliseconds }: ResolvedCpuCheck,
  groups: Cgroups,
  signal: AbortSignal,
): Promise<Result<CpuMeasurement>> {
  const loops = groups.cpus().length;
  const loads: CpuLoad[] = [];
  using files = new KeptFiles();
  const cpus = new LiveCpus(files);
  try {
    for (const one of [group, ...against]) {
      const load = await startCpuLoad(groups, one, loops);
      if (!load.ok) return load;
      loads.push(load.value);
    }
    await delay(warmUp, undefined, { signal }).catch(() => undefined);
    const busy = [group, ...against];
    const watched = [...new Set(busy.flatMap(pathTo))];
    const count = (): ReadonlyMap<GroupPath, number> =>
      new Map(watched.map((at) => [at, groups.counters(at).usage ?? 0]));
    const before = count();
    const begun = performance.now();
    cpus.sample();
    await delay(milliseconds, undefined, { signal }).catch(() => undefined);
    const after = count();
    const microseconds = (performance.now() - begun) * 1000;
    const all = cpus.sample().reduce((sum, { use }) => sum + (use ?? 0), 0);
    const usedBy = (at: GroupPath): number =>
      ((after.get(at) ?? 0) - (before.get(at) ?? 0)) / microseconds;
    const useOf = (one: GroupPath): GroupUse => {
      const rooms = pathTo(one).map((at) => {
        const cap = coresOf(groups.view(at).limits);
        return cap === null ? Infinity : Math.max(1, cap / usedBy(at));
      });
      return { used: usedBy(one), room: Math.min(...rooms) };
    };
    return succeed({
      ...useOf(group),
      beside: against.map(useOf),
      foreign: Math.max(0, all - usedBy('')),
    });
  } finally {
    await Promise.all(loads.map(({ stop }) => stop()));
  }
}

/** The group and those around it, the root last. */
function pathTo(group: GroupPath): readonly GroupPath[] {
  const path = [group];
  for (let at = parentPath(group); at !== null; at = parentPath(at)) path.push(at);
  return path;
}

/** Where others used more than this part of what was measured, nobody knows how that would have been divided. */
const littleForeign = 0.25;
/** Cores closer than this are the same. */
const epsilon = 1e-6;

/** The most that a group would have used had nobody else been there: as its caps and those beside it let it. */
function possibleUse({ used, room, beside, foreign }: CpuMeasurement): number {
  const measured = [{ used, room }, ...beside];
  const total = measured.reduce((sum, one) => sum + one.used, 0);
  const capped = room === Infinity ? Infinity : used * room;
  const grown =
    foreign <= littleForeign * total ? used * growthInto(foreign, measured) : used + foreign;
  return Math.min(capped, grown);
}

/**
 * How many times as much groups would use that had so many cores besides: they grow alike, each as far as its caps let it.
 */
function growthInto(cores: number, uses: readonly GroupUse[]): number {
  const goal = uses.reduce((sum, { used }) => sum + used, cores);
  const total = (growth: number): number =>
    uses.reduce((sum, { used, room }) => sum + used * Math.min(growth, room), 0);
  let [low, high] = [1, 1000];
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2;
    if (total(middle) < goal) low = middle;
    else high = middle;
  }
  return high;
}

/** A verdict where it would be the same without the others that used the machine; `skipped` where it might be another. */
export function judgeCpu(
  { group, least, most, against, milliseconds }: ResolvedCpuCheck,
  measurement: CpuMeasurement,
): Finding {
  const { used, foreign } = measurement;
  const cores = (value: number): string => value.toFixed(2);
  const values = {
    group: groupLabel(group),
    used: cores(used),
    least: cores(least),
    most: cores(most),
    seconds: milliseconds / 1000,
    ...(against.length === 0 ? {} : { others: against.map(groupLabel).join(', ') }),
  };
  const possible = possibleUse(measurement);
  const isWithin = used >= least && possible <= most + epsilon;
  if (!isWithin && used <= most && possible >= least) {
    return finding('skipped', 'cpu-not-to-be-had', { ...values, foreign: cores(foreign) });
  }
  const code = isWithin ? 'cpu-within' : 'cpu-outside';
  return finding(
    isWithin ? 'passed' : 'failed',
    against.length === 0 ? code : `${code}-beside`,
    values,
  );
}
