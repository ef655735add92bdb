/**
 * Processes that a lab runs in its nodes. They outlive the agent, so what is known of them is in /proc alone: each
 * bears a mark in its environment, which its children inherit.
 *
 * A run is in the network namespace of its node and otherwise where the agent is; unlike with `ip netns exec`, its
 * /sys is the agent's and there is no /etc/netns.
 *
 * On the host the agent is root and anybody may put our mark into an environment, also into that of a set-uid program.
 * There a run is the process of a person, with no_new_privs: that cannot be had by a process whose rights have grown
 * since somebody chose its environment. So only what has it and is not root's is taken for a run.
 */
import { Buffer } from 'node:buffer';
import {
  constants,
  closeSync,
  fchmodSync,
  fchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { RunView } from '../api/inventory.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { systemFailure } from './kernel-failure.ts';
import { identifyDescriptor, inodeOf, readNamespaceInode } from './namespaces.ts';
import { commandAs, environmentOfPerson, type Person, personTests } from './person.ts';
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

/** Whose processes count as runs. */
export type RunRule =
  /** Of whoever: in a sandbox there is nobody else. */
  | 'any'
  /** Of people, who cannot gain rights (no_new_privs): on the host. */
  | 'confined';

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

/** Absolute path of the program of a command; fails with 'process' when there is none that the person may run. */
export function programOfRun(run: RunOrder, person: Person | null = null): Result<string> {
  const [file = ''] = run.command;
  const plain = file !== '' && (file.startsWith('/') || !file.includes('/'));
  const path = !plain
    ? undefined
    : person === null || !file.startsWith('/')
      ? findProgram(file)
      : personTests(person, '-x', file)
        ? file
        : undefined;
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

export interface RunReplacement {
  readonly command: readonly string[];
  readonly descriptors: readonly number[];
}

/**
 * Starts a process in a namespace and lets it go: in a session of its own, without input, its output appended to
 * `logFile` (mode 0600), which is emptied before. Returns its pid. Fails with 'process' when its program is missing or
 * does not start; that it ends soon afterwards is not seen here.
 *
 * It runs as the agent's user, or as the `person` that is given, without any capability and without a way to one. The
 * log is theirs then, in a folder that stays closed to them: it counts on their quota, and they cannot put a link there.
 * `replacement` is what is started in place of the command, with the descriptors that it gets from number 3 on.
 */
export function startRun(
  namespace: RunNamespace,
  run: RunOrder,
  logFile: string,
  person: Person | null = null,
  replacement: RunReplacement | null = null,
): Result<number> {
  const started = replacement === null ? run : { ...run, command: replacement.command };
  const program = programOfRun(started, person);
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
    const { O_WRONLY, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW } = constants;
    // A new file: the last one may have been another person's, who may still have it open or linked.
    if (person !== null) rmSync(logFile, { force: true });
    const fresh = person === null ? O_TRUNC : O_EXCL;
    log = openSync(logFile, O_WRONLY | O_CREAT | fresh | O_APPEND | O_NOFOLLOW, 0o600);
    fchmodSync(log, 0o600);
    if (person !== null) fchownSync(log, person.uid, person.gid);
  } catch (error) {
    return fail(systemFailure(logFile, error));
  }
  try {
    const words = replacement?.command ?? run.command;
    const [file = program.value, ...args] =
      person === null ? words : commandAs(person, 'no-new-rights', words);
    const process = startProcess({
      // By the name that was asked for, which is what a shell passes on too.
      file,
      args,
      purpose: `running ${labelOf(run)}`,
      namespaceFd: namespace.fd,
      environment: {
        ...(person === null ? {} : environmentOfPerson(person)),
        [markVariable]: `${run.lab}/${run.namespace ?? ''}/${run.name}`,
        [commandVariable]: command,
      },
      channels: ['ignore', log, log, ...(replacement?.descriptors ?? [])],
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
  /** Of a confined one. */
  readonly uid?: number;
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

/**
 * Pure. The uid of a process from its /proc/PID/status (proc(5)) if it is one person's alone and can gain no rights;
 * undefined for root's and for any other.
 */
export function uidOfConfined(status: string): number | undefined {
  if (!/^NoNewPrivs:\s*1$/m.test(status)) return undefined;
  const uids = /^Uid:\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$/m.exec(status)?.slice(1);
  const [uid] = uids ?? [];
  if (uid === undefined || uids?.some((other) => other !== uid) !== false) return undefined;
  return uid === '0' ? undefined : Number(uid);
}

/** Undefined for a process that is gone, is none of ours to read, or bears no mark. */
function readMarked(pid: number, rule: RunRule): MarkedProcess | undefined | 'unconfined' {
  try {
    const run = parseRunMark(readFileSync(`/proc/${pid}/environ`, 'utf8'));
    if (run === undefined) return undefined;
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    // What has ended and waits for its parent runs no more.
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
    const marked = { ...run, pid, session: stat.session, startTime: stat.startTime };
    if (rule === 'any') return marked;
    const uid = uidOfConfined(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return uid === undefined ? 'unconfined' : { ...marked, uid };
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
      ...(first.uid === undefined ? {} : { uid: first.uid }),
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
  private readonly rule: RunRule;
  private known = new Map<number, KnownProcess>();

  constructor(rule: RunRule = 'any') {
    this.rule = rule;
  }

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
    const isKnown = known?.startTime === startTime;
    if (isKnown && known.age >= youngAge) return known;
    const marked = readMarked(pid, this.rule);
    // A run is not a person's from its first moment on, and how long that takes is up to the user database.
    if (marked === 'unconfined') return { startTime, marked: undefined, age: 0 };
    return { startTime, marked, age: isKnown ? known.age + 1 : 0 };
  }
}

/** All runs, by the inode of their network namespace. Reads everything anew. */
export function findRuns(rule: RunRule = 'any'): ReadonlyMap<number, readonly FoundRun[]> {
  const pids = listProcessIds();
  const byNamespace = new Map<number, number[]>();
  for (const pid of pids.ok ? pids.value : []) {
    const inode = readNamespaceInode(`/proc/${pid}/ns/net`);
    if (inode === undefined) continue;
    const others = byNamespace.get(inode);
    if (others === undefined) byNamespace.set(inode, [pid]);
    else others.push(pid);
  }
  return new RunScan(rule).find(byNamespace);
}

/**
 * Every process of a run. Another realm may have a lab of the same name, whose processes are seen from the host: what
 * counts is in the node's network namespace, or has left it but is in the agent's own PID namespace.
 */
function processesOf(
  inode: number,
  run: RunIdentity,
  rule: RunRule,
  uid: number | null,
): readonly MarkedProcess[] {
  const own = readNamespaceInode('/proc/self/ns/pid');
  const pids = listProcessIds();
  const found: MarkedProcess[] = [];
  for (const pid of pids.ok ? pids.value : []) {
    const marked = readMarked(pid, rule);
    if (marked === undefined || marked === 'unconfined' || marked.lab !== run.lab) continue;
    if (marked.namespace !== run.namespace || marked.name !== run.name) continue;
    if (uid !== null && marked.uid !== uid) continue;
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
 * Succeeds when nothing of it is left, also when nothing was there. With `uid` only what is that person's belongs to it:
 * others of the machine may bear the mark too. Fails with 'timeout'.
 */
export async function stopRun(
  namespace: Pick<RunNamespace, 'fd'>,
  run: RunIdentity,
  rule: RunRule = 'any',
  uid: number | null = null,
): Promise<Result<void>> {
  const identity = identifyDescriptor(namespace.fd);
  if (!identity.ok) return identity;
  const inode = inodeOf(identity.value);
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = performance.now() + patience;
    /** Asked to end once each; what appears meanwhile is asked too. */
    const told = new Set<number>();
    do {
      const processes = processesOf(inode, run, rule, uid);
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
  if (processesOf(inode, run, rule, uid).length === 0) return succeed(undefined);
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
