/** Internet Protocol, version 4 (RFC 791), with its options. */
import type { Protocol } from '../core/dissection.ts';
import { flag, group, hexadecimal, ipv4, meaningsOf, octets, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { codepoints, congestion, ipProtocols } from '../core/numbers.ts';
import { uint16, uint8 } from '../core/octets.ts';

const version = unsigned('ip.version', 'Version');
const headerLength = unsigned('ip.hdr_len', 'Header length', { unit: 'bytes' });
const services = hexadecimal('ip.dsfield', 'Differentiated services');
const codepoint = unsigned('ip.dsfield.dscp', 'Codepoint', { meanings: codepoints });
const ecn = unsigned('ip.dsfield.ecn', 'Congestion notification', { meanings: congestion });
const totalLength = unsigned('ip.len', 'Total length', { unit: 'bytes' });
const identification = hexadecimal('ip.id', 'Identification');
const flags = hexadecimal('ip.flags', 'Flags');
const reserved = flag('ip.flags.rb', 'Reserved');
const dontFragment = flag('ip.flags.df', 'Do not fragment');
const moreFragments = flag('ip.flags.mf', 'More fragments');
const fragmentOffset = unsigned('ip.frag_offset', 'Fragment offset (units of 8 bytes)');
const timeToLive = unsigned('ip.ttl', 'Time to live', { unit: 'hops' });
const protocol = unsigned('ip.proto', 'Protocol', { meanings: ipProtocols });
const checksum = hexadecimal('ip.checksum', 'Header checksum');
const source = ipv4('ip.src', 'Source');
const destination = ipv4('ip.dst', 'Destination');

const optionNames = meaningsOf({
  0: 'end of options',
  1: 'no operation',
  7: 'record route',
  68: 'timestamp',
  130: 'security',
  131: 'loose source route',
  136: 'stream identifier',
  137: 'strict source route',
  148: 'router alert',
});
const options = group('ip.options', 'Options');
const option = group('ip.opt', 'Option');
const optionType = unsigned('ip.opt.type', 'Type', { meanings: optionNames });
const optionLength = unsigned('ip.opt.len', 'Length', { unit: 'bytes' });
const optionPointer = unsigned('ip.opt.ptr', 'Pointer');
const recordedRoute = ipv4('ip.rec_rt', 'Recorded address');
const currentRoute = ipv4('ip.cur_rt', 'Next address');
const sourceRoute = ipv4('ip.src_rt', 'Address to come');
const emptyRoute = ipv4('ip.empty_rt', 'Free place');
const routerAlert = unsigned('ip.opt.ra', 'Router alert');
const optionData = octets('ip.opt.data', 'Data');

/** Options that hold a pointer and addresses (RFC 791, 3.1). */
const routes: ReadonlySet<number> = new Set([7, 131, 137]);

function describeOptions(tree: FieldTree): void {
  tree.group(options, () => {
    while (tree.left > 0) {
      tree.group(option, () => {
        const type = tree.unsigned(optionType, 1);
        tree.name(null, optionNames.get(type) ?? `option ${String(type)}`);
        if (type <= 1) {
          // After the end there is only filling.
          if (type === 0) tree.skip(tree.left);
          return;
        }
        const length = tree.unsigned(optionLength, 1);
        if (tree.failed) return;
        if (length < 2) {
          tree.malformed(tree.at - 1);
          return;
        }
        tree.within(length - 2, () => {
          if (routes.has(type)) {
            // Counts from 1 at the option's first byte.
            const pointer = tree.at - 2 + tree.unsigned(optionPointer, 1) - 1;
            while (tree.left >= 4) {
              if (tree.at < pointer) tree.ipv4(recordedRoute);
              else if (type === 7) tree.ipv4(emptyRoute);
              else tree.ipv4(tree.at === pointer ? currentRoute : sourceRoute);
            }
            tree.octets(optionData, tree.left);
          } else if (type === 148 && length === 4) {
            tree.unsigned(routerAlert, 2);
          } else {
            tree.octets(optionData, tree.left);
          }
        });
      });
    }
  });
}

export const internetProtocol4: Protocol = {
  name: 'ip',
  title: 'IPv4',
  minimum: 20,
  fields: [
    version,
    headerLength,
    services,
    codepoint,
    ecn,
    totalLength,
    identification,
    flags,
    reserved,
    dontFragment,
    moreFragments,
    fragmentOffset,
    timeToLive,
    protocol,
    checksum,
    source,
    destination,
    options,
    option,
    optionType,
    optionLength,
    optionPointer,
    recordedRoute,
    currentRoute,
    sourceRoute,
    emptyRoute,
    routerAlert,
    optionData,
  ],
  enter(packet, layer) {
    const { bytes, quoted } = packet;
    const { start } = layer;
    layer.headerEnd = Math.min(layer.end, start + 20);
    const size = (uint8(bytes, start) & 0xf) * 4;
    const total = uint16(bytes, start + 2);
    if (uint8(bytes, start) >> 4 !== 4 || size < 20) {
      packet.fail('malformed', start);
      return;
    }
    layer.headerEnd = Math.min(layer.end, start + size);
    // 0 where the card is to cut it into segments, and what was captured is the whole.
    const end = total === 0 ? layer.end : start + total;
    if (end > layer.end && !quoted) packet.fail('malformed', start + 2);
    if (end < start + size) {
      packet.fail('malformed', start + 2);
      return;
    }
    layer.end = Math.min(layer.end, end);
    if (!layer.has(size)) {
      packet.failShort(layer);
      return;
    }
    const next = uint8(bytes, start + 9);
    if (!quoted) {
      packet.networkAt = start + 12;
      packet.networkLength = 4;
      packet.ipProtocol = next;
      packet.sourcePort = packet.destinationPort = -1;
      if (packet.paddingAt < 0) packet.paddingAt = layer.end;
    }
    const fragment = uint16(bytes, start + 6) & 0x1fff;
    layer.note = fragment;
    if (fragment === 0) packet.continueWith('ip-protocol', next, start + size, layer.end);
  },
  describe(tree) {
    const start = tree.at;
    if (tree.has(1)) {
      tree.bits(version, start, 1, 0xf0);
      tree.add(headerLength, start, 1, (tree.peek() & 0xf) * 4, null, 0xf);
    }
    tree.skip(1);
    tree.word(services, 1, [
      [codepoint, 0xfc],
      [ecn, 0x03],
    ]);
    tree.unsigned(totalLength, 2);
    tree.unsigned(identification, 2);
    const fragment = tree.peek(2);
    if (tree.has(1)) {
      const at = tree.at;
      tree.group(
        flags,
        () => {
          tree.bits(reserved, at, 1, 0x80);
          tree.bits(dontFragment, at, 1, 0x40);
          tree.bits(moreFragments, at, 1, 0x20);
          tree.skip(1);
        },
        tree.peek() >> 5,
      );
      if (tree.has(1)) tree.add(fragmentOffset, at, 2, fragment & 0x1fff, null, 0x1fff);
    }
    tree.skip(1);
    tree.unsigned(timeToLive, 1);
    tree.unsigned(protocol, 1);
    tree.unsigned(checksum, 2);
    tree.ipv4(source);
    tree.ipv4(destination);
    if (tree.left > 0) describeOptions(tree);
  },
  info({ bytes }, { start, note }) {
    const number = uint8(bytes, start + 9);
    const name = ipProtocols.get(number) ?? `protocol ${String(number)}`;
    if (note === 0) return name;
    const id = uint16(bytes, start + 4)
      .toString(16)
      .padStart(4, '0');
    return `Fragment of ${name}, id 0x${id}, offset ${String(note * 8)}`;
  },
};
