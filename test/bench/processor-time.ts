/** Processor time of other processes. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { parseProcessStat } from '../../agent/kernel/process-table.ts';

/** USER_HZ. */
const ticksASecond = 100;

/** Processor time of a process in seconds, of all its threads. */
function secondsOf(pid: number): number {
  const stat = parseProcessStat(readFileSync(`/proc/${String(pid)}/stat`, 'latin1'));
  if (stat === undefined) throw new Error(`no process ${String(pid)}`);
  return stat.cpuTime / ticksASecond;
}

/** What a process uses of a core while `work` lasts; 0.5 is half of it. */
export async function costOf(pid: number, work: () => Promise<unknown>): Promise<number> {
  const [cost = 0] = await costsOf([pid], work);
  return cost;
}

/** The same of several at once, in their order. */
export async function costsOf(
  pids: readonly number[],
  work: () => Promise<unknown>,
): Promise<readonly number[]> {
  const [before, begun] = [pids.map(secondsOf), performance.now()];
  await work();
  const passed = (performance.now() - begun) / 1000;
  return pids.map((pid, index) => (secondsOf(pid) - (before[index] ?? 0)) / passed);
}

/** All processes that there are. */
function listPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function pidNamespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${String(pid)}/ns/pid`);
  } catch {
    // It has ended meanwhile.
    return null;
  }
}

/** All processes in the namespace of processes that one is in. */
export function companionsOf(member: number): readonly number[] {
  const namespace = pidNamespaceOf(member);
  return listPids().filter((pid) => pidNamespaceOf(pid) === namespace);
}

/** The pid, as it is here, of what has another one in the namespace of processes that `member` is in. */
export function pidOutside(member: number, inner: number): number {
  for (const pid of companionsOf(member)) {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
    const numbers = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    if (Number(numbers.at(-1)) === inner) return pid;
  }
  throw new Error(`no process ${String(inner)} in the namespace of ${String(member)}`);
}

/** A process and all that it and those have started, as they are now. */
export function treeOf(root: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const pid of listPids()) {
    try {
      const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), pid]);
    } catch {
      // It has ended meanwhile.
    }
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}
