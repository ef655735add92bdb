/** Netlink sockets: one that asks, one that listens. See netlink(7), sock_diag(7) and net/netlink/af_netlink.c. */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import {
  AF_NETLINK,
  bindSocket,
  closeDescriptor,
  EAGAIN,
  EIO,
  EMSGSIZE,
  ENOBUFS,
  EPROTO,
  MessageReceiver,
  MSG_DONTWAIT,
  MSG_TRUNC,
  openSocket,
  type ReadableWatch,
  receive,
  send,
  setSocketOption,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  watchReadable,
} from './native.ts';
import {
  type Acknowledgement,
  decodeAcknowledgement,
  locateAttribute,
  type MessageHeader,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  visitMessages,
} from './netlink-codec.ts';
import {
  decodeMessage,
  messageTypeName,
  type NetlinkRequest,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_NETCONF,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  RTNLGRP_NSID,
  RTNLGRP_TC,
  type RtnetlinkMessage,
} from './rtnetlink.ts';

const NETLINK_ROUTE = 0;
const NETLINK_SOCK_DIAG = 4;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_LISTEN_ALL_NSID = 8;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** Opens and binds a socket of that protocol in a namespace (or where the thread is). */
function openNetlinkSocket(
  protocol: typeof NETLINK_ROUTE | typeof NETLINK_SOCK_DIAG,
  namespaceFd: number | undefined,
  receiveBuffer: number,
  object: string,
): Result<number> {
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const create = (): number => openSocket(AF_NETLINK, type, protocol);
  const entered = namespaceFd === undefined ? succeed(create()) : runIn(namespaceFd, create);
  if (!entered.ok) return entered;
  const fd = entered.value;
  if (fd < 0) return fail(kernelFailure(object, { call: 'socket', errno: -fd }));
  // Forcing needs CAP_NET_ADMIN in the first user namespace; without it net.core.rmem_max is the limit.
  if (setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer) < 0) {
    setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, receiveBuffer);
  }
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  const bound = bindSocket(fd, address);
  if (bound < 0) {
    closeDescriptor(fd);
    return fail(kernelFailure(object, { call: 'bind', errno: -bound }));
  }
  return succeed(fd);
}

/** Shared by all request sockets: calls are synchronous, so only one of them is ever in between. */
const writer = new MessageWriter(65536);
/**
 * A dump's datagrams are as large as the buffer it was last read with, up to 32 KiB (netlink_dump, NLMSG_GOODSIZE);
 * single answers with many VFs may be larger.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(262144);

/** Requests in one send: their acknowledgements (up to 2.3 KiB of accounted memory each) must fit the buffer. */
const largestBatch = 64;
const largestBatchBytes = 32768;
/** A dump that changed while it was read is read again this often. */
const dumpAttempts = 8;

/**
 * Asks rtnetlink and has the answer when the call returns. The kernel works on a request inside send(2) and queues
 * the answer before it returns, so nothing here ever waits: an answer that is missing was lost, and is a failure.
 */
export class RequestSocket {
  private sequence = 1;
  private closed = false;
  private readonly fd: number;
  /** Namespace or place that the socket is in, for failures. */
  readonly object: string;

  private constructor(fd: number, object: string) {
    this.fd = fd;
    this.object = object;
  }

  /** Opens the socket in the namespace behind the descriptor; without one where the agent is. */
  static open(namespaceFd?: number, object = 'rtnetlink socket'): Result<RequestSocket> {
    const opened = openNetlinkSocket(NETLINK_ROUTE, namespaceFd, 1024 * 1024, object);
    if (!opened.ok) return opened;
    const fd = opened.value;
    // Linux 4.12 and 4.20. Older ones say less and filter less; what is read here is filtered again.
    setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    return succeed(new RequestSocket(fd, object));
  }

  /** One that tells of the namespace's sockets (sock_diag) instead of its interfaces. */
  static openDiagnosis(namespaceFd: number, object: string): Result<RequestSocket> {
    const opened = openNetlinkSocket(NETLINK_SOCK_DIAG, namespaceFd, 1024 * 1024, object);
    return opened.ok ? succeed(new RequestSocket(opened.value, object)) : opened;
  }

  /** Releases the socket, and with it the namespace. May be called more than once. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeDescriptor(this.fd);
  }

  /** One request that changes something. Fails with what the kernel says, its sentence and the attribute included. */
  execute(request: NetlinkRequest): Result<void> {
    const answered = this.exchange(request, ignore);
    return answered.ok ? succeed(undefined) : answered;
  }

