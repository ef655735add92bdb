/**
 * Captures the packets of a namespace: one packet(7) socket with a ring of TPACKET_V3, bound to one interface or to all.
 * Nothing about the interfaces changes: they are not made promiscuous.
 *
 * The socket keeps its namespace, and with it the far ends of its wires, from ending: whoever has opened the ring closes
 * it when the namespace has lost its last process and name.
 */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { CaptureInterface } from '../dissect/capture/captured-packet.ts';
import { kernelFailure } from '../kernel/kernel-failure.ts';
import { runIn } from '../kernel/namespaces.ts';
import {
  AF_PACKET,
  attachFilter,
  bindSocket,
  closeDescriptor,
  getSocketOption,
  mapMemory,
  openSocket,
  type ReadableWatch,
  readMemory,
  readSocketName,
  readSocketOption,
  controlDevice,
  setSocketOption,
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  unmapMemory,
  watchReadable,
  writeMemory,
} from '../kernel/native.ts';
import { filterOfEverything } from './capture-filter.ts';
import {
  blockHeaderLength,
  blockLengthAt,
  blockStatusAt,
  type LivePacket,
  TP_STATUS_USER,
  visitPackets,
} from './ring-block.ts';

const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const PACKET_VNET_HDR = 15;
const TPACKET_V3 = 2;
/** netdevice(7) */
const SIOCGIFNAME = 0x8910;
const ETH_P_ALL = 0x0003;

/** Bytes; a multiple of every machine's pages. */
const blockSize = 256 * 1024;
/** Of the ring's description alone: frames of version 3 have any length. */
const frameSize = 2048;
/** Blocks that are read before other work of the event loop has its turn. */
const blocksPerTurn = 32;

export interface PacketRingOptions {
  /** Namespace to capture in; without one where the agent is. */
  readonly namespaceFd?: number | undefined;
  /** Index of the only interface; without one all, also those that come later. */
  readonly interfaceIndex?: number | undefined;
  /** Instructions of classic BPF (`compileFilter`); without them every packet, of which `snapLength` bytes are kept. */
  readonly filter?: Uint8Array | undefined;
  /** Bytes of a packet that are captured at most; 256 KiB unless given. What a filter says itself counts before it. */
  readonly snapLength?: number | undefined;
  /** Bytes; rounded up to blocks of 256 KiB. 8 MiB unless given: a tenth of a second at 80 MB/s. */
  readonly ringLength?: number | undefined;
  /** Milliseconds after which a block that is not full is handed on; 20 unless given. */
  readonly patience?: number | undefined;
  /** Name of an interface when it is first seen, null where nobody knows; unless given the kernel is asked. */
  readonly nameOf?: ((index: number) => string | null) | undefined;
  /** Views that are good until it returns. Called from the event loop. */
  readonly onPacket: (packet: LivePacket) => void;
  /** After the packets of one turn. */
  readonly onTurn?: (() => void) | undefined;
  /** The one interface is gone; nothing will come, and the ring is to be closed. */
  readonly onEnd: (failure: Failure) => void;
}

export interface RingTotals {
  /** Packets that passed the filter, those that were dropped included. */
  readonly received: number;
  /** Packets for which the ring had no room. */
  readonly dropped: number;
}

function readyNumbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [place, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, place * 4);
  return bytes;
}

export class PacketRing {
  private readonly fd: number;
  private readonly address: number;
  private readonly blocks: number;
  private readonly options: PacketRingOptions;
  private readonly hasOffloadHeader: boolean;
  private readonly header = Buffer.alloc(blockHeaderLength);
  /** What a block is copied to before the kernel has it back. */
  private readonly copy = Buffer.allocUnsafeSlow(blockSize);
  private readonly interfaces = new Map<number, CaptureInterface>();
  private watch: ReadableWatch | undefined;
  private next = 0;
  private number = 1;
  private received = 0;
  private dropped = 0;
  private closed = false;

  private constructor(
    fd: number,
    address: number,
    blocks: number,
    hasOffloadHeader: boolean,
    options: PacketRingOptions,
  ) {
    this.fd = fd;
    this.address = address;
    this.blocks = blocks;
    this.hasOffloadHeader = hasOffloadHeader;
    this.options = options;
  }

