/** One packet, as far as dissectors have come with it. */
import type { Field, FieldType } from './field.ts';
import { FieldTree, type PacketFault, type PacketFaultKind } from './field-tree.ts';
import { ipv4Text, ipv6Text, macText } from './octets.ts';

/** By what number the next protocol is looked up. */
export type NextTable =
  | 'link-type'
  | 'ether-type'
  | 'llc'
  | 'access-point'
  | 'slow-subtype'
  | 'ip-protocol'
  | 'udp'
  | 'tcp'
  | 'ip-version';

export interface Protocol {
  /** As display filters have it: `ip`, `tcp`. */
  readonly name: string;
  /** As a list of packets has it: `IPv4`, `TCP`. */
  readonly title: string;
  /** Bytes without which nothing can be said of it: `enter` and `info` have at least these. */
  readonly minimum: number;
  /** All that `describe` may add. */
  readonly fields: readonly FieldType[];
  /**
   * Looks at the header, says where it ends and what comes next, and adds nothing else: this is all that is done with a packet
   * whose fields nobody asks for.
   */
  readonly enter: (packet: Dissection, layer: Layer) => void;
  /** Reads the fields. */
  readonly describe: (tree: FieldTree, layer: Layer, packet: Dissection) => void;
  /** What it says, in a line; of the innermost layer that has one. */
  readonly info?: (packet: Dissection, layer: Layer) => string;
  /** The title where it depends on the packet. */
  readonly titleOf?: (packet: Dissection, layer: Layer) => string;
}

/** A protocol's part of a packet. */
export class Layer {
  readonly packet: Dissection;
  readonly protocol: Protocol;
  /** First byte, from the beginning of the packet. */
  readonly start: number;
  /** Where its own bytes end and what it carries begins; up to `end`. May lie beyond what was captured. */
  headerEnd: number;
  /** Where all of it ends, by what the layers say. May lie beyond what was captured. */
  end: number;
  /** A number that `enter` leaves for the others. */
  note = 0;
  /** Whether it is of a packet that another one only quotes. */
  readonly isQuoted: boolean;
  private tree: FieldTree | undefined;

  constructor(packet: Dissection, protocol: Protocol, start: number, end: number) {
    this.packet = packet;
    this.isQuoted = packet.quoted;
    this.protocol = protocol;
    this.start = start;
    this.headerEnd = end;
    this.end = end;
  }

  private build(): FieldTree {
    if (this.tree !== undefined) return this.tree;
    const { packet, protocol, start, headerEnd } = this;
    const tree = new FieldTree(packet.bytes, start, headerEnd);
    this.tree = tree;
    protocol.describe(tree, this, packet);
    return tree;
  }

  /** Built when they are first asked for. */
  get fields(): readonly Field[] {
    return this.build().fields;
  }

  /** Of its fields. A quoted packet is seldom whole, and that is no fault. */
  get fault(): PacketFault | null {
    return this.isQuoted ? null : this.build().fault;
  }

  get title(): string {
    return this.protocol.titleOf?.(this.packet, this) ?? this.protocol.title;
  }

  /** Whether so many bytes from `start` on were captured. */
  has(length: number): boolean {
    return this.start + length <= Math.min(this.end, this.packet.bytes.length);
  }
}

export class Dissection {
  /** What was captured. */
  readonly bytes: Uint8Array;
  /** Bytes that the packet had on the wire. */
  readonly wireLength: number;
  readonly layers: Layer[] = [];
  /** What the headers say that cannot be; the fields have faults of their own. */
  fault: PacketFault | null = null;

  /** First byte of the source's address, which the destination's follows; -1 for none. Of the innermost packet. */
  linkAt = -1;
  networkAt = -1;
  /** 4 or 16. */
  networkLength = 0;
  /** -1 for none. */
  ipProtocol = -1;
  sourcePort = -1;
  destinationPort = -1;
  /** Whether what follows is a packet that is only quoted, as in errors of ICMP. */
  quoted = false;
  /** Where the network layer below Ethernet ends, after which comes padding; -1 where nothing tells. */
  paddingAt = -1;

  nextTable: NextTable | null = null;
  nextKey = 0;
  nextAt = 0;
  nextEnd = 0;

  constructor(bytes: Uint8Array, wireLength: number) {
    this.bytes = bytes;
    this.wireLength = Math.max(wireLength, bytes.length);
  }

  fail(kind: PacketFaultKind, offset: number): void {
    this.fault ??= { kind, offset };
  }

  /** A header that is not there whole: cut off by the capture, or by what is around it. */
  failShort(layer: Layer): void {
    if (layer.isQuoted) return;
    const { bytes, wireLength } = this;
    const isCut = bytes.length < wireLength && layer.end > bytes.length;
    this.fail(isCut ? 'truncated' : 'malformed', Math.min(layer.end, bytes.length));
  }

  continueWith(table: NextTable, key: number, at: number, end: number): void {
    this.nextTable = table;
    this.nextKey = key;
    this.nextAt = at;
    this.nextEnd = end;
  }

  /** Addresses of hosts, else of cards; empty where there are none. */
  get source(): string {
    return this.address(0);
  }

  get destination(): string {
    return this.address(1);
  }

  private address(place: 0 | 1): string {
    if (this.networkAt >= 0) {
      const at = this.networkAt + place * this.networkLength;
      return this.networkLength === 4 ? ipv4Text(this.bytes, at) : ipv6Text(this.bytes, at);
    }
    // Ethernet has the destination first.
    return this.linkAt < 0 ? '' : macText(this.bytes, this.linkAt + (place === 0 ? 6 : 0));
  }
}
