/**
 * Watching a lab's CPU groups and the machine's CPUs: samples at a rate that the watcher asks for, from files that stay
 * open, and nothing at all while nobody watches.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CpuGroupSample,
  type CpuMachineSample,
  type CpuProcessSample,
  maximumCpuProcesses,
} from '../api/cpu.ts';
import type { LabDocument } from '../api/document.ts';
import type { Result } from '../api/result.ts';
import { type CpuSet, formatCpuList, parseCpuList } from '../cpu/cpu-list.ts';
import { figuresOf } from '../cpu/figures.ts';
import type { ReadFile } from '../cpu/files.ts';
import { type GroupPath, walkGroups } from '../cpu/group.ts';
import { type GroupSight, judgeGroups } from '../cpu/group-condition.ts';
import { type CpuLimits, initialLimits, partitionInForce, shows } from '../cpu/limits.ts';
import { type Wanted, wantedOf } from '../cpu/plan-split.ts';
import { coresOf } from '../cpu/quota.ts';
import type { CpuGroupView } from '../cpu/machine.ts';
import type { CounterFiles, GroupCounters } from '../kernel/cgroup-counters.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import { KeptFiles } from '../kernel/kept-files.ts';
import { LiveCpus } from '../kernel/live-cpus.ts';
import { parseProcessStat } from '../kernel/process-table.ts';
import { splitOf } from '../lab/cpu-split.ts';

/**
 * Limits and processes change seldom and take several files a group: each is looked at once a second, as far as this part
 * of the time goes; of thousands of groups a few at each sample.
 */
const lookPart = 0.006;
const lookMilliseconds = 1000;
const leastLooks = 10;

/** USER_HZ, in which /proc counts time: the same on every architecture that Netloom runs on. */
const ticksASecond = 100;
/** The least time over which a process's use is counted, of a resolution of a hundredth of a second. */
const processMilliseconds = 900;

/** What is watched. */
export interface Watched {
  /** Document in force; fails when the lab is no longer up. */
  readonly document: () => Result<LabDocument>;
  /** The lab's groups, read through `read`; null where there can be none. */
  readonly groups: (read: ReadFile) => Cgroups | null;
  /** Whether a transaction changes them now. */
  readonly isChanging: () => boolean;
}

export interface CpuWatchOptions {
  /** Null is the machine alone. */
  readonly lab: Watched | null;
  /** Milliseconds. */
  readonly interval: number;
  readonly signal: AbortSignal;
  readonly onSample: (sample: CpuMachineSample) => void;
}

/** Goes on until it is aborted, or until the lab is no longer up. */
export async function watchCpu(options: CpuWatchOptions): Promise<Result<Record<string, never>>> {
  const { lab, interval, signal, onSample } = options;
  using sampler = new CpuSampler(lab, interval);
  let next = performance.now();
  while (!signal.aborted) {
    const sample = sampler.sample();
    if (!sample.ok) return sample;
    onSample(sample.value);
    const now = performance.now();
    // A machine that was busy skips samples instead of catching up.
    next = Math.max(next + interval, now);
    await delay(next - now, undefined, { signal }).catch(() => undefined);
  }
  return { ok: true, value: {} };
}

/** What is known of one group between two samples. */
interface Group {
  readonly path: GroupPath;
  readonly wanted: Wanted;
  readonly guaranteed: number;
  readonly pins: CpuSet;
  readonly files: CounterFiles;
  before: GroupCounters | null;
  view: CpuGroupView | null;
  isAsWanted: boolean;
  /** False where the kernel has ended the partition that it is to be: the file says why. */
  hasPartition: boolean;
  hasLimits: boolean;
  /** CPUs that it can run on, as a list and as a set; null where the kernel does not say. */
  cpus: string;
  cpuSet: CpuSet | null;
  pids: readonly number[];
  lookedAt: number;
}

interface ProcessUse {
  readonly name: string;
  /** When it was read. */
  readonly time: number;
  readonly ticks: number;
  /** Cores. */
  readonly use: number | null;
  /** Nanoseconds that its first thread has waited for a CPU, and the share of the time that it came to. */
  readonly waited: number | null;
  readonly waiting: number | null;
}

export class CpuSampler implements Disposable {
  private readonly lab: Watched | null;
  private readonly lookTime: number;
  private readonly files = new KeptFiles();
  private readonly cpus = new LiveCpus(this.files);
  private document: LabDocument | null = null;
  private cgroups: Cgroups | null = null;
  private groups: readonly Group[] = [];
  private nextLook = 0;
  private readonly processes = new Map<number, ProcessUse>();
  private before: number | null = null;

  constructor(lab: Watched | null, interval: number) {
    this.lab = lab;
    this.lookTime = interval * lookPart;
  }

