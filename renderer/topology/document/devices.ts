/** Devices that a person adds to a node: names, first settings and what they stand on. Pure. */
import {
  type DeviceKind,
  type LabDocument,
  type LabNode,
  namespaceOfNode,
  parseEndpoint,
} from '../../../agent/api/index.ts';
import {
  isInSubnet,
  parseHostAddress,
  parseSubnetAddress,
  type SubnetAddress,
} from '../../../agent/lab/address.ts';
import { firstFree, interfaceNames } from './document-edit.ts';
import {
  type AddedKind,
  interfaceSettingsOf,
  isBridgeKind,
  type WantedSettings,
} from './node-kinds.ts';

/** In the order of the palette: what is used most comes first. */
export const deviceKinds: readonly AddedKind[] = [
  'tap',
  'tun',
  'vlan',
  'bond',
  'vxlan',
  'gre',
  'gretap',
  'ipip',
  'geneve',
  'dummy',
  'macvlan',
  'vrf',
  'internal',
  'physical',
];

/** What a port of a bridge may be: a device that carries Ethernet frames. */
const bridgeDeviceKinds: ReadonlySet<DeviceKind> = new Set<DeviceKind>([
  'tap',
  'vxlan',
  'bond',
  'gretap',
  'geneve',
  'dummy',
]);

/** What an Open vSwitch bridge has as a port of its own, without a wire. */
export const ovsPortKinds = [
  'internal',
  'tap',
  'vxlan',
  'gre',
  'geneve',
  'bond',
  'physical',
] as const;
export type OvsPortKind = (typeof ovsPortKinds)[number];
const ovsKinds: ReadonlySet<AddedKind> = new Set<AddedKind>(ovsPortKinds);

export function takesDevice(node: LabNode['kind'], kind: AddedKind): boolean {
  if (node === 'ovs-bridge') return ovsKinds.has(kind);
  if (kind === 'internal' || kind === 'physical') return false;
  return node === 'namespace' || (node === 'bridge' && bridgeDeviceKinds.has(kind));
}

export function isAddedKind(text: string): text is AddedKind {
  return deviceKinds.some((kind) => kind === text);
}

export function isDeviceKind(text: string): text is DeviceKind {
  return text !== 'internal' && text !== 'physical' && isAddedKind(text);
}

/** The kind of the device that an interface is by its settings; null for the end of a veth pair. */
export function deviceKindOf(settings: { readonly kind?: string | undefined }): DeviceKind | null {
  const { kind } = settings;
  return kind !== undefined && isDeviceKind(kind) ? kind : null;
}

/** Like `deviceKindOf`, with what only an Open vSwitch bridge has. */
export function addedKindOf(settings: { readonly kind?: string | undefined }): AddedKind | null {
  const { kind } = settings;
  return kind !== undefined && isAddedKind(kind) ? kind : null;
}

/** Names of the interfaces of a node itself, those of wires first. */
export function interfaceNamesOf(document: LabDocument, node: string): string[] {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined) return [];
  const names = new Set<string>();
  for (const link of document.topology.links ?? []) {
    for (const endpoint of link.endpoints.map(parseEndpoint)) {
      if (endpoint.node === node) names.add(endpoint.interface);
    }
  }
  for (const name of Object.keys(interfaceSettingsOf(wanted))) names.add(name);
  return [...names];
}

/** The namespace node that a node is or sits in; null for the realm's own namespace. */
export function homeOf(document: LabDocument, node: string): string | null {
  const wanted = document.topology.nodes[node];
  return wanted === undefined ? node : namespaceOfNode(node, wanted);
}

/** What a device of a node may stand on: its interfaces, and the bridges in its namespace. */
export function groundsOf(document: LabDocument, node: string): string[] {
  const wanted = document.topology.nodes[node];
  const bridges =
    wanted?.kind === 'namespace'
      ? Object.entries(document.topology.nodes)
          .filter(([name, each]) => isBridgeKind(each.kind) && namespaceOfNode(name, each) === node)
          .map(([name]) => name)
      : [];
  return [...interfaceNamesOf(document, node), ...bridges];
}

