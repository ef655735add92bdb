import { describe, expect, it } from 'vitest';
import type { Inventory, LabDocument, LinkView, NamespaceView } from '../../../agent/api/index.ts';
import { layOutScene, placeMissing } from '../../../renderer/topology/canvas/geometry.ts';
import { buildScene } from '../../../renderer/topology/canvas/scene/build-scene.ts';

const lab: LabDocument = {
  netloom: 1,
  name: 'pair',
  topology: {
    nodes: {
      r1: { kind: 'namespace', interfaces: { a: { addresses: ['10.0.0.1/24'] } } },
      br: { kind: 'bridge' },
    },
    links: [{ endpoints: ['r1:a', 'br:p'] }],
  },
  positions: { r1: [0, 0], br: [0, 200] },
};

const none: Omit<
  LinkView,
  'id' | 'namespace' | 'index' | 'name' | 'kind' | 'master' | 'peer' | 'alias' | 'lab' | 'addresses'
> = {
  up: true,
  carrier: true,
  operationalState: 'up',
  bridge: null,
  portState: null,
  mtu: 1500,
  mac: null,
  device: null,
  port: null,
  vlans: null,
  bondMember: null,
  impairment: null,
  queueing: null,
  holders: [],
};
const still = { runs: [], forwarding: { ipv4: false, ipv6: false }, rules: null };
const inventory: Inventory = {
  sequence: 1,
  namespaces: [
    {
      id: '1',
      names: [],
      root: true,
      container: null,
      mounts: [],
      processes: [],
      processCount: 0,
      ...still,
      lab: null,
    },
    {
      id: '2',
      names: ['r1'],
      root: false,
      container: null,
      mounts: [],
      processes: [],
      processCount: 0,
      ...still,
      lab: 'pair',
    },
    {
      id: '3',
      names: ['guest'],
      root: false,
      container: null,
      mounts: [],
      processes: [],
      processCount: 0,
      ...still,
      lab: null,
    },
  ],
  links: [
    {
      ...none,
      id: '1/5',
      namespace: '1',
      index: 5,
      name: 'br',
      kind: 'bridge',
      master: null,
      peer: null,
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [],
    },
    {
      ...none,
      id: '1/6',
      namespace: '1',
      index: 6,
      name: 'p',
      kind: 'veth',
      master: '1/5',
      peer: '2/2',
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [],
    },
    {
      ...none,
      id: '2/2',
      namespace: '2',
      index: 2,
      name: 'a',
      kind: 'veth',
      master: null,
      peer: '1/6',
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [
        {
          address: '10.0.0.1/24',
          family: 'ipv4',
          scope: 'global',
          owned: true,
          tentative: false,
          duplicate: false,
        },
      ],
    },
    {
      ...none,
      id: '2/3',
      namespace: '2',
      index: 3,
      name: 'x0',
      kind: 'dummy',
      master: null,
      peer: null,
      alias: null,
      lab: null,
      addresses: [],
    },
  ],
  routes: [],
  engines: [],
};

const input = { document: lab, inventory, lab: 'pair', plan: null, checks: [], drifted: false };

