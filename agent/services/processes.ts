/**
 * Processes that a person runs in the realm or in a node: on a terminal or over pipes, with a window of output that is
 * not yet acknowledged. They end with their call, and before their namespace does.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { ProcessExit, ProcessPlace, ProcessProgress, TerminalSize } from '../api/process.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  commandAs,
  environmentOfPerson,
  findPerson,
  type Person,
  personTests,
} from '../kernel/person.ts';
import { findProgram, runCommand } from '../kernel/process.ts';
import { consoleCommand } from '../lab/virtual-machine.ts';
import { openPipes, openTerminal, type Session, type TerminalSession } from '../kernel/terminal.ts';

/** What a place is where it runs. */
export interface Spot {
  /** Namespace that it is in; null is the realm's own. */
  readonly namespace: string | null;
  readonly machine: Machine | null;
  /** Files that a process writes its number into to be in the place's CPU group; none without one. */
  readonly joins: readonly string[];
}

/** A virtual machine that runs. */
export interface Machine {
  readonly lab: string;
  readonly node: string;
  /** File with what it has printed. */
  readonly log: string;
}

export interface ProcessServiceOptions {
  readonly spotOf: (place: ProcessPlace) => Result<Spot>;
  /** Descriptor of a named namespace. */
  readonly namespaceFd: (namespace: string) => Result<number>;
}

export interface RunRequest {
  readonly place: ProcessPlace;
  readonly command: readonly string[];
  readonly terminal: TerminalSize | null;
  /** Whether the place's own console, where it has one, takes the place of the command. */
  readonly console: boolean;
  /** Tells clients apart: only who started a process may type into it. */
  readonly owner: string;
  /** As whom it runs: the person of that uid, as they log in. Null is the agent's user. */
  readonly uid: number | null;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ProcessProgress) => void;
}

/** Bytes of output under way to the client; the process blocks when it has written more. */
const outputWindow = 256 * 1024;
/** Bytes of a machine's output that its console begins with. */
const shownOutput = 16 * 1024;
/** Milliseconds between asking a process to end and ending it. */
const endPatience = 500;

interface Running {
  readonly owner: string;
  readonly namespace: string | null;
  /** Whose console it is. */
  readonly machine: Machine | null;
  readonly session: Session;
  readonly terminal: TerminalSession | null;
  unacknowledged: number;
  paused: boolean;
  /** Nobody listens any more: output is thrown away, so that the process can come to its end. */
  deaf: boolean;
}

export class ProcessService {
  private readonly options: ProcessServiceOptions;
  private readonly running = new Map<string, Running>();
  /** Whether `ip netns exec` works here; found out with the first process in a node. */
  private wrapper: Promise<boolean> | null = null;

  constructor(options: ProcessServiceOptions) {
    this.options = options;
  }

  /** Ends when the process has ended; a cancellation ends the process. */
  async run(request: RunRequest): Promise<Result<ProcessExit>> {
    const { place, signal, terminal, onProgress } = request;
    const spot = this.options.spotOf(place);
    if (!spot.ok) return spot;
    const { namespace, machine, joins } = spot.value;
    // Root has root's rights anyhow; everybody else has their own.
    const found =
      request.uid === null || request.uid === 0 ? succeed(null) : findPerson(request.uid);
    if (!found.ok) return found;
    const person = found.value;
    const command =
      machine === null
        ? await this.commandIn(namespace, request.command, person)
        : this.consoleOf(machine, request);
    if (!command.ok) return command;
    if (signal.aborted) return fail(cancelled(request.command));
    const id = randomUUID();
    const output = (data: Buffer, stream: string): void => {
      const running = this.running.get(id);
      if (running === undefined || running.deaf) return;
      running.unacknowledged += data.length;
      onProgress({
        kind: 'output',
        stream: stream === 'stderr' ? 'error' : 'out',
        data: data.toString('base64'),
      });
      if (running.unacknowledged < outputWindow || running.paused) return;
      running.paused = true;
      running.session.pause();
    };
    const options = {
      ...inGroup(joins, command.value),
      purpose: `a command in ${place.kind === 'realm' ? 'the realm' : `${place.lab}:${place.node}`}`,
      environment: environmentOf(place, terminal !== null, person),
      // Theirs is gone to as them (`commandIn`): from where root stands one could go on into what is closed to them.
      workingDirectory: person === null ? homeDirectory() : '/',
      ...(person === null ? {} : { terminalOwner: person }),
      onOutput: output,
    };
    const opened = open(options, terminal);
    if (!opened.ok) return opened;
    const { session } = opened.value;
    const running: Running = {
      owner: request.owner,
      namespace,
      machine,
      session,
      terminal: opened.value.terminal,
      unacknowledged: 0,
      paused: false,
      deaf: false,
    };
    this.running.set(id, running);
    onProgress({ kind: 'started', session: id, pid: session.pid });
    if (machine !== null && terminal !== null) output(readEnd(machine.log), 'stdout');
    const onAbort = (): void => {
      void end(running);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const { exitCode, signal: killedBy } = await session.ended;
      if (signal.aborted) return fail(cancelled(request.command));
      return succeed({ exitCode, signal: killedBy });
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.running.delete(id);
    }
  }

