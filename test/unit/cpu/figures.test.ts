import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstCpus, parseCpuList } from '../../../agent/cpu/cpu-list.ts';
import { shareFairly } from '../../../agent/cpu/fair-share.ts';
import { figuresOf, type KnownFigures } from '../../../agent/cpu/figures.ts';
import { type CpuGroup, parentPath, plainGroup, walkGroups } from '../../../agent/cpu/group.ts';
import { cpuSets, machineCpus, randomSplits, seeded } from './random-splits.ts';

function group(name: string, settings: Partial<CpuGroup> = {}, ...groups: CpuGroup[]): CpuGroup {
  return { ...plainGroup, ...settings, name, groups };
}

function rootOf(...groups: CpuGroup[]): CpuGroup {
  return group('', {}, ...groups);
}

const pins = (text: string) => ({ pins: parseCpuList(text) });

/** 16 cores as A 8, B 4, C 2, D 2, and A again as 3, 3, 2. */
const ofTheNotes = rootOf(
  group('A', { cap: 8 }, group('A1', { cap: 3 }), group('A2', { cap: 3 }), group('A3', { cap: 2 })),
  group('B', { cap: 4 }),
  group('C', { cap: 2 }),
  group('D', { cap: 2 }),
);

function figuresFor(root: CpuGroup, cores = 16) {
  const figures = figuresOf({ cpus: firstCpus(cores), root });
  return (path: string) => {
    const found = figures.get(path);
    if (found === undefined) throw new Error(`no group ${path}`);
    return found;
  };
}

describe('the figures of a split', () => {
  it('are what the notes say: at the root 16, in A 8, in A1 3, in B 4', () => {
    const at = figuresFor(ofTheNotes);
    const ceilings = ['', 'A', 'A/A1', 'A/A2', 'A/A3', 'B', 'C', 'D'].map(
      (path) => at(path).ceiling,
    );
    expect(ceilings).toEqual([16, 8, 3, 3, 2, 4, 2, 2]);
    expect(at('').heldBy).toBeNull();
    expect(at('A/A1').heldBy).toBe('A/A1');
  });

  it('give everybody its part by equal weights, since what the capped leave goes to the others', () => {
    const at = figuresFor(ofTheNotes);
    const shares = ['A', 'A/A1', 'A/A2', 'A/A3', 'B', 'C', 'D'].map((path) => at(path).guaranteed);
    shares.forEach((share, index) =>
      expect(share).toBeCloseTo([8, 3, 3, 2, 4, 2, 2][index] ?? 0, 9),
    );
  });

  it('are the same with what was known before, and the very same objects where nothing changes', () => {
    const known: KnownFigures = new WeakMap();
    const cpus = firstCpus(machineCpus);
    const [a, b] = [group('A', { cap: 4 }, group('A1')), group('B', { cap: 2 }, group('B1'))];
    const before = figuresOf({ cpus, root: rootOf(a, b) }, known);
    const after = figuresOf({ cpus, root: rootOf({ ...a, cap: 3 }, b) }, known);
    expect(after.get('B')).toBe(before.get('B'));
    expect(after.get('B/B1')).toBe(before.get('B/B1'));
    expect(after.get('A/A1')?.ceiling).toBe(3);
    // The same groups under another name, or with fewer CPUs around them, are not taken for what they were.
    expect(figuresOf({ cpus, root: rootOf({ ...b, name: 'C' }) }, known).has('C/B1')).toBe(true);
    expect(figuresOf({ cpus: [0], root: rootOf(a, b) }, known).get('B/B1')?.ceiling).toBe(1);
    fc.assert(
      fc.property(randomSplits, randomSplits, (one, other) => {
        for (const split of [one, other, { ...one, root: rootOf(...other.root.groups) }, one]) {
          expect(figuresOf(split, known)).toEqual(figuresOf(split));
        }
      }),
      { ...seeded, numRuns: 100 },
    );
  });

  it('name the ancestor that holds a group back', () => {
    const at = figuresFor(rootOf(group('A', { cap: 8 }, group('A1', { cap: 12 }, group('A11')))));
    expect(at('A/A1')).toMatchObject({ ceiling: 8, heldBy: 'A' });
    expect(at('A/A1/A11')).toMatchObject({ ceiling: 8, heldBy: 'A' });
    expect(at('A')).toMatchObject({ allotted: 12, overcommit: 4, unallocated: 0 });
  });

  it('say what is handed out twice and what is not handed out', () => {
    const at = figuresFor(rootOf(group('A', { cap: 10 }), group('B', { cap: 10 })));
    expect(at('')).toMatchObject({ allotted: 20, overcommit: 4, unallocated: 0 });
    const sparse = figuresFor(rootOf(group('A', { cap: 1.5 }), group('B')));
    expect(sparse('')).toMatchObject({ allotted: 1.5, overcommit: 0, unallocated: 14.5 });
  });

  it('count processes bound to a group with groups as one more contender', () => {
    const children = [
      group('A1', { weight: 300 }),
      group('A2', { weight: 300 }),
      group('A3', { weight: 200 }),
    ];
    const at = figuresFor(rootOf(group('A', { cap: 9, direct: true }, ...children)));
    expect(at('A/A1').guaranteed).toBeCloseTo(3, 9);
    expect(at('A/A3').guaranteed).toBeCloseTo(2, 9);
  });

  it('never hold out more than there is to those who are pinned to the same CPUs', () => {
    const at = figuresFor(rootOf(group('A', pins('0-7')), group('B', pins('0-7')), group('C', {})));
    expect(at('A').guaranteed).toBeCloseTo(4, 9);
    expect(at('B').guaranteed).toBeCloseTo(4, 9);
    expect(at('C').guaranteed).toBeCloseTo(8, 9);
  });

  it('take the CPUs of an exclusive group from its siblings', () => {
    const at = figuresFor(
      rootOf(group('A', { ...pins('0-3'), exclusivity: 'root' }), group('B', {}, group('B1'))),
    );
    expect(at('A').cpus).toEqual([0, 1, 2, 3]);
    expect(at('B/B1')).toMatchObject({ ceiling: 12, heldBy: 'B' });
  });

  it('say when none of the pins are among the parent’s', () => {
    const at = figuresFor(rootOf(group('A', pins('0-3'), group('A1', pins('8-9')))));
    expect(at('A/A1')).toMatchObject({
      pinsLost: true,
      cpus: [0, 1, 2, 3],
      ceiling: 4,
      heldBy: 'A',
    });
  });

  it('give the idle next to nothing while others want to run', () => {
    const at = figuresFor(rootOf(group('A', { idle: true }), group('B')), 1);
    expect(at('A').guaranteed).toBeLessThan(0.003);
    expect(figuresFor(rootOf(group('A', { idle: true })), 1)('A').guaranteed).toBeCloseTo(1, 9);
  });

  it('stand for ten thousand groups', () => {
    const many = Array.from({ length: 100 }, (_, at) =>
      group(`g${at}`, {}, ...Array.from({ length: 99 }, (__, inner) => group(`h${inner}`))),
    );
    const at = figuresFor(rootOf(...many));
    expect(at('g7/h3').guaranteed).toBeCloseTo(16 / 9900, 9);
  });

  it('keep their promises to each other in any split', () => {
    fc.assert(
      fc.property(randomSplits, (split) => {
        const figures = figuresOf(split);
        const sums = new Map<string, number>();
        for (const [path, one] of walkGroups(split.root)) {
          const figure = figures.get(path);
          const parent = parentPath(path);
          if (figure === undefined) throw new Error(path);
          expect(figure.guaranteed).toBeLessThanOrEqual(figure.ceiling + 1e-6);
          expect(figure.ceiling).toBeLessThanOrEqual(
            Math.min(one.cap ?? Infinity, figure.cpus.length),
          );
          expect(figure.cpus.length).toBeGreaterThan(0);
          expect(figure.overcommit * figure.unallocated).toBe(0);
          if (parent === null) continue;
          expect(figure.ceiling).toBeLessThanOrEqual(figures.get(parent)?.ceiling ?? 0);
          sums.set(parent, (sums.get(parent) ?? 0) + figure.guaranteed);
        }
        for (const [path, sum] of sums) {
          expect(sum).toBeLessThanOrEqual((figures.get(path)?.guaranteed ?? 0) + 1e-6);
        }
      }),
      seeded,
    );
  });
});

