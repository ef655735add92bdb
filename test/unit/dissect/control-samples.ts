import {
  ascii,
  bytes,
  frame,
  ip4,
  ip6,
  macA,
  message,
  number,
  packet4,
  packet6,
  type Part,
  tcpFrame,
  udpFrame,
  udpFrame6,
} from '../../harness/packets.ts';
import { labels } from './application-samples.ts';
import { type Sample, sample } from './sample.ts';

const option = (type: number, ...data: readonly Part[]): Uint8Array =>
  bytes(number(type, 1), number(bytes(...data).length, 1), ...data);
const dhcp = (operation: string, address: string, ...options: readonly Uint8Array[]): Uint8Array =>
  udpFrame(
    bytes(
      operation,
      '01 06 00 3903f326 0003 8000',
      '00000000',
      ip4(address),
      '00000000 00000000',
      macA,
      '00'.repeat(10),
      bytes(ascii('boot-server'), new Uint8Array(53)),
      bytes(ascii('pxe.0'), new Uint8Array(123)),
      '63825363',
      ...options,
      'ff',
    ),
    operation === '01' ? { source: 68, destination: 67 } : { source: 67, destination: 68 },
  );

const option6 = (type: number, ...data: readonly Part[]): Uint8Array =>
  bytes(number(type, 2), number(bytes(...data).length, 2), ...data);
const dhcp6 = (...parts: readonly Part[]): Uint8Array =>
  udpFrame6(bytes(...parts), { source: 546, destination: 547 });
const client = option6(1, '0003 0001', macA);

export const configurationSamples: readonly Sample[] = [
  sample(
    'DHCP discover',
    dhcp(
      '01',
      '0.0.0.0',
      option(53, '01'),
      option(50, ip4('10.0.0.9')),
      option(12, ascii('host-1')),
      option(55, '01 03 06 0f'),
      option(57, '05dc'),
      option(60, ascii('udhcp')),
      option(61, '01', macA),
    ),
  ),
  sample(
    'DHCP ACK',
    dhcp(
      '02',
      '10.0.0.9',
      option(53, '05'),
      option(54, ip4('10.0.0.1')),
      option(51, '00000e10'),
      option(58, '00000708'),
      option(59, '00000c4e'),
      option(1, ip4('255.255.255.0')),
      option(3, ip4('10.0.0.1')),
      option(6, ip4('10.0.0.1'), ip4('10.0.0.2')),
      option(15, ascii('example.org')),
      option(28, ip4('10.0.0.255')),
      option(26, '05dc'),
    ),
  ),
  sample(
    'BOOTP of other hardware',
    udpFrame(
      bytes(
        '01 06 08 00 3903f326 0003 0000',
        '00'.repeat(16),
        'a1'.repeat(8),
        '00'.repeat(8 + 64 + 128 + 64),
      ),
      {
        source: 68,
        destination: 67,
      },
    ),
    1,
    // An address of eight bytes is one of FireWire or none there.
    ['dhcp.hw.addr', 'dhcp.hw.addr_padding'],
  ),
  sample(
    'DHCPv6 solicit',
    dhcp6(
      '01 a1b2c3',
      client,
      option6(8, '0064'),
      option6(6, '0017 0018'),
      option6(3, '00000001 00000e10 00001518'),
    ),
  ),
  sample(
    'DHCPv6 reply',
    dhcp6(
      '07 a1b2c3',
      client,
      option6(2, '0001 0001 2a2b2c2d', macA),
      option6(
        3,
        '00000001 00000e10 00001518',
        option6(5, ip6('2001:db8::99'), '00001c20 00003840'),
      ),
      option6(
        25,
        '00000001 00000e10 00001518',
        option6(26, '00001c20 00003840 38', ip6('2001:db8:77::')),
      ),
      option6(23, ip6('2001:db8::53')),
      option6(24, labels('example.org')),
      option6(13, '0000', ascii('ok')),
      option6(7, 'ff'),
    ),
    1,
    ['dhcpv6.option.data'],
  ),
  sample(
    'DHCPv6 relay',
    udpFrame6(bytes('0c 01', ip6('2001:db8::1'), ip6('fe80::1'), option6(9, '0b a1b2c3', client)), {
      source: 547,
      destination: 547,
    }),
    1,
    ['protocols'],
  ),
];

const ospf = (version: string, kind: string, body: Part, authentication: Part): Uint8Array => {
  const whole = bytes(
    version,
    kind,
    number((version === '02' ? 24 : 16) + bytes(body).length, 2),
    ip4('10.0.0.1'),
    ip4('0.0.0.0'),
    '0000',
    authentication,
    body,
  );
  return whole;
};
const hello2 = bytes(
  ip4('255.255.255.0'),
  '000a 02 01 00000028',
  ip4('10.0.0.1'),
  ip4('10.0.0.2'),
  ip4('10.0.0.3'),
);
const marker = 'ff'.repeat(16);
const bgp = (type: number, body: Part): Uint8Array =>
  bytes(marker, number(19 + bytes(body).length, 2), number(type, 1), body);
const peer = { source: 40_000, destination: 179 };

