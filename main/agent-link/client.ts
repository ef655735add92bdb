/** The typed client of one agent: one connection, which ends when the agent does. */
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import {
  type AgentCallName,
  agentCalls,
  type AgentCalls,
  type AgentStreamName,
  agentStreams,
  type AgentStreams,
  type CallArguments,
  type CallProgress,
  type CallResult,
  fail,
  type Failure,
  maximumMessageSize,
  PublicationSchema,
  realmFiles,
  type Reply,
  ReplySchema,
  type Request,
  requestVersion,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { checkOwner } from './directories.ts';
import { isListening } from './listener.ts';
import {
  CallConnection,
  type ConnectionEnd,
  type CurveKeyPair,
  StreamConnection,
} from './socket.ts';

export interface AgentClientOptions {
  /** For messages, such as `sandbox:two-namespaces`. */
  readonly realm: string;
  /** The realm's runtime directory. */
  readonly directory: string;
  /** The person's key pair. */
  readonly keys: CurveKeyPair;
  /** Who must own the directory: the person for a sandbox, 0 for the host. */
  readonly owner: number;
  /** Milliseconds until the agent must have taken the connection. */
  readonly timeout?: number;
}

export interface CallOptions<K extends AgentCallName> {
  /** Aborting asks the agent to cancel; the call still ends with the agent's answer. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((value: CallProgress<AgentCalls, K>) => void) | undefined;
  /** Milliseconds, or null for none; the call's own when left out. */
  readonly timeout?: number | null | undefined;
}

export interface Subscription {
  readonly close: () => void;
}

interface PendingCall {
  readonly name: string;
  readonly settle: (result: Result<unknown>) => void;
  readonly progress: (value: unknown) => void;
}

interface StreamState {
  readonly name: AgentStreamName;
  readonly deliver: (value: unknown) => boolean;
  readonly onGap: () => void;
  /** Number that the next message must have; null until the agent has said. */
  next: number | null;
}

const defaultTimeout = 8_000;
const retryMilliseconds = 20;
/** How long answers that an agent gave before it ended may take to be read. */
const lastAnswersMilliseconds = 250;

/** How the doors are named; the agent's transport has the same rule. */
function doorPath(directory: string, stem: string, key: string): string {
  return join(directory, `${stem}-${Buffer.from(key.slice(0, 10)).toString('hex')}`);
}

/** Path of the socket on which the holder of this public key is heard. */
export function callSocketPath(directory: string, publicKey: string): string {
  return doorPath(directory, realmFiles.callSocket, publicKey);
}

function unreachable(realm: string, code: string, reason: string): Failure {
  return {
    kind: 'unreachable',
    code,
    object: realm,
    reason,
    next:
      realm === 'host'
        ? 'Start the agent as root: netloom agent start --realm host.'
        : `Start the agent: netloom agent start --realm ${realm}.`,
  };
}

function endFailure(realm: string, end: ConnectionEnd): Failure {
  switch (end) {
    case 'refused':
      return {
        kind: 'not-allowed',
        code: 'connection-refused',
        object: realm,
        reason: 'The agent refused this key or this user, or is not the agent that made the realm.',
        next:
          realm === 'host'
            ? 'Have this user enrolled by root: netloom agent enrol USER.'
            : 'Look at the agent’s log in the realm’s runtime directory.',
      };
    case 'not-there':
      return unreachable(realm, 'no-agent', 'No agent is listening.');
    case 'ended':
      return unreachable(realm, 'agent-lost', 'The agent has ended.');
  }
}

function schemaOf<T>(schema: z.ZodType): z.ZodType<T> {
  // The caller names the type that the contract derives from this very schema; while the name of the call is open the
  // checker does not see it.
  return schema as z.ZodType<T>;
}

export class AgentClient {
  readonly #realm: string;
  readonly #calls: CallConnection;
  readonly #streams: StreamConnection;
  readonly #pending = new Map<number, PendingCall>();
  readonly #subscriptions = new Map<AgentStreamName, StreamState>();
  readonly #syncs = new Map<string, (message: Buffer) => void>();
  readonly #ended: Promise<Failure>;
  #announceEnd: (failure: Failure) => void = () => undefined;
  #incarnation: string | null = null;
  #end: Failure | null = null;
  #nextId = 0;

  private constructor(
    options: AgentClientOptions,
    serverKey: string,
    onOpen: (what: 'call' | 'stream') => void,
  ) {
    const { realm, directory, keys } = options;
    this.#realm = realm;
    this.#ended = new Promise((resolve) => (this.#announceEnd = resolve));
    const settings = { keys, serverKey };
    const onEnd = (end: ConnectionEnd): void => this.#onEnd(endFailure(realm, end), end);
    this.#calls = new CallConnection(callSocketPath(directory, keys.publicKey), settings, {
      onOpen: () => onOpen('call'),
      onEnd,
    });
    this.#streams = new StreamConnection(
      doorPath(directory, realmFiles.streamSocket, keys.publicKey),
      settings,
      { onOpen: () => onOpen('stream'), onEnd },
    );
    void this.#calls.receive((message) => this.#onReply(message));
    void this.#streams.receive((topic, message) => this.#onPublication(topic, message));
    this.#streams.subscribe('pulse');
  }

  /**
   * Connects, or fails with `unreachable` (no agent, or no answer in time), `not-allowed` (the agent refuses the key or
   * the uid, or has another key than the one pinned) or `refused` (directory or socket belong to somebody else).
   */
  static async connect(options: AgentClientOptions): Promise<Result<AgentClient>> {
    const { realm, directory, keys, owner } = options;
    const paths = [
      callSocketPath(directory, keys.publicKey),
      doorPath(directory, realmFiles.streamSocket, keys.publicKey),
    ];
    const checked = checkDoor(realm, directory, paths, owner);
    if (!checked.ok) return checked;
    const deadline = performance.now() + (options.timeout ?? defaultTimeout);
    for (;;) {
      const left = Math.max(0, deadline - performance.now());
      const attempt = await AgentClient.#attempt(options, checked.value, left);
      if (attempt.ok) return attempt;
      const { code } = attempt.failure;
      if (code !== 'no-agent' && code !== 'connection-refused') return attempt;
      await delay(retryMilliseconds);
      // An agent that is just ending drops a connection as one that refuses it does.
      const listening = await Promise.all(paths.map(isListening));
      if (!listening.every(Boolean)) return fail(endFailure(realm, 'not-there'));
      // zeromq says the same of a queue of connections that is full for a moment as of a socket without an agent.
      if (code === 'connection-refused' || performance.now() >= deadline) return attempt;
    }
  }

  static async #attempt(
    options: AgentClientOptions,
    serverKey: string,
    milliseconds: number,
  ): Promise<Result<AgentClient>> {
    const { realm } = options;
    let open: (what: 'call' | 'stream') => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      const waiting = new Set(['call', 'stream']);
      open = (what) => {
        waiting.delete(what);
        if (waiting.size === 0) resolve();
      };
    });
    const client = new AgentClient(options, serverKey, (what) => open(what));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Failure>((resolve) => {
      timer = setTimeout(
        () => resolve(unreachable(realm, 'no-handshake', 'The agent does not answer.')),
        milliseconds,
      );
    });
    const failure = await Promise.race([opened.then(() => null), client.#ended, late]);
    clearTimeout(timer);
    if (failure === null) return succeed(client);
    client.#finish(failure);
    return fail(failure);
  }

  /** Resolves with the reason when the connection has ended, whoever ended it. */
  get ended(): Promise<Failure> {
    return this.#ended;
  }

  get isOpen(): boolean {
    return this.#end === null;
  }

  /** Makes a call. Never rejects, and ends when the agent does. */
  call<K extends AgentCallName>(
    name: K,
    args: CallArguments<AgentCalls, K>,
    options: CallOptions<K> = {},
  ): Promise<Result<CallResult<AgentCalls, K>>> {
    if (this.#end !== null) return Promise.resolve(fail(this.#end));
    const { signal, onProgress } = options;
    if (signal?.aborted === true) return Promise.resolve(fail(cancelled(name)));
    const id = this.#nextId++;
    const text = JSON.stringify({
      kind: 'call',
      version: requestVersion,
      id,
      call: name,
      args,
    } satisfies Request);
    const size = Buffer.byteLength(text);
    if (size > maximumMessageSize) return Promise.resolve(fail(tooLarge(name, size)));
    const resultSchema = schemaOf<CallResult<AgentCalls, K>>(agentCalls[name].result);
    const progressSchema = schemaOf<CallProgress<AgentCalls, K>>(agentCalls[name].progress);
    const timeout = options.timeout === undefined ? agentCalls[name].timeout : options.timeout;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const cancel = (): void => this.#send({ kind: 'cancel', version: requestVersion, id });
      const settle = (result: Result<unknown>): void => {
        if (!this.#pending.delete(id)) return;
        clearTimeout(timer);
        signal?.removeEventListener('abort', cancel);
        if (!result.ok) return resolve(result);
        const parsed = resultSchema.safeParse(result.value);
        resolve(parsed.success ? succeed(parsed.data) : fail(badAnswer(name, parsed.error)));
      };
      const progress = (value: unknown): void => {
        const parsed = progressSchema.safeParse(value);
        if (parsed.success) onProgress?.(parsed.data);
      };
      this.#pending.set(id, { name, settle, progress });
      signal?.addEventListener('abort', cancel, { once: true });
      if (timeout !== null) {
        timer = setTimeout(() => {
          cancel();
          settle(fail(timedOut(name, timeout)));
        }, timeout);
      }
      this.#sendText(text);
    });
  }

  /**
   * Subscribes to a stream; resolves when every message published from now on is delivered or reported. `onGap` says
   * that messages were lost: ask for the whole again. A stream has one subscription a client.
   */
  async subscribe<K extends AgentStreamName>(
    stream: K,
    handler: (value: z.infer<AgentStreams[K]>) => void,
    onGap: () => void,
  ): Promise<Result<Subscription>> {
    if (this.#end !== null) return fail(this.#end);
    if (this.#subscriptions.has(stream)) throw new Error(`${stream} has a subscription`);
    const schema = schemaOf<z.infer<AgentStreams[K]>>(agentStreams[stream]);
    const state: StreamState = {
      name: stream,
      deliver: (value) => {
        const parsed = schema.safeParse(value);
        if (parsed.success) handler(parsed.data);
        return parsed.success;
      },
      onGap,
      next: null,
    };
    this.#subscriptions.set(stream, state);
    this.#streams.subscribe(stream);
    const synced = await this.#sync(state);
    const close = (): void => {
      if (this.#subscriptions.get(stream) !== state) return;
      this.#subscriptions.delete(stream);
      this.#streams.unsubscribe(stream);
    };
    if (!synced.ok) {
      close();
      return synced;
    }
    return succeed({ close });
  }

  close(): void {
    this.#finish({
      kind: 'cancelled',
      code: 'client-closed',
      object: this.#realm,
      reason: 'The connection to the agent was closed.',
      next: 'Connect again.',
    });
  }

  /** Asks the agent where the streams stand, on the very path that their messages take. */
  #sync(state: StreamState): Promise<Result<void>> {
    const topic = `sync:${randomUUID()}`;
    return new Promise((resolve) => {
      const done = (result: Result<void>): void => {
        clearTimeout(timer);
        this.#syncs.delete(topic);
        this.#streams.unsubscribe(topic);
        resolve(result);
      };
      const timer = setTimeout(
        () => done(fail(unreachable(this.#realm, 'no-sync', 'The agent does not answer.'))),
        5_000,
      );
      this.#syncs.set(topic, (message) => {
        const standing = readStanding(message);
        if (standing === null) {
          return done(fail(unreachable(this.#realm, 'bad-sync', 'The agent’s answer is broken.')));
        }
        this.#incarnation = standing.incarnation;
        state.next ??= standing.next[state.name] ?? 0;
        done(succeed(undefined));
      });
      void this.#ended.then((failure) => done(fail(failure)));
      this.#streams.subscribe(topic);
    });
  }

  #onReply(message: Buffer): void {
    const reply = readReply(message);
    if (reply === null) {
      this.#finish(unreachable(this.#realm, 'broken-reply', 'The agent sent what is no reply.'));
      return;
    }
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    switch (reply.kind) {
      case 'progress':
        return pending.progress(reply.value);
      case 'result':
        return pending.settle(succeed(reply.value));
      case 'failure':
        return pending.settle(fail(reply.failure));
    }
  }

  #onPublication(topic: string, message: Buffer): void {
    const sync = this.#syncs.get(topic);
    if (sync !== undefined) return sync(message);
    if (topic === 'pulse') return this.#onPulse(message);
    const state = [...this.#subscriptions.values()].find(({ name }) => name === topic);
    // Until the agent has said where the stream stands, what comes is from before the subscription.
    if (state === undefined || state.next === null) return;
    const publication = PublicationSchema.safeParse(parseJson(message));
    if (!publication.success) return state.onGap();
    const { sequence, value, incarnation } = publication.data;
    this.#incarnation ??= incarnation;
    const lost = incarnation !== this.#incarnation || sequence > state.next;
    this.#incarnation = incarnation;
    state.next = sequence + 1;
    if (lost) state.onGap();
    if (!state.deliver(value)) state.onGap();
  }

  /** What a stream has published and we have not seen by now is lost: pulses take the same way as the messages. */
  #onPulse(message: Buffer): void {
    const standing = readStanding(message);
    if (standing === null) return;
    for (const state of this.#subscriptions.values()) {
      const next = standing.next[state.name] ?? 0;
      if (state.next === null || next <= state.next) continue;
      state.next = next;
      state.onGap();
    }
  }

  #send(request: Request): void {
    this.#sendText(JSON.stringify(request));
  }

  #sendText(text: string): void {
    if (this.#end !== null) return;
    void this.#calls.send(text).then((sent) => {
      if (!sent) this.#finish(unreachable(this.#realm, 'agent-stuck', 'The agent takes no calls.'));
    });
  }

  /**
   * zeromq tells of the end of a connection past the queue of its messages, and the stream may end before the answers:
   * what the agent said before it ended is read first.
   */
  #onEnd(failure: Failure, end: ConnectionEnd): void {
    if (end !== 'ended' || this.#pending.size === 0) return this.#finish(failure);
    setTimeout(() => this.#finish(failure), lastAnswersMilliseconds);
  }

  #finish(failure: Failure): void {
    if (this.#end !== null) return;
    this.#end = failure;
    for (const { settle } of [...this.#pending.values()]) settle(fail(failure));
    this.#subscriptions.clear();
    this.#announceEnd(failure);
    this.#calls.close();
    this.#streams.close();
  }
}

function parseJson(message: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(message.toString());
    return value;
  } catch {
    return undefined;
  }
}

function readReply(message: Buffer): Reply | null {
  return ReplySchema.safeParse(parseJson(message)).data ?? null;
}

function readStanding(
  message: Buffer,
): { readonly incarnation: string; readonly next: Readonly<Record<string, number>> } | null {
  const publication = PublicationSchema.safeParse(parseJson(message)).data;
  if (typeof publication?.value !== 'object' || publication.value === null) return null;
  const next: Record<string, number> = {};
  for (const [stream, sequence] of Object.entries(publication.value)) {
    if (typeof sequence === 'number') next[stream] = sequence;
  }
  return { incarnation: publication.incarnation, next };
}

/** Looks at who owns what before anything is sent there; gives the agent's pinned public key. */
function checkDoor(
  realm: string,
  directory: string,
  sockets: readonly string[],
  owner: number,
): Result<string> {
  const directoryCheck = checkOwner(directory, owner);
  if (!directoryCheck.ok) {
    return directoryCheck.failure.kind === 'unknown-object'
      ? fail(unreachable(realm, 'no-agent', 'The realm has no runtime directory.'))
      : directoryCheck;
  }
  for (const path of sockets) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) {
      return fail(unreachable(realm, 'no-agent', 'There is no socket for this user’s key.'));
    }
    // In a directory that only the owner can write, a socket of ours was given to us by the owner.
    if (!status.isSocket() || (status.uid !== owner && status.uid !== process.geteuid?.())) {
      return fail(foreign(path, `It belongs to uid ${status.uid} or is no socket.`));
    }
  }
  const keyFile = join(directory, realmFiles.agentPublicKey);
  try {
    const status = lstatSync(keyFile);
    if (!status.isFile() || status.uid !== owner) {
      return fail(foreign(keyFile, `It belongs to uid ${status.uid} or is no file.`));
    }
    const key = readFileSync(keyFile, 'utf8').trim();
    if (key.length === 40) return succeed(key);
    return fail(foreign(keyFile, 'It holds no key.'));
  } catch {
    return fail(unreachable(realm, 'no-agent-key', 'The agent’s public key is not there.'));
  }
}

