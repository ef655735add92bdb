/**
 * A kernel of a few hundred lines: interprets operations on a model of namespaces and links, with the consequences that
 * Linux has (measured on 6.1 and read in its source), and refuses what Linux refuses. It knows nothing of the planner.
 */
import {
  isInSubnet,
  parseHostAddress,
  parsePrefix,
  parseSubnetAddress,
} from '../../../agent/lab/address.ts';
import type { AddressView, Inventory, LinkView, RouteView } from '../../../agent/api/inventory.ts';
import type { LinkSettings, Operation, Route, VethEnd } from '../../../agent/lab/operation.ts';

interface ModelAddress {
  readonly address: string;
  readonly owned: boolean;
  readonly automatic: boolean;
}

interface ModelLink {
  readonly id: string;
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  space: ModelNamespace;
  mac: string;
  mtu: number;
  mtuSet: boolean;
  up: boolean;
  master: ModelLink | null;
  peer: ModelLink | null;
  lab: string | null;
  stp: boolean;
  addresses: ModelAddress[];
}

interface ModelRoute {
  readonly to: string;
  readonly via: string | null;
  readonly dev: ModelLink;
  readonly metric: number;
  readonly owned: boolean;
}

interface ModelNamespace {
  readonly id: string;
  readonly name: string | null;
  readonly links: Map<string, ModelLink>;
  routes: ModelRoute[];
}

const isV6 = (address: string): boolean => address.includes(':');

export class ModelKernel {
  readonly lab: string;
  private readonly spaces = new Map<string | null, ModelNamespace>();
  private counter = 1;

  constructor(lab: string) {
    this.lab = lab;
    this.addSpace(null, null);
  }

  // What a person may do by hand

  addForeignNamespace(name: string): void {
    this.addSpace(name, null);
  }

  addForeignLink(namespace: string | null, name: string, kind: string): void {
    this.addLink(this.space(namespace), name, kind, null);
  }

  addForeignAddress(namespace: string | null, name: string, address: string): void {
    this.addAddress(this.link(namespace, name), address, false);
  }

  addForeignRoute(namespace: string | null, route: Route): void {
    this.addRoute(this.space(namespace), route, false);
  }

  setByHand(namespace: string | null, name: string, settings: LinkSettings): void {
    this.configure(this.link(namespace, name), settings);
  }

  deleteByHand(namespace: string | null, name: string): void {
    this.destroy(this.link(namespace, name));
  }

  deleteAddressByHand(namespace: string | null, name: string, address: string): void {
    this.removeAddress(this.link(namespace, name), address);
  }

  deleteNamespaceByHand(name: string): void {
    this.removeSpace(name);
  }

  has(namespace: string | null, name: string): boolean {
    return this.spaces.get(namespace)?.links.has(name) === true;
  }

  linkNames(): readonly (readonly [string | null, string])[] {
    return [...this.spaces.values()].flatMap((space) =>
      [...space.links.keys()].map((name) => [space.name, name] as const),
    );
  }

  addressesAt(namespace: string | null, name: string): readonly string[] {
    return this.link(namespace, name)
      .addresses.filter((address) => !address.automatic)
      .map((address) => address.address);
  }

  // Operations

