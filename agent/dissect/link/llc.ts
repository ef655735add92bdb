/** Logical link control (IEEE 802.2) and the protocol identifiers behind it (SNAP, RFC 1042). */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, meaningsOf } from '../core/field.ts';
import { etherTypes } from '../core/numbers.ts';
import { uint16, uint8 } from '../core/octets.ts';

const accessPoints = meaningsOf({
  0x00: 'null',
  0x06: 'IP',
  0x42: 'spanning tree',
  0xaa: 'SNAP',
  0xe0: 'NetWare',
  0xf0: 'NetBIOS',
  0xfe: 'ISO network layer',
  0xff: 'global',
});
const snap = 0xaa;

const destination = hexadecimal('llc.dsap', 'Destination access point', { meanings: accessPoints });
const source = hexadecimal('llc.ssap', 'Source access point', { meanings: accessPoints });
const control = hexadecimal('llc.control', 'Control');
const organization = hexadecimal('llc.oui', 'Organization');
const type = hexadecimal('llc.type', 'Type', { meanings: etherTypes });
const ciscoType = hexadecimal('llc.cisco_pid', 'Protocol', {
  meanings: meaningsOf({ 0x010b: 'spanning tree of a VLAN', 0x2000: 'discovery (CDP)' }),
});
const otherType = hexadecimal('llc.pid', 'Protocol');

const cisco = 0x00000c;

/** Unnumbered frames have a control field of one byte, the others of two. */
function controlLength(first: number): number {
  return (first & 3) === 3 ? 1 : 2;
}

export const logicalLink: Protocol = {
  name: 'llc',
  title: 'LLC',
  minimum: 3,
  fields: [destination, source, control, organization, type, ciscoType, otherType],
  enter(packet, layer) {
    const { bytes } = packet;
    const { start, end } = layer;
    const point = uint8(bytes, start);
    let at = start + 2 + controlLength(uint8(bytes, start + 2));
    if (point === snap && uint8(bytes, start + 1) === snap) {
      at += 5;
      layer.headerEnd = Math.min(end, at);
      if (!layer.has(at - start)) {
        packet.failShort(layer);
        return;
      }
      const organizationCode = (uint8(bytes, at - 5) << 16) | uint16(bytes, at - 4);
      const number = uint16(bytes, at - 2);
      if (organizationCode === 0) packet.continueWith('ether-type', number, at, end);
      else if (organizationCode === cisco && number === 0x010b) {
        packet.continueWith('access-point', 0x42, at, end);
      }
      return;
    }
    layer.headerEnd = Math.min(end, at);
    packet.continueWith('access-point', point, at, end);
  },
  describe(tree) {
    const point = tree.unsigned(destination, 1);
    const other = tree.unsigned(source, 1);
    tree.unsigned(control, controlLength(tree.peek()));
    if (point !== snap || other !== snap) return;
    const code = tree.unsigned(organization, 3);
    tree.unsigned(code === 0 ? type : code === cisco ? ciscoType : otherType, 2);
  },
  info: ({ bytes }, { start }) => {
    const point = uint8(bytes, start);
    return accessPoints.get(point) ?? `Access point 0x${point.toString(16).padStart(2, '0')}`;
  },
};
