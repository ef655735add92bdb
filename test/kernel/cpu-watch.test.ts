/** CPU groups watched while they are used, changed and taken away: on this machine's own kernel. */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CpuGroupSample, CpuMachineSample } from '../../agent/api/cpu.ts';
import { KeptFiles } from '../../agent/kernel/kept-files.ts';
import { apply, type Bench, documentTarget, must, openBench } from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

let own: OwnGroups;
let bench: Bench;
let end: AbortController;
beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
  end = new AbortController();
});
afterEach(async () => {
  end.abort();
  await bench.close();
  own[Symbol.dispose]();
});

function lab(groups: string): string {
  return `netloom: 1\nname: lab\ntopology: { nodes: {} }\ncpu:\n  groups:\n${groups}\n`;
}

/** Watches until a sample answers; fails after a time in which it should have. */
async function until<T>(
  find: (sample: CpuMachineSample) => T | undefined,
  { interval = 100, milliseconds = 8000 } = {},
): Promise<T> {
  const stop = new AbortController();
  let found: T | undefined;
  let last: CpuMachineSample | undefined;
  const timer = setTimeout(() => {
    stop.abort();
  }, milliseconds);
  must(
    await bench.labs.watchCpu('lab', interval, stop.signal, (sample) => {
      last = sample;
      found ??= find(sample);
      if (found !== undefined) stop.abort();
    }),
  );
  clearTimeout(timer);
  if (found === undefined) throw new Error(`not seen: ${JSON.stringify(last)}`);
  return found;
}

function at({ groups }: CpuMachineSample, group: string): CpuGroupSample {
  const found = groups.find((one) => one.group === group);
  if (found === undefined) throw new Error(`no group ${group}`);
  return found;
}

describe('watching a lab’s CPU groups', () => {
  it('begins at once, without use, and then says what was used in between', async () => {
    must(await apply(bench, documentTarget(lab('    A: { cap: 0.2, weight: 50 }'))));
    own.busy('A');
    const samples: CpuMachineSample[] = [];
    await until((sample) => {
      samples.push(sample);
      return samples.length === 30 ? true : undefined;
    });
    const [first, second] = samples;
    if (first === undefined || second === undefined) throw new Error('no samples');
    expect([first.since, at(first, 'A').use]).toEqual([0, null]);
    expect(second.since).toBeGreaterThan(90);
    expect(at(first, 'A')).toMatchObject({ cap: 0.2, weight: 50, processes: 1, pins: '' });
    const rest = samples.slice(1);
    const used = rest.reduce((sum, one) => sum + (at(one, 'A').use ?? 0) * one.since, 0);
    const mean = used / rest.reduce((sum, { since }) => sum + since, 0);
    // The machine is shared: less may come of it than the cap, hardly more.
    expect(mean).toBeGreaterThan(0.05);
    expect(mean).toBeLessThan(0.24);
    // What is used in a group is used in the groups around it.
    expect(at(samples.at(-1) ?? first, '').use).toBeGreaterThan(0.01);
    expect(first.cpus.length).toBeGreaterThan(0);
    expect(rest.some(({ cpus }) => cpus.some(({ use }) => use !== null))).toBe(true);
    expect(rest.at(-1)?.processes).toMatchObject([{ name: 'sh', group: 'A' }]);
    expect(rest.at(-1)?.processes[0]?.use).toBeGreaterThan(0.02);
  });

  it('says that a cap stops a group, and which group holds another back', async () => {
    const groups = '    A: { cap: 0.1, groups: { A1: { cap: 0.1 }, A2: {} } }\n    B: { cap: 0.1 }';
    must(await apply(bench, documentTarget(lab(groups))));
    own.busy('A/A2');
    own.busy('B');
    const capped = await until((sample) => {
      const one = at(sample, 'B');
      return one.conditions.includes('at-cap') ? one : undefined;
    });
    expect(capped.throttled).toBeGreaterThan(0.9);
    expect(capped.heldBy).toBeNull();
    const held = await until((sample) => {
      const one = at(sample, 'A/A2');
      return one.conditions.includes('held-back') ? one : undefined;
    });
    expect(held).toMatchObject({ heldBy: 'A', conditions: ['held-back'] });
    expect(held.throttled).toBe(0);
  });

  it('notices within a second and a half that somebody changes a file, takes a group away, or gives it back', async () => {
    must(await apply(bench, documentTarget(lab('    A: { cap: 1 }\n    B: { pins: 1 }'))));
    const conditions = (group: string) => (sample: CpuMachineSample) =>
      at(sample, group).conditions.length > 0 ? at(sample, group) : undefined;
    const calm = (group: string) => (sample: CpuMachineSample) =>
      at(sample, group).conditions.length === 0 ? true : undefined;
    const seen: string[] = [];
    const watching = bench.labs.watchCpu('lab', 100, end.signal, (sample) => {
      seen.push(at(sample, 'A').conditions.join());
    });
    await delay(300);
    expect(new Set(seen)).toEqual(new Set(['']));
    own.write('cpu', 'A/cpu.cfs_quota_us', '50000');
    await delay(1500);
    expect(seen.at(-1)).toBe('changed-outside');
    must(own.groups().remove('A'));
    await delay(1500);
    expect(seen.at(-1)).toBe('gone');
    expect((await until(conditions('A'))).use).toBeNull();
    must(await apply(bench, documentTarget(lab('    A: { cap: 1 }\n    B: { pins: 1 }'))));
    await until(calm('A'));
    own.write('cpuset', 'B/cpuset.cpus', '0');
    expect((await until(conditions('B'))).conditions).toEqual(['pins-lost', 'changed-outside']);
    end.abort();
    must(await watching);
  });

  it('follows the lab to another document, and ends when the lab goes', async () => {
    must(await apply(bench, documentTarget(lab('    A: { cap: 1 }'))));
    const seen = new Set<string>();
    const watching = bench.labs.watchCpu('lab', 100, end.signal, ({ groups }) => {
      seen.add(groups.map(({ group, cap }) => `${group}=${String(cap)}`).join(' '));
    });
    await delay(250);
    must(await apply(bench, documentTarget(lab('    A: { cap: 0.5 }\n    B: {}'))));
    await delay(1300);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
    expect(await watching).toMatchObject({ ok: false, failure: { code: 'lab-not-up' } });
    expect(seen).toContain('=null A=1');
    expect(seen).toContain('=null A=0.5 B=null');
  });

  it('shows the machine alone when no lab is asked for', async () => {
    const samples: CpuMachineSample[] = [];
    const stop = setTimeout(() => {
      end.abort();
    }, 350);
    must(
      await bench.labs.watchCpu(null, 100, end.signal, (sample) => {
        samples.push(sample);
      }),
    );
    clearTimeout(stop);
    expect(samples.length).toBeGreaterThan(1);
    expect(samples[0]?.groups).toEqual([]);
    expect(samples[0]?.cpus.map(({ cpu }) => cpu)).toContain(0);
  });
});

