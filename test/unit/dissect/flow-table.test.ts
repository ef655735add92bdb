/** Flows of made captures beside tshark's conversations; states and times of TCP; what is forgotten. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Flow, FlowTable } from '../../../agent/activity/flow-table.ts';
import { dissect } from '../../../agent/dissect/dissect.ts';
import { flowPacketOf } from '../../../agent/dissect/flow-packet.ts';
import { classicCapture } from '../../harness/captures.ts';
import {
  ascii,
  bytes,
  datagram,
  frame,
  frame6,
  ip4,
  macA,
  message,
  number,
  packet4,
  packet6,
  segment,
  tcpFrame,
  udpFrame,
  udpFrame6,
} from '../../harness/packets.ts';
import { runTsharkOn } from '../../harness/tshark.ts';

interface Seen {
  readonly bytes: Uint8Array;
  /** Milliseconds. */
  readonly time?: number;
  readonly namespace?: string;
  readonly interface?: number;
}

function add(table: FlowTable, { bytes: whole, time = 0, namespace = 'one', ...seen }: Seen): void {
  const place = { namespace, interface: seen.interface ?? 2, time };
  const packet = flowPacketOf(dissect(whole, 1), place);
  if (packet !== null) table.add(packet);
}

function tableOf(packets: readonly Seen[], maximumFlows?: number): FlowTable {
  const table = new FlowTable(maximumFlows === undefined ? {} : { maximumFlows });
  for (const packet of packets) add(table, packet);
  return table;
}

function only(table: FlowTable): Flow {
  const [flow, another] = table.flows();
  if (flow === undefined || another !== undefined) throw new Error('not one flow');
  return flow;
}

/** `end end packets-of-the-first bytes packets-of-the-other bytes`, whichever was first. */
function lineOf(
  ends: readonly (readonly [name: string, packets: number, bytes: number])[],
): string {
  return [...ends]
    .sort()
    .map((end) => end.join(' '))
    .join(' | ');
}

/** Of one kind, its conversations with the same ends as one. */
function conversations(capture: Uint8Array, kind: string): string[] {
  const rows = new Map<string, Map<string, [number, number]>>();
  const form = /^(\S+)\s+<->\s+(\S+)\s+(\d+) (\d+) bytes\s+(\d+) (\d+) bytes\s/;
  for (const line of runTsharkOn(capture, ['-q', '-z', `conv,${kind}`]).split('\n')) {
    const found = form.exec(line);
    if (found === null) continue;
    const [, one = '', other = '', toOne, bytesToOne, toOther, bytesToOther] = found;
    const key = [one, other].sort().join(' ');
    const row = rows.get(key) ?? new Map<string, [number, number]>();
    rows.set(key, row);
    for (const [end, packets, size] of [
      [one, toOther, bytesToOther],
      [other, toOne, bytesToOne],
    ] as const) {
      const before = row.get(end) ?? [0, 0];
      row.set(end, [before[0] + Number(packets), before[1] + Number(size)]);
    }
  }
  return [...rows.values()]
    .map((row) => lineOf([...row].map(([end, [p, b]]) => [end, p, b])))
    .sort();
}

function ours(table: FlowTable, ipProtocol: number): string[] {
  return table
    .flows()
    .filter((flow) => flow.ipProtocol === ipProtocol)
    .map(({ ends }) =>
      lineOf(
        ends.map(({ address, port, sent }) => [
          // Without brackets around addresses of IPv6.
          `${address}:${String(port)}`,
          sent.packets,
          sent.bytes,
        ]),
      ),
    )
    .sort();
}

const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const addresses6 = ['2001:db8::1', '2001:db8::2'];
const ports = [40_000, 40_001, 50_123];

const oneFrame = fc
  .record({
    kind: fc.constantFrom('tcp', 'udp', 'udp6', 'tcp6', 'tagged', 'tunnelled'),
    from: fc.nat(2),
    step: fc.integer({ min: 1, max: 2 }),
    source: fc.constantFrom(...ports),
    destination: fc.constantFrom(...ports),
    size: fc.nat(30),
  })
  .map(({ kind, from, step, source, destination, size }) => {
    const payload = new Uint8Array(size).fill(0xff);
    const is6 = kind.endsWith('6');
    const hosts = is6 ? addresses6 : addresses;
    const ends = {
      source,
      destination,
      from: hosts[from % hosts.length] ?? '',
      to: hosts[(from + (is6 ? 1 : step)) % hosts.length] ?? '',
    };
    const inner = packet4(6, segment(payload, ends), ends);
    if (kind === 'tcp') return tcpFrameOf(payload, ends);
    if (kind === 'udp') return udpFrame(payload, ends);
    if (kind === 'udp6') return udpFrame6(payload, ends);
    if (kind === 'tcp6') return frame(0x86dd, packet6(6, segment(payload, ends), ends));
    if (kind === 'tagged') return frame(0x8100, bytes('000a 0800', inner));
    return frame(0x0800, packet4(47, bytes('0000 0800', inner)));
  });

