/** The rings of a capture, one for each namespace. */
import { type Result, succeed } from '../api/result.ts';
import { filterOfInterfaces } from './capture-filter.ts';
import { PacketRing } from './packet-ring.ts';
import type { LivePacket } from './ring-block.ts';

export interface RingRequest {
  /** Id of the namespace. */
  readonly namespace: string;
  /** As people know it; null for the realm's own. */
  readonly title: string | null;
  /** Descriptor of it, which is needed only until it is opened. */
  readonly fd: number;
  /** Interfaces that are there. */
  readonly interfaces: readonly {
    readonly index: number;
    readonly name: string;
    readonly linkType: number;
  }[];
  /** Whether those are all that may be captured; otherwise so are all that come later. */
  readonly only: boolean;
}

/** Bytes of all rings together, which one alone has for itself, and the least of one. */
const ringsLength = 64 * 1024 * 1024;
const shortestRing = 1024 * 1024;

export interface RingSetOptions {
  /** Milliseconds for which the kernel may keep packets in a block that is not full. */
  readonly patience: number;
  /** As `PacketRingOptions` has it. */
  readonly onPacket: (ring: RingRequest, packet: LivePacket) => void;
  readonly onTurn: () => void;
  /** An interface is gone without which nothing comes. */
  readonly onGone: (namespace: string, index: number) => void;
}

interface OpenRing {
  readonly request: RingRequest;
  readonly ring: PacketRing;
  /** Interfaces without which nothing will come; null for those that come later, too. */
  readonly awaited: Set<number> | null;
}

export class RingSet {
  private readonly options: RingSetOptions;
  /** By the id of the namespace. */
  private readonly rings = new Map<string, OpenRing>();
  /** What rings that are closed have lost. */
  private readonly lost = new Map<string, number>();

  constructor(options: RingSetOptions) {
    this.options = options;
  }

  get size(): number {
    return this.rings.size;
  }

  /** All of them or none. `program` is one of `compileFilter`'s. */
  open(requests: readonly RingRequest[], program: Uint8Array): Result<void> {
    const length = Math.max(shortestRing, ringsLength / requests.length);
    for (const request of requests) {
      const opened = this.openRing(request, program, length);
      if (opened.ok) continue;
      this.close();
      return opened;
    }
    return succeed(undefined);
  }

  private openRing(request: RingRequest, program: Uint8Array, length: number): Result<void> {
    const { namespace, title, interfaces, only } = request;
    const { patience, onPacket, onTurn, onGone } = this.options;
    const indices = interfaces.map(({ index }) => index);
    const [single] = only && indices.length === 1 ? indices : [];
    const filter =
      only && single === undefined ? filterOfInterfaces(indices, program) : succeed(program);
    if (!filter.ok) return filter;
    const ring = PacketRing.open(
      {
        namespaceFd: request.fd,
        ...(single === undefined ? {} : { interfaceIndex: single }),
        filter: filter.value,
        ringLength: length,
        patience,
        onPacket: (packet) => {
          onPacket(request, packet);
        },
        onTurn,
        onEnd: () => {
          if (single !== undefined) onGone(namespace, single);
        },
      },
      title === null ? 'the realm’s own namespace' : `namespace ${title}`,
    );
    if (!ring.ok) return ring;
    const awaited = only ? new Set(indices) : null;
    this.rings.set(namespace, { request, ring: ring.value, awaited });
    return succeed(undefined);
  }

  /** Hands on what has come. */
  drain(): void {
    for (const { ring } of [...this.rings.values()]) ring.drain();
  }

  /** An interface has another name from now on, or is another. */
  forgetName(namespace: string, index: number): void {
    this.rings.get(namespace)?.ring.forgetName(index);
  }

  /** Closes the ring that has lost the last of its interfaces. */
  removeInterface(namespace: string, index: number): void {
    const open = this.rings.get(namespace);
    if (open === undefined) return;
    open.ring.forgetName(index);
    open.awaited?.delete(index);
    if (open.awaited?.size === 0) this.closeRing(open);
  }

  removeNamespace(namespace: string): void {
    const open = this.rings.get(namespace);
    if (open !== undefined) this.closeRing(open);
  }

  private closeRing({ request: { namespace }, ring }: OpenRing): void {
    const { dropped } = ring.totals();
    if (dropped > 0) this.lost.set(namespace, (this.lost.get(namespace) ?? 0) + dropped);
    ring.close();
    this.rings.delete(namespace);
  }

  close(): void {
    for (const open of [...this.rings.values()]) this.closeRing(open);
  }

  /** Packets that the kernel had no room for, by namespace; those that lost none are left out. */
  drops(): ReadonlyMap<string, number> {
    const lost = new Map(this.lost);
    for (const [namespace, { ring }] of this.rings) {
      const { dropped } = ring.totals();
      if (dropped > 0) lost.set(namespace, (lost.get(namespace) ?? 0) + dropped);
    }
    return lost;
  }
}
