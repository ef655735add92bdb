import {
  ascii,
  bytes,
  ip4,
  ip6,
  number,
  type Part,
  tcpFrame,
  udpFrame,
} from '../../harness/packets.ts';
import { type Sample, sample } from './sample.ts';

/** Labels with their lengths, and the root. */
export function labels(name: string): Uint8Array {
  return bytes(
    ...name.split('.').flatMap((label) => [number(label.length, 1), ascii(label)]),
    '00',
  );
}

const www = labels('www.example.org');
const record = (name: Part, type: number, data: Uint8Array, kind = '0001'): Uint8Array =>
  bytes(name, number(type, 2), kind, '00000e10', number(data.length, 2), data);
const asked = (type: number): Uint8Array => bytes(www, number(type, 2), '0001');
/** A response to a question, with so many answers. */
const response = (type: number, ...answers: readonly Uint8Array[]): Uint8Array =>
  bytes('1234 8580 0001', number(answers.length, 2), '0000 0000', asked(type), ...answers);
const dns = (message: Uint8Array): Uint8Array =>
  udpFrame(message, { source: 53, destination: 40_000 });
const mdns = (message: Uint8Array): Uint8Array =>
  udpFrame(message, { source: 5353, destination: 5353, to: '224.0.0.251' });

export const nameSamples: readonly Sample[] = [
  sample('DNS query', dns(bytes('1234 0100 0001 0000 0000 0000', asked(1)))),
  sample(
    'DNS query with extensions',
    dns(
      bytes(
        '1234 0130 0001 0000 0000 0001',
        asked(28),
        '00 0029 1000 00 00 8000 000c',
        '000a 0008 0102030405060708',
      ),
    ),
    // The root is written as text there.
    1,
    ['dns.resp.name'],
  ),
  sample(
    'DNS address',
    dns(response(1, record('c00c', 1, ip4('192.0.2.1')), record('c00c', 1, ip4('192.0.2.2')))),
  ),
  sample('DNS address of IPv6', dns(response(28, record('c00c', 28, ip6('2001:db8::1'))))),
  sample('DNS alias', dns(response(1, record('c00c', 5, bytes('03', ascii('web'), 'c010'))))),
  sample(
    'DNS mail',
    dns(response(15, record('c00c', 15, bytes('000a 04', ascii('mail'), 'c010')))),
  ),
  sample('DNS servers', dns(response(2, record('c010', 2, bytes('03', ascii('ns1'), 'c010'))))),
  sample('DNS pointer', dns(response(12, record('c00c', 12, labels('host.example.org'))))),
  sample(
    'DNS text',
    dns(response(16, record('c00c', 16, bytes('05', ascii('a=one'), '05', ascii('b=two'))))),
  ),
  sample(
    'DNS authority',
    dns(
      bytes(
        bytes('1234 8583 0001 0000 0001 0000', asked(1)),
        record(
          'c010',
          6,
          bytes(
            '02',
            ascii('ns'),
            'c010',
            '05',
            ascii('admin'),
            'c010',
            '00000001 00000e10 00000384 00093a80 0000012c',
          ),
        ),
      ),
    ),
  ),
  sample(
    'DNS service',
    dns(
      bytes(
        bytes('1234 8180 0001 0001 0000 0000', labels('_sip._tcp.example.org'), '0021 0001'),
        record('c00c', 33, bytes('000a 0014 13c4', labels('sip.example.org'))),
      ),
    ),
    // The name of a service has a field of its own there.
    1,
    ['dns.resp.name'],
  ),
  sample('DNS unknown record', dns(response(65400, record('c00c', 65400, bytes('01020304'))))),
  sample('DNS failure', dns(bytes('1234 8182 0001 0000 0000 0000', asked(1)))),
  sample(
    'DNS over TCP',
    tcpFrame(bytes('0021', '1234 0100 0001 0000 0000 0000', asked(1)), {
      source: 40_000,
      destination: 53,
    }),
  ),
  sample(
    'mDNS query',
    mdns(bytes('0000 0000 0001 0000 0000 0000', labels('_http._tcp.local'), '000c 8001')),
  ),
  sample(
    'mDNS response',
    mdns(
      bytes(
        '0000 8400 0000 0002 0000 0000',
        record(labels('_http._tcp.local'), 12, bytes('03', ascii('box'), 'c00c')),
        record(labels('box.local'), 1, ip4('10.0.0.9'), '8001'),
      ),
    ),
  ),
];