function tcpFrameOf(
  payload: Uint8Array,
  ends: Parameters<typeof segment>[1] & { readonly from: string; readonly to: string },
): Uint8Array {
  return frame(0x0800, packet4(6, segment(payload, ends), ends));
}

describe('flows', () => {
  it('are the conversations that tshark has, packet by packet and byte by byte', () => {
    const frames =
      fc.sample(fc.array(oneFrame, { minLength: 300, maxLength: 300 }), {
        numRuns: 1,
        seed: 7,
      })[0] ?? [];
    const capture = classicCapture(
      frames.map((whole, index) => ({ bytes: whole, fraction: index })),
    );
    const table = tableOf(frames.map((whole, time) => ({ bytes: whole, time })));
    for (const [kind, ipProtocol] of [
      ['tcp', 6],
      ['udp', 17],
    ] as const) {
      const theirs = conversations(capture, kind);
      expect(theirs.length).toBeGreaterThan(10);
      expect(ours(table, ipProtocol)).toEqual(theirs);
    }
  });

  it('join both directions, and begin with who was seen first', () => {
    const there = udpFrame(ascii('question'), { source: 40_000, destination: 53 });
    const back = udpFrame(ascii('answer'), {
      source: 53,
      destination: 40_000,
      from: '10.0.0.2',
      to: '10.0.0.1',
    });
    const flow = only(
      tableOf([
        { bytes: there, time: 5 },
        { bytes: back, time: 7 },
        { bytes: there, time: 9 },
      ]),
    );
    expect(flow).toMatchObject({
      namespace: 'one',
      protocol: 'dns',
      ipProtocol: 17,
      packets: 3,
      bytes: 180,
      first: 5,
      last: 9,
      tcp: null,
    });
    expect(flow.ends).toEqual([
      { address: '10.0.0.1', port: 40_000, sent: { packets: 2, bytes: 120 } },
      { address: '10.0.0.2', port: 53, sent: { packets: 1, bytes: 60 } },
    ]);
  });

  it('count once what passes several interfaces of a namespace, and apart what is in another one', () => {
    const whole = udpFrame(ascii('hello'), { source: 40_000, destination: 40_001 });
    const table = tableOf([
      { bytes: whole, interface: 2 },
      { bytes: whole, interface: 3 },
      { bytes: whole, interface: 3 },
      { bytes: whole, namespace: 'two', interface: 2 },
    ]);
    expect(
      table
        .flows()
        .map(({ namespace, packets, interfaces }) => [namespace, packets, interfaces.length]),
    ).toEqual([
      ['one', 2, 2],
      ['two', 1, 1],
    ]);
    const [first] = table.flows();
    expect(first?.interfaces.map(({ interface: index, sent }) => [index, sent[0].packets])).toEqual(
      [
        [2, 1],
        [3, 2],
      ],
    );
  });

  it('are of hosts without ports, and of cards without IP', () => {
    const echo = frame(0x0800, packet4(1, message(bytes('0800 0000 1234 0001'))));
    const error = frame6(
      bytes(
        '01 04 0000 00000000',
        packet6(
          17,
          datagram(ascii('x'), {
            source: 1,
            destination: 2,
            from: '2001:db8::1',
            to: '2001:db8::2',
          }),
        ),
      ),
    );
    const arp = frame(
      0x0806,
      bytes('0001 0800 06 04 0001', macA, ip4('10.0.0.1'), '000000000000', ip4('10.0.0.2')),
    );
    const flows = tableOf([{ bytes: echo }, { bytes: error }, { bytes: arp }]).flows();
    expect(
      flows
        .map(({ protocol, ipProtocol, ends }) => [
          protocol,
          ipProtocol,
          ends[0].address,
          ends[0].port,
        ])
        .sort(),
    ).toEqual([
      ['arp', null, '02:00:00:00:00:0a', null],
      ['icmp', 1, '10.0.0.1', null],
      ['icmpv6', 58, '2001:db8::1', null],
    ]);
  });

  it('give shares of protocols and those who talk most', () => {
    const table = tableOf([
      { bytes: udpFrame(new Uint8Array(500), { source: 40_000, destination: 40_001 }) },
      { bytes: udpFrame(new Uint8Array(30), { source: 40_000, destination: 53 }) },
      { bytes: tcpFrame(ascii('GET / HTTP/1.1\r\n\r\n'), { source: 40_000, destination: 80 }) },
      { bytes: tcpFrame(ascii('a'), { source: 40_002, destination: 7000 }) },
      {
        bytes: udpFrame(ascii('x'), {
          source: 1,
          destination: 2,
          from: '10.0.0.9',
          to: '10.0.0.2',
        }),
      },
    ]);
    expect(table.protocols().map(({ protocol, flows }) => [protocol, flows])).toEqual([
      ['udp', 2],
      ['http', 1],
      ['dns', 1],
      ['tcp', 1],
    ]);
    expect(table.talkers(2).map(({ address, flows }) => [address, flows])).toEqual([
      ['10.0.0.2', 5],
      ['10.0.0.1', 4],
    ]);
    const [most] = table.talkers();
    expect(most?.sent).toEqual({ packets: 0, bytes: 0 });
    expect(most?.received.packets).toBe(5);
    expect(table.flows(1)[0]?.bytes).toBe(542);
  });
});

