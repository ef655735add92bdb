import { parseEndpoint } from '../api/document.ts';
import type {
  InterfaceSettings,
  LabDocument,
  LabNode,
  NamespaceNode,
  RouteSettings,
} from '../api/document.ts';
import type { Warning } from '../api/plan.ts';
import type { Failure, Place } from '../api/result.ts';
import {
  broadcastOf,
  hasHostBits,
  isInSubnet,
  isUsableMac,
  networkAddressOf,
  oddityOf,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
} from './address.ts';
import type { HostAddress, SubnetAddress } from './address.ts';
import { resolveCheck } from './check.ts';
import { defaultMetric, defaultMtu, linkKey, smallestIpv6Mtu } from './network.ts';
import { failureOf, warningOf } from './sentences.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

/** Keys and indexes that lead to a value of the document. */
export type DocumentPath = readonly (string | number)[];
export type Locate = (path: DocumentPath) => Place;

/** What is allowed but probably not meant. */
export interface Advice extends Warning {
  readonly place?: Place | undefined;
}

export interface Validation {
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

/** BR_MAX_PORTS is 1 << 10, and port number 0 is not used. */
const maximumPorts = 1023;

/** At most this many problems, and as many pieces of advice, are reported. */
const maximumReports = 100;

/** `a.b.0` */
export function pathText(path: DocumentPath): string {
  return path.join('.');
}

/** Finds what a schema cannot: what the document means as a network. Expects what the schema has let through. */
export function validateDocument(
  document: LabDocument,
  locate: Locate = (path) => ({ path: pathText(path) }),
): Validation {
  const validator = new Validator(document, locate);
  validator.run();
  return { problems: validator.problems, advice: validator.advice };
}

/** An interface that the document makes. */
interface Interface {
  readonly label: string;
  readonly node: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly settings: InterfaceSettings;
  readonly path: DocumentPath;
  /** Bridge that it is, or is a port of. */
  readonly bridge: string | null;
  readonly isBridge: boolean;
  readonly mtu: number;
  readonly up: boolean;
}

class Validator {
  readonly problems: Failure[] = [];
  readonly advice: Advice[] = [];

  private readonly document: LabDocument;
  private readonly locate: Locate;
  private readonly nodes: ReadonlyMap<string, LabNode>;
  private readonly interfaces = new Map<string, Interface>();
  private readonly portsByBridge = new Map<string, Interface[]>();
  private readonly wires: (readonly [Interface, Interface, DocumentPath])[] = [];
  private readonly domains = new Groups();

  constructor(document: LabDocument, locate: Locate) {
    this.document = document;
    this.locate = locate;
    this.nodes = new Map(Object.entries(document.topology.nodes));
  }

  run(): void {
    this.collectBridges();
    this.collectLinks();
    this.checkSettingsHaveLinks();
    this.checkBridges();
    this.checkLoops();
    this.checkMtus();
    this.checkMacs();
    this.checkAddresses();
    for (const [name, node] of this.nodes) {
      if (node.kind === 'namespace') this.checkRoutes(name, node);
    }
    this.checkChecks();
    for (const name of Object.keys(this.document.positions ?? {})) {
      if (this.nodes.has(name)) continue;
      this.advise('position-of-unknown-node', name, { node: name }, ['positions', name]);
    }
  }

  // Interfaces

  private collectBridges(): void {
    for (const [name, node] of this.nodes) {
      if (node.kind !== 'bridge') continue;
      const path = ['topology', 'nodes', name];
      if (node.namespace !== undefined) {
        const owner = this.nodes.get(node.namespace);
        if (owner?.kind !== 'namespace') {
          const code = owner === undefined ? 'unknown-node' : 'not-a-namespace';
          this.report(code, name, { node: node.namespace }, [...path, 'namespace']);
        }
      }
      this.addInterface(
        {
          label: name,
          node: name,
          namespace: node.namespace ?? null,
          name,
          settings: node,
          path,
          bridge: name,
          isBridge: true,
          mtu: node.mtu ?? defaultMtu,
          up: node.state !== 'down',
        },
        path,
      );
    }
  }