const time = 'e3c1a000 80000000';

export const timeSamples: readonly Sample[] = [
  sample(
    'NTP client',
    udpFrame(bytes('23 00 06 20 00000000 00000000 00000000', '00'.repeat(24), time), {
      source: 123,
      destination: 123,
    }),
    1,
    ['ntp.reftime', 'ntp.org', 'ntp.rec', 'ntp.xmt'],
  ),
  sample(
    'NTP server',
    udpFrame(bytes('24 02 06 e8 00000a3d 00000f5c 0a000001', time, time, time, time), {
      source: 123,
      destination: 123,
    }),
    1,
    ['ntp.reftime', 'ntp.org', 'ntp.rec', 'ntp.xmt'],
  ),
  sample(
    'NTP with a key',
    udpFrame(
      bytes(
        '24 02 06 e8 00000a3d 00000f5c 0a000001',
        time,
        time,
        time,
        time,
        '00000001',
        'ab'.repeat(16),
      ),
      { source: 123, destination: 123 },
    ),
    1,
    ['ntp.reftime', 'ntp.org', 'ntp.rec', 'ntp.xmt'],
  ),
];

const web = { source: 40_000, destination: 80 };
const back = { source: 80, destination: 40_000 };
const secure = { source: 40_000, destination: 443 };

const extension = (type: number, data: Uint8Array): Uint8Array =>
  bytes(number(type, 2), number(data.length, 2), data);
const counted = (length: number, data: Uint8Array): Uint8Array =>
  bytes(number(data.length, length), data);
const handshake = (type: number, body: Uint8Array): Uint8Array =>
  bytes(number(type, 1), number(body.length, 3), body);
const record3 = (type: number, body: Uint8Array, version = '0301'): Uint8Array =>
  bytes(number(type, 1), version, number(body.length, 2), body);

const hello = handshake(
  1,
  bytes(
    '0303',
    'a1'.repeat(32),
    counted(1, bytes('b2'.repeat(32))),
    counted(2, bytes('1301 1302 c02f')),
    counted(1, bytes('00')),
    counted(
      2,
      bytes(
        extension(0, counted(2, bytes('00', counted(2, ascii('www.example.org'))))),
        extension(16, counted(2, bytes(counted(1, ascii('h2')), counted(1, ascii('http/1.1'))))),
        extension(43, counted(1, bytes('0304 0303'))),
        extension(23, bytes('')),
        extension(0x1234, bytes('0102')),
      ),
    ),
  ),
);
const serverHello = handshake(
  2,
  bytes(
    '0303',
    'c3'.repeat(32),
    counted(1, bytes('')),
    '1301 00',
    counted(2, extension(43, bytes('0304'))),
  ),
);

export const webSamples: readonly Sample[] = [
  sample(
    'HTTP request',
    tcpFrame(
      ascii('GET /index.html?a=1 HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n'),
      web,
    ),
  ),
  sample(
    'HTTP response',
    tcpFrame(ascii('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'), back),
  ),
  sample(
    'HTTP response without a reason',
    tcpFrame(ascii('HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'), back),
  ),
  sample('TLS client hello', tcpFrame(record3(22, hello), secure)),
  sample(
    'TLS server hello and more',
    tcpFrame(
      bytes(
        record3(22, serverHello, '0303'),
        record3(20, bytes('01'), '0303'),
        record3(23, bytes('dd'.repeat(40)), '0303'),
      ),
      { source: 443, destination: 40_000 },
    ),
    // Of what is encrypted it is named otherwise.
    1,
    ['tls.record.content_type'],
  ),
  sample('TLS alert', tcpFrame(record3(21, bytes('02 28'), '0303'), secure)),
];
