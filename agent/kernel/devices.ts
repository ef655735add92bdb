/**
 * Links of the kinds that `DeviceSchema` knows, made and read. Sources: include/uapi/linux/if_link.h, if_tunnel.h,
 * if_tun.h and the kinds' own newlink and fill_info functions; what is sent is what ip-link(8) and ip-tuntap(8) send.
 */
import { bondHashPolicies, bondModes } from '../api/device.ts';
import type { BondMember, Device, DeviceKind } from '../api/device.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { formatIpAddress, type IpAddress, parseIpAddress } from './ip-address.ts';
import { kernelFailure, settleCall } from './kernel-failure.ts';
import { createLink, setLink } from './links.ts';
import { runIn } from './namespaces.ts';
import {
  closeDescriptor,
  controlDevice,
  controlDeviceWith,
  EBUSY,
  EEXIST,
  O_RDWR,
  openDescriptor,
} from './native.ts';
import {
  type MessageWriter,
  readU16,
  readU16BigEndian,
  readU32,
  readU8,
  visitAttributes,
} from './netlink-codec.ts';
import type { RequestSocket } from './netlink-socket.ts';
import type { Link } from './rtnetlink.ts';

export interface DeviceSettings {
  readonly name: string;
  /** Left out for kinds without an Ethernet address: gre, ipip, tun. */
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
}

/** The namespace to work in: its request socket and its descriptor. */
export interface DeviceDoor {
  readonly socket: RequestSocket;
  readonly fd: number;
}

const vlanProtocols = { '802.1Q': 0x8100, '802.1ad': 0x88a8 } as const;
const macvlanModeNumbers = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const withoutMac: ReadonlySet<DeviceKind> = new Set(['gre', 'ipip', 'tun']);

const IPPROTO_IPIP = 4;
/** Big-endian flag of a GRE header with a key (RFC 2890). */
const GRE_KEY = 0x2000;
const largestU32 = 0xffffffff;

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new RangeError(`No IP address: ${JSON.stringify(text)}`);
  return address;
}

/** An address as the attribute for its family, which kinds number differently. */
function writeAddress(
  writer: MessageWriter,
  text: string | null,
  ipv4: number,
  ipv6: number | undefined,
): void {
  if (text === null) return;
  const address = addressOf(text);
  const type = address.family === 4 ? ipv4 : ipv6;
  if (type === undefined) throw new RangeError(`No IPv4 address: ${JSON.stringify(text)}`);
  writer.binary(type, address.bytes);
}

function writeU32BigEndian(writer: MessageWriter, type: number, value: number): void {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  writer.binary(type, bytes);
}

function writeGre(
  writer: MessageWriter,
  device: Extract<Device, { readonly kind: 'gre' | 'gretap' }>,
): void {
  const flags = device.key === null ? 0 : GRE_KEY;
  writeU32BigEndian(writer, 4, device.key ?? 0); // IFLA_GRE_IKEY
  writeU32BigEndian(writer, 5, device.key ?? 0); // IFLA_GRE_OKEY
  writer.u16BigEndian(2, flags); // IFLA_GRE_IFLAGS
  writer.u16BigEndian(3, flags); // IFLA_GRE_OFLAGS
  writeAddress(writer, device.local, 6, undefined);
  writeAddress(writer, device.remote, 7, undefined);
  writer.u8(10, 1); // IFLA_GRE_PMTUDISC
  writer.u8(8, 0); // IFLA_GRE_TTL: that of the packet inside
  writer.u8(9, 0); // IFLA_GRE_TOS
}

type MessageDevice = Exclude<Device, { readonly kind: 'tap' | 'tun' }>;

