/** The agent's end of the transport. */
import { randomUUID } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import type { z } from 'zod';
import {
  type AgentStreamName,
  agentStreams,
  type AgentStreams,
  fail,
  type Publication,
  type Result,
  succeed,
} from '../api/index.ts';
import { decideAdmission, type EnrolledClient, EnrolmentFile } from './admission.ts';
import { Dispatcher } from './dispatcher.ts';
import { Door } from './door.ts';
import type { AgentHandlers } from './handlers.ts';
import type { TransportLog } from './log.ts';
import { type AdmissionRequest, type CurveKeyPair, SocketContext } from './socket.ts';
import { checkOwnDirectory, doorPath } from './socket-file.ts';

/** Milliseconds between pulses, which let a subscriber notice that the last messages of a stream were lost. */
const pulseInterval = 1_000;
/** Pulses that follow the last publication: one of them may be lost like what it tells of. */
const pulsesAfterPublication = 3;
/** Where a change of the enrolment file is not told by inotify. */
const enrolmentInterval = 2_000;

export interface AgentServerOptions {
  /** The realm's runtime directory; it holds `enrolled.json` and takes the sockets. */
  readonly directory: string;
  readonly keys: CurveKeyPair;
  readonly handlers: AgentHandlers;
  readonly log: TransportLog;
  /** Whether what handlers give is checked against the contract: in tests and in development. */
  readonly checkResults?: boolean;
}

/**
 * Binds the doors of all who are enrolled, now and later, and answers their calls.
 *
 *     const server = new AgentServer({ directory, keys, handlers, log });
 *     const started = await server.start();
 *     server.publish('labs', event);
 *     await server.close();
 */
export class AgentServer {
  /** Tells the sequence numbers of this run from those of another. */
  readonly incarnation = randomUUID();
  readonly #options: AgentServerOptions;
  readonly #context = new SocketContext();
  readonly #enrolment: EnrolmentFile;
  readonly #dispatcher: Dispatcher;
  readonly #doors = new Map<string, Door>();
  readonly #sequences = new Map<AgentStreamName, number>();
  #watcher: FSWatcher | null = null;
  #timers: NodeJS.Timeout[] = [];
  #turn: Promise<void> = Promise.resolve();
  #problem: string | null = null;
  #pulses = 0;
  #state: 'new' | 'open' | 'closed' = 'new';

  constructor(options: AgentServerOptions) {
    this.#options = options;
    this.#enrolment = new EnrolmentFile(options.directory);
    this.#dispatcher = new Dispatcher({
      handlers: options.handlers,
      checkResults: options.checkResults ?? process.env['NODE_ENV'] === 'test',
      onBug: (call, error) =>
        options.log({
          event: 'handler-bug',
          call,
          reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
    });
  }

