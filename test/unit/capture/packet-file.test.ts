/** Files of captures as the window opens them: in pieces, of any quality, of any length. */
import { describe, expect, it } from 'vitest';
import { maximumKeptPackets } from '../../../agent/api/traffic.ts';
import { CaptureWriter } from '../../../agent/dissect/capture/capture-writer.ts';
import { maximumFileInterfaces, PacketFile } from '../../../agent/packets/packet-file.ts';
import { bytes, frame, message, packet4, udpFrame } from '../../harness/packets.ts';

const udp = udpFrame(bytes('aa bb cc'), { source: 4000, destination: 5000 });
const icmp = frame(0x0800, packet4(1, message('08 00 00 00 00 01 00 01')));

/** Frames by turns at two interfaces; and where each packet's record begins. */
function written(frames: readonly Uint8Array[]) {
  const writer = new CaptureWriter();
  const blocks = [writer.section('a test', 'Linux')];
  for (const name of ['eth0', 'eth1']) {
    const asked = { namespace: 'r1', name, linkType: 1, snapLength: 0 };
    blocks.push(writer.interface(asked).bytes);
  }
  const starts: number[] = [];
  let length = blocks.reduce((sum, block) => sum + block.length, 0);
  for (const [place, captured] of frames.entries()) {
    const time = { seconds: 1_700_000_000 + place, nanoseconds: 5 };
    const wireLength = captured.length;
    const block = writer.packet({ interface: place % 2, time, bytes: captured, wireLength });
    starts.push(length);
    blocks.push(block);
    length += block.length;
  }
  return { data: new Uint8Array(Buffer.concat(blocks)), starts, blocks };
}

async function opened(data: Uint8Array, pieceLength = data.length): Promise<PacketFile> {
  const file = new PacketFile(() => Promise.resolve());
  for (let at = 0; at < data.length; at += pieceLength) {
    if (!(await file.feed(data.slice(at, at + pieceLength)))) break;
  }
  await file.end();
  return file;
}

async function rowsOf(file: PacketFile, filter: string | null = null) {
  const answer = await file.kept.rows({ filter, from: { kind: 'place', place: 0 }, count: 10 });
  if (!answer.ok) throw new Error(answer.failure.reason);
  return answer.value;
}

const four = written([udp, icmp, udp, icmp]);

describe('a file that is whole', () => {
  it('has its packets, with the interfaces that it names', async () => {
    const file = await opened(four.data);
    expect(file.faults).toEqual({ end: null, first: null, count: 0 });
    const { rows, totals } = await rowsOf(file);
    expect(rows.map(({ number, protocol, seconds }) => [number, protocol, seconds])).toEqual([
      [1, 'UDP', 1_700_000_000],
      [2, 'ICMP', 1_700_000_001],
      [3, 'UDP', 1_700_000_002],
      [4, 'ICMP', 1_700_000_003],
    ]);
    expect(rows.map((row) => [row.interface, row.direction])).toEqual([
      [0, null],
      [1, null],
      [0, null],
      [1, null],
    ]);
    expect(totals).toMatchObject({ packets: 4, oldest: 1, dropped: 0 });
    expect(file.takeInterfaces().map(({ number, name }) => [number, name])).toEqual([
      [0, 'r1:eth0'],
      [1, 'r1:eth1'],
    ]);
    expect(file.takeInterfaces()).toEqual([]);
  });

  it('is the same in pieces of any length', async () => {
    const whole = await rowsOf(await opened(four.data));
    for (const length of [1, 7, 64, 1000]) {
      expect(await rowsOf(await opened(four.data, length)), String(length)).toEqual(whole);
    }
  });

  it('answers filters, packets, sightings and flows', async () => {
    const file = await opened(four.data);
    const found = await rowsOf(file, 'icmp && frame.interface_name == "r1:eth1"');
    expect(found.rows.map(({ number }) => number)).toEqual([2, 4]);
    const packet = file.kept.packet(1);
    expect(packet.ok && Buffer.from(packet.value.bytes, 'base64')).toEqual(Buffer.from(udp));
    expect(file.kept.packet(9)).toMatchObject({ ok: false, failure: { code: 'packet-not-kept' } });
    const seen = await file.kept.sightings(1);
    expect(seen.ok && seen.value.sightings.map(({ number }) => number)).toContain(1);
    const { flows } = file.kept.flows(10);
    expect(flows.map(({ protocol, packets }) => [protocol, packets]).sort()).toEqual([
      ['icmp', 2],
      ['udp', 2],
    ]);
    expect(await file.kept.rows({ filter: 'ip.', from: { kind: 'end' }, count: 1 })).toMatchObject({
      ok: false,
    });
  });

  it('keeps the last of more packets than are kept, and lets others work meanwhile', async () => {
    const count = maximumKeptPackets + 500;
    const { blocks } = written([udp]);
    const [head, packet] = [Buffer.concat(blocks.slice(0, -1)), blocks.at(-1) ?? Buffer.alloc(0)];
    let rests = 0;
    const file = new PacketFile(() => {
      rests += 1;
      return Promise.resolve();
    });
    await file.feed(head);
    const piece = Buffer.concat(Array.from({ length: 500 }, () => packet));
    for (let sent = 0; sent < count; sent += 500) await file.feed(piece);
    await file.end();
    expect(file.kept.totals()).toMatchObject({ packets: count, oldest: 501 });
    expect(file.faults.end).toBeNull();
    expect(rests).toBeGreaterThan(10);
    const { rows, matching } = await rowsOf(file);
    expect([rows[0]?.number, matching]).toEqual([501, maximumKeptPackets]);
    expect(file.kept.flows(1).flows[0]?.packets).toBe(count);
  }, 60_000);

  it('tells no more interfaces apart than any machine has', async () => {
    const writer = new CaptureWriter();
    const blocks = [writer.section('a test', 'Linux')];
    const count = maximumFileInterfaces + 50;
    for (let number = 0; number < count; number += 1) {
      const asked = { namespace: null, name: `v${String(number)}`, linkType: 1, snapLength: 0 };
      blocks.push(writer.interface(asked).bytes);
    }
    const time = { seconds: 1, nanoseconds: 0 };
    for (let number = 0; number < count; number += 1) {
      blocks.push(writer.packet({ interface: number, time, bytes: udp, wireLength: udp.length }));
    }
    const file = await opened(new Uint8Array(Buffer.concat(blocks)));
    expect(file.kept.totals().packets).toBe(count);
    const names = file.takeInterfaces().map(({ name }) => name);
    expect(names).toHaveLength(maximumFileInterfaces + 1);
    expect([names[0], names.at(-2), names.at(-1)]).toEqual(['v0', 'v4095', '…']);
  });

  it('is given up where nobody wants it any more', async () => {
    const file = new PacketFile(() => Promise.reject(new Error('closed')));
    const { blocks } = written([udp]);
    await file.feed(Buffer.concat(blocks.slice(0, -1)));
    const piece = Buffer.concat(Array.from({ length: 50_000 }, () => blocks.at(-1) ?? udp));
    await expect(file.feed(piece)).rejects.toThrow('closed');
    expect(file.kept.totals().packets).toBeLessThan(50_000);
  });
});

