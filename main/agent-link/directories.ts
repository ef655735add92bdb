/** Where a person's and the host's files are, and whether a directory may be trusted. */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fail, type Failure, type Result, succeed } from '../../agent/api/index.ts';

/** Of one person. All absolute. */
export interface Directories {
  /** 0700, theirs, empty after a reboot. */
  readonly runtime: string;
  readonly state: string;
  readonly data: string;
  /** Lab documents. */
  readonly labs: string;
  readonly config: string;
}

export interface RealmDirectories {
  /** Sockets, keys and records of the running realm. */
  readonly runtime: string;
  /** Journal, revisions and databases. */
  readonly state: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export const hostDirectories: RealmDirectories = {
  runtime: '/run/netloom/host',
  state: '/var/lib/netloom',
};

function effectiveUser(): number {
  const uid = process.geteuid?.();
  if (uid === undefined) throw new Error('Netloom runs on Linux');
  return uid;
}

/** The directories of the XDG specification count only when they are absolute. */
function base(environment: Environment, variable: string, fallback: string): string {
  const value = environment[variable];
  const home = environment['HOME'] ?? homedir();
  return value !== undefined && path.isAbsolute(value) ? value : path.join(home, fallback);
}

function runtimeDirectory(environment: Environment): string {
  const offered = environment['XDG_RUNTIME_DIR'];
  if (offered !== undefined && path.isAbsolute(offered)) {
    const status = lstatSync(offered, { throwIfNoEntry: false });
    // `sudo` and `su` hand over a directory of somebody else, or one that is gone.
    if (status?.isDirectory() === true && status.uid === effectiveUser()) {
      return path.join(offered, 'netloom');
    }
  }
  return `/tmp/netloom-${effectiveUser()}`;
}

/** Works out the paths; makes nothing. */
export function findDirectories(environment: Environment = process.env): Directories {
  const data = path.join(base(environment, 'XDG_DATA_HOME', '.local/share'), 'netloom');
  return {
    runtime: runtimeDirectory(environment),
    state: path.join(base(environment, 'XDG_STATE_HOME', '.local/state'), 'netloom'),
    data,
    labs: path.join(data, 'labs'),
    config: path.join(base(environment, 'XDG_CONFIG_HOME', '.config'), 'netloom'),
  };
}

/** A realm's runtime directory bears a short hash, since a socket's path has 107 bytes. */
export function realmDirectories(realm: string, directories: Directories): RealmDirectories {
  if (realm === 'host') return hostDirectories;
  const hash = createHash('sha256').update(realm).digest('hex').slice(0, 12);
  return {
    runtime: path.join(directories.runtime, hash),
    // A realm's name has one colon at most, and is otherwise fit for a file name.
    state: path.join(directories.state, 'realms', realm.replace(':', '-')),
  };
}

function untrusted(directory: string, code: string, reason: string): Failure {
  return {
    kind: 'refused',
    code,
    object: directory.slice(0, 512),
    reason,
    next: 'Find out who made it, and remove it.',
  };
}

/**
 * Checks that a directory is a real one (no symbolic link), owned by `owner`, and that nobody else may write in it.
 * Fails with `unknown-object` when it is missing, `refused` otherwise.
 */
export function checkOwner(directory: string, owner: number): Result<void> {
  let status;
  try {
    status = lstatSync(directory, { throwIfNoEntry: false });
  } catch {
    status = undefined;
  }
  if (status === undefined) {
    return fail({
      kind: 'unknown-object',
      code: 'no-directory',
      object: directory.slice(0, 512),
      reason: 'There is no such directory.',
      next: 'Start the realm.',
    });
  }
  if (!status.isDirectory()) {
    return fail(untrusted(directory, 'not-a-directory', 'It is not a directory.'));
  }
  if (status.uid !== owner) {
    return fail(
      untrusted(directory, 'foreign-directory', `It belongs to uid ${status.uid}, not ${owner}.`),
    );
  }
  if ((status.mode & 0o022) !== 0) {
    return fail(untrusted(directory, 'open-directory', 'Others may write in it.'));
  }
  return succeed(undefined);
}

/** Makes a directory where there is none, and checks it as `checkOwner` does; ours gets the mode asked for. */
export function ensureOwnDirectory(directory: string, mode = 0o700): Result<void> {
  try {
    mkdirSync(path.dirname(directory), { recursive: true, mode: 0o700 });
    mkdirSync(directory, { mode });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
      return fail({
        kind: 'storage',
        code: 'directory-not-made',
        object: directory.slice(0, 512),
        reason: `It could not be made: ${error instanceof Error ? error.message : String(error)}.`,
        next: 'Check the permissions and the space of the directory above it.',
      });
    }
  }
  const checked = checkOwner(directory, effectiveUser());
  if (!checked.ok) return checked;
  if ((lstatSync(directory).mode & 0o777) !== mode) chmodSync(directory, mode);
  return succeed(undefined);
}

/** The person's runtime directory and a realm's in it, both private. */
export function ensureRealmDirectories(
  realm: string,
  directories: Directories,
): Result<RealmDirectories> {
  const found = realmDirectories(realm, directories);
  const wanted =
    realm === 'host'
      ? ([
          // Others must get through to their sockets, and list nothing.
          [path.dirname(found.runtime), 0o755],
          [found.runtime, 0o711],
          [found.state, 0o700],
        ] as const)
      : ([
          [directories.runtime, 0o700],
          [found.runtime, 0o700],
          [directories.state, 0o700],
          [found.state, 0o700],
        ] as const);
  for (const [directory, mode] of wanted) {
    const made = ensureOwnDirectory(directory, mode);
    if (!made.ok) return made;
  }
  return succeed(found);
}