/** A segment of the connection 10.0.0.1:40000 → 10.0.0.2:80 with timestamps. */
function tcp(
  from: 'client' | 'server',
  flags: number,
  timestamps: readonly [number, number] | null = null,
  payload = 0,
): Uint8Array {
  const [source, destination] = from === 'client' ? [40_000, 7000] : [7000, 40_000];
  const [own, peer] = from === 'client' ? ['10.0.0.1', '10.0.0.2'] : ['10.0.0.2', '10.0.0.1'];
  const options =
    timestamps === null
      ? ''
      : bytes('0101 080a', number(timestamps[0], 4), number(timestamps[1], 4));
  const ends = { source, destination, from: own, to: peer, flags, options };
  return frame(0x0800, packet4(6, segment(new Uint8Array(payload), ends), ends));
}

const [SYN, ACK, FIN, RST] = [2, 16, 1, 4];

describe('a connection of TCP', () => {
  it('goes through its states, and tells the time of its handshake', () => {
    const table = new FlowTable();
    const state = (whole: Uint8Array, time: number): string | undefined => {
      add(table, { bytes: whole, time });
      return only(table).tcp?.state;
    };
    expect(state(tcp('client', SYN), 1000)).toBe('syn-sent');
    expect(state(tcp('server', SYN | ACK), 1030)).toBe('syn-received');
    expect(state(tcp('client', ACK), 1034)).toBe('established');
    expect(only(table).tcp?.handshake).toEqual([0.03, 0.004]);
    expect(only(table).tcp?.roundTrip).toBeCloseTo(0.034, 9);
    expect(state(tcp('client', ACK, null, 5), 1100)).toBe('established');
    expect(state(tcp('client', FIN | ACK), 1200)).toBe('closing');
    expect(state(tcp('server', FIN | ACK), 1230)).toBe('closed');
    expect(state(tcp('client', ACK), 1234)).toBe('closed');
    expect(state(tcp('client', SYN), 2000)).toBe('syn-sent');
    expect(only(table).tcp?.connections).toBe(2);
    expect(state(tcp('server', RST | ACK), 2030)).toBe('reset');
  });

  it('whose beginning was not seen is established, without a time', () => {
    const flow = only(
      tableOf([{ bytes: tcp('client', ACK, null, 5) }, { bytes: tcp('server', ACK), time: 9 }]),
    );
    expect(flow.tcp).toMatchObject({
      state: 'established',
      handshake: [null, null],
      roundTrip: null,
    });
  });

  it('has no time from a request that was sent twice', () => {
    const flow = only(
      tableOf([
        { bytes: tcp('client', SYN), time: 0 },
        { bytes: tcp('client', SYN), time: 1000 },
        { bytes: tcp('server', SYN | ACK), time: 1010 },
        { bytes: tcp('client', ACK), time: 1012 },
      ]),
    );
    expect(flow.tcp?.handshake).toEqual([null, 0.002]);
  });

  it('has times of both ends from its timestamps', () => {
    const flow = only(
      tableOf([
        { bytes: tcp('client', ACK, [100, 900], 10), time: 0 },
        // Sent before the answer, and not what is timed.
        { bytes: tcp('client', ACK, [105, 900], 10), time: 5 },
        { bytes: tcp('server', ACK, [950, 100], 20), time: 40 },
        { bytes: tcp('client', ACK, [150, 950]), time: 43 },
        { bytes: tcp('client', ACK, [160, 950], 10), time: 60 },
        { bytes: tcp('server', ACK, [990, 160]), time: 80 },
      ]),
    );
    expect(flow.tcp?.roundTrips).toEqual([
      { least: 0.003, smoothed: 0.003, samples: 1 },
      { least: 0.02, smoothed: 0.0375, samples: 2 },
    ]);
    expect(flow.tcp?.roundTrip).toBeCloseTo(0.023, 9);
  });

  it('that several interfaces see has its times from one of them, and from another once that is silent', () => {
    const flow = only(
      tableOf([
        { bytes: tcp('client', SYN), time: 0, interface: 2 },
        { bytes: tcp('client', SYN), time: 1, interface: 3 },
        { bytes: tcp('server', SYN | ACK), time: 29, interface: 3 },
        { bytes: tcp('server', SYN | ACK), time: 30, interface: 2 },
        { bytes: tcp('client', ACK), time: 40, interface: 2 },
        { bytes: tcp('client', RST), time: 5000, interface: 3 },
      ]),
    );
    expect(flow.tcp?.handshake).toEqual([0.03, 0.01]);
    expect(flow.tcp?.state).toBe('reset');
  });

  it('agrees with the times that tshark has of its handshake', () => {
    const parts = [tcp('client', SYN), tcp('server', SYN | ACK), tcp('client', ACK)];
    const times = [0, 30, 34];
    const capture = classicCapture(
      parts.map((whole, at) => ({ bytes: whole, fraction: (times[at] ?? 0) * 1000 })),
    );
    const said = runTsharkOn(capture, [
      '-o',
      'tcp.analyze_sequence_numbers:TRUE',
      '-T',
      'fields',
      '-e',
      'tcp.analysis.initial_rtt',
    ]);
    const flow = only(tableOf(parts.map((whole, at) => ({ bytes: whole, time: times[at] ?? 0 }))));
    const [theirs] = said.split('\n').filter(Boolean).map(Number);
    expect(flow.tcp?.roundTrip).toBeCloseTo(theirs ?? NaN, 6);
  });
});