/** Pure: attributes of IFLA_INFO_DATA; `parent` is the index of the link below. */
export function writeDevice(
  writer: MessageWriter,
  device: MessageDevice,
  parent: number | undefined,
): void {
  switch (device.kind) {
    case 'dummy':
      break;
    case 'vlan':
      writer.u16BigEndian(5, vlanProtocols[device.protocol]);
      writer.u16(1, device.id);
      break;
    case 'bond':
      // Before the interval: some modes come with one of their own.
      writer.u8(1, bondModes.indexOf(device.mode));
      writer.u32(3, device.monitorInterval);
      writer.u8(14, bondHashPolicies.indexOf(device.hashPolicy));
      break;
    case 'vxlan':
      writer.u32(1, device.id);
      writeAddress(writer, device.local, 4, 17);
      writeAddress(writer, device.remote, 2, 16);
      if (parent !== undefined) writer.u32(3, parent);
      writer.u8(7, 1); // IFLA_VXLAN_LEARNING
      writer.u16BigEndian(15, device.port);
      break;
    case 'gre':
    case 'gretap':
      writeGre(writer, device);
      break;
    case 'ipip':
      writeAddress(writer, device.local, 2, undefined);
      writeAddress(writer, device.remote, 3, undefined);
      writer.u8(4, 0); // IFLA_IPTUN_TTL
      writer.u8(5, 0); // IFLA_IPTUN_TOS
      writer.u8(10, 1); // IFLA_IPTUN_PMTUDISC
      writer.u8(9, 0); // IFLA_IPTUN_PROTO: any, as ip-link(8) asks without a mode
      break;
    case 'geneve':
      writer.u32(1, device.id);
      writeAddress(writer, device.remote, 2, 7);
      writer.u16BigEndian(5, device.port);
      break;
    case 'macvlan':
      writer.u32(1, macvlanModeNumbers[device.mode]);
      break;
    case 'vrf':
      writer.u32(1, device.table);
      break;
  }
}

/**
 * Makes the link, down, with its MAC and MTU from the start; `indexOf` finds its parent (and a new tap or tun). A tap
 * or tun is persistent. Fails with EEXIST when the name is taken, EOPNOTSUPP when the kernel lacks the kind, with
 * nothing made; throws on addresses that are none: validate before.
 */
export function createDevice(
  door: DeviceDoor,
  settings: DeviceSettings,
  device: Device,
  indexOf: (name: string) => Result<number>,
): Result<void> {
  const mac = withoutMac.has(device.kind) ? undefined : settings.mac;
  if (device.kind === 'tap' || device.kind === 'tun') {
    return createTun(door, { ...settings, mac }, device, indexOf);
  }
  const parentName = 'parent' in device ? device.parent : null;
  let parent: number | undefined;
  if (parentName !== null) {
    const found = indexOf(parentName);
    if (!found.ok) return found;
    parent = found.value;
  }
  return createLink(door.socket, {
    name: settings.name,
    mac,
    mtu: settings.mtu,
    kind: device.kind,
    // A vxlan names its parent among its own attributes.
    link: device.kind === 'vxlan' ? undefined : parent,
    data:
      device.kind === 'dummy'
        ? undefined
        : (writer) => {
            writeDevice(writer, device, parent);
          },
  });
}

const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_TUN_EXCL = 0x8000;

/** Until TUNSETPERSIST the link goes with its descriptor: whatever fails before leaves nothing. */
function createTun(
  door: DeviceDoor,
  settings: DeviceSettings,
  device: Extract<Device, { readonly kind: 'tap' | 'tun' }>,
  indexOf: (name: string) => Result<number>,
): Result<void> {
  const { name, mac, mtu } = settings;
  const object = `link ${name}`;
  if (name === '' || Buffer.byteLength(name) > 15) {
    throw new RangeError(`A link name has 1 to 15 bytes: ${JSON.stringify(name)}`);
  }
  // The descriptor belongs to the namespace that it is opened in (tun_chr_open).
  const opened = runIn(door.fd, () => openDescriptor('/dev/net/tun', O_RDWR));
  if (!opened.ok) return opened;
  const descriptor = settleCall(opened.value, 'open', '/dev/net/tun');
  if (!descriptor.ok) return descriptor;
  const fd = descriptor.value;
  try {
    // struct ifreq: name, then flags.
    const request = Buffer.alloc(40);
    request.write(name, 0);
    const flags =
      (device.kind === 'tap' ? IFF_TAP : IFF_TUN) |
      IFF_NO_PI |
      IFF_TUN_EXCL |
      (device.multiQueue ? IFF_MULTI_QUEUE : 0);
    request.writeUInt16LE(flags, 16);
    const made = controlDevice(fd, TUNSETIFF, request);
    if (made < 0) {
      // With IFF_TUN_EXCL a taken name is EBUSY, where every other kind says EEXIST.
      const errno = made === -EBUSY ? EEXIST : -made;
      return fail(kernelFailure(object, { call: 'TUNSETIFF', errno }));
    }
    const control = (call: string, number: number, value: number): Result<number> =>
      settleCall(controlDeviceWith(fd, number, value), call, object);
    if (device.owner !== null) {
      const owned = control('TUNSETOWNER', TUNSETOWNER, device.owner);
      if (!owned.ok) return owned;
    }
    if (device.group !== null) {
      const grouped = control('TUNSETGROUP', TUNSETGROUP, device.group);
      if (!grouped.ok) return grouped;
    }
    if (mac !== undefined || mtu !== undefined) {
      const index = indexOf(name);
      if (!index.ok) return index;
      const set = setLink(door.socket, index.value, { mac, mtu }, object);
      if (!set.ok) return set;
    }
    const kept = control('TUNSETPERSIST', TUNSETPERSIST, 1);
    return kept.ok ? succeed(undefined) : kept;
  } finally {
    closeDescriptor(fd);
  }
}

