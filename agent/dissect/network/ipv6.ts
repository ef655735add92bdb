/** Internet Protocol, version 6 (RFC 8200). Its extension headers are layers of their own. */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, ipv6, unsigned } from '../core/field.ts';
import { codepoints, congestion, ipProtocols } from '../core/numbers.ts';
import { uint16, uint8 } from '../core/octets.ts';

const version = unsigned('ipv6.version', 'Version');
const trafficClass = hexadecimal('ipv6.tclass', 'Traffic class');
const codepoint = unsigned('ipv6.tclass.dscp', 'Codepoint', { meanings: codepoints });
const ecn = unsigned('ipv6.tclass.ecn', 'Congestion notification', { meanings: congestion });
const flowLabel = hexadecimal('ipv6.flow', 'Flow label');
const payloadLength = unsigned('ipv6.plen', 'Payload length', { unit: 'bytes' });
const nextHeader = unsigned('ipv6.nxt', 'Next header', { meanings: ipProtocols });
const hopLimit = unsigned('ipv6.hlim', 'Hop limit', { unit: 'hops' });
const source = ipv6('ipv6.src', 'Source');
const destination = ipv6('ipv6.dst', 'Destination');

export const internetProtocol6: Protocol = {
  name: 'ipv6',
  title: 'IPv6',
  minimum: 40,
  fields: [
    version,
    trafficClass,
    codepoint,
    ecn,
    flowLabel,
    payloadLength,
    nextHeader,
    hopLimit,
    source,
    destination,
  ],
  enter(packet, layer) {
    const { bytes, quoted } = packet;
    const { start } = layer;
    layer.headerEnd = Math.min(layer.end, start + 40);
    if (uint8(bytes, start) >> 4 !== 6) {
      packet.fail('malformed', start);
      return;
    }
    const length = uint16(bytes, start + 4);
    // 0: a jumbogram (RFC 2675), or what a card is to cut into segments; its frame says where it ends.
    const end = length === 0 && layer.end - start > 40 + 0xffff ? layer.end : start + 40 + length;
    if (end > layer.end && !quoted) packet.fail('malformed', start + 4);
    layer.end = Math.min(layer.end, end);
    const next = uint8(bytes, start + 6);
    if (!quoted) {
      packet.networkAt = start + 8;
      packet.networkLength = 16;
      packet.ipProtocol = next;
      packet.sourcePort = packet.destinationPort = -1;
      if (packet.paddingAt < 0) packet.paddingAt = layer.end;
    }
    if (next !== 59) packet.continueWith('ip-protocol', next, start + 40, layer.end);
  },
  describe(tree) {
    const at = tree.at;
    if (tree.has(1)) tree.bits(version, at, 1, 0xf0);
    if (tree.has(4)) {
      tree.group(
        trafficClass,
        () => {
          tree.bits(codepoint, at, 4, 0x0fc00000);
          tree.bits(ecn, at, 4, 0x00300000);
          tree.skip(4);
        },
        (tree.peek(4) >>> 20) & 0xff,
      );
      tree.bits(flowLabel, at + 1, 3, 0x0fffff);
    } else {
      tree.skip(4);
    }
    tree.unsigned(payloadLength, 2);
    tree.unsigned(nextHeader, 1);
    tree.unsigned(hopLimit, 1);
    tree.ipv6(source);
    tree.ipv6(destination);
  },
  info({ bytes }, { start }) {
    const number = uint8(bytes, start + 6);
    return ipProtocols.get(number) ?? `next header ${String(number)}`;
  },
};
