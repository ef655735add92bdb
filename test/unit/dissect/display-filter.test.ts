/** Display filters: the same packets as `tshark -Y` chooses, faults with their places, and nothing that throws. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../../agent/dissect/capture/capture-reader.ts';
import type { CapturedPacket } from '../../../agent/dissect/capture/captured-packet.ts';
import { dissect } from '../../../agent/dissect/dissect.ts';
import { fieldCatalogue } from '../../../agent/dissect/field-catalogue.ts';
import { displayFilter } from '../../../agent/dissect/filter/display-filter.ts';
import { runTsharkOn } from '../../harness/tshark.ts';
import { sampleCapture } from './sample-capture.ts';

const capture = sampleCapture();

function readAll(): CapturedPacket[] {
  const reader = new CaptureReader();
  return [...reader.push(capture), ...reader.end()].map((item) => {
    if (item.kind === 'fault') throw new Error(JSON.stringify(item.fault));
    return item.packet;
  });
}

const packets = readAll();
const dissections = packets.map(({ bytes, interface: from, wireLength }) =>
  dissect(bytes, from.linkType, wireLength),
);

function chosen(text: string): number[] {
  const filter = displayFilter(text);
  if (!filter.ok) throw new Error(`${text}: ${filter.failure.reason}`);
  return packets.flatMap((packet, index) => {
    const dissection = dissections[index];
    return dissection !== undefined && filter.value.matches(packet, dissection)
      ? [packet.number]
      : [];
  });
}

function chosenByTshark(text: string): number[] {
  const lines = runTsharkOn(capture, ['-Y', text, '-T', 'fields', '-e', 'frame.number']);
  return lines.split('\n').filter(Boolean).map(Number);
}

/** Each chooses some packets of the samples and not all, unless it says so. */
const filters: readonly string[] = [
  'tcp',
  'udp && !dns',
  'ip and not (tcp or udp)',
  'ip.addr == 10.0.0.1',
  'ip.addr == 10.0.0.0/8 && icmp',
  'ip.src == 10.0.0.2/32 or arp.opcode == 2',
  'ip.addr != 10.0.0.2 && !ip.opt.ptr',
  'ip.src[0:2] == 0a:00 && ip.dst[3] == 02 && !ip.opt.ptr',
  'tcp.port not in {80, 443}',
  'ip.addr !== 10.0.0.1',
  'ip.addr === 10.0.0.0/30',
  '!(ip.addr == 10.0.0.1)',
  'ip.ttl < 64',
  'ip.ttl >= 64 and ip.ttl <= 0x40',
  'ip.id == 0x1234',
  'ip.len gt 100',
  'ip.src < 10.0.0.2',
  'ip.src == ip.dst or eth.src == 02:00:00:00:00:0b',
  'eth.dst == ff-ff-ff-ff-ff-ff',
  'eth.addr[0:3] == 01:80:c2',
  'eth.src[5] == 0a',
  'eth.dst[-1:] == 0e',
  'frame[12:2] == 08:06',
  'frame[12-13] == 86:dd',
  'ipv6.addr == 2001:db8::/32',
  'ipv6.src == 2001:db8::1',
  'ipv6.nxt == 58 && icmpv6.type in {133..136}',
  'tcp.port == 80',
  'tcp.port in {80, 443, 8000..8080}',
  'udp.port in {53,5353}',
  'tcp.dstport != 80',
  'udp.srcport == udp.dstport',
  'tcp.flags.syn == 1',
  'tcp.flags.syn == 1 && tcp.flags.ack == 0',
  'tcp.flags.syn == True or ip.flags.df == False',
  'tcp.flags & 0x02',
  'tcp.flags & 0x12 == 0x10',
  'tcp.options.mss_val',
  'vlan.id == 10',
  'vlan or ieee8021ad',
  'dns.qry.name contains "example"',
  'dns.qry.name matches "^(www|mail)\\\\."',
  'dns.qry.name matches r"\\.(org|com)$"',
  'dns.qry.type == 28 || dns.a == 192.0.2.0/24',
  'dns.a or dns.aaaa',
  'dns.count.answers > 1',
  'http.request.method == "GET"',
  'http.request.method in {"GET", "HEAD", "POST"}',
  'http.request.uri matches "INDEX|^/$"',
  'http.response.code >= 400',
  'tls.handshake.extensions_server_name == "www.example.org"',
  'tls.handshake.extensions_server_name matches "^www.*e\\\\b"',
  'tls.handshake.random[0:4] != 00:00:00:00',
  'tls.handshake.ciphersuite == 0x1301',
  'frame contains "abc"',
  'frame contains 00:01:08:00:06:04',
  'frame matches "example"',
  'udp contains "to nobody" && !icmp.redir_gw',
  'icmp && udp',
  'gre or vxlan or geneve',
  'vxlan.vni == 42 or geneve.vni > 0',
  'frame.len > 100 and frame.number < 40',
  'frame.interface_name == "link1" && frame.cap_len < 61',
  'dhcp.option.dhcp == 1',
  'dhcp.hw.mac_addr == 02:00:00:00:00:0a',
  'stp.root.hw',
  'lldp.tlv.system.name contains "s"',
  'icmp.type == 8 or icmp.type == 0',
  'ntp.flags.mode == 4',
  'ospf.hello.hello_interval == 10',
  'rip.metric > 1',
  'cflow.octets > 0',
  'not arp and !ip and not ipv6',
  'igmp.maddr == 224.0.0.0/4',
  'tcp.window_size_value == 0xffff and not tls and not http',
];

