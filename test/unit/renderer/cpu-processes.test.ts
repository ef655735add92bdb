import { describe, expect, it } from 'vitest';
import type { CpuCandidate, LabDocument } from '../../../agent/api/index.ts';
import { parseDocument } from '../../../agent/lab/index.ts';
import { bindablesOf, bindEdits, boundTo } from '../../../renderer/cpu/bindings.ts';
import { type GroupHistory, linesOf, withSample } from '../../../renderer/cpu/history.ts';
import { placeCpus, regionsOf } from '../../../renderer/cpu/processor-order.ts';
import { processRows } from '../../../renderer/cpu/process-rows.ts';

function candidate(pid: number, parent: number, change: Partial<CpuCandidate> = {}): CpuCandidate {
  return {
    ...{ pid, parent, name: `p${pid}`, command: `/bin/p${pid} --run`, uid: 1000 },
    ...{ namespace: null, group: null, refusal: null },
    ...change,
  };
}

describe('processes', () => {
  const all = [
    candidate(2, 0, { command: '', name: 'kthreadd' }),
    candidate(10, 1),
    candidate(12, 11, { namespace: 'r1' }),
    candidate(11, 10, { uid: 0 }),
    candidate(20, 1, { group: 'A/A1' }),
  ];
  const shown = (query: string) =>
    processRows(all, query).map(({ process, depth }) => [process.pid, depth]);

  it('stand below those that started them, without kernel threads', () => {
    expect(shown('')).toEqual([
      [10, 0],
      [11, 1],
      [12, 2],
      [20, 0],
    ]);
  });

  it('are found by name, pid, user, namespace and group, and by several words at once', () => {
    expect(shown('kthread')).toEqual([[2, 0]]);
    expect(shown('12')).toEqual([[12, 0]]);
    expect(shown('0').map(([pid]) => pid)).toEqual([10, 11, 20]);
    expect(shown('r1')).toEqual([[12, 0]]);
    expect(shown('a/a1 p20')).toEqual([[20, 0]]);
    expect(shown('a/a1 p10')).toEqual([]);
  });
});

describe('what a document binds', () => {
  const text = `netloom: 1
name: cores
topology:
  nodes:
    h1:
      kind: namespace
      cpu: A
      run:
        - { name: load, command: [sleep, '1'], cpu: / }
        - { name: rest, command: [sleep, '1'] }
    br: { kind: bridge }
cpu: { cores: 4, groups: { A: { cap: 2 } } }
`;
  const document: LabDocument | null = parseDocument(text).document;
  if (document === null) throw new Error('no document');

  it('is nodes and their processes, each with the group that it names itself', () => {
    expect(bindablesOf(document).map(({ label, group }) => [label, group])).toEqual([
      ['h1', 'A'],
      ['load · h1', ''],
      ['rest · h1', null],
    ]);
    expect(boundTo(document, '').map(({ label }) => label)).toEqual(['load · h1']);
  });

  it('is written where it stands', () => {
    const [node, load] = bindablesOf(document);
    if (node === undefined || load === undefined) throw new Error('nothing to bind');
    expect(bindEdits(node, null)).toEqual([
      { kind: 'set-node', name: 'h1', path: ['cpu'], value: undefined },
    ]);
    expect(bindEdits(load, '')).toEqual([
      { kind: 'set-node', name: 'h1', path: ['run', 0, 'cpu'], value: '/' },
    ]);
  });
});

describe('the last minute', () => {
  const sample = (time: number, use: number | null) => ({
    ...{ time, since: 500, cpus: [], processes: [] },
    groups: [
      {
        ...{ group: 'A', cap: 2, weight: 100, idle: false, pins: '', cpus: '0-1', guaranteed: 2 },
        ...{ use, throttled: 0, throttledTime: 0, pressure: null, processes: 0 },
        ...{ conditions: [], heldBy: null },
      },
    ],
  });

  it('is kept for each group, and no longer', () => {
    let history: ReadonlyMap<string, GroupHistory> = new Map();
    history = withSample(history, sample(0, null));
    expect(history.get('A')).toBeUndefined();
    for (const time of [1000, 2000, 70_000]) history = withSample(history, sample(time, 1));
    expect(history.get('A')?.map(({ time }) => time)).toEqual([70_000]);
  });

  it('is a line with the newest at the right and the cap across', () => {
    const history = [
      { time: 30_000, use: 0, cap: 2 },
      { time: 60_000, use: 2, cap: 2 },
    ];
    expect(linesOf(history, 4, 200, 40)).toEqual({
      use: '100.0,40.0 200.0,20.0',
      area: '100.0,40 100.0,40.0 200.0,20.0 200,40',
      cap: '100.0,20.0 200.0,20.0',
    });
  });
});

describe('CPUs', () => {
  const processors = [0, 1, 2, 3].map((cpu) => ({
    ...{ cpu, core: cpu % 2, socket: 0, node: 0 },
  }));

  it('lie beside each other as they do in cores, where the split is for this machine', () => {
    expect(placeCpus([0, 1, 2, 3], processors).map(({ cpu, joined }) => [cpu, joined])).toEqual([
      [0, false],
      [2, true],
      [1, false],
      [3, true],
    ]);
  });

  it('are in the order of their numbers for another machine', () => {
    const placed = placeCpus([0, 1, 2], processors);
    expect(placed.map(({ cpu }) => cpu)).toEqual([0, 1, 2]);
    expect(regionsOf(placed)).toEqual([]);
  });

  it('are grouped by socket and node', () => {
    const two = processors.map((each) => ({ ...each, socket: each.cpu < 2 ? 0 : 1 }));
    expect(regionsOf(placeCpus([0, 1, 2, 3], two))).toEqual([
      { node: 0, socket: 0, from: 0, to: 2 },
      { node: 0, socket: 1, from: 2, to: 4 },
    ]);
  });
});
