/** Agents and keepers that are killed: labs outlive the one, end with the other, and are never left in between. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Inventory } from '../../agent/api/inventory.ts';
import type { PlanStep } from '../../agent/api/plan.ts';
import { AgentToKill, threeChanges } from '../harness/agent-to-kill.ts';
import {
  ended,
  gallery,
  isAlive,
  Netloom,
  parse,
  processesIn,
  type RunningRealm,
  waitUntil,
} from '../harness/netloom.ts';
import { labDifferences } from '../harness/lab-network.ts';
import { networkDifferences, readNetworkState } from '../harness/network-state.ts';

const file = path.join(gallery, 'two-namespaces.yaml');
const text = readFileSync(file, 'utf8');

/** Touches a bit of everything: objects that come, go, are made anew and change. */
const changedText = text
  .replace('172.16.0.2/24', '172.16.0.22/24')
  .replace(
    '    br-ex:\n      kind: bridge\n',
    `    br-ex:
      kind: bridge
      stp: true
      addresses: [172.17.0.1/24]
    br-in: { kind: bridge, namespace: r1 }
    r3:
      kind: namespace
      interfaces: { eth0: { addresses: [172.17.0.3/24], mtu: 1400 } }
      routes: [{ to: default, via: 172.17.0.1 }]
`,
  )
  .replace('  links:\n', '  links:\n    - endpoints: [r3:eth0, br-ex:port3]\n');

interface ListedLab {
  readonly name: string;
  readonly state: string;
  readonly revision: number | null;
}

async function listed(netloom: Netloom): Promise<ListedLab | undefined> {
  const result = await netloom.must(['list', '--json']);
  const { labs } = parse<{ readonly labs: readonly ListedLab[] }>(result);
  return labs.find(({ name }) => name === 'two-namespaces');
}

describe('a killed agent', () => {
  let netloom: Netloom;
  let realm: RunningRealm;
  beforeEach(async () => {
    netloom = new Netloom();
    await netloom.must(['up', file, '--yes']);
    realm = await netloom.realm('two-namespaces');
  });
  afterEach(() => netloom.dispose());

  it('does not cost a ping between nodes one answer, and its successor shows what the kernel has', async () => {
    const before = readNetworkState(realm.inRealm);
    const ping = netloom.startInRealm(realm.keeper, [
      ...['ip', 'netns', 'exec', 'r1', 'ping', '-n', '-i', '0.05', '-c', '100', '-W', '5'],
      '172.16.0.2',
    ]);
    const pinged = ended(ping);
    let answers = 0;
    ping.stdout?.on('data', (chunk: Buffer) => {
      answers += chunk.toString().split('icmp_seq=').length - 1;
    });
    expect(await waitUntil(() => answers >= 10)).toBe(true);
    process.kill(realm.agent ?? 0, 'SIGKILL');
    expect(await waitUntil(() => !isAlive(realm.agent ?? 0))).toBe(true);
    expect(isAlive(realm.keeper)).toBe(true);

    // What only looks says so, and how to start it again.
    const status = (await netloom.realms()).find((one) => one.realm === realm.realm);
    expect(status).toMatchObject({ state: 'agent-lost', keeperPid: realm.keeper, agentPid: null });
    const shown = await netloom.run(['show', '--realm', realm.realm]);
    expect(shown.status).toBe(3);
    expect(shown.stderr).toContain(`netloom agent start --realm ${realm.realm}`);
    // Somebody changes something while nobody watches.
    realm.inRealm(['ip', '-n', 'r2', 'address', 'add', '10.9.9.9/32', 'dev', 'lo']);
    await netloom.must(['agent', 'start', '--realm', realm.realm]);
    const inventory = parse<{ readonly realms: readonly { readonly inventory: Inventory }[] }>(
      await netloom.must(['show', '--realm', realm.realm, '--json']),
    ).realms[0]?.inventory;
    const seen = (inventory?.links ?? []).flatMap((link) => {
      const home = inventory?.namespaces.find(({ id }) => id === link.namespace);
      const namespace = home?.root === true ? '' : (home?.names[0] ?? '?');
      return link.addresses.map(({ address }) => `${namespace} ${link.name} ${address}`);
    });
    expect(seen.sort()).toEqual(addressesOf(realm, ['', 'r1', 'r2']).sort());
    expect(seen).toContain('r2 lo 10.9.9.9/32');
    realm.inRealm(['ip', '-n', 'r2', 'address', 'del', '10.9.9.9/32', 'dev', 'lo']);

    const { stdout } = await pinged;
    expect(stdout).toContain('100 packets transmitted, 100 received, 0% packet loss');
    // The ping has ended by now, and is no part of the network.
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
  });

  it('is started again by the next change', async () => {
    process.kill(realm.agent ?? 0, 'SIGKILL');
    expect(await waitUntil(() => !isAlive(realm.agent ?? 0))).toBe(true);
    const up = await netloom.must(['up', file, '--yes']);
    expect(up.stderr).toContain('starting it again');
    expect(up.stdout).toContain('0 operations');
    await netloom.must(['down', 'two-namespaces']);
    expect(isAlive(realm.keeper)).toBe(false);
  });
});