/** An address that a node's namespace has. */
export interface HeldAddress {
  readonly address: SubnetAddress;
  readonly node: string;
  readonly interface: string;
}

/** The addresses of a node, in the order of the document, with those of bridges in the same namespace. */
export function addressesOf(document: LabDocument, node: string): HeldAddress[] {
  const found: HeldAddress[] = [];
  const home = homeOf(document, node);
  const add = (texts: readonly string[] | undefined, owner: string, name: string) => {
    for (const text of texts ?? []) {
      const address = parseSubnetAddress(text);
      if (address !== null) found.push({ address, node: owner, interface: name });
    }
  };
  for (const [name, wanted] of Object.entries(document.topology.nodes)) {
    if (homeOf(document, name) !== home) continue;
    if (wanted.kind === 'bridge' || wanted.kind === 'ovs-bridge') {
      add(wanted.addresses, name, name);
    }
    for (const [own, settings] of Object.entries(interfaceSettingsOf(wanted))) {
      if ('addresses' in settings) add(settings.addresses, name, own);
    }
  }
  return found;
}

const overlays: ReadonlySet<string> = new Set([
  ...['tap', 'tun', 'vxlan', 'gre', 'gretap', 'ipip', 'geneve'],
]);

/** Addresses that a tunnel may run between: not those inside of one. */
function outerAddressesOf(document: LabDocument, node: string): SubnetAddress[] {
  return addressesOf(document, node)
    .filter((held) => {
      const owner = document.topology.nodes[held.node];
      const settings = owner?.kind === 'namespace' ? owner.interfaces?.[held.interface] : undefined;
      const kind = settings === undefined ? null : deviceKindOf(settings);
      return kind === null || !overlays.has(kind);
    })
    .map((held) => held.address);
}

/**
 * The addresses between which a tunnel of two nodes would run: the first pair of one subnet, otherwise the first
 * address of each. Null where a node has none.
 */
export function guessUnderlay(
  document: LabDocument,
  one: string,
  other: string,
): readonly [string, string] | null {
  const here = outerAddressesOf(document, one);
  const there = outerAddressesOf(document, other);
  for (const near of here) {
    for (const far of there) {
      if (near.subnet === far.subnet && near.text !== far.text) {
        return [near.host.text, far.host.text];
      }
    }
  }
  const first = here[0];
  const second = there.find((far) => far.host.family === first?.host.family);
  return first === undefined || second === undefined ? null : [first.host.text, second.host.text];
}

/** Ends of a new tunnel device: back to who points here already, otherwise to a neighbour in a subnet. */
function guessTunnel(
  document: LabDocument,
  node: string,
  kind: DeviceKind,
): { local?: string; remote?: string; id?: number } {
  const own = outerAddressesOf(document, node);
  for (const settings of allDevices(document, node)) {
    if (settings.kind !== kind || !('remote' in settings)) continue;
    const found = own.find((address) => address.host.text === settings.remote);
    const local = 'local' in settings ? settings.local : undefined;
    if (found === undefined || local === undefined) continue;
    return {
      local: found.host.text,
      remote: local,
      ...('id' in settings
        ? { id: settings.id }
        : 'key' in settings && settings.key !== undefined
          ? { id: settings.key }
          : {}),
    };
  }
  for (const other of Object.keys(document.topology.nodes)) {
    if (homeOf(document, other) === homeOf(document, node)) continue;
    for (const { address } of addressesOf(document, other)) {
      const local = own.find((each) => isInSubnet(address.host, each));
      if (local !== undefined) return { local: local.host.text, remote: address.host.text };
    }
  }
  const [first] = own;
  return first === undefined ? {} : { local: first.host.text };
}

/** Settings of the devices of every node but one. */
function allDevices(document: LabDocument, except: string | null): WantedSettings[] {
  return Object.entries(document.topology.nodes).flatMap(([name, node]) =>
    name === except ? [] : Object.values(interfaceSettingsOf(node)),
  );
}

/** Names that are members of a bond or of a VRF of the node. */
function membersOf(document: LabDocument, node: string): ReadonlySet<string> {
  const wanted = document.topology.nodes[node];
  return new Set(
    Object.values(interfaceSettingsOf(wanted)).flatMap((settings) =>
      'members' in settings ? (settings.members ?? []) : [],
    ),
  );
}