  private collectLinks(): void {
    for (const [index, link] of (this.document.topology.links ?? []).entries()) {
      const path = ['topology', 'links', index];
      const [first, second] = link.endpoints;
      if (first === second) {
        this.report('same-endpoints', first, { endpoint: first }, [...path, 'endpoints']);
        continue;
      }
      const ends: Interface[] = [];
      for (const [side, text] of link.endpoints.entries()) {
        const endPath = [...path, 'endpoints', side];
        const { node: nodeName, interface: name } = parseEndpoint(text);
        const node = this.nodes.get(nodeName);
        if (node === undefined) {
          this.report('unknown-node', text, { node: nodeName }, endPath);
          continue;
        }
        const atBridge = node.kind === 'bridge';
        const key = atBridge ? 'ports' : 'interfaces';
        const settings = own((atBridge ? node.ports : node.interfaces) ?? {}, name);
        const end: Interface = {
          label: text,
          node: nodeName,
          namespace: atBridge ? (node.namespace ?? null) : nodeName,
          name,
          settings: settings ?? {},
          path: settings === undefined ? endPath : ['topology', 'nodes', nodeName, key, name],
          bridge: atBridge ? nodeName : null,
          isBridge: false,
          mtu: settings?.mtu ?? link.mtu ?? defaultMtu,
          up: settings?.state !== 'down',
        };
        if (this.addInterface(end, endPath)) ends.push(end);
        if (atBridge) append(this.portsByBridge, nodeName, end);
      }
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      this.wires.push([left, right, path]);
      this.domains.join(domainOf(left), domainOf(right));
    }
  }

  private addInterface(item: Interface, path: DocumentPath): boolean {
    const key = linkKey(item.namespace, item.name);
    const other = this.interfaces.get(key);
    if (other === undefined) {
      this.interfaces.set(key, item);
      return true;
    }
    this.report(
      'duplicate-interface',
      item.label,
      {
        interface: item.name,
        place: item.namespace ?? 'the realm’s own namespace',
        other: other.isBridge ? `the node ${other.label}` : `the link at ${other.label}`,
      },
      path,
    );
    return false;
  }

  private checkSettingsHaveLinks(): void {
    for (const [name, node] of this.nodes) {
      const key = node.kind === 'namespace' ? 'interfaces' : 'ports';
      const settings = (node.kind === 'namespace' ? node.interfaces : node.ports) ?? {};
      const namespace = node.kind === 'namespace' ? name : (node.namespace ?? null);
      for (const interfaceName of Object.keys(settings)) {
        const made = this.interfaces.get(linkKey(namespace, interfaceName));
        if (made?.node === name && !made.isBridge) continue;
        this.report(
          made?.isBridge === true ? 'settings-of-bridge' : 'interface-without-link',
          `${name}:${interfaceName}`,
          { interface: interfaceName, node: name },
          ['topology', 'nodes', name, key, interfaceName],
        );
      }
    }
  }

  private checkBridges(): void {
    for (const [bridge, ports] of this.portsByBridge) {
      if (ports.length <= maximumPorts) continue;
      const values = { bridge, count: ports.length, limit: maximumPorts };
      this.report('too-many-ports', bridge, values, ['topology', 'nodes', bridge]);
    }
  }

  /**
   * A bridge without STP forwards the BPDUs of others (br_handle_frame), so one bridge with STP is enough to break a
   * loop: only loops among bridges that all lack it are open.
   */
  private checkLoops(): void {
    const groups = new Groups();
    const neighbours = new Map<string, string[]>();
    const runs = (bridge: string): boolean => {
      const node = this.nodes.get(bridge);
      return node?.kind === 'bridge' && node.stp !== true && node.state !== 'down';
    };
    for (const [left, right, path] of this.wires) {
      if (left.bridge === null || right.bridge === null || !left.up || !right.up) continue;
      if (!runs(left.bridge) || !runs(right.bridge)) continue;
      if (groups.join(left.bridge, right.bridge)) {
        append(neighbours, left.bridge, right.bridge);
        append(neighbours, right.bridge, left.bridge);
        continue;
      }
      const bridges = pathBetween(neighbours, left.bridge, right.bridge);
      const object = `${left.label} — ${right.label}`;
      this.report('bridge-loop', object, { bridges: bridges.join(', ') }, path);
    }
  }

