/**
 * Flows of all namespaces: who talks to whom, how much, since when. Pure.
 *
 * A flow is a namespace, a protocol and two ends, in both directions. The same packet passes several interfaces of a
 * namespace, so each interface counts by itself, and a flow has moved what its busiest interface has seen. State and times of
 * TCP come from one interface alone: the first one, until it has been silent for as long as `silence` while others were not.
 *
 * It holds no more flows than it is told. Where there is one more, the flow that was seen longest ago goes, and what it has
 * moved is kept in one sum.
 */
import { addressText, macText } from './byte-reader.ts';
import { type Direction, type RoundTrip, TcpConnection, type TcpState } from './flow-tcp.ts';

export interface FlowPacket {
  /** What was captured. */
  readonly bytes: Uint8Array;
  /** Milliseconds. */
  readonly time: number;
  readonly wireLength: number;
  readonly namespace: string;
  /** Index of the interface that saw it. */
  readonly interface: number;
  /** Places of the two addresses, of hosts or, where there are none, of cards. */
  readonly sourceAt: number;
  readonly destinationAt: number;
  /** 4 or 16; 6 for cards. */
  readonly addressLength: 4 | 6 | 16;
  /** Of IP; -1 for what is not of IP. */
  readonly ipProtocol: number;
  /** -1 where there are none, or where they were not captured. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** First byte of the header of TCP and of what it carries; -1 for none. */
  readonly tcpAt: number;
  readonly tcpPayloadAt: number;
  /** Bytes that the segment carries. */
  readonly tcpPayload: number;
  /** Innermost protocol that is known, such as `dns`. */
  readonly protocol: string;
}

export interface FlowCounts {
  readonly packets: number;
  /** On the wire, with all headers. */
  readonly bytes: number;
}

export interface FlowEnd {
  readonly address: string;
  /** Null for protocols without ports. */
  readonly port: number | null;
  /** What this end has sent. */
  readonly sent: FlowCounts;
}

export interface FlowSighting {
  readonly interface: number;
  /** What the first end of the flow has sent, then the second. */
  readonly sent: readonly [FlowCounts, FlowCounts];
}

export interface FlowTcp {
  readonly state: TcpState;
  /** Connections that had these ends, one after the other. */
  readonly connections: number;
  /** Seconds from the request to its acceptance, and from there to the last word of the handshake. */
  readonly handshake: readonly [number | null, number | null];
  /** Seconds there and back between the observer and each end. */
  readonly roundTrips: readonly [RoundTrip | null, RoundTrip | null];
  /** Seconds from one end to the other and back. */
  readonly roundTrip: number | null;
}

export interface Flow {
  readonly namespace: string;
  /** Innermost protocol that has been seen in it. */
  readonly protocol: string;
  readonly ipProtocol: number | null;
  /** The one that was seen first sending, then the other. */
  readonly ends: readonly [FlowEnd, FlowEnd];
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds. */
  readonly first: number;
  readonly last: number;
  readonly interfaces: readonly FlowSighting[];
  readonly tcp: FlowTcp | null;
}

export interface Talker extends FlowCounts {
  readonly namespace: string;
  readonly address: string;
  readonly sent: FlowCounts;
  readonly received: FlowCounts;
  readonly flows: number;
}

export interface ProtocolShare extends FlowCounts {
  readonly protocol: string;
  readonly flows: number;
}

export interface FlowTableOptions {
  readonly maximumFlows?: number;
}

const defaultFlows = 65_536;
/** Interfaces of one flow; what further ones see is not counted. */
const maximumSightings = 16;
/** Milliseconds. */
const silence = 2_000;

/** Protocols that say no more than the flow's own numbers. */
const plain: ReadonlySet<string> = new Set([
  'eth',
  'vlan',
  'ieee8021ad',
  'ip',
  'ipv6',
  'tcp',
  'udp',
  'data',
]);