describe('beside tshark', () => {
  it.each(filters)('%s', (text) => {
    const theirs = chosenByTshark(text);
    expect(chosen(text)).toEqual(theirs);
    expect(theirs.length).toBeGreaterThan(0);
    expect(theirs.length).toBeLessThan(packets.length);
  });
});

describe('beyond tshark', () => {
  it('takes the value on the left', () => {
    expect(chosen('100 < ip.len')).toEqual(chosen('ip.len > 100'));
    expect(chosen('"GET" == http.request.method')).toEqual(chosen('http.request.method == GET'));
  });

  it('knows numbers that are not exact', () => {
    const packet = packets[0];
    const dissection = dissections[0];
    if (packet === undefined || dissection === undefined) throw new Error('no sample');
    const is = (text: string): boolean => {
      const filter = displayFilter(text);
      if (!filter.ok) throw new Error(filter.failure.reason);
      return filter.value.matches(packet, dissection);
    };
    expect(is('frame.number < 0xffffffffffffffff')).toBe(true);
    expect(is('frame.number == 18446744073709551615')).toBe(false);
    expect(is('frame.number & 0xffffffffffffffff == 1')).toBe(true);
    expect(is('frame.time_epoch < 0.5')).toBe(true);
  });

  it('takes bytes of IPv6 prefixes and of 64 bits from where they are', () => {
    expect(chosen('ripng.rte.ipv6_prefix == 2001:db8::/32').length).toBeGreaterThan(0);
  });
});

