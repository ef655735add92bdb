/** What a running switch says of itself. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OvsInterface } from '../../agent/api/ovs.ts';
import {
  closeNamespace,
  createAnonymousNamespace,
  type NamespaceHandle,
  runIn,
} from '../../agent/kernel/namespaces.ts';
import {
  readBonds,
  readCoverage,
  readDatapaths,
  readFdb,
  readLacp,
  readTrees,
  readUpcalls,
  readVersion,
  traceOpenFlow,
} from '../../agent/ovs/appctl.ts';
import { bondMembersOf } from '../../agent/ovs/appctl-text.ts';
import { OvsDatabase } from '../../agent/ovs/database.ts';
import { bridgeSocket, engineFiles } from '../../agent/ovs/engine-commands.ts';
import { replaceOpenFlow } from '../../agent/ovs/openflow.ts';
import { startEngine, stopEngine } from '../../agent/ovs/private-engine.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { bridge, port } from './ovs-bridges.ts';
import { eventually } from './ovs-private.ts';

const work = mkdtempSync(join(tmpdir(), 'netloom-reports-'));
const directory = join(work, 'one');
const { socket, switchControl } = engineFiles(directory);
let namespace: NamespaceHandle;
let database: OvsDatabase;

const common = { mac: null, mtu: null, openFlowPort: null, policing: null };
const one = (entry: OvsInterface) => port(entry.name, { interfaces: [entry] });
const internal = (name: string) => ({ kind: 'internal', name, ...common }) as const;
const settings = {
  mode: 'balance-tcp',
  lacp: 'active',
  lacpTime: 'fast',
  lacpFallback: false,
  upDelay: 0,
  downDelay: 0,
} as const;
/** Two bridges that are joined by a patch port and by a bond of two veth pairs, one of them with RSTP. */
const bond = (name: string, members: readonly string[]) =>
  port(name, {
    interfaces: members.map((member) => ({ kind: 'system', name: member, ...common })),
    bond: settings,
  });
const wanted = [
  {
    ...bridge('br0', [port('h0'), one({ kind: 'patch', name: 'pa', peer: 'pb', ...common })]),
    rstp: true,
  },
  {
    ...bridge('br1', [port('h1'), one({ kind: 'patch', name: 'pb', peer: 'pa', ...common })]),
    stp: true,
  },
  bridge('br2', [one(internal('h2')), bond('b2', ['m1', 'm2'])]),
  bridge('br3', [one(internal('h3')), bond('b3', ['n1', 'n2'])]),
  bridge('br4', [port('h4'), one({ kind: 'patch', name: 'p4', peer: 'p5', ...common })]),
  bridge('br5', [port('h5'), one({ kind: 'patch', name: 'p5', peer: 'p4', ...common })]),
];

function inside(file: string, ...args: readonly string[]): string {
  return must(runIn(namespace.fd, () => execFileSync(file, args, { encoding: 'utf8' })));
}

beforeAll(async () => {
  requirePrivateNamespaces();
  namespace = must(createAnonymousNamespace());
  for (const number of [1, 2]) {
    inside('ip', 'link', 'add', `m${number}`, 'type', 'veth', 'peer', 'name', `n${number}`);
    for (const name of ['m', 'n']) inside('ip', 'link', 'set', `${name}${number}`, 'up');
  }
  must(await startEngine({ directory, datapath: 'netdev', namespaceFd: namespace.fd }));
  database = must(await OvsDatabase.open(socket, { datapath: 'netdev' }));
  must(
    (
      await database.apply(
        'lab',
        wanted.map((after) => ({ before: null, after })),
      )
    ).result,
  );
});

afterAll(async () => {
  database.close();
  must(await stopEngine(directory));
  closeNamespace(namespace);
  rmSync(work, { recursive: true, force: true });
});

it('tells how members of a bond fare when one fails', async () => {
  const members = async () =>
    bondMembersOf(must(await readBonds(switchControl)), must(await readLacp(switchControl)));
  await eventually(async () => {
    const all = await members();
    expect([...all.keys()].sort()).toEqual(['m1', 'm2', 'n1', 'n2']);
    for (const state of all.values())
      expect(state).toMatchObject({ enabled: true, lacp: 'current' });
  });
  const [report] = must(await readBonds(switchControl));
  expect(report).toMatchObject({ mode: 'balance-tcp', lacpStatus: 'negotiated' });
  inside('ip', 'link', 'set', 'n2', 'down');
  await eventually(async () => {
    expect((await members()).get('m2')?.enabled).toBe(false);
    expect((await members()).get('m1')).toMatchObject({ enabled: true });
  });
});

