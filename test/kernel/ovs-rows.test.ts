import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OvsBridge, OvsPort } from '../../agent/api/ovs.ts';
import { BridgeReadings, monitoredColumns } from '../../agent/ovs/bridge-rows.ts';
import { type BridgeChange, transactionOf } from '../../agent/ovs/bridge-transaction.ts';
import { OvsdbClient } from '../../agent/ovs/ovsdb-client.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { bridge, port } from './ovs-bridges.ts';
import { someBridges } from './ovs-random.ts';
import { endDatabases, eventually, startDatabase, vsctl } from './ovs-private.ts';

beforeAll(requirePrivateNamespaces);
afterAll(endDatabases);

async function open(socket: string): Promise<OvsdbClient> {
  return must(await OvsdbClient.open(socket, { columns: monitoredColumns }));
}

function changesTo(
  before: readonly OvsBridge[],
  after: readonly OvsBridge[],
): readonly BridgeChange[] {
  const names = new Set([...before, ...after].map(({ name }) => name));
  return [...names].map((name) => ({
    before: before.find((bridge) => bridge.name === name) ?? null,
    after: after.find((bridge) => bridge.name === name) ?? null,
  }));
}

/** What `ovs-vsctl` prints of a table, without what the server makes itself. */
function rowsOf(socket: string, table: string): readonly string[] {
  const text = vsctl(socket, '--format=json', '--no-headings', 'list', table);
  const { data } = JSON.parse(text) as { data: unknown[][] };
  return data.map((row) => JSON.stringify(row)).sort();
}

const tables = [
  'Bridge',
  'Port',
  'Interface',
  'Mirror',
  'QoS',
  'Queue',
  'NetFlow',
  'sFlow',
  'IPFIX',
  'Controller',
];

it('leads from any bridges to any others, and leaves nothing behind', async () => {
  const socket = startDatabase();
  vsctl(
    socket,
    '--no-wait',
    'add-br',
    'theirs',
    '--',
    '--id=@q',
    'create',
    'QoS',
    'type=linux-htb',
    '--',
    'set',
    'Port',
    'theirs',
    'qos=@q',
    '--',
    'set-controller',
    'theirs',
    'tcp:10.9.9.9',
  );
  const foreign = tables.map((table) => rowsOf(socket, table));
  const client = await open(socket);
  const readings = new BridgeReadings();
  const step = async (from: readonly OvsBridge[], to: readonly OvsBridge[]): Promise<void> => {
    const { operations } = must(transactionOf(client.tables, 'lab', changesTo(from, to), 'netdev'));
    if (operations.length > 0) must(await client.transact(operations));
    const ours = readings.read(client.tables).filter(({ lab }) => lab === 'lab');
    expect(ours.map((reading) => reading.bridge)).toEqual(to);
    expect(ours.some(({ intricate }) => intricate)).toBe(false);
    // From what is there to what is there nothing is done.
    const idle = transactionOf(client.tables, 'lab', changesTo(to, to), 'netdev');
    expect(must(idle).operations).toEqual([]);
  };
  await fc.assert(
    fc.asyncProperty(someBridges, someBridges, someBridges, async (first, second, third) => {
      await step([], first);
      await step(first, second);
      await step(second, third);
      await step(third, []);
      expect(tables.map((table) => rowsOf(socket, table))).toEqual(foreign);
    }),
    { numRuns: 60, endOnFailure: true },
  );
  client.close();
});

it('writes one row when one setting changes', async () => {
  const socket = startDatabase();
  const client = await open(socket);
  const before = bridge('br0', [port('p1'), port('p2')]);
  must(
    await client.transact(
      must(transactionOf(client.tables, 'lab', [{ before: null, after: before }], 'netdev'))
        .operations,
    ),
  );
  const after = bridge('br0', [
    port('p1', { vlan: { mode: 'access', tag: 7, trunks: [] } }),
    port('p2'),
  ]);
  const { operations } = must(transactionOf(client.tables, 'lab', [{ before, after }], 'netdev'));
  expect(operations.map(({ op }) => op)).toEqual(['wait', 'update', 'mutate', 'select']);
  expect(operations[1]).toMatchObject({ table: 'Port', row: { tag: 7 } });
  client.close();
});

it('fails where somebody else has changed the same meanwhile, and leaves their change', async () => {
  const socket = startDatabase();
  const client = await open(socket);
  const before = bridge('br0', [port('p1'), port('p2')]);
  must(
    await client.transact(
      must(transactionOf(client.tables, 'lab', [{ before: null, after: before }], 'netdev'))
        .operations,
    ),
  );
  const tagged = bridge('br0', [
    port('p1', { vlan: { mode: 'access', tag: 7, trunks: [] } }),
    port('p2'),
  ]);
  const { operations } = must(
    transactionOf(client.tables, 'lab', [{ before, after: tagged }], 'netdev'),
  );
  const removal = must(transactionOf(client.tables, 'lab', [{ before, after: null }], 'netdev'));
  vsctl(socket, '--no-wait', 'set', 'Port', 'p1', 'tag=9');
  expect(await client.transact(operations)).toMatchObject({
    failure: { kind: 'stale-plan', code: 'ovs-database-changed' },
  });
  expect(vsctl(socket, 'get', 'Port', 'p1', 'tag')).toBe('9\n');
  vsctl(socket, '--no-wait', 'add-port', 'br0', 'alien');
  expect(await client.transact(removal.operations)).toMatchObject({
    failure: { kind: 'stale-plan' },
  });
  client.close();
});

