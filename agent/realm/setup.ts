/**
 * Furnishes the file system of a sandbox realm and ends. Started by keeper.sh (stage `furnish`) as root of the outer
 * user namespace U1, in its mount namespace M1, and in the pid and network namespaces of the realm: /proc and /sys show
 * the namespaces of whoever mounts them. Standard input is the machine's /proc/net/unix. The new root is left on
 * /sys/kernel; keeper.sh pivots to it. The realm itself gets a copy of M1 in which the kernel has locked every mount.
 *
 * Writes `failed CODE SENTENCE` or `warning CODE SENTENCE` lines; README.md lists the codes.
 */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { errnoName, isErrno } from '../kernel/kernel-failure.ts';
import { type MountAttributes, setMountAttributes } from '../kernel/mounts.ts';
import {
  errnoText,
  mountFileSystem,
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
} from '../kernel/native.ts';

/** Any directory that every machine has and that the realm does not need from it. */
const newRoot = '/sys/kernel';

/** Entries of / that the realm gets afresh or not at all: its own, or places where other file systems come and go. */
const notShared: ReadonlySet<string> = new Set([
  'proc',
  'sys',
  'dev',
  'run',
  'tmp',
  'mnt',
  'media',
  'lost+found',
]);

/** As runc and podman mask them: they tell of the whole machine, or act on it. */
const maskedProcEntries = [
  'acpi',
  'asound',
  'kcore',
  'keys',
  'kpagecgroup',
  'kpagecount',
  'kpageflags',
  'latency_stats',
  'sched_debug',
  'scsi',
  'timer_list',
  'timer_stats',
] as const;

/** Container managers whose socket is worth root on the machine, in directories outside /run. */
const maskedDirectories = ['/var/lib/incus', '/var/lib/lxd', '/var/snap/lxd/common/lxd'] as const;

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'] as const;

const contained: MountAttributes = { nosuid: true, nodev: true };
const sealed: MountAttributes = { ...contained, readonly: true };

const plain = MS_NOSUID | MS_NODEV;

class SetupError extends Error {
  readonly code: string;
  constructor(code: string, sentence: string) {
    super(sentence);
    this.code = code;
  }
}

function demand(result: number, code: string, what: string): void {
  if (result >= 0) return;
  const errno = -result;
  throw new SetupError(code, `${what}: ${errnoName(errno)} (${errnoText(errno)}).`);
}

function warn(code: string, sentence: string): void {
  process.stdout.write(`warning ${code} ${sentence}\n`);
}

function setAttributes(path: string, attributes: MountAttributes, recursive: boolean): void {
  const result = setMountAttributes(path, attributes, recursive);
  if (result.ok) return;
  throw isErrno(result.failure, 'ENOSYS')
    ? new SetupError(
        'no-mount-setattr',
        'The kernel is older than 5.12: it cannot make a tree of mounts read-only at once.',
      )
    : new SetupError('mount-refused', `${path}: ${result.failure.reason}`);
}

function bind(source: string, target: string): void {
  demand(
    mountFileSystem(source, target, null, MS_BIND | MS_REC),
    'mount-refused',
    `${source} could not be mounted in the realm`,
  );
}

function mountTemporary(target: string, options: string, flags = 0): void {
  demand(
    mountFileSystem('tmpfs', target, 'tmpfs', plain | flags, options),
    'mount-refused',
    `A file system in memory could not be mounted on ${target}`,
  );
}

function makeFile(path: string): void {
  if (!existsSync(path)) writeFileSync(path, '');
}

/** Covers a file with nothing to read, or a directory with nothing in it. */
function mask(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory()) mountTemporary(path, 'size=0,mode=555', MS_RDONLY | MS_NOEXEC);
  else bind(join(newRoot, 'dev/null'), path);
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** The machine's tree, entry by entry, read-only and without devices and set-uid programs, at any depth. */
function shareTree(): void {
  mountTemporary(newRoot, 'mode=755,size=1m');
  for (const entry of readdirSync('/', { withFileTypes: true })) {
    const target = join(newRoot, entry.name);
    if (notShared.has(entry.name)) {
      if (entry.name !== 'lost+found') mkdirSync(target);
    } else if (entry.isSymbolicLink()) {
      symlinkSync(readlinkSync(join('/', entry.name)), target);
    } else if (entry.isDirectory()) {
      mkdirSync(target);
      bind(join('/', entry.name), target);
      setAttributes(target, sealed, true);
    }
  }
}

