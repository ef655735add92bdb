import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  makeStateDirectory,
  must,
  network,
  openBench,
  plan,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

/** Two bridges with a cable between them; the first is the root, and each has times of its own. */
function tree({ root = 6, other = 10, otherPriority = 32768 } = {}): string {
  return `
netloom: 1
name: tree
topology:
  nodes:
    one: { kind: bridge, stp: true, priority: 4096, forwardDelay: ${root}, helloTime: 1, maximumAge: 8 }
    two: { kind: bridge, stp: true, priority: ${otherPriority}, forwardDelay: ${other}, helloTime: 3, maximumAge: 12 }
  links:
    - endpoints: [one:p1, two:p2]
`;
}

interface BridgeData {
  readonly forward_delay: number;
  readonly root_port: number;
}

function bridge(name: string): BridgeData {
  const [link] = JSON.parse(ip('-j', '-d', 'link', 'show', name)) as [
    { linkinfo: { info_data: BridgeData } },
  ];
  return link.linkinfo.info_data;
}

/** Waits until the kernel says so; it decides when. */
async function until(isSo: () => boolean): Promise<void> {
  for (let look = 0; !isSo(); look += 1) {
    if (look > 300) throw new Error('The spanning tree did not become what was expected.');
    await delay(100);
  }
}

describe('times of a spanning tree', () => {
  let bench: Bench;
  let empty: unknown;
  let state: string;
  beforeAll(requirePrivateNamespaces);
  beforeEach(async () => {
    empty = network();
    state = makeStateDirectory();
    bench = await openBench({ state });
  });
  afterEach(async () => {
    for (const { record } of bench.labs.list()) {
      if (record.up) must(await apply(bench, { kind: 'down', lab: record.name }));
    }
    await bench.close();
    rmSync(state, { recursive: true, force: true });
    expect(network()).toEqual(empty);
  });

  const follows = (): boolean => bridge('two').root_port !== 0;

  it('are the root’s at every bridge, which is no drift', async () => {
    must(await apply(bench, documentTarget(tree())));
    await until(follows);
    expect(bridge('two').forward_delay).toBe(600);
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(tree())).steps).toEqual([]);
    expect(must(await apply(bench, documentTarget(tree())))).toMatchObject({ operations: 0 });
  });

  it('of a bridge that follows can be changed, and taken back', async () => {
    must(await apply(bench, documentTarget(tree())));
    await until(follows);
    bench.tracker.refresh();
    const changed = tree({ other: 14 });
    expect(plan(bench, documentTarget(changed)).steps).toMatchObject([
      { label: 'two', commands: ['ip link set two type bridge forward_delay 1400'] },
    ]);
    expect(must(await apply(bench, documentTarget(changed)))).toMatchObject({ operations: 1 });
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(changed)).steps).toEqual([]);
    // Without its root it is one itself, and shows what it was given.
    ip('link', 'set', 'one', 'down');
    await until(() => !follows());
    expect(bridge('two').forward_delay).toBe(1400);
    ip('link', 'set', 'one', 'up');
    await until(follows);
    bench.tracker.refresh();
    must(await apply(bench, { kind: 'undo', lab: 'tree' }));
    ip('link', 'set', 'one', 'down');
    await until(() => !follows());
    expect(bridge('two').forward_delay).toBe(1000);
    ip('link', 'set', 'one', 'up');
  });

  it('are its own again when the bridge becomes the root', async () => {
    must(await apply(bench, documentTarget(tree())));
    await until(follows);
    bench.tracker.refresh();
    must(await apply(bench, documentTarget(tree({ other: 12, otherPriority: 0 }))));
    await until(() => !follows());
    expect(bridge('two').forward_delay).toBe(1200);
    await until(() => bridge('one').root_port !== 0);
    bench.tracker.refresh();
    const again = tree({ other: 12, otherPriority: 0 });
    expect(plan(bench, documentTarget(again)).steps).toEqual([]);
  });

  it('do not make a failed change look as if it was not taken back', async () => {
    must(await apply(bench, documentTarget(tree())));
    await until(follows);
    await bench.close();
    bench = await openBench({ state, fault: 'fail-verify' });
    const failed = await apply(bench, documentTarget(tree({ root: 7, other: 14 })));
    await bench.close();
    bench = await openBench({ state });
    expect(failed).toMatchObject({ ok: false, failure: { kind: 'rolled-back' } });
    expect(bridge('one').forward_delay).toBe(600);
    ip('link', 'set', 'one', 'down');
    await until(() => !follows());
    expect(bridge('two').forward_delay).toBe(1000);
    ip('link', 'set', 'one', 'up');
  });
});
