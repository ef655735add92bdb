/**
 * The labs that need a full kernel, with one setting wrong (test/harness/lab-mutations.ts). On a kernel that lacks what
 * they need each is refused; the guest tier runs this file on one that has it. All share one network: labs whose names
 * meet go one after the other, the others beside each other.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { Result } from '../../agent/api/result.ts';
import { lackOf } from '../../agent/kernel/capabilities.ts';
import { readDocument } from '../../agent/lab/document-text.ts';
import { datapathCapability, lackOfKernelDatapath } from '../../agent/ovs/datapath.ts';
import {
  type LabDoor,
  type MutationResult,
  mutations,
  tryMutations,
} from '../harness/lab-mutations.ts';
import { needsFullKernel, readGallery } from '../harness/lab-needs.ts';
import { type Bench, openBench } from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const files = Object.keys(mutations).filter(needsFullKernel);

/** Names of a lab's nodes, and of its interfaces in the realm's own namespace. */
function namesOf(file: string): readonly string[] {
  const { document } = readDocument(readGallery(file));
  const nodes = document?.topology.nodes ?? {};
  const ports = (document?.topology.links ?? [])
    .flatMap(({ endpoints }) => endpoints)
    .map((endpoint) => endpoint.split(':'))
    .filter(([node = '']) => {
      const one = nodes[node];
      return one?.kind === 'bridge' && one.namespace === undefined;
    })
    .map(([, port = '']) => port);
  return [...Object.keys(nodes), ...ports];
}

/** A rate is measured alone: what runs beside it takes from what can be sent. */
function isMeasured(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  return document?.checks?.some(({ check }) => check === 'rate') === true;
}

/** Labs in groups: no name of one group is in another. */
function lanesOf(all: readonly string[]): readonly (readonly string[])[] {
  const lanes: { readonly files: string[]; readonly names: Set<string> }[] = [];
  for (const file of all) {
    const names = namesOf(file);
    const touched = lanes.filter((lane) => names.some((name) => lane.names.has(name)));
    const joined = {
      files: [...touched.flatMap((lane) => lane.files), file],
      names: new Set([...touched.flatMap((lane) => [...lane.names]), ...names]),
    };
    for (const lane of touched) lanes.splice(lanes.indexOf(lane), 1);
    lanes.push(joined);
  }
  return lanes.map((lane) => lane.files);
}

let bench: Bench;
/** The last change: one is made at a time, and what it is planned from stays until then. */
let changing: Promise<unknown> = Promise.resolve();
const never = new AbortController().signal;

async function change(target: PlanTarget): Promise<Result<unknown>> {
  // What a lab beside it does meanwhile, such as a carrier that comes, makes a plan stale.
  for (let attempt = 0; ; attempt += 1) {
    const planned = bench.labs.plan(target);
    if (!planned.ok) return planned;
    const [refusal] = planned.value.refusals;
    if (refusal !== undefined) return { ok: false, failure: refusal };
    const applied = await bench.labs.apply(planned.value.id ?? '', never, () => undefined);
    if (applied.ok || applied.failure.kind !== 'stale-plan' || attempt === 20) return applied;
  }
}

const door: LabDoor = {
  apply: (target) => {
    const changed = changing.then(() => change(target));
    changing = changed.catch(() => undefined);
    return changed;
  },
  check: async (lab) => {
    const results = await bench.labs.check(lab, never, () => undefined);
    return results.ok ? { ok: true, value: { results: results.value } } : results;
  },
};

const tried = new Map<string, readonly MutationResult[] | string>();

beforeAll(async () => {
  requirePrivateNamespaces();
  bench = await openBench({
    lackOf: (one) => (one === datapathCapability ? lackOfKernelDatapath() : lackOf(one)),
  });
  const tryInOrder = async (lane: readonly string[]): Promise<void> => {
    for (const file of lane) {
      tried.set(file, await tryMutations(door, file).catch((error: unknown) => String(error)));
    }
  };
  await Promise.all(lanesOf(files.filter((file) => !isMeasured(file))).map(tryInOrder));
  await tryInOrder(files.filter(isMeasured));
}, 300_000);
afterAll(() => bench.close());

describe('what breaks a lab turns its checks red, and no other', () => {
  it.each(files)('%s', (file) => {
    const results = tried.get(file) ?? 'not tried';
    if (typeof results === 'string') {
      expect(results).toContain('"kind":"unsupported"');
      expect(process.env['NETLOOM_FULL_KERNEL'], results).toBeUndefined();
      return;
    }
    expect(results).toHaveLength(1 + (mutations[file]?.length ?? 0));
    for (const { what, expected, red, sentences } of results) {
      expect({ what, red }, sentences.join('\n')).toEqual({ what, red: expected });
    }
  });
});
