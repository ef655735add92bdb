/** The only door to zeromq in main. Client sockets with CURVE, one connection each, and bounds on what is left open. */
import { Context, curveKeyPair as makeKeyPair, Dealer, type Socket, Subscriber } from 'zeromq';
import {
  maximumMessageSize,
  parsePublicationFrame,
  publicationPrefix,
} from '../../agent/api/index.ts';

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

/** Why a connection is not there, or is there no longer. */
export type ConnectionEnd = 'refused' | 'ended' | 'not-there';

export interface ConnectionListener {
  readonly onOpen: () => void;
  readonly onEnd: (reason: ConnectionEnd) => void;
}

export interface ConnectionOptions {
  readonly keys: CurveKeyPair;
  /** The agent's public key, Z85: nobody else is spoken to. */
  readonly serverKey: string;
}

/**
 * One connection, never another: what waits for one agent must not reach the next. In milliseconds, longer than any
 * socket lives that has lost its connection; libzmq draws up to twice as much, as an int. Its own word for never, -1, ends
 * the pipe with the connection (session_base.cpp, term_endpoint), and what the agent said last is lost unread.
 */
const neverAgain = 1_000_000_000;

let sharedContext: Context | null = null;

function context(): Context {
  sharedContext ??= new Context({ blocky: false });
  return sharedContext;
}

function options({ keys, serverKey }: ConnectionOptions) {
  return {
    context: context(),
    curvePublicKey: keys.publicKey,
    curveSecretKey: keys.secretKey,
    curveServerKey: serverKey,
    maxMessageSize: maximumMessageSize,
    handshakeInterval: 10_000,
    heartbeatInterval: 5_000,
    heartbeatTimeout: 15_000,
    heartbeatTimeToLive: 15_000,
    reconnectInterval: neverAgain,
    linger: 0,
  } as const;
}

/** zeromq's own emitter leaves a rejection unhandled when the socket is closed. */
async function listen(socket: Socket, listener: ConnectionListener): Promise<void> {
  const observer = socket.events;
  let open = false;
  try {
    for await (const event of observer) {
      switch (event.type) {
        case 'handshake':
          open = true;
          listener.onOpen();
          break;
        case 'handshake:error:auth':
        case 'handshake:error:protocol':
        case 'handshake:error:other':
        case 'disconnect':
          listener.onEnd(open ? 'ended' : 'refused');
          break;
        case 'close':
          listener.onEnd(open ? 'ended' : 'not-there');
          break;
        default:
          break;
      }
    }
  } catch (error) {
    if (!socket.closed && !observer.closed) throw error;
  }
}

/** The messages of a socket. zeromq may throw where a socket is closed while it is being read. */
async function* untilClosed(socket: Dealer | Subscriber): AsyncGenerator<Buffer[], void> {
  try {
    for await (const frames of socket) yield frames;
  } catch (error) {
    if (!socket.closed) throw error;
  }
}

/** DEALER end of the call socket. */
export class CallConnection {
  readonly #socket: Dealer;

  constructor(path: string, settings: ConnectionOptions, listener: ConnectionListener) {
    this.#socket = new Dealer({ ...options(settings), sendTimeout: 0, sendHighWaterMark: 1_000 });
    void listen(this.#socket, listener);
    this.#socket.connect(`ipc://${path}`);
  }

  /** False when the agent does not take what is sent to it. */
  async send(message: string): Promise<boolean> {
    try {
      await this.#socket.send(message);
      return true;
    } catch {
      return false;
    }
  }

  /** Calls back with every message until the socket is closed. Empty ones only ask whether we are there. */
  async receive(listener: (message: Buffer) => void): Promise<void> {
    let count = 0;
    for await (const [message] of untilClosed(this.#socket)) {
      if (message !== undefined && message.length > 0) listener(message);
      // Messages that are there at once would keep everything else from running.
      if (++count % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    if (!this.#socket.closed) this.#socket.close();
  }
}

/** SUB end of the stream socket. */
export class StreamConnection {
  readonly #socket: Subscriber;

  constructor(path: string, settings: ConnectionOptions, listener: ConnectionListener) {
    this.#socket = new Subscriber({ ...options(settings), receiveHighWaterMark: 10_000 });
    void listen(this.#socket, listener);
    this.#socket.connect(`ipc://${path}`);
  }

  subscribe(topic: string): void {
    if (!this.#socket.closed) this.#socket.subscribe(publicationPrefix(topic));
  }

  unsubscribe(topic: string): void {
    if (!this.#socket.closed) this.#socket.unsubscribe(publicationPrefix(topic));
  }

  async receive(listener: (topic: string, message: Buffer) => void): Promise<void> {
    let count = 0;
    for await (const [frame] of untilClosed(this.#socket)) {
      const publication = frame === undefined ? null : parsePublicationFrame(frame);
      if (frame !== undefined && publication !== null) {
        listener(publication.topic, frame.subarray(publication.start));
      }
      if (++count % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    if (!this.#socket.closed) this.#socket.close();
  }
}
