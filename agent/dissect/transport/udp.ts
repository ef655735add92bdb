/** User datagrams (RFC 768). */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, unsigned } from '../core/field.ts';
import { uint16 } from '../core/octets.ts';

const sourcePort = unsigned('udp.srcport', 'Source port');
const destinationPort = unsigned('udp.dstport', 'Destination port');
const length = unsigned('udp.length', 'Length', { unit: 'bytes' });
const checksum = hexadecimal('udp.checksum', 'Checksum');

export const userDatagram: Protocol = {
  name: 'udp',
  title: 'UDP',
  minimum: 8,
  fields: [sourcePort, destinationPort, length, checksum],
  enter(packet, layer) {
    const { start } = layer;
    layer.headerEnd = Math.min(layer.end, start + 8);
    const { bytes } = packet;
    const source = uint16(bytes, start);
    const destination = uint16(bytes, start + 2);
    const size = uint16(bytes, start + 4);
    if (!packet.quoted) {
      packet.sourcePort = source;
      packet.destinationPort = destination;
    }
    // 0 in a jumbogram (RFC 2675, 4).
    if ((size < 8 && size !== 0) || (start + size > layer.end && !packet.quoted)) {
      packet.fail('malformed', start + 4);
      if (size < 8) return;
    }
    if (size !== 0) layer.end = Math.min(layer.end, start + size);
    const ports = source * 0x10000 + destination;
    if (layer.end > layer.headerEnd) packet.continueWith('udp', ports, start + 8, layer.end);
  },
  describe(tree) {
    tree.unsigned(sourcePort, 2);
    tree.unsigned(destinationPort, 2);
    tree.unsigned(length, 2);
    tree.unsigned(checksum, 2);
  },
  info({ bytes }, { start, headerEnd, end }) {
    return `${String(uint16(bytes, start))} → ${String(uint16(bytes, start + 2))}, ${String(
      end - headerEnd,
    )} bytes`;
  },
};
