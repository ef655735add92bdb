import {
  ascii,
  bytes,
  datagram,
  frame,
  frame6,
  frame802,
  ip4,
  ip6,
  macA,
  macB,
  message,
  number,
  packet4,
  packet6,
  segment,
  tcpFrame,
  udpFrame,
  udpFrame6,
} from '../../harness/packets.ts';
import { type Sample, sample } from './sample.ts';

const broadcast = 'ff ff ff ff ff ff';
const payload = ascii('abcdefghijklmnopqrstuvwabcdefghi');
const ports = { source: 40_000, destination: 40_001 };
const quoted4 = packet4(17, datagram(ascii('to nobody'), ports));
const quoted6 = packet6(17, datagram(ascii('to nobody'), { ...ports, from: '2001:db8::1' }));

function icmp(text: Parameters<typeof message>[0]): Uint8Array {
  return frame(0x0800, packet4(1, message(text)));
}

const arpHead = '0001 0800 06 04';

export const linkSamples: readonly Sample[] = [
  sample(
    'ARP request',
    frame(0x0806, bytes(arpHead, '0001', macA, ip4('10.0.0.1'), '000000000000', ip4('10.0.0.2')), {
      to: broadcast,
    }),
  ),
  sample(
    'ARP reply',
    frame(0x0806, bytes(arpHead, '0002', macB, ip4('10.0.0.2'), macA, ip4('10.0.0.1')), {
      to: macA,
      from: macB,
    }),
  ),
  sample(
    'ARP announcement',
    frame(0x0806, bytes(arpHead, '0001', macA, ip4('10.0.0.1'), '000000000000', ip4('10.0.0.1'))),
  ),
  sample('RARP request', frame(0x8035, bytes(arpHead, '0003', macA, '00000000', macA, '00000000'))),
  sample(
    'tag',
    frame(0x8100, bytes('a00a 0800', packet4(1, message(bytes('0800 0000 1234 0001', payload))))),
  ),
  sample(
    'two tags',
    frame(
      0x88a8,
      bytes('3064 8100 000a 0800', packet4(1, message(bytes('0800 0000 1234 0001', payload)))),
    ),
  ),
  sample(
    'ARP of other hardware',
    frame(
      0x0806,
      bytes('0006 0800 08 04 0001', 'a1'.repeat(8), '0a000001', 'b2'.repeat(8), '0a000002'),
    ),
    1,
    // Addresses of four bytes are shown as ones of IPv4 there, whatever the hardware.
    ['arp.src.proto', 'arp.dst.proto'],
  ),
  sample('802.3 with a tag', frame(0x8100, bytes('000a 0020', payload))),
  // There a tag of a service has no length, and what follows the end of one is the tag's.
  sample('802.3 with two tags', frame(0x88a8, bytes('300a 0020', payload)), 1, [
    'eth.padding',
    'llc.dsap',
    'llc.ssap',
    'llc.control',
    'protocols',
  ]),
  sample('802.3', frame(32, payload)),
  sample('cooked, 802.2', bytes('0000 0304 0000', '00'.repeat(8), '0004', payload), 113),
  sample(
    'cooked with a long address',
    bytes('0000 0020 0008', 'c3'.repeat(8), '0800', packet4(17, datagram(payload, ports))),
    113,
  ),
  sample(
    'cooked tunnel',
    bytes('0000 0309 0004 0a000001 00000000 0800', packet4(17, datagram(payload, ports))),
    113,
  ),
  sample('unknown type', frame(0x1234, payload)),
  sample(
    'cooked',
    bytes('0004 0001 0006', macA, '0000 0800', packet4(17, datagram(payload, ports))),
    113,
  ),
  sample(
    'cooked v2',
    bytes('0800 0000 00000003 0001 00 06', macA, '0000', packet4(17, datagram(payload, ports))),
    276,
  ),
  sample(
    'cooked loopback without address',
    bytes('0000 0304 0006 000000000000 0000 86dd', packet6(59, bytes(''))),
    113,
  ),
  sample('null, little endian', bytes('02000000', packet4(17, datagram(payload, ports))), 0),
  sample('loop, IPv6', bytes('0000001e', packet6(59, bytes(''))), 108),
  sample('raw IPv4', packet4(17, datagram(payload, ports)), 101),
  sample('raw IPv6', packet6(59, bytes('')), 101),
];

