/** Ethernet II and IEEE 802.3 frames, and the tags of IEEE 802.1Q and 802.1ad. */
import type { Protocol } from '../core/dissection.ts';
import { flag, hexadecimal, mac, octets, unsigned } from '../core/field.ts';
import { etherTypes } from '../core/numbers.ts';
import { uint16 } from '../core/octets.ts';

/** Below it the number is a length (IEEE 802.3, 3.2.6). */
export const firstEtherType = 0x0600;

const destination = mac('eth.dst', 'Destination');
const source = mac('eth.src', 'Source');
const type = hexadecimal('eth.type', 'Type', { meanings: etherTypes });
const length = unsigned('eth.len', 'Length', { unit: 'bytes' });
const padding = octets('eth.padding', 'Padding');

export const ethernet: Protocol = {
  name: 'eth',
  title: 'Ethernet',
  minimum: 14,
  fields: [destination, source, type, length, padding],
  enter(packet, layer) {
    layer.headerEnd = Math.min(layer.end, layer.start + 14);
    const { start, end } = layer;
    if (!packet.quoted) {
      packet.linkAt = start;
      packet.networkAt = -1;
    }
    const number = uint16(packet.bytes, start + 12);
    if (number >= firstEtherType) packet.continueWith('ether-type', number, start + 14, end);
    else packet.continueWith('llc', 0, start + 14, Math.min(end, start + 14 + number));
    if (number < firstEtherType && number > 0) packet.paddingAt = start + 14 + number;
  },
  describe(tree, layer, packet) {
    tree.mac(destination);
    tree.mac(source);
    if (tree.peek(2) >= firstEtherType) tree.unsigned(type, 2);
    else tree.unsigned(length, 2);
    const { paddingAt, bytes } = packet;
    // Of the outermost frame only: those within are not filled up.
    if (layer !== packet.layers[0] || paddingAt < 0 || paddingAt >= bytes.length) return;
    tree.goTo(paddingAt, packet.wireLength);
    tree.octets(padding, tree.left);
  },
  info: ({ bytes }, { start }) => {
    const number = uint16(bytes, start + 12);
    if (number < firstEtherType) return `IEEE 802.3, ${String(number)} bytes`;
    return `Type 0x${number.toString(16).padStart(4, '0')} ${etherTypes.get(number) ?? ''}`.trim();
  },
};

/** A tag: customers' and services' ones have names of their own. */
function tagOf(name: 'vlan' | 'ieee8021ad', title: string): Protocol {
  const priority = unsigned(`${name}.priority`, 'Priority');
  const dropEligible = flag(`${name}.dei`, 'Drop eligible');
  const id = unsigned(`${name}.id`, 'VLAN');
  const innerType = hexadecimal(`${name}.etype`, 'Type', { meanings: etherTypes });
  const innerLength = unsigned(`${name}.len`, 'Length', { unit: 'bytes' });
  return {
    name,
    title,
    minimum: 4,
    fields: [priority, dropEligible, id, innerType, innerLength],
    enter(packet, layer) {
      layer.headerEnd = Math.min(layer.end, layer.start + 4);
      const { start, end } = layer;
      const number = uint16(packet.bytes, start + 2);
      if (number >= firstEtherType) packet.continueWith('ether-type', number, start + 4, end);
      else packet.continueWith('llc', 0, start + 4, Math.min(end, start + 4 + number));
      if (number < firstEtherType && number > 0) packet.paddingAt = start + 4 + number;
    },
    describe(tree) {
      const at = tree.at;
      if (name === 'vlan') {
        tree.bits(priority, at, 2, 0xe000);
        tree.bits(dropEligible, at, 2, 0x1000);
      } else {
        tree.bits(priority, at, 1, 0xe0);
        tree.bits(dropEligible, at, 1, 0x10);
      }
      tree.bits(id, at, 2, 0x0fff);
      tree.skip(2);
      if (tree.peek(2) >= firstEtherType) tree.unsigned(innerType, 2);
      else tree.unsigned(innerLength, 2);
    },
    info: ({ bytes }, { start }) => `VLAN ${String(uint16(bytes, start) & 0xfff)}`,
  };
}

export const vlanTag = tagOf('vlan', '802.1Q');
export const serviceTag = tagOf('ieee8021ad', '802.1ad');
