/** The flow table and the trace: what a person reads, describes and sees lit. */
import { describe, expect, it } from 'vitest';
import type { LabDocument, OpenFlowEntry, OpenFlowTrace } from '../../../agent/api/index.ts';
import {
  flowRows,
  shortAge,
  shortCount,
  sortFlows,
} from '../../../renderer/topology/openflow/flow-rows.ts';
import {
  emptyPacket,
  onwardPacket,
  packetText,
} from '../../../renderer/topology/openflow/packet.ts';
import { beyond, lightOf, tagBeyond } from '../../../renderer/topology/openflow/trace-path.ts';

const flow = (match: string, more: Partial<OpenFlowEntry> = {}): OpenFlowEntry => ({
  table: 0,
  priority: 100,
  cookie: '0x0',
  match,
  actions: 'NORMAL',
  packets: 0,
  bytes: 0,
  durationSeconds: 10,
  idleAge: null,
  ...more,
});

describe('the flow table', () => {
  it('has no rates at the first look, and marks nothing', () => {
    const [row] = flowRows([flow('arp', { packets: 7 })], null, 0);
    expect(row).toMatchObject({ rate: null, change: null });
  });

  it('tells what has seen packets since, what is new, and what was made anew', () => {
    const before = [flow('arp', { packets: 10 }), flow('ip', { packets: 5 }), flow('tcp')];
    const now = [
      flow('arp', { packets: 30 }),
      flow('ip', { packets: 1 }),
      flow('tcp'),
      flow('udp', { packets: 3 }),
    ];
    expect(flowRows(now, before, 4).map(({ rate, change }) => [rate, change])).toEqual([
      [5, 'busy'],
      [null, 'new'],
      [0, null],
      [null, 'new'],
    ]);
  });

  it('keeps flows of one match apart by table and priority', () => {
    const before = [flow('ip', { priority: 1 }), flow('ip', { priority: 2 })];
    const now = [flow('ip', { priority: 1, packets: 4 }), flow('ip', { priority: 2 })];
    expect(flowRows(now, before, 1).map((row) => row.change)).toEqual(['busy', null]);
  });

  it('is sorted by any column, otherwise as the tables are', () => {
    const rows = flowRows(
      [
        flow('a', { table: 1, packets: 5 }),
        flow('b', { priority: 10, packets: 5 }),
        flow('c', { priority: 20, packets: 9 }),
      ],
      null,
      0,
    );
    const matches = (column: 'table' | 'packets' | 'match', down: boolean) =>
      sortFlows(rows, column, down).map((row) => row.entry.match);
    expect(matches('table', false)).toEqual(['c', 'b', 'a']);
    expect(matches('packets', true)).toEqual(['c', 'b', 'a']);
    expect(matches('match', true)).toEqual(['c', 'b', 'a']);
  });

  it('says counts and ages shortly', () => {
    expect(['9999', '12345', '3456789'].map((text) => shortCount(Number(text)))).toEqual([
      '9999',
      '12.3 k',
      '3.46 M',
    ]);
    expect([42, 180, 7300, 200000].map(shortAge)).toEqual(['42 s', '3 min', '2 h', '2 d']);
  });
});

describe('a packet that is described', () => {
  it('is a line as ovs-ofctl takes it', () => {
    expect(
      packetText({
        ...emptyPacket,
        inPort: 'h1',
        sourceMac: '00:00:00:00:00:0A',
        vlan: '10',
        protocol: 'tcp',
        source: '10.0.0.1',
        destination: '10.0.0.2',
        destinationPort: '80',
      }),
    ).toEqual({
      ok: true,
      text: 'tcp,in_port=h1,dl_src=00:00:00:00:00:0a,dl_vlan=10,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_dst=80',
    });
  });

  it('follows the family of its addresses', () => {
    const text = packetText({ ...emptyPacket, inPort: 'p', destination: 'fd00::2' });
    expect(text).toEqual({
      ok: true,
      text: 'icmp6,in_port=p,ipv6_dst=fd00::2,nw_ttl=64,icmp_type=128',
    });
  });

  it('asks for an address by ARP in its own fields', () => {
    expect(packetText({ ...emptyPacket, protocol: 'arp', destination: '10.0.0.2' })).toEqual({
      ok: true,
      text: 'arp,arp_tpa=10.0.0.2,arp_op=1',
    });
  });

  it('names the first field that cannot be so', () => {
    const wrong = (change: Partial<typeof emptyPacket>) =>
      packetText({ ...emptyPacket, inPort: 'p', ...change });
    expect(wrong({ sourceMac: 'x' })).toEqual({ ok: false, field: 'sourceMac' });
    expect(wrong({ vlan: '4095' })).toEqual({ ok: false, field: 'vlan' });
    expect(wrong({ source: '10.0.0.1', destination: 'fd00::1' })).toEqual({
      ok: false,
      field: 'destination',
    });
    expect(wrong({ protocol: 'udp', sourcePort: '70000' })).toEqual({
      ok: false,
      field: 'sourcePort',
    });
  });

  it('goes on to another bridge as the same packet at another port', () => {
    expect(
      onwardPacket(
        'icmp,in_port=1,vlan_tci=0x0000,tun_dst=192.0.2.2,nw_src=10.0.0.1,icmp_type=8',
        'vx',
        10,
      ),
    ).toBe('icmp,in_port=vx,dl_vlan=10,nw_src=10.0.0.1,icmp_type=8');
  });
});

