/** A capture session in a thread of its own: what passes between it and the agent's. */
import { Worker } from 'node:worker_threads';
import { fail, type Failure, type Result } from '../api/result.ts';
import type { CaptureSession, SessionEvent } from './capture-session.ts';

/** What may be asked of a session. */
export const sessionCalls = [
  'open',
  'changePlaces',
  'stop',
  'rows',
  'packet',
  'sightings',
  'flows',
  'read',
] as const satisfies readonly (keyof CaptureSession)[];
export type SessionCall = (typeof sessionCalls)[number];

export type SessionPort = Pick<CaptureSession, SessionCall>;

export type SessionOrder =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly call: SessionCall;
      readonly argument: unknown;
    }
  | { readonly kind: 'close' };

export type SessionReply =
  | { readonly kind: 'result'; readonly id: number; readonly result: Result<unknown> }
  /** An exception, which is a bug. */
  | { readonly kind: 'thrown'; readonly id: number; readonly reason: string }
  | { readonly kind: 'event'; readonly event: SessionEvent }
  | { readonly kind: 'closed' };

/** Milliseconds that a thread has to close its descriptors. */
const closePatience = 3_000;

interface Waiting {
  readonly resolve: (result: Result<unknown>) => void;
  readonly reject: (error: Error) => void;
}

/** The agent's end. Rejects when the thread has thrown, and all when it has ended. */
export class SessionThread implements SessionPort {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;
  private ended: Error | null = null;
  private closing: Promise<void> | null = null;
  private onClosed: () => void = () => undefined;

  /** `onBroken` is called when the thread ends although nobody has closed it. */
  constructor(
    program: string,
    onEvent: (event: SessionEvent) => void,
    onBroken: (error: Error) => void,
  ) {
    this.worker = new Worker(program, { name: 'capture' });
    this.worker.unref();
    this.worker.on('message', (reply: SessionReply) => {
      if (reply.kind === 'event') onEvent(reply.event);
      else if (reply.kind === 'closed') this.onClosed();
      else this.settle(reply);
    });
    const end = (error: Error): void => {
      if (this.ended !== null) return;
      this.ended = error;
      for (const waiting of this.waiting.values()) this.refuse(waiting, error);
      this.waiting.clear();
      this.onClosed();
      if (this.closing === null) onBroken(error);
    };
    this.worker.on('error', (error) => {
      end(error instanceof Error ? error : new Error(String(error)));
    });
    this.worker.on('exit', (code) => {
      end(new Error(`The thread of the capture has ended (${String(code)}).`));
    });
  }

  private settle(reply: Extract<SessionReply, { kind: 'result' | 'thrown' }>): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if (reply.kind === 'result') waiting?.resolve(reply.result);
    else if (waiting !== undefined) this.refuse(waiting, new Error(reply.reason));
  }

  /** Whoever asks while it is being closed has come too late, and nothing is wrong. */
  private refuse({ resolve, reject }: Waiting, error: Error): void {
    if (this.closing === null) reject(error);
    else resolve(fail(captureEnded));
  }

  private ask<C extends SessionCall>(call: C, argument: unknown): ReturnType<CaptureSession[C]> {
    const asked = new Promise<Result<unknown>>((resolve, reject) => {
      if (this.ended !== null || this.closing !== null) {
        this.refuse({ resolve, reject }, this.ended ?? new Error('The capture is being closed.'));
        return;
      }
      const id = this.nextId;
      this.nextId += 1;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ kind: 'call', id, call, argument } satisfies SessionOrder);
    });
    // The other end runs the very method of this name.
    return asked as unknown as ReturnType<CaptureSession[C]>;
  }

  open: SessionPort['open'] = (request) => this.ask('open', request);
  changePlaces: SessionPort['changePlaces'] = (changes) => this.ask('changePlaces', changes);
  stop: SessionPort['stop'] = () => this.ask('stop', undefined);
  rows: SessionPort['rows'] = (args) => this.ask('rows', args);
  packet: SessionPort['packet'] = (number) => this.ask('packet', number);
  sightings: SessionPort['sightings'] = (number) => this.ask('sightings', number);
  flows: SessionPort['flows'] = (count) => this.ask('flows', count);
  read: SessionPort['read'] = (args) => this.ask('read', args);

  /** Resolves when its descriptors are closed and the thread is gone. */
  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    if (this.ended === null) {
      await new Promise<void>((resolve) => {
        const timeout = setTimeout(resolve, closePatience);
        this.onClosed = () => {
          clearTimeout(timeout);
          resolve();
        };
        this.worker.postMessage({ kind: 'close' } satisfies SessionOrder);
      });
    }
    await this.worker.terminate();
  }
}

const captureEnded: Failure = {
  kind: 'unknown-object',
  code: 'capture-ended',
  object: 'capture',
  reason: 'The capture has ended.',
  next: 'Start it again.',
};
