/** Files of captures, whole and damaged, as they come in pieces of any size. */
import { describe, expect, it } from 'vitest';
import type {
  CapturedPacket,
  CaptureFault,
} from '../../../agent/dissect/capture/captured-packet.ts';
import { CaptureReader } from '../../../agent/dissect/capture/capture-reader.ts';
import { textOfFault } from '../../../agent/dissect/capture/fault-text.ts';
import {
  block,
  classicCapture,
  interfaceBlock,
  join,
  option,
  ordered,
  packetBlock,
  sectionHeader,
} from '../../harness/captures.ts';
import { ascii, bytes, number } from '../../harness/packets.ts';
import { runTsharkOn } from '../../harness/tshark.ts';

interface Read {
  readonly packets: readonly CapturedPacket[];
  readonly faults: readonly CaptureFault[];
}

function read(file: Uint8Array, pieceLength = file.length): Read {
  const reader = new CaptureReader();
  const packets: CapturedPacket[] = [];
  const faults: CaptureFault[] = [];
  const take = (items: ReturnType<CaptureReader['push']>): void => {
    for (const item of items) {
      if (item.kind === 'fault') faults.push(item.fault);
      // Its view is good until the next piece.
      else packets.push({ ...item.packet, bytes: item.packet.bytes.slice() });
    }
  };
  for (let at = 0; at < file.length; at += Math.max(1, pieceLength)) {
    take(reader.push(file.slice(at, at + Math.max(1, pieceLength))));
  }
  take(reader.end());
  return { packets, faults };
}

const frames = [bytes('01'.repeat(60)), bytes('02'.repeat(61)), bytes('03'.repeat(1500))];

describe('pcap', () => {
  for (const littleEndian of [false, true]) {
    for (const nanoseconds of [false, true]) {
      const order = littleEndian ? 'little' : 'big';
      it(`reads ${order}-endian files of ${nanoseconds ? 'nanoseconds' : 'microseconds'}`, () => {
        const file = classicCapture(
          frames.map((frame) => ({
            bytes: frame,
            wireLength: 2000,
            seconds: 5,
            fraction: 123_456,
          })),
          { littleEndian, nanoseconds, linkType: 113 },
        );
        const { packets, faults } = read(file);
        expect(faults).toEqual([]);
        expect(packets.map((packet) => packet.bytes)).toEqual(frames);
        expect(packets[1]).toMatchObject({
          number: 2,
          offset: 24 + 16 + 60,
          time: { seconds: 5, nanoseconds: nanoseconds ? 123_456 : 123_456_000 },
          interface: { index: 0, name: null, linkType: 113 },
          wireLength: 2000,
        });
      });
    }
  }

  it('gives the same in pieces of any size', () => {
    const file = classicCapture(frames.map((frame) => ({ bytes: frame })));
    const whole = read(file);
    for (const size of [1, 2, 7, 16, 24, 25, 61, 1000]) expect(read(file, size)).toEqual(whole);
  });

  it('gives the complete packets of a file that was cut off, and names the byte', () => {
    const file = classicCapture(frames.map((frame) => ({ bytes: frame })));
    const ends = [24, 24 + 76, 24 + 76 + 77];
    for (let length = 0; length < file.length; length += 1) {
      const { packets, faults } = read(file.slice(0, length));
      const complete = ends.filter((end) => end <= length);
      expect(packets).toHaveLength(Math.max(0, complete.length - 1));
      if (ends.includes(length)) expect(faults).toEqual([]);
      else {
        expect(faults).toHaveLength(1);
        if (length >= 24)
          expect(faults[0]).toMatchObject({ kind: 'cut-off', offset: complete.at(-1) });
      }
    }
  });

  it('ends at a length that cannot be', () => {
    const file = classicCapture(frames.map((frame) => ({ bytes: frame })));
    file.set(bytes('ff ff ff ff'), 24 + 76 + 8);
    expect(read(file)).toMatchObject({
      packets: [{ number: 1 }],
      faults: [{ kind: 'bad-length', offset: 24 + 76 + 8, ends: true, detail: '4294967295' }],
    });
  });

  it('refuses another version', () => {
    const file = classicCapture([]);
    file[4] = 9;
    expect(read(file).faults).toMatchObject([{ kind: 'unsupported-version', offset: 4 }]);
  });
});

