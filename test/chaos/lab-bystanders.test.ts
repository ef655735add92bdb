/**
 * What Netloom did not make, in the very realm where it works: while every lab of the gallery goes up and down and the
 * agent is killed in between, none of it changes. The bystanders are made by hand, as other programs make theirs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { ConnectedAgent, Realms } from '../../main/agent-link/realms.ts';
import { randomFrom } from '../harness/lab-edits.ts';
import { needsFullKernel, splitsCpus } from '../harness/lab-mutations.ts';
import {
  type CommandResult,
  delay,
  ended,
  gallery,
  isAlive,
  Netloom,
  processesIn,
  type RunningRealm,
  waitUntil,
} from '../harness/netloom.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

/** NETLOOM_SEED tries others. */
const seed = Number(process.env['NETLOOM_SEED'] ?? '78');
const files = readdirSync(gallery)
  // Those that split CPUs have no place in a sandbox: test/kernel/cpu-labs.test.ts has their failures.
  .filter((name) => name.endsWith('.yaml') && !splitsCpus(name))
  .sort();

/** Names like those that container engines and others give, and a bit of everything that labs also have. */
const bystanders = `
ip netns add stranger
ip -n stranger link set lo up
ip link add veth1234 type veth peer name foo-eth1
ip link add veth9999 type veth peer name eth0 netns stranger
ip link add foo-br type bridge
ip link set foo-br up
ip link set veth1234 master foo-br up
ip link set foo-eth1 up
ip link set veth9999 up
ip -n stranger link set eth0 up
ip address add 100.64.7.1/24 dev foo-br
ip address add 100.64.8.1/24 dev veth9999
ip -n stranger address add 100.64.8.2/24 dev eth0
ip -n stranger route add default via 100.64.8.1
ip route add 100.64.9.0/24 via 100.64.8.2
tc qdisc add dev foo-eth1 root handle 1: tbf rate 7mbit burst 10000 limit 40000
tc -n stranger qdisc add dev eth0 root handle 2: tbf rate 9mbit burst 10000 limit 40000
ip netns exec stranger sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
nft add table inet stranger
nft add chain inet stranger input '{ type filter hook input priority 5; policy accept; }'
nft add rule inet stranger input ip saddr 100.64.7.9 drop
ip netns exec stranger nft add table ip other
ip netns exec stranger nft add chain ip other out '{ type nat hook postrouting priority 90; }'
ip netns exec stranger nft add rule ip other out masquerade
`;

/** Programs of other people: one that holds a tap, and one that is busy in the realm's own namespace. */
const programs: readonly (readonly string[])[] = [
  ['socat', 'TUN,tun-name=foo-tap,tun-type=tap,iff-no-pi,iff-up', 'EXEC:sleep 1000000'],
  ['sh', '-c', 'while sleep 0.1; do :; done'],
];
/** One that is busy between two namespaces, and counts what it loses. */
const talk = 'ip netns exec stranger ping -q -n -i 0.05 -W 10 100.64.8.1'.split(' ');

let netloom: Netloom;
let link: Realms;
let realm: RunningRealm;
let agent: ConnectedAgent;
let before: NetworkState;
let identities: string;
let running: readonly number[];
let talked: Promise<CommandResult>;
let random = randomFrom(seed);
const agentProgram = 'dist/agent/agent.js --realm';

function below(limit: number): number {
  return Math.floor(random() * limit);
}

/** The network; the agent itself passes through a namespace for an instant when it opens a socket there. */
function readBystanders(): NetworkState {
  return Object.fromEntries(
    Object.entries(readNetworkState(realm.inRealm)).map(([name, state]) => {
      const processes = state.processes.filter((line) => !line.includes(agentProgram));
      return [name, { ...state, processes }];
    }),
  );
}

