/** Packets taken apart: bytes in, layers with their fields out. Pure, and never throws, whatever the bytes are. */
import { Dissection, Layer } from './core/dissection.ts';
import { protocolOf } from './tables.ts';
import { undecoded } from './core/undecoded.ts';

/** Layers of one packet: more than any real one has, also in tunnels within tunnels. */
export const maximumLayers = 32;

/**
 * Finds the layers of a packet. `bytes` is what was captured of `wireLength` bytes, `linkType` a LINKTYPE_ of
 * tcpdump.org. This looks at headers alone; a layer's fields are read when they are asked for, from the same bytes.
 */
export function dissect(
  bytes: Uint8Array,
  linkType: number,
  wireLength: number = bytes.length,
): Dissection {
  const packet = new Dissection(bytes, wireLength);
  if (bytes.length === 0) {
    if (packet.wireLength > 0) packet.fail('truncated', 0);
    return packet;
  }
  let at = 0;
  let end = packet.wireLength;
  let protocol = protocolOf(packet, 'link-type', linkType, at, end) ?? undecoded;
  for (;;) {
    const layer = new Layer(packet, protocol, at, end);
    packet.layers.push(layer);
    packet.nextTable = null;
    if (!layer.has(protocol.minimum)) {
      packet.failShort(layer);
      break;
    }
    protocol.enter(packet, layer);
    const { nextTable } = packet;
    if (nextTable === null) {
      if (protocol === undecoded || layer.headerEnd >= Math.min(layer.end, bytes.length)) break;
      at = layer.headerEnd;
      end = layer.end;
      protocol = undecoded;
    } else {
      at = packet.nextAt;
      end = packet.nextEnd;
      // What comes was not captured, or has no byte.
      if (at >= end || at >= bytes.length) {
        if (at < end) packet.fail('truncated', bytes.length);
        break;
      }
      protocol = protocolOf(packet, nextTable, packet.nextKey, at, end) ?? undecoded;
    }
    if (packet.layers.length >= maximumLayers) {
      packet.fail('too-much', at);
      break;
    }
  }
  return packet;
}
