/** Rates of real interfaces while they are used, renamed, moved and taken away. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { counterOf, type RatesSample, type RatesWatch } from '../../agent/api/traffic.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { watchRates } from '../../agent/services/rates-watch.ts';
import { inNamespace, run } from './capture-bench.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let tracker: InventoryTracker;
let one: string;
let other: string;
let stop: AbortController;

beforeAll(requirePrivateNamespaces);

beforeEach(async () => {
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add left type veth peer name right netns ${other}`);
  for (const [name, link, host] of [
    [one, 'left', '1'],
    [other, 'right', '2'],
  ] as const) {
    run(`-n ${name} address add 10.9.2.${host}/24 dev ${link}`);
    run(`-n ${name} link set ${link} up`);
  }
  tracker = must(await InventoryTracker.open());
  stop = new AbortController();
});

afterEach(() => {
  stop.abort();
  tracker.close();
  const left = run('netns list');
  for (const name of [one, other]) if (left.includes(name)) run(`netns delete ${name}`);
});

interface Watched {
  readonly samples: readonly RatesSample[];
  /** The last that was told of each interface, by its id. */
  readonly rates: Map<string, readonly number[] | null>;
  readonly names: Map<string, string>;
  readonly gone: Set<string>;
}

function watch(options: Partial<RatesWatch> = {}): Watched {
  const samples: RatesSample[] = [];
  const watched: Watched = { samples, rates: new Map(), names: new Map(), gone: new Set() };
  void watchRates({
    interval: 100,
    namespaces: null,
    counters: true,
    ...options,
    // Labs of others on this machine are seen, too.
    tracker: {
      observedNamespaces: () =>
        tracker
          .observedNamespaces()
          .filter(({ title }) => title === null || title === one || title === other),
    },
    signal: stop.signal,
    onSample: (sample) => {
      samples.push(sample);
      for (const { link, title, name } of sample.links) {
        watched.names.set(link, `${title ?? ''}:${name}`);
      }
      for (const { link, rates } of sample.rates) watched.rates.set(link, rates);
      for (const link of sample.gone) {
        watched.gone.add(link);
        watched.names.delete(link);
      }
    },
  });
  return watched;
}

function linkId(watched: Watched, name: string): string {
  for (const [link, each] of watched.names) if (each === name) return link;
  throw new Error(`no ${name} among ${[...watched.names.values()].join(', ')}`);
}

/** What was told of an interface in all samples, added up over time. */
function sum(watched: Watched, link: string, name: 'receivedPackets' | 'receivedBytes'): number {
  let [rate, total] = [0, 0];
  for (const { since, rates } of watched.samples) {
    const told = rates.find((each) => each.link === link);
    if (told !== undefined) rate = told.rates === null ? 0 : counterOf(told.rates, name);
    total += (rate * since) / 1000;
  }
  return total;
}

function flood(count: number): void {
  inNamespace(one, `ping -q -c ${String(count)} -i 0.005 -s 972 10.9.2.2`);
}

describe('rates', () => {
  it('begin with every interface, and tell what is received and sent', async () => {
    const watched = watch();
    await expect.poll(() => watched.samples.length).toBeGreaterThan(1);
    const [first] = watched.samples;
    expect(first?.since).toBe(0);
    expect(first?.rates.every(({ rates }) => rates === null)).toBe(true);
    expect(new Set(watched.names.values())).toEqual(
      new Set([':lo', `${one}:lo`, `${one}:left`, `${other}:lo`, `${other}:right`]),
    );
    const right = linkId(watched, `${other}:right`);
    const before = counterOf(
      first?.rates.find(({ link }) => link === right)?.counters ?? [],
      'receivedPackets',
    );
    // In the background the samples go on.
    flood(100);
    await expect
      .poll(() => sum(watched, right, 'receivedPackets') + before, { timeout: 10_000 })
      .toBeGreaterThan(99);
    // 1,014 bytes each, and little else: neighbours look for each other.
    await expect
      .poll(() => Math.round(sum(watched, right, 'receivedBytes') / 1014))
      .toBeGreaterThanOrEqual(100);
    expect(Math.round(sum(watched, right, 'receivedBytes') / 1014)).toBeLessThan(105);
    // And then it is told once that it is quiet.
    await expect.poll(() => watched.rates.get(right)?.every((rate) => rate === 0)).toBe(true);
    await expect.poll(() => watched.samples.slice(-5).flatMap(({ rates }) => rates)).toEqual([]);
  });

  it('are of the namespaces that were asked for alone', async () => {
    const { id } = must(tracker.namespaceHandle(other));
    const watched = watch({ namespaces: [id], counters: false });
    await expect.poll(() => watched.samples.length).toBeGreaterThan(1);
    expect([...watched.names.values()].sort()).toEqual([`${other}:lo`, `${other}:right`]);
    const told = watched.samples.flatMap(({ rates }) => rates);
    expect(told.length).toBeGreaterThan(0);
    expect(told.every(({ counters }) => counters === undefined)).toBe(true);
  });

  it('make no spike of what is renamed, moved or gone', async () => {
    flood(200);
    const watched = watch();
    await expect.poll(() => watched.samples.length).toBeGreaterThan(2);
    const left = linkId(watched, `${one}:left`);
    const right = linkId(watched, `${other}:right`);
    run(`-n ${one} link set left down`);
    run(`-n ${one} link set left name renamed`);
    await expect.poll(() => watched.names.get(left)).toBe(`${one}:renamed`);
    run(`-n ${one} link set renamed netns ${other} name moved`);
    await expect.poll(() => watched.gone.has(left)).toBe(true);
    await expect.poll(() => [...watched.names.values()]).toContain(`${other}:moved`);
    const moved = linkId(watched, `${other}:moved`);
    await expect.poll(() => watched.rates.get(moved)).not.toBeNull();
    run(`netns delete ${other}`);
    await expect.poll(() => watched.gone.has(right), { timeout: 10_000 }).toBe(true);
    expect(watched.gone.has(moved)).toBe(true);
    const highest = watched.samples.flatMap(({ rates }) =>
      rates.map((each) => Math.max(0, ...(each.rates ?? []))),
    );
    // Counters were beyond 200,000 bytes: read within a tenth of a second that would be two millions.
    expect(Math.max(...highest)).toBeLessThan(50_000);
  });
});
