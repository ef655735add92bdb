import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Inventory, type NamespaceView, succeed } from '../../../agent/api/index.ts';
import type { RealmOverview } from '../../../main/bridge/contract.ts';
import { useRealms } from '../../../renderer/inventory/realm-store.ts';
import { type FakeMain, openWindow } from './fake-window.ts';

const realm = 'sandbox:demo';
let main: FakeMain;
let realms: ReturnType<typeof useRealms>;
let snapshots = 0;

const namespace = (id: string): NamespaceView => ({
  id,
  names: [id],
  root: false,
  container: null,
  mounts: [],
  processes: [],
  processCount: 0,
  runs: [],
  forwarding: { ipv4: false, ipv6: false },
  rules: null,
  lab: 'demo',
});
const inventory = (sequence: number, ...ids: string[]): Inventory => ({
  sequence,
  namespaces: ids.map(namespace),
  links: [],
  routes: [],
  engines: [],
});
const delta = (sequence: number, added: string) => ({
  kind: 'delta',
  realm,
  delta: {
    sequence,
    namespaces: [namespace(added)],
    removedNamespaces: [],
    links: [],
    removedLinks: [],
    removedEngines: [],
    routes: [],
    engines: [],
  },
});
const overview = (state: RealmOverview['state']): RealmOverview => ({
  realm,
  state,
  keeperPid: null,
  agentPid: null,
  socket: null,
  outside: 'closed',
  labs: [],
  agent: null,
});
const names = () => realms.inventory?.namespaces.map((each) => each.id) ?? null;
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

beforeEach(async () => {
  main = openWindow();
  snapshots = 0;
  main.answers['realm.list'] = () => succeed({ realms: [overview('running')] });
  main.answers['inventory.snapshot'] = () => {
    snapshots += 1;
    return succeed(inventory(5, 'a'));
  };
  realms = useRealms();
  await realms.load();
  realms.watch(realm);
  await settle();
});
afterEach(() => vi.unstubAllGlobals());

describe('the inventory', () => {
  it('is asked for when somebody looks at a realm that runs', () => {
    expect(names()).toEqual(['a']);
    expect(snapshots).toBe(1);
  });

  it('follows the deltas in their order', () => {
    main.emit('inventory', delta(6, 'b'));
    main.emit('inventory', delta(7, 'c'));
    expect(names()).toEqual(['a', 'b', 'c']);
  });

  it('passes over a delta that the snapshot holds already', () => {
    main.emit('inventory', delta(5, 'old'));
    expect(names()).toEqual(['a']);
    expect(snapshots).toBe(1);
  });

  it('is asked for again after a gap, once', async () => {
    main.answers['inventory.snapshot'] = () => {
      snapshots += 1;
      return succeed(inventory(9, 'a', 'z'));
    };
    main.emit('inventory', delta(8, 'h'));
    main.emit('inventory', delta(9, 'i'));
    await settle();
    expect(names()).toEqual(['a', 'z']);
    expect(snapshots).toBe(2);
  });

  it('is gone with its realm', () => {
    main.emit('realm', overview('gone'));
    expect(names()).toBeNull();
  });

  it('stays as it was last seen while the agent is lost, and is asked for when it is back', async () => {
    main.emit('realm', overview('agent-lost'));
    expect(names()).toEqual(['a']);
    main.emit('realm', overview('running'));
    await settle();
    expect(snapshots).toBe(2);
  });
});
