/**
 * The only door to zeromq in the agent. Every socket made here has CURVE, a ZAP domain, bounds on everything that
 * zeromq leaves unbounded, and belongs to a context whose ZAP handler is in place before it.
 */
import { Context, curveKeyPair as makeKeyPair, type Event, Router, XPublisher } from 'zeromq';
import { publicationFrame } from '../api/index.ts';

export interface CurveKeyPair {
  /** Z85, 40 characters. */
  readonly publicKey: string;
  /** Z85, 40 characters. */
  readonly secretKey: string;
}

export function curveKeyPair(): CurveKeyPair {
  const { publicKey, secretKey } = makeKeyPair();
  return { publicKey, secretKey };
}

/**
 * Largest message that zeromq takes from a client, in bytes; beyond it the connection is dropped unread. It is larger
 * than `maximumMessageSize` so that what is moderately too large gets a failure that says so.
 */
export const largestFrame = 12 * 1024 * 1024;

const bounds = {
  maxMessageSize: largestFrame,
  handshakeInterval: 10_000,
  heartbeatInterval: 5_000,
  heartbeatTimeout: 15_000,
  heartbeatTimeToLive: 15_000,
  backlog: 64,
} as const;

/** The sockets of one agent share a context, since there is one ZAP handler a context. */
export class SocketContext {
  readonly #context = new Context({ blocky: false });
  #zap: Router | null = null;

  /** Starts the ZAP handler (RFC 27). `decide` says whether a connection is admitted, and why. */
  openAdmission(decide: (request: AdmissionRequest) => boolean): void {
    const zap = new Router({ context: this.#context, linger: 0, sendTimeout: 0 });
    zap.bindSync('inproc://zeromq.zap.01');
    this.#zap = zap;
    void serveAdmission(zap, decide);
  }

  openCallSocket(keys: CurveKeyPair, domain: string): CallSocket {
    if (this.#zap === null) throw new Error('a socket without a ZAP handler admits anyone');
    return new CallSocket(
      new Router({
        ...bounds,
        context: this.#context,
        curveServer: true,
        curvePublicKey: keys.publicKey,
        curveSecretKey: keys.secretKey,
        zapDomain: domain,
        zapEnforceDomain: true,
        // A send to a client that is gone, or that does not read, fails at once instead of vanishing.
        mandatory: true,
        sendTimeout: 0,
        sendHighWaterMark: 64,
        receiveHighWaterMark: 8,
        linger: 500,
      }),
    );
  }

  openStreamSocket(keys: CurveKeyPair, domain: string): StreamSocket {
    if (this.#zap === null) throw new Error('a socket without a ZAP handler admits anyone');
    return new StreamSocket(
      new XPublisher({
        ...bounds,
        // Subscribers send topics and nothing else.
        maxMessageSize: 1024,
        context: this.#context,
        curveServer: true,
        curvePublicKey: keys.publicKey,
        curveSecretKey: keys.secretKey,
        zapDomain: domain,
        zapEnforceDomain: true,
        // Every subscription is seen, also a second one to the same topic.
        verbosity: 'allSubs',
        sendTimeout: 0,
        sendHighWaterMark: 1_000,
        receiveHighWaterMark: 64,
        linger: 0,
      }),
    );
  }

  close(): void {
    this.#zap?.close();
    this.#zap = null;
  }
}

/** What zeromq says of a connection before it exists. */
export interface AdmissionRequest {
  readonly domain: string;
  /** `localhost:UID:GID:PID` on ipc, from SO_PEERCRED (libzmq, stream_engine_base.cpp). */
  readonly address: string;
  readonly mechanism: string;
  /** The client's public key, Z85; null when it presents none. */
  readonly key: string | null;
}

async function serveAdmission(
  zap: Router,
  decide: (request: AdmissionRequest) => boolean,
): Promise<void> {
  for await (const frames of untilClosed(zap)) {
    const [path, delimiter, version, id, domain, address, , mechanism, credential] = frames;
    if (
      path === undefined ||
      delimiter === undefined ||
      version === undefined ||
      id === undefined ||
      domain === undefined ||
      address === undefined ||
      mechanism === undefined
    ) {
      continue;
    }
    const admitted = decide({
      domain: domain.toString(),
      address: address.toString(),
      mechanism: mechanism.toString(),
      key: credential?.length === 32 ? encodeZ85(credential) : null,
    });
    try {
      await zap.send([path, delimiter, version, id, admitted ? '200' : '400', '', '', '']);
    } catch {
      // The connection is gone, or the agent ends, where zeromq throws at once: it needs no answer.
    }
  }
}

const z85Digits =
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** ZeroMQ RFC 32; the length is a multiple of 4. */
export function encodeZ85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const word = view.getUint32(offset);
    for (let divisor = 85 ** 4; divisor >= 1; divisor /= 85) {
      text += z85Digits.charAt(Math.floor(word / divisor) % 85);
    }
  }
  return text;
}

export type SendOutcome = 'sent' | 'full' | 'gone';

function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null;
}

/** The messages of a socket. zeromq may throw where a socket is closed while it is being read. */
async function* untilClosed(socket: Router | XPublisher): AsyncGenerator<Buffer[], void> {
  try {
    for await (const frames of socket) yield frames;
  } catch (error) {
    if (!socket.closed) throw error;
  }
}

/** zeromq's own emitter leaves a rejection unhandled when the socket is closed. */
async function observeSocket(socket: Router, listener: (event: Event) => void): Promise<void> {
  const observer = socket.events;
  try {
    for await (const event of observer) listener(event);
  } catch (error) {
    if (!socket.closed && !observer.closed) throw error;
  }
}

/** ROUTER: every message bears the routing id that the socket gave to its connection. */
export class CallSocket {
  readonly #socket: Router;

