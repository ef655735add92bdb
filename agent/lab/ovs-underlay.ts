/**
 * What tunnels of Open vSwitch bridges lie on, and the packets that fit through them. Open vSwitch fragments nothing: of what
 * is too large for a tunnel nobody hears, so everything in the tunnel's switching domain begins with the MTU that fits.
 */
import {
  isPairLink,
  isSwitch,
  type LabDocument,
  type LabNode,
  namespaceOfNode,
  type PairLink,
  parseEndpoint,
} from '../api/document.ts';
import {
  isInSubnet,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
  type AddressFamily,
  type HostAddress,
} from './address.ts';
import { defaultMtu, frameTunnelOverhead } from './device.ts';
import { Groups } from './groups.ts';
import { isTunnelPort, type OvsTunnelPort } from './ovs-network.ts';

/** An interface that bears addresses, as far as it matters to a tunnel. */
export interface UnderlayInterface {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Bytes that a tunnel port puts around a packet. */
export function ovsTunnelOverhead(port: OvsTunnelPort, family: AddressFamily): number {
  return frameTunnelOverhead(port.kind === 'gre' ? 'gretap' : port.kind, {
    keyed: port.key !== undefined,
    overIpv6: family === 'ipv6',
  });
}

/** The interface that a tunnel's packets leave by; `local` is null where the port names none. */
export function findUnderlay<Bearer extends UnderlayInterface>(
  remote: HostAddress,
  local: HostAddress | null,
  node: LabNode | undefined,
  bearers: readonly Bearer[],
): Bearer | undefined {
  if (local !== null) return bearers.find(bears(local));
  const direct = bearers.find(reaches(remote));
  if (direct !== undefined || node?.kind !== 'namespace') return direct;
  for (const route of node.routes ?? []) {
    const prefix = parseDestination(route.to, route.via ?? null);
    const subnet = prefix === null ? null : parseSubnetAddress(prefix.text);
    if (subnet === null || !isInSubnet(remote, subnet)) continue;
    const via = route.via === undefined ? null : parseHostAddress(route.via);
    const found =
      via === null ? bearers.find(({ name }) => name === route.dev) : bearers.find(reaches(via));
    if (found !== undefined) return found;
  }
  return undefined;
}

export function bears(host: HostAddress): (bearer: UnderlayInterface) => boolean {
  return ({ addresses }) =>
    addresses.some((text) => parseSubnetAddress(text)?.host.text === host.text);
}

function reaches(host: HostAddress): (bearer: UnderlayInterface) => boolean {
  return ({ addresses }) =>
    addresses.some((text) => {
      const address = parseSubnetAddress(text);
      return address !== null && isInSubnet(host, address);
    });
}

/** Where an interface takes part: at a switch, or by itself. */
interface Bearer extends UnderlayInterface {
  /** The switch that its frames go to first; null where it is none's. */
  readonly at: string | null;
  readonly mtu: number | null;
}

/** MTUs of what shares a switching domain with a tunnel of Open vSwitch; undefined for everything else. */
export class OverlayMtus {
  private readonly nodes: ReadonlyMap<string, LabNode>;
  private readonly domains = new Groups();
  private readonly bearers = new Map<string | null, Bearer[]>();
  /** By the root of a domain; undefined while it is worked out, null where nothing is tunnelled. */
  private readonly known = new Map<string, number | null>();
  private readonly tunnels = new Map<string, (readonly [string, OvsTunnelPort])[]>();
  /** Bridge by the endpoint that is its uplink. */
  private readonly uplinks = new Map<string, string>();

