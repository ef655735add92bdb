import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpuSet, firstCpus, intersectionOf } from '../../../agent/cpu/cpu-list.ts';
import { writesFor } from '../../../agent/cpu/files.ts';
import { type CpuGroup, type CpuSplit, plainGroup } from '../../../agent/cpu/group.ts';
import { type CpuGroupOperation, inverseOfGroup } from '../../../agent/cpu/operation.ts';
import { planSplit } from '../../../agent/cpu/plan-split.ts';
import { ModelGroups } from './model-groups.ts';
import { machineCpus, partitionedSplits, randomSplits, seeded } from './random-splits.ts';

/** The split as a validator lets it through: caps and pins within those around them, where cgroup v1 wants that. */
function tamed({ cpus, root }: CpuSplit): CpuSplit {
  const within = (group: CpuGroup, cap: number, around: CpuSet): CpuGroup => {
    const common = group.pins === null ? null : intersectionOf(group.pins, around);
    const pins = common === null || common.length === 0 ? null : common;
    const own = group.cap === null ? null : Math.min(group.cap, cap);
    return {
      ...group,
      cap: own,
      // Any burst that is no larger than the cap, now this much and now that.
      burst: own === null || group.weight > 100 ? 0 : own / (group.direct ? 1 : 2),
      pins,
      groups: group.groups.map((one) => within(one, own ?? cap, pins ?? around)),
    };
  };
  return { cpus, root: within(root, Infinity, cpus) };
}

function planned(split: CpuSplit | null, model: ModelGroups): readonly CpuGroupOperation[] {
  const { first, last } = planSplit(split, model.machine());
  return [...first, ...last];
}

const splits = fc.oneof(
  { weight: 8, arbitrary: randomSplits.map(tamed) },
  { weight: 1, arbitrary: fc.constant(null) },
);

/** From nothing to one split, part of the way to another and back again, and then all of it: `cut` says how far. */
function expectThereAndBack(
  model: ModelGroups,
  before: CpuSplit | null,
  after: CpuSplit | null,
  cut: number,
): void {
  for (const operation of planned(before, model)) model.carryOut(operation);
  expect(planned(before, model)).toEqual([]);
  const seen = model.state();
  const operations = planned(after, model);
  const done = operations.slice(0, cut % (operations.length + 1));
  for (const operation of done) model.carryOut(operation);
  for (const operation of done.toReversed()) model.carryOut(inverseOfGroup(operation));
  expect(model.state()).toBe(seen);
  for (const operation of operations) model.carryOut(operation);
  expect(planned(after, model)).toEqual([]);
}

describe.each([1, 2] as const)('a plan for cgroup v%i', (version) => {
  it('leads from any split to any other, each step one that the kernel takes, and back from each', () => {
    fc.assert(
      fc.property(splits, splits, fc.nat(), (before, after, cut) => {
        expectThereAndBack(new ModelGroups(version, firstCpus(machineCpus)), before, after, cut);
      }),
      seeded,
    );
  });

  it('writes one file when one number changes', () => {
    const model = new ModelGroups(version, firstCpus(machineCpus));
    const split = (cap: number): CpuSplit => ({
      cpus: firstCpus(machineCpus),
      root: {
        ...plainGroup,
        name: '',
        groups: ['A', 'B'].map((name) => ({ ...plainGroup, name, cap: name === 'A' ? cap : 1 })),
      },
    });
    for (const operation of planned(split(2), model)) model.carryOut(operation);
    expect(planned(split(3), model)).toEqual([
      {
        kind: 'change-cpu-group',
        group: 'A',
        before: { quota: 200_000, period: 100_000 },
        after: { quota: 300_000, period: 100_000 },
      },
    ]);
  });
});

