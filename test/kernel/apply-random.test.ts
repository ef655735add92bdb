/** Random edits and as many undos end in the network that they started from. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  apply,
  type Bench,
  documentTarget,
  must,
  network,
  openBench,
  plan,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const sequences = 200;
const seed = Number(process.env['NETLOOM_SEED'] ?? 20261123);

/** mulberry32: the same numbers for the same seed. */
function randomSource(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Any lab of up to four namespaces, two bridges and six wires; JSON is YAML. */
function randomLab(random: () => number): string {
  const chance = (share: number): boolean => random() < share;
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(random() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  };
  const spaces = ['r1', 'r2', 'r3', 'r4'].filter((name) => name === 'r1' || chance(0.7));
  const nodes: Record<string, Record<string, unknown>> = {};
  const interfaces: Record<string, Record<string, unknown>> = {};
  const routes: Record<string, unknown[]> = {};
  for (const name of spaces) {
    interfaces[name] = {};
    routes[name] = [];
    nodes[name] = { kind: 'namespace', interfaces: interfaces[name], routes: routes[name] };
    if (chance(0.2)) nodes[name]['loopback'] = false;
  }
  const bridges = ['br1', 'br2'].filter(() => chance(0.7));
  for (const name of bridges) {
    nodes[name] = { kind: 'bridge', stp: chance(0.3) };
    if (name === 'br2' && chance(0.7)) nodes[name]['namespace'] = pick(spaces);
    if (chance(0.4)) nodes[name]['addresses'] = [`10.20${bridges.indexOf(name)}.0.1/24`];
    if (chance(0.2)) nodes[name]['mtu'] = 1450;
    if (chance(0.1)) nodes[name]['state'] = 'down';
  }
  const links: { endpoints: readonly [string, string]; mtu?: number }[] = [];
  for (let wire = 1; wire <= 6; wire += 1) {
    if (chance(0.4)) continue;
    const ends = [pick([...spaces, ...bridges]), pick(spaces)] as const;
    if (ends[0] === ends[1]) continue;
    const names = [`e${wire}a`, `e${wire}b`] as const;
    for (const [side, node] of ends.entries()) {
      const place = interfaces[node];
      if (place === undefined) continue;
      const addresses = [
        ...(chance(0.8) ? [`10.${wire}.0.${side + 1}/24`] : []),
        ...(chance(0.3) ? [`10.${wire}.0.${side + 11}/24`] : []),
        ...(chance(0.3) ? [`fd00:${wire}::${side + 1}/64`] : []),
      ];
      const isDown = chance(0.1);
      place[names[side] ?? ''] = { addresses, ...(isDown ? { state: 'down' } : {}) };
      if (addresses.some((text) => text.startsWith('10.')) && !isDown && chance(0.4)) {
        const route = { to: `10.${100 + wire}.0.0/16`, via: `10.${wire}.0.${2 - side}` };
        routes[node]?.push(chance(0.5) ? { ...route, metric: wire } : route);
      }
    }
    const endpoints = [`${ends[0]}:${names[0]}`, `${ends[1]}:${names[1]}`] as const;
    links.push({ endpoints, ...(chance(0.3) ? { mtu: 1300 + wire * 10 } : {}) });
  }
  return JSON.stringify({ netloom: 1, name: 'random', topology: { nodes, links } });
}

/** The next document that may be applied as it is. */
function validLab(bench: Bench, random: () => number): string {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const text = randomLab(random);
    const made = bench.labs.plan(documentTarget(text));
    if (made.ok && made.value.refusals.length === 0) return text;
  }
  throw new Error('the generator makes nothing but invalid labs');
}

describe('random edits', () => {
  beforeAll(requirePrivateNamespaces);

  it(
    `and as many undos end where they began, ${sequences} times`,
    { timeout: 1_200_000 },
    async () => {
      const random = randomSource(seed);
      const bench = await openBench();
      const nothing = network();
      must(await apply(bench, documentTarget(validLab(bench, random))));
      for (let sequence = 0; sequence < sequences; sequence += 1) {
        const start = must(bench.labs.document('random', null)).status.record.revision;
        const before = network();
        const edits = 1 + Math.floor(random() * 3);
        const texts: string[] = [];
        for (let edit = 0; edit < edits; edit += 1) {
          const text = validLab(bench, random);
          texts.push(text);
          const done = await apply(bench, documentTarget(text));
          if (!done.ok) {
            const why = JSON.stringify(done.failure, null, 1);
            throw new Error(`seed ${seed}, sequence ${sequence}: ${texts.join('\n')}\n${why}`);
          }
        }
        for (;;) {
          const { revision } = must(bench.labs.document('random', null)).status.record;
          if (revision <= start) break;
          const undone = await apply(bench, { kind: 'undo', lab: 'random' });
          if (!undone.ok) {
            const why = JSON.stringify(undone.failure, null, 1);
            throw new Error(`seed ${seed}, undo of ${sequence}: ${texts.join('\n')}\n${why}`);
          }
        }
        expect(network(), `seed ${seed}, sequence ${sequence}: ${texts.join('\n')}`).toEqual(
          before,
        );
        // A new place to start from, now and then.
        if (sequence % 10 === 9) must(await apply(bench, documentTarget(validLab(bench, random))));
        expect(plan(bench, { kind: 'down', lab: 'random' }).refusals).toEqual([]);
      }
      must(await apply(bench, { kind: 'down', lab: 'random' }));
      expect(network()).toEqual(nothing);
      await bench.close();
    },
  );
});