describe('the scene', () => {
  it('tells what is real from what is only wanted', () => {
    const wanted = buildScene({ ...input, inventory: null });
    expect(wanted.nodes.map((node) => node.presence)).toEqual(['wanted', 'wanted']);
    const real = buildScene(input);
    expect(real.nodes.slice(0, 2).map((node) => node.presence)).toEqual(['real', 'real']);
    expect(real.wires[0]).toMatchObject({ presence: 'real', carrier: true, index: 0 });
  });

  it('leaves out the fallback tunnels that the kernel puts into every namespace', () => {
    const x0 = inventory.links.find((link) => link.name === 'x0');
    if (x0 === undefined) throw new Error('no x0');
    const names = (change: Partial<LinkView>) => {
      const links = [...inventory.links, { ...x0, id: `${x0.namespace}/99`, index: 99, ...change }];
      return buildScene({ ...input, inventory: { ...inventory, links } }).nodes.flatMap((node) =>
        node.interfaces.map((item) => item.name),
      );
    };
    expect(names({ name: 'gre0', kind: 'gre', up: false })).not.toContain('gre0');
    // Somebody uses it, or it is none of them.
    expect(names({ name: 'gre0', kind: 'gre', up: true })).toContain('gre0');
    expect(names({ name: 'gre7', kind: 'gre', up: false })).toContain('gre7');
  });

  it('flags an interface that is down against the document, once the lab has drifted', () => {
    const links = inventory.links.map((link) =>
      link.name === 'a' ? { ...link, up: false } : link,
    );
    const down = { ...input, inventory: { ...inventory, links } };
    const flags = (scene: ReturnType<typeof buildScene>) =>
      scene.nodes[0]?.interfaces.filter((item) => item.drifted).map((item) => item.name);
    expect(flags(buildScene(down))).toEqual([]);
    expect(flags(buildScene({ ...down, drifted: true }))).toEqual(['a']);
    // As the document has it, it is no drift.
    const wanted: LabDocument = {
      ...lab,
      topology: {
        ...lab.topology,
        nodes: {
          ...lab.topology.nodes,
          r1: { kind: 'namespace', interfaces: { a: { state: 'down' } } },
        },
      },
    };
    expect(flags(buildScene({ ...down, document: wanted, drifted: true }))).toEqual([]);
    expect(flags(buildScene({ ...input, document: wanted, drifted: true }))).toEqual(['a']);
  });

  it('shows what is not the lab’s as foreign, inside a node and beside it', () => {
    const scene = buildScene(input);
    const [first] = scene.nodes;
    expect(first?.interfaces.find((item) => item.name === 'x0')?.presence).toBe('foreign');
    expect(scene.nodes.find((node) => node.title === 'guest')).toMatchObject({
      presence: 'foreign',
    });
    // The lab's own port is drawn at its bridge, not a second time.
    expect(
      scene.nodes.flatMap((node) => node.interfaces).filter((item) => item.name === 'p'),
    ).toHaveLength(1);
  });

  it('flags an address that nobody asked for', () => {
    const [, , link] = inventory.links;
    if (link === undefined) throw new Error('no link');
    const extra = {
      address: '10.9.9.9/24',
      family: 'ipv4',
      scope: 'global',
      owned: false,
      tentative: false,
      duplicate: false,
    } as const;
    const links = inventory.links.map((each) =>
      each === link ? { ...link, addresses: [...link.addresses, extra] } : each,
    );
    const item = buildScene({ ...input, inventory: { ...inventory, links } }).nodes[0]
      ?.interfaces[0];
    expect(item).toMatchObject({ address: '10.0.0.1/24', moreAddresses: 1, drifted: true });
  });

  it('fills in while a plan is carried out', () => {
    const plan = {
      steps: [
        {
          id: 1,
          verb: 'add',
          object: 'namespace',
          label: 'r1',
          targets: [{ node: 'r1', interface: null }],
          changes: [],
          commands: [],
        },
      ],
    } as const;
    const shown = (withInventory: Inventory | null) =>
      buildScene({ ...input, inventory: withInventory, plan: plan as never }).nodes[0]?.difference;
    expect(shown(null)).toBe('add');
    expect(shown(inventory)).toBe(null);
  });
});

describe('the geometry', () => {
  it('puts ports where their peers are and keeps every given position', () => {
    const scene = buildScene(input);
    const given = new Map([
      ['r1', { x: 0, y: 0 }],
      ['br', { x: 0, y: 200 }],
    ]);
    const positions = placeMissing(scene, given);
    expect(positions.get('r1')).toEqual({ x: 0, y: 0 });
    expect(positions.get('br')).toEqual({ x: 0, y: 200 });
    const { cards } = layOutScene(scene, positions);
    expect(cards.get('r1')?.ports.find((port) => port.interface.name === 'a')?.side).toBe('bottom');
    expect(cards.get('br')?.ports.find((port) => port.interface.name === 'p')?.side).toBe('top');
  });

  it('never lays a new card over another', () => {
    const nodes = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [`n${index}`, { kind: 'namespace' as const }]),
    );
    const scene = buildScene({
      ...input,
      document: { ...lab, topology: { nodes }, positions: {} },
      inventory: null,
    });
    const points = [...placeMissing(scene, new Map()).values()];
    for (const [index, one] of points.entries()) {
      for (const other of points.slice(index + 1)) {
        expect(Math.abs(one.x - other.x) >= 200 || Math.abs(one.y - other.y) >= 100).toBe(true);
      }
    }
  });
});