  constructor({ topology }: LabDocument) {
    const nodes = new Map(Object.entries(topology.nodes));
    this.nodes = nodes;
    for (const [name, node] of nodes) {
      if (!isSwitch(node) || node.namespace === undefined || node.uplink === undefined) continue;
      this.uplinks.set(`${node.namespace}:${node.uplink}`, name);
    }
    const mtusOfLinks = new Map<string, number>();
    for (const link of topology.links ?? []) {
      if (!isPairLink(link) && link.type !== 'patch') continue;
      const [left, right] = link.endpoints.map((text) => this.switchAt(text));
      if (left !== undefined && right !== undefined) this.domains.join(left, right);
      if (!isPairLink(link) || link.mtu === undefined) continue;
      for (const text of link.endpoints) mtusOfLinks.set(text, link.mtu);
    }
    for (const [name, node] of nodes) {
      if (isSwitch(node)) {
        const ports = Object.entries(node.ports ?? {}).flatMap(([port, settings]) =>
          settings.kind === 'internal' ? [[port, settings] as const] : [],
        );
        for (const [bearer, settings] of [[name, node] as const, ...ports]) {
          this.addBearer(namespaceOfNode(name, node), {
            name: bearer,
            addresses: settings.addresses ?? [],
            at: name,
            mtu: settings.mtu ?? null,
          });
        }
      } else if (node.kind === 'namespace') {
        for (const [bearer, settings] of Object.entries(node.interfaces ?? {})) {
          const label = `${name}:${bearer}`;
          this.addBearer(name, {
            name: bearer,
            addresses: settings.addresses ?? [],
            at: this.uplinks.get(label) ?? null,
            mtu: settings.mtu ?? mtusOfLinks.get(label) ?? null,
          });
        }
      }
      if (node.kind !== 'ovs-bridge') continue;
      for (const port of Object.values(node.ports ?? {})) {
        if (!isTunnelPort(port)) continue;
        const root = this.domains.rootOf(name);
        this.tunnels.set(root, [...(this.tunnels.get(root) ?? []), [name, port]]);
      }
    }
  }

  ofSwitch(node: string): number | undefined {
    return this.mtuOfDomain(this.domains.rootOf(node)) ?? undefined;
  }

  /** Of both ends of a link that leads to a switch, or is the uplink of one. */
  ofLink({ endpoints }: PairLink): number | undefined {
    const mtus = endpoints.flatMap((text) => {
      const bridge = this.switchAt(text);
      return bridge === undefined ? [] : (this.ofSwitch(bridge) ?? []);
    });
    return mtus.length === 0 ? undefined : Math.min(...mtus);
  }

  /** The switch that an endpoint is a port of, also as its uplink. */
  private switchAt(endpoint: string): string | undefined {
    const bridge = this.uplinks.get(endpoint) ?? parseEndpoint(endpoint).node;
    const node = this.nodes.get(bridge);
    return node !== undefined && isSwitch(node) ? bridge : undefined;
  }

  private addBearer(namespace: string | null, bearer: Bearer): void {
    if (bearer.addresses.length === 0) return;
    this.bearers.set(namespace, [...(this.bearers.get(namespace) ?? []), bearer]);
  }

  private mtuOfDomain(root: string): number | null {
    const known = this.known.get(root);
    if (known !== undefined) return known;
    // A tunnel that lies on its own domain would make itself smaller and smaller.
    this.known.set(root, null);
    const limits = (this.tunnels.get(root) ?? []).flatMap(([bridge, port]) => {
      const limit = this.limitOf(bridge, port);
      return limit === null ? [] : [limit];
    });
    const mtu = limits.length === 0 ? null : Math.min(...limits);
    this.known.set(root, mtu);
    return mtu;
  }

  private limitOf(bridge: string, port: OvsTunnelPort): number | null {
    const remote = parseHostAddress(port.remote);
    if (remote === null) return null;
    const node = this.nodes.get(bridge);
    const namespace = node === undefined ? null : namespaceOfNode(bridge, node);
    const below = findUnderlay(
      remote,
      port.local === undefined ? null : parseHostAddress(port.local),
      namespace === null ? undefined : this.nodes.get(namespace),
      this.bearers.get(namespace) ?? [],
    );
    const domain =
      below?.at === undefined || below.at === null ? null : this.domains.rootOf(below.at);
    if (domain === this.domains.rootOf(bridge)) return null;
    const underlay = below?.mtu ?? (domain === null ? null : this.mtuOfDomain(domain));
    return (underlay ?? defaultMtu) - ovsTunnelOverhead(port, remote.family);
  }
}
