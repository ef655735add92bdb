/**
 * Reachability by ICMP echo on raw sockets of the agent's own, opened inside the namespace. RFC 792, RFC 4443; raw(7).
 * Raw sockets work where ICMP datagram sockets are refused (in a user namespace, net.ipv4.ping_group_range).
 */
import { randomBytes } from 'node:crypto';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { formatIpAddress, type IpAddress, parseIpAddress } from './ip-address.ts';
import { errnoName, kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import {
  AF_INET,
  AF_INET6,
  closeDescriptor,
  EAGAIN,
  EHOSTUNREACH,
  ENETUNREACH,
  MSG_DONTWAIT,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  watchReadable,
} from './native.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMP6_FILTER = 1;

export interface EchoOptions {
  /** Namespace to ask from; without one it is the agent's own. */
  readonly namespaceFd?: number | undefined;
  /** IPv4 or IPv6 address as text. */
  readonly destination: string;
  /** Link for IPv6 link-local destinations. */
  readonly interfaceIndex?: number | undefined;
  /** How long to try in all. */
  readonly timeoutMilliseconds: number;
  /** Pause between attempts; default 200. The first is often lost to address resolution. */
  readonly intervalMilliseconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Why nothing comes back. */
export type UnreachableReason =
  /** Nobody answered in time. */
  | 'no-answer'
  /** No route here, or a router has none. */
  | 'network-unreachable'
  /** The last router (or this host) cannot find it on the link. */
  | 'host-unreachable'
  /** A filter or a prohibit route forbids it. */
  | 'prohibited'
  | 'port-or-protocol-unreachable'
  | 'hop-limit-exceeded'
  | 'packet-too-big'
  /** Sending failed otherwise; `detail` has the errno. */
  | 'send-failed';

export type EchoOutcome =
  | {
      readonly kind: 'reply';
      readonly roundTripMilliseconds: number;
      /** Requests that were sent until then, 1 or more. */
      readonly attempts: number;
    }
  | {
      readonly kind: 'unreachable';
      readonly reason: UnreachableReason;
      /** Who said so; undefined when it is the namespace itself or nobody. */
      readonly reporter: string | undefined;
      readonly detail: string | undefined;
      readonly attempts: number;
    };

const payloadLength = 16;

/** Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

interface Prober {
  readonly target: IpAddress;
  readonly fd: number;
  readonly identifier: number;
  readonly payload: Buffer;
  readonly address: Uint8Array;
}

function openProber(options: EchoOptions): Result<Prober> {
  const target = parseIpAddress(options.destination);
  if (target === undefined) {
    throw new RangeError(`No IP address: ${JSON.stringify(options.destination)}`);
  }
  const object = `echo to ${options.destination}`;
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const create = (): number =>
    target.family === 4
      ? openSocket(AF_INET, type, IPPROTO_ICMP)
      : openSocket(AF_INET6, type, IPPROTO_ICMPV6);
  const entered =
    options.namespaceFd === undefined ? succeed(create()) : runIn(options.namespaceFd, create);
  if (!entered.ok) return entered;
  const fd = entered.value;
  if (fd < 0) return fail(kernelFailure(object, { call: 'socket', errno: -fd }));
  // A set bit keeps a type out. IPv4: answers, unreachable, time exceeded. IPv6: the errors 1–4 and answers (129).
  if (target.family === 4) {
    const filter = Buffer.alloc(4);
    filter.writeUInt32LE(~((1 << 0) | (1 << 3) | (1 << 11)) >>> 0, 0);
    setSocketOption(fd, SOL_RAW, ICMP_FILTER, filter);
  } else {
    const filter = Buffer.alloc(32, 0xff);
    filter.writeUInt32LE(~((1 << 1) | (1 << 2) | (1 << 3) | (1 << 4)) >>> 0, 0);
    filter.writeUInt32LE(~(1 << (129 & 31)) >>> 0, (129 >> 5) * 4);
    setSocketOption(fd, IPPROTO_ICMPV6, ICMP6_FILTER, filter);
  }
  const address = Buffer.alloc(target.family === 4 ? 16 : 28);
  address.writeUInt16LE(target.family === 4 ? AF_INET : AF_INET6, 0);
  address.set(target.bytes, target.family === 4 ? 4 : 8);
  if (target.family === 6) address.writeUInt32LE(options.interfaceIndex ?? 0, 24);
  const random = randomBytes(2 + payloadLength);
  return succeed({
    target,
    fd,
    identifier: random.readUInt16BE(0),
    payload: random.subarray(2),
    address,
  });
}

function echoRequest(prober: Prober, sequence: number): Buffer {
  const packet = Buffer.alloc(8 + payloadLength);
  packet[0] = prober.target.family === 4 ? 8 : 128;
  packet.writeUInt16BE(prober.identifier, 4);
  packet.writeUInt16BE(sequence, 6);
  packet.set(prober.payload, 8);
  // The kernel fills in the ICMPv6 checksum, which covers the addresses (RFC 3542 section 3.1).
  if (prober.target.family === 4) packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

export type EchoMessage =
  | { readonly kind: 'reply'; readonly sequence: number }
  | { readonly kind: 'error'; readonly reason: UnreachableReason };

/**
 * What a received ICMP packet says about our request; undefined when it is about something else or cut short. Pure.
 * IPv4 packets begin with their IP header, IPv6 ones with ICMPv6.
 */
export function readEchoMessage(
  family: 4 | 6,
  bytes: Buffer,
  identifier: number,
  payload: Uint8Array,
): EchoMessage | undefined {
  const start = family === 4 ? ((bytes[0] ?? 0) & 0x0f) * 4 : 0;
  if (start + 8 > bytes.length) return undefined;
  const type = bytes[start] ?? 0;
  const code = bytes[start + 1] ?? 0;
  if (type === (family === 4 ? 0 : 129)) {
    const end = start + 8 + payload.length;
    const same =
      end <= bytes.length &&
      bytes.readUInt16BE(start + 4) === identifier &&
      bytes.subarray(start + 8, end).equals(payload);
    return same ? { kind: 'reply', sequence: bytes.readUInt16BE(start + 6) } : undefined;
  }
  const reason = family === 4 ? reasonOfIcmp(type, code) : reasonOfIcmpv6(type, code);
  if (reason === undefined) return undefined;
  // An error carries the start of the packet that caused it: at least its IP header and eight bytes.
  const inner = start + 8;
  const innerIp = bytes[inner] ?? 0;
  const innerIcmp = inner + (family === 4 ? (innerIp & 0x0f) * 4 : 40);
  if (innerIcmp + 8 > bytes.length) return undefined;
  const protocol = bytes[inner + (family === 4 ? 9 : 6)];
  const ours =
    protocol === (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
    bytes[innerIcmp] === (family === 4 ? 8 : 128) &&
    bytes.readUInt16BE(innerIcmp + 4) === identifier;
  return ours ? { kind: 'error', reason } : undefined;
}

/** Types 3 and 11 of RFC 792, codes of RFC 1122 and RFC 1812. */
function reasonOfIcmp(type: number, code: number): UnreachableReason | undefined {
  if (type === 11) return 'hop-limit-exceeded';
  if (type !== 3) return undefined;
  if (code === 0 || code === 6 || code === 11) return 'network-unreachable';
  if (code === 2 || code === 3) return 'port-or-protocol-unreachable';
  if (code === 4) return 'packet-too-big';
  return code === 9 || code === 10 || code === 13 ? 'prohibited' : 'host-unreachable';
}

/** RFC 4443 section 3. */
function reasonOfIcmpv6(type: number, code: number): UnreachableReason | undefined {
  if (type === 2) return 'packet-too-big';
  if (type === 3) return 'hop-limit-exceeded';
  if (type === 4) return 'port-or-protocol-unreachable';
  if (type !== 1) return undefined;
  if (code === 0) return 'network-unreachable';
  if (code === 4) return 'port-or-protocol-unreachable';
  return code === 1 || code === 5 || code === 6 ? 'prohibited' : 'host-unreachable';
}

function reasonOfErrno(errno: number): UnreachableReason {
  switch (errno) {
    case ENETUNREACH:
      return 'network-unreachable';
    case EHOSTUNREACH:
      return 'host-unreachable';
    case 1: // EPERM: an output filter dropped it.
    case 13: // EACCES: a prohibit route.
      return 'prohibited';
    default:
      return 'send-failed';
  }
}

function cancelledFailure(options: EchoOptions): Failure {
  return {
    kind: 'cancelled',
    code: 'echo-cancelled',
    object: `echo to ${options.destination}`,
    reason: 'The check was cancelled.',
    next: 'Start it again when it is wanted.',
  };
}

/**
 * Sends echo requests until one is answered, a router refuses, or the time is over. A refusal by the namespace's own
 * routes ends it at once, since asking again gives the same. That nothing comes back is an outcome, not a failure;
 * failures are those of opening the socket, and 'cancelled'.
 */
export function probeEcho(options: EchoOptions): Promise<Result<EchoOutcome>> {
  if (options.signal?.aborted === true) return Promise.resolve(fail(cancelledFailure(options)));
  const opened = openProber(options);
  if (!opened.ok) return Promise.resolve(opened);
  const prober = opened.value;
  const { family } = prober.target;
  const data = Buffer.allocUnsafeSlow(2048);
  const sender = Buffer.alloc(28);
  const sentAt: bigint[] = [];
  const targetText = formatIpAddress(prober.target.bytes);

  return new Promise((resolve) => {
    let settled = false;
    const finish = (result: Result<EchoOutcome>): void => {
      if (settled) return;
      settled = true;
      watch.stop();
      clearInterval(interval);
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      closeDescriptor(prober.fd);
      resolve(result);
    };
    const unreachable = (reason: UnreachableReason, reporter?: string, detail?: string): void => {
      finish(succeed({ kind: 'unreachable', reason, reporter, detail, attempts: sentAt.length }));
    };
    const read = (): void => {
      while (!settled) {
        const length = receiveFrom(prober.fd, data, MSG_DONTWAIT, sender);
        const now = process.hrtime.bigint();
        if (length === -EAGAIN) return;
        if (length < 0) {
          unreachable(reasonOfErrno(-length), undefined, errnoName(-length));
          return;
        }
        const from = formatIpAddress(family === 4 ? sender.subarray(4, 8) : sender.subarray(8, 24));
        const message = readEchoMessage(
          family,
          data.subarray(0, length),
          prober.identifier,
          prober.payload,
        );
        if (message === undefined) continue;
        if (message.kind === 'error') {
          unreachable(message.reason, from);
          return;
        }
        const sent = sentAt[message.sequence];
        if (sent === undefined || from !== targetText) continue;
        const roundTripMilliseconds = Number(now - sent) / 1e6;
        finish(succeed({ kind: 'reply', roundTripMilliseconds, attempts: sentAt.length }));
      }
    };
    const ask = (): void => {
      if (settled || sentAt.length > 0xffff) return;
      const packet = echoRequest(prober, sentAt.length);
      sentAt.push(process.hrtime.bigint());
      const sent = sendTo(prober.fd, packet, MSG_DONTWAIT, prober.address);
      if (sent < 0 && sent !== -EAGAIN) {
        unreachable(reasonOfErrno(-sent), undefined, errnoName(-sent));
        return;
      }
      // Between namespaces of one machine the answer is often here before send returns.
      read();
    };
    const abort = (): void => {
      finish(fail(cancelledFailure(options)));
    };
    const watch = watchReadable(prober.fd, read);
    const interval = setInterval(ask, options.intervalMilliseconds ?? 200);
    const timer = setTimeout(() => {
      read();
      unreachable('no-answer');
    }, options.timeoutMilliseconds);
    options.signal?.addEventListener('abort', abort, { once: true });
    ask();
  });
}