/** A lab of devices: two hosts, a switch that filters, a router. */
const site: LabDocument = {
  netloom: 1,
  name: 'site',
  topology: {
    nodes: {
      a: {
        kind: 'namespace',
        interfaces: {
          eth0: { addresses: ['10.0.0.1/24'], impairment: { delay: 20, rate: '10mbit' } },
          bond0: { kind: 'bond', members: ['eth1', 'eth2'] },
          'bond0.20': { kind: 'vlan', parent: 'bond0', id: 20 },
          'eth0.10': { kind: 'vlan', parent: 'eth0', id: 10 },
          tap0: { kind: 'tap' },
          vx: { kind: 'vxlan', id: 7, local: '10.0.0.1', remote: '10.0.0.2' },
        },
        nat: [{ kind: 'masquerade', out: 'eth0' }],
        filter: { input: { policy: 'drop' } },
        forwarding: { ipv6: true },
        run: [{ name: 'web', command: ['httpd'] }],
      },
      b: {
        kind: 'namespace',
        interfaces: {
          eth0: { addresses: ['10.0.0.2/24'] },
          vx: { kind: 'vxlan', id: 7, local: '10.0.0.2', remote: '10.0.0.1' },
          other: { kind: 'vxlan', id: 8, local: '10.0.0.2', remote: '10.0.0.1' },
        },
      },
      sw: {
        kind: 'bridge',
        vlanFiltering: true,
        ports: {
          p0: { vlan: 10, isolated: true },
          p1: { trunk: [20, 10], native: 10 },
        },
      },
    },
    links: [
      { endpoints: ['a:eth0', 'sw:p0'] },
      { endpoints: ['a:eth1', 'sw:p1'] },
      { endpoints: ['a:eth2', 'sw:p2'] },
      { endpoints: ['b:eth0', 'sw:p3'] },
    ],
  },
};
const wantedSite = () =>
  buildScene({
    document: site,
    inventory: null,
    lab: 'site',
    plan: null,
    checks: [],
    drifted: false,
  });
const at = (id: string) =>
  wantedSite()
    .nodes.flatMap((node) => node.interfaces)
    .find((item) => item.id === id);

describe('devices in the scene', () => {
  it('tell their kind, number, parent and members', () => {
    expect(at('a:eth0.10')).toMatchObject({ device: 'vlan', number: 10, parent: 'eth0' });
    expect(at('a:bond0')).toMatchObject({ device: 'bond', members: ['eth1', 'eth2'] });
    expect(at('a:eth1')?.bond).toEqual({ name: 'bond0', state: null });
    expect(at('a:eth0')?.bond).toBe(null);
    expect(at('a:eth0')?.impairment).toMatchObject({ delay: 20, rate: 10_000_000, loss: 0 });
  });

  it('tell what the ports of a bridge that filters do with VLANs', () => {
    expect(at('sw:p0')).toMatchObject({ vlans: { untagged: 10, tagged: [] }, isolated: true });
    expect(at('sw:p1')?.vlans).toEqual({ untagged: 10, tagged: [20] });
    expect(at('sw:p2')?.vlans).toEqual({ untagged: 1, tagged: [] });
    expect(at('a:eth0')?.vlans).toBe(null);
  });

  it('mark what a node does', () => {
    const [node] = wantedSite().nodes;
    expect(node).toMatchObject({ router: true, nat: 1, filter: true });
    expect(node?.runs).toEqual([{ name: 'web', running: null }]);
  });

  it('join two tunnel devices that point at each other, over the wires that carry them', () => {
    const overlays = wantedSite().wires.filter((wire) => wire.kind === 'overlay');
    expect(overlays.map((wire) => wire.ends.map((end) => `${end.node}:${end.interface}`))).toEqual([
      ['a:vx', 'b:vx'],
    ]);
    expect(overlays[0]?.underlay).toEqual({
      interfaces: ['a:eth0', 'b:eth0'],
      wires: ['link:0', 'link:3'],
    });
  });

  it('draw a tunnel link as one', () => {
    const document: LabDocument = {
      netloom: 1,
      name: 'taps',
      topology: {
        nodes: {
          a: {
            kind: 'namespace',
            interfaces: { eth0: { addresses: ['10.0.0.1/24'] }, tap0: { kind: 'tap' } },
          },
          b: {
            kind: 'namespace',
            interfaces: { eth0: { addresses: ['10.0.0.2/24'] }, tap0: { kind: 'tap' } },
          },
        },
        links: [
          { endpoints: ['a:eth0', 'b:eth0'] },
          {
            type: 'tunnel',
            endpoints: ['a:tap0', 'b:tap0'],
            underlay: ['10.0.0.1', '10.0.0.2'],
          },
        ],
      },
    };
    const scene = buildScene({
      document,
      inventory: null,
      lab: 'taps',
      plan: null,
      checks: [],
      drifted: false,
    });
    expect(scene.wires[1]).toMatchObject({
      kind: 'tunnel',
      index: 1,
      underlay: { interfaces: ['a:eth0', 'b:eth0'], wires: ['link:0'] },
    });
  });
});

