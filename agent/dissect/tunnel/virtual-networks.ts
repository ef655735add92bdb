/** VXLAN (RFC 7348) and Geneve (RFC 8926): frames of a virtual network in datagrams. */
import type { Protocol } from '../core/dissection.ts';
import { flag, group, hexadecimal, octets, unsigned } from '../core/field.ts';
import { etherTypes } from '../core/numbers.ts';
import { uint16, uint32, uint8 } from '../core/octets.ts';

const vxlanFlags = hexadecimal('vxlan.flags', 'Flags');
const hasPolicy = flag('vxlan.flag_g', 'Group policy');
const hasNetwork = flag('vxlan.flag_i', 'Network present');
const dontLearn = flag('vxlan.flag_d', 'Do not learn');
const applied = flag('vxlan.flag_a', 'Policy applied');
const policy = unsigned('vxlan.gbp', 'Policy');
const vxlanNetwork = unsigned('vxlan.vni', 'Network');
const vxlanReserved = unsigned('vxlan.reserved8', 'Reserved');

export const vxlan: Protocol = {
  name: 'vxlan',
  title: 'VXLAN',
  minimum: 8,
  fields: [
    vxlanFlags,
    hasPolicy,
    hasNetwork,
    dontLearn,
    applied,
    policy,
    vxlanNetwork,
    vxlanReserved,
  ],
  enter(packet, layer) {
    layer.headerEnd = layer.start + 8;
    packet.continueWith('ether-type', 0x6558, layer.start + 8, layer.end);
  },
  describe(tree) {
    tree.word(vxlanFlags, 2, [
      [hasPolicy, 0x8000],
      [hasNetwork, 0x0800],
      [dontLearn, 0x0040],
      [applied, 0x0008],
    ]);
    tree.unsigned(policy, 2);
    tree.unsigned(vxlanNetwork, 3);
    tree.unsigned(vxlanReserved, 1);
  },
  info: ({ bytes }, { start }) => `Network ${String(uint32(bytes, start + 4) >>> 8)}`,
};

const version = unsigned('geneve.version', 'Version');
const flags = hexadecimal('geneve.flags', 'Flags');
const isControl = flag('geneve.flags.oam', 'Control packet');
const isCritical = flag('geneve.flags.critical', 'Critical options');
const type = hexadecimal('geneve.proto_type', 'Protocol type', { meanings: etherTypes });
const network = unsigned('geneve.vni', 'Network');
const option = group('geneve.tlv', 'Option');
const optionClass = hexadecimal('geneve.option.class', 'Class');
const optionType = hexadecimal('geneve.option.type', 'Type');
const optionCritical = flag('geneve.option.type.critical', 'Critical');
const optionLength = unsigned('geneve.option.length', 'Length', { unit: 'bytes' });
const optionData = octets('geneve.option.unknown.data', 'Data');

export const geneve: Protocol = {
  name: 'geneve',
  title: 'Geneve',
  minimum: 8,
  fields: [
    version,
    flags,
    isControl,
    isCritical,
    type,
    network,
    option,
    optionClass,
    optionType,
    optionCritical,
    optionLength,
    optionData,
  ],
  enter(packet, layer) {
    const { start, end } = layer;
    const size = 8 + (uint8(packet.bytes, start) & 0x3f) * 4;
    layer.headerEnd = Math.min(end, start + size);
    if (!layer.has(size)) packet.failShort(layer);
    else packet.continueWith('ether-type', uint16(packet.bytes, start + 2), start + size, end);
  },
  describe(tree) {
    tree.bits(version, tree.at, 1, 0xc0);
    tree.skip(1);
    tree.word(flags, 1, [
      [isControl, 0x80],
      [isCritical, 0x40],
    ]);
    tree.unsigned(type, 2);
    tree.unsigned(network, 3);
    tree.skip(1);
    while (tree.left >= 4) {
      tree.group(option, () => {
        tree.unsigned(optionClass, 2);
        tree.word(optionType, 1, [[optionCritical, 0x80]]);
        const at = tree.at;
        const length = (tree.peek() & 0x1f) * 4;
        if (tree.has(1)) tree.add(optionLength, at, 1, length + 4, null, 0x1f);
        tree.skip(1);
        tree.within(length, () => {
          tree.octets(optionData, length);
        });
      });
    }
  },
  info: ({ bytes }, { start }) => `Network ${String(uint32(bytes, start + 4) >>> 8)}`,
};
