/**
 * A file of captures that is opened to look at: its packets come in pieces of any size, and are kept and asked about as those of
 * a capture are. Whatever the file holds, no more of it is kept than of a capture. Pure.
 */
import type { CapturedInterface } from '../api/traffic.ts';
import { CaptureReader } from '../dissect/capture/capture-reader.ts';
import type {
  CapturedPacket,
  CaptureFault,
  CaptureInterface,
  CaptureItem,
} from '../dissect/capture/captured-packet.ts';
import { KeptPackets, sliceTimer } from './kept-packets.ts';

/** All of one file are of one namespace, which is no id of the inventory's. */
const namespace = 'file';
/** Interfaces that are told apart; files that somebody damaged can name any number. */
export const maximumFileInterfaces = 4_096;
/** Packets before a look at the clock. */
const packetsPerLook = 16;

/** What could not be read. */
export interface FileFaults {
  /** After it nothing was read; null where the file was read to its end. */
  readonly end: CaptureFault | null;
  /** The first of those that only cost a record, and how many there are. */
  readonly first: CaptureFault | null;
  readonly count: number;
}

export class PacketFile {
  readonly kept: KeptPackets;
  private readonly reader = new CaptureReader();
  private readonly rest: () => Promise<void>;
  private readonly known = new Map<string, number>();
  /** Of all pieces: many small ones must not keep others from work either. */
  private isTimeUp = sliceTimer();
  private taken = 0;
  private found: FileFaults = { end: null, first: null, count: 0 };
  private last: { readonly of: CaptureInterface; readonly number: number } | null = null;

  /** `rest` lets others work, and rejects when nobody wants the file any more. */
  constructor(rest: () => Promise<void>) {
    this.rest = rest;
    this.kept = new KeptPackets({ rest });
  }

  get faults(): FileFaults {
    return this.found;
  }

  /** The next bytes of the file; returns whether more of them can be read. One at a time. */
  async feed(piece: Uint8Array): Promise<boolean> {
    await this.take(this.reader.push(piece));
    return this.found.end === null;
  }

  /** After the last piece. */
  async end(): Promise<void> {
    await this.take(this.reader.end());
  }

  /** Interfaces that are new since they were asked for. */
  takeInterfaces(): readonly CapturedInterface[] {
    return this.kept.register.takeChanged();
  }

  private async take(items: Iterable<CaptureItem>): Promise<void> {
    for (const item of items) {
      if (item.kind === 'packet') this.add(item.packet);
      else this.note(item.fault);
      this.taken += 1;
      if (this.taken % packetsPerLook !== 0 || !this.isTimeUp()) continue;
      await this.rest();
      this.isTimeUp = sliceTimer();
    }
  }

  private note(fault: CaptureFault): void {
    const { end, first, count } = this.found;
    this.found = fault.ends
      ? { end: end ?? fault, first, count }
      : { end, first: first ?? fault, count: count + 1 };
  }

  private add({ time, bytes, wireLength, interface: of }: CapturedPacket): void {
    this.kept.add({
      time: time ?? { seconds: 0, nanoseconds: 0 },
      interface: this.numberOf(of),
      // Files do not say, or say it in ways of their own.
      direction: null,
      bytes,
      wireLength,
      isChecksumPending: false,
      segmentSize: null,
    });
  }

  private numberOf(of: CaptureInterface): number {
    // The reader has one object for each.
    if (this.last?.of === of) return this.last.number;
    const { index, linkType } = of;
    const name = of.name ?? `#${String(index)}`;
    const isRoom = this.known.size < maximumFileInterfaces;
    const own = `${String(index)} ${String(linkType)} ${name}`;
    const key = isRoom || this.known.has(own) ? own : `… ${String(linkType)}`;
    let number = this.known.get(key);
    if (number === undefined) {
      const place = { namespace, title: null, index: this.known.size };
      number = this.kept.register.numberOf(place, linkType, () => (key === own ? name : '…'));
      this.known.set(key, number);
    }
    this.last = { of, number };
    return number;
  }
}
