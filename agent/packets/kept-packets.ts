/**
 * Packets that are kept, wherever they come from, and what is asked about them: rows, filters, one packet, its sightings, flows.
 * It works in slices, so that whoever brings packets has his turn while a filter goes through all of them. Pure.
 */
import {
  type CapturedBytes,
  type CaptureFlows,
  type CaptureRows,
  type CaptureRowsArguments,
  type CaptureTotals,
  maximumKeptBytes,
  maximumKeptPackets,
  type PacketRow,
  type PacketSightings,
} from '../api/traffic.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { FlowTable } from '../activity/flow-table.ts';
import type { CapturedPacket } from '../dissect/capture/captured-packet.ts';
import type { Dissection } from '../dissect/core/dissection.ts';
import { dissect } from '../dissect/dissect.ts';
import { flowPacketOf } from '../dissect/flow-packet.ts';
import { summaryOf } from '../dissect/summary.ts';
import { flowsView } from './flows-view.ts';
import { InterfaceRegister } from './interface-register.ts';
import { LiveFilters, type Matching } from './live-filters.ts';
import { identityOf, isWithin } from './packet-identity.ts';
import { PacketStore, type StoredPacket } from './packet-store.ts';

/** Milliseconds of work before others have their turn. */
const slice = 8;
/** Seconds around a packet in which it is looked for elsewhere. */
const sightingTime = 1;
const maximumSightings = 200;

export interface KeptPacketsOptions {
  /** Lets others work; rejects when nobody wants the answer any more. */
  readonly rest: () => Promise<void>;
  /** Packets that were lost before they came, by namespace. */
  readonly drops?: () => CaptureTotals['drops'];
}

export class KeptPackets {
  readonly store = new PacketStore({ capacity: maximumKeptPackets, memory: maximumKeptBytes });
  readonly register = new InterfaceRegister();
  private readonly flowTable = new FlowTable();
  private readonly filters: LiveFilters;
  private readonly rest: () => Promise<void>;
  private readonly drops: () => CaptureTotals['drops'];
  private bytes = 0;

  constructor({ rest, drops = () => [] }: KeptPacketsOptions) {
    this.rest = rest;
    this.drops = drops;
    this.filters = new LiveFilters(this.store, {
      frame: (number) => this.framed(number),
      rest,
      timer: sliceTimer,
    });
  }

  /** Its bytes are copied. The interface is one of the register. */
  add(packet: Omit<StoredPacket, 'number'>): void {
    const { bytes, wireLength, time } = packet;
    const view = this.register.get(packet.interface);
    const linkType = view?.linkType ?? 1;
    this.register.count(packet.interface);
    this.bytes += wireLength;
    const kept = this.store.add(packet);
    const dissection = dissect(bytes, linkType, wireLength);
    this.filters.take(kept, dissection);
    const flow = flowPacketOf(dissection, {
      namespace: view?.namespace ?? '',
      interface: packet.interface,
      time: time.seconds * 1000 + time.nanoseconds / 1e6,
    });
    if (flow !== null) this.flowTable.add(flow);
  }

  /** Lets go of filters that nobody asks for any more. */
  tidy(): void {
    this.filters.drop();
  }

  /** The packets that a filter means; good until others work. */
  matching(filter: string | null): Promise<Result<Matching>> {
    return this.filters.matching(filter);
  }

  totals(): CaptureTotals {
    const drops = this.drops();
    return {
      packets: this.store.newest,
      bytes: this.bytes,
      dropped: drops.reduce((sum, { dropped }) => sum + dropped, 0),
      drops,
      oldest: this.store.oldest,
      keptBytes: this.store.bytes,
    };
  }

