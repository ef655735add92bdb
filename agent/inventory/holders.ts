/**
 * What holds network namespaces: names in /run/netns, bind mounts elsewhere, processes. The kernel announces neither
 * the coming nor the going of a namespace, so this is looked at again and again; what cannot have changed is not.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import type { ProcessView } from '../api/inventory.ts';
import { parseMountInfo } from '../kernel/mounts.ts';
import { namespaceDirectory, readNamespaceInode } from '../kernel/namespaces.ts';
import { maximumListedProcesses } from './assemble.ts';

/** Longest command that is shown, in characters. */
export const longestCommand = 200;

export interface NamespaceHolders {
  readonly inode: number;
  readonly names: readonly string[];
  /** Mount points outside /run/netns. */
  readonly mounts: readonly string[];
  /** Ascending. */
  readonly pids: readonly number[];
}

/** Pure: a process's arguments as one line; null for a process without any (a kernel thread). */
export function commandOf(arguments_: string): string | null {
  // eslint-disable-next-line no-control-regex -- arguments end with NUL and may hold line breaks
  const line = arguments_.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return line === '' ? null : Array.from(line).slice(0, longestCommand).join('');
}

interface MountedName {
  readonly path: string;
  readonly inode: number;
}

/** Pure: mount points of network namespaces with their inodes; what is mounted later comes later. */
export function namespaceMounts(mountInfo: string): readonly MountedName[] {
  const lines = mountInfo.split('\n').filter((line) => line.includes(' - nsfs '));
  return parseMountInfo(lines.join('\n')).flatMap((mount) => {
    const inode = /^net:\[([0-9]+)\]$/.exec(mount.root)?.[1];
    return inode === undefined ? [] : [{ path: mount.mountPoint, inode: Number(inode) }];
  });
}

interface NamedFile {
  readonly name: string;
  readonly inode: number;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Names and mounts; read again only when the mount table or the directory has changed. */
export class MountScan {
  private mountInfo = '';
  private directory = '';
  private names: readonly NamedFile[] = [];
  private mounts: readonly MountedName[] = [];
  /** A symbolic link's target changes without any trace in the directory. */
  private symbolic = false;
  private readonly device = statSync('/proc/self/ns/net').dev;
  /** Whether a file in /run/netns has no namespace mounted on it (yet). */
  incomplete = false;

  /** True when something changed. */
  scan(): boolean {
    const mountInfo = readText('/proc/self/mountinfo');
    const directory = this.stampOfDirectory();
    if (mountInfo === this.mountInfo && directory === this.directory && !this.symbolic) {
      return false;
    }
    this.mountInfo = mountInfo;
    this.directory = directory;
    this.readNames(directory !== '');
    this.mounts = namespaceMounts(mountInfo).filter(
      (mount) =>
        !mount.path.startsWith(`${namespaceDirectory}/`) &&
        // Something may be mounted over it.
        this.inodeOf(mount.path) === mount.inode,
    );
    return true;
  }

  forEach(
    visitName: (inode: number, name: string) => void,
    visitMount: (inode: number, path: string) => void,
  ): void {
    for (const { inode, name } of this.names) visitName(inode, name);
    for (const { inode, path } of this.mounts) visitMount(inode, path);
  }

  /** Inode of the namespace behind a path; undefined when there is none. */
  inodeOf(path: string): number | undefined {
    try {
      const information = statSync(path);
      return information.dev === this.device ? information.ino : undefined;
    } catch {
      return undefined;
    }
  }

  /** Device and inode of /run/netns; undefined while there is none. */
  directoryIdentity(): string | undefined {
    try {
      const information = statSync(namespaceDirectory);
      return `${information.dev}:${information.ino}`;
    } catch {
      return undefined;
    }
  }

  private stampOfDirectory(): string {
    try {
      const information = statSync(namespaceDirectory, { bigint: true });
      return `${information.dev}:${information.ino}:${information.mtimeNs}`;
    } catch {
      return '';
    }
  }

  private readNames(present: boolean): void {
    const names: NamedFile[] = [];
    this.incomplete = false;
    this.symbolic = false;
    try {
      const entries = present ? readdirSync(namespaceDirectory, { withFileTypes: true }) : [];
      for (const entry of entries) {
        if (entry.isSymbolicLink()) this.symbolic = true;
        const inode = this.inodeOf(`${namespaceDirectory}/${entry.name}`);
        if (inode === undefined) this.incomplete = true;
        else names.push({ name: entry.name, inode });
      }
    } catch {
      // The directory went away; the next look finds out.
    }
    this.names = names;
  }
}

interface KnownProcess {
  inode: number;
  /** Looks since it was first seen. */
  age: number;
  command: string | undefined;
}

/** Processes whose namespace is looked up in one scan, besides the new ones: about 4 ms. */
const checkedProcesses = 500;
/** Commands read again in one scan. */
const refreshedCommands = 32;
/** Looks during which a process counts as new: `ip netns exec` and the like change namespace and program early. */
const youngAge = 3;

/** Processes and the namespaces they are in. */
export class ProcessScan {
  private readonly processes = new Map<number, KnownProcess>();
  private readonly buffer = Buffer.allocUnsafe(longestCommand * 4 + 1);
  private turn = 0;
  private commandBudget = 0;

