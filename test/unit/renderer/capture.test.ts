import { describe, expect, it } from 'vitest';
import {
  describeFrame,
  frameHex,
  mostFrames,
  readCapture,
} from '../../../renderer/topology/openflow/capture.ts';

const octets = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

/** A SYN from 192.0.2.1:40000 to 192.0.2.2:80. */
const syn =
  '020000000002' +
  '020000000001' +
  '0800' +
  '450000280001000040060000c0000201c0000202' +
  '9c40005000000001000000005002ffff00000000';

describe('a frame that is pasted', () => {
  const begins = '02000000000202000000000108004500';
  it.each([
    ['bare', '02000000000202000000000108004500'],
    ['in groups', '020000000002 020000000001 0800 4500'],
    ['with colons', '02:00:00:00:00:02:02:00:00:00:00:01:08:00:45:00'],
    ['with 0x', '0x02000000000202000000000108004500'],
    ['from Wireshark', '0000   02 00 00 00 00 02 02 00 00 00 00 01 08 00 45 00   ..........E.'],
    ['from tcpdump -xx', '\t0x0000:  0200 0000 0002 0200 0000 0001 0800 4500'],
    ['from xxd', '00000000: 0200 0000 0002 0200 0000 0001 0800 4500  ..............E.'],
    [
      'from hexdump -C',
      '00000000  02 00 00 00 00 02 02 00  00 00 00 01 08 00 45 00  |..............E.|',
    ],
    ['from od', '0000000 02 00 00 00 00 02 02 00 00 00 00 01 08 00 45 00'],
  ])('is read %s', (_way, text) => {
    expect(frameHex(text)).toEqual({ ok: true, hex: begins });
  });

  it('may go on over lines, the last one shorter and with letters that look like octets', () => {
    const text =
      '00000000: 0200 0000 0002 0200 0000 0001 0800 4500  ..............E.\n' +
      '00000010: 6162 6364                                abcd\n';
    expect(frameHex(text)).toEqual({ ok: true, hex: `${begins}61626364` });
  });

  it('is refused for what is wrong with it', () => {
    expect(frameHex(' \n')).toEqual({ ok: false, reason: 'empty' });
    expect(frameHex('hello')).toEqual({ ok: false, reason: 'digits' });
    expect(frameHex(`${syn}0`)).toEqual({ ok: false, reason: 'half' });
    expect(frameHex('0200')).toEqual({ ok: false, reason: 'short' });
    expect(frameHex('00'.repeat(9239))).toEqual({ ok: false, reason: 'long' });
  });
});

describe('a capture file', () => {
  /** Numbers of four octets, the least significant first, and octets. */
  const file = (...parts: readonly (number | string)[]): Uint8Array =>
    octets(
      parts
        .map((part) => {
          if (typeof part === 'string') return part;
          const word = Buffer.alloc(4);
          word.writeUInt32LE(part);
          return word.toString('hex');
        })
        .join(''),
    );
  const length = syn.length / 2;

  it('is read as pcap, and what was cut off is made up', () => {
    const cut = 40;
    const found = readCapture(
      file(
        ...[0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1],
        ...[1, 2, length, length, syn],
        ...[1, 3, cut, length, syn.slice(0, cut * 2)],
      ),
    );
    expect(found).toEqual([
      { number: 1, hex: syn, summary: '192.0.2.1:40000 → 192.0.2.2:80 TCP' },
      {
        number: 2,
        hex: syn.slice(0, cut * 2).padEnd(syn.length, '0'),
        summary: '192.0.2.1:40000 → 192.0.2.2:80 TCP',
      },
    ]);
  });

  it('is read as pcapng, frames of Ethernet only', () => {
    const padded = syn.padEnd(Math.ceil(length / 4) * 8, '0');
    const packet = (link: number) =>
      [
        6,
        32 + padded.length / 2,
        link,
        0,
        0,
        length,
        length,
        padded,
        32 + padded.length / 2,
      ] as const;
    const found = readCapture(
      file(
        ...['0a0d0d0a', 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28],
        // Ethernet, then the kernel's cooked mode.
        ...[1, 20, 1, 0, 20],
        ...[1, 20, 113, 0, 20],
        ...packet(1),
        ...packet(0),
      ),
    );
    expect(found?.map((each) => each.hex)).toEqual([syn]);
  });

  it('ends where it is broken off, and lists no more than a person reads', () => {
    const head = [0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1] as const;
    const packet = [1, 2, length, length, syn] as const;
    const whole = file(...head, ...packet, ...packet);
    expect(readCapture(whole.subarray(0, whole.length - 1))).toHaveLength(1);
    const many = Array.from({ length: mostFrames + 1 }, () => packet).flat();
    expect(readCapture(file(...head, ...many))).toHaveLength(mostFrames);
  });

  it('is nothing else', () => {
    expect(readCapture(octets('00'.repeat(64)))).toBeNull();
    expect(readCapture(octets(''))).toBeNull();
  });
});

describe('a frame in a list', () => {
  it.each([
    [
      'arp',
      'ffffffffffff0200000000010806' + '0001080006040001020000000001c0000201000000000000c0000202',
      '192.0.2.1 → 192.0.2.2 ARP',
    ],
    [
      'with a tag',
      `0200000000020200000000018100000a0800${syn.slice(28)}`,
      '192.0.2.1:40000 → 192.0.2.2:80 TCP VLAN 10',
    ],
    [
      'ipv6',
      '33330000000102000000000186dd' +
        '6000000000083aff' +
        'fe800000000000000000000000000001' +
        'ff020000000000000000000000000001' +
        '8000000000000000',
      'fe80::1 → ff02::1 ICMPv6',
    ],
    ['another', '01005e00000102000000000188b50000', '02:00:00:00:00:01 → 01:00:5e:00:00:01 0x88b5'],
  ])('is told apart: %s', (_kind, hex, summary) => {
    expect(describeFrame(octets(hex))).toBe(summary);
  });
});
