import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { RunView } from '../../agent/api/inventory.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
} from '../../agent/kernel/namespaces.ts';
import { findRuns, parseRunMark, startRun, stopRun } from '../../agent/kernel/runs.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

const names = ['run-a', 'run-b'] as const;
const work = mkdtempSync(join(tmpdir(), 'netloom-runs-'));
const built = join(import.meta.dirname, '../../node_modules/.netloom-test', `run-${process.pid}`);
const log = join(work, 'logs', 'one.log');
let home: NamespaceHandle;
let other: NamespaceHandle;

beforeAll(async () => {
  requirePrivateNamespaces();
  for (const name of names) execFileSync('ip', ['netns', 'add', name]);
  home = must(openNamespaceByName('run-a'));
  other = must(openNamespaceByName('run-b'));
  await build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    ssr: { target: 'node', noExternal: true, external: ['koffi', 'zeromq'] },
    build: {
      ssr: join(import.meta.dirname, 'run-driver.ts'),
      outDir: built,
      target: 'node20',
      minify: false,
      rolldownOptions: {
        external: ['koffi', 'zeromq'],
        output: { format: 'es', entryFileNames: 'driver.js', codeSplitting: false },
      },
    },
  });
});

afterEach(async () => {
  for (const name of ['one', 'two', 'tree']) {
    must(await stopRun(home, { lab: 'lab', namespace: 'run-a', name }));
    must(await stopRun(other, { lab: 'lab', namespace: 'run-b', name }));
  }
});

afterAll(() => {
  closeNamespace(home);
  closeNamespace(other);
  for (const name of names) execFileSync('ip', ['netns', 'del', name]);
  for (const folder of [work, built]) rmSync(folder, { recursive: true, force: true });
});

const shell = (script: string): readonly string[] => ['sh', '-c', script];

const order = (
  name: string,
  command: readonly string[],
  namespace = 'run-a',
): Parameters<typeof startRun>[1] => ({ lab: 'lab', namespace, name, command });

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** What `ip` says is in a namespace. */
function pidsIn(name: string): number[] {
  return execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
    .filter(isAlive);
}

