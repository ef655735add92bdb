/**
 * The pair of sockets through which one enrolled key is heard. zeromq tells the ZAP handler whose key a connection has,
 * but tells nobody whose connection a message came from; routing ids are the client's own choice. So every key gets
 * sockets of its own, with ZAP domains of its own, which admit that key alone: what arrives there is from it.
 */
import { maximumMessageSize, type Result, succeed } from '../api/index.ts';
import type { EnrolledClient } from './admission.ts';
import { Connection } from './connection.ts';
import { type Dispatcher, noRequest, parseRequest } from './dispatcher.ts';
import { invalidRequest, messageTooLarge, tooManyCalls } from './failures.ts';
import type { CallCancelled, Peer } from './handlers.ts';
import type { TransportLog } from './log.ts';
import { Pace } from './pace.ts';
import type { CallSocket, CurveKeyPair, SocketContext, StreamSocket } from './socket.ts';
import { bindPrivately, checkSocketPath, clearStaleSocket, doorPath } from './socket-file.ts';

/** Calls of one key that may be under way at once. */
export const maximumCalls = 256;

/**
 * Calls that go on when their caller is gone. A transaction is finished, since half of one is worth nothing to anybody;
 * everything else was for the caller alone.
 */
export const callsThatOutliveTheirCaller: ReadonlySet<string> = new Set(['lab.apply']);

const outlives = (name: string): boolean => callsThatOutliveTheirCaller.has(name);

/** After zeromq has said that some connection ended: when to look which, in milliseconds. */
const probesAfterDisconnect = [1, 20, 200] as const;
const probeInterval = 2_000;

export interface DoorOptions {
  readonly directory: string;
  readonly keys: CurveKeyPair;
  readonly client: EnrolledClient;
  readonly context: SocketContext;
  readonly dispatcher: Dispatcher;
  readonly log: TransportLog;
  /** The state of all streams as one message, for a subscriber that starts. */
  readonly streamState: () => string;
}

export function doorDomains(key: string): { readonly call: string; readonly stream: string } {
  return { call: `call:${key}`, stream: `stream:${key}` };
}

export class Door {
  readonly client: EnrolledClient;
  readonly #options: DoorOptions;
  readonly #calls: CallSocket;
  readonly #streams: StreamSocket;
  readonly #connections = new Map<string, Connection>();
  readonly #prober: NodeJS.Timeout;
  #closed = false;

  private constructor(options: DoorOptions, calls: CallSocket, streams: StreamSocket) {
    this.client = options.client;
    this.#options = options;
    this.#calls = calls;
    this.#streams = streams;
    this.#prober = setInterval(() => this.#probe(), probeInterval);
    this.#prober.unref();
  }

  static async open(options: DoorOptions): Promise<Result<Door>> {
    const { directory, client, keys, context, log } = options;
    const paths = {
      call: doorPath(directory, 'call', client.key),
      stream: doorPath(directory, 'stream', client.key),
    };
    for (const path of [paths.call, paths.stream]) {
      const checked = checkSocketPath(path);
      if (!checked.ok) return checked;
      const cleared = await clearStaleSocket(path);
      if (!cleared.ok) return cleared;
    }
    const domains = doorDomains(client.key);
    const calls = context.openCallSocket(keys, domains.call);
    const streams = context.openStreamSocket(keys, domains.stream);
    const door = new Door(options, calls, streams);
    calls.observe(
      () => door.#onDisconnect(),
      (reason) => log({ event: 'handshake-failed', client: client.name, reason }),
    );
    try {
      bindPrivately(paths.call, client.uid, () => calls.bind(paths.call));
      bindPrivately(paths.stream, client.uid, () => streams.bind(paths.stream));
    } catch (error) {
      door.close('agent-stops', 0);
      throw error;
    }
    void door.#serve();
    void door.#serveSubscriptions();
    return succeed(door);
  }

  publish(topic: string, message: string): void {
    this.#streams.send(topic, message);
  }