describe('pcapng', () => {
  it('reads sections of both byte orders, each with its own interfaces', () => {
    const section = (littleEndian: boolean, name: string): Uint8Array =>
      join([
        sectionHeader(littleEndian),
        interfaceBlock(1, [option(2, ascii(name), littleEndian), option(9, '09', littleEndian)], {
          littleEndian,
        }),
        packetBlock(
          { bytes: frames[0] ?? bytes(''), time: 1_700_000_000_123_456_789n },
          littleEndian,
        ),
      ]);
    const { packets, faults } = read(join([section(false, 'first'), section(true, 'second')]));
    expect(faults).toEqual([]);
    const time = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    expect(packets).toMatchObject([
      { number: 1, time, interface: { index: 0, name: 'first', linkType: 1 } },
      { number: 2, time, interface: { index: 0, name: 'second', linkType: 1 } },
    ]);
  });

  it('reads times of any resolution and offset', () => {
    const cases: readonly (readonly [string, bigint, { seconds: number; nanoseconds: number }])[] =
      [
        ['03', 5_250n, { seconds: 5, nanoseconds: 250_000_000 }],
        ['06', 5_000_001n, { seconds: 5, nanoseconds: 1000 }],
        ['0c', 5_000_000_000_999n, { seconds: 5, nanoseconds: 0 }],
        ['81', 11n, { seconds: 5, nanoseconds: 500_000_000 }],
        ['a0', (5n << 32n) + (1n << 30n), { seconds: 5, nanoseconds: 250_000_000 }],
        ['00', 5n, { seconds: 5, nanoseconds: 0 }],
      ];
    for (const [resolution, time, wanted] of cases) {
      const file = join([
        sectionHeader(),
        interfaceBlock(1, [option(9, resolution)]),
        packetBlock({ bytes: bytes('aa'), time }),
      ]);
      expect(read(file).packets[0]?.time).toEqual(wanted);
    }
    const later = join([
      sectionHeader(),
      interfaceBlock(1, [option(14, ordered(1000, 8, true))]),
      packetBlock({ bytes: bytes('aa'), time: 5_000_000n }),
    ]);
    expect(read(later).packets[0]?.time).toEqual({ seconds: 1005, nanoseconds: 0 });
  });

  it('reads simple packets and the packets of old, and skips blocks that it does not know', () => {
    const long = new Uint8Array(3_000_000);
    const file = join([
      sectionHeader(),
      interfaceBlock(1, [], { snapLength: 40 }),
      block(0x0bad, long),
      block(3, join([ordered(60, 4, true), bytes('05'.repeat(40))])),
      // A packet block: interface, drops, time, lengths.
      block(
        2,
        join([
          bytes('0000 0300 00000000 00000000'),
          ordered(2, 4, true),
          ordered(9, 4, true),
          bytes('0607'),
        ]),
      ),
      block(5, bytes('00000000 00000000 00000000')),
    ]);
    for (const size of [file.length, 4096]) {
      const { packets, faults } = read(file, size);
      expect(faults).toEqual([]);
      expect(packets).toMatchObject([
        { bytes: bytes('05'.repeat(40)), wireLength: 60, time: null },
        { bytes: bytes('0607'), wireLength: 9, time: { seconds: 0, nanoseconds: 0 } },
      ]);
    }
  });

  it('leaves out a packet that is damaged, and goes on', () => {
    const good = packetBlock({ bytes: bytes('aa') });
    const tooLong = packetBlock({ bytes: bytes('bb') });
    tooLong.set(bytes('ff 00 00 00'), 20);
    const stray = packetBlock({ bytes: bytes('cc'), interface: 3 });
    const head = join([sectionHeader(), interfaceBlock(1)]);
    const file = join([head, good, tooLong, stray, good]);
    expect(read(file)).toMatchObject({
      packets: [{ number: 1 }, { number: 2 }],
      faults: [
        { kind: 'bad-length', offset: head.length + good.length + 20, ends: false, detail: '255' },
        { kind: 'unknown-interface', offset: head.length + 2 * good.length + 8, detail: '3' },
      ],
    });
  });

  it('ends where the two lengths of a block differ', () => {
    const head = join([sectionHeader(), interfaceBlock(1)]);
    const bad = packetBlock({ bytes: bytes('aa') });
    bad.set(bytes('77'), bad.length - 4);
    const file = join([head, packetBlock({ bytes: bytes('bb') }), bad]);
    expect(read(file)).toMatchObject({
      packets: [{ number: 1 }],
      faults: [{ kind: 'length-mismatch', offset: file.length - 4, ends: true }],
    });
  });

  it('says at which byte it was cut off', () => {
    const head = join([sectionHeader(), interfaceBlock(1)]);
    const first = packetBlock({ bytes: bytes('aa'.repeat(50)) });
    const file = join([head, first, first]);
    for (let length = head.length + first.length + 1; length < file.length; length += 1) {
      const { packets, faults } = read(file.slice(0, length));
      expect(packets).toHaveLength(1);
      expect(faults).toMatchObject([{ kind: 'cut-off', offset: head.length + first.length }]);
    }
  });

  it('survives any bytes', () => {
    let state = 12_345;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x7fffffff;
    };
    const file = join([
      sectionHeader(),
      interfaceBlock(1, [option(2, ascii('eth0')), option(9, '09')]),
      ...frames.map((frame) => packetBlock({ bytes: frame.slice(0, 80) })),
    ]);
    for (let round = 0; round < 20_000; round += 1) {
      const changed = file.slice();
      for (let change = 0; change < 3; change += 1) {
        changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
      }
      const { packets, faults } = read(changed);
      expect(packets.length).toBeLessThanOrEqual(file.length / 12);
      for (const fault of faults) expect(textOfFault(fault).reason).not.toBe('');
    }
  });
});

