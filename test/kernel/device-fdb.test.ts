/** What a bridge learns from real frames, against what `bridge -j` says of it. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { probeCapabilities } from '../../agent/kernel/capabilities.ts';
import { probeEcho } from '../../agent/kernel/echo.ts';
import { closeNamespace, openNamespaceByName } from '../../agent/kernel/namespaces.ts';
import { readFdb } from '../../agent/services/bridge-fdb.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let names: readonly string[] = [];
let bridgeNamespace: string;
let one: string;
let other: string;
let tracker: InventoryTracker;

beforeAll(requirePrivateNamespaces);

function run(line: string): void {
  execFileSync('ip', line.split(' '), { stdio: 'pipe' });
}

function macOf(namespace: string, name: string): string {
  const text = execFileSync('ip', ['-n', namespace, '-j', 'link', 'show', name], {
    encoding: 'utf8',
  });
  return (JSON.parse(text) as { address: string }[])[0]?.address ?? '';
}

function indexOf(name: string): number {
  const text = execFileSync('ip', ['-n', bridgeNamespace, '-j', 'link', 'show', name], {
    encoding: 'utf8',
  });
  return (JSON.parse(text) as { ifindex: number }[])[0]?.ifindex ?? 0;
}

/** The bridge's entries as iproute2 has them: `port mac vlan state`, in order. */
function witness(): readonly string[] {
  const text = execFileSync('bridge', ['-n', bridgeNamespace, '-j', 'fdb', 'show', 'br', 'br0'], {
    encoding: 'utf8',
  });
  const entries = JSON.parse(text) as {
    mac: string;
    ifname: string;
    vlan?: number;
    flags: string[];
    state: string;
    master?: string;
  }[];
  return entries
    .filter(({ flags, master }) => master === 'br0' && !flags.includes('self'))
    .map(({ ifname, mac, vlan, state }) => {
      const kind = state === 'permanent' ? 'local' : state === 'static' ? 'static' : 'learned';
      return `${String(indexOf(ifname))} ${mac} ${String(vlan ?? null)} ${kind}`;
    })
    .sort();
}

function ours(): readonly string[] {
  return must(readFdb(tracker, bridgeNamespace, 'br0'))
    .entries.map(({ index, mac, vlan, kind }) => `${index} ${mac} ${vlan} ${kind}`)
    .sort();
}

async function ping(): Promise<void> {
  const handle = must(openNamespaceByName(one));
  const echoed = must(
    await probeEcho({ namespaceFd: handle.fd, destination: '10.9.0.2', timeoutMilliseconds: 5000 }),
  );
  closeNamespace(handle);
  expect(echoed).toMatchObject({ kind: 'reply' });
}

beforeEach(async () => {
  [bridgeNamespace, one, other] = [uniqueName('fdb'), uniqueName('fdb'), uniqueName('fdb')];
  names = [bridgeNamespace, one, other];
  for (const name of names) run(`netns add ${name}`);
  run(`-n ${bridgeNamespace} link add br0 type bridge`);
  run(`-n ${bridgeNamespace} link set br0 up`);
  for (const [port, namespace, address] of [
    ['p1', one, '10.9.0.1/24'],
    ['p2', other, '10.9.0.2/24'],
  ] as const) {
    run(`-n ${bridgeNamespace} link add ${port} type veth peer name eth0 netns ${namespace}`);
    run(`-n ${bridgeNamespace} link set ${port} master br0 up`);
    run(`-n ${namespace} addr add ${address} dev eth0`);
    run(`-n ${namespace} link set eth0 up`);
  }
  tracker = must(await InventoryTracker.open());
});

afterEach(() => {
  tracker.close();
  for (const name of names) run(`netns del ${name}`);
});

it('learns each station behind its port, and says so as `bridge` does', async () => {
  await ping();
  const { entries, total } = must(readFdb(tracker, bridgeNamespace, 'br0'));
  expect(total).toBe(entries.length);
  for (const [port, namespace] of [
    ['p1', one],
    ['p2', other],
  ] as const) {
    const learned = entries.find(({ mac }) => mac === macOf(namespace, 'eth0'));
    expect(learned).toMatchObject({ index: indexOf(port), kind: 'learned', vlan: null });
    expect(learned?.age).toBeGreaterThanOrEqual(0);
    expect(learned?.age).toBeLessThan(300);
  }
  expect(entries.findIndex(({ kind }) => kind !== 'learned')).toBeGreaterThanOrEqual(2);
  expect(ours()).toEqual(witness());
});

it('knows what was set by hand, and forgets what the bridge forgets', async () => {
  await ping();
  const station = '02:00:00:00:00:99';
  execFileSync('bridge', [
    ...['-n', bridgeNamespace],
    ...['fdb', 'add', station, 'dev', 'p1', 'master', 'static'],
  ]);
  const set = () =>
    must(readFdb(tracker, bridgeNamespace, 'br0')).entries.find(({ mac }) => mac === station);
  expect(set()).toMatchObject({ kind: 'static', age: null, index: indexOf('p1') });
  expect(ours()).toEqual(witness());
  // Which flushes what was learned behind it.
  run(`-n ${bridgeNamespace} link set p2 down`);
  const { entries } = must(readFdb(tracker, bridgeNamespace, 'br0'));
  expect(entries.map(({ mac }) => mac)).not.toContain(macOf(other, 'eth0'));
  expect(ours()).toEqual(witness());
});

it('refuses what is no bridge', () => {
  for (const [namespace, name] of [
    [bridgeNamespace, 'p1'],
    [bridgeNamespace, 'br9'],
    [one, 'br0'],
    ['no-such-place', 'br0'],
  ] as const) {
    expect(readFdb(tracker, namespace, name)).toMatchObject({
      ok: false,
      failure: { kind: 'unknown-object' },
    });
  }
});

const filters = must(probeCapabilities()).capabilities.some(
  ({ name, available }) => name === 'bridge:vlan-filtering' && available,
);
if (!filters) {
  console.error('This kernel does not have, and these tests have not tried: bridge:vlan-filtering');
}
it.runIf(filters)('tells the VLAN that an address was learned in', async () => {
  run(`-n ${bridgeNamespace} link set br0 type bridge vlan_filtering 1`);
  for (const port of ['p1', 'p2']) {
    execFileSync('bridge', [
      ...['-n', bridgeNamespace, 'vlan', 'add', 'dev', port],
      ...['vid', '10', 'pvid', 'untagged'],
    ]);
  }
  await ping();
  const { entries } = must(readFdb(tracker, bridgeNamespace, 'br0'));
  // It may have been learned without a VLAN before the bridge filtered.
  const learned = entries.filter(({ mac, vlan }) => mac === macOf(one, 'eth0') && vlan === 10);
  expect(learned).toMatchObject([{ index: indexOf('p1'), kind: 'learned' }]);
  expect(ours()).toEqual(witness());
});
