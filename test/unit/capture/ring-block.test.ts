/** Blocks of a ring of packets: what is read of them, and of blocks that no kernel has filled. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LivePacket, visitPackets } from '../../../agent/capture/ring-block.ts';

interface MadePacket {
  readonly bytes: readonly number[];
  readonly hardware?: number;
  readonly status?: number;
  readonly tag?: number;
  readonly tagType?: number;
  readonly type?: number;
  /** Bytes of the link's own header. */
  readonly link?: number;
  /** Kind and size of segments. */
  readonly offload?: readonly [number, number];
}

const room = 96;
const stride = 256;

/** As tpacket_rcv fills it: descriptor, then packets at equal distances. */
function blockOf(packets: readonly MadePacket[]): Buffer {
  const block = Buffer.alloc(48 + packets.length * stride);
  block.writeUInt32LE(packets.length, 12);
  block.writeUInt32LE(48, 16);
  for (const [index, packet] of packets.entries()) {
    const at = 48 + index * stride;
    block.writeUInt32LE(index === packets.length - 1 ? 0 : stride, at);
    block.writeUInt32LE(1_790_000_000, at + 4);
    block.writeUInt32LE(index, at + 8);
    block.writeUInt32LE(packet.bytes.length, at + 12);
    block.writeUInt32LE(packet.bytes.length + 100, at + 16);
    block.writeUInt32LE(packet.status ?? 0, at + 20);
    block.writeUInt16LE(room, at + 24);
    block.writeUInt16LE(room + (packet.link ?? 14), at + 26);
    block.writeUInt32LE(packet.tag ?? 0, at + 32);
    block.writeUInt16LE(packet.tagType ?? 0, at + 36);
    block.writeInt32LE(7, at + 52);
    block.writeUInt16LE(packet.hardware ?? 1, at + 56);
    block[at + 58] = packet.type ?? 0;
    block[at + room - 9] = packet.offload?.[0] ?? 0;
    block.writeUInt16LE(packet.offload?.[1] ?? 0, at + room - 6);
    block.set(packet.bytes, at + room);
  }
  return block;
}

function read(block: Buffer, hasOffloadHeader = true): LivePacket[] {
  const found: LivePacket[] = [];
  const interfaceOf = (index: number, linkType: number) => ({ index, name: 'wire', linkType });
  visitPackets(block, { number: 5, hasOffloadHeader, interfaceOf }, (packet) => found.push(packet));
  return found;
}

const frame = Array.from({ length: 20 }, (_, at) => at);

describe('a block', () => {
  it('has packets with their times, lengths, directions and interfaces', () => {
    expect(read(blockOf([{ bytes: frame }, { bytes: frame, type: 4, status: 8 }]))).toMatchObject([
      {
        number: 5,
        time: { seconds: 1_790_000_000, nanoseconds: 0 },
        wireLength: 120,
        direction: 'received',
        isChecksumPending: false,
        interfaceIndex: 7,
        interface: { name: 'wire', linkType: 1 },
      },
      {
        number: 6,
        time: { nanoseconds: 1 },
        direction: 'sent',
        isChecksumPending: true,
        segmentSize: null,
      },
    ]);
  });

  it('has its tags put back, with the type that they had', () => {
    const [own, given, cut] = read(
      blockOf([
        { bytes: frame, status: 0x10, tag: 0xa00a },
        { bytes: frame, status: 0x50, tag: 0x0014, tagType: 0x88a8 },
        { bytes: frame.slice(0, 5), status: 0x10, tag: 1 },
      ]),
    );
    expect([...(own?.bytes ?? [])]).toEqual([
      ...frame.slice(0, 12),
      0x81,
      0,
      0xa0,
      0x0a,
      ...frame.slice(12),
    ]);
    expect([...(given?.bytes ?? [])].slice(12, 16)).toEqual([0x88, 0xa8, 0, 0x14]);
    expect(own?.wireLength).toBe(124);
    expect(cut?.bytes.length).toBeGreaterThanOrEqual(5);
    expect([...(cut?.bytes ?? [])].slice(0, 5)).toEqual(frame.slice(0, 5));
  });

  it('has packets of IP alone of tunnels, without the header that the kernel has for them', () => {
    const [tun, gre] = read(
      blockOf([
        { bytes: frame, hardware: 65534, link: 0 },
        { bytes: frame, hardware: 778, link: 8, status: 0x10 },
      ]),
    );
    expect(tun).toMatchObject({ interface: { linkType: 101 }, wireLength: 120 });
    expect(tun?.bytes).toHaveLength(20);
    expect([...(gre?.bytes ?? [])]).toEqual(frame.slice(8));
    expect(gre?.wireLength).toBe(112);
  });

  it('has sizes of segments where they were asked for', () => {
    const block = blockOf([{ bytes: frame, offload: [1, 1448] }]);
    expect(read(block)[0]?.segmentSize).toBe(1448);
    expect(read(block, false)[0]?.segmentSize).toBeNull();
  });

  it('that no kernel has filled throws nothing, and gives nothing from outside of it', () => {
    const made = blockOf([{ bytes: frame, status: 0x10 }, { bytes: frame }, { bytes: frame }]);
    const changes = fc.array(fc.tuple(fc.nat(made.length - 1), fc.nat(255)), { maxLength: 12 });
    fc.assert(
      fc.property(changes, fc.nat(made.length), (bytes, length) => {
        const block = Buffer.from(made);
        for (const [at, value] of bytes) block[at] = value;
        for (const packet of read(block.subarray(0, length))) {
          expect(packet.bytes.byteOffset).toBeGreaterThanOrEqual(block.byteOffset);
          expect(packet.bytes.byteOffset + packet.bytes.length).toBeLessThanOrEqual(
            block.byteOffset + length,
          );
        }
      }),
      { numRuns: 3_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        read(Buffer.from(bytes));
      }),
    );
  });
});