  execute(operation: Operation): void {
    switch (operation.kind) {
      case 'add-namespace':
        this.addSpace(operation.name, this.lab);
        return;
      case 'remove-namespace':
        this.mustBeOurs(this.link(operation.name, 'lo'));
        this.removeSpace(operation.name);
        return;
      case 'add-bridge': {
        const bridge = this.addLink(
          this.space(operation.namespace),
          operation.name,
          'bridge',
          this.lab,
        );
        if (operation.mac !== null) bridge.mac = operation.mac;
        bridge.stp = operation.stp;
        if (operation.mtu !== null) this.configure(bridge, { mtu: operation.mtu });
        return;
      }
      case 'remove-bridge': {
        const bridge = this.link(operation.namespace, operation.name);
        this.mustBeOurs(bridge);
        if (bridge.kind !== 'bridge') throw new Error(`${bridge.name} is no bridge`);
        this.destroy(bridge);
        return;
      }
      case 'add-veth': {
        const [left, right] = operation.ends.map((end) => this.addEnd(end));
        if (left === undefined || right === undefined) throw new Error('a pair has two ends');
        left.peer = right;
        right.peer = left;
        operation.ends.forEach((end, at) => {
          const link = at === 0 ? left : right;
          if (end.master !== null) this.configure(link, { master: end.master });
        });
        return;
      }
      case 'remove-veth': {
        const [left, right] = operation.ends.map((end) => this.link(end.namespace, end.name));
        if (left === undefined || left.peer !== right) throw new Error('not a pair');
        this.mustBeOurs(left);
        this.destroy(left);
        return;
      }
      case 'change-link':
        this.changeLink(operation);
        return;
      case 'add-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        this.addAddress(link, operation.address, operation.foreign !== true);
        return;
      }
      case 'remove-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        this.removeAddress(link, operation.address);
        return;
      }
      case 'change-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        if (isV6(operation.before) !== isV6(operation.after)) throw new Error('two families');
        this.removeAddress(link, operation.before);
        this.addAddress(link, operation.after, true);
        return;
      }
      case 'add-route':
        this.addRoute(this.space(operation.namespace), operation.route, operation.foreign !== true);
        return;
      case 'remove-route':
        this.removeRoute(this.space(operation.namespace), operation.route);
    }
  }

  private changeLink(operation: Extract<Operation, { kind: 'change-link' }>): void {
    const link = this.link(operation.namespace, operation.name);
    const { before, after } = operation;
    if (JSON.stringify(Object.keys(before).sort()) !== JSON.stringify(Object.keys(after).sort())) {
      throw new Error('before and after name different settings');
    }
    // A foreign port of a bridge of ours that comes back is put back.
    const isReattachment = link.lab === null && Object.keys(after).join() === 'master';
    if (!isReattachment) this.mustBeOurs(link);
    const expect = (key: string, actual: unknown, expected: unknown): void => {
      if (expected !== undefined && actual !== expected) {
        throw new Error(`${link.name}: ${key} is ${String(actual)}, not ${String(expected)}`);
      }
    };
    expect('up', link.up, before.up);
    expect('stp', link.stp, before.stp);
    expect('master', link.master?.name ?? null, before.master);
    // A bridge may have followed its ports already.
    if (link.kind !== 'bridge') expect('mtu', link.mtu, before.mtu);
    this.configure(link, after);
  }

  // Rules of the kernel

  private configure(link: ModelLink, settings: LinkSettings): void {
    if (settings.up === false && link.up) {
      link.up = false;
      link.addresses = link.addresses.filter(({ address }) => !isV6(address));
      this.dropRoutes(link, () => true);
    }
    if (settings.mac !== undefined) link.mac = settings.mac;
    if (settings.stp !== undefined) link.stp = settings.stp;
    if (settings.mtu !== undefined && settings.mtu !== link.mtu) {
      if (link.kind === 'bridge') link.mtuSet = true;
      this.setMtu(link, settings.mtu);
    }
    if (settings.master !== undefined) {
      const earlier = link.master;
      link.master = null;
      if (earlier !== null) this.follow(earlier);
      if (settings.master !== null) {
        const bridge = link.space.links.get(settings.master);
        if (bridge?.kind !== 'bridge') throw new Error(`no bridge ${settings.master}`);
        link.master = bridge;
        this.follow(bridge);
      }
    }
    if (settings.up === true && !link.up) {
      link.up = true;
      if (link.kind === 'loopback') {
        const given = link.addresses.filter(({ automatic }) => !automatic);
        const own = ['127.0.0.1/8', '::1/128'].map((address) => automaticAddress(address));
        link.addresses = [...own, ...given];
      } else link.addresses.push(automaticAddress(`fe80::${link.index.toString(16)}/64`));
    }
  }

  private setMtu(link: ModelLink, mtu: number): void {
    link.mtu = mtu;
    if (mtu < 1280) link.addresses = link.addresses.filter(({ address }) => !isV6(address));
    if (link.master !== null) this.follow(link.master);
  }

  /** br_mtu_auto_adjust */
  private follow(bridge: ModelLink): void {
    if (bridge.mtuSet) return;
    const mtus = [...bridge.space.links.values()]
      .filter((link) => link.master === bridge)
      .map((link) => link.mtu);
    this.setMtu(bridge, mtus.length === 0 ? 1500 : Math.min(...mtus));
  }

  private addAddress(link: ModelLink, address: string, owned: boolean): void {
    const host = (text: string): string => text.split('/')[0] ?? '';
    const clash = link.addresses.some((other) =>
      isV6(address) ? host(other.address) === host(address) : other.address === address,
    );
    if (clash) throw new Error(`EEXIST ${address} on ${link.name}`);
    if (isV6(address) && link.mtu < 1280) throw new Error(`IPv6 at MTU ${link.mtu}`);
    link.addresses.push({ address, owned, automatic: false });
  }

  private removeAddress(link: ModelLink, address: string): void {
    const at = link.addresses.findIndex((other) => other.address === address);
    if (at < 0) throw new Error(`EADDRNOTAVAIL ${address} on ${link.name}`);
    const subnet = (text: string): string | undefined =>
      isV6(text) ? undefined : parseSubnetAddress(text)?.subnet;
    const isFirst =
      !isV6(address) &&
      link.addresses.findIndex((other) => subnet(other.address) === subnet(address)) === at;
    link.addresses = link.addresses.filter(
      (other, index) => index !== at && !(isFirst && subnet(other.address) === subnet(address)),
    );
    if (!isV6(address) && !link.addresses.some((other) => !isV6(other.address))) {
      this.dropRoutes(link, (route) => !isV6(route.to));
    }
  }

  private addRoute(space: ModelNamespace, route: Route, owned: boolean): void {
    const dev = space.links.get(route.dev ?? '');
    if (dev === undefined || !dev.up) throw new Error(`ENETDOWN route to ${route.to}`);
    if (parsePrefix(route.to)?.text !== route.to) throw new Error(`not canonical: ${route.to}`);
    const metric = route.metric ?? (isV6(route.to) ? 1024 : 0);
    if (space.routes.some((other) => other.to === route.to && other.metric === metric)) {
      throw new Error(`EEXIST route to ${route.to}`);
    }
    if (route.via !== null) {
      const gateway = parseHostAddress(route.via);
      const reachable = dev.addresses.some((address) => {
        const subnet = parseSubnetAddress(address.address);
        return gateway !== null && subnet !== null && isInSubnet(gateway, subnet);
      });
      if (!reachable) throw new Error(`EHOSTUNREACH gateway ${route.via}`);
    }
    space.routes.push({ to: route.to, via: route.via, dev, metric, owned });
  }

  private removeRoute(space: ModelNamespace, route: Route): void {
    const metric = route.metric ?? (isV6(route.to) ? 1024 : 0);
    const at = space.routes.findIndex(
      (other) =>
        other.to === route.to &&
        other.via === route.via &&
        other.dev.name === route.dev &&
        other.metric === metric,
    );
    if (at < 0) throw new Error(`ESRCH route to ${route.to}`);
    space.routes.splice(at, 1);
  }

  private dropRoutes(link: ModelLink, which: (route: ModelRoute) => boolean): void {
    const { space } = link;
    space.routes = space.routes.filter((route) => route.dev !== link || !which(route));
  }

  private destroy(link: ModelLink): void {
    for (const end of link.peer === null ? [link] : [link, link.peer]) {
      this.dropRoutes(end, () => true);
      end.space.links.delete(end.name);
      const { master } = end;
      end.master = null;
      if (master !== null) this.follow(master);
      for (const port of end.space.links.values()) if (port.master === end) port.master = null;
    }
  }

  private addSpace(name: string | null, lab: string | null): void {
    if (this.spaces.has(name)) throw new Error(`EEXIST namespace ${String(name)}`);
    const space: ModelNamespace = {
      id: String(4026530000 + this.counter),
      name,
      links: new Map(),
      routes: [],
    };
    this.counter += 1;
    this.spaces.set(name, space);
    const lo = this.addLink(space, 'lo', 'loopback', lab);
    lo.mtu = 65536;
  }

  private removeSpace(name: string): void {
    const space = this.space(name);
    for (const link of [...space.links.values()]) {
      if (space.links.has(link.name)) this.destroy(link);
    }
    this.spaces.delete(name);
  }

  private addEnd(end: VethEnd): ModelLink {
    const link = this.addLink(this.space(end.namespace), end.name, 'veth', this.lab);
    if (end.mac !== null) link.mac = end.mac;
    if (end.mtu !== null) link.mtu = end.mtu;
    return link;
  }

  private addLink(
    space: ModelNamespace,
    name: string,
    kind: string,
    lab: string | null,
  ): ModelLink {
    if (space.links.has(name)) throw new Error(`EEXIST link ${name}`);
    const index = this.counter;
    this.counter += 1;
    const bytes = [2, 0, 0, 0, index >> 8, index & 0xff];
    const link: ModelLink = {
      id: `${space.id}/${index}`,
      index,
      name,
      kind,
      space,
      mac: bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
      mtu: 1500,
      mtuSet: false,
      up: false,
      master: null,
      peer: null,
      lab,
      stp: false,
      addresses: [],
    };
    space.links.set(name, link);
    return link;
  }

  private space(name: string | null): ModelNamespace {
    const space = this.spaces.get(name);
    if (space === undefined) throw new Error(`ENOENT namespace ${String(name)}`);
    return space;
  }

  private link(namespace: string | null, name: string): ModelLink {
    const link = this.space(namespace).links.get(name);
    if (link === undefined) throw new Error(`ENODEV ${namespace ?? ''}:${name}`);
    return link;
  }

  private mustBeOurs(link: ModelLink): void {
    if (link.lab !== this.lab) throw new Error(`${link.name} is foreign`);
  }

  // Views

  inventory(): Inventory {
    const spaces = [...this.spaces.values()];
    return {
      sequence: 1,
      namespaces: spaces.map((space) => ({
        id: space.id,
        names: space.name === null ? [] : [space.name],
        root: space.name === null,
        container: null,
        mounts: [],
        processes: [],
        processCount: 0,
        lab: space.links.get('lo')?.lab ?? null,
      })),
      links: spaces.flatMap((space) => [...space.links.values()].map((link) => viewOf(link))),
      routes: spaces.map((space) => ({
        namespace: space.id,
        routes: [
          ...space.routes.map((route) => routeViewOf(route)),
          ...[...space.links.values()].flatMap((link) => connectedRoutesOf(link)),
        ],
      })),
    };
  }

  /** The whole state as text, without identifiers and unpinned MACs; with `foreignOnly` what is nobody's. */
  text(options: { readonly foreignOnly?: boolean } = {}): string {
    const lines: string[] = [];
    for (const space of this.spaces.values()) {
      const place = space.name ?? '-';
      const isForeign = (link: ModelLink): boolean => link.lab === null;
      if (
        space.name !== null &&
        (options.foreignOnly !== true || space.links.get('lo')?.lab === null)
      ) {
        lines.push(`namespace ${place} ${space.links.get('lo')?.lab ?? 'foreign'}`);
      }
      for (const link of space.links.values()) {
        if (options.foreignOnly === true && !isForeign(link)) continue;
        lines.push(
          [
            `link ${place}/${link.name} ${link.kind} ${link.lab ?? 'foreign'}`,
            `${link.up ? 'up' : 'down'} mtu ${link.mtu}`,
            `master ${link.master?.name ?? '-'}`,
            `peer ${link.peer === null ? '-' : `${link.peer.space.name ?? '-'}/${link.peer.name}`}`,
            `stp ${link.stp}`,
            ...(link.kind === 'veth' ? [link.mac] : []),
          ].join(' '),
        );
        for (const address of link.addresses) {
          if (address.automatic) continue;
          lines.push(`address ${place}/${link.name} ${address.address} ${address.owned}`);
        }
      }
      for (const route of space.routes) {
        if (options.foreignOnly === true && !isForeign(route.dev)) continue;
        const { to, via, dev, metric, owned } = route;
        lines.push(`route ${place} ${to} via ${via ?? '-'} dev ${dev.name} ${metric} ${owned}`);
      }
    }
    return lines.sort().join('\n');
  }
}

