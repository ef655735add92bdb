/**
 * CPU groups of labs on a machine of systemd's: run in the guest by systemd-host.test.ts. Each lab's are held by a unit of its
 * own; what is asked is systemd, and the kernel's files.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeCpuOffers, findCpuPlaces, RealmCpu } from '../../agent/services/cpu-realm.ts';
import { HostMachine } from '../harness/host-machine.ts';
import {
  apply,
  type Bench,
  documentTarget,
  must,
  openBench,
  plan,
} from '../kernel/apply-harness.ts';

const root = '/sys/fs/cgroup';
const unit = 'netloom-split.service';
const place = `${root}/${unit}`;
const session = '/user.slice/session-test.scope';
const top = `${place}/netloom.split`;

const split = (groups: string, name = 'split'): string =>
  `netloom: 1
name: ${name}
topology: { nodes: {} }
cpu:
  groups:
${groups}
`;
const groups = `    A: { cap: 0.5, weight: 300, groups: { A1: { cap: 0.3, burst: 0.1 }, A2: { weight: 7 } } }
    B: { cap: 0.25 }`;
const without = 'netloom: 1\nname: split\ntopology: { nodes: {} }\n';

const read = (file: string): string => readFileSync(file, 'utf8').trim();
const run = (...[file = '', ...args]: readonly string[]): string =>
  execFileSync(file, args, { encoding: 'utf8' }).trim();
const units = (): string =>
  spawnSync('systemctl', ['list-units', '--all', '--plain', '--no-legend', 'netloom-split*'], {
    encoding: 'utf8',
  }).stdout.trim();
const placeOf = (pid: number): string => read(`/proc/${String(pid)}/cgroup`);

/** Every file of a lab's groups that was or could have been written, and who is where. */
function state(directory = top): readonly string[] {
  if (!existsSync(directory)) return [];
  const files = ['cpu.max', 'cpu.max.burst', 'cpu.weight', 'cpu.idle', 'cgroup.subtree_control'];
  const own = [...files, 'cgroup.procs']
    .filter((file) => existsSync(`${directory}/${file}`))
    .map((file) => `${directory}/${file}: ${read(`${directory}/${file}`)}`);
  const inner = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  return [...own, ...inner.flatMap((name) => state(`${directory}/${name}`))];
}

let bench: Bench;
const started: ChildProcess[] = [];

beforeAll(async () => {
  bench = await openBench({ cpu: new RealmCpu(findCpuPlaces('host')) });
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  // While systemd takes a session away, it ends whoever comes into it.
  await expect.poll(() => existsSync(`${root}${session}`)).toBe(false);
  if (existsSync(place)) await apply(bench, { kind: 'down', lab: 'split' });
});
afterAll(async () => {
  await bench.close();
});

const up = async (text: string): Promise<number> =>
  must(await apply(bench, documentTarget(text))).operations;

/** A process of somebody's session, as systemd has those: what is in a service it would lose sight of. */
async function start(command: string): Promise<number> {
  const begin = (...[file = '', ...args]: readonly string[]): number => {
    const child = spawn(file, args, { stdio: 'ignore' });
    started.push(child);
    return child.pid ?? 0;
  };
  if (!existsSync(`${root}${session}`)) {
    const scope = ['--quiet', '--scope', '--slice=user.slice', '--unit=session-test'];
    begin('systemd-run', ...scope, 'sleep', '600');
    await expect.poll(() => existsSync(`${root}${session}`)).toBe(true);
  }
  const pid = begin('sh', '-c', command);
  writeFileSync(`${root}${session}/cgroup.procs`, String(pid));
  return pid;
}

/** The only other unit that needs the controller comes and goes. */
function other(): void {
  run('systemd-run', '--quiet', '--unit=other', '-p', 'CPUQuota=40%', 'sleep', '600');
  run('systemctl', 'stop', 'other.service');
}

async function bind(group: string | null, pid: number): Promise<void> {
  const asked = { lab: 'split', group, pids: [pid], descendants: false };
  must(await bench.labs.bindings.bind(asked, null));
}

