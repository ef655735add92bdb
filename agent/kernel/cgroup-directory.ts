/** One directory of a hierarchy of control groups and its files: made, read, written, emptied and removed. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { FileWrite, ReadFile } from '../cpu/files.ts';
import type { CpuHierarchy } from '../cpu/machine.ts';
import { tooManyGroups } from './cgroup-failures.ts';
import { isErrno, systemFailure } from './kernel-failure.ts';

export const processesFile = 'cgroup.procs';
const handedDown = 'cgroup.subtree_control';

/** Rounds of moving what is left: each catches what was forked during the one before. */
const drainRounds = 1000;

export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

export function writeText(file: string, text: string): Result<void> {
  try {
    // One write(2): the kernel reads each by itself. An empty text would be none at all.
    writeFileSync(file, text === '' ? '\n' : text, { flag: 'r+' });
    return succeed(undefined);
  } catch (error) {
    return fail(systemFailure(file, error));
  }
}

/** The processes in a directory that are seen from here; threads of one count as one. */
export function processesIn(directory: string, read: ReadFile = readText): readonly number[] {
  return (
    (read(path.join(directory, processesFile)) ?? '')
      .split('\n')
      .map(Number)
      // What another pid namespace has in it reads 0, and 0 written is whoever writes.
      .filter((pid) => pid > 0)
  );
}

/** Of one that has ended meanwhile there is nothing to move. */
export function moveProcess(pid: number, directory: string): Result<void> {
  const moved = writeText(path.join(directory, processesFile), String(pid));
  return moved.ok || !isErrno(moved.failure, 'ESRCH') ? moved : succeed(undefined);
}

export function unmoved(directory: string, left: readonly number[]): Failure {
  return {
    kind: 'kernel',
    code: 'cpu-processes-stay',
    object: directory.slice(0, 512),
    reason: `The processes ${left.slice(0, 10).join(', ')} do not leave the group.`,
    next: 'Look at what they are; a kernel thread that is bound to its CPU cannot be moved.',
  };
}

/** Moves all processes of one directory to another, also those that are forked meanwhile; gives those that it has moved. */
export function drain(from: string, to: string): Result<ReadonlySet<number>> {
  const drained = new Set<number>();
  let left = processesIn(from);
  for (let round = 0; left.length > 0; round += 1) {
    if (round === drainRounds) return fail(unmoved(from, left));
    for (const pid of left) {
      const moved = moveProcess(pid, to);
      if (!moved.ok) return moved;
      drained.add(pid);
    }
    left = processesIn(from);
  }
  return succeed(drained);
}

export function makeDirectory(directory: string): Result<void> {
  try {
    mkdirSync(directory);
  } catch (error) {
    const failure = systemFailure(directory, error);
    if (isErrno(failure, 'EAGAIN')) return fail(tooManyGroups(directory, failure));
    if (!isErrno(failure, 'EEXIST')) return fail(failure);
  }
  return succeed(undefined);
}

export function removeDirectory(directory: string): Result<void> {
  try {
    rmdirSync(directory);
  } catch (error) {
    const failure = systemFailure(directory, error);
    if (!isErrno(failure, 'ENOENT')) return fail(failure);
  }
  return succeed(undefined);
}

/**
 * Of an empty group of cgroup v1 that is about to go: the kernel takes it out of its trees some time after its directory
 * (sched_release_group, cpuset_css_offline), and until then its cap and pins still bind its parent's.
 */
export function disarm({ version, controllers }: CpuHierarchy, directory: string): Result<void> {
  if (version === 2) return succeed(undefined);
  const writes: FileWrite[] = [
    ...(controllers.includes('cpu') ? [{ file: 'cpu.cfs_quota_us', text: '-1' }] : []),
    ...(controllers.includes('cpuset') ? [{ file: 'cpuset.cpus', text: '' }] : []),
  ];
  for (const { file, text } of writes) {
    if (readText(path.join(directory, file))?.trim() === text) continue;
    const written = writeText(path.join(directory, file), text);
    if (!written.ok) return written;
  }
  return succeed(undefined);
}

export function groupsIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Controllers that a directory hands down to what is in it. */
export function handedDownIn(directory: string): ReadonlySet<string> {
  return new Set((readText(path.join(directory, handedDown)) ?? '').trim().split(' '));
}

/** Hands the hierarchy's controllers down to what is in a directory, or takes them back. */
export function handDown(
  hierarchy: CpuHierarchy,
  directory: string,
  sign: '+' | '-',
): Result<void> {
  const now = handedDownIn(directory);
  const missing = hierarchy.controllers.filter((one) => now.has(one) === (sign === '-'));
  if (missing.length === 0) return succeed(undefined);
  const words = missing.map((one) => `${sign}${one}`).join(' ');
  return writeText(path.join(directory, handedDown), words);
}

export function isHandedDown(hierarchy: CpuHierarchy, directory: string): boolean {
  const now = handedDownIn(directory);
  return hierarchy.controllers.every((one) => now.has(one));
}
