import {
  formatIpAddress,
  maskAddress,
  parseIpAddress,
  parseIpPrefix,
} from '../kernel/ip-address.ts';

/** IP addresses and prefixes as lab documents write them. Pure; the text ↔ bytes codec is the kernel layer's. */

export type AddressFamily = 'ipv4' | 'ipv6';

export interface HostAddress {
  readonly family: AddressFamily;
  /** Canonical: dotted decimal, or RFC 5952. */
  readonly text: string;
  /** 4 or 16 bytes, network order. */
  readonly bytes: Uint8Array;
}

/** An address with the length of its subnet's prefix. */
export interface SubnetAddress {
  /** `ADDRESS/LENGTH`, canonical. */
  readonly text: string;
  readonly host: HostAddress;
  readonly length: number;
  /** Canonical text of the subnet, such as `172.16.0.0/24`. */
  readonly subnet: string;
}

export interface Prefix {
  readonly family: AddressFamily;
  /** `PREFIX/LENGTH`, canonical, host bits zero. */
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly length: number;
}

function familyOf(bytes: Uint8Array): AddressFamily {
  return bytes.length === 4 ? 'ipv4' : 'ipv6';
}

function textOf(bytes: Uint8Array): string {
  return formatIpAddress(bytes) ?? '';
}

/** An address without a length or zone; null for any other text. */
export function parseHostAddress(text: string): HostAddress | null {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) return null;
  return { family: familyOf(parsed.bytes), text: textOf(parsed.bytes), bytes: parsed.bytes };
}

/** `ADDRESS/LENGTH`; null for any other text, also for an address without a length. */
export function parseSubnetAddress(text: string): SubnetAddress | null {
  if (!text.includes('/')) return null;
  const parsed = parseIpPrefix(text);
  if (parsed === undefined) return null;
  const host = { family: familyOf(parsed.bytes), text: textOf(parsed.bytes), bytes: parsed.bytes };
  return {
    text: `${host.text}/${parsed.length}`,
    host,
    length: parsed.length,
    subnet: `${textOf(maskAddress(parsed.bytes, parsed.length))}/${parsed.length}`,
  };
}

/** A prefix with any host bits cleared; without a length a single address. Null for any other text. */
export function parsePrefix(text: string): Prefix | null {
  const parsed = parseIpPrefix(text);
  if (parsed === undefined) return null;
  const bytes = maskAddress(parsed.bytes, parsed.length);
  return {
    family: familyOf(bytes),
    text: `${textOf(bytes)}/${parsed.length}`,
    bytes,
    length: parsed.length,
  };
}

/** Canonical `ADDRESS/LENGTH`; the text itself when it is not one. */
export function canonicalSubnetAddress(text: string): string {
  return parseSubnetAddress(text)?.text ?? text;
}

/** Whether an address lies in the subnet of another. */
export function isInSubnet(host: HostAddress, subnet: SubnetAddress): boolean {
  return (
    host.family === subnet.host.family &&
    sameBytes(maskAddress(host.bytes, subnet.length), maskAddress(subnet.host.bytes, subnet.length))
  );
}

/** The destination of a route: `default`, a prefix or an address. `default` takes the gateway's family. */
export function parseDestination(to: string, via: string | null): Prefix | null {
  if (to !== 'default') return parsePrefix(to);
  return parsePrefix(via?.includes(':') === true ? '::/0' : '0.0.0.0/0');
}

/** Whether text such as `10.1.0.7/24` has bits behind its prefix. */
export function hasHostBits(text: string): boolean {
  const parsed = parseIpPrefix(text);
  return parsed !== undefined && !sameBytes(parsed.bytes, maskAddress(parsed.bytes, parsed.length));
}

/** The all-ones address of an IPv4 subnet of at most 30 bits, null where there is none. */
export function broadcastOf(address: SubnetAddress): string | null {
  if (address.host.family !== 'ipv4' || address.length > 30) return null;
  const mask = maskAddress(new Uint8Array(4).fill(255), address.length);
  return textOf(address.host.bytes.map((byte, at) => byte | (~(mask[at] ?? 0) & 0xff)));
}

/** The all-zeros address of a subnet that reserves it (IPv4 up to /30, IPv6 up to /126), else null. */
export function networkAddressOf(address: SubnetAddress): string | null {
  const longest = address.host.family === 'ipv4' ? 30 : 126;
  return address.length > longest ? null : textOf(maskAddress(address.host.bytes, address.length));
}

export type AddressOddity =
  'unspecified' | 'loopback' | 'multicast' | 'broadcast' | 'ipv4-mapped' | 'link-local';

/** What makes an address special, null for an ordinary one. RFC 1122 3.2.1.3, RFC 4291 2.4–2.7. */
export function oddityOf(host: HostAddress): AddressOddity | null {
  const [first = 0, second = 0] = host.bytes;
  if (host.bytes.every((byte) => byte === 0)) return 'unspecified';
  if (host.family === 'ipv4') {
    if (first === 127) return 'loopback';
    if (host.bytes.every((byte) => byte === 255)) return 'broadcast';
    if (first >= 224 && first < 240) return 'multicast';
    return first === 169 && second === 254 ? 'link-local' : null;
  }
  if (host.bytes.every((byte, at) => byte === (at === 15 ? 1 : 0))) return 'loopback';
  if (first === 0xff) return 'multicast';
  if (first === 0xfe && (second & 0xc0) === 0x80) return 'link-local';
  const mapped = host.bytes.every((byte, at) => at >= 12 || byte === (at >= 10 ? 0xff : 0));
  return mapped ? 'ipv4-mapped' : null;
}

/** Whether a MAC can be an interface's own: neither a group address nor all zero (is_valid_ether_addr). */
export function isUsableMac(mac: string): boolean {
  const first = Number.parseInt(mac.slice(0, 2), 16);
  return (first & 1) === 0 && !/^00(:00){5}$/.test(mac);
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