  // MTU and MAC

  private checkMtus(): void {
    for (const [left, right] of this.wires) {
      if (left.mtu === right.mtu) continue;
      const values = { mtu: left.mtu, otherMtu: right.mtu, other: right.label };
      this.advise('mtu-mismatch', left.label, values, left.path);
    }
    for (const [bridge, ports] of this.portsByBridge) {
      const [first] = ports;
      const other = ports.find((port) => port.mtu !== first?.mtu);
      if (first === undefined || other === undefined) continue;
      const values = {
        bridge,
        mtu: first.mtu,
        port: first.label,
        otherMtu: other.mtu,
        other: other.label,
      };
      this.advise('mtu-mismatch-at-bridge', bridge, values, other.path);
    }
    for (const item of this.interfaces.values()) {
      const mtu = item.isBridge ? this.mtuOfBridge(item) : item.mtu;
      const address = item.settings.addresses?.find((text) => text.includes(':'));
      if (mtu >= smallestIpv6Mtu || address === undefined) continue;
      this.report('mtu-too-small-for-ipv6', item.label, { mtu, address }, item.path);
    }
  }

  private mtuOfBridge(bridge: Interface): number {
    const ports = this.portsByBridge.get(bridge.name) ?? [];
    if (bridge.settings.mtu !== undefined || ports.length === 0) return bridge.mtu;
    return Math.min(...ports.map((port) => port.mtu));
  }

  private checkMacs(): void {
    const seen = new Map<string, Interface[]>();
    for (const item of this.interfaces.values()) {
      const mac = item.settings.mac?.toLowerCase();
      if (mac === undefined) continue;
      const path = [...item.path, 'mac'];
      if (!isUsableMac(mac)) {
        this.report('unusable-mac', item.label, { mac }, path);
        continue;
      }
      const others = seen.get(mac) ?? [];
      const near = others.find((other) => this.shareDomain(other, item));
      const [far] = others;
      if (near !== undefined) {
        this.report('duplicate-mac', item.label, { mac, other: near.label }, path);
      } else if (far !== undefined) {
        this.advise('repeated-mac', item.label, { mac, other: far.label }, path);
      }
      append(seen, mac, item);
    }
  }

  /** The port of a bridge and the bridge hear the same broadcasts; so do both ends of a wire. */
  private shareDomain(left: Interface, right: Interface): boolean {
    return this.domains.areJoined(domainOf(left), domainOf(right));
  }

  // Addresses

  private checkAddresses(): void {
    // By address, then by where it must be unique: a domain or a namespace.
    const holders = new Map<string, Map<string, Interface>>();
    for (const item of this.interfaces.values()) {
      for (const [index, text] of (item.settings.addresses ?? []).entries()) {
        const path = [...item.path, 'addresses', index];
        const address = this.checkAddress(item, text, path);
        if (address === null) continue;
        const scopes = [
          `domain ${this.domains.rootOf(domainOf(item))}`,
          `namespace ${item.namespace ?? ''}`,
        ];
        const linkLocal = oddityOf(address.host) === 'link-local';
        const known = holders.get(address.host.text) ?? new Map<string, Interface>();
        holders.set(address.host.text, known);
        const near = scopes
          .slice(0, linkLocal ? 1 : 2)
          .map((scope) => known.get(scope))
          .find((other) => other !== undefined);
        const far = known.get('anywhere');
        if (near !== undefined) {
          const values = { address: address.text, other: near.label };
          this.report('duplicate-address', item.label, values, path);
        } else if (far !== undefined && !linkLocal) {
          const values = { address: address.text, other: far.label };
          this.advise('repeated-address', item.label, values, path);
        }
        for (const scope of [...scopes, 'anywhere']) {
          if (!known.has(scope)) known.set(scope, item);
        }
      }
    }
  }