interface Sighting {
  readonly interface: number;
  last: number;
  /** By direction. */
  readonly packets: [number, number];
  readonly bytes: [number, number];
}

interface KnownFlow {
  readonly hash: number;
  readonly namespace: string;
  readonly ipProtocol: number;
  readonly addresses: readonly [Uint8Array, Uint8Array];
  readonly ports: readonly [number, number];
  protocol: string;
  readonly first: number;
  last: number;
  readonly sightings: Sighting[];
  /** The one whose segments tell of TCP. */
  witness: Sighting;
  tcp: TcpConnection | null;
  connections: number;
  /** Of the same hash. */
  next: KnownFlow | null;
  /** Flows that were seen before and after it. */
  older: KnownFlow | null;
  newer: KnownFlow | null;
}

export class FlowTable {
  private readonly byHash = new Map<number, KnownFlow>();
  private readonly maximum: number;
  private oldest: KnownFlow | null = null;
  private newest: KnownFlow | null = null;
  private count = 0;
  private readonly gone = { flows: 0, packets: 0, bytes: 0 };

  constructor({ maximumFlows = defaultFlows }: FlowTableOptions = {}) {
    this.maximum = Math.max(1, maximumFlows);
  }

  get size(): number {
    return this.count;
  }

  /** Flows that went to make room, and what they had moved. */
  get forgotten(): FlowCounts & { readonly flows: number } {
    return { ...this.gone };
  }

  add(packet: FlowPacket): void {
    const hash = hashOf(packet);
    let flow = this.byHash.get(hash) ?? null;
    let direction: Direction | null = null;
    for (; flow !== null; flow = flow.next) {
      direction = directionIn(flow, packet);
      if (direction !== null) break;
    }
    if (flow === null || direction === null) {
      flow = this.begin(packet, hash);
      direction = 0;
    } else {
      this.unlink(flow);
    }
    this.append(flow);
    count(flow, packet, direction);
  }

  private begin(packet: FlowPacket, hash: number): KnownFlow {
    if (this.count >= this.maximum) this.forgetOldest();
    const { bytes, sourceAt, destinationAt, addressLength, time } = packet;
    const sighting: Sighting = {
      interface: packet.interface,
      last: time,
      packets: [0, 0],
      bytes: [0, 0],
    };
    const flow: KnownFlow = {
      hash,
      namespace: packet.namespace,
      ipProtocol: packet.ipProtocol,
      addresses: [
        // Copies, also of a Buffer, whose slices are none.
        Uint8Array.from(bytes.subarray(sourceAt, sourceAt + addressLength)),
        Uint8Array.from(bytes.subarray(destinationAt, destinationAt + addressLength)),
      ],
      ports: [packet.sourcePort, packet.destinationPort],
      protocol: packet.protocol,
      first: time,
      last: time,
      sightings: [sighting],
      witness: sighting,
      tcp: null,
      connections: 0,
      next: this.byHash.get(hash) ?? null,
      older: null,
      newer: null,
    };
    this.byHash.set(hash, flow);
    this.count += 1;
    return flow;
  }

  private append(flow: KnownFlow): void {
    flow.older = this.newest;
    flow.newer = null;
    if (this.newest === null) this.oldest = flow;
    else this.newest.newer = flow;
    this.newest = flow;
  }

