/**
 * Packets in a block of a ring of packet(7), version TPACKET_V3. Pure. Sources: include/uapi/linux/if_packet.h (struct
 * tpacket_block_desc, tpacket3_hdr, sockaddr_ll), include/uapi/linux/virtio_net.h, tpacket_rcv of net/packet/af_packet.c.
 */
import type { CapturedPacket, CaptureInterface } from '../dissect/capture/captured-packet.ts';
import type { PacketDirection } from '../dissect/capture/capture-writer.ts';

/** A packet as an interface of the machine saw it. Its `number` counts in the ring, and its `offset` is 0. */
export interface LivePacket extends CapturedPacket {
  /** Index of the interface in its namespace. */
  readonly interfaceIndex: number;
  readonly direction: PacketDirection;
  /** The card, or nobody, fills in the checksum of the transport: what the packet has for one is not wrong. */
  readonly isChecksumPending: boolean;
  /** Bytes of payload in each segment that the card is to cut this into, or was joined from; null for a packet as it is. */
  readonly segmentSize: number | null;
}

/** struct tpacket_block_desc up to the times: version, offset of private data, then struct tpacket_hdr_v1. */
export const blockHeaderLength = 48;
export const blockStatusAt = 8;
const packetCountAt = 12;
const firstPacketAt = 16;
export const blockLengthAt = 20;

/** struct tpacket3_hdr, then struct sockaddr_ll. */
const packetHeaderLength = 48;
const addressLength = 20;
/** struct virtio_net_hdr, right before the frame. */
export const offloadHeaderLength = 10;

export const TP_STATUS_USER = 1;
const TP_STATUS_CSUMNOTREADY = 1 << 3;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const PACKET_OUTGOING = 4;
const VIRTIO_NET_HDR_GSO_NONE = 0;

const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;
const LINKTYPE_ETHERNET = 1;
const LINKTYPE_RAW = 101;
/** Both addresses of Ethernet, behind which a tag stands. */
const cardAddresses = 12;
const etherTypeOfTags = 0x8100;

/** By ARPHRD_*: tunnels and tun devices have packets of IP alone, whatever their own headers look like. */
export function linkTypeOf(hardware: number): number {
  const isEthernet = hardware === ARPHRD_ETHER || hardware === ARPHRD_LOOPBACK;
  return isEthernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
}

export interface BlockReading {
  /** Number of the first packet. */
  readonly number: number;
  /** Whether a struct virtio_net_hdr is before each frame. */
  readonly hasOffloadHeader: boolean;
  readonly interfaceOf: (index: number, linkType: number) => CaptureInterface;
}

/**
 * Calls `take` for each packet of a block, which has been copied: tags that the kernel has taken out are put back in place, and
 * packets are views of the block. Returns how many there were. What does not fit into the block ends it.
 */
export function visitPackets(
  block: Buffer,
  { number, hasOffloadHeader, interfaceOf }: BlockReading,
  take: (packet: LivePacket) => void,
): number {
  if (block.length < blockHeaderLength) return 0;
  const count = block.readUInt32LE(packetCountAt);
  let at = block.readUInt32LE(firstPacketAt);
  let taken = 0;
  while (taken < count) {
    const data = at + packetHeaderLength + addressLength;
    if (data > block.length) break;
    const captured = block.readUInt32LE(at + 12);
    const status = block.readUInt32LE(at + 20);
    const mac = at + block.readUInt16LE(at + 24);
    const network = at + block.readUInt16LE(at + 26);
    if (mac < data || network < mac || mac + captured > block.length) break;
    const index = block.readInt32LE(at + packetHeaderLength + 4);
    const linkType = linkTypeOf(block.readUInt16LE(at + packetHeaderLength + 8));
    // Of tunnels the header that the kernel has for them is left out.
    const isEthernet = linkType === LINKTYPE_ETHERNET;
    const left = isEthernet ? 0 : Math.min(captured, network - mac);
    const tag = isEthernet && (status & TP_STATUS_VLAN_VALID) !== 0 ? 4 : 0;
    const segmentSize = hasOffloadHeader ? segmentSizeAt(block, mac - offloadHeaderLength) : null;
    const start = mac + left - tag;
    if (tag > 0) restoreTag(block, at, start, status, captured);
    taken += 1;
    take({
      number: number + taken - 1,
      offset: 0,
      time: { seconds: block.readUInt32LE(at + 4), nanoseconds: block.readUInt32LE(at + 8) },
      interface: interfaceOf(index, linkType),
      interfaceIndex: index,
      // No Buffer, whose slices are no copies.
      bytes: new Uint8Array(block.buffer, block.byteOffset + start, mac + captured - start),
      wireLength: block.readUInt32LE(at + 16) - left + tag,
      direction: block[at + packetHeaderLength + 10] === PACKET_OUTGOING ? 'sent' : 'received',
      isChecksumPending: (status & TP_STATUS_CSUMNOTREADY) !== 0,
      segmentSize,
    });
    const next = block.readUInt32LE(at);
    // The last one has 0.
    if (next < packetHeaderLength) break;
    at += next;
  }
  return taken;
}

/** The addresses move four bytes ahead, into room that the kernel leaves before each frame. */
function restoreTag(
  block: Buffer,
  at: number,
  start: number,
  status: number,
  captured: number,
): void {
  const hasType = (status & TP_STATUS_VLAN_TPID_VALID) !== 0;
  block.copyWithin(start, start + 4, start + 4 + Math.min(captured, cardAddresses));
  if (captured < cardAddresses) return;
  block.writeUInt16BE(hasType ? block.readUInt16LE(at + 36) : etherTypeOfTags, start + 12);
  block.writeUInt16BE(block.readUInt32LE(at + 32) & 0xffff, start + 14);
}

function segmentSizeAt(block: Buffer, at: number): number | null {
  return block[at + 1] === VIRTIO_NET_HDR_GSO_NONE ? null : block.readUInt16LE(at + 4);
}
