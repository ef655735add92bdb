import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  borderOf,
  type BorderMode,
  moveBorder,
  rangeOf,
  snap,
  stepOf,
  withLimits,
} from '../../../renderer/cpu/border.ts';
import { figuresOf } from '../../../agent/cpu/figures.ts';
import { documentText, notes, type Seen, seen } from './cpu-splits.ts';

function move(text: string, path: string, width: number, mode: BorderMode = 'trade') {
  const { split, figures } = seen(text);
  const border = borderOf(split, figures, path);
  if (border === null) return null;
  return moveBorder(border, width, mode, 0.1).map(({ group, setting, value }) => [
    group,
    setting,
    value,
  ]);
}

function range(text: string, path: string, mode: BorderMode = 'trade') {
  const { split, figures } = seen(text);
  const border = borderOf(split, figures, path);
  return border === null ? null : rangeOf(border, mode, 0.1);
}

describe('a border', () => {
  it('trades with the next group', () => {
    expect(move(notes, 'A', 7)).toEqual([
      ['A', 'cap', 7],
      ['B', 'cap', 5],
    ]);
    expect(range(notes, 'A')).toEqual({ least: 0.1, most: 11.9 });
  });

  it('stops before the next one is nothing', () => {
    expect(move(notes, 'C', 40)).toEqual([
      ['C', 'cap', 3.9],
      ['D', 'cap', 0.1],
    ]);
  });

  it('of the last group gives to what is free, and takes no more than that', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 3 }\n    B: { cap: 2 }\n',
    );
    expect(range(text, 'B')).toEqual({ least: 0.1, most: 5 });
    expect(move(text, 'B', 1.5)).toEqual([['B', 'cap', 1.5]]);
  });

  it('moves alone, even beyond what there is', () => {
    expect(move(notes, 'A', 10, 'alone')).toEqual([['A', 'cap', 10]]);
    expect(range(notes, 'D', 'alone')).toEqual({ least: 0.1, most: 16 });
    expect(range(notes, 'A/A1', 'alone')).toEqual({ least: 0.1, most: 8 });
  });

  it('scales all others, so that the sum stays', () => {
    expect(move(notes, 'A', 12, 'scale')).toEqual([
      ['A', 'cap', 12],
      ['B', 'cap', 2],
      ['C', 'cap', 1],
      ['D', 'cap', 1],
    ]);
  });

  it('between weights moves weight', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    W: { weight: 100 }\n    X: { weight: 100 }\n',
    );
    expect(move(text, 'W', 6)).toEqual([
      ['W', 'weight', 150],
      ['X', 'weight', 50],
    ]);
    expect(move(text, 'W', 6, 'alone')).toEqual([['W', 'weight', 300]]);
  });

  it('moves a cap up to what its parent has, where others without one take what is left', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 6 }\n    W: {}\n    B: { cap: 1 }\n',
    );
    expect([range(text, 'A'), range(text, 'B')]).toEqual([
      { least: 0.1, most: 8 },
      { least: 0.1, most: 8 },
    ]);
    expect(move(text, 'A', 7)).toEqual([['A', 'cap', 7]]);
  });

  it('cannot be moved where the group has whole CPUs, and the root has none', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    P: { pins: 0-1 }\n    Q: { cap: 2 }\n',
    );
    expect(move(text, 'P', 3)).toBeNull();
    expect(move(text, '', 3)).toBeNull();
  });

  it('says nothing where nothing changes', () => {
    expect(move(notes, 'A', 8)).toEqual([]);
  });

  it('keeps the sum of all caps when it trades or scales, and stays in its range', () => {
    const caps = fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(
        caps,
        fc.nat(5),
        fc.double({ min: 0, max: 60, noNaN: true }),
        fc.constantFrom<BorderMode>('trade', 'scale'),
        (tenths, at, width, mode) => {
          const cores = Math.ceil(tenths.reduce((sum, each) => sum + each, 0) / 10);
          const groups = tenths.map((each, index) => `    g${index}: { cap: ${each / 10} }\n`);
          const before: Seen = seen(
            documentText(`cpu:\n  cores: ${cores}\n  groups:\n${groups.join('')}`),
          );
          const index = at % (tenths.length - 1);
          const border = borderOf(before.split, before.figures, `g${index}`);
          if (border === null) throw new Error('no border');
          const after = withLimits(before.split, moveBorder(border, width, mode, 0.1));
          const sum = (split: typeof after) =>
            split.root.groups.reduce((total, { cap }) => total + (cap ?? 0), 0);
          expect(sum(after)).toBeCloseTo(sum(before.split), 4);
          for (const { cap } of after.root.groups) expect(cap).toBeGreaterThan(0);
          expect(figuresOf(after).get('')?.overcommit).toBeLessThan(1e-4);
        },
      ),
    );
  });
});

describe('steps', () => {
  it('are round and can be aimed at', () => {
    expect([stepOf(400), stepOf(60), stepOf(8), stepOf(1)]).toEqual([0.05, 0.1, 0.5, 4]);
    expect(snap(2.9401, 0.1)).toBe(2.9);
    expect(snap(0.15, 0.05)).toBe(0.15);
  });
});
