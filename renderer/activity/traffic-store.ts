/** What moves on the interfaces of the realm that is looked at, read while somebody looks. */
import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import { type LinkRates, RateHistory } from '../../agent/activity/rate-history.ts';
import {
  linkCounterNames,
  type LinkCounterName,
  type RatesSample,
  type RealmName,
} from '../../agent/api/index.ts';
import { useBridge } from '../bridge/bridge.ts';
import { lastingCall, useLook } from '../bridge/lasting-call.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { linkFinder } from './wire-rates.ts';

/** Milliseconds between two readings. */
const interval = 500;
/** A minute of seconds: of less, a few packets would look like a storm. */
const minute = { slots: 60, millisecondsPerSlot: 1_000 };

/** One reading, with what is known of all interfaces by then. The maps are the same ones every time, and grow with it. */
export interface TrafficReading {
  /** Seconds since the reading before; 0 for the first. */
  readonly seconds: number;
  /** Per second, by inventory id. */
  readonly rates: ReadonlyMap<string, LinkRates>;
  /** Since the interface was made. */
  readonly counters: ReadonlyMap<string, LinkRates>;
}

function named(row: readonly number[]): LinkRates {
  const values: Partial<Record<LinkCounterName, number>> = {};
  for (const [place, name] of linkCounterNames.entries()) values[name] = row[place] ?? 0;
  return values as LinkRates;
}

function meanOf(one: LinkRates, other: LinkRates): LinkRates {
  const values: Partial<Record<LinkCounterName, number>> = {};
  for (const name of linkCounterNames) values[name] = (one[name] + other[name]) / 2;
  return values as LinkRates;
}

export const useTraffic = defineStore('traffic', () => {
  const bridge = useBridge();
  const realms = useRealms();
  const lab = useLab();

  const reading = shallowRef<TrafficReading | null>(null);
  const rates = new Map<string, LinkRates>();
  const counters = new Map<string, LinkRates>();
  /** Of the reading before. */
  let before: ReadonlyMap<string, LinkRates> = new Map();
  /** Of those that have ever moved something. */
  const histories = new Map<string, RateHistory>();

  const receive = (sample: RatesSample): void => {
    before = new Map(rates);
    for (const id of sample.gone) for (const map of [rates, counters, histories]) map.delete(id);
    for (const { link, rates: row, counters: sums } of sample.rates) {
      if (row === null) rates.delete(link);
      else rates.set(link, named(row));
      if (sums !== undefined) counters.set(link, named(sums));
    }
    for (const [link, now] of rates) {
      const known = histories.get(link);
      if (known === undefined && now.receivedPackets + now.transmittedPackets === 0) continue;
      const history = known ?? new RateHistory(minute);
      history.add(sample.time, now);
      histories.set(link, history);
    }
    reading.value = { seconds: sample.since / 1000, rates, counters };
  };

  const { lookers, problem } = lastingCall<{ realm: RealmName }>({
    placeOf: () =>
      realms.watched === null || realms.current?.state !== 'running'
        ? null
        : { realm: realms.watched },
    forget: () => {
      reading.value = null;
      before = new Map();
      for (const map of [rates, counters, histories]) map.clear();
    },
    call: ({ realm }, signal) =>
      bridge.call(
        'rates.watch',
        { realm, interval, namespaces: null, counters: true },
        {
          signal,
          onProgress: (sample) => {
            if (signal.aborted) return;
            problem.value = null;
            receive(sample);
          },
        },
      ),
  });

  const find = computed(() => linkFinder(lab.document, realms.inventory));

  return {
    reading,
    problem,
    lookers,
    /** Inventory ids by what the drawing calls them. */
    find,
    rateOf: (link: string | null): LinkRates | null =>
      link === null ? null : (reading.value?.rates.get(link) ?? null),
    /** Of the last second, for whoever reads it as a number: of half a second it would not hold still. */
    steadyRateOf(link: string | null): LinkRates | null {
      const now = link === null ? null : (reading.value?.rates.get(link) ?? null);
      const then = link === null ? undefined : before.get(link);
      return now === null || then === undefined ? now : meanOf(now, then);
    },
    countersOf: (link: string | null): LinkRates | null =>
      link === null ? null : (reading.value?.counters.get(link) ?? null),
    /** The last minute, oldest first; null where nothing is known. Empty for what has never moved anything. */
    seriesOf: (link: string | null, name: LinkCounterName): readonly (number | null)[] =>
      link === null || reading.value === null ? [] : (histories.get(link)?.series(name) ?? []),
  };
});

/** Has the interfaces read while the component is there. */
export function useTrafficLook(): ReturnType<typeof useTraffic> {
  const traffic = useTraffic();
  useLook(traffic);
  return traffic;
}
