/** A network of its own that Netloom has no part in: what hand-written commands make is compared with labs. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { RunInRealm } from './network-state.ts';

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface BareNetwork {
  readonly inside: RunInRealm;
  /** Runs a script by `sh -e`; throws when it fails. */
  readonly script: (text: string) => void;
  readonly end: () => void;
}

/**
 * Empty but for `lo`, which is down; with a `/run` and a `/sys` of its own, and processes of its own, which end with it.
 * Programs are found in `programs` too.
 */
export async function makeBareNetwork(programs?: string): Promise<BareNetwork> {
  const environment = { PATH: programs === undefined ? systemPath : `${programs}:${systemPath}` };
  const isRoot = process.getuid?.() === 0;
  const furnish =
    'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && echo ready && exec sleep 1000000';
  const holder: ChildProcess = spawn(
    'unshare',
    [
      ...(isRoot ? [] : ['--user', '--map-root-user']),
      ...['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'],
      ...['--mount-proc', 'sh', '-c', furnish],
    ],
    { cwd: '/', env: environment, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const end = (): void => {
    process.off('exit', end);
    holder.kill('SIGKILL');
  };
  process.once('exit', end);
  await new Promise<void>((resolve, reject) => {
    let errors = '';
    holder.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    holder.stdout?.once('data', () => resolve());
    holder.once('close', () => reject(new Error(`no bare network: ${errors}`)));
  });
  // The shell, which is in all of them.
  const [pid = ''] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').split(
    ' ',
  );
  const enter = (command: readonly string[], input: string): string => {
    const user = isRoot ? [] : ['-U', '--preserve-credentials'];
    const result = spawnSync('nsenter', ['-t', pid, ...user, '-m', '-n', '-p', '--', ...command], {
      cwd: '/',
      env: environment,
      input,
      timeout: 60_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    if (result.status !== 0) {
      throw new Error(`${command.slice(0, 3).join(' ')}: ${result.stderr.toString()}`);
    }
    return result.stdout.toString();
  };
  return {
    inside: (command) => enter(command, ''),
    script: (text) => void enter(['sh', '-e'], text),
    end,
  };
}
