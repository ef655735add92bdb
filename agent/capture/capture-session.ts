/**
 * A capture: rings of several namespaces, and the packets of them that are kept (`KeptPackets`). It works in slices, so that
 * rings are emptied while a filter goes through all packets. In the agent it has a thread of its own
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
  type PacketSightings,
} from '../api/traffic.ts';
import { type Result, succeed } from '../api/result.ts';
import type { InterfaceRegister } from '../packets/interface-register.ts';
import { KeptPackets } from '../packets/kept-packets.ts';
import { numbersFrom } from '../packets/live-filters.ts';
import { ArrivalOrder } from './arrival-order.ts';
import { compileFilter, filterOfEverything } from './capture-filter.ts';
import { type RingRequest, RingSet } from './ring-set.ts';
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

/** Milliseconds for which the kernel may keep packets in a block that is not full, twice over. */
const patience = 20;
const settleTime = 2 * patience;
/** Milliseconds between two reports. */
const reportInterval = 100;

interface Arrived {
  readonly request: RingRequest;
  readonly packet: LivePacket;
  readonly bytes: Uint8Array;
}

export class CaptureSession {
  private readonly onEvent: (event: SessionEvent) => void;
  private readonly kept: KeptPackets;
  private readonly register: InterfaceRegister;
  private readonly rings: RingSet;
  private readonly waiting = new Set<() => void>();
  private request: SessionRequest = { rings: [], filter: null, snapLength: 0 };
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
    this.kept = new KeptPackets({
      rest: () => this.rest(),
      drops: () => [...this.rings.drops()].map(([namespace, dropped]) => ({ namespace, dropped })),
    });
    this.register = this.kept.register;
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
    const { seconds, nanoseconds } = time ?? { seconds: 0, nanoseconds: 0 };
    this.kept.add({
      time: { seconds, nanoseconds },
      interface: number,
      direction: packet.direction,
      bytes,
      wireLength,
      isChecksumPending: packet.isChecksumPending,
      segmentSize: packet.segmentSize,
    });
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
    this.kept.tidy();
    const totals = this.kept.totals();
    const text = `${String(totals.packets)} ${String(totals.dropped)} ${String(totals.oldest)}`;
    if (text === this.reported) return;
    this.reported = text;
    this.onEvent({ kind: 'totals', totals });
  }

  rows(args: CaptureRowsArguments): Promise<Result<CaptureRows>> {
    return this.kept.rows(args);
  }

  packet(number: number): Promise<Result<CapturedBytes>> {
    return Promise.resolve(this.kept.packet(number));
  }

  sightings(number: number): Promise<Result<PacketSightings>> {
    return this.kept.sightings(number);
  }

  flows(count: number): Promise<Result<CaptureFlows>> {
    return Promise.resolve(succeed(this.kept.flows(count)));
  }

  private async rest(): Promise<void> {
    await turn();
    if (this.state === 'closed') throw new Error('the capture was closed');
  }

  async read(args: CaptureReadArguments): Promise<Result<CaptureRead>> {
    const { after, filter, until, wait } = args;
    const from = Math.max(1, after + 1);
    const { store } = this.kept;
    if (store.newest < from) await this.nextPackets(wait);
    const found = await this.kept.matching(filter);
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
      totals: this.kept.totals(),
    });
  }

  /** What was dropped of the one interface of a ring; null where nobody can tell whose the packets were. */
  private droppedAlone(namespace: string): number | null {
    const place = this.request.rings.find((ring) => ring.namespace === namespace);
    if (place === undefined || !place.only || place.interfaces.length !== 1) return null;
    return this.kept.totals().drops.find((one) => one.namespace === namespace)?.dropped ?? 0;
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
