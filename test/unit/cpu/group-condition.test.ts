import { describe, expect, it } from 'vitest';
import { type GroupSight, judgeGroups } from '../../../agent/cpu/group-condition.ts';

const calm: GroupSight = {
  group: '',
  isThere: true,
  hasLimits: true,
  isAsWanted: true,
  hasPartition: true,
  pins: [],
  cpus: [0, 1, 2, 3],
  guaranteed: 2,
  use: 0,
  throttled: 0,
  stopped: null,
  waiting: 0,
};

/** What is said of `A/A1`, whose parents are calm unless said otherwise. */
function judged(
  own: Partial<GroupSight>,
  parent: Partial<GroupSight> = {},
): readonly [string, string | null] {
  const sights = new Map<string, GroupSight>([
    ['', calm],
    ['A', { ...calm, ...parent, group: 'A' }],
    ['A/A1', { ...calm, ...own, group: 'A/A1' }],
  ]);
  const found = judgeGroups(sights).get('A/A1');
  return [found?.conditions.join(' ') ?? '', found?.heldBy ?? null];
}

describe('the condition of a CPU group', () => {
  it('is nothing while it runs below its cap', () => {
    expect(judged({ use: 1.5, throttled: 0.01, waiting: 0.1 })).toEqual(['', null]);
  });

  it('is at its cap when that stops it in nearly every period, and then nobody else holds it', () => {
    expect(judged({ use: 1, throttled: 0.97, waiting: 1 }, { throttled: 0.9 })).toEqual([
      'at-cap',
      null,
    ]);
  });

  it('is held back by the nearest group whose cap stops it', () => {
    expect(judged({ use: 1, stopped: true }, { throttled: 0.6 })).toEqual(['held-back', 'A']);
    expect(judged({ use: 1, stopped: true })).toEqual(['', null]);
  });

  it('is not held back by a cap that stops only others, where the kernel tells', () => {
    expect(judged({ use: 1, stopped: false }, { throttled: 1 })).toEqual(['', null]);
  });

  it('is held back while it runs below a cap that is felt, where the kernel does not tell', () => {
    expect(judged({ use: 0.3, stopped: null }, { throttled: 1 })).toEqual(['held-back', 'A']);
    expect(judged({ use: 0, stopped: null }, { throttled: 1 })).toEqual(['', null]);
  });

  it('is starved when it waits, no cap stops it, and it gets less than is its own', () => {
    expect(judged({ use: 1, waiting: 0.8 })).toEqual(['starved', null]);
    expect(judged({ use: 1.9, waiting: 0.8 })).toEqual(['', null]);
    expect(judged({ use: 1, waiting: 0.2 })).toEqual(['', null]);
    expect(judged({ use: 1, waiting: null })).toEqual(['', null]);
    expect(judged({ use: 1, waiting: 0.8, stopped: true }, { throttled: 1 })).toEqual([
      'held-back',
      'A',
    ]);
  });

  it('has lost its pins when it runs where they do not say', () => {
    expect(judged({ pins: [2, 3], cpus: [2] })).toEqual(['', null]);
    expect(judged({ pins: [8, 9] })).toEqual(['pins-lost', null]);
    expect(judged({ pins: [2], cpus: [] })).toEqual(['pins-lost', null]);
    expect(judged({ pins: [2], cpus: null })).toEqual(['', null]);
  });

  it('has lost its partition when the kernel has ended it, wherever it runs', () => {
    expect(judged({ hasPartition: false, pins: [2, 3], cpus: [2, 3] })).toEqual([
      'partition-ended',
      null,
    ]);
  });

  it('tells limits that are gone from limits that somebody changed, and both from a group that is gone', () => {
    expect(judged({ hasLimits: false, isAsWanted: false })).toEqual(['limits-gone', null]);
    expect(judged({ isAsWanted: false })).toEqual(['changed-outside', null]);
    expect(judged({ isThere: false, hasLimits: false, isAsWanted: false, pins: [8] })).toEqual([
      'gone',
      null,
    ]);
  });
});
