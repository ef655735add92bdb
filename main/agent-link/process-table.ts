/** What /proc says of processes (proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcessSight {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot: tells the process from a later one with its pid. */
  readonly startTime: string;
}

/** A process that runs; null when there is none, or only what a parent has not yet taken note of. */
export function lookAtProcess(pid: number): ProcessSight | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parent] = fields;
  const startTime = fields[19];
  if (parent === undefined || startTime === undefined || state === 'Z' || state === 'X')
    return null;
  return { pid, parent: Number(parent), startTime };
}

export function isSameProcess(pid: number, startTime: string): boolean {
  return lookAtProcess(pid)?.startTime === startTime;
}

/** The arguments of a process; empty when it is gone or not ours to see. */
export function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** Identity of one of a process's namespaces, null when it may not be seen. */
export function namespaceOf(
  pid: number | 'self',
  kind: 'pid' | 'net' | 'mnt' | 'user',
): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return null;
  }
}

/** Pids whose arguments pass the test. */
export function findProcesses(matches: (args: readonly string[]) => boolean): readonly number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const args = argumentsOf(pid);
    if (args.length > 0 && matches(args)) found.push(pid);
  }
  return found;
}

/** Sends a signal; false when the process is gone. Throws when it may not be signalled. */
export function signalProcess(pid: number, signal: 'SIGTERM' | 'SIGKILL'): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until the process is gone; false when it is there after `limit` milliseconds. */
export async function waitForEnd(pid: number, startTime: string, limit: number): Promise<boolean> {
  const end = performance.now() + limit;
  while (isSameProcess(pid, startTime)) {
    if (performance.now() > end) return false;
    await sleep(10);
  }
  return true;
}

/** Effective uid of a process, null when it is gone. */
export function uidOf(pid: number): number | null {
  try {
    const match = /^Uid:\s+\d+\s+(?<uid>\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match?.groups?.['uid'] === undefined ? null : Number(match.groups['uid']);
  } catch {
    return null;
  }
}