const lab: LabDocument = {
  netloom: 1,
  name: 'way',
  topology: {
    nodes: {
      h1: { kind: 'namespace' },
      a: {
        kind: 'ovs-bridge',
        ports: { host: { vlan: 10 }, up: { trunk: [10, 20] }, old: { trunk: [20], native: 10 } },
      },
      b: { kind: 'ovs-bridge' },
      c: { kind: 'ovs-bridge', ports: { out: { trunk: [10] } } },
    },
    links: [
      { endpoints: ['h1:eth0', 'a:host'] },
      { endpoints: ['a:up', 'b:down'] },
      { type: 'patch', endpoints: ['a:p-c', 'c:p-a'] },
    ],
  },
};
const trace: OpenFlowTrace = {
  flow: 'icmp,in_port=1',
  steps: [
    { bridge: 'a', inPort: 'host', from: null, tables: [], outPorts: ['up', 'p-c'] },
    { bridge: 'c', inPort: 'p-a', from: 0, tables: [], outPorts: ['out'] },
  ],
  result: {
    finalFlow: null,
    megaflow: '',
    datapathActions: '2,3',
    outputs: [
      { bridge: 'a', port: 'up' },
      { bridge: 'c', port: 'out' },
    ],
  },
};

describe('the way of a packet', () => {
  it('lights the bridges, and the ports by what happens there', () => {
    const light = lightOf([{ node: 'a', trace, from: null, by: null }]);
    expect([...light.nodes]).toEqual(['a', 'c']);
    expect([...light.entered]).toEqual(['a:host', 'c:p-a']);
    expect([...light.left]).toEqual(['a:up', 'a:p-c', 'c:out']);
  });

  it('lights the member of a bond beside the bond, at both ends', () => {
    const { result } = trace;
    const outputs = [{ bridge: 'a', port: 'bond0', member: 'm1' }];
    const light = lightOf([
      { node: 'a', trace: { ...trace, result: { ...result, outputs } }, from: null, by: null },
      { node: 'b', trace: { ...trace, steps: [] }, from: 'a:bond0', by: 'b:n1' },
    ]);
    expect([...light.left]).toEqual(expect.arrayContaining(['a:bond0', 'a:m1']));
    expect(light.entered).toContain('b:n1');
  });

  it('goes on over wires and tunnels to other bridges, not to hosts', () => {
    expect(beyond(lab, [], { node: 'a', interface: 'up' })).toEqual({
      node: 'b',
      interface: 'down',
    });
    expect(beyond(lab, [], { node: 'a', interface: 'host' })).toBeNull();
    // Open vSwitch follows patch ports itself.
    expect(beyond(lab, [], { node: 'a', interface: 'p-c' })).toBeNull();
    const ends = [
      { node: 'c', interface: 'vx' },
      { node: 'b', interface: 'vx' },
    ] as const;
    expect(beyond(lab, [ends], { node: 'b', interface: 'vx' })).toEqual({
      node: 'c',
      interface: 'vx',
    });
  });

  it('bears a tag beyond a trunk, none beyond an access port or for the native VLAN', () => {
    const tag = (port: string, packet = 'icmp') =>
      tagBeyond(lab, packet, trace.steps, { node: 'a', interface: port });
    expect(tag('up')).toBe(10);
    expect(tag('old')).toBeNull();
    expect(tag('host')).toBeNull();
    // Through a patch port it is still of the VLAN that it came in by.
    expect(tagBeyond(lab, 'icmp', trace.steps, { node: 'c', interface: 'out' })).toBe(10);
  });
});
