import { describe, expect, it } from 'vitest';
import { icicleOf, ticksOf } from '../../../renderer/cpu/icicle.ts';
import { documentText, notes, seen } from './cpu-splits.ts';

function drawn(text: string) {
  const { split, figures } = seen(text);
  return icicleOf(split, figures);
}

const place = (text: string, path: string, kind: 'group' | 'free' = 'group') => {
  const cell = drawn(text).cells.find((each) => each.path === path && each.kind === kind);
  return cell === undefined ? null : [cell.depth, cell.lane, cell.from, cell.to];
};

describe('the icicle', () => {
  it('lays every depth out on one ruler', () => {
    const { extent, lanes } = drawn(notes);
    expect([extent, lanes]).toEqual([16, [1, 1, 1]]);
    expect(place(notes, '')).toEqual([0, 0, 0, 16]);
    expect(place(notes, 'A')).toEqual([1, 0, 0, 8]);
    expect(place(notes, 'B')).toEqual([1, 0, 8, 12]);
    expect(place(notes, 'D')).toEqual([1, 0, 14, 16]);
    expect(place(notes, 'A/A2')).toEqual([2, 0, 3, 6]);
    expect(place(notes, 'A/A3')).toEqual([2, 0, 6, 8]);
    expect(place(notes, '', 'free')).toBeNull();
  });

  it('shows the whole machine as free where there is no group', () => {
    const empty = documentText('cpu:\n  cores: 16\n  groups: {}\n');
    expect(place(empty, '', 'free')).toEqual([1, 0, 0, 16]);
  });

  it('shows what a group has not handed out', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 6, groups: { A1: { cap: 2 } } }\n',
    );
    expect(place(text, '', 'free')).toEqual([1, 0, 6, 8]);
    expect(place(text, 'A', 'free')).toEqual([2, 0, 2, 6]);
  });

  it('shows room for the first group in the one that is open', () => {
    const { split, figures } = seen(notes);
    const { cells, lanes } = icicleOf(split, figures, 'B');
    expect(cells.find(({ kind }) => kind === 'free')).toMatchObject({
      ...{ path: 'B', depth: 2, from: 8, to: 12 },
    });
    expect(lanes).toEqual([1, 1, 1]);
  });

  it('marks what lies beyond the parent, and says what is sure of it', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 6 }\n    B: { cap: 6 }\n',
    );
    const cells = drawn(text).cells.filter(({ depth }) => depth === 1);
    expect(cells.map(({ from, to, solidTo, overFrom }) => [from, to, solidTo, overFrom])).toEqual([
      [0, 6, 4, null],
      [6, 12, 10, 8],
    ]);
    expect(drawn(text).extent).toBe(12);
  });

  it('puts groups that spill over others below them', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 4, groups: { A1: { cap: 4 }, A2: { cap: 2 } } }\n' +
        '    B: { cap: 4, groups: { B1: { cap: 2 } } }\n',
    );
    expect(drawn(text).lanes).toEqual([1, 1, 2]);
    expect(place(text, 'A/A2')).toEqual([2, 1, 4, 6]);
    expect(place(text, 'B/B1')).toEqual([2, 0, 4, 6]);
  });

  it('is as wide as pins, and as what weights come to', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    P: { pins: 0-1, partition: root }\n    W: { weight: 200 }\n    X: { weight: 100 }\n',
    );
    expect(place(text, 'P')).toEqual([1, 0, 0, 2]);
    expect(place(text, 'W')).toEqual([1, 0, 2, 6]);
    expect(place(text, 'X')).toEqual([1, 0, 6, 8]);
  });

  it('lays out what contends by what each gets, with its limit as its reach', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 6 }\n    W: {}\n    X: { weight: 200 }\n',
    );
    const cells = drawn(text).cells.filter(({ depth }) => depth === 1);
    expect(cells.map(({ from, to, reach, overFrom }) => [from, to, reach, overFrom])).toEqual([
      [0, 2, 6, null],
      [2, 4, 4, null],
      [4, 8, 8, null],
    ]);
  });

  it('lays out groups in one without a limit within what that gets', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 4 }\n    W: { groups: { W1: {}, W2: {} } }\n',
    );
    expect(place(text, 'W')).toEqual([1, 0, 4, 8]);
    expect(place(text, 'W/W2')).toEqual([2, 0, 6, 8]);
    expect(place(text, 'W', 'free')).toBeNull();
  });

  it('has marks that can be read', () => {
    expect(ticksOf(2, 400)).toHaveLength(21);
    expect(ticksOf(16, 60)).toEqual(Array.from({ length: 17 }, (_, at) => at));
    expect(ticksOf(128, 8)).toEqual([
      0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128,
    ]);
  });
});
