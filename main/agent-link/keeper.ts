/** Starts and ends the keepers of sandbox realms. The protocol is agent/realm/README.md's. */
import { readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import {
  fail,
  type Failure,
  type KeeperRecord,
  KeeperRecordSchema,
  realmFiles,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import type { RealmDirectories } from './directories.ts';
import { readyDelegatedGroups } from './delegated-groups.ts';
import { awaitOutsideEnd } from './outside.ts';
import { type DetachedProcess, run, searchPath, startDetached } from './process.ts';
import { readRealmFile, rewriteRealmFile } from './realm-file.ts';
import {
  findProcesses,
  isSameProcess,
  lookAtProcess,
  signalProcess,
  uidOf,
  waitForEnd,
} from './process-table.ts';

/** Milliseconds for all that a keeper does until it is ready. */
const startLimit = 60_000;
const endLimit = 5_000;

export interface KeeperSettings {
  readonly realm: string;
  readonly directories: RealmDirectories;
  /** Where Netloom is installed. */
  readonly applicationRoot: string;
  /** The Node program that runs inside. */
  readonly node: string;
  readonly onWarning: (code: string, sentence: string) => void;
}

function keeperFailure(realm: string, code: string, reason: string): Failure {
  return {
    kind:
      code === 'missing-tool' || /^(?:user-namespaces|no-)/.test(code) ? 'unsupported' : 'process',
    code: code.slice(0, 64),
    object: realm,
    reason: reason.slice(0, 2000),
    next: 'Run netloom doctor: it says what this machine lacks, and the command that adds it.',
  };
}

/** The record of the realm's keeper, whether it lives or not; null when there is none that can be read. */
export function readKeeperRecord(runtime: string): KeeperRecord | null {
  try {
    const content: unknown = JSON.parse(readRealmFile(path.join(runtime, realmFiles.keeper)));
    return KeeperRecordSchema.safeParse(content).data ?? null;
  } catch {
    return null;
  }
}

/** The keeper, if it lives. */
export function findKeeper(runtime: string): KeeperRecord | null {
  const record = readKeeperRecord(runtime);
  return record !== null && isSameProcess(record.pid, record.startTime) ? record : null;
}

function readMap(kind: 'uid' | 'gid'): string {
  return readFileSync(`/proc/self/${kind}_map`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [inside = '', , count = ''] = line.trim().split(/\s+/);
      return `${inside} ${inside} ${count}\n`;
    })
    .join('');
}

/** The first range that /etc/subuid or /etc/subgid gives us, by name or number. */
function subordinateRange(file: string, uid: number): readonly [string, string] | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const name = nameOfUser();
  for (const line of text.split('\n')) {
    const [owner, start, count] = line.trim().split(':');
    if ((owner === String(uid) || (owner === name && name !== '')) && start && count) {
      return [start, count];
    }
  }
  return null;
}

export function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A uid without an entry in the user database.
    return '';
  }
}

/**
 * Maps the ids of a new user namespace. Root maps every id that it has itself to the same; others become its root, with
 * their subordinate ids as the rest where newuidmap and a range of them exist.
 */
async function mapIds(pid: number): Promise<Result<void>> {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  try {
    if (uid === 0) {
      writeFileSync(`/proc/${pid}/uid_map`, readMap('uid'));
      writeFileSync(`/proc/${pid}/gid_map`, readMap('gid'));
      return succeed(undefined);
    }
    const uids = subordinateRange('/etc/subuid', uid);
    const gids = subordinateRange('/etc/subgid', uid);
    if (uids !== null && gids !== null) {
      const mapWith = async (
        tool: string,
        own: number,
        range: readonly [string, string],
      ): Promise<boolean> => {
        const args = [String(pid), '0', String(own), '1', '1', ...range];
        const done = await run(tool, args, { timeout: 5_000 });
        return done.ok && done.value.status === 0;
      };
      if (await mapWith('newuidmap', uid, uids)) {
        if (await mapWith('newgidmap', gid, gids)) return succeed(undefined);
        return fail(
          keeperFailure(String(pid), 'gid-map-refused', 'newgidmap refused what newuidmap took.'),
        );
      }
    }
    writeFileSync(`/proc/${pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${pid}/uid_map`, `0 ${uid} 1\n`);
    writeFileSync(`/proc/${pid}/gid_map`, `0 ${gid} 1\n`);
    return succeed(undefined);
  } catch (error) {
    const reason = `The id map was refused: ${error instanceof Error ? error.message : String(error)}.`;
    return fail(keeperFailure(String(pid), 'id-map-refused', reason));
  }
}

