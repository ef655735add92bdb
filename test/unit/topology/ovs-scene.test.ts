/** How Open vSwitch is drawn: bridges, ports, bonds, patch ports and tunnels, wanted and real. */
import { describe, expect, it } from 'vitest';
import {
  emptyInventory,
  type Inventory,
  type LabDocument,
  type LinkView,
  type OvsBridgeView,
  type OvsInterface,
  type OvsPort,
} from '../../../agent/api/index.ts';
import { layOutScene } from '../../../renderer/topology/canvas/geometry.ts';
import { buildScene } from '../../../renderer/topology/canvas/scene/build-scene.ts';
import { differencesOf, freeForPort } from '../../../renderer/topology/live.ts';

const site: LabDocument = {
  netloom: 1,
  name: 'site',
  topology: {
    nodes: {
      m1: { kind: 'namespace' },
      m2: { kind: 'namespace' },
      h1: { kind: 'namespace', interfaces: { eth0: { addresses: ['10.1.0.1/24'] } } },
      wire: { kind: 'bridge' },
      ext1: { kind: 'ovs-bridge', namespace: 'm1', addresses: ['192.0.2.1/24'] },
      ext2: { kind: 'ovs-bridge', namespace: 'm2', addresses: ['192.0.2.2/24'] },
      int1: {
        kind: 'ovs-bridge',
        namespace: 'm1',
        ports: {
          h: { vlan: 10 },
          vx: { kind: 'vxlan', remote: '192.0.2.2', key: 7, trunk: [10, 20] },
          gw: { kind: 'internal', addresses: ['10.1.0.254/24'], vlan: 10 },
        },
      },
      int2: {
        kind: 'ovs-bridge',
        namespace: 'm2',
        ports: {
          vx: { kind: 'vxlan', remote: '192.0.2.1', key: 7 },
          b1: {},
          b2: {},
          bond0: { kind: 'bond', members: ['b1', 'b2'], trunk: [10], native: 1 },
        },
      },
    },
    links: [
      { endpoints: ['ext1:u1', 'wire:a'] },
      { endpoints: ['ext2:u2', 'wire:b'] },
      { endpoints: ['h1:eth0', 'int1:h'] },
      { type: 'patch', endpoints: ['int1:p-ext', 'ext1:p-int'] },
      { endpoints: ['int2:b1', 'wire:c'] },
      { endpoints: ['int2:b2', 'wire:d'] },
    ],
  },
};

const picture = (document: LabDocument, inventory: Inventory | null = null) =>
  buildScene({ document, inventory, lab: 'site', plan: null, checks: [], drifted: false });

function nodeOf(scene: ReturnType<typeof picture>, id: string) {
  const node = scene.nodes.find((each) => each.id === id);
  if (node === undefined) throw new Error(`${id} is not drawn`);
  return node;
}

function portOf(scene: ReturnType<typeof picture>, id: string) {
  const port = scene.nodes.flatMap((node) => node.interfaces).find((each) => each.id === id);
  if (port === undefined) throw new Error(`${id} is not drawn`);
  return port;
}

