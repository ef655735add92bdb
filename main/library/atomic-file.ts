import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { fail, maximumDocumentSize, type Result, succeed } from '../../agent/api/index.ts';
import { storageFailure, systemErrorCode } from './storage-failure.ts';

/** SHA-256 of bytes or of a text's UTF-8, hexadecimal: how versions of files are told apart. */
export function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export interface FileContent {
  readonly text: string;
  /** SHA-256 of the bytes. */
  readonly version: string;
}

/**
 * Reads a text of at most `maximumDocumentSize` bytes. Fails with `storage` or `unknown-object` when the system refuses,
 * `invalid-request` when it is no regular file, `too-large`, or `invalid-document` when it is not UTF-8.
 */
export async function readTextFile(file: string): Promise<Result<FileContent>> {
  try {
    // A pipe without a writer would keep us waiting otherwise; of a file the flag changes nothing.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = await handle.stat();
      if (!status.isFile()) {
        return fail({
          kind: 'invalid-request',
          code: 'not-a-file',
          object: file,
          reason: 'It is not a regular file.',
          next: 'Choose a lab file.',
        });
      }
      if (status.size > maximumDocumentSize) return tooLarge(file);
      const bytes = await handle.readFile();
      // It may have grown since.
      if (bytes.length > maximumDocumentSize) return tooLarge(file);
      return decode(file, bytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    return storageFailure(file, error);
  }
}

function tooLarge(file: string): Result<never> {
  return fail({
    kind: 'too-large',
    code: 'document-too-large',
    object: file,
    reason: `It is larger than ${String(maximumDocumentSize / 1024)} KiB.`,
    next: 'Split the lab into smaller ones.',
  });
}

function decode(file: string, bytes: Uint8Array): Result<FileContent> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return succeed({ text, version: hashOf(bytes) });
  } catch {
    return fail({
      kind: 'invalid-document',
      code: 'not-utf8',
      object: file,
      reason: 'It is not UTF-8 text.',
      next: 'Save it as UTF-8.',
    });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a draft beside `file`, synced to the disk, and returns its path. */
async function writeDraft(
  file: string,
  text: string,
  mode: number,
  owner: { readonly uid: number; readonly gid: number } | null,
): Promise<string> {
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}`);
  const handle = await open(draft, 'wx', mode);
  try {
    await handle.writeFile(text);
    if (owner !== null) await handle.chown(owner.uid, owner.gid);
    // After chown, which clears set-id bits; and past the umask.
    await handle.chmod(mode);
    await handle.sync();
  } catch (error) {
    await handle.close();
    await unlink(draft);
    throw error;
  }
  await handle.close();
  return draft;
}

/**
 * Replaces a file's content in one step, or makes the file: readers see the old text or the new one. Mode and owner of
 * an existing file are kept, and a symbolic link goes on pointing at the file that is replaced.
 */
export async function writeTextFile(
  file: string,
  text: string,
  newFileMode = 0o644,
): Promise<Result<FileContent>> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    const target = await realpath(file).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return file;
      throw error;
    });
    const status = await stat(target).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return null;
      throw error;
    });
    const foreign = status !== null && status.uid !== process.geteuid?.();
    const draft = await writeDraft(
      target,
      text,
      status === null ? newFileMode : status.mode & 0o777,
      // Root keeps another person's file theirs; others may only replace what is then their own.
      foreign && process.geteuid?.() === 0 ? { uid: status.uid, gid: status.gid } : null,
    );
    try {
      await rename(draft, target);
    } catch (error) {
      await unlink(draft);
      throw error;
    }
    await syncDirectory(path.dirname(target));
    return succeed({ text, version: hashOf(text) });
  } catch (error) {
    return storageFailure(file, error);
  }
}

/** Makes a file that must not exist yet, whole from the first moment. */
export async function createTextFile(file: string, text: string): Promise<Result<FileContent>> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    const draft = await writeDraft(file, text, 0o644, null);
    try {
      await link(draft, file);
    } finally {
      await unlink(draft);
    }
    await syncDirectory(path.dirname(file));
    return succeed({ text, version: hashOf(text) });
  } catch (error) {
    return storageFailure(file, error);
  }
}

/** Sets a damaged file aside under a name that says so; the path it has now, or null when that failed too. */
export async function setAside(file: string): Promise<string | null> {
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '')}`;
  try {
    await rename(file, aside);
    return aside;
  } catch {
    return null;
  }
}

/** The value of a JSON file, `undefined` when it is absent, unreadable or not JSON (then it is set aside). */
export async function readJsonFile(file: string): Promise<unknown> {
  const bytes = await readFile(file, 'utf8').catch(() => null);
  if (bytes === null) return undefined;
  try {
    const value: unknown = JSON.parse(bytes);
    return value;
  } catch {
    await setAside(file);
    return undefined;
  }
}