const bridgeId = bytes('8001', '02 00 00 00 00 01');
const rootId = bytes('1064', '02 00 00 00 00 02');
const times = '0100 1400 0200 0f00';
const spanningTreeGroup = '01 80 c2 00 00 00';
const part = (type: number, content: Uint8Array): Uint8Array =>
  bytes(number((type << 9) | content.length, 2), content);
const lldp = (...parts: readonly Uint8Array[]): Uint8Array =>
  frame(0x88cc, bytes(...parts, '0000'), { to: '01 80 c2 00 00 0e' });
const party = (who: number, state: string): Uint8Array =>
  bytes(number(who, 1), '14 8000 020000000001 0011 00ff 0003', state, '000000');

export const controlSamples: readonly Sample[] = [
  sample(
    'STP',
    frame802(
      bytes('42 42 03 0000 00 00 81', rootId, '00000013', bridgeId, '8002', times),
      spanningTreeGroup,
    ),
  ),
  sample(
    'RSTP',
    frame802(
      bytes('42 42 03 0000 02 02 7e', rootId, '00000013', bridgeId, '8002', times, '00'),
      spanningTreeGroup,
    ),
  ),
  sample(
    'MSTP',
    frame802(
      bytes(
        bytes('42 42 03 0000 03 02 7e', rootId, '00000013', rootId, '8002', times, '00'),
        bytes('0040 00', 'a1'.repeat(32), '0001', 'b2'.repeat(16), '00000000', bridgeId, '14'),
      ),
      spanningTreeGroup,
    ),
  ),
  sample('STP topology change', frame802(bytes('42 42 03 0000 00 80'), spanningTreeGroup)),
  sample(
    'SNAP',
    frame802(bytes('aa aa 03 000000 0800', packet4(17, datagram(payload, ports))), macB),
  ),
  sample('SNAP of an organization', frame802(bytes('aa aa 03 000102 0304', payload), macB), 1, [
    'llc.pid',
  ]),
  sample(
    'STP of a VLAN',
    frame802(
      bytes(
        'aa aa 03 00000c 010b 0000 02 02 7e',
        rootId,
        '00000013',
        bridgeId,
        '8002',
        times,
        '00',
        '0000 0002 0064',
      ),
      '01 00 0c cc cc cd',
    ),
  ),
  sample(
    'LACP',
    frame(
      0x8809,
      bytes(
        '01 01',
        party(1, '3d'),
        party(2, 'c2'),
        '03 10 8000',
        '00'.repeat(12),
        '00 00',
        '00'.repeat(50),
      ),
      {
        to: '01 80 c2 00 00 02',
      },
    ),
  ),
  sample('slow protocol', frame(0x8809, bytes('04 01', '00'.repeat(60)))),
  sample(
    'LLDP',
    lldp(
      part(1, bytes('04', macA)),
      part(2, bytes('05', ascii('eth0'))),
      part(3, bytes('0078')),
      part(4, ascii('uplink')),
      part(5, ascii('switch-1')),
      part(6, ascii('A switch')),
      part(7, bytes('0014 0004')),
      part(8, bytes('05 01', ip4('10.0.0.1'), '02 00000003 00')),
      part(8, bytes('11 02', ip6('2001:db8::1'), '02 00000003 03 2b0601')),
      part(8, bytes('07 06', macA, '01 00000003 00')),
      part(127, bytes('0012bb 01 000f04')),
      part(20, bytes('0102')),
    ),
    1,
    ['lldp.orgtlv.oui'],
  ),
  sample(
    'LLDP by addresses',
    lldp(
      part(1, bytes('05 01', ip4('10.0.0.1'))),
      part(2, bytes('04 01', ip4('10.0.0.1'))),
      part(3, bytes('0078')),
    ),
  ),
  sample(
    'LLDP by addresses of IPv6',
    lldp(
      part(1, bytes('05 02', ip6('2001:db8::1'))),
      part(2, bytes('04 02', ip6('2001:db8::1'))),
      part(3, bytes('0078')),
    ),
  ),
  sample(
    'LLDP by names',
    lldp(part(1, bytes('07', ascii('host'))), part(2, bytes('03', macB)), part(3, bytes('0078'))),
  ),
];

