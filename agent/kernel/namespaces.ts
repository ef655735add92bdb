/**
 * Network namespaces: made, named, found and entered. Names are files below /run/netns that a namespace is mounted on,
 * exactly as `ip netns` keeps them (iproute2, ip/ipnetns.c), so both see each other's.
 *
 * A namespace is entered synchronously on the calling thread and left again before anything asynchronous can run.
 */
import {
  closeSync,
  type FSWatcher,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  watch,
} from 'node:fs';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { isErrno, kernelFailure, systemFailure } from './kernel-failure.ts';
import { listMounts } from './mounts.ts';
import {
  closeDescriptor,
  CLONE_NEWNET,
  EINVAL,
  fileSystemType,
  MNT_DETACH,
  mountFileSystem,
  MS_BIND,
  MS_REC,
  MS_SHARED,
  O_RDONLY,
  openDescriptor,
  openProcessDescriptor,
  setNamespace,
  unmount,
  unshare,
} from './native.ts';

/** Where `ip netns` keeps names (NETNS_RUN_DIR). */
export const namespaceDirectory = '/run/netns';

const nsfsMagic = 0x6e736673;

/** `<device>:<inode>` of a namespace file: the same namespace gives the same text, however it was found. */
export type NamespaceIdentity = string;

/** An open namespace. Holding it keeps the namespace alive with everything in it: close it. */
export interface NamespaceHandle {
  readonly fd: number;
  readonly identity: NamespaceIdentity;
}

let homeFd: number | undefined;
/** The namespace that the thread is in now: home, or the one of the innermost `runIn`. */
let currentFd: number | undefined;

/** Descriptor of the namespace that this process started in. Stays open; do not close it. */
export function homeNamespace(): number {
  if (homeFd === undefined) {
    const fd = openDescriptor('/proc/thread-self/ns/net', O_RDONLY);
    if (fd < 0) throw new Error(`The agent cannot open its own namespace (errno ${-fd}).`);
    homeFd = fd;
  }
  return homeFd;
}

/** Of a thread that ends: it enters no namespace any more. */
export function closeHomeNamespace(): void {
  if (homeFd !== undefined) closeDescriptor(homeFd);
  homeFd = undefined;
}

/** Goes back, whatever happened. To be left in a foreign namespace would be worse than to stop. */
function comeBack(fd: number): void {
  const result = setNamespace(fd, CLONE_NEWNET);
  if (result < 0) throw new Error(`Cannot return to the agent's namespace (errno ${-result}).`);
}

/**
 * Runs `action` with the calling thread inside the namespace and comes back. May be nested. The action must be
 * synchronous: a promise as its result is a bug and throws, after coming back.
 */
export function runIn<T>(namespaceFd: number, action: () => T): Result<T> {
  const previous = currentFd ?? homeNamespace();
  const entered = setNamespace(namespaceFd, CLONE_NEWNET);
  if (entered < 0) {
    return fail(
      kernelFailure(`namespace descriptor ${namespaceFd}`, { call: 'setns', errno: -entered }),
    );
  }
  currentFd = namespaceFd;
  let value: T;
  try {
    value = action();
  } finally {
    currentFd = previous;
    comeBack(previous);
  }
  if (value instanceof Promise) {
    throw new TypeError('runIn takes a synchronous action; this one goes on in another namespace.');
  }
  return succeed(value);
}

/**
 * Runs `action` in a fresh namespace that ends with it (unless the action keeps a descriptor or a process in it).
 * `undefined` enters no existing one: the namespace is new.
 */
