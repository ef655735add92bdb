/** Labs with Open vSwitch on the real thing: private engines with the userspace datapath, real packets. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { CheckResult } from '../../agent/api/lab.ts';
import { engineFiles } from '../../agent/ovs/engine-commands.ts';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  must,
  network,
  openBench,
  plan,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const lab = { lab: 'switched' } as const;

/** Two switches joined by patch ports; a and b in VLAN 10, c in VLAN 20, and the switch itself in VLAN 10. */
function switched({ vlanOfC = 20, flows = '' } = {}): string {
  return `
netloom: 1
name: switched
topology:
  nodes:
    s1:
      kind: ovs-bridge
      ports:
        pa: { vlan: 10 }
        pc: { vlan: ${vlanOfC} }
        up: { trunk: [10] }
        gw: { kind: internal, vlan: 10, addresses: [10.0.0.254/24] }
    s2:
      kind: ovs-bridge
      ports:
        pb: { vlan: 10 }
        down: { trunk: [10] }
${flows}
    a: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.1/24] } } }
    b: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.2/24] } } }
    c: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.3/24] } } }
  links:
    - { endpoints: ['a:e0', 's1:pa'] }
    - { endpoints: ['b:e0', 's2:pb'] }
    - { endpoints: ['c:e0', 's1:pc'] }
    - { type: patch, endpoints: ['s1:up', 's2:down'] }
checks:
  - { check: reach, from: a, to: b }
  - { check: reach, from: a, to: 10.0.0.254 }
  - { check: reach, from: a, to: c, expect: unreachable, timeout: 0.5 }
  - { check: rate, from: a, to: b, atLeast: 1mbit }
`;
}

async function prepared(bench: Bench, target: PlanTarget): Promise<PlanTarget> {
  await bench.labs.prepare(target);
  return target;
}

async function outcomes(bench: Bench): Promise<readonly CheckResult['outcome'][]> {
  const results = must(
    await bench.labs.check('switched', new AbortController().signal, () => undefined),
  );
  return results.map(({ outcome }) => outcome);
}

const files = engineFiles('/run/netloom/ovs/_realm');
const pidIn = (file: string): number => Number(readFileSync(file, 'utf8'));

/** Waits until it is so; Open vSwitch and the agent decide when. */
async function until(isSo: () => boolean): Promise<void> {
  for (let look = 0; !isSo(); look += 1) {
    if (look > 300) throw new Error('It did not come to be.');
    await delay(100);
  }
}

describe('a lab of Open vSwitch', () => {
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

  it('comes up, carries packets in its VLANs only, and has nothing to do the second time', async () => {
    must(await apply(bench, await prepared(bench, documentTarget(switched()))));
    expect(await outcomes(bench)).toEqual(['passed', 'passed', 'passed', 'passed']);
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(switched())).steps).toEqual([]);
    const { engines, links } = bench.tracker.snapshot();
    const [engine] = engines;
    expect(engine).toMatchObject({
      kind: 'private',
      datapath: 'netdev',
      database: { running: true },
      switch: { running: true },
    });
    const taps = links.filter(
      ({ kind, namespace }) => kind === 'tun' && namespace === engine?.namespace,
    );
    expect(taps.map(({ name, holders }) => [name, holders.map(({ pid }) => pid)]).sort()).toEqual(
      ['gw', 'ovs-netdev', 's1', 's2'].map((name) => [name, [pidIn(files.switchPid)]]),
    );
    expect(engine?.version).toMatch(/^\d+\.\d+/);
    expect(engine?.bridges.map(({ bridge, lab: owner }) => [bridge.name, owner])).toEqual([
      ['s1', 'switched'],
      ['s2', 'switched'],
    ]);
  });

  it('changes one tag as one step, and takes it back', async () => {
    must(await apply(bench, await prepared(bench, documentTarget(switched()))));
    const changed = documentTarget(switched({ vlanOfC: 10 }));
    expect(plan(bench, await prepared(bench, changed)).steps).toHaveLength(1);
    must(await apply(bench, changed));
    expect(await outcomes(bench)).toEqual(['passed', 'passed', 'failed', 'passed']);
    must(await apply(bench, await prepared(bench, { kind: 'undo', ...lab })));
    expect(await outcomes(bench)).toEqual(['passed', 'passed', 'passed', 'passed']);
  });

  it('has the flows that it is given, and loses them again', async () => {
    const drop = switched({
      flows: `      flows:
        - priority=100,icmp,nw_src=10.0.0.1,actions=drop
        - priority=0,actions=normal`,
    });
    must(await apply(bench, await prepared(bench, documentTarget(drop))));
    const [toB, toGateway] = await outcomes(bench);
    expect([toB, toGateway]).toEqual(['failed', 'passed']);
    await bench.labs.prepare(documentTarget(drop));
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(drop)).steps).toEqual([]);
    must(await apply(bench, await prepared(bench, documentTarget(switched()))));
    expect((await outcomes(bench))[0]).toBe('passed');
  });

  it.each(['switch', 'database'] as const)('goes on when its %s is killed', async (part) => {
    must(await apply(bench, await prepared(bench, documentTarget(switched()))));
    const file = part === 'switch' ? files.switchPid : files.databasePid;
    const pid = pidIn(file);
    process.kill(pid, 'SIGKILL');
    await until(() => {
      const [engine] = bench.tracker.snapshot().engines;
      const now = part === 'switch' ? engine?.switch : engine?.database;
      return now?.running === true && pidIn(file) !== pid && (engine?.events.length ?? 0) >= 2;
    });
    await until(() => {
      bench.tracker.refresh();
      return (
        bench.labs.running === null && plan(bench, documentTarget(switched())).steps.length === 0
      );
    });
    expect(await outcomes(bench)).toEqual(['passed', 'passed', 'passed', 'passed']);
  });

  it('is as before when a later step fails', async () => {
    await bench.close();
    bench = await openBench({ fault: 'fail-verify' });
    const failed = await apply(bench, await prepared(bench, documentTarget(switched())));
    expect(failed).toMatchObject({ ok: false, failure: { kind: 'rolled-back' } });
    expect(network()).toEqual(empty);
    expect(ip('-j', 'link', 'show', 'type', 'tun').trim()).not.toContain('s1');
  });

  it('is as before also where a machine’s switch would have the kernel’s datapath', async () => {
    await bench.close();
    bench = await openBench({ fault: 'fail-at:1', lackOf: () => null });
    const target = documentTarget(`
netloom: 1
name: switched
topology:
  nodes:
    m: { kind: namespace }
    s1: { kind: ovs-bridge, namespace: m }
`);
    const { steps } = plan(bench, await prepared(bench, target));
    expect(JSON.stringify(steps)).toContain('"system"');
    const failed = await apply(bench, target);
    expect(failed).toMatchObject({ ok: false, failure: { kind: 'rolled-back' } });
    expect(network()).toEqual(empty);
  });
});
