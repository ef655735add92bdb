/** Files that survive a crash whole: the old text or the new one, never a part. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';

/** A Failure of kind 'storage' from an exception of Node's file functions; anything else is a bug, thrown again. */
export function storageFailure(path: string, error: unknown): Failure {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    throw error;
  }
  return {
    kind: 'storage',
    code: `storage-${error.code.toLowerCase()}`,
    object: path.slice(0, 512),
    reason: `The file could not be used: ${error.message.slice(0, 1000)}.`,
    next: 'Check the space and the permissions of the state directory, then try again.',
    values: { errno: error.code },
  };
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** fsync(2) of a directory: makes the names in it as durable as the files. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function writeWhole(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}

/**
 * Replaces a file (mode 0600) as one step: written aside, fsynced, renamed, directory fsynced. Missing directories
 * are made (0700).
 */
export function writeDurably(path: string, text: string): Result<void> {
  const aside = `${path}.new`;
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const descriptor = openSync(aside, 'w', 0o600);
    try {
      writeWhole(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(aside, path);
    syncDirectory(directory);
    return succeed(undefined);
  } catch (error) {
    return fail(storageFailure(path, error));
  }
}

/** Removes a file, which may be missing, and makes its absence durable. */
export function removeDurably(path: string): Result<void> {
  try {
    unlinkSync(path);
    syncDirectory(dirname(path));
    return succeed(undefined);
  } catch (error) {
    return hasCode(error, 'ENOENT') ? succeed(undefined) : fail(storageFailure(path, error));
  }
}

/** The text of a file; null when there is none. */
export function readTextFile(path: string): Result<string | null> {
  try {
    return succeed(readFileSync(path, 'utf8'));
  } catch (error) {
    return hasCode(error, 'ENOENT') ? succeed(null) : fail(storageFailure(path, error));
  }
}