async function until(isDone: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!isDone()) {
    if (Date.now() > end) throw new Error('It did not come about.');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Field of /proc/PID/stat after the name: 0 state, 3 session. */
function statField(pid: number, field: number): string {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[field] ?? '';
}

it('starts a process in the namespace, in a session of its own, with its output in a log', async () => {
  const pid = must(
    startRun(
      home,
      order('one', shell('echo said; echo complained >&2; cat; echo no input; exec sleep 1000')),
      log,
    ),
  );
  await until(() => existsSync(log) && readFileSync(log, 'utf8').includes('no input'));
  expect(readFileSync(log, 'utf8')).toBe('said\ncomplained\nno input\n');
  expect(statSync(log).mode & 0o777).toBe(0o600);
  expect(pidsIn('run-a')).toEqual([pid]);
  expect(statField(pid, 3)).toBe(String(pid));
  expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe('/dev/null');
  // The descriptors of the agent (namespaces, sockets, event loop) are none of its business.
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  expect(targets).toContain(log);
  expect(targets.filter((target) => /^(net|socket|anon_inode):/.test(target))).toEqual([]);
  // Started again, the log begins anew.
  must(await stopRun(home, order('one', [])));
  must(startRun(home, order('one', shell('echo again')), log));
  await until(() => readFileSync(log, 'utf8') === 'again\n');
});

it('is found again by its mark, with what it was asked to run', async () => {
  const command = shell("echo 'two  words\n'; sleep 1000; true");
  const first = must(startRun(home, order('one', command), log));
  const second = must(startRun(home, order('two', ['sleep', '1001']), join(work, 'two')));
  const third = must(startRun(other, order('one', ['sleep', '1'], 'run-b'), join(work, '3')));
  await until(() => pidsIn('run-a').length === 3);
  const runs = findRuns().get(statSync('/run/netns/run-a').ino) ?? [];
  expect(runs).toMatchObject([
    { lab: 'lab', namespace: 'run-a', name: 'one', pid: first, command },
    { lab: 'lab', namespace: 'run-a', name: 'two', pid: second, command: ['sleep', '1001'] },
  ]);
  expect(runs[0]?.pids).toHaveLength(2);

  const tracker = must(await InventoryTracker.open());
  const seen = (name: string): readonly RunView[] | undefined =>
    tracker.snapshot().namespaces.find((view) => view.names.includes(name))?.runs;
  expect(seen('run-a')).toEqual([
    { lab: 'lab', name: 'one', pid: first, command },
    { lab: 'lab', name: 'two', pid: second, command: ['sleep', '1001'] },
  ]);
  expect(seen('run-b')).toEqual([{ lab: 'lab', name: 'one', pid: third, command: ['sleep', '1'] }]);
  await until(() => !isAlive(third));
  must(await stopRun(home, order('one', [])));
  tracker.refresh();
  expect(seen('run-b')).toEqual([]);
  expect(seen('run-a')?.map(({ name }) => name)).toEqual(['two']);
  tracker.close();
});

it('outlives who started it', async () => {
  const driver = join(built, 'driver.js');
  const starter = spawn(
    process.execPath,
    [
      driver,
      'run-a',
      JSON.stringify(order('one', shell('trap "" HUP; while :; do echo tick; sleep 0.05; done'))),
      log,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [answer]: unknown[] = await once(starter.stdout, 'data');
  const { value: pid } = JSON.parse(String(answer));
  const ended = once(starter, 'exit');
  starter.kill('SIGKILL');
  await ended;
  expect(isAlive(pid)).toBe(true);
  expect(statField(pid, 1)).not.toBe(String(starter.pid));
  const size = statSync(log).size;
  await until(() => statSync(log).size > size);
  expect(pidsIn('run-a')).toContain(pid);
  must(await stopRun(home, order('one', [])));
  expect(isAlive(pid)).toBe(false);
  expect(pidsIn('run-a')).toEqual([]);
});

it('is stopped with everything that it started, also what does not want to go', async () => {
  const script = join(work, 'tree.sh');
  writeFileSync(
    script,
    [
      'trap "" TERM',
      // A session of its own, another that does not heed SIGTERM, and one that has left the namespace.
      'setsid sh -c \'trap "" TERM; while :; do sleep 0.1; done\' &',
      'setsid sleep 2001 &',
      'nsenter --net=/run/netns/run-b setsid sleep 2002 &',
      'while :; do sleep 0.1; done',
    ].join('\n'),
  );
  must(startRun(home, order('tree', ['sh', script]), log));
  const bystander = spawn('ip', ['netns', 'exec', 'run-a', 'sleep', '2003'], { stdio: 'ignore' });
  await until(() => pidsIn('run-a').length >= 4 && pidsIn('run-b').length === 1);
  await until(() => pidsIn('run-a').includes(bystander.pid ?? 0));
  must(await stopRun(home, order('tree', [])));
  expect(pidsIn('run-a')).toEqual([bystander.pid]);
  expect(pidsIn('run-b')).toEqual([]);
  bystander.kill('SIGKILL');
  await once(bystander, 'exit');
}, 20_000);

it('says what is wrong with a command', async () => {
  const start = (command: readonly string[]): unknown => startRun(home, order('one', command), log);
  expect(start(['no-such-program'])).toMatchObject({
    failure: { kind: 'process', code: 'program-missing', values: { namespace: 'run-a' } },
  });
  expect(start(['/no/such/program'])).toMatchObject({ failure: { code: 'program-missing' } });
  expect(start(['some/program'])).toMatchObject({ failure: { code: 'program-relative' } });
  expect(start(['true', ...Array.from({ length: 40 }, () => 'x'.repeat(4000))])).toMatchObject({
    failure: { kind: 'too-large' },
  });
  expect(must(await stopRun(home, order('one', [])))).toBeUndefined();
});

it('reads marks with care', () => {
  expect(parseRunMark('A=1\0NETLOOM_RUN=l/n/r\0NETLOOM_COMMAND=["a b"]\0')).toEqual({
    lab: 'l',
    namespace: 'n',
    name: 'r',
    command: ['a b'],
  });
  expect(parseRunMark('NETLOOM_RUN=l/n/r\0NETLOOM_COMMAND={"a":1}\0')?.command).toEqual([]);
  expect(parseRunMark('NETLOOM_RUN=l/n/r\0NETLOOM_COMMAND=[\0')?.command).toEqual([]);
  expect(parseRunMark('NETLOOM_RUN=l/n\0')).toBeUndefined();
  expect(parseRunMark('X=NETLOOM_RUN=l/n/r\0')).toBeUndefined();
  expect(parseRunMark('')).toBeUndefined();
});
