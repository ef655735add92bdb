/** Rates of the realm's interfaces: read as often as somebody asks, and only then. */
import { setTimeout as delay } from 'node:timers/promises';
import { linkCounterNames } from '../api/link-counters.ts';
import type { Result } from '../api/result.ts';
import type { LinkRateSample, RatesSample, RatesWatch, WatchedLink } from '../api/traffic.ts';
import { type LinkRate, LinkRateTable, quietRates } from '../activity/link-rates.ts';
import type { LinkRates } from '../activity/rate-history.ts';
import type { InventoryTracker, ObservedNamespace } from '../inventory/tracker.ts';
import { listLinkStatistics } from '../kernel/link-statistics.ts';

export interface RatesWatchOptions extends RatesWatch {
  readonly tracker: Pick<InventoryTracker, 'observedNamespaces'>;
  readonly signal: AbortSignal;
  readonly onSample: (sample: RatesSample) => void;
}

/** Goes on until it is aborted. */
export async function watchRates(
  options: RatesWatchOptions,
): Promise<Result<Record<string, never>>> {
  const { interval, signal, onSample, tracker } = options;
  const sampler = new RatesSampler(options);
  let next = performance.now();
  while (!signal.aborted) {
    onSample(sampler.sample(tracker.observedNamespaces(), performance.now()));
    const now = performance.now();
    // A machine that was busy skips samples instead of catching up.
    next = Math.max(next + interval, now);
    await delay(next - now, undefined, { signal }).catch(() => undefined);
  }
  return { ok: true, value: {} };
}

/** What a watcher was told of an interface. */
interface Told {
  readonly id: string;
  name: string;
  title: string | null;
  rates: readonly number[] | null;
}

const quietRow: readonly number[] = linkCounterNames.map(() => 0);

export class RatesSampler {
  private readonly wanted: ReadonlySet<string> | null;
  private readonly counters: boolean;
  /** The watcher has a history of its own. */
  private readonly table = new LinkRateTable(null);
  private readonly told = new Map<string, Map<number, Told>>();
  private before: number | null = null;

  constructor({ namespaces, counters }: Pick<RatesWatch, 'namespaces' | 'counters'>) {
    this.wanted = namespaces === null ? null : new Set(namespaces);
    this.counters = counters;
  }

  /** `time` in milliseconds of a clock that only goes forward. */
  sample(all: readonly ObservedNamespace[], time: number): RatesSample {
    const sample: RatesSample = {
      time,
      since: time - (this.before ?? time),
      links: [],
      rates: [],
      gone: [],
    };
    this.before = time;
    const { wanted } = this;
    const present = new Set<string>();
    for (const namespace of all) {
      if (wanted !== null && !wanted.has(namespace.id)) continue;
      present.add(namespace.id);
      const readings = listLinkStatistics(namespace.socket);
      // It may be about to go; a whole reading says so, or its absence.
      if (!readings.ok) continue;
      this.add(sample, namespace, this.table.update(namespace.id, time, readings.value));
    }
    for (const [id, links] of this.told) {
      if (present.has(id)) continue;
      this.told.delete(id);
      this.table.forget(id);
      for (const one of links.values()) sample.gone.push(one.id);
    }
    return sample;
  }

  private add(
    sample: RatesSample,
    { id, title, links }: ObservedNamespace,
    readings: readonly LinkRate[],
  ): void {
    const told = this.told.get(id) ?? new Map<number, Told>();
    this.told.set(id, told);
    for (const { index, rates, counters } of readings) {
      const name = links.get(index)?.name;
      let one = told.get(index);
      // The counters know of it before the inventory does; it is told with its name.
      if (one === undefined && name === undefined) continue;
      const row = rates === null ? null : rowOf(rates);
      const isNew = one === undefined;
      one ??= { id: `${id}/${String(index)}`, name: '', title, rates: null };
      told.set(index, one);
      if (isNew || (name !== undefined && name !== one.name) || title !== one.title) {
        one.name = name ?? one.name;
        one.title = title;
        const link: WatchedLink = { link: one.id, namespace: id, title, name: one.name };
        sample.links.push(link);
      }
      if (!isNew && isSame(one.rates, row)) continue;
      one.rates = row;
      const changed: LinkRateSample = { link: one.id, rates: row === null ? null : [...row] };
      if (this.counters) changed.counters = linkCounterNames.map((each) => counters[each]);
      sample.rates.push(changed);
    }
    const there = new Set(readings.map(({ index }) => index));
    for (const [index, one] of told) {
      if (there.has(index)) continue;
      told.delete(index);
      sample.gone.push(one.id);
    }
  }
}

function rowOf(rates: LinkRates): readonly number[] {
  // Most are, and need no row of their own.
  if (rates === quietRates) return quietRow;
  return linkCounterNames.map((each) => rounded(rates[each]));
}

/** Tenths are finer than anybody reads, and keep a sample of thousands of interfaces small. */
function rounded(rate: number): number {
  return Math.round(rate * 10) / 10;
}

function isSame(before: readonly number[] | null, now: readonly number[] | null): boolean {
  if (before === now) return true;
  if (before === null || now === null) return false;
  return before.every((rate, place) => rate === now[place]);
}