  /** Captures from now on. `object` names the namespace in failures. */
  static open(options: PacketRingOptions, object = 'capture'): Result<PacketRing> {
    // Without a protocol it has no packets until it is bound, whatever the filter.
    const create = (): number => openSocket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const { namespaceFd } = options;
    const entered = namespaceFd === undefined ? succeed(create()) : runIn(namespaceFd, create);
    if (!entered.ok) return entered;
    const fd = entered.value;
    if (fd < 0) return fail(kernelFailure(object, { call: 'socket', errno: -fd }));
    const blocks = Math.max(2, Math.ceil((options.ringLength ?? 8 * 1024 * 1024) / blockSize));
    const refuse = (call: string, result: number): Result<PacketRing> => {
      closeDescriptor(fd);
      return fail(kernelFailure(object, { call, errno: -result }));
    };
    const version = setSocketOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3);
    if (version < 0) return refuse('setsockopt PACKET_VERSION', version);
    // Sizes of segments; where the kernel has them not, packets are captured without. It must come before the ring.
    const hasOffloadHeader = setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1) >= 0;
    const filter = options.filter ?? filterOfEverything(options.snapLength ?? 256 * 1024);
    const attached = attachFilter(fd, filter);
    if (attached < 0) return refuse('setsockopt SO_ATTACH_FILTER', attached);
    const frames = (blockSize / frameSize) * blocks;
    const patience = options.patience ?? 20;
    const request = readyNumbers(blockSize, blocks, frameSize, frames, patience, 0, 0);
    const made = setSocketOption(fd, SOL_PACKET, PACKET_RX_RING, request);
    if (made < 0) return refuse('setsockopt PACKET_RX_RING', made);
    const length = blocks * blockSize;
    const address = mapMemory(fd, length);
    if (address < 0) return refuse('mmap', address);
    const bound = bindSocket(fd, linkAddress(options.interfaceIndex ?? 0));
    if (bound < 0) {
      unmapMemory(address, length);
      return refuse('bind', bound);
    }
    const ring = new PacketRing(fd, address, blocks, hasOffloadHeader, options);
    ring.watch = watchReadable(
      fd,
      () => {
        ring.drain();
      },
      { background: true },
    );
    return succeed(ring);
  }

  /** May be called more than once, also from `onPacket`. */
  close(): void {
    if (this.closed) return;
    this.countDrops();
    this.closed = true;
    this.watch?.stop();
    unmapMemory(this.address, this.blocks * blockSize);
    closeDescriptor(this.fd);
  }

  /** Since it was opened. */
  totals(): RingTotals {
    this.countDrops();
    return { received: this.received, dropped: this.dropped };
  }

  /** An interface has another name from now on. */
  forgetName(index: number): void {
    this.interfaces.delete(index);
  }

  /** What the interface of this index is called now, in the namespace of the ring; null for none. */
  nameOf(index: number): string | null {
    if (this.closed) return null;
    // struct ifreq: the name, 16 bytes, then ifr_ifindex in a union of 24.
    const request = Buffer.alloc(40);
    request.writeInt32LE(index, 16);
    if (controlDevice(this.fd, SIOCGIFNAME, request) < 0) return null;
    const [name = ''] = request.toString('utf8', 0, 16).split('\0');
    return name;
  }

  /** Hands on what has come; happens by itself, too. */
  drain(): void {
    let seen = 0;
    while (!this.closed && seen < blocksPerTurn && this.readBlock()) seen += 1;
    if (this.closed) return;
    if (seen > 0) this.options.onTurn?.();
    this.findEnd();
  }

  /** False where the next block is still the kernel's. */
  private readBlock(): boolean {
    const place = this.address + this.next * blockSize;
    const { header, copy } = this;
    readMemory(header, place, blockHeaderLength);
    if ((header.readUInt32LE(blockStatusAt) & TP_STATUS_USER) === 0) return false;
    const length = Math.min(blockSize, header.readUInt32LE(blockLengthAt));
    readMemory(copy, place, length);
    // It has been copied, so the kernel may fill it anew.
    writeMemory(place + blockStatusAt, released);
    this.next = (this.next + 1) % this.blocks;
    const { hasOffloadHeader, number } = this;
    const interfaceOf = (index: number, linkType: number): CaptureInterface =>
      this.interfaceOf(index, linkType);
    this.number += visitPackets(
      copy.subarray(0, length),
      { number, hasOffloadHeader, interfaceOf },
      (packet) => {
        if (!this.closed) this.options.onPacket(packet);
      },
    );
    return true;
  }

  private interfaceOf(index: number, linkType: number): CaptureInterface {
    const known = this.interfaces.get(index);
    if (known?.linkType === linkType) return known;
    const { nameOf } = this.options;
    const name = nameOf === undefined ? this.nameOf(index) : nameOf(index);
    const made: CaptureInterface = { index, name, linkType };
    this.interfaces.set(index, made);
    return made;
  }

  /** The kernel counts from 0 after each reading (struct tpacket_stats_v3). */
  private countDrops(): void {
    if (this.closed) return;
    const statistics = Buffer.alloc(12);
    if (readSocketOption(this.fd, SOL_PACKET, PACKET_STATISTICS, statistics) < 8) return;
    this.received += statistics.readUInt32LE(0);
    this.dropped += statistics.readUInt32LE(4);
  }

  /** An interface that is down says so once, and its packets come again when it is up; one that is gone has no index. */
  private findEnd(): void {
    const error = getSocketOption(this.fd, SOL_SOCKET, SO_ERROR);
    if (error === 0 || this.options.interfaceIndex === undefined) return;
    const name = Buffer.alloc(20);
    if (readSocketName(this.fd, name) >= 8 && name.readInt32LE(4) > 0) return;
    this.watch?.stop();
    this.options.onEnd({
      kind: 'unknown-object',
      code: 'capture-interface-gone',
      object: `interface ${String(this.options.interfaceIndex)}`,
      reason: 'The interface that was captured on is gone.',
      next: 'Capture on the namespace, or on the interface that is there now.',
    });
  }
}

const released = readyNumbers(0);

/** struct sockaddr_ll: family, protocol in network order, index; the rest is for sending. */
function linkAddress(index: number): Buffer {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(index, 4);
  return address;
}