describe('partitions of cgroup v2', () => {
  const cpus = firstCpus(machineCpus);
  const split = (...groups: Partial<CpuGroup>[]): CpuSplit => ({
    cpus,
    root: {
      ...plainGroup,
      name: '',
      groups: groups.map((one, at) => ({ ...plainGroup, name: ['A', 'B'][at] ?? 'C', ...one })),
    },
  });

  it('end before pins move that could overlap them, and begin again after that', () => {
    const before = split({ pins: [0, 1], exclusivity: 'root' }, { pins: [2, 3] });
    const moved = split({ pins: [0, 1], exclusivity: 'root' }, { pins: [3] });
    const shared = split({ pins: [0, 1] }, { pins: [2, 3] });
    const swapped = split({ pins: [2, 3], exclusivity: 'root' }, { pins: [0, 1] });
    const model = new ModelGroups(2, cpus);
    const steps = (to: CpuSplit | null): readonly string[] => {
      const operations = planned(to, model);
      for (const operation of operations) model.carryOut(operation);
      return operations.map((one) =>
        one.kind === 'change-cpu-group' ? `${one.group} ${JSON.stringify(one.after)}` : one.kind,
      );
    };
    expect(steps(before).slice(-2)).toEqual([' {"partition":"root"}', 'A {"partition":"root"}']);
    const leaving = ['A {"partition":"member"}', ' {"partition":"member"}'];
    const joining = [' {"partition":"root"}', 'A {"partition":"root"}'];
    // The lab as a whole has other CPUs then.
    expect(steps(moved)).toEqual([...leaving, 'B {"cpus":"3"}', ' {"cpus":"0-1,3"}', ...joining]);
    steps(before);
    expect(steps(swapped)).toEqual([
      'A {"partition":"member"}',
      'B {"cpus":"0-1"}',
      'A {"cpus":"2-3"}',
      'A {"partition":"root"}',
    ]);
    steps(before);
    expect(steps(shared)).toEqual([...leaving, ' {"cpus":""}']);
    steps(before);
    expect(steps(null).slice(0, 2)).toEqual(leaving);
  });

  it('wait for groups that go, which may be pinned to their CPUs', () => {
    const model = new ModelGroups(2, cpus);
    const before = split({ pins: [0, 1], exclusivity: 'root' }, { pins: [2, 3] });
    for (const operation of planned(before, model)) model.carryOut(operation);
    const after = split({ pins: [2, 3], exclusivity: 'isolated' });
    const { first, last } = planSplit(after, model.machine());
    expect(first.filter(isJoin)).toEqual([]);
    expect(last.filter(isJoin)).toHaveLength(2);
  });

  it('are made again where the kernel has ended them', () => {
    const model = new ModelGroups(2, cpus);
    const wanted = split({ pins: [0, 1], exclusivity: 'root' });
    for (const operation of planned(wanted, model)) model.carryOut(operation);
    const machine = model.machine();
    const groups = new Map(
      [...machine.groups].map(([path, view]) => {
        const partition = path === 'A' ? 'root invalid (Cpu list not exclusive)' : 'root';
        return [path, { ...view, limits: { ...view.limits, partition } }] as const;
      }),
    );
    const { first, last } = planSplit(wanted, { ...machine, groups });
    expect([...first, ...last]).toEqual([
      {
        kind: 'change-cpu-group',
        group: 'A',
        before: { partition: 'member' },
        after: { partition: 'root' },
      },
    ]);
    const [hierarchy] = machine.hierarchies;
    const invalid = groups.get('A')?.limits;
    if (hierarchy === undefined || invalid === undefined) throw new Error('no group');
    expect(writesFor(hierarchy, invalid, { partition: 'root' }).map(({ text }) => text)).toEqual([
      'member',
      'root',
    ]);
  });

  it('lead from any to any other without one that is invalid in between, and back from each step', () => {
    fc.assert(
      fc.property(partitionedSplits, partitionedSplits, fc.nat(), (before, after, cut) => {
        expectThereAndBack(new ModelGroups(2, cpus), before, after, cut);
      }),
      seeded,
    );
  });
});

function isJoin(operation: CpuGroupOperation): boolean {
  return (
    operation.kind === 'change-cpu-group' &&
    operation.after.partition !== undefined &&
    operation.after.partition !== 'member'
  );
}
