/** Words for what the kernel refuses: from an errno and a call to a Failure of kind 'kernel'. */
import { constants } from 'node:os';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { errnoText } from './native.ts';

/** What the kernel said: which call, which errno, and for netlink the extended message with its place. */
export interface KernelError {
  /** System call or netlink message, such as `setns` or `RTM_NEWLINK`. */
  readonly call: string;
  /** Positive errno. */
  readonly errno: number;
  /** Sentence of NLMSGERR_ATTR_MSG, where the kernel gave one. */
  readonly message?: string | undefined;
  /** Path of the attribute that the kernel objects to, such as `18.2.1` (attribute numbers, outermost first). */
  readonly attribute?: string | undefined;
}

const names: ReadonlyMap<number, string> = new Map([
  // ENOTSUPP escapes to user space from a few drivers; libc does not know it.
  [524, 'ENOTSUPP'],
  ...Object.entries(constants.errno)
    // Two names, one number: keep the ones that the kernel's sources use.
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, value]): [number, string] => [value, name]),
  // Not in Node's list.
  [117, 'EUCLEAN'],
  [76, 'ENOTUNIQ'],
  [50, 'ENOCSI'],
  [108, 'ESHUTDOWN'],
  [112, 'EHOSTDOWN'],
  [122, 'EDQUOT'],
]);

/** `ENOENT` for 2; `E999` for a number without a name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

const nextSteps: Readonly<Record<string, string>> = {
  EPERM:
    'Run it in a realm whose agent holds the privilege for this (CAP_NET_ADMIN, CAP_SYS_ADMIN).',
  EACCES: 'Run it in a realm whose agent may open this.',
  ENOENT: 'Refresh the view: it may have been removed in the meantime.',
  ENODEV: 'Refresh the view: the link may have been removed in the meantime.',
  ESRCH: 'Refresh the view: it may have ended in the meantime.',
  EROFS: 'It is mounted read-only: mount it writable, and try again.',
  EEXIST: 'Choose another name or remove the existing object first.',
  EBUSY: 'Stop what uses it and try again.',
  EINVAL: 'Check the values of the request.',
  EOPNOTSUPP: 'Run `netloom doctor` to see what this kernel offers.',
  ENOTSUPP: 'Run `netloom doctor` to see what this kernel offers.',
  ENOSYS: 'Run `netloom doctor` to see what this kernel offers.',
  EMFILE: 'Raise the limit of open files of the agent (ulimit -n).',
  ENFILE: 'Raise the machine-wide limit of open files (fs.file-max).',
  ENOMEM: 'Free memory and try again.',
  ENOBUFS: 'Try again; if it stays, raise net.core.rmem_max.',
  ENOSPC: 'Raise the limit that is exhausted (namespaces, watches or space) and try again.',
};

/** A Failure of kind 'kernel'. `values` carries `errno` (name), `number` (errno), `call`, and `message`, `attribute` if any. */
export function kernelFailure(object: string, error: KernelError, next?: string): Failure {
  const name = errnoName(error.errno);
  const text = errnoText(error.errno);
  const values: Record<string, string | number> = {
    errno: name,
    number: error.errno,
    call: error.call,
  };
  if (error.message !== undefined) values['message'] = error.message;
  if (error.attribute !== undefined) values['attribute'] = error.attribute;
  const detail =
    error.message === undefined || error.message === '' ? '' : `: ${error.message.slice(0, 500)}`;
  return {
    kind: 'kernel',
    code: `kernel-${name.toLowerCase()}`,
    object: object.slice(0, 512),
    reason: `${error.call} failed with ${name} (${text})${detail}.`,
    next: next ?? nextSteps[name] ?? 'Check the object and the request, then try again.',
    values,
  };
}

/** A Result from a call of native.ts: the value, or the failure made of `-errno`. */
export function settleCall(result: number, call: string, object: string): Result<number> {
  return result < 0 ? fail(kernelFailure(object, { call, errno: -result })) : succeed(result);
}

/** True when the failure came from the kernel with this errno, given by name (`'EEXIST'`). */
export function isErrno(failure: Failure, ...errnoNames: readonly string[]): boolean {
  const name = failure.values?.['errno'];
  return failure.kind === 'kernel' && typeof name === 'string' && errnoNames.includes(name);
}

/** A Failure from an exception of Node's synchronous file functions; anything else is a bug and is thrown again. */
export function systemFailure(object: string, error: unknown, next?: string): Failure {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    const call = 'syscall' in error && typeof error.syscall === 'string' ? error.syscall : 'file';
    return kernelFailure(object, { call, errno: Math.abs(error.errno) }, next);
  }
  throw error;
}
