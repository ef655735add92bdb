/**
 * CPU groups in a sandbox: only where somebody has handed a control group over, and only for the sandbox's own processes.
 * The groups are the test's own, below the machine's hierarchies.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CommandResult,
  Netloom,
  ordinaryUser,
  parse,
  temporaryDirectory,
} from '../harness/netloom.ts';
import { OwnGroups } from '../kernel/cpu-own-groups.ts';

const isRoot = process.getuid?.() === 0;

const lab = `netloom: 1
name: split
topology: { nodes: { r1: { kind: namespace, cpu: B, run: [{ name: work, command: [sleep, '983'], cpu: A/A1 }] } } }
cpu:
  groups:
    A: { cap: 0.5, groups: { A1: { cap: 0.2 } } }
    B: { cap: 0.2, weight: 50 }
`;

/** Words that run a command in a group of each hierarchy: root puts the shell there, which becomes the command. */
function enterGroups(own: OwnGroups): readonly string[] {
  const files = own.hierarchies.map(({ base }) => path.join(base, 'cgroup.procs'));
  const script = 'for f in $1; do echo $$ >"$f" || exit 1; done; shift; exec "$@"';
  return ['sh', '-c', script, 'sh', files.join(' ')];
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

  const place = (pid: number): readonly string[] =>
    readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8')
      .split('\n')
      .filter((line) => /^\d+:(cpu|cpuset|cpuacct):/.test(line))
      .map((line) => line.replace(/^\d+:\w+:/, '').replace(own.name, ''));

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
      expect(own.read('cpu', 'A/cpu.cfs_quota_us', 'split')).toBe('50000');
      expect(own.read('cpu', 'A/A1/cpu.cfs_quota_us', 'split')).toBe('20000');
      expect(own.read('cpu', 'B/cpu.shares', 'split')).toBe('512');
      const work = pidOf('sleep 983');
      expect(place(work)).toEqual(Array(3).fill('/netloom.split/A/A1'));
      const realm = await person.realm('split');
      expect(place(realm.keeper)).toEqual(['', '', '']);

      // A console, and what it starts at once, is where its node is.
      const console = ['exec', 'split', 'r1', '--', 'sh', '-c', 'sleep 9 & cat /proc/$!/cgroup'];
      const said = (await person.must(console)).stdout.replaceAll(own.name, '');
      for (const controller of ['cpu', 'cpuacct', 'cpuset']) {
        expect(said).toContain(`:${controller}:/netloom.split/B\n`);
      }

      // A process of the machine is none of the realm's, by whatever number.
      const outside = own.sleeper();
      const refused = await person.run(['cpu', 'bind', 'split', 'B', String(outside)]);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain('There is no process');
      const inside = person.startInRealm(realm.keeper, ['sleep', '984']);
      const bound = await waitFor(async () => {
        const list = await person.must(['exec', 'split', 'r1', '--', 'pgrep', '-nxf', 'sleep 984']);
        return list.stdout.trim();
      });
      await person.must(['cpu', 'bind', 'split', 'B', bound]);
      expect(place(pidOf('sleep 984'))).toEqual(Array(3).fill('/netloom.split/B'));
      expect(place(outside)).not.toContain('/netloom.split/B');

      await person.must(['down', 'split']);
      expect(own.read('cpu', 'cpu.shares', 'split')).toBeNull();
      expect(own.read('cpuset', 'cpuset.cpus', 'split')).toBeNull();
      inside.kill();
    },
    120_000,
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
    expect(place(agent ?? 0)).toEqual(['', '', '']);
  }, 120_000);

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
        spawnSync('rmdir', [path.join(path.dirname(base), `netloom-${name}`)]);
      }
      rmSync(bin, { recursive: true });
    }
  }, 120_000);
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
