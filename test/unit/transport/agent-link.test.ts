/** The files and locks that main keeps for its agents. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { succeed } from '../../../agent/api/index.ts';
import {
  ensureOwnDirectory,
  findDirectories,
  realmDirectories,
} from '../../../main/agent-link/directories.ts';
import { enrolUser, readHostEnrolment, revokeUser } from '../../../main/agent-link/enrolment.ts';
import { ensureIdentity } from '../../../main/agent-link/identity.ts';
import { isLocked, withLock } from '../../../main/agent-link/lock.ts';
import { run } from '../../../main/agent-link/process.ts';
import { openRealmLog, readRealmFile } from '../../../main/agent-link/realm-file.ts';
import { until } from './link.ts';

vi.setConfig({ testTimeout: 30_000 });

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'netloom-link-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe('directories', () => {
  const uid = process.geteuid?.() ?? 0;

  test('are those of the XDG specification, or their defaults', () => {
    expect(
      findDirectories({ HOME: '/home/a', XDG_RUNTIME_DIR: base, XDG_STATE_HOME: '/s' }),
    ).toEqual({
      runtime: join(base, 'netloom'),
      state: '/s/netloom',
      data: '/home/a/.local/share/netloom',
      labs: '/home/a/.local/share/netloom/labs',
      config: '/home/a/.config/netloom',
    });
  });

  test.each([
    ['no runtime directory', undefined],
    ['a relative one', 'run'],
    ['one that is gone', '/nonexistent/run'],
  ])('fall back to one of their own in /tmp with %s', (_, value) => {
    expect(findDirectories({ HOME: '/home/a', XDG_RUNTIME_DIR: value }).runtime).toBe(
      `/tmp/netloom-${uid}`,
    );
  });

  test('of a realm leave room for its sockets', () => {
    const directories = findDirectories({ HOME: '/home/a', XDG_RUNTIME_DIR: base });
    const found = realmDirectories(`sandbox:${'x'.repeat(32)}`, directories);
    expect(
      `${'/run/user/4294967294/netloom'}/${found.runtime.split('/').at(-1) ?? ''}/stream-${'0'.repeat(20)}`
        .length,
    ).toBeLessThan(107);
    expect(found.state).toBe(`/home/a/.local/state/netloom/realms/sandbox-${'x'.repeat(32)}`);
  });

  test('are made private, and refused when others may write there or when they are links', () => {
    const directory = join(base, 'own');
    expect(ensureOwnDirectory(directory).ok).toBe(true);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    chmodSync(directory, 0o770);
    expect(ensureOwnDirectory(directory)).toMatchObject({
      ok: false,
      failure: { code: 'open-directory' },
    });
    chmodSync(directory, 0o755);
    expect(ensureOwnDirectory(directory).ok).toBe(true);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    symlinkSync(directory, join(base, 'link'));
    expect(ensureOwnDirectory(join(base, 'link'))).toMatchObject({
      ok: false,
      failure: { code: 'not-a-directory' },
    });
  });
});

describe('an identity', () => {
  const make = () => ensureIdentity(findDirectories({ HOME: base, XDG_RUNTIME_DIR: base }));
  const file = () => join(base, '.local/state/netloom/identity.json');

  test('is made once, for its owner alone', () => {
    const first = make();
    expect(first).toEqual(make());
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    const publicFile = file().replace('.json', '.pub');
    expect(readFileSync(publicFile, 'utf8').trim()).toBe(first.ok ? first.value.publicKey : '');
  });

  test('that others may read, or that is broken, is refused and not replaced', () => {
    make();
    chmodSync(file(), 0o644);
    expect(make()).toMatchObject({ ok: false, failure: { code: 'identity-open' } });
    chmodSync(file(), 0o600);
    writeFileSync(file(), '{"publicKey":1}');
    expect(make()).toMatchObject({ ok: false, failure: { code: 'identity-invalid' } });
    expect(readFileSync(file(), 'utf8')).toBe('{"publicKey":1}');
  });
});

describe('a lock', () => {
  test('lets one in at a time, in this process and in others', async () => {
    const lock = join(base, 'lock');
    const inside: number[] = [];
    let most = 0;
    await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        withLock(lock, 20_000, async () => {
          inside.push(index);
          most = Math.max(most, inside.length);
          expect(isLocked(lock)).toBe(true);
          await new Promise((resolve) => setTimeout(resolve, 10));
          inside.splice(inside.indexOf(index), 1);
          return succeed(undefined);
        }),
      ),
    );
    expect(most).toBe(1);
    expect(isLocked(lock)).toBe(false);
  });

  test('ends with its holder, however that ends', async () => {
    const lock = join(base, 'lock');
    const holder = spawn('flock', ['--exclusive', lock, 'cat'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await until(() => isLocked(lock));
    expect(await withLock(lock, 50, () => Promise.resolve(succeed(1)))).toMatchObject({
      ok: false,
      failure: { kind: 'busy', code: 'realm-locked' },
    });
    // As when the process at the other end of the pipe is killed.
    holder.stdin.destroy();
    expect(await withLock(lock, 20_000, () => Promise.resolve(succeed(1)))).toEqual(succeed(1));
  });

  test('is given back when the work throws', async () => {
    const lock = join(base, 'lock');
    const work = withLock(lock, 1_000, () => Promise.reject(new Error('bug')));
    await expect(work).rejects.toThrow('bug');
    expect(isLocked(lock)).toBe(false);
  });
});

describe('a file in a realm’s directory', () => {
  test('is never followed elsewhere, and never waited for', () => {
    const victim = join(base, 'victim');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, join(base, 'agent.log'));
    expect(() => readRealmFile(join(base, 'agent.log'))).toThrow();
    openRealmLog(join(base, 'agent.log'));
    expect(statSync(join(base, 'agent.log')).size).toBe(0);
    expect(readFileSync(victim, 'utf8')).toBe('mine');
    mkdirSync(join(base, 'directory'));
    expect(() => readRealmFile(join(base, 'directory'))).toThrow();
  });

  test('that is a pipe is neither read nor written', async () => {
    await run('mkfifo', [join(base, 'agent.log')], { timeout: 5_000 });
    expect(() => readRealmFile(join(base, 'agent.log'))).toThrow();
    openRealmLog(join(base, 'agent.log'));
    expect(statSync(join(base, 'agent.log')).isFile()).toBe(true);
  });
});

describe('a program', () => {
  test('gives its status and output', async () => {
    expect(await run('cat', [], { timeout: 5_000, input: 'a;b $(id)' })).toEqual(
      succeed({ status: 0, output: 'a;b $(id)', errors: '' }),
    );
  });

  test.each([
    ['is not there', 'netloom-no-such-program', [], 'program-missing'],
    ['lasts too long', 'sleep', ['60'], 'program-timeout'],
    ['says too much', 'yes', [], 'program-output'],
  ])('that %s is a failure', async (_, program, args, code) => {
    const outcome = await run(program, args, { timeout: 300, maximumOutput: 10_000 });
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'process', code } });
  });
});

describe.skipIf(process.geteuid?.() !== 0)('enrolment with the host', () => {
  test('needs the user’s own key, and is taken back by name', async () => {
    const directories = { runtime: join(base, 'run'), state: join(base, 'state') };
    expect(await enrolUser('no-such-user-at-all', 'write', directories)).toMatchObject({
      ok: false,
      failure: { code: 'unknown-user' },
    });
    expect(await enrolUser('nobody', 'write', directories)).toMatchObject({
      ok: false,
      failure: { code: 'no-identity' },
    });
    expect(await enrolUser('$(id)', 'write', directories)).toMatchObject({
      ok: false,
      failure: { code: 'unknown-user' },
    });
    expect(readHostEnrolment(directories)).toEqual(succeed([]));
    expect(await revokeUser('nobody', directories)).toMatchObject({
      ok: false,
      failure: { code: 'not-enrolled' },
    });
    expect(existsSync(join(directories.state, 'enrolled.json'))).toBe(false);
  });
});