describe('what is no capture', () => {
  const cases: readonly (readonly [string, Uint8Array, object])[] = [
    ['nothing', bytes(''), { kind: 'cut-off' }],
    ['a few bytes', bytes('d4c3'), { kind: 'not-a-capture' }],
    ['a text', ascii('# Netloom\n'), { kind: 'not-a-capture', detail: '0x23204e65' }],
    ['a compressed file', bytes('1f8b0800 00000000'), { kind: 'other-format', detail: 'gzip' }],
    [
      'a section of no byte order',
      bytes('0a0d0d0a 0000001c 01020304', number(0, 16)),
      { kind: 'not-a-capture', offset: 8 },
    ],
  ];
  it.each(cases)('is refused: %s', (_, file, fault) => {
    expect(read(file)).toMatchObject({ packets: [], faults: [{ ends: true, ...fault }] });
  });
});

describe('beside tshark', () => {
  it('has the same times, lengths and interfaces', () => {
    const file = join([
      sectionHeader(),
      interfaceBlock(1, [option(2, ascii('eth0')), option(9, '09')]),
      interfaceBlock(101, [
        option(2, ascii('tun0')),
        option(9, '86'),
        option(14, ordered(7, 8, true)),
      ]),
      packetBlock({
        bytes: frames[0] ?? bytes(''),
        time: 1_700_000_000_123_456_789n,
        wireLength: 99,
      }),
      packetBlock({ interface: 1, bytes: bytes('45'.repeat(30)), time: 64n * 1_700_000_000n + 5n }),
      sectionHeader(false),
      interfaceBlock(1, [option(2, ascii('eth0'), false)], { littleEndian: false }),
      packetBlock({ bytes: frames[1] ?? bytes(''), time: 1_700_000_000_123_456n }, false),
    ]);
    const columns = [
      'frame.number',
      'frame.time_epoch',
      'frame.len',
      'frame.cap_len',
      'frame.interface_name',
    ];
    const theirs = runTsharkOn(file, ['-T', 'fields', ...columns.flatMap((name) => ['-e', name])]);
    const ours = read(file).packets.map((packet) => {
      const { seconds, nanoseconds } = packet.time ?? { seconds: 0, nanoseconds: 0 };
      const time = `${String(seconds)}.${String(nanoseconds).padStart(9, '0')}`;
      return [
        packet.number,
        time,
        packet.wireLength,
        packet.bytes.length,
        packet.interface.name,
      ].join('\t');
    });
    expect(ours).toEqual(theirs.trim().split('\n'));
  });
});
