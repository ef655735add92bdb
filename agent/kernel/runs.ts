/**
 * Processes that a lab runs in its nodes. They outlive the agent, so what is known of them is in /proc alone: each
 * bears a mark in its environment, which its children inherit.
 *
 * A run is in the network namespace of its node and otherwise where the agent is; unlike with `ip netns exec`, its
 * /sys is the agent's and there is no /etc/netns.
 */
import { Buffer } from 'node:buffer';
import { constants, closeSync, fchmodSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { RunView } from '../api/inventory.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { systemFailure } from './kernel-failure.ts';
import { identifyDescriptor, inodeOf, readNamespaceInode } from './namespaces.ts';
import { findProgram, startProcess } from './process.ts';
import { listProcessIds, parseProcessStat } from './process-table.ts';

/** `LAB/NAMESPACE/NAME`; nothing between the slashes in the realm's own namespace. */
const markVariable = 'NETLOOM_RUN';
/** The command as a JSON array. */
const commandVariable = 'NETLOOM_COMMAND';

/** One string of an environment may have 128 KiB (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h). */
const longestCommand = 120_000;

export interface RunIdentity {
  readonly lab: string;
  /** Name of the namespace; null is the realm's own. */
  readonly namespace: string | null;
  readonly name: string;
}

export interface RunOrder extends RunIdentity {
  readonly command: readonly string[];
}

export interface RunNamespace {
  readonly fd: number;
}

function runFailure(
  kind: Failure['kind'],
  code: string,
  run: RunIdentity,
  reason: string,
  next: string,
): Failure {
  return {
    kind,
    code,
    object: labelOf(run).slice(0, 512),
    reason: reason.slice(0, 2000),
    next,
    values: { name: run.name, namespace: run.namespace ?? '' },
  };
}

function labelOf({ name, namespace }: RunIdentity): string {
  return namespace === null ? `process ${name}` : `process ${name} of ${namespace}`;
}

/** Absolute path of the program of a command; fails with 'process' when there is none. */
export function programOfRun(run: RunOrder): Result<string> {
  const [file = ''] = run.command;
  const plain = file !== '' && (file.startsWith('/') || !file.includes('/'));
  const path = plain ? findProgram(file) : undefined;
  if (path !== undefined) return succeed(path);
  const shown = file.slice(0, 200);
  return fail(
    plain
      ? runFailure(
          'process',
          'program-missing',
          run,
          `The program ${shown} is not installed.`,
          `Install the package that has ${shown}, or correct the command.`,
        )
      : runFailure(
          'process',
          'program-relative',
          run,
          `${JSON.stringify(shown)} is neither the name of a program nor an absolute path.`,
          'Give the whole path of the program.',
        ),
  );
}

/**
 * Starts a process in a namespace and lets it go: in a session of its own, without input, its output appended to
 * `logFile` (mode 0600), which is emptied before. Returns its pid. Fails with 'process' when its program is missing or
 * does not start; that it ends soon afterwards is not seen here. `started` are the words that this machine needs to
 * do what was asked, where they differ from the command that its mark shall tell.
 *
 * It runs as the agent's user. In the realm of the host, where that is root, it is to be the person who brought the lab
 * up: the place for it is the call of `startProcess` below (uid and gid of spawn), and the folder of the log must be
 * theirs then.
 */
export function startRun(
  namespace: RunNamespace,
  run: RunOrder,
  logFile: string,
  started: readonly string[] = run.command,
): Result<number> {
  const program = programOfRun(run);
  if (!program.ok) return program;
  const command = JSON.stringify(run.command);
  if (Buffer.byteLength(command) > longestCommand) {
    return fail(
      runFailure(
        'too-large',
        'command-too-large',
        run,
        `The command has more than ${longestCommand} bytes.`,
        'Put it into a file and run that.',
      ),
    );
  }
  let log: number;
  try {
    mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
    const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND, O_NOFOLLOW } = constants;
    log = openSync(logFile, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0o600);
    fchmodSync(log, 0o600);
  } catch (error) {
    return fail(systemFailure(logFile, error));
  }
  try {
    const process = startProcess({
      // By the name that was asked for, which is what a shell passes on too.
      file: started[0] ?? program.value,
      args: started.slice(1),
      purpose: `running ${labelOf(run)}`,
      namespaceFd: namespace.fd,
      environment: {
        [markVariable]: `${run.lab}/${run.namespace ?? ''}/${run.name}`,
        [commandVariable]: command,
      },
      channels: ['ignore', log, log],
      ownSession: true,
      background: true,
    });
    return process.ok ? succeed(process.value.pid) : process;
  } finally {
    closeSync(log);
  }
}

