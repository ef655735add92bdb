import { describe, expect, it } from 'vitest';
import type { OvsBridgeView, OvsInterface } from '../../../agent/api/index.ts';
import { vlanText } from '../../../renderer/topology/live.ts';
import {
  ovsBridgeFacts,
  ovsPortRows,
  ovsVlanOf,
  ovsVlanText,
  portVlansOf,
} from '../../../renderer/topology/ovs-view.ts';

const made = (name: string): OvsInterface => ({
  kind: 'system',
  name,
  mac: null,
  mtu: null,
  openFlowPort: null,
  policing: null,
});
const plain = {
  bond: null,
  vlan: { mode: 'trunk' as const, tag: null, trunks: [] },
  qos: null,
  cost: null,
  priority: null,
};
const view: OvsBridgeView = {
  bridge: {
    name: 'br',
    datapathId: '0000000000000001',
    failMode: 'secure',
    protocols: ['OpenFlow13'],
    controllers: ['tcp:10.0.0.1:6653'],
    controllersOutOfBand: false,
    stp: false,
    rstp: true,
    priority: 4096,
    forwardDelay: null,
    helloTime: null,
    maximumAge: null,
    ageingTime: null,
    multicastSnooping: false,
    mac: null,
    ports: [
      {
        ...plain,
        name: 'bond0',
        interfaces: [made('b1'), made('b2')],
        bond: {
          mode: 'active-backup',
          lacp: 'active',
          lacpTime: 'slow',
          lacpFallback: false,
          upDelay: 0,
          downDelay: 0,
        },
        vlan: { mode: 'access', tag: 10, trunks: [] },
      },
      { ...plain, name: 'br', interfaces: [{ ...made('br'), kind: 'internal' }] },
    ],
    mirrors: [],
    netflow: null,
    sflow: null,
    ipfix: null,
  },
  lab: 'lab',
  intricate: false,
  tables: null,
  interfaces: [
    {
      name: 'b1',
      ofport: 1,
      error: null,
      linkUp: false,
      treeRole: 'root',
      treeState: 'forwarding',
      bondMember: { enabled: false, active: false, lacp: 'defaulted' },
    },
    {
      name: 'b2',
      ofport: 2,
      error: 'no such device',
      linkUp: true,
      treeRole: null,
      treeState: null,
      bondMember: { enabled: true, active: true, lacp: 'current' },
    },
  ],
};

describe('the ports of a bridge', () => {
  it('are listed with the bridge’s own first, and a bond’s members after it', () => {
    const rows = ovsPortRows(view);
    expect(rows.map(({ name, bond, kind }) => [name, bond, kind])).toEqual([
      ['br', null, 'internal'],
      ['bond0', null, 'bond'],
      ['b1', 'bond0', 'system'],
      ['b2', 'bond0', 'system'],
    ]);
    expect(rows[1]).toMatchObject({ up: true, vlan: { tag: 10 } });
    expect(rows[2]).toMatchObject({ up: false, tree: 'root · forwarding', vlan: null });
    expect(rows[3]).toMatchObject({ error: 'no such device', tree: null });
  });
});

describe('what a bridge is set to', () => {
  it('leaves out what is Open vSwitch’s own choice', () => {
    expect(ovsBridgeFacts(view.bridge)).toEqual([
      ['datapathId', '0000000000000001'],
      ['failMode', 'secure'],
      ['controllers', 'tcp:10.0.0.1:6653'],
      ['protocols', 'OpenFlow13'],
      ['rstp', '✓'],
      ['priority', '4096'],
    ]);
  });
});

describe('the VLANs of a port', () => {
  it('are said as the database has them', () => {
    expect(ovsVlanText(ovsVlanOf({ vlan: 10 }), vlanText)).toBe('access 10');
    expect(ovsVlanText(ovsVlanOf({ trunk: [20, 10, 11] }), vlanText)).toBe('trunk 10,11,20');
    expect(ovsVlanText(ovsVlanOf({ native: 1, nativeMode: 'tagged' }), vlanText)).toBe(
      'native-tagged 1',
    );
  });

  it('tell the one without a tag from those with one', () => {
    expect(portVlansOf(ovsVlanOf({ native: 1, trunk: [1, 10] }))).toEqual({
      untagged: 1,
      tagged: [10],
      all: false,
    });
    expect(portVlansOf(ovsVlanOf({ native: 1, nativeMode: 'tagged' }))).toEqual({
      untagged: null,
      tagged: [],
      all: true,
      native: 1,
    });
    expect(portVlansOf(ovsVlanOf({}))).toEqual({ untagged: null, tagged: [], all: true });
  });
});