describe('a lab’s groups on a machine of systemd’s', () => {
  it('are offered, each lab’s in a unit', () => {
    const offer = describeCpuOffers().find(({ name }) => name === 'cpu-groups');
    expect(offer?.available).toBe(true);
    expect(offer?.reason).toContain('netloom-LAB.service');
  });

  it('are there exactly as asked, in the unit, and a second time nothing is done', async () => {
    expect(units()).toBe('');
    await up(split(groups));
    expect(units()).toMatch(/^netloom-split\.service +loaded +active +running/);
    expect(
      ['A/cpu.max', 'A/cpu.weight', 'A/A1/cpu.max', 'A/A1/cpu.max.burst', 'A/A2/cpu.weight'].map(
        (file) => read(`${top}/${file}`),
      ),
    ).toEqual(['50000 100000', '300', '30000 100000', '10000', '7']);
    expect(await up(split(groups))).toBe(0);
  });

  it('go with the lab, and no unit is left', async () => {
    await up(split(groups));
    must(await apply(bench, { kind: 'down', lab: 'split' }));
    expect(units()).toBe('');
    expect(existsSync(place)).toBe(false);
    expect(existsSync(`/run/systemd/transient/${unit}`)).toBe(false);
  });

  it('go with the section of the document, and come back with undo and redo', async () => {
    await up(split(groups));
    const before = state();
    await up(without);
    expect([units(), state()]).toEqual(['', []]);
    must(await apply(bench, { kind: 'undo', lab: 'split' }));
    expect(state()).toEqual(before);
    must(await apply(bench, { kind: 'redo', lab: 'split' }));
    expect([units(), state()]).toEqual(['', []]);
  });

  it('are made by the commands that the plan shows, too', async () => {
    const { steps } = plan(bench, documentTarget(split(groups)));
    const script = steps.flatMap(({ commands }) => commands).join('\n');
    expect(script).toMatch(/^systemd-run /);
    run('sh', '-ec', script);
    const byHand = state();
    expect(byHand.length).toBeGreaterThan(10);
    run('sh', '-ec', `systemctl stop ${unit}`);
    expect(existsSync(place)).toBe(false);
    await up(split(groups));
    expect(state()).toEqual(byHand);
  });

  it('hold a bound process at its cap, and let it go where it was', async () => {
    await up(split(groups));
    const pid = await start('while :; do :; done');
    await bind('A/A1', pid);
    expect(placeOf(pid)).toBe(`0::/${unit}/netloom.split/A/A1`);
    const usage = (): number =>
      Number(/^usage_usec (\d+)$/m.exec(read(`${top}/A/A1/cpu.stat`))?.[1]);
    await delay(1000);
    const [before, begun] = [usage(), performance.now()];
    await delay(4000);
    const cores = (usage() - before) / 1000 / (performance.now() - begun);
    expect(cores).toBeGreaterThan(0.3 * 0.85);
    expect(cores).toBeLessThan(0.3 * 1.07);
    await bind(null, pid);
    expect(placeOf(pid)).toBe(`0::${session}`);
  });

  it('take no realtime process where the kernel has budgets for those, which is said', async () => {
    await up(split(groups));
    const pid = await start('sleep 1; exec chrt -f 1 sleep 600');
    // Only the top has a budget of itself.
    writeFileSync(`${root}/cgroup.procs`, String(pid));
    await expect.poll(() => run('chrt', '-p', String(pid))).toContain('SCHED_FIFO');
    const asked = { lab: 'split', group: 'A/A1', pids: [pid], descendants: false };
    const bound = await bench.labs.bindings.bind(asked, null);
    expect(bound).toMatchObject({ ok: false, failure: { code: 'cpu-bind-realtime' } });
    expect(placeOf(pid)).toBe('0::/');
  });

  it('keep their values while systemd reads its units anew and all others that use the controller end', async () => {
    await up(split(groups));
    const pid = await start('exec sleep 600');
    await bind('B', pid);
    const before = state();
    run('systemctl', 'daemon-reload');
    expect(state()).toEqual(before);
    other();
    run('systemctl', 'daemon-reload');
    // Time enough for what systemd does later.
    await delay(1500);
    expect(state()).toEqual(before);
    expect(placeOf(pid)).toBe(`0::/${unit}/netloom.split/B`);
    expect(await up(split(groups))).toBe(0);
  });

  it('whose unit somebody stops hold on, nobody in them ends, it is noticed, and the next plan heals it', async () => {
    await up(split(groups));
    const pid = await start('exec sleep 600');
    await bind('B', pid);
    const before = state();
    run('systemctl', 'stop', unit);
    expect(placeOf(pid)).toContain('netloom.split/B');
    // systemd would take the controller away, and the kernel lets nobody as long as groups hand it down.
    other();
    expect(read(`${top}/B/cpu.max`)).toBe('25000 100000');
    await expect.poll(() => bench.labs.list()[0]?.drift).toBeGreaterThan(0);
    const [first] = plan(bench, documentTarget(split(groups))).steps;
    expect([first?.verb, first?.object, first?.label]).toEqual(['add', 'cpu-holder', unit]);
    expect(await up(split(groups))).toBeGreaterThan(0);
    expect(units()).toContain('running');
    expect(state()).toEqual(before);
    run('systemctl', 'stop', unit);
    must(await apply(bench, { kind: 'down', lab: 'split' }));
    expect([units(), existsSync(place)]).toEqual(['', false]);
    expect(existsSync(`/proc/${String(pid)}`)).toBe(true);
  });

  it('are as before, and it is said, where the machine allows no more of them', async () => {
    await up(split(groups));
    const before = state();
    const more = split(`${groups}\n    C: { groups: { C1: {}, C2: {}, C3: {} } }`);
    writeFileSync(`${place}/cgroup.max.descendants`, '9');
    try {
      const outcome = await apply(bench, documentTarget(more));
      expect(JSON.stringify(outcome)).toContain('cpu-groups-limited');
      expect(state()).toEqual(before);
    } finally {
      writeFileSync(`${place}/cgroup.max.descendants`, 'max');
    }
    expect(await up(more)).toBeGreaterThan(3);
  });

  it('do not take the place of somebody else’s unit', async () => {
    run('systemd-run', '--quiet', `--unit=${unit}`, '--slice=-.slice', 'sleep', '600');
    const main = run('systemctl', 'show', '-P', 'MainPID', unit);
    const { refusals } = plan(bench, documentTarget(split(groups)));
    expect(refusals.map(({ code }) => code)).toEqual(['cpu-holder-foreign']);
    expect(refusals[0]?.reason).toContain(unit);
    expect(run('systemctl', 'show', '-P', 'MainPID', unit)).toBe(main);
    run('systemctl', 'stop', unit);
  });

  it('are refused where systemd says yes and does something else, and nothing is left', async () => {
    // A stand-in that leaves out what a systemd without delegation would not know.
    const standIn = '/usr/local/sbin/systemd-run';
    mkdirSync('/usr/local/sbin', { recursive: true });
    writeFileSync(
      standIn,
      `#!/bin/sh
for word; do
  shift
  case "$word" in Delegate=*) word=Delegate=no ;; esac
  set -- "$@" "$word"
done
exec /usr/bin/systemd-run "$@"
`,
    );
    chmodSync(standIn, 0o755);
    try {
      const outcome = await apply(bench, documentTarget(split(groups)));
      expect(JSON.stringify(outcome)).toContain('cpu-holder-lacks');
      expect(JSON.stringify(outcome)).toContain('it lacks cpu');
    } finally {
      rmSync(standIn);
    }
    expect([units(), existsSync(place)]).toEqual(['', false]);
  });
});

