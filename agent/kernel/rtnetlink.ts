/**
 * Links, addresses, routes and namespace ids as rtnetlink speaks them, typed. Pure. Sources: include/uapi/linux/
 * rtnetlink.h, if_link.h, if_addr.h, net_namespace.h; what a request may hold is in net/core/rtnetlink.c,
 * net/ipv4/devinet.c, net/ipv6/addrconf.c and the fib front ends.
 *
 * A request is a value: encode it with others into one send (`RequestSocket.transact`) or alone.
 */
import type { LinkCounters } from '../api/link-counters.ts';
import {
  formatIpAddress,
  formatMac,
  type IpFamily,
  type IpPrefix,
  parseIpAddress,
  parseIpPrefix,
  parseMac,
} from './ip-address.ts';
import {
  type MessageWriter,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  readBytes,
  readI32,
  readString,
  readU16,
  readU32,
  readU64Number,
  readU8,
  visitAttributes,
} from './netlink-codec.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWNETCONF = 80;
export const RTM_DELNETCONF = 81;
export const RTM_GETNETCONF = 82;
export const RTM_NEWNSID = 88;
export const RTM_DELNSID = 89;
export const RTM_GETNSID = 90;
export const RTM_GETSTATS = 94;

export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_TC = 4;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;
export const RTNLGRP_IPV4_NETCONF = 24;
export const RTNLGRP_IPV6_NETCONF = 25;
export const RTNLGRP_NSID = 28;

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;
export const IFF_LOWER_UP = 0x10000;
export const IFF_DORMANT = 0x20000;

const ARPHRD_LOOPBACK = 772;

const RTEXT_FILTER_SKIP_STATS = 8;

const operationalStates = [
  'unknown',
  'not-present',
  'down',
  'lower-layer-down',
  'testing',
  'dormant',
  'up',
] as const;
/** IF_OPER_* of include/uapi/linux/if.h (RFC 2863). */
export type OperationalState = (typeof operationalStates)[number];

const bridgePortStates = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'] as const;
/** BR_STATE_* of include/uapi/linux/if_bridge.h. */
export type BridgePortState = (typeof bridgePortStates)[number];

export interface BridgeInfo {
  readonly stp: boolean;
  readonly priority: number;
  /** Seconds. */
  readonly ageingTime: number;
  readonly forwardDelay: number;
  readonly helloTime: number;
  readonly maximumAge: number;
  readonly vlanFiltering: boolean;
  /** Undefined in a kernel without CONFIG_BRIDGE_IGMP_SNOOPING. */
  readonly multicastSnooping: boolean | undefined;
  /** Undefined in a kernel without CONFIG_BRIDGE_VLAN_FILTERING, where no port has a VLAN table. */
  readonly defaultPvid: number | undefined;
  /** `8000.0a1b2c3d4e5f`. */
  readonly bridgeId: string | undefined;
  readonly rootId: string | undefined;
  /** Port number of the root port; 0 when this bridge is the root. */
  readonly rootPort: number | undefined;
  readonly rootPathCost: number | undefined;
}

export interface BridgePortInfo {
  readonly state: BridgePortState | undefined;
  readonly priority: number | undefined;
  readonly cost: number | undefined;
  readonly number: number | undefined;
  readonly hairpin: boolean;
  readonly guard: boolean;
  readonly rootBlock: boolean;
  readonly fastLeave: boolean;
  readonly learning: boolean;
  readonly unicastFlood: boolean;
  readonly isolated: boolean;
}

export interface Link {
  readonly index: number;
  /** The first 15 bytes at most; see `readString` for names that are no UTF-8. */
  readonly name: string;
  readonly alternativeNames: readonly string[];
  /**
   * IFLA_INFO_KIND (`veth`, `bridge`, `tun`, `vxlan`, …); without one `loopback` or, for everything else,
   * `physical`.
   */
  readonly kind: string;
  /** ARPHRD_* number. */
  readonly hardwareType: number;
  /** Pairs joined by colons; undefined for links without a hardware address (a tun). */
  readonly mac: string | undefined;
  /** Address burnt into the device, where the driver tells. */
  readonly permanentMac: string | undefined;
  readonly mtu: number;
  /** IFF_* bits as they came. */
  readonly flags: number;
  readonly up: boolean;
  readonly running: boolean;
  readonly lowerUp: boolean;
  readonly broadcast: boolean;
  readonly multicast: boolean;
  readonly loopback: boolean;
  readonly pointToPoint: boolean;
  readonly noArp: boolean;
  /** IFF_PROMISC as the administrator set it, or at least one user of promiscuous mode (IFLA_PROMISCUITY). */
  readonly promiscuous: boolean;
  readonly promiscuity: number;
  readonly operationalState: OperationalState;
  /** Undefined where the driver has no notion of it. */
  readonly carrier: boolean | undefined;
  /** Index of the bridge, bond, vrf or OVS that it belongs to. */
  readonly master: number | undefined;
  /** IFLA_LINK: index of the veth's other end or of the lower device, in the namespace of `linkNamespaceId`. */
  readonly link: number | undefined;
  /** IFLA_LINK_NETNSID: undefined when `link` is in this same namespace. */
  readonly linkNamespaceId: number | undefined;
  readonly alias: string | undefined;
  readonly group: number;
  readonly transmitQueueLength: number;
  readonly transmitQueues: number;
  readonly receiveQueues: number;
  readonly queueingDiscipline: string | undefined;
  readonly minimumMtu: number | undefined;
  readonly maximumMtu: number | undefined;
  /** Device below, such as `0000:00:03.0` on `pci`. */
  readonly parentDevice: string | undefined;
  readonly parentBus: string | undefined;
  readonly bridge: BridgeInfo | undefined;
  readonly bridgePort: BridgePortInfo | undefined;
  /** Kind of the master as its ports see it (IFLA_INFO_SLAVE_KIND): `bridge`, `bond`, `openvswitch`, `vrf`. */
  readonly portKind: string | undefined;
  /** Payload of IFLA_INFO_DATA, for kinds that another module decodes; undefined for a bridge. */
  readonly infoData: Uint8Array | undefined;
  /** Payload of IFLA_INFO_SLAVE_DATA; undefined for a bridge's port. */
  readonly portData: Uint8Array | undefined;
  /** IFLA_TARGET_NETNSID: which namespace it was asked in, when the request said so. */
  readonly targetNamespaceId: number | undefined;
  /** On RTM_DELLINK: it went to this namespace rather than away. */
  readonly newNamespaceId: number | undefined;
  /** On RTM_DELLINK after a move: its index over there. */
  readonly newIndex: number | undefined;
  readonly counters: LinkCounters | undefined;
}

const routeScopes: ReadonlyMap<number, string> = new Map([
  [0, 'global'],
  [200, 'site'],
  [253, 'link'],
  [254, 'host'],
  [255, 'nowhere'],
]);
/** RT_SCOPE_*; a number that has no name stays a number in text. */
export type Scope = 'global' | 'site' | 'link' | 'host' | 'nowhere' | (string & {});

const scopeNumbers: Readonly<Record<string, number>> = {
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
};