export function runInFresh<T>(action: () => T): Result<T> {
  const previous = currentFd ?? homeNamespace();
  const left = unshare(CLONE_NEWNET);
  if (left < 0) {
    return fail(kernelFailure('network namespace', { call: 'unshare', errno: -left }));
  }
  let value: T;
  const own = openDescriptor('/proc/thread-self/ns/net', O_RDONLY);
  try {
    if (own >= 0) currentFd = own;
    value = action();
  } finally {
    currentFd = previous;
    comeBack(previous);
    if (own >= 0) closeDescriptor(own);
  }
  if (value instanceof Promise) {
    throw new TypeError('runInFresh takes a synchronous action.');
  }
  return succeed(value);
}

/** File names of one path component that `ip netns` takes too. A slash or `..` would reach outside: a bug. */
function pathOf(name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new RangeError(`No namespace name: ${JSON.stringify(name)}`);
  }
  return `${namespaceDirectory}/${name}`;
}

let preparedInodes = '';

/**
 * Makes /run/netns a shared mount of its own, as `ip netns add` does: names made here are then seen in mount
 * namespaces that were copied before. Does nothing where that is so already.
 */
export function prepareNamespaceDirectory(): Result<void> {
  const object = namespaceDirectory;
  try {
    mkdirSync(namespaceDirectory, { recursive: true, mode: 0o755 });
    const information = statSync(namespaceDirectory);
    const inodes = `${information.dev}:${information.ino}`;
    if (inodes === preparedInodes) return succeed(undefined);
    let shared = mountFileSystem('', namespaceDirectory, 'none', MS_SHARED | MS_REC);
    if (shared === -EINVAL) {
      // Not a mount point yet: bind it on itself first.
      const bound = mountFileSystem(
        namespaceDirectory,
        namespaceDirectory,
        'none',
        MS_BIND | MS_REC,
      );
      if (bound < 0) return fail(kernelFailure(object, { call: 'mount', errno: -bound }));
      shared = mountFileSystem('', namespaceDirectory, 'none', MS_SHARED | MS_REC);
    }
    if (shared < 0) return fail(kernelFailure(object, { call: 'mount', errno: -shared }));
    preparedInodes = inodes;
    return succeed(undefined);
  } catch (error) {
    return fail(systemFailure(object, error));
  }
}

/**
 * Makes a namespace and names it. The handle is open. Fails with EEXIST when the name is taken; leaves no file behind
 * on failure.
 */
export function createNamespace(name: string): Result<NamespaceHandle> {
  const object = `namespace ${name}`;
  const path = pathOf(name);
  const prepared = prepareNamespaceDirectory();
  if (!prepared.ok) return prepared;
  try {
    closeSync(openSync(path, 'wx', 0o000));
  } catch (error) {
    return fail(systemFailure(object, error));
  }
  const discard = (failure: Failure): Result<NamespaceHandle> => {
    try {
      unlinkSync(path);
    } catch {
      // The failure that is being reported matters more.
    }
    return fail(failure);
  };
  const previous = currentFd ?? homeNamespace();
  const left = unshare(CLONE_NEWNET);
  if (left < 0) return discard(kernelFailure(object, { call: 'unshare', errno: -left }));
  let mounted: number;
  try {
    mounted = mountFileSystem('/proc/thread-self/ns/net', path, 'none', MS_BIND);
  } finally {
    comeBack(previous);
  }
  if (mounted < 0) return discard(kernelFailure(object, { call: 'mount', errno: -mounted }));
  const handle = openNamespacePath(path, object);
  if (!handle.ok) {
    unmount(path, MNT_DETACH);
    return discard(handle.failure);
  }
  return handle;
}

/** Makes a namespace without a name. It ends when its handle is closed and nothing else holds it. */
export function createAnonymousNamespace(): Result<NamespaceHandle> {
  const opened = runInFresh(() => openNamespacePath('/proc/thread-self/ns/net', 'namespace'));
  return opened.ok ? opened.value : opened;
}