describe('an Open vSwitch bridge that is wanted', () => {
  const scene = picture(site);

  it('is drawn as one, in its namespace, with its address', () => {
    expect(nodeOf(scene, 'ext1')).toMatchObject({
      kind: 'ovs-bridge',
      presence: 'wanted',
      within: 'm1',
      note: '192.0.2.1/24',
    });
  });

  it('has the ends of wires, internal ports and tunnels along it', () => {
    expect(nodeOf(scene, 'int1').interfaces.map(({ name, device }) => [name, device])).toEqual([
      ['h', null],
      ['p-ext', 'patch'],
      ['vx', 'vxlan'],
      ['gw', 'internal'],
    ]);
    expect(portOf(scene, 'int1:gw').address).toBe('10.1.0.254/24');
  });

  it('tells the VLANs of each port: access, trunk, trunk of all', () => {
    expect(portOf(scene, 'int1:h').vlans).toEqual({ untagged: 10, tagged: [] });
    expect(portOf(scene, 'int1:vx').vlans).toEqual({
      untagged: null,
      tagged: [10, 20],
      all: false,
    });
    expect(portOf(scene, 'int1:p-ext').vlans).toEqual({ untagged: null, tagged: [], all: true });
  });

  it('says nothing of VLANs where no port of it tells them apart', () => {
    expect(portOf(scene, 'ext1:u1').vlans).toBeNull();
  });

  it('gives the VLANs of a bond to the bond, and none to its members', () => {
    expect(portOf(scene, 'int2:bond0').vlans).toEqual({ untagged: 1, tagged: [10], all: false });
    expect(portOf(scene, 'int2:b1')).toMatchObject({ vlans: null, bond: { name: 'bond0' } });
  });

  it('is joined to its neighbour by patch ports', () => {
    expect(scene.wires.find((wire) => wire.id === 'link:3')).toMatchObject({
      kind: 'patch',
      ends: [
        { node: 'int1', interface: 'p-ext' },
        { node: 'ext1', interface: 'p-int' },
      ],
    });
  });

  it('is joined by a tunnel to the machine that the remote address is of, over the wires between', () => {
    const [overlay] = scene.wires.filter((wire) => wire.kind === 'overlay');
    expect(overlay?.ends).toEqual([
      { node: 'int1', interface: 'vx' },
      { node: 'int2', interface: 'vx' },
    ]);
    expect(overlay?.underlay.interfaces).toEqual(['ext1:ext1', 'ext2:ext2']);
    expect([...(overlay?.underlay.wires ?? [])].sort()).toEqual(['link:0', 'link:1']);
  });

  it('keeps tunnels of different keys apart', () => {
    const other = structuredClone(site);
    const far = other.topology.nodes['int2'];
    if (far?.kind !== 'ovs-bridge' || far.ports?.['vx']?.kind !== 'vxlan') throw new Error('no vx');
    far.ports['vx'].key = 8;
    expect(picture(other).wires.some((wire) => wire.kind === 'overlay')).toBe(false);
  });
});

describe('the geometry of an Open vSwitch bridge', () => {
  it('lays a bond along its members, under a bracket', () => {
    const scene = picture(site);
    const positions = new Map(
      scene.nodes.map((node, index) => [node.id, { x: 0, y: index * 200 }] as const),
    );
    const card = layOutScene(scene, positions).cards.get('int2');
    if (card === undefined) throw new Error('no card');
    const whole = card;
    const members = card.ports.filter((port) => port.interface.bond !== null);
    const bond = card.ports.find((port) => port.interface.name === 'bond0');
    expect(members).toHaveLength(2);
    expect(bond?.side).toBe('inner');
    expect(bond?.x).toBe(Math.min(...members.map((port) => port.x)));
    expect(card.brackets.map((bracket) => bracket.bond)).toEqual(['bond0']);
    const beside = new Map(
      scene.nodes.map((node, index) => [node.id, { x: index * 400, y: 0 }] as const),
    );
    const across = layOutScene(scene, beside).cards.get('int2');
    expect(across?.brackets.map((bracket) => bracket.side)).toEqual(['left']);
    for (const port of [...card.ports, ...(across?.ports ?? [])]) {
      const card = across?.ports.includes(port) === true ? across : whole;
      expect(port.x).toBeGreaterThanOrEqual(-card.width / 2);
      expect(port.x + port.width).toBeLessThanOrEqual(card.width / 2);
      expect(port.y).toBeGreaterThanOrEqual(-card.height / 2);
      expect(port.y + port.height).toBeLessThanOrEqual(card.height / 2);
    }
  });
});

