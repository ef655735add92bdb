/** IP address text ↔ bytes. Pure. IPv6 text is written as RFC 5952 asks (lower case, longest run of zeros as `::`). */

export type IpFamily = 4 | 6;

export interface IpAddress {
  readonly family: IpFamily;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
}

export interface IpPrefix extends IpAddress {
  /** 0–32 or 0–128. */
  readonly length: number;
}

/** The four bytes of strict dotted decimal (no leading zeros, no short forms); undefined for any other text. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [position, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    bytes[position] = value;
  }
  return bytes;
}

/** The sixteen bytes of any RFC 4291 text form, without a zone; undefined for any other text. */
export function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length < 2 || text.length > 45) return undefined;
  let source = text;
  const lastColon = text.lastIndexOf(':');
  if (text.includes('.')) {
    const tail = parseIpv4(text.slice(lastColon + 1));
    if (tail === undefined || lastColon < 0) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = tail;
    source = `${text.slice(0, lastColon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const gap = source.indexOf('::');
  if (gap !== source.lastIndexOf('::')) return undefined;
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const head = groupsOf(gap < 0 ? source : source.slice(0, gap));
  const tail = gap < 0 ? [] : groupsOf(source.slice(gap + 2));
  const missing = 8 - head.length - tail.length;
  if (gap < 0 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  const bytes = new Uint8Array(16);
  for (const [position, group] of groups.entries()) {
    if (!/^[0-9A-Fa-f]{1,4}$/.test(group)) return undefined;
    const value = Number.parseInt(group, 16);
    bytes[position * 2] = value >> 8;
    bytes[position * 2 + 1] = value & 0xff;
  }
  return bytes;
}

export function parseIpAddress(text: string): IpAddress | undefined {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes === undefined ? undefined : { family: bytes.length === 4 ? 4 : 6, bytes };
}

/** `address/length`; without a length it is the whole address (32 or 128). Host bits are kept as written. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const slash = text.indexOf('/');
  const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const longest = address.family === 4 ? 32 : 128;
  if (slash < 0) return { ...address, length: longest };
  const lengthText = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  return length > longest ? undefined : { ...address, length };
}

export function formatIpv4(bytes: Uint8Array, start = 0): string {
  return `${bytes[start] ?? 0}.${bytes[start + 1] ?? 0}.${bytes[start + 2] ?? 0}.${bytes[start + 3] ?? 0}`;
}

/** RFC 5952 section 4; IPv4-mapped addresses (::ffff:0:0/96) end in dotted decimal, section 5. */
export function formatIpv6(bytes: Uint8Array, start = 0): string {
  const groups: number[] = [];
  for (let at = start; at < start + 16; at += 2) {
    groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  }
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIpv4(bytes, start + 12)}`;
  }
  let gapStart = -1;
  let gapLength = 1; // A single zero group is not shortened (4.2.2).
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - at > gapLength) {
      gapStart = at;
      gapLength = end - at;
    }
    if (end > at) at = end;
  }
  const text = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':');
  if (gapStart < 0) return text(groups);
  return `${text(groups.slice(0, gapStart))}::${text(groups.slice(gapStart + gapLength))}`;
}

/** Text of 4 or 16 bytes; undefined for any other length. */
export function formatIpAddress(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return formatIpv4(bytes);
  return bytes.length === 16 ? formatIpv6(bytes) : undefined;
}

/** A copy of `bytes` with everything behind the first `length` bits set to zero. */
export function maskAddress(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, position) => {
    const bits = Math.min(8, Math.max(0, length - position * 8));
    return byte & (0xff00 >> bits) & 0xff;
  });
}

/** Six bytes of `aa:bb:cc:dd:ee:ff` (any case); undefined for any other text. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

const hexadecimal = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case pairs joined by colons, for a hardware address of any length. */
export function formatMac(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = '';
  for (let at = start; at < end; at += 1) {
    text += (at === start ? '' : ':') + (hexadecimal[bytes[at] ?? 0] ?? '');
  }
  return text;
}
