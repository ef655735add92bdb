/**
 * What cgroup v2 does that a CPU split would trip over: each is shown to be so by a bare write, and then that ours does
 * not. Run in the guest by cpu.test.ts. What cgroup v1 does is in test/kernel/cpu-traps.test.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CpuGroupSample } from '../../agent/api/cpu.ts';
import { initialLimits } from '../../agent/cpu/limits.ts';
import type { Cgroups } from '../../agent/kernel/cgroups.ts';
import { findCpuPlaces, RealmCpu } from '../../agent/services/cpu-realm.ts';
import {
  apply,
  type Bench,
  documentTarget,
  must,
  openBench,
  plan,
} from '../kernel/apply-harness.ts';

const root = '/sys/fs/cgroup';
const top = `${root}/netloom.lab`;

let bench: Bench;
let groups: Cgroups;
const children: ChildProcess[] = [];
beforeEach(async () => {
  const cpu = new RealmCpu(findCpuPlaces('host'));
  bench = await openBench({ cpu });
  const found = cpu.groupsOf('lab');
  if (found === null) throw new Error('no control groups');
  groups = found;
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await ended;
  }
  await bench.close();
  removeTree(top);
  // The kernel takes a process out of its group some time after its end.
  await expect.poll(() => existsSync(top) && !removeTree(top)).toBe(false);
});

/** Whether it is gone. */
function removeTree(directory: string): boolean {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(`${directory}/${entry.name}`);
    }
    rmdirSync(directory);
  } catch {
    // What has processes still.
  }
  return !existsSync(directory);
}

function start(...command: readonly string[]): number {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  children.push(child);
  return child.pid ?? 0;
}
const sleeper = (): number => start('sleep', '600');

function read(file: string): string {
  return readFileSync(`${top}/${file}`, 'utf8').trim();
}

/** Name of the error with which the kernel refuses; null when it takes it. */
function refusalOf(act: () => void): string | null {
  try {
    act();
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'other';
  }
}
const write = (file: string, text: string): string | null =>
  refusalOf(() => {
    writeFileSync(`${top}/${file}`, text, { flag: 'r+' });
  });
const make = (group: string): string | null =>
  refusalOf(() => {
    mkdirSync(`${top}/${group}`);
  });
const writes = (file: string, texts: readonly string[]): readonly (string | null)[] =>
  texts.map((text) => write(file, text));

/** The root, opened, and these in it. */
function grow(...names: readonly string[]): void {
  must(groups.add('', initialLimits));
  must(groups.open(''));
  for (const name of names) must(groups.add(name, initialLimits));
}

function lab(split: string) {
  return documentTarget(`netloom: 1\nname: lab\ntopology: { nodes: {} }\ncpu: ${split}\n`);
}

async function samples(): Promise<ReadonlyMap<string, CpuGroupSample>> {
  const stop = new AbortController();
  const seen = new Map<string, CpuGroupSample>();
  must(
    await bench.labs.watchCpu('lab', 1000, stop.signal, (sample) => {
      for (const one of sample.groups) seen.set(one.group, one);
      stop.abort();
    }),
  );
  return seen;
}

describe('of caps', () => {
  it('the kernel has bounds, and reads what no number is as one', () => {
    // The top has none to write.
    expect(existsSync(`${root}/cpu.max`)).toBe(false);
    grow('A');
    const refused = [
      '999 100000',
      '1000 999',
      '1000000 1000001',
      'max 500',
      '18446744073709 100000',
    ];
    expect(new Set(writes('A/cpu.max', refused))).toEqual(new Set(['EINVAL']));
    expect(writes('A/cpu.max', ['MAX', '-1', '0', '1.5', '50%'])).toEqual(
      Array.from({ length: 5 }, () => 'EINVAL'),
    );
    expect(writes('A/cpu.max', ['1000 1000000', '200000abc'])).toEqual([null, null]);
    // One number leaves the period as it was, and so does one that is none.
    expect(read('A/cpu.max')).toBe('200000 1000000');
    must(groups.change('A', { quota: 200_000, period: 100_000 }));
    expect(read('A/cpu.max')).toBe('200000 100000');
  });

  it('a child may have more than its parent, which comes to the parent’s', () => {
    grow('A');
    must(groups.open('A'));
    must(groups.add('A/A1', initialLimits));
    must(groups.change('A/A1', { quota: 1_600_000 }));
    must(groups.change('A', { quota: 50_000 }));
    expect([read('A/cpu.max'), read('A/A1/cpu.max')]).toEqual(['50000 100000', '1600000 100000']);
  });

  it('a burst above the quota is refused, whichever is written first', () => {
    grow('A');
    must(groups.change('A', { quota: 200_000, burst: 200_000 }));
    expect(write('A/cpu.max', '100000 100000')).toBe('EINVAL');
    must(groups.change('A', { quota: 100_000, burst: 100_000 }));
    expect(writes('A/cpu.max.burst', ['100001', 'max', '-1'])).toEqual([
      'EINVAL',
      'EINVAL',
      'EINVAL',
    ]);
    must(groups.change('A', { quota: 300_000, burst: 300_000 }));
    expect([read('A/cpu.max'), read('A/cpu.max.burst')]).toEqual(['300000 100000', '300000']);
  });
});

