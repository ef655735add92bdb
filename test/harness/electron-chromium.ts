/** Part of the stand-in for Electron: Debian's Chromium, spoken to over the pipe of its DevTools protocol. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { chromiumFlags, chromiumPath } from './chromium-flags.ts';

export type Fields = Readonly<Record<string, unknown>>;

export interface ProtocolEvent {
  readonly method: string;
  readonly params: Fields;
  readonly sessionId: string;
}

interface Waiting {
  readonly method: string;
  resolve(value: Fields): void;
  reject(error: Error): void;
}

/** Reads a text field of a message of the protocol. */
export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}

export function fieldsOf(fields: Fields, name: string): Fields {
  const value = fields[name];
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

/** Emits `event` with a ProtocolEvent. */
export class Chromium extends EventEmitter {
  private readonly process: ChildProcess;
  private readonly input: Writable;
  private readonly waiting = new Map<number, Waiting>();
  private readonly profile: string;
  private lastId = 0;

  constructor(profile: string, switches: readonly string[]) {
    super();
    this.profile = profile;
    mkdirSync(profile, { recursive: true });
    rmSync(path.join(profile, 'DevToolsActivePort'), { force: true });
    this.process = spawn(
      chromiumPath,
      [
        ...chromiumFlags,
        '--headless',
        '--hide-scrollbars',
        '--disable-popup-blocking',
        '--use-fake-device-for-media-stream',
        '--no-startup-window',
        '--remote-debugging-pipe',
        // For Playwright, beside us.
        '--remote-debugging-port=0',
        `--user-data-dir=${profile}`,
        ...switches,
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    const [, , , input, output] = this.process.stdio;
    this.input = input as Writable;
    this.input.on('error', () => undefined);
    let parts: string[] = [];
    (output as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      // A message may be long: what has been looked through is not looked through again.
      const [rest = '', ...complete] = chunk.split('\0').reverse();
      for (const end of complete.reverse()) {
        const message = JSON.parse(parts.join('') + end) as Fields;
        parts = [];
        this.take(message);
      }
      parts.push(rest);
    });
    this.process.once('exit', () => this.emit('exit'));
    process.once('exit', () => this.kill());
  }

  private take(message: Fields): void {
    const id = message['id'];
    if (typeof id !== 'number') {
      this.emit('event', {
        method: textOf(message, 'method'),
        params: fieldsOf(message, 'params'),
        sessionId: textOf(message, 'sessionId'),
      } satisfies ProtocolEvent);
      return;
    }
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (message['error'] === undefined) waiting?.resolve(fieldsOf(message, 'result'));
    else {
      const reason = textOf(fieldsOf(message, 'error'), 'message');
      waiting?.reject(new Error(`${waiting.method}: ${reason}`));
    }
  }

  send(method: string, params: Fields = {}, sessionId = ''): Promise<Fields> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { method, resolve, reject });
      const message = { id, method, params, ...(sessionId === '' ? {} : { sessionId }) };
      this.input.write(`${JSON.stringify(message)}\0`);
    });
  }

  /** The port for a second client; known a moment after the start. */
  async port(): Promise<number> {
    for (;;) {
      try {
        const text = readFileSync(path.join(this.profile, 'DevToolsActivePort'), 'utf8');
        const port = Number(text.split('\n')[0]);
        if (port > 0) return port;
      } catch {
        // Not yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }
}
