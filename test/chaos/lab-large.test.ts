/** In a lab of 300 nodes a change of one link is felt at its two ends and nowhere else. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { Plan } from '../../agent/api/plan.ts';
import type { AgentClient } from '../../main/agent-link/client.ts';
import { ended, Netloom, type RunningRealm, waitUntil } from '../harness/netloom.ts';
import { networkDifferences, readNetworkState } from '../harness/network-state.ts';

const pairs = 150;
/** The pair whose link is changed; in the middle, so that neighbours in any list are others. */
const changed = 70;
/** Echo requests of each of the other pairs, five a second. */
const requests = 75;

const left = (pair: number): string => `a${String(pair)}`;
const right = (pair: number): string => `b${String(pair)}`;
const address = (pair: number, host: number): string => `10.77.${String(pair)}.${String(host)}`;
const others = Array.from({ length: pairs }, (_, pair) => pair).filter((pair) => pair !== changed);
const ends = [left(changed), right(changed)];

function document(change: boolean): string {
  const nodes: string[] = [];
  const links: string[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    const isChanged = change && pair === changed;
    const host = isChanged ? 11 : 1;
    const impairment = isChanged ? ', impairment: { rate: 50mbit }' : '';
    const mtu = isChanged ? ', mtu: 1400' : '';
    nodes.push(
      `    ${left(pair)}: { kind: namespace, interfaces: { e: { addresses: [${address(pair, host)}/24]${impairment} } } }`,
      `    ${right(pair)}: { kind: namespace, interfaces: { e: { addresses: [${address(pair, 2)}/24] } } }`,
    );
    links.push(`    - { endpoints: [${left(pair)}:e, ${right(pair)}:e]${mtu} }`);
  }
  return `netloom: 1\nname: large\ntopology:\n  nodes:\n${nodes.join('\n')}\n  links:\n${links.join('\n')}\n`;
}

const target = (change: boolean): PlanTarget => ({
  kind: 'document',
  text: document(change),
  path: null,
  replace: false,
});

let netloom: Netloom;
let realm: RunningRealm;
let client: AgentClient;

beforeAll(async () => {
  netloom = new Netloom();
  realm = await netloom.emptyRealm('large');
  const connected = await netloom.link().connect(realm.realm);
  if (!connected.ok) throw new Error(connected.failure.reason);
  client = connected.value.client;
});
afterAll(async () => {
  client.close();
  await netloom.dispose();
});

async function plan(change: boolean): Promise<Plan> {
  const planned = await client.call('lab.plan', { target: target(change) });
  if (!planned.ok) throw new Error(JSON.stringify(planned.failure));
  expect(planned.value.refusals).toEqual([]);
  return planned.value;
}

async function apply(wanted: Plan): Promise<void> {
  const applied = await client.call('lab.apply', { plan: wanted.id ?? '' });
  if (!applied.ok) throw new Error(JSON.stringify(applied.failure));
}

/** Index, MAC and name of every link of some namespaces: what the comparator leaves out. */
function identities(nodes: readonly string[]): string {
  const script = `for n in ${nodes.join(' ')}; do echo "$n"; ip -n "$n" -o link show | cut -d ' ' -f 1,2; ip -n "$n" -j address show | tr , '\\n' | grep -E '"(address|local)"'; done`;
  return realm.inRealm(['sh', '-ec', script]);
}

/** Runs one command in each of some namespaces, all at once, with their output in one stream; then `rest`. */
function everywhere(
  nodes: readonly string[],
  command: (node: string) => string,
  rest: string,
): ChildProcess {
  const lines = nodes.map((node) => `ip netns exec ${node} ${command(node)} </dev/null &`);
  return netloom.startInRealm(realm.keeper, ['setsid', 'sh', '-c', `${lines.join('\n')}\n${rest}`]);
}

