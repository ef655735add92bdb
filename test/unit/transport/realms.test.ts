/** Keepers and agents as real processes, of root and of an ordinary user, with a small agent in the real one's place. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { findDirectories } from '../../../main/agent-link/directories.ts';
import { Realms, type RealmSight } from '../../../main/agent-link/realms.ts';
import { RealmWatcher } from '../../../main/agent-link/watch.ts';
import { until } from './link.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const isRoot = process.geteuid?.() === 0;
const userNamespaces = spawnSync('unshare', ['--user', '--mount', '--', 'true']).status === 0;
const realm = 'sandbox:one';

let application: string;
let base: string;
let realms: Realms;

async function bundle(source: string, target: string): Promise<void> {
  const build = await rolldown({
    input: join(checkout, source),
    platform: 'node',
    external: ['zeromq', 'koffi'],
  });
  await build.write({ file: target, format: 'esm' });
}

beforeAll(async () => {
  application = mkdtempSync(join(tmpdir(), 'netloom-application-'));
  spawnSync('chmod', ['755', application]);
  const agent = join(application, 'dist/agent');
  mkdirSync(agent, { recursive: true });
  writeFileSync(join(application, 'package.json'), '{"type":"module"}');
  symlinkSync(join(checkout, 'node_modules'), join(application, 'node_modules'));
  copyFileSync(join(checkout, 'agent/realm/keeper.sh'), join(agent, 'keeper.sh'));
  await bundle('agent/realm/setup.ts', join(agent, 'realm-setup.js'));
  await bundle('test/unit/transport/fixture-agent.ts', join(agent, 'agent.js'));
  await bundle('test/unit/transport/fixture-host.ts', join(application, 'dist/host.js'));
  await bundle('test/unit/transport/fixture-starter.ts', join(application, 'dist/starter.js'));
});
afterAll(() => rmSync(application, { recursive: true, force: true }));

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'netloom-realms-'));
  const directories = findDirectories({ HOME: base, XDG_RUNTIME_DIR: base });
  realms = new Realms({ applicationRoot: application, directories });
});
afterEach(async () => {
  await realms.end(realm);
  rmSync(base, { recursive: true, force: true });
});

interface Said {
  readonly info?: { readonly pid: number };
  readonly failure?: unknown;
  readonly sight: RealmSight;
}

/** Runs the starter to its end. */
async function runStarter(act: string, user = 0): Promise<Said> {
  const identity = user === 0 ? {} : { uid: user, gid: user };
  const child = spawn(
    process.execPath,
    [join(application, 'dist/starter.js'), application, act, realm],
    {
      cwd: '/',
      env: { PATH: process.env['PATH'], HOME: base, XDG_RUNTIME_DIR: base },
      ...identity,
    },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  if (output === '') throw new Error(errors);
  return JSON.parse(output) as Said;
}

describe.skipIf(!userNamespaces)('a sandbox realm', () => {
  test('is one, with one agent, however many want it at once', async () => {
    const said = await Promise.all(Array.from({ length: 5 }, () => runStarter('ensure')));
    for (const one of said) expect(one.failure).toBeUndefined();
    expect(new Set(said.map(({ sight }) => sight.keeperPid)).size).toBe(1);
    expect(new Set(said.map(({ sight }) => sight.agentPid)).size).toBe(1);
    expect(new Set(said.map(({ info }) => info?.pid)).size).toBe(1);
    // Those who started it have ended; it has not.
    const sight = realms.look(realm);
    expect(sight).toMatchObject({ state: 'running', keeperPid: said[0]?.sight.keeperPid });
    const agentPid = String(sight.agentPid);
    expect(readFileSync(`/proc/${agentPid}/status`, 'utf8')).toMatch(
      new RegExp(`^NSpid:\\t${agentPid}\\t${said[0]?.info?.pid ?? ''}$`, 'm'),
    );
  });

  test('outlives its agent, which can be started again, by several at once', async () => {
    const first = await realms.ensure(realm);
    if (!first.ok) throw new Error(first.failure.reason);
    const before = realms.lookClosely(realm);
    process.kill(before.agent?.pid ?? 0, 'SIGKILL');
    expect(await first.value.client.ended).toMatchObject({
      kind: 'unreachable',
      code: 'agent-lost',
    });
    await until(() => realms.look(realm).state === 'agent-lost');
    expect(await realms.connect(realm)).toMatchObject({
      ok: false,
      failure: { kind: 'unreachable' },
    });
    const said = await Promise.all(Array.from({ length: 3 }, () => runStarter('start-agent')));
    expect(new Set(said.map(({ sight }) => sight.agentPid)).size).toBe(1);
    expect(realms.look(realm)).toMatchObject({
      state: 'running',
      keeperPid: before.keeper?.pid,
    });
  });

  test('is gone with its keeper, and no agent is started into nothing', async () => {
    const first = await realms.ensure(realm);
    if (!first.ok) throw new Error(first.failure.reason);
    const { keeper, agent } = realms.lookClosely(realm);
    process.kill(keeper?.pid ?? 0, 'SIGKILL');
    await first.value.client.ended;
    await until(() => !existsSync(`/proc/${String(agent?.pid)}`));
    // The keeper is there until the kernel has ended everything in its namespaces.
    await until(() => realms.look(realm).state === 'gone');
    const failure = { kind: 'realm-gone' };
    expect(await realms.connect(realm)).toMatchObject({ ok: false, failure });
    expect(await realms.startAgent(realm)).toMatchObject({ ok: false, failure });
    const second = await realms.ensure(realm);
    expect(second.ok).toBe(true);
    expect(realms.look(realm).keeperPid).not.toBe(keeper?.pid);
    if (second.ok) second.value.client.close();
  });

  test('ends with nothing left but its state', async () => {
    const first = await realms.ensure(realm);
    if (!first.ok) throw new Error(first.failure.reason);
    const { keeper, agent } = realms.lookClosely(realm);
    expect(await realms.stopAgent(realm)).toEqual({ ok: true, value: undefined });
    expect(realms.look(realm)).toMatchObject({ state: 'agent-lost', agentPid: null });
    // The keeper takes its end in when it comes to it.
    await until(() => !existsSync(`/proc/${String(agent?.pid)}`));
    expect(await realms.end(realm)).toEqual({ ok: true, value: undefined });
    expect(existsSync(`/proc/${String(keeper?.pid)}`)).toBe(false);
    expect(existsSync(realms.directoriesOf(realm).runtime)).toBe(false);
    expect(existsSync(realms.directoriesOf(realm).state)).toBe(true);
    expect(await realms.end(realm)).toEqual({ ok: true, value: undefined });
  });

  test('whose agent ends at its start says so, with the log', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'netloom-broken-'));
    spawnSync('cp', ['-a', `${application}/.`, broken]);
    writeFileSync(
      join(broken, 'dist/agent/agent.js'),
      'console.log("no luck today"); process.exit(7);',
    );
    const { directories } = realms;
    const outcome = await new Realms({ applicationRoot: broken, directories }).ensure(realm);
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'process', code: 'agent-ended' } });
    expect(JSON.stringify(outcome)).toContain('no luck today');
    rmSync(broken, { recursive: true });
  });

  test('cannot change who is recorded as its keeper, nor make its log another file', async () => {
    const first = await realms.ensure(realm);
    if (!first.ok) throw new Error(first.failure.reason);
    first.value.client.close();
    const { runtime } = realms.directoriesOf(realm);
    const { keeperPid } = realms.look(realm);
    const inside = (script: string): number | null =>
      spawnSync('sh', [
        join(application, 'dist/agent/keeper.sh'),
        ...['enter', String(keeperPid), 'sh', '-c', script],
      ]).status;
    for (const file of ['keeper.json', 'enrolled.json', 'agent-keys.json', 'agent.pub']) {
      const path = join(runtime, file);
      const before = readFileSync(path, 'utf8');
      expect(inside(`echo '{}' > ${path}`)).not.toBe(0);
      expect(inside(`rm -f ${path}`)).not.toBe(0);
      expect(readFileSync(path, 'utf8')).toBe(before);
    }
    const victim = join(base, 'victim');
    writeFileSync(victim, 'mine');
    await realms.stopAgent(realm);
    expect(inside(`rm ${runtime}/agent.log && ln -s ${victim} ${runtime}/agent.log`)).toBe(0);
    const again = await realms.startAgent(realm);
    expect(again.ok).toBe(true);
    expect(readFileSync(victim, 'utf8')).toBe('mine');
    if (again.ok) again.value.client.close();
  });

  test.skipIf(!isRoot)('works for an ordinary user in the same way', async () => {
    const user = 65534;
    chownSync(base, user, user);
    const said = await Promise.all(Array.from({ length: 2 }, () => runStarter('ensure', user)));
    for (const one of said) expect(one.failure).toBeUndefined();
    const [first] = said;
    expect(first?.sight.state).toBe('running');
    expect(new Set(said.map(({ sight }) => sight.keeperPid)).size).toBe(1);
    expect(statSync(first?.sight.socket ?? '').uid).toBe(user);
    const { runtime } = realms.directoriesOf(realm);
    expect(statSync(runtime)).toMatchObject({ uid: user, mode: 0o40700 });
    // Root is not the realm's owner either.
    expect(await realms.connect(realm)).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'foreign-directory' },
    });
    expect(await runStarter('end', user)).toEqual({ ok: true });
    expect(existsSync(runtime)).toBe(false);
  });
});

