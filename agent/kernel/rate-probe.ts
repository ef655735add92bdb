/**
 * Throughput of UDP from one namespace to another, counted where it arrives. udp(7); UDP_SEGMENT and UDP_GRO
 * (net/ipv4/udp.c) let many datagrams pass with one system call where the rate is high.
 */
import { randomBytes } from 'node:crypto';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { parseIpAddress } from './ip-address.ts';
import { errnoName, kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import {
  AF_INET,
  AF_INET6,
  bindSocket,
  closeDescriptor,
  connectSocket,
  EAGAIN,
  ENOBUFS,
  MSG_DONTWAIT,
  openSocket,
  readSocketName,
  receive,
  send,
  setSocketOption,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from './native.ts';
import { socketAddress } from './tcp-probe.ts';

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

const tagLength = 9;
/** Fits the least MTU of IPv6 (1280), and so most tunnels. */
const longestPayload = 1200;
const shortestPayload = 64;
const datagramsAtOnce = 40;

/** After the first datagram of the stream: until then full buckets and empty queues let more pass than the rate. */
const settleMilliseconds = 300;
const windowMilliseconds = 700;
/** Until a first datagram arrives, and as long again until the stream does. */
const arrivalMilliseconds = 5000;
const tickMilliseconds = 2;
/** The event loop is free again after this, whatever is left to send or to read. */
const turnMilliseconds = 4;

/** What is offered at most: 2 Gbit/s, about what one thread both sends and reads. */
export const greatestOffer = 2e9;

export interface RateOptions {
  readonly fromNamespaceFd: number;
  readonly toNamespaceFd: number;
  /** Address of the receiving namespace as text. */
  readonly destination: string;
  /** What to send, in bit/s with headers; at most `greatestOffer` of it. */
  readonly offer: number;
  readonly signal?: AbortSignal | undefined;
}

export type RateOutcome =
  | {
      readonly kind: 'measured';
      /** What arrived, with UDP, IP and Ethernet headers, in bit/s. */
      readonly bitsPerSecond: number;
      /** What was sent meanwhile; less than was asked for when this machine is too slow. */
      readonly sentBitsPerSecond: number;
      /** Whether the sender was held back by a queue that was full: then the path is the limit, not the sender. */
      readonly heldBack: boolean;
    }
  | { readonly kind: 'nothing-arrived' }
  /** Sending was refused; the errno by name. */
  | { readonly kind: 'unreachable'; readonly errno: string };

interface Ends {
  readonly sender: number;
  readonly receiver: number;
}

/** The two sockets, the sender connected to the receiver; or an outcome when there is no way. */
function openEnds(options: RateOptions, object: string): Result<Ends | RateOutcome> {
  const family = parseIpAddress(options.destination)?.family === 6 ? AF_INET6 : AF_INET;
  const open = (): number => openSocket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const receiver = runIn(options.toNamespaceFd, open);
  if (!receiver.ok) return receiver;
  if (receiver.value < 0) {
    return fail(kernelFailure(object, { call: 'socket', errno: -receiver.value }));
  }
  const any = socketAddress(family === AF_INET6 ? '::' : '0.0.0.0', 0);
  const bound = bindSocket(receiver.value, any);
  const name = Buffer.alloc(28);
  const named = bound < 0 ? bound : readSocketName(receiver.value, name);
  if (named < 0) {
    closeDescriptor(receiver.value);
    return fail(kernelFailure(object, { call: 'bind', errno: -named }));
  }
  const sender = runIn(options.fromNamespaceFd, open);
  if (!sender.ok || sender.value < 0) {
    closeDescriptor(receiver.value);
    return sender.ok
      ? fail(kernelFailure(object, { call: 'socket', errno: -sender.value }))
      : sender;
  }
  const connected = connectSocket(
    sender.value,
    socketAddress(options.destination, name.readUInt16BE(2)),
  );
  if (connected < 0) {
    closeDescriptor(receiver.value);
    closeDescriptor(sender.value);
    return succeed({ kind: 'unreachable', errno: errnoName(-connected) });
  }
  // A queue in the path holds what is sent against the sender's buffer: a small one would throttle it.
  setSocketOption(sender.value, SOL_SOCKET, SO_SNDBUFFORCE, 32 << 20);
  setSocketOption(receiver.value, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20);
  // Datagrams that were sent together are read together. Kernels before 5.0 give them one by one.
  setSocketOption(receiver.value, SOL_UDP, UDP_GRO, 1);
  return succeed({ sender: sender.value, receiver: receiver.value });
}

function cancelledFailure(object: string): Failure {
  return {
    kind: 'cancelled',
    code: 'rate-cancelled',
    object,
    reason: 'The check was cancelled.',
    next: 'Start it again when it is wanted.',
  };
}

interface Sample {
  readonly time: number;
  readonly received: number;
  readonly sent: number;
}

/**
 * Sends single datagrams until one arrives (that pays for address resolution), then the stream for about a second. That
 * nothing arrives is an outcome; failures are those of the sockets, and 'cancelled'.
 */
export async function probeRate(options: RateOptions): Promise<Result<RateOutcome>> {
  const object = `rate to ${options.destination}`;
  if (options.signal?.aborted === true) return fail(cancelledFailure(object));
  const opened = openEnds(options, object);
  if (!opened.ok) return opened;
  if ('kind' in opened.value) return succeed(opened.value);
  const { sender, receiver } = opened.value;
  try {
    return await new RateMeasurement(opened.value, options, object).run();
  } finally {
    closeDescriptor(sender);
    closeDescriptor(receiver);
  }
}

class RateMeasurement {
  readonly #ends: Ends;
  readonly #options: RateOptions;
  readonly #object: string;
  /** Bytes of a datagram beyond its payload: Ethernet, IP, UDP. */
  readonly #headers: number;
  readonly #payload: number;
  readonly #bytesPerMillisecond: number;
  /** As many datagrams as go at once, each with the tag; its last byte is 0 before the stream and 1 in it. */
  readonly #data: Buffer;
  #together: number;
  readonly #read = Buffer.allocUnsafeSlow(1 << 16);
  readonly #tag = randomBytes(tagLength - 1);

  #sent = 0;
  #received = 0;
  /** Whether anything of ours arrived. */
  #arrived = false;
  #heldBack = false;
  #errno = 0;

  constructor(ends: Ends, options: RateOptions, object: string) {
    this.#ends = ends;
    this.#options = options;
    this.#object = object;
    const family = parseIpAddress(options.destination)?.family;
    this.#headers = 14 + (family === 6 ? 40 : 20) + 8;
    const offer = Math.min(greatestOffer, options.offer);
    this.#bytesPerMillisecond = offer / 8000;
    // About 200 datagrams a second where the rate is low, or too few arrive to count.
    const payload = Math.round(this.#bytesPerMillisecond * 5) - this.#headers;
    this.#payload = Math.max(shortestPayload, Math.min(longestPayload, payload));
    // Half a millisecond of the rate at once.
    const together = Math.floor(this.#bytesPerMillisecond / 2 / (this.#payload + this.#headers));
    this.#together = Math.max(1, Math.min(datagramsAtOnce, together));
    this.#data = Buffer.alloc(this.#payload * this.#together);
    for (let at = 0; at < this.#data.length; at += this.#payload) this.#data.set(this.#tag, at);
  }

  async run(): Promise<Result<RateOutcome>> {
    const deadline = performance.now() + arrivalMilliseconds;
    while (!this.#arrived) {
      if (performance.now() > deadline) return succeed(this.#absent());
      this.#sendOne(1);
      for (let tick = 0; tick < 10 && !this.#arrived; tick += 1) {
        if (!(await this.#pause())) return fail(cancelledFailure(this.#object));
        this.#drain();
      }
    }
    return this.#stream();
  }

  async #stream(): Promise<Result<RateOutcome>> {
    for (let at = tagLength - 1; at < this.#data.length; at += this.#payload) this.#data[at] = 1;
    if (this.#together > 1) {
      const set = setSocketOption(this.#ends.sender, SOL_UDP, UDP_SEGMENT, this.#payload);
      if (set < 0) this.#together = 1;
    }
    this.#sent = 0;
    const start = performance.now();
    let first: number | null = null;
    let opening: Sample | null = null;
    let closing: Sample | null = null;
    let turn = start;
    // What a bucket holds (5 ms of the rate, 10 kB at least) goes at once, or it would drain slowly into the window.
    let budget = 20_000 + this.#bytesPerMillisecond * 10;
    for (;;) {
      const now = performance.now();
      // What a stall of this process has kept back is not made up for: a burst would only be dropped.
      budget += Math.min(now - turn, 20) * this.#bytesPerMillisecond;
      turn = now;
      budget = this.#spend(budget, now + turnMilliseconds);
      const before = this.#received;
      this.#drain();
      const time = performance.now();
      if (this.#received > before) {
        first ??= time;
        const sample = { time, received: this.#received, sent: this.#sent };
        // From one arrival to another, so that what comes rarely is not cut at the edges.
        if (time - first >= settleMilliseconds) opening ??= sample;
        closing = sample;
      }
      if (first === null && time - start > arrivalMilliseconds) return succeed(this.#absent());
      if (first !== null && time - first > settleMilliseconds + windowMilliseconds) break;
      if (!(await this.#pause())) return fail(cancelledFailure(this.#object));
    }
    if (opening === null || closing === null || closing.time <= opening.time) {
      return succeed({ kind: 'nothing-arrived' });
    }
    const seconds = (closing.time - opening.time) / 1000;
    return succeed({
      kind: 'measured',
      bitsPerSecond: Math.round(((closing.received - opening.received) * 8) / seconds),
      sentBitsPerSecond: Math.round(((closing.sent - opening.sent) * 8) / seconds),
      heldBack: this.#heldBack,
    });
  }

  #absent(): RateOutcome {
    return this.#errno === 0
      ? { kind: 'nothing-arrived' }
      : { kind: 'unreachable', errno: errnoName(this.#errno) };
  }

  /** Sends what the budget (bytes with headers) allows; returns what is left of it. */
  #spend(budget: number, until: number): number {
    let left = budget;
    for (;;) {
      const bytes = (this.#payload + this.#headers) * this.#together;
      if (left < bytes) return left;
      if (performance.now() >= until || !this.#sendOne(this.#together)) return 0;
      left -= bytes;
    }
  }

  /** Whether to go on: false when a queue is full or sending was refused. */
  #sendOne(datagrams: number): boolean {
    const result = send(this.#ends.sender, this.#data, datagrams * this.#payload, MSG_DONTWAIT);
    if (result >= 0) {
      this.#sent += (this.#payload + this.#headers) * datagrams;
      return true;
    }
    if (result === -EAGAIN || result === -ENOBUFS) {
      this.#heldBack = true;
    } else if (datagrams > 1) {
      // No segmentation on this path (udp_send_skb): one by one.
      setSocketOption(this.#ends.sender, SOL_UDP, UDP_SEGMENT, 0);
      this.#together = 1;
    } else {
      this.#errno = -result;
    }
    return false;
  }

  /** Counts what has arrived; of the first phase only that it did. */
  #drain(): void {
    const until = performance.now() + turnMilliseconds;
    do {
      const length = receive(this.#ends.receiver, this.#read, MSG_DONTWAIT);
      if (length < 0) return;
      const ours =
        length >= this.#payload && this.#read.subarray(0, tagLength - 1).equals(this.#tag);
      if (!ours) continue;
      this.#arrived = true;
      if (this.#read[tagLength - 1] !== 1) continue;
      this.#received += length + Math.ceil(length / this.#payload) * this.#headers;
    } while (performance.now() < until);
  }

  /** Lets the event loop turn; false when cancelled meanwhile. */
  #pause(): Promise<boolean> {
    return new Promise((resolve) => {
      setTimeout(() => {
        resolve(this.#options.signal?.aborted !== true);
      }, tickMilliseconds);
    });
  }
}
