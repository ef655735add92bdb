/** From what the kernel reports to the inventory's views. Pure. */
import type {
  AddressView,
  Inventory,
  LinkView,
  NamespaceView,
  ProcessView,
  RouteTableView,
  RouteView,
  RunView,
} from '../api/inventory.ts';
import type { SomeBridgeSettings, VlanEntry } from '../api/device.ts';
import { labOfMark, ownershipProtocol } from '../api/names.ts';
import { bondMemberOf, deviceOf } from '../kernel/devices.ts';
import type { Forwarding } from '../kernel/forwarding.ts';
import type { RootQueueing } from '../kernel/queueing.ts';
import { type Address, type Link, type Route, RT_TABLE_MAIN } from '../kernel/rtnetlink.ts';

/** Processes that a namespace's view lists (contract). */
export const maximumListedProcesses = 50;
/** Holders that the view of a tap or tun lists (contract). */
export const maximumListedHolders = 20;

/** Everything known of one namespace, as it came from the kernel. */
export interface NamespaceState {
  readonly id: string;
  readonly root: boolean;
  readonly names: readonly string[];
  readonly mounts: readonly string[];
  readonly container: string | null;
  /** The lowest pids first, at most {@link maximumListedProcesses}. */
  readonly processes: readonly ProcessView[];
  readonly processCount: number;
  readonly runs: readonly RunView[];
  /** Canonical text of our nftables table. */
  readonly rules: string | null;
  readonly forwarding: Forwarding;
  /** By interface index. */
  readonly links: ReadonlyMap<number, Link>;
  /** By interface index, then by {@link addressKey}. */
  readonly addresses: ReadonlyMap<number, ReadonlyMap<string, Address>>;
  readonly routes: readonly Route[];
  /** What somebody has set at the root of a link, by interface index. */
  readonly queueing: ReadonlyMap<number, RootQueueing>;
  /** VLAN tables by interface index; empty where the kernel has no VLAN filtering. */
  readonly vlans: ReadonlyMap<number, readonly VlanEntry[]>;
  /** Processes that hold a tap or tun, by interface index; pids ascending, at most {@link maximumListedHolders}. */
  readonly holders: ReadonlyMap<number, readonly ProcessView[]>;
}

export function linkId(namespace: string, index: number): string {
  return `${namespace}/${index}`;
}

/** What tells two addresses of a link apart: the kernel keeps one for each local address, prefix and other end. */
export function addressKey(address: Address): string {
  return `${address.address}/${address.prefixLength} ${address.peer ?? ''}`;
}

/** Plain code-unit order: the same on every machine, whatever its locale. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** The mark on a namespace's own `lo` says which lab made it. The root namespace is nobody's. */
export function labOfNamespace(namespace: NamespaceState): string | null {
  if (namespace.root) return null;
  for (const link of namespace.links.values()) {
    if (link.loopback) return labOfMark(link.alias ?? null);
  }
  return null;
}

export function viewNamespace(namespace: NamespaceState): NamespaceView {
  return {
    id: namespace.id,
    names: [...namespace.names].sort(compareText),
    root: namespace.root,
    container: namespace.container,
    mounts: [...namespace.mounts].sort(compareText),
    processes: namespace.processes.slice(0, maximumListedProcesses),
    processCount: namespace.processCount,
    runs: [...namespace.runs],
    forwarding: { ipv4: namespace.forwarding.ipv4, ipv6: namespace.forwarding.ipv6 },
    rules: namespace.rules,
    lab: labOfNamespace(namespace),
  };
}

const scopes: ReadonlySet<string> = new Set(['global', 'site', 'link', 'host', 'nowhere']);

function isNamedScope(scope: string): scope is Exclude<AddressView['scope'], 'other'> {
  return scopes.has(scope);
}

