/**
 * The measuring halves of `npm run bench`, each in a process of its own: prints one JSON object.
 *
 *     contestants.js netloom ROOT KIND COUNT RUNS
 *                                                a lab of `labs`: document text → parsed, planned, applied, verified, and
 *                                                down again, by a live agent
 *     contestants.js plan ROOT COUNT RUNS        a plan of COUNT hosts against an empty realm, by a live agent
 *     contestants.js call ROOT COUNT RUNS        round trips of the smallest call
 *     contestants.js realm ROOT NAME             makes an empty realm; prints its keeper, and ends it with its input
 *     contestants.js bare COUNT                  the same requests with nothing around them; in a fresh realm
 *     contestants.js vsctl COUNT                 a ring of bridges by one ovs-vsctl; in a fresh realm
 *     contestants.js engine DIRECTORY            starts an Open vSwitch of its own
 *     contestants.js document KIND NAME COUNT    the lab itself
 *     contestants.js packets FILE COUNT          writes a capture
 *     contestants.js dissect FILE RUNS           takes its packets apart
 *     contestants.js live ROOT PROGRAM RATE SECONDS
 *                                                captures of a busy wire by several programs; in mounts of its own
 *     contestants.js generate RATE SECONDS       keeps that wire busy
 *     contestants.js cpu ROOT COUNT INTERVAL SECONDS
 *                                                what watching CPU groups costs a live agent; in mounts of its own
 *     contestants.js rates ROOT PROGRAM NAMESPACES WIRES
 *                                                what watching rates costs a live agent, of a ring with so many wires
 *                                                between each two neighbours
 *     contestants.js chatter NAMESPACES WIRES RATE
 *                                                sends over all of those; in their realm
 *     contestants.js window SECONDS              what an idle window costs
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CaptureReader } from '../../agent/dissect/capture/capture-reader.ts';
import type { Dissection } from '../../agent/dissect/core/dissection.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { summaryOf } from '../../agent/dissect/summary.ts';
import { addAddress } from '../../agent/kernel/addresses.ts';
import { createBridge, createVeth, getLink, setLink } from '../../agent/kernel/links.ts';
import { createNamespace, homeNamespace } from '../../agent/kernel/namespaces.ts';
import { RequestSocket } from '../../agent/kernel/netlink-socket.ts';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { RealmName } from '../../agent/api/names.ts';
import type { Result } from '../../agent/api/result.ts';
import { engineCommands, engineFiles } from '../../agent/ovs/engine-commands.ts';
import { Realms } from '../../main/agent-link/realms.ts';
import { hostsOf, labOf } from './host-lab.ts';
import { measureCpuWatch } from './cpu-groups.ts';
import { chatter, measureRates, type RateLab } from './link-rates.ts';
import { generate, measureLiveCaptures } from './live-captures.ts';
import { measureIdleWindow } from './open-window.ts';
import { mixedCapture } from './packets.ts';
import { linearLabOf, ringLabOf, ringRemovalOf, ringWordsOf, torusLabOf } from './switch-lab.ts';

const labs: Readonly<Record<string, (name: string, count: number) => string>> = {
  hosts: labOf,
  ring: ringLabOf,
  linear: linearLabOf,
  torus: torusLabOf,
};

function documentOf(kind: string, name: string, count: number): string {
  const make = labs[kind];
  if (make === undefined) throw new Error(`no such lab: ${kind}`);
  return make(name, count);
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

interface Place {
  readonly realms: Realms;
  readonly end: (realm: RealmName) => Promise<void>;
  readonly close: () => void;
}

function makePlace(applicationRoot: string): Place {
  const home = mkdtempSync(path.join(tmpdir(), 'netloom-bench-'));
  const make = (name: string): string => {
    const directory = path.join(home, name);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  };
  const [runtime, state, data, config] = [make('run'), make('state'), make('data'), make('config')];
  const directories = { runtime, state, data, labs: path.join(data, 'labs'), config };
  const realms = new Realms({ applicationRoot, directories });
  return {
    realms,
    end: async (realm) => void must(await realms.end(realm)),
    close: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** Runs `work` with a live agent in each of `runs` fresh realms. */
