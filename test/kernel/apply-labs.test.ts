import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  must,
  namespaces,
  network,
  notesLab,
  openBench,
  plan,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const notes = { lab: 'notes' } as const;

describe('a lab on the real kernel', () => {
  let bench: Bench;
  let empty: unknown;
  beforeAll(requirePrivateNamespaces);
  beforeEach(async () => {
    empty = network();
    bench = await openBench();
  });
  afterEach(async () => {
    for (const { record } of bench.labs.list()) {
      if (record.up) must(await apply(bench, { kind: 'down', lab: record.name }));
    }
    await bench.close();
    expect(network()).toEqual(empty);
  });

  it('comes up as the document says, marked as ours', async () => {
    const outcome = must(await apply(bench, documentTarget(notesLab())));
    expect(outcome).toMatchObject({ lab: 'notes', up: true, revision: 1 });
    expect(namespaces()).toEqual(['r1', 'r2']);
    const state = network() as Record<string, { links: unknown[]; routes: string[] }>;
    expect(state['r1']?.links).toEqual([
      {
        name: 'lo',
        kind: null,
        up: true,
        mtu: 65536,
        master: null,
        alias: 'netloom:notes',
        addresses: ['127.0.0.1/8', '::1/128'],
      },
      {
        name: 'port1',
        kind: 'veth',
        up: true,
        mtu: 1500,
        master: null,
        alias: 'netloom:notes',
        addresses: [],
      },
      {
        name: 'veth1.1',
        kind: 'veth',
        up: true,
        mtu: 1500,
        master: null,
        alias: 'netloom:notes',
        addresses: ['172.16.0.1/24', 'fd00::1/64'],
      },
    ]);
    expect(state['r1']?.routes.map((text) => JSON.parse(text))).toContainEqual({
      to: '10.9.0.0/16',
      via: '172.16.0.2',
      dev: 'veth1.1',
      metric: null,
      protocol: '78',
    });
    expect(state['realm']?.links).toContainEqual({
      name: 'br-ex',
      kind: 'bridge',
      up: true,
      mtu: 1500,
      master: null,
      alias: 'netloom:notes',
      addresses: ['172.20.0.1/24'],
    });
    expect(state['realm']?.links).toContainEqual(
      expect.objectContaining({ name: 'p1', master: 'br-ex', up: true }),
    );
  });

  it('has nothing to do the second time', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    expect(plan(bench, documentTarget(notesLab())).steps).toEqual([]);
    const again = must(await apply(bench, documentTarget(notesLab())));
    expect(again).toMatchObject({ operations: 0, revision: 1 });
  });

  it('leaves nothing when it goes down, keeps its history, and comes up again', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const up = network();
    const down = must(await apply(bench, { kind: 'down', ...notes }));
    expect(down).toMatchObject({ up: false, realmEmpty: true, revision: 1 });
    expect(network()).toEqual(empty);
    const undone = bench.labs.plan({ kind: 'undo', ...notes });
    expect(undone).toMatchObject({ ok: false, failure: { kind: 'refused', code: 'lab-down' } });
    if (!undone.ok) expect(undone.failure.next).toContain('revision 1');
    must(await apply(bench, { kind: 'revision', ...notes, revision: 1 }));
    expect(network()).toEqual(up);
  });

  it('steps back and forth through its revisions, down to nothing', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const first = network();
    const changed = plan(bench, documentTarget(notesLab('172.16.0.9/24')));
    // The address, and around it the route whose gateway is in its subnet.
    expect(changed.steps).toHaveLength(3);
    must(await apply(bench, documentTarget(notesLab('172.16.0.9/24'))));
    const second = network();
    expect(second).not.toEqual(first);
    must(await apply(bench, { kind: 'undo', ...notes }));
    expect(network()).toEqual(first);
    must(await apply(bench, { kind: 'undo', ...notes }));
    expect(network()).toEqual(empty);
    expect(bench.labs.plan({ kind: 'undo', ...notes })).toMatchObject({
      ok: false,
      failure: { code: 'nothing-to-undo' },
    });
    must(await apply(bench, { kind: 'redo', ...notes }));
    must(await apply(bench, { kind: 'redo', ...notes }));
    expect(network()).toEqual(second);
    expect(bench.labs.list()[0]?.record).toMatchObject({ revision: 2, up: true });
  });

  it('drops what could be redone when something else is applied', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    must(await apply(bench, documentTarget(notesLab('172.16.0.9/24'))));
    must(await apply(bench, { kind: 'undo', ...notes }));
    must(await apply(bench, documentTarget(notesLab('172.16.0.10/24'))));
    const { record } = must(bench.labs.document('notes', null)).status;
    expect(record.revisions.map(({ number }) => number)).toEqual([1, 2]);
    expect(must(bench.labs.document('notes', 2)).text).toContain('172.16.0.10/24');
    expect(bench.labs.plan({ kind: 'redo', ...notes })).toMatchObject({
      ok: false,
      failure: { code: 'nothing-to-redo' },
    });
  });

  it('refuses a plan after the network, the base or the document has changed', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const never = new AbortController().signal;
    const first = plan(bench, documentTarget(notesLab('172.16.0.9/24')));
    ip('-n', 'r1', 'link', 'set', 'veth1.1', 'mtu', '1300');
    const stale = await bench.labs.apply(first.id, never, () => undefined);
    expect(stale).toMatchObject({ ok: false, failure: { kind: 'stale-plan' } });
    const repair = plan(bench, documentTarget(notesLab()));
    expect(repair.steps).toHaveLength(1);
    must(await bench.labs.apply(repair.id, never, () => undefined));
    const one = plan(bench, documentTarget(notesLab('172.16.0.9/24')));
    must(await apply(bench, documentTarget(notesLab('172.16.0.10/24'))));
    expect(await bench.labs.apply(one.id, never, () => undefined)).toMatchObject({
      ok: false,
      failure: { kind: 'stale-plan' },
    });
    expect(await bench.labs.apply('0'.repeat(64), never, () => undefined)).toMatchObject({
      ok: false,
      failure: { kind: 'stale-plan' },
    });
  });

  it('does one thing at a time, and says what it is doing', async () => {
    const never = new AbortController().signal;
    const one = plan(bench, documentTarget(notesLab()));
    const two = plan(bench, documentTarget(notesLab('172.16.0.9/24')));
    const running = bench.labs.apply(one.id, never, () => undefined);
    expect(await bench.labs.apply(two.id, never, () => undefined)).toMatchObject({
      ok: false,
      failure: { kind: 'busy', values: { lab: 'notes' } },
    });
    must(await running);
    const phases = bench.events.flatMap((event) =>
      event.kind === 'transaction' ? [event.progress.phase] : [],
    );
    expect([...new Set(phases)]).toEqual(['journal', 'execute', 'verify', 'commit']);
  });

  it('does not touch what bears no mark', async () => {
    ip('link', 'add', 'mine', 'type', 'bridge');
    ip('netns', 'add', 'other');
    try {
      const before = network();
      must(await apply(bench, documentTarget(notesLab())));
      must(await apply(bench, { kind: 'down', ...notes }));
      expect(network()).toEqual(before);
      ip('link', 'add', 'br-ex', 'type', 'bridge');
      const taken = plan(bench, documentTarget(notesLab()));
      expect(taken.refusals).toMatchObject([{ kind: 'name-taken', object: 'br-ex' }]);
      const refused = await apply(bench, documentTarget(notesLab()));
      expect(refused).toMatchObject({ ok: false, failure: { kind: 'name-taken' } });
    } finally {
      ip('link', 'delete', 'br-ex');
      ip('link', 'delete', 'mine');
      ip('netns', 'delete', 'other');
    }
  });

  it('keeps a name for one file, unless it is replaced', async () => {
    must(await apply(bench, documentTarget(notesLab(), { path: '/a.yaml' })));
    const other = documentTarget(notesLab('172.16.0.9/24'), { path: '/b.yaml' });
    const refused = await apply(bench, other);
    expect(refused).toMatchObject({
      ok: false,
      failure: { kind: 'name-taken', values: { path: '/a.yaml', other: '/b.yaml' } },
    });
    must(await apply(bench, { ...other, replace: true } as typeof other));
    expect(bench.labs.list()[0]?.record).toMatchObject({ path: '/b.yaml', revision: 2 });
  });

  it('notices drift and its end', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    ip('-n', 'r2', 'link', 'set', 'veth1.2', 'down');
    await expect.poll(() => bench.labs.list()[0]?.drift).toBeGreaterThan(0);
    must(await apply(bench, documentTarget(notesLab())));
    expect(bench.labs.list()[0]?.drift).toBe(0);
  });

  it('checks with packets of its own', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    const results = must(
      await bench.labs.check('notes', new AbortController().signal, () => undefined),
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(['passed', 'passed']);
    expect(results[0]?.roundTripMilliseconds).toBeGreaterThan(0);
    expect(bench.labs.list()[0]?.checks).toEqual(results);
  });

  it('can be cancelled, and is then as before', async () => {
    const controller = new AbortController();
    const made = plan(bench, documentTarget(notesLab()));
    const outcome = await bench.labs.apply(made.id, controller.signal, ({ phase }) => {
      if (phase === 'execute') controller.abort();
    });
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'cancelled' } });
    expect(network()).toEqual(empty);
    expect(bench.labs.list()).toEqual([]);
  });

  it('forgets a lab that is down, and only then', async () => {
    must(await apply(bench, documentTarget(notesLab())));
    expect(bench.labs.forget('notes')).toMatchObject({ ok: false, failure: { kind: 'refused' } });
    must(await apply(bench, { kind: 'down', ...notes }));
    must(bench.labs.forget('notes'));
    expect(bench.labs.list()).toEqual([]);
  });
});
