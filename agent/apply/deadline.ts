/**
 * The deadline of a change that could cut people off. It is held by a directory and by a watchdog process that outlives
 * the agent; whether the change stays or goes is decided by one rename, which succeeds once.
 */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { stateFiles } from '../api/realm-files.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { parseProcessStat } from '../kernel/process-table.ts';
import { startProcess } from '../kernel/process.ts';
import type { Operation } from '../lab/operation.ts';
import {
  hasCode,
  readTextFile,
  storageFailure,
  syncDirectory,
  writeDurably,
} from './durable-file.ts';
import { delay } from './pace.ts';
import { deadlineFiles, revertScript, watchdogScript } from './watchdog-script.ts';

export type Verdict = 'pending' | 'confirmed' | 'reverting' | 'missing';

/** Seconds beyond the deadline that a change may take to be carried out and verified, and seconds an operation. */
const executionAllowance = 30;
const operationAllowance = 0.05;
/** Milliseconds until a watchdog must have said that it runs, and until one must have taken everything back. */
const startPatience = 10_000;
const revertPatience = 60_000;

/** Seconds since boot, also those that the machine slept. */
export function bootTime(): number {
  const [seconds] = readFileSync('/proc/uptime', 'latin1').split(' ');
  return Number(seconds);
}

function startTimeOf(pid: number): string | null {
  try {
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return null;
    return String(stat.startTime);
  } catch {
    return null;
  }
}

export class Deadline {
  /** Names the change; the id of its journal. */
  readonly token: string;
  private readonly directory: string;

  constructor(stateDirectory: string, token: string) {
    this.token = token;
    this.directory = join(stateDirectory, stateFiles.deadlines, token);
  }

  /** Prepares everything and starts the watchdog; on success that runs. Nothing is left behind on failure. */
  async arm(lab: string, within: number, operations: readonly Operation[]): Promise<Result<void>> {
    const allowance = executionAllowance + operations.length * operationAllowance;
    const armed = this.write(lab, Math.ceil(bootTime() + within + allowance), operations);
    const started = armed.ok ? await this.startWatchdog() : armed;
    if (!started.ok) this.clear();
    return started;
  }

  private write(lab: string, end: number, operations: readonly Operation[]): Result<void> {
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      return fail(storageFailure(this.directory, error));
    }
    for (const [name, text] of [
      [deadlineFiles.watchdog, watchdogScript],
      [deadlineFiles.revert, revertScript(lab, operations)],
      [deadlineFiles.deadline, `${end}\n`],
      [deadlineFiles.agent, `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`],
      [deadlineFiles.pending, `${lab}\n`],
    ] as const) {
      const written = writeDurably(this.path(name), text);
      if (!written.ok) return written;
    }
    return succeed(undefined);
  }

  private async startWatchdog(): Promise<Result<void>> {
    rmSync(this.path(deadlineFiles.ready), { force: true });
    let log: number;
    try {
      const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
      log = openSync(
        this.path(deadlineFiles.log),
        O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
        0o600,
      );
    } catch (error) {
      return fail(storageFailure(this.directory, error));
    }
    try {
      const started = startProcess({
        file: 'sh',
        args: [this.path(deadlineFiles.watchdog), this.directory],
        purpose: 'taking a change back that nobody confirms',
        channels: ['ignore', 'ignore', log],
        ownSession: true,
        background: true,
      });
      if (!started.ok) return started;
      const { pid } = started.value;
      const limit = performance.now() + startPatience;
      while (performance.now() < limit) {
        if (this.watchdogLives(pid)) return succeed(undefined);
        await delay(10);
      }
      started.value.kill('SIGKILL');
      return fail(notStarted(this.directory));
    } finally {
      closeSync(log);
    }
  }

  /** Whether the process that said that it is the watchdog is there; of this pid, where one is given. */
  watchdogLives(expected?: number): boolean {
    const text = readTextFile(this.path(deadlineFiles.ready));
    if (!text.ok || text.value === null) return false;
    const [pid = 0, start = ''] = text.value.trim().split(' ');
    if (expected !== undefined && Number(pid) !== expected) return false;
    return start !== '' && startTimeOf(Number(pid)) === start;
  }

  /** Gives the whole time from now on: the change is in place, and somebody is asked. */
  begin(within: number): Result<void> {
    return writeDurably(this.path(deadlineFiles.deadline), `${Math.ceil(bootTime() + within)}\n`);
  }

  /** Another agent sees to it now; a watchdog that has died is started again. */
  async adopt(): Promise<Result<void>> {
    const text = `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`;
    const written = writeDurably(this.path(deadlineFiles.agent), text);
    if (!written.ok || this.watchdogLives()) return written;
    return this.startWatchdog();
  }

  verdict(): Verdict {
    for (const name of ['confirmed', 'reverting', 'pending'] as const) {
      if (existsSync(this.path(deadlineFiles[name]))) return name;
    }
    // Between two looks it may have been renamed.
    if (existsSync(this.path(deadlineFiles.confirmed))) return 'confirmed';
    return existsSync(this.path(deadlineFiles.reverting)) ? 'reverting' : 'missing';
  }

  /** Decides; false when it is decided already. */
  claim(verdict: 'confirmed' | 'reverting'): Result<boolean> {
    try {
      renameSync(this.path(deadlineFiles.pending), this.path(deadlineFiles[verdict]));
      syncDirectory(this.directory);
      return succeed(true);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return succeed(false);
      return fail(storageFailure(this.directory, error));
    }
  }

  /** Milliseconds; 0 when it has passed or cannot be read. */
  remaining(): number {
    const text = readTextFile(this.path(deadlineFiles.deadline));
    if (!text.ok || text.value === null) return 0;
    return Math.max(0, (Number(text.value) - bootTime()) * 1000);
  }

  /** Waits until the watchdog has taken everything back, or is no more. */
  async settled(): Promise<void> {
    const limit = performance.now() + revertPatience;
    while (performance.now() < limit) {
      if (existsSync(this.path(deadlineFiles.done)) || !this.watchdogLives()) return;
      await delay(50);
    }
  }

  /** Says that everything is taken back; the watchdog ends. */
  conclude(): void {
    const path = this.path(deadlineFiles.done);
    try {
      const descriptor = openSync(path, 'w', 0o600);
      try {
        writeSync(descriptor, 'agent\n');
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // Then the watchdog takes back once more what is taken back: nothing.
    }
  }

  /** Removes everything; a watchdog that finds nothing ends. */
  clear(): void {
    try {
      rmSync(this.directory, { recursive: true, force: true });
    } catch {
      // What stays has no journal, and says nothing any more.
    }
  }

  private path(name: string): string {
    return join(this.directory, name);
  }
}

/** Removes what transactions left that are over. */
export function clearDeadlines(stateDirectory: string, kept: string | null): void {
  const directory = join(stateDirectory, stateFiles.deadlines);
  try {
    for (const name of readdirSync(directory)) {
      if (name !== kept) rmSync(join(directory, name), { recursive: true, force: true });
    }
  } catch {
    // There are none.
  }
}

function notStarted(directory: string): Failure {
  return {
    kind: 'process',
    code: 'watchdog-not-started',
    object: directory.slice(0, 512),
    reason: 'The process that would take the change back did not start, so nothing was changed.',
    next: 'Look at the space and the permissions of the state directory, then try again.',
  };
}