export interface NewDevice {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>> & { readonly kind: AddedKind };
}

/** A tunnel must lead somewhere; this address leads nowhere (RFC 5737) and asks to be replaced. */
const nowhere = '192.0.2.1';

/**
 * A new device for a node, with a free name and settings that work as far as the document tells. `parent` is the
 * interface that it is to stand on, where it stands on one; `nics` are interfaces of the machine that are free, the
 * best first. Null where there is none that it could stand on.
 */
export function newDevice(
  document: LabDocument,
  node: string,
  kind: AddedKind,
  parent: string | null = null,
  nics: readonly string[] = [],
): NewDevice | null {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined || !takesDevice(wanted.kind, kind)) return null;
  if (wanted.kind === 'ovs-bridge') return newOvsPort(document, node, kind, nics);
  const taken = interfaceNames(document, node);
  const free = (stem: string, start = 0) => firstFree(stem, start, (name) => taken.has(name));
  const members = membersOf(document, node);
  const own = interfaceNamesOf(document, node);
  const settingsOf = (name: string) => interfaceSettingsOf(wanted)[name];
  // What stands on another device, or belongs to one, is a poor ground for a third.
  const ground =
    parent ??
    groundsOf(document, node).find((name) => {
      const on = settingsOf(name);
      const under = on === undefined ? null : deviceKindOf(on);
      return !members.has(name) && (under === null || under === 'bond' || under === 'dummy');
    }) ??
    null;
  switch (kind) {
    case 'vlan': {
      if (ground === null) return null;
      let id = 10;
      while (taken.has(`${ground}.${id}`)) id += 10;
      const long = `${ground}.${id}`;
      return {
        name: long.length <= 15 ? long : free('vlan', id),
        settings: { kind, parent: ground, id },
      };
    }
    case 'macvlan':
      return ground === null
        ? null
        : { name: free('macvlan'), settings: { kind, parent: ground, mode: 'bridge' } };
    case 'bond': {
      const links = own.filter((name) => {
        const settings = settingsOf(name);
        const addresses = settings !== undefined && 'addresses' in settings && settings.addresses;
        const plain = settings === undefined || deviceKindOf(settings) === null;
        return plain && !members.has(name) && (addresses === undefined || addresses === false);
      });
      return {
        name: free('bond'),
        settings: {
          kind,
          mode: 'active-backup',
          ...(links.length >= 2 && wanted.kind === 'namespace' ? { members: links } : {}),
        },
      };
    }
    case 'vxlan': {
      const { local, remote, id } = guessTunnel(document, node, kind);
      const ids = new Set(
        allDevices(document, null).flatMap((each) =>
          each.kind === 'vxlan' && 'id' in each ? [each.id] : [],
        ),
      );
      let number = id ?? 100;
      while (id === undefined && ids.has(number)) number += 1;
      return { name: free('vxlan'), settings: { kind, id: number, ...ends(local, remote) } };
    }
    case 'geneve': {
      const { remote, id } = guessTunnel(document, node, kind);
      return {
        name: free('geneve'),
        settings: { kind, id: id ?? 100, remote: remote ?? nowhere },
      };
    }
    case 'gre':
    case 'gretap':
    case 'ipip': {
      const { local, remote } = guessTunnel(document, node, kind);
      // `gre0`, `gretap0` and `tunl0` are the kernel's own (net/ipv4/ip_gre.c, ipip.c).
      return { name: free(kind, 1), settings: { kind, ...ends(local, remote ?? nowhere) } };
    }
    case 'vrf': {
      const tables = new Set(
        Object.values((wanted.kind === 'namespace' ? wanted.interfaces : {}) ?? {}).flatMap(
          (each) => (each.kind === 'vrf' ? [each.table] : []),
        ),
      );
      let table = 10;
      while (tables.has(table)) table += 10;
      return { name: free('vrf'), settings: { kind, table } };
    }
    case 'dummy':
    case 'tap':
    case 'tun':
    case 'internal':
    case 'physical':
      return { name: free(kind), settings: { kind } };
  }
}

