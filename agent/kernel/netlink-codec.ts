/**
 * Netlink messages and attributes, encoded and decoded. Pure. Sources: include/uapi/linux/netlink.h,
 * Documentation/userspace-api/netlink/intro.rst. Everything is in host order; the machines we run on are little-endian.
 *
 * Decoding never throws on what the kernel (or a hostile byte string) sends: a header that does not fit ends the walk,
 * an attribute that is too short for its type reads as absent, unknown ones are skipped.
 */

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_MISS_TYPE = 5;

/** Size of struct nlmsghdr. */
export const messageHeaderLength = 16;
const attributeHeaderLength = 4;

/** Netlink aligns headers, bodies and attributes to four bytes (NLMSG_ALIGN, NLA_ALIGN). */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/**
 * Writes messages one after another into one buffer that is used again and grows when it must. A message is `begin`,
 * its body, `end`; a nested attribute is `beginNested`, its attributes, `endNested`.
 */
export class MessageWriter {
  private bytes: Buffer;
  private used = 0;
  private messageStart = 0;

  constructor(capacity = 65536) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** The buffer with everything written so far in its first `length` bytes; valid until the next write. */
  get buffer(): Buffer {
    return this.bytes;
  }

  get length(): number {
    return this.used;
  }

  reset(): void {
    this.used = 0;
  }

  /** Forgets everything behind the first `length` bytes. */
  truncate(length: number): void {
    this.used = Math.min(this.used, length);
  }

  private reserve(count: number): number {
    const at = this.used;
    const needed = at + count;
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, at);
      this.bytes = larger;
    }
    this.used = needed;
    return at;
  }

  /** Opens a message: struct nlmsghdr with a length that `end` fills in. */
  begin(type: number, flags: number, sequence: number): void {
    const at = this.reserve(messageHeaderLength);
    this.messageStart = at;
    this.bytes.writeUInt32LE(0, at);
    this.bytes.writeUInt16LE(type, at + 4);
    this.bytes.writeUInt16LE(flags, at + 6);
    this.bytes.writeUInt32LE(sequence, at + 8);
    this.bytes.writeUInt32LE(0, at + 12);
  }

  end(): void {
    this.bytes.writeUInt32LE(this.used - this.messageStart, this.messageStart);
    this.pad();
  }

  private pad(): void {
    const missing = align4(this.used) - this.used;
    if (missing > 0) {
      const at = this.reserve(missing);
      this.bytes.fill(0, at, at + missing);
    }
  }

  rawU8(value: number): void {
    const at = this.reserve(1);
    this.bytes[at] = value;
  }

  rawU16(value: number): void {
    const at = this.reserve(2);
    this.bytes.writeUInt16LE(value, at);
  }

  rawU32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeUInt32LE(value >>> 0, at);
  }

  /** Attribute header and room for `length` bytes of payload, padding zeroed; returns where the payload starts. */
  private attribute(type: number, length: number): number {
    const total = attributeHeaderLength + length;
    const padded = align4(total);
    const at = this.reserve(padded);
    this.bytes.writeUInt16LE(total, at);
    this.bytes.writeUInt16LE(type, at + 2);
    for (let pad = at + total; pad < at + padded; pad += 1) this.bytes[pad] = 0;
    return at + attributeHeaderLength;
  }

  flag(type: number): void {
    this.attribute(type, 0);
  }

  u8(type: number, value: number): void {
    const at = this.attribute(type, 1);
    this.bytes[at] = value;
  }

  u16(type: number, value: number): void {
    const at = this.attribute(type, 2);
    this.bytes.writeUInt16LE(value, at);
  }

  /** Big-endian, as for ports and VLAN protocols. */
  u16BigEndian(type: number, value: number): void {
    const at = this.attribute(type, 2);
    this.bytes.writeUInt16BE(value, at);
  }

  u32(type: number, value: number): void {
    const at = this.attribute(type, 4);
    this.bytes.writeUInt32LE(value >>> 0, at);
  }

  i32(type: number, value: number): void {
    const at = this.attribute(type, 4);
    this.bytes.writeInt32LE(value, at);
  }

  u64(type: number, value: bigint): void {
    const at = this.attribute(type, 8);
    this.bytes.writeBigUInt64LE(value, at);
  }

  binary(type: number, value: Uint8Array): void {
    const at = this.attribute(type, value.length);
    this.bytes.set(value, at);
  }

  /** NUL-terminated UTF-8. */
  string(type: number, value: string): void {
    const length = Buffer.byteLength(value);
    const at = this.attribute(type, length + 1);
    this.bytes.write(value, at, 'utf8');
    this.bytes[at + length] = 0;
  }

  /** Opens a nested attribute (NLA_F_NESTED set); hand the returned place to `endNested`. */
  beginNested(type: number): number {
    this.attribute(type | NLA_F_NESTED, 0);
    return this.used - attributeHeaderLength;
  }

  endNested(place: number): void {
    const length = this.used - place;
    if (length > 0xffff) throw new RangeError('A nested attribute holds at most 65,535 bytes.');
    this.bytes.writeUInt16LE(length, place);
  }
}