async function inRealms<T>(
  applicationRoot: string,
  runs: number,
  work: (client: Client) => Promise<T>,
): Promise<readonly T[]> {
  const place = makePlace(applicationRoot);
  const results: T[] = [];
  try {
    for (let run = 0; run < runs; run += 1) {
      const realm: RealmName = `sandbox:bench-${String(run)}`;
      try {
        const client = await connect(place.realms, realm);
        results.push(await work(client));
        client.close();
      } finally {
        await place.end(realm);
      }
    }
  } finally {
    place.close();
  }
  return results;
}

type Client = Awaited<ReturnType<typeof connect>>;

async function connect(realms: Realms, realm: RealmName) {
  return must(await realms.ensure(realm)).client;
}

function milliseconds(start: number): number {
  return performance.now() - start;
}

/** Milliseconds from a target to its verified network. */
async function reach(client: Client, target: PlanTarget): Promise<unknown> {
  const start = performance.now();
  const plan = must(await client.call('lab.plan', { target }));
  const [refusal] = plan.refusals;
  if (refusal !== undefined) throw new Error(JSON.stringify(refusal));
  const planned = milliseconds(start);
  const phases: Record<string, number> = {};
  const outcome = must(
    await client.call(
      'lab.apply',
      { plan: plan.id ?? '' },
      { onProgress: ({ phase }) => (phases[phase] ??= milliseconds(start)) },
    ),
  );
  return { total: milliseconds(start), planned, phases, operations: outcome.operations };
}

async function measureNetloom(
  root: string,
  kind: string,
  count: number,
  runs: number,
): Promise<unknown> {
  const text = documentOf(kind, 'bench', count);
  return inRealms(root, runs, async (client) => ({
    up: await reach(client, { kind: 'document', text, path: null, replace: false }),
    down: await reach(client, { kind: 'down', lab: 'bench' }),
  }));
}

async function measurePlan(root: string, count: number, runs: number): Promise<unknown> {
  const target = {
    kind: 'document',
    text: labOf('bench', count),
    path: null,
    replace: false,
  } as const;
  return inRealms(root, runs, async (client) => {
    const start = performance.now();
    const plan = must(await client.call('lab.plan', { target }));
    return { total: milliseconds(start), operations: plan.steps.length };
  });
}

async function measureCall(root: string, count: number, runs: number): Promise<unknown> {
  return inRealms(root, runs, async (client) => {
    for (let index = 0; index < 200; index += 1) must(await client.call('agent.info', {}));
    const times: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const start = performance.now();
      must(await client.call('agent.info', {}));
      times.push(milliseconds(start));
    }
    return { total: times.sort((left, right) => left - right)[Math.floor(count / 2)] };
  });
}

async function holdRealm(root: string, name: string): Promise<void> {
  const place = makePlace(root);
  const realm: RealmName = `sandbox:${name}`;
  try {
    (await connect(place.realms, realm)).close();
    process.stdout.write(`${JSON.stringify({ keeper: place.realms.findKeeper(realm)?.pid })}\n`);
    await new Promise((resolve) => process.stdin.once('end', resolve).resume());
  } finally {
    await place.end(realm);
    place.close();
  }
}

/** Namespace, veth into the bridge, address, both ends and `lo` up: what it takes, one request after another. */
function measureBare(count: number): unknown {
  const hosts = hostsOf(count);
  const start = performance.now();
  const home = must(RequestSocket.open(homeNamespace(), 'realm'));
  must(createBridge(home, { name: 'hub' }));
  const hub = must(getLink(home, { name: 'hub' })).index;
  must(setLink(home, hub, { up: true }));
  for (const host of hosts) {
    const namespace = must(createNamespace(host.name));
    const inside = must(RequestSocket.open(namespace.fd, host.name));
    must(
      createVeth(
        home,
        { name: host.port, master: hub },
        { name: 'eth0', namespaceFd: namespace.fd },
      ),
    );
    const end = must(getLink(inside, { name: 'eth0' })).index;
    must(addAddress(inside, { interfaceIndex: end, prefix: host.address }));
    must(setLink(inside, 1, { up: true }));
    must(setLink(inside, end, { up: true }));
    must(setLink(home, must(getLink(home, { name: host.port })).index, { up: true }));
    inside.close();
  }
  home.close();
  return [{ total: milliseconds(start) }];
}

function mustRun(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): void {
  const [file = '', ...args] = command;
  const env = { ...process.env, ...environment };
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8', env });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file}: ${stderr}`);
}

