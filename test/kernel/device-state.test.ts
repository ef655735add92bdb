/** Interfaces that are taken down and brought up on purpose; `ip -j` is the witness. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { InterfaceStateChange } from '../../agent/api/interface-state.ts';
import type { Result } from '../../agent/api/result.ts';
import { probeCapabilities } from '../../agent/kernel/capabilities.ts';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  must,
  network,
  notesLab,
  openBench,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const bondLab = `netloom: 1
name: notes
topology:
  nodes:
    one:
      kind: namespace
      interfaces:
        bond0: { kind: bond, mode: active-backup, members: [a, b], addresses: [10.8.0.1/24] }
    two:
      kind: namespace
      interfaces:
        bond0: { kind: bond, mode: active-backup, members: [a, b], addresses: [10.8.0.2/24] }
  links:
    - { endpoints: ['one:a', 'two:a'] }
    - { endpoints: ['one:b', 'two:b'] }
checks:
  - { check: reach, from: one, to: two }
`;

let bench: Bench;
let empty: unknown;

beforeAll(requirePrivateNamespaces);
beforeEach(async () => {
  empty = network();
  bench = await openBench();
});
afterEach(async () => {
  for (const { record } of bench.labs.list()) {
    if (record.up) must(await apply(bench, { kind: 'down', lab: record.name }));
  }
  await bench.close();
  expect(network()).toEqual(empty);
});

function set(
  node: string,
  name: string,
  state: 'up' | 'down',
  forMilliseconds: number | null = null,
): Promise<Result<void>> {
  const change: InterfaceStateChange = {
    lab: 'notes',
    node,
    interface: name,
    state,
    forMilliseconds,
  };
  return bench.labs.setInterfaceState(change);
}

function isUp(namespace: string, name: string): boolean {
  const [link] = JSON.parse(ip('-n', namespace, '-j', 'link', 'show', name)) as {
    readonly flags: readonly string[];
  }[];
  return link?.flags.includes('UP') === true;
}

const drift = (): number | null => bench.labs.list()[0]?.drift ?? null;

describe('an interface of a lab', () => {
  it('goes down in the kernel alone, which is drift, and comes up again', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const before = network();
    must(await set('r1', 'port1', 'down'));
    expect(isUp('r1', 'port1')).toBe(false);
    await expect.poll(drift, { timeout: 10_000 }).toBe(1);
    expect(bench.labs.list()[0]?.record.revision).toBe(1);
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'interface-is-down' },
    });
    must(await set('r1', 'port1', 'up'));
    await expect.poll(drift, { timeout: 10_000 }).toBe(0);
    expect(network()).toEqual(before);
  });

  it('loses with it what the kernel drops, which a plan puts back', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const before = network();
    must(await set('r1', 'veth1.1', 'down'));
    must(await set('r1', 'veth1.1', 'up'));
    // The route and the IPv6 address: `ip link set down` takes them.
    await expect.poll(drift, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    expect(must(await apply(bench, documentTarget(notesLab())))).toMatchObject({ revision: 1 });
    expect(network()).toEqual(before);
    await expect.poll(drift, { timeout: 10_000 }).toBe(0);
  });

  it('flaps: it comes up by itself', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const before = network();
    must(await set('r1', 'port1', 'down', 300));
    expect(isUp('r1', 'port1')).toBe(false);
    await expect.poll(() => isUp('r1', 'port1'), { timeout: 20_000 }).toBe(true);
    expect(network()).toEqual(before);
  });

  it('stays as it was set last, whatever was to come', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    must(await set('r1', 'port1', 'down', 500));
    must(await set('r1', 'port1', 'up'));
    must(await set('r1', 'port1', 'down'));
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(isUp('r1', 'port1')).toBe(false);
  });

  it('is left alone when a plan has made it anew', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    must(await set('r1', 'port1', 'down', 500));
    const text = notesLab().replace('port1: {}', 'port1: { state: down }');
    ip('-n', 'r1', 'link', 'delete', 'port1');
    must(await apply(bench, documentTarget(text)));
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(isUp('r1', 'port1')).toBe(false);
  });

  it('is refused where it is not the lab’s, not there, or under change', async () => {
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { code: 'unknown-lab' },
    });
    must(await apply(bench, documentTarget(notesLab())));
    ip('-n', 'r1', 'link', 'add', 'mine', 'type', 'bridge');
    for (const [node, name, code] of [
      ['r9', 'port1', 'unknown-node'],
      ['r1', 'mine', 'unknown-interface'],
      ['r1', 'lo', 'unknown-interface'],
      ['r1', 'p1', 'unknown-interface'],
    ] as const) {
      expect(await set(node, name, 'down')).toMatchObject({ ok: false, failure: { code } });
    }
    ip('-n', 'r1', 'link', 'set', 'port1', 'alias', 'netloom:other');
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { kind: 'name-taken', code: 'foreign-object' },
    });
    ip('-n', 'r1', 'link', 'set', 'port1', 'alias', 'netloom:notes');
    // Older kernels rename only what is down.
    ip('-n', 'r1', 'link', 'set', 'port1', 'down');
    ip('-n', 'r1', 'link', 'set', 'port1', 'name', 'port9');
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { code: 'object-missing' },
    });
    ip('-n', 'r1', 'link', 'set', 'port9', 'name', 'port1');
    ip('-n', 'r1', 'link', 'set', 'port1', 'up');
    const changing = apply(bench, documentTarget(notesLab('172.16.0.9/24')));
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { kind: 'busy' },
    });
    must(await changing);
    expect(isUp('r1', 'port1')).toBe(true);
    ip('-n', 'r1', 'link', 'delete', 'mine');
    must(await apply(bench, { kind: 'down', lab: 'notes' }));
    expect(await set('r1', 'port1', 'down')).toMatchObject({
      ok: false,
      failure: { code: 'lab-not-up' },
    });
  });
});

it('a bridge that bears an uplink’s addresses is not taken down', async () => {
  ip('link', 'add', 'nic0', 'type', 'veth', 'peer', 'name', 'nic0-far');
  ip('link', 'set', 'nic0-far', 'up');
  ip('link', 'set', 'nic0', 'up');
  const text = `netloom: 1
name: notes
topology:
  nodes:
    br0: { kind: bridge, uplink: nic0 }
`;
  const settle = async (target: PlanTarget): Promise<void> => {
    const { awaiting } = must(await apply(bench, target));
    if (awaiting === null) return;
    expect(await set('br0', 'br0', 'down')).toMatchObject({
      failure: { code: 'awaiting-confirmation' },
    });
    must(await bench.labs.confirm('notes', awaiting.token));
  };
  await settle(documentTarget(text));
  for (const [state, duration] of [
    ['down', null],
    ['down', 500],
  ] as const) {
    expect(await set('br0', 'br0', state, duration)).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'interface-bears-uplink', values: { uplink: 'nic0' } },
    });
  }
  expect(await set('br0', 'nic0', 'down')).toMatchObject({
    ok: false,
    failure: { code: 'unknown-interface' },
  });
  await settle({ kind: 'down', lab: 'notes' });
  ip('link', 'delete', 'nic0');
});

const bonds = must(probeCapabilities()).capabilities.some(
  ({ name, available }) => name === 'link:bond' && available,
);
if (!bonds) console.error('This kernel does not have, and these tests have not tried: link:bond');
describe.runIf(bonds)('a bond', () => {
  const outcome = async (): Promise<unknown> => {
    const results = await bench.labs.check('notes', new AbortController().signal, () => undefined);
    return must(results).map((result) => result.outcome);
  };
  /** The member through which the bond sends, as the inventory has it. */
  const active = (): unknown =>
    bench.tracker
      .snapshot()
      .links.filter((link) => link.bondMember?.state === 'active' && link.bondMember.linkUp)
      .map((link) => link.name)
      .sort();

  it('goes on through the other member when one is taken down, and takes it back', async () => {
    must(await apply(bench, documentTarget(bondLab)));
    expect(await outcome()).toEqual(['passed']);
    await expect.poll(active, { timeout: 20_000 }).toEqual(['a', 'a']);
    must(await set('one', 'a', 'down'));
    expect(isUp('one', 'a')).toBe(false);
    await expect.poll(active, { timeout: 20_000 }).toEqual(['b', 'b']);
    expect(await outcome()).toEqual(['passed']);
    await expect.poll(drift, { timeout: 10_000 }).toBe(1);
    must(await set('one', 'a', 'up'));
    await expect.poll(drift, { timeout: 10_000 }).toBe(0);
    // Both are down now: that is what nothing survives.
    must(await set('one', 'a', 'down'));
    must(await set('one', 'b', 'down'));
    await expect.poll(active, { timeout: 20_000 }).toEqual([]);
    expect(await outcome()).toEqual(['failed']);
    must(await apply(bench, documentTarget(bondLab)));
    await expect.poll(async () => outcome(), { timeout: 20_000 }).toEqual(['passed']);
  });
});