/** Prints what the kernel announces of links, addresses and routes. */
function listen(nodes: readonly string[]): {
  readonly heard: () => string;
  readonly end: () => void;
} {
  // They end with the standard input: a signal would end nsenter only.
  const child = everywhere(nodes, () => 'ip -o monitor link address route', 'read -r _; kill 0');
  let heard = '';
  child.stdout?.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  return { heard: () => heard, end: () => void child.stdin?.end() };
}

function countProcesses(pattern: string): number {
  const script = `for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <"$f" 2>/dev/null; echo; done | grep -c '^${pattern}' || true`;
  return Number(realm.inRealm(['sh', '-c', script]).trim());
}

it(
  'a change of one of 150 links costs no ping on the others and touches no other end',
  { timeout: 300_000 },
  async () => {
    await apply(await plan(false));
    expect((await plan(false)).steps).toEqual([]);
    // Every link-local address has been looked for in vain, and nothing moves by itself any more.
    const tentative = `for n in ${others.flatMap((pair) => [left(pair), right(pair)]).join(' ')}; do ip -n "$n" -o address show tentative; done`;
    expect(await waitUntil(() => realm.inRealm(['sh', '-c', tentative]) === '', 30_000)).toBe(true);

    const nodes = others.flatMap((pair) => [left(pair), right(pair)]);
    const before = readNetworkState(realm.inRealm);
    const [who, whoElse] = [identities(nodes), identities(ends)];
    const quiet = listen(nodes);
    const loud = listen(ends);
    expect(
      await waitUntil(() => countProcesses('ip -o monitor') === nodes.length + ends.length, 30_000),
    ).toBe(true);

    const answers = new Map<string, number>();
    const pings = everywhere(
      others.map(left),
      (node) => `ping -n -i 0.2 -c ${String(requests)} -W 10 ${address(Number(node.slice(1)), 2)}`,
      'wait',
    );
    const pinged = ended(pings);
    let rest = '';
    pings.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const from = /bytes from ([\d.]+): icmp_seq=/.exec(line)?.[1];
        if (from !== undefined) answers.set(from, (answers.get(from) ?? 0) + 1);
      }
    });
    const counts = (): readonly number[] =>
      others.map((pair) => answers.get(address(pair, 2)) ?? 0);
    expect(await waitUntil(() => Math.min(...counts()) >= 3, 30_000)).toBe(true);

    const wanted = await plan(true);
    const touched = new Set(wanted.steps.flatMap(({ targets }) => targets.map(({ node }) => node)));
    expect([...touched].sort()).toEqual(ends);
    expect(wanted.steps.every(({ targets }) => targets.length > 0)).toBe(true);
    expect(
      new Set(wanted.steps.flatMap(({ changes }) => changes.map(({ field }) => field))),
    ).toEqual(new Set(['mtu', 'address', 'impairment']));
    await apply(wanted);
    // The change lies within every one of them.
    expect(Math.max(...counts())).toBeLessThan(requests - 3);

    const { stdout } = await pinged;
    const summaries = stdout.match(/\d+ packets transmitted, .*packet loss/g) ?? [];
    const whole = `${String(requests)} packets transmitted, ${String(requests)} received, 0% packet loss`;
    expect(summaries.filter((summary) => summary !== whole)).toEqual([]);
    expect(summaries).toHaveLength(others.length);

    expect(loud.heard()).toContain('mtu 1400');
    expect(loud.heard()).toContain(address(changed, 11));
    expect(quiet.heard()).toBe('');
    quiet.end();
    loud.end();
    expect(await waitUntil(() => countProcesses('ip -o monitor') === 0)).toBe(true);
    expect(identities(nodes)).toBe(who);
    expect(identities(ends)).toBe(whoElse.replace(address(changed, 1), address(changed, 11)));
    const differences = networkDifferences(before, readNetworkState(realm.inRealm));
    expect(differences).not.toEqual([]);
    expect(differences.filter((one) => !ends.some((end) => one.startsWith(`/${end}/`)))).toEqual(
      [],
    );
  },
);
