/** Agents and keepers that are killed: labs outlive the one, end with the other, and are never left in between. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { Inventory } from '../../agent/api/inventory.ts';
import type { Plan } from '../../agent/api/plan.ts';
import type { AgentClient } from '../../main/agent-link/client.ts';
import type { ConnectedAgent, Realms } from '../../main/agent-link/realms.ts';
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
  let netloom: Netloom;
  let link: Realms;
  let realm: RunningRealm;
  let agent: ConnectedAgent;

  beforeAll(async () => {
    netloom = new Netloom();
    link = netloom.link();
    realm = await netloom.emptyRealm('two-namespaces');
    const connected = await link.connect(realm.realm);
    if (!connected.ok) throw new Error(connected.failure.reason);
    agent = connected.value;
  });
  afterAll(() => netloom.dispose());

  const documentTarget = (document: string): PlanTarget => ({
    kind: 'document',
    text: document,
    path: null,
    replace: true,
  });

  async function plan(client: AgentClient, target: PlanTarget): Promise<Plan> {
    const planned = await client.call('lab.plan', { target });
    if (!planned.ok) throw new Error(JSON.stringify(planned.failure));
    expect(planned.value.refusals).toEqual([]);
    return planned.value;
  }

  /** Whether the agent survived it. */
  async function apply(client: AgentClient, target: PlanTarget): Promise<boolean> {
    const applied = await client.call('lab.apply', { plan: (await plan(client, target)).id ?? '' });
    if (applied.ok) return true;
    expect(applied.failure.kind).toBe('unreachable');
    return false;
  }

  async function replaceAgent(fault: string): Promise<void> {
    agent.client.close();
    const stopped = await link.stopAgent(realm.realm);
    if (!stopped.ok) throw new Error(stopped.failure.reason);
    agent = await netloom.startFaultyAgent(link, realm, fault);
  }

  const settledPoints = [
    'kill-before-journal',
    'kill-after-journal',
    'kill-before-verify',
    'kill-before-commit',
    'kill-mid-commit',
    'kill-after-commit',
  ];

  it.each<{
    readonly what: string;
    readonly before: PlanTarget | null;
    readonly wanted: PlanTarget;
  }>([
    { what: 'up from nothing', before: null, wanted: documentTarget(text) },
    { what: 'a change', before: documentTarget(text), wanted: documentTarget(changedText) },
    {
      what: 'a down',
      before: documentTarget(changedText),
      wanted: { kind: 'down', lab: 'two-namespaces' },
    },
  ])(
    'leaves the one state or the other: $what',
    { timeout: 240_000 },
    async ({ before, wanted }) => {
      const prepare: PlanTarget = before ?? { kind: 'down', lab: 'two-namespaces' };
      const isKnown = async (): Promise<boolean> => {
        const labs = await agent.client.call('lab.list', {});
        return labs.ok && labs.value.labs.length > 0;
      };
      const reset = async (): Promise<void> => {
        if (before !== null || (await isKnown())) await apply(agent.client, prepare);
      };
      await replaceAgent('');
      await reset();
      const first = readNetworkState(realm.inRealm);
      const { steps } = await plan(agent.client, wanted);
      expect(steps.length).toBeGreaterThan(3);
      expect(await apply(agent.client, wanted)).toBe(true);
      const last = readNetworkState(realm.inRealm);
      expect(networkDifferences(first, last)).not.toEqual([]);
      await reset();
      expect(labDifferences(first, readNetworkState(realm.inRealm))).toEqual([]);

      const points = [
        ...settledPoints,
        ...steps.flatMap((step, index) => [
          `kill-after:${String(index)}`,
          // The others are one message to the kernel: they have no middle.
          ...(step.verb === 'add' && ['namespace', 'veth', 'bridge'].includes(step.object)
            ? [`kill-mid:${String(index)}`]
            : []),
        ]),
      ];
      const outcomes: Record<string, string> = {};
      await replaceAgent(points[0] ?? '');
      for (const [at, point] of points.entries()) {
        expect(await apply(agent.client, wanted), `${point} must kill it`).toBe(false);
        // The agent that recovers is the one that the next point kills, unless that point counts in a recovery too.
        const next = points[at + 1] ?? '';
        const counts = next === 'kill-mid-commit';
        await replaceAgent(counts ? '' : next);
        expect(agent.info.recoveries.map(({ outcome }) => outcome)).not.toContain('failed');
        const now = readNetworkState(realm.inRealm);
        const [toFirst, toLast] = [labDifferences(first, now), labDifferences(last, now)];
        const isAtFirst = toFirst.length === 0;
        expect(isAtFirst || toLast.length === 0, neither(point, toFirst, toLast)).toBe(true);
        outcomes[point] = isAtFirst ? 'as before' : 'as asked';
        // The record says what the kernel has.
        const drift = await agent.client.call('lab.plan', { target: isAtFirst ? prepare : wanted });
        if (drift.ok) expect(drift.value.steps, point).toEqual([]);
        else expect(before, point).toBe(null);
        if (isAtFirst && !counts) continue;
        await replaceAgent('');
        if (!isAtFirst) await reset();
        await replaceAgent(next);
      }
      expect(new Set(Object.values(outcomes)).size, JSON.stringify(outcomes)).toBe(2);
    },
  );
});

function neither(point: string, toFirst: readonly string[], toLast: readonly string[]): string {
  return [
    `${point} left neither. From before:`,
    ...toFirst,
    'From what was asked for:',
    ...toLast,
  ].join('\n');
}