it('leaves alone what bears no mark or that of another lab', async () => {
  const socket = startDatabase();
  vsctl(socket, '--no-wait', 'add-br', 'theirs', '--', 'add-port', 'theirs', 'p1');
  const client = await open(socket);
  const build = (lab: string, before: OvsBridge | null, after: OvsBridge | null) =>
    transactionOf(client.tables, lab, [{ before, after }], 'netdev');
  const theirs = bridge('theirs', []);
  expect(build('lab', null, theirs)).toMatchObject({ failure: { code: 'ovs-name-taken' } });
  expect(build('lab', theirs, null)).toMatchObject({ failure: { code: 'ovs-not-ours' } });
  expect(build('lab', null, bridge('br0', [port('p1')]))).toMatchObject({
    failure: { code: 'ovs-name-taken', object: 'p1' },
  });
  must(await client.transact(must(build('lab', null, bridge('br0', []))).operations));
  expect(build('other', bridge('br0', []), null)).toMatchObject({
    failure: { code: 'ovs-not-ours' },
  });
  // A port of theirs in a bridge of ours is neither shown as ours nor touched.
  vsctl(
    socket,
    '--no-wait',
    'add-port',
    'br0',
    'alien',
    '--',
    'set',
    'Bridge',
    'br0',
    'other_config:x=y',
  );
  await eventually(() => {
    const reading = new BridgeReadings()
      .read(client.tables)
      .find((one) => one.bridge.name === 'br0');
    expect(reading).toMatchObject({ foreignPorts: ['alien'], intricate: true });
    expect(reading?.bridge.ports.map(({ name }) => name)).toEqual(['br0']);
  });
  must(
    await client.transact(
      must(build('lab', bridge('br0', []), { ...bridge('br0', []), ageingTime: 60 })).operations,
    ),
  );
  expect(vsctl(socket, 'list-ports', 'br0')).toBe('alien\n');
  expect(vsctl(socket, 'get', 'Bridge', 'br0', 'other_config')).toBe(
    '{mac-aging-time="60", x=y}\n',
  );
  client.close();
});

it('reads what others write with other words for the same', async () => {
  const socket = startDatabase();
  vsctl(
    socket,
    '--no-wait',
    'add-br',
    'br0',
    '--',
    'set',
    'Bridge',
    'br0',
    'fail_mode=standalone',
    'other_config:datapath-id=0x00000000000000AB',
    '--',
    'add-port',
    'br0',
    'p1',
    'tag=7',
    'vlan_mode=access',
    '--',
    'add-port',
    'br0',
    't1',
    '--',
    'set',
    'Interface',
    't1',
    'type=vxlan',
    'options:remote_ip=flow',
    'options:key=flow',
    '--',
    'add-br',
    'plain',
    '--',
    'add-bond',
    'plain',
    'b0',
    'm1',
    'm2',
  );
  const client = await open(socket);
  const [br0, plain] = new BridgeReadings().read(client.tables);
  expect(br0).toMatchObject({ lab: null, intricate: true, datapath: 'system' });
  expect(br0?.bridge).toMatchObject({ failMode: 'standalone', datapathId: '00000000000000ab' });
  expect(br0?.bridge.ports.find(({ name }) => name === 'p1')?.vlan).toEqual({
    mode: 'access',
    tag: 7,
    trunks: [],
  });
  expect(plain).toMatchObject({ intricate: false });
  expect(plain?.bridge.ports[0]?.bond).toEqual({
    mode: 'active-backup',
    lacp: 'off',
    lacpTime: 'slow',
    lacpFallback: false,
    upDelay: 0,
    downDelay: 0,
  });
  client.close();
});

it('makes 200 bridges with 400 patch ports in one transaction', async () => {
  const socket = startDatabase();
  const client = await open(socket);
  const readings = new BridgeReadings();
  const common = { mac: null, mtu: null, openFlowPort: null, policing: null };
  const patch = (name: string, peer: string): OvsPort =>
    port(name, { interfaces: [{ kind: 'patch', name, peer, ...common }] });
  const all = Array.from({ length: 200 }, (_, at) => {
    const next = (at + 1) % 200;
    const last = (at + 199) % 200;
    return bridge(`b${at}`, [patch(`n${at}`, `l${next}`), patch(`l${at}`, `n${last}`)]);
  }).sort((one, other) => (one.name < other.name ? -1 : 1));
  must(
    await client.transact(
      must(transactionOf(client.tables, 'lab', changesTo([], all), 'netdev')).operations,
    ),
  );
  const whole = readings.read(client.tables);
  expect(whole.map((reading) => reading.bridge)).toEqual(all);
  vsctl(socket, '--no-wait', 'set', 'Interface', 'n7', 'mtu_request=1400');
  await eventually(() => {
    const again = readings.read(client.tables);
    const changed = again.filter((reading, at) => reading !== whole[at]);
    expect(changed.map((reading) => reading.bridge.name)).toEqual(['b7']);
  });
  must(
    await client.transact(
      must(transactionOf(client.tables, 'lab', changesTo(all, []), 'netdev')).operations,
    ),
  );
  expect(client.tables.get('Interface')?.size).toBe(0);
  client.close();
});
