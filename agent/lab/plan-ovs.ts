/** The part of a plan that is Open vSwitch: engines, bridges in their databases, and flows. */
import { equalData } from '../api/equal-data.ts';
import { datapathLinks } from '../api/ovs.ts';
import type { OpenFlowTables, OvsBridge, OvsDatapath, OvsEngineView, OvsPort } from '../api/ovs.ts';
import type { NetworkSwitch } from './ovs-network.ts';
import { linkKey } from './network.ts';
import type { Network } from './network.ts';
import type { Observed, ObservedSwitch, Ownership } from './observed.ts';
import type { Operation } from './operation.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

export interface SortedSwitches {
  /** By key. */
  readonly kept: ReadonlyMap<string, KeptSwitch>;
  readonly added: readonly NetworkSwitch[];
  readonly removed: readonly ObservedSwitch[];
  /** Those of somebody else that have a name which is wanted. */
  readonly taken: readonly ObservedSwitch[];
}

export interface KeptSwitch {
  readonly observed: ObservedSwitch;
  readonly wanted: NetworkSwitch;
}

/** What comes, goes and stays. `goes` tells of the namespaces that are removed. */
export function sortSwitches(
  desired: Network,
  observed: Observed,
  ownership: Ownership,
): SortedSwitches {
  const kept = new Map<string, KeptSwitch>();
  const added: NetworkSwitch[] = [];
  const taken: ObservedSwitch[] = [];
  for (const [key, wanted] of desired.switches) {
    const there = observed.switches.get(key);
    if (there === undefined) added.push(wanted);
    else if (ownership.ownsSwitch(there)) kept.set(key, { observed: there, wanted });
    else taken.push(there);
  }
  const removed = [...observed.switches.values()].filter(
    (one) => ownership.ownsSwitch(one) && !desired.switches.has(one.key),
  );
  return { kept, added, removed, taken };
}

/** Whether a link that Open vSwitch has made is there afterwards as it is now. */
export function keepsInternal(
  { kept }: SortedSwitches,
  owner: ObservedSwitch | undefined,
  name: string,
): boolean {
  const wanted = owner === undefined ? undefined : kept.get(owner.key)?.wanted;
  return wanted !== undefined && internalNames(wanted.bridge).has(name);
}

export function internalNames(bridge: OvsBridge): ReadonlySet<string> {
  return new Set(
    bridge.ports.flatMap(({ interfaces }) =>
      interfaces.flatMap(({ kind, name }) => (kind === 'internal' ? [name] : [])),
    ),
  );
}

export type OvsPhase =
  | 'remove-flows'
  | 'shrink-switches'
  | 'remove-switches'
  | 'stop-engines'
  | 'start-engines'
  | 'switches'
  | 'flows';

export interface OvsPlanning {
  readonly desired: Network;
  readonly base: Network | null;
  readonly observed: Observed;
  readonly sorted: SortedSwitches;
  /** Names of namespaces that go, and of those that stay. */
  readonly removedNamespaces: ReadonlySet<string>;
  readonly keptNamespaces: ReadonlySet<string>;
  /** Whether a link of this key goes, or is made anew. */
  readonly isGoing: (key: string) => boolean;
  /** What ovs-ofctl makes of a bridge's lines, by the bridge's key. */
  readonly openFlow: ReadonlyMap<string, OpenFlowTables>;
  /** Whether the realm's own namespace has the machine's Open vSwitch, which is neither started nor ended. */
  readonly usesSystemEngine: boolean;
  /** Whether engines can use the kernel's datapath. */
  readonly offersKernelDatapath: boolean;
  readonly push: (phase: OvsPhase, operation: Operation) => void;
  readonly warn: (code: SentenceCode, object: string, values: SentenceValues) => void;
  readonly refuse: (code: SentenceCode, object: string, values: SentenceValues) => void;
}