  /**
   * Fails when the directory is not safe, when a socket's path is too long, or when another agent is bound there. A
   * missing or broken enrolment file admits nobody, and is used as soon as it is right.
   */
  async start(): Promise<Result<void>> {
    if (this.#state !== 'new') throw new Error('an agent server starts once');
    const checked = checkOwnDirectory(this.#options.directory);
    if (!checked.ok) return checked;
    this.#state = 'open';
    this.#context.openAdmission((request) => this.#admit(request));
    const failure = await this.#enrol();
    if (failure !== null) {
      await this.close();
      return failure;
    }
    this.#watcher = watch(this.#options.directory, (_, name) => {
      if (name === null || name.startsWith('enrolled')) this.#enrolSoon();
    });
    // Without it the interval is enough.
    this.#watcher.on('error', () => undefined);
    this.#timers = [
      setInterval(() => this.#enrolSoon(), enrolmentInterval),
      setInterval(() => this.#pulse(), pulseInterval),
    ];
    for (const timer of this.#timers) timer.unref();
    return succeed(undefined);
  }

  /** Sends a value to every subscriber of the stream. */
  publish<K extends AgentStreamName>(stream: K, value: z.infer<AgentStreams[K]>): void {
    const sequence = this.#sequences.get(stream) ?? 0;
    this.#sequences.set(stream, sequence + 1);
    this.#pulses = pulsesAfterPublication;
    if (this.#doors.size === 0) return;
    const message = JSON.stringify({
      incarnation: this.incarnation,
      sequence,
      value,
    } satisfies Publication);
    for (const door of this.#doors.values()) door.publish(stream, message);
  }

  /** Aborts every call that does not outlive its caller, lets the last answers leave, and unbinds. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#watcher?.close();
    for (const timer of this.#timers) clearInterval(timer);
    await this.#turn;
    // What was answered in this turn of the loop leaves first.
    await new Promise((resolve) => setImmediate(resolve));
    for (const door of this.#doors.values()) door.close('agent-stops', 500);
    this.#doors.clear();
    this.#context.close();
  }

  #admit(request: AdmissionRequest): boolean {
    const [kind = '', ...rest] = request.domain.split(':');
    const doorKey = rest.join(':');
    const clients = this.#enrolment.read();
    const { admitted, reason, uid, pid } = decideAdmission(request, doorKey, clients);
    const client = clients.find(({ key }) => key === request.key)?.name ?? null;
    const { key } = request;
    this.#options.log({
      event: 'admission',
      admitted,
      reason,
      door: kind,
      key,
      client,
      uid,
      pid,
    });
    return admitted;
  }

  #enrolSoon(): void {
    if (this.#state !== 'open') return;
    this.#turn = this.#turn.then(async () => {
      await this.#enrol();
    });
  }

  /** Opens and closes doors as the enrolment file says; the first failure, if any, after trying all. */
  async #enrol(): Promise<ReturnType<typeof fail> | null> {
    if (this.#state !== 'open') return null;
    const { directory, keys, log } = this.#options;
    const clients = this.#enrolment.read();
    const { problem } = this.#enrolment;
    if (problem !== null && problem !== this.#problem) {
      log({ event: 'enrolment-unusable', reason: problem });
    }
    this.#problem = problem;
    for (const [key, door] of [...this.#doors]) {
      const now = clients.find((client) => client.key === key);
      if (now !== undefined && sameRights(now, door.client)) continue;
      door.close('revoked', 0);
      this.#doors.delete(key);
      log({ event: 'door-closed', client: door.client.name });
    }
    let failure: ReturnType<typeof fail> | null = null;
    const paths = new Set([...this.#doors.keys()].map((key) => doorPath(directory, 'call', key)));
    for (const client of clients) {
      if (this.#doors.has(client.key)) continue;
      const path = doorPath(directory, 'call', client.key);
      // Two keys that begin alike: zeromq would let the second take the first one's socket.
      if (paths.has(path)) {
        log({
          event: 'door-failed',
          client: client.name,
          reason: 'Its socket is another client’s.',
        });
        continue;
      }
      const door = await this.#openDoor(client, keys);
      if (door.ok) {
        paths.add(path);
        this.#doors.set(client.key, door.value);
        const { name, access, uid } = client;
        log({ event: 'door-opened', client: name, access, uid });
      } else {
        failure ??= door;
        log({ event: 'door-failed', client: client.name, reason: door.failure.reason });
      }
    }
    return failure;
  }

  async #openDoor(client: EnrolledClient, keys: CurveKeyPair): Promise<Result<Door>> {
    const { directory, log } = this.#options;
    try {
      return await Door.open({
        directory,
        keys,
        client,
        context: this.#context,
        dispatcher: this.#dispatcher,
        log,
        streamState: () => this.#streamState(),
      });
    } catch (error) {
      return fail({
        kind: 'storage',
        code: 'socket-not-bound',
        object: doorPath(directory, 'call', client.key),
        reason: `The socket could not be made: ${error instanceof Error ? error.message : String(error)}.`,
        next: 'Check the realm’s runtime directory.',
      });
    }
  }

  /** The number that the next message of each stream will have. */
  #streamState(): string {
    const streams = Object.keys(agentStreams).filter((name) => name in agentStreams);
    const next: Record<string, number> = {};
    for (const [stream, sequence] of this.#sequences) next[stream] = sequence;
    for (const stream of streams) next[stream] ??= 0;
    return JSON.stringify({
      incarnation: this.incarnation,
      sequence: 0,
      value: next,
    } satisfies Publication);
  }

  #pulse(): void {
    if (this.#pulses === 0) return;
    this.#pulses -= 1;
    const message = this.#streamState();
    for (const door of this.#doors.values()) door.publish('pulse', message);
  }
}

function sameRights(left: EnrolledClient, right: EnrolledClient): boolean {
  return left.uid === right.uid && left.access === right.access && left.name === right.name;
}