export interface MessageHeader {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  /** Where the message, header included, starts in the buffer. */
  readonly start: number;
  /** First byte of the body and the byte after its last. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/**
 * Calls `visit` for each whole message in the first `length` bytes; stops when it returns false. Returns false when
 * bytes are left over that are no message (truncated or hostile).
 */
export function visitMessages(
  bytes: Buffer,
  length: number,
  visit: (header: MessageHeader) => boolean,
): boolean {
  const limit = Math.min(length, bytes.length);
  let at = 0;
  while (at + messageHeaderLength <= limit) {
    const size = bytes.readUInt32LE(at);
    if (size < messageHeaderLength || size > limit - at) return false;
    const proceed = visit({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      portId: bytes.readUInt32LE(at + 12),
      start: at,
      bodyStart: at + messageHeaderLength,
      bodyEnd: at + size,
    });
    if (!proceed) return true;
    at += align4(size);
  }
  return at >= limit;
}

/**
 * Calls `visit` for each whole attribute between `start` and `end` with its number (flags masked off) and where its
 * payload starts and ends.
 */
export function visitAttributes(
  bytes: Buffer,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  const limit = Math.min(end, bytes.length);
  let at = start;
  while (at + attributeHeaderLength <= limit) {
    const size = bytes.readUInt16LE(at);
    if (size < attributeHeaderLength || size > limit - at) return;
    visit(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, at + attributeHeaderLength, at + size);
    at += align4(size);
  }
}

/** The readers below give undefined when the payload is too short for the type. */
export function readU8(bytes: Buffer, start: number, end: number): number | undefined {
  return end - start >= 1 && end <= bytes.length ? bytes[start] : undefined;
}

export function readU16(bytes: Buffer, start: number, end: number): number | undefined {
  return end - start >= 2 && end <= bytes.length ? bytes.readUInt16LE(start) : undefined;
}

export function readU16BigEndian(bytes: Buffer, start: number, end: number): number | undefined {
  return end - start >= 2 && end <= bytes.length ? bytes.readUInt16BE(start) : undefined;
}

export function readU32(bytes: Buffer, start: number, end: number): number | undefined {
  return end - start >= 4 && end <= bytes.length ? bytes.readUInt32LE(start) : undefined;
}

export function readI32(bytes: Buffer, start: number, end: number): number | undefined {
  return end - start >= 4 && end <= bytes.length ? bytes.readInt32LE(start) : undefined;
}

export function readU64(bytes: Buffer, start: number, end: number): bigint | undefined {
  return end - start >= 8 && end <= bytes.length ? bytes.readBigUInt64LE(start) : undefined;
}

/** u64 as a number: exact up to 2^53, which counters reach after decades at 10 Gbit/s. */
export function readU64Number(bytes: Buffer, start: number, end: number): number | undefined {
  if (end - start < 8 || end > bytes.length) return undefined;
  return bytes.readUInt32LE(start) + bytes.readUInt32LE(start + 4) * 2 ** 32;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Text up to the first NUL. The kernel takes names as opaque bytes: what is not UTF-8 reads as Latin-1, one character
 * a byte, so that it can be shown; address such a link by its index, not by this name.
 */
export function readString(bytes: Buffer, start: number, end: number): string {
  const limit = Math.min(end, bytes.length);
  let stop = start;
  let plain = true;
  for (; stop < limit; stop += 1) {
    const byte = bytes[stop] ?? 0;
    if (byte === 0) break;
    if (byte >= 0x80) plain = false;
  }
  if (plain) return bytes.toString('latin1', start, stop);
  try {
    return strictUtf8.decode(bytes.subarray(start, stop));
  } catch {
    return bytes.toString('latin1', start, stop);
  }
}

/** A copy that outlives the receive buffer. */
export function readBytes(bytes: Buffer, start: number, end: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, Math.min(end, bytes.length));
}

export interface Acknowledgement {
  /** 0 for success, else a positive errno. */
  readonly errno: number;
  /** The kernel's own sentence (extended ACK); it may come with success too, as a warning. */
  readonly message: string | undefined;
  /** Offset of the offending attribute, from the start of the request's nlmsghdr. */
  readonly attributeOffset: number | undefined;
  /** Number of the attribute that is missing. */
  readonly missingAttribute: number | undefined;
}

/**
 * Body of NLMSG_ERROR (struct nlmsgerr, then attributes when NLM_F_ACK_TLVS is set), or of the NLMSG_DONE that ends a
 * dump: both start with an errno. An unreadable body counts as EPROTO.
 */
export function decodeAcknowledgement(bytes: Buffer, header: MessageHeader): Acknowledgement {
  const code = readI32(bytes, header.bodyStart, header.bodyEnd);
  let message: string | undefined;
  let attributeOffset: number | undefined;
  let missingAttribute: number | undefined;
  if ((header.flags & NLM_F_ACK_TLVS) !== 0) {
    let start = header.bodyStart + 4;
    if (header.type === NLMSG_ERROR) {
      // The request's header follows the errno; its body too, unless the answer is capped or a success.
      const requestLength = readU32(bytes, start, header.bodyEnd) ?? 0;
      const echoed = code !== 0 && (header.flags & NLM_F_CAPPED) === 0;
      start += echoed ? align4(Math.max(requestLength, messageHeaderLength)) : messageHeaderLength;
    }
    visitAttributes(bytes, start, header.bodyEnd, (type, from, to) => {
      if (type === NLMSGERR_ATTR_MSG) message = readString(bytes, from, to);
      else if (type === NLMSGERR_ATTR_OFFS) attributeOffset = readU32(bytes, from, to);
      else if (type === NLMSGERR_ATTR_MISS_TYPE) missingAttribute = readU32(bytes, from, to);
    });
  }
  const errno = code === undefined ? 71 : Math.abs(code);
  return { errno, message, attributeOffset, missingAttribute };
}

/**
 * The way to the attribute at `offset` of the message that starts at `start`: attribute numbers, outermost first, such
 * as `18.2.7`. Follows nested attributes that carry NLA_F_NESTED. Undefined when nothing lies there.
 */
export function locateAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  bodyHeaderLength: number,
  offset: number,
): string | undefined {
  const target = start + offset;
  const path: number[] = [];
  let from = start + messageHeaderLength + align4(bodyHeaderLength);
  let to = end;
  for (let depth = 0; depth < 16; depth += 1) {
    let next: readonly [number, number] | undefined;
    let found = false;
    visitAttributes(bytes, from, to, (type, payloadStart, payloadEnd) => {
      const place = payloadStart - attributeHeaderLength;
      if (target < place || target >= payloadEnd) return;
      path.push(type);
      found = target === place;
      const nested = (bytes.readUInt16LE(place + 2) & NLA_F_NESTED) !== 0;
      if (!found && nested) next = [payloadStart, payloadEnd];
    });
    if (found || next === undefined) break;
    [from, to] = next;
  }
  return path.length === 0 ? undefined : path.join('.');
}