/** Names that are members of a bond of the bridge, or ends of wires that could be. */
function bondable(document: LabDocument, node: string): string[] {
  const members = membersOf(document, node);
  const settings = interfaceSettingsOf(document.topology.nodes[node]);
  const patches = new Set(
    (document.topology.links ?? []).flatMap((link) =>
      link.type === 'patch' ? link.endpoints : [],
    ),
  );
  return interfaceNamesOf(document, node).filter((name) => {
    const kind = settings[name]?.kind;
    const plain = kind === undefined || kind === 'veth' || kind === 'tap';
    return plain && !members.has(name) && !patches.has(`${node}:${name}`);
  });
}

/**
 * A new port of an Open vSwitch bridge; null for a bond without two ends of wires that it could join, and for a NIC at a
 * bridge that is in another namespace than the NICs are.
 */
function newOvsPort(
  document: LabDocument,
  node: string,
  kind: AddedKind,
  nics: readonly string[],
): NewDevice | null {
  const taken = interfaceNames(document, node);
  const free = (stem: string, start = 0) => firstFree(stem, start, (name) => taken.has(name));
  switch (kind) {
    case 'internal':
      return { name: free('int', 1), settings: { kind } };
    case 'tap':
      return { name: free('tap'), settings: { kind } };
    case 'physical':
      return homeOf(document, node) === null
        ? { name: nics.find((name) => !taken.has(name)) ?? free('eth'), settings: { kind } }
        : null;
    case 'bond': {
      const members = bondable(document, node);
      if (members.length < 2) return null;
      // Two ends that choose their member by themselves may choose different links, over which nothing passes. With LACP
      // they agree; without a partner that speaks it, it is as if nobody did.
      const settings = { kind, members, lacp: 'active' as const, lacpFallback: true };
      return { name: free('bond'), settings };
    }
    case 'vxlan':
    case 'gre':
    case 'geneve': {
      const { local, remote, id } = guessTunnel(document, node, kind);
      const key = id ?? 100;
      // Open vSwitch takes its own end by the route; it is written where another points at it, so that both are seen.
      return {
        name: free(kind === 'gre' ? 'gre' : kind === 'vxlan' ? 'vx' : 'gnv', 1),
        settings: { kind, ...ends(local, remote ?? nowhere), key },
      };
    }
    default:
      return null;
  }
}

function ends(local: string | undefined, remote: string | undefined) {
  return {
    ...(local === undefined ? {} : { local }),
    ...(remote === undefined ? {} : { remote }),
  };
}

/** Whether two nodes may be joined by patch ports: Open vSwitch bridges of one namespace. */
export function canPatch(document: LabDocument, one: string, other: string): boolean {
  const { nodes } = document.topology;
  const ovs = [one, other].every((name) => nodes[name]?.kind === 'ovs-bridge');
  return ovs && one !== other && homeOf(document, one) === homeOf(document, other);
}

/** A device of another node that a tap or tun may be joined to, and is not yet. */
export interface TunnelEnd {
  readonly node: string;
  readonly interface: string;
}

/** The devices of the same kind, tap or tun, of other namespaces that no wire ends at. */
export function tunnelTargets(document: LabDocument, node: string, name: string): TunnelEnd[] {
  const wired = new Set((document.topology.links ?? []).flatMap((link) => link.endpoints));
  const kindAt = (where: string, which: string) => {
    const wanted = document.topology.nodes[where];
    const settings = wanted?.kind === 'namespace' ? wanted.interfaces?.[which] : undefined;
    return settings === undefined ? null : deviceKindOf(settings);
  };
  const kind = kindAt(node, name);
  if ((kind !== 'tap' && kind !== 'tun') || wired.has(`${node}:${name}`)) return [];
  return Object.keys(document.topology.nodes).flatMap((other) =>
    other === node
      ? []
      : interfaceNamesOf(document, other)
          .filter((each) => kindAt(other, each) === kind && !wired.has(`${other}:${each}`))
          .map((each) => ({ node: other, interface: each })),
  );
}

/** Whether an address of a document, written as a person may, is that one. */
export function sameHost(one: string, other: string): boolean {
  return one === other || parseHostAddress(one)?.text === parseHostAddress(other)?.text;
}