  sample(): Result<CpuMachineSample> {
    const document = this.lab?.document() ?? null;
    if (document !== null && !document.ok) return document;
    if (document !== null && document.value !== this.document) this.begin(document.value);
    const time = performance.now();
    const since = this.before === null ? 0 : time - this.before;
    this.before = time;
    this.look(time);
    const processes = this.sampleProcesses(time);
    return {
      ok: true,
      value: {
        time,
        since,
        cpus: this.cpus.sample().map((one) => ({ ...one, use: rounded(one.use) })),
        groups: this.sampleGroups(since),
        processes,
      },
    };
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]();
  }

  /** Another document is in force: its groups, with what has been counted of those that stay. */
  private begin(document: LabDocument): void {
    const known = new Map(this.groups.map((group) => [group.path, group]));
    this.document = document;
    this.cgroups ??= this.lab?.groups(this.files.read) ?? null;
    this.groups = [];
    this.nextLook = 0;
    const { cgroups } = this;
    if (cgroups === null) return;
    const { hierarchies } = cgroups;
    const cpus = cgroups.cpus();
    const split = splitOf(document, cpus);
    if (split === null) return;
    const figures = figuresOf(split);
    const wanted = wantedOf(split, { cpus, hierarchies });
    this.groups = [...walkGroups(split.root)].flatMap(([path, group]) => {
      const own = wanted.get(path);
      if (own === undefined) return [];
      return [
        {
          path,
          wanted: own,
          guaranteed: figures.get(path)?.guaranteed ?? 0,
          pins: group.pins ?? [],
          files: cgroups.counterFiles(path),
          before: known.get(path)?.before ?? null,
          view: null,
          isAsWanted: true,
          hasPartition: true,
          hasLimits: true,
          cpus: '',
          cpuSet: null,
          pids: [],
          lookedAt: -Infinity,
        },
      ];
    });
  }

  /** Looks at limits and processes of groups in turn; at all of them the first time. */
  private look(time: number): void {
    const { cgroups, groups } = this;
    if (cgroups === null) return;
    const end = performance.now() + this.lookTime;
    for (let looks = 0; looks < groups.length; looks += 1) {
      const group = groups[this.nextLook % groups.length];
      if (group === undefined) return;
      const isNew = group.view === null;
      // A little early rather than one sample late.
      if (!isNew && time - group.lookedAt < lookMilliseconds - 50) return;
      if (!isNew && looks >= leastLooks && performance.now() > end) return;
      const [there] = cgroups.presence(group.path);
      group.view = there === 0 ? emptyView : cgroups.view(group.path);
      const { limits, complete } = group.view;
      const partition = partitionInForce(limits.partition);
      // Said in its own words where the kernel has ended it.
      group.hasPartition =
        partition === limits.partition || group.wanted.limits.partition === 'member';
      const judged = group.hasPartition
        ? { ...limits, partition }
        : { ...limits, partition: group.wanted.limits.partition };
      group.isAsWanted = complete && shows(judged, group.wanted.limits);
      group.hasLimits = there === 0 || cgroups.hasLimits(group.path);
      const effective = cgroups.effectiveCpus(group.path);
      group.cpus = effective ?? '';
      group.cpuSet = effective === null ? null : parseCpuList(effective);
      group.pids = there === 0 ? [] : [...cgroups.processesOf(group.path)];
      group.lookedAt = time;
      this.nextLook = (this.nextLook + 1) % groups.length;
    }
  }

  private sampleGroups(since: number): CpuGroupSample[] {
    const { cgroups, groups } = this;
    if (cgroups === null || groups.length === 0) return [];
    const isChanging = this.lab?.isChanging() ?? false;
    const sights = new Map<GroupPath, GroupSight>();
    const figures = new Map<GroupPath, GroupFigures>();
    for (const group of groups) {
      const now = cgroups.counters(group.path, group.files);
      const figure = figuresBetween(group.before, now, since);
      group.before = now;
      figures.set(group.path, figure);
      const waiting = figure.pressure?.some ?? this.longestWait(group);
      sights.set(group.path, sightOf(group, figure, waiting, isChanging));
    }
    const judgements = judgeGroups(sights);
    return groups.map((group) => {
      const { limits } = group.view ?? emptyView;
      const figure = figures.get(group.path) ?? noFigures;
      const { conditions = [], heldBy = null } = judgements.get(group.path) ?? {};
      return {
        group: group.path,
        cap: coresOf(limits),
        weight: limits.weight,
        idle: limits.idle,
        pins: pinsShown(group, limits),
        cpus: group.cpus,
        guaranteed: group.guaranteed,
        use: rounded(figure.use),
        throttled: rounded(figure.throttled),
        throttledTime: rounded(figure.throttledTime),
        pressure: figure.pressure,
        processes: group.pids.length,
        conditions,
        heldBy,
      };
    });
  }

  /** Where the kernel has no PSI of groups: of its own processes, as far as they are listed. */
  private longestWait({ pids }: Group): number | null {
    let longest: number | null = null;
    for (const pid of pids) {
      const waiting = this.processes.get(pid)?.waiting ?? null;
      if (waiting !== null && waiting > (longest ?? -1)) longest = waiting;
    }
    return longest;
  }

  private sampleProcesses(time: number): CpuProcessSample[] {
    const samples: CpuProcessSample[] = [];
    const seen = new Set<number>();
    for (const { path, pids } of this.groups) {
      for (const pid of pids) {
        if (samples.length === maximumCpuProcesses) break;
        const use = this.useOf(pid, time);
        if (use === undefined) continue;
        seen.add(pid);
        samples.push({ pid, name: use.name, group: path, use: rounded(use.use) });
      }
    }
    for (const pid of this.processes.keys()) {
      if (seen.has(pid)) continue;
      this.processes.delete(pid);
      this.files.forget(statOf(pid));
      this.files.forget(waitOf(pid));
    }
    return samples;
  }

  /** Undefined for one that has ended. Read about once a second, which is all that its resolution is good for. */
  private useOf(pid: number, time: number): ProcessUse | undefined {
    const known = this.processes.get(pid);
    const passed = known === undefined ? Infinity : time - known.time;
    if (passed < processMilliseconds) return known;
    const stat = parseProcessStat(this.files.read(statOf(pid)) ?? '');
    if (stat === undefined) return undefined;
    const { name, cpuTime } = stat;
    const waited = parseWaited(this.files.read(waitOf(pid)));
    // Fewer ticks than before: another process has the number now.
    const isSame = known !== undefined && cpuTime >= known.ticks;
    const use = {
      ...{ name, ticks: cpuTime, time, waited },
      use: isSame ? (cpuTime - known.ticks) / ticksASecond / (passed / 1000) : null,
      waiting:
        isSame && waited !== null && known.waited !== null
          ? (waited - known.waited) / 1e6 / passed
          : null,
    };
    this.processes.set(pid, use);
    return use;
  }
}

