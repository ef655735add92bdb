import { describe, expect, it } from 'vitest';
import {
  type FdbEntry,
  type Inventory,
  initialBridge,
  type LinkView,
  type NamespaceView,
} from '../../../agent/api/index.ts';
import { fdbRows, ovsFdbRows, sortRows } from '../../../renderer/topology/inspector/fdb.ts';

function link(change: Pick<LinkView, 'id' | 'name' | 'mac'> & Partial<LinkView>): LinkView {
  const [namespace = '', index = ''] = change.id.split('/');
  return {
    namespace,
    index: Number(index),
    kind: 'veth',
    mtu: 1500,
    up: true,
    carrier: true,
    operationalState: 'up',
    master: null,
    peer: null,
    alias: null,
    lab: null,
    addresses: [],
    device: null,
    bridge: null,
    port: null,
    portState: null,
    vlans: null,
    bondMember: null,
    impairment: null,
    queueing: null,
    holders: [],
    ...change,
  };
}

function namespace(id: string, name: string | null): NamespaceView {
  return {
    id,
    names: name === null ? [] : [name],
    root: name === null,
    container: null,
    mounts: [],
    processes: [],
    processCount: 0,
    runs: [],
    forwarding: { ipv4: false, ipv6: false },
    rules: null,
    lab: null,
  };
}

const address = (text: string): LinkView['addresses'] => [
  {
    address: text,
    family: 'ipv4',
    scope: 'global',
    owned: true,
    tentative: false,
    duplicate: false,
  },
];
const bridge = link({
  id: '1/2',
  name: 'br0',
  kind: 'bridge',
  mac: '02:00:00:00:00:10',
  bridge: initialBridge,
});
const port = (id: string, name: string, mac: string, peer: string | null): LinkView =>
  link({ id, name, mac, peer, master: '1/2', portState: 'forwarding' });

const inventory: Inventory = {
  sequence: 1,
  namespaces: [namespace('1', null), namespace('7', 'pc1'), namespace('8', 'router')],
  links: [
    bridge,
    port('1/3', 'p2', '02:00:00:00:00:13', '7/2'),
    port('1/4', 'p10', '02:00:00:00:00:14', '8/2'),
    link({ id: '7/2', name: 'eth0', mac: '02:00:00:00:00:71', peer: '1/3' }),
    // A VLAN device bears its parent's MAC; the address is on it.
    link({ id: '8/2', name: 'eth0', mac: '02:00:00:00:00:81', peer: '1/4' }),
    link({
      id: '8/3',
      name: 'eth0.10',
      kind: 'vlan',
      mac: '02:00:00:00:00:81',
      addresses: address('10.0.0.1/24'),
    }),
  ],
  routes: [],
  engines: [],
};

const entry = (index: number, mac: string, change: Partial<FdbEntry> = {}): FdbEntry => ({
  index,
  mac,
  vlan: null,
  kind: 'learned',
  age: 1,
  ...change,
});

describe('the learned addresses of a bridge', () => {
  it('name the port, and the interface that has the address', () => {
    const rows = fdbRows(
      [
        entry(3, '02:00:00:00:00:71'),
        entry(4, '02:00:00:00:00:81'),
        // Learned through p10 though pc1 has it: the peer of the port is not the one.
        entry(4, '02:00:00:00:00:71'),
        entry(9, '02:00:00:00:00:99'),
        entry(3, '02:00:00:00:00:13', { kind: 'local', age: null }),
      ],
      inventory,
      bridge,
    );
    expect(rows.map((row) => [row.port, row.mac.slice(-2), row.owner])).toEqual([
      ['p2', '71', 'pc1:eth0'],
      ['p10', '81', 'router:eth0'],
      ['p10', '71', 'pc1:eth0'],
      ['9', '99', null],
      ['p2', '13', null],
    ]);
  });

  it('name what sits on a link by its addresses, where the link is not at the port', () => {
    const [row] = fdbRows([entry(3, '02:00:00:00:00:81')], inventory, bridge);
    expect(row?.owner).toBe('router:eth0.10');
  });

  it('are sorted by any column, numbers as numbers and the ageless last', () => {
    const rows = fdbRows(
      [
        entry(4, '02:00:00:00:00:81', { age: 3 }),
        entry(3, '02:00:00:00:00:72', { age: null, kind: 'static' }),
        entry(3, '02:00:00:00:00:71', { age: 20, vlan: 10 }),
      ],
      inventory,
      bridge,
    );
    const order = (
      ...asked: Parameters<typeof sortRows> extends [unknown, ...infer R] ? R : never
    ) => sortRows(rows, ...asked).map((row) => row.mac.slice(-2));
    expect(order('port', false)).toEqual(['71', '72', '81']);
    expect(order('port', true)).toEqual(['81', '71', '72']);
    expect(order('mac', true)).toEqual(['81', '72', '71']);
    expect(order('age', false)).toEqual(['81', '71', '72']);
    expect(order('vlan', true)).toEqual(['71', '72', '81']);
  });

  it('come of Open vSwitch by the names of ports, patch ports among them', () => {
    const rows = ovsFdbRows(
      [
        { mac: '02:00:00:00:00:71', port: 'p2', vlan: 10, age: 4 },
        { mac: '02:00:00:00:00:81', port: 'patch0', vlan: 0, age: 9 },
        { mac: '02:00:00:00:00:99', port: 'p2', vlan: 0, age: null },
      ],
      inventory,
      bridge.namespace,
    );
    expect(rows.map((row) => [row.port, row.owner, row.vlan, row.kind])).toEqual([
      ['p2', 'pc1:eth0', 10, 'learned'],
      ['patch0', 'router:eth0.10', null, 'learned'],
      ['p2', null, null, 'static'],
    ]);
  });
});