/** A process that bears a mark. */
interface MarkedProcess extends RunOrder {
  readonly pid: number;
  readonly session: number;
  readonly startTime: number;
}

/** A run as it is found: its first process and all of them, ascending. */
export interface FoundRun extends RunView {
  /** Name of the namespace that its mark says; null is the realm's own. */
  readonly namespace: string | null;
  readonly pids: readonly number[];
}

const CommandSchema = z.array(z.string());

/** Pure. What the environment (`NAME=VALUE`, each ended by NUL) says of a run; undefined without a mark. */
export function parseRunMark(environment: string): RunOrder | undefined {
  if (!environment.includes(`${markVariable}=`)) return undefined;
  let mark: readonly string[] = [];
  let command: readonly string[] = [];
  for (const entry of environment.split('\0')) {
    if (entry.startsWith(`${markVariable}=`)) {
      mark = entry.slice(markVariable.length + 1).split('/');
    } else if (entry.startsWith(`${commandVariable}=`)) {
      command = parseCommand(entry.slice(commandVariable.length + 1));
    }
  }
  const [lab, namespace, name, ...rest] = mark;
  if (lab === undefined || namespace === undefined || name === undefined || rest.length > 0) {
    return undefined;
  }
  return { lab, namespace: namespace === '' ? null : namespace, name, command };
}

function parseCommand(text: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(text);
    const command = CommandSchema.safeParse(parsed);
    return command.success ? command.data : [];
  } catch {
    return [];
  }
}

/** Undefined for a process that is gone, is none of ours to read, or bears no mark. */
function readMarked(pid: number): MarkedProcess | undefined {
  try {
    const run = parseRunMark(readFileSync(`/proc/${pid}/environ`, 'utf8'));
    if (run === undefined) return undefined;
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    // What has ended and waits for its parent runs no more.
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
    return { ...run, pid, session: stat.session, startTime: stat.startTime };
  } catch {
    return undefined;
  }
}