describe('files that are kept open', () => {
  it('read anew each time, say that a group is gone, and find another of its name', () => {
    using files = new KeptFiles();
    const [hierarchy] = own.hierarchies.filter(({ controllers }) => controllers.includes('cpu'));
    const directory = path.join(hierarchy?.base ?? '', 'one');
    const file = `${directory}/cpu.cfs_quota_us`;
    mkdirSync(directory);
    expect(files.read(file)).toBe('-1\n');
    writeFileSync(file, '50000');
    expect(files.read(file)).toBe('50000\n');
    expect(files.size).toBe(1);
    rmdirSync(directory);
    expect(files.read(file)).toBeUndefined();
    expect(files.size).toBe(0);
    mkdirSync(directory);
    expect(files.read(file)).toBe('-1\n');
    rmdirSync(directory);
  });

  it('are opened each time where this process may open no more', () => {
    using files = new KeptFiles(1);
    expect(files.read('/proc/self/stat')).toContain('(');
    expect(files.read('/proc/self/status')).toContain('Pid:');
    expect(files.size).toBe(1);
  });

  it('give long files whole', () => {
    using files = new KeptFiles();
    const [hierarchy] = own.hierarchies.filter(({ controllers }) => controllers.includes('cpu'));
    const pids = Array.from({ length: 3 }, () => own.sleeper());
    const procs = path.join(hierarchy?.base ?? '', 'cgroup.procs');
    for (const pid of pids) writeFileSync(procs, String(pid));
    expect(files.read(procs)?.trim().split('\n').map(Number).sort()).toEqual(pids.sort());
    const ours = files.read('/proc/self/smaps') ?? '';
    expect(ours.length).toBeGreaterThan(100_000);
    expect(ours.trimEnd().split('\n').at(-1)).toMatch(/^VmFlags|^Kernel|^THPeligible/);
  });
});
