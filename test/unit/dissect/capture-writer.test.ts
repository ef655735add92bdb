/** Files of pcapng as they are written, read by tshark and by our own reader. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../../agent/dissect/capture/capture-reader.ts';
import {
  CaptureWriter,
  interfaceTitle,
  type PacketToWrite,
} from '../../../agent/dissect/capture/capture-writer.ts';
import { join } from '../../harness/captures.ts';
import { ascii, bytes, packet4, udpFrame } from '../../harness/packets.ts';
import { runTsharkOn } from '../../harness/tshark.ts';

const time = { seconds: 1_790_000_000, nanoseconds: 123_456_789 };
const datagram = udpFrame(ascii('hello'), { source: 40_000, destination: 40_001 });
const raw = packet4(17, bytes('9c40 9c41 000b 0000', ascii('raw')));

function written(): Uint8Array {
  const writer = new CaptureWriter();
  const parts = [writer.section('Netloom', 'Linux', 'a capture of two nodes')];
  const add = (
    namespace: string | null,
    name: string,
    linkType: number,
    filter?: string,
  ): number => {
    const made = writer.interface({
      namespace,
      name,
      linkType,
      snapLength: 256,
      comment: `about ${name}`,
      ...(filter === undefined ? {} : { filter }),
    });
    parts.push(made.bytes);
    return made.index;
  };
  const one = add('r1', 'eth0', 1, 'udp port 40000');
  const two = add('r2', 'eth0', 1);
  const host = add(null, 'tun0', 101);
  const packets: PacketToWrite[] = [
    { interface: one, time, bytes: datagram, wireLength: 60, direction: 'sent' },
    {
      interface: two,
      time: { ...time, nanoseconds: 123_456_790 },
      bytes: datagram.subarray(0, 59),
      wireLength: 1500,
      direction: 'received',
      dropped: 7,
      comment: 'cut — näch 59',
    },
    {
      interface: host,
      time: { ...time, seconds: time.seconds + 1 },
      bytes: raw,
      wireLength: raw.length,
    },
  ];
  for (const packet of packets) parts.push(writer.packet(packet));
  parts.push(writer.totals(two, { time, received: 12, dropped: 7, comment: 'the end' }));
  return join(parts);
}

describe('a file of pcapng', () => {
  it('has for tshark the packets, names, directions, times and comments', () => {
    const names = [
      'frame.interface_name',
      'frame.interface_description',
      'frame.packet_flags',
      'frame.time_epoch',
      'frame.cap_len',
      'frame.len',
      'frame.comment',
      'udp.srcport',
    ];
    const said = runTsharkOn(written(), ['-T', 'fields', ...names.flatMap((name) => ['-e', name])]);
    expect(
      said
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')),
    ).toEqual([
      [
        'r1:eth0',
        'interface eth0 of namespace r1',
        '0x00000002',
        '1790000000.123456789',
        '60',
        '60',
        '',
        '40000',
      ],
      [
        'r2:eth0',
        'interface eth0 of namespace r2',
        '0x00000001',
        '1790000000.123456790',
        '59',
        '1500',
        'cut — näch 59',
        '40000',
      ],
      ['tun0', '', '', '1790000001.123456789', String(raw.length), String(raw.length), '', '40000'],
    ]);
  });

  it('has its drops', () => {
    const said = runTsharkOn(written(), ['-T', 'fields', '-e', 'frame.drop_count']);
    expect(said.split('\n').slice(0, 3)).toEqual(['', '7', '']);
  });

  it('is what our own reader has of it', () => {
    const reader = new CaptureReader();
    const items = [...reader.push(written()), ...reader.end()];
    const packets = items.map((item) => (item.kind === 'packet' ? item.packet : item.fault));
    expect(packets).toMatchObject([
      { number: 1, time, interface: { index: 0, name: 'r1:eth0', linkType: 1 }, wireLength: 60 },
      { number: 2, interface: { index: 1, name: 'r2:eth0' }, wireLength: 1500 },
      { number: 3, interface: { index: 2, name: 'tun0', linkType: 101 } },
    ]);
  });

  it('cuts a comment that is longer than an option may be between two characters', () => {
    const writer = new CaptureWriter();
    const parts = [writer.section('Netloom', 'Linux')];
    const { index, bytes: described } = writer.interface({
      namespace: null,
      name: 'lo',
      linkType: 1,
      snapLength: 0,
    });
    parts.push(
      described,
      writer.packet({
        interface: index,
        time,
        bytes: datagram,
        wireLength: 60,
        comment: 'é'.repeat(40_000),
      }),
    );
    const said = runTsharkOn(join(parts), ['-T', 'fields', '-e', 'frame.comment']);
    expect(said.trimEnd()).toBe('é'.repeat(32_767));
  });

  it('gives back whatever was written', () => {
    const names = fc.string({ minLength: 1, maxLength: 15 }).filter((name) => !name.includes('\0'));
    const packet = fc.record({
      bytes: fc.uint8Array({ maxLength: 40 }),
      more: fc.nat(2000),
      seconds: fc.nat(2 ** 33),
      nanoseconds: fc.nat(999_999_999),
      direction: fc.constantFrom('received' as const, 'sent' as const),
      comment: fc.string({ maxLength: 9 }),
      dropped: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.option(names),
        names,
        fc.array(packet, { maxLength: 5 }),
        (namespace, name, packets) => {
          const writer = new CaptureWriter();
          const parts = [writer.section('Netloom', 'Linux')];
          const made = writer.interface({ namespace, name, linkType: 1, snapLength: 0 });
          parts.push(made.bytes);
          for (const { more, seconds, nanoseconds, ...rest } of packets) {
            const wireLength = rest.bytes.length + more;
            parts.push(
              writer.packet({
                ...rest,
                interface: made.index,
                time: { seconds, nanoseconds },
                wireLength,
              }),
            );
          }
          const reader = new CaptureReader();
          const items = [...reader.push(join(parts)), ...reader.end()];
          expect(
            items.map((item) =>
              item.kind === 'packet'
                ? [
                    item.packet.time,
                    [...item.packet.bytes],
                    item.packet.wireLength,
                    item.packet.interface.name,
                  ]
                : item,
            ),
          ).toEqual(
            packets.map(({ bytes: whole, more, seconds, nanoseconds }) => [
              { seconds, nanoseconds },
              [...whole],
              whole.length + more,
              interfaceTitle({ namespace, name }),
            ]),
          );
        },
      ),
    );
  });

  it('is not written for an interface that was not described: that is a mistake of the caller', () => {
    const writer = new CaptureWriter();
    expect(() => writer.packet({ interface: 0, time, bytes: datagram, wireLength: 60 })).toThrow(
      RangeError,
    );
  });
});