describe('the kernel in the scene', () => {
  const space = (id: string, name: string, change: Partial<NamespaceView> = {}): NamespaceView => ({
    id,
    names: [name],
    root: false,
    container: null,
    mounts: [],
    processes: [],
    processCount: 0,
    ...still,
    lab: 'site',
    ...change,
  });
  const link = (namespace: string, index: number, name: string, change: Partial<LinkView>) => ({
    ...none,
    id: `${namespace}/${index}`,
    namespace,
    index,
    name,
    kind: 'veth',
    master: null,
    peer: null,
    alias: null,
    lab: 'site',
    addresses: [],
    ...change,
  });
  const seen = (document: LabDocument, namespaces: NamespaceView[], links: LinkView[]) =>
    buildScene({
      document,
      inventory: { sequence: 1, namespaces, links, routes: [], engines: [] },
      lab: 'site',
      plan: null,
      checks: [],
      drifted: false,
    });

  it('draws a machine as running with its process, and its port as the tap that it holds', () => {
    const lab: LabDocument = {
      netloom: 1,
      name: 'site',
      topology: {
        nodes: { br0: { kind: 'bridge' }, vm1: { kind: 'vm', memory: 64 } },
        links: [{ endpoints: ['vm1:eth0', 'br0:tap1'] }],
      },
    };
    const tap = link('1', 3, 'tap1', { kind: 'tun' });
    const run = { lab: 'site', name: 'vm:vm1', pid: 9, command: ['qemu-system-x86_64'] };
    const process = { pid: 9, command: 'qemu-system-x86_64 -name vm1 -accel tcg -m 64' };
    const realm = (change: Partial<NamespaceView>) =>
      space('1', '', { names: [], root: true, lab: null, ...change });
    const running = seen(lab, [realm({ runs: [run], processes: [process] })], [tap]);
    expect(running.nodes[1]).toMatchObject({
      kind: 'vm',
      presence: 'real',
      runs: [{ name: 'QEMU TCG · 64 MiB', running: true }],
      interfaces: [{ name: 'eth0', presence: 'real', peer: 'br0:tap1' }],
    });
    expect(running.nodes[0]?.interfaces[0]).toMatchObject({ name: 'tap1', device: 'tap' });
    expect(running.wires[0]).toMatchObject({ presence: 'real', kind: 'veth' });
    const ended = seen(lab, [realm({})], [tap]);
    expect(ended.nodes[1]).toMatchObject({
      presence: 'wanted',
      runs: [{ name: 'QEMU · 64 MiB', running: false }],
    });
    expect(ended.wires[0]?.presence).toBe('wanted');
    expect(seen(lab, [realm({})], []).nodes[1]?.runs[0]?.running).toBeNull();
  });

  it('says which member of a bond is active, who holds a tap and which process runs', () => {
    const run = { lab: 'site', name: 'web', pid: 9, command: ['httpd'] };
    const scene = seen(
      site,
      [space('2', 'a', { runs: [run] })],
      [
        link('2', 2, 'eth1', { bondMember: { state: 'backup', linkUp: false } }),
        link('2', 3, 'tap0', { kind: 'tap', holders: [{ pid: 4, command: '/usr/bin/qemu -m 1' }] }),
      ],
    );
    const [node] = scene.nodes;
    const item = (name: string) => node?.interfaces.find((each) => each.name === name);
    expect(item('eth1')?.bond).toEqual({
      name: 'bond0',
      state: { state: 'backup', linkUp: false },
    });
    expect(item('tap0')?.holders).toEqual(['qemu']);
    expect(node?.runs).toEqual([{ name: 'web', running: true }]);
    // The kernel forwards nothing, whatever the document wants.
    expect(node?.router).toBe(false);
  });

  it('finds the root of a ring and the port that does not forward', () => {
    const names = ['b1', 'b2', 'b3'] as const;
    const ring: LabDocument = {
      netloom: 1,
      name: 'site',
      topology: {
        nodes: Object.fromEntries(
          names.map((name) => [name, { kind: 'bridge' as const, stp: true }]),
        ),
        links: [
          { endpoints: ['b1:p12', 'b2:p21'] },
          { endpoints: ['b2:p23', 'b3:p32'] },
          { endpoints: ['b3:p31', 'b1:p13'] },
        ],
      },
    };
    const bridges = names.map((name, index) =>
      link('1', index + 2, name, {
        kind: 'bridge',
        // The priority outweighs the address, which decides between the first two.
        mac: `02:00:00:00:00:0${3 - index}`,
        bridge: { stp: true, priority: name === 'b3' ? 32768 : 4096 },
      }),
    );
    const ports = ['p12', 'p21', 'p23', 'p32', 'p31', 'p13'].map((name, index) =>
      link('1', index + 10, name, {
        portState: name === 'p32' ? 'blocking' : name === 'p13' ? 'learning' : 'forwarding',
      }),
    );
    const scene = seen(
      ring,
      [space('1', '', { names: [], root: true, lab: null })],
      [...bridges, ...ports],
    );
    expect(scene.nodes.filter((node) => node.root).map((node) => node.id)).toEqual(['b2']);
    const blocked = scene.nodes
      .flatMap((node) => node.interfaces)
      .filter((item) => item.blocked !== null)
      .map((item) => [item.name, item.blocked]);
    expect(blocked).toEqual([
      ['p13', 'learning'],
      ['p32', 'blocking'],
    ]);
  });
});