export interface Address {
  readonly family: IpFamily;
  /** IFA_LOCAL, or IFA_ADDRESS where there is no other end. */
  readonly address: string;
  readonly prefixLength: number;
  /** Other end of a point-to-point address; undefined otherwise. */
  readonly peer: string | undefined;
  readonly broadcast: string | undefined;
  /** IFA_LABEL (IPv4). */
  readonly label: string | undefined;
  readonly interfaceIndex: number;
  readonly scope: Scope;
  /** IFA_F_* bits as they came. */
  readonly flags: number;
  readonly permanent: boolean;
  readonly tentative: boolean;
  readonly duplicateDetected: boolean;
  readonly deprecated: boolean;
  readonly secondary: boolean;
  readonly noPrefixRoute: boolean;
  /** IPv6: no duplicate address detection was asked for (IFA_F_NODAD). */
  readonly noDuplicateDetection?: true | undefined;
  /** IFA_RT_PRIORITY: metric of the route to its prefix; undefined when it is the kernel's own. */
  readonly metric?: number | undefined;
  /** IFA_PROTO (Linux 5.18): who made it; 0 when nobody said. */
  readonly protocol: number;
  /** Seconds; undefined for ever. */
  readonly validLifetime: number | undefined;
  readonly preferredLifetime: number | undefined;
  readonly targetNamespaceId: number | undefined;
}

const routeTypes = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
  'xresolve',
] as const;
/** RTN_*. */
export type RouteType = (typeof routeTypes)[number];

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;

export interface NextHop {
  readonly gateway: string | undefined;
  readonly interfaceIndex: number;
  /** 1–256. */
  readonly weight: number;
  readonly flags: number;
}

export interface Route {
  readonly family: IpFamily;
  /** `10.0.0.0/24`, `2001:db8::/64` or `default`. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly interfaceIndex: number | undefined;
  readonly metric: number | undefined;
  readonly table: number;
  /** RTPROT_* number: who made it. */
  readonly protocol: number;
  readonly scope: Scope;
  readonly type: RouteType;
  readonly preferredSource: string | undefined;
  /** RTNH_F_* and RTM_F_* bits. */
  readonly flags: number;
  /** RTNH_F_LINKDOWN or RTNH_F_DEAD: the kernel does not use it now. */
  readonly dead: boolean;
  /** RTM_F_CLONED: a cache entry, not configuration. */
  readonly cloned: boolean;
  /** Several ways (ECMP); empty for one. */
  readonly nextHops: readonly NextHop[];
  /** It has something that {@link RouteSettings} cannot say: metrics, an encapsulation, a next hop object, a TOS. */
  readonly intricate?: true | undefined;
}

export interface NamespaceId {
  /** The id of that namespace as seen from the asking one; undefined while it has none. */
  readonly namespaceId: number | undefined;
}

/** A queueing discipline; those of a kind's own are read by queueing.ts. */
export interface QueueingDiscipline {
  readonly interfaceIndex: number;
  /** Major number in the upper half; 0 for what the kernel has put there by itself. */
  readonly handle: number;
  /** {@link TC_H_ROOT}, TC_H_INGRESS, or a class. */
  readonly parent: number;
  readonly kind: string;
  /** Where the payload of TCA_OPTIONS lies in the message's buffer; undefined without one. */
  readonly options: readonly [number, number] | undefined;
}

export const TC_H_ROOT = 0xffffffff;

/** Forwarding of IP packets as set for a whole namespace (NETCONFA_IFINDEX_ALL). */
export interface ForwardingState {
  readonly family: IpFamily;
  readonly forwarding: boolean;
}

export type RtnetlinkMessage =
  | {
      readonly kind: 'queueing';
      readonly action: 'new' | 'delete';
      readonly discipline: QueueingDiscipline;
    }
  | { readonly kind: 'forwarding'; readonly state: ForwardingState }
  | { readonly kind: 'link'; readonly action: 'new' | 'delete'; readonly link: Link }
  | { readonly kind: 'address'; readonly action: 'new' | 'delete'; readonly address: Address }
  | { readonly kind: 'route'; readonly action: 'new' | 'delete'; readonly route: Route }
  | {
      readonly kind: 'namespace-id';
      readonly action: 'new' | 'delete';
      readonly namespaceId: number;
    };

/** One rtnetlink message from the kernel; undefined for types that are not read here and for malformed ones. */
export function decodeMessage(
  type: number,
  bytes: Buffer,
  start: number,
  end: number,
): RtnetlinkMessage | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const link = decodeLink(bytes, start, end);
      const action = type === RTM_NEWLINK ? 'new' : 'delete';
      return link === undefined ? undefined : { kind: 'link', action, link };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = decodeAddress(bytes, start, end);
      const action = type === RTM_NEWADDR ? 'new' : 'delete';
      return address === undefined ? undefined : { kind: 'address', action, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = decodeRoute(bytes, start, end);
      const action = type === RTM_NEWROUTE ? 'new' : 'delete';
      return route === undefined ? undefined : { kind: 'route', action, route };
    }
    case RTM_NEWQDISC:
    case RTM_DELQDISC: {
      const discipline = decodeQueueingDiscipline(bytes, start, end);
      const action = type === RTM_NEWQDISC ? 'new' : 'delete';
      return discipline === undefined ? undefined : { kind: 'queueing', action, discipline };
    }
    case RTM_NEWNETCONF: {
      const state = decodeForwarding(bytes, start, end);
      return state === undefined ? undefined : { kind: 'forwarding', state };
    }
    case RTM_NEWNSID:
    case RTM_DELNSID: {
      const namespaceId = decodeNamespaceId(bytes, start, end)?.namespaceId;
      const action = type === RTM_NEWNSID ? 'new' : 'delete';
      return namespaceId === undefined ? undefined : { kind: 'namespace-id', action, namespaceId };
    }
    default:
      return undefined;
  }
}

