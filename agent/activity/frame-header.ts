/** The beginning of an Ethernet frame, as far as flows are told apart: what a sample of sFlow carries. */
import { addressText, ByteReader, macText } from './byte-reader.ts';

export interface FrameHeader {
  readonly sourceMac: string | null;
  readonly destinationMac: string | null;
  /** Of the outermost tag. */
  readonly vlan: number | null;
  /** Below all tags. */
  readonly etherType: number | null;
  readonly source: string | null;
  readonly destination: string | null;
  readonly ipProtocol: number | null;
  readonly typeOfService: number | null;
  readonly sourcePort: number | null;
  readonly destinationPort: number | null;
  readonly tcpFlags: number | null;
}

const nothing: FrameHeader = {
  sourceMac: null,
  destinationMac: null,
  vlan: null,
  etherType: null,
  source: null,
  destination: null,
  ipProtocol: null,
  typeOfService: null,
  sourcePort: null,
  destinationPort: null,
  tcpFlags: null,
};

/** 802.1Q, 802.1ad, and the number that was used for the latter before. */
const tagTypes: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100]);
const tagsAtMost = 4;

/** IPv6 headers that stand before the transport's and begin with a next header and a length in units of 8 bytes. */
const extensionHeaders: ReadonlySet<number> = new Set([0, 43, 60]);
const fragmentHeader = 44;
const extensionsAtMost = 8;

/** Never throws; what is cut off is null. */
export function readFrameHeader(bytes: Uint8Array): FrameHeader {
  const reader = new ByteReader(bytes);
  if (!reader.has(14)) return nothing;
  const destinationMac = macText(reader.slice(6));
  const sourceMac = macText(reader.slice(6));
  let etherType = reader.uint16();
  let vlan: number | null = null;
  for (let tags = 0; tags < tagsAtMost && tagTypes.has(etherType) && reader.has(4); tags += 1) {
    const control = reader.uint16();
    vlan ??= control & 0xfff;
    etherType = reader.uint16();
  }
  const ethernet = { ...nothing, sourceMac, destinationMac, vlan, etherType };
  if (etherType === 0x0800) return { ...ethernet, ...readIpv4(reader) };
  if (etherType === 0x86dd) return { ...ethernet, ...readIpv6(reader) };
  return ethernet;
}

/** As `readFrameHeader` for a packet without a frame. */
export function readPacketHeader(bytes: Uint8Array): FrameHeader {
  const version = (bytes[0] ?? 0) >> 4;
  const reader = new ByteReader(bytes);
  if (version === 4) return { ...nothing, etherType: 0x0800, ...readIpv4(reader) };
  if (version === 6) return { ...nothing, etherType: 0x86dd, ...readIpv6(reader) };
  return nothing;
}

/** RFC 791. */
function readIpv4(reader: ByteReader): Partial<FrameHeader> {
  const start = reader.at;
  if (!reader.has(20)) return {};
  const length = (reader.uint8() & 0xf) * 4;
  const typeOfService = reader.uint8();
  reader.skip(4);
  const fragment = reader.uint16() & 0x1fff;
  reader.skip(1);
  const ipProtocol = reader.uint8();
  reader.skip(2);
  const source = addressText(reader.slice(4));
  const destination = addressText(reader.slice(4));
  const addresses = { source, destination, ipProtocol, typeOfService };
  if (length < 20 || fragment !== 0) return addresses;
  const transport = new ByteReader(reader.bytes, start + length, reader.end);
  return { ...addresses, ...readTransport(transport, ipProtocol) };
}

/** RFC 8200. */
function readIpv6(reader: ByteReader): Partial<FrameHeader> {
  if (!reader.has(40)) return {};
  const typeOfService = (reader.uint32() >>> 20) & 0xff;
  reader.skip(2);
  let next = reader.uint8();
  reader.skip(1);
  const source = addressText(reader.slice(16));
  const destination = addressText(reader.slice(16));
  let later = false;
  for (let count = 0; count < extensionsAtMost && reader.has(8); count += 1) {
    if (next === fragmentHeader) {
      next = reader.uint8();
      reader.skip(1);
      later = reader.uint16() >= 8;
      reader.skip(4);
    } else if (extensionHeaders.has(next)) {
      next = reader.uint8();
      const length = reader.uint8();
      reader.skip(6 + length * 8);
    } else break;
  }
  const addresses = { source, destination, ipProtocol: next, typeOfService };
  return later ? addresses : { ...addresses, ...readTransport(reader, next) };
}

/** TCP, UDP, SCTP and DCCP begin with their ports. */
function readTransport(reader: ByteReader, protocol: number): Partial<FrameHeader> {
  if (![6, 17, 33, 132].includes(protocol) || !reader.has(4)) return {};
  const sourcePort = reader.uint16();
  const destinationPort = reader.uint16();
  if (protocol !== 6 || !reader.has(10)) return { sourcePort, destinationPort };
  reader.skip(9);
  return { sourcePort, destinationPort, tcpFlags: reader.uint8() };
}
