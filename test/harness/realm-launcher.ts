/**
 * The reference launcher of sandbox realms: the protocol of agent/realm/README.md, and no more. Tests start realms with
 * it, as the machine's root or as an ordinary user (`user`); main/agent-link has the real one.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll } from 'vitest';

export const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface Realm {
  /** Pid 1 of the realm as seen outside. */
  readonly keeper: number;
  /** The process outside that waits for the keeper; root enters through its mount namespace. */
  readonly gate: number;
  readonly runtime: string;
  readonly state: string;
  readonly home: string;
  readonly user: number;
  readonly warnings: readonly string[];
  /** Milliseconds from spawn to `ready`. */
  readonly startTime: number;
  /** Ends the realm and removes its directories. */
  readonly end: () => Promise<void>;
}

export interface RealmOptions {
  /** Uid and gid of whoever starts the realm; 0 unless given. */
  readonly user?: number | undefined;
  /** Where the realm's directories are made; /tmp unless given, which is a covered place. */
  readonly parent?: string | undefined;
  readonly app?: string | undefined;
  readonly cgroups?: readonly string[] | undefined;
}

export interface RunResult {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** `agent/realm/setup.ts` as one JavaScript file, as the build makes it. Returns its path. */
export async function bundle(source: string, directory: string): Promise<string> {
  const require = createRequire(import.meta.url);
  const build = await rolldown({
    input: join(checkout, source),
    platform: 'node',
    plugins: [
      {
        name: 'native-modules-stay-where-they-are',
        resolveId: (id) =>
          id === 'koffi'
            ? { id: pathToFileURL(require.resolve('koffi')).href, external: true }
            : null,
      },
    ],
  });
  const file = join(directory, `${source.replaceAll('/', '-').replace(/\.ts$/, '')}.mjs`);
  await build.write({ file, format: 'esm' });
  return file;
}

/** One write(2), by the user: a map is taken in one write or not at all. */
function writeAs(user: number, path: string, content: string): void {
  if (user === 0) {
    writeFileSync(path, content);
    return;
  }
  const result = spawnSync('tee', [path], { input: content, uid: user, gid: user });
  if (result.status !== 0) throw new Error(`${path}: ${result.stderr.toString()}`);
}

/** The first range that `/etc/subuid` or `/etc/subgid` gives the user, by name or number. */
function subordinateRange(file: string, user: number): readonly [string, string] | undefined {
  if (!existsSync(file)) return undefined;
  const name = spawnSync('id', ['--user', '--name', String(user)])
    .stdout.toString()
    .trim();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [owner, start, count] = line.trim().split(':');
    if ((owner === String(user) || (owner === name && name !== '')) && start && count) {
      return [start, count];
    }
  }
  return undefined;
}

function mapIds(pid: number, user: number): void {
  if (user === 0) {
    // Every id that we have ourselves: all of them, unless we are in a container.
    for (const kind of ['uid', 'gid']) {
      const own = readFileSync(`/proc/self/${kind}_map`, 'utf8').trim().split('\n');
      const identity = own.map((line) => {
        const [inside = '', , count = ''] = line.trim().split(/\s+/);
        return `${inside} ${inside} ${count}\n`;
      });
      writeFileSync(`/proc/${pid}/${kind}_map`, identity.join(''));
    }
    return;
  }
  const uids = subordinateRange('/etc/subuid', user);
  const gids = subordinateRange('/etc/subgid', user);
  if (uids !== undefined && gids !== undefined) {
    const map = (tool: string, range: readonly [string, string]): boolean =>
      spawnSync(tool, [String(pid), '0', String(user), '1', '1', ...range], {
        uid: user,
        gid: user,
      }).status === 0;
    if (map('newuidmap', uids)) {
      if (map('newgidmap', gids)) return;
      throw new Error('newgidmap failed after newuidmap had succeeded');
    }
  }
  writeAs(user, `/proc/${pid}/setgroups`, 'deny');
  writeAs(user, `/proc/${pid}/uid_map`, `0 ${user} 1\n`);
  writeAs(user, `/proc/${pid}/gid_map`, `0 ${user} 1\n`);
}