  /** One request with one object as its answer (or none). */
  query(request: NetlinkRequest): Result<RtnetlinkMessage | undefined> {
    let found: RtnetlinkMessage | undefined;
    const answered = this.exchange(request, (header, bytes) => {
      found ??= decodeMessage(header.type, bytes, header.bodyStart, header.bodyEnd);
    });
    return answered.ok ? succeed(found) : answered;
  }

  /**
   * Several requests, in order, in as few sends as their acknowledgements allow. The kernel goes on after one that
   * fails; there is a result for each.
   */
  transact(requests: readonly NetlinkRequest[]): readonly Result<void>[] {
    this.requireOpen();
    const results: Result<void>[] = [];
    let next = 0;
    while (next < requests.length) {
      const first = next;
      const firstSequence = this.sequence;
      const places: number[] = [];
      writer.reset();
      while (next < requests.length && next - first < largestBatch) {
        const request = requests[next];
        if (request === undefined) break;
        const place = writer.length;
        this.write(request);
        if (next > first && writer.length > largestBatchBytes) {
          writer.truncate(place);
          this.sequence -= 1;
          break;
        }
        places.push(place);
        next += 1;
      }
      const answers = this.collect(places.length, firstSequence);
      for (let position = 0; position < places.length; position += 1) {
        const request = requests[first + position];
        if (request === undefined) break;
        const answer = answers.ok ? answers.value[position] : answers.errno;
        results.push(this.settle(request, answer, places[position] ?? 0));
      }
    }
    return results;
  }