/**
 * Opens the queue of a tap or tun that is there, in the namespace behind the descriptor, as `ip tuntap` and socat do.
 * What comes out of the descriptor are its packets; whoever holds it needs no rights. Close it. Fails with EBUSY while
 * somebody else has the queue. A device of that name that is gone would be made anew: look for it before.
 */
export function attachTun(namespaceFd: number, kind: 'tap' | 'tun', name: string): Result<number> {
  const opened = runIn(namespaceFd, () => openDescriptor('/dev/net/tun', O_RDWR));
  if (!opened.ok) return opened;
  const descriptor = settleCall(opened.value, 'open', '/dev/net/tun');
  if (!descriptor.ok) return descriptor;
  const request = Buffer.alloc(40);
  request.write(name.slice(0, 15), 0);
  request.writeUInt16LE((kind === 'tap' ? IFF_TAP : IFF_TUN) | IFF_NO_PI, 16);
  const attached = controlDevice(descriptor.value, TUNSETIFF, request);
  if (attached >= 0) return descriptor;
  closeDescriptor(descriptor.value);
  return fail(kernelFailure(`link ${name}`, { call: 'TUNSETIFF', errno: -attached }));
}

/** Attributes of IFLA_INFO_DATA or IFLA_INFO_SLAVE_DATA by number. */
class Attributes {
  private readonly bytes: Buffer;
  private readonly places = new Map<number, readonly [number, number]>();

  constructor(payload: Uint8Array | undefined) {
    const data = payload ?? new Uint8Array(0);
    this.bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    visitAttributes(this.bytes, 0, this.bytes.length, (type, from, to) => {
      this.places.set(type, [from, to]);
    });
  }

  has(type: number): boolean {
    return this.places.has(type);
  }

  /** Length of the payload; 0 also when it is absent. */
  size(type: number): number {
    const [from, to] = this.places.get(type) ?? [0, 0];
    return to - from;
  }

  private read<T>(
    type: number,
    reader: (bytes: Buffer, start: number, end: number) => T | undefined,
  ): T | undefined {
    const place = this.places.get(type);
    return place === undefined ? undefined : reader(this.bytes, place[0], place[1]);
  }

  /** A number of one, two or four bytes in host order. */
  number(type: number): number | undefined {
    return this.read(type, readU32) ?? this.read(type, readU16) ?? this.read(type, readU8);
  }

  u16BigEndian(type: number): number | undefined {
    return this.read(type, readU16BigEndian);
  }

  u32BigEndian(type: number): number | undefined {
    return this.read(type, (bytes, from, to) =>
      to - from >= 4 ? bytes.readUInt32BE(from) : undefined,
    );
  }

  /** The address in any of these; null when there is none or it is the unspecified one. */
  address(...types: readonly number[]): string | null {
    for (const type of types) {
      const text = this.read(type, (bytes, from, to) => formatIpAddress(bytes.subarray(from, to)));
      if (text !== undefined && text !== '0.0.0.0' && text !== '::') return text;
    }
    return null;
  }

