/**
 * CPU splits on cgroup v2 on a machine with 16 CPUs: run in the guest by cpu.test.ts. What is asked is the kernel's own
 * files.
 *
 * The guest's 16 CPUs are threads on far fewer real ones, so that everything takes many times as long while they are busy,
 * and every program that is started takes long anyhow. So nearly all of it goes on in this very process; loops run for
 * seconds only, begin when all are in their place, and yield to everybody; and what needs a process of an agent's own comes
 * last, a few steps of it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { CpuGroupSample } from '../../agent/api/cpu.ts';
import { findCpuPlaces, RealmCpu } from '../../agent/services/cpu-realm.ts';
import { HostMachine } from '../harness/host-machine.ts';
import { readGallery } from '../harness/lab-needs.ts';
import {
  apply,
  type Bench,
  documentTarget,
  must,
  openBench,
  plan,
} from '../kernel/apply-harness.ts';

const root = '/sys/fs/cgroup';
const top = `${root}/netloom.split`;

const split = (groups: string): string =>
  `netloom: 1
name: split
topology: { nodes: {} }
cpu:
  cores: 16
  groups:
${groups}
`;

const notes = `    A: { cap: 8, groups: { A1: { cap: 3 }, A2: { cap: 3 }, A3: { cap: 2 } } }
    B: { cap: 4 }
    C: { cap: 2 }
    D: { cap: 2 }`;

/**
 * The same caps over the longest period that the kernel takes. The guest's CPUs wait for a real one for tens of milliseconds,
 * which its clock counts as use: too much of a tenth of a second, and little of a whole one. A check that ends late has counted
 * what a group runs at the beginning of a period once too often: of ten that is within what it tolerates.
 */
const overSeconds = (text: string): string =>
  text
    .replaceAll(/\{ cap: [\d.]+/g, '$&, period: 1000')
    .replaceAll(/^( +)cap: [\d.]+$/gm, '$&\n$1period: 1000')
    .replaceAll('seconds: 1', 'seconds: 10');

function read(file: string): string {
  return readFileSync(`${top}/${file}`, 'utf8').trim();
}

const written = ['cpu.max', 'cpu.max.burst', 'cpu.weight', 'cpu.idle', 'cpuset.cpus'].concat([
  ...['cpuset.cpus.partition', 'cgroup.type', 'cgroup.subtree_control', 'cgroup.procs'],
]);

/** Every file of the split that was or could have been written, and who is where. */
function state(directory = top): readonly string[] {
  if (!existsSync(directory)) return [];
  const own = written
    .filter((file) => existsSync(`${directory}/${file}`))
    .map((file) => `${directory}/${file}: ${readFileSync(`${directory}/${file}`, 'utf8').trim()}`);
  const inner = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  return [...own, ...inner.flatMap((name) => state(`${directory}/${name}`))];
}

function placeOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim();
}

interface Use {
  /** Microseconds. */
  readonly usage: number;
  readonly periods: number;
  /** Milliseconds of this machine's clock. */
  readonly at: number;
}

function useOf(group: string): Use {
  const text = read(`${group}cpu.stat`);
  const number = (key: string): number =>
    Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1]);
  return { usage: number('usage_usec'), periods: number('nr_periods'), at: performance.now() };
}

/** A moment in which the group has used up what a period gives it: whenever that is read, it is the same. */
async function stoppedUse(group: string): Promise<Use> {
  for (;;) {
    const before = useOf(group);
    await delay(30);
    const now = useOf(group);
    if (now.periods === before.periods && now.usage - before.usage < 1000) return now;
  }
}

/**
 * Cores that a group uses, by its cpu.stat. A group with a cap runs at the beginning of each period and then stops: on a
 * machine on which nothing is punctual it is measured over whole periods, from one stop to another. All others are by this
 * machine's clock.
 */
