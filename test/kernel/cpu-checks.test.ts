/** Checks of CPU groups: what is measured while busy loops run in them, on this machine's own kernel. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CheckResult } from '../../agent/api/lab.ts';
import { apply, type Bench, documentTarget, must, openBench } from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

let own: OwnGroups;
let bench: Bench;
beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
});
afterEach(async () => {
  await bench.close();
  own[Symbol.dispose]();
});

/** Small caps: the machine has that much to spare whatever else runs. */
async function check(groups: string, checks: readonly string[]): Promise<readonly CheckResult[]> {
  const text = `netloom: 1
name: lab
topology: { nodes: {} }
cpu:
  groups:
    ${groups}
checks:
${checks.map((one) => `  - ${one}`).join('\n')}
`;
  must(await apply(bench, documentTarget(text)));
  const signal = new AbortController().signal;
  return must(await bench.labs.check('lab', signal, () => undefined));
}

/** What came of it: how, by which sentence, and how many cores it says. */
function seen({ outcome, code, values }: CheckResult): readonly [string, string, number] {
  return [outcome, code, Number(values['used'])];
}

describe('a check of a CPU group', () => {
  it('holds for a cap that is kept, and fails for one that is another', async () => {
    const results = await check('A: { cap: 0.2, groups: { A1: {} } }', [
      '{ check: cpu, group: A, cores: 0.2, tolerance: 25, seconds: 3 }',
      '{ check: cpu, group: A/A1, cores: 0.2, tolerance: 25, seconds: 3 }',
      '{ check: cpu, group: A, cores: 0.4, tolerance: 25, seconds: 1 }',
      '{ check: cpu, group: A, cores: 0.1, tolerance: 25, seconds: 1 }',
    ]);
    const [kept, inner, more, less] = results.map(seen);
    expect(kept).toEqual(['passed', 'cpu-within', expect.closeTo(0.2, 1)]);
    expect(inner).toEqual(['passed', 'cpu-within', expect.closeTo(0.2, 1)]);
    // Although others may have had the rest of the machine: a cap stopped it, and gave what it has.
    expect(more).toEqual(['failed', 'cpu-outside', expect.closeTo(0.2, 1)]);
    expect(less).toEqual(['failed', 'cpu-outside', expect.closeTo(0.2, 1)]);
    expect(results[0]?.label).toBe('A uses 0.2 cores');
    expect(results[0]?.sentence).toMatch(
      /^A used 0\.\d\d cores in 3 s, which is between 0\.15 and 0\.25\.$/,
    );
  });

  it('measures what weights come to while siblings contend', async () => {
    const groups = 'P: { cap: 0.4, groups: { A: { weight: 300 }, B: { weight: 100 } } }';
    const results = await check(groups, [
      '{ check: cpu, group: P/A, cores: 0.3, tolerance: 30, against: [P/B], seconds: 4 }',
      '{ check: cpu, group: P/B, cores: 0.3, tolerance: 30, against: [P/A], seconds: 2 }',
      '{ check: cpu, group: P/B, cores: 0.4, tolerance: 30, seconds: 2 }',
    ]);
    expect(results.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['passed', 'cpu-within-beside'],
      ['failed', 'cpu-outside-beside'],
      ['passed', 'cpu-within'],
    ]);
    expect(results[0]?.sentence).toContain(' beside P/B, ');
  });

  it('leaves nothing running, also when it is cancelled', async () => {
    const text = `netloom: 1
name: lab
topology: { nodes: {} }
cpu: { groups: { A: { cap: 0.1 } } }
checks: [{ check: cpu, group: A, cores: 0.1, seconds: 60 }]
`;
    must(await apply(bench, documentTarget(text)));
    const abort = new AbortController();
    const checking = bench.labs.check('lab', abort.signal, () => undefined);
    const busy = (): number => own.groups().processesOf('A').size;
    await expect.poll(busy, { timeout: 5000 }).toBeGreaterThan(0);
    abort.abort();
    expect(await checking).toMatchObject({ failure: { kind: 'cancelled' } });
    expect(busy()).toBe(0);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
  });
});
