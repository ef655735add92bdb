/** Every check of the gallery fails when what it guards is broken, and no other: on the real kernel, a realm a lab. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentClient } from '../../main/agent-link/client.ts';
import { inLanes } from '../harness/lanes.ts';
import {
  type LabDoor,
  type MutationResult,
  mutations,
  needsFullKernel,
  splitsCpus,
  tryMutations,
} from '../harness/lab-mutations.ts';
import { Netloom } from '../harness/netloom.ts';

/** Most of the time goes to answers that do not come: lanes wait beside each other, each in a realm of its own. */
const lanes = 6;
/** A spanning tree takes its time, and a machine that does not answer might still be starting; so might an exporter. */
const slow: readonly string[] = [
  'stp-ring.yaml',
  'virtual-machine.yaml',
  'ovs-flow-export.yaml',
  'ovs-leaf-spine.yaml',
  'ovs-rstp-ring.yaml',
];
/** The longest first, so that no lane is left with one at the end. */
const files = Object.keys(mutations)
  .filter((file) => !splitsCpus(file))
  .sort((one, other) => length(other) - length(one));

function length(file: string): number {
  return slow.includes(file) ? 1000 : (mutations[file]?.length ?? 0);
}

function doorOf(client: AgentClient): LabDoor {
  return {
    apply: async (target) => {
      const planned = await client.call('lab.plan', { target });
      if (!planned.ok) return planned;
      const [refusal] = planned.value.refusals;
      if (refusal !== undefined) return { ok: false, failure: refusal };
      return client.call('lab.apply', { plan: planned.value.id ?? '' });
    },
    check: (lab) => client.call('lab.check', { lab }),
  };
}

let netloom: Netloom;
let tried: ReadonlyMap<string, Promise<readonly MutationResult[]>>;

beforeAll(async () => {
  netloom = new Netloom();
  const link = netloom.link();
  const doors = await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      const realm = await netloom.emptyRealm(`mutations-${String(lane)}`);
      const connected = await link.connect(realm.realm);
      if (!connected.ok) throw new Error(connected.failure.reason);
      return doorOf(connected.value.client);
    }),
  );
  tried = inLanes(files, doors, (file, door) => tryMutations(door, file));
});
afterAll(() => netloom.dispose());

describe('what breaks a lab turns its checks red, and no other', () => {
  it.each([...files].reverse())('%s', { timeout: 300_000 }, async (file) => {
    const trial = tried.get(file);
    if (trial === undefined) throw new Error(`${file} was not tried`);
    const result = await trial.catch((error: unknown) => String(error));
    if (typeof result === 'string') {
      // The guest tier tries it (test/kernel/full-kernel-mutations.test.ts).
      expect(result, file).toContain('"kind":"unsupported"');
      expect(needsFullKernel(file), result).toBe(true);
      return;
    }
    expectMutations(file, result);
  });
});

function expectMutations(file: string, results: readonly MutationResult[]): void {
  expect(results).toHaveLength(1 + (mutations[file]?.length ?? 0));
  for (const { what, expected, red, sentences } of results) {
    expect({ what, red }, sentences.join('\n')).toEqual({ what, red: expected });
  }
}