/** Body of RTM_NEWLINK or RTM_DELLINK (struct ifinfomsg and attributes); undefined when it is too short. */
export function decodeLink(bytes: Buffer, start: number, end: number): Link | undefined {
  if (end > bytes.length || end - start < 16) return undefined;
  const hardwareType = bytes.readUInt16LE(start + 2);
  const flags = bytes.readUInt32LE(start + 8);
  let name = '';
  const alternativeNames: string[] = [];
  let mac: string | undefined;
  let permanentMac: string | undefined;
  let mtu = 0;
  let promiscuity = 0;
  let operational = 0;
  let carrier: boolean | undefined;
  let master: number | undefined;
  let link: number | undefined;
  let linkNamespaceId: number | undefined;
  let alias: string | undefined;
  let group = 0;
  let transmitQueueLength = 0;
  let transmitQueues = 1;
  let receiveQueues = 1;
  let queueingDiscipline: string | undefined;
  let minimumMtu: number | undefined;
  let maximumMtu: number | undefined;
  let parentDevice: string | undefined;
  let parentBus: string | undefined;
  let targetNamespaceId: number | undefined;
  let newNamespaceId: number | undefined;
  let newIndex: number | undefined;
  let counters: LinkCounters | undefined;
  let infoKind: string | undefined;
  let portKind: string | undefined;
  let infoRange: readonly [number, number] | undefined;
  let portRange: readonly [number, number] | undefined;
  visitAttributes(bytes, start + 16, end, (type, from, to) => {
    switch (type) {
      case 1:
        if (to > from) mac = formatMac(bytes, from, to);
        break;
      case 3:
        name = readString(bytes, from, to);
        break;
      case 4:
        mtu = readU32(bytes, from, to) ?? mtu;
        break;
      case 5:
        link = readU32(bytes, from, to);
        break;
      case 6:
        queueingDiscipline = readString(bytes, from, to);
        break;
      case 10:
        master = readU32(bytes, from, to);
        break;
      case 13:
        transmitQueueLength = readU32(bytes, from, to) ?? 0;
        break;
      case 16:
        operational = readU8(bytes, from, to) ?? 0;
        break;
      case 18:
        visitAttributes(bytes, from, to, (infoType, infoFrom, infoTo) => {
          if (infoType === 1) infoKind = readString(bytes, infoFrom, infoTo);
          else if (infoType === 2) infoRange = [infoFrom, infoTo];
          else if (infoType === 4) portKind = readString(bytes, infoFrom, infoTo);
          else if (infoType === 5) portRange = [infoFrom, infoTo];
        });
        break;
      case 20:
        alias = readString(bytes, from, to);
        break;
      case 23:
        counters = decodeLinkCounters(bytes, from, to);
        break;
      case 27:
        group = readU32(bytes, from, to) ?? 0;
        break;
      case 30:
        promiscuity = readU32(bytes, from, to) ?? 0;
        break;
      case 31:
        transmitQueues = readU32(bytes, from, to) ?? 1;
        break;
      case 32:
        receiveQueues = readU32(bytes, from, to) ?? 1;
        break;
      case 33:
        carrier = readU8(bytes, from, to) === 1;
        break;
      case 37:
        linkNamespaceId = readI32(bytes, from, to);
        break;
      case 45:
        newNamespaceId = readI32(bytes, from, to);
        break;
      case 46:
        targetNamespaceId = readI32(bytes, from, to);
        break;
      case 49:
        newIndex = readI32(bytes, from, to);
        break;
      case 50:
        minimumMtu = readU32(bytes, from, to);
        break;
      case 51:
        maximumMtu = readU32(bytes, from, to);
        break;
      case 52:
        visitAttributes(bytes, from, to, (propertyType, textFrom, textTo) => {
          if (propertyType === 53) alternativeNames.push(readString(bytes, textFrom, textTo));
        });
        break;
      case 54:
        permanentMac = formatMac(bytes, from, to);
        break;
      case 56:
        parentDevice = readString(bytes, from, to);
        break;
      case 57:
        parentBus = readString(bytes, from, to);
        break;
    }
  });
  const kind =
    infoKind ??
    (hardwareType === ARPHRD_LOOPBACK || (flags & IFF_LOOPBACK) !== 0 ? 'loopback' : 'physical');
  return {
    index: bytes.readInt32LE(start + 4),
    name,
    alternativeNames,
    kind,
    hardwareType,
    mac,
    permanentMac,
    mtu,
    flags,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_RUNNING) !== 0,
    lowerUp: (flags & IFF_LOWER_UP) !== 0,
    broadcast: (flags & IFF_BROADCAST) !== 0,
    multicast: (flags & IFF_MULTICAST) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    pointToPoint: (flags & IFF_POINTOPOINT) !== 0,
    noArp: (flags & IFF_NOARP) !== 0,
    promiscuous: (flags & IFF_PROMISC) !== 0 || promiscuity > 0,
    promiscuity,
    operationalState: operationalStates[operational] ?? 'unknown',
    carrier,
    master: master === 0 ? undefined : master,
    link: link === 0 ? undefined : link,
    // -1 (NETNSA_NSID_NOT_ASSIGNED): the other namespace has no id here.
    linkNamespaceId,
    alias,
    group,
    transmitQueueLength,
    transmitQueues,
    receiveQueues,
    queueingDiscipline,
    minimumMtu,
    maximumMtu,
    parentDevice,
    parentBus,
    bridge: decodeOptional(infoKind === 'bridge' ? infoRange : undefined, bytes, decodeBridgeInfo),
    bridgePort: decodeOptional(
      portKind === 'bridge' ? portRange : undefined,
      bytes,
      decodeBridgePort,
    ),
    portKind,
    infoData: decodeOptional(infoKind === 'bridge' ? undefined : infoRange, bytes, readBytes),
    portData: decodeOptional(portKind === 'bridge' ? undefined : portRange, bytes, readBytes),
    targetNamespaceId,
    newNamespaceId,
    newIndex,
    counters,
  };
}

function decodeOptional<T>(
  range: readonly [number, number] | undefined,
  bytes: Buffer,
  decode: (bytes: Buffer, start: number, end: number) => T,
): T | undefined {
  return range === undefined ? undefined : decode(bytes, range[0], range[1]);
}

/** struct rtnl_link_stats64 (IFLA_STATS64, IFLA_STATS_LINK_64); undefined when it is too short. */
export function decodeLinkCounters(
  bytes: Buffer,
  start: number,
  end: number,
): LinkCounters | undefined {
  const field = (position: number): number | undefined =>
    readU64Number(bytes, start + position * 8, end);
  if (field(7) === undefined) return undefined;
  return {
    receivedPackets: field(0) ?? 0,
    transmittedPackets: field(1) ?? 0,
    receivedBytes: field(2) ?? 0,
    transmittedBytes: field(3) ?? 0,
    receiveErrors: field(4) ?? 0,
    transmitErrors: field(5) ?? 0,
    receiveDropped: field(6) ?? 0,
    transmitDropped: field(7) ?? 0,
  };
}

/** Clock ticks of user space (USER_HZ) are hundredths of a second on every Linux we run on. */
const ticksPerSecond = 100;

function decodeBridgeInfo(bytes: Buffer, start: number, end: number): BridgeInfo {
  const numbers = new Map<number, number>();
  let bridgeId: string | undefined;
  let rootId: string | undefined;
  visitAttributes(bytes, start, end, (type, from, to) => {
    if (type === 10) rootId = decodeBridgeId(bytes, from, to);
    else if (type === 11) bridgeId = decodeBridgeId(bytes, from, to);
    else {
      const value = readU32(bytes, from, to) ?? readU16(bytes, from, to) ?? readU8(bytes, from, to);
      if (value !== undefined) numbers.set(type, value);
    }
  });
  const seconds = (type: number): number => (numbers.get(type) ?? 0) / ticksPerSecond;
  const snooping = numbers.get(23);
  return {
    forwardDelay: seconds(1),
    helloTime: seconds(2),
    maximumAge: seconds(3),
    ageingTime: seconds(4),
    // 1 is the kernel's own protocol, 2 one that a daemon runs (BR_KERNEL_STP, BR_USER_STP).
    stp: (numbers.get(5) ?? 0) !== 0,
    priority: numbers.get(6) ?? 0,
    vlanFiltering: (numbers.get(7) ?? 0) !== 0,
    rootId,
    bridgeId,
    rootPort: numbers.get(12),
    rootPathCost: numbers.get(13),
    multicastSnooping: snooping === undefined ? undefined : snooping !== 0,
    defaultPvid: numbers.get(39),
  };
}

/** struct ifla_bridge_id: two bytes of priority, six of address. */
function decodeBridgeId(bytes: Buffer, start: number, end: number): string | undefined {
  if (end - start < 8) return undefined;
  return `${bytes.toString('hex', start, start + 2)}.${bytes.toString('hex', start + 2, start + 8)}`;
}

function decodeBridgePort(bytes: Buffer, start: number, end: number): BridgePortInfo {
  let state: number | undefined;
  let priority: number | undefined;
  let cost: number | undefined;
  let number: number | undefined;
  let hairpin = false;
  let guard = false;
  let rootBlock = false;
  let fastLeave = false;
  let learning = false;
  let unicastFlood = false;
  let isolated = false;
  visitAttributes(bytes, start, end, (type, from, to) => {
    if (type === 1) state = readU8(bytes, from, to);
    else if (type === 2) priority = readU16(bytes, from, to);
    else if (type === 3) cost = readU32(bytes, from, to);
    else if (type === 4) hairpin = readU8(bytes, from, to) === 1;
    else if (type === 5) guard = readU8(bytes, from, to) === 1;
    else if (type === 6) rootBlock = readU8(bytes, from, to) === 1;
    else if (type === 7) fastLeave = readU8(bytes, from, to) === 1;
    else if (type === 8) learning = readU8(bytes, from, to) === 1;
    else if (type === 9) unicastFlood = readU8(bytes, from, to) === 1;
    else if (type === 18) number = readU16(bytes, from, to);
    else if (type === 33) isolated = readU8(bytes, from, to) === 1;
  });
  return {
    state: bridgePortStates[state ?? -1],
    priority,
    cost,
    number,
    hairpin,
    guard,
    rootBlock,
    fastLeave,
    learning,
    unicastFlood,
    isolated,
  };
}

