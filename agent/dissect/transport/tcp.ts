/** Segments of TCP (RFC 9293), with its options (RFC 7323, 2018, 7413, 2385, 5925). */
import type { Protocol } from '../core/dissection.ts';
import { flag, group, hexadecimal, meaningsOf, octets, unsigned } from '../core/field.ts';
import type { BitFields, FieldTree } from '../core/field-tree.ts';
import { uint16, uint32, uint8 } from '../core/octets.ts';

const sourcePort = unsigned('tcp.srcport', 'Source port');
const destinationPort = unsigned('tcp.dstport', 'Destination port');
const sequence = unsigned('tcp.seq_raw', 'Sequence number');
const acknowledgement = unsigned('tcp.ack_raw', 'Acknowledgement number');
const headerLength = unsigned('tcp.hdr_len', 'Header length', { unit: 'bytes' });
const flags = hexadecimal('tcp.flags', 'Flags');
const reserved = flag('tcp.flags.res', 'Reserved');
const flagBits: BitFields = [
  [reserved, 0xe00],
  [flag('tcp.flags.ae', 'Accurate congestion notification'), 0x100],
  [flag('tcp.flags.cwr', 'Congestion window reduced'), 0x080],
  [flag('tcp.flags.ece', 'Congestion echo'), 0x040],
  [flag('tcp.flags.urg', 'Urgent'), 0x020],
  [flag('tcp.flags.ack', 'Acknowledgement'), 0x010],
  [flag('tcp.flags.push', 'Push'), 0x008],
  [flag('tcp.flags.reset', 'Reset'), 0x004],
  [flag('tcp.flags.syn', 'Synchronize'), 0x002],
  [flag('tcp.flags.fin', 'Finish'), 0x001],
];
const windowSize = unsigned('tcp.window_size_value', 'Window');
const checksum = hexadecimal('tcp.checksum', 'Checksum');
const urgentPointer = unsigned('tcp.urgent_pointer', 'Urgent pointer');

const optionNames = meaningsOf({
  0: 'end of options',
  1: 'no operation',
  2: 'maximum segment size',
  3: 'window scale',
  4: 'selective acknowledgement permitted',
  5: 'selective acknowledgement',
  8: 'timestamps',
  19: 'MD5 signature',
  28: 'user timeout',
  29: 'authentication',
  30: 'multipath',
  34: 'fast open',
  253: 'experiment',
  254: 'experiment',
});
const options = group('tcp.options', 'Options');
const option = group('tcp.option', 'Option');
const optionKind = unsigned('tcp.option_kind', 'Kind', { meanings: optionNames });
const optionLength = unsigned('tcp.option_len', 'Length', { unit: 'bytes' });
const segmentSize = unsigned('tcp.options.mss_val', 'Maximum segment size', { unit: 'bytes' });
const windowShift = unsigned('tcp.options.wscale.shift', 'Shift');
const leftEdge = unsigned('tcp.options.sack_le', 'Left edge');
const rightEdge = unsigned('tcp.options.sack_re', 'Right edge');
const timestamp = unsigned('tcp.options.timestamp.tsval', 'Timestamp');
const timestampEcho = unsigned('tcp.options.timestamp.tsecr', 'Echoed timestamp');
const digest = octets('tcp.options.md5.digest', 'Digest');
const cookie = octets('tcp.options.tfo.cookie', 'Cookie');
const optionData = octets('tcp.options.data', 'Data');

function describeOptions(tree: FieldTree): void {
  tree.group(options, () => {
    while (tree.left > 0) {
      tree.group(option, () => {
        const kind = tree.unsigned(optionKind, 1);
        tree.name(null, optionNames.get(kind) ?? `option ${String(kind)}`);
        if (kind <= 1) {
          if (kind === 0) tree.skip(tree.left);
          return;
        }
        const length = tree.unsigned(optionLength, 1);
        if (tree.failed) return;
        if (length < 2) {
          tree.malformed(tree.at - 1);
          return;
        }
        tree.within(length - 2, () => {
          describeOption(tree, kind, length);
        });
      });
    }
  });
}

