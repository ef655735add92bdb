/**
 * Whether two captured packets are one and the same, met at different places. Bridges, switches and veth pairs leave a packet
 * as it is; routers count its time to live down; cards and the kernel fill checksums in; tunnels put something around it. What
 * all of them leave is the innermost network packet without those, so that is looked for, also as what an unknown tunnel
 * carries. Pure.
 */
import type { Dissection } from '../dissect/core/dissection.ts';

/** Bytes of a payload that are compared: enough to tell packets apart, and less than any snap length keeps. */
const compared = 64;

/** Bytes with those among them that may differ on the way left out. */
export interface PacketIdentity {
  readonly bytes: Uint8Array;
  /** One for each byte; 0 where it does not count. */
  readonly counts: Uint8Array;
  /** A byte that counts, to look for first: the only thing that is fast. */
  readonly probe: number;
  readonly probeAt: number;
}

/** Null for what has nothing to know it by. */
export function identityOf(packet: Dissection): PacketIdentity | null {
  const layer = packet.layers.findLast(
    ({ protocol, isQuoted }) =>
      !isQuoted && (protocol.name === 'ip' || protocol.name === 'ipv6' || protocol.name === 'arp'),
  );
  const start = layer?.start ?? (packet.linkAt >= 0 ? packet.linkAt : -1);
  if (start < 0) return null;
  const headerEnd = layer?.headerEnd ?? start + 14;
  const end = Math.min(
    layer?.end ?? packet.bytes.length,
    packet.bytes.length,
    headerEnd + compared,
  );
  if (end - start < 14) return null;
  const bytes = packet.bytes.slice(start, end);
  const counts = new Uint8Array(bytes.length).fill(1);
  const leave = (from: number, length: number): void => {
    counts.fill(
      0,
      from - start,
      Math.max(from - start, Math.min(from - start + length, counts.length)),
    );
  };
  if (layer?.protocol.name === 'ip') {
    // Service and its marks of congestion, time to live, and the checksum over it.
    leave(start + 1, 1);
    leave(start + 8, 1);
    leave(start + 10, 2);
  } else if (layer?.protocol.name === 'ipv6') {
    // Traffic class, hop limit.
    leave(start, 2);
    leave(start + 7, 1);
  }
  if (layer !== undefined) {
    if (packet.ipProtocol === 6) leave(headerEnd + 16, 2);
    else if (packet.ipProtocol === 17) leave(headerEnd + 6, 2);
  }
  // Addresses are never left out, and tell most.
  const probeAt = layer?.protocol.name === 'ip' ? 12 : layer?.protocol.name === 'ipv6' ? 8 : 0;
  const probe = bytes[probeAt];
  if (probe === undefined) return null;
  return { bytes, counts, probeAt, probe };
}

/** Whether the packet is in these captured bytes, from wherever on. */
export function isWithin(identity: PacketIdentity, captured: Uint8Array): boolean {
  const { bytes, counts, probe, probeAt } = identity;
  let at = captured.indexOf(probe, probeAt);
  while (at >= 0) {
    const start = at - probeAt;
    if (start + bytes.length <= captured.length) {
      let place = 0;
      while (
        place < bytes.length &&
        (counts[place] === 0 || bytes[place] === captured[start + place])
      ) {
        place += 1;
      }
      if (place === bytes.length) return true;
    }
    at = captured.indexOf(probe, at + 1);
  }
  return false;
}
