import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstCpus, parseCpuList } from '../../agent/cpu/cpu-list.ts';
import { type CpuGroup, type CpuSplit, plainGroup } from '../../agent/cpu/group.ts';
import { type CpuGroupOperation, inverseOfGroup } from '../../agent/cpu/operation.ts';
import { planSplit } from '../../agent/cpu/plan-split.ts';
import type { Cgroups } from '../../agent/kernel/cgroups.ts';
import { OwnGroups } from './cpu-own-groups.ts';

let own: OwnGroups;
let groups: Cgroups;
beforeEach(() => {
  own = new OwnGroups();
  groups = own.groups();
});
afterEach(() => {
  own[Symbol.dispose]();
});

function group(name: string, settings: Partial<CpuGroup> = {}, ...inner: CpuGroup[]): CpuGroup {
  return { ...plainGroup, ...settings, name, groups: inner };
}

function splitOf(...inner: CpuGroup[]): CpuSplit {
  return { cpus: firstCpus(2), root: group('', {}, ...inner) };
}

const pins = (text: string) => ({ pins: parseCpuList(text) });

function carryOut(operation: CpuGroupOperation): void {
  const result = ((): ReturnType<Cgroups['add']> => {
    switch (operation.kind) {
      case 'add-cpu-group':
        return groups.add(operation.group, operation.limits);
      case 'remove-cpu-group':
        return groups.remove(operation.group);
      case 'open-cpu-group':
        return groups.open(operation.group);
      case 'close-cpu-group':
        return groups.close(operation.group);
      case 'change-cpu-group':
        return groups.change(operation.group, operation.after);
      case 'move-process':
        throw new Error('none is planned here');
    }
  })();
  expect(result, JSON.stringify([operation, result])).toMatchObject({ ok: true });
}

/** Brings the split about and gives what was done. */
function bring(split: CpuSplit | null): readonly CpuGroupOperation[] {
  const { first, last } = planSplit(split, groups.machine());
  const operations = [...first, ...last];
  for (const operation of operations) carryOut(operation);
  const again = planSplit(split, groups.machine());
  expect([...again.first, ...again.last]).toEqual([]);
  return operations;
}

/** Every file of the lab's groups that can be written, in every hierarchy. */
function state(): string {
  const machine = groups.machine();
  return JSON.stringify([...machine.groups]);
}

const notes = splitOf(
  group('A', { cap: 8 }, group('A1', { cap: 3 }), group('A2', { cap: 3 }), group('A3', { cap: 2 })),
  group('B', { cap: 4 }),
  group('C', { cap: 2 }),
  group('D', { cap: 2 }),
);

