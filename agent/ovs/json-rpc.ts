/**
 * JSON-RPC 1.0 over a unix socket, as ovsdb-server and the control sockets of Open vSwitch speak it. One connection: when it
 * has ended, it has ended.
 */
import { connect, type Socket } from 'node:net';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { answerLate, connectionLost, protocolBroken, unreachable } from './failures.ts';
import { JsonStream } from './json-stream.ts';
import { isObject, type Json } from './values.ts';

/** An answer: the result, or what the peer calls an error. */
export interface RpcAnswer {
  readonly result: Json;
  readonly error: Json;
}

export interface RpcOptions {
  /** Bytes of one message; default 256 MiB, which a database of some 100,000 rows does not reach. */
  readonly limit?: number | undefined;
  /** A message of the peer's own accord. */
  readonly onNotification?: ((method: string, params: Json) => void) | undefined;
  /** The connection is over; never called twice, nor after `close`. */
  readonly onEnd?: ((failure: Failure) => void) | undefined;
}

interface Waiting {
  readonly settle: (result: Result<RpcAnswer>) => void;
  readonly timer: NodeJS.Timeout;
}

/** Longest name of a unix socket: sun_path of unix(7) with its NUL. */
export const longestSocketPath = 107;

export class RpcConnection {
  private readonly path: string;
  private readonly socket: Socket;
  private readonly options: RpcOptions;
  private readonly waiting = new Map<number, Waiting>();
  private counter = 0;
  private over: Failure | undefined;

  private constructor(path: string, socket: Socket, options: RpcOptions) {
    this.path = path;
    this.socket = socket;
    this.options = options;
    const stream = new JsonStream(options.limit ?? 256 * 1024 * 1024);
    socket.on('data', (chunk: Buffer) => {
      if (this.over !== undefined) return;
      try {
        for (const message of stream.push(chunk)) this.take(message);
      } catch (error) {
        this.end(protocolBroken(path, error instanceof Error ? error.message : String(error)));
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.end(connectionLost(path));
    });
  }

  /** Connects, within `timeout` milliseconds. */
  static open(
    path: string,
    options: RpcOptions = {},
    timeout = 5000,
  ): Promise<Result<RpcConnection>> {
    if (Buffer.byteLength(path) > longestSocketPath) {
      // Node would cut it and connect to something else.
      return Promise.resolve(fail(unreachable(path, 'the name of the socket is too long')));
    }
    return new Promise((resolve) => {
      const socket = connect(path);
      const timer = setTimeout(() => {
        socket.destroy();
        resolve(fail(answerLate(path, timeout)));
      }, timeout);
      socket.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(fail(unreachable(path, error.code ?? error.message)));
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(succeed(new RpcConnection(path, socket, options)));
      });
    });
  }

  get ended(): boolean {
    return this.over !== undefined;
  }

  /** Asks and waits for the answer, whatever it says. */
  call(method: string, params: readonly Json[], timeout = 30_000): Promise<Result<RpcAnswer>> {
    if (this.over !== undefined) return Promise.resolve(fail(this.over));
    this.counter += 1;
    const id = this.counter;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve(fail(answerLate(this.path, timeout)));
      }, timeout);
      this.waiting.set(id, { settle: resolve, timer });
      this.send({ method, params, id });
    });
  }

  close(): void {
    this.finish(connectionLost(this.path));
  }

  private send(message: Json): void {
    this.socket.write(JSON.stringify(message));
  }

  private take(message: unknown): void {
    if (this.over !== undefined) return;
    if (!isObject(message)) {
      this.end(protocolBroken(this.path, 'a message is no object'));
      return;
    }
    const { method, id } = message;
    if (typeof method === 'string') {
      // A peer that hears nothing for a while asks whether we live (RFC 7047, section 4.1.11).
      if (method === 'echo')
        this.send({ result: message['params'] ?? [], error: null, id: id ?? null });
      else this.options.onNotification?.(method, message['params'] ?? null);
      return;
    }
    const waiting = typeof id === 'number' ? this.waiting.get(id) : undefined;
    // The answer to a question that nobody waits for any more.
    if (waiting === undefined || typeof id !== 'number') return;
    this.waiting.delete(id);
    clearTimeout(waiting.timer);
    waiting.settle(succeed({ result: message['result'] ?? null, error: message['error'] ?? null }));
  }

  private end(failure: Failure): void {
    if (this.finish(failure)) this.options.onEnd?.(failure);
  }

  private finish(failure: Failure): boolean {
    if (this.over !== undefined) return false;
    this.over = failure;
    this.socket.destroy();
    for (const { settle, timer } of this.waiting.values()) {
      clearTimeout(timer);
      settle(fail(failure));
    }
    this.waiting.clear();
    return true;
  }
}