const infiniteLifetime = 0xffffffff;

/** Body of RTM_NEWADDR or RTM_DELADDR (struct ifaddrmsg and attributes); undefined when it is malformed. */
export function decodeAddress(bytes: Buffer, start: number, end: number): Address | undefined {
  if (end > bytes.length || end - start < 8) return undefined;
  const family = decodeFamily(bytes[start] ?? 0);
  if (family === undefined) return undefined;
  let flags = bytes[start + 2] ?? 0;
  let local: string | undefined;
  let address: string | undefined;
  let broadcast: string | undefined;
  let label: string | undefined;
  let protocol = 0;
  let validLifetime: number | undefined;
  let preferredLifetime: number | undefined;
  let targetNamespaceId: number | undefined;
  let metric: number | undefined;
  visitAttributes(bytes, start + 8, end, (type, from, to) => {
    switch (type) {
      case 1:
        address = formatIpAddress(bytes.subarray(from, to));
        break;
      case 2:
        local = formatIpAddress(bytes.subarray(from, to));
        break;
      case 3:
        label = readString(bytes, from, to);
        break;
      case 4:
        broadcast = formatIpAddress(bytes.subarray(from, to));
        break;
      case 6: {
        const preferred = readU32(bytes, from, to);
        const valid = readU32(bytes, from + 4, to);
        preferredLifetime = preferred === infiniteLifetime ? undefined : preferred;
        validLifetime = valid === infiniteLifetime ? undefined : valid;
        break;
      }
      case 8:
        flags = readU32(bytes, from, to) ?? flags;
        break;
      case 9:
        metric = readU32(bytes, from, to);
        break;
      case 10:
        targetNamespaceId = readI32(bytes, from, to);
        break;
      case 11:
        protocol = readU8(bytes, from, to) ?? 0;
        break;
    }
  });
  const own = local ?? address;
  if (own === undefined) return undefined;
  return {
    family,
    address: own,
    prefixLength: bytes[start + 1] ?? 0,
    peer: address !== own ? address : undefined,
    broadcast,
    label,
    interfaceIndex: bytes.readUInt32LE(start + 4),
    scope: scopeName(bytes[start + 3] ?? 0),
    flags,
    // IFA_F_SECONDARY and IFA_F_TEMPORARY share a bit: the former is IPv4's.
    secondary: family === 4 && (flags & 0x01) !== 0,
    duplicateDetected: (flags & 0x08) !== 0,
    deprecated: (flags & 0x20) !== 0,
    tentative: (flags & 0x40) !== 0,
    permanent: (flags & 0x80) !== 0,
    noPrefixRoute: (flags & 0x200) !== 0,
    ...((flags & 0x02) === 0 ? {} : { noDuplicateDetection: true as const }),
    ...(metric === undefined ? {} : { metric }),
    protocol,
    validLifetime,
    preferredLifetime,
    targetNamespaceId,
  };
}

function decodeFamily(number: number): IpFamily | undefined {
  if (number === AF_INET) return 4;
  return number === AF_INET6 ? 6 : undefined;
}

function scopeName(number: number): Scope {
  return routeScopes.get(number) ?? String(number);
}

/** Body of RTM_NEWROUTE or RTM_DELROUTE (struct rtmsg and attributes); undefined when it is malformed. */
export function decodeRoute(bytes: Buffer, start: number, end: number): Route | undefined {
  if (end > bytes.length || end - start < 12) return undefined;
  const family = decodeFamily(bytes[start] ?? 0);
  if (family === undefined) return undefined;
  const prefixLength = bytes[start + 1] ?? 0;
  const flags = bytes.readUInt32LE(start + 8);
  let table = bytes[start + 4] ?? 0;
  let destination: string | undefined;
  let gateway: string | undefined;
  let interfaceIndex: number | undefined;
  let metric: number | undefined;
  let preferredSource: string | undefined;
  let intricate = (bytes[start + 3] ?? 0) !== 0 || (bytes[start + 2] ?? 0) !== 0;
  const nextHops: NextHop[] = [];
  visitAttributes(bytes, start + 12, end, (type, from, to) => {
    switch (type) {
      case 1:
        destination = formatIpAddress(bytes.subarray(from, to));
        break;
      case 4:
        interfaceIndex = readU32(bytes, from, to);
        break;
      case 5:
        gateway = formatIpAddress(bytes.subarray(from, to));
        break;
      case 6:
        metric = readU32(bytes, from, to);
        break;
      case 7:
        preferredSource = formatIpAddress(bytes.subarray(from, to));
        break;
      case 9:
        decodeNextHops(bytes, from, to, nextHops);
        break;
      case 15:
        table = readU32(bytes, from, to) ?? table;
        break;
      case 18:
        // RTA_VIA: a gateway of the other family, after two bytes of family.
        gateway = formatIpAddress(bytes.subarray(from + 2, to));
        break;
      // RTA_METRICS, RTA_FLOW, RTA_ENCAP, RTA_NH_ID, and a preference other than medium (RTA_PREF).
      case 8:
      case 11:
      case 22:
      case 30:
        intricate = true;
        break;
      case 20:
        intricate ||= (readU8(bytes, from, to) ?? 0) !== 0;
        break;
    }
  });
  if (prefixLength > 0 && destination === undefined) return undefined;
  return {
    family,
    destination:
      prefixLength === 0 ? 'default' : `${destination ?? ''}/${Math.min(prefixLength, 128)}`,
    gateway,
    interfaceIndex,
    metric,
    table,
    protocol: bytes[start + 5] ?? 0,
    scope: scopeName(bytes[start + 6] ?? 0),
    type: routeTypes[bytes[start + 7] ?? 0] ?? 'unspecified',
    preferredSource,
    flags,
    dead: (flags & 0x11) !== 0,
    cloned: (flags & 0x200) !== 0,
    nextHops,
    ...(intricate ? { intricate } : {}),
  };
}

/** Payload of RTA_MULTIPATH: struct rtnexthop and attributes, repeated. */
function decodeNextHops(bytes: Buffer, start: number, end: number, into: NextHop[]): void {
  let at = start;
  while (at + 8 <= end) {
    const size = bytes.readUInt16LE(at);
    if (size < 8 || size > end - at) return;
    let gateway: string | undefined;
    visitAttributes(bytes, at + 8, at + size, (type, from, to) => {
      if (type === 5) gateway = formatIpAddress(bytes.subarray(from, to));
      else if (type === 18) gateway = formatIpAddress(bytes.subarray(from + 2, to));
    });
    into.push({
      gateway,
      interfaceIndex: bytes.readInt32LE(at + 4),
      weight: (bytes[at + 3] ?? 0) + 1,
      flags: bytes[at + 2] ?? 0,
    });
    at += (size + 3) & ~3;
  }
}

