/** What a collector has received, as the window shows it. */
import { describe, expect, it } from 'vitest';
import type {
  CounterRecord,
  FlowRecord,
  LabDocument,
  OptionsRecord,
} from '../../../agent/api/index.ts';
import {
  collectorsOf,
  collectorTarget,
  exportsTo,
  withPort,
} from '../../../renderer/topology/records/collectors.ts';
import {
  countKinds,
  endOf,
  filterRecords,
  recordRows,
  sortRecords,
} from '../../../renderer/topology/records/record-rows.ts';

const flow = (more: Partial<FlowRecord> = {}): FlowRecord => ({
  kind: 'flow',
  protocol: 'netflow-v5',
  exporter: '10.0.0.254',
  domain: 0,
  time: 1000,
  source: '10.0.1.1',
  destination: '10.0.1.2',
  sourcePort: 40000,
  destinationPort: 80,
  ipProtocol: 6,
  tcpFlags: 2,
  typeOfService: 0,
  packets: 8,
  bytes: 784,
  start: 500,
  end: 1900,
  input: 3,
  output: null,
  vlan: null,
  sourceMac: null,
  destinationMac: null,
  etherType: null,
  sampling: null,
  fields: [],
  ...more,
});
const counters: CounterRecord = {
  kind: 'counters',
  protocol: 'sflow-v5',
  exporter: '10.0.0.254',
  domain: 0,
  time: 2000,
  interface: 4,
  inBytes: 10,
  inPackets: 1,
  outBytes: null,
  outPackets: null,
  speed: 1e9,
  fields: [],
};
const options: OptionsRecord = {
  kind: 'options',
  protocol: 'ipfix',
  exporter: '10.0.0.254',
  domain: 0,
  time: 3000,
  fields: [{ name: 'samplingInterval', value: 64 }],
};

describe('records', () => {
  it('say of a flow who, what and how much', () => {
    expect(recordRows([flow()])[0]?.cells).toEqual({
      time: 1000,
      protocol: 'NetFlow v5',
      exporter: '10.0.0.254',
      source: '10.0.1.1:40000',
      destination: '10.0.1.2:80',
      transport: 'TCP',
      packets: 8,
      bytes: 784,
      lasted: 1400,
      vlan: null,
      ports: '3 → –',
    });
  });

  it('name what is no IP by its frame', () => {
    const transport = (more: Partial<FlowRecord>) =>
      recordRows([flow({ ipProtocol: null, ...more })])[0]?.cells.transport;
    expect(transport({ etherType: 0x0806 })).toBe('ARP');
    expect(transport({ etherType: 0x27 })).toBe('LLC');
    expect(transport({ etherType: 0x88b5 })).toBe('0x88b5');
    expect(transport({ ipProtocol: 0, etherType: 0x0806 })).toBe('ARP');
    expect(transport({ ipProtocol: 99 })).toBe('99');
    expect(transport({})).toBeNull();
    expect(endOf(null, null, '02:00:00:00:00:01')).toBe('02:00:00:00:00:01');
    expect(endOf('fd00::1', 443, null)).toBe('[fd00::1]:443');
  });

  it('are of three kinds, which are looked at apart', () => {
    const rows = recordRows([options, counters, flow()]);
    expect(countKinds([options, counters, flow()])).toEqual({ flow: 1, counters: 1, options: 1 });
    expect(filterRecords(rows, 'counters', '').map((row) => row.cells.interface)).toEqual([4]);
    expect(filterRecords(rows, 'options', '').map((row) => row.cells.fields)).toEqual([
      'samplingInterval=64',
    ]);
  });

  it('are found by words, wherever they stand', () => {
    const rows = recordRows([flow(), flow({ ipProtocol: 1, sourcePort: null })]);
    const found = (filter: string) =>
      filterRecords(rows, 'flow', filter).map((row) => row.cells.transport);
    expect(found('10.0.1.2 tcp')).toEqual(['TCP']);
    expect(found('ICMP')).toEqual(['ICMP']);
    expect(found('10.9')).toEqual([]);
  });

  it('are sorted by any column, and what was not told comes last both ways', () => {
    const rows = recordRows([
      flow({ bytes: 9, time: 1 }),
      flow({ bytes: null, time: 2 }),
      flow({ bytes: 100, time: 3 }),
    ]);
    const bytes = (descending: boolean) =>
      sortRecords(rows, 'bytes', descending).map((row) => row.cells.bytes);
    expect(bytes(false)).toEqual([9, 100, null]);
    expect(bytes(true)).toEqual([100, 9, null]);
    expect(sortRecords(rows, 'protocol', false).map((row) => row.record.time)).toEqual([3, 2, 1]);
  });

  it('keep their keys when more of the same come', () => {
    const before = recordRows([flow()]).map((row) => row.key);
    const after = recordRows([flow(), flow()]).map((row) => row.key);
    expect(after).toContain(before[0]);
    expect(new Set(after).size).toBe(2);
  });
});

describe('the collectors of a lab', () => {
  const lab: LabDocument = {
    netloom: 1,
    name: 'lab',
    topology: {
      nodes: {
        c: {
          kind: 'namespace',
          collector: { netflow: true, sflow: 7000 },
          interfaces: { eth0: { addresses: ['10.0.0.9/24', 'fd00::9/64'] } },
        },
        h: { kind: 'namespace' },
        one: {
          kind: 'ovs-bridge',
          netflow: { targets: ['10.0.0.9:2055', '10.0.0.8:2055'] },
          sflow: { targets: ['[fd00::9]:7000'] },
        },
        // No collector listens there.
        two: { kind: 'ovs-bridge', sflow: { targets: ['10.0.0.9:6343'] } },
      },
    },
  };

  it('are known, with what the bridges send them', () => {
    expect(collectorsOf(lab)).toEqual(['c']);
    expect(collectorsOf(null)).toEqual([]);
    expect(exportsTo(lab, 'c')).toEqual([
      { bridge: 'one', protocol: 'netflow', target: '10.0.0.9:2055' },
      { bridge: 'one', protocol: 'sflow', target: '[fd00::9]:7000' },
    ]);
    expect(exportsTo(lab, 'h')).toEqual([]);
    expect(collectorTarget(lab, 'sflow')).toBe('10.0.0.9:7000');
    expect(collectorTarget(lab, 'ipfix')).toBeNull();
  });

  it('are written as shortly as they can be', () => {
    expect(withPort(true, 'sflow', null)).toEqual({ netflow: true, ipfix: true });
    expect(withPort({ netflow: true, ipfix: true }, 'sflow', 6343)).toBe(true);
    expect(withPort(true, 'ipfix', 4740)).toEqual({ netflow: true, ipfix: 4740, sflow: true });
    expect(withPort({ netflow: 9995 }, 'netflow', null)).toBeUndefined();
  });
});
