import type {
  AddressView,
  Inventory,
  LinkView,
  NamespaceView,
  RouteView,
} from '../api/inventory.ts';
import { engineLinks } from '../api/ovs.ts';
import type { OvsBridgeView, OvsEngineView } from '../api/ovs.ts';
import { canonicalSubnetAddress, parseHostAddress, parsePrefix } from './address.ts';
import { append } from './collections.ts';
import { parentOf } from './device.ts';
import { defaultMetric, linkKey } from './network.ts';
import type { Network, NetworkRoute } from './network.ts';
import type { Route } from './operation.ts';

/** RTPROT_KERNEL, RTPROT_REDIRECT and RTPROT_RA: routes that the kernel makes and keeps by itself. */
const automaticProtocols: ReadonlySet<number> = new Set([1, 2, 9]);

/** RT_TABLE_MAIN. */
const mainTable = 254;

export interface ObservedLink {
  readonly view: LinkView;
  /** Name of its namespace, null for the realm's own. */
  readonly namespace: string | null;
  readonly key: string;
}

/** A bridge in the database of an engine. */
export interface ObservedSwitch {
  readonly namespace: string | null;
  readonly name: string;
  readonly key: string;
  readonly engine: OvsEngineView;
  readonly view: OvsBridgeView;
}

/** A unicast route of the main table that the kernel did not make by itself. */
export interface ObservedRoute extends Omit<NetworkRoute, 'dev' | 'metricStated'> {
  /** Null when its device is not known. */
  readonly dev: string | null;
  readonly link: ObservedLink | null;
  readonly owned: boolean;
}

/** The inventory, indexed by the names that operations use. */
export interface Observed {
  readonly namespacesByName: ReadonlyMap<string, NamespaceView>;
  /** The realm's own namespace. */
  readonly realm: NamespaceView | undefined;
  /** The name that operations use for a namespace, null for the realm's own, undefined when it has none. */
  readonly nameOf: (namespace: string) => string | null | undefined;
  readonly links: ReadonlyMap<string, ObservedLink>;
  readonly linksByNamespace: ReadonlyMap<string, readonly ObservedLink[]>;
  readonly linkById: (id: string | null) => ObservedLink | undefined;
  /** All views, also those in namespaces without a name. */
  readonly viewById: ReadonlyMap<string, LinkView>;
  readonly portsOf: (bridge: ObservedLink) => readonly ObservedLink[];
  /** Devices that sit on a link: they go when it goes. */
  readonly devicesOn: (link: ObservedLink) => readonly ObservedLink[];
  readonly routesOf: (namespace: string) => readonly ObservedRoute[];
  /** Open vSwitches by the namespace that they are in. */
  readonly engines: ReadonlyMap<string | null, OvsEngineView>;
  /** Their bridges, by the key of the bridge's own port. */
  readonly switches: ReadonlyMap<string, ObservedSwitch>;
  /** The bridge that a link was made for by Open vSwitch. */
  readonly switchOf: (link: ObservedLink) => ObservedSwitch | undefined;
  /** All routes of the main table through a link, also those that the kernel has made. */
  readonly routesThrough: (link: ObservedLink) => readonly RouteView[];
  /** Routes of the main table to everything, of the namespace that a link is in. */
  readonly defaultsBeside: (link: ObservedLink) => readonly RouteView[];
}

/** `isKnown` tells which of several names of a namespace the lab uses. */
export function observe(inventory: Inventory, isKnown: (name: string) => boolean): Observed {
  const names = new Map<string, string | null>();
  const namespacesByName = new Map<string, NamespaceView>();
  for (const view of inventory.namespaces) {
    for (const name of view.names) namespacesByName.set(name, view);
    const name = view.root ? null : (view.names.find(isKnown) ?? view.names[0]);
    if (name !== undefined) names.set(view.id, name);
  }

  const links = new Map<string, ObservedLink>();
  const linksByNamespace = new Map<string, ObservedLink[]>();
  const linksById = new Map<string, ObservedLink>();
  const linksByIndex = new Map<string, ObservedLink>();
  const viewById = new Map<string, LinkView>();
  const portsByMaster = new Map<string, ObservedLink[]>();
  const devicesByParent = new Map<string, ObservedLink[]>();
  for (const view of inventory.links) viewById.set(view.id, view);
  for (const shown of inventory.links) {
    const view = withoutDatapath(shown, viewById);
    const namespace = names.get(view.namespace);
    if (namespace === undefined) continue;
    const link = { view, namespace, key: linkKey(namespace, view.name) };
    links.set(link.key, link);
    linksById.set(view.id, link);
    linksByIndex.set(`${view.namespace} ${view.index}`, link);
    if (namespace !== null) append(linksByNamespace, namespace, link);
    if (view.master !== null) append(portsByMaster, view.master, link);
    const parent = parentOf(view.device);
    if (parent !== null) append(devicesByParent, linkKey(namespace, parent), link);
  }

  const engines = new Map<string | null, OvsEngineView>();
  const switches = new Map<string, ObservedSwitch>();
  const internals = new Map<string, ObservedSwitch>();
  for (const engine of inventory.engines) {
    const namespace = names.get(engine.namespace);
    if (namespace === undefined) continue;
    engines.set(namespace, engine);
    for (const view of engine.bridges) {
      const { name, ports } = view.bridge;
      const one = { namespace, name, key: linkKey(namespace, name), engine, view };
      switches.set(one.key, one);
      for (const { kind, name: link } of ports.flatMap(({ interfaces }) => interfaces)) {
        if (kind === 'internal') internals.set(linkKey(namespace, link), one);
      }
    }
  }

  const routesByNamespace = new Map<string, readonly ObservedRoute[]>();
  for (const table of inventory.routes) {
    const namespace = names.get(table.namespace);
    if (namespace === undefined || namespace === null) continue;
    routesByNamespace.set(
      namespace,
      table.routes.flatMap((view) => {
        const link =
          view.index === null ? undefined : linksByIndex.get(`${table.namespace} ${view.index}`);
        return observeRoute(view, link ?? null);
      }),
    );
  }

  const tables = new Map(inventory.routes.map((table) => [table.namespace, table.routes]));
  const mainRoutes = ({ view }: ObservedLink): readonly RouteView[] =>
    (tables.get(view.namespace) ?? []).filter(({ table }) => table === mainTable);
  const linkById = (id: string | null): ObservedLink | undefined =>
    id === null ? undefined : linksById.get(id);
  return {
    namespacesByName,
    realm: inventory.namespaces.find(({ root }) => root),
    nameOf: (namespace) => names.get(namespace),
    links,
    linksByNamespace,
    linkById,
    viewById,
    portsOf: (bridge) => portsByMaster.get(bridge.view.id) ?? [],
    devicesOn: (link) => devicesByParent.get(link.key) ?? [],
    engines,
    switches,
    switchOf: (link) => internals.get(link.key),
    routesOf: (namespace) => routesByNamespace.get(namespace) ?? [],
    routesThrough: (link) => mainRoutes(link).filter(({ index }) => index === link.view.index),
    defaultsBeside: (link) =>
      mainRoutes(link).filter(({ to, kind }) => to === 'default' && kind === 'unicast'),
  };
}

