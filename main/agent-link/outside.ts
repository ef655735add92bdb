/**
 * The way out of a sandbox: a program that carries what leaves the realm as connections of the person's own. Never
 * opened but by their word. agent/realm/README.md, "The outside", says how it is built.
 */
import { accessSync, closeSync, constants, realpathSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import {
  fail,
  type Failure,
  type KeeperRecord,
  type OutsideRecord,
  realmFiles,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { type DetachedProcess, searchPath, startDetached } from './process.ts';
import { isSameProcess, lookAtProcess, signalProcess, waitForEnd } from './process-table.ts';
import { openRealmLog, readRealmFile, rewriteRealmFile } from './realm-file.ts';

/** `closed`: never asked for. `lost`: allowed, and its program has ended. */
export type OutsideState = 'closed' | 'open' | 'lost';

/** In the order of preference: pasta does without a TCP of its own. */
const programs = ['pasta', 'slirp4netns'] as const;

/** Milliseconds for the program to set itself up. */
const startLimit = 15_000;

export function findOutsideProgram(): Result<OutsideRecord['program']> {
  for (const program of programs) {
    for (const directory of searchPath().split(':')) {
      try {
        accessSync(path.join(directory, program), constants.X_OK);
        return succeed(program);
      } catch {
        continue;
      }
    }
  }
  return fail({
    kind: 'unsupported',
    code: 'internet-missing',
    object: 'pasta',
    reason:
      'Neither pasta nor slirp4netns is installed; one of them carries what leaves a sandbox.',
    next: 'Install it: sudo apt-get install passt.',
    values: { capability: 'internet' },
  });
}

export function outsideOf(keeper: KeeperRecord | null): OutsideState {
  const outside = keeper?.outside;
  if (outside === undefined) return 'closed';
  return isSameProcess(outside.pid, outside.startTime) ? 'open' : 'lost';
}

function refused(realm: string, reason: string): Failure {
  return {
    kind: 'process',
    code: 'internet-refused',
    object: realm,
    reason: `The way out of the realm could not be opened: ${reason}`.slice(0, 2_000),
    next: 'See that the machine has a default route itself, and look at internet.log in the realm’s runtime directory.',
    values: { realm },
  };
}

/** Follows the program's words until the way is open. */
async function untilReady(child: DetachedProcess): Promise<string | null> {
  if (child.stdout === null) throw new Error('it has a pipe');
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, , ...rest] = line.split(' ');
    if (word === 'ready') return null;
    if (word === 'failed') return rest.join(' ');
  }
  return 'its program ended at its start.';
}

/**
 * Opens the way out of a living realm and notes it in the keeper's record, where it counts as allowed until the realm
 * ends. Under the realm's lock. Fails with `unsupported` where no program is installed, else `process`.
 */
export async function openOutside(
  keeper: KeeperRecord,
  runtime: string,
  applicationRoot: string,
): Promise<Result<KeeperRecord>> {
  if (outsideOf(keeper) === 'open') return succeed(keeper);
  const { realm } = keeper;
  const program = findOutsideProgram();
  if (!program.ok) return program;
  const script = path.join(realpathSync(applicationRoot), 'dist/agent/keeper.sh');
  let log: number;
  try {
    log = openRealmLog(path.join(runtime, realmFiles.internetLog));
  } catch (error) {
    return fail(refused(realm, `its log cannot be written: ${String(error)}.`));
  }
  const started = await startDetached(
    'sh',
    [script, 'outside', String(keeper.pid), program.value],
    { stdio: ['ignore', 'pipe', log], environment: { PATH: searchPath() } },
  );
  closeSync(log);
  if (!started.ok) return started;
  const child = started.value;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`it is not open after ${startLimit / 1000} s.`), startLimit);
  });
  const trouble = await Promise.race([untilReady(child), late]);
  clearTimeout(timer);
  // The process that waits outside for the program, and ends with it; nobody in the realm can signal it.
  const sight = trouble === null ? lookAtProcess(child.pid) : null;
  child.release();
  if (sight === null) {
    child.kill();
    return fail(refused(realm, `${trouble ?? 'it ended at once.'} ${readTail(runtime)}`.trim()));
  }
  const { pid, startTime } = sight;
  const record = { ...keeper, outside: { program: program.value, pid, startTime } };
  rewriteRealmFile(path.join(runtime, realmFiles.keeper), `${JSON.stringify(record)}\n`);
  return succeed(record);
}

function readTail(runtime: string): string {
  try {
    const text = readRealmFile(path.join(runtime, realmFiles.internetLog), 2_048);
    return text.trim().split('\n').slice(-3).join(' | ');
  } catch {
    return '';
  }
}

/** The kernel has ended the program with the keeper, since it lives in the realm's pid namespace. */
export async function awaitOutsideEnd({ outside }: KeeperRecord): Promise<void> {
  if (outside === undefined) return;
  const { pid, startTime } = outside;
  if (await waitForEnd(pid, startTime, 2_000)) return;
  if (isSameProcess(pid, startTime)) signalProcess(pid, 'SIGKILL');
}