function particularsOf(address: Address, link: Link): AddressView['particulars'] {
  const { peer, broadcast, label, protocol, metric, noPrefixRoute } = address;
  const found: NonNullable<AddressView['particulars']> = {
    ...(peer === undefined ? {} : { peer }),
    ...(broadcast === undefined ? {} : { broadcast }),
    ...(label === undefined || label === link.name ? {} : { label }),
    ...(protocol === 0 || protocol === ownershipProtocol ? {} : { protocol }),
    ...(metric === undefined ? {} : { metric }),
    ...(noPrefixRoute ? { noPrefixRoute } : {}),
    ...(address.noDuplicateDetection === undefined ? {} : { noDuplicateDetection: true }),
  };
  return Object.keys(found).length === 0 ? undefined : found;
}

function viewAddress(address: Address, link: Link): AddressView {
  // What is ours is as the document says.
  const owned = address.protocol === ownershipProtocol;
  const plain = owned || link.loopback || address.scope === 'link';
  const particulars = plain ? undefined : particularsOf(address, link);
  return {
    address: `${address.address}/${address.prefixLength}`,
    family: address.family === 4 ? 'ipv4' : 'ipv6',
    scope: isNamedScope(address.scope) ? address.scope : 'other',
    owned,
    tentative: address.tentative,
    duplicate: address.duplicateDetected,
    ...(address.permanent ? {} : { dynamic: true }),
    ...(particulars === undefined ? {} : { particulars }),
  };
}

/**
 * IPv4 before IPv6, each in the kernel's order: of the IPv4 addresses of one subnet the first is the primary, with
 * which the others go (net/ipv4/devinet.c), and a plan has to know which it is.
 */
function compareAddresses(one: AddressView, other: AddressView): number {
  return compareText(one.family, other.family);
}

function viewBridge(link: Link): SomeBridgeSettings | null {
  const { bridge } = link;
  if (bridge === undefined) return null;
  const { stp, priority, forwardDelay, helloTime, maximumAge, ageingTime } = bridge;
  return {
    ...{ stp, priority, forwardDelay, helloTime, maximumAge, ageingTime },
    ...(bridge.multicastSnooping === undefined
      ? {}
      : { multicastSnooping: bridge.multicastSnooping }),
    // Only a kernel with VLAN filtering has a default PVID; without it, it says "off" and can nothing else.
    ...(bridge.defaultPvid === undefined ? {} : { vlanFiltering: bridge.vlanFiltering }),
  };
}

function viewPort(link: Link): LinkView['port'] {
  const port = link.bridgePort;
  if (port?.cost === undefined || port.priority === undefined) return null;
  return { isolated: port.isolated, cost: port.cost, priority: port.priority };
}

function viewVlans(entries: readonly VlanEntry[] | undefined): VlanEntry[] {
  return [...(entries ?? [])].sort((one, other) => one.id - other.id);
}

/** Whether a link has a VLAN table: a bridge or its port, in a kernel with VLAN filtering. */
export function hasVlanTable(namespace: Pick<NamespaceState, 'links'>, link: Link): boolean {
  const bridge =
    link.bridge ??
    (link.bridgePort === undefined || link.master === undefined
      ? undefined
      : namespace.links.get(link.master)?.bridge);
  return bridge?.defaultPvid !== undefined;
}