export function planSwitches(planning: OvsPlanning): void {
  planEngines(planning);
  const { sorted, push, warn, base } = planning;
  for (const { namespace, name, key, view } of sorted.removed) {
    for (const port of view.foreignPorts ?? []) {
      warn('foreign-port-released', name, { name: port, bridge: name });
    }
    // They are not in the database, and would not come back with the bridge.
    const ownsTables = base === null || (base.switches.get(key)?.openFlow ?? null) !== null;
    if (view.tables !== null && ownsTables) {
      push('remove-flows', {
        kind: 'change-openflow',
        namespace,
        name,
        before: view.tables,
        after: null,
      });
    }
    push('remove-switches', {
      kind: 'change-ovs-bridge',
      namespace,
      name,
      before: view.bridge,
      after: null,
    });
  }
  for (const kept of sorted.kept.values()) changeSwitch(kept, planning);
  for (const { namespace, name, bridge } of sorted.added) {
    push('switches', { kind: 'change-ovs-bridge', namespace, name, before: null, after: bridge });
  }
  for (const [key, wanted] of planning.desired.switches) {
    changeTables(key, wanted, planning);
    warnOfDatapath(wanted, planning);
  }
}

/** What the engine of a namespace uses, or will. */
function datapathOf(namespace: string | null, planning: OvsPlanning): OvsDatapath {
  const { observed, usesSystemEngine, offersKernelDatapath } = planning;
  const engine = runningEngine(namespace, planning);
  if (engine !== undefined) return engine.datapath;
  if (namespace === null && usesSystemEngine) return 'system';
  const wanted = datapathWanted(namespace, planning);
  if (wanted !== null) return wanted;
  return offersKernelDatapath && !isTaken('system', namespace, observed) ? 'system' : 'netdev';
}

/**
 * Whether somebody else's switch has the datapath. There is one of each kind in a namespace: a second switch would take away
 * the ports of the first in the kernel's, and cannot open the other.
 */
function isTaken(datapath: OvsDatapath, namespace: string | null, observed: Observed): boolean {
  return observed.links.has(linkKey(namespace, datapathLinks[datapath]));
}

/** What the document asks for; null leaves it open. */
function datapathWanted(namespace: string | null, { desired }: OvsPlanning): OvsDatapath | null {
  for (const one of desired.switches.values()) {
    if (one.namespace === namespace && one.datapath !== null) return one.datapath;
  }
  return null;
}

/** The engine that a namespace has and keeps. */
function runningEngine(
  namespace: string | null,
  { observed, keptNamespaces }: OvsPlanning,
): OvsEngineView | undefined {
  const stays = namespace === null || keptNamespaces.has(namespace);
  return stays ? observed.engines.get(namespace) : undefined;
}

function planEngines(planning: OvsPlanning): void {
  const { desired, base, observed, sorted, usesSystemEngine, push, refuse } = planning;
  for (const namespace of desired.engines) {
    const engine = runningEngine(namespace, planning);
    const datapath = datapathOf(namespace, planning);
    const wanted = datapathWanted(namespace, planning);
    if (wanted !== null && wanted !== datapath) {
      const place = namespace ?? 'the realm';
      refuse('ovs-datapath-differs', place, { place, there: datapath, wanted });
      continue;
    }
    if (namespace === null && usesSystemEngine) {
      if (engine?.switch.running === true && engine.database.running) continue;
      refuse('ovs-not-running', 'Open vSwitch', {});
      continue;
    }
    if (engine === undefined && isTaken(datapath, namespace, observed)) {
      const place = namespace ?? 'the realm';
      refuse('ovs-datapath-taken', place, { place, datapath });
      continue;
    }
    if (engine === undefined) push('start-engines', { kind: 'start-engine', namespace, datapath });
  }
  for (const [namespace, engine] of observed.engines) {
    if (engine.kind !== 'private' || desired.engines.has(namespace)) continue;
    const going = new Set(sorted.removed.filter((one) => one.engine === engine));
    const isEmptied = going.size === engine.bridges.length;
    const isOurs = base?.engines.has(namespace) === true || going.size > 0;
    const goes = namespace !== null && planning.removedNamespaces.has(namespace);
    if (goes || (isEmptied && isOurs)) {
      const { datapath } = engine;
      push('stop-engines', { kind: 'stop-engine', namespace, datapath });
    }
  }
}

/**
 * In two steps where ports go: those leave before their links do, so that on the way back they come after them. What comes,
 * comes when its links are there.
 */
