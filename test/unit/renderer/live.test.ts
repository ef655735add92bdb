import { describe, expect, it } from 'vitest';
import type { Inventory, LabDocument, LinkView } from '../../../agent/api/index.ts';
import { freeLabName } from '../../../renderer/library/library-store.ts';
import { differencesOf, interfacesOf } from '../../../renderer/topology/live.ts';

const document: LabDocument = {
  netloom: 1,
  name: 'demo',
  topology: {
    nodes: {
      r1: {
        kind: 'namespace',
        interfaces: { eth0: { addresses: ['10.0.0.1/24', 'fd00:0::1/64'] }, spare: {} },
      },
      br0: { kind: 'bridge' },
    },
    links: [{ endpoints: ['r1:eth0', 'br0:port1'] }],
  },
};

function link(change: Partial<LinkView>): LinkView {
  return {
    id: 'n1/2',
    namespace: 'n1',
    index: 2,
    name: 'eth0',
    kind: 'veth',
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    up: true,
    carrier: true,
    operationalState: 'up',
    master: null,
    peer: null,
    alias: null,
    lab: 'demo',
    addresses: ['10.0.0.1/24', 'fd00::1/64'].map((address) => ({
      address,
      family: 'ipv4',
      scope: 'global',
      owned: true,
      tentative: false,
      duplicate: false,
    })),
    bridge: null,
    portState: null,
    device: null,
    port: null,
    vlans: null,
    bondMember: null,
    impairment: null,
    queueing: null,
    holders: [],
    ...change,
  };
}

function inventory(...links: LinkView[]): Inventory {
  const namespace = {
    container: null,
    mounts: [],
    processes: [],
    processCount: 0,
    runs: [],
    forwarding: { ipv4: false, ipv6: false },
    rules: null,
  };
  return {
    sequence: 1,
    namespaces: [
      { ...namespace, id: 'n0', names: [], root: true, lab: null },
      { ...namespace, id: 'n1', names: ['r1'], root: false, lab: 'demo' },
    ],
    links,
    routes: [],
    engines: [],
  };
}

describe('the interfaces of a node', () => {
  it('come from its wires and from its settings', () => {
    expect(interfacesOf(document, 'r1').map((each) => [each.name, each.peer])).toEqual([
      ['eth0', 'br0:port1'],
      ['spare', null],
    ]);
    expect(interfacesOf(document, 'br0').map((each) => each.name)).toEqual(['port1']);
  });
});

describe('wanted against real', () => {
  it('is no difference when the kernel writes an address in its own way', () => {
    expect(differencesOf(inventory(link({})), document, 'r1', 'eth0')).toEqual([]);
  });

  it('names the MTU that nobody asked for, since a veth has a default', () => {
    expect(differencesOf(inventory(link({ mtu: 1400 })), document, 'r1', 'eth0')).toEqual([
      { object: 'eth0', field: 'mtu', wanted: '1500', real: '1400' },
    ]);
  });

  it('names addresses that are missing, and those that are too many but not link-local', () => {
    const address = {
      family: 'ipv6',
      owned: false,
      tentative: false,
      duplicate: false,
    } as const;
    const real = link({
      up: false,
      addresses: [
        { ...address, address: 'fe80::1/64', scope: 'link' },
        { ...address, address: 'fd00::1/64', scope: 'global' },
        { ...address, address: 'fd00::9/64', scope: 'global' },
      ],
    });
    expect(
      differencesOf(inventory(real), document, 'r1', 'eth0').map((each) => [
        each.field,
        each.wanted,
        each.real,
      ]),
    ).toEqual([
      ['state', 'up', 'down'],
      ['address', '10.0.0.1/24', null],
      ['address', null, 'fd00::9/64'],
    ]);
  });

  it('says that a whole node is missing in one line', () => {
    const nothing = { ...inventory(), namespaces: [] };
    expect(differencesOf(nothing, document, 'r1')).toEqual([
      { object: 'r1', field: 'presence', wanted: 'r1', real: null },
    ]);
  });
});

describe('a free lab name', () => {
  it('counts on from the name it is made from', () => {
    expect(freeLabName('lab', new Set())).toBe('lab');
    expect(freeLabName('lab', new Set(['lab', 'lab-2']))).toBe('lab-3');
    expect(freeLabName('lab-2', new Set(['lab-2']))).toBe('lab-3');
  });

  it('stays within the length of a name', () => {
    const long = 'a'.repeat(32);
    expect(freeLabName(long, new Set([long]))).toHaveLength(32);
  });
});