const emptyView: CpuGroupView = { limits: initialLimits, open: false, complete: false };

interface GroupFigures {
  readonly use: number | null;
  readonly throttled: number | null;
  readonly throttledTime: number | null;
  readonly stopped: boolean | null;
  readonly pressure: CpuGroupSample['pressure'];
}

const noFigures: GroupFigures = {
  use: null,
  throttled: null,
  throttledTime: null,
  stopped: null,
  pressure: null,
};

/** Pure. What became of a group's counters within `since` milliseconds; one that was made anew begins again. */
export function figuresBetween(
  before: GroupCounters | null,
  now: GroupCounters,
  since: number,
): GroupFigures {
  if (before === null || since <= 0) return noFigures;
  const restarted = now.periods < before.periods || (now.usage ?? 0) < (before.usage ?? 0);
  if (restarted) return noFigures;
  const microseconds = since * 1000;
  const share = (time: number): number =>
    rounded(Math.min(1, Math.max(0, time / microseconds))) ?? 0;
  const periods = now.periods - before.periods;
  return {
    use:
      now.usage === null || before.usage === null
        ? null
        : (now.usage - before.usage) / microseconds,
    throttled: periods > 0 ? Math.min(1, (now.throttled - before.throttled) / periods) : 0,
    throttledTime: Math.max(0, now.throttledTime - before.throttledTime) / microseconds,
    stopped:
      now.stoppedTime === null || before.stoppedTime === null
        ? null
        : now.stoppedTime > before.stoppedTime,
    pressure:
      now.waited === null || before.waited === null
        ? null
        : {
            some: share(now.waited.some - before.waited.some),
            full: share(now.waited.full - before.waited.full),
          },
  };
}

function sightOf(
  group: Group,
  figure: GroupFigures,
  waiting: number | null,
  isChanging: boolean,
): GroupSight {
  return {
    group: group.path,
    isThere: isChanging || group.view !== emptyView,
    hasLimits: isChanging || group.hasLimits,
    isAsWanted: isChanging || group.isAsWanted,
    hasPartition: isChanging || group.hasPartition,
    pins: group.pins,
    cpus: group.cpuSet,
    guaranteed: group.guaranteed,
    use: figure.use,
    throttled: figure.throttled,
    stopped: figure.stopped,
    waiting,
  };
}

/** Without what a group of cgroup v1 is given of its parent's CPUs, since there it has none of itself. */
function pinsShown({ pins, wanted }: Group, { cpus }: CpuLimits): string {
  return cpus === wanted.limits.cpus ? formatCpuList(pins) : cpus;
}

function statOf(pid: number): string {
  return `/proc/${pid}/stat`;
}

function waitOf(pid: number): string {
  return `/proc/${pid}/schedstat`;
}

/** `run wait slices`, in nanoseconds (Documentation/scheduler/sched-stats.rst). */
function parseWaited(text: string | undefined): number | null {
  const waited = /^\d+ (\d+) /.exec(text ?? '')?.[1];
  return waited === undefined ? null : Number(waited);
}

/** Four decimals are more than the kernel counts, and keep a sample of a thousand groups small. */
function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1e4) / 1e4;
}