describe('the agent of the host, under systemd', () => {
  let machine: HostMachine;
  beforeAll(async () => {
    machine = await HostMachine.open();
    await machine.startAgent();
  });
  afterAll(async () => {
    await machine.close();
  });

  it.each(['kill-before:0', 'kill-after:0', 'kill-after:2'])(
    'leaves no unit where it dies at %s, once it is back',
    async (fault) => {
      const file = machine.write('split', split(groups));
      const agent = await machine.startFaultyAgent(fault);
      const died = once(agent, 'exit');
      const result = await machine.run('tester', ['up', file, '--realm', 'host', '--yes']);
      expect(result.status).not.toBe(0);
      await died;
      await machine.startAgent();
      expect([units(), existsSync(place)]).toEqual(['', false]);
    },
  );

  it('keeps groups and unit while it dies and comes back, and takes them down', async () => {
    const file = machine.write('split', split(groups));
    await machine.must('tester', ['up', file, '--realm', 'host', '--yes']);
    const before = state();
    const agent = await machine.startFaultyAgent('kill-after:0');
    const died = once(agent, 'exit');
    expect(state()).toEqual(before);
    const changed = groups.replace('cap: 0.25', 'cap: 0.2').replace('cap: 0.5', 'cap: 0.4');
    const other = machine.write('split', split(changed));
    await machine.run('tester', ['up', other, '--realm', 'host', '--yes']);
    await died;
    await machine.startAgent();
    expect(state()).toEqual(before);
    await machine.must('tester', ['down', 'split']);
    expect([units(), existsSync(place)]).toEqual(['', false]);
  });
});
