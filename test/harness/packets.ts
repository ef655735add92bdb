/** Packets written by hand from the documents of their protocols, with lengths and checksums that hold. */

export type Part = string | Uint8Array | readonly number[];

/** Hexadecimal digits, in which blanks are for the reader and `#` begins a remark, and bytes, joined. */
export function bytes(...parts: readonly Part[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => {
      if (typeof part !== 'string') return [...part];
      const digits = part.replaceAll(/#[^\n]*/g, '').replaceAll(/\s/g, '');
      return (digits.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
    }),
  );
}

export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A number of so many bytes in network order. */
export function number(value: number, length: number): Uint8Array {
  const result = new Uint8Array(length);
  let rest = value;
  for (let at = length - 1; at >= 0; at -= 1) {
    result[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return result;
}

export function ip4(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

export function ip6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return bytes(
    ...[...before, ...(tail === undefined ? [] : zeros), ...after].map((g) => number(g, 2)),
  );
}

/** The Internet checksum (RFC 1071). */
export function checksum(...parts: readonly Uint8Array[]): number {
  const all = bytes(...parts);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += ((all[at] ?? 0) << 8) | (all[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function withNumber(whole: Uint8Array, at: number, value: number): Uint8Array {
  const result = Uint8Array.from(whole);
  result.set(number(value, 2), at);
  return result;
}

export const macA = '02 00 00 00 00 0a';
export const macB = '02 00 00 00 00 0b';
export const addressA = '10.0.0.1';
export const addressB = '10.0.0.2';
export const addressA6 = '2001:db8::1';
export const addressB6 = '2001:db8::2';

export function frame(
  type: number,
  payload: Uint8Array,
  { to = macB, from = macA }: { readonly to?: string; readonly from?: string } = {},
): Uint8Array {
  const whole = bytes(to, from, number(type, 2), payload);
  // What is shorter than 60 bytes is filled up on the wire.
  return whole.length >= 60 ? whole : bytes(whole, new Uint8Array(60 - whole.length));
}

/** IEEE 802.3 with the length in the place of the type. */
export function frame802(payload: Uint8Array, to: string): Uint8Array {
  return frame(payload.length, payload, { to });
}

export interface Ipv4Options {
  readonly from?: string;
  readonly to?: string;
  readonly options?: Part;
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  /** Flags and offset. */
  readonly fragment?: number;
}

export function packet4(
  protocol: number,
  payload: Uint8Array,
  given: Ipv4Options = {},
): Uint8Array {
  const options = bytes(given.options ?? '');
  const size = 20 + options.length;
  const header = bytes(
    number(0x40 | (size / 4), 1),
    number(given.tos ?? 0, 1),
    number(size + payload.length, 2),
    number(given.id ?? 0x1234, 2),
    number(given.fragment ?? 0x4000, 2),
    number(given.ttl ?? 64, 1),
    number(protocol, 1),
    '0000',
    ip4(given.from ?? addressA),
    ip4(given.to ?? addressB),
    options,
  );
  return bytes(withNumber(header, 10, checksum(header)), payload);
}

export interface Ipv6Options {
  readonly from?: string;
  readonly to?: string;
  readonly hops?: number;
  /** Extension headers; the first one's number is then that of the packet. */
  readonly first?: number;
  readonly extensions?: Part;
}

export function packet6(
  protocol: number,
  payload: Uint8Array,
  given: Ipv6Options = {},
): Uint8Array {
  const extensions = bytes(given.extensions ?? '');
  return bytes(
    '6 0b 12345',
    number(extensions.length + payload.length, 2),
    number(given.first ?? protocol, 1),
    number(given.hops ?? 64, 1),
    ip6(given.from ?? addressA6),
    ip6(given.to ?? addressB6),
    extensions,
    payload,
  );
}

function pseudo4(protocol: number, length: number, from: string, to: string): Uint8Array {
  return bytes(ip4(from), ip4(to), number(protocol, 2), number(length, 2));
}

function pseudo6(protocol: number, length: number, from: string, to: string): Uint8Array {
  return bytes(ip6(from), ip6(to), number(length, 4), number(protocol, 4));
}

export interface Ends {
  readonly source: number;
  readonly destination: number;
  readonly from?: string;
  readonly to?: string;
}

export function datagram(payload: Uint8Array, { source, destination, from, to }: Ends): Uint8Array {
  const whole = bytes(
    number(source, 2),
    number(destination, 2),
    number(8 + payload.length, 2),
    '0000',
    payload,
  );
  return withNumber(whole, 6, summed(17, whole, from, to));
}

function summed(protocol: number, whole: Uint8Array, from?: string, to?: string): number {
  const is6 = (from ?? to ?? '').includes(':');
  const pseudo = is6
    ? pseudo6(protocol, whole.length, from ?? addressA6, to ?? addressB6)
    : pseudo4(protocol, whole.length, from ?? addressA, to ?? addressB);
  return checksum(pseudo, whole);
}

/** A datagram in a packet of IPv4 in a frame. */
export function udpFrame(payload: Uint8Array, ends: Ends): Uint8Array {
  const { from, to } = ends;
  const addresses = {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  return frame(0x0800, packet4(17, datagram(payload, ends), addresses));
}

export function udpFrame6(payload: Uint8Array, ends: Ends): Uint8Array {
  const addresses = { from: ends.from ?? addressA6, to: ends.to ?? addressB6 };
  return frame(0x86dd, packet6(17, datagram(payload, { ...ends, ...addresses }), addresses));
}

export interface SegmentOptions extends Ends {
  readonly flags?: number;
  readonly options?: Part;
  readonly sequence?: number;
}

export function segment(payload: Uint8Array, given: SegmentOptions): Uint8Array {
  const options = bytes(given.options ?? '');
  const whole = bytes(
    number(given.source, 2),
    number(given.destination, 2),
    number(given.sequence ?? 0x9abcdef0, 4),
    '00000065',
    number((((20 + options.length) / 4) << 12) | (given.flags ?? 0x018), 2),
    'ffff 0000 0000',
    options,
    payload,
  );
  return withNumber(whole, 16, summed(6, whole, given.from, given.to));
}

export function tcpFrame(payload: Uint8Array, given: SegmentOptions): Uint8Array {
  return frame(0x0800, packet4(6, segment(payload, given)));
}

/** A message of ICMP, IGMP, OSPF or GRE with its checksum at byte `at`. */
export function message(text: Part, at = 2): Uint8Array {
  const whole = bytes(text);
  return withNumber(whole, at, checksum(whole));
}

export function message6(text: Part, given: Ipv6Options = {}): Uint8Array {
  const whole = bytes(text);
  return withNumber(whole, 2, summed(58, whole, given.from ?? addressA6, given.to ?? addressB6));
}

/** ICMPv6 in a packet in a frame. */
export function frame6(text: Part, given: Ipv6Options = {}): Uint8Array {
  return frame(0x86dd, packet6(58, message6(text, given), { hops: 255, ...given }));
}
