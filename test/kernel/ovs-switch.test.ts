/** Databases with a switch behind them, and their OpenFlow tables. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { OpenFlowTables, OvsBridge, OvsInterface, OvsPort } from '../../agent/api/ovs.ts';
import {
  closeNamespace,
  createAnonymousNamespace,
  type NamespaceHandle,
  runIn,
} from '../../agent/kernel/namespaces.ts';
import { OvsDatabase } from '../../agent/ovs/database.ts';
import { bridgeSocket, engineFiles } from '../../agent/ovs/engine-commands.ts';
import { readFlowStatistics, readOpenFlow, replaceOpenFlow } from '../../agent/ovs/openflow.ts';
import { probeEngine, startEngine, stopEngine } from '../../agent/ovs/private-engine.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { bridge, port } from './ovs-bridges.ts';
import { eventually, vsctl } from './ovs-private.ts';

const work = mkdtempSync(join(tmpdir(), 'netloom-switch-'));
const directory = join(work, 'one');
const { socket } = engineFiles(directory);
const br0 = bridgeSocket(directory, 'br0');
let namespace: NamespaceHandle;
let database: OvsDatabase;

beforeAll(async () => {
  requirePrivateNamespaces();
  namespace = must(createAnonymousNamespace());
  must(await startEngine({ directory, datapath: 'netdev', namespaceFd: namespace.fd }));
  database = must(await OvsDatabase.open(socket, { datapath: 'netdev' }));
});

beforeEach(async () => {
  for (const view of database.bridges()) {
    must((await database.apply('lab', [{ before: view.bridge, after: null }])).result);
  }
});

afterAll(async () => {
  database.close();
  must(await stopEngine(directory));
  closeNamespace(namespace);
  rmSync(work, { recursive: true, force: true });
});

function inside(file: string, ...args: readonly string[]): string {
  return must(runIn(namespace.fd, () => execFileSync(file, args, { encoding: 'utf8' })));
}

const common = { mac: null, mtu: null, openFlowPort: null, policing: null };
function portOf(one: OvsInterface): OvsPort {
  return port(one.name, { interfaces: [one] });
}

async function make(...bridges: readonly OvsBridge[]) {
  return database.apply(
    'lab',
    bridges.map((after) => ({ before: null, after })),
  );
}

it('has the switch take over what it makes', async () => {
  const patched = (name: string, own: string, peer: string) =>
    bridge(name, [portOf({ kind: 'patch', name: own, peer, ...common })]);
  const wanted = [
    patched('br0', 'p0', 'p1'),
    { ...patched('br1', 'p1', 'p0'), mac: '02:00:00:00:00:77' },
  ];
  const made = await make(...wanted);
  expect(made).toEqual({ result: { ok: true, value: undefined }, committed: true });
  const views = database.bridges();
  expect(views.map((view) => view.bridge)).toEqual(wanted);
  expect(views.flatMap(({ interfaces }) => interfaces)).toEqual(
    ['br0', 'p0', 'br1', 'p1'].map((name) =>
      expect.objectContaining({ name, ofport: expect.any(Number), error: null }),
    ),
  );
  expect(inside('ip', '-br', 'link', 'show', 'br1')).toContain('02:00:00:00:00:77');
  const again = await database.apply('lab', [
    { before: wanted[0] ?? null, after: wanted[0] ?? null },
  ]);
  expect(again).toEqual({ result: { ok: true, value: undefined }, committed: false });
});

it('tells what the switch could not have, and is taken back', async () => {
  const before = bridge('br0', []);
  must((await make(before)).result);
  const after = bridge('br0', [portOf({ kind: 'system', name: 'nolink', ...common })]);
  expect(await database.apply('lab', [{ before, after }])).toMatchObject({
    committed: true,
    result: {
      ok: false,
      failure: { kind: 'refused', code: 'ovs-interface-refused', object: 'nolink' },
    },
  });
  must((await database.apply('lab', [{ before: after, after: before }])).result);
  expect(database.bridges().map((view) => view.bridge)).toEqual([before]);
  // A name that the database takes and the switch does not even try.
  const slash = bridge('a/b', []);
  expect(await make(slash)).toMatchObject({
    committed: true,
    result: { failure: { kind: 'refused', code: 'ovs-interface-refused', object: 'a/b' } },
  });
  const long = bridge('x'.repeat(25), []);
  expect(await make(long)).toMatchObject({
    committed: false,
    result: { failure: { code: 'ovs-name-too-long', object: long.name } },
  });
  const tunnel = {
    kind: 'vxlan',
    name: 'vx',
    local: null,
    remote: '',
    key: null,
    port: null,
  } as const;
  expect(await make(bridge('br1', [portOf({ ...tunnel, ...common })]))).toMatchObject({
    result: { failure: { code: 'ovs-interface-refused', object: 'vx' } },
  });
  expect(
    await make(bridge('br2', [port('t', { vlan: { mode: 'access', tag: 4096, trunks: [] } })])),
  ).toMatchObject({ committed: false, result: { failure: { code: 'ovs-transaction-refused' } } });
});

it('fails when the switch is silent', async () => {
  const { pid } = probeEngine(directory).switch;
  process.kill(pid ?? 0, 'SIGSTOP');
  const after = bridge('br0', []);
  const made = await database.apply('lab', [{ before: null, after }], { timeout: 300 });
  expect(made).toMatchObject({
    committed: true,
    result: { failure: { kind: 'timeout', code: 'ovs-switch-silent' } },
  });
  process.kill(pid ?? 0, 'SIGCONT');
  await eventually(() => {
    expect(database.bridges()[0]?.interfaces[0]?.ofport).toBe(65534);
  });
});

const tables: OpenFlowTables = {
  flows: [
    'cookie=0x5, table=1, idle_timeout=100, send_flow_rem priority=10,ip actions=meter:1,resubmit(,2),LOCAL',
    'priority=100,tcp,in_port=p1,nw_dst=10.0.0.0/8,tp_dst=80 actions=set_field:00:00:00:00:00:01->eth_dst,output:p2',
    'priority=50,ip,nw_src=10.1.2.3 actions=group:5',
    'table=2, actions=learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),CONTROLLER:65535',
  ],
  groups: [
    'group_id=5,type=select,bucket=bucket_id:0,weight:100,actions=output:p1,bucket=bucket_id:1,weight:50,actions=output:p2',
  ],
  meters: [
    'meter=1,kbps,band=type=drop,rate=1000',
    'meter=2,pktps,burst,stats,band=type=drop,rate=10,burst_size=5',
  ],
};

async function withPorts(values: Partial<OvsBridge> = {}): Promise<void> {
  const internal = (name: string) => portOf({ kind: 'internal', name, ...common });
  must((await make({ ...bridge('br0', [internal('p1'), internal('p2')]), ...values })).result);
}

it('writes tables that read back the same, in whatever order they are changed', async () => {
  await withPorts();
  const byItself = { flows: ['priority=0 actions=NORMAL'], groups: [], meters: [] };
  expect(must(await readOpenFlow(br0))).toEqual(byItself);
  const none = { flows: [], groups: [], meters: [] };
  const other: OpenFlowTables = {
    flows: [
      'priority=100,tcp,in_port=p1,nw_dst=10.0.0.0/8,tp_dst=80 actions=drop',
      'priority=50,ip,nw_src=10.1.2.3 actions=group:6',
    ],
    groups: ['group_id=6,type=indirect,bucket=bucket_id:0,actions=output:p2'],
    meters: ['meter=2,kbps,band=type=drop,rate=77'],
  };
  for (const wanted of [tables, other, tables, none, byItself, other, byItself]) {
    must(await replaceOpenFlow(br0, wanted));
    expect(must(await readOpenFlow(br0))).toEqual(wanted);
  }
});

it('takes lines as people write them, and keeps counters of what stays', async () => {
  await withPorts();
  must(
    await replaceOpenFlow(br0, {
      flows: [
        'ip,nw_dst=10.0.0.0/255.0.0.0,priority=5,actions=output:p2,mod_nw_tos:4',
        'actions=normal',
      ],
      groups: [],
      meters: [],
    }),
  );
  expect(must(await readOpenFlow(br0)).flows).toEqual([
    'actions=NORMAL',
    'priority=5,ip,nw_dst=10.0.0.0/8 actions=output:p2,set_field:1->ip_dscp',
  ]);
  inside('ip', 'link', 'set', 'p1', 'up');
  inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'p1');
  const count = async () => {
    const all = must(await readFlowStatistics(br0));
    return all.find(({ match }) => match === '')?.packets ?? 0;
  };
  await eventually(async () => {
    // Neighbour solicitations of the link that came up.
    expect(await count()).toBeGreaterThan(0);
  });
  const counted = await count();
  must(
    await replaceOpenFlow(br0, {
      flows: ['actions=NORMAL', 'priority=6,arp actions=NORMAL'],
      groups: [],
      meters: [],
    }),
  );
  expect(await count()).toBeGreaterThanOrEqual(counted);
  expect(must(await readFlowStatistics(br0))).toEqual([
    expect.objectContaining({
      table: 0,
      priority: 32768,
      match: '',
      actions: 'NORMAL',
      cookie: '0x0',
    }),
    expect.objectContaining({
      priority: 6,
      match: 'arp',
      actions: 'NORMAL',
      idleAge: expect.any(Number),
    }),
  ]);
});

it.each([
  ['priority=3,nonsense=1,actions=drop', 'unknown keyword nonsense'],
  ['priority=4,actions=group:99', 'OFPBAC_BAD_OUT_GROUP'],
  ['priority=4,in_port=nosuch,actions=drop', 'nosuch'],
])('names the line that is refused and changes nothing: %s', async (line, words) => {
  await withPorts();
  must(await replaceOpenFlow(br0, tables));
  const flows = [
    'priority=1,actions=drop',
    'priority=2,actions=NORMAL',
    line,
    'priority=9,arp,actions=NORMAL',
  ];
  const replaced = await replaceOpenFlow(br0, {
    ...tables,
    meters: tables.meters.slice(0, 1),
    flows,
  });
  expect(replaced).toMatchObject({
    failure: { kind: 'refused', code: 'openflow-line-refused', values: { line } },
  });
  expect(replaced.ok ? '' : replaced.failure.reason).toContain(words);
  expect(must(await readOpenFlow(br0))).toEqual(tables);
});

it('takes meters back when the flows are refused', async () => {
  await withPorts();
  const replaced = await replaceOpenFlow(br0, {
    flows: ['actions=group:1'],
    groups: [],
    meters: ['meter=7,kbps,band=type=drop,rate=1'],
  });
  expect(replaced).toMatchObject({ failure: { code: 'openflow-line-refused' } });
  expect(must(await readOpenFlow(br0)).meters).toEqual([]);
  expect(
    await replaceOpenFlow(br0, {
      flows: [],
      groups: [],
      meters: ['meter=7,kbps,band=type=nothing'],
    }),
  ).toMatchObject({ failure: { code: 'openflow-line-refused' } });
});

it.each(['OpenFlow10', 'OpenFlow13'] as const)(
  'works where a bridge speaks %s only',
  async (version) => {
    await withPorts({ protocols: [version] });
    const flows = ['priority=5,ip,nw_dst=10.0.0.0/8 actions=output:p2'];
    must(await replaceOpenFlow(br0, { flows, groups: [], meters: [] }));
    expect(must(await readOpenFlow(br0))).toEqual({ flows, groups: [], meters: [] });
  },
);

it('says who does not answer', async () => {
  const nobody = bridgeSocket(directory, 'nobody');
  expect(await readOpenFlow(nobody)).toMatchObject({ failure: { kind: 'unreachable' } });
  expect(vsctl(socket, 'list-br')).toBe('');
});
