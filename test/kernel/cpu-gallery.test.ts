/**
 * The gallery's CPU splits, scaled to this machine's CPUs, in groups of the test's own: their checks hold, and turn red when
 * what they guard is broken (test/harness/lab-mutations.ts). What others use meanwhile is not to be had here: such a check
 * is no verdict, and is reported as none.
 *
 * Pins do not scale. On a machine with fewer CPUs than a lab names it is refused, and that is what is tried here.
 */
import { availableParallelism } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readDocument } from '../../agent/lab/document-text.ts';
import { scaleSplit } from '../../agent/lab/scale-cpu.ts';
import {
  type LabDoor,
  mutations,
  readGallery,
  splitsCpus,
  tryMutations,
} from '../harness/lab-mutations.ts';
import { type Bench, documentTarget, openBench, plan } from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

const cpus = availableParallelism();
const files = Object.keys(mutations).filter(splitsCpus);

/** The text for this machine; as it is where that has enough CPUs. */
function scaled(text: string): string {
  const { document } = readDocument(text);
  if (document === null) throw new Error('no lab');
  if (cpus >= (document.cpu?.cores ?? 1)) return text;
  const made = scaleSplit(text, document, cpus);
  if (!made.ok) throw new Error(made.failure.reason);
  return made.value;
}

const fitting = files.filter(
  (file) => readDocument(scaled(readGallery(file))).problems.length === 0,
);

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

const never = new AbortController().signal;

function door(): LabDoor {
  return {
    apply: (target) => bench.labs.apply(plan(bench, target).id, never, () => undefined),
    check: async (lab) => {
      const results = await bench.labs.check(lab, never, () => undefined);
      return results.ok ? { ok: true, value: { results: results.value } } : results;
    },
  };
}

describe('the gallery’s CPU splits', () => {
  it('are there, and all but those with pins fit any machine', () => {
    expect(files).toEqual(['cpu-caps.yaml', 'cpu-weights.yaml', 'cpu-pins.yaml', 'cpu-burst.yaml']);
    expect(files.filter((file) => !fitting.includes(file))).toEqual(
      cpus >= 16 ? [] : ['cpu-pins.yaml'],
    );
  });

  it.each(fitting)('%s holds, and its checks turn red', { timeout: 300_000 }, async (file) => {
    const results = await tryMutations(door(), file, scaled);
    expect(results).toHaveLength(1 + (mutations[file]?.length ?? 0));
    let verdicts = 0;
    for (const { what, expected, red, sentences } of results) {
      const undecided = sentences.filter((_, index) => red[index] === -1);
      for (const one of undecided) process.stderr.write(`${file}: no verdict on check ${one}\n`);
      const open = new Set(undecided.map((one) => Number(one.split(':')[0])));
      const failed = red.filter((index) => index !== -1);
      const decided = expected.filter((index) => !open.has(index));
      expect({ what, red: failed }, sentences.join('\n')).toEqual({ what, red: decided });
      verdicts += decided.length + (what === null ? 1 : 0);
    }
    expect(verdicts).toBeGreaterThan(1);
  });

  it('that pin are refused with the CPU that is not there', () => {
    const text = readGallery('cpu-pins.yaml');
    if (cpus >= 16) return;
    const [refusal] = plan(bench, documentTarget(text)).refusals;
    expect(refusal).toMatchObject({ code: 'cpu-too-few-cores', values: { cores: 16, has: cpus } });
    const codes = readDocument(scaled(text)).problems.map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(['cpu-pins-missing']));
  });
});