  /** Whether each of these is absent or has the number with it. */
  are(expected: Readonly<Record<number, number>>): boolean {
    return Object.entries(expected).every(([type, value]) => {
      const number = this.number(Number(type));
      return number === undefined || number === value;
    });
  }
}

/** Name of the link below, null when there is none here. */
function parentOf(link: Link, nameOf: (index: number) => string | undefined): string | null {
  if (link.link === undefined || link.linkNamespaceId !== undefined) return null;
  return nameOf(link.link) ?? null;
}

function vlanOf(data: Attributes, parent: string | null): Device | null {
  const id = data.number(1);
  const number = data.u16BigEndian(5) ?? vlanProtocols['802.1Q'];
  const protocol = number === vlanProtocols['802.1ad'] ? '802.1ad' : '802.1Q';
  if (id === undefined || parent === null || vlanProtocols[protocol] !== number) return null;
  // struct ifla_vlan_flags begins with the flags: VLAN_FLAG_REORDER_HDR (1) alone is what a new one has.
  if (data.size(2) >= 4 && data.number(2) !== 1) return null;
  if (data.size(3) > 0 || data.size(4) > 0) return null;
  return { kind: 'vlan', parent, id, protocol };
}

function bondOf(data: Attributes): Device | null {
  const mode = bondModes[data.number(1) ?? -1];
  const hashPolicy = bondHashPolicies[data.number(14) ?? 0];
  if (mode === undefined || hashPolicy === undefined) return null;
  // UPDELAY, DOWNDELAY, ARP_INTERVAL, FAIL_OVER_MAC, ALL_SLAVES_ACTIVE, MIN_LINKS, AD_LACP_RATE; PRIMARY.
  if (!data.are({ 4: 0, 5: 0, 7: 0, 13: 0, 17: 0, 18: 0, 21: 0 }) || data.has(11)) return null;
  return { kind: 'bond', mode, monitorInterval: data.number(3) ?? 0, hashPolicy };
}

function vxlanOf(
  data: Attributes,
  link: Link,
  nameOf: (index: number) => string | undefined,
): Device | null {
  const id = data.number(1);
  const port = data.u16BigEndian(15);
  if (id === undefined || port === undefined) return null;
  // TTL, TOS, LEARNING, AGEING, LIMIT, PORT_RANGE, PROXY, RSC, L2MISS, L3MISS, COLLECT_METADATA, LABEL, TTL_INHERIT, DF.
  const usual = {
    ...{ 5: 0, 6: 0, 7: 1, 8: 300, 9: 0, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0 },
    ...{ 25: 0, 26: 0, 28: 0, 29: 0, 30: 0 },
  };
  // GBP and GPE are flags.
  if (!data.are(usual) || data.has(23) || data.has(27)) return null;
  const below = data.number(3) ?? 0;
  let parent: string | null = null;
  if (below !== 0) {
    // Its sockets and its parent are where it was made, which may be another namespace than where it is.
    parent = link.linkNamespaceId === undefined ? (nameOf(below) ?? null) : null;
    if (parent === null) return null;
  }
  const local = data.address(4, 17);
  return { kind: 'vxlan', id, local, remote: data.address(2, 16), port, parent };
}

function greOf(kind: 'gre' | 'gretap', data: Attributes): Device | null {
  const flags = data.u16BigEndian(2) ?? 0;
  const keyed = flags === GRE_KEY;
  if (!keyed && flags !== 0) return null;
  if (flags !== (data.u16BigEndian(3) ?? 0)) return null;
  const key = data.u32BigEndian(4) ?? 0;
  if (keyed && key !== data.u32BigEndian(5)) return null;
  // LINK, TTL, TOS, PMTUDISC, ENCAP_TYPE, IGNORE_DF, FWMARK; COLLECT_METADATA.
  if (!data.are({ 1: 0, 8: 0, 9: 0, 10: 1, 14: 0, 19: 0, 20: 0 }) || data.has(18)) return null;
  return { kind, local: data.address(6), remote: data.address(7), key: keyed ? key : null };
}