/** Every address as `NAMESPACE LINK ADDRESS`, by `ip -j`. */
function addressesOf(realm: RunningRealm, namespaces: readonly string[]): string[] {
  return namespaces.flatMap((namespace) => {
    const where = namespace === '' ? [] : ['-n', namespace];
    const links = JSON.parse(realm.inRealm(['ip', ...where, '-j', 'address', 'show'])) as readonly {
      readonly ifname: string;
      readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
    }[];
    return links.flatMap(({ ifname, addr_info }) =>
      addr_info.map(
        ({ local, prefixlen }) => `${namespace} ${ifname} ${local}/${String(prefixlen)}`,
      ),
    );
  });
}

describe('a killed keeper', () => {
  let netloom: Netloom;
  beforeAll(() => {
    netloom = new Netloom();
  });
  afterAll(() => netloom.dispose());

  it('takes all of the lab with it and leaves the history', async () => {
    await netloom.must(['up', file, '--yes']);
    const edited = await netloom.write('changed.yaml', changedText);
    await netloom.must(['up', edited, '--yes', '--replace']);
    const realm = await netloom.realm('two-namespaces');
    const expected = readNetworkState(realm.inRealm);
    const running = netloom.startInRealm(realm.keeper, [
      'ip',
      'netns',
      'exec',
      'r1',
      'sleep',
      '1000',
    ]);
    const over = ended(running);
    expect(processesIn(realm.processes).length).toBeGreaterThan(1);

    process.kill(realm.keeper, 'SIGKILL');
    expect(await waitUntil(() => processesIn(realm.processes).length === 0)).toBe(true);
    await over;
    expect(await waitUntil(() => processesIn(realm.network).length === 0)).toBe(true);
    expect(await listed(netloom)).toMatchObject({ state: 'gone', revision: 2 });
    expect((await netloom.run(['check', 'two-namespaces'])).status).toBe(3);
    const undo = await netloom.run(['undo', 'two-namespaces']);
    expect(undo.status).not.toBe(0);
    expect(undo.stderr).toContain('revision 2');

    await netloom.must(['up', edited, '--yes', '--revision', '2']);
    const again = await netloom.realm('two-namespaces');
    expect(networkDifferences(expected, readNetworkState(again.inRealm))).toEqual([]);
    expect(await listed(netloom)).toMatchObject({ state: 'up', revision: 2 });
    await netloom.must(['undo', 'two-namespaces']);
    expect(await listed(netloom)).toMatchObject({ revision: 1 });
    await netloom.must(['down', '--all']);
  });
});

describe('an agent killed in an apply', () => {
  const lab = 'two-namespaces';
  const isHalfMade = ({ verb, object }: PlanStep): boolean =>
    verb === 'add' && ['namespace', 'veth', 'bridge'].includes(object);
  let victim: AgentToKill;
  beforeAll(async () => {
    victim = await AgentToKill.open(lab);
  });
  afterAll(() => victim.dispose());

  it.each(threeChanges(lab, text, changedText))(
    'leaves the one state or the other: $what',
    { timeout: 240_000 },
    (change) =>
      victim.expectOneOrTheOther(change, {
        read: (realm) => readNetworkState(realm.inRealm),
        differences: labDifferences,
        // The others are one message to the kernel: they have no middle.
        pointsOf: (step, index) => [
          `kill-after:${String(index)}`,
          ...(isHalfMade(step) ? [`kill-mid:${String(index)}`] : []),
        ],
      }),
  );
});
