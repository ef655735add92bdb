/** Random CPU splits, small enough to collide often. */
import fc from 'fast-check';
import { type CpuSet, firstCpus } from '../../../agent/cpu/cpu-list.ts';
import { type CpuGroup, type CpuSplit, plainGroup } from '../../../agent/cpu/group.ts';

/** The same splits in every run; another seed by NETLOOM_SEED. */
export const seeded = { seed: Number(process.env['NETLOOM_SEED'] ?? 16), numRuns: 400 };

export const machineCpus = 8;

export const cpuSets: fc.Arbitrary<CpuSet> = fc
  .subarray([...firstCpus(machineCpus)], { minLength: 1 })
  .map((cpus) => cpus.toSorted((left, right) => left - right));

const settings = fc.record({
  cap: fc.constantFrom(null, null, 0.25, 0.5, 1, 2, 3, 4, 8, 20),
  weight: fc.constantFrom(100, 100, 1, 50, 300, 10_000),
  idle: fc.constantFrom(false, false, false, true),
  pins: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: cpuSets }),
  direct: fc.boolean(),
});

const names = ['A', 'B', 'C', 'D'] as const;

/** Groups down to three levels below the root. */
export function randomGroups(depth: number): fc.Arbitrary<readonly CpuGroup[]> {
  const one = fc.record({
    settings,
    groups: depth === 0 ? fc.constant<readonly CpuGroup[]>([]) : randomGroups(depth - 1),
  });
  return fc.array(one, { maxLength: depth === 2 ? 4 : 3 }).map((list) =>
    list.map(({ settings: own, groups }, at) => ({
      ...plainGroup,
      ...own,
      name: names[at] ?? 'E',
      groups,
    })),
  );
}

export const randomSplits: fc.Arbitrary<CpuSplit> = randomGroups(2).map((groups) => ({
  cpus: firstCpus(machineCpus),
  root: { ...plainGroup, name: '', groups },
}));
