/**
 * Reads a file of captures, of whichever format, as it comes: pieces of any size in, packets and faults out. Holds no more
 * than one piece and one record, never throws, and gives what is good of a file that is damaged.
 */
import { BlockRecords, sectionHeaderType } from './block-records.ts';
import { ByteQueue } from './byte-queue.ts';
import type { CaptureFaultKind, CaptureItem } from './captured-packet.ts';
import { ClassicRecords, isClassic } from './classic-records.ts';

/** What people take for a capture, by its first bytes. */
const otherFormats: readonly (readonly [start: readonly number[], name: string])[] = [
  [[0x1f, 0x8b], 'gzip'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'zstd'],
  [[0xfd, 0x37, 0x7a, 0x58], 'xz'],
  [[0x42, 0x5a, 0x68], 'bzip2'],
  [[0x04, 0x22, 0x4d, 0x18], 'lz4'],
  [[0x50, 0x4b, 0x03, 0x04], 'zip'],
  [[0x73, 0x6e, 0x6f, 0x6f], 'snoop'],
];

export class CaptureReader {
  private readonly queue = new ByteQueue();
  private records: ClassicRecords | BlockRecords | null = null;
  private ended = false;

  /** The views of packets are good until the next piece; take each generator to its end before that. */
  *push(piece: Uint8Array): Generator<CaptureItem> {
    if (this.ended) return;
    this.queue.push(piece);
    if (this.records === null) {
      const head = this.queue.peek(4);
      if (head === null) return;
      if (isClassic(head)) this.records = new ClassicRecords();
      else if (numberOf(head) === sectionHeaderType) this.records = new BlockRecords();
      else {
        const other = otherFormats.find(([start]) =>
          start.every((byte, place) => head[place] === byte),
        );
        yield this.fault(
          other === undefined ? 'not-a-capture' : 'other-format',
          0,
          other?.[1] ?? `0x${numberOf(head).toString(16).padStart(8, '0')}`,
        );
        return;
      }
    }
    for (const item of this.records.read(this.queue)) {
      yield item;
      if (item.kind === 'fault' && item.fault.ends) {
        this.ended = true;
        return;
      }
    }
  }

  /** After the last piece: says whether it ends where it may. */
  *end(): Generator<CaptureItem> {
    if (this.ended) return;
    const { queue } = this;
    if (this.records === null) {
      yield this.fault(queue.length === 0 ? 'cut-off' : 'not-a-capture', 0, 'too short');
      return;
    }
    if (queue.isSkipping) yield this.fault('cut-off', queue.skipStart, 'within a block');
    else if (queue.length > 0 || queue.offset === 0) {
      yield this.fault('cut-off', queue.offset, `${String(queue.length)}`);
    }
  }

  private fault(kind: CaptureFaultKind, offset: number, detail: string): CaptureItem {
    this.ended = true;
    return { kind: 'fault', fault: { kind, offset, ends: true, detail } };
  }
}

function numberOf(head: Uint8Array): number {
  return new DataView(head.buffer, head.byteOffset, 4).getUint32(0);
}
