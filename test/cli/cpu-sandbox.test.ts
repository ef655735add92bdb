/**
 * CPU groups in a sandbox: only where somebody has handed a control group over, and only for the sandbox's own processes.
 * The groups are the test's own, below the machine's hierarchies.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findCgroupLayout } from '../../agent/kernel/cgroup-hierarchies.ts';
import {
  type CommandResult,
  Netloom,
  ordinaryUser,
  parse,
  temporaryDirectory,
} from '../harness/netloom.ts';
import { OwnGroups } from '../kernel/cpu-own-groups.ts';

const isRoot = process.getuid?.() === 0;

const isVersion2 = findCgroupLayout().mode === 'v2';
/** Where those are whom the group was handed to: on cgroup v2 beside what is made in it. */
const ownPlace = isVersion2 ? '/_self' : '';

const lab = `netloom: 1
name: split
topology:
  nodes:
    r1: { kind: namespace, cpu: B, run: [{ name: work, command: [sleep, '983'], cpu: A/A1 }] }
    r2: { kind: namespace }
cpu:
  groups:
    A: { cap: 0.5, groups: { A1: { cap: 0.2 } } }
    B: { cap: 0.2, weight: 50 }
`;

/**
 * Words that run a command in a group of each hierarchy: root puts the shell there, which becomes the command. On cgroup v2 it
 * is where the others are that the group was handed to, as soon as there is such a place.
 */
function enterGroups(own: OwnGroups): readonly string[] {
  const script = `for d in $1; do
    [ ! -d "$d/_self" ] || d=$d/_self
    echo $$ >"$d/cgroup.procs" || exit 1
  done; shift; exec "$@"`;
  return ['sh', '-c', script, 'sh', own.hierarchies.map(({ base }) => base).join(' ')];
}

function giveTo(user: number, directory: string): void {
  chownSync(directory, user, user);
  for (const name of readdirSync(directory)) chownSync(path.join(directory, name), user, user);
}

function pidOf(command: string): number {
  const found = spawnSync('pgrep', ['-nxf', command]).stdout.toString().trim();
  if (found === '') throw new Error(`${command} does not run`);
  return Number(found);
}

