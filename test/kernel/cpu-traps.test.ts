/**
 * What this machine's kernel does that a CPU split would trip over: each is shown to be so by a bare write, and then that
 * ours does not.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatCpuList, parseCpuList } from '../../agent/cpu/cpu-list.ts';
import { type CpuLimits, initialLimits } from '../../agent/cpu/limits.ts';
import { isErrno, systemFailure } from '../../agent/kernel/kernel-failure.ts';
import type { Cgroups } from '../../agent/kernel/cgroups.ts';
import { apply, type Bench, documentTarget, must, openBench, plan } from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

let own: OwnGroups;
let bench: Bench;
let groups: Cgroups;
/** As the planner has it: on cgroup v1 pins are written out. */
let limits: CpuLimits;
const children: ChildProcess[] = [];
beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
  groups = own.groups();
  limits = { ...initialLimits, cpus: formatCpuList(groups.machine().cpus) };
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      process.kill(-child.pid, 'SIGKILL');
    }
  }
  await bench.close();
  own[Symbol.dispose]();
});

function lab(split: string) {
  return documentTarget(`netloom: 1\nname: lab\ntopology: { nodes: {} }\ncpu: ${split}\n`);
}

/** Name of the error with which the kernel refuses a write; null when it takes it. */
function refusalOf(write: () => void): string | null {
  try {
    write();
    return null;
  } catch (error) {
    const failure = systemFailure('', error);
    return (
      ['EINVAL', 'EACCES', 'EBUSY', 'ENOSPC'].find((name) => isErrno(failure, name)) ?? 'other'
    );
  }
}

function directoryOf(controller: 'cpu' | 'cpuacct' | 'cpuset', group: string): string {
  const found = own.hierarchies.find(({ controllers }) => controllers.includes(controller));
  return path.join(found?.base ?? '/nowhere', 'netloom.lab', group);
}

describe('of caps', () => {
  it('a child’s above its parent’s is refused in both directions, and its own order is not', async () => {
    must(await apply(bench, lab('{ groups: { A: { cap: 2, groups: { A1: { cap: 1 } } } } }')));
    const [a, a1] = ['A/cpu.cfs_quota_us', 'A/A1/cpu.cfs_quota_us'];
    expect(refusalOf(() => own.write('cpu', a1, '200001'))).toBe('EINVAL');
    expect(refusalOf(() => own.write('cpu', a, '99999'))).toBe('EINVAL');
    must(await apply(bench, lab('{ groups: { A: { cap: 8, groups: { A1: { cap: 8 } } } } }')));
    must(await apply(bench, lab('{ groups: { A: { cap: 0.5, groups: { A1: { cap: 0.5 } } } } }')));
    expect([own.read('cpu', a), own.read('cpu', a1)]).toEqual(['50000', '50000']);
  });

  it('a period is checked with the old quota, and ours is changed all the same', async () => {
    const split = (period: number) =>
      lab(`{ groups: { A: { cap: 8, groups: { A1: { cap: 3, period: ${period} } } } } }`);
    must(await apply(bench, split(100)));
    // 300 ms of every 10 are 30 cores.
    const period = 'A/A1/cpu.cfs_period_us';
    expect(refusalOf(() => own.write('cpu', period, '10000'))).toBe('EINVAL');
    must(await apply(bench, split(10)));
    expect([own.read('cpu', period), own.read('cpu', 'A/A1/cpu.cfs_quota_us')]).toEqual([
      ...['10000', '30000'],
    ]);
    must(await apply(bench, split(1000)));
    expect(own.read('cpu', 'A/A1/cpu.cfs_quota_us')).toBe('3000000');
  });

  it('a burst above the quota is refused, whichever is written first', async () => {
    must(await apply(bench, lab('{ groups: { A: { cap: 2, burst: 2 } } }')));
    expect(refusalOf(() => own.write('cpu', 'A/cpu.cfs_quota_us', '100000'))).toBe('EINVAL');
    must(await apply(bench, lab('{ groups: { A: { cap: 1, burst: 1 } } }')));
    expect(refusalOf(() => own.write('cpu', 'A/cpu.cfs_burst_us', '100001'))).toBe('EINVAL');
    must(await apply(bench, lab('{ groups: { A: { cap: 3, burst: 3 } } }')));
    expect(own.read('cpu', 'A/cpu.cfs_burst_us')).toBe('300000');
  });
});

describe('of weights', () => {
  it('each has shares of its own, and what the kernel takes and clamps is not taken for done', () => {
    must(groups.add('', limits));
    must(groups.open(''));
    must(groups.add('A', limits));
    for (const weight of [1, 2, 3, 7, 33, 99, 101, 9999, 10_000]) {
      must(groups.change('A', { weight }));
      expect(groups.view('A').limits.weight).toBe(weight);
    }
    // Shares end at 262144; the kernel says nothing of it.
    expect(refusalOf(() => own.write('cpu', 'A/cpu.shares', '9999999'))).toBeNull();
    expect(own.read('cpu', 'A/cpu.shares')).toBe('262144');
    expect(groups.change('A', { weight: 30_000 })).toMatchObject({
      ok: false,
      failure: { kind: 'verification', code: 'cpu-not-as-written' },
    });
  });
});