describe('sharing fairly', () => {
  const contenders = fc.array(
    fc.record({
      weight: fc.constantFrom(1, 50, 100, 300),
      limit: fc.constantFrom(0.5, 1, 2, 5, 8),
      cpus: cpuSets,
    }),
    { minLength: 1, maxLength: 5 },
  );

  it('gives nobody more without taking it from somebody who has no more by weight', () => {
    fc.assert(
      fc.property(fc.constantFrom(0.5, 2, 3.5, machineCpus), contenders, (capacity, all) => {
        const shares = shareFairly(capacity, all);
        const share = (index: number): number => shares[index] ?? 0;
        const level = (index: number): number => share(index) / (all[index]?.weight ?? 1);
        // Every set of contenders, with what there is for it.
        const sets = Array.from({ length: 2 ** all.length - 1 }, (_, bits) =>
          all.flatMap((__, index) => (((bits + 1) >> index) & 1 ? [index] : [])),
        );
        const roomOf = (set: readonly number[]): number =>
          Math.min(capacity, new Set(set.flatMap((index) => all[index]?.cpus ?? [])).size);
        const tight = sets.filter((set) => {
          const sum = set.reduce((total, index) => total + share(index), 0);
          expect(sum).toBeLessThanOrEqual(roomOf(set) + 1e-6);
          return sum >= roomOf(set) - 1e-6;
        });
        all.forEach(({ limit }, index) => {
          expect(share(index)).toBeLessThanOrEqual(limit + 1e-9);
          if (share(index) >= limit - 1e-6) return;
          // Bottleneck: a full set in which nobody has more for its weight (weighted max-min fairness).
          const bottleneck = tight.some(
            (set) =>
              set.includes(index) && set.every((other) => level(other) <= level(index) + 1e-6),
          );
          expect(bottleneck, `contender ${index} of ${JSON.stringify({ all, shares })}`).toBe(true);
        });
      }),
      seeded,
    );
  });
});
