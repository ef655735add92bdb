/**
 * Who may speak to the host's agent. The list is kept in the host's state directory, since /run does not outlive a boot,
 * and copied to where the agent reads it.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Enrolment,
  EnrolmentSchema,
  fail,
  type Failure,
  realmFiles,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { ensureOwnDirectory, hostDirectories, type RealmDirectories } from './directories.ts';
import { identityFiles } from './identity.ts';
import { withLock } from './lock.ts';
import { errorCode, writeWhole } from './private-file.ts';
import { run } from './process.ts';
import { readRealmFile } from './realm-file.ts';

type EnrolledClient = Enrolment['clients'][number];

function enrolmentFailure(
  kind: Failure['kind'],
  code: string,
  object: string,
  reason: string,
  next: string,
) {
  return fail({ kind, code, object: object.slice(0, 512), reason: reason.slice(0, 2_000), next });
}

function listFile(directories: RealmDirectories): string {
  return path.join(directories.state, realmFiles.enrolment);
}

/** Those who are enrolled with the host; nobody when there is no list. */
export function readHostEnrolment(
  directories: RealmDirectories = hostDirectories,
): Result<readonly EnrolledClient[]> {
  const file = listFile(directories);
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const parsed = EnrolmentSchema.safeParse(content);
    if (parsed.success) return succeed(parsed.data.clients);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return succeed([]);
    if (!(error instanceof SyntaxError) && errorCode(error) === null) throw error;
  }
  return enrolmentFailure(
    'storage',
    'enrolment-unreadable',
    file,
    'It cannot be read as a list of clients.',
    'As root, remove it and enrol the users again.',
  );
}

/** Writes what the agent reads: the list, and root itself. */
export function publishHostEnrolment(
  directories: RealmDirectories,
  rootKey: string | null,
): Result<void> {
  const listed = readHostEnrolment(directories);
  if (!listed.ok) return listed;
  let clients = listed.value;
  if (rootKey !== null && !clients.some(({ key }) => key === rootKey)) {
    clients = [...clients, { key: rootKey, uid: 0, name: 'root', access: 'write' }];
    writeWhole(listFile(directories), `${JSON.stringify({ clients })}\n`);
  }
  writeWhole(
    path.join(directories.runtime, realmFiles.enrolment),
    `${JSON.stringify({ clients })}\n`,
  );
  return succeed(undefined);
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** One line of passwd(5), by name or number, from whatever the machine's user database is. */
async function findAccount(user: string): Promise<Result<Account>> {
  const unknown = enrolmentFailure(
    'unknown-object',
    'unknown-user',
    user,
    'There is no such user.',
    'Check the name: getent passwd.',
  );
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}$/.test(user)) return unknown;
  const found = await run('getent', ['passwd', user], { timeout: 10_000 });
  if (!found.ok) return found;
  const [name, , uid, , , home] = found.value.output.trim().split(':');
  if (found.value.status !== 0 || name === undefined || uid === undefined || home === undefined) {
    return unknown;
  }
  return succeed({ name, uid: Number(uid), home });
}

/**
 * The person's public key from their state directory. Root reads a file that somebody else controls: no link is
 * followed at its end, it must be theirs, and what is read is a key or nothing.
 */
function readPublicKey(account: Account): Result<string> {
  const file = path.join(account.home, '.local/state/netloom', identityFiles.publicKey);
  try {
    const text = readRealmFile(file, 64).trim();
    if (/^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/.test(text)) return succeed(text);
  } catch (error) {
    if (errorCode(error) === null) throw error;
  }
  return enrolmentFailure(
    'unknown-object',
    'no-identity',
    file,
    `${account.name} has no public key there.`,
    `Have ${account.name} run netloom agent status once; it makes the key.`,
  );
}

function changeList(
  directories: RealmDirectories,
  change: (clients: readonly EnrolledClient[]) => Result<readonly EnrolledClient[]>,
): Promise<Result<void>> {
  if (process.geteuid?.() !== 0) {
    return Promise.resolve(
      enrolmentFailure(
        'not-allowed',
        'only-root',
        'host',
        'Only root decides who may use the host’s agent.',
        'Use root: sudo netloom agent enrol USER.',
      ),
    );
  }
  const made = ensureOwnDirectory(directories.state);
  if (!made.ok) return Promise.resolve(made);
  return withLock(path.join(directories.state, 'enrolment.lock'), 10_000, () => {
    const listed = readHostEnrolment(directories);
    if (!listed.ok) return Promise.resolve(listed);
    const changed = change(listed.value);
    if (!changed.ok) return Promise.resolve(changed);
    writeWhole(listFile(directories), `${JSON.stringify({ clients: changed.value })}\n`);
    // Without an agent there is nobody to tell; it reads the list when it starts.
    return Promise.resolve(
      existsSync(directories.runtime)
        ? publishHostEnrolment(directories, null)
        : succeed(undefined),
    );
  });
}

/** Enrols a user of this machine with the host's agent, in place of what they had. By root. */
export async function enrolUser(
  user: string,
  access: EnrolledClient['access'],
  directories: RealmDirectories = hostDirectories,
): Promise<Result<EnrolledClient>> {
  const account = await findAccount(user);
  if (!account.ok) return account;
  const key = readPublicKey(account.value);
  if (!key.ok) return key;
  const client: EnrolledClient = {
    key: key.value,
    uid: account.value.uid,
    name: account.value.name,
    access,
  };
  const changed = await changeList(directories, (clients) => {
    const others = clients.filter(({ uid }) => uid !== client.uid);
    return others.some((other) => other.key === client.key)
      ? enrolmentFailure(
          'refused',
          'key-taken',
          user,
          'Their key is enrolled for another user.',
          'Have them remove their key and make a new one.',
        )
      : succeed([...others, client]);
  });
  return changed.ok ? succeed(client) : changed;
}

/** Takes a user's access to the host's agent away, at once. By root. */
export async function revokeUser(
  user: string,
  directories: RealmDirectories = hostDirectories,
): Promise<Result<void>> {
  return changeList(directories, (clients) => {
    // By the name of the enrolment: the account itself may be gone.
    const others = clients.filter(({ name }) => name !== user);
    return others.length === clients.length
      ? enrolmentFailure(
          'unknown-object',
          'not-enrolled',
          user,
          'This user is not enrolled.',
          'Look who is: netloom agent status --json.',
        )
      : succeed(others);
  });
}