/** Where keeper.sh mounts namespaces that have to have a name. Nobody in the realm can change the directory. */
function furnishGate(): void {
  const target = join(newRoot, '.gate');
  mkdirSync(target);
  for (const name of ['user', 'net']) makeFile(join(target, name));
}

function mapsGroup(group: number): boolean {
  return readFileSync('/proc/self/gid_map', 'utf8')
    .trim()
    .split('\n')
    .some((line) => {
      const [inside = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
      return group >= inside && group < inside + count;
    });
}

/** Whether this process may open it, by file mode; whoever is root here may not be the root that owns it. */
function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function furnishDevices(): void {
  const target = join(newRoot, 'dev');
  mountTemporary(target, 'mode=755,size=1m', MS_NOEXEC);
  mkdirSync(join(target, 'net'));
  const optional = ['net/tun', 'kvm'].filter((name) => existsSync(join('/dev', name)));
  if (!optional.includes('net/tun')) {
    warn('no-tun', 'There is no /dev/net/tun: tap and tun devices cannot be made.');
  } else if (!isUsable('/dev/net/tun')) {
    // systemd gives it the mode 0666; the kernel alone 0600.
    warn('tun-refused', 'The mode of /dev/net/tun keeps ordinary users from tap and tun devices.');
  }
  for (const name of [...devices, ...optional]) {
    makeFile(join(target, name));
    bind(join('/dev', name), join(target, name));
  }
  mkdirSync(join(target, 'pts'));
  const terminalGroup = mapsGroup(5) ? ',gid=5' : '';
  demand(
    mountFileSystem(
      'devpts',
      join(target, 'pts'),
      'devpts',
      MS_NOSUID | MS_NOEXEC,
      `newinstance,ptmxmode=0666,mode=0620${terminalGroup}`,
    ),
    'devpts-refused',
    'Pseudo terminals could not be mounted',
  );
  mkdirSync(join(target, 'shm'));
  mountTemporary(join(target, 'shm'), 'mode=1777');
  symlinkSync('pts/ptmx', join(target, 'ptmx'));
  symlinkSync('/proc/self/fd', join(target, 'fd'));
  symlinkSync('/proc/self/fd/0', join(target, 'stdin'));
  symlinkSync('/proc/self/fd/1', join(target, 'stdout'));
  symlinkSync('/proc/self/fd/2', join(target, 'stderr'));
}

/**
 * A /proc of the realm's processes. Everything in it that is not a process, and the sysctls outside `net`, acts on the
 * whole machine: read-only. In a realm of the machine's root these mounts are all that stands before it, since file
 * modes let its uid through.
 */
function furnishProc(): void {
  const target = join(newRoot, 'proc');
  demand(
    mountFileSystem('proc', target, 'proc', plain | MS_NOEXEC),
    'proc-refused',
    'A /proc of its own was refused, as it is inside containers that mask parts of theirs',
  );
  const masked: ReadonlySet<string> = new Set(maskedProcEntries);
  for (const entry of readdirSync(target, { withFileTypes: true })) {
    const path = join(target, entry.name);
    if (/^\d+$/.test(entry.name) || entry.isSymbolicLink()) continue;
    if (masked.has(entry.name)) {
      mask(path);
    } else if (entry.isDirectory() || (lstatSync(path).mode & 0o222) !== 0) {
      bind(path, path);
      setAttributes(path, { readonly: true }, false);
    }
  }
  // Which network namespace its files speak of is decided by who opens them, so this is the realm's own, always.
  const network = join(target, 'sys/net');
  bind(network, network);
  setAttributes(network, { readonly: false }, false);
}

function furnishSys(ownControlGroups: readonly string[]): void {
  const target = join(newRoot, 'sys');
  demand(
    mountFileSystem('sysfs', target, 'sysfs', MS_RDONLY | plain | MS_NOEXEC),
    'sysfs-refused',
    'A /sys of its own was refused',
  );
  const groups = join(target, 'fs/cgroup');
  if (!existsSync('/sys/fs/cgroup') || !existsSync(groups)) return;
  bind('/sys/fs/cgroup', groups);
  setAttributes(groups, sealed, true);
  for (const path of ownControlGroups) {
    bind(path, join(newRoot, path));
    setAttributes(join(newRoot, path), contained, true);
  }
}

function furnishTemporary(): void {
  mountTemporary(join(newRoot, 'run'), 'mode=755');
  mkdirSync(join(newRoot, 'run/netns'));
  mkdirSync(join(newRoot, 'run/lock'));
  chmodSync(join(newRoot, 'run/lock'), 0o1777);
  mountTemporary(join(newRoot, 'tmp'), 'mode=1777');
  for (const [path, options] of [
    ['var/run', 'mode=755'],
    ['var/tmp', 'mode=1777'],
  ] as const) {
    const found = lstatSync(join(newRoot, path), { throwIfNoEntry: false });
    if (found?.isDirectory() === true) mountTemporary(join(newRoot, path), options);
  }
}

/** Makes `path` of the machine appear in the realm under the same name. */
function carryAcross(path: string, attributes: MountAttributes): void {
  const target = join(newRoot, path);
  if (lstatSync(path).isDirectory()) {
    mkdirSync(target, { recursive: true });
  } else {
    mkdirSync(dirname(target), { recursive: true });
    makeFile(target);
  }
  bind(path, target);
  setAttributes(target, attributes, true);
}

/** False for what we may not reach: the realm's root, who has no more rights here, may not either. */
function isSocket(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return false;
    throw error;
  }
}