function foreign(path: string, reason: string): Failure {
  return {
    kind: 'refused',
    code: 'foreign-socket',
    object: path.slice(0, 512),
    reason,
    next: 'Find out who made it, and remove it.',
  };
}

function cancelled(call: string): Failure {
  return {
    kind: 'cancelled',
    code: 'call-cancelled',
    object: call,
    reason: 'The call was cancelled.',
    next: 'Make the call again.',
  };
}

function timedOut(call: string, timeout: number): Failure {
  return {
    kind: 'timeout',
    code: 'call-timeout',
    object: call,
    reason: `There was no answer within ${timeout / 1000} s.`,
    next: 'Try again; if it happens again, look at the agent’s log.',
    values: { milliseconds: timeout },
  };
}

function tooLarge(call: string, size: number): Failure {
  return {
    kind: 'too-large',
    code: 'message-too-large',
    object: call,
    reason: `The message has ${size} bytes; ${maximumMessageSize} are allowed.`,
    next: 'Send less at once.',
    values: { size, limit: maximumMessageSize },
  };
}

function badAnswer(call: string, error: z.ZodError): Failure {
  return {
    kind: 'bug',
    code: 'broken-answer',
    object: call,
    reason: `The agent’s answer breaks the contract: ${error.message.slice(0, 1_500)}.`,
    next: 'Check that agent and client are of the same version, then report this.',
  };
}