/** Index and all else that `ip` says of the links that are not a lab's; sorted by name. */
function readIdentities(): string {
  const names = ['lo', 'veth1234', 'foo-eth1', 'veth9999', 'foo-br', 'foo-tap'];
  const show = names.map((name) => `ip -o link show ${name}`).join('; ');
  // Who holds a tun or tap: /proc/PID/fdinfo/FD names it.
  const held = 'cat /proc/[0-9]*/fdinfo/* 2>/dev/null | grep -a "^iff:" | grep -a foo-tap';
  const script = `${show}; ip -n stranger -o link show; ip netns list-id | grep stranger; ${held}`;
  return realm.inRealm(['sh', '-c', script]);
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

/** Pids of the bystanders that are programs. */
function findPrograms(): readonly number[] {
  return processesIn(realm.processes).filter((pid) =>
    /foo-tap|^sh -c while|^ping -q/.test(commandOf(pid)),
  );
}

beforeAll(async () => {
  process.stderr.write(`Bystanders: seed ${String(seed)} (NETLOOM_SEED)\n`);
  netloom = new Netloom();
  link = netloom.link();
  realm = await netloom.emptyRealm('crowd');
  const connected = await link.connect(realm.realm);
  if (!connected.ok) throw new Error(connected.failure.reason);
  agent = connected.value;
  realm.script(bystanders);
  for (const program of programs) netloom.startInRealm(realm.keeper, program);
  talked = ended(netloom.startInRealm(realm.keeper, talk), { limit: 600_000 });
  const isHeld = (): boolean => /foo-tap: .*LOWER_UP/.test(realm.inRealm(['ip', '-o', 'link']));
  if (!(await waitUntil(isHeld))) throw new Error('nobody holds the tap');
  // Duplicates are looked for, carriers announced: afterwards nothing moves by itself.
  const isTentative = (): boolean =>
    realm.inRealm([
      'sh',
      '-c',
      'ip -o address show tentative; ip -n stranger -o address show tentative',
    ]) !== '';
  if (!(await waitUntil(() => !isTentative()))) throw new Error('addresses stay tentative');
  before = readBystanders();
  identities = readIdentities();
  running = findPrograms();
});
afterAll(async () => {
  agent.client.close();
  await netloom.dispose();
});

async function replaceAgent(fault: string): Promise<void> {
  agent.client.close();
  const stopped = await link.stopAgent(realm.realm);
  if (!stopped.ok) throw new Error(stopped.failure.reason);
  agent = await netloom.startFaultyAgent(link, realm, fault);
  // Whatever it was killed in, its successor knows what to do about it.
  const { recoveries } = agent.info;
  expect(
    recoveries.map(({ outcome }) => outcome),
    `seed ${String(seed)}: ${JSON.stringify(recoveries)}`,
  ).not.toContain('failed');
}

type Outcome = 'done' | 'nothing' | 'lost' | 'failed' | 'unsupported';

async function change(target: PlanTarget): Promise<Outcome> {
  const planned = await agent.client.call('lab.plan', { target });
  if (!planned.ok) {
    if (planned.failure.kind === 'unknown-object') return 'nothing';
    throw new Error(JSON.stringify(planned.failure));
  }
  const [refusal] = planned.value.refusals;
  if (refusal !== undefined) {
    if (refusal.kind === 'unsupported') return 'unsupported';
    throw new Error(JSON.stringify(refusal));
  }
  const applied = await agent.client.call('lab.apply', { plan: planned.value.id ?? '' });
  if (applied.ok) return 'done';
  if (applied.failure.kind === 'unreachable') return 'lost';
  if (applied.failure.kind === 'rolled-back') return 'failed';
  throw new Error(JSON.stringify(applied.failure));
}

/** One of the points where an agent may die or fail, in an apply of so many operations. */
function anyFault(operations: number): string {
  const at = (): string => String(below(Math.max(1, operations)));
  const points = [
    () => 'kill-after-journal',
    () => 'kill-before-verify',
    () => 'kill-before-commit',
    () => 'kill-mid-commit',
    () => 'kill-after-commit',
    () => `kill-before:${at()}`,
    () => `kill-mid:${at()}`,
    () => `kill-after:${at()}`,
    () => `fail-at:${at()}`,
    () => {
      const failing = below(Math.max(1, operations));
      return `fail-at:${String(failing)},kill-roll-back:${String(below(Math.max(1, failing)))}`;
    },
  ];
  return points[below(points.length)]?.() ?? 'kill-before-verify';
}

/** Kills the agent somewhere in a change, by the clock. */
async function killDuring(target: PlanTarget): Promise<Outcome> {
  const pid = link.findAgent(realm.realm)?.pid;
  if (pid === undefined) throw new Error('no agent to kill');
  const changing = change(target).catch(() => 'lost' as const);
  await delay(below(150));
  process.kill(pid, 'SIGKILL');
  const outcome = await changing;
  expect(await waitUntil(() => !isAlive(pid))).toBe(true);
  return outcome;
}

/** What of the bystanders differs; labs may stand beside them. */
function changedBystanders(now: NetworkState): readonly string[] {
  const grown = (one: readonly string[], other: readonly string[]): readonly string[] =>
    one.filter((entry) => !other.includes(entry));
  const [own, ownNow] = [before[''], now['']];
  if (own === undefined || ownNow === undefined) return ['the realm’s own namespace is gone'];
  return [
    ...grown(own.routes, ownNow.routes).map((route) => `route gone: ${route}`),
    ...grown(own.queueing, ownNow.queueing).map((queueing) => `queueing gone: ${queueing}`),
    // Lists are judged above, and no bystander is a switch. What is new is a lab's.
    ...networkDifferences(before, now).filter(
      (difference) =>
        !/^\/\/(?:routes|queueing|vlans|switches): /.test(difference) &&
        !difference.includes(': nothing → '),
    ),
  ];
}

function expectUntouched(story: readonly string[], labIsUp: boolean): void {
  const told = `seed ${String(seed)}: ${story.join(', ')}`;
  const now = readBystanders();
  expect(labIsUp ? changedBystanders(now) : networkDifferences(before, now), told).toEqual([]);
  expect(readIdentities(), told).toBe(identities);
  expect(running.filter(isAlive), told).toEqual(running);
}

describe('bystanders', () => {
  it('are there and differ from nothing', () => {
    expect(Object.keys(before).sort()).toEqual(['', 'stranger']);
    expect(before['stranger']?.processes).toHaveLength(1);
    expect(running).toHaveLength(programs.length + 1);
    expect(identities).toContain('iff:\tfoo-tap');
  });

  it.each(files)('do not notice %s and what kills the agent meanwhile', async (file) => {
    // Each lab has its own sequence: one alone is what it is among the others.
    random = randomFrom(seed + files.indexOf(file));
    const lab = path.basename(file, '.yaml');
    const up: PlanTarget = {
      kind: 'document',
      text: readFileSync(path.join(gallery, file), 'utf8'),
      path: null,
      replace: true,
    };
    const down: PlanTarget = { kind: 'down', lab };
    const planned = await agent.client.call('lab.plan', { target: up });
    if (!planned.ok) throw new Error(JSON.stringify(planned.failure));
    if (planned.value.refusals.some(({ kind }) => kind === 'unsupported')) {
      // The guest tier has labs of this kind beside bystanders.
      expect(needsFullKernel(file)).toBe(true);
      return;
    }
    const operations = planned.value.steps.length;
    const story: string[] = [];

    try {
      const point = anyFault(operations);
      await replaceAgent(point);
      story.push(`up with ${point}: ${await change(up)}`);
      await replaceAgent('');
      expectUntouched(story, true);

      story.push(`down or up, killed: ${await killDuring(random() < 0.5 ? down : up)}`);
      await replaceAgent('');
      expectUntouched(story, true);

      story.push(`up: ${await change(up)}`);
      expectUntouched(story, true);
      const last = anyFault(operations);
      await replaceAgent(last);
      story.push(`down with ${last}: ${await change(down)}`);
      await replaceAgent('');
      story.push(`down: ${await change(down)}`);
      expectUntouched(story, false);
    } catch (error) {
      // The next lab is to speak for itself.
      await replaceAgent('')
        .then(() => change(down))
        .catch(() => undefined);
      throw error;
    }
  });

  it('have gone on talking without a loss', async () => {
    const pid = running.find((one) => /^ping/.test(commandOf(one)));
    if (pid === undefined) throw new Error('nobody talks');
    process.kill(pid, 'SIGINT');
    const { stdout } = await talked;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
    expect(Number(sent)).toBeGreaterThan(100);
    // The signal may come between a request and its answer.
    expect(Number(sent) - Number(received)).toBeLessThanOrEqual(1);
  });
});