describe.skipIf(!isRoot)('a split in a sandbox', () => {
  let own: OwnGroups;
  const people: Netloom[] = [];
  beforeEach(() => {
    own = new OwnGroups();
  });
  afterEach(async () => {
    for (const person of people.splice(0)) await person.run(['down', '--all']);
    own[Symbol.dispose]();
  });

  function personIn(groups: OwnGroups, user: number): Netloom {
    const person = new Netloom({ user, enter: enterGroups(groups) });
    people.push(person);
    return person;
  }

  /** Below the test's own groups; the same in every hierarchy. */
  const placesIn = (text: string): readonly string[] =>
    text
      .split('\n')
      .filter((line) =>
        isVersion2 ? line.startsWith('0::') : /^\d+:(cpu|cpuset|cpuacct):/.test(line),
      )
      .map((line) => line.replace(/^\d+:\w*:/, '').replace(own.name, ''));
  const place = (pid: number): string =>
    [...new Set(placesIn(readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8')))].join(' ');
  const quota = (group: string): string | null =>
    isVersion2
      ? (own.read('cpu', `${group}/cpu.max`, 'split')?.split(' ')[0] ?? null)
      : own.read('cpu', `${group}/cpu.cfs_quota_us`, 'split');

  it.each([
    ['an ordinary user', ordinaryUser],
    ['root', 0],
  ])(
    'is made in the groups that were handed to %s, and leaves them as they were',
    async (_who, user) => {
      for (const { base } of own.hierarchies) giveTo(user, base);
      const person = personIn(own, user);
      const file = await person.write('split.yaml', lab);
      await person.must(['up', file, '--yes']);
      expect([quota('A'), quota('A/A1')]).toEqual(['50000', '20000']);
      const weight = own.read('cpu', isVersion2 ? 'B/cpu.weight' : 'B/cpu.shares', 'split');
      expect(weight).toBe(isVersion2 ? '50' : '512');
      const work = pidOf('sleep 983');
      expect(place(work)).toBe('/netloom.split/A/A1');
      const realm = await person.realm('split');
      expect(place(realm.keeper)).toBe(ownPlace);

      // A console, and what it starts at once, is where its node is.
      const console = ['exec', 'split', 'r1', '--', 'sh', '-c', 'sleep 9 & cat /proc/$!/cgroup'];
      const said = placesIn((await person.must(console)).stdout);
      expect(new Set(said)).toEqual(new Set(['/netloom.split/B']));

      // A process of the machine is none of the realm's, by whatever number.
      const outside = own.sleeper();
      const refused = await person.run(['cpu', 'bind', 'split', 'B', String(outside)]);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain('There is no process');
      const inside = person.start(['exec', 'split', 'r2', '--', 'sleep', '984']);
      const bound = await waitFor(async () => {
        const list = await person.must(['exec', 'split', 'r1', '--', 'pgrep', '-nxf', 'sleep 984']);
        return list.stdout.trim();
      });
      await person.must(['cpu', 'bind', 'split', 'B', bound]);
      expect(place(pidOf('sleep 984'))).toBe('/netloom.split/B');
      expect(place(outside)).not.toContain('/netloom.split');

      await person.must(['down', 'split']);
      for (const { base } of own.hierarchies) {
        expect(readdirSync(base).filter((name) => name.startsWith('netloom.'))).toEqual([]);
        const handedDown = path.join(base, 'cgroup.subtree_control');
        if (isVersion2) expect(readFileSync(handedDown, 'utf8').trim()).toBe('');
      }
      inside.kill();
    },
  );

  it('is found again by an agent that is started from elsewhere, which joins the sandbox in its group', async () => {
    const person = personIn(own, 0);
    const file = await person.write('split.yaml', lab);
    await person.must(['up', file, '--yes']);
    await person.must(['agent', 'stop', '--realm', 'sandbox:split']);
    // From where the tests run, which is in no group of the sandbox's.
    const { node, root } = person.installation;
    const words = [path.join(root, 'main/cli/netloom.mjs'), 'agent', 'start'];
    const started = spawnSync(node, [...words, '--realm', 'sandbox:split'], {
      env: person.environment,
      cwd: '/',
    });
    expect([started.status, started.stderr.toString()]).toEqual([0, expect.any(String)]);
    const shown = await person.must(['cpu', 'show', 'split']);
    expect(shown.stdout).toMatch(/\nA\/A1 +0\.0\d +0\.20 /);
    const { agent } = await person.realm('split');
    expect(place(agent ?? 0)).toBe(ownPlace);
  });

  it('is refused without one, with the command that gives one: which does', async () => {
    const person = new Netloom({ user: 0 });
    people.push(person);
    const file = await person.write('split.yaml', lab);
    const refused: CommandResult = await person.run(['up', file, '--yes']);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('nobody has given this sandbox a control group');
    const json = await person.run(['up', file, '--yes', '--json']);
    const text =
      /for d in .*; done$/m.exec(
        parse<{ readonly failure: { readonly next: string } }>(json).failure.next,
      )?.[0] ?? '';
    expect(text).toContain('for d in ');
    // The realm that was made for it has gone with it.
    expect(await person.realms()).toEqual([]);

    // The command as it stands, but for who is asked for what: nobody types a password here, and the group is the test's.
    const bin = temporaryDirectory('bin');
    writeFileSync(path.join(bin, 'sudo'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    const name = `test-${String(process.pid)}`;
    writeFileSync(path.join(bin, 'id'), `#!/bin/sh\n[ "$1" = -un ] && echo ${name} || echo 0\n`, {
      mode: 0o755,
    });
    const script = `${text}\nexec "$@"`;
    const given = new Netloom({
      user: 0,
      enter: ['env', `PATH=${bin}:${process.env['PATH'] ?? ''}`, 'sh', '-c', script, 'sh'],
    });
    people.push(given);
    const again = await given.write('split.yaml', lab);
    try {
      const up = await given.run(['up', again, '--yes']);
      expect([up.status, up.stderr]).toEqual([0, expect.any(String)]);
      for (const { base } of own.hierarchies) {
        const group = path.join(path.dirname(base), `netloom-${name}`);
        expect(existsSync(path.join(group, 'netloom.split/A/A1'))).toBe(true);
      }
      await given.must(['down', '--all']);
    } finally {
      for (const { base } of own.hierarchies) {
        const group = path.join(path.dirname(base), `netloom-${name}`);
        // On cgroup v2 what was in the group is in a leaf of it.
        spawnSync('rmdir', [path.join(group, '_self'), group]);
      }
      rmSync(bin, { recursive: true });
    }
  });
});

async function waitFor(look: () => Promise<string>): Promise<string> {
  for (let round = 0; round < 100; round += 1) {
    try {
      const found = await look();
      if (found !== '') return found;
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it does not come');
}