/** Body of RTM_NEWQDISC or RTM_DELQDISC (struct tcmsg and attributes); undefined when it is too short. */
export function decodeQueueingDiscipline(
  bytes: Buffer,
  start: number,
  end: number,
): QueueingDiscipline | undefined {
  if (end > bytes.length || end - start < 20) return undefined;
  let kind = '';
  let options: readonly [number, number] | undefined;
  visitAttributes(bytes, start + 20, end, (type, from, to) => {
    if (type === 1) kind = readString(bytes, from, to);
    else if (type === 2) options = [from, to];
  });
  return {
    interfaceIndex: bytes.readInt32LE(start + 4),
    handle: bytes.readUInt32LE(start + 8),
    parent: bytes.readUInt32LE(start + 12),
    kind,
    options,
  };
}

/** Settings of all links together; those of one link are announced with every new link and not read. */
const NETCONFA_IFINDEX_ALL = -1;

/** Body of RTM_NEWNETCONF (struct netconfmsg and attributes); undefined when it is not about a namespace as a whole. */
export function decodeForwarding(
  bytes: Buffer,
  start: number,
  end: number,
): ForwardingState | undefined {
  if (end > bytes.length || end - start < 1) return undefined;
  const family = decodeFamily(bytes[start] ?? 0);
  let index: number | undefined;
  let forwarding: number | undefined;
  visitAttributes(bytes, start + 4, end, (type, from, to) => {
    if (type === 1) index = readI32(bytes, from, to);
    else if (type === 2) forwarding = readI32(bytes, from, to);
  });
  if (family === undefined || index !== NETCONFA_IFINDEX_ALL || forwarding === undefined) {
    return undefined;
  }
  return { family, forwarding: forwarding !== 0 };
}

/** Body of RTM_NEWNSID or RTM_DELNSID (struct rtgenmsg and attributes). */
export function decodeNamespaceId(
  bytes: Buffer,
  start: number,
  end: number,
): NamespaceId | undefined {
  if (end > bytes.length || end - start < 1) return undefined;
  let namespaceId: number | undefined;
  visitAttributes(bytes, start + 4, end, (type, from, to) => {
    if (type === 1) namespaceId = readI32(bytes, from, to);
  });
  return { namespaceId: namespaceId === -1 ? undefined : namespaceId };
}

/** A message to the kernel, to be encoded when it is sent. `object` names what it is about, for failures. */
export interface NetlinkRequest {
  /** RTM_*. */
  readonly type: number;
  /** NLM_F_*, without NLM_F_ACK, which the socket adds. */
  readonly flags: number;
  readonly object: string;
  /** Size of the fixed structure in front of the attributes: finds the attribute that the kernel objects to. */
  readonly headerLength: number;
  /** Writes the body. */
  readonly encode: (writer: MessageWriter) => void;
}

/** Name of an RTM_* number, for failures. */
export function messageTypeName(type: number): string {
  return messageTypes.get(type) ?? `RTM_${type}`;
}

const messageTypes: ReadonlyMap<number, string> = new Map([
  [RTM_NEWLINK, 'RTM_NEWLINK'],
  [RTM_DELLINK, 'RTM_DELLINK'],
  [RTM_GETLINK, 'RTM_GETLINK'],
  [RTM_SETLINK, 'RTM_SETLINK'],
  [RTM_NEWADDR, 'RTM_NEWADDR'],
  [RTM_DELADDR, 'RTM_DELADDR'],
  [RTM_GETADDR, 'RTM_GETADDR'],
  [RTM_NEWROUTE, 'RTM_NEWROUTE'],
  [RTM_DELROUTE, 'RTM_DELROUTE'],
  [RTM_GETROUTE, 'RTM_GETROUTE'],
  [RTM_NEWQDISC, 'RTM_NEWQDISC'],
  [RTM_DELQDISC, 'RTM_DELQDISC'],
  [RTM_GETQDISC, 'RTM_GETQDISC'],
  [RTM_GETNETCONF, 'RTM_GETNETCONF'],
  [RTM_NEWNSID, 'RTM_NEWNSID'],
  [RTM_GETNSID, 'RTM_GETNSID'],
  [RTM_GETSTATS, 'RTM_GETSTATS'],
]);

/** struct ifinfomsg. `change` is the mask of the flags to set. */
export function writeLinkHeader(
  writer: MessageWriter,
  index: number,
  flags: number,
  change: number,
  family = AF_UNSPEC,
): void {
  writer.rawU8(family);
  writer.rawU8(0);
  writer.rawU16(0);
  writer.rawU32(index);
  writer.rawU32(flags);
  writer.rawU32(change);
}

/** Names are at most 15 bytes (IFNAMSIZ with its NUL); a longer one is a bug of the caller. */
function checkName(name: string): string {
  if (name === '' || Buffer.byteLength(name) > 15) {
    throw new RangeError(`A link name has 1 to 15 bytes: ${JSON.stringify(name)}`);
  }
  return name;
}

function macBytes(mac: string): Uint8Array {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new RangeError(`No hardware address: ${JSON.stringify(mac)}`);
  return bytes;
}

/** What may be said of a link when it is made. */
export interface NewLinkSettings {
  readonly name: string;
  /** Descriptor of the namespace that it is made in; without one it is the socket's own. */
  readonly namespaceFd?: number | undefined;
  /** The index to take, where the caller knows that it is free; the kernel's choice otherwise. */
  readonly index?: number | undefined;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  /** Index of the bridge or bond to join, in the namespace that it is made in. */
  readonly master?: number | undefined;
  readonly transmitQueueLength?: number | undefined;
  readonly transmitQueues?: number | undefined;
  readonly receiveQueues?: number | undefined;
  readonly group?: number | undefined;
}

function writeNewLinkSettings(writer: MessageWriter, settings: NewLinkSettings): void {
  writer.string(3, checkName(settings.name));
  if (settings.mac !== undefined) writer.binary(1, macBytes(settings.mac));
  if (settings.mtu !== undefined) writer.u32(4, settings.mtu);
  if (settings.master !== undefined) writer.u32(10, settings.master);
  if (settings.transmitQueueLength !== undefined) writer.u32(13, settings.transmitQueueLength);
  if (settings.group !== undefined) writer.u32(27, settings.group);
  if (settings.namespaceFd !== undefined) writer.u32(28, settings.namespaceFd);
  if (settings.transmitQueues !== undefined) writer.u32(31, settings.transmitQueues);
  if (settings.receiveQueues !== undefined) writer.u32(32, settings.receiveQueues);
}

export interface NewLinkRequest extends NewLinkSettings {
  /** IFLA_INFO_KIND. */
  readonly kind: string;
  /** Index of the lower device (IFLA_LINK) for vlan, macvlan, vxlan and the like. */
  readonly link?: number | undefined;
  /** Namespace id of `link` when it is in another namespace (IFLA_LINK_NETNSID). */
  readonly linkNamespaceId?: number | undefined;
  /** Writes the attributes of IFLA_INFO_DATA. */
  readonly data?: ((writer: MessageWriter) => void) | undefined;
  /** Ask for the finished link back (NLM_F_ECHO, honoured since Linux 6.2). */
  readonly echo?: boolean | undefined;
}

/**
 * RTM_NEWLINK that makes a link, down. An alias cannot be given here: the kernel ignores IFLA_IFALIAS of a new link
 * (rtnl_newlink_create); follow with {@link setLinkRequest}.
 */
export function newLinkRequest(request: NewLinkRequest): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | (request.echo === true ? NLM_F_ECHO : 0),
    object: `link ${request.name}`,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, request.index ?? 0, 0, 0);
      writeNewLinkSettings(writer, request);
      if (request.link !== undefined) writer.u32(5, request.link);
      if (request.linkNamespaceId !== undefined) writer.i32(37, request.linkNamespaceId);
      const information = writer.beginNested(18);
      writer.string(1, request.kind);
      if (request.data !== undefined) {
        const data = writer.beginNested(2);
        request.data(writer);
        writer.endNested(data);
      }
      writer.endNested(information);
    },
  };
}