function ipipOf(data: Attributes): Device | null {
  // LINK, TTL, TOS, PMTUDISC, ENCAP_TYPE, FWMARK; COLLECT_METADATA.
  const usual = { 1: 0, 4: 0, 5: 0, 10: 1, 15: 0, 20: 0 };
  if (!data.are(usual) || data.has(19)) return null;
  // PROTO: what it lets in beside IPv4 (0, any, is what ip-link(8) asks for; MPLS alone is no ipip).
  const protocol = data.number(9) ?? IPPROTO_IPIP;
  if (protocol !== 0 && protocol !== IPPROTO_IPIP) return null;
  return { kind: 'ipip', local: data.address(2), remote: data.address(3) };
}

function geneveOf(data: Attributes): Device | null {
  const id = data.number(1);
  const port = data.u16BigEndian(5);
  const remote = data.address(2, 7);
  if (id === undefined || port === undefined || remote === null) return null;
  // TTL, TOS, LABEL, TTL_INHERIT, DF; COLLECT_METADATA and INNER_PROTO_INHERIT are flags.
  if (!data.are({ 3: 0, 4: 0, 11: 0, 12: 0, 13: 0 }) || data.has(6) || data.has(14)) return null;
  return { kind: 'geneve', id, remote, port };
}

const macvlanModeNames = new Map(
  (['private', 'vepa', 'bridge', 'passthru'] as const).map((mode) => [
    macvlanModeNumbers[mode],
    mode,
  ]),
);

function macvlanOf(data: Attributes, parent: string | null): Device | null {
  const number = data.number(1);
  for (const [known, mode] of macvlanModeNames) {
    if (known !== number || parent === null) continue;
    return data.are({ 2: 0 }) ? { kind: 'macvlan', parent, mode } : null;
  }
  return null;
}

function tunOf(data: Attributes): Device | null {
  const type = data.number(3);
  if (type !== IFF_TUN && type !== IFF_TAP) return null;
  const identifier = (attribute: number): number | null => {
    const value = data.number(attribute);
    return value === undefined || value === largestU32 ? null : value;
  };
  // Whether it has a packet header belongs to the process that is attached (tun_set_iff): not looked at.
  return {
    kind: type === IFF_TAP ? 'tap' : 'tun',
    owner: identifier(1),
    group: identifier(2),
    multiQueue: data.number(7) === 1,
  };
}

/**
 * Pure: a link as one of the kinds of `DeviceSchema`; null when it is none of them, has settings beyond those, or
 * refers to a link that `nameOf` does not know, such as one in another namespace.
 */
export function deviceOf(link: Link, nameOf: (index: number) => string | undefined): Device | null {
  switch (link.kind) {
    case 'dummy':
      return { kind: 'dummy' };
    case 'vlan':
      return vlanOf(new Attributes(link.infoData), parentOf(link, nameOf));
    case 'bond':
      return bondOf(new Attributes(link.infoData));
    case 'vxlan':
      return vxlanOf(new Attributes(link.infoData), link, nameOf);
    case 'gre':
    case 'gretap':
      return greOf(link.kind, new Attributes(link.infoData));
    case 'ipip':
      return ipipOf(new Attributes(link.infoData));
    case 'geneve':
      return geneveOf(new Attributes(link.infoData));
    case 'macvlan':
      return macvlanOf(new Attributes(link.infoData), parentOf(link, nameOf));
    case 'vrf': {
      const table = new Attributes(link.infoData).number(1);
      return table === undefined ? null : { kind: 'vrf', table };
    }
    case 'tun':
      return tunOf(new Attributes(link.infoData));
    default:
      return null;
  }
}

/** Pure: a link as the member of a bond; null when it is none. */
export function bondMemberOf(link: Link): BondMember | null {
  if (link.portKind !== 'bond') return null;
  const data = new Attributes(link.portData);
  // BOND_STATE_ACTIVE and BOND_LINK_UP are 0 (include/net/bonding.h).
  return {
    state: data.number(1) === 0 ? 'active' : 'backup',
    linkUp: data.number(2) === 0,
  };
}
