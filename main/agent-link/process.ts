/** The only door to child processes in main: argument arrays, never a shell, nothing inherited that is not named. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fail, type Result, succeed } from '../../agent/api/index.ts';

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Variables that started programs get from ours. */
const inherited = ['HOME', 'LANG', 'TERM', 'USER', 'LOGNAME', 'SHELL'] as const;

/** Ours, with the directories of system programs, which an ordinary user's lacks on Debian. */
export function searchPath(): string {
  const own = process.env['PATH'];
  return own === undefined || own === '' ? systemPath : `${own}:${systemPath}`;
}

/** The environment of a started program: few variables of ours, a PATH that holds sbin, and what the caller names. */
export function childEnvironment(
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const environment: Record<string, string> = { PATH: searchPath() };
  for (const name of inherited) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...extra };
}

export interface RunOptions {
  /** Milliseconds until the program is killed. */
  readonly timeout: number;
  readonly input?: string;
  /** Bytes of output that are kept of each stream; more is an error. */
  readonly maximumOutput?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface RunOutcome {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

function processFailure(program: string, code: string, reason: string, next: string) {
  return fail({ kind: 'process', code, object: program.slice(0, 512), reason, next });
}

/**
 * Runs a program to its end. Fails with `process` when it cannot be started, is ended by a signal, runs too long or says
 * too much; a status other than 0 is the caller's to judge.
 */
export function run(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Result<RunOutcome>> {
  const limit = options.maximumOutput ?? 1024 * 1024;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      env: childEnvironment(options.environment),
      shell: false,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let failure: { readonly code: string; readonly reason: string } | null = null;
    const stop = (code: string, reason: string): void => {
      failure ??= { code, reason };
      child.kill('SIGKILL');
    };
    const timer = setTimeout(
      () => stop('program-timeout', `It did not end within ${options.timeout / 1000} s.`),
      options.timeout,
    );
    const collect = (stream: NodeJS.ReadableStream): (() => string) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > limit) stop('program-output', `It wrote more than ${limit} bytes.`);
        else chunks.push(chunk);
      });
      return () => Buffer.concat(chunks).toString();
    };
    const output = collect(child.stdout);
    const errors = collect(child.stderr);
    // A program that does not read its input ends it; how it ends tells the rest.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const missing = error.code === 'ENOENT';
      resolve(
        processFailure(
          program,
          missing ? 'program-missing' : 'program-not-started',
          missing ? 'The program is not installed.' : `It could not be started: ${error.message}.`,
          missing ? 'Install it; netloom doctor names the command.' : 'Try again.',
        ),
      );
    });
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      if (failure !== null) {
        resolve(processFailure(program, failure.code, failure.reason, 'Try again.'));
      } else if (status === null) {
        const reason = `It was ended by ${signal ?? 'a signal'}.`;
        resolve(processFailure(program, 'program-killed', reason, 'Try again.'));
      } else {
        resolve(succeed({ status, output: output(), errors: errors() }));
      }
    });
  });
}

export interface DetachedOptions {
  /** The whole environment; `childEnvironment()` unless given. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Descriptors or kinds of standard input, output and errors. */
  readonly stdio: readonly [
    'ignore' | 'pipe',
    'ignore' | 'pipe' | number,
    'ignore' | 'pipe' | number,
  ];
}

export interface ProcessEnd {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly sentence: string;
}

/** A program in a session of its own, which goes on when we end. */
export interface DetachedProcess {
  readonly pid: number;
  readonly stdin: NodeJS.WritableStream | null;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
  /** Resolves when it ends; it may well outlive us. */
  readonly ended: Promise<ProcessEnd>;
  /** Kills it and what it started in its session's first group. */
  readonly kill: () => void;
  /** Lets go of it and its pipes: until then our own process waits for its end, after that neither for the other. */
  readonly release: () => void;
}

/** Starts a program that outlives us. */
export function startDetached(
  program: string,
  args: readonly string[],
  options: DetachedOptions,
): Promise<Result<DetachedProcess>> {
  return new Promise((resolve) => {
    const child: ChildProcess = spawn(program, args, {
      cwd: '/',
      env: { ...(options.environment ?? childEnvironment()) },
      shell: false,
      detached: true,
      stdio: [...options.stdio],
    });
    const ended = new Promise<ProcessEnd>((settle) => {
      child.once('exit', (status, signal) =>
        settle({
          status,
          sentence:
            signal === null ? `It ended with status ${status}.` : `It was ended by ${signal}.`,
        }),
      );
    });
    child.stdin?.on('error', () => undefined);
    child.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'ENOENT'
          ? 'The program is not installed.'
          : `It could not be started: ${error.message}.`;
      const code = error.code === 'ENOENT' ? 'program-missing' : 'program-not-started';
      resolve(processFailure(program, code, reason, 'Run netloom doctor.'));
    });
    child.once('spawn', () => {
      const { pid } = child;
      if (pid === undefined) throw new Error('a spawned process has a pid');
      resolve(
        succeed({
          pid,
          stdin: child.stdin,
          stdout: child.stdout,
          stderr: child.stderr,
          ended,
          kill: () => {
            try {
              process.kill(-pid, 'SIGKILL');
            } catch {
              // It has ended.
            }
          },
          release: () => {
            child.unref();
            child.stdin?.destroy();
            child.stdout?.destroy();
            child.stderr?.destroy();
          },
        }),
      );
    });
  });
}
