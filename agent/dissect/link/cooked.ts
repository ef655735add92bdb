/**
 * What captures have instead of a link's header: Linux "cooked" ones (LINKTYPE_LINUX_SLL and _SLL2 of tcpdump.org) and the
 * address family of a loopback (LINKTYPE_NULL, _LOOP).
 */
import type { Protocol } from '../core/dissection.ts';
import {
  hexadecimal,
  ipv4,
  mac,
  meaningsOf,
  octets,
  unsigned,
  type FieldType,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { etherTypes, hardwareTypes } from '../core/numbers.ts';
import { uint16, uint32 } from '../core/octets.ts';

const packetTypes = meaningsOf({
  0: 'to us',
  1: 'broadcast',
  2: 'multicast',
  3: 'to another host',
  4: 'from us',
});

const packetType = unsigned('sll.pkttype', 'Packet type', { meanings: packetTypes });
const hardwareType = unsigned('sll.hatype', 'Hardware type', { meanings: hardwareTypes });
const addressLength = unsigned('sll.halen', 'Address length', { unit: 'bytes' });
const etherAddress = mac('sll.src.eth', 'Source');
const tunnelAddress = ipv4('sll.src.ipv4', 'Source');
const otherAddress = octets('sll.src.other', 'Source');
const unused = octets('sll.unused', 'Unused');
const etherType = hexadecimal('sll.etype', 'Protocol', { meanings: etherTypes });
const linuxType = hexadecimal('sll.ltype', 'Protocol', {
  meanings: meaningsOf({ 1: '802.3 raw', 4: '802.2 LLC', 12: 'CAN' }),
});
const interfaceIndex = unsigned('sll.ifindex', 'Interface index');

/** Types of protocols that Linux has for itself (below the EtherTypes). */
function continueWithType(
  packet: Parameters<Protocol['enter']>[0],
  type: number,
  at: number,
): void {
  packet.continueWith(type === 4 ? 'llc' : 'ether-type', type, at, packet.wireLength);
}

function address(tree: FieldTree, length: number): void {
  const shown = Math.min(length, 8);
  if (shown === 6) tree.mac(etherAddress);
  else if (shown === 4) tree.ipv4(tunnelAddress);
  else tree.octets(otherAddress, shown);
  tree.octets(unused, 8 - shown);
}

function protocolField(tree: FieldTree): void {
  tree.unsigned(tree.peek(2) < 0x0600 ? linuxType : etherType, 2);
}

const common: readonly FieldType[] = [
  packetType,
  hardwareType,
  addressLength,
  etherAddress,
  tunnelAddress,
  otherAddress,
  unused,
  etherType,
  linuxType,
];

export const linuxCooked: Protocol = {
  name: 'sll',
  title: 'Linux cooked',
  minimum: 16,
  fields: common,
  enter(packet, layer) {
    layer.headerEnd = Math.min(layer.end, 16);
    continueWithType(packet, uint16(packet.bytes, 14), 16);
  },
  describe(tree) {
    tree.unsigned(packetType, 2);
    tree.unsigned(hardwareType, 2);
    address(tree, tree.unsigned(addressLength, 2));
    protocolField(tree);
  },
  info: ({ bytes }) => `Type 0x${uint16(bytes, 14).toString(16).padStart(4, '0')}`,
};

export const linuxCooked2: Protocol = {
  name: 'sll',
  title: 'Linux cooked v2',
  minimum: 20,
  fields: [...common, interfaceIndex],
  enter(packet, layer) {
    layer.headerEnd = Math.min(layer.end, 20);
    continueWithType(packet, uint16(packet.bytes, 0), 20);
  },
  describe(tree) {
    protocolField(tree);
    tree.skip(2);
    tree.unsigned(interfaceIndex, 4);
    tree.unsigned(hardwareType, 2);
    tree.unsigned(packetType, 1);
    address(tree, tree.unsigned(addressLength, 1));
  },
  info: ({ bytes }) => `Type 0x${uint16(bytes, 0).toString(16).padStart(4, '0')}`,
};

/** AF_INET is 2 everywhere; AF_INET6 is not (Linux, NetBSD, FreeBSD, Darwin). */
const families = meaningsOf({ 2: 'IPv4', 10: 'IPv6', 24: 'IPv6', 28: 'IPv6', 30: 'IPv6' });
const family = unsigned('null.family', 'Address family', { meanings: families });

/** The family in the order of the machine that captured: of the two readings that is it which is small. */
function isLittleEndian(bytes: Uint8Array): boolean {
  return uint32(bytes, 0) >= 0x10000;
}

export const loopback: Protocol = {
  name: 'null',
  title: 'Loopback',
  minimum: 4,
  fields: [family],
  enter(packet, layer) {
    layer.headerEnd = Math.min(layer.end, 4);
    packet.continueWith('ip-version', 0, 4, packet.wireLength);
  },
  describe(tree) {
    if (tree.has(4) && isLittleEndian(tree.bytes)) tree.littleEndian(family, 4);
    else tree.unsigned(family, 4);
  },
  info: () => 'Loopback',
};