it('tells trees, in the database and by itself', async () => {
  await eventually(async () => {
    const trees = must(await readTrees(switchControl));
    expect(trees.map((tree) => tree.bridge).sort()).toEqual(['br0', 'br1']);
    const rapid = trees.find((tree) => tree.bridge === 'br0');
    expect(rapid?.protocol).toBe('rstp');
    expect(rapid?.ports.find(({ name }) => name === 'pa')?.role).toBeTruthy();
  });
  await eventually(() => {
    const states = database.bridges().flatMap(({ interfaces }) => interfaces);
    const pa = states.find(({ name }) => name === 'pa');
    const pb = states.find(({ name }) => name === 'pb');
    expect(pa?.treeRole).toBeTruthy();
    expect(pa?.treeState).toBeTruthy();
    expect(pb?.treeRole).toMatch(/^(?:designated|root)$/);
    expect(pb?.treeState).toMatch(/^(?:listening|learning|forwarding|blocking)$/);
  });
});

it('tells what it has learned, and figures', async () => {
  inside('ip', 'link', 'set', 'h2', 'up');
  inside('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'h2');
  const mac = /link\/ether ([0-9a-f:]+)/.exec(inside('ip', 'link', 'show', 'h2'))?.[1];
  await eventually(async () => {
    const learned = must(await readFdb(switchControl, 'br2'));
    expect(learned.some((entry) => entry.mac === mac && entry.vlan === 0)).toBe(true);
  });
  expect(await readFdb(switchControl, 'nobridge')).toMatchObject({
    failure: { kind: 'refused', code: 'ovs-command-refused' },
  });
  expect(must(await readUpcalls(switchControl))).toMatchObject([{ datapath: 'netdev@ovs-netdev' }]);
  await eventually(async () => {
    const counters = must(await readCoverage(switchControl));
    expect(counters.get('bridge_reconfigure')?.total).toBeGreaterThan(0);
  });
  expect(must(await readDatapaths(switchControl))[0]?.missed).toBeGreaterThan(0);
  expect(must(await readVersion(switchControl))).toMatch(/^\d+\.\d+\.\d+/);
});

it('traces a packet across a patch port', async () => {
  must(
    await replaceOpenFlow(bridgeSocket(directory, 'br4'), {
      flows: ['priority=5,tcp,in_port=h4 actions=resubmit(,3)', 'table=3, actions=output:p4'],
      groups: [],
      meters: [],
    }),
  );
  const bridges = database.bridges().map((view) => view.bridge);
  const trace = must(await traceOpenFlow(switchControl, 'br4', 'in_port=h4,tcp', bridges));
  expect(trace.steps[0]).toMatchObject({
    bridge: 'br4',
    inPort: 'h4',
    tables: [
      { table: 0, match: 'tcp,in_port=h4' },
      { table: 3, match: '', actions: ['output:p4'] },
    ],
  });
  expect(trace.steps[1]).toMatchObject({ bridge: 'br5', inPort: 'p5', from: 0 });
  expect(trace.steps[0]?.outPorts).toEqual(['p4']);
  expect(trace.result.outputs).toContainEqual({ bridge: 'br5', port: 'h5' });
  // The packet itself: a SYN from 192.0.2.1 to 192.0.2.2 port 80, which the flow says nothing of.
  const frame =
    '020000000002' +
    '020000000001' +
    '0800' +
    '450000280001000040060000c0000201c0000202' +
    '9c40005000000001000000005002ffff00000000';
  const captured = must(await traceOpenFlow(switchControl, 'br4', 'in_port=h4', bridges, frame));
  expect(captured.flow).toMatch(/tcp,.*nw_dst=192\.0\.2\.2.*tp_dst=80/);
  expect(captured.steps[0]?.outPorts).toEqual(['p4']);
  // A group that shares by hash: one of its ways, and said to be one.
  must(
    await replaceOpenFlow(bridgeSocket(directory, 'br4'), {
      flows: ['in_port=h4 actions=group:1'],
      groups: ['group_id=1,type=select,bucket=actions=output:p4,bucket=actions=output:p4'],
      meters: [],
    }),
  );
  for (const octets of [undefined, frame]) {
    const flow = octets === undefined ? 'in_port=h4,tcp' : 'in_port=h4';
    const shared = must(await traceOpenFlow(switchControl, 'br4', flow, bridges, octets));
    expect(shared.steps[0]?.outPorts).toEqual(['p4']);
    expect(shared.result.assumesHash).toBe(true);
  }
  expect(await traceOpenFlow(switchControl, 'br4', 'nonsense', bridges)).toMatchObject({
    failure: {
      code: 'ovs-command-refused',
      values: { detail: expect.stringContaining('nonsense') },
    },
  });
});