describe('groups of this machine’s kernel', () => {
  it('have the quotas of the notes’ split, and a second time nothing is written', () => {
    bring(notes);
    const quota = (path: string): string | null => own.read('cpu', `${path}/cpu.cfs_quota_us`);
    expect(['A', 'A/A1', 'A/A2', 'A/A3', 'B', 'C', 'D'].map(quota)).toEqual([
      '800000',
      '300000',
      '300000',
      '200000',
      '400000',
      '200000',
      '200000',
    ]);
    expect(own.read('cpu', 'cpu.cfs_quota_us')).toBe('-1');
    expect(own.read('cpuacct', 'A/A1/cpuacct.usage')).toBe('0');
    expect(own.read('cpuset', 'A/A1/cpuset.cpus')).toBe(own.read('cpuset', 'cpuset.cpus'));
    expect(bring(notes)).toEqual([]);
  });

  it('shrink and grow in both directions, where cgroup v1 wants each child at most its parent', () => {
    bring(notes);
    // In whichever order this were written, one of two orders is refused with EINVAL.
    bring(splitOf(group('A', { cap: 2 }, group('A1', { cap: 1 }), group('A2', { cap: 2 }))));
    expect(own.read('cpu', 'A/cpu.cfs_quota_us')).toBe('200000');
    bring(splitOf(group('A', { cap: 20 }, group('A1', { cap: 20 }), group('A2', {}))));
    expect(own.read('cpu', 'A/A1/cpu.cfs_quota_us')).toBe('2000000');
    expect(own.read('cpu', 'A/A2/cpu.cfs_quota_us')).toBe('-1');
    bring(splitOf(group('A', { cap: 1, period: 10_000 }, group('A1', { cap: 1, period: 1000 }))));
    expect(own.read('cpu', 'A/cpu.cfs_period_us')).toBe('10000');
    expect(own.read('cpu', 'A/A1/cpu.cfs_quota_us')).toBe('1000');
    bring(splitOf(group('A', { cap: 0.005 })));
    expect(own.read('cpu', 'A/cpu.cfs_quota_us')).toBe('1000');
    expect(own.read('cpu', 'A/cpu.cfs_period_us')).toBe('200000');
  });

  it('bind nobody any more once they are removed, though the kernel keeps them a while', () => {
    for (let round = 0; round < 30; round += 1) {
      bring(splitOf(group('A', { cap: 4, ...pins('0-1') }, group('A1', { cap: 4, ...pins('0') }))));
      bring(splitOf(group('A', { cap: 4, ...pins('0-1') })));
      bring(splitOf(group('A', { cap: 1, ...pins('1') })));
    }
  });

  it('keep a burst within the quota, whichever of the two changes', () => {
    bring(splitOf(group('A', { cap: 2, burst: 2 })));
    expect(own.read('cpu', 'A/cpu.cfs_burst_us')).toBe('200000');
    bring(splitOf(group('A', { cap: 0.5, burst: 0.5 })));
    bring(splitOf(group('A', { cap: 1, burst: 1 })));
    expect(own.read('cpu', 'A/cpu.cfs_burst_us')).toBe('100000');
    bring(splitOf(group('A')));
    expect(own.read('cpu', 'A/cpu.cfs_burst_us')).toBe('0');
    bring(splitOf(group('A', { cap: 1 })));
  });

  it('have weights as shares, and get their weight back after idling', () => {
    bring(splitOf(group('A', { weight: 1 }), group('B', { weight: 10_000 }), group('C')));
    expect(own.read('cpu', 'A/cpu.shares')).toBe('10');
    expect(own.read('cpu', 'B/cpu.shares')).toBe('102400');
    expect(own.read('cpu', 'C/cpu.shares')).toBe('1024');
    bring(splitOf(group('A', { idle: true }), group('B', { idle: true }), group('C')));
    expect(own.read('cpu', 'B/cpu.idle')).toBe('1');
    bring(splitOf(group('A', { weight: 300 }), group('B'), group('C')));
    expect(own.read('cpu', 'A/cpu.shares')).toBe('3072');
    expect(own.read('cpu', 'B/cpu.shares')).toBe('1024');
    own.write('cpu', 'C/cpu.shares', '1025');
    expect(bring(splitOf(group('A', { weight: 300 }), group('B'), group('C')))).toHaveLength(1);
  });

  it('are pinned within each other while both move', () => {
    bring(splitOf(group('A', pins('0'), group('A1', pins('0'), group('A11')))));
    expect(own.read('cpuset', 'A/A1/A11/cpuset.cpus')).toBe('0');
    bring(splitOf(group('A', pins('1'), group('A1', pins('1'), group('A11')))));
    expect(own.read('cpuset', 'A/A1/A11/cpuset.cpus')).toBe('1');
    bring(splitOf(group('A', {}, group('A1', pins('0'), group('A11')))));
    expect(own.read('cpuset', 'A/cpuset.cpus')).toBe(own.read('cpuset', 'cpuset.cpus'));
    bring(splitOf(group('A', pins('1'))));
    expect(own.read('cpuset', 'A/A1/cpuset.cpus')).toBeNull();
  });

  it('take processes, are split while there are some in them, and give them on when they go', () => {
    bring(splitOf(group('A', { cap: 1 })));
    const pid = own.sleeper();
    expect(groups.move([pid], 'A')).toMatchObject({ ok: true });
    expect(groups.processesOf('A')).toEqual(new Set([pid]));
    const place = (): string =>
      readFileSync(`/proc/${pid}/cgroup`, 'utf8')
        .split('\n')
        .filter((line) => /^\d+:(cpu|cpuset|cpuacct):/.test(line))
        .map((line) => line.replace(/^\d+:/, '').replace(own.name, ''))
        .sort()
        .join(' ');
    expect(place()).toBe('cpu:/netloom.lab/A cpuacct:/netloom.lab/A cpuset:/netloom.lab/A');
    bring(splitOf(group('A', { cap: 1 }, group('A1'), group('A2'))));
    expect(place()).toBe('cpu:/netloom.lab/A/_self cpuacct:/netloom.lab/A cpuset:/netloom.lab/A');
    expect(groups.processesOf('A')).toEqual(new Set([pid]));
    expect(groups.move([pid], 'A/A2')).toMatchObject({ ok: true });
    bring(splitOf(group('A', { cap: 1 }, group('A1'))));
    expect(groups.processesOf('A')).toEqual(new Set([pid]));
    bring(splitOf(group('A')));
    expect(place()).toBe('cpu:/netloom.lab/A cpuacct:/netloom.lab/A cpuset:/netloom.lab/A');
    bring(null);
    expect(place()).toBe('cpu:/ cpuacct:/ cpuset:/');
    expect(groups.machine().groups.size).toBe(0);
  });

  it('come back as they were, operation by operation, from wherever a change stops', () => {
    const before = splitOf(
      group('A', { cap: 2, burst: 1, ...pins('0') }, group('A1', { cap: 1, weight: 50 })),
      group('B', { idle: true }),
    );
    const after = splitOf(
      group('A', { cap: 1, ...pins('1') }, group('A2', { cap: 1 }, group('A21'))),
      group('C', { cap: 0.5, burst: 0.5 }),
    );
    bring(before);
    const seen = state();
    const { first, last } = planSplit(after, groups.machine());
    const operations = [...first, ...last];
    for (let stop = 1; stop <= operations.length; stop += 1) {
      const done = operations.slice(0, stop);
      for (const operation of done) carryOut(operation);
      for (const operation of done.toReversed()) carryOut(inverseOfGroup(operation));
      expect(state(), `after ${stop} of ${operations.length}`).toBe(seen);
    }
  });

  it('say which file did not become what was written, and leave what is not theirs', () => {
    bring(splitOf(group('A', { cap: 1 })));
    const refused = groups.change('A', { quota: 500 });
    expect(refused).toMatchObject({
      ok: false,
      failure: { kind: 'kernel', code: 'kernel-einval' },
    });
    expect(groups.move([2 ** 22 + 1], 'A')).toMatchObject({ ok: true });
    expect(groups.move([2], 'A')).toMatchObject({ ok: false });
  });
});