/**
 * A veth pair in one message. Both ends are made down: IFF_UP at creation fails with ENOTCONN, since a veth without
 * its peer cannot be opened (veth_open), and is slow to roll back. The peer's index is honoured only together with the
 * end's own (veth_newlink), so asking for it alone is a bug and throws.
 */
export function newVethRequest(end: NewLinkSettings, peer: NewLinkSettings): NetlinkRequest {
  if (peer.index !== undefined && end.index === undefined) {
    throw new RangeError('The index of a veth’s peer needs the index of its other end.');
  }
  const request = newLinkRequest({
    ...end,
    kind: 'veth',
    data(writer) {
      // VETH_INFO_PEER: struct ifinfomsg and attributes of the other end.
      const place = writer.beginNested(1);
      writeLinkHeader(writer, peer.index ?? 0, 0, 0);
      // The kernel reads no IFLA_MASTER of the peer (veth_newlink): set it afterwards.
      writeNewLinkSettings(writer, { ...peer, master: undefined });
      writer.endNested(place);
    },
  });
  return { ...request, object: `veth ${end.name} – ${peer.name}` };
}

export interface BridgeSettings {
  readonly stp?: boolean | undefined;
  /** 0–65535. */
  readonly priority?: number | undefined;
  /** Seconds. */
  readonly ageingTime?: number | undefined;
  readonly forwardDelay?: number | undefined;
  readonly helloTime?: number | undefined;
  readonly maximumAge?: number | undefined;
  readonly vlanFiltering?: boolean | undefined;
  readonly defaultPvid?: number | undefined;
  readonly multicastSnooping?: boolean | undefined;
}

/** Attributes of IFLA_INFO_DATA of a bridge. */
export function writeBridgeSettings(writer: MessageWriter, settings: BridgeSettings): void {
  const ticks = (type: number, seconds: number | undefined): void => {
    if (seconds !== undefined) writer.u32(type, Math.round(seconds * ticksPerSecond));
  };
  ticks(1, settings.forwardDelay);
  ticks(2, settings.helloTime);
  ticks(3, settings.maximumAge);
  ticks(4, settings.ageingTime);
  if (settings.priority !== undefined) writer.u16(6, settings.priority);
  if (settings.vlanFiltering !== undefined) writer.u8(7, settings.vlanFiltering ? 1 : 0);
  if (settings.defaultPvid !== undefined) writer.u16(39, settings.defaultPvid);
  if (settings.multicastSnooping !== undefined) writer.u8(23, settings.multicastSnooping ? 1 : 0);
  if (settings.stp !== undefined) writer.u32(5, settings.stp ? 1 : 0);
}

export function newBridgeRequest(
  link: NewLinkSettings,
  bridge: BridgeSettings = {},
): NetlinkRequest {
  const request = newLinkRequest({
    ...link,
    kind: 'bridge',
    data: (writer) => {
      writeBridgeSettings(writer, bridge);
    },
  });
  return { ...request, object: `bridge ${link.name}` };
}

/** Changes to an existing link, all in one message. What is undefined stays as it is. */
export interface LinkChange {
  /** New name. Older kernels (before 6.3) rename only a link that is down. */
  readonly name?: string | undefined;
  readonly up?: boolean | undefined;
  readonly promiscuous?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly mac?: string | undefined;
  /** Index of the new master; null releases it. */
  readonly master?: number | null | undefined;
  /** At most 255 bytes; the empty string removes it. */
  readonly alias?: string | undefined;
  readonly group?: number | undefined;
  readonly transmitQueueLength?: number | undefined;
  /** Descriptor of the namespace to move it to; the other changes then apply over there. */
  readonly namespaceFd?: number | undefined;
  /** Kind and settings to change (IFLA_LINKINFO); such a request goes out as RTM_NEWLINK. */
  readonly bridge?: BridgeSettings | undefined;
}

export function setLinkRequest(index: number, change: LinkChange, object?: string): NetlinkRequest {
  const { bridge } = change;
  return {
    // Kind data is taken by RTM_NEWLINK only (do_setlink reads none).
    type: bridge === undefined ? RTM_SETLINK : RTM_NEWLINK,
    flags: NLM_F_REQUEST,
    object: object ?? `link ${index}`,
    headerLength: 16,
    encode(writer) {
      let flags = 0;
      let mask = 0;
      if (change.up !== undefined) {
        mask |= IFF_UP;
        if (change.up) flags |= IFF_UP;
      }
      if (change.promiscuous !== undefined) {
        mask |= IFF_PROMISC;
        if (change.promiscuous) flags |= IFF_PROMISC;
      }
      writeLinkHeader(writer, index, flags, mask);
      if (change.name !== undefined) writer.string(3, checkName(change.name));
      if (change.mac !== undefined) writer.binary(1, macBytes(change.mac));
      if (change.mtu !== undefined) writer.u32(4, change.mtu);
      if (change.master !== undefined) writer.u32(10, change.master ?? 0);
      if (change.transmitQueueLength !== undefined) writer.u32(13, change.transmitQueueLength);
      // Without a NUL: the kernel counts the attribute's bytes, and an empty attribute removes the alias.
      if (change.alias !== undefined) writer.binary(20, Buffer.from(change.alias));
      if (change.group !== undefined) writer.u32(27, change.group);
      if (change.namespaceFd !== undefined) writer.u32(28, change.namespaceFd);
      if (bridge !== undefined) {
        const information = writer.beginNested(18);
        writer.string(1, 'bridge');
        const data = writer.beginNested(2);
        writeBridgeSettings(writer, bridge);
        writer.endNested(data);
        writer.endNested(information);
      }
    },
  };
}

/** Settings of a link as the port of its bridge. */
export interface BridgePortChange {
  readonly priority?: number | undefined;
  readonly cost?: number | undefined;
  readonly hairpin?: boolean | undefined;
  readonly learning?: boolean | undefined;
  readonly unicastFlood?: boolean | undefined;
  readonly isolated?: boolean | undefined;
}

export function setBridgePortRequest(
  index: number,
  change: BridgePortChange,
  object?: string,
): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_REQUEST,
    object: object ?? `bridge port ${index}`,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, index, 0, 0);
      const information = writer.beginNested(18);
      writer.string(4, 'bridge');
      const data = writer.beginNested(5);
      const flag = (type: number, value: boolean | undefined): void => {
        if (value !== undefined) writer.u8(type, value ? 1 : 0);
      };
      if (change.priority !== undefined) writer.u16(2, change.priority);
      if (change.cost !== undefined) writer.u32(3, change.cost);
      flag(4, change.hairpin);
      flag(8, change.learning);
      flag(9, change.unicastFlood);
      flag(33, change.isolated);
      writer.endNested(data);
      writer.endNested(information);
    },
  };
}

export function deleteLinkRequest(index: number, object?: string): NetlinkRequest {
  return {
    type: RTM_DELLINK,
    flags: NLM_F_REQUEST,
    object: object ?? `link ${index}`,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, index, 0, 0);
    },
  };
}

/** All links of a group, which may not be 0, in one pass of the kernel (rtnl_group_dellink). */
export function deleteLinkGroupRequest(group: number): NetlinkRequest {
  return {
    type: RTM_DELLINK,
    flags: NLM_F_REQUEST,
    object: `links of group ${group}`,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, 0, 0, 0);
      writer.u32(27, group);
    },
  };
}