export const routingSamples: readonly Sample[] = [
  sample(
    'RIP v1',
    udpFrame(bytes('02 01 0000', '0002 0000', ip4('10.1.0.0'), '00000000 00000000 00000001'), {
      source: 520,
      destination: 520,
    }),
  ),
  sample(
    'RIP v2',
    udpFrame(
      bytes(
        '02 02 0000',
        bytes('ffff 0002', ascii('secret'), new Uint8Array(10)),
        bytes('0002 0007', ip4('10.1.0.0'), ip4('255.255.0.0'), ip4('10.0.0.254'), '00000002'),
      ),
      { source: 520, destination: 520 },
    ),
    1,
    ['rip.family'],
  ),
  sample(
    'RIP v2 with another authentication',
    udpFrame(bytes('02 02 0000', 'ffff 0009', '0a'.repeat(16)), { source: 520, destination: 520 }),
    1,
    ['rip.family'],
  ),
  sample(
    'RIPng',
    udpFrame6(
      bytes('02 01 0000', ip6('2001:db8:1::'), '0007 30 01', ip6('2001:db8:2::'), '0000 30 02'),
      { source: 521, destination: 521 },
    ),
  ),
  sample(
    'OSPF hello',
    frame(0x0800, packet4(89, message(ospf('02', '01', hello2, '0000 0000000000000000'), 12))),
  ),
  sample(
    'OSPF hello with a password',
    frame(0x0800, packet4(89, ospf('02', '01', hello2, bytes('0001', ascii('password'))))),
  ),
  sample(
    'OSPF hello with a digest',
    frame(
      0x0800,
      packet4(89, bytes(ospf('02', '01', hello2, '0002 0000 01 10 00000007'), 'dd'.repeat(16))),
    ),
  ),
  sample(
    'OSPF database description',
    frame(
      0x0800,
      packet4(89, message(ospf('02', '02', '05dc 02 07 00001234', '0000 0000000000000000'), 12)),
    ),
  ),
  sample(
    'OSPF v3 hello',
    frame(
      0x86dd,
      packet6(
        89,
        ospf(
          '03',
          '01',
          bytes('00000003 01 000013 000a 0028', ip4('10.0.0.1'), '00000000', ip4('10.0.0.2')),
          '00 00',
        ),
      ),
    ),
  ),
  sample(
    'BGP open',
    tcpFrame(bgp(1, bytes('04 fde8 00b4', ip4('10.0.0.1'), '02 02 00')), peer),
    1,
    ['bgp.open.opt.len'],
  ),
  sample(
    'BGP update and keepalive',
    tcpFrame(
      bytes(
        bgp(
          2,
          bytes(
            '0004 18 0a0200',
            '000e',
            '40 01 01 00',
            '40 02 00',
            '40 03 04',
            ip4('10.0.0.1'),
            '18 0a0100 10 ac10',
          ),
        ),
        bgp(4, ''),
      ),
      peer,
    ),
    1,
    ['protocols'],
  ),
  sample('BGP notification', tcpFrame(bgp(3, '06 04 0102'), peer)),
];

const header5 = '0005 0001 00002710 6553f100 1dcd6500 00000007 02 03 4064';
const flow5 =
  '0a000001 0a000002 0a0000fe 0003 0004 00000005 000001a4 00000fa0 00001f40 0050 c000 00 1b 06 10 fde8 fde9 18 10 0000';
const times = ['cflow.unix_secs', 'cflow.unix_nsecs'];
const template9 = '0000 0010 0100 0002 0008 0004 000c 0004';
const template10 = '0002 0010 0100 0002 0008 0004 000c 0004';
const data = bytes('0100 000c', ip4('10.0.0.1'), ip4('10.0.0.2'));
const structure = (format: number, body: Part): Uint8Array =>
  bytes(number(format, 4), number(bytes(body).length, 4), body);
const packetSample = structure(
  1,
  bytes(
    '00000007 00000003 00000064 000003e8 00000000 00000003 00000004 00000001',
    structure(
      1,
      bytes('00000001 00000040 00000004 00000010', '02 00 00 00 00 0b', macA, '0800 4500'),
    ),
  ),
);
const counterSample = structure(
  2,
  bytes(
    '00000008 00000003 00000001',
    structure(5, '00000064 0000000000000100 00000001 00000002 00000003 00000004'),
  ),
);

export const exportSamples: readonly Sample[] = [
  sample(
    'NetFlow v5',
    udpFrame(bytes(header5, flow5), { source: 40_000, destination: 2055 }),
    1,
    times,
  ),
  sample(
    'NetFlow v9',
    udpFrame(bytes('0009 0002 00002710 6553f100 00000007 00000009', template9, data), {
      source: 40_000,
      destination: 2055,
    }),
  ),
  sample(
    'IPFIX',
    udpFrame(bytes('000a 002c 6553f100 00000007 00000009', template10, data), {
      source: 40_000,
      destination: 4739,
    }),
  ),
  sample(
    'sFlow',
    udpFrame(
      bytes(
        '00000005 00000001',
        ip4('10.0.0.1'),
        '00000000 00000007 00002710 00000002',
        packetSample,
        counterSample,
      ),
      { source: 40_000, destination: 6343 },
    ),
    1,
    ['protocols'],
  ),
  sample(
    'sFlow by IPv6',
    udpFrame(
      bytes('00000005 00000002', ip6('2001:db8::1'), '00000000 00000007 00002710 00000000'),
      {
        source: 40_000,
        destination: 6343,
      },
    ),
  ),
];

export const openFlowSamples: readonly Sample[] = [
  sample(
    'OpenFlow',
    tcpFrame(bytes('01 00 0008 00000001', '01 02 000c 00000002 01020304'), {
      source: 40_000,
      destination: 6653,
    }),
    1,
    ['protocols'],
  ),
];