/** Gives an existing namespace a (further) name. Fails with EEXIST when it is taken. */
export function nameNamespace(handle: NamespaceHandle, name: string): Result<void> {
  const object = `namespace ${name}`;
  const path = pathOf(name);
  const prepared = prepareNamespaceDirectory();
  if (!prepared.ok) return prepared;
  try {
    closeSync(openSync(path, 'wx', 0o000));
    const mounted = mountFileSystem(`/proc/self/fd/${handle.fd}`, path, 'none', MS_BIND);
    if (mounted < 0) {
      unlinkSync(path);
      return fail(kernelFailure(object, { call: 'mount', errno: -mounted }));
    }
    return succeed(undefined);
  } catch (error) {
    return fail(systemFailure(object, error));
  }
}

/**
 * Removes the name. The namespace itself ends with its last holder: processes, sockets, handles. Fails with ENOENT
 * when there is no such name. A plain file that no namespace is mounted on is removed as well.
 */
export function removeNamespace(name: string): Result<void> {
  const object = `namespace ${name}`;
  const path = pathOf(name);
  const unmounted = unmount(path, MNT_DETACH);
  // EINVAL: the file is there, but nothing is mounted on it.
  if (unmounted < 0 && unmounted !== -EINVAL) {
    return fail(kernelFailure(object, { call: 'umount2', errno: -unmounted }));
  }
  try {
    unlinkSync(path);
    return succeed(undefined);
  } catch (error) {
    return fail(systemFailure(object, error));
  }
}

export interface NamedNamespace {
  readonly name: string;
  readonly identity: NamespaceIdentity;
}

/** Named namespaces, sorted by name. Files that no namespace is mounted on are left out, and so are vanished ones. */
export function listNamedNamespaces(): Result<readonly NamedNamespace[]> {
  let names: string[];
  try {
    names = readdirSync(namespaceDirectory);
  } catch (error) {
    const failure = systemFailure(namespaceDirectory, error);
    return isErrno(failure, 'ENOENT') ? succeed([]) : fail(failure);
  }
  const found: NamedNamespace[] = [];
  for (const name of names.sort()) {
    const path = `${namespaceDirectory}/${name}`;
    if (fileSystemType(path) !== nsfsMagic) continue;
    const identity = identifyNamespace(path);
    if (identity.ok) found.push({ name, identity: identity.value });
  }
  return succeed(found);
}

/** Identity of the namespace behind a path, without opening it. */
export function identifyNamespace(path: string): Result<NamespaceIdentity> {
  try {
    const information = statSync(path);
    return succeed(`${information.dev}:${information.ino}`);
  } catch (error) {
    return fail(systemFailure(path, error));
  }
}

/** Identity of the namespace behind a descriptor. */
export function identifyDescriptor(fd: number): Result<NamespaceIdentity> {
  return identifyNamespace(`/proc/self/fd/${fd}`);
}

/** Opens any namespace file. */
export function openNamespacePath(path: string, object = path): Result<NamespaceHandle> {
  const fd = openDescriptor(path, O_RDONLY);
  if (fd < 0) return fail(kernelFailure(object, { call: 'open', errno: -fd }));
  const identity = identifyDescriptor(fd);
  if (identity.ok) return succeed({ fd, identity: identity.value });
  closeDescriptor(fd);
  return identity;
}

export function openNamespaceByName(name: string): Result<NamespaceHandle> {
  const path = pathOf(name);
  const object = `namespace ${name}`;
  const type = fileSystemType(path);
  if (type < 0) return fail(kernelFailure(object, { call: 'statfs', errno: -type }));
  if (type !== nsfsMagic) {
    return fail(
      kernelFailure(
        object,
        { call: 'open', errno: EINVAL, message: `no namespace is mounted on ${path}` },
        `Remove the left-over file ${path}.`,
      ),
    );
  }
  return openNamespacePath(path, object);
}

/** Opens the namespace of a process (or thread), by its number. */
export function openNamespaceOfProcess(pid: number): Result<NamespaceHandle> {
  return openNamespacePath(`/proc/${pid}/ns/net`, `process ${pid}`);
}