describe('of weights', () => {
  it('the kernel has a range, keeps each exactly, and forgets it over idling', () => {
    grow('A');
    expect(writes('A/cpu.weight', ['0', '10001', '-1', 'x'])).toEqual([
      ...['ERANGE', 'ERANGE', 'EINVAL', 'EINVAL'],
    ]);
    for (const weight of [1, 2, 3, 7, 33, 99, 101, 9999, 10_000]) {
      must(groups.change('A', { weight }));
      expect(read('A/cpu.weight')).toBe(String(weight));
    }
    must(groups.change('A', { idle: true, weight: 100 }));
    expect(write('A/cpu.weight', '300')).toBe('EINVAL');
    expect(write('A/cpu.idle', '2')).toBe('EINVAL');
    must(groups.change('A', { idle: false, weight: 300 }));
    expect([read('A/cpu.idle'), read('A/cpu.weight')]).toEqual(['0', '300']);
  });
});

describe('of groups in groups', () => {
  it('controllers that come to a group with processes make its children invalid; ours are drained before', () => {
    grow('bare', 'A');
    const pids = [sleeper(), sleeper()];
    must(groups.move(pids.slice(0, 1), 'bare'));
    expect(write('bare/cgroup.subtree_control', '+cpu')).toBeNull();
    expect([make('bare/inner'), read('bare/inner/cgroup.type')]).toEqual([null, 'domain invalid']);
    expect(write('bare/inner/cgroup.procs', String(pids[1]))).toBe('ENOTSUP');
    must(groups.move(pids.slice(1), 'A'));
    must(groups.open('A'));
    must(groups.add('A/A1', initialLimits));
    must(groups.move(pids.slice(1), 'A/A1'));
    expect([read('A/cgroup.type'), read('A/A1/cgroup.type')]).toEqual(['domain', 'domain']);
    expect(read('A/A1/cgroup.procs')).toBe(String(pids[1]));
  });

  it('what has processes in its groups takes none itself; ours go to a place beside them', () => {
    grow('A');
    must(groups.open('A'));
    must(groups.add('A/A1', initialLimits));
    const [one, other] = [sleeper(), sleeper()];
    must(groups.move([one], 'A/A1'));
    expect(write('A/cgroup.procs', String(other))).toBe('EBUSY');
    must(groups.move([other], 'A'));
    expect(read('A/_self/cgroup.procs')).toBe(String(other));
    expect(groups.isIn(other, 'A')).toBe(true);
  });

  it('controllers come from above and go from below', () => {
    grow('A');
    must(groups.open('A'));
    expect(make('A/A1')).toBeNull();
    expect(write('A/cgroup.subtree_control', '-cpuset')).toBeNull();
    expect(write('A/A1/cgroup.subtree_control', '+cpuset')).toBe('ENOENT');
    expect(writes('A/cgroup.subtree_control', ['+nothing', 'cpu'])).toEqual(['EINVAL', 'EINVAL']);
    // Nor can somebody else take them away from all of ours at once.
    expect(write('cgroup.subtree_control', '-cpu')).toBe('EBUSY');
    expect(
      refusalOf(() => {
        writeFileSync(`${root}/cgroup.subtree_control`, '-cpu');
      }),
    ).toBe('EBUSY');
  });

  it('names of the kernel’s files are none of groups, and a group goes when it is empty', () => {
    grow('A');
    expect([make('A/cpu.max'), make('A/a\nb')]).toEqual(['EEXIST', 'EINVAL']);
    const pid = sleeper();
    must(groups.move([pid], 'A'));
    const remove = (): void => {
      rmdirSync(`${top}/A`);
    };
    expect(refusalOf(remove)).toBe('EBUSY');
    must(groups.remove('A'));
    expect(groups.isIn(pid, '')).toBe(true);
  });

  it('who cannot be moved is refused, and who has ended is left out', () => {
    grow('A');
    // kthreadd.
    expect(write('A/cgroup.procs', '2')).toBe('EINVAL');
    expect(groups.move([2], 'A')).toMatchObject({ ok: false, failure: { code: 'kernel-einval' } });
    expect(writes('A/cgroup.procs', ['4194303', '1 2', '-1', 'x'])).toEqual([
      ...['ESRCH', 'EINVAL', 'EINVAL', 'EINVAL'],
    ]);
    must(groups.move([4_194_303], 'A'));
  });

  it('what forks all the while is moved whole when its group is split, joined and removed', () => {
    grow('A');
    const pid = start('sh', '-c', 'while :; do sleep 0.01 & wait; done');
    must(groups.move([pid], 'A'));
    for (let round = 0; round < 10; round += 1) {
      must(groups.open('A'));
      must(groups.add('A/A1', initialLimits));
      must(groups.move([pid], 'A/A1'));
      must(groups.remove('A/A1'));
      must(groups.close('A'));
      expect(groups.isIn(pid, 'A')).toBe(true);
    }
    must(groups.remove('A'));
    expect(groups.isIn(pid, '')).toBe(true);
  });
});

