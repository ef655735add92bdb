/**
 * The agent's only starter of processes: an absolute program from fixed folders, an argument array, an environment of
 * its own (LC_ALL=C, so that messages are the same everywhere), never a shell.
 */
import { type ChildProcess, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { accessSync, closeSync, constants, statSync, writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import { openMemoryFile } from './native.ts';

/** Where programs are looked for; the environment's own PATH is not asked. */
export const programFolders: readonly string[] = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
];

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Absolute path of a program; undefined when it is not installed. An absolute path stands for itself. */
export function findProgram(file: string): string | undefined {
  if (file.startsWith('/')) return isProgram(file) ? file : undefined;
  if (file === '' || file.includes('/')) {
    throw new RangeError(`A program is a plain name or an absolute path: ${JSON.stringify(file)}`);
  }
  return programFolders.map((folder) => `${folder}/${file}`).find(isProgram);
}

/** How a process ended. */
export interface ProcessEnd {
  /** 0–255; null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  /** Plain name (looked up in `programFolders`) or absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  /** Why it is started, for failures: `reading the flows of br0`. */
  readonly purpose: string;
  /** Added to LC_ALL and PATH; nothing else is inherited. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly workingDirectory?: string | undefined;
  /** Namespace that the process is started in. */
  readonly namespaceFd?: number | undefined;
}

export interface StartOptions extends ProcessOptions {
  /** Descriptors for input, output and errors, and further ones; 'pipe' by default, 'ignore' for /dev/null. */
  readonly channels?:
    readonly [ProcessChannel, ProcessChannel, ProcessChannel, ...(readonly number[])] | undefined;
  /** A session of its own: it outlives the agent's terminal, and its whole group can be signalled. */
  readonly ownSession?: boolean | undefined;
  /** Let the agent end without waiting for it. */
  readonly background?: boolean | undefined;
}

export type ProcessChannel = 'pipe' | 'ignore' | number;

export interface RunningProcess {
  readonly pid: number;
  /** Present for channels that are 'pipe'. */
  readonly input: Writable | null;
  readonly output: Readable | null;
  readonly errors: Readable | null;
  /** Settles when the process has ended; pipes may still hold output then. */
  readonly exited: Promise<ProcessEnd>;
  /** Settles when it has ended and all pipes are closed. */
  readonly closed: Promise<ProcessEnd>;
  /** Signals the process; false when it has ended. */
  readonly kill: (signal: NodeJS.Signals) => boolean;
  /** Signals its process group (of a process that leads one); false when there is none left. */
  readonly killGroup: (signal: NodeJS.Signals) => boolean;
}

function processFailure(options: ProcessOptions, code: string, reason: string): Failure {
  const missing = code === 'program-missing';
  return {
    kind: 'process',
    code,
    object: options.file.slice(0, 512),
    reason: `${reason} Purpose: ${options.purpose}.`.slice(0, 2000),
    next: missing
      ? `Install the package that has ${options.file} and try again.`
      : 'Look at the message, correct the cause and try again.',
    values: { program: options.file, purpose: options.purpose.slice(0, 500) },
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Starts a process and leaves it running. Fails with kind 'process' when it cannot be started. */
export function startProcess(options: StartOptions): Result<RunningProcess> {
  const path = findProgram(options.file);
  if (path === undefined) {
    return fail(processFailure(options, 'program-missing', `${options.file} is not installed.`));
  }
  const start = (): ChildProcess =>
    spawn(path, [...options.args], {
      cwd: options.workingDirectory ?? '/',
      env: { LC_ALL: 'C', PATH: programFolders.join(':'), ...options.environment },
      argv0: options.file,
      stdio: [...(options.channels ?? (['pipe', 'pipe', 'pipe'] as const))],
      detached: options.ownSession === true,
      shell: false,
    });
  let child: ChildProcess;
  try {
    // libuv forks on the calling thread, so the child is born in the namespace that the thread is in.
    const started =
      options.namespaceFd === undefined ? succeed(start()) : runIn(options.namespaceFd, start);
    if (!started.ok) return started;
    child = started.value;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(processFailure(options, 'start-refused', `It could not be started: ${reason}.`));
  }
  let lastError = '';
  child.on('error', (error) => {
    lastError = error.message;
  });
  const { pid } = child;
  if (pid === undefined) {
    return fail(
      processFailure(options, 'start-refused', `${path} could not be started.${lastError}`),
    );
  }
  let ended = false;
  const exited = new Promise<ProcessEnd>((resolve) => {
    child.once('exit', (exitCode, signal) => {
      ended = true;
      resolve({ exitCode, signal });
    });
  });
  const closed = new Promise<ProcessEnd>((resolve) => {
    child.once('close', (exitCode, signal) => {
      resolve({ exitCode, signal });
    });
  });
  // A reader that has gone away must not end the agent.
  child.stdin?.on('error', () => undefined);
  if (options.background === true) child.unref();
  return succeed({
    pid,
    input: child.stdin,
    output: child.stdout,
    errors: child.stderr,
    exited,
    closed,
    kill: (signal) => !ended && child.kill(signal),
    killGroup: (signal) => signalGroup(pid, signal),
  });
}

export interface RunOptions extends ProcessOptions {
  /** Milliseconds; default 30,000. The process is killed then, with its group. */
  readonly timeout?: number | undefined;
  /** Bytes of stdout, and of stderr; default 16 MiB. More is a failure. */
  readonly maximumOutput?: number | undefined;
  /** Written to its input, which is then closed. */
  readonly input?: string | Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandOutcome {
  readonly stdout: string;
  readonly stderr: string;
  /** 0–255; anything but 0 is for the caller to judge. */
  readonly exitCode: number;
}

/**
 * Runs a program to its end. Fails with 'process' (missing, not startable, ended by a signal), 'timeout',
 * 'cancelled' or 'too-large'; whatever it was, nothing of it runs on.
 */
export async function runCommand(options: RunOptions): Promise<Result<CommandOutcome>> {
  const cancelled = (): Failure => ({
    ...processFailure(options, 'command-cancelled', `${options.file} was cancelled.`),
    kind: 'cancelled',
    next: 'Start it again when it is wanted.',
  });
  if (options.signal?.aborted === true) return fail(cancelled());
  const started = startProcess({
    ...options,
    channels: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ownSession: true,
  });
  if (!started.ok) return started;
  const running = started.value;
  const limit = options.maximumOutput ?? 16 * 1024 * 1024;
  const timeout = options.timeout ?? 30_000;
  let failure: Failure | undefined;
  const stop = (reason: Failure): void => {
    failure ??= reason;
    if (!running.killGroup('SIGKILL')) running.kill('SIGKILL');
    // A grandchild in a session of its own may hold the pipes for ever: do not wait for it.
    running.output?.destroy();
    running.errors?.destroy();
  };
  const gather = (stream: Readable | null): Buffer[] => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream?.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else if (failure === undefined) {
        stop({
          ...processFailure(
            options,
            'output-too-large',
            `${options.file} wrote more than ${limit} bytes.`,
          ),
          kind: 'too-large',
        });
      }
    });
    return chunks;
  };
  const output = gather(running.output);
  const errors = gather(running.errors);
  const timer = setTimeout(() => {
    stop({
      ...processFailure(
        options,
        'command-timeout',
        `${options.file} did not end within ${timeout} ms.`,
      ),
      kind: 'timeout',
    });
  }, timeout);
  const abort = (): void => {
    stop(cancelled());
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  if (options.input !== undefined) running.input?.end(options.input);
  const end = await running.closed;
  clearTimeout(timer);
  options.signal?.removeEventListener('abort', abort);
  if (failure !== undefined) return fail(failure);
  const stderr = Buffer.concat(errors).toString('utf8');
  if (end.exitCode === null) {
    const reason = `${options.file} was ended by ${end.signal ?? 'a signal'}. ${stderr.slice(0, 500)}`;
    return fail(processFailure(options, 'ended-by-signal', reason));
  }
  return succeed({
    stdout: Buffer.concat(output).toString('utf8'),
    stderr,
    exitCode: end.exitCode,
  });
}

/**
 * Runs a short program to its end and has its outcome when the call returns; the event loop stands still meanwhile, so
 * this is for what takes milliseconds. Fails like {@link runCommand}. By default 10 s and 4 MiB.
 */
export function runCommandNow(options: Omit<RunOptions, 'signal'>): Result<CommandOutcome> {
  const path = findProgram(options.file);
  if (path === undefined) {
    return fail(processFailure(options, 'program-missing', `${options.file} is not installed.`));
  }
  const timeout = options.timeout ?? 10_000;
  const limit = options.maximumOutput ?? 4 * 1024 * 1024;
  // A file: of a socket, which Node would make, a program cannot open /dev/stdin (ENXIO), as nft does.
  const inputFd = options.input === undefined ? undefined : openMemoryFile('input');
  if (inputFd !== undefined && inputFd < 0) {
    return fail(kernelFailure(options.file, { call: 'memfd_create', errno: -inputFd }));
  }
  const run = (): SpawnSyncReturns<Buffer> =>
    spawnSync(path, [...options.args], {
      cwd: options.workingDirectory ?? '/',
      env: { LC_ALL: 'C', PATH: programFolders.join(':'), ...options.environment },
      stdio: [inputFd ?? 'ignore', 'pipe', 'pipe'],
      timeout,
      maxBuffer: limit,
      killSignal: 'SIGKILL',
      shell: false,
    });
  let ran: Result<SpawnSyncReturns<Buffer>>;
  try {
    if (inputFd !== undefined) writeWhole(inputFd, Buffer.from(options.input ?? ''));
    // libuv forks on the calling thread here too.
    ran = options.namespaceFd === undefined ? succeed(run()) : runIn(options.namespaceFd, run);
  } finally {
    if (inputFd !== undefined) closeSync(inputFd);
  }
  if (!ran.ok) return ran;
  const { error, status, signal, stdout, stderr } = ran.value;
  const code = error !== undefined && 'code' in error ? error.code : undefined;
  if (code === 'ETIMEDOUT') {
    return fail({
      ...processFailure(
        options,
        'command-timeout',
        `${options.file} did not end within ${timeout} ms.`,
      ),
      kind: 'timeout',
    });
  }
  if (code === 'ENOBUFS') {
    return fail({
      ...processFailure(
        options,
        'output-too-large',
        `${options.file} wrote more than ${limit} bytes.`,
      ),
      kind: 'too-large',
    });
  }
  if (error !== undefined) {
    const reason = `It could not be started: ${error.message}.`;
    return fail(processFailure(options, 'start-refused', reason));
  }
  if (status === null) {
    const reason = `${options.file} was ended by ${signal ?? 'a signal'}. ${stderr.toString('utf8').slice(0, 500)}`;
    return fail(processFailure(options, 'ended-by-signal', reason));
  }
  return succeed({
    stdout: stdout.toString('utf8'),
    stderr: stderr.toString('utf8'),
    exitCode: status,
  });
}

/** Leaves the position of the descriptor at the start. */
function writeWhole(fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += writeSync(fd, bytes, at, bytes.length - at, at);
}
