/**
 * Files of pcapng (draft-ietf-opsawg-pcapng): blocks, in sections of their own byte order. Read are section headers,
 * descriptions of interfaces and the three kinds of packets; all others are skipped, however long they are.
 */
import type { ByteQueue } from './byte-queue.ts';
import {
  type CaptureFaultKind,
  type CaptureInterface,
  type CaptureItem,
  maximumPacketLength,
} from './captured-packet.ts';
import { microseconds, ticksOf, type TicksPerSecond, timestampOf } from './timestamp.ts';

export const sectionHeaderType = 0x0a0d0d0a;
const interfaceType = 1;
const oldPacketType = 2;
const simplePacketType = 3;
const packetType = 6;

const byteOrderMagic = 0x1a2b3c4d;
/** Of a block: type and length in front, length behind. */
const frame = 12;
const maximumInterfaces = 65_536;
/** Options before or behind a packet that are waited for. */
const maximumBlockLength = maximumPacketLength + 0x100000;
/** A description of an interface, and a section's header, of which only the beginning counts. */
const maximumDescriptionLength = 0x100000;
/** Longer than any name of an interface. */
const maximumNameLength = 256;

interface SectionInterface {
  readonly shown: CaptureInterface;
  readonly snapLength: number;
  readonly ticks: TicksPerSecond;
  /** Seconds. */
  readonly offset: bigint;
}

export class BlockRecords {
  private littleEndian = false;
  private interfaces: SectionInterface[] = [];
  private count = 0;

  *read(queue: ByteQueue): Generator<CaptureItem> {
    for (;;) {
      const head = queue.peek(frame);
      if (head === null) return;
      const start = queue.offset;
      const headView = viewOf(head);
      // The same in both orders, since it begins a section whose order is not known yet.
      const isSection = headView.getUint32(0) === sectionHeaderType;
      if (isSection) {
        if (headView.getUint32(8) === byteOrderMagic) this.littleEndian = false;
        else if (headView.getUint32(8, true) === byteOrderMagic) this.littleEndian = true;
        else {
          const detail = `0x${headView.getUint32(8).toString(16).padStart(8, '0')}`;
          yield faultOf('not-a-capture', start + 8, true, detail);
          return;
        }
      }
      const type = headView.getUint32(0, this.littleEndian);
      const length = headView.getUint32(4, this.littleEndian);
      if (length < frame || length % 4 !== 0) {
        yield faultOf('bad-length', start + 4, true, String(length));
        return;
      }
      const wanted = isSection || type === interfaceType || isPacket(type);
      const most = isPacket(type) ? maximumBlockLength : maximumDescriptionLength;
      if (!wanted || length > most) {
        if (wanted) yield faultOf('too-long', start + 4, isSection, String(length));
        if (isSection && length > most) return;
        queue.skip(length);
        continue;
      }
      const block = queue.peek(length);
      if (block === null) return;
      const view = viewOf(block);
      const behind = view.getUint32(length - 4, this.littleEndian);
      if (behind !== length) {
        // What it holds may be right, and the next block begins where the first length says, or there is no next one.
        const detail = `${String(length)}, ${String(behind)}`;
        yield faultOf('length-mismatch', start + length - 4, true, detail);
        return;
      }
      if (isSection) {
        const version = length < 28 ? 0 : view.getUint16(12, this.littleEndian);
        if (version !== 1) {
          yield faultOf('unsupported-version', start + 12, true, String(version));
          return;
        }
        this.interfaces = [];
      } else if (type === interfaceType) {
        const problem = this.describe(block, view);
        if (problem !== null) yield faultOf(problem, start, false, String(length));
      } else {
        yield this.packet(block, view, type, start);
      }
      queue.skip(length);
    }
  }

  private describe(block: Uint8Array, view: DataView): CaptureFaultKind | null {
    const order = this.littleEndian;
    if (this.interfaces.length >= maximumInterfaces) return 'too-many-interfaces';
    if (block.length < frame + 8) return 'bad-length';
    let name: string | null = null;
    let ticks = microseconds;
    let offset = 0n;
    const end = block.length - 4;
    let problem: CaptureFaultKind | null = null;
    for (let at = 16; at + 4 <= end;) {
      const code = view.getUint16(at, order);
      const length = view.getUint16(at + 2, order);
      if (code === 0) break;
      const value = at + 4;
      if (value + length > end) {
        // What came before it counts.
        problem = 'bad-length';
        break;
      }
      if (code === 2) {
        name = new TextDecoder().decode(
          block.subarray(value, value + Math.min(length, maximumNameLength)),
        );
      } else if (code === 9 && length >= 1) {
        ticks = ticksOf(view.getUint8(value));
      } else if (code === 14 && length === 8) {
        offset = view.getBigInt64(value, order);
      }
      at = value + length + (-length & 3);
    }
    this.interfaces.push({
      shown: { index: this.interfaces.length, name, linkType: view.getUint16(8, order) },
      snapLength: view.getUint32(12, order),
      ticks,
      offset,
    });
    return problem;
  }

  private packet(block: Uint8Array, view: DataView, type: number, start: number): CaptureItem {
    const order = this.littleEndian;
    const isSimple = type === simplePacketType;
    const at = isSimple ? 12 : 28;
    const room = block.length - at - 4;
    if (room < 0) return faultOf('bad-length', start + 4, false, String(block.length));
    // The old kind has 16 bits for the interface, and 16 that count drops.
    const index = isSimple
      ? 0
      : type === oldPacketType
        ? view.getUint16(8, order)
        : view.getUint32(8, order);
    const found = this.interfaces[index];
    if (found === undefined) return faultOf('unknown-interface', start + 8, false, String(index));
    const wireLength = view.getUint32(isSimple ? 8 : 24, order);
    const { snapLength } = found;
    // A simple one has no length of its own.
    const captured = isSimple
      ? Math.min(wireLength, snapLength === 0 ? wireLength : snapLength, room)
      : view.getUint32(20, order);
    if (captured > room || captured > maximumPacketLength) {
      const place = start + (isSimple ? 8 : 20);
      return faultOf('bad-length', place, false, String(captured));
    }
    this.count += 1;
    const time = isSimple
      ? null
      : timestampOf(
          view.getUint32(12, order),
          view.getUint32(16, order),
          found.ticks,
          found.offset,
        );
    return {
      kind: 'packet',
      packet: {
        number: this.count,
        offset: start,
        time,
        interface: found.shown,
        bytes: block.subarray(at, at + captured),
        wireLength: Math.max(captured, wireLength),
      },
    };
  }
}

function isPacket(type: number): boolean {
  return type === packetType || type === simplePacketType || type === oldPacketType;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function faultOf(
  kind: CaptureFaultKind,
  offset: number,
  ends: boolean,
  detail: string,
): CaptureItem {
  return { kind: 'fault', fault: { kind, offset, ends, detail } };
}