  private checkAddress(item: Interface, text: string, path: DocumentPath): SubnetAddress | null {
    const address = parseSubnetAddress(text);
    if (address === null) {
      const [host = '', length] = text.split('/');
      const parsed = parseHostAddress(host);
      if (parsed === null) this.report('invalid-address', item.label, { address: text }, path);
      else if (length === undefined) {
        const usual = parsed.family === 'ipv4' ? 24 : 64;
        const values = { address: text, length: usual };
        this.report('address-without-prefix', item.label, values, path);
      } else if (/^\d+$/.test(length) && Number(length) > 32) {
        const limit = parsed.family === 'ipv4' ? 32 : 128;
        this.report('prefix-out-of-range', item.label, { address: text, limit }, path);
      } else this.report('invalid-address', item.label, { address: text }, path);
      return null;
    }
    const oddity = oddityOf(address.host);
    if (oddity !== null && oddity !== 'link-local') {
      const values = { address: text, sort: oddity };
      this.report('special-address', item.label, values, path);
      return null;
    }
    const values = { address: address.host.text, subnet: address.subnet };
    if (networkAddressOf(address) === address.host.text) {
      this.advise('network-address', item.label, values, path);
    } else if (broadcastOf(address) === address.host.text) {
      this.advise('broadcast-address', item.label, values, path);
    }
    return address;
  }

  // Routes

  private checkRoutes(node: string, settings: NamespaceNode): void {
    const routes = settings.routes ?? [];
    if (routes.length === 0) return;
    const subnets = this.subnetsOf(node);
    const seen = new Set<string>();
    for (const [index, route] of routes.entries()) {
      const path = ['topology', 'nodes', node, 'routes', index];
      const destination = parseDestination(route.to, route.via ?? null);
      if (destination === null) {
        this.report('invalid-route', node, { to: route.to }, [...path, 'to']);
        continue;
      }
      if (route.to !== 'default' && hasHostBits(route.to)) {
        const values = { to: route.to, canonical: destination.text };
        this.report('prefix-with-host-bits', node, values, [...path, 'to']);
        continue;
      }
      const dev = this.routeDevice(node, route, subnets, path);
      if (dev === null) continue;
      if (!dev.up) {
        const values = { to: route.to, dev: dev.name };
        this.advise('route-device-down', node, values, path);
      }
      const metric =
        route.metric === undefined || route.metric === 0
          ? defaultMetric(destination.family)
          : route.metric;
      const key = `${destination.text} ${metric}`;
      if (seen.has(key)) {
        this.report('duplicate-route', node, { to: route.to, metric }, path);
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
        this.report('route-is-connected', node, values, path);
      }
    }
  }

  private subnetsOf(namespace: string): readonly Subnet[] {
    this.interfacesByNamespace ??= groupBy(this.interfaces.values(), (item) => item.namespace);
    return (this.interfacesByNamespace.get(namespace) ?? []).flatMap((item) =>
      (item.settings.addresses ?? []).flatMap((text) => {
        const address = parseSubnetAddress(text);
        return address === null ? [] : [{ item, address }];
      }),
    );
  }
  private interfacesByNamespace: ReadonlyMap<string | null, readonly Interface[]> | null = null;

