import {
  type BridgeSettings,
  type Device,
  type Impairment,
  initialBridge,
  initialPort,
  initialVlans,
  type SomePortSettings,
  type VlanEntry,
} from '../api/device.ts';
import { isPairLink, isSwitch, namespaceOfNode, parseEndpoint } from '../api/document.ts';
import type {
  BridgeNode,
  BridgePort,
  InterfaceSettings,
  LabDocument,
  LabLink,
  LabNode,
  NamespaceNode,
  PairLink,
  VirtualMachineNode,
} from '../api/document.ts';
import type { OvsBridgeNode } from '../api/document-ovs.ts';
import { ownershipMark } from '../api/names.ts';
import {
  canonicalSubnetAddress,
  isInSubnet,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
} from './address.ts';
import type { AddressFamily } from './address.ts';
import { defaultMtu, deviceOf, impairmentOf, membersOf, takesVlans } from './device.ts';
import {
  internalMtu,
  internalPortsOf,
  linkPortsOf,
  type NetworkSwitch,
  openFlowOf,
  type OvsInternalPort,
  type OvsLinkPort,
  ovsBridgeOf,
} from './ovs-network.ts';
import { OverlayMtus } from './ovs-underlay.ts';
import {
  type MachineCard,
  machineMac,
  machineProcess,
  machineProcessName,
} from './virtual-machine.ts';
import { collectorProcess, collectorProcessName } from './collector.ts';
import { rulesOf } from './rules.ts';
import { tunnelMtu, tunnelProcess, tunnelProcessName } from './tunnel.ts';

/** The network that a document asks for, in normal form. `namespace: null` is the realm's own. */
export interface Network {
  /** By name. */
  readonly namespaces: ReadonlyMap<string, NetworkNamespace>;
  /** By `linkKey`, in document order. */
  readonly links: ReadonlyMap<string, NetworkLink>;
  readonly pairs: readonly (readonly [NetworkLink, NetworkLink])[];
  /** By namespace name. Without routes that a kernel could not hold: those through a link that is down. */
  readonly routes: ReadonlyMap<string, readonly NetworkRoute[]>;
  readonly processes: readonly NetworkProcess[];
  /**
   * By the key of a bridge: the interface in its namespace, not made by the document, that becomes its port and gives
   * it its addresses and routes.
   */
  readonly uplinks: ReadonlyMap<string, string>;
  /** Open vSwitch bridges by the key of their own port, in document order. */
  readonly switches: ReadonlyMap<string, NetworkSwitch>;
  /** Namespaces that need an Open vSwitch. */
  readonly engines: ReadonlySet<string | null>;
  /** What the realm's own namespace has beside links; null leaves it alone. */
  readonly internet: NetworkInternet | null;
}

export interface NetworkInternet {
  /** Node that it is drawn as. */
  readonly node: string;
  /** As `NetworkNamespace.rules`. */
  readonly rules: string | null;
}

export interface NetworkNamespace {
  readonly name: string;
  readonly loopback: boolean;
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Canonical JSON of the table of rules (`rules.ts`); null for none. */
  readonly rules: string | null;
}