function describeOption(tree: FieldTree, kind: number, length: number): void {
  if (kind === 2 && length === 4) {
    tree.unsigned(segmentSize, 2);
  } else if (kind === 3 && length === 3) {
    tree.unsigned(windowShift, 1);
  } else if (kind === 5) {
    while (tree.left >= 4) {
      tree.unsigned(leftEdge, 4);
      tree.unsigned(rightEdge, 4);
    }
  } else if (kind === 8 && length === 10) {
    tree.unsigned(timestamp, 4);
    tree.unsigned(timestampEcho, 4);
  } else if (kind === 19 && length === 18) {
    tree.octets(digest, 16);
  } else if (kind === 34) {
    tree.octets(cookie, tree.left);
  } else {
    tree.octets(optionData, length - 2);
  }
}

const flagNames: readonly (readonly [mask: number, name: string])[] = [
  [0x002, 'SYN'],
  [0x001, 'FIN'],
  [0x004, 'RST'],
  [0x008, 'PSH'],
  [0x010, 'ACK'],
  [0x020, 'URG'],
  [0x040, 'ECE'],
  [0x080, 'CWR'],
];
/** By the flags' byte: a list of packets asks for it at every one. */
const flagTexts = Array.from({ length: 256 }, (_, byte) =>
  flagNames.flatMap(([mask, name]) => ((byte & mask) === 0 ? [] : [name])).join(', '),
);

export const transmissionControl: Protocol = {
  name: 'tcp',
  title: 'TCP',
  minimum: 20,
  fields: [
    sourcePort,
    destinationPort,
    sequence,
    acknowledgement,
    headerLength,
    flags,
    ...flagBits.map(([type]) => type),
    windowSize,
    checksum,
    urgentPointer,
    options,
    option,
    optionKind,
    optionLength,
    segmentSize,
    windowShift,
    leftEdge,
    rightEdge,
    timestamp,
    timestampEcho,
    digest,
    cookie,
    optionData,
  ],
  enter(packet, layer) {
    const { start } = layer;
    const { bytes } = packet;
    layer.headerEnd = Math.min(layer.end, start + 20);
    if (layer.has(4) && !packet.quoted) {
      packet.sourcePort = uint16(bytes, start);
      packet.destinationPort = uint16(bytes, start + 2);
    }
    const size = (uint8(bytes, start + 12) >> 4) * 4;
    if (size < 20) {
      packet.fail('malformed', start + 12);
      return;
    }
    layer.headerEnd = Math.min(layer.end, start + size);
    if (!layer.has(size)) {
      packet.failShort(layer);
      return;
    }
    if (layer.end <= layer.headerEnd) return;
    const ports = uint16(bytes, start) * 0x10000 + uint16(bytes, start + 2);
    packet.continueWith('tcp', ports, start + size, layer.end);
  },
  describe(tree) {
    tree.unsigned(sourcePort, 2);
    tree.unsigned(destinationPort, 2);
    tree.unsigned(sequence, 4);
    tree.unsigned(acknowledgement, 4);
    const at = tree.at;
    if (tree.has(1)) tree.add(headerLength, at, 1, (tree.peek() >> 4) * 4, null, 0xf0);
    if (tree.has(2)) {
      tree.group(
        flags,
        () => {
          for (const [type, mask] of flagBits) {
            if (mask > 0xff) tree.bits(type, at, 1, mask >> 8);
            else tree.bits(type, at + 1, 1, mask);
          }
          tree.skip(2);
        },
        tree.peek(2) & 0xfff,
      );
    } else {
      for (const [type, mask] of flagBits) if (mask > 0xff) tree.bits(type, at, 1, mask >> 8);
      tree.skip(2);
    }
    tree.unsigned(windowSize, 2);
    tree.unsigned(checksum, 2);
    tree.unsigned(urgentPointer, 2);
    if (tree.left > 0) describeOptions(tree);
  },
  info({ bytes }, { start, headerEnd, end }) {
    const flagText = flagTexts[uint8(bytes, start + 13)] ?? '';
    return `${String(uint16(bytes, start))} → ${String(uint16(bytes, start + 2))} [${flagText}] seq ${String(
      uint32(bytes, start + 4),
    )} ack ${String(uint32(bytes, start + 8))} win ${String(uint16(bytes, start + 14))} len ${String(
      end - headerEnd,
    )}`;
  },
};
