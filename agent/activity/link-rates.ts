/**
 * Rates from counters that are read now and then. Pure. Nothing that happens to a counter makes a spike: where two
 * readings do not belong together there is no rate, and the later one is a new beginning.
 */
import { type LinkCounters, linkCounterNames } from '../api/link-counters.ts';
import { type HistoryShape, type LinkRates, minuteOfTenths, RateHistory } from './rate-history.ts';

/** What has become of the counters since the reading before. */
export const readingKinds = [
  /** The link was not there in the reading before. */
  'first',
  'rate',
  /** Counters have fallen, and not because they came to their end: another link, or a driver that began anew. */
  'reset',
  /** No time has passed, or less than none. */
  'no-time',
] as const;
export type ReadingKind = (typeof readingKinds)[number];

export interface LinkReading {
  readonly index: number;
  readonly counters: LinkCounters;
}

export interface LinkRate extends LinkReading {
  readonly kind: ReadingKind;
  /** Per second, the mean since the reading before; null unless the kind is `rate`. */
  readonly rates: LinkRates | null;
  /** Seconds since the reading before; 0 for the first. */
  readonly seconds: number;
}

/** Counters of drivers end at one of these; the kernel's own have 64 bits. */
const ends = [2 ** 32, 2 ** 64] as const;

/**
 * What was added to a counter; undefined for one that has fallen. One that has come to its end was in the upper half before and
 * is in the lower half after, and has not gone more than half of the way. Of 64 bits the last eleven are rounded there.
 */
export function counterIncrease(before: number, after: number): number | undefined {
  if (after >= before) return after - before;
  for (const end of ends) {
    const added = end - before + after;
    if (before < end && before >= end / 2 && after < end / 2 && added < end / 2) return added;
  }
  return undefined;
}

/** Of a link that nothing passes: the same one for all, since most of thousands are so. */
export const quietRates: LinkRates = {
  receivedPackets: 0,
  transmittedPackets: 0,
  receivedBytes: 0,
  transmittedBytes: 0,
  receiveErrors: 0,
  transmitErrors: 0,
  receiveDropped: 0,
  transmitDropped: 0,
};

/** Each by its name, which takes a tenth of what going through the names does. */
function areSame(before: LinkCounters, after: LinkCounters): boolean {
  return (
    before.receivedPackets === after.receivedPackets &&
    before.transmittedPackets === after.transmittedPackets &&
    before.receivedBytes === after.receivedBytes &&
    before.transmittedBytes === after.transmittedBytes &&
    before.receiveErrors === after.receiveErrors &&
    before.transmitErrors === after.transmitErrors &&
    before.receiveDropped === after.receiveDropped &&
    before.transmitDropped === after.transmitDropped
  );
}

/** Undefined where a counter has fallen: then the others tell nothing either. */
export function ratesBetween(
  before: LinkCounters,
  after: LinkCounters,
  seconds: number,
): LinkRates | undefined {
  if (areSame(before, after)) return quietRates;
  const rates: Partial<Record<keyof LinkRates, number>> = {};
  let haveFallen = 0;
  let wentOn = 0;
  for (const name of linkCounterNames) {
    const added = counterIncrease(before[name], after[name]);
    if (added === undefined) return undefined;
    if (after[name] < before[name]) haveFallen += 1;
    else if (after[name] > before[name]) wentOn += 1;
    rates[name] = added / seconds;
  }
  // At its end comes a counter of bytes or of packets, while others of the link go on; all fall when a link begins anew.
  if (haveFallen > 0 && wentOn === 0) return undefined;
  return rates as LinkRates;
}

interface KnownLink {
  counters: LinkCounters;
  /** Milliseconds. */
  time: number;
  /** Null where none is kept. */
  readonly history: RateHistory | null;
}

/** Links of all namespaces. A link is known by its namespace and its index: a new name changes nothing. */
export class LinkRateTable {
  private readonly namespaces = new Map<string, Map<number, KnownLink>>();
  private readonly shape: HistoryShape | null;

  /** `shape` is that of the histories; with null none are kept. */
  constructor(shape: HistoryShape | null = minuteOfTenths) {
    this.shape = shape;
  }

  /**
   * A whole reading of a namespace: links that are not in it are forgotten. `time` in milliseconds of a clock that only goes
   * forward.
   */
  update(namespace: string, time: number, readings: readonly LinkReading[]): readonly LinkRate[] {
    const known = this.namespaces.get(namespace) ?? new Map<number, KnownLink>();
    const next = new Map<number, KnownLink>();
    const rates = readings.map((reading) => {
      const link = known.get(reading.index);
      if (link === undefined) {
        const history = this.shape === null ? null : new RateHistory(this.shape);
        next.set(reading.index, { counters: reading.counters, time, history });
        return linkRate(reading, 'first', null, 0);
      }
      next.set(reading.index, link);
      return rateOf(link, reading, time);
    });
    this.namespaces.set(namespace, next);
    return rates;
  }

  /** Null for a link that is not known, or where none are kept. */
  history(namespace: string, index: number): RateHistory | null {
    return this.namespaces.get(namespace)?.get(index)?.history ?? null;
  }

  /**
   * A link goes on in another namespace, as RTM_DELLINK says with its new namespace and index: its counters do, too. Without
   * this word it is a new link there, which has no rate in its first reading.
   */
  move(
    from: { readonly namespace: string; readonly index: number },
    to: { readonly namespace: string; readonly index: number },
  ): void {
    const link = this.namespaces.get(from.namespace)?.get(from.index);
    if (link === undefined) return;
    this.namespaces.get(from.namespace)?.delete(from.index);
    const there = this.namespaces.get(to.namespace) ?? new Map<number, KnownLink>();
    there.set(to.index, link);
    this.namespaces.set(to.namespace, there);
  }

  /** A link was deleted: one that gets its index is another. */
  forgetLink(namespace: string, index: number): void {
    this.namespaces.get(namespace)?.delete(index);
  }

  forget(namespace: string): void {
    this.namespaces.delete(namespace);
  }

  /** Links that are known. */
  get size(): number {
    let size = 0;
    for (const links of this.namespaces.values()) size += links.size;
    return size;
  }
}

function rateOf(link: KnownLink, reading: LinkReading, time: number): LinkRate {
  const seconds = (time - link.time) / 1000;
  if (seconds <= 0) return linkRate(reading, 'no-time', null, 0);
  const rates = ratesBetween(link.counters, reading.counters, seconds) ?? null;
  link.counters = reading.counters;
  link.time = time;
  if (rates !== null) link.history?.add(time, rates);
  return linkRate(reading, rates === null ? 'reset' : 'rate', rates, seconds);
}

/** Each by its name: to spread a reading into one would take longer than all else. */
function linkRate(
  { index, counters }: LinkReading,
  kind: ReadingKind,
  rates: LinkRates | null,
  seconds: number,
): LinkRate {
  return { index, counters, kind, rates, seconds };
}