export interface NetworkLink {
  /** An `internal` one is made by Open vSwitch: a bridge's own port, or another that asks for one. */
  readonly kind: 'bridge' | 'veth' | 'device' | 'internal';
  readonly namespace: string | null;
  readonly name: string;
  /** Node that it is drawn at: the bridge itself, or the node of the endpoint. */
  readonly node: string;
  /** Pinned MAC in lower case; null leaves it to the kernel. */
  readonly mac: string | null;
  /** Pinned MTU; null is 1500 for a veth, what its ports ask for at a bridge, and the kernel's choice for a device. */
  readonly mtu: number | null;
  readonly up: boolean;
  /** Bridge, bond or VRF in the same namespace. */
  readonly master: string | null;
  /** The Open vSwitch bridge that it is a port of, or whose own port it is. */
  readonly switch: string | null;
  /** Canonical, in document order. */
  readonly addresses: readonly string[];
  /** Key of the other end of a veth pair. */
  readonly peer: string | null;
  /** Of a bridge. */
  readonly bridge: BridgeSettings | null;
  /** Of a device. */
  readonly device: Device | null;
  /** Of a bridge's port; what the document leaves to the kernel is missing. */
  readonly port: SomePortSettings | null;
  /** Of a bridge and of its ports. */
  readonly vlans: readonly VlanEntry[] | null;
  readonly impairment: Impairment | null;
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

export interface NetworkProcess {
  readonly namespace: string | null;
  readonly name: string;
  readonly command: readonly string[];
  /** Keys of devices that it holds: it is started anew with any of them. */
  readonly devices: readonly string[];
}

/** The realm's way out: an interface in its own namespace, made from outside (`agent/realm/keeper.sh`). */
export const internetInterface = 'internet0';

/** IPV6_MIN_MTU: an interface with less has no IPv6. */
export const smallestIpv6Mtu = 1280;

/** Key of an interface by the name of its namespace; neither name can hold a slash. */
export function linkKey(namespace: string | null, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

export function keyOf({ namespace, name }: NetworkLink): string {
  return linkKey(namespace, name);
}

/** Metric that the kernel gives to a route without one (IP6_RT_PRIO_USER for IPv6). */
export function defaultMetric(family: AddressFamily): number {
  return family === 'ipv4' ? 0 : 1024;
}

/** What tells routes of one namespace apart. */
export function routeKey(route: Pick<NetworkRoute, 'to' | 'via' | 'dev' | 'metric'>): string {
  return `${route.to} ${route.via ?? '-'} ${route.dev} ${route.metric}`;
}

/** A destination as `ip route` prints it. */
export function readableDestination(to: string): string {
  return to === '0.0.0.0/0' || to === '::/0' ? 'default' : to;
}

/** Expects a document without problems; what cannot be resolved is left out. */
export function networkOf(document: LabDocument): Network {
  const builder = new NetworkBuilder(document);
  return builder.build();
}

/** Where a link is drawn and where it is. */
interface LinkPlace {
  readonly node: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly settings: AnyLinkSettings | undefined;
}

type AnyLinkSettings = InterfaceSettings | BridgePort | OvsLinkPort;

/** What a card of a virtual machine leads to. */
interface MachineEnd {
  readonly tap: NetworkLink;
  readonly mtu: number | null;
}

class NetworkBuilder {
  private readonly document: LabDocument;
  private readonly nodes: ReadonlyMap<string, LabNode>;
  private readonly links = new Map<string, NetworkLink>();
  private readonly pairs: (readonly [NetworkLink, NetworkLink])[] = [];
  private readonly processes: NetworkProcess[] = [];
  /** Master by the key of its member. */
  private readonly masters = new Map<string, string>();
  /** By node and card. */
  private readonly cards = new Map<string, Map<string, MachineEnd>>();
  /** Bridge by the key of its uplink, where the document makes that itself: an ordinary port then. */
  private readonly ownUplinks = new Map<string, string>();
  /** Keys of links that are ports of an Open vSwitch bridge, by its node. */
  private readonly switchLinks = new Map<string, string[]>();
  /** By the node of an Open vSwitch bridge and the port's name: the port at the other end. */
  private readonly patches = new Map<string, Map<string, string>>();
  /** MTU that the ends of a tunnel get unless theirs is pinned, by key. */
  private readonly tunnelMtus = new Map<string, number>();
  private readonly overlayMtus: OverlayMtus;

  constructor(document: LabDocument) {
    this.document = document;
    this.nodes = new Map(Object.entries(document.topology.nodes));
    this.overlayMtus = new OverlayMtus(document);
  }

  build(): Network {
    const namespaces = new Map<string, NetworkNamespace>();
    let internet: NetworkInternet | null = null;
    for (const [name, node] of this.nodes) {
      this.findMembers(name, node);
      if (node.kind === 'namespace') namespaces.set(name, namespaceOf(name, node));
      if (node.kind === 'internet')
        internet = { node: name, rules: rulesOf(internetRules, ownershipMark(this.document.name)) };
    }
    const links = this.document.topology.links ?? [];
    const uplinks = this.findUplinks(links);
    for (const link of links) if (link.type === 'tunnel') this.findTunnel(link);
    for (const [name, node] of this.nodes) if (node.kind === 'bridge') this.addBridge(name, node);
    for (const [name, node] of this.nodes)
      if (node.kind === 'ovs-bridge') this.addInternals(name, node);
    for (const link of links) {
      if (link.type === 'patch') this.addPatch(link);
      else if (link.type !== 'tunnel') this.addPair(link);
    }
    for (const [name, node] of this.nodes) this.addDevices(name, node);
    for (const [name, node] of this.nodes) if (node.kind === 'vm') this.addMachine(name, node);
    for (const [name, node] of this.nodes) {
      if (node.kind !== 'namespace') continue;
      for (const run of node.run ?? []) {
        this.processes.push({
          namespace: name,
          name: run.name,
          command: run.command,
          devices: [],
        });
      }
      if (node.collector === undefined) continue;
      this.processes.push({
        namespace: name,
        name: collectorProcessName,
        command: collectorProcess(node.collector),
        devices: [],
      });
    }
    return {
      namespaces,
      links: this.links,
      pairs: this.pairs,
      routes: routesOf(this.nodes, this.links, this.ownUplinks),
      processes: this.processes,
      uplinks,
      ...this.switchesOf(),
      internet,
    };
  }

  /** Sorts the uplinks of bridges into those that the document makes itself and others, which are given back. */
  private findUplinks(links: readonly LabLink[]): ReadonlyMap<string, string> {
    const made = new Set(links.flatMap((link) => (isPairLink(link) ? link.endpoints : [])));
    const foreign = new Map<string, string>();
    for (const [name, node] of this.nodes) {
      if (!isSwitch(node) || node.uplink === undefined) continue;
      const { namespace, uplink } = node;
      const isOwn =
        namespace !== undefined &&
        (made.has(`${namespace}:${uplink}`) || deviceOf(this.interfaceOf(node) ?? {}) !== null);
      if (isOwn) this.ownUplinks.set(linkKey(namespace, uplink), name);
      else if (node.kind === 'bridge') foreign.set(linkKey(namespace ?? null, name), uplink);
    }
    return foreign;
  }

  /** Settings of a bridge's uplink at the node that the bridge sits in. */
  private interfaceOf({
    namespace,
    uplink,
  }: BridgeNode | OvsBridgeNode): InterfaceSettings | undefined {
    const node = namespace === undefined ? undefined : this.nodes.get(namespace);
    if (node?.kind !== 'namespace' || uplink === undefined) return undefined;
    const interfaces = node.interfaces ?? {};
    return Object.hasOwn(interfaces, uplink) ? interfaces[uplink] : undefined;
  }

  /** Settings of the interfaces that are drawn at a node, with the namespace that they are in. */
  private settingsOf(
    node: LabNode,
    name: string,
  ): readonly [string | null, Readonly<Record<string, AnyLinkSettings>>] {
    const namespace = namespaceOfNode(name, node);
    if (node.kind === 'ovs-bridge') return [namespace, linkPortsOf(node)];
    const settings = node.kind === 'bridge' ? node.ports : node.interfaces;
    return [namespace, settings ?? {}];
  }

  private findMembers(name: string, node: LabNode): void {
    const [namespace, interfaces] = this.settingsOf(node, name);
    for (const [master, settings] of Object.entries(interfaces)) {
      for (const member of membersOf(settings as InterfaceSettings | BridgePort)) {
        this.masters.set(linkKey(namespace, member), master);
      }
    }
  }

  private findTunnel(link: Extract<LabLink, { readonly type: 'tunnel' }>): void {
    const [left, right] = link.endpoints.map(parseEndpoint);
    if (left === undefined || right === undefined) return;
    const [near, far] = link.underlay;
    for (const [end, local, remote] of [
      [left, near, far],
      [right, far, near],
    ] as const) {
      const node = this.nodes.get(end.node);
      if (node?.kind !== 'namespace') continue;
      const device = node.interfaces?.[end.interface]?.kind;
      if (device !== 'tap' && device !== 'tun') continue;
      const key = linkKey(end.node, end.interface);
      this.tunnelMtus.set(key, tunnelMtu(device, local, this.mtuOfAddress(node, local)));
      this.processes.push({
        namespace: end.node,
        name: tunnelProcessName(end.interface),
        command: tunnelProcess(device, end.interface, local, remote, link.port),
        devices: [key],
      });
    }
  }

  /** MTU of the interface that bears an address. */
  private mtuOfAddress(node: NamespaceNode, address: string): number {
    const wanted = parseHostAddress(address)?.text;
    const [, settings] =
      Object.entries(node.interfaces ?? {}).find(([, { addresses }]) =>
        addresses?.some((text) => parseSubnetAddress(text)?.host.text === wanted),
      ) ?? [];
    return settings?.mtu ?? defaultMtu;
  }

  private addBridge(name: string, node: BridgeNode): void {
    const namespace = node.namespace ?? null;
    const bridge = bridgeSettingsOf(node);
    this.links.set(linkKey(namespace, name), {
      kind: 'bridge',
      namespace,
      name,
      node: name,
      mac: node.mac?.toLowerCase() ?? null,
      mtu: node.mtu ?? null,
      up: node.state !== 'down',
      master: this.masters.get(linkKey(namespace, name)) ?? null,
      switch: null,
      addresses: uniqueAddresses([
        ...(node.addresses ?? []),
        ...(this.interfaceOf(node)?.addresses ?? []),
      ]),
      peer: null,
      bridge,
      device: null,
      port: null,
      vlans: sortedVlans([
        ...initialVlans,
        ...(bridge.vlanFiltering ? (node.vlans ?? []) : [])
          .filter((id) => id !== 1)
          .map((id) => ({ id, pvid: false, untagged: false })),
      ]),
      impairment: impairmentOf(node.impairment),
    });
  }

  /** The links that Open vSwitch makes for a bridge: its own port and other internal ones. */
  private addInternals(node: string, settings: OvsBridgeNode): void {
    const namespace = settings.namespace ?? null;
    const uplink = this.interfaceOf(settings);
    const add = (
      name: string,
      port: OvsInternalPort | OvsBridgeNode,
      further: readonly string[],
    ): void => {
      this.links.set(linkKey(namespace, name), {
        kind: 'internal',
        namespace,
        name,
        node,
        mac: port.mac?.toLowerCase() ?? null,
        mtu: internalMtu(port, this.overlayMtus.ofSwitch(node)),
        up: port.state !== 'down',
        master: null,
        switch: node,
        addresses: uniqueAddresses([...(port.addresses ?? []), ...further]),
        peer: null,
        bridge: null,
        device: null,
        port: null,
        vlans: null,
        impairment: impairmentOf(port.impairment),
      });
    };
    add(node, settings, uplink?.addresses ?? []);
    for (const [name, port] of internalPortsOf(settings)) add(name, port, []);
  }

  private addPatch(link: Extract<LabLink, { readonly type: 'patch' }>): void {
    const [left, right] = link.endpoints.map(parseEndpoint);
    if (left === undefined || right === undefined) return;
    for (const [one, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const patches = this.patches.get(one.node) ?? new Map<string, string>();
      this.patches.set(one.node, patches.set(one.interface, other.interface));
    }
  }

  private switchesOf(): Pick<Network, 'switches' | 'engines'> {
    const switches = new Map<string, NetworkSwitch>();
    const engines = new Set<string | null>();
    for (const [name, node] of this.nodes) {
      if (node.kind !== 'ovs-bridge') continue;
      const namespace = node.namespace ?? null;
      engines.add(namespace);
      switches.set(linkKey(namespace, name), {
        namespace,
        name,
        node: name,
        bridge: ovsBridgeOf(name, node, {
          links: this.switchLinks.get(name) ?? [],
          patches: this.patches.get(name) ?? new Map<string, string>(),
          overlayMtu: this.overlayMtus.ofSwitch(name),
        }),
        datapath: node.datapath ?? null,
        openFlow: openFlowOf(node),
      });
    }
    return { switches, engines };
  }

  private addPair(link: PairLink): void {
    const places = link.endpoints.map((text): LinkPlace | null => {
      const { node: nodeName, interface: name } = parseEndpoint(text);
      const node = this.nodes.get(nodeName);
      if (node === undefined) return null;
      const [namespace, settings] = this.settingsOf(node, nodeName);
      const own = Object.hasOwn(settings, name) ? settings[name] : undefined;
      return { node: nodeName, namespace, name, settings: own };
    });
    const [left, right] = places;
    if (left === null || left === undefined || right === null || right === undefined) return;
    const mtu = link.mtu ?? this.overlayMtus.ofLink(link);
    const machines = [left, right].map(({ node }) => this.nodes.get(node)?.kind === 'vm');
    if (machines.includes(true)) {
      if (machines[0] !== machines[1]) {
        this.addCard(
          ...(machines[0] === true ? ([left, right] as const) : ([right, left] as const)),
          mtu,
        );
      }
      return;
    }
    const endOf = (place: LinkPlace, peer: LinkPlace): NetworkLink =>
      this.linkAt(place, {
        kind: 'veth',
        mtu: place.settings?.mtu ?? mtu ?? null,
        peer: linkKey(peer.namespace, peer.name),
        device: null,
      });
    const pair = [endOf(left, right), endOf(right, left)] as const;
    for (const end of pair) this.links.set(linkKey(end.namespace, end.name), end);
    this.pairs.push(pair);
  }

  /** Of a link that ends at a virtual machine there is the other end only: a tap, which the machine attaches to. */
  private addCard(card: LinkPlace, far: LinkPlace, linkMtu: number | undefined): void {
    const tap = this.linkAt(far, {
      kind: 'device',
      mtu: far.settings?.mtu ?? linkMtu ?? null,
      peer: null,
      device: { kind: 'tap', owner: null, group: null, multiQueue: false },
    });
    this.links.set(linkKey(tap.namespace, tap.name), tap);
    const cards = this.cards.get(card.node) ?? new Map<string, MachineEnd>();
    this.cards.set(card.node, cards);
    cards.set(card.name, { tap, mtu: card.settings?.mtu ?? linkMtu ?? null });
  }

  private addMachine(name: string, node: VirtualMachineNode): void {
    const ends = this.cards.get(name) ?? new Map<string, MachineEnd>();
    // In the order in which the document has them, then those that it says nothing about.
    const names = new Set([...Object.keys(node.interfaces ?? {}), ...ends.keys()]);
    const lab = this.document.name;
    const cards = [...names].flatMap((card): MachineCard[] => {
      const end = ends.get(card);
      if (end === undefined) return [];
      const settings = node.interfaces?.[card];
      return [
        {
          name: card,
          tap: end.tap.name,
          mac: settings?.mac?.toLowerCase() ?? machineMac(lab, name, card),
          mtu: end.mtu,
          addresses: settings?.addresses ?? [],
        },
      ];
    });
    const taps = [...ends.values()].map(({ tap }) => tap);
    this.processes.push({
      namespace: taps[0]?.namespace ?? null,
      name: machineProcessName(name),
      command: machineProcess(lab, name, node, cards),
      devices: taps.map((tap) => linkKey(tap.namespace, tap.name)),
    });
  }

  private addDevices(nodeName: string, node: LabNode): void {
    const [namespace, interfaces] = this.settingsOf(node, nodeName);
    for (const [name, settings] of Object.entries(interfaces)) {
      const device = deviceOf(settings as InterfaceSettings | BridgePort);
      if (device === null) continue;
      const key = linkKey(namespace, name);
      const mtu = settings.mtu ?? this.tunnelMtus.get(key) ?? null;
      const place = { node: nodeName, namespace, name, settings };
      this.links.set(key, this.linkAt(place, { kind: 'device', mtu, peer: null, device }));
    }
  }

  /** The end of a link, or a device. A member of a bond or VRF is no port of the bridge it is drawn at. */
  private linkAt(
    { node, namespace, name, settings }: LinkPlace,
    { kind, mtu, peer, device }: Pick<NetworkLink, 'kind' | 'mtu' | 'peer' | 'device'>,
  ): NetworkLink {
    // An uplink is drawn at its namespace, and is a port all the same.
    const bridgeName = this.ownUplinks.get(linkKey(namespace, name)) ?? node;
    const drawnAt = this.nodes.get(bridgeName);
    const bridge = drawnAt?.kind === 'bridge' ? drawnAt : undefined;
    const ofSwitch = drawnAt?.kind === 'ovs-bridge' ? bridgeName : null;
    if (ofSwitch !== null) {
      const list = this.switchLinks.get(ofSwitch) ?? [];
      this.switchLinks.set(ofSwitch, [...list, name]);
    }
    const group = this.masters.get(linkKey(namespace, name));
    const port = bridge !== undefined && group === undefined;
    const addresses = settings !== undefined && 'addresses' in settings ? settings.addresses : [];
    return {
      kind,
      namespace,
      name,
      node,
      mac: settings?.mac?.toLowerCase() ?? null,
      mtu,
      up: settings?.state !== 'down',
      master: group ?? (bridge === undefined ? null : bridgeName),
      switch: ofSwitch,
      addresses: bridge === undefined && ofSwitch === null ? uniqueAddresses(addresses) : [],
      peer,
      bridge: null,
      device,
      port: port ? portSettingsOf(asPort(bridgeName === node ? settings : undefined)) : null,
      vlans: port ? vlansOf(bridge, asPort(bridgeName === node ? settings : undefined)) : null,
      impairment: impairmentOf(settings?.impairment),
    };
  }
}

/** Settings of an interface that is drawn at a bridge are those of a port. */
function asPort(settings: AnyLinkSettings | undefined): BridgePort {
  return (settings ?? {}) as BridgePort;
}

/** Outside nobody knows the lab's addresses. */
const internetRules = { nat: [{ kind: 'masquerade' as const, out: internetInterface }] };

function namespaceOf(name: string, node: NamespaceNode): NetworkNamespace {
  const { forwarding } = node;
  const both = typeof forwarding === 'boolean' ? forwarding : false;
  const each = typeof forwarding === 'object' ? forwarding : {};
  return {
    name,
    loopback: node.loopback ?? true,
    forwarding: { ipv4: each.ipv4 ?? both, ipv6: each.ipv6 ?? both },
    rules: rulesOf(node),
  };
}

function bridgeSettingsOf(node: BridgeNode): BridgeSettings {
  return {
    stp: node.stp ?? initialBridge.stp,
    priority: node.priority ?? initialBridge.priority,
    forwardDelay: node.forwardDelay ?? initialBridge.forwardDelay,
    helloTime: node.helloTime ?? initialBridge.helloTime,
    maximumAge: node.maximumAge ?? initialBridge.maximumAge,
    ageingTime: node.ageingTime ?? initialBridge.ageingTime,
    multicastSnooping: node.multicastSnooping ?? initialBridge.multicastSnooping,
    vlanFiltering: node.vlanFiltering ?? initialBridge.vlanFiltering,
  };
}

function portSettingsOf(port: BridgePort): SomePortSettings {
  return {
    isolated: port.isolated ?? initialPort.isolated,
    priority: port.priority ?? initialPort.priority,
    ...(port.cost === undefined ? {} : { cost: port.cost }),
  };
}

/** VLAN table of a port. Without filtering the table is there too, and has no effect. */
function vlansOf(bridge: BridgeNode, port: BridgePort): readonly VlanEntry[] {
  if (bridge.vlanFiltering !== true || !takesVlans(port)) return initialVlans;
  if (port.vlan !== undefined) return [{ id: port.vlan, pvid: true, untagged: true }];
  const { native } = port;
  const tagged = (port.trunk ?? []).filter((id) => id !== native);
  return sortedVlans([
    ...(native === undefined ? [] : [{ id: native, pvid: true, untagged: true }]),
    ...tagged.map((id) => ({ id, pvid: false, untagged: false })),
  ]);
}

function sortedVlans(entries: readonly VlanEntry[]): readonly VlanEntry[] {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  return [...byId.values()].sort((one, other) => one.id - other.id);
}

function uniqueAddresses(addresses: readonly string[] | undefined): readonly string[] {
  return [...new Set((addresses ?? []).map((address) => canonicalSubnetAddress(address)))];
}

function routesOf(
  nodes: ReadonlyMap<string, LabNode>,
  links: ReadonlyMap<string, NetworkLink>,
  uplinks: ReadonlyMap<string, string>,
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
      const stated = settings.dev;
      const dev =
        (stated === undefined ? undefined : (uplinks.get(linkKey(name, stated)) ?? stated)) ??
        (via === null
          ? undefined
          : subnets.find(({ address }) => isInSubnet(via, address))?.link.name);
      if (dev === undefined || links.get(linkKey(name, dev))?.up !== true) continue;
      // The kernel reads metric 0 of an IPv6 route as "none given".
      const hasMetric = settings.metric !== undefined && settings.metric !== 0;
      list.push({
        family: destination.family,
        to: destination.text,
        via: via?.text ?? null,
        dev,
        metric: hasMetric ? (settings.metric ?? 0) : defaultMetric(destination.family),
        metricStated: hasMetric,
      });
    }
    routes.set(name, list);
  }
  return routes;
}
