/** Mounts: the mount table as the kernel writes it, and the newer mount calls (open_tree, move_mount, mount_setattr). */
import { readFileSync } from 'node:fs';
import { fail, type Result, succeed } from '../api/result.ts';
import { kernelFailure, settleCall, systemFailure } from './kernel-failure.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MNT_DETACH,
  MOVE_MOUNT_F_EMPTY_PATH,
  moveMount as callMoveMount,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  openTree as callOpenTree,
  setMountAttributesOf,
  unmount as callUnmount,
} from './native.ts';

/** One line of /proc/<pid>/mountinfo; see proc(5). */
export interface Mount {
  readonly id: number;
  readonly parentId: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system is mounted, such as `/` or `net:[4026531840]`. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly fileSystem: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The kernel writes blank, tab, newline and backslash as octal (seq_path, " \t\n\\"). */
function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  // The escapes are bytes; a name with others is UTF-8 already.
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Pure. Lines that do not look like mountinfo are left out. */
export function parseMountInfo(text: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    if (separator < 0) continue;
    const [id, parentId, device, root, mountPoint, options] = fields;
    const [fileSystem, source, superOptions] = fields.slice(separator + 1);
    if (options === undefined || mountPoint === undefined || fileSystem === undefined) continue;
    mounts.push({
      id: Number(id),
      parentId: Number(parentId),
      device: device ?? '',
      root: unescape(root ?? ''),
      mountPoint: unescape(mountPoint),
      options: options.split(','),
      propagation: fields.slice(6, separator),
      fileSystem,
      source: unescape(source ?? ''),
      superOptions: (superOptions ?? '').split(','),
    });
  }
  return mounts;
}

/** Mounts of a process, or of this one. */
export function listMounts(pid: number | 'self' = 'self'): Result<readonly Mount[]> {
  const path = `/proc/${pid}/mountinfo`;
  try {
    return succeed(parseMountInfo(readFileSync(path, 'utf8')));
  } catch (error) {
    return fail(systemFailure(path, error));
  }
}

export interface MountAttributes {
  readonly readonly?: boolean | undefined;
  readonly nodev?: boolean | undefined;
  readonly nosuid?: boolean | undefined;
  readonly noexec?: boolean | undefined;
}

/** MOUNT_ATTR_* of include/uapi/linux/mount.h. */
const attributeBits: Readonly<Record<keyof MountAttributes, bigint>> = {
  readonly: 1n,
  nosuid: 2n,
  nodev: 4n,
  noexec: 8n,
};

/**
 * Sets (true) or clears (false) attributes of the mount at a path, and with `recursive` of all below it, at once and
 * completely or not at all (mount_setattr, Linux 5.12). What is undefined stays as it is. ENOSYS on older kernels.
 */
export function setMountAttributes(
  path: string,
  attributes: MountAttributes,
  recursive: boolean,
): Result<void> {
  let set = 0n;
  let clear = 0n;
  for (const [name, bit] of Object.entries(attributeBits)) {
    const wanted = attributes[name as keyof MountAttributes];
    if (wanted === true) set |= bit;
    else if (wanted === false) clear |= bit;
  }
  const structure = Buffer.alloc(32);
  structure.writeBigUInt64LE(set, 0);
  structure.writeBigUInt64LE(clear, 8);
  const result = setMountAttributesOf(AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, structure);
  return result < 0
    ? fail(kernelFailure(path, { call: 'mount_setattr', errno: -result }))
    : succeed(undefined);
}

/**
 * A detached copy of the mount at a path (a bind mount that is nowhere yet); with `recursive` of the whole tree. The
 * descriptor is for {@link moveMount}; close it.
 */
export function openTree(path: string, recursive: boolean): Result<number> {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return settleCall(callOpenTree(AT_FDCWD, path, flags), 'open_tree', path);
}

/** Attaches what {@link openTree} gave to a path. */
export function moveMount(treeFd: number, path: string): Result<void> {
  const result = callMoveMount(treeFd, '', AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
  return result < 0
    ? fail(kernelFailure(path, { call: 'move_mount', errno: -result }))
    : succeed(undefined);
}

/** As {@link setMountAttributes}, on a detached copy before it is attached. */
export function setTreeAttributes(
  treeFd: number,
  attributes: MountAttributes,
  recursive: boolean,
): Result<void> {
  const structure = Buffer.alloc(32);
  let set = 0n;
  if (attributes.readonly === true) set |= attributeBits.readonly;
  if (attributes.nosuid === true) set |= attributeBits.nosuid;
  if (attributes.nodev === true) set |= attributeBits.nodev;
  if (attributes.noexec === true) set |= attributeBits.noexec;
  structure.writeBigUInt64LE(set, 0);
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  const result = setMountAttributesOf(treeFd, '', flags, structure);
  return result < 0
    ? fail(kernelFailure(`mount ${treeFd}`, { call: 'mount_setattr', errno: -result }))
    : succeed(undefined);
}

/** Takes a mount away; `lazy` (MNT_DETACH) also while it is in use. */
export function unmount(path: string, lazy: boolean): Result<void> {
  const result = callUnmount(path, lazy ? MNT_DETACH : 0);
  return result < 0
    ? fail(kernelFailure(path, { call: 'umount2', errno: -result }))
    : succeed(undefined);
}
