/**
 * Locks between processes. The kernel holds them (flock(2), through util-linux, which realms need anyway): however the
 * holder ends, its lock ends with it, and there is no such thing as a stale one.
 */
import { readFileSync, statSync } from 'node:fs';
import { fail, type Result } from '../../agent/api/index.ts';
import { type DetachedProcess, startDetached } from './process.ts';

/** Exit status of flock(1) when somebody else has the lock. */
const conflict = 1;

function lockFailure(
  kind: 'busy' | 'storage',
  path: string,
  code: string,
  reason: string,
  next: string,
) {
  return fail({ kind, code, object: path.slice(0, 512), reason, next });
}

/** Resolves with true when the holder says that the lock is ours, with false when it ends instead. */
function waitForEcho(holder: DetachedProcess): Promise<boolean> {
  return new Promise((resolve) => {
    holder.stdout?.once('data', () => resolve(true));
    holder.stdout?.once('end', () => resolve(false));
  });
}

/**
 * Runs `work` while no other process runs work under the same lock file, which is made where there is none and stays.
 * Waits at most `patience` milliseconds for the others, then fails with `busy`.
 */
export async function withLock<T>(
  path: string,
  patience: number,
  work: () => Promise<Result<T>>,
): Promise<Result<T>> {
  const seconds = String(patience / 1000);
  // `cat` answers only once flock has the lock, and ends when our end of its input does: with us, at the latest.
  const started = await startDetached('flock', ['--exclusive', '--timeout', seconds, path, 'cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  if (!started.ok) return started;
  const holder = started.value;
  try {
    holder.stdin?.write('?');
    if (!(await waitForEcho(holder))) {
      const { status } = await holder.ended;
      return status === conflict
        ? lockFailure(
            'busy',
            path,
            'realm-locked',
            `Another process has been working on the realm for ${seconds} s.`,
            'Wait for it, then try again.',
          )
        : lockFailure(
            'storage',
            path,
            'lock-unusable',
            'The lock file cannot be opened.',
            'Check its owner and permissions.',
          );
    }
    return await work();
  } finally {
    // The next one may go on as soon as this is read.
    holder.stdin?.end();
    await holder.ended;
    holder.release();
  }
}

/** Whether some process holds the lock at this moment, as /proc/locks (proc(5)) has it. */
export function isLocked(path: string): boolean {
  try {
    const { ino } = statSync(path);
    return readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .some((line) => new RegExp(`FLOCK +ADVISORY +WRITE .*:${ino} `).test(line));
  } catch {
    return false;
  }
}
