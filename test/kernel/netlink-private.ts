/**
 * For tests that work on the network of their own process: the tier runs under `unshare --net --mount` with a tmpfs on
 * /run. They refuse to run anywhere else, so that the machine's network and names are never touched.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import type { Result } from '../../agent/api/result.ts';

export function requirePrivateNamespaces(): void {
  for (const kind of ['net', 'mnt']) {
    if (readNamespace('self', kind) === readNamespace('1', kind)) {
      throw new Error(`Refusing to run in the machine's own ${kind} namespace.`);
    }
  }
  // Where the first process hides its namespaces: a machine's own has more than a loopback.
  const links = ip('link') as { ifname: string }[];
  if (links.some(({ ifname }) => ifname !== 'lo')) {
    throw new Error('Refusing to run in a network namespace that has links already.');
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  if (!mounts.some((line) => / \/run .* - tmpfs /.test(line))) {
    throw new Error('Refusing to run without a tmpfs of its own on /run.');
  }
}

function readNamespace(pid: string, kind: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return 'unknown';
  }
}

/** What `ip -j` says, as data. */
export function ip(...args: readonly string[]): unknown {
  const text = execFileSync('ip', ['-j', ...args], { encoding: 'utf8' });
  return text.trim() === '' ? [] : JSON.parse(text);
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

export function errnoOf(result: Result<unknown>): unknown {
  return result.ok ? 'ok' : result.failure.values?.['errno'];
}

let counter = 0;
/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  counter += 1;
  return `${prefix}-${process.pid}-${counter}`;
}
