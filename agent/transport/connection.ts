/** One client's connection to its door, for as long as it has calls or answers that are under way. */
import { maximumMessageSize, type Reply } from '../api/index.ts';
import { messageTooLarge } from './failures.ts';
import { CallCancelled } from './handlers.ts';
import type { SendOutcome } from './socket.ts';

/** Bytes of answers that wait for a client that does not read; beyond it the client counts as gone. */
const longestBacklog = 16 * 1024 * 1024;
const firstRetry = 2;
const lastRetry = 100;

export interface ConnectionOptions {
  readonly send: (message: string) => Promise<SendOutcome>;
  /** Called once, when the client is gone or reads nothing. */
  readonly onGone: (reason: 'gone' | 'slow') => void;
  /** Called when nothing is under way any more. */
  readonly onIdle: () => void;
}

interface RunningCall {
  readonly name: string;
  readonly abort: AbortController;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #calls = new Map<number, RunningCall>();
  #backlog: string[] = [];
  #backlogBytes = 0;
  #pumping = false;
  #gone = false;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get callCount(): number {
    return this.#calls.size;
  }

  has(id: number): boolean {
    return this.#calls.has(id);
  }

  begin(id: number, name: string): AbortSignal {
    const abort = new AbortController();
    this.#calls.set(id, { name, abort });
    return abort.signal;
  }

  cancel(id: number): void {
    this.#calls.get(id)?.abort.abort(new CallCancelled('asked'));
  }

  /** For a message that began nothing and gets no answer. */
  forgetIfIdle(): void {
    this.#reportIdle();
  }

  /** Sends a reply; a result or failure ends its call. */
  reply(reply: Reply): void {
    if (reply.kind !== 'progress') this.#calls.delete(reply.id);
    if (!this.#gone) this.#enqueue(encodeReply(reply));
    this.#reportIdle();
  }

  /** An empty message, which clients ignore: it fails when nobody is there. */
  async probe(): Promise<void> {
    if (this.#gone || this.#backlog.length > 0) return;
    if ((await this.#options.send('')) === 'gone') this.#end('gone');
  }

  /** Gives up on the client: its calls are aborted unless they outlive it. */
  abandon(origin: CallCancelled['origin'], outlives: (name: string) => boolean): void {
    this.#gone = true;
    this.#backlog = [];
    this.#backlogBytes = 0;
    if (this.#retry !== null) clearTimeout(this.#retry);
    for (const { name, abort } of this.#calls.values()) {
      if (!outlives(name)) abort.abort(new CallCancelled(origin));
    }
    this.#reportIdle();
  }

  #enqueue(message: string): void {
    this.#backlog.push(message);
    this.#backlogBytes += message.length;
    if (this.#backlogBytes > longestBacklog) this.#end('slow');
    else void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    let delay = firstRetry;
    for (;;) {
      const message = this.#backlog[0];
      if (message === undefined) break;
      const outcome = await this.#options.send(message);
      if (this.#gone) break;
      if (outcome === 'gone') {
        this.#end('gone');
        break;
      }
      if (outcome === 'sent') {
        this.#backlog.shift();
        this.#backlogBytes -= message.length;
        delay = firstRetry;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#retry = setTimeout(resolve, delay);
      });
      delay = Math.min(2 * delay, lastRetry);
    }
    this.#pumping = false;
    this.#reportIdle();
  }

  #end(reason: 'gone' | 'slow'): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#options.onGone(reason);
  }

  #reportIdle(): void {
    if (this.#calls.size === 0 && this.#backlog.length === 0) this.#options.onIdle();
  }
}

/** A reply as text. What is larger than a client takes becomes a failure that says so. */
function encodeReply(reply: Reply): string {
  const text = JSON.stringify(reply);
  // A UTF-16 unit has at most 3 bytes in UTF-8: most messages need no count.
  if (text.length * 3 <= maximumMessageSize) return text;
  const size = Buffer.byteLength(text);
  if (size <= maximumMessageSize) return text;
  return JSON.stringify({
    kind: 'failure',
    id: reply.id,
    failure: messageTooLarge('answer', size),
  } satisfies Reply);
}