  /** The interface that a route leaves through; null when it was reported. */
  private routeDevice(
    node: string,
    route: RouteSettings,
    subnets: readonly Subnet[],
    path: DocumentPath,
  ): Interface | null {
    const dev = route.dev === undefined ? undefined : this.interfaces.get(linkKey(node, route.dev));
    if (route.dev !== undefined && dev === undefined) {
      this.report('route-device-unknown', node, { node, dev: route.dev }, [...path, 'dev']);
      return null;
    }
    if (route.via === undefined) {
      if (dev === undefined) this.report('route-without-target', node, { to: route.to }, path);
      return dev ?? null;
    }
    const viaPath = [...path, 'via'];
    const via = parseHostAddress(route.via);
    const oddity = via === null ? null : oddityOf(via);
    if (via === null || (oddity !== null && oddity !== 'link-local')) {
      this.report('invalid-gateway', node, { via: route.via }, viaPath);
      return null;
    }
    const destination = parseDestination(route.to, route.via);
    if (destination?.family !== via.family) {
      const values = { via: route.via, to: route.to };
      this.report('gateway-of-other-family', node, values, viaPath);
      return null;
    }
    if (subnets.some(({ address }) => address.host.text === via.text)) {
      this.report('gateway-is-own', node, { via: route.via }, viaPath);
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
      if (dev === undefined) this.report('gateway-needs-device', node, { via: via.text }, path);
      return dev ?? null;
    }
    const subnet = subnets.find(
      ({ item, address }) => (dev === undefined || item === dev) && isInSubnet(via, address),
    );
    if (subnet !== undefined) return subnet.item;
    const values = { via: gateway.text, place: dev?.label ?? node };
    this.report('gateway-outside-subnets', node, values, path);
    return null;
  }

  // Checks

  private checkChecks(): void {
    for (const [index, check] of (this.document.checks ?? []).entries()) {
      const resolved = resolveCheck(this.document, check);
      if (resolved.ok) continue;
      const { code } = resolved.failure;
      const ofSource = code === 'unknown-node' || code === 'check-from-bridge';
      const path = ['checks', index, ofSource ? 'from' : 'to'];
      this.add({ ...resolved.failure, object: `check ${index + 1}`, place: this.locate(path) });
    }
  }

  // Output

  private report(
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ): void {
    if (this.problems.length >= maximumReports) return;
    this.add(failureOf('invalid-document', code, object, values, this.locate(path)));
  }

  private add(problem: Failure): void {
    if (this.problems.length < maximumReports) this.problems.push(problem);
  }

  private advise(
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ): void {
    if (this.advice.length >= maximumReports) return;
    this.advice.push({ ...warningOf(code, object, values), place: this.locate(path) });
  }
}

interface Subnet {
  readonly item: Interface;
  readonly address: SubnetAddress;
}

/** A bridge is one domain with its ports; any other interface begins as one of its own. */
function domainOf(item: Interface): string {
  return item.bridge === null
    ? `interface ${linkKey(item.namespace, item.name)}`
    : `bridge ${item.bridge}`;
}

/** Looks up an own key: documents may use names such as `constructor`. */
function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function groupBy<K, V>(values: Iterable<V>, keyOf: (value: V) => K): ReadonlyMap<K, readonly V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) append(groups, keyOf(value), value);
  return groups;
}

/** Disjoint sets of names. */
class Groups {
  private readonly parents = new Map<string, string>();

  rootOf(name: string): string {
    let root = name;
    for (;;) {
      const parent = this.parents.get(root);
      if (parent === undefined) break;
      root = parent;
    }
    for (let at = name; at !== root;) {
      const next = this.parents.get(at) ?? root;
      this.parents.set(at, root);
      at = next;
    }
    return root;
  }

  areJoined(left: string, right: string): boolean {
    return this.rootOf(left) === this.rootOf(right);
  }

  /** False when they were joined already. */
  join(left: string, right: string): boolean {
    const [from, to] = [this.rootOf(left), this.rootOf(right)];
    if (from === to) return false;
    this.parents.set(from, to);
    return true;
  }
}

/** The only way between two nodes of a forest, both included. */
function pathBetween(
  neighbours: ReadonlyMap<string, readonly string[]>,
  from: string,
  to: string,
): readonly string[] {
  const cameFrom = new Map<string, string | null>([[from, null]]);
  const queue = [from];
  for (const node of queue) {
    if (node === to) break;
    for (const next of neighbours.get(node) ?? []) {
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  const way: string[] = [];
  for (let at: string | null = to; at !== null; at = cameFrom.get(at) ?? null) way.unshift(at);
  return way;
}