/** `peer` is the id of a veth's other end. */
export function viewLink(namespace: NamespaceState, link: Link, peer: string | null): LinkView {
  const addresses = namespace.addresses.get(link.index);
  const alias = link.alias === undefined || link.alias === '' ? null : link.alias;
  return {
    id: linkId(namespace.id, link.index),
    namespace: namespace.id,
    index: link.index,
    name: link.name,
    kind: link.kind,
    mac: link.mac ?? null,
    mtu: link.mtu,
    up: link.up,
    // IFLA_CARRIER stays 1 on some links that are down; IFF_LOWER_UP says that the link is up and has carrier.
    carrier: link.lowerUp,
    operationalState: link.operationalState.replaceAll('-', ''),
    // A master is always in its ports' own namespace (do_set_master looks it up there).
    master: link.master === undefined ? null : linkId(namespace.id, link.master),
    peer,
    alias,
    lab: labOfMark(alias),
    addresses:
      addresses === undefined
        ? []
        : Array.from(addresses.values(), (address) => viewAddress(address, link)).sort(
            compareAddresses,
          ),
    device: deviceOf(link, (index) => namespace.links.get(index)?.name),
    bridge: viewBridge(link),
    ...((link.bridge?.rootPort ?? 0) === 0 ? {} : { follower: true }),
    port: viewPort(link),
    portState: link.bridgePort?.state ?? null,
    vlans: hasVlanTable(namespace, link) ? viewVlans(namespace.vlans.get(link.index)) : null,
    bondMember: bondMemberOf(link),
    impairment: namespace.queueing.get(link.index)?.impairment ?? null,
    queueing: namespace.queueing.get(link.index)?.foreign ?? null,
    holders: link.kind === 'tun' ? [...(namespace.holders.get(link.index) ?? [])] : [],
  };
}

/** Kinds of route that the kernel keeps for itself and `ip route` does not list. */
const hiddenRouteTypes: ReadonlySet<Route['type']> = new Set([
  'local',
  'broadcast',
  'anycast',
  'multicast',
]);

/** One view for each way of a route. */
function viewRoute(route: Route): readonly RouteView[] {
  const ways =
    route.nextHops.length > 0
      ? route.nextHops
      : [{ gateway: route.gateway, interfaceIndex: route.interfaceIndex }];
  return ways.map((way) => ({
    family: route.family === 4 ? 'ipv4' : 'ipv6',
    to: route.destination,
    via: way.gateway ?? null,
    index: way.interfaceIndex ?? null,
    metric: route.metric ?? 0,
    table: route.table,
    protocol: route.protocol,
    scope: route.scope,
    kind: route.type,
    owned: route.protocol === ownershipProtocol,
    ...(route.preferredSource === undefined ? {} : { source: route.preferredSource }),
    // RTNH_F_ONLINK
    ...((route.flags & 4) === 0 ? {} : { onLink: true }),
    ...(route.intricate === true || route.nextHops.length > 0 ? { intricate: true } : {}),
  }));
}

function compareRoutes(one: RouteView, other: RouteView): number {
  return (
    compareText(one.family, other.family) ||
    compareText(one.to, other.to) ||
    one.metric - other.metric ||
    compareText(one.via ?? '', other.via ?? '') ||
    (one.index ?? 0) - (other.index ?? 0) ||
    one.protocol - other.protocol ||
    compareText(one.scope, other.scope) ||
    compareText(one.kind, other.kind)
  );
}

export function viewRoutes(namespace: NamespaceState): RouteTableView {
  return {
    namespace: namespace.id,
    routes: namespace.routes
      .filter(
        (route) =>
          route.table === RT_TABLE_MAIN && !route.cloned && !hiddenRouteTypes.has(route.type),
      )
      .flatMap(viewRoute)
      .sort(compareRoutes),
  };
}

/** The whole inventory at once. `peerOf` gives the other end of a veth by link id. */
export function assembleInventory(
  namespaces: Iterable<NamespaceState>,
  peerOf: (link: string) => string | null,
  sequence = 0,
): Inventory {
  const inventory = {
    sequence,
    namespaces: new Array<NamespaceView>(),
    links: new Array<LinkView>(),
    routes: new Array<RouteTableView>(),
    engines: [],
  };
  for (const namespace of namespaces) {
    inventory.namespaces.push(viewNamespace(namespace));
    inventory.routes.push(viewRoutes(namespace));
    for (const link of namespace.links.values()) {
      const peer = peerOf(linkId(namespace.id, link.index));
      inventory.links.push(viewLink(namespace, link, peer));
    }
  }
  return inventory;
}