  /** `data` is base64. */
  input(id: string, owner: string, data: string, finish: boolean): Result<void> {
    const running = this.find(id, owner);
    if (!running.ok) return running;
    const { session } = running.value;
    if (data !== '') session.write(Buffer.from(data, 'base64'));
    if (finish) session.endInput();
    return succeed(undefined);
  }

  resize(id: string, owner: string, size: TerminalSize): Result<void> {
    const running = this.find(id, owner);
    if (!running.ok) return running;
    running.value.terminal?.resize(size);
    return succeed(undefined);
  }

  acknowledge(id: string, owner: string, bytes: number): Result<void> {
    const found = this.find(id, owner);
    if (!found.ok) return found;
    const running = found.value;
    running.unacknowledged = Math.max(0, running.unacknowledged - bytes);
    if (running.paused && running.unacknowledged <= outputWindow / 2) {
      running.paused = false;
      running.session.resume();
    }
    return succeed(undefined);
  }

  /** Ends what was started in a namespace that is about to go; resolves when it has ended. */
  async endIn(namespace: string): Promise<void> {
    const those = [...this.running.values()].filter((one) => one.namespace === namespace);
    await Promise.all(those.map(end));
  }

  async close(): Promise<void> {
    await Promise.all([...this.running.values()].map(end));
  }

  private find(id: string, owner: string): Result<Running> {
    const running = this.running.get(id);
    if (running !== undefined && running.owner === owner) return succeed(running);
    return fail({
      kind: 'unknown-object',
      code: 'unknown-session',
      object: id.slice(0, 64),
      reason: 'There is no such process, or it has ended.',
      next: 'Start it again.',
    });
  }

  /** One at a time: QEMU speaks with one, and lets others wait without a word. */
  private consoleOf(machine: Machine, request: RunRequest): Result<StartedCommand> {
    const { lab, node } = machine;
    const object = `${lab}:${node}`;
    if (!request.console) {
      return fail({
        kind: 'refused',
        code: 'machine-runs-no-command',
        object,
        reason: `${node} is a virtual machine: its commands run inside, on its console.`,
        next: `Open the console: netloom shell ${lab} ${node}.`,
        values: { lab, node },
      });
    }
    const others = [...this.running.values()].map((running) => running.machine);
    if (others.some((other) => other?.lab === lab && other.node === node)) {
      return fail({
        kind: 'refused',
        code: 'console-taken',
        object,
        reason: `The console of ${node} is open already, and it has only one.`,
        next: 'Use that one, or close it first.',
        values: { lab, node },
      });
    }
    const [file = '', ...args] = consoleCommand(lab, node, request.terminal !== null);
    return findProgram(file) === undefined ? fail(noProgram(file)) : succeed({ file, args });
  }

  /**
   * In a node through `ip netns exec`, which gives the process a /sys of its namespace too (brctl looks there), and
   * /etc/netns/NAME; where that does not work, by being born in the namespace.
   */
  private async commandIn(
    namespace: string | null,
    asked: readonly string[],
    person: Person | null,
  ): Promise<Result<StartedCommand>> {
    const [program = ''] = asked;
    if (program === '' || (program.includes('/') && !program.startsWith('/'))) {
      return fail(noProgram(program));
    }
    const isThere =
      person !== null && program.startsWith('/')
        ? personTests(person, '-x', program)
        : findProgram(program) !== undefined;
    if (!isThere) return fail(noProgram(program));
    const [file = '', ...args] = person === null ? asked : commandAtHome(person, asked);
    if (namespace === null) return succeed({ file, args });
    const fd = this.options.namespaceFd(namespace);
    if (!fd.ok) return fd;
    this.wrapper ??= tryWrapper(namespace);
    if (!(await this.wrapper)) return succeed({ file, args, namespaceFd: fd.value });
    return succeed({ file: 'ip', args: ['netns', 'exec', namespace, file, ...args] });
  }
}