export const networkSamples: readonly Sample[] = [
  sample('ICMP echo request', icmp(bytes('0800 0000 1234 0001', payload))),
  sample('ICMP echo reply', icmp(bytes('0000 0000 1234 0001', payload))),
  sample('ICMP port unreachable', icmp(bytes('0303 0000 00000000', quoted4))),
  sample('ICMP fragmentation needed', icmp(bytes('0304 0000 0000 0578', quoted4))),
  sample(
    'ICMP time exceeded with its length',
    icmp(bytes('0b00 0000 00 20 0000', quoted4, '00'.repeat(91))),
  ),
  sample('ICMP redirect', icmp(bytes('0501 0000', ip4('10.0.0.254'), quoted4))),
  sample('ICMP time exceeded', icmp(bytes('0b00 0000 00000000', quoted4.subarray(0, 28)))),
  sample('ICMP parameter problem', icmp(bytes('0c00 0000 14000000', quoted4))),
  sample('ICMP timestamp', icmp('0d00 0000 1234 0001 00bc614e 00000000 00000000')),
  sample('ICMP address mask', icmp(bytes('1200 0000 1234 0001', ip4('255.255.255.0')))),
  sample(
    'ICMP router advertisement',
    icmp(bytes('0900 0000 02 02 0708', ip4('10.0.0.1'), '00000000', ip4('10.0.0.2'), '80000000')),
  ),
  sample('ICMP router solicitation', icmp('0a00 0000 00000000')),
  sample(
    'IPv4 class of service',
    frame(0x0800, packet4(17, datagram(payload, ports), { tos: 0xb9 })),
  ),
  sample(
    'IPv4 first fragment',
    frame(0x0800, packet4(17, datagram(payload, ports), { fragment: 0x2000 })),
  ),
  sample('IPv4 last fragment', frame(0x0800, packet4(17, payload, { fragment: 0x00b9 }))),
  sample(
    'IPv4 record route',
    frame(
      0x0800,
      packet4(1, message(bytes('0800 0000 1234 0001', payload)), {
        options: bytes('07 0b 08', ip4('10.0.0.1'), '00000000 00'),
      }),
    ),
  ),
  sample(
    'IPv4 source route',
    frame(
      0x0800,
      packet4(1, message(bytes('0800 0000 1234 0001', payload)), {
        options: bytes('83 0f 08', ip4('10.0.0.1'), ip4('10.0.0.2'), ip4('10.0.0.3'), '00'),
      }),
    ),
    1,
    // There the last address of the route is shown as the destination, and the destination as the next one.
    ['ip.dst', 'ip.cur_rt', 'ip.src_rt'],
  ),
  sample(
    'IPv4 stream option',
    frame(0x0800, packet4(17, datagram(payload, ports), { options: '88 04 0102' })),
  ),
  sample('IPv4 unknown protocol', frame(0x0800, packet4(253, payload))),
  sample('IPv4 in IPv4', frame(0x0800, packet4(4, packet4(17, datagram(payload, ports))))),
  sample('IPv6 in IPv4', frame(0x0800, packet4(41, packet6(59, bytes(''))))),
  sample(
    'IGMP query',
    frame(0x0800, packet4(2, message('11 64 0000 00000000'), { options: '94 04 0000', ttl: 1 })),
  ),
  sample(
    'IGMP v2 report',
    frame(0x0800, packet4(2, message(bytes('16 00 0000', ip4('239.1.2.3'))))),
  ),
  sample('IGMP leave', frame(0x0800, packet4(2, message(bytes('17 00 0000', ip4('239.1.2.3')))))),
  sample(
    'IGMP v3 query',
    frame(
      0x0800,
      packet4(2, message(bytes('11 64 0000', ip4('239.1.2.3'), '0a 7d 0001', ip4('10.0.0.9')))),
    ),
  ),
  sample(
    'IGMP v3 report',
    frame(
      0x0800,
      packet4(
        2,
        message(
          bytes(
            '22 00 0000 0000 0002',
            bytes('04 00 0000', ip4('239.1.2.3')),
            bytes('01 01 0001', ip4('239.1.2.4'), ip4('10.0.0.9'), '0a0b0c0d'),
          ),
        ),
      ),
    ),
  ),
];