function changeSwitch({ observed, wanted }: KeptSwitch, planning: OvsPlanning): void {
  const { namespace, name, bridge } = wanted;
  const before = observed.view.bridge;
  const between = withoutPorts(before, bridge, (link) =>
    planning.isGoing(`${namespace ?? ''}/${link}`),
  );
  if (!equalData(before, between)) {
    planning.push('shrink-switches', {
      kind: 'change-ovs-bridge',
      namespace,
      name,
      before,
      after: between,
    });
  }
  if (!equalData(between, bridge)) {
    planning.push('switches', {
      kind: 'change-ovs-bridge',
      namespace,
      name,
      before: between,
      after: bridge,
    });
  }
}

/** The bridge without what is not in `after` or has to be made anew, and what refers to that. */
function withoutPorts(
  before: OvsBridge,
  after: OvsBridge,
  isGoing: (link: string) => boolean,
): OvsBridge {
  const wanted = new Map(after.ports.map((port) => [port.name, port]));
  const ports = before.ports.flatMap((port): OvsPort[] => {
    const other = wanted.get(port.name);
    if (port.name === before.name) return [port];
    if (other === undefined || (other.bond === null) !== (port.bond === null)) return [];
    const interfaces = port.interfaces.filter(
      (one) =>
        !isGoing(one.name) &&
        other.interfaces.some(({ kind, name }) => kind === one.kind && name === one.name),
    );
    if (interfaces.length === port.interfaces.length) return [port];
    return interfaces.length === 0 ? [] : [{ ...port, interfaces }];
  });
  if (ports.every((port, at) => port === before.ports[at]) && ports.length === before.ports.length)
    return before;
  const left = new Set(ports.map(({ name }) => name));
  const isLeft = (name: string): boolean => left.has(name);
  return {
    ...before,
    ports,
    mirrors: before.mirrors.flatMap((mirror) => {
      if (mirror.outputPort !== null && !left.has(mirror.outputPort)) return [];
      return [
        {
          ...mirror,
          selectSource: mirror.selectSource.filter(isLeft),
          selectDestination: mirror.selectDestination.filter(isLeft),
        },
      ];
    }),
  };
}

function changeTables(
  key: string,
  { namespace, name, openFlow }: NetworkSwitch,
  { sorted, base, push, openFlow: forms }: OvsPlanning,
): void {
  const kept = sorted.kept.get(key);
  let shown = kept?.observed.view.tables ?? null;
  if (kept !== undefined && shown !== null && isFlushed(kept)) {
    // There and back: Open vSwitch forgets its flows with this change, whichever way it goes.
    push('remove-flows', { kind: 'change-openflow', namespace, name, before: shown, after: null });
    shown = null;
  }
  if (openFlow === null) {
    const had = (base?.switches.get(key)?.openFlow ?? null) !== null;
    if (!had || shown === null) return;
    push('flows', { kind: 'change-openflow', namespace, name, before: shown, after: null });
    return;
  }
  const after = inOrder(forms.get(key) ?? openFlow);
  if (shown !== null && equalData(inOrder(shown), after)) return;
  push('flows', { kind: 'change-openflow', namespace, name, before: shown, after });
}

/** Whether Open vSwitch empties its tables (connmgr_set_fail_mode and connmgr_set_controllers in connmgr.c). */
function isFlushed({ observed, wanted }: KeptSwitch): boolean {
  const [before, after] = [observed.view.bridge, wanted.bridge];
  return (
    before.failMode !== after.failMode ||
    before.controllers.length > 0 !== after.controllers.length > 0
  );
}

function inOrder({ flows, groups, meters }: OpenFlowTables): OpenFlowTables {
  return { flows: [...flows].sort(), groups: [...groups].sort(), meters: [...meters].sort() };
}

/** What the userspace datapath takes, and does not do. */
function warnOfDatapath({ namespace, name, bridge }: NetworkSwitch, planning: OvsPlanning): void {
  if (datapathOf(namespace, planning) === 'system') return;
  const { warn } = planning;
  for (const port of bridge.ports) {
    const label = `${name}:${port.name}`;
    if (port.interfaces.some(({ policing }) => policing !== null)) {
      warn('policing-without-effect', label, { port: label });
    }
    if ((port.qos?.queues.length ?? 0) > 0) {
      warn('queues-without-effect', label, { port: label });
    }
  }
}
