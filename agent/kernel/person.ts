/**
 * A person of the machine, for processes that run as them rather than as the agent: on the host the agent is root, and
 * what somebody asks for by a lab or a console is to have their rights and no others.
 */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { runCommandNow } from './process.ts';

export interface Person {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

/** How much of root's power a process may get back later: by a set-uid program, or by file capabilities. */
export type Confinement =
  /** Nothing, ever: no capability, and no program gives one (no_new_privs, which children inherit). */
  | 'no-new-rights'
  /** As when they log in: no capability, and `sudo` or a set-uid `ping` works as their rights allow. */
  | 'as-logged-in';

/** The overflow uid, which owns nothing (Documentation/admin-guide/sysctl/fs.rst); Debian calls it `nobody`. */
export const nobodyUid = 65534;

/** Pure. One line of passwd(5); undefined when it is none. */
export function parseAccount(line: string): Person | undefined {
  const [name, , uid, gid, , home, shell] = line.split(':');
  if (name === undefined || uid === undefined || gid === undefined || home === undefined) {
    return undefined;
  }
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return {
    uid: Number(uid),
    gid: Number(gid),
    name,
    home: home.startsWith('/') ? home : '/',
    shell: shell?.startsWith('/') === true ? shell : '/bin/sh',
  };
}

/** The account of a uid, from whatever the machine's user database is. Fails with `unknown-person`. */
export function findPerson(uid: number): Result<Person> {
  const found = runCommandNow({
    file: 'getent',
    args: ['passwd', String(uid)],
    purpose: `looking up uid ${uid}`,
    timeout: 5000,
  });
  if (!found.ok) return found;
  const person = parseAccount(found.value.stdout.trim());
  // What answers for a uid must be of that uid: a name of digits alone would be looked up as a name.
  if (found.value.exitCode !== 0 || person?.uid !== uid) return fail(unknownPerson(uid));
  return succeed(person);
}

function unknownPerson(uid: number): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-person',
    object: `uid ${uid}`,
    reason: `No user of this machine has the uid ${uid}, so nothing can run as them.`,
    next: 'Check the account: getent passwd.',
    values: { uid },
  };
}

/** Pure. The command that runs `command` as a person, with all their groups and without any capability of the agent. */
export function commandAs(
  person: Person,
  confinement: Confinement,
  command: readonly string[],
): readonly string[] {
  const sealed = confinement === 'no-new-rights' ? ['--no-new-privs', '--bounding-set=-all'] : [];
  return [
    'setpriv',
    ...['--reuid', String(person.uid), '--regid', String(person.gid), '--init-groups'],
    ...['--inh-caps=-all', '--ambient-caps=-all', ...sealed],
    '--',
    ...command,
  ];
}

/** What a process of a person finds of them in its environment. */
export function environmentOfPerson(person: Person): Readonly<Record<string, string>> {
  return { HOME: person.home, USER: person.name, LOGNAME: person.name, SHELL: person.shell };
}

/**
 * Whether the person themself finds something true of a path, such as `-x`: what root sees would tell them about
 * folders that are closed to them.
 */
export function personTests(person: Person, test: '-x' | '-d', path: string): boolean {
  const [file = '', ...args] = commandAs(person, 'no-new-rights', ['test', test, path]);
  const ran = runCommandNow({ file, args, purpose: `looking at ${path}`, timeout: 5000 });
  return ran.ok && ran.value.exitCode === 0;
}
