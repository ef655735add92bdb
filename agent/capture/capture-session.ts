/**
 * A capture: rings of several namespaces, the packets of them that are kept, and what is asked about those. It works in slices,
 * so that rings are emptied while a filter goes through all packets. In the agent it has a thread of its own
 * (`agent/capture-worker.ts`).
 */
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import {
  type CapturedBytes,
  type CapturedInterface,
  type CaptureEnd,
  type CaptureFlows,
  type CaptureRead,
  type CaptureReadArguments,
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
import { ArrivalOrder } from './arrival-order.ts';
import { compileFilter, filterOfEverything } from './capture-filter.ts';
import { flowsView } from './flows-view.ts';
import { InterfaceRegister } from './interface-register.ts';
import { identityOf, isWithin } from './packet-identity.ts';
import { LiveFilters, numbersFrom } from './live-filters.ts';
import { type RingRequest, RingSet } from './ring-set.ts';
import { PacketStore, type StoredPacket } from './packet-store.ts';
import { writePackets } from './packet-writing.ts';
import type { LivePacket } from './ring-block.ts';

export interface SessionRequest {
  readonly rings: readonly RingRequest[];
  /** In the syntax of tcpdump; null for every packet. */
  readonly filter: string | null;
  readonly snapLength: number;
}

export type SessionEvent =
  | { readonly kind: 'interfaces'; readonly interfaces: readonly CapturedInterface[] }
  | { readonly kind: 'totals'; readonly totals: CaptureTotals }
  | { readonly kind: 'stopped'; readonly end: CaptureEnd };

/** What has happened to what is captured, as the inventory says. */
export interface PlaceChanges {
  readonly namespaces: readonly string[];
  readonly gone: readonly { readonly namespace: string; readonly index: number }[];
  readonly names: readonly {
    readonly namespace: string;
    readonly index: number;
    readonly name: string;
  }[];
}

/** Milliseconds of work before rings have their turn. */
const slice = 8;
/** Milliseconds for which the kernel may keep packets in a block that is not full, twice over. */
const patience = 20;
const settleTime = 2 * patience;
/** Milliseconds between two reports. */
const reportInterval = 100;
/** Seconds around a packet in which it is looked for elsewhere. */
const sightingTime = 1;
const maximumSightings = 200;

interface Arrived {
  readonly request: RingRequest;
  readonly packet: LivePacket;
  readonly bytes: Uint8Array;
}

export class CaptureSession {
  private readonly onEvent: (event: SessionEvent) => void;
  private readonly store = new PacketStore({
    capacity: maximumKeptPackets,
    memory: maximumKeptBytes,
  });
  private readonly flowTable = new FlowTable();
  private readonly register = new InterfaceRegister();
  private readonly rings: RingSet;
  private readonly filters: LiveFilters;
  private readonly waiting = new Set<() => void>();
  private request: SessionRequest = { rings: [], filter: null, snapLength: 0 };
  private bytes = 0;
  private reported = '';
  private timer: NodeJS.Timeout | undefined;
  private releaseTimer: NodeJS.Timeout | undefined;
  private readonly order = new ArrivalOrder<Arrived>(settleTime);
  private state: 'new' | 'running' | 'stopped' | 'closed' = 'new';

  constructor(onEvent: (event: SessionEvent) => void) {
    this.onEvent = onEvent;
    this.rings = new RingSet({
      patience,
      onPacket: (ring, packet) => {
        this.arrive(ring, packet);
      },
      onTurn: () => {
        this.wake();
      },
      onGone: (namespace, index) => {
        void this.changePlaces({ namespaces: [], gone: [{ namespace, index }], names: [] });
      },
    });
    this.filters = new LiveFilters(this.store, {
      frame: (number) => this.framed(number),
      rest: () => this.rest(),
      timer,
    });
  }

  /** Captures from now on, at all places or at none. */
  open(request: SessionRequest): Promise<Result<readonly CapturedInterface[]>> {
    this.request = request;
    const { filter, snapLength, rings } = request;
    const program =
      filter === null || filter.trim() === ''
        ? succeed(filterOfEverything(snapLength))
        : compileFilter(filter, snapLength);
    if (!program.ok) return Promise.resolve(program);
    const opened = this.rings.open(rings, program.value);
    if (!opened.ok) return Promise.resolve(opened);
    for (const { namespace, title, interfaces } of rings) {
      for (const { index, name, linkType } of interfaces) {
        this.register.numberOf({ namespace, title, index }, linkType, () => name);
      }
    }
    this.state = 'running';
    this.register.takeChanged();
    this.timer = setInterval(() => {
      this.report();
    }, reportInterval);
    this.timer.unref();
    if (rings.length > 1) {
      this.releaseTimer = setInterval(() => {
        this.release(performance.now());
        this.wake();
      }, patience / 2);
      this.releaseTimer.unref();
    }
    return Promise.resolve(succeed(this.register.all()));
  }

  /** Those of one ring come in order. */
  private arrive(request: RingRequest, packet: LivePacket): void {
    const { time } = packet;
    if (this.request.rings.length === 1 || time === null) this.take(request, packet, packet.bytes);
    else {
      // The ring uses its memory again.
      const bytes = packet.bytes.slice();
      this.order.add(time, { request, packet, bytes }, performance.now());
    }
  }

  private release(now: number): void {
    this.order.release(now, ({ request, packet, bytes }) => {
      this.take(request, packet, bytes);
    });
  }

  private take(request: RingRequest, packet: LivePacket, bytes: Uint8Array): void {
    const { namespace, title } = request;
    const { interfaceIndex: index, wireLength, time } = packet;
    const { linkType } = packet.interface;
    const number = this.register.numberOf({ namespace, title, index }, linkType, () => {
      return packet.interface.name ?? `#${String(index)}`;
    });
    this.register.count(number);
    this.bytes += wireLength;
    const { seconds, nanoseconds } = time ?? { seconds: 0, nanoseconds: 0 };
    const kept = this.store.add({
      time: { seconds, nanoseconds },
      interface: number,
      direction: packet.direction,
      bytes,
      wireLength,
      isChecksumPending: packet.isChecksumPending,
      segmentSize: packet.segmentSize,
    });
    const dissection = dissect(bytes, linkType, wireLength);
    this.filters.take(kept, dissection);
    const flow = flowPacketOf(dissection, {
      namespace,
      interface: number,
      time: seconds * 1000 + nanoseconds / 1e6,
    });
    if (flow !== null) this.flowTable.add(flow);
  }

  /** Names count at once. What is gone may have packets that the kernel has not handed on yet: they are waited for. */
  async changePlaces({ namespaces, gone, names }: PlaceChanges): Promise<Result<void>> {
    for (const { namespace, index, name } of names) {
      this.register.rename(namespace, index, name);
      this.rings.forgetName(namespace, index);
    }
    if (gone.length + namespaces.length > 0) {
      await pause(settleTime);
      this.removePlaces(namespaces, gone);
    }
    this.tellInterfaces();
    if (this.state === 'running' && this.rings.size === 0) this.finish('places-gone');
    return succeed(undefined);
  }

  /** What has come up to now. */
  private takeAll(): void {
    this.rings.drain();
    this.release(Infinity);
  }

  private removePlaces(namespaces: PlaceChanges['namespaces'], gone: PlaceChanges['gone']): void {
    this.takeAll();
    for (const { namespace, index } of gone) {
      this.register.remove(namespace, index);
      this.rings.removeInterface(namespace, index);
    }
    for (const namespace of namespaces) {
      this.register.removeNamespace(namespace);
      this.rings.removeNamespace(namespace);
    }
  }

  /** Takes no more packets than have come. */
  async stop(): Promise<Result<void>> {
    await pause(settleTime);
    if (this.state === 'running') {
      this.takeAll();
      this.finish('asked');
    }
    return succeed(undefined);
  }

  private finish(end: CaptureEnd): void {
    this.rings.close();
    this.endTimers();
    this.state = 'stopped';
    this.report();
    this.onEvent({ kind: 'stopped', end });
    this.wake();
  }

  private endTimers(): void {
    clearInterval(this.timer);
    clearInterval(this.releaseTimer);
  }

  /** Closes the rings and answers no more. */
  close(): void {
    this.endTimers();
    this.rings.close();
    this.state = 'closed';
    this.wake();
  }

  private wake(): void {
    for (const resolve of [...this.waiting]) resolve();
  }

  private tellInterfaces(): void {
    const interfaces = this.register.takeChanged();
    if (interfaces.length > 0) this.onEvent({ kind: 'interfaces', interfaces });
  }

  private report(): void {
    this.tellInterfaces();
    this.filters.drop();
    const totals = this.totals();
    const text = `${String(totals.packets)} ${String(totals.dropped)} ${String(totals.oldest)}`;
    if (text === this.reported) return;
    this.reported = text;
    this.onEvent({ kind: 'totals', totals });
  }

  totals(): CaptureTotals {
    const drops = [...this.rings.drops()].map(([namespace, dropped]) => ({ namespace, dropped }));
    return {
      packets: this.store.newest,
      bytes: this.bytes,
      dropped: drops.reduce((sum, { dropped }) => sum + dropped, 0),
      drops,
      oldest: this.store.oldest,
      keptBytes: this.store.bytes,
    };
  }

  async rows({ filter, from, count }: CaptureRowsArguments): Promise<Result<CaptureRows>> {
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

  private async rest(): Promise<void> {
    await turn();
    if (this.state === 'closed') throw new Error('the capture was closed');
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

  packet(number: number): Promise<Result<CapturedBytes>> {
    const packet = this.store.get(number);
    if (packet === null) return Promise.resolve(fail(notKept(number)));
    const { bytes, isChecksumPending, segmentSize } = packet;
    return Promise.resolve(
      succeed({
        row: this.rowOf(packet),
        linkType: this.register.get(packet.interface)?.linkType ?? 1,
        bytes: Buffer.from(bytes).toString('base64'),
        checksumPending: isChecksumPending,
        segmentSize,
      }),
    );
  }

  async sightings(number: number): Promise<Result<PacketSightings>> {
    const packet = this.store.get(number);
    if (packet === null) return fail(notKept(number));
    const identity = identityOf(this.dissectionOf(packet));
    const own = this.rowOf(packet);
    if (identity === null) return succeed({ sightings: [own] });
    const sightings: PacketRow[] = [];
    let isTimeUp = timer();
    // Rings are emptied in turn, so numbers are not quite in the order of time.
    const at = secondsOf(packet);
    for (let other = this.store.oldest; other <= this.store.newest; other += 1) {
      if (isTimeUp()) {
        await this.rest();
        isTimeUp = timer();
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

  flows(count: number): Promise<Result<CaptureFlows>> {
    return Promise.resolve(succeed(flowsView(this.flowTable, count)));
  }

  async read(args: CaptureReadArguments): Promise<Result<CaptureRead>> {
    const { after, filter, until, wait } = args;
    const from = Math.max(1, after + 1);
    if (this.store.newest < from) await this.nextPackets(wait);
    const { store } = this;
    const found = await this.filters.matching(filter);
    if (!found.ok) return found;
    const newest = Math.min(store.newest, until ?? Infinity);
    const first = Math.max(from, store.oldest);
    const written = writePackets({
      args,
      request: this.request,
      register: this.register,
      numbers: numbersFrom(found.value, first, newest),
      get: (number) => store.get(number),
      droppedOf: (namespace) => this.droppedAlone(namespace),
    });
    const last = written.last ?? Math.max(newest, from - 1);
    return succeed({
      data: Buffer.concat(written.blocks).toString('base64'),
      packets: written.packets,
      after: last,
      interfaces: this.register.size,
      missed: Math.max(0, Math.min(first, newest + 1) - from),
      more: last < newest,
      stopped: this.state !== 'running',
      totals: this.totals(),
    });
  }

  /** What was dropped of the one interface of a ring; null where nobody can tell whose the packets were. */
  private droppedAlone(namespace: string): number | null {
    const place = this.request.rings.find((ring) => ring.namespace === namespace);
    if (place === undefined || !place.only || place.interfaces.length !== 1) return null;
    return this.totals().drops.find((one) => one.namespace === namespace)?.dropped ?? 0;
  }

  private nextPackets(wait: number): Promise<void> {
    if (wait <= 0 || this.state !== 'running') return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timeout);
        this.waiting.delete(done);
        resolve();
      };
      const timeout = setTimeout(done, wait);
      this.waiting.add(done);
    });
  }
}

function timer(): () => boolean {
  const end = performance.now() + slice;
  return () => performance.now() > end;
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