/** A process's runs, the first process of each being the one that leads its session, else the lowest. */
function groupRuns(marked: readonly MarkedProcess[]): readonly FoundRun[] {
  const groups = new Map<string, MarkedProcess[]>();
  for (const process of marked) {
    const key = `${process.lab}/${process.namespace ?? ''}/${process.name}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [process]);
    else group.push(process);
  }
  return Array.from(groups.values(), (group) => {
    group.sort((one, other) => one.startTime - other.startTime || one.pid - other.pid);
    const first = group.find(({ pid, session }) => pid === session) ?? group[0];
    if (first === undefined) throw new Error('a group without a process');
    return {
      lab: first.lab,
      namespace: first.namespace,
      name: first.name,
      command: [...first.command],
      pid: first.pid,
      pids: group.map(({ pid }) => pid).sort((one, other) => one - other),
    };
  }).sort((one, other) => (one.name < other.name ? -1 : 1));
}

interface KnownProcess {
  readonly startTime: number;
  readonly marked: MarkedProcess | undefined;
  /** Looks since it was first seen. */
  readonly age: number;
}

/** Looks during which an environment is read again: a process may have been seen between fork and exec. */
const youngAge = 2;

/** Looks for runs again and again; reads each process's environment only while it is new. */
export class RunScan {
  private known = new Map<number, KnownProcess>();

  /** Runs by the inode of the network namespace, of the processes given in the same way. */
  find(
    processes: Iterable<readonly [number, readonly number[]]>,
  ): ReadonlyMap<number, readonly FoundRun[]> {
    const known = new Map<number, KnownProcess>();
    const found = new Map<number, readonly FoundRun[]>();
    for (const [inode, pids] of processes) {
      const marked: MarkedProcess[] = [];
      for (const pid of pids) {
        const look = this.look(pid);
        if (look === undefined) continue;
        known.set(pid, look);
        if (look.marked !== undefined) marked.push(look.marked);
      }
      if (marked.length > 0) found.set(inode, groupRuns(marked));
    }
    this.known = known;
    return found;
  }

  private look(pid: number): KnownProcess | undefined {
    let startTime: number;
    try {
      const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
      if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
      startTime = stat.startTime;
    } catch {
      return undefined;
    }
    const known = this.known.get(pid);
    if (known?.startTime !== startTime) return { startTime, marked: readMarked(pid), age: 0 };
    if (known.age >= youngAge) return known;
    return { startTime, marked: readMarked(pid), age: known.age + 1 };
  }
}

/** All runs, by the inode of their network namespace. Reads everything anew. */
export function findRuns(): ReadonlyMap<number, readonly FoundRun[]> {
  const pids = listProcessIds();
  const byNamespace = new Map<number, number[]>();
  for (const pid of pids.ok ? pids.value : []) {
    const inode = readNamespaceInode(`/proc/${pid}/ns/net`);
    if (inode === undefined) continue;
    const others = byNamespace.get(inode);
    if (others === undefined) byNamespace.set(inode, [pid]);
    else others.push(pid);
  }
  return new RunScan().find(byNamespace);
}

/**
 * Every process of a run. Another realm may have a lab of the same name, whose processes are seen from the host: what
 * counts is in the node's network namespace, or has left it but is in the agent's own PID namespace.
 */
function processesOf(inode: number, run: RunIdentity): readonly MarkedProcess[] {
  const own = readNamespaceInode('/proc/self/ns/pid');
  const pids = listProcessIds();
  const found: MarkedProcess[] = [];
  for (const pid of pids.ok ? pids.value : []) {
    const marked = readMarked(pid);
    if (marked?.lab !== run.lab) continue;
    if (marked.namespace !== run.namespace || marked.name !== run.name) continue;
    const here =
      readNamespaceInode(`/proc/${pid}/ns/net`) === inode ||
      (own !== undefined && readNamespaceInode(`/proc/${pid}/ns/pid`) === own);
    if (here) found.push(marked);
  }
  return found;
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already; the next look tells what is left.
  }
}

/** Milliseconds until a run that was asked to end is ended by force, and until that counts as failed. */
const patience = 2000;
const pause = 20;

/**
 * Ends a run with everything that bears its mark, and the process groups they lead: SIGTERM, after two seconds SIGKILL.
 * Succeeds when nothing of it is left, also when nothing was there. Fails with 'timeout'.
 */
export async function stopRun(
  namespace: Pick<RunNamespace, 'fd'>,
  run: RunIdentity,
): Promise<Result<void>> {
  const identity = identifyDescriptor(namespace.fd);
  if (!identity.ok) return identity;
  const inode = inodeOf(identity.value);
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = performance.now() + patience;
    /** Asked to end once each; what appears meanwhile is asked too. */
    const told = new Set<number>();
    do {
      const processes = processesOf(inode, run);
      if (processes.length === 0) return succeed(undefined);
      for (const { pid, session } of processes) {
        if (told.has(pid)) continue;
        told.add(pid);
        if (pid === session) signal(-pid, name);
        signal(pid, name);
      }
      await delay(pause);
    } while (performance.now() < deadline);
  }
  if (processesOf(inode, run).length === 0) return succeed(undefined);
  return fail(
    runFailure(
      'timeout',
      'run-stays',
      run,
      `The process ${run.name} does not end.`,
      'Look what it waits for; a process that waits for a device cannot be ended.',
    ),
  );
}
