/** Generic routing encapsulation (RFC 2784, key and sequence number RFC 2890). */
import type { Protocol } from '../core/dissection.ts';
import { flag, hexadecimal, unsigned } from '../core/field.ts';
import { etherTypes } from '../core/numbers.ts';
import { uint16 } from '../core/octets.ts';

const flags = hexadecimal('gre.flags_and_version', 'Flags and version');
const hasChecksum = flag('gre.flags.checksum', 'Checksum present');
const hasKey = flag('gre.flags.key', 'Key present');
const hasSequence = flag('gre.flags.sequence_number', 'Sequence number present');
const version = unsigned('gre.flags.version', 'Version');
const type = hexadecimal('gre.proto', 'Protocol type', { meanings: etherTypes });
const checksum = hexadecimal('gre.checksum', 'Checksum');
const offset = unsigned('gre.offset', 'Reserved');
const key = hexadecimal('gre.key', 'Key');
const sequence = unsigned('gre.sequence_number', 'Sequence number');

export const genericRouting: Protocol = {
  name: 'gre',
  title: 'GRE',
  minimum: 4,
  fields: [flags, hasChecksum, hasKey, hasSequence, version, type, checksum, offset, key, sequence],
  enter(packet, layer) {
    const { start, end } = layer;
    const word = uint16(packet.bytes, start);
    // Version 1 is of PPTP, and routing is of RFC 1701, which nobody uses.
    if ((word & 0x4007) !== 0) return;
    const size = 4 + ((word & 0x8000) >> 13) + ((word & 0x2000) >> 11) + ((word & 0x1000) >> 10);
    layer.headerEnd = Math.min(end, start + size);
    if (!layer.has(size)) {
      packet.failShort(layer);
      return;
    }
    packet.continueWith('ether-type', uint16(packet.bytes, start + 2), start + size, end);
  },
  describe(tree) {
    const word = tree.word(flags, 2, [
      [hasChecksum, 0x8000],
      [hasKey, 0x2000],
      [hasSequence, 0x1000],
      [version, 0x0007],
    ]);
    tree.unsigned(type, 2);
    if ((word & 0x4007) !== 0) return;
    if ((word & 0x8000) !== 0) {
      tree.unsigned(checksum, 2);
      tree.unsigned(offset, 2);
    }
    if ((word & 0x2000) !== 0) tree.unsigned(key, 4);
    if ((word & 0x1000) !== 0) tree.unsigned(sequence, 4);
  },
  info({ bytes }, { start }) {
    const number = uint16(bytes, start + 2);
    return `Carries ${etherTypes.get(number) ?? `type 0x${number.toString(16).padStart(4, '0')}`}`;
  },
};
