/** Files of libpcap (draft-ietf-opsawg-pcap): one interface, records one after the other. */
import type { ByteQueue } from './byte-queue.ts';
import {
  type CaptureFault,
  type CaptureInterface,
  type CaptureItem,
  maximumPacketLength,
} from './captured-packet.ts';

const headerLength = 24;
const recordLength = 16;

/** What the first four bytes of a file say; null for another format. */
function readMagic(head: Uint8Array): {
  readonly littleEndian: boolean;
  readonly nanoseconds: boolean;
  readonly extra: number;
} | null {
  const view = new DataView(head.buffer, head.byteOffset, 4);
  for (const littleEndian of [false, true]) {
    const magic = view.getUint32(0, littleEndian);
    if (magic === 0xa1b2c3d4) return { littleEndian, nanoseconds: false, extra: 0 };
    if (magic === 0xa1b23c4d) return { littleEndian, nanoseconds: true, extra: 0 };
    // Alexey Kuznetsov's format: eight more bytes in each record.
    if (magic === 0xa1b2cd34) return { littleEndian, nanoseconds: false, extra: 8 };
  }
  return null;
}

export function isClassic(head: Uint8Array): boolean {
  return readMagic(head) !== null;
}

export class ClassicRecords {
  private header: {
    readonly littleEndian: boolean;
    readonly nanoseconds: boolean;
    readonly extra: number;
    readonly interface: CaptureInterface;
  } | null = null;
  private count = 0;

  /** What can be read of what has come, up to the first fault that ends it. */
  *read(queue: ByteQueue): Generator<CaptureItem> {
    if (this.header === null) {
      const head = queue.peek(headerLength);
      const magic = head === null ? null : readMagic(head);
      if (head === null || magic === null) return;
      const view = new DataView(head.buffer, head.byteOffset, headerLength);
      const version = view.getUint16(4, magic.littleEndian);
      if (version !== 2) {
        const detail = `${String(version)}.${String(view.getUint16(6, magic.littleEndian))}`;
        const offset = queue.offset + 4;
        yield fault({ kind: 'unsupported-version', offset, ends: true, detail });
        return;
      }
      // The upper bits tell of a checksum behind each frame, which is in the lengths.
      const linkType = view.getUint32(20, magic.littleEndian) & 0xffff;
      this.header = { ...magic, interface: { index: 0, name: null, linkType } };
      queue.skip(headerLength);
    }
    const { littleEndian, nanoseconds, extra } = this.header;
    for (;;) {
      const head = queue.peek(recordLength + extra);
      if (head === null) return;
      const view = new DataView(head.buffer, head.byteOffset, recordLength);
      const captured = view.getUint32(8, littleEndian);
      const offset = queue.offset;
      if (captured > maximumPacketLength) {
        const detail = String(captured);
        yield fault({ kind: 'bad-length', offset: offset + 8, ends: true, detail });
        return;
      }
      const record = queue.peek(recordLength + extra + captured);
      if (record === null) return;
      const fraction = view.getUint32(4, littleEndian);
      const parts = nanoseconds ? 1e9 : 1e6;
      const seconds = view.getUint32(0, littleEndian) + Math.floor(fraction / parts);
      this.count += 1;
      yield {
        kind: 'packet',
        packet: {
          number: this.count,
          offset,
          time: { seconds, nanoseconds: (fraction % parts) * (1e9 / parts) },
          interface: this.header.interface,
          bytes: record.subarray(recordLength + extra),
          wireLength: Math.max(captured, view.getUint32(12, littleEndian)),
        },
      };
      queue.skip(recordLength + extra + captured);
    }
  }
}

function fault(of: CaptureFault): CaptureItem {
  return { kind: 'fault', fault: of };
}