/** With the kernel's datapath all ports have the datapath for their master, whatever bridge they are at. */
function withoutDatapath(view: LinkView, viewById: ReadonlyMap<string, LinkView>): LinkView {
  const master = view.master === null ? undefined : viewById.get(view.master);
  return master?.kind === 'openvswitch' ? { ...view, master: null } : view;
}

/** Links that Open vSwitch makes for itself: they come and go with its bridges. */
export function isOfDatapath({ view }: ObservedLink): boolean {
  return engineLinks.test(view.name);
}

function observeRoute(view: RouteView, link: ObservedLink | null): readonly ObservedRoute[] {
  if (view.table !== mainTable || view.kind !== 'unicast') return [];
  if (automaticProtocols.has(view.protocol)) return [];
  const everything = view.family === 'ipv4' ? '0.0.0.0/0' : '::/0';
  const to = parsePrefix(view.to === 'default' ? everything : view.to);
  if (to === null) return [];
  return [
    {
      family: view.family,
      to: to.text,
      via: view.via === null ? null : (parseHostAddress(view.via)?.text ?? view.via),
      dev: link?.view.name ?? null,
      metric: view.metric,
      link,
      owned: view.owned,
    },
  ];
}

/** With its canonical text. */
export type GivenAddress = AddressView & { readonly address: string };

/** Addresses that somebody gave to a link, canonical, in the kernel's order; not those that the kernel makes itself. */
export function givenAddresses(view: LinkView): readonly GivenAddress[] {
  return view.addresses
    .filter((address) => {
      if (address.owned) return true;
      if (view.kind === 'loopback' && address.scope === 'host') return false;
      return !(address.family === 'ipv6' && address.scope === 'link');
    })
    .map((address) => ({ ...address, address: canonicalSubnetAddress(address.address) }));
}

/** The route as operations write it: the metric only where it is not the kernel's own. */
export function routeOfOperation(
  route: Pick<NetworkRoute, 'family' | 'to' | 'via' | 'metric'> & { readonly dev: string | null },
): Route {
  return {
    to: route.to,
    via: route.via,
    dev: route.dev,
    metric: route.metric === defaultMetric(route.family) ? null : route.metric,
  };
}

/**
 * What is this lab's: what bears its mark, and what the base document lists and bears no mark at all (a mark may have
 * been lost). What bears another lab's mark never is.
 */
export interface Ownership {
  readonly ownsNamespace: (view: NamespaceView, name: string) => boolean;
  readonly ownsLink: (link: ObservedLink) => boolean;
  readonly ownsSwitch: (one: ObservedSwitch) => boolean;
}

export function ownershipOf(lab: string, base: Network | null, observed: Observed): Ownership {
  const ownsSwitch = ({ view, key }: ObservedSwitch): boolean =>
    view.lab === lab || (view.lab === null && base?.switches.has(key) === true);
  return {
    ownsSwitch,
    ownsNamespace: (view, name) =>
      !view.root &&
      (view.lab === lab || (view.lab === null && base?.namespaces.has(name) === true)),
    ownsLink: (link) => {
      const { view } = link;
      const listed = base?.links.get(link.key);
      const made = observed.switchOf(link);
      if (made !== undefined) return ownsSwitch(made) && (view.lab === null || view.lab === lab);
      // Without its bridge there is no such link; it is about to go.
      if (listed?.kind === 'internal' && view.kind !== 'veth') return false;
      if (view.kind === 'bridge') {
        return view.lab === lab || (view.lab === null && listed?.kind === 'bridge');
      }
      if (view.kind !== 'veth') {
        // Kinds that Netloom makes. What it cannot make (a NIC, a link of another kind) is never its own.
        if (view.device === null && listed?.kind !== 'device') return false;
        return view.lab === lab || (view.lab === null && listed?.kind === 'device');
      }
      // A pair is made as one, so one mark speaks for both ends.
      const peer = view.peer === null ? undefined : observed.viewById.get(view.peer);
      const marks = [view.lab, peer?.lab ?? null].filter((mark) => mark !== null);
      if (marks.length > 0) return marks.every((mark) => mark === lab);
      if (listed?.kind !== 'veth') return false;
      return listed.peer === observed.linkById(view.peer)?.key;
    },
  };
}