describe('the geometry of devices', () => {
  it('lists devices without a wire inside the card, below what they stand on', () => {
    const scene = wantedSite();
    const positions = placeMissing(scene, new Map());
    const card = layOutScene(scene, positions).cards.get('a');
    const inner = card?.ports.filter((port) => port.side === 'inner') ?? [];
    expect(inner.map((port) => [port.interface.name, port.indent])).toEqual([
      ['eth0.10', 0],
      ['bond0', 0],
      ['bond0.20', 1],
      ['tap0', 0],
    ]);
    const half = { width: (card?.width ?? 0) / 2, height: (card?.height ?? 0) / 2 };
    for (const port of inner) {
      expect(port.x).toBeGreaterThanOrEqual(-half.width);
      expect(port.x + port.width).toBeLessThanOrEqual(half.width);
      expect(port.y + port.height).toBeLessThanOrEqual(half.height);
    }
  });

  it('brings the members of a bond together under a bracket', () => {
    const scene = wantedSite();
    const positions = new Map([
      ['a', { x: 0, y: 0 }],
      ['sw', { x: 400, y: 0 }],
      ['b', { x: 800, y: 0 }],
    ]);
    const card = layOutScene(scene, positions).cards.get('a');
    const right = card?.ports.filter((port) => port.side === 'right') ?? [];
    expect(right.map((port) => port.interface.name)).toContain('eth1');
    const members = right.filter((port) => port.interface.bond !== null);
    expect(members.map((port) => port.interface.name)).toEqual(['eth1', 'eth2']);
    expect(card?.brackets).toHaveLength(1);
    expect(card?.brackets[0]).toMatchObject({
      bond: 'bond0',
      side: 'right',
      y: members[0]?.anchor.y,
      height: (members[1]?.anchor.y ?? 0) - (members[0]?.anchor.y ?? 0),
    });
  });
});