async function measured(group: string): Promise<number> {
  const isCapped = !read(`${group}cpu.max`).startsWith('max');
  const now = (): Promise<Use> => (isCapped ? stoppedUse(group) : Promise.resolve(useOf(group)));
  const before = await now();
  await delay(isCapped ? 6000 : 4000);
  const after = await now();
  const seconds = isCapped ? after.periods - before.periods : (after.at - before.at) / 1000;
  return (after.usage - before.usage) / 1e6 / seconds;
}

describe('a split in the transaction of a lab', () => {
  let bench: Bench;
  const started: ChildProcess[] = [];

  beforeAll(async () => {
    bench = await openBench({ cpu: new RealmCpu(findCpuPlaces('host')) });
  });
  afterAll(async () => {
    for (const child of started) child.kill('SIGKILL');
    if (existsSync(top)) await apply(bench, { kind: 'down', lab: 'split' });
    await bench.close();
  });

  const up = async (groups: string): Promise<number> => {
    const outcome = must(await apply(bench, documentTarget(split(groups))));
    return outcome.operations;
  };
  const change = (target: PlanTarget) => apply(bench, target);
  const bind = async (group: string | null, pids: readonly number[]): Promise<void> => {
    const asked = { lab: 'split', group, pids: [...pids], descendants: false };
    must(await bench.labs.bindings.bind(asked, null));
  };
  const start = (command: string): ChildProcess => {
    const child = spawn('nice', ['-n', '19', 'sh', '-c', command], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.stdin.on('error', () => undefined);
    started.push(child);
    return child;
  };
  const sampleOf = async (
    group: string,
    samples: number,
    interval = 1000,
  ): Promise<CpuGroupSample> => {
    const stop = new AbortController();
    let count = 0;
    let seen: CpuGroupSample | undefined;
    must(
      await bench.labs.watchCpu('split', interval, stop.signal, ({ groups }) => {
        seen = groups.find((one) => one.group === group);
        count += 1;
        if (count === samples) stop.abort();
      }),
    );
    if (seen === undefined) throw new Error(`no group ${group}`);
    return seen;
  };

  it('gives exactly the quotas of the notes, and a second time nothing is written', async () => {
    await up(notes);
    const quotas = ['', 'A/', 'A/A1/', 'A/A2/', 'A/A3/', 'B/', 'C/', 'D/'].map((group) =>
      read(`${group}cpu.max`),
    );
    expect(quotas).toEqual([
      'max 100000',
      '800000 100000',
      '300000 100000',
      '300000 100000',
      '200000 100000',
      '400000 100000',
      '200000 100000',
      '200000 100000',
    ]);
    expect(await up(notes)).toBe(0);
  });

  it('lets 16 busy loops use 16, 8, 3 and 4 cores, as they are bound to the root, to A, to A1 and to B', async () => {
    await up(overSeconds(notes));
    expect(read('A/A1/cpu.max')).toBe('3000000 1000000');
    const loops = Array.from({ length: 16 }, () => start('read go; while :; do :; done'));
    const pids = loops.map(({ pid }) => pid ?? 0);
    await bind('/', pids);
    // In the root each has a CPU of its own from its first moment on: two on one stay there for seconds, until a late timer
    // finds another CPU idle. Elsewhere they have those of their group again.
    const own = pids.map((pid, cpu) => `taskset -pc ${cpu} ${pid}`).join(' && ');
    expect(spawnSync('sh', ['-c', own]).status).toBe(0);
    for (const { stdin } of loops) stdin?.write('go\n');
    const seen: Record<string, number> = {};
    for (const [group, directory] of [
      ['/', ''],
      ['A', 'A/'],
      ['A/A1', 'A/A1/'],
      ['B', 'B/'],
    ] as const) {
      if (group !== '/') await bind(group, pids);
      // The period in which they moved, and those that pay for what it ran over.
      await delay(2500);
      seen[group] = await measured(directory);
    }
    // Of one that is at its cap, while it is: what a window shows, of several of its periods.
    const shown = await sampleOf('B', 2, 4000);
    // And what pins come to.
    await up(overSeconds(`${notes}\n    P: { pins: 8-11 }`));
    await bind('P', pids);
    await delay(500);
    seen['P'] = await measured('P/');
    for (const loop of loops) loop.kill('SIGKILL');
    await Promise.all(loops.map((loop) => once(loop, 'exit')));
    process.stderr.write(`cores used: ${JSON.stringify(seen)}\n`);
    for (const [group, cores] of Object.entries({ '/': 16, A: 8, 'A/A1': 3, B: 4, P: 4 })) {
      const share = (seen[group] ?? 0) / cores;
      expect(share, `${group} used ${String(seen[group])} cores`).toBeGreaterThan(0.85);
      expect(share, `${group} used ${String(seen[group])} cores`).toBeLessThan(1.07);
    }
    expect(shown.conditions).toContain('at-cap');
    expect(shown.processes).toBe(16);
    must(await change({ kind: 'undo', lab: 'split' }));
    must(await change({ kind: 'undo', lab: 'split' }));
  });

  it('is split further while there are processes in it, and no group becomes invalid', async () => {
    const [inA1, inB] = [start('read go'), start('read go')].map(({ pid }) => pid ?? 0);
    if (inA1 === undefined || inB === undefined) throw new Error('no processes');
    await bind('A/A1', [inA1]);
    await bind('B', [inB]);
    const deeper = notes
      .replace('A1: { cap: 3 }', 'A1: { cap: 3, groups: { x: { cap: 1 }, y: {} } }')
      .replace('B: { cap: 4 }', 'B: { cap: 4, groups: { B1: {} } }');
    await up(deeper);
    expect(placeOf(inA1)).toBe('0::/netloom.split/A/A1/_self');
    expect(placeOf(inB)).toBe('0::/netloom.split/B/_self');
    const types = state().filter((line) => line.includes('cgroup.type: '));
    expect(types.length).toBeGreaterThan(10);
    expect(types.filter((line) => !line.endsWith(': domain'))).toEqual([]);
    expect(read('A/A1/x/cpu.max')).toBe('100000 100000');
    must(await change({ kind: 'undo', lab: 'split' }));
    expect(placeOf(inA1)).toBe('0::/netloom.split/A/A1');
    expect(read('B/cgroup.subtree_control')).toBe('');
    await bind(null, [inA1, inB]);
    expect(`${placeOf(inA1)} ${placeOf(inB)}`).not.toContain('netloom.split');
  });

  it('becomes another and comes back with undo, burst before quota and pins with it', async () => {
    const before = state();
    const other = `    A: { cap: 2, burst: 2, weight: 10000, pins: 4-7, groups: { A1: { cap: 1, pins: 5 } } }
    B: { idle: true }
    E: { cap: 0.5, period: 10, weight: 1 }`;
    await up(other);
    expect(read('A/cpu.max.burst')).toBe('200000');
    expect([read('A/cpu.weight'), read('A/cpuset.cpus.effective')]).toEqual(['10000', '4-7']);
    expect([read('A/A1/cpuset.cpus.effective'), read('B/cpu.idle')]).toEqual(['5', '1']);
    expect([read('E/cpu.max'), read('E/cpu.weight')]).toEqual(['5000 10000', '1']);
    await up(other.replace('cap: 2, burst: 2', 'cap: 0.5, burst: 0.5'));
    expect([read('A/cpu.max'), read('A/cpu.max.burst')]).toEqual(['50000 100000', '50000']);
    must(await change({ kind: 'undo', lab: 'split' }));
    must(await change({ kind: 'undo', lab: 'split' }));
    expect(state()).toEqual(before);
  });

  it('says that pins are lost while their CPU is away, and that they are back with it', async () => {
    const online = '/sys/devices/system/cpu/cpu15/online';
    await up('    P: { pins: 15 }');
    expect((await sampleOf('P', 1)).conditions).toEqual([]);
    writeFileSync(online, '0');
    try {
      const away = await sampleOf('P', 3);
      expect(away.conditions).toContain('pins-lost');
      expect(away.cpus).toBe('0-14');
    } finally {
      writeFileSync(online, '1');
    }
    expect((await sampleOf('P', 3)).conditions).toEqual([]);
    must(await change({ kind: 'undo', lab: 'split' }));
  });

  const partitions = ['', 'A/', 'A/A1/', 'A/A2/', 'B/'];
  const alone = `    A: { pins: 0-3, partition: root, groups: { A1: { pins: 0-1, partition: isolated }, A2: {} } }
    B: { pins: 4-5 }`;
  const outside = (): string =>
    /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  const cpusOf = (group: string): string => read(`${group}cpuset.cpus.effective`);

  it('gives groups CPUs for themselves, takes them from everybody else, and gives them back', async () => {
    const before = state();
    await up(alone);
    const kinds = partitions.map((group) => read(`${group}cpuset.cpus.partition`));
    expect(kinds).toEqual(['root', 'root', 'isolated', 'member', 'member']);
    expect(partitions.map(cpusOf)).toEqual(['4-5', '2-3', '0-1', '2-3', '4-5']);
    expect(readFileSync(`${root}/cpuset.cpus.effective`, 'utf8').trim()).toBe('6-15');
    expect(outside()).toBe('6-15');
    const { pid = 0 } = start('read go');
    await bind('A/A1', [pid]);
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Cpus_allowed_list:\s*0-1$/m);
    await bind(null, [pid]);
    expect((await sampleOf('A', 1)).conditions).toEqual([]);
    expect(await up(alone)).toBe(0);
    const whole = state();
    // B joins what A leaves: every partition ends before pins move, and is made again after that.
    await up(alone.replace('A: { pins: 0-3,', 'A: { pins: 0-2,').replace('pins: 4-5', 'pins: 3-5'));
    expect(partitions.map(cpusOf)).toEqual(['3-5', '2', '0-1', '2', '3-5']);
    must(await change({ kind: 'undo', lab: 'split' }));
    expect(state()).toEqual(whole);
    must(await change({ kind: 'undo', lab: 'split' }));
    expect(state()).toEqual(before);
    expect(outside()).toBe('0-15');
  });

  it('says what the kernel says where it takes a partition and makes none, and nothing is changed', async () => {
    const before = state();
    const other = `${root}/other`;
    mkdirSync(other);
    try {
      writeFileSync(`${other}/cpuset.cpus`, '3');
      const outcome = await change(documentTarget(split(alone)));
      if (outcome.ok) throw new Error('the kernel made one');
      const { failure } = outcome;
      const [reason] = failure.causes ?? [];
      expect(reason).toMatchObject({ code: 'cpu-partition-refused', object: '/' });
      expect(reason?.reason).toBe(
        'The kernel does not give / the CPUs 0-5 for itself; it says: Cpu list in cpuset.cpus not exclusive.',
      );
      expect(state()).toEqual(before);
    } finally {
      rmdirSync(other);
    }
  });

  it('lets nobody be bound where partitions have left no CPU', async () => {
    await up('    A: { pins: 0-3, partition: root }');
    const { pid = 0 } = start('read go');
    const asked = { lab: 'split', group: '/', pids: [pid], descendants: false };
    expect(await bench.labs.bindings.bind(asked, null)).toMatchObject({
      ok: false,
      failure: { code: 'cpu-bind-no-cpus', object: '/' },
    });
    expect(placeOf(pid)).not.toContain('netloom.split');
    must(await change({ kind: 'undo', lab: 'split' }));
  });

  it('is seen to have lost its CPUs when the kernel ends a partition, and has them again', async () => {
    await up(alone);
    const whole = state();
    // What the kernel says no word of.
    writeFileSync(`${top}/B/cpuset.cpus`, '3-5');
    expect(read('A/cpuset.cpus.partition')).toMatch(/^root invalid \(.+\)$/);
    expect((await sampleOf('A', 1)).conditions).toEqual(['partition-ended']);
    expect((await sampleOf('B', 1)).conditions).toEqual(['pins-lost', 'changed-outside']);
    expect(await up(alone)).toBeGreaterThan(0);
    expect(state()).toEqual(whole);
    expect((await sampleOf('A', 1)).conditions).toEqual([]);
    must(await change({ kind: 'undo', lab: 'split' }));
  });

  it('is refused whole where the machine has fewer CPUs', () => {
    const before = state();
    const target = documentTarget(split(notes).replace('cores: 16', 'cores: 17'));
    const [refusal] = plan(bench, target).refusals;
    expect(refusal?.reason).toBe('The split is for 17 CPUs, and this machine has 16.');
    expect(state()).toEqual(before);
  });

  it('leaves nothing when it goes, and what somebody has put into it goes on running', async () => {
    const { pid = 0 } = start('read go');
    writeFileSync(`${top}/C/cgroup.procs`, String(pid));
    must(await change({ kind: 'down', lab: 'split' }));
    expect(readdirSync(root).filter((name) => name.startsWith('netloom.'))).toEqual([]);
    expect(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).toBe('sh');
  });
});

