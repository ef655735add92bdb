/** Files of sockets: where they may be, and whether somebody listens behind one that is there. */
import { chmodSync, lstatSync, chownSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type Failure, realmFiles, type Result, succeed } from '../api/index.ts';

/** sun_path has 108 bytes and ends with a zero (unix(7)). */
export const longestSocketPath = 107;

/**
 * Each enrolled key has a call socket and a stream socket of its own, so that the agent knows who speaks by where it
 * hears them. Their names end in the key's first ten characters in hexadecimal. `main/agent-link` knows the same rule.
 */
export function doorPath(directory: string, kind: 'call' | 'stream', key: string): string {
  const stem = kind === 'call' ? realmFiles.callSocket : realmFiles.streamSocket;
  return join(directory, `${stem}-${Buffer.from(key.slice(0, 10)).toString('hex')}`);
}

export function checkSocketPath(path: string): Result<void> {
  const length = Buffer.byteLength(path);
  if (length <= longestSocketPath) return succeed(undefined);
  return fail({
    kind: 'refused',
    code: 'socket-path-too-long',
    object: path.slice(0, 512),
    reason: `The path of the socket has ${length} bytes; the kernel takes ${longestSocketPath}.`,
    next: 'Set XDG_RUNTIME_DIR to a shorter path.',
    values: { length, limit: longestSocketPath },
  });
}

function storage(path: string, code: string, reason: string, next: string): Failure {
  return { kind: 'storage', code, object: path.slice(0, 512), reason, next };
}

/** A socket is as safe as its directory: ours, a real one, and nobody else may write in it. */
export function checkOwnDirectory(directory: string): Result<void> {
  const status = lstatSync(directory, { throwIfNoEntry: false });
  const next = 'Remove it, or set XDG_RUNTIME_DIR to a directory of your own.';
  if (status === undefined) {
    return fail(storage(directory, 'no-directory', 'There is no such directory.', next));
  }
  if (!status.isDirectory()) {
    return fail(storage(directory, 'not-a-directory', 'It is not a directory.', next));
  }
  if (status.uid !== process.geteuid?.()) {
    return fail(storage(directory, 'foreign-directory', `It belongs to uid ${status.uid}.`, next));
  }
  if ((status.mode & 0o022) !== 0) {
    return fail(storage(directory, 'open-directory', 'Others may write in it.', next));
  }
  return succeed(undefined);
}

function isBound(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // EAGAIN: its queue is full, so somebody is bound.
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** Milliseconds for an agent that was killed to let go of its socket: its pid may be gone before its descriptors are. */
const dyingPatience = 1000;
const dyingStep = 25;

async function staysBound(path: string): Promise<boolean> {
  const deadline = performance.now() + dyingPatience;
  while (await isBound(path)) {
    if (performance.now() >= deadline) return true;
    await delay(dyingStep);
  }
  return false;
}

/** Removes what a dead agent left. zeromq would take the path over from a living one without a word. */
export async function clearStaleSocket(path: string): Promise<Result<void>> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return succeed(undefined);
  if (!status.isSocket()) {
    return fail(
      storage(path, 'not-a-socket', 'A file that is not a socket is in the way.', 'Remove it.'),
    );
  }
  if (await staysBound(path)) {
    return fail({
      kind: 'refused',
      code: 'agent-runs',
      object: path.slice(0, 512),
      reason: 'Another agent is bound to it.',
      next: 'Use the agent that runs, or stop it first.',
    });
  }
  unlinkSync(path);
  return succeed(undefined);
}

/** Runs `bind` so that the file which it makes is open to its owner alone, then gives it to `uid`. */
export function bindPrivately(path: string, uid: number, bind: () => void): void {
  const before = process.umask(0o177);
  try {
    bind();
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
  if (uid !== process.geteuid?.()) chownSync(path, uid, process.getegid?.() ?? 0);
}
