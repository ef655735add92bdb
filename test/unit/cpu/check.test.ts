import { describe, expect, it } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { resolveCheck, type ResolvedCpuCheck } from '../../../agent/lab/check.ts';
import { scaleSplit } from '../../../agent/lab/scale-cpu.ts';
import { type CpuMeasurement, judgeCpu } from '../../../agent/services/cpu-check.ts';

const document = (checks: string, cpu = true): string => `netloom: 1
name: lab
topology: { nodes: {} }
${cpu ? 'cpu: { cores: 16, groups: { A: { cap: 8, groups: { A1: { cap: 3 } } }, B: { cap: 4 } } }' : ''}
checks: [${checks}]
`;

/** Codes and places of what is wrong. */
function problemsOf(checks: string, cpu = true): readonly string[] {
  return readDocument(document(checks, cpu)).problems.map(
    ({ code, place }) => `${code} ${place?.path ?? ''}`,
  );
}

function resolved(checks: string): ResolvedCpuCheck {
  const { document: lab } = readDocument(document(checks));
  const [check] = lab?.checks ?? [];
  if (lab === null || check === undefined) throw new Error('no check');
  const found = resolveCheck(lab, check);
  if (!found.ok || found.value.kind !== 'cpu') throw new Error(JSON.stringify(found));
  return found.value;
}

describe('a check of a CPU group in a document', () => {
  it('has bounds by its tolerance, and a label in both languages', () => {
    expect(resolved('{ check: cpu, group: A/A1, cores: 3 }')).toEqual({
      kind: 'cpu',
      label: 'A/A1 uses 3 cores',
      group: 'A/A1',
      least: expect.closeTo(2.7, 9),
      most: expect.closeTo(3.3, 9),
      against: [],
      milliseconds: 2000,
    });
    const beside = resolved(
      '{ check: cpu, group: A, cores: 8, tolerance: 5, against: [B], seconds: 0.5 }',
    );
    expect(beside).toMatchObject({ label: 'A uses 8 cores beside B', against: ['B'] });
    expect([beside.least, beside.milliseconds]).toEqual([expect.closeTo(7.6, 9), 500]);
  });

  it.each([
    ['{ check: cpu, group: C, cores: 1 }', 'cpu-group-unknown checks.0.group'],
    ['{ check: cpu, group: A, cores: 1, against: [C] }', 'cpu-group-unknown checks.0.against'],
    ['{ check: cpu, group: A, cores: 1, against: [A] }', 'check-against-itself checks.0.against'],
    [
      '{ check: cpu, group: A, cores: 1, against: [A/A1] }',
      'check-against-itself checks.0.against',
    ],
    [
      '{ check: cpu, group: A/A1, cores: 1, against: [/] }',
      'check-against-itself checks.0.against',
    ],
    ['{ check: cpu, group: A, cores: 0 }', 'out-of-range checks.0.cores'],
    ['{ check: cpu, group: A, cores: -1 }', 'out-of-range checks.0.cores'],
    ['{ check: cpu, group: A, cores: many }', 'wrong-type checks.0.cores'],
    ['{ check: cpu, group: A, cores: 1, seconds: 3600 }', 'out-of-range checks.0.seconds'],
    ['{ check: cpu, group: A, cores: 1, tolerance: 0 }', 'out-of-range checks.0.tolerance'],
    ['{ check: cpu, group: A, cores: 1, against: [] }', 'wrong-length checks.0.against'],
    ['{ check: cpu, group: ../A, cores: 1 }', 'wrong-format checks.0.group'],
    ['{ check: cpu, group: A }', 'missing-key checks.0'],
  ])('%s is refused: %s', (check, problem) => {
    expect(problemsOf(check)).toEqual([problem]);
  });

  it('is refused where the document has no split', () => {
    expect(problemsOf('{ check: cpu, group: A, cores: 1 }', false)).toEqual([
      'check-without-split checks.0.group',
    ]);
  });

  it('may expect more than can be, which is said but refused by nobody: a cap may be on its way down', () => {
    const advice = (checks: string): readonly string[] =>
      readDocument(document(checks)).advice.map(
        ({ code, place }) => `${code} ${place?.path ?? ''}`,
      );
    expect(problemsOf('{ check: cpu, group: A/A1, cores: 4 }')).toEqual([]);
    expect(advice('{ check: cpu, group: A/A1, cores: 4 }')).toEqual([
      'check-above-ceiling checks.0.cores',
    ]);
    expect(advice('{ check: cpu, group: A/A1, cores: 3 }')).toEqual([]);
  });

  it('is scaled with the split', () => {
    const text = document('{ check: cpu, group: A, cores: 8, against: [B] }');
    const { document: lab } = readDocument(text);
    if (lab === null) throw new Error('no lab');
    const scaled = scaleSplit(text, lab, 2);
    if (!scaled.ok) throw new Error(scaled.failure.reason);
    expect(readDocument(scaled.value)).toMatchObject({
      problems: [],
      document: { cpu: { cores: 2 }, checks: [{ cores: 1, against: ['B'] }] },
    });
  });
});

describe('a measurement', () => {
  const check = resolved('{ check: cpu, group: A, cores: 8 }');
  const judged = (used: number, foreign: number, more: Partial<CpuMeasurement> = {}): string => {
    const { outcome, code } = judgeCpu(check, {
      ...{ used, foreign, beside: [], room: Infinity },
      ...more,
    });
    return `${outcome} ${code}`;
  };

  it('holds within the bounds, where it would have kept within them without the others too', () => {
    expect(judged(8.8, 0)).toBe('passed cpu-within');
    expect(judged(7.2, 1)).toBe('passed cpu-within');
    expect(judged(7.2, 8, { room: 1.1 })).toBe('passed cpu-within');
    expect(judged(7.2, 8)).toBe('skipped cpu-not-to-be-had');
  });

  it('fails above them', () => {
    expect(judged(8.9, 0)).toBe('failed cpu-outside');
  });

  it('fails below them where nobody else had what is missing', () => {
    expect(judged(4, 0.5)).toBe('failed cpu-outside');
    expect(judged(0, 0.5)).toBe('failed cpu-outside');
  });

  it('fails below them where a cap, or those beside it, would have kept it there anyhow', () => {
    expect(judged(4, 12, { room: 1.02 })).toBe('failed cpu-outside');
    expect(judged(4, 3, { beside: [{ used: 8, room: Infinity }] })).toBe('failed cpu-outside');
  });

  it('is no verdict where others had what is missing', () => {
    expect(judged(4, 12)).toBe('skipped cpu-not-to-be-had');
    expect(judged(0, 12)).toBe('skipped cpu-not-to-be-had');
    expect(judged(4, 4, { beside: [{ used: 8, room: 1 }] })).toBe('skipped cpu-not-to-be-had');
    expect(judged(6, 6, { beside: [{ used: 4, room: 2 }], room: 2 })).toBe(
      'skipped cpu-not-to-be-had',
    );
  });
});