describe('the gallery’s splits of 16 cores', () => {
  /**
   * Those that measure one group. Of groups that are busy beside each other and have the whole machine together each gets its
   * own only where no CPU ever idles, and here one does whenever a timer is late; they hold on the machine's own kernel, scaled.
   */
  const alone = (text: string): string => text.replaceAll(/^ +- .*against: .*\n/gm, '');
  it('by caps holds, over longer times', async () => {
    const lab = 'cpu-caps';
    const bench = await openBench({ cpu: new RealmCpu(findCpuPlaces('host')) });
    try {
      must(await apply(bench, documentTarget(alone(overSeconds(readGallery(`${lab}.yaml`))))));
      const signal = new AbortController().signal;
      const results = must(await bench.labs.check(lab, signal, () => undefined));
      const wrong = results.filter(({ outcome }) => outcome === 'failed');
      expect(wrong.map(({ sentence }) => sentence)).toEqual([]);
      expect(results).toHaveLength(3);
      expect(results.some(({ outcome }) => outcome === 'passed')).toBe(true);
      must(await apply(bench, { kind: 'down', lab }));
    } finally {
      await bench.close();
    }
  });
});

/** Milliseconds that an agent may take to come to the step that ends it. */
const longestStep = 120_000;

describe('the agent of the host', () => {
  let machine: HostMachine;
  beforeAll(async () => {
    machine = await HostMachine.open();
    await machine.startAgent();
  });
  // It ends with the guest, which this is the last of.

  const withRun = split(notes).replace(
    'nodes: {}',
    'nodes: { r1: { kind: namespace, run: [{ name: work, command: [sleep, "902"], cpu: A/A1 }] } }',
  );

  it('is at every moment what was asked for or what was before, also when it dies in between', async () => {
    const file = machine.write('split', withRun);
    await machine.must('tester', ['up', file, '--realm', 'host', '--yes']);
    const pid = Number(machine.look(['pgrep', '-f', '^sleep 902$']).trim());
    expect(placeOf(pid)).toBe('0::/netloom.split/A/A1');
    const before = state();
    const other = withRun.replace('A: { cap: 8,', 'A: { cap: 7,').replace('B: { cap: 4 }', 'E: {}');
    machine.write('split', other);
    const agent = await machine.startFaultyAgent('kill-after:1');
    const died = once(agent, 'exit').then(() => 'died');
    const result = await machine.run('tester', ['up', file, '--realm', 'host', '--yes']);
    expect(result.status).not.toBe(0);
    expect(await Promise.race([died, delay(longestStep, 'lives')])).toBe('died');
    // The tester is enrolled already: each further command costs seconds here.
    await machine.must('root', ['agent', 'start', '--realm', 'host']);
    expect(state()).toEqual(before);
    await machine.must('tester', ['down', 'split']);
    expect(state()).toEqual([]);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });
});