/**
 * Read-only mounts do not keep anybody from connecting to a socket. Covers those that somebody listens on, from the
 * machine's /proc/net/unix: number, reference count, protocol, flags, type, state, inode, path.
 */
function maskSockets(table: string, except: readonly string[]): void {
  for (const line of table.split('\n')) {
    const path = /^[0-9a-f]+: (?:\S+ +){5}\d+ (\/.*)$/.exec(line)?.[1];
    if (path === undefined || except.some((directory) => isInside(path, directory))) continue;
    const target = join(newRoot, path);
    if (isSocket(target)) bind(join(newRoot, 'dev/null'), target);
  }
}

function furnish(): void {
  const { values } = parseArgs({
    options: {
      name: { type: 'string' },
      runtime: { type: 'string' },
      state: { type: 'string' },
      app: { type: 'string' },
      node: { type: 'string' },
      setup: { type: 'string' },
      keep: { type: 'string', multiple: true, default: [] },
      seal: { type: 'string', multiple: true, default: [] },
      cgroup: { type: 'string', multiple: true, default: [] },
    },
  });
  const { runtime, state, app, node, keep, seal, cgroup } = values;
  if (runtime === undefined || state === undefined || app === undefined || node === undefined) {
    throw new SetupError('usage', 'The options runtime, state, app and node are needed.');
  }
  const sockets = readFileSync(0, 'utf8');

  // Whoever can make a cgroup namespace can mount the machine's control groups, writable. Counted in U1, so that no
  // user namespace below it can raise the limit again.
  writeFileSync('/proc/sys/user/max_cgroup_namespaces', '0');

  shareTree();
  furnishGate();
  furnishDevices();
  furnishProc();
  furnishSys(cgroup);
  furnishTemporary();
  for (const path of maskedDirectories) mask(join(newRoot, path));
  // A directory before what lies in it.
  const shared = [app, dirname(node), ...keep].sort((a, b) => a.length - b.length);
  for (const path of shared) {
    if (!existsSync(join(newRoot, path))) carryAcross(path, sealed);
  }
  for (const path of [runtime, state].sort((a, b) => a.length - b.length)) {
    carryAcross(path, contained);
  }
  // What the launcher trusts later on, although it lies where the realm may write.
  for (const path of seal) carryAcross(path, sealed);
  maskSockets(sockets, [runtime, state]);
  setAttributes(newRoot, sealed, false);
}

try {
  furnish();
} catch (error) {
  const code = error instanceof SetupError ? error.code : 'setup-broken';
  const sentence = error instanceof Error ? error.message : String(error);
  process.stdout.write(`failed ${code} ${sentence.replaceAll('\n', ' ')}\n`);
  // keeper.sh: the reason has been given.
  process.exitCode = 3;
}