const common = { mac: null, mtu: null, openFlowPort: null, policing: null };
const port = (made: OvsInterface, more: Partial<OvsPort> = {}): OvsPort => ({
  name: made.name,
  interfaces: [made],
  bond: null,
  vlan: { mode: 'trunk', tag: null, trunks: [] },
  qos: null,
  cost: null,
  priority: null,
  ...more,
});
const state = { error: null, linkUp: true, treeRole: null, treeState: null, bondMember: null };
const view = (
  name: string,
  ports: OvsPort[],
  more: Partial<OvsBridgeView> = {},
): OvsBridgeView => ({
  bridge: {
    name,
    datapathId: null,
    failMode: 'standalone',
    protocols: [],
    controllers: [],
    controllersOutOfBand: false,
    stp: false,
    rstp: false,
    priority: null,
    forwardDelay: null,
    helloTime: null,
    maximumAge: null,
    ageingTime: null,
    multicastSnooping: false,
    mac: null,
    ports,
    mirrors: [],
    netflow: null,
    sflow: null,
    ipfix: null,
  },
  lab: 'site',
  intricate: false,
  tables: null,
  interfaces: ports.flatMap((each) =>
    each.interfaces.map((made, index) => ({ ...state, name: made.name, ofport: index + 1 })),
  ),
  ...more,
});
const space = (id: string, names: string[], root = false): Inventory['namespaces'][number] => ({
  id,
  names,
  root,
  container: null,
  mounts: [],
  processes: [],
  processCount: 0,
  runs: [],
  forwarding: { ipv4: false, ipv6: false },
  rules: null,
  lab: root ? null : 'site',
});
const engine = (namespace: string, bridges: OvsBridgeView[]): Inventory['engines'][number] => ({
  namespace,
  kind: 'private',
  datapath: 'netdev',
  version: '3.5.0',
  schemaVersion: '8.8.0',
  database: { pid: 10, running: true },
  switch: { pid: 11, running: true },
  events: [],
  bridges,
});
const real: Inventory = {
  ...emptyInventory,
  namespaces: [space('1', [], true), space('2', ['m1']), space('3', ['m2'])],
  engines: [
    engine('2', [
      view('int1', [
        port({ kind: 'patch', name: 'p-ext', peer: 'p-int', ...common }),
        port({
          kind: 'vxlan',
          name: 'vx',
          local: null,
          remote: '192.0.2.2',
          key: 7,
          port: null,
          ...common,
        }),
      ]),
      view('ext1', [port({ kind: 'patch', name: 'p-int', peer: 'p-ext', ...common })]),
    ]),
    engine('3', [
      view(
        'int2',
        [
          port(
            { kind: 'system', name: 'b1', ...common },
            {
              name: 'bond0',
              interfaces: [
                { kind: 'system', name: 'b1', ...common },
                { kind: 'system', name: 'b2', ...common },
              ],
              bond: {
                mode: 'active-backup',
                lacp: 'off',
                lacpTime: 'slow',
                lacpFallback: false,
                upDelay: 0,
                downDelay: 0,
              },
            },
          ),
        ],
        {
          interfaces: [
            {
              ...state,
              name: 'b1',
              ofport: 1,
              bondMember: { enabled: true, active: false, lacp: null },
            },
            {
              ...state,
              name: 'b2',
              ofport: 2,
              bondMember: { enabled: false, active: false, lacp: null },
            },
            { ...state, name: 'vx', ofport: null, error: 'could not open network device vx' },
          ],
        },
      ),
    ]),
  ],
};

