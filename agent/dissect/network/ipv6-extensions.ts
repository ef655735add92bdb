/**
 * Extension headers of IPv6 (RFC 8200, section 4; segment routing: RFC 8754), and those of IPsec, which both versions of IP
 * have (RFC 4302, 4303).
 */
import type { Dissection, Layer, Protocol } from '../core/dissection.ts';
import { flag, group, hexadecimal, ipv6, meaningsOf, octets, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { ipProtocols } from '../core/numbers.ts';
import { uint16, uint8 } from '../core/octets.ts';

/** Next header, and the length in units of eight bytes without the first. */
function enterExtension(packet: Dissection, layer: Layer): void {
  const { start } = layer;
  const size = (uint8(packet.bytes, start + 1) + 1) * 8;
  layer.headerEnd = Math.min(layer.end, start + size);
  if (layer.has(size)) passOn(packet, layer, start + size);
  else packet.failShort(layer);
}

function passOn(packet: Dissection, layer: Layer, at: number): void {
  const next = uint8(packet.bytes, layer.start);
  if (!packet.quoted) packet.ipProtocol = next;
  if (next !== 59) packet.continueWith('ip-protocol', next, at, layer.end);
}

const optionNames = meaningsOf({
  0: 'Pad1',
  1: 'PadN',
  4: 'tunnel encapsulation limit',
  5: 'router alert',
  0x63: 'RPL',
  0xc2: 'jumbo payload',
  0xc9: 'home address',
});
const option = group('ipv6.opt', 'Option');
const optionType = hexadecimal('ipv6.opt.type', 'Type', { meanings: optionNames });
const optionLength = unsigned('ipv6.opt.length', 'Length', { unit: 'bytes' });
const padding = octets('ipv6.opt.padn', 'Padding');
const routerAlert = unsigned('ipv6.opt.router_alert', 'Router alert', {
  meanings: meaningsOf({ 0: 'multicast listener discovery', 1: 'RSVP', 2: 'active network' }),
});
const tunnelLimit = unsigned('ipv6.opt.tel', 'Tunnel encapsulation limit');
const jumboLength = unsigned('ipv6.opt.jumbo', 'Payload length', { unit: 'bytes' });
const homeAddress = ipv6('ipv6.opt.mipv6.home_address', 'Home address');
const unknown = octets('ipv6.opt.unknown', 'Data');
const optionFields = [
  option,
  optionType,
  optionLength,
  padding,
  routerAlert,
  tunnelLimit,
  jumboLength,
  homeAddress,
  unknown,
];

function describeOptions(tree: FieldTree): void {
  while (tree.left > 0) {
    tree.group(option, () => {
      const type = tree.unsigned(optionType, 1);
      tree.name(null, optionNames.get(type) ?? `option 0x${type.toString(16)}`);
      if (type === 0) return;
      const length = tree.unsigned(optionLength, 1);
      tree.within(length, () => {
        if (type === 1) tree.octets(padding, length);
        else if (type === 4 && length === 1) tree.unsigned(tunnelLimit, 1);
        else if (type === 5 && length === 2) tree.unsigned(routerAlert, 2);
        else if (type === 0xc2 && length === 4) tree.unsigned(jumboLength, 4);
        else if (type === 0xc9 && length === 16) tree.ipv6(homeAddress);
        else tree.octets(unknown, length);
      });
    });
  }
}

function optionsHeader(name: 'hopopts' | 'dstopts', title: string): Protocol {
  const next = unsigned(`ipv6.${name}.nxt`, 'Next header', { meanings: ipProtocols });
  const length = unsigned(`ipv6.${name}.len`, 'Length (units of 8 bytes after the first)');
  return {
    name: `ipv6.${name}`,
    title,
    minimum: 2,
    fields: [next, length, ...optionFields],
    enter: enterExtension,
    describe(tree) {
      tree.unsigned(next, 1);
      tree.unsigned(length, 1);
      describeOptions(tree);
    },
    info: () => title,
  };
}

export const hopByHopOptions = optionsHeader('hopopts', 'IPv6 hop-by-hop options');
export const destinationOptions = optionsHeader('dstopts', 'IPv6 destination options');

const routingNames = meaningsOf({
  0: 'source route',
  2: 'type 2 (mobility)',
  3: 'RPL',
  4: 'segment routing',
});
const routingNext = unsigned('ipv6.routing.nxt', 'Next header', { meanings: ipProtocols });
const routingLength = unsigned('ipv6.routing.len', 'Length (units of 8 bytes after the first)');
const routingType = unsigned('ipv6.routing.type', 'Type', { meanings: routingNames });
const segmentsLeft = unsigned('ipv6.routing.segleft', 'Segments left');
const lastEntry = unsigned('ipv6.routing.srh.last_entry', 'Last entry');
const routingFlags = hexadecimal('ipv6.routing.srh.flags', 'Flags');
const tag = octets('ipv6.routing.srh.tag', 'Tag');
const segment = ipv6('ipv6.routing.srh.addr', 'Segment');
const sourceReserved = octets('ipv6.routing.src.reserved', 'Reserved');
const sourceAddress = ipv6('ipv6.routing.src.addr', 'Address');
const routingData = octets('ipv6.routing.unknown_data', 'Data');

export const routingHeader: Protocol = {
  name: 'ipv6.routing',
  title: 'IPv6 routing',
  minimum: 3,
  fields: [
    routingNext,
    routingLength,
    routingType,
    segmentsLeft,
    lastEntry,
    routingFlags,
    tag,
    segment,
    sourceReserved,
    sourceAddress,
    routingData,
  ],
  enter: enterExtension,
  describe(tree) {
    tree.unsigned(routingNext, 1);
    tree.unsigned(routingLength, 1);
    const type = tree.unsigned(routingType, 1);
    tree.unsigned(segmentsLeft, 1);
    if (type === 4) {
      const last = tree.unsigned(lastEntry, 1);
      tree.unsigned(routingFlags, 1);
      tree.octets(tag, 2);
      for (let index = 0; index <= last && tree.left >= 16; index += 1) tree.ipv6(segment);
    } else if (type === 0) {
      tree.octets(sourceReserved, 4);
      while (tree.left >= 16) tree.ipv6(sourceAddress);
    } else {
      tree.octets(routingData, tree.left);
    }
  },
  info: ({ bytes }, { start }) => {
    const type = uint8(bytes, start + 2);
    return `IPv6 routing, ${routingNames.get(type) ?? `type ${String(type)}`}`;
  },
};

const fragmentNext = unsigned('ipv6.fraghdr.nxt', 'Next header', { meanings: ipProtocols });
const fragmentReserved = hexadecimal('ipv6.fraghdr.reserved_octet', 'Reserved');
const fragmentOffset = unsigned('ipv6.fraghdr.offset', 'Offset (units of 8 bytes)');
const reservedBits = unsigned('ipv6.fraghdr.reserved_bits', 'Reserved');
const more = flag('ipv6.fraghdr.more', 'More fragments');
const fragmentId = hexadecimal('ipv6.fraghdr.ident', 'Identification');

export const fragmentHeader: Protocol = {
  name: 'ipv6.fraghdr',
  title: 'IPv6 fragment',
  minimum: 8,
  fields: [fragmentNext, fragmentReserved, fragmentOffset, reservedBits, more, fragmentId],
  enter(packet, layer) {
    const { start } = layer;
    layer.headerEnd = Math.min(layer.end, start + 8);
    layer.note = uint16(packet.bytes, start + 2) & 0xfff8;
    if (!packet.quoted) packet.ipProtocol = uint8(packet.bytes, start);
    if (layer.note === 0) passOn(packet, layer, start + 8);
  },
  describe(tree) {
    tree.unsigned(fragmentNext, 1);
    tree.unsigned(fragmentReserved, 1);
    const at = tree.at;
    if (tree.has(2)) {
      tree.bits(fragmentOffset, at, 2, 0xfff8);
      tree.bits(reservedBits, at, 2, 0x0006);
      tree.bits(more, at, 2, 0x0001);
    }
    tree.skip(2);
    tree.unsigned(fragmentId, 4);
  },
  info({ bytes }, { start, note }) {
    const number = uint8(bytes, start);
    const name = ipProtocols.get(number) ?? `protocol ${String(number)}`;
    return `Fragment of ${name}, offset ${String(note)}`;
  },
};

const ahNext = unsigned('ah.next_header', 'Next header', { meanings: ipProtocols });
const ahLength = unsigned('ah.length', 'Length (units of 4 bytes after the second)');
const ahReserved = octets('ah.reserved', 'Reserved');
const ahIndex = hexadecimal('ah.spi', 'Security parameters index');
const ahSequence = unsigned('ah.sequence', 'Sequence number');
const ahCheck = octets('ah.icv', 'Integrity check value');

export const authenticationHeader: Protocol = {
  name: 'ah',
  title: 'AH',
  minimum: 12,
  fields: [ahNext, ahLength, ahReserved, ahIndex, ahSequence, ahCheck],
  enter(packet, layer) {
    const { start } = layer;
    layer.headerEnd = Math.min(layer.end, start + 12);
    const size = (uint8(packet.bytes, start + 1) + 2) * 4;
    if (size < 12) {
      packet.fail('malformed', start + 1);
      return;
    }
    layer.headerEnd = Math.min(layer.end, start + size);
    if (layer.has(size)) passOn(packet, layer, start + size);
    else packet.failShort(layer);
  },
  describe(tree) {
    tree.unsigned(ahNext, 1);
    tree.unsigned(ahLength, 1);
    tree.octets(ahReserved, 2);
    tree.unsigned(ahIndex, 4);
    tree.unsigned(ahSequence, 4);
    tree.octets(ahCheck, tree.left);
  },
  info: () => 'Authenticated',
};

const espIndex = hexadecimal('esp.spi', 'Security parameters index');
const espSequence = unsigned('esp.sequence', 'Sequence number');

export const encapsulatingSecurity: Protocol = {
  name: 'esp',
  title: 'ESP',
  minimum: 8,
  fields: [espIndex, espSequence],
  enter: () => undefined,
  describe(tree) {
    tree.unsigned(espIndex, 4);
    tree.unsigned(espSequence, 4);
  },
  info: () => 'Encrypted',
};
