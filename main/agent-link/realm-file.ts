/**
 * Files in a realm's runtime directory, which the realm can write: nothing there is followed, and nothing there can make
 * us wait.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { errorCode } from './private-file.ts';

/** More than any of these files has; the log is read from its end. */
const longest = 256 * 1024;

const careful = constants.O_NOFOLLOW | constants.O_NONBLOCK;

function openFile(path: string, flags: number): number {
  const descriptor = openSync(path, flags | careful, 0o600);
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw Object.assign(new Error(`${path} is no file`), { code: 'EINVAL' });
}

/** The text of a regular file: its last `length` bytes. Throws a system error when there is none. */
export function readRealmFile(path: string, length = longest): string {
  const descriptor = openFile(path, constants.O_RDONLY);
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, length));
    const read = readSync(descriptor, bytes, 0, bytes.length, Math.max(0, size - bytes.length));
    return bytes.subarray(0, read).toString();
  } finally {
    closeSync(descriptor);
  }
}

/** Writes an existing file in place, as a sealed file has to be. */
export function rewriteRealmFile(path: string, text: string): void {
  const descriptor = openFile(path, constants.O_WRONLY);
  try {
    ftruncateSync(descriptor);
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

/** Opens a log to append to. What is in its place and is no file is removed. */
export function openRealmLog(path: string): number {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
  try {
    return openFile(path, flags);
  } catch (error) {
    if (!['ELOOP', 'EINVAL', 'ENXIO'].includes(errorCode(error) ?? '')) throw error;
    unlinkSync(path);
    return openFile(path, flags | constants.O_EXCL);
  }
}