const targetLink = bytes('02 01', macB);
const sourceLink = bytes('01 01', macA);
const prefixOption = bytes('03 04 40 c0 00015180 00003840 00000000', ip6('2001:db8:1::'));

export const network6Samples: readonly Sample[] = [
  sample('ICMPv6 echo request', frame6(bytes('8000 0000 1234 0007', payload))),
  sample('ICMPv6 echo reply', frame6(bytes('8100 0000 1234 0007', payload))),
  sample('ICMPv6 no route', frame6(bytes('0100 0000 00000000', quoted6))),
  sample('ICMPv6 too big', frame6(bytes('0200 0000 00000500', quoted6))),
  sample('ICMPv6 time exceeded', frame6(bytes('0300 0000 00000000', quoted6))),
  sample('ICMPv6 parameter problem', frame6(bytes('0401 0000 00000028', quoted6))),
  sample(
    'neighbour solicitation',
    frame6(bytes('8700 0000 00000000', ip6('2001:db8::2'), sourceLink)),
  ),
  sample(
    'neighbour advertisement',
    frame6(bytes('8800 0000 60000000', ip6('2001:db8::2'), targetLink)),
  ),
  sample('router solicitation', frame6(bytes('8500 0000 00000000', sourceLink))),
  sample(
    'router advertisement',
    frame6(
      bytes(
        '8600 0000 40 c8 0708 00007530 000003e8',
        sourceLink,
        '05 01 0000 000005dc',
        prefixOption,
        bytes('19 03 0000 00000e10', ip6('2001:db8::53')),
        bytes('1f 03 0000 00000e10', '07', ascii('example'), '03', ascii('org'), '00', '000000'),
        '0e 01 010203040506',
        bytes('18 02 30 08 00000e10', '20010db8 00020000'),
      ),
    ),
  ),
  sample(
    'redirect',
    frame6(bytes('8900 0000 00000000', ip6('fe80::1'), ip6('2001:db8::99'), targetLink)),
  ),
  sample('MLD query', frame6(bytes('8200 0000 2710 0000', ip6('ff02::1')))),
  sample('MLD report', frame6(bytes('8300 0000 0000 0000', ip6('ff02::1:3')))),
  sample('MLD done', frame6(bytes('8400 0000 0000 0000', ip6('ff02::1:3')))),
  sample(
    'MLDv2 query',
    frame6(bytes('8200 0000 2710 0000', ip6('ff02::1'), '0a 7d 0001', ip6('2001:db8::9'))),
  ),
  sample(
    'MLDv2 report behind hop-by-hop options',
    frame6(
      bytes(
        '8f00 0000 0000 0002',
        bytes('04 00 0000', ip6('ff02::1:3')),
        bytes('01 01 0001', ip6('ff02::1:4'), ip6('2001:db8::9'), '0a0b0c0d'),
      ),
      { first: 0, extensions: '3a 00 05 02 0000 01 00', hops: 1 },
    ),
  ),
  sample(
    'IPv6 destination options',
    frame(
      0x86dd,
      packet6(17, datagram(payload, { ...ports, from: '2001:db8::1' }), {
        first: 60,
        extensions: '11 02 04 01 04 c2 04 00010000 15 03 010203 00 01 05 0000000000',
      }),
    ),
    // Pad1, which has no length, is two bytes long there.
    1,
    ['ipv6.opt'],
  ),
  sample(
    'IPv6 home address',
    frame(
      0x86dd,
      packet6(59, bytes(''), {
        first: 60,
        extensions: bytes('3b 02 01 02 0000 c9 10', ip6('2001:db8::77'), ''),
      }),
    ),
  ),
  sample(
    'IPv6 source route',
    frame(
      0x86dd,
      packet6(59, bytes(''), {
        first: 43,
        extensions: bytes('3b 02 00 01 00000000', ip6('2001:db8::a')),
      }),
    ),
  ),
  sample(
    'IPv6 unknown routing',
    frame(0x86dd, packet6(59, bytes(''), { first: 43, extensions: '3b 00 fd 00 01020304' })),
  ),
  sample(
    'IPv6 first fragment',
    frame(
      0x86dd,
      packet6(17, datagram(payload, { ...ports, from: '2001:db8::1' }), {
        first: 44,
        extensions: '11 00 0001 deadbeef',
      }),
    ),
  ),
  sample(
    'IPv6 last fragment',
    frame(0x86dd, packet6(17, payload, { first: 44, extensions: '11 00 05a8 deadbeef' })),
  ),
  sample(
    'IPv6 segment routing',
    frame(
      0x86dd,
      packet6(17, datagram(payload, { ...ports, from: '2001:db8::1' }), {
        first: 43,
        extensions: bytes('11 04 04 01 01 00 0000', ip6('2001:db8::a'), ip6('2001:db8::b')),
      }),
    ),
  ),
  sample(
    'AH',
    frame(
      0x0800,
      packet4(51, bytes('11 04 0000 00001001 00000007', 'a1'.repeat(12), datagram(payload, ports))),
    ),
  ),
  sample('ESP', frame(0x0800, packet4(50, bytes('00001002 00000008', payload)))),
];