describe('what cannot be read', () => {
  const faults: readonly (readonly [
    filter: string,
    code: string,
    position: number,
    words: string,
  ])[] = [
    ['', 'filter-syntax', 1, 'there is nothing to look for'],
    ['tcp.prot == 80', 'filter-unknown-field', 1, 'there is no field or protocol tcp.prot'],
    ['ip && tcp.flags.sin', 'filter-unknown-field', 7, 'tcp.flags.sin'],
    ['ip.addr == 10.0.0', 'filter-wrong-type', 12, '"10.0.0" is no value for ip.addr'],
    ['ip.addr == 10.0.0.0/33', 'filter-wrong-type', 12, 'which is an IPv4 address'],
    ['ip.ttl == "64"', 'filter-wrong-type', 11, 'which is a number'],
    ['ip.ttl == 08', 'filter-wrong-type', 11, '"08" is no value'],
    ['eth.src == 02:00', 'filter-wrong-type', 12, 'which is a hardware address'],
    ['ip.ttl contains 4', 'filter-wrong-type', 8, 'contains is asked of ip.ttl'],
    ['ip.ttl[0] == 04', 'filter-wrong-type', 7, 'bytes are asked for of ip.ttl'],
    ['eth.src[a] == 02', 'filter-syntax', 8, '[a] names no bytes'],
    ['eth.src[3-1] == 02', 'filter-syntax', 8, '[3-1] names no bytes'],
    ['eth.src[0:3]', 'filter-syntax', 1, 'held against nothing'],
    ['ip.addr & 1', 'filter-wrong-type', 11, 'bits are asked for of ip.addr'],
    ['tcp.flags & x', 'filter-wrong-type', 13, 'no number behind &'],
    ['ip.src == tcp.srcport', 'filter-wrong-type', 11, 'tcp.srcport is a number'],
    ['tcp.options == 1', 'filter-wrong-type', 13, 'without a value of its own'],
    ['tcp.port in 80', 'filter-syntax', 13, '80 is not expected'],
    ['tcp.port in {80', 'filter-syntax', 16, 'it ends too early'],
    ['tcp.port in {80 443}', 'filter-syntax', 17, '443 is not expected'],
    ['tcp udp', 'filter-syntax', 5, 'udp is not expected'],
    ['(tcp', 'filter-syntax', 5, 'it ends too early'],
    ['tcp)', 'filter-syntax', 4, ') is not expected'],
    ['tcp and', 'filter-syntax', 8, 'it ends too early'],
    ['tcp.port == ', 'filter-syntax', 13, 'it ends too early'],
    ['"tcp"', 'filter-syntax', 1, 'a text where a field is expected'],
    ['http.request.uri == "/', 'filter-syntax', 21, 'This string is not closed'],
    ['tcp.port == %', 'filter-syntax', 13, '% has no meaning here'],
    ['frame matches a', 'filter-wrong-type', 15, 'no text in double quotes'],
    ['frame matches "(a"', 'filter-pattern', 15, 'at its character 1: This ( is not closed'],
    ['frame matches "((a{200}){200}){200}"', 'filter-pattern', 15, 'more than 1000 steps'],
    ['frame matches "((){255}){255}"', 'filter-pattern', 15, 'more than 1000 steps'],
    [`${'('.repeat(70)}tcp${')'.repeat(70)}`, 'filter-syntax', 65, 'too many parentheses'],
    [`${'!'.repeat(9_000)}tcp`, 'filter-syntax', 65, 'too many parentheses and negations'],
    ['!'.repeat(10_001), 'filter-too-long', 1, '10001 characters'],
  ];

  it.each(faults)('%s', (text, code, position, words) => {
    const filter = displayFilter(text);
    if (filter.ok) throw new Error('it was read');
    expect(filter.failure).toMatchObject({ code, values: { position } });
    expect(filter.failure.reason).toContain(words);
    expect(filter.failure.next).toMatch(/^.+[.?!}]$/);
  });

  it('names what may have been meant', () => {
    const filter = displayFilter('tcp.prot == 80');
    expect(filter.ok ? '' : filter.failure.next).toContain('Did you mean tcp.port?');
  });
});

describe('whatever is written', () => {
  const names = [...fieldCatalogue().map(({ name }) => name), 'frame', 'tcp', 'ip.addr'];
  const words = fc.constantFrom(
    ...['and', 'or', 'not', '!', '(', ')', '{', '}', ',', '..', '==', '!=', '<', '>=', '&', 'in'],
    ...['contains', 'matches', '~', '[0:3]', '[-1]', '[9-]', '"a"', '"(a|b)*"', 'r"\\d+"', '64'],
    ...['0x2', '-1', '10.0.0.0/8', '2001:db8::/32', '02:00:00:00:00:0a', 'true', '1.5', '"'],
  );

  it('never throws, neither when it is read nor on any packet', () => {
    const some = fc.array(fc.oneof(words, fc.constantFrom(...names), fc.string({ maxLength: 4 })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(some, (parts) => {
        const filter = displayFilter(parts.join(' '));
        if (!filter.ok) return;
        for (const [index, packet] of packets.entries()) {
          const dissection = dissections[index];
          if (dissection !== undefined) filter.value.matches(packet, dissection);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('chooses what its negation does not', () => {
    const one = fc.tuple(
      fc.constantFrom(...names),
      fc.constantFrom('', '== 1', '!= "a"', 'contains "a"', '< 10.0.0.2', 'in {1, 3..5}', '& 3'),
    );
    fc.assert(
      fc.property(one, ([name, rest]) => {
        const text = `${name} ${rest}`;
        if (!displayFilter(text).ok) return;
        const both = [...chosen(text), ...chosen(`not (${text})`)].sort((a, b) => a - b);
        expect(both).toEqual(packets.map(({ number }) => number));
      }),
      { numRuns: 300 },
    );
  });
});
