/** The process table, from /proc (proc(5)). What vanishes while it is read is left out. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { fail, type Result, succeed } from '../api/result.ts';
import { systemFailure } from './kernel-failure.ts';
import { readNamespaceInode } from './namespaces.ts';

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Name of at most 15 bytes (TASK_COMM_LEN); the process may set it to anything. */
  readonly name: string;
  /** Arguments, the first being the program; empty for kernel threads and zombies. */
  readonly commandLine: readonly string[];
  /** The command line was longer than what was read. */
  readonly commandLineCut: boolean;
  /** R, S, D, T, Z, … */
  readonly state: string;
  readonly session: number;
  /** Real user id, as this user namespace sees it. */
  readonly uid: number;
  /** Real, effective, saved and file system's. */
  readonly uids: readonly number[];
  readonly isKernelThread: boolean;
  readonly isRealtime: boolean;
  /** Clock ticks after boot; with the pid it names a process for good. */
  readonly startTime: number;
  /** Undefined when it may not be read. */
  readonly networkNamespace: number | undefined;
}

const longestCommandLine = 4096;
const commandBuffer = Buffer.allocUnsafeSlow(longestCommandLine + 1);

/** PF_KTHREAD (include/linux/sched.h). */
const kernelThreadFlag = 0x00200000;

/** Pure. Fields of /proc/<pid>/stat; the name stands in parentheses and may itself hold any byte. */
export function parseProcessStat(text: string):
  | {
      readonly name: string;
      readonly state: string;
      readonly parent: number;
      readonly session: number;
      readonly startTime: number;
      /** Clock ticks on all CPUs together, of all its threads: user and system. */
      readonly cpuTime: number;
      readonly isKernelThread: boolean;
      /** SCHED_FIFO or SCHED_RR. */
      readonly isRealtime: boolean;
    }
  | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  // The first of these is field 3 (state) of proc(5).
  const fields = text.slice(close + 2).split(' ');
  const startTime = Number(fields[19]);
  if (!Number.isFinite(startTime)) return undefined;
  return {
    name: text.slice(open + 1, close),
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    session: Number(fields[3]),
    startTime,
    cpuTime: Number(fields[11]) + Number(fields[12]),
    isKernelThread: (Number(fields[6]) & kernelThreadFlag) !== 0,
    isRealtime: fields[38] === '1' || fields[38] === '2',
  };
}

/** One process; undefined when it is gone. */
export function readProcess(pid: number): ProcessEntry | undefined {
  try {
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    if (stat === undefined) return undefined;
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const uids = /^Uid:\s+([0-9\s]+)$/m.exec(status)?.[1]?.trim().split(/\s+/).map(Number) ?? [];
    const command = readCommandLine(pid);
    return {
      pid,
      parent: stat.parent,
      name: stat.name,
      commandLine: command.words,
      commandLineCut: command.cut,
      state: stat.state,
      session: stat.session,
      uid: uids[0] ?? 65534,
      uids,
      isKernelThread: stat.isKernelThread,
      isRealtime: stat.isRealtime,
      startTime: stat.startTime,
      networkNamespace: readNamespaceInode(`/proc/${pid}/ns/net`),
    };
  } catch {
    return undefined;
  }
}

function readCommandLine(pid: number): {
  readonly words: readonly string[];
  readonly cut: boolean;
} {
  const fd = openSync(`/proc/${pid}/cmdline`, 'r');
  try {
    const length = readSync(fd, commandBuffer, 0, longestCommandLine + 1, null);
    const text = commandBuffer.toString('utf8', 0, Math.min(length, longestCommandLine));
    const words = text.replace(/\0+$/, '').split('\0');
    return { words: text === '' ? [] : words, cut: length > longestCommandLine };
  } finally {
    closeSync(fd);
  }
}

/** Every process that is seen here, by pid. */
export function listProcessIds(): Result<readonly number[]> {
  try {
    return succeed(
      readdirSync('/proc')
        .filter((name) => /^[1-9][0-9]*$/.test(name))
        .map(Number)
        .sort((a, b) => a - b),
    );
  } catch (error) {
    return fail(systemFailure('/proc', error));
  }
}

/** The given processes, or all. */
export function listProcesses(pids?: readonly number[]): Result<readonly ProcessEntry[]> {
  const wanted = pids === undefined ? listProcessIds() : succeed(pids);
  if (!wanted.ok) return wanted;
  const found: ProcessEntry[] = [];
  for (const pid of wanted.value) {
    const entry = readProcess(pid);
    if (entry !== undefined) found.push(entry);
  }
  return succeed(found);
}
