/** Several clients at one realm: who plans on what no longer holds is refused, one changes at a time, all see it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LabEvent, TransactionProgress } from '../../agent/api/lab.ts';
import type { AgentClient } from '../../main/agent-link/client.ts';
import { gallery, Netloom, type RunningRealm, waitUntil } from '../harness/netloom.ts';
import { networkDifferences, readNetworkState } from '../harness/network-state.ts';

const file = path.join(gallery, 'two-namespaces.yaml');
const text = readFileSync(file, 'utf8');
const changed = text.replace('172.16.0.2/24', '172.16.0.22/24');

let netloom: Netloom;
let realm: RunningRealm;
let one: AgentClient;
let other: AgentClient;

async function connect(): Promise<AgentClient> {
  const connected = await netloom.link().connect('sandbox:two-namespaces');
  if (!connected.ok) throw new Error(connected.failure.reason);
  return connected.value.client;
}

async function plan(client: AgentClient, document: string): Promise<string> {
  const target = { kind: 'document', text: document, path: file, replace: false } as const;
  const planned = await client.call('lab.plan', { target });
  if (!planned.ok) throw new Error(planned.failure.reason);
  return planned.value.id ?? '';
}

beforeAll(async () => {
  netloom = new Netloom();
  await netloom.must(['up', file, '--yes']);
  realm = await netloom.realm('two-namespaces');
  one = await connect();
  other = await connect();
});
afterAll(async () => {
  one.close();
  other.close();
  await netloom.dispose();
});
beforeEach(async () => {
  await netloom.must(['up', file, '--yes']);
});

describe('a plan', () => {
  it('is stale when another client has applied in between', async () => {
    const mine = await plan(one, changed);
    const theirs = await plan(other, text.replace('172.16.0.1/24', '172.16.0.11/24'));
    expect((await other.call('lab.apply', { plan: theirs })).ok).toBe(true);
    const before = readNetworkState(realm.inRealm);
    const applied = await one.call('lab.apply', { plan: mine });
    expect(applied).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
  });

  it('is stale when the command has applied in between', async () => {
    const mine = await plan(one, changed);
    const edited = await netloom.write(
      'edited.yaml',
      changed.replace('172.16.0.1/', '172.16.0.3/'),
    );
    await netloom.must(['up', edited, '--yes', '--replace']);
    const applied = await one.call('lab.apply', { plan: mine });
    expect(applied).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
    await netloom.must(['up', file, '--yes', '--replace']);
  });

  it('is stale when somebody has changed the same object by hand', async () => {
    const mine = await plan(one, changed);
    realm.inRealm(['ip', '-n', 'r2', 'address', 'del', '172.16.0.2/24', 'dev', 'veth1.2']);
    const applied = await one.call('lab.apply', { plan: mine });
    expect(applied).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
  });

  it('is refused when its number was never given', async () => {
    const applied = await one.call('lab.apply', { plan: 'no-such-plan' });
    expect(applied).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
  });

  it('can be applied once', async () => {
    const mine = await plan(one, changed);
    expect((await one.call('lab.apply', { plan: mine })).ok).toBe(true);
    const again = await one.call('lab.apply', { plan: mine });
    expect(again).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
  });
});

describe('an interface', () => {
  const isUp = (): boolean => {
    const shown = realm.inRealm(['ip', '-n', 'r1', '-j', 'link', 'show', 'veth1.1']);
    const [link] = JSON.parse(shown) as { readonly flags: readonly string[] }[];
    return link?.flags.includes('UP') === true;
  };
  const link = (...words: readonly string[]) => netloom.run(['link', 'two-namespaces', ...words]);

  it('is taken down and brought up by the command, in the kernel alone', async () => {
    expect(await link('r1:veth1.1', 'down')).toMatchObject({
      status: 0,
      stdout: 'r1:veth1.1 is down.\n',
    });
    expect(isUp()).toBe(false);
    expect((await netloom.run(['check', 'two-namespaces'])).status).toBe(1);
    const again = await link('r1:veth1.1', 'down');
    expect(again.status).toBe(1);
    expect(again.stderr).toContain('is down already');
    expect((await link('r1:veth1.1', 'up')).status).toBe(0);
    expect(isUp()).toBe(true);
    expect((await link('r1:veth1.1', 'flap', '--for', '300')).status).toBe(0);
    expect(await waitUntil(() => Promise.resolve(isUp()))).toBe(true);
  });

  it('that is not the lab’s is refused', async () => {
    for (const place of ['r1:none', 'r9:veth1.1', 'veth1.1']) {
      const refused = await link(place, 'down');
      expect([place, refused.status, refused.stdout]).toEqual([place, 2, '']);
    }
  });
});

describe('exec', () => {
  it('of a program that is not there ends with 127 and says so', async () => {
    const ran = await netloom.run(['exec', 'two-namespaces', 'r1', '--', 'no-such-program']);
    expect(ran).toMatchObject({ status: 127, stdout: '' });
    expect(ran.stderr).toContain('no-such-program');
  });
});

describe('a transaction', () => {
  /** Enough work to be overtaken in. */
  const hosts = Array.from({ length: 120 }, (_, index) => `h${String(index)}`);
  const large = [
    'netloom: 1',
    'name: large',
    'topology:',
    '  nodes:',
    '    hub: { kind: bridge }',
    ...hosts.map((host) => `    ${host}: { kind: namespace }`),
    '  links:',
    ...hosts.map((host) => `    - endpoints: [${host}:e, hub:${host}]`),
    '',
  ].join('\n');

  it('excludes another, and every client sees how far it is', async () => {
    const events: LabEvent[] = [];
    const subscribed = await other.subscribe(
      'labs',
      (event) => events.push(event),
      () => undefined,
    );
    if (!subscribed.ok) throw new Error(subscribed.failure.reason);
    const path = await netloom.write('large.yaml', large);
    const target = { kind: 'document', text: large, path, replace: false } as const;
    const planned = await one.call('lab.plan', { target });
    if (!planned.ok) throw new Error(planned.failure.reason);
    const theirs = await plan(other, changed);
    const progress: TransactionProgress[] = [];
    const applying = one.call(
      'lab.apply',
      { plan: planned.value.id ?? '' },
      { onProgress: (step) => progress.push(step) },
    );
    expect(await waitUntil(() => progress.length > 0)).toBe(true);
    const refused = await other.call('lab.apply', { plan: theirs });
    expect(refused).toMatchObject({
      ok: false,
      failure: { kind: 'busy', values: { lab: 'large' } },
    });
    const applied = await applying;
    expect(applied).toMatchObject({ ok: true });
    // What the other client heard is of the same transaction, in order, to its end.
    const heard = events.flatMap((event) => (event.kind === 'transaction' ? [event.progress] : []));
    expect(heard.every((step) => step.plan === planned.value.id && step.lab === 'large')).toBe(
      true,
    );
    const phases = [...new Set(heard.map(({ phase }) => phase))];
    expect(phases).toEqual(['journal', 'execute', 'verify', 'commit']);
    const done = heard.filter(({ phase }) => phase === 'execute').map((step) => step.done);
    expect(done).toEqual([...done].sort((left, right) => left - right));
    expect(
      await waitUntil(() =>
        events.some(
          (event) =>
            event.kind === 'status' &&
            event.status.record.name === 'large' &&
            event.status.record.up &&
            !event.status.busy,
        ),
      ),
    ).toBe(true);
    subscribed.value.close();
    // The realm was busy, not the lab of the other: afterwards its plan still holds.
    expect(await other.call('lab.apply', { plan: theirs })).toMatchObject({ ok: true });
    await netloom.must(['down', 'large']);
  });

  it('is rolled back when whoever asked for it cancels', async () => {
    const before = readNetworkState(realm.inRealm);
    const path = await netloom.write('large.yaml', large);
    const target = { kind: 'document', text: large, path, replace: false } as const;
    const planned = await one.call('lab.plan', { target });
    if (!planned.ok) throw new Error(planned.failure.reason);
    const abort = new AbortController();
    const applied = await one.call(
      'lab.apply',
      { plan: planned.value.id ?? '' },
      {
        signal: abort.signal,
        onProgress: ({ phase, done }) => phase === 'execute' && done > 10 && abort.abort(),
      },
    );
    expect(applied).toMatchObject({ ok: false, failure: { kind: 'cancelled' } });
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
  });
});