function automaticAddress(address: string): ModelAddress {
  return { address, owned: false, automatic: true };
}

function viewOf(link: ModelLink): LinkView {
  return {
    id: link.id,
    namespace: link.space.id,
    index: link.index,
    name: link.name,
    kind: link.kind,
    mac: link.mac,
    mtu: link.mtu,
    up: link.up,
    carrier: link.up,
    operationalState: link.up ? 'up' : 'down',
    master: link.master?.id ?? null,
    peer: link.peer?.id ?? null,
    alias: link.lab === null ? null : `netloom:${link.lab}`,
    lab: link.lab,
    addresses: link.addresses.map((address): AddressView => {
      const scope = link.kind === 'loopback' ? 'host' : 'link';
      return {
        address: address.address,
        family: isV6(address.address) ? 'ipv6' : 'ipv4',
        scope: address.automatic ? scope : 'global',
        owned: address.owned,
        tentative: false,
        duplicate: false,
      };
    }),
    bridge: link.kind === 'bridge' ? { stp: link.stp } : null,
    portState: null,
  };
}

function routeViewOf(route: ModelRoute): RouteView {
  return {
    family: isV6(route.to) ? 'ipv6' : 'ipv4',
    to: route.to,
    via: route.via,
    index: route.dev.index,
    metric: route.metric,
    table: 254,
    protocol: route.owned ? 78 : 4,
    scope: 'global',
    kind: 'unicast',
    owned: route.owned,
  };
}

/** Protocol `kernel`: never anybody's. */
function connectedRoutesOf(link: ModelLink): readonly RouteView[] {
  if (!link.up || link.kind === 'loopback') return [];
  return link.addresses.flatMap((address): readonly RouteView[] => {
    const subnet = parseSubnetAddress(address.address)?.subnet;
    if (subnet === undefined) return [];
    const family = isV6(subnet) ? 'ipv6' : 'ipv4';
    return [
      {
        family,
        to: subnet,
        via: null,
        index: link.index,
        metric: family === 'ipv6' ? 256 : 0,
        table: 254,
        protocol: 2,
        scope: 'link',
        kind: 'unicast',
        owned: false,
      },
    ];
  });
}
