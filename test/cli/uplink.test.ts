/** The deadline of an uplink by the command line, in sandboxes, as root and as an ordinary user. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApplyOutcome, Awaiting } from '../../agent/api/index.ts';
import { isAlive, Netloom, ordinaryUser, parse, type RunningRealm } from '../harness/netloom.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

const isRoot = process.getuid?.() === 0;
const people = [
  { who: isRoot ? 'root' : 'the person who runs the tests', user: process.getuid?.() ?? 0 },
  ...(isRoot ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

const nic = `
ip netns add beyond
ip link add enp1s0 type veth peer name eth0 netns beyond
ip -n beyond address add 192.168.0.1/24 dev eth0
ip -n beyond address add 203.0.113.1/24 dev eth0
ip -n beyond link set eth0 up
ip address add 192.168.0.97/24 broadcast 192.168.0.255 dev enp1s0
ip link set enp1s0 up
ip route add default via 192.168.0.1 dev enp1s0 proto dhcp src 192.168.0.97 metric 100
`;

const document = `netloom: 1
name: way-out
topology:
  nodes:
    br-ex: { kind: bridge, uplink: enp1s0 }
    vm: { kind: namespace, interfaces: { eth0: { addresses: [192.168.0.101/24] } } }
  links: [{ endpoints: ['vm:eth0', 'br-ex:p1'] }]
checks:
  - { check: reach, from: vm, to: 192.168.0.1 }
`;

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;
  let realm: RunningRealm;
  let before: NetworkState;
  let file: string;
  let up: readonly string[];

  beforeAll(async () => {
    netloom = new Netloom({ user });
    file = await netloom.write('way-out.yaml', document);
    up = ['up', file, '--realm', 'sandbox:nic', '--yes'];
    realm = await netloom.emptyRealm('nic');
    realm.script(nic);
    before = readNetworkState(realm.inRealm);
  });
  afterAll(() => netloom.dispose());
  beforeEach(async () => {
    realm = await netloom.emptyRealm('nic');
  });

  const now = (): NetworkState => readNetworkState(realm.inRealm);
  const route = (): string => realm.inRealm(['ip', 'route', 'show', 'default']).trim();
  const isBack = (): void => {
    expect(networkDifferences(before, now())).toEqual([]);
  };

  it('says how to keep it, keeps it, and gives it back when the lab goes down', async () => {
    const result = await netloom.must([...up, '--confirm-within', '600']);
    expect(result.stderr).toContain('Not confirmed within 600 s, it is taken back.');
    expect(result.stderr).toContain('Keep it with: netloom confirm way-out');
    expect(route()).toBe(
      'default via 192.168.0.1 dev br-ex proto dhcp src 192.168.0.97 metric 100',
    );
    expect((await netloom.must(['list'])).stdout).toMatch(
      /way-out +up, waits \d+ s to be confirmed/,
    );
    expect((await netloom.must(['show'])).stdout).toMatch(/^way-out waits \d+ s to be confirmed/);
    const other = await netloom.run(['down', 'way-out']);
    expect([other.status, other.stderr]).toEqual([
      1,
      expect.stringContaining('waits to be confirmed'),
    ]);
    expect((await netloom.must(['confirm', 'way-out'])).stdout).toBe(
      'way-out stays at revision 1.\n',
    );
    expect((await netloom.run(['confirm', 'way-out'])).status).toBe(1);
    expect((await netloom.must(['list'])).stdout).toMatch(/way-out +up +sandbox:nic/);
    const again = parse<{ outcome: ApplyOutcome }>(await netloom.must([...up, '--json']));
    expect(again.outcome).toMatchObject({ operations: 0, awaiting: null });
    await netloom.must(['undo', 'way-out']);
    isBack();
    expect(isAlive(realm.keeper)).toBe(true);
  });

  it('goes back without an agent and without a terminal', async () => {
    const result = parse<{ outcome: ApplyOutcome }>(
      await netloom.must([...up, '--confirm-within', '5', '--json']),
    );
    const awaiting: Awaiting | null = result.outcome.awaiting;
    expect(awaiting?.endsInMilliseconds).toBeLessThanOrEqual(6000);
    process.kill((await netloom.namedRealm('sandbox:nic')).agent ?? 0, 'SIGKILL');
    await expect
      .poll(() => networkDifferences(before, now()), { timeout: 60_000, interval: 500 })
      .toEqual([]);
    expect(isAlive(realm.keeper)).toBe(true);
    const late = await netloom.run(['confirm', 'way-out']);
    expect(late.status).not.toBe(0);
  });

  it('is confirmed by a command that has to start the agent again first', async () => {
    await netloom.must([...up, '--confirm-within', '600']);
    process.kill((await netloom.namedRealm('sandbox:nic')).agent ?? 0, 'SIGKILL');
    await expect
      .poll(async () => (await netloom.namedRealm('sandbox:nic')).agent, { timeout: 30_000 })
      .toBe(null);
    await netloom.must(['agent', 'start', '--realm', 'sandbox:nic']);
    await netloom.must(['revert', 'way-out']);
    isBack();
  });

  it('refuses to do without a deadline, and what is no time', async () => {
    const never = await netloom.run([...up, '--confirm-within', 'never']);
    expect([never.status, never.stderr]).toEqual([1, expect.stringContaining('the only way out')]);
    isBack();
    expect((await netloom.run([...up, '--confirm-within', '4'])).status).toBe(2);
  });
});