describe('of pins', () => {
  it('the kernel takes those outside the parent’s and does something else; the document does not', async () => {
    must(await apply(bench, lab('{ groups: { A: { pins: 0-7, groups: { A1: {} } } } }')));
    expect(write('A/A1/cpuset.cpus', '8')).toBeNull();
    expect(read('A/A1/cpuset.cpus.effective')).toBe('0-7');
    const outside = bench.labs.plan(
      lab('{ groups: { A: { pins: 0-7, groups: { A1: { pins: 8 } } } } }'),
    );
    expect(JSON.stringify(outside)).toContain('cpu-pins-outside-parent');
    const seen = await samples();
    expect(seen.get('A/A1')?.conditions).toEqual(['changed-outside']);
    must(
      await apply(bench, lab('{ groups: { A: { pins: 4-7, groups: { A1: { pins: 4-5 } } } } }')),
    );
    // And a parent that shrinks under its child.
    expect(write('A/cpuset.cpus', '6-7')).toBeNull();
    expect(read('A/A1/cpuset.cpus.effective')).toBe('6-7');
    expect((await samples()).get('A/A1')?.conditions).toEqual(['pins-lost']);
    expect(
      plan(bench, lab('{ groups: { A: { pins: 4-7, groups: { A1: { pins: 4-5 } } } } }')).steps,
    ).toHaveLength(1);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
  });

  it('a list is read in one form, and a group with processes keeps some', () => {
    grow('A');
    expect(writes('A/cpuset.cpus', ['16', 'a', '3-1', '0-'])).toEqual([
      ...['ERANGE', 'EINVAL', 'EINVAL', 'EINVAL'],
    ]);
    const pid = sleeper();
    must(groups.move([pid], 'A'));
    must(groups.change('A', { cpus: '2-3' }));
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Cpus_allowed_list:\s*2-3$/m);
    expect(write('A/cpuset.cpus', '\n')).toBe('ENOSPC');
    must(groups.change('A', { cpus: '' }));
    expect(groups.view('A').limits.cpus).toBe('');
    expect(read('A/cpuset.cpus.effective')).toBe('0-15');
  });
});

describe('of others at work', () => {
  it('limits go with their controller and do not come back by themselves; the next plan gives them', async () => {
    const split = lab('{ groups: { A: { cap: 2, weight: 300 }, B: {} } }');
    must(await apply(bench, split));
    expect(write('cgroup.subtree_control', '-cpu')).toBeNull();
    expect(existsSync(`${top}/A/cpu.max`)).toBe(false);
    expect((await samples()).get('A')?.conditions).toContain('limits-gone');
    expect(write('cgroup.subtree_control', '+cpu')).toBeNull();
    expect([read('A/cpu.max'), read('A/cpu.weight')]).toEqual(['max 100000', '100']);
    must(await apply(bench, split));
    expect([read('A/cpu.max'), read('A/cpu.weight')]).toEqual(['200000 100000', '300']);
    expect(write('cgroup.subtree_control', '-cpu')).toBeNull();
    must(await apply(bench, split));
    expect([read('A/cpu.max'), read('A/cpu.weight')]).toEqual(['200000 100000', '300']);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
  });

  it('a write of somebody else’s, and a group that is taken away, are seen and put right', async () => {
    const split = lab('{ groups: { A: { cap: 2 }, B: { cap: 1 } } }');
    must(await apply(bench, split));
    expect(write('A/cpu.max', '150000 100000')).toBeNull();
    rmdirSync(`${top}/B`);
    const seen = await samples();
    expect(['A', 'B'].map((group) => seen.get(group)?.conditions)).toEqual([
      ['changed-outside'],
      ['gone'],
    ]);
    expect(groups.change('B', { quota: 50_000 })).toMatchObject({
      ok: false,
      failure: { code: 'kernel-enoent' },
    });
    must(await apply(bench, split));
    expect([read('A/cpu.max'), read('B/cpu.max')]).toEqual(['200000 100000', '100000 100000']);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
  });
});
