/** A lab service of its own in a private network and mount namespace; `ip -j` as the witness. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { ApplyOutcome, LabEvent, TransactionProgress } from '../../agent/api/lab.ts';
import type { Plan } from '../../agent/api/plan.ts';
import type { Result } from '../../agent/api/result.ts';
import { type Faults, faultsOf } from '../../agent/apply/fault.ts';
import { LabStore } from '../../agent/apply/lab-store.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { engineDirectory } from '../../agent/ovs/engine-commands.ts';
import { Engines } from '../../agent/ovs/engines.ts';
import type { RealmCpu } from '../../agent/services/cpu-realm.ts';
import { LabService, type OpenedLabs } from '../../agent/services/labs.ts';

export function ip(...args: readonly string[]): string {
  return execFileSync('ip', [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function json(args: readonly string[]): readonly Readonly<Record<string, unknown>>[] {
  const text = ip('-j', '-d', ...args).trim();
  const value: unknown = text === '' ? [] : JSON.parse(text);
  return Array.isArray(value) ? value.filter((item) => Object.keys(item as object).length > 0) : [];
}

export function namespaces(): readonly string[] {
  return json(['netns', 'list'])
    .map(({ name }) => String(name))
    .sort();
}

function inside(namespace: string | null): readonly string[] {
  return namespace === null ? [] : ['-n', namespace];
}

/** Links and addresses and routes of a namespace, without what the kernel numbers or draws by lot. */
function stateOf(namespace: string | null): unknown {
  const links = json([...inside(namespace), 'address', 'show']).map((link) => ({
    name: link['ifname'],
    kind: (link['linkinfo'] as { info_kind?: string } | undefined)?.info_kind ?? null,
    up: (link['flags'] as string[]).includes('UP'),
    mtu: link['mtu'],
    master: link['master'] ?? null,
    alias: link['ifalias'] ?? null,
    addresses: (link['addr_info'] as { local: string; prefixlen: number; scope: string }[])
      .filter(({ scope }) => scope !== 'link')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  }));
  const routes = json([...inside(namespace), 'route', 'show']).map((route) => ({
    to: route['dst'],
    via: route['gateway'] ?? null,
    dev: route['dev'],
    metric: route['metric'] ?? null,
    protocol: route['protocol'],
  }));
  const byName = (a: { name?: unknown }, b: { name?: unknown }): number =>
    String(a.name) < String(b.name) ? -1 : 1;
  return { links: links.sort(byName), routes: routes.map((route) => JSON.stringify(route)).sort() };
}

/** The whole network of this environment, as `ip -j` tells it. */
export function network(): Readonly<Record<string, unknown>> {
  const state: Record<string, unknown> = { realm: stateOf(null) };
  for (const name of namespaces()) state[name] = stateOf(name);
  return state;
}

export interface Bench {
  readonly state: string;
  readonly tracker: InventoryTracker;
  readonly events: LabEvent[];
  readonly opened: OpenedLabs;
  readonly labs: LabService;
  close(): Promise<void>;
}

export interface BenchOptions {
  readonly state?: string;
  readonly fault?: string;
  readonly incarnation?: string;
  /** As the agent asks the kernel; unless given, a lab is tried whatever the kernel lacks. */
  readonly lackOf?: (capability: string) => string | null;
  readonly cpu?: RealmCpu;
}

export function makeFaults(fault: string | undefined): Faults {
  return faultsOf({ NETLOOM_TESTING: '1', NETLOOM_FAULT: fault ?? '' });
}

export function makeStateDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'netloom-apply-'));
}

export async function openBench(options: BenchOptions = {}): Promise<Bench> {
  const state = options.state ?? makeStateDirectory();
  const engines = await Engines.open({
    directory: engineDirectory,
    systemDirectory: null,
    mayStart: true,
    onFailure: () => undefined,
  });
  const tracker = await InventoryTracker.open({ engines });
  if (!tracker.ok) throw new Error(JSON.stringify(tracker.failure));
  const events: LabEvent[] = [];
  const opened = await LabService.open({
    realm: 'sandbox:test',
    stateDirectory: state,
    incarnation: options.incarnation ?? 'boot',
    readOnly: null,
    tracker: tracker.value,
    store: new LabStore(state),
    faults: makeFaults(options.fault),
    prepareRemoval: () => Promise.resolve(),
    publish: (event) => events.push(event),
    engines,
    ...(options.lackOf === undefined ? {} : { lackOf: options.lackOf }),
    ...(options.cpu === undefined ? {} : { cpu: options.cpu }),
  });
  if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
  return {
    state,
    tracker: tracker.value,
    events,
    opened: opened.value,
    labs: opened.value.labs,
    async close() {
      await opened.value.labs.close();
      tracker.value.close();
      engines.close();
      if (options.state === undefined) rmSync(state, { recursive: true, force: true });
    },
  };
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure, null, 2));
  return result.value;
}

export function documentTarget(
  text: string,
  options: { readonly path?: string | null; readonly replace?: boolean } = {},
): PlanTarget {
  return { kind: 'document', text, path: options.path ?? null, replace: options.replace ?? false };
}

export function plan(bench: Bench, target: PlanTarget): Plan & { readonly id: string } {
  const made = must(bench.labs.plan(target));
  if (made.id === null) throw new Error('a plan without an id');
  return { ...made, id: made.id };
}

export function apply(
  bench: Bench,
  target: PlanTarget,
  onProgress: (progress: TransactionProgress) => void = () => undefined,
): Promise<Result<ApplyOutcome>> {
  return bench.labs.apply(plan(bench, target).id, new AbortController().signal, onProgress);
}

/** The lab of the notes: r1, r2 and a bridge, wired, with an address each and a default route. */
export function notesLab(address = '172.16.0.1/24'): string {
  return `netloom: 1
name: notes
topology:
  nodes:
    r1:
      kind: namespace
      interfaces:
        veth1.1: { addresses: [${address}, 'fd00::1/64'] }
        port1: {}
      routes:
        - { to: 10.9.0.0/16, via: 172.16.0.2 }
    r2:
      kind: namespace
      interfaces:
        veth1.2: { addresses: [172.16.0.2/24, 'fd00::2/64'], mtu: 1400 }
    br-ex: { kind: bridge, addresses: [172.20.0.1/24], stp: true }
  links:
    - { endpoints: ['r1:veth1.1', 'r2:veth1.2'] }
    - { endpoints: ['r1:port1', 'br-ex:p1'] }
checks:
  - { check: reach, from: r1, to: r2 }
  - { check: reach, from: r1, to: 172.16.0.77, expect: unreachable, timeout: 0.5 }
`;
}
