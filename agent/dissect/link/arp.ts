/** Address resolution (RFC 826), also the reverse one (RFC 903). */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, ipv4, mac, meaningsOf, octets, unsigned } from '../core/field.ts';
import { etherTypes, hardwareTypes } from '../core/numbers.ts';
import { ipv4Text, macText, uint16, uint8 } from '../core/octets.ts';

const opcodes = meaningsOf({
  1: 'request',
  2: 'reply',
  3: 'reverse request',
  4: 'reverse reply',
  8: 'inverse request',
  9: 'inverse reply',
});

const hardwareType = unsigned('arp.hw.type', 'Hardware type', { meanings: hardwareTypes });
const protocolType = hexadecimal('arp.proto.type', 'Protocol type', { meanings: etherTypes });
const hardwareSize = unsigned('arp.hw.size', 'Hardware size', { unit: 'bytes' });
const protocolSize = unsigned('arp.proto.size', 'Protocol size', { unit: 'bytes' });
const opcode = unsigned('arp.opcode', 'Operation', { meanings: opcodes });
const senderMac = mac('arp.src.hw_mac', 'Sender MAC address');
const senderHardware = octets('arp.src.hw', 'Sender hardware address');
const senderIpv4 = ipv4('arp.src.proto_ipv4', 'Sender IPv4 address');
const senderProtocol = octets('arp.src.proto', 'Sender protocol address');
const targetMac = mac('arp.dst.hw_mac', 'Target MAC address');
const targetHardware = octets('arp.dst.hw', 'Target hardware address');
const targetIpv4 = ipv4('arp.dst.proto_ipv4', 'Target IPv4 address');
const targetProtocol = octets('arp.dst.proto', 'Target protocol address');

/** Ethernet or IEEE 802 with IPv4, of 6 and 4 bytes. */
function isUsual(bytes: Uint8Array, at: number): boolean {
  const hardware = uint16(bytes, at);
  const sizes = uint16(bytes, at + 4);
  return (hardware === 1 || hardware === 6) && uint16(bytes, at + 2) === 0x0800 && sizes === 0x0604;
}

export const arp: Protocol = {
  name: 'arp',
  title: 'ARP',
  minimum: 8,
  fields: [
    hardwareType,
    protocolType,
    hardwareSize,
    protocolSize,
    opcode,
    senderMac,
    senderHardware,
    senderIpv4,
    senderProtocol,
    targetMac,
    targetHardware,
    targetIpv4,
    targetProtocol,
  ],
  enter(packet, layer) {
    const { bytes } = packet;
    const { start } = layer;
    const sizes = 2 * (uint8(bytes, start + 4) + uint8(bytes, start + 5));
    layer.headerEnd = Math.min(layer.end, start + 8 + sizes);
    if (!layer.has(8 + sizes)) packet.failShort(layer);
    // What is left only fills the frame up.
    layer.end = layer.headerEnd;
    if (packet.paddingAt < 0) packet.paddingAt = layer.headerEnd;
  },
  describe(tree) {
    tree.unsigned(hardwareType, 2);
    tree.unsigned(protocolType, 2);
    const hardwareLength = tree.unsigned(hardwareSize, 1);
    const protocolLength = tree.unsigned(protocolSize, 1);
    const usual = !tree.failed && isUsual(tree.bytes, tree.at - 6);
    tree.unsigned(opcode, 2);
    if (usual) {
      tree.mac(senderMac);
      tree.ipv4(senderIpv4);
      tree.mac(targetMac);
      tree.ipv4(targetIpv4);
      return;
    }
    tree.octets(senderHardware, hardwareLength);
    tree.octets(senderProtocol, protocolLength);
    tree.octets(targetHardware, hardwareLength);
    tree.octets(targetProtocol, protocolLength);
  },
  info({ bytes }, layer) {
    const { start } = layer;
    const operation = uint16(bytes, start + 6);
    const name = opcodes.get(operation) ?? `operation ${String(operation)}`;
    if (!layer.has(28) || !isUsual(bytes, start)) return `ARP ${name}`;
    const sender = ipv4Text(bytes, start + 14);
    const target = ipv4Text(bytes, start + 24);
    if (operation === 1) {
      return sender === target ? `Announcement of ${sender}` : `Who has ${target}? Tell ${sender}`;
    }
    if (operation === 2) return `${sender} is at ${macText(bytes, start + 8)}`;
    return `ARP ${name} ${sender} → ${target}`;
  },
};
