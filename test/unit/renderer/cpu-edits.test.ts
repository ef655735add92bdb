import { describe, expect, it } from 'vitest';
import {
  addGroup,
  fitGroups,
  freeGroupName,
  mergeGroups,
  mergePair,
  splitGroup,
  togglePin,
} from '../../../renderer/cpu/split-edits.ts';
import { groupAt } from '../../../renderer/cpu/border.ts';
import {
  type DocumentEdit,
  editDocument,
} from '../../../renderer/topology/document/document-edit.ts';
import { documentText, notes, seen } from './cpu-splits.ts';

function edited(text: string, edits: readonly DocumentEdit[]): string {
  const result = editDocument(text, edits);
  if (!result.ok) throw new Error(result.failure.reason);
  return result.value;
}

const bound = `netloom: 1
name: cores
topology:
  nodes:
    n1:
      kind: namespace
      cpu: A/A1 # the quick one
      run:
        - { name: load, command: [sleep, '1'], cpu: B }
cpu:
  cores: 16
  groups:
    # two halves
    A: { cap: 8, groups: { A1: { cap: 3 } } }
    B: { cap: 8 } # the other
`;

describe('edits of a split', () => {
  it('change a number and leave comments and order as they are', () => {
    const after = edited(notes, [
      { kind: 'set-cpu-group', group: 'A', setting: 'cap', value: 7.5 },
      { kind: 'set-cpu-group', group: 'A/A1', setting: 'weight', value: 300 },
    ]);
    expect(after).toBe(
      notes
        .replace('cap: 8 # half', 'cap: 7.5 # half')
        .replace('A1: { cap: 3 }', 'A1: {cap: 3, weight: 300}'),
    );
  });

  it('begin a section where there is none', () => {
    const empty = 'netloom: 1\nname: cores\ntopology:\n  nodes: {}\n';
    expect(
      edited(empty, [{ kind: 'add-cpu-group', parent: '', name: 'A', settings: { cap: 8 } }]),
    ).toBe(`${empty}cpu:\n  groups:\n    A: {cap: 8}\n`);
    expect(edited(empty, [{ kind: 'set-cpu-cores', cores: 16 }])).toBe(
      `${empty}cpu:\n  cores: 16\n  groups: {}\n`,
    );
  });

  it('add into a group that was written on a line', () => {
    const after = edited(notes, [
      { kind: 'add-cpu-group', parent: 'B', name: 'B1', settings: { cap: 2 } },
    ]);
    expect(seen(after).split.root.groups[1]?.groups.map(({ name, cap }) => [name, cap])).toEqual([
      ['B1', 2],
    ]);
    expect(after).toContain('# half of the machine');
  });

  it('remove a group with those in it, and bind what was in them to its parent', () => {
    const after = edited(bound, [{ kind: 'remove-cpu-group', group: 'A/A1' }]);
    expect(after).toContain('cpu: A # the quick one');
    expect(after).toContain('# two halves');
    const without = edited(bound, [{ kind: 'remove-cpu-group', group: 'A' }]);
    expect(without).toContain('cpu: / # the quick one');
    expect(without).toContain('B: { cap: 8 } # the other');
  });

  it('rename a group where it is and where it is named', () => {
    const after = edited(bound, [{ kind: 'rename-cpu-group', group: 'A', to: 'batch' }]);
    expect(after).toContain('cpu: batch/A1 # the quick one');
    expect(seen(after).split.root.groups.map(({ name }) => name)).toEqual(['batch', 'B']);
  });

  it('rename groups in checks, and take out checks of what is gone', () => {
    const checked = `${bound}checks:
  - { check: cpu, group: A/A1, cores: 3 } # alone
  - { check: cpu, group: B, cores: 4, against: [A, A/A1] }
`;
    const renamed = edited(checked, [{ kind: 'rename-cpu-group', group: 'A', to: 'x' }]);
    expect(renamed).toMatch(/group: x\/A1, cores: 3 ?\} # alone/);
    expect(renamed).toMatch(/against: \[x, x\/A1\]/);
    const inner = edited(checked, [{ kind: 'remove-cpu-group', group: 'A/A1' }]);
    expect(inner).not.toContain('cores: 3');
    expect(inner).toMatch(/against: \[A\]/);
    const merged = edited(checked, [{ kind: 'join-cpu-groups', group: 'B', other: 'A' }]);
    expect(merged).toContain('group: B/A1');
    expect(merged).toMatch(/against: \[B\/A1\]/);
  });

  it('name what is new as the notes do', () => {
    const { split } = seen(notes);
    expect(freeGroupName(split.root)).toBe('E');
    const a = groupAt(split, 'A');
    expect(a === null ? '' : freeGroupName(a)).toBe('A4');
  });

  it('give a new group what is free, or a core more than there is', () => {
    const half = documentText('cpu:\n  cores: 16\n  groups:\n    A: { cap: 10 }\n');
    const { split, figures } = seen(half);
    expect(addGroup(split, figures, '')).toEqual({
      path: 'B',
      edits: [{ kind: 'add-cpu-group', parent: '', name: 'B', settings: { cap: 6 } }],
    });
    const full = seen(notes);
    expect(addGroup(full.split, full.figures, '')?.edits).toMatchObject([{ settings: { cap: 1 } }]);
    expect(addGroup(full.split, full.figures, 'B')?.edits).toMatchObject([
      { parent: 'B', name: 'B1', settings: { cap: 4 } },
    ]);
  });

  it('split a group into two of a half each, side by side', () => {
    const { split } = seen(notes);
    const made = splitGroup(split, 'A/A1');
    const after = seen(edited(notes, made?.edits ?? []));
    expect(after.split.root.groups[0]?.groups.map(({ name, cap }) => [name, cap])).toEqual([
      ['A1', 1.5],
      ['A4', 1.5],
      ['A2', 3],
      ['A3', 2],
    ]);
    expect(splitGroup(split, '')).toBeNull();
  });

  it('split pins', () => {
    const text = documentText('cpu:\n  cores: 8\n  groups:\n    P: { pins: 0-4 }\n');
    const made = splitGroup(seen(text).split, 'P');
    const after = seen(edited(text, made?.edits ?? []));
    expect(after.split.root.groups.map(({ pins }) => pins)).toEqual([
      [0, 1, 2],
      [3, 4],
    ]);
  });

  it('merge two groups, with what is in them and bound to them', () => {
    const { split } = seen(bound);
    expect([mergePair(split, 'A'), mergePair(split, 'B'), mergePair(split, 'A/A1')]).toEqual([
      ['A', 'B'],
      ['A', 'B'],
      null,
    ]);
    const after = edited(bound, mergeGroups(split, 'B', 'A'));
    const [merged, ...others] = seen(after).split.root.groups;
    expect([merged?.name, merged?.cap, merged?.groups[0]?.name]).toEqual(['B', 16, 'A1']);
    expect(others).toEqual([]);
    expect(after).toContain('cpu: B/A1 # the quick one');
    expect(after).toContain('cpu: B ');
  });

  it('fit what is over-committed into what there is', () => {
    const text = documentText(
      'cpu:\n  cores: 8\n  groups:\n    A: { cap: 6 }\n    B: { cap: 4 }\n    C: { cap: 2 }\n',
    );
    const { split, figures } = seen(text);
    const after = seen(edited(text, fitGroups(split, figures, '')));
    expect(after.split.root.groups.map(({ cap }) => cap)).toEqual([4, 2.67, 1.33]);
    expect(after.figures.get('')?.overcommit).toBeLessThan(1e-9);
  });

  it('pin to one CPU more, or less', () => {
    const text = documentText('cpu:\n  cores: 8\n  groups:\n    P: { pins: 0-2 }\n    Q: {}\n');
    const { split } = seen(text);
    const [p, q] = split.root.groups;
    if (p === undefined || q === undefined) throw new Error('no groups');
    expect([togglePin(p, 1), togglePin(p, 3), togglePin(q, 5)]).toEqual(['0,2', '0-3', '5']);
    expect(togglePin({ ...p, pins: [2] }, 2)).toBeUndefined();
  });
});