  private unlink(flow: KnownFlow): void {
    if (flow.older === null) this.oldest = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === null) this.newest = flow.older;
    else flow.newer.older = flow.older;
  }

  private forgetOldest(): void {
    if (this.oldest !== null) this.forget(this.oldest);
  }

  private forget(flow: KnownFlow): void {
    this.unlink(flow);
    const first = this.byHash.get(flow.hash);
    if (first === flow) {
      if (flow.next === null) this.byHash.delete(flow.hash);
      else this.byHash.set(flow.hash, flow.next);
    } else {
      for (let before = first ?? null; before !== null; before = before.next) {
        if (before.next === flow) before.next = flow.next;
      }
    }
    this.count -= 1;
    const { packets, bytes } = busiestOf(flow);
    this.gone.flows += 1;
    this.gone.packets += packets[0] + packets[1];
    this.gone.bytes += bytes[0] + bytes[1];
  }

  /** Forgets a namespace that is gone. */
  forgetNamespace(namespace: string): void {
    for (let flow = this.oldest; flow !== null;) {
      const { newer } = flow;
      if (flow.namespace === namespace) this.forget(flow);
      flow = newer;
    }
  }

  private *known(): Generator<KnownFlow> {
    for (let flow = this.newest; flow !== null; flow = flow.older) yield flow;
  }

  /** Those that have moved most bytes first. */
  flows(most = Infinity): readonly Flow[] {
    return largest(
      [...this.known()].map((flow) => ({ flow, bytes: bytesOf(flow) })),
      most,
    ).map(({ flow }) => shown(flow));
  }

  /** Addresses that have sent and received most bytes first. */
  talkers(most = Infinity): readonly Talker[] {
    const talkers = new Map<string, { -readonly [Key in keyof Talker]: Talker[Key] }>();
    for (const flow of this.known()) {
      const { packets, bytes } = busiestOf(flow);
      for (const end of [0, 1] as const) {
        const other = end === 0 ? 1 : 0;
        const address = endText(flow, end);
        const key = `${flow.namespace} ${address}`;
        const none = { packets: 0, bytes: 0 };
        const before = talkers.get(key) ?? {
          ...none,
          namespace: flow.namespace,
          address,
          sent: none,
          received: none,
          flows: 0,
        };
        talkers.set(key, {
          ...before,
          sent: added(before.sent, packets[end], bytes[end]),
          received: added(before.received, packets[other], bytes[other]),
          packets: before.packets + packets[0] + packets[1],
          bytes: before.bytes + bytes[0] + bytes[1],
          flows: before.flows + 1,
        });
      }
    }
    return largest([...talkers.values()], most);
  }

  /** What each protocol has moved, most bytes first; without what was forgotten. */
  protocols(): readonly ProtocolShare[] {
    const shares = new Map<string, ProtocolShare>();
    for (const flow of this.known()) {
      const { protocol } = flow;
      const { packets, bytes } = busiestOf(flow);
      const before = shares.get(protocol) ?? { protocol, packets: 0, bytes: 0, flows: 0 };
      shares.set(protocol, {
        protocol,
        ...added(before, packets[0] + packets[1], bytes[0] + bytes[1]),
        flows: before.flows + 1,
      });
    }
    return largest([...shares.values()], Infinity);
  }
}

function added(before: FlowCounts, packets: number, bytes: number): FlowCounts {
  return { packets: before.packets + packets, bytes: before.bytes + bytes };
}

function largest<T extends { readonly bytes: number }>(all: T[], most: number): readonly T[] {
  return all.sort((one, other) => other.bytes - one.bytes).slice(0, most);
}

/** The same for both directions: sums and products of what belongs to either end. */
function hashOf(packet: FlowPacket): number {
  const { bytes, sourceAt, destinationAt, addressLength } = packet;
  const source = endHash(bytes, sourceAt, addressLength, packet.sourcePort);
  const destination = endHash(bytes, destinationAt, addressLength, packet.destinationPort);
  return (source + destination + Math.imul(source ^ destination, 31) + packet.ipProtocol) | 0;
}

