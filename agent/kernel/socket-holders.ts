/** Which processes hold sockets: those with a descriptor of it in /proc/PID/fd (proc(5)). What vanishes meanwhile is left out. */
import { readdirSync, readlinkSync } from 'node:fs';
import { listProcessIds, readProcess } from './process-table.ts';

export interface SocketHolder {
  readonly pid: number;
  /** At most 15 bytes; the process may set it to anything. */
  readonly name: string;
  /** Whose it is, as this user namespace sees it. */
  readonly uid: number;
}

/** Holders of each of these inodes of sockfs, pids ascending; none of those that nobody is seen to hold. */
export function findSocketHolders(
  inodes: ReadonlySet<number>,
): ReadonlyMap<number, readonly SocketHolder[]> {
  const found = new Map<number, SocketHolder[]>();
  if (inodes.size === 0) return found;
  const pids = listProcessIds();
  for (const pid of pids.ok ? [...pids.value].sort((one, other) => one - other) : []) {
    const directory = `/proc/${String(pid)}/fd`;
    const held = new Set<number>();
    for (const fd of entriesOf(directory)) {
      const inode = socketAt(`${directory}/${fd}`);
      if (inode !== null && inodes.has(inode)) held.add(inode);
    }
    if (held.size === 0) continue;
    const process = readProcess(pid);
    if (process === undefined) continue;
    const { name, uid } = process;
    for (const inode of held) found.set(inode, [...(found.get(inode) ?? []), { pid, name, uid }]);
  }
  return found;
}

function entriesOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function socketAt(path: string): number | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
    return inode === undefined ? null : Number(inode);
  } catch {
    return null;
  }
}