describe('a full table', () => {
  const whole = (port: number): Uint8Array =>
    udpFrame(ascii('x'), { source: port, destination: 9 });

  it('forgets what was seen longest ago, and keeps the sum of it', () => {
    const table = tableOf(
      [1, 2, 3, 1, 4].map((port, time) => ({ bytes: whole(port), time })),
      3,
    );
    expect(
      table
        .flows()
        .map(({ ends }) => ends[0].port)
        .sort(),
    ).toEqual([1, 3, 4]);
    expect(table.forgotten).toEqual({ flows: 1, packets: 1, bytes: 60 });
  });

  it('holds no more than it may and loses no packet, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.constantFrom('one', 'two'))), (sequence) => {
        const table = tableOf(
          sequence.map(([port, namespace], time) => ({ bytes: whole(port + 1), time, namespace })),
          5,
        );
        expect(table.size).toBeLessThanOrEqual(5);
        expect(table.flows()).toHaveLength(table.size);
        const kept = table.flows().reduce((sum, { packets }) => sum + packets, 0);
        expect(kept + table.forgotten.packets).toBe(sequence.length);
        table.forgetNamespace('one');
        expect(table.flows().every(({ namespace }) => namespace === 'two')).toBe(true);
        expect(table.flows()).toHaveLength(table.size);
      }),
    );
  });

  it('takes any bytes', () => {
    const table = new FlowTable({ maximumFlows: 50 });
    const start = tcp('client', ACK, [1, 2], 9);
    fc.assert(
      fc.property(fc.nat(start.length), fc.uint8Array({ maxLength: 80 }), (cut, tail) => {
        add(table, { bytes: bytes(start.slice(0, cut), tail) });
        expect(table.size).toBeLessThanOrEqual(50);
      }),
    );
  });
});
