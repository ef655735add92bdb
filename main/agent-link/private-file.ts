/** Small files that appear whole or not at all. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';

export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null;
}

function writeDraft(file: string, text: string, mode: number): string {
  const draft = `${file}.${process.pid}.${randomUUID().slice(0, 8)}`;
  const descriptor = openSync(draft, 'wx', mode);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return draft;
}

/** Replaces or makes the file in one step. */
export function writeWhole(file: string, text: string, mode = 0o600): void {
  const draft = writeDraft(file, text, mode);
  try {
    renameSync(draft, file);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  }
}

/** Makes the file in one step; false when one of that name exists, which is then untouched. */
export function createWhole(file: string, text: string, mode = 0o600): boolean {
  const draft = writeDraft(file, text, mode);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}