test.skipIf(!userNamespaces)('a watcher tells of every coming and going', async () => {
  const seen: string[] = [];
  const watcher = new RealmWatcher(realms, (sight) => seen.push(`${sight.realm} ${sight.state}`));
  await watcher.start();
  const first = await realms.ensure(realm);
  if (!first.ok) throw new Error(first.failure.reason);
  await until(() => seen.at(-1) === `${realm} running`);
  process.kill(realms.findAgent(realm)?.pid ?? 0, 'SIGKILL');
  await until(() => seen.at(-1) === `${realm} agent-lost`);
  const second = await realms.startAgent(realm);
  if (second.ok) second.value.client.close();
  await until(() => seen.at(-1) === `${realm} running`);
  process.kill(realms.findKeeper(realm)?.pid ?? 0, 'SIGKILL');
  await until(() => seen.at(-1) === `${realm} gone`);
  watcher.close();
});

test('a realm that was never made is absent and unreachable', async () => {
  expect(realms.look('sandbox:never').state).toBe('absent');
  expect(await realms.connect('sandbox:never')).toMatchObject({
    ok: false,
    failure: { kind: 'unreachable', code: 'no-realm' },
  });
  expect(realms.list()).not.toContain('sandbox:never');
});

test.skipIf(!isRoot)('the host realm is root’s to start, and open to those enrolled', () => {
  const script = [
    'mount -t tmpfs none /run && mount -t tmpfs none /var/lib || exit 1',
    'cp /etc/passwd /run/passwd && mkdir -m 700 /run/tester && chown 4242:4242 /run/tester',
    'echo tester:x:4242:4242::/run/tester:/bin/sh >> /run/passwd',
    'mount --bind /run/passwd /etc/passwd || exit 1',
    'exec "$@"',
  ].join('\n');
  const told = spawnSync(
    'unshare',
    [
      ...['--mount', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', script, 'sh'],
      ...[process.execPath, join(application, 'dist/host.js'), application],
    ],
    { cwd: '/', env: { PATH: process.env['PATH'], HOME: base, XDG_RUNTIME_DIR: base } },
  );
  expect(told.stderr.toString()).toBe('');
  expect(JSON.parse(told.stdout.toString())).toMatchObject({
    'nobody started it': {
      failure: {
        kind: 'unreachable',
        next: expect.stringContaining('netloom agent start --realm host'),
      },
    },
    'root starts it': 'host',
    directory: '711',
    'not enrolled': {
      failure: { kind: 'not-allowed', next: expect.stringContaining('netloom agent enrol') },
    },
    enrolled: 4242,
    'enrolled user': { info: { realm: 'host' }, sight: { state: 'running' } },
    revoked: true,
    'revoked user': { failure: { kind: 'not-allowed' } },
    'root goes on': true,
    stopped: true,
  });
});
