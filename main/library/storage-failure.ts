import { fail, type Failure } from '../../agent/api/index.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file.',
  EACCES: 'It may not be read or written by this user.',
  EPERM: 'It may not be changed by this user.',
  EROFS: 'It is on a read-only file system.',
  ENOSPC: 'The disk is full.',
  EDQUOT: 'The disk quota is used up.',
  EISDIR: 'It is a directory.',
  ENOTDIR: 'A part of its path is not a directory.',
  ENAMETOOLONG: 'Its path is too long.',
  ELOOP: 'Its path goes through too many symbolic links.',
  EEXIST: 'A file of that name exists.',
};

/** The `code` of a system error, or null for any other value. */
export function systemErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** A failed file operation as a value. What is not a system error is a bug and is thrown on. */
export function storageFailure(
  path: string,
  error: unknown,
): { readonly ok: false; readonly failure: Failure } {
  const code = systemErrorCode(error);
  if (code === null) throw error;
  return fail({
    kind: code === 'ENOENT' ? 'unknown-object' : 'storage',
    code: `file-${code.toLowerCase()}`,
    object: path,
    reason: reasons[code] ?? `The system reports ${code}.`,
    next:
      code === 'ENOENT'
        ? 'Check the path.'
        : code === 'EEXIST'
          ? 'Choose another name.'
          : 'Check the file, its directory and their permissions.',
    values: { errno: code },
  });
}