/** One link, by index or by name (alternative names count too). Counters only on request: they double the answer. */
export function getLinkRequest(
  which: { readonly index: number } | { readonly name: string },
  options: { readonly counters?: boolean } = {},
): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    object: 'index' in which ? `link ${which.index}` : `link ${which.name}`,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, 'index' in which ? which.index : 0, 0, 0);
      // The kernel looks a name up among alternative names too (rtnl_dev_get); those alone may be longer.
      if ('name' in which) {
        writer.string(Buffer.byteLength(which.name) > 15 ? 53 : 3, which.name);
      }
      if (options.counters !== true) writer.u32(29, RTEXT_FILTER_SKIP_STATS);
    },
  };
}

export interface LinkFilter {
  /** Only ports of this master. */
  readonly master?: number | undefined;
  /** Only this kind. */
  readonly kind?: string | undefined;
  readonly counters?: boolean | undefined;
  /** Links of the namespace with this id as seen from the socket's (Linux 4.20). */
  readonly targetNamespaceId?: number | undefined;
}

/** Dump of links, filtered in the kernel. */
export function dumpLinksRequest(filter: LinkFilter = {}): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object: 'links',
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, 0, 0, 0);
      if (filter.counters !== true) writer.u32(29, RTEXT_FILTER_SKIP_STATS);
      if (filter.master !== undefined) writer.u32(10, filter.master);
      if (filter.targetNamespaceId !== undefined) writer.i32(46, filter.targetNamespaceId);
      if (filter.kind !== undefined) {
        const information = writer.beginNested(18);
        writer.string(1, filter.kind);
        writer.endNested(information);
      }
    },
  };
}

export interface AddressSettings {
  readonly interfaceIndex: number;
  /** `10.0.0.1/24` or `2001:db8::1/64`; the host's own bits, not the network's. */
  readonly prefix: string;
  /** Other end of a point-to-point address. */
  readonly peer?: string | undefined;
  /** IPv4 only. */
  readonly broadcast?: string | undefined;
  readonly scope?: Scope | undefined;
  /** IFA_PROTO (Linux 5.18): 1–255; older kernels ignore it. */
  readonly protocol?: number | undefined;
  /** IPv6: no duplicate address detection, so it can be used at once (IFA_F_NODAD). */
  readonly noDuplicateDetection?: boolean | undefined;
  /** Do not add the route to the prefix (IFA_F_NOPREFIXROUTE). */
  readonly noPrefixRoute?: boolean | undefined;
  /** IFA_LABEL (IPv4): the link's own name unless said otherwise. */
  readonly label?: string | undefined;
  /** Metric of the route to the prefix (IFA_RT_PRIORITY). */
  readonly metric?: number | undefined;
}

function requirePrefix(text: string): IpPrefix {
  const prefix = parseIpPrefix(text);
  if (prefix === undefined) throw new RangeError(`No IP prefix: ${JSON.stringify(text)}`);
  return prefix;
}

function requireAddress(text: string, family?: IpFamily): Uint8Array {
  const address = parseIpAddress(text);
  if (address === undefined || (family !== undefined && address.family !== family)) {
    throw new RangeError(`No IP${family ?? ''} address: ${JSON.stringify(text)}`);
  }
  return address.bytes;
}

function familyNumber(family: IpFamily): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function addressRequest(type: number, flags: number, settings: AddressSettings): NetlinkRequest {
  const prefix = requirePrefix(settings.prefix);
  const peer =
    settings.peer === undefined ? prefix.bytes : requireAddress(settings.peer, prefix.family);
  const scope = settings.scope === undefined ? 0 : scopeNumber(settings.scope);
  return {
    type,
    flags,
    object: `address ${settings.prefix} on link ${settings.interfaceIndex}`,
    headerLength: 8,
    encode(writer) {
      writer.rawU8(familyNumber(prefix.family));
      writer.rawU8(prefix.length);
      writer.rawU8(0);
      writer.rawU8(scope);
      writer.rawU32(settings.interfaceIndex);
      writer.binary(2, prefix.bytes);
      writer.binary(1, peer);
      if (settings.broadcast !== undefined) {
        writer.binary(4, requireAddress(settings.broadcast, prefix.family));
      }
      const bits =
        (settings.noDuplicateDetection === true ? 0x02 : 0) |
        (settings.noPrefixRoute === true ? 0x200 : 0);
      if (settings.label !== undefined) writer.string(3, settings.label);
      if (bits !== 0) writer.u32(8, bits);
      if (settings.metric !== undefined) writer.u32(9, settings.metric);
      if (settings.protocol !== undefined) writer.u8(11, settings.protocol);
    },
  };
}

export function newAddressRequest(settings: AddressSettings): NetlinkRequest {
  return addressRequest(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, settings);
}

/** Gives an address that is there these settings; IPv6 does not look for duplicates again (inet6_addr_modify). */
export function changeAddressRequest(settings: AddressSettings): NetlinkRequest {
  return addressRequest(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_REPLACE, settings);
}

export function deleteAddressRequest(
  settings: Pick<AddressSettings, 'interfaceIndex' | 'prefix' | 'peer'>,
): NetlinkRequest {
  return addressRequest(RTM_DELADDR, NLM_F_REQUEST, settings);
}

export interface AddressFilter {
  readonly family?: IpFamily | undefined;
  readonly interfaceIndex?: number | undefined;
  readonly targetNamespaceId?: number | undefined;
}

export function dumpAddressesRequest(filter: AddressFilter = {}): NetlinkRequest {
  return {
    type: RTM_GETADDR,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object: 'addresses',
    headerLength: 8,
    encode(writer) {
      writer.rawU8(filter.family === undefined ? AF_UNSPEC : familyNumber(filter.family));
      writer.rawU8(0);
      writer.rawU16(0);
      writer.rawU32(filter.interfaceIndex ?? 0);
      if (filter.targetNamespaceId !== undefined) writer.i32(10, filter.targetNamespaceId);
    },
  };
}

export interface RouteSettings {
  /** `10.0.0.0/24`, `2001:db8::/64` or `default`. Bits behind the prefix must be zero: the kernel insists. */
  readonly destination: string;
  /** Needed for a default route without gateway, preferred source or next hop; otherwise it is known from those. */
  readonly family?: IpFamily | undefined;
  /** An IPv6 gateway of an IPv4 route is sent as RTA_VIA (Linux 5.2). */
  readonly gateway?: string | undefined;
  readonly interfaceIndex?: number | undefined;
  readonly metric?: number | undefined;
  /** Default: main (254). */
  readonly table?: number | undefined;
  /** RTPROT_*; default static (4). */
  readonly protocol?: number | undefined;
  /** Default: link without a gateway (IPv4 unicast), host for local, otherwise global, as iproute2 does. */
  readonly scope?: Scope | undefined;
  /** Default: unicast. */
  readonly type?: RouteType | undefined;
  readonly preferredSource?: string | undefined;
  /** The gateway is on the link although no prefix says so (RTNH_F_ONLINK). */
  readonly onLink?: boolean | undefined;
  /** Several ways instead of one gateway. */
  readonly nextHops?:
    | readonly {
        readonly gateway?: string | undefined;
        readonly interfaceIndex?: number | undefined;
        /** 1–256. */
        readonly weight?: number | undefined;
      }[]
    | undefined;
}

function scopeNumber(scope: Scope): number {
  const number = scopeNumbers[scope] ?? Number(scope);
  if (!Number.isInteger(number) || number < 0 || number > 255) {
    throw new RangeError(`No scope: ${JSON.stringify(scope)}`);
  }
  return number;
}

