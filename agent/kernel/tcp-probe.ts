/**
 * Whether somebody listens: a TCP connection from inside a namespace, closed as soon as it is there. connect(2), tcp(7).
 */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { parseIpAddress } from './ip-address.ts';
import { errnoName, kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import {
  AF_INET,
  AF_INET6,
  closeDescriptor,
  connectSocket,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EPIPE,
  ETIMEDOUT,
  getSocketOption,
  openSocket,
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  watchDescriptor,
} from './native.ts';

export interface ConnectOptions {
  /** Namespace to connect from; without one it is the agent's own. */
  readonly namespaceFd?: number | undefined;
  /** IPv4 or IPv6 address as text. */
  readonly destination: string;
  readonly port: number;
  readonly timeoutMilliseconds: number;
  readonly signal?: AbortSignal | undefined;
}

export type ConnectOutcome =
  | { readonly kind: 'connected'; readonly milliseconds: number }
  /** The host is there and nobody listens, or a filter says so. */
  | { readonly kind: 'refused' }
  /** Neither an answer nor a refusal in time. */
  | { readonly kind: 'timeout' }
  /** No route, or an ICMP error; the errno by name, such as `EHOSTUNREACH`. */
  | { readonly kind: 'unreachable'; readonly errno: string };

/** sockaddr_in or sockaddr_in6. A text that is no address is a bug and throws. */
export function socketAddress(text: string, port: number): Buffer {
  const target = parseIpAddress(text);
  if (target === undefined) throw new RangeError(`No IP address: ${JSON.stringify(text)}`);
  const address = Buffer.alloc(target.family === 4 ? 16 : 28);
  address.writeUInt16LE(target.family === 4 ? AF_INET : AF_INET6, 0);
  address.writeUInt16BE(port, 2);
  address.set(target.bytes, target.family === 4 ? 4 : 8);
  return address;
}

function outcomeOf(errno: number, milliseconds: number): ConnectOutcome {
  switch (errno) {
    // Until a connection is there, a reset is a refusal. A reset connection was accepted first (tcp_reset).
    case 0:
    case ECONNRESET:
    case EPIPE:
      return { kind: 'connected', milliseconds };
    case ECONNREFUSED:
      return { kind: 'refused' };
    case ETIMEDOUT:
      return { kind: 'timeout' };
    default:
      return { kind: 'unreachable', errno: errnoName(errno) };
  }
}

function cancelledFailure(object: string): Failure {
  return {
    kind: 'cancelled',
    code: 'connect-cancelled',
    object,
    reason: 'The check was cancelled.',
    next: 'Start it again when it is wanted.',
  };
}

/**
 * Connects once. That it does not succeed is an outcome, not a failure; failures are those of opening the socket, and
 * 'cancelled'.
 */
export function probeConnect(options: ConnectOptions): Promise<Result<ConnectOutcome>> {
  const { namespaceFd, destination, port, signal } = options;
  const object = `TCP port ${port} of ${destination}`;
  if (signal?.aborted === true) return Promise.resolve(fail(cancelledFailure(object)));
  const address = socketAddress(destination, port);
  // The socket stays in the namespace in which it was opened.
  const open = (): number =>
    openSocket(address.readUInt16LE(0), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const opened = namespaceFd === undefined ? succeed(open()) : runIn(namespaceFd, open);
  if (!opened.ok) return Promise.resolve(opened);
  const fd = opened.value;
  if (fd < 0) {
    return Promise.resolve(fail(kernelFailure(object, { call: 'socket', errno: -fd })));
  }
  const start = performance.now();
  const begun = connectSocket(fd, address);
  if (begun !== -EINPROGRESS) {
    closeDescriptor(fd);
    return Promise.resolve(succeed(outcomeOf(-begun, performance.now() - start)));
  }
  return new Promise((resolve) => {
    const finish = (result: Result<ConnectOutcome>): void => {
      watch.stop();
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      closeDescriptor(fd);
      resolve(result);
    };
    const abort = (): void => {
      finish(fail(cancelledFailure(object)));
    };
    const watch = watchDescriptor(fd, () => {
      const milliseconds = performance.now() - start;
      finish(succeed(outcomeOf(getSocketOption(fd, SOL_SOCKET, SO_ERROR), milliseconds)));
    });
    const timer = setTimeout(() => {
      finish(succeed({ kind: 'timeout' }));
    }, options.timeoutMilliseconds);
    signal?.addEventListener('abort', abort, { once: true });
    watch.want({ readable: false, writable: true });
  });
}