/** The command as a person has it who has just logged in. */
function commandAtHome(person: Person, command: readonly string[]): readonly string[] {
  const isThere = personTests(person, '-d', person.home) && personTests(person, '-x', person.home);
  const there = isThere ? ['env', `--chdir=${person.home}`, '--', ...command] : command;
  return commandAs(person, 'as-logged-in', there);
}

interface StartedCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly namespaceFd?: number;
}

/**
 * The command behind a shell that goes to the group first and becomes the command then: what it starts is born there, however
 * soon. Where the group has gone the shell says so, and the command starts all the same.
 */
function inGroup(joins: readonly string[], command: StartedCommand): StartedCommand {
  if (joins.length === 0) return command;
  const script =
    'left=$1; shift; while [ $left -gt 0 ]; do echo $$ >"$1"; shift; left=$((left - 1)); done; exec "$@"';
  const args = ['-c', script, 'sh', String(joins.length), ...joins, command.file, ...command.args];
  return { ...command, file: 'sh', args };
}

/** The last that a machine has printed, so that a console begins with what led there. */
function readEnd(file: string): Buffer {
  try {
    return readFileSync(file).subarray(-shownOutput);
  } catch {
    return Buffer.alloc(0);
  }
}

async function tryWrapper(namespace: string): Promise<boolean> {
  if (findProgram('ip') === undefined) return false;
  const tried = await runCommand({
    file: 'ip',
    args: ['netns', 'exec', namespace, 'true'],
    purpose: 'finding out how to run commands in a node',
    timeout: 5000,
  });
  return tried.ok && tried.value.exitCode === 0;
}

function open(
  options: Parameters<typeof openPipes>[0],
  terminal: TerminalSize | null,
): Result<{ readonly session: Session; readonly terminal: TerminalSession | null }> {
  if (terminal === null) {
    const pipes = openPipes(options);
    return pipes.ok ? succeed({ session: pipes.value, terminal: null }) : pipes;
  }
  const opened = openTerminal({ ...options, size: terminal });
  return opened.ok ? succeed({ session: opened.value, terminal: opened.value }) : opened;
}

async function end(running: Running): Promise<void> {
  running.deaf = true;
  // A paused session would never settle.
  running.session.resume();
  running.session.kill('SIGHUP');
  running.session.kill('SIGTERM');
  const timer = setTimeout(() => {
    running.session.kill('SIGKILL');
  }, endPatience);
  try {
    await running.session.ended;
  } finally {
    clearTimeout(timer);
  }
}

function homeDirectory(): string {
  const home = process.env['HOME'];
  try {
    return home !== undefined && home.startsWith('/') && statSync(home).isDirectory() ? home : '/';
  } catch {
    return '/';
  }
}

/** What a shell needs to feel at home, and to show where it is. */
function environmentOf(
  place: ProcessPlace,
  onTerminal: boolean,
  person: Person | null,
): Readonly<Record<string, string>> {
  const where = place.kind === 'realm' ? 'realm' : place.node;
  return {
    LC_ALL: 'C.UTF-8',
    ...(person === null
      ? { HOME: homeDirectory(), SHELL: findProgram('bash') ?? '/bin/sh' }
      : environmentOfPerson(person)),
    NETLOOM_NODE: place.kind === 'realm' ? '' : place.node,
    NETLOOM_LAB: place.kind === 'realm' ? '' : place.lab,
    ...(onTerminal
      ? {
          TERM: 'xterm-256color',
          PS1: `${where}${person === null ? '#' : '$'} `,
          // Debian's bash.bashrc overwrites PS1, and puts this in front of it.
          debian_chroot: where,
        }
      : {}),
  };
}

function noProgram(file: string): Failure {
  return {
    kind: 'process',
    code: 'program-missing',
    object: file.slice(0, 512),
    reason: `There is no program ${file.slice(0, 200)} here.`,
    next: 'Name an installed program, or its absolute path.',
    values: { program: file.slice(0, 200) },
  };
}

function cancelled(command: readonly string[]): Failure {
  return {
    kind: 'cancelled',
    code: 'command-cancelled',
    object: (command[0] ?? '').slice(0, 512),
    reason: 'The command was cancelled and has been ended.',
    next: 'Start it again when it is wanted.',
  };
}