/** An Open vSwitch of its own, equal to those that Netloom starts; it ends with its namespace of processes. */
function startEngineIn(directory: string): void {
  const commands = engineCommands(directory, 'netdev');
  const { create, startDatabase, initialize, startSwitch, environment } = commands;
  mkdirSync(directory, { recursive: true });
  for (const command of [create, startDatabase, initialize, startSwitch]) {
    mustRun(command, environment);
  }
}

/** Bridges by one ovs-vsctl, which waits for the switch as it always does; away by another. */
function measureVsctl(count: number): unknown {
  const directory = mkdtempSync(path.join(tmpdir(), 'ovs-'));
  const timed = (words: readonly string[]): number => {
    const start = performance.now();
    mustRun(['ovs-vsctl', `--db=unix:${engineFiles(directory).socket}`, ...words]);
    return milliseconds(start);
  };
  const start = performance.now();
  startEngineIn(directory);
  const engine = milliseconds(start);
  return { engine, up: timed(ringWordsOf('bench', count)), down: timed(ringRemovalOf(count)) };
}

/** Milliseconds of processor time for all packets of a file, with what of each is asked for, each after a run that is not measured. */
function measureDissection(file: string, runs: number): unknown {
  const capture = readFileSync(file);
  const uses: Readonly<Record<string, (packet: Dissection) => number>> = {
    layers: ({ layers }) => layers.length,
    lines: (packet) => summaryOf(packet).info.length,
    fields: ({ layers }) => layers.reduce((sum, { fields }) => sum + fields.length, 0),
  };
  return Object.entries(uses).map(([use, take]) => {
    const times: number[] = [];
    let packets = 0;
    for (let run = 0; run <= runs; run += 1) {
      const start = process.cpuUsage();
      let sum = 0;
      packets = 0;
      for (const item of new CaptureReader().push(capture)) {
        if (item.kind === 'fault') throw new Error(JSON.stringify(item.fault));
        const { bytes, wireLength, interface: from } = item.packet;
        sum += take(dissect(bytes, from.linkType, wireLength));
        packets += 1;
      }
      if (sum === 0) throw new Error('nothing was read');
      const { user, system } = process.cpuUsage(start);
      if (run > 0) times.push((user + system) / 1000);
    }
    return { use, packets, times };
  });
}

async function measureRatesIn(root: string, program: string, lab: RateLab): Promise<unknown> {
  const place = makePlace(root);
  const realm: RealmName = 'sandbox:rates';
  try {
    const pace = { interval: 100, seconds: 15 };
    return await measureRates(place.realms, realm, root, program, lab, pace);
  } finally {
    await place.end(realm);
    place.close();
  }
}

const [what = '', ...words] = process.argv.slice(2);
const [first = '', second = '', third = '', fourth = ''] = words;
const print = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};
switch (what) {
  case 'netloom':
    print(await measureNetloom(first, second, Number(third), Number(fourth)));
    break;
  case 'plan':
    print(await measurePlan(first, Number(second), Number(third)));
    break;
  case 'call':
    print(await measureCall(first, Number(second), Number(third)));
    break;
  case 'realm':
    await holdRealm(first, second);
    break;
  case 'bare':
    print(measureBare(Number(first)));
    break;
  case 'vsctl':
    print(measureVsctl(Number(first)));
    break;
  case 'engine':
    startEngineIn(first);
    break;
  case 'packets':
    writeFileSync(first, mixedCapture(Number(second)));
    break;
  case 'dissect':
    print(measureDissection(first, Number(second)));
    break;
  case 'live':
    print(await measureLiveCaptures(first, second, Number(third), Number(fourth)));
    break;
  case 'generate':
    generate(Number(first), Number(second));
    break;
  case 'cpu':
    print(await measureCpuWatch(first, Number(second), Number(third), Number(fourth)));
    break;
  case 'rates':
    print(
      await measureRatesIn(first, second, { namespaces: Number(third), wires: Number(fourth) }),
    );
    break;
  case 'chatter':
    await chatter({ namespaces: Number(first), wires: Number(second) }, Number(third));
    break;
  case 'window':
    print(await measureIdleWindow(Number(first)));
    break;
  case 'document':
    process.stdout.write(documentOf(first, second, Number(third)));
    break;
  default:
    throw new Error(`unknown: ${what}`);
}
process.exit();