/** Follows a keeper's words until it is ready; gives its pid. */
async function converse(
  process: DetachedProcess,
  settings: KeeperSettings,
): Promise<Result<number>> {
  const { realm, onWarning } = settings;
  const { stdin, stdout, stderr } = process;
  if (stdin === null || stdout === null) throw new Error('a keeper has pipes');
  let errors = '';
  stderr?.on('data', (data: Buffer) => {
    if (errors.length < 2_000) errors += data.toString();
  });
  for await (const line of createInterface({ input: stdout })) {
    const [word, first = '', ...rest] = line.split(' ');
    switch (word) {
      case 'map': {
        const mapped = await mapIds(Number(first));
        if (!mapped.ok) return mapped;
        stdin.write('mapped\n');
        break;
      }
      case 'warning':
        onWarning(first, rest.join(' '));
        break;
      case 'failed':
        return fail(keeperFailure(realm, first, rest.join(' ')));
      case 'ready':
        return succeed(Number(first));
      default:
        return fail(
          keeperFailure(realm, 'keeper-protocol', `It said what is not understood: ${line}.`),
        );
    }
  }
  const said = errors.trim().replaceAll('\n', ' ');
  return fail(keeperFailure(realm, 'keeper-ended', `It ended without a word. ${said}`.trim()));
}

/** Keepers of the realm that nobody has a record of: their launcher ended between their birth and its note of it. */
async function endStrayKeepers(directories: RealmDirectories): Promise<void> {
  const own = process.geteuid?.();
  const strays = findProcesses(
    (args) =>
      args.some((word) => path.basename(word) === 'keeper.sh') &&
      args[args.indexOf('--runtime') + 1] === directories.runtime,
  );
  for (const pid of strays) {
    const sight = lookAtProcess(pid);
    if (sight === null || uidOf(pid) !== own) continue;
    signalProcess(pid, 'SIGKILL');
    await waitForEnd(pid, sight.startTime, endLimit);
  }
}

/** Places that a realm covers, so that what it needs from there has to be named. */
const coveredPlaces = ['/tmp/', '/run/', '/mnt/', '/media/'] as const;

/** What the application keeps outside its own directory, such as a linked node_modules. */
function outlyingPaths(applicationRoot: string): readonly string[] {
  const modules = path.join(applicationRoot, 'node_modules');
  let real: string;
  try {
    real = realpathSync(modules);
  } catch {
    return [];
  }
  const covered = coveredPlaces.some((place) => real.startsWith(place));
  return covered && !real.startsWith(`${applicationRoot}/`) ? ['--keep', real] : [];
}

/**
 * Starts the realm's keeper and writes its record. Only under the realm's lock, and only when there is none. `sealed`
 * are files of the runtime directory that the realm may not change. Fails with `unsupported` where the machine does not
 * allow it, else `process`.
 */