function routeFamily(settings: RouteSettings): IpFamily {
  if (settings.family !== undefined) return settings.family;
  if (settings.destination !== 'default') return requirePrefix(settings.destination).family;
  const hint =
    settings.preferredSource ??
    settings.gateway ??
    settings.nextHops?.find((hop) => hop.gateway !== undefined)?.gateway;
  const address = hint === undefined ? undefined : parseIpAddress(hint);
  if (address === undefined) throw new RangeError('A default route needs a family or a gateway.');
  return address.family;
}

function routeScope(settings: RouteSettings, family: IpFamily, type: RouteType): number {
  if (settings.scope !== undefined) return scopeNumber(settings.scope);
  if (family === 6) return 0;
  if (type === 'local' || type === 'nat') return 254;
  if (type === 'broadcast' || type === 'multicast' || type === 'anycast') return 253;
  const direct = settings.gateway === undefined && (settings.nextHops ?? []).length === 0;
  return type === 'unicast' && direct ? 253 : 0;
}

const RTNH_F_ONLINK = 4;

function writeGateway(writer: MessageWriter, gateway: string, family: IpFamily): void {
  const address = parseIpAddress(gateway);
  if (address === undefined) throw new RangeError(`No IP address: ${JSON.stringify(gateway)}`);
  if (address.family === family) {
    writer.binary(5, address.bytes);
    return;
  }
  const via = new Uint8Array(2 + address.bytes.length);
  via[0] = familyNumber(address.family);
  via.set(address.bytes, 2);
  writer.binary(18, via);
}

function routeRequest(type: number, flags: number, settings: RouteSettings): NetlinkRequest {
  const family = routeFamily(settings);
  const prefix =
    settings.destination === 'default' ? undefined : requirePrefix(settings.destination);
  if (prefix !== undefined && prefix.family !== family) {
    throw new RangeError(`The destination ${settings.destination} is of another family.`);
  }
  const routeType = settings.type ?? 'unicast';
  const table = settings.table ?? (routeType === 'local' ? RT_TABLE_LOCAL : RT_TABLE_MAIN);
  const deleting = type === RTM_DELROUTE;
  return {
    type,
    flags,
    object: `route ${settings.destination}${settings.gateway === undefined ? '' : ` via ${settings.gateway}`}`,
    headerLength: 12,
    encode(writer) {
      writer.rawU8(familyNumber(family));
      writer.rawU8(prefix?.length ?? 0);
      writer.rawU8(0);
      writer.rawU8(0);
      writer.rawU8(table < 256 ? table : 0);
      writer.rawU8(settings.protocol ?? (deleting ? 0 : RTPROT_STATIC));
      // When deleting, "nowhere" matches any scope (fib_table_delete).
      const scope =
        deleting && settings.scope === undefined ? 255 : routeScope(settings, family, routeType);
      writer.rawU8(scope);
      const anyType = deleting && settings.type === undefined;
      writer.rawU8(anyType ? 0 : routeTypes.indexOf(routeType));
      writer.rawU32(settings.onLink === true ? RTNH_F_ONLINK : 0);
      if (prefix !== undefined) writer.binary(1, prefix.bytes);
      if (table >= 256) writer.u32(15, table);
      if (settings.gateway !== undefined) writeGateway(writer, settings.gateway, family);
      if (settings.interfaceIndex !== undefined) writer.u32(4, settings.interfaceIndex);
      if (settings.metric !== undefined) writer.u32(6, settings.metric);
      if (settings.preferredSource !== undefined) {
        writer.binary(7, requireAddress(settings.preferredSource, family));
      }
      if (settings.nextHops !== undefined && settings.nextHops.length > 0) {
        const place = writer.beginNested(9);
        for (const hop of settings.nextHops) {
          const start = writer.length;
          writer.rawU16(0);
          writer.rawU8(0);
          writer.rawU8((hop.weight ?? 1) - 1);
          writer.rawU32(hop.interfaceIndex ?? 0);
          if (hop.gateway !== undefined) writeGateway(writer, hop.gateway, family);
          writer.buffer.writeUInt16LE(writer.length - start, start);
        }
        writer.endNested(place);
      }
    },
  };
}

/** Adds a route; with `replace` an equal one (destination, metric, table) is overwritten. */
export function newRouteRequest(
  settings: RouteSettings,
  options: { readonly replace?: boolean; readonly append?: boolean } = {},
): NetlinkRequest {
  const mode =
    options.replace === true ? NLM_F_REPLACE : options.append === true ? NLM_F_APPEND : NLM_F_EXCL;
  return routeRequest(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | mode, settings);
}

/** Deletes the one route that matches everything that is given; `protocol` 0 or absent matches any. */
export function deleteRouteRequest(settings: RouteSettings): NetlinkRequest {
  return routeRequest(RTM_DELROUTE, NLM_F_REQUEST, settings);
}

export interface RouteFilter {
  readonly family?: IpFamily | undefined;
  /** Default: main (254). 'all' for every table. */
  readonly table?: number | 'all' | undefined;
  readonly interfaceIndex?: number | undefined;
  readonly protocol?: number | undefined;
}

/**
 * Dump of the routes of one family. The kernel filters by table, link and protocol (strict checking, Linux 4.20); an
 * absent IPv4 table then answers ENOENT.
 */
export function dumpRoutesRequest(family: IpFamily, filter: RouteFilter = {}): NetlinkRequest {
  const table = filter.table ?? RT_TABLE_MAIN;
  return {
    type: RTM_GETROUTE,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object: `IPv${family} routes`,
    headerLength: 12,
    encode(writer) {
      writer.rawU8(familyNumber(family));
      writer.rawU8(0);
      writer.rawU8(0);
      writer.rawU8(0);
      writer.rawU8(typeof table === 'number' && table < 256 ? table : 0);
      writer.rawU8(filter.protocol ?? 0);
      writer.rawU8(0);
      writer.rawU8(0);
      writer.rawU32(0);
      if (typeof table === 'number') writer.u32(15, table);
      if (filter.interfaceIndex !== undefined) writer.u32(4, filter.interfaceIndex);
    },
  };
}

/** RTM_GETNSID: the id of the namespace behind a descriptor, as seen from the socket's namespace. */
export function getNamespaceIdRequest(namespaceFd: number): NetlinkRequest {
  return {
    type: RTM_GETNSID,
    flags: NLM_F_REQUEST,
    object: 'namespace id',
    headerLength: 4,
    encode(writer) {
      writer.rawU32(AF_UNSPEC);
      writer.u32(3, namespaceFd);
    },
  };
}

/** RTM_NEWNSID: gives the namespace behind a descriptor an id here; -1 lets the kernel choose. */
export function newNamespaceIdRequest(namespaceFd: number, namespaceId = -1): NetlinkRequest {
  return {
    type: RTM_NEWNSID,
    flags: NLM_F_REQUEST,
    object: 'namespace id',
    headerLength: 4,
    encode(writer) {
      writer.rawU32(AF_UNSPEC);
      writer.u32(3, namespaceFd);
      writer.i32(1, namespaceId);
    },
  };
}

/** RTM_GETNETCONF: how a namespace as a whole treats packets of one family. */
export function getForwardingRequest(family: IpFamily): NetlinkRequest {
  return {
    type: RTM_GETNETCONF,
    flags: NLM_F_REQUEST,
    object: `IPv${family} forwarding`,
    headerLength: 1,
    encode(writer) {
      writer.rawU32(familyNumber(family));
      writer.i32(1, NETCONFA_IFINDEX_ALL);
    },
  };
}