const tcp = { source: 50_000, destination: 50_001 };

export const transportSamples: readonly Sample[] = [
  sample('UDP', udpFrame(payload, ports)),
  sample('UDP over IPv6', udpFrame6(payload, ports)),
  sample('UDP without payload', udpFrame(bytes(''), ports)),
  sample(
    'TCP SYN',
    tcpFrame(bytes(''), {
      ...tcp,
      flags: 0x0c2,
      options: '02 04 05b4 04 02 08 0a 00bc614e 00000000 01 03 03 07',
    }),
  ),
  sample(
    'TCP with a selective acknowledgement',
    tcpFrame(bytes(''), {
      ...tcp,
      flags: 0x010,
      options: bytes(
        '01 01 05 12',
        number(1000, 4),
        number(2000, 4),
        number(3000, 4),
        number(4000, 4),
      ),
    }),
  ),
  sample('TCP with data', tcpFrame(payload, { ...tcp, flags: 0x018 })),
  sample('TCP reset', tcpFrame(bytes(''), { ...tcp, flags: 0x014 })),
  sample('TCP finish, urgent', tcpFrame(payload, { ...tcp, flags: 0x139 })),
  sample(
    'TCP MD5 signature',
    tcpFrame(bytes(''), { ...tcp, options: bytes('01 01 13 12', 'ab'.repeat(16)) }),
  ),
  sample(
    'TCP fast open',
    tcpFrame(bytes(''), { ...tcp, flags: 0x002, options: '22 0a 0102030405060708 01 01' }),
  ),
  sample('TCP unknown option', tcpFrame(bytes(''), { ...tcp, options: 'fb 04 0102' })),
  sample(
    'TCP over IPv6',
    frame(0x86dd, packet6(6, segment(payload, { ...tcp, from: '2001:db8::1', to: '2001:db8::2' }))),
  ),
];