/** FNV-1a, with its bits stirred once more. */
function endHash(bytes: Uint8Array, at: number, length: number, port: number): number {
  let hash = 0x811c9dc5 ^ port;
  for (let place = at; place < at + length; place += 1) {
    hash = Math.imul(hash ^ (bytes[place] ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

/** Null for a packet of another flow. */
function directionIn(flow: KnownFlow, packet: FlowPacket): Direction | null {
  const [first, second] = flow.addresses;
  if (
    flow.ipProtocol !== packet.ipProtocol ||
    first.length !== packet.addressLength ||
    flow.namespace !== packet.namespace
  ) {
    return null;
  }
  const { bytes, sourceAt, destinationAt, sourcePort, destinationPort } = packet;
  const isAt = (address: Uint8Array, at: number): boolean => {
    for (let place = 0; place < address.length; place += 1) {
      if (address[place] !== bytes[at + place]) return false;
    }
    return true;
  };
  const [firstPort, secondPort] = flow.ports;
  if (
    firstPort === sourcePort &&
    secondPort === destinationPort &&
    isAt(first, sourceAt) &&
    isAt(second, destinationAt)
  ) {
    return 0;
  }
  return firstPort === destinationPort &&
    secondPort === sourcePort &&
    isAt(first, destinationAt) &&
    isAt(second, sourceAt)
    ? 1
    : null;
}

function count(flow: KnownFlow, packet: FlowPacket, direction: Direction): void {
  const { time, protocol } = packet;
  flow.last = Math.max(flow.last, time);
  if (plain.has(flow.protocol) && !plain.has(protocol)) flow.protocol = protocol;
  else if (flow.protocol === 'data') flow.protocol = protocol;
  let sighting = flow.sightings.find((each) => each.interface === packet.interface);
  if (sighting === undefined) {
    if (flow.sightings.length >= maximumSightings) return;
    sighting = { interface: packet.interface, last: time, packets: [0, 0], bytes: [0, 0] };
    flow.sightings.push(sighting);
  }
  sighting.packets[direction] += 1;
  sighting.bytes[direction] += packet.wireLength;
  sighting.last = time;
  if (time - flow.witness.last > silence) flow.witness = sighting;
  if (sighting !== flow.witness || packet.tcpAt < 0) return;
  const header = packet.bytes.subarray(packet.tcpAt, packet.tcpPayloadAt);
  const flags = header[13];
  if (flags === undefined) return;
  if (flow.tcp === null || flow.tcp.isFollowedBy(flags)) {
    flow.tcp = new TcpConnection(flags, time);
    flow.connections += 1;
  }
  flow.tcp.segment(header, packet.tcpPayload, direction, time);
}

function busiestOf({ sightings, witness }: KnownFlow): Sighting {
  let busiest = witness;
  for (const each of sightings) if (sumOf(each) > sumOf(busiest)) busiest = each;
  return busiest;
}

function sumOf({ bytes }: Sighting): number {
  return bytes[0] + bytes[1];
}

function bytesOf(flow: KnownFlow): number {
  return sumOf(busiestOf(flow));
}

function endText({ addresses, ipProtocol }: KnownFlow, end: 0 | 1): string {
  const address = addresses[end];
  return ipProtocol < 0 ? macText(address) : addressText(address);
}

function shown(flow: KnownFlow): Flow {
  const busiest = busiestOf(flow);
  const sentBy = ({ packets, bytes }: Sighting, end: 0 | 1): FlowCounts => ({
    packets: packets[end],
    bytes: bytes[end],
  });
  const endOf = (end: 0 | 1): FlowEnd => {
    const port = flow.ports[end];
    return {
      address: endText(flow, end),
      port: port < 0 ? null : port,
      sent: sentBy(busiest, end),
    };
  };
  const { tcp, connections, ipProtocol } = flow;
  return {
    namespace: flow.namespace,
    protocol: flow.protocol,
    ipProtocol: ipProtocol < 0 ? null : ipProtocol,
    ends: [endOf(0), endOf(1)],
    packets: busiest.packets[0] + busiest.packets[1],
    bytes: sumOf(busiest),
    first: flow.first,
    last: flow.last,
    interfaces: flow.sightings.map((each) => ({
      interface: each.interface,
      sent: [sentBy(each, 0), sentBy(each, 1)],
    })),
    tcp:
      tcp === null
        ? null
        : {
            state: tcp.state,
            connections,
            handshake: tcp.handshake,
            roundTrips: [...tcp.roundTrips],
            roundTrip: tcp.roundTrip,
          },
  };
}