  constructor(socket: Router) {
    this.#socket = socket;
  }

  /** `path` is absolute. The file gets the mode that the umask leaves. */
  bind(path: string): void {
    this.#socket.bindSync(`ipc://${path}`);
  }

  /** Calls back when some connection ends, and when a handshake fails for a reason other than admission. */
  observe(onDisconnect: () => void, onRefusal: (reason: string) => void): void {
    void observeSocket(this.#socket, (event) => {
      if (event.type === 'disconnect') onDisconnect();
      if (event.type === 'handshake:error:protocol' || event.type === 'handshake:error:other') {
        onRefusal(`${event.type} ${event.error.message}`);
      }
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer[], void> {
    return untilClosed(this.#socket);
  }

  /** Takes effect before it returns; the promise tells how it went. */
  async send(route: Buffer, message: string): Promise<SendOutcome> {
    if (this.#socket.closed) return 'gone';
    try {
      await this.#socket.send([route, message]);
      return 'sent';
    } catch (error) {
      switch (errorCode(error)) {
        case 'EAGAIN':
          return 'full';
        case 'EHOSTUNREACH':
        case 'EBADF':
        case 'ENOTSOCK':
          return 'gone';
        default:
          throw error;
      }
    }
  }

  close(linger: number): void {
    if (this.#socket.closed) return;
    this.#socket.linger = linger;
    this.#socket.close();
  }
}

/** XPUB: as PUB, but it hears the subscriptions. */
export class StreamSocket {
  readonly #socket: XPublisher;

  constructor(socket: XPublisher) {
    this.#socket = socket;
  }

  bind(path: string): void {
    this.#socket.bindSync(`ipc://${path}`);
  }

  /** Calls back with the topic of every new subscription until the socket is closed. */
  async onSubscription(listener: (topic: string) => Promise<void>): Promise<void> {
    for await (const [frame] of untilClosed(this.#socket)) {
      if (frame?.[0] !== 1) continue;
      const prefix = frame.subarray(1).toString();
      // Whoever asks for anything else hears nothing of it, or too much: that is theirs to sort out.
      if (prefix.endsWith('\n')) await listener(prefix.slice(0, -1));
    }
  }

  /** A subscriber that does not keep up loses messages; sequence numbers show it. */
  send(topic: string, message: string): void {
    if (this.#socket.closed) return;
    this.#socket.send(publicationFrame(topic, message)).catch((error: unknown) => {
      if (!this.#socket.closed && errorCode(error) !== 'EAGAIN') throw error;
    });
  }

  close(): void {
    if (!this.#socket.closed) this.#socket.close();
  }
}
