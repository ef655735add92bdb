/**
 * The measuring halves of `npm run bench`, each in a process of its own: prints one JSON object.
 *
 *     contestants.js netloom ROOT COUNT RUNS     document text → parsed, planned, applied, verified, by a live agent
 *     contestants.js plan ROOT COUNT RUNS        a plan of COUNT hosts against an empty realm, by a live agent
 *     contestants.js call ROOT COUNT RUNS        round trips of the smallest call
 *     contestants.js realm ROOT NAME             makes an empty realm; prints its keeper, and ends it with its input
 *     contestants.js bare COUNT                  the same requests with nothing around them; in a fresh realm
 *     contestants.js document NAME COUNT         the lab itself
 */
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addAddress } from '../../agent/kernel/addresses.ts';
import { createBridge, createVeth, getLink, setLink } from '../../agent/kernel/links.ts';
import { createNamespace, homeNamespace } from '../../agent/kernel/namespaces.ts';
import { RequestSocket } from '../../agent/kernel/netlink-socket.ts';
import type { RealmName } from '../../agent/api/names.ts';
import type { Result } from '../../agent/api/result.ts';
import { Realms } from '../../main/agent-link/realms.ts';
import { hostsOf, labOf } from './host-lab.ts';

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
  work: (client: Awaited<ReturnType<typeof connect>>) => Promise<T>,
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

async function connect(realms: Realms, realm: RealmName) {
  return must(await realms.ensure(realm)).client;
}

function milliseconds(start: number): number {
  return performance.now() - start;
}

async function measureNetloom(root: string, count: number, runs: number): Promise<unknown> {
  const text = labOf('bench', count);
  return inRealms(root, runs, async (client) => {
    const start = performance.now();
    const target = { kind: 'document', text, path: null, replace: false } as const;
    const plan = must(await client.call('lab.plan', { target }));
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
  });
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

const [what = '', ...words] = process.argv.slice(2);
const [first = '', second = '', third = ''] = words;
const print = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};
switch (what) {
  case 'netloom':
    print(await measureNetloom(first, Number(second), Number(third)));
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
  case 'document':
    process.stdout.write(labOf(first, Number(second)));
    break;
  default:
    throw new Error(`unknown: ${what}`);
}
process.exit();