describe('an Open vSwitch bridge that is there', () => {
  const scene = picture(site, real);

  it('is real by what its own database says', () => {
    expect(nodeOf(scene, 'int1').presence).toBe('real');
    expect(portOf(scene, 'int1:vx').presence).toBe('real');
    expect(scene.wires.find((wire) => wire.id === 'link:3')).toMatchObject({
      presence: 'real',
      carrier: true,
    });
    // The end of a veth pair is a link of the kernel, which has none here.
    expect(portOf(scene, 'int1:h').presence).toBe('wanted');
  });

  it('shows which members of a bond carry, and which cannot', () => {
    expect(portOf(scene, 'int2:b1').bond?.state).toEqual({ state: 'backup', linkUp: true });
    expect(portOf(scene, 'int2:b2').bond?.state).toEqual({ state: 'backup', linkUp: false });
  });

  it('differs where a VLAN or a port is not as it is wanted', () => {
    const found = differencesOf(real, site, 'int1');
    expect(found).toContainEqual({
      object: 'vx',
      field: 'vlan',
      wanted: 'trunk 10,20',
      real: 'trunk',
    });
    expect(found).toContainEqual({ object: 'gw', field: 'presence', wanted: 'gw', real: null });
    expect(found.filter((each) => each.object === 'h')).toHaveLength(1);
  });

  it('keeps what Open vSwitch makes for itself out of the picture', () => {
    const link = {
      id: '1/9',
      namespace: '2',
      index: 9,
      name: 'ovs-netdev',
      kind: 'tun',
      mac: null,
      mtu: 1500,
      up: true,
      carrier: true,
      operationalState: 'up',
      master: null,
      peer: null,
      alias: null,
      lab: null,
      addresses: [],
      bridge: null,
      portState: null,
      device: null,
      port: null,
      vlans: null,
      bondMember: null,
      impairment: null,
      queueing: null,
      holders: [],
    };
    const withIt = picture(site, { ...real, links: [link] });
    expect(nodeOf(withIt, 'm1').interfaces).toEqual([]);
    // Without an Open vSwitch there it is somebody else's.
    const without = picture(site, { ...real, engines: [], links: [link] });
    expect(nodeOf(without, 'm1').interfaces.map((each) => each.name)).toEqual(['ovs-netdev']);
  });
});

describe('an Open vSwitch bridge of somebody else', () => {
  it('is drawn as one, with its ports along it', () => {
    const made = (index: number, name: string, kind: string): Inventory['links'][number] => ({
      id: `1/${index}`,
      namespace: '1',
      index,
      name,
      kind,
      mac: null,
      mtu: 1500,
      up: true,
      carrier: true,
      operationalState: 'up',
      master: null,
      peer: null,
      alias: null,
      lab: null,
      addresses: [],
      bridge: null,
      portState: null,
      device: null,
      port: null,
      vlans: null,
      bondMember: null,
      impairment: null,
      queueing: null,
      holders: [],
    });
    const foreign = view('br-int', [
      port({ kind: 'internal', name: 'br-int', ...common }),
      port({ kind: 'system', name: 'eth1', ...common }),
    ]);
    const scene = picture(site, {
      ...emptyInventory,
      namespaces: [space('1', [], true)],
      links: [made(2, 'eth1', 'ether'), made(3, 'br-int', 'openvswitch'), made(4, 'eth0', 'ether')],
      engines: [engine('1', [{ ...foreign, lab: null }])],
    });
    const drawn = scene.nodes.filter((node) => node.presence === 'foreign');
    expect(drawn.map((node) => [node.title, node.kind])).toEqual([
      ['br-int', 'ovs-bridge'],
      ['eth0', 'device'],
    ]);
    expect(nodeOf(scene, 'foreign:1/3').interfaces.map((item) => item.name)).toEqual(['eth1']);
  });
});

describe('a bridge that a plan takes away', () => {
  it('is still drawn while its Open vSwitch has it', () => {
    const scene = buildScene({
      document: null,
      inventory: real,
      lab: 'site',
      plan: {
        steps: [
          {
            id: 0,
            verb: 'remove',
            object: 'bridge',
            label: 'int1',
            targets: [{ node: 'int1', interface: null }],
            changes: [],
            commands: [],
          },
        ],
      },
      checks: [],
      drifted: false,
    });
    expect(nodeOf(scene, 'int1')).toMatchObject({ kind: 'ovs-bridge', difference: 'remove' });
  });
});

describe('the root of a spanning tree of Open vSwitch', () => {
  it('is the bridge whose ports all lead away from it', () => {
    const document: LabDocument = {
      netloom: 1,
      name: 'site',
      topology: {
        nodes: {
          a: { kind: 'ovs-bridge', rstp: true },
          b: { kind: 'ovs-bridge', rstp: true },
        },
        links: [{ type: 'patch', endpoints: ['a:x', 'b:y'] }],
      },
    };
    const bridge = (name: string, own: string, peer: string, role: string): OvsBridgeView => {
      const made = view(name, [port({ kind: 'patch', name: own, peer, ...common })]);
      return {
        ...made,
        bridge: { ...made.bridge, rstp: true },
        interfaces: [{ ...state, name: own, ofport: 1, treeRole: role, treeState: 'forwarding' }],
      };
    };
    const scene = picture(document, {
      ...emptyInventory,
      namespaces: [space('1', [], true)],
      engines: [engine('1', [bridge('a', 'x', 'y', 'designated'), bridge('b', 'y', 'x', 'root')])],
    });
    expect(nodeOf(scene, 'a').root).toBe(true);
    expect(nodeOf(scene, 'b').root).toBe(false);
  });
});