describe('a file that is damaged', () => {
  it('shows the packets before the place where it is cut, and names that', async () => {
    const start = four.starts[2] ?? 0;
    for (const more of [1, 4, 11, 30]) {
      const file = await opened(four.data.slice(0, start + more), 13);
      expect(file.kept.totals().packets).toBe(2);
      expect(file.faults.end).toMatchObject({ kind: 'cut-off', offset: start });
    }
    const between = await opened(four.data.slice(0, start));
    expect([between.kept.totals().packets, between.faults.end]).toEqual([2, null]);
  });

  it('is read up to a block whose length is wrong', async () => {
    const data = four.data.slice();
    const start = four.starts[2] ?? 0;
    new DataView(data.buffer).setUint32(start + 4, 5, true);
    const file = await opened(data, 100);
    expect(file.kept.totals().packets).toBe(2);
    expect(file.faults.end).toMatchObject({ kind: 'bad-length', ends: true });
  });

  it('leaves out packets of interfaces that it does not describe, and goes on', async () => {
    const data = four.data.slice();
    new DataView(data.buffer).setUint32((four.starts[1] ?? 0) + 8, 77, true);
    const file = await opened(data);
    expect(file.kept.totals().packets).toBe(3);
    expect(file.faults).toMatchObject({
      ...{ end: null, count: 1 },
      first: { kind: 'unknown-interface', detail: '77' },
    });
  });

  it('never throws, whichever byte is another one', async () => {
    for (let at = 0; at < four.data.length; at += 3) {
      const data = four.data.slice();
      data[at] = (data[at] ?? 0) ^ 0xff;
      const file = await opened(data, 50);
      expect(file.kept.totals().packets).toBeLessThanOrEqual(4);
    }
  }, 60_000);
});

describe('what is no capture', () => {
  it.each([
    ['empty', new Uint8Array(0), 'cut-off'],
    ['too short', Uint8Array.of(1, 2), 'not-a-capture'],
    ['a text', new TextEncoder().encode('Hello, this is no capture.'), 'not-a-capture'],
    ['compressed', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), 'other-format'],
  ])('is said of a file that is %s', async (_what, data, kind) => {
    const file = await opened(data, 3);
    expect(file.kept.totals().packets).toBe(0);
    expect(file.faults.end?.kind).toBe(kind);
  });
});
