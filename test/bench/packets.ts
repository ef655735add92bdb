/** A capture as networks have it, to measure dissectors with: mostly TCP and UDP, some names, neighbours and tunnels. */
import { classicCapture, type WrittenPacket } from '../harness/captures.ts';
import { samples } from '../unit/dissect/samples.ts';
import {
  ascii,
  bytes,
  frame,
  packet4,
  packet6,
  segment,
  tcpFrame,
  udpFrame,
} from '../harness/packets.ts';

/** Packets of a kind in a hundred, in turns. */
export function mixedPackets(): readonly Uint8Array[] {
  const kinds = hundred();
  return kinds.map((_, index) => kinds[(index * 37) % kinds.length] ?? bytes(''));
}

/** Packets of a kind in a hundred. */
function hundred(): readonly Uint8Array[] {
  const packets: Uint8Array[] = [];
  const add = (count: number, packet: Uint8Array): void => {
    for (let index = 0; index < count; index += 1) packets.push(packet);
  };
  const named = (name: string): Uint8Array => {
    const found = samples.find((sample) => sample.name === name);
    if (found === undefined) throw new Error(`no sample ${name}`);
    return found.bytes;
  };
  const data = new Uint8Array(1400).fill(0x5a);
  const ends = { source: 40_000, destination: 50_000 };
  const times = { options: '01 01 08 0a 00bc614e 00bc614d' };
  add(25, tcpFrame(data, { ...ends, ...times, flags: 0x010 }));
  add(20, tcpFrame(bytes(''), { source: 50_000, destination: 40_000, ...times, flags: 0x010 }));
  add(
    3,
    tcpFrame(bytes(''), {
      ...ends,
      flags: 0x002,
      options: '02 04 05b4 04 02 08 0a 00bc614e 00000000 01 03 03 07',
    }),
  );
  add(
    8,
    frame(0x86dd, packet6(6, segment(data, { ...ends, from: '2001:db8::1', to: '2001:db8::2' }))),
  );
  add(10, udpFrame(data.subarray(0, 500), ends));
  add(4, frame(0x8100, bytes('0064 0800', packet4(6, segment(ascii('tagged'), ends)))));
  add(5, named('TLS server hello and more'));
  add(2, named('TLS client hello'));
  add(2, named('HTTP request'));
  add(3, named('DNS query'));
  add(3, named('DNS address'));
  add(1, named('mDNS response'));
  add(1, named('DHCP ACK'));
  add(2, named('ARP request'));
  add(1, named('ARP reply'));
  add(2, named('ICMP echo request'));
  add(1, named('neighbour solicitation'));
  add(1, named('RSTP'));
  add(1, named('LLDP'));
  add(3, named('VXLAN'));
  add(2, named('GRE'));
  return packets;
}

export function mixedCapture(count: number): Uint8Array {
  // Kinds take turns, so that no branch is always the same.
  const kinds = mixedPackets();
  const packets: WrittenPacket[] = [];
  for (let index = 0; index < count; index += 1) {
    const packet = kinds[index % kinds.length] ?? bytes('');
    packets.push({
      bytes: packet,
      seconds: 1_700_000_000 + Math.floor(index / 1000),
      fraction: (index % 1000) * 1000,
    });
  }
  return classicCapture(packets);
}