describe('a NIC of the machine', () => {
  const document: LabDocument = {
    netloom: 1,
    name: 'site',
    topology: {
      nodes: { sw: { kind: 'ovs-bridge', ports: { enp1s0: { kind: 'physical', vlan: 10 } } } },
    },
  };
  const nic = (name: string, index: number, more: Partial<LinkView> = {}): LinkView => ({
    id: `1/${index}`,
    namespace: '1',
    index,
    name,
    kind: 'physical',
    mac: '02:00:00:00:00:01',
    mtu: 9000,
    up: false,
    carrier: true,
    operationalState: 'down',
    master: null,
    peer: null,
    alias: null,
    lab: null,
    addresses: [],
    bridge: null,
    portState: null,
    device: null,
    port: null,
    vlans: null,
    bondMember: null,
    impairment: null,
    queueing: null,
    holders: [],
    ...more,
  });
  const address = {
    address: '192.0.2.5/24',
    family: 'ipv4',
    scope: 'global',
    owned: false,
    tentative: false,
    duplicate: false,
  } as const;
  const withPorts = (...ports: OvsPort[]): Inventory => ({
    ...emptyInventory,
    namespaces: [space('1', [], true), { ...space('9', ['outside']), lab: null }],
    links: [
      nic('eth0', 7, { id: '9/7', namespace: '9', kind: 'veth', peer: '1/2' }),
      nic('enp0s0', 4, { addresses: [address] }),
      nic('enp1s0', 2, { kind: 'veth', peer: '9/7' }),
      nic('enp2s0', 3),
      nic('ovs-netdev', 5, { kind: 'tun' }),
      nic('ours', 6, { lab: 'site' }),
    ],
    engines: [engine('1', [view('sw', ports)])],
  });
  const taken = port(
    { kind: 'system', name: 'enp1s0', ...common },
    { vlan: { mode: 'access', tag: 10, trunks: [] } },
  );

  it('is wanted until Open vSwitch has it, though the machine has it', () => {
    const before = picture(document, withPorts());
    expect(portOf(before, 'sw:enp1s0')).toMatchObject({ presence: 'wanted', device: 'physical' });
    expect(portOf(picture(document, withPorts(taken)), 'sw:enp1s0').presence).toBe('real');
  });

  it('is drawn once, with its wire to what is outside', () => {
    for (const inventory of [withPorts(), withPorts(taken)]) {
      const scene = picture(document, inventory);
      const drawn = scene.nodes.flatMap((node) => node.interfaces.map(({ name }) => name));
      expect(drawn.filter((name) => name === 'enp1s0')).toHaveLength(1);
      expect(scene.wires.map(({ ends }) => ends)).toEqual([
        [
          { node: 'foreign:9', interface: '9/7' },
          { node: 'sw', interface: 'enp1s0' },
        ],
      ]);
    }
  });

  it('keeps its settings, which are no differences', () => {
    expect(differencesOf(withPorts(taken), document, 'sw', 'enp1s0')).toEqual([]);
    expect(differencesOf(withPorts(), document, 'sw', 'enp1s0')).toEqual([
      { object: 'enp1s0', field: 'presence', wanted: 'enp1s0', real: null },
    ]);
  });

  it('is offered where it is free, with those last that would be refused for their addresses', () => {
    expect(freeForPort(withPorts(taken))).toEqual(['enp2s0', 'enp0s0']);
    expect(freeForPort(withPorts())).toEqual(['enp1s0', 'enp2s0', 'enp0s0']);
    expect(freeForPort(null)).toEqual([]);
  });
});