export async function startKeeper(
  settings: KeeperSettings,
  sealed: readonly string[],
): Promise<Result<KeeperRecord>> {
  const { realm } = settings;
  const directories = {
    runtime: realpathSync(settings.directories.runtime),
    state: realpathSync(settings.directories.state),
  };
  const applicationRoot = realpathSync(settings.applicationRoot);
  await endStrayKeepers(directories);
  const recordFile = path.join(directories.runtime, realmFiles.keeper);
  // It is sealed as the file that it is now, so it is written in place when the pid is known: whoever writes the record
  // chooses what we signal and enter, and that must not be the realm.
  rmSync(recordFile, { force: true });
  writeFileSync(recordFile, '', { flag: 'wx', mode: 0o600 });
  const agentDirectory = path.join(applicationRoot, 'dist/agent');
  const seals = [realmFiles.keeper, ...sealed].flatMap((name) => [
    '--seal',
    path.join(directories.runtime, name),
  ]);
  const groups = await readyDelegatedGroups(agentDirectory, settings.node);
  const started = await startDetached(
    'sh',
    [
      path.join(agentDirectory, 'keeper.sh'),
      'start',
      ...['--name', realm.replace(/^sandbox:/, '')],
      ...['--runtime', directories.runtime, '--state', directories.state],
      ...['--app', applicationRoot, '--node', realpathSync(settings.node)],
      ...['--setup', path.join(agentDirectory, 'realm-setup.js')],
      ...seals,
      ...outlyingPaths(applicationRoot),
      ...groups.flatMap((group) => ['--cgroup', group]),
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], environment: { PATH: searchPath() } },
  );
  if (!started.ok) return started;
  const child = started.value;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Result<never>>((resolve) => {
    timer = setTimeout(() => {
      const reason = `It was not ready within ${startLimit / 1000} s.`;
      resolve(fail(keeperFailure(realm, 'keeper-late', reason)));
    }, startLimit);
  });
  const ready = await Promise.race([converse(child, settings), late]);
  clearTimeout(timer);
  child.release();
  const sight = ready.ok ? lookAtProcess(ready.value) : null;
  if (!ready.ok || sight === null) {
    child.kill();
    await endStrayKeepers(directories);
    return ready.ok
      ? fail(keeperFailure(realm, 'keeper-ended', 'It ended as soon as it was ready.'))
      : ready;
  }
  const record: KeeperRecord = {
    realm,
    pid: sight.pid,
    startTime: sight.startTime,
    userNamespace: true,
    createdAt: new Date().toISOString(),
  };
  rewriteRealmFile(recordFile, `${JSON.stringify(record)}\n`);
  return succeed(record);
}

/** Ends the keeper, and with it by the kernel's hand everything in the realm; removes the runtime directory. */
export async function endKeeper(realm: string, runtime: string): Promise<Result<void>> {
  const keeper = findKeeper(runtime);
  if (keeper !== null) {
    // The process that waits for the keeper (README.md, "gate"); it notices by itself.
    const gate = lookAtProcess(lookAtProcess(keeper.pid)?.parent ?? 0);
    signalProcess(keeper.pid, 'SIGTERM');
    if (!(await waitForEnd(keeper.pid, keeper.startTime, 2_000))) {
      signalProcess(keeper.pid, 'SIGKILL');
      if (!(await waitForEnd(keeper.pid, keeper.startTime, endLimit))) {
        return fail(keeperFailure(realm, 'keeper-stays', `Process ${keeper.pid} does not end.`));
      }
    }
    if (gate !== null && gate.pid > 1 && uidOf(gate.pid) === process.geteuid?.()) {
      await waitForEnd(gate.pid, gate.startTime, 1_000);
    }
    await awaitOutsideEnd(keeper);
  }
  rmSync(runtime, { recursive: true, force: true });
  return succeed(undefined);
}

/** The command that runs `command` in the realm, as its root (README.md, "Entering"). */
export function enterRealm(
  keeper: KeeperRecord,
  applicationRoot: string,
  command: readonly string[],
): readonly [string, ...string[]] {
  const script = path.join(realpathSync(applicationRoot), 'dist/agent/keeper.sh');
  return ['sh', script, 'enter', String(keeper.pid), ...command];
}