describe('of pins', () => {
  it('those outside the parent’s are refused, by the document before the kernel', async () => {
    must(await apply(bench, lab('{ groups: { A: { pins: 0, groups: { A1: {} } } } }')));
    expect(refusalOf(() => own.write('cpuset', 'A/A1/cpuset.cpus', '1'))).toBe('EACCES');
    const outside = bench.labs.plan(
      lab('{ groups: { A: { pins: 0, groups: { A1: { pins: 1 } } } } }'),
    );
    expect(JSON.stringify(outside)).toContain('cpu-pins-outside-parent');
    expect(groups.change('A/A1', { cpus: '1' })).toMatchObject({
      ok: false,
      failure: { code: 'kernel-eacces' },
    });
    expect(own.read('cpuset', 'A/A1/cpuset.cpus')).toBe('0');
  });

  it('a parent’s do not go from under a child or a process, and both move together all the same', async () => {
    const all = parseCpuList(own.read('cpuset', '../cpuset.cpus') ?? '') ?? [];
    const [first = 0, second] = all;
    if (second === undefined) return;
    const split = (a: string, a1: number) =>
      lab(`{ groups: { A: { pins: '${a}', groups: { A1: { pins: ${a1} } } } } }`);
    must(await apply(bench, split(`${first},${second}`, second)));
    expect(refusalOf(() => own.write('cpuset', 'A/cpuset.cpus', String(first)))).toBe('EBUSY');
    const pid = own.sleeper();
    must(groups.move([pid], 'A/A1'));
    expect(refusalOf(() => own.write('cpuset', 'A/A1/cpuset.cpus', '\n'))).toBe('ENOSPC');
    must(await apply(bench, split(String(first), first)));
    expect(own.read('cpuset', 'A/A1/cpuset.cpus')).toBe(String(first));
    must(await apply(bench, lab('{ groups: { A: { groups: { A1: {} } } } }')));
    expect(parseCpuList(own.read('cpuset', 'A/A1/cpuset.cpus') ?? '')).toEqual(all);
  });

  it('a group without CPUs and memory takes nobody; ours has both from its first moment on', async () => {
    must(await apply(bench, lab('{ groups: { A: {} } }')));
    const pid = own.sleeper();
    const bare = directoryOf('cpuset', 'bare');
    mkdirSync(bare);
    const attach = (): void => writeFileSync(`${bare}/cgroup.procs`, String(pid));
    expect(refusalOf(attach)).toBe('ENOSPC');
    writeFileSync(`${bare}/cpuset.cpus`, own.read('cpuset', 'cpuset.cpus') ?? '');
    expect(refusalOf(attach)).toBe('ENOSPC');
    rmdirSync(bare);
    must(groups.add('B', limits));
    must(groups.move([pid], 'B'));
    expect(groups.isIn(pid, 'B')).toBe(true);
  });

  it('that a CPU has taken with it are given back by the next plan', async () => {
    const all = own.read('cpuset', '../cpuset.cpus') ?? '';
    const [first = 0, second] = parseCpuList(all) ?? [];
    if (second === undefined) return;
    const split = `{ groups: { A: { pins: '${first},${second}', groups: { A1: { pins: ${second} } } } } }`;
    must(await apply(bench, lab(split)));
    // What the kernel leaves of them when the second one is switched off (cpuset_hotplug_update_tasks), and does not undo.
    own.write('cpuset', 'A/A1/cpuset.cpus', '\n');
    own.write('cpuset', 'A/cpuset.cpus', String(first));
    const { steps } = plan(bench, lab(split));
    expect(steps.map(({ verb, label }) => `${verb} ${label}`)).toEqual(['change A', 'change A/A1']);
    must(await apply(bench, lab(split)));
    expect(own.read('cpuset', 'A/A1/cpuset.cpus')).toBe(String(second));
  });
});

describe('of others at work', () => {
  it('a group that is gone in one hierarchy of several is made whole again', async () => {
    const split = '{ groups: { A: { cap: 1, groups: { A1: { cap: 0.5 } } }, B: { pins: 0 } } }';
    must(await apply(bench, lab(split)));
    const pid = own.sleeper();
    must(groups.move([pid], 'B'));
    for (const [controller, group] of [
      ['cpuset', 'A/A1'],
      ['cpuacct', 'A/A1'],
    ] as const) {
      rmdirSync(directoryOf(controller, group));
      expect(plan(bench, lab(split)).steps).not.toEqual([]);
      must(await apply(bench, lab(split)));
      expect(existsSync(directoryOf(controller, group))).toBe(true);
      expect(plan(bench, lab(split)).steps).toEqual([]);
    }
    expect(groups.isIn(pid, 'B')).toBe(true);
  });

  it('what is asked of a group that has gone is refused by its name', () => {
    must(groups.add('', limits));
    must(groups.open(''));
    must(groups.add('A', limits));
    must(own.groups().remove('A'));
    const pid = own.sleeper();
    const gone = { ok: false, failure: { code: 'kernel-enoent' } };
    expect(groups.change('A', { quota: 50_000 })).toMatchObject(gone);
    expect(groups.move([pid], 'A')).toMatchObject(gone);
    expect(groups.isIn(pid, null)).toBe(true);
    must(groups.remove('A'));
  });

  it('what forks all the while is moved whole when its group is split, joined and removed', () => {
    must(groups.add('', limits));
    must(groups.open(''));
    must(groups.add('A', limits));
    const forking = spawn('sh', ['-c', 'while :; do sleep 0.01 & wait; done'], {
      stdio: 'ignore',
      detached: true,
    });
    children.push(forking);
    const pid = forking.pid ?? 0;
    must(groups.move([pid], 'A'));
    for (let round = 0; round < 30; round += 1) {
      must(groups.open('A'));
      must(groups.add('A/A1', limits));
      must(groups.move([pid], 'A/A1'));
      must(groups.remove('A/A1'));
      expect(groups.isIn(pid, 'A')).toBe(true);
      must(groups.close('A'));
      expect(groups.isIn(pid, 'A')).toBe(true);
    }
    must(groups.remove('A'));
    expect(groups.isIn(pid, '')).toBe(true);
  });
});
