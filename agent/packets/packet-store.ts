/** The last packets of a capture, in one piece of memory that never grows: what comes makes room by forgetting the oldest. Pure. */
import type { PacketDirection } from '../dissect/capture/capture-writer.ts';

export interface StoredPacket {
  readonly number: number;
  readonly time: { readonly seconds: number; readonly nanoseconds: number };
  /** Number of the interface in its capture. */
  readonly interface: number;
  /** Null where nobody has said. */
  readonly direction: PacketDirection | null;
  /** A view that is good until more is added. */
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly isChecksumPending: boolean;
  readonly segmentSize: number | null;
}

export interface PacketStoreOptions {
  /** Packets. */
  readonly capacity: number;
  /** Bytes. */
  readonly memory: number;
}

const sentFlag = 1;
const pendingFlag = 2;
const undirectedFlag = 4;
/** Of a packet whose segment size is unknown. */
const noSegments = 0;

/** Packets are numbered from 1 as they are added. */
export class PacketStore {
  private readonly capacity: number;
  private readonly memory: Uint8Array;
  /** By number, in turn. Positions count all bytes since the beginning, so that they tell which came first. */
  private readonly positions: Float64Array;
  private readonly captured: Uint32Array;
  private readonly lengths: Uint32Array;
  private readonly seconds: Float64Array;
  private readonly nanoseconds: Uint32Array;
  private readonly interfaces: Uint32Array;
  private readonly flags: Uint8Array;
  private readonly segments: Uint16Array;
  private end = 0;
  private first = 1;
  private last = 0;

  constructor({ capacity, memory }: PacketStoreOptions) {
    this.capacity = capacity;
    this.memory = new Uint8Array(memory);
    this.positions = new Float64Array(capacity);
    this.captured = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.seconds = new Float64Array(capacity);
    this.nanoseconds = new Uint32Array(capacity);
    this.interfaces = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.segments = new Uint16Array(capacity);
  }

  /** Number of the oldest packet that is kept; one above `newest` where there is none. */
  get oldest(): number {
    return this.first;
  }

  /** Number of the last that was added; 0 before the first. */
  get newest(): number {
    return this.last;
  }

  /** Bytes from the oldest packet to the newest. */
  get bytes(): number {
    return this.first > this.last ? 0 : this.end - this.positionOf(this.first);
  }

  /** Returns its number. One that is larger than the memory is cut to it. */
  add(packet: Omit<StoredPacket, 'number'>): number {
    const { memory, capacity } = this;
    const bytes =
      packet.bytes.length > memory.length ? packet.bytes.subarray(0, memory.length) : packet.bytes;
    let position = this.end;
    // In one piece: what does not fit before the end begins at the beginning.
    const place = position % memory.length;
    if (place + bytes.length > memory.length) position += memory.length - place;
    const end = position + bytes.length;
    while (
      this.first <= this.last &&
      (this.last - this.first + 1 >= capacity || end - this.positionOf(this.first) > memory.length)
    ) {
      this.first += 1;
    }
    memory.set(bytes, position % memory.length);
    this.end = end;
    this.last += 1;
    const slot = this.last % capacity;
    this.positions[slot] = position;
    this.captured[slot] = bytes.length;
    this.lengths[slot] = packet.wireLength;
    this.seconds[slot] = packet.time.seconds;
    this.nanoseconds[slot] = packet.time.nanoseconds;
    this.interfaces[slot] = packet.interface;
    this.flags[slot] =
      directionFlag(packet.direction) | (packet.isChecksumPending ? pendingFlag : 0);
    this.segments[slot] = packet.segmentSize ?? noSegments;
    return this.last;
  }

  private positionOf(number: number): number {
    return this.positions[number % this.capacity] ?? 0;
  }

  /** Null for what is not kept, any more or yet. */
  get(number: number): StoredPacket | null {
    if (!(number >= this.first && number <= this.last)) return null;
    const slot = number % this.capacity;
    const place = this.positionOf(number) % this.memory.length;
    const flags = this.flags[slot] ?? 0;
    const segmentSize = this.segments[slot] ?? noSegments;
    return {
      number,
      time: {
        seconds: this.seconds[slot] ?? 0,
        nanoseconds: this.nanoseconds[slot] ?? 0,
      },
      interface: this.interfaces[slot] ?? 0,
      direction: directionOf(flags),
      bytes: this.memory.subarray(place, place + (this.captured[slot] ?? 0)),
      wireLength: this.lengths[slot] ?? 0,
      isChecksumPending: (flags & pendingFlag) !== 0,
      segmentSize: segmentSize === noSegments ? null : segmentSize,
    };
  }
}

function directionFlag(direction: PacketDirection | null): number {
  if (direction === null) return undirectedFlag;
  return direction === 'sent' ? sentFlag : 0;
}

function directionOf(flags: number): PacketDirection | null {
  if ((flags & undirectedFlag) !== 0) return null;
  return (flags & sentFlag) === 0 ? 'received' : 'sent';
}
