import { parseEndpoint } from '../api/document.ts';
import type { InterfaceSettings, LabDocument, LabNode } from '../api/document.ts';
import {
  canonicalSubnetAddress,
  isInSubnet,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
} from './address.ts';
import type { AddressFamily } from './address.ts';

/** The network that a document asks for, in normal form. `namespace: null` is the realm's own. */
export interface Network {
  /** By name. */
  readonly namespaces: ReadonlyMap<string, NetworkNamespace>;
  /** By `linkKey`, in document order. */
  readonly links: ReadonlyMap<string, NetworkLink>;
  readonly pairs: readonly (readonly [NetworkLink, NetworkLink])[];
  /** By namespace name. Without routes that a kernel could not hold: those through a link that is down. */
  readonly routes: ReadonlyMap<string, readonly NetworkRoute[]>;
}

export interface NetworkNamespace {
  readonly name: string;
  readonly loopback: boolean;
}

export interface NetworkLink {
  readonly kind: 'bridge' | 'veth';
  readonly namespace: string | null;
  readonly name: string;
  /** Node that it is drawn at: the bridge itself, or the node of the endpoint. */
  readonly node: string;
  /** Pinned MAC in lower case; null leaves it to the kernel. */
  readonly mac: string | null;
  /** Pinned MTU; null is 1500 for a veth, and whatever its ports ask for at a bridge. */
  readonly mtu: number | null;
  readonly up: boolean;
  /** Bridge in the same namespace. */
  readonly master: string | null;
  /** Canonical, in document order. */
  readonly addresses: readonly string[];
  readonly stp: boolean;
  /** Key of the other end of a veth pair. */
  readonly peer: string | null;
}

export interface NetworkRoute {
  readonly family: AddressFamily;
  /** Canonical prefix. */
  readonly to: string;
  readonly via: string | null;
  readonly dev: string;
  readonly metric: number;
  /** Whether the document states the metric. */
  readonly metricStated: boolean;
}

export const defaultMtu = 1500;

/** IPV6_MIN_MTU: an interface with less has no IPv6. */
export const smallestIpv6Mtu = 1280;

/** Key of an interface by the name of its namespace; neither name can hold a slash. */
export function linkKey(namespace: string | null, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

/** Metric that the kernel gives to a route without one (IP6_RT_PRIO_USER for IPv6). */
export function defaultMetric(family: AddressFamily): number {
  return family === 'ipv4' ? 0 : 1024;
}

/** What tells routes of one namespace apart. */
export function routeKey(route: Pick<NetworkRoute, 'to' | 'via' | 'dev' | 'metric'>): string {
  return `${route.to} ${route.via ?? '-'} ${route.dev} ${route.metric}`;
}

/** Expects a document without problems; what cannot be resolved is left out. */
export function networkOf(document: LabDocument): Network {
  const nodes = new Map<string, LabNode>(Object.entries(document.topology.nodes));
  const namespaces = new Map<string, NetworkNamespace>();
  const links = new Map<string, NetworkLink>();
  const pairs: (readonly [NetworkLink, NetworkLink])[] = [];

  for (const [name, node] of nodes) {
    if (node.kind === 'namespace') {
      namespaces.set(name, { name, loopback: node.loopback ?? true });
    } else {
      const namespace = node.namespace ?? null;
      links.set(linkKey(namespace, name), {
        kind: 'bridge',
        namespace,
        name,
        node: name,
        mac: node.mac?.toLowerCase() ?? null,
        mtu: node.mtu ?? null,
        up: node.state !== 'down',
        master: null,
        addresses: uniqueAddresses(node.addresses),
        stp: node.stp ?? false,
        peer: null,
      });
    }
  }

  const settingsByNode = new Map<string, ReadonlyMap<string, InterfaceSettings>>();
  for (const [name, node] of nodes) {
    const settings = node.kind === 'namespace' ? node.interfaces : node.ports;
    settingsByNode.set(name, new Map(Object.entries(settings ?? {})));
  }

  for (const link of document.topology.links ?? []) {
    const places = link.endpoints.map((text) => {
      const endpoint = parseEndpoint(text);
      const node = nodes.get(endpoint.node);
      if (node === undefined) return null;
      const atBridge = node.kind === 'bridge';
      return {
        node: endpoint.node,
        name: endpoint.interface,
        namespace: atBridge ? (node.namespace ?? null) : endpoint.node,
        master: atBridge ? endpoint.node : null,
        settings: settingsByNode.get(endpoint.node)?.get(endpoint.interface),
      };
    });
    const [left, right] = places;
    if (left === null || left === undefined || right === null || right === undefined) continue;
    const endOf = (place: typeof left, peer: typeof left): NetworkLink => ({
      kind: 'veth',
      namespace: place.namespace,
      name: place.name,
      node: place.node,
      mac: place.settings?.mac?.toLowerCase() ?? null,
      mtu: place.settings?.mtu ?? link.mtu ?? null,
      up: place.settings?.state !== 'down',
      master: place.master,
      addresses: place.master === null ? uniqueAddresses(place.settings?.addresses) : [],
      stp: false,
      peer: linkKey(peer.namespace, peer.name),
    });
    const pair = [endOf(left, right), endOf(right, left)] as const;
    for (const end of pair) links.set(linkKey(end.namespace, end.name), end);
    pairs.push(pair);
  }

  return { namespaces, links, pairs, routes: routesOf(nodes, links) };
}

function uniqueAddresses(addresses: readonly string[] | undefined): readonly string[] {
  return [...new Set((addresses ?? []).map((address) => canonicalSubnetAddress(address)))];
}

function routesOf(
  nodes: ReadonlyMap<string, LabNode>,
  links: ReadonlyMap<string, NetworkLink>,
): ReadonlyMap<string, readonly NetworkRoute[]> {
  const linksByNamespace = new Map<string, NetworkLink[]>();
  for (const link of links.values()) {
    if (link.namespace === null) continue;
    const list = linksByNamespace.get(link.namespace);
    if (list === undefined) linksByNamespace.set(link.namespace, [link]);
    else list.push(link);
  }
  const routes = new Map<string, readonly NetworkRoute[]>();
  for (const [name, node] of nodes) {
    if (node.kind !== 'namespace' || node.routes === undefined) continue;
    const subnets = (linksByNamespace.get(name) ?? []).flatMap((link) =>
      link.addresses.flatMap((text) => {
        const address = parseSubnetAddress(text);
        return address === null ? [] : [{ link, address }];
      }),
    );
    const list: NetworkRoute[] = [];
    for (const settings of node.routes) {
      const destination = parseDestination(settings.to, settings.via ?? null);
      const via = settings.via === undefined ? null : parseHostAddress(settings.via);
      if (destination === null || (settings.via !== undefined && via === null)) continue;
      const dev =
        settings.dev ??
        (via === null
          ? undefined
          : subnets.find(({ address }) => isInSubnet(via, address))?.link.name);
      if (dev === undefined || links.get(linkKey(name, dev))?.up !== true) continue;
      // The kernel reads metric 0 of an IPv6 route as "none given".
      const stated = settings.metric !== undefined && settings.metric !== 0;
      list.push({
        family: destination.family,
        to: destination.text,
        via: via?.text ?? null,
        dev,
        metric: stated ? (settings.metric ?? 0) : defaultMetric(destination.family),
        metricStated: stated,
      });
    }
    routes.set(name, list);
  }
  return routes;
}
