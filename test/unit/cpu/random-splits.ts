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

/**
 * Splits whose groups may have CPUs for themselves, by the rules that the validator has: each CPU but the last goes to one
 * group of the first row and one of the second, or to none of them; within a group that shares, every group shares.
 */
export const partitionedSplits: fc.Arbitrary<CpuSplit> = fc
  .record({
    owners: fc.array(fc.constantFrom('A', 'B', 'C', ''), {
      minLength: machineCpus - 1,
      maxLength: machineCpus - 1,
    }),
    innerOwners: fc.array(fc.constantFrom('1', '2', ''), {
      minLength: machineCpus - 1,
      maxLength: machineCpus - 1,
    }),
    exclusivity: fc.dictionary(
      fc.constantFrom('A', 'B', 'C', 'A1', 'A2', 'B1', 'B2', 'C1'),
      fc.constantFrom('root' as const, 'isolated' as const),
    ),
  })
  .map(({ owners, innerOwners, exclusivity }) => {
    const group = (name: string, pins: CpuSet, inner: readonly CpuGroup[]): CpuGroup => ({
      ...{ ...plainGroup, name, pins, exclusivity: exclusivity[name] ?? 'shared' },
      groups: inner,
    });
    const cpusWhere = (is: (cpu: number) => boolean): CpuSet =>
      firstCpus(machineCpus - 1).filter(is);
    const groups = ['A', 'B', 'C'].flatMap((name) => {
      const pins = cpusWhere((cpu) => owners[cpu] === name);
      const inner = ['1', '2'].flatMap((suffix) => {
        const own = pins.filter((cpu) => innerOwners[cpu] === suffix);
        if (own.length === 0) return [];
        const one = group(`${name}${suffix}`, own, []);
        return exclusivity[name] === undefined
          ? [{ ...one, exclusivity: 'shared' as const }]
          : [one];
      });
      return pins.length === 0 ? [] : [group(name, pins, inner)];
    });
    return { cpus: firstCpus(machineCpus), root: { ...plainGroup, name: '', groups } };
  });
