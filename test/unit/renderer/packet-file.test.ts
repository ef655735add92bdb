/** A file of captures in the window: read piece by piece, said to be what it is, and in the place of a capture. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CaptureProgress, succeed } from '../../../agent/api/index.ts';
import type { CaptureFault } from '../../../agent/dissect/capture/captured-packet.ts';
import { CaptureWriter } from '../../../agent/dissect/capture/capture-writer.ts';
import { parseDocument } from '../../../agent/lab/index.ts';
import { type OpenedFile, readPacketFile } from '../../../renderer/activity/file-reading.ts';
import { sayingsOf } from '../../../renderer/activity/file-text.ts';
import { usePackets } from '../../../renderer/activity/packet-store.ts';
import { useText } from '../../../renderer/app/text/text.ts';
import { useRealms } from '../../../renderer/inventory/realm-store.ts';
import { useLab } from '../../../renderer/topology/lab-store.ts';
import { type FakeMain, openWindow, overviewOf } from './fake-window.ts';

function fileOf(packets: number, name = 'some.pcapng'): File {
  const writer = new CaptureWriter();
  const blocks = [writer.section('a test', 'Linux')];
  const described = { namespace: null, name: 'eth0', linkType: 1, snapLength: 0 };
  blocks.push(writer.interface(described).bytes);
  const time = { seconds: 1_700_000_000, nanoseconds: 0 };
  const bytes = new Uint8Array(1000);
  const packet = writer.packet({ interface: 0, time, bytes, wireLength: 1000 });
  for (let number = 0; number < packets; number += 1) blocks.push(packet);
  return new File(
    blocks.map((block) => new Uint8Array(block)),
    name,
  );
}

const nobody = new AbortController().signal;

describe('a file that is read', () => {
  it('is reported to its end', async () => {
    const reports: OpenedFile[] = [];
    const { packets, done } = readPacketFile(fileOf(3000), nobody, (opened) => {
      reports.push(opened);
    });
    await done;
    const last = reports.at(-1);
    expect(packets.kept.totals().packets).toBe(3000);
    expect([last?.name, last?.read, last?.unreadable]).toEqual(['some.pcapng', last?.size, false]);
    expect(last?.faults.end).toBeNull();
  });

  it('stays as far as it was read when somebody ends that, and is not called cut', async () => {
    const end = new AbortController();
    const file = fileOf(3000);
    const slice = file.slice.bind(file);
    vi.spyOn(file, 'slice').mockImplementation((from, to) => {
      // While the second piece is on its way.
      if ((from ?? 0) > 0) end.abort();
      return slice(from, to);
    });
    const reports: OpenedFile[] = [];
    const { packets, done } = readPacketFile(file, end.signal, (opened) => {
      reports.push(opened);
    });
    await done;
    expect(packets.kept.totals().packets).toBeGreaterThan(400);
    expect(packets.kept.totals().packets).toBeLessThan(600);
    expect(reports.at(-1)).toMatchObject({ faults: { end: null }, unreadable: false });
  });

  it('is called unreadable where the system refuses to go on', async () => {
    const file = fileOf(3000);
    const slice = file.slice.bind(file);
    vi.spyOn(file, 'slice').mockImplementation((from, to) => {
      const piece = slice(from, to);
      if ((from ?? 0) > 0) piece.arrayBuffer = () => Promise.reject(new DOMException('gone'));
      return piece;
    });
    const reports: OpenedFile[] = [];
    await readPacketFile(file, nobody, (opened) => {
      reports.push(opened);
    }).done;
    expect(reports.at(-1)).toMatchObject({ unreadable: true, read: 256 * 1024 });
  });
});

describe('what is said of a file', () => {
  beforeEach(() => {
    openWindow();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const said = (
    change: Partial<OpenedFile>,
    packets = 0,
    oldest = 1,
    state: 'running' | 'stopped' = 'stopped',
  ) => {
    const faults = { end: null, first: null, count: 0 };
    const opened = { name: 'a.pcap', size: 1000, read: 1000, faults, unreadable: false, ...change };
    const kept = { packets, oldest, bytes: 0, dropped: 0, drops: [], keptBytes: 0 };
    return sayingsOf(opened, kept, state, useText()).map(({ text }) => text);
  };
  const ending = (kind: CaptureFault['kind'], offset: number, detail = '') => ({
    faults: { end: { kind, offset, detail, ends: true }, first: null, count: 0 },
  });

  it('is nothing where all of it is shown', () => {
    expect(said({}, 5)).toEqual([]);
  });

  it('names the place and what is shown all the same', () => {
    expect(said(ending('cut-off', 93_120), 1203)).toEqual([
      'The file ends within the record that begins at byte 93,120, after packet 1,203: the packets before it are shown.',
    ]);
    expect(said(ending('bad-length', 400), 2)).toEqual([
      'The file is damaged at byte 400, after packet 2: the packets before it are shown.',
    ]);
    expect(said(ending('other-format', 0, 'gzip'))[0]).toMatch(/^a\.pcap is a file of .* gzip: /);
    expect(said({ size: 0, read: 0, ...ending('cut-off', 0) })[0]).toMatch(/^a\.pcap is empty: /);
    expect(said({ unreadable: true, read: 500 }, 3)[0]).toMatch(/could not be read from byte 500 /);
  });

  it('counts what was left out, and what is not kept', () => {
    const first = { kind: 'unknown-interface', offset: 60, detail: '7', ends: false } as const;
    expect(said({ faults: { end: null, first, count: 2 } }, 100_500, 501)).toEqual([
      '2 damaged records were left out, the first at byte 60.',
      '100,500 packets were read; the last 100,000 of them are kept.',
    ]);
  });

  it('tells how far it is', () => {
    expect(said({ read: 250 }, 1, 1, 'running')).toEqual(['Reading a.pcap: 25 %']);
    expect(said({ read: 250 }, 1)[0]).toMatch(/^Stopped after 25 % /);
  });
});

describe('a file in the window', () => {
  const realm = 'sandbox:demo';
  const text = 'netloom: 1\nname: demo\ntopology:\n  nodes:\n    r1: { kind: namespace }\n';
  let main: FakeMain;
  let begin: (progress: CaptureProgress) => void = () => undefined;
  beforeEach(async () => {
    main = openWindow();
    main.answers['document.validate'] = ({ text: asked }: { text: string }) =>
      succeed({ document: parseDocument(asked).document, problems: [], advice: [] });
    main.answers['lab.overview'] = () => succeed(overviewOf('up'));
    main.answers['capture.start'] = (_args: never, progress: (value: unknown) => void) => {
      begin = progress;
      return new Promise(() => undefined);
    };
    useRealms();
    await useLab().openDocument({ path: '/labs/demo.yaml', text, version: 'v1' });
    main.emit('realm', {
      ...{ realm, state: 'running', keeperPid: 1, agentPid: 2, socket: null },
      ...{ outside: 'closed', labs: ['demo'], agent: null },
    });
    await new Promise((resolve) => setTimeout(resolve));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('asks no agent, and makes room for a capture only when that has begun', async () => {
    const packets = usePackets();
    await packets.open(fileOf(20));
    expect(packets.capture).toMatchObject({
      place: null,
      state: 'stopped',
      file: { read: 20_736 },
    });
    expect([packets.totals.packets, packets.interfaces.get(0)?.name]).toEqual([20, 'eth0']);
    const asked = { filter: null, from: { kind: 'end' as const }, count: 5 };
    const rows = await packets.capture?.source.rows(asked);
    expect(rows?.ok === true && rows.value.rows.map(({ number }) => number)).toEqual([
      16, 17, 18, 19, 20,
    ]);
    for (const call of ['capture.rows', 'capture.stop', 'capture.start'] as const) {
      expect(main.argsOf(call)).toEqual([]);
    }
    void packets.start();
    await new Promise((resolve) => setTimeout(resolve));
    expect(packets.capture?.file?.name).toBe('some.pcapng');
    begin({ kind: 'started', capture: 'c1', interfaces: [] });
    expect([packets.capture?.file, packets.capture?.id]).toEqual([null, 'c1']);
    expect(packets.totals.packets).toBe(0);
  });

  it('is of no lab: it stays when another one is opened, and goes when somebody discards it', async () => {
    const packets = usePackets();
    await packets.open(fileOf(3));
    const other = text.replace('demo', 'other');
    await useLab().openDocument({ path: '/labs/other.yaml', text: other, version: 'v1' });
    expect(packets.totals.packets).toBe(3);
    const later = packets.open(fileOf(4, 'later.pcapng'));
    packets.discard();
    await later;
    expect([packets.capture, packets.totals.packets]).toEqual([null, 0]);
  });
});
