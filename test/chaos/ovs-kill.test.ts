/** Open vSwitch and the agent over it, killed: before or after, never between, and traffic goes on. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OvsEngineView } from '../../agent/api/ovs.ts';
import type { PlanStep } from '../../agent/api/plan.ts';
import { AgentToKill, documentTarget, threeChanges } from '../harness/agent-to-kill.ts';
import { labDifferences } from '../harness/lab-network.ts';
import { ended, type RunningRealm } from '../harness/netloom.ts';
import { type NetworkState, readNetworkState } from '../harness/network-state.ts';
import { ovsDifferences, type OvsState, ovsState } from '../harness/ovs-state.ts';

const lab = 'struck';
const engines = '/run/netloom/ovs';

/** Two switches in the realm, and one in a machine; a, b and c at them. */
const text = `
netloom: 1
name: ${lab}
topology:
  nodes:
    s1:
      kind: ovs-bridge
      ports:
        pa: { vlan: 10 }
        up: { trunk: [10] }
        gw: { kind: internal, vlan: 10, addresses: [10.0.0.254/24] }
      flows: ['priority=5,in_port=pa,dl_type=0x86dd actions=drop', 'priority=0 actions=NORMAL']
    s2: { kind: ovs-bridge, ports: { pb: { vlan: 10 }, down: { trunk: [10] } } }
    m: { kind: namespace }
    s3: { kind: ovs-bridge, namespace: m, ports: { pc: {} }, addresses: [10.1.0.254/24] }
    a: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.1/24] } } }
    b: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.2/24] } } }
    c: { kind: namespace, interfaces: { e0: { addresses: [10.1.0.3/24] } } }
  links:
    - { endpoints: ['a:e0', 's1:pa'] }
    - { endpoints: ['b:e0', 's2:pb'] }
    - { endpoints: ['c:e0', 's3:pc'] }
    - { type: patch, endpoints: ['s1:up', 's2:down'] }
`;

/** A bit of everything comes, goes and changes, engines included. */
const changedText = text
  .replace('pa: { vlan: 10 }', 'pa: { vlan: 20 }')
  .replace(
    'vlan: 10, addresses: [10.0.0.254/24]',
    'vlan: 20, mtu: 1400, addresses: [10.0.0.253/24]',
  )
  .replace('priority=5', 'priority=6')
  .replace('pb: { vlan: 10 }, ', 'pb: { qos: { maximumRate: 9mbit } }, ')
  .replace(
    / {4}m: .*\n {4}s3: .*\n/,
    '    s3: { kind: ovs-bridge, ports: { pc: {} }, rstp: true }\n',
  );

interface State {
  readonly network: NetworkState;
  readonly switches: Readonly<Record<string, OvsState>>;
}

function read(realm: RunningRealm): State {
  const names = realm.inRealm(['sh', '-c', `ls ${engines} 2>/dev/null; true`]).split('\n');
  return {
    network: readNetworkState(realm.inRealm),
    switches: Object.fromEntries(
      names
        .filter((name) => name !== '')
        .map((name) => [name, ovsState(`${engines}/${name}`, realm.inRealm)]),
    ),
  };
}

/** Rows that were made anew differ in what tells one from another, bridges in the MAC that Open vSwitch draws for them. */
function differences(before: State, after: State): readonly string[] {
  const names = new Set([...Object.keys(before.switches), ...Object.keys(after.switches)]);
  return [
    ...labDifferences(before.network, after.network).filter(
      (difference) => !/^\/\w*\/links\/s\d\/mac: /.test(difference),
    ),
    ...[...names].flatMap((name) => {
      const [one, other] = [before.switches[name], after.switches[name]];
      if (one === undefined || other === undefined) {
        return [`engine ${name}: ${one === undefined ? 'new' : 'gone'}`];
      }
      return ovsDifferences({ ...one, identities: {} }, { ...other, identities: {} }).map(
        (difference) => `engine ${name}: ${difference}`,
      );
    }),
  ];
}

function isOfSwitches(object: PlanStep['object']): boolean {
  return ['engine', 'ovs-bridge', 'openflow'].includes(object);
}

describe('an agent killed in an apply with Open vSwitch', () => {
  let victim: AgentToKill;
  beforeAll(async () => {
    victim = await AgentToKill.open(lab);
  });
  afterAll(() => victim.dispose());

  it.each(threeChanges(lab, text, changedText))(
    'leaves the one state or the other: $what',
    { timeout: 600_000 },
    (change) =>
      victim.expectOneOrTheOther(change, {
        read,
        differences,
        pointsOf: ({ object }, index) => {
          if (!isOfSwitches(object)) return [];
          // Between the transaction of the database and the mark on the links.
          const mid = object === 'ovs-bridge' ? ['kill-mid'] : [];
          return ['kill-before', ...mid, 'kill-after'].map((point) => `${point}:${String(index)}`);
        },
      }),
  );
});

/** As a person would, in the realm. */
function kill(realm: RunningRealm, engine: string, daemons: readonly string[]): void {
  const files = daemons.map((daemon) => `${engines}/${engine}/${daemon}.pid`);
  // It may have ended by itself just now.
  realm.inRealm(['sh', '-c', `kill -9 $(cat ${files.join(' ')}) 2>/dev/null; true`]);
}

function eventually(attempt: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(attempt, { timeout: 60_000, interval: 200 });
}

const daemons = ['ovs-vswitchd', 'ovsdb-server'] as const;

