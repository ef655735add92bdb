/** An interface that the lab did not make as a port of an Open vSwitch bridge: it carries packets and stays as it was. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
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

const uplinked = `
netloom: 1
name: uplinked
topology:
  nodes:
    sw: { kind: ovs-bridge, ports: { nic0: { kind: physical, vlan: 7 }, ph: { vlan: 7 } } }
    h: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.1/24] } } }
  links:
    - { endpoints: ['h:e0', 'sw:ph'] }
`;

/** What ethtool says of both ends of the NIC's wire, which offload what they did before. */
function features(): string {
  const of = (...command: readonly string[]): string =>
    execFileSync('ip', ['netns', 'exec', 'outside', ...command], { encoding: 'utf8' });
  return (
    of('ethtool', '-k', 'far0') + execFileSync('ethtool', ['-k', 'nic0'], { encoding: 'utf8' })
  );
}

describe('a physical port', () => {
  let bench: Bench;
  beforeAll(() => {
    requirePrivateNamespaces();
    ip('netns', 'add', 'outside');
    ip('link', 'add', 'nic0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', 'outside');
    ip('-n', 'outside', 'addr', 'add', '10.0.0.9/24', 'dev', 'far0');
    ip('-n', 'outside', 'link', 'set', 'far0', 'up');
    ip('link', 'set', 'nic0', 'up');
  });
  afterAll(() => {
    ip('link', 'del', 'nic0');
    ip('netns', 'del', 'outside');
  });
  beforeEach(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.close());

  it('leads to whoever is behind it, and is given back as it was', async () => {
    const [before, offloads] = [network(), features()];
    must(await apply(bench, documentTarget(uplinked)));
    ip('netns', 'exec', 'outside', 'ping', '-c', '1', '-W', '5', '10.0.0.1');
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(uplinked)).steps).toEqual([]);
    expect(features()).toBe(offloads);
    must(await apply(bench, { kind: 'down', lab: 'uplinked' }));
    expect(network()).toEqual(before);
    expect(features()).toBe(offloads);
  });

  it.each([
    [
      'physical-port-missing',
      ['link', 'set', 'nic0', 'name', 'nic1'],
      ['link', 'set', 'nic1', 'name', 'nic0', 'up'],
    ],
    [
      'physical-port-addressed',
      ['addr', 'add', '192.0.2.1/24', 'dev', 'nic0'],
      ['addr', 'flush', 'dev', 'nic0', 'scope', 'global'],
    ],
  ] as const)('is refused as %s', async (code, make, unmake) => {
    if (code === 'physical-port-missing') ip('link', 'set', 'nic0', 'down');
    ip(...make);
    const before = network();
    bench.tracker.refresh();
    expect(plan(bench, documentTarget(uplinked)).refusals).toMatchObject([
      { code, object: 'sw:nic0' },
    ]);
    expect(await apply(bench, documentTarget(uplinked))).toMatchObject({ failure: { code } });
    expect(network()).toEqual(before);
    ip(...unmake);
  });

  it('is refused where it is a port of another bridge, and told of when it is down', async () => {
    ip('link', 'add', 'theirs', 'type', 'bridge');
    ip('link', 'set', 'nic0', 'master', 'theirs');
    bench.tracker.refresh();
    const refused = plan(bench, documentTarget(uplinked)).refusals;
    expect(refused).toMatchObject([{ code: 'physical-port-taken', values: { master: 'theirs' } }]);
    ip('link', 'del', 'theirs');
    ip('link', 'set', 'nic0', 'down');
    bench.tracker.refresh();
    const { refusals, warnings } = plan(bench, documentTarget(uplinked));
    expect(refusals).toEqual([]);
    expect(warnings).toMatchObject([{ code: 'physical-port-down', object: 'sw:nic0' }]);
    ip('link', 'set', 'nic0', 'up');
  });
});
