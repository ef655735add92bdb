/** 200 sequences of random edits, each followed by as many undos: the network is what it was, on the real kernel. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { AgentClient } from '../../main/agent-link/client.ts';
import { editText, randomFrom } from '../harness/lab-edits.ts';
import { Netloom, type RunningRealm } from '../harness/netloom.ts';
import { labDifferences } from '../harness/lab-network.ts';
import { type NetworkState, readNetworkState } from '../harness/network-state.ts';

/** Three hosts on two bridges, one of these in a host, with what edits can take away. */
const start = `# Where every sequence starts.
netloom: 1
name: edits
topology:
  nodes:
    h1:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.1/24, 10.1.0.11/24, 'fd00:1::1/64'] }
      routes: [{ to: default, via: 10.1.0.254 }, { to: 'fd77::/48', via: 'fd00:1::fe' }]
    h2:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.2/24], mtu: 1400, mac: '02:00:00:00:00:02' }
        f: { addresses: [10.2.0.2/24, 'fd00:2::2/64'] }
    sw: { kind: bridge, stp: true, addresses: [10.1.0.254/24] }
    br: { kind: bridge, namespace: h2, mtu: 1400 }
  links:
    - { endpoints: [h1:e, sw:p1] }
    - { endpoints: [h2:e, sw:p2] }
    - { endpoints: [h2:f, br:p3] }
`;

const sequences = 200;
/** Of so many sequences the way forth is gone again after the way back. */
const redone = 20;
/** NETLOOM_SEED tries others. */
const seed = Number(process.env['NETLOOM_SEED'] ?? '20260');
/** Two realms at once: the kernel and the comparator take turns with the agents. */
const workers = 2;

interface Worker {
  readonly client: AgentClient;
  readonly realm: RunningRealm;
}

let netloom: Netloom;
const hands: Worker[] = [];

/** Applies and gives the number of operations; throws with the failure when it is refused. */
async function apply(client: AgentClient, target: PlanTarget): Promise<number> {
  const planned = await client.call('lab.plan', { target });
  if (!planned.ok) throw new Error(JSON.stringify(planned.failure));
  if (planned.value.refusals.length > 0) throw new Error(JSON.stringify(planned.value.refusals));
  const applied = await client.call('lab.apply', { plan: planned.value.id ?? '' });
  if (!applied.ok) throw new Error(JSON.stringify(applied.failure));
  return applied.value.operations;
}

function document(text: string): PlanTarget {
  return { kind: 'document', text, path: null, replace: false };
}

beforeAll(async () => {
  netloom = new Netloom();
  const link = netloom.link();
  for (let index = 0; index < workers; index += 1) {
    const realm = await netloom.emptyRealm(`edits-${String(index)}`);
    const connected = await link.connect(realm.realm);
    if (!connected.ok) throw new Error(connected.failure.reason);
    await apply(connected.value.client, document(start));
    hands.push({ client: connected.value.client, realm });
  }
});
afterAll(async () => {
  for (const { client } of hands) client.close();
  await netloom.dispose();
});

async function goThrough(worker: Worker, number: number, before: NetworkState): Promise<void> {
  const { client, realm } = worker;
  const random = randomFrom(seed + number);
  const count = 1 + Math.floor(random() * 4);
  const story: string[] = [];
  let text = start;
  try {
    for (let index = 0; index < count; index += 1) {
      const edited = editText(random, text);
      text = edited.text;
      story.push(edited.what);
      await apply(client, document(text));
      expect(await apply(client, document(text)), 'a second apply').toBe(0);
    }
    const after = number < redone ? readNetworkState(realm.inRealm) : null;
    const goBack = async (): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        await apply(client, { kind: 'undo', lab: 'edits' });
      }
      expect(labDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
    };
    await goBack();
    if (after === null) return;
    for (let index = 0; index < count; index += 1) {
      await apply(client, { kind: 'redo', lab: 'edits' });
    }
    expect(labDifferences(after, readNetworkState(realm.inRealm))).toEqual([]);
    await goBack();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `sequence ${String(number)} of seed ${String(seed)} (${story.join(', ')}): ${reason}\n${text}`,
      { cause: error },
    );
  }
}

describe('random edits', () => {
  it('are taken back by as many undos', { timeout: 600_000 }, async () => {
    const states = hands.map(({ realm }) => readNetworkState(realm.inRealm));
    let next = 0;
    await Promise.all(
      hands.map(async (worker, index) => {
        const before = states[index];
        if (before === undefined) throw new Error('a realm without a state');
        while (next < sequences) {
          next += 1;
          await goThrough(worker, next - 1, before);
        }
      }),
    );
    expect(next).toBe(sequences);
  });
});