  /**
   * A dump: `visit` gets each message's type, the buffer and where its body lies, valid for that call only. Read
   * again from the start when the kernel says that it changed meanwhile (NLM_F_DUMP_INTR), after `restart`.
   */
  dump(
    request: NetlinkRequest,
    visit: (type: number, bytes: Buffer, start: number, end: number) => void,
    restart: () => void,
  ): Result<void> {
    this.requireOpen();
    for (let attempt = 1; ; attempt += 1) {
      writer.reset();
      const sequence = this.write(request, false);
      const sent = send(this.fd, writer.buffer, writer.length, 0);
      if (sent < 0) return fail(this.failureOf(request, { errno: -sent }, 0));
      let interrupted = false;
      let finish: Acknowledgement | { readonly errno: number } | undefined;
      while (finish === undefined) {
        const length = receive(this.fd, receiveBuffer, MSG_DONTWAIT | MSG_TRUNC);
        if (length < 0) {
          finish = { errno: length === -EAGAIN ? EIO : -length };
          break;
        }
        if (length > receiveBuffer.length) {
          finish = { errno: EMSGSIZE };
          break;
        }
        visitMessages(receiveBuffer, length, (header) => {
          if (header.sequence !== sequence) return true;
          if ((header.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
          if (header.type === NLMSG_DONE || header.type === NLMSG_ERROR) {
            finish = decodeAcknowledgement(receiveBuffer, header);
            return false;
          }
          if (header.type === NLMSG_OVERRUN) finish = { errno: ENOBUFS };
          else if (header.type !== NLMSG_NOOP) {
            visit(header.type, receiveBuffer, header.bodyStart, header.bodyEnd);
          }
          return true;
        });
      }
      if (finish.errno !== 0) {
        this.drain();
        return fail(this.failureOf(request, finish, 0));
      }
      if (!interrupted || attempt === dumpAttempts) return succeed(undefined);
      restart();
    }
  }

  /** A dump, decoded by `decode` and gathered; what it gives undefined for is left out. */
  list<T>(
    request: NetlinkRequest,
    decode: (bytes: Buffer, start: number, end: number) => T | undefined,
  ): Result<readonly T[]> {
    let found: T[] = [];
    const dumped = this.dump(
      request,
      (_type, bytes, start, end) => {
        const value = decode(bytes, start, end);
        if (value !== undefined) found.push(value);
      },
      () => {
        found = [];
      },
    );
    return dumped.ok ? succeed(found) : dumped;
  }

  private requireOpen(): void {
    if (this.closed) throw new Error(`The ${this.object} is closed.`);
  }

  private write(request: NetlinkRequest, acknowledge = true): number {
    const sequence = this.sequence;
    this.sequence = (sequence + 1) >>> 0;
    writer.begin(request.type, request.flags | (acknowledge ? NLM_F_ACK : 0), sequence);
    request.encode(writer);
    writer.end();
    return sequence;
  }

  private exchange(
    request: NetlinkRequest,
    visit: (header: MessageHeader, bytes: Buffer) => void,
  ): Result<void> {
    this.requireOpen();
    writer.reset();
    const sequence = this.write(request);
    const answers = this.collect(1, sequence, visit);
    return this.settle(request, answers.ok ? answers.value[0] : answers.errno, 0);
  }

  /** Sends what was written and reads until each of the `count` sequences has its acknowledgement. */
  private collect(
    count: number,
    firstSequence: number,
    visit: (header: MessageHeader, bytes: Buffer) => void = ignore,
  ):
    | { readonly ok: true; readonly value: readonly (Acknowledgement | undefined)[] }
    | { readonly ok: false; readonly errno: number } {
    const sent = send(this.fd, writer.buffer, writer.length, 0);
    if (sent < 0) return { ok: false, errno: -sent };
    const answers: (Acknowledgement | undefined)[] = [];
    let missing = count;
    while (missing > 0) {
      const length = receive(this.fd, receiveBuffer, MSG_DONTWAIT | MSG_TRUNC);
      // ENOBUFS tells of a loss before what is still queued: read on, the hole stays undefined.
      if (length === -ENOBUFS) continue;
      if (length < 0 || length > receiveBuffer.length) break;
      visitMessages(receiveBuffer, length, (header) => {
        const position = header.sequence - firstSequence;
        if (position < 0 || position >= count) return true; // Left over from an earlier failure.
        if (header.type === NLMSG_ERROR) {
          if (answers[position] === undefined) missing -= 1;
          answers[position] = decodeAcknowledgement(receiveBuffer, header);
        } else {
          visit(header, receiveBuffer);
        }
        return true;
      });
    }
    return { ok: true, value: answers };
  }

  private settle(
    request: NetlinkRequest,
    answer: Acknowledgement | number | undefined,
    place: number,
  ): Result<void> {
    if (typeof answer === 'number') return fail(this.failureOf(request, { errno: answer }, place));
    if (answer === undefined) return fail(this.failureOf(request, { errno: EPROTO }, place));
    return answer.errno === 0 ? succeed(undefined) : fail(this.failureOf(request, answer, place));
  }

  /** Words for a refused request. Reads the writer's buffer, so it must come before the next write. */
  private failureOf(
    request: NetlinkRequest,
    answer: Acknowledgement | { readonly errno: number },
    place: number,
  ): Failure {
    let attribute: string | undefined;
    let message: string | undefined;
    if ('message' in answer) {
      message = answer.message;
      if (answer.attributeOffset !== undefined) {
        const end = place + writer.buffer.readUInt32LE(place);
        attribute = locateAttribute(
          writer.buffer,
          place,
          end,
          request.headerLength,
          answer.attributeOffset,
        );
      } else if (answer.missingAttribute !== undefined) {
        attribute = String(answer.missingAttribute);
      }
    }
    const call = messageTypeName(request.type);
    return kernelFailure(request.object, { call, errno: answer.errno, message, attribute });
  }

  /** Reads what an aborted dump left in the queue. */
  private drain(): void {
    while (receive(this.fd, receiveBuffer, MSG_DONTWAIT) >= 0);
  }
}

function ignore(): void {
  // Answers to a request that only changes something carry nothing of interest.
}

/** What an event socket hears. */
export type EventGroup = 'link' | 'address' | 'route' | 'queueing' | 'forwarding' | 'namespace-id';

const groupNumbers: Readonly<Record<EventGroup, readonly number[]>> = {
  link: [RTNLGRP_LINK],
  address: [RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
  route: [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE],
  queueing: [RTNLGRP_TC],
  forwarding: [RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF],
  'namespace-id': [RTNLGRP_NSID],
};

export interface EventSocketOptions {
  /** Namespace to listen in; without one where the agent is. */
  readonly namespaceFd?: number | undefined;
  /** Default: links, addresses, routes and namespace ids. */
  readonly groups?: readonly EventGroup[] | undefined;
  /**
   * Also hear every namespace that has an id in this one (NETLINK_LISTEN_ALL_NSID, Linux 4.2); it needs
   * CAP_NET_BROADCAST. A namespace without an id stays silent: give it one with `assignNamespaceId`.
   */
  readonly allNamespaces?: boolean | undefined;
  /** Bytes; default 16 MiB, which outlasts bursts of some thousands of links. */
  readonly receiveBufferSize?: number | undefined;
  /**
   * Everything that was queued, in order. `namespaceId` is undefined for the socket's own namespace. Called from the
   * event loop.
   */
  readonly onEvents: (events: readonly NetlinkEvent[]) => void;
  /** Messages were lost (ENOBUFS): what is known may be wrong, list again. */
  readonly onOverrun: () => void;
  /** The socket cannot be read any more; it is closed. */
  readonly onFailure?: ((failure: Failure) => void) | undefined;
}

export interface NetlinkEvent {
  readonly message: RtnetlinkMessage;
  /** Where it happened, as an id of the socket's namespace; undefined for that namespace itself. */
  readonly namespaceId: number | undefined;
  /** Sequence and port of the request that caused it; 0 for the kernel's own doing. */
  readonly sequence: number;
  readonly portId: number;
}

/** One for all event sockets, which read one after another. */
let eventReceiver: MessageReceiver | undefined;
/** Datagrams read before other work of the event loop has its turn; the level-triggered watch comes back. */
const datagramsPerTurn = 512;

/** Listens to rtnetlink until it is closed. List after opening it, so that nothing falls between. */
export class EventSocket {
  private readonly fd: number;
  private readonly options: EventSocketOptions;
  private watch: ReadableWatch | undefined;
  private closed = false;

  private constructor(fd: number, options: EventSocketOptions) {
    this.fd = fd;
    this.options = options;
  }

  static open(options: EventSocketOptions, object = 'rtnetlink events'): Result<EventSocket> {
    const size = options.receiveBufferSize ?? 16 * 1024 * 1024;
    const opened = openNetlinkSocket(NETLINK_ROUTE, options.namespaceFd, size, object);
    if (!opened.ok) return opened;
    const fd = opened.value;
    const refuse = (result: number): Result<EventSocket> => {
      closeDescriptor(fd);
      return fail(kernelFailure(object, { call: 'setsockopt', errno: -result }));
    };
    if (options.allNamespaces === true) {
      const result = setSocketOption(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
      if (result < 0) return refuse(result);
    }
    const groups = options.groups ?? (['link', 'address', 'route', 'namespace-id'] as const);
    for (const group of groups) {
      for (const number of groupNumbers[group]) {
        const result = setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number);
        if (result < 0) return refuse(result);
      }
    }
    const socket = new EventSocket(fd, options);
    socket.watch = watchReadable(
      fd,
      () => {
        socket.drain();
      },
      { background: true },
    );
    return succeed(socket);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.watch?.stop();
    closeDescriptor(this.fd);
  }

  /**
   * Reads and delivers what is queued now; happens by itself too. The kernel queues events inside the request that
   * causes them, so after a change of one's own this delivers its events at once.
   */
  drain(): void {
    if (this.closed) return;
    eventReceiver ??= new MessageReceiver(65536, 64);
    const receiver = eventReceiver;
    const events: NetlinkEvent[] = [];
    let overrun = false;
    let broken: Failure | undefined;
    for (let count = 0; count < datagramsPerTurn; count += 1) {
      const { length, controlLength, flags } = receiver.receive(this.fd, MSG_DONTWAIT);
      if (length === -EAGAIN) break;
      if (length === -ENOBUFS) {
        overrun = true;
        continue;
      }
      if (length < 0) {
        broken = kernelFailure('rtnetlink events', { call: 'recvmsg', errno: -length });
        break;
      }
      // Only the kernel (port 0) is believed; other processes may send to this socket.
      if (receiver.address.readUInt32LE(4) !== 0) continue;
      if ((flags & MSG_TRUNC) !== 0) overrun = true;
      const namespaceId = readNamespaceId(receiver.control, controlLength);
      const whole = visitMessages(receiver.data, length, (header) => {
        const { type, bodyStart, bodyEnd, sequence, portId } = header;
        const message = decodeMessage(type, receiver.data, bodyStart, bodyEnd);
        if (message !== undefined) events.push({ message, namespaceId, sequence, portId });
        return true;
      });
      if (!whole) overrun = true;
    }
    if (broken !== undefined) this.close();
    if (events.length > 0) this.options.onEvents(events);
    if (overrun) this.options.onOverrun();
    if (broken !== undefined) this.options.onFailure?.(broken);
  }
}

/** Ancillary NETLINK_LISTEN_ALL_NSID: struct cmsghdr (length u64, level, type), then the id as an int. */
function readNamespaceId(control: Buffer, length: number): number | undefined {
  let at = 0;
  while (at + 16 <= length) {
    const size = control.readUInt32LE(at);
    if (size < 16 || size > length - at) return undefined;
    const level = control.readInt32LE(at + 8);
    const type = control.readInt32LE(at + 12);
    if (level === SOL_NETLINK && type === NETLINK_LISTEN_ALL_NSID && size >= 20) {
      return control.readInt32LE(at + 16);
    }
    at += (size + 7) & ~7;
  }
  return undefined;
}
