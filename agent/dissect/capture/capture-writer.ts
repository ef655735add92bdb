/**
 * Writes a file of pcapng (draft-ietf-opsawg-pcapng), block by block, of the interfaces of several namespaces. Pure: whoever
 * has the file writes the bytes one after the other.
 */
import { sectionHeaderType } from './block-records.ts';

/** As seen from the namespace that has the interface. */
export type PacketDirection = 'received' | 'sent';

export interface WrittenInterface {
  /** As people know the namespace; null for the machine's own. */
  readonly namespace: string | null;
  readonly name: string;
  /** LINKTYPE_ of tcpdump.org. */
  readonly linkType: number;
  /** Bytes of a packet that are captured at most; 0 for all. */
  readonly snapLength: number;
  /** What was left out by, as tcpdump has it. */
  readonly filter?: string;
  readonly comment?: string;
}

export interface WrittenTime {
  /** Since the epoch. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface PacketToWrite {
  /** What `interface` gave. */
  readonly interface: number;
  readonly time: WrittenTime;
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly direction?: PacketDirection;
  /** Packets that were lost between the one before of this interface and this one. */
  readonly dropped?: number;
  readonly comment?: string;
}

export interface CaptureTotals {
  readonly time: WrittenTime;
  /** Packets that came up to then, those that were dropped included. */
  readonly received: number;
  /** Null where nobody can tell which interface they were of. */
  readonly dropped: number | null;
  readonly comment?: string;
}

const interfaceType = 1;
const statisticsType = 5;
const packetType = 6;
/** Of an option's value; the field for it has 16 bits. */
const longestOption = 0xffff;

interface BlockOption {
  readonly code: number;
  readonly value: Uint8Array;
}

const encoder = new TextEncoder();

/** Cut off between two characters where it is too long. */
function textOption(code: number, text: string | null | undefined): readonly BlockOption[] {
  if (text === null || text === undefined || text === '') return [];
  const room = new Uint8Array(Math.min(longestOption, text.length * 3));
  const { written } = encoder.encodeInto(text, room);
  return [{ code, value: room.subarray(0, written) }];
}

function numberOption(code: number, length: 4 | 8, value: number): BlockOption {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  if (length === 4) view.setUint32(0, value, true);
  else view.setBigUint64(0, BigInt(value), true);
  return { code, value: bytes };
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** A block with what `fill` writes into the `bodyLength` bytes of its body, which may end anywhere, then options. */
function block(
  type: number,
  bodyLength: number,
  options: readonly BlockOption[],
  fill: (view: DataView, bytes: Uint8Array, at: number) => void,
): Uint8Array {
  const optionsLength = options.reduce((sum, { value }) => sum + 4 + padded(value.length), 0);
  const length = 12 + padded(bodyLength) + (options.length === 0 ? 0 : optionsLength + 4);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  fill(view, bytes, 8);
  let at = 8 + padded(bodyLength);
  for (const { code, value } of options) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  view.setUint32(length - 4, length, true);
  return bytes;
}

/** Nanoseconds since the epoch, in two halves. */
function setTime(view: DataView, at: number, { seconds, nanoseconds }: WrittenTime): void {
  const count = BigInt.asUintN(64, BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
  view.setUint32(at, Number(count >> 32n), true);
  view.setUint32(at + 4, Number(count & 0xffff_ffffn), true);
}

/** Names of programs show it so: `r1:eth0`. */
export function interfaceTitle({
  namespace,
  name,
}: Pick<WrittenInterface, 'namespace' | 'name'>): string {
  return namespace === null ? name : `${namespace}:${name}`;
}

export class CaptureWriter {
  private interfaces = 0;

  /** The first block; `application` wrote the file, on `system`. */
  section(application: string, system: string, comment?: string): Uint8Array {
    const options = [
      ...textOption(1, comment),
      ...textOption(3, system),
      ...textOption(4, application),
    ];
    return block(sectionHeaderType, 16, options, (view, _bytes, at) => {
      view.setUint32(at, 0x1a2b3c4d, true);
      view.setUint16(at + 4, 1, true);
      view.setUint16(at + 6, 0, true);
      // Of a length that is not known yet.
      view.setBigInt64(at + 8, -1n, true);
    });
  }

  /** Before the first packet of each interface; `index` is what its packets name. */
  interface(written: WrittenInterface): { readonly index: number; readonly bytes: Uint8Array } {
    const { namespace, name, linkType, snapLength, filter, comment } = written;
    const index = this.interfaces;
    this.interfaces += 1;
    const described = namespace === null ? null : `interface ${name} of namespace ${namespace}`;
    const options = [
      ...textOption(1, comment),
      ...textOption(2, interfaceTitle(written)),
      ...textOption(3, described),
      // Nanoseconds.
      { code: 9, value: Uint8Array.of(9) },
      // A zero in front says that it is a text for libpcap.
      ...textOption(11, filter === undefined ? null : `\0${filter}`),
    ];
    const bytes = block(interfaceType, 8, options, (view, _bytes, at) => {
      view.setUint16(at, linkType, true);
      view.setUint32(at + 4, snapLength, true);
    });
    return { index, bytes };
  }

  packet(packet: PacketToWrite): Uint8Array {
    const { direction, dropped, comment } = packet;
    const options = [
      ...textOption(1, comment),
      ...(direction === undefined ? [] : [numberOption(2, 4, direction === 'received' ? 1 : 2)]),
      ...(dropped === undefined ? [] : [numberOption(4, 8, dropped)]),
    ];
    return block(packetType, 20 + packet.bytes.length, options, (view, bytes, at) => {
      view.setUint32(at, this.known(packet.interface), true);
      setTime(view, at + 4, packet.time);
      view.setUint32(at + 12, packet.bytes.length, true);
      view.setUint32(at + 16, packet.wireLength, true);
      bytes.set(packet.bytes, at + 20);
    });
  }

  /** At the end of each interface, or now and then: what counts is the last one. */
  totals(index: number, { time, received, dropped, comment }: CaptureTotals): Uint8Array {
    const options = [
      ...textOption(1, comment),
      numberOption(4, 8, received),
      ...(dropped === null ? [] : [numberOption(5, 8, dropped)]),
    ];
    return block(statisticsType, 12, options, (view, _bytes, at) => {
      view.setUint32(at, this.known(index), true);
      setTime(view, at + 4, time);
    });
  }

  private known(index: number): number {
    if (index >= 0 && index < this.interfaces) return index;
    throw new RangeError(`No interface ${String(index)} was written.`);
  }
}