/** Field 22 of /proc/PID/stat; the command in field 2 may hold spaces and brackets. */
export function startTicks(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

export function isAlive(pid: number): boolean {
  // A zombie that nobody has reaped yet does not count.
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

export async function waitUntil(condition: () => boolean, limit = 5000): Promise<boolean> {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

let setupFile: Promise<string> | undefined;
let buildDirectory: string | undefined;

afterAll(() => {
  if (buildDirectory !== undefined) rmSync(buildDirectory, { recursive: true, force: true });
});

/** Builds setup.ts once; returns the file. */
export function buildSetup(): Promise<string> {
  setupFile ??= (() => {
    buildDirectory = mkdtempSync(join(tmpdir(), 'netloom-build-'));
    spawnSync('chmod', ['755', buildDirectory]);
    return bundle('agent/realm/setup.ts', buildDirectory);
  })();
  return setupFile;
}

export class RealmError extends Error {
  readonly code: string;
  constructor(code: string, sentence: string) {
    super(`${code}: ${sentence}`);
    this.code = code;
  }
}

interface Started {
  readonly keeper: number;
  readonly gate: number;
  readonly warnings: readonly string[];
}

async function speak(child: ChildProcess, user: number): Promise<Started> {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error('no pipes');
  // A keeper that fails closes its end first; what it said is read from its output.
  stdin.on('error', () => undefined);
  let errors = '';
  stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const warnings: string[] = [];
  for await (const line of createInterface({ input: stdout })) {
    const [word, first = '', ...rest] = line.split(' ');
    if (word === 'map') {
      mapIds(Number(first), user);
      stdin.write('mapped\n');
    } else if (word === 'warning') {
      warnings.push(line);
    } else if (word === 'failed') {
      throw new RealmError(first, rest.join(' '));
    } else if (word === 'ready') {
      stdin.destroy();
      stderr.destroy();
      return { keeper: Number(first), gate: parentOf(Number(first)), warnings };
    } else {
      throw new RealmError('protocol', `unexpected line: ${line}`);
    }
  }
  throw new RealmError('ended', `the keeper ended without a word: ${errors}`);
}

export async function startRealm(options: RealmOptions = {}): Promise<Realm> {
  const user = options.user ?? 0;
  const setup = await buildSetup();
  const base = mkdtempSync(join(options.parent ?? tmpdir(), 'netloom-realm-'));
  const [runtime, state, home] = [join(base, 'runtime'), join(base, 'state'), join(base, 'home')];
  for (const path of [runtime, state, home]) mkdirSync(path, { mode: 0o700 });
  // Made before the start, so that the realm can have it sealed.
  const record = join(runtime, 'keeper.json');
  writeFileSync(record, '', { mode: 0o600 });
  spawnSync('chown', ['-R', `${user}:${user}`, base]);
  const began = performance.now();
  const child = spawn(
    'sh',
    [
      join(options.app ?? checkout, 'agent/realm/keeper.sh'),
      'start',
      ...['--name', 'test', '--runtime', runtime, '--state', state],
      ...['--app', options.app ?? checkout, '--node', process.execPath, '--setup', setup],
      ...['--seal', record],
      ...(options.cgroups ?? []).flatMap((path) => ['--cgroup', path]),
    ],
    {
      cwd: '/',
      detached: true,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      ...(user === 0 ? {} : { uid: user, gid: user }),
    },
  );
  const removeFiles = (): void => rmSync(base, { recursive: true, force: true });
  try {
    const started = await speak(child, user);
    const startTime = performance.now() - began;
    child.unref();
    // In place: a file that is renamed over a sealed one is not the sealed one.
    writeFileSync(
      record,
      JSON.stringify({
        realm: 'sandbox:test',
        pid: started.keeper,
        startTime: startTicks(started.keeper),
        userNamespace: true,
        createdAt: new Date().toISOString(),
      }),
    );
    return {
      ...started,
      runtime,
      state,
      home,
      user,
      startTime,
      end: async () => {
        try {
          process.kill(started.keeper, 'SIGKILL');
        } catch {
          // It has ended already.
        }
        await waitUntil(() => !isAlive(started.keeper) && !isAlive(started.gate));
        removeFiles();
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    removeFiles();
    throw error;
  }
}

/** The command that runs `command` in the realm, started by whoever owns it. */
export function enterCommand(realm: Realm, command: readonly string[]): readonly string[] {
  const keeperScript = join(checkout, 'agent/realm/keeper.sh');
  return ['sh', keeperScript, 'enter', String(realm.keeper), ...command];
}

export function asOwner(realm: Realm): { readonly uid?: number; readonly gid?: number } {
  return realm.user === 0 ? {} : { uid: realm.user, gid: realm.user };
}

/** Runs a command in the realm to its end. */
export function run(realm: Realm, command: readonly string[], input = ''): RunResult {
  const [program = '', ...rest] = enterCommand(realm, command);
  const result = spawnSync(program, rest, {
    ...asOwner(realm),
    cwd: '/',
    input,
    timeout: 20_000,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: realm.home },
  });
  return {
    status: result.status,
    output: result.stdout.toString().trim(),
    errors: result.stderr.toString().trim(),
  };
}

/** Starts a command in the realm and leaves it running. Its pid is that of nsenter, not of the command. */
export function start(realm: Realm, command: readonly string[]): ChildProcess {
  const [program = '', ...rest] = enterCommand(realm, command);
  return spawn(program, rest, {
    ...asOwner(realm),
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: realm.home },
  });
}

export function shell(realm: Realm, script: string): RunResult {
  return run(realm, ['sh', '-c', script]);
}
