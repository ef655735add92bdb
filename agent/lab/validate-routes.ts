/** Routes of namespaces and virtual machines. */
import type { NamespaceNode, RouteSettings } from '../api/document.ts';
import {
  hasHostBits,
  type HostAddress,
  isInSubnet,
  oddityOf,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
  type SubnetAddress,
} from './address.ts';
import { groupBy } from './collections.ts';
import { addressesOf, type DocumentInterfaces, type Interface } from './document-interfaces.ts';
import type { DocumentPath, Findings } from './findings.ts';
import { defaultMetric, linkKey } from './network.ts';

interface Subnet {
  readonly item: Interface;
  readonly address: SubnetAddress;
}

export class RouteValidator {
  private readonly made: DocumentInterfaces;
  private readonly findings: Findings;
  private interfacesByNamespace: ReadonlyMap<string | null, readonly Interface[]> | null = null;

  constructor(made: DocumentInterfaces, findings: Findings) {
    this.made = made;
    this.findings = findings;
  }

  check(node: string, settings: Pick<NamespaceNode, 'routes'>): void {
    const routes = settings.routes ?? [];
    if (routes.length === 0) return;
    const subnets = this.subnetsOf(node);
    const seen = new Set<string>();
    for (const [index, route] of routes.entries()) {
      const path = ['topology', 'nodes', node, 'routes', index];
      const destination = parseDestination(route.to, route.via ?? null);
      if (destination === null) {
        this.findings.report('invalid-route', node, { to: route.to }, [...path, 'to']);
        continue;
      }
      if (route.to !== 'default' && hasHostBits(route.to)) {
        const values = { to: route.to, canonical: destination.text };
        this.findings.report('prefix-with-host-bits', node, values, [...path, 'to']);
        continue;
      }
      const dev = this.routeDevice(node, route, subnets, path);
      if (dev === null) continue;
      if (!dev.up) {
        const values = { to: route.to, dev: dev.name };
        this.findings.advise('route-device-down', node, values, path);
      }
      const metric =
        route.metric === undefined || route.metric === 0
          ? defaultMetric(destination.family)
          : route.metric;
      const key = `${destination.text} ${metric}`;
      if (seen.has(key)) {
        this.findings.report('duplicate-route', node, { to: route.to, metric }, path);
      }
      seen.add(key);
      // The route of the subnet itself has metric 0 for IPv4 and 256 (IP6_RT_PRIO_ADDRCONF) for IPv6.
      const connected = subnets.find(
        ({ address }) =>
          address.subnet === destination.text &&
          metric === (destination.family === 'ipv4' ? 0 : 256),
      );
      if (connected !== undefined) {
        const values = { to: route.to, address: connected.address.text };
        this.findings.report('route-is-connected', node, values, path);
      }
    }
  }

  private subnetsOf(namespace: string): readonly Subnet[] {
    this.interfacesByNamespace ??= groupBy(this.made.interfaces.values(), (item) => item.namespace);
    return (this.interfacesByNamespace.get(namespace) ?? []).flatMap((item) =>
      addressesOf(item.settings).flatMap((text) => {
        const address = parseSubnetAddress(text);
        return address === null ? [] : [{ item, address }];
      }),
    );
  }

  /** The interface that a route leaves through; null when it was reported. */
  private routeDevice(
    node: string,
    route: RouteSettings,
    subnets: readonly Subnet[],
    path: DocumentPath,
  ): Interface | null {
    const dev =
      route.dev === undefined ? undefined : this.made.interfaces.get(linkKey(node, route.dev));
    if (route.dev !== undefined && dev === undefined) {
      this.findings.report('route-device-unknown', node, { node, dev: route.dev }, [
        ...path,
        'dev',
      ]);
      return null;
    }
    if (route.via === undefined) {
      if (dev === undefined)
        this.findings.report('route-without-target', node, { to: route.to }, path);
      return dev ?? null;
    }
    const viaPath = [...path, 'via'];
    const via = parseHostAddress(route.via);
    const oddity = via === null ? null : oddityOf(via);
    if (via === null || (oddity !== null && oddity !== 'link-local')) {
      this.findings.report('invalid-gateway', node, { via: route.via }, viaPath);
      return null;
    }
    const destination = parseDestination(route.to, route.via);
    if (destination?.family !== via.family) {
      const values = { via: route.via, to: route.to };
      this.findings.report('gateway-of-other-family', node, values, viaPath);
      return null;
    }
    if (subnets.some(({ address }) => address.host.text === via.text)) {
      this.findings.report('gateway-is-own', node, { via: route.via }, viaPath);
      return null;
    }
    return this.gatewayDevice(node, { via, text: route.via, dev }, subnets, viaPath);
  }

  private gatewayDevice(
    node: string,
    gateway: {
      readonly via: HostAddress;
      readonly text: string;
      readonly dev: Interface | undefined;
    },
    subnets: readonly Subnet[],
    path: DocumentPath,
  ): Interface | null {
    const { via, dev } = gateway;
    if (via.family === 'ipv6' && oddityOf(via) === 'link-local') {
      if (dev === undefined)
        this.findings.report('gateway-needs-device', node, { via: via.text }, path);
      return dev ?? null;
    }
    const subnet = subnets.find(
      ({ item, address }) => (dev === undefined || item === dev) && isInSubnet(via, address),
    );
    if (subnet !== undefined) return subnet.item;
    const values = { via: gateway.text, place: dev?.label ?? node };
    this.findings.report('gateway-outside-subnets', node, values, path);
    return null;
  }
}