  async rows(asked: Omit<CaptureRowsArguments, 'capture'>): Promise<Result<CaptureRows>> {
    const { filter, from, count } = asked;
    const found = await this.filters.matching(filter);
    if (!found.ok) return found;
    const matches = found.value;
    const place =
      from.kind === 'end'
        ? Math.max(0, matches.count - count)
        : from.kind === 'place'
          ? Math.min(from.place, matches.count)
          : matches.placeOf(from.number);
    const rows: PacketRow[] = [];
    for (let step = 0; step < count; step += 1) {
      const number = matches.at(place + step);
      const packet = number === undefined ? null : this.store.get(number);
      if (packet === null) break;
      rows.push(this.rowOf(packet));
    }
    return succeed({ rows, place, matching: matches.count, totals: this.totals() });
  }

  private framed(number: number): CapturedPacket | null {
    const packet = this.store.get(number);
    if (packet === null) return null;
    const linkType = this.register.get(packet.interface)?.linkType ?? 1;
    const name = this.register.titleOf(packet.interface);
    const { time, bytes, wireLength } = packet;
    const interfaceOf = { index: packet.interface, name, linkType };
    return { number, offset: 0, time, interface: interfaceOf, bytes, wireLength };
  }

  private dissectionOf({ bytes, wireLength, interface: number }: StoredPacket): Dissection {
    return dissect(bytes, this.register.get(number)?.linkType ?? 1, wireLength);
  }

  private rowOf(packet: StoredPacket): PacketRow {
    const { number, time, direction, wireLength } = packet;
    const { source, destination, protocol, info } = summaryOf(this.dissectionOf(packet));
    return {
      number,
      ...time,
      interface: packet.interface,
      direction,
      protocol,
      source,
      destination,
      info,
      length: wireLength,
    };
  }

  /** One packet with its bytes, in base64. */
  packet(number: number): Result<CapturedBytes> {
    const packet = this.store.get(number);
    if (packet === null) return fail(notKept(number));
    const { bytes, isChecksumPending, segmentSize } = packet;
    return succeed({
      row: this.rowOf(packet),
      linkType: this.register.get(packet.interface)?.linkType ?? 1,
      bytes: base64Of(bytes),
      checksumPending: isChecksumPending,
      segmentSize,
    });
  }

  async sightings(number: number): Promise<Result<PacketSightings>> {
    const packet = this.store.get(number);
    if (packet === null) return fail(notKept(number));
    const identity = identityOf(this.dissectionOf(packet));
    const own = this.rowOf(packet);
    if (identity === null) return succeed({ sightings: [own] });
    const sightings: PacketRow[] = [];
    let isTimeUp = sliceTimer();
    // Rings are emptied in turn, so numbers are not quite in the order of time.
    const at = secondsOf(packet);
    for (let other = this.store.oldest; other <= this.store.newest; other += 1) {
      if (isTimeUp()) {
        await this.rest();
        isTimeUp = sliceTimer();
      }
      const candidate = this.store.get(other);
      if (candidate === null || Math.abs(secondsOf(candidate) - at) > sightingTime) continue;
      if (other === number || isWithin(identity, candidate.bytes)) {
        sightings.push(this.rowOf(candidate));
        if (sightings.length >= maximumSightings) break;
      }
    }
    sightings.sort((one, two) => secondsOf({ time: one }) - secondsOf({ time: two }));
    return succeed({ sightings });
  }

  flows(count: number): CaptureFlows {
    return flowsView(this.flowTable, count);
  }
}

/** Begins a slice of work; what it gives tells when that is over. */
export function sliceTimer(): () => boolean {
  const end = performance.now() + slice;
  return () => performance.now() > end;
}

/** Of a packet; both the agent and the window have `btoa`. */
function base64Of(bytes: Uint8Array): string {
  let text = '';
  // Arguments of a call have room for less than the longest packet.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

function secondsOf({
  time,
}: {
  readonly time: { readonly seconds: number; readonly nanoseconds: number };
}): number {
  return time.seconds + time.nanoseconds / 1e9;
}

function notKept(number: number): Failure {
  return {
    kind: 'unknown-object',
    code: 'packet-not-kept',
    object: `packet ${String(number)}`,
    reason: 'The packet is not among those that are kept: it was forgotten, or has not come yet.',
    next: 'Look at one that is in the list.',
    values: { number },
  };
}