export function closeNamespace(handle: NamespaceHandle): void {
  closeDescriptor(handle.fd);
}

export interface MountedNamespace {
  /** Mount point, wherever it is: /run/netns, /run/docker/netns, … */
  readonly path: string;
  readonly identity: NamespaceIdentity;
}

/** Every network namespace that is mounted on a file, from this process's mountinfo ("nsfs" lines). */
export function listMountedNamespaces(): Result<readonly MountedNamespace[]> {
  const mounts = listMounts();
  if (!mounts.ok) return mounts;
  const found: MountedNamespace[] = [];
  for (const mount of mounts.value) {
    if (mount.fileSystem !== 'nsfs' || !mount.root.startsWith('net:[')) continue;
    const identity = identifyNamespace(mount.mountPoint);
    // The inode that mountinfo names must be the one that is seen there: a later mount may cover it.
    if (!identity.ok || !mount.root.includes(`[${identity.value.split(':')[1] ?? ''}]`)) continue;
    found.push({ path: mount.mountPoint, identity: identity.value });
  }
  return succeed(found);
}

export interface HeldNamespace {
  readonly inode: number;
  /** Processes in it, ascending. */
  readonly pids: readonly number[];
}

/**
 * Network namespaces by the processes in them. What vanishes in between, and what may not be read, is skipped. Tells
 * by inode, since the link alone needs no privilege to enter; the device of all of them is that of nsfs.
 */
export function listProcessNamespaces(): Result<readonly HeldNamespace[]> {
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch (error) {
    return fail(systemFailure('/proc', error));
  }
  const holders = new Map<number, number[]>();
  for (const entry of entries) {
    const first = entry.charCodeAt(0);
    if (first < 0x31 || first > 0x39) continue;
    const inode = readNamespaceInode(`/proc/${entry}/ns/net`);
    if (inode === undefined) continue;
    const pids = holders.get(inode);
    if (pids === undefined) holders.set(inode, [Number(entry)]);
    else pids.push(Number(entry));
  }
  return succeed(
    [...holders].map(([inode, pids]) => ({ inode, pids: pids.sort((a, b) => a - b) })),
  );
}

/** Inode in a link such as `net:[4026531840]`; undefined when it cannot be read. */
export function readNamespaceInode(path: string): number | undefined {
  try {
    const match = /^[a-z_]+:\[([0-9]+)\]$/.exec(readlinkSync(path));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

/** The inode part of an identity. */
export function inodeOf(identity: NamespaceIdentity): number {
  return Number(identity.slice(identity.indexOf(':') + 1));
}

export interface NamespaceWatch {
  readonly stop: () => void;
}

/**
 * Calls back when names in /run/netns may have changed (inotify). A name appears before its namespace is mounted:
 * list again a little later if a new one is still missing.
 */
export function watchNamedNamespaces(onChange: (name: string) => void): Result<NamespaceWatch> {
  const prepared = prepareNamespaceDirectory();
  if (!prepared.ok) return prepared;
  let watcher: FSWatcher;
  try {
    watcher = watch(namespaceDirectory, { persistent: false }, (_event, name) => {
      onChange(name ?? '');
    });
  } catch (error) {
    return fail(systemFailure(namespaceDirectory, error));
  }
  // Without a listener an error of the watch would end the agent; the next listing shows what is there.
  watcher.on('error', () => {
    onChange('');
  });
  return succeed({
    stop() {
      watcher.close();
    },
  });
}

/** A pidfd, to know that a process is still the one that was meant. Close it with `closeDescriptor`. */
export function openProcess(pid: number): Result<number> {
  const fd = openProcessDescriptor(pid);
  return fd < 0
    ? fail(kernelFailure(`process ${pid}`, { call: 'pidfd_open', errno: -fd }))
    : succeed(fd);
}

/** Comm of a process; undefined when it is gone. */
export function processName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}