  /** Looks at all processes (`whole`), or at the new ones and some of the others. */
  scan(whole: boolean): void {
    let entries: string[] = [];
    try {
      entries = readdirSync('/proc');
    } catch {
      // Without /proc no process is known to hold anything.
    }
    const slices = whole ? 1 : Math.ceil(this.processes.size / checkedProcesses);
    this.turn += 1;
    this.commandBudget = refreshedCommands;
    const seen = new Set<number>();
    for (const entry of entries) {
      const first = entry.charCodeAt(0);
      if (first < 0x31 || first > 0x39) continue;
      const pid = Number(entry);
      const known = this.processes.get(pid);
      if (known !== undefined && known.age >= youngAge && (pid + this.turn) % slices !== 0) {
        seen.add(pid);
        continue;
      }
      const inode = readNamespaceInode(`/proc/${entry}/ns/net`);
      if (inode === undefined) continue;
      seen.add(pid);
      if (known === undefined) {
        this.processes.set(pid, { inode, age: 0, command: undefined });
      } else {
        known.age += 1;
        if (known.inode !== inode) {
          known.inode = inode;
          known.age = 0;
        }
        const young = known.age < youngAge;
        if (known.command !== undefined && (young || this.isCommandDue(pid))) {
          known.command = undefined;
        }
      }
    }
    for (const pid of this.processes.keys()) if (!seen.has(pid)) this.processes.delete(pid);
  }

  /** Processes by the inode of their namespace, pids ascending. */
  byNamespace(): Map<number, number[]> {
    const found = new Map<number, number[]>();
    for (const [pid, { inode }] of this.processes) {
      const pids = found.get(inode);
      if (pids === undefined) found.set(inode, [pid]);
      else pids.push(pid);
    }
    for (const pids of found.values()) pids.sort((one, other) => one - other);
    return found;
  }

  /** The lowest pids of an ascending list with their commands. */
  views(pids: readonly number[]): readonly ProcessView[] {
    return pids
      .slice(0, maximumListedProcesses)
      .map((pid) => ({ pid, command: this.command(pid) }));
  }

  /** A process may run another program later: each one's turn comes now and then. */
  private isCommandDue(pid: number): boolean {
    const slices = Math.ceil(this.processes.size / refreshedCommands);
    if ((pid + this.turn) % slices !== 0 || this.commandBudget <= 0) return false;
    this.commandBudget -= 1;
    return true;
  }

  private command(pid: number): string {
    const known = this.processes.get(pid);
    if (known?.command !== undefined) return known.command;
    const command = commandOf(this.readStart(`/proc/${pid}/cmdline`));
    // A kernel thread, or a process that has just ended. A worker's name tells what it works on just now: left out.
    const text =
      command ??
      `[${readText(`/proc/${pid}/comm`)
        .trimEnd()
        .replace(/^(kworker\/[^-+]*:[^-+]*).*$/, '$1')}]`;
    if (known !== undefined) known.command = text;
    return text;
  }

  /** The first bytes of a file; a command line may be megabytes long. */
  private readStart(path: string): string {
    try {
      const fd = openSync(path, 'r');
      try {
        return this.buffer.toString('utf8', 0, readSync(fd, this.buffer, 0, this.buffer.length, 0));
      } finally {
        closeSync(fd);
      }
    } catch {
      return '';
    }
  }
}

/** Joins both: every namespace that something holds, by inode. */
export function joinHolders(
  mounts: MountScan,
  processes: ReadonlyMap<number, readonly number[]>,
): Map<number, NamespaceHolders> {
  const names = new Map<number, string[]>();
  const paths = new Map<number, Set<string>>();
  mounts.forEach(
    (inode, name) => {
      const known = names.get(inode);
      if (known === undefined) names.set(inode, [name]);
      else known.push(name);
    },
    (inode, path) => {
      const known = paths.get(inode);
      if (known === undefined) paths.set(inode, new Set([path]));
      else known.add(path);
    },
  );
  const found = new Map<number, NamespaceHolders>();
  for (const inode of new Set([...names.keys(), ...paths.keys(), ...processes.keys()])) {
    found.set(inode, {
      inode,
      names: names.get(inode) ?? [],
      mounts: [...(paths.get(inode) ?? [])],
      pids: processes.get(inode) ?? [],
    });
  }
  return found;
}