  /** `linger` is how long, in milliseconds, the last answers may take to leave. */
  close(origin: CallCancelled['origin'], linger: number): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#prober);
    for (const connection of [...this.#connections.values()]) connection.abandon(origin, outlives);
    this.#connections.clear();
    this.#calls.close(linger);
    this.#streams.close();
  }

  get #callCount(): number {
    let count = 0;
    for (const connection of this.#connections.values()) count += connection.callCount;
    return count;
  }

  async #serve(): Promise<void> {
    const pace = new Pace();
    for await (const frames of this.#calls) {
      this.#receive(frames);
      await pace.wait();
    }
  }

  async #serveSubscriptions(): Promise<void> {
    const pace = new Pace();
    await this.#streams.onSubscription(async (topic) => {
      // Subscriptions of a client are heard in their order: the earlier ones hold by now, and this answer says from
      // which message on.
      if (/^sync:[0-9a-f-]{1,64}$/.test(topic)) {
        this.#streams.send(topic, this.#options.streamState());
      }
      await pace.wait();
    });
  }

  #receive(frames: readonly Buffer[]): void {
    const [route, body] = frames;
    if (route === undefined) return;
    const connection = this.#connectionOf(route);
    const refuse = (id: number, failure: ReturnType<typeof messageTooLarge>): void => {
      this.#options.log({
        event: 'request-refused',
        client: this.client.name,
        code: failure.code,
        object: failure.object,
        reason: failure.reason,
      });
      // Not an answer to the call of that id, if there is one: that one still gets its own.
      connection.reply({
        kind: 'failure',
        id: connection.has(id) ? noRequest : id,
        failure,
      });
    };
    if (body === undefined || frames.length !== 2) {
      const reason = `It has ${frames.length - 1} frames instead of one.`;
      return refuse(noRequest, invalidRequest('wrong-frames', 'request', reason));
    }
    if (body.length > maximumMessageSize) {
      return refuse(noRequest, messageTooLarge('request', body.length));
    }
    const incoming = parseRequest(body);
    if (incoming.kind === 'bad') return refuse(incoming.id, incoming.failure);
    const { request } = incoming;
    if (request.kind === 'cancel') {
      connection.cancel(request.id);
      return connection.forgetIfIdle();
    }
    if (connection.has(request.id)) {
      const reason = `A call with the id ${request.id} is under way.`;
      return refuse(noRequest, invalidRequest('duplicate-id', request.call, reason));
    }
    if (this.#callCount >= maximumCalls) return refuse(request.id, tooManyCalls(maximumCalls));
    const signal = connection.begin(request.id, request.call);
    void this.#options.dispatcher.run(request.call, request.args, {
      signal,
      id: request.id,
      peer: this.#peer(route),
      reply: (reply) => {
        if (reply.kind === 'failure' && reply.failure.kind === 'invalid-request') {
          const { code, object, reason } = reply.failure;
          const client = this.client.name;
          this.#options.log({ event: 'request-refused', client, code, object, reason });
        }
        connection.reply(reply);
      },
    });
  }

  #peer(route: Buffer): Peer {
    const { key, name, uid, access } = this.client;
    return { key, name, uid, access, connection: route.toString('hex') };
  }

  #connectionOf(route: Buffer): Connection {
    const id = route.toString('hex');
    const known = this.#connections.get(id);
    if (known !== undefined) return known;
    const address = Buffer.from(route);
    const connection = new Connection({
      send: (message) => this.#calls.send(address, message),
      onGone: (reason) => {
        const { callCount } = connection;
        if (this.#connections.get(id) === connection) this.#connections.delete(id);
        connection.abandon('caller-gone', outlives);
        if (callCount > 0 || reason === 'slow') {
          const event = reason === 'slow' ? 'client-too-slow' : 'client-gone';
          this.#options.log({ event, client: this.client.name, calls: callCount });
        }
      },
      onIdle: () => {
        if (this.#connections.get(id) === connection) this.#connections.delete(id);
      },
    });
    this.#connections.set(id, connection);
    return connection;
  }

  #onDisconnect(): void {
    for (const delay of probesAfterDisconnect) setTimeout(() => this.#probe(), delay).unref();
  }

  #probe(): void {
    if (this.#closed) return;
    for (const connection of this.#connections.values()) void connection.probe();
  }
}
