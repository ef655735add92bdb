import {
  type Part,
  ascii,
  bytes,
  datagram,
  frame,
  packet4,
  packet6,
  udpFrame,
} from '../../harness/packets.ts';
import { type Sample, sample } from './sample.ts';

const ports = { source: 40_000, destination: 40_001 };
const inner4 = packet4(17, datagram(ascii('within'), ports), {
  from: '192.168.0.1',
  to: '192.168.0.2',
});
const innerFrame = frame(0x0800, inner4);

const gre = (...parts: readonly Part[]): Uint8Array => frame(0x0800, packet4(47, bytes(...parts)));

export const tunnelSamples: readonly Sample[] = [
  sample('GRE', gre('0000 0800', inner4)),
  sample(
    'GRE with a key, a checksum and a number',
    gre('b000 0800 4dd5 0000 00001234 00000007', inner4),
  ),
  sample('GRE with a frame', gre('2000 6558 00001234', innerFrame)),
  sample('GRE with IPv6', gre('0000 86dd', packet6(59, bytes('')))),
  sample('GRE of PPTP', gre('3001 880b 0004 0001 00000001 ff 03 c0 21'), 1, ['protocols']),
  sample(
    'VXLAN',
    udpFrame(bytes('0800 0000 000064 00', innerFrame), { source: 50_000, destination: 4789 }),
  ),
  sample(
    'VXLAN with a policy',
    udpFrame(bytes('8848 0007 000064 00', innerFrame), { source: 50_000, destination: 4789 }),
  ),
  sample(
    'Geneve',
    udpFrame(bytes('00 00 6558 000064 00', innerFrame), { source: 50_000, destination: 6081 }),
  ),
  sample(
    'Geneve with options',
    udpFrame(bytes('03 40 0800 000064 00', '0102 80 02 0a0b0c0d 01020304', inner4), {
      source: 50_000,
      destination: 6081,
    }),
  ),
];
