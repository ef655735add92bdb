/** What the kernel counts of a control group, and the files that say it. */
import type { ReadFile } from '../cpu/files.ts';

/** What the kernel has counted of a group since it was made: microseconds and periods. Null is what it does not count. */
export interface GroupCounters {
  /** On all CPUs together, its groups' too. */
  readonly usage: number | null;
  /** Periods in which something wanted to run, and those in which its own cap stopped it. */
  readonly periods: number;
  readonly throttled: number;
  /** Of all CPUs together; more than the time that passed where several stood still. */
  readonly throttledTime: number;
  /** The same by whatever cap, its own or one above (cpu.stat.local). */
  readonly stoppedTime: number | null;
  /** Time in which some, or all, of its processes waited (PSI). */
  readonly waited: { readonly some: number; readonly full: number } | null;
}

/** Of cpu.pressure (Documentation/accounting/psi.rst): `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. */
function waitedOf(text: string | undefined): GroupCounters['waited'] {
  const found = /^some .*total=(\d+)\n(?:full .*total=(\d+))?/.exec(text ?? '');
  return found === null ? null : { some: Number(found[1]), full: Number(found[2] ?? 0) };
}

/** A number of cpu.stat, which has a line `KEY NUMBER` for each; undefined when it is not there. */
function statisticIn(text: string, key: string): number | undefined {
  const at = text.indexOf(`${key} `);
  if (at < 0) return undefined;
  const end = text.indexOf('\n', at);
  return Number(text.slice(at + key.length + 1, end < 0 ? undefined : end));
}

/** Where a group's counters are, for somebody who reads them again and again; null what there is none of. */
export interface CounterFiles {
  readonly statistics: string | null;
  readonly local: string | null;
  readonly pressure: string | null;
  readonly usage: string | null;
}

export function readCounters(files: CounterFiles, readFile: ReadFile): GroupCounters {
  const read = (file: string | null): string | undefined =>
    file === null ? undefined : readFile(file);
  const statistics = read(files.statistics) ?? '';
  const nanoseconds = read(files.usage);
  const local = read(files.local);
  return {
    usage:
      statisticIn(statistics, 'usage_usec') ??
      (nanoseconds === undefined ? null : Number(nanoseconds) / 1e3),
    periods: statisticIn(statistics, 'nr_periods') ?? 0,
    throttled: statisticIn(statistics, 'nr_throttled') ?? 0,
    throttledTime:
      statisticIn(statistics, 'throttled_usec') ??
      (statisticIn(statistics, 'throttled_time') ?? 0) / 1e3,
    stoppedTime: local === undefined ? null : (statisticIn(local, 'throttled_usec') ?? null),
    waited: waitedOf(read(files.pressure)),
  };
}