describe('daemons of Open vSwitch that are killed', () => {
  let victim: AgentToKill;
  let realm: RunningRealm;
  let first: State;
  beforeAll(async () => {
    victim = await AgentToKill.open(lab);
    ({ realm } = victim);
    expect(await victim.apply(documentTarget(text))).toBe(true);
    first = read(realm);
  });
  beforeEach(async () => {
    expect(await victim.apply(documentTarget(text))).toBe(true);
    expect(differences(first, read(realm))).toEqual([]);
  });
  afterAll(() => victim.dispose());

  /** What the daemons of the realm say, for a failure. */
  function logs(): string {
    return realm.inRealm(['sh', '-c', `tail -n 40 ${engines}/_realm/*.log; ls ${engines}/_realm`]);
  }

  /** By the name of its directory. */
  async function engineView(name: string): Promise<OvsEngineView> {
    const shown = await victim.client.call('inventory.snapshot', {});
    if (!shown.ok) throw new Error(JSON.stringify(shown.failure));
    const { engines: views, namespaces } = shown.value;
    const home = namespaces.find(({ root, names }) =>
      name === '_realm' ? root : names.includes(name),
    );
    const view = views.find(({ namespace }) => namespace === home?.id);
    if (view === undefined) throw new Error(`no engine in ${name}`);
    return view;
  }

  /** What was there before is there again, told by the engine's events and without a step left to do. */
  async function expectRestored(name: string, killed: readonly string[]): Promise<void> {
    await eventually(async () => {
      expect(differences(first, read(realm))).toEqual([]);
      const { events, switch: part, database } = await engineView(name);
      expect([part.running, database.running]).toEqual([true, true]);
      const told = events.map((event) => event.text).join('\n');
      for (const daemon of killed) {
        expect(told).toMatch(new RegExp(`${daemon} \\(process \\d+\\) has ended`));
        expect(told).toMatch(new RegExp(`${daemon} was started again \\(process \\d+\\)`));
      }
      expect((await victim.plan(documentTarget(text))).steps).toEqual([]);
    });
  }

  it.each<readonly [string, readonly string[], string, string]>([
    ['_realm', ['ovs-vswitchd'], 'a', '10.0.0.2'],
    ['_realm', ['ovsdb-server'], 'a', '10.0.0.2'],
    ['_realm', daemons, 'a', '10.0.0.254'],
    ['m', ['ovs-vswitchd'], 'c', '10.1.0.254'],
    ['m', daemons, 'c', '10.1.0.254'],
  ])('in %s, %j: come again, and a ping from %s to %s goes on', async (name, killed, from, to) => {
    const ping = victim.netloom.startInRealm(realm.keeper, [
      ...['ip', 'netns', 'exec', from, 'ping', '-n', '-i', '0.1', '-W', '1', to],
    ]);
    const over = ended(ping);
    let answers = 0;
    ping.stdout?.on('data', (chunk: Buffer) => {
      answers += chunk.toString().split('icmp_seq=').length - 1;
    });
    await eventually(() => {
      expect(answers).toBeGreaterThan(3);
    });
    kill(realm, name, killed);
    await eventually(async () => {
      const { events } = await engineView(name);
      expect(events.map((event) => event.text).join('\n')).toContain('started again');
    });
    const before = answers;
    await eventually(() => {
      expect(answers).toBeGreaterThan(before + 3);
    });
    realm.inRealm(['sh', '-c', 'kill -9 $(pidof ping)']);
    await over;
    await expectRestored(name, killed);
  });

  it('with the agent, leave it to its successor', async () => {
    await victim.kill();
    kill(realm, '_realm', daemons);
    kill(realm, 'm', ['ovs-vswitchd']);
    await victim.replace('');
    await eventually(async () => {
      expect(differences(first, read(realm))).toEqual([]);
      expect((await victim.plan(documentTarget(text))).steps).toEqual([]);
    });
  });

  it.each(
    daemons.flatMap((daemon) => [
      { daemon, what: 'a change', wanted: documentTarget(changedText) },
      { daemon, what: 'the way down', wanted: { kind: 'down', lab } as const },
    ]),
  )(
    'in an apply, $daemon, $what: it is before or after',
    { timeout: 600_000 },
    async ({ daemon, what, wanted }) => {
      const { steps } = await victim.plan(wanted);
      expect(await victim.apply(wanted)).toBe(true);
      const last = read(realm);
      const outcomes: Record<string, string> = {};
      const moments = steps.flatMap(({ object }, index) => (isOfSwitches(object) ? [index] : []));
      for (const moment of moments) {
        expect(await victim.apply(documentTarget(text))).toBe(true);
        let struck = false;
        const applied = await victim.applyWatched(wanted, ({ done }) => {
          if (struck || done < moment) return;
          struck = true;
          kill(realm, '_realm', [daemon]);
        });
        expect(struck).toBe(true);
        if (!applied.ok) expect(applied.failure.kind, JSON.stringify(applied)).toBe('rolled-back');
        const [state, target] = applied.ok
          ? ([last, wanted] as const)
          : ([first, documentTarget(text)] as const);
        await eventually(async () => {
          const now = differences(state, read(realm));
          expect(now, now.length === 0 ? '' : `at ${String(moment)}\n${logs()}`).toEqual([]);
          if (applied.ok && wanted.kind === 'down') return;
          expect((await victim.plan(target)).steps).toEqual([]);
        });
        outcomes[moment] = applied.ok ? 'as asked' : 'as before';
      }
      process.stderr.write(`${daemon} killed in ${what}: ${JSON.stringify(outcomes)}\n`);
    },
  );
});
