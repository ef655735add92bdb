/** Captures of namespaces while they are used, renamed and taken away: real packets, on this machine's own kernel. */
import { spawn } from 'node:child_process';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PacketRow } from '../../agent/api/traffic.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { packetJson } from '../../agent/dissect/packet-json.ts';
import { flatFields, runTsharkOn } from '../harness/tshark.ts';
import {
  type Capture,
  CaptureBench,
  captureProgram,
  inNamespace,
  openDescriptors,
  run,
} from './capture-bench.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let program: string;
let bench: CaptureBench;
let one: string;
let other: string;

beforeAll(() => {
  requirePrivateNamespaces();
  program = captureProgram();
});

beforeEach(async () => {
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add left type veth peer name right netns ${other}`);
  for (const [name, link, host] of [
    [one, 'left', '1'],
    [other, 'right', '2'],
  ] as const) {
    run(`-n ${name} address add 10.9.2.${host}/24 dev ${link}`);
    run(`-n ${name} link set ${link} up`);
    run(`-n ${name} link set lo up`);
  }
  bench = await CaptureBench.open(program);
});

afterEach(async () => {
  await bench.close();
  const left = run('netns list');
  for (const name of [one, other]) if (left.includes(name)) run(`netns delete ${name}`);
});

function ping(count: number): void {
  inNamespace(one, `ping -q -c ${String(count)} -i 0.01 10.9.2.2`);
}

const whole = (namespace: string) =>
  ({ kind: 'namespace', namespace: bench.idOf(namespace) }) as const;

async function rowsOf(capture: Capture, filter: string | null): Promise<readonly PacketRow[]> {
  const answer = await capture.session.rows({
    capture: capture.id,
    filter,
    from: { kind: 'place', place: 0 },
    count: 1000,
  });
  return must(answer).rows;
}

/** The rows once there are so many. */
async function awaitRows(
  capture: Capture,
  filter: string,
  count: number,
): Promise<readonly PacketRow[]> {
  let rows: readonly PacketRow[] = [];
  await expect
    .poll(async () => (rows = await rowsOf(capture, filter)).length, { timeout: 10_000 })
    .toBe(count);
  return rows;
}

/** All of it as a file, piece by piece. */
async function fileOf(capture: Capture, filter: string | null = null): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let [after, interfaces] = [-1, 0];
  for (;;) {
    const piece = must(
      await capture.session.read({
        capture: capture.id,
        ...{ filter, after, interfaces, until: null, wait: 0, totals: true },
      }),
    );
    pieces.push(Buffer.from(piece.data, 'base64'));
    ({ after, interfaces } = piece);
    if (!piece.more) return Buffer.concat(pieces);
  }
}

describe('a capture', () => {
  it('lists what was sent, on every interface of both namespaces that saw it', async () => {
    const capture = await bench.start({ places: [whole(one), whole(other)] });
    ping(3);
    const rows = await awaitRows(capture, 'icmp', 12);
    const [started] = capture.progress;
    if (started?.kind !== 'started') throw new Error('not started');
    const names = new Map(
      started.interfaces.map(({ number, title, name }) => [number, `${String(title)}:${name}`]),
    );
    expect([...names.values()].sort()).toEqual(
      [`${one}:left`, `${one}:lo`, `${other}:lo`, `${other}:right`].sort(),
    );
    const seen = rows.map(
      (row) => `${names.get(row.interface) ?? ''} ${row.direction} ${row.info.split(',')[0] ?? ''}`,
    );
    // In the order of time, although each namespace has a ring of its own.
    expect(seen).toEqual(
      [1, 2, 3].flatMap(() => [
        `${one}:left sent Echo request`,
        `${other}:right received Echo request`,
        `${other}:right sent Echo reply`,
        `${one}:left received Echo reply`,
      ]),
    );
    expect(new Set(rows.map(({ source, destination }) => [source, destination].join(' ')))).toEqual(
      new Set(['10.9.2.1 10.9.2.2', '10.9.2.2 10.9.2.1']),
    );
    expect(new Set(rows.map(({ length, protocol }) => `${protocol} ${String(length)}`))).toEqual(
      new Set(['ICMP 98']),
    );
    await expect.poll(() => capture.totals()?.packets ?? 0).toBeGreaterThanOrEqual(12);
    expect(capture.totals()?.dropped).toBe(0);
  });

  it('gives a packet whole, and where else it was', async () => {
    const capture = await bench.start({ places: [whole(one), whole(other)] });
    ping(2);
    const [first] = await awaitRows(capture, 'icmp.type == 8 && icmp.seq == 2', 2);
    if (first === undefined) throw new Error('no row');
    const packet = must(await capture.session.packet(first.number));
    const bytes = Buffer.from(packet.bytes, 'base64');
    const json = packetJson(
      {
        number: 1,
        offset: 0,
        time: null,
        interface: { index: 0, name: null, linkType: packet.linkType },
        bytes,
        wireLength: packet.row.length,
      },
      dissect(bytes, packet.linkType, packet.row.length),
    );
    const fields = new Map(flatFields(json).map(({ name, value }) => [name, value]));
    expect(fields.get('icmp.seq')).toBe(2);
    expect(fields.get('ip.dst')).toBe('10.9.2.2');
    const { sightings } = must(await capture.session.sightings(first.number));
    expect(
      sightings.map(({ direction, info }) => `${direction} ${info.split(',')[0] ?? ''}`),
    ).toEqual(['sent Echo request', 'received Echo request']);
    const none = await capture.session.packet(1_000_000);
    expect(none.ok ? '' : none.failure.code).toBe('packet-not-kept');
  });

  it('is a file that tshark reads as the same packets of the same interfaces', async () => {
    const capture = await bench.start({ places: [whole(one), whole(other)], filter: 'icmp' });
    ping(3);
    const rows = await awaitRows(capture, 'icmp', 12);
    must(await capture.session.stop());
    const file = await fileOf(capture);
    const lines = runTsharkOn(file, [
      ...['-T', 'fields', '-e', 'frame.interface_name', '-e', 'frame.len'],
      ...['-e', 'icmp.type', '-e', 'icmp.seq', '-e', 'frame.packet_flags_direction'],
    ])
      .trim()
      .split('\n');
    const views = capture.progress.flatMap((each) =>
      each.kind === 'started' ? each.interfaces : [],
    );
    const ours = rows.map((row) => {
      const view = views[row.interface];
      const type = row.info.startsWith('Echo request') ? 8 : 0;
      const sequence = /sequence (\d+)/.exec(row.info)?.[1] ?? '';
      return [
        `${String(view?.title)}:${view?.name ?? ''}`,
        ...[row.length, type, sequence, row.direction === 'sent' ? 2 : 1].map(String),
      ].join('\t');
    });
    expect(lines.map((line) => line.replace(/0x0*/, ''))).toEqual(ours);
  });

  it('says what a filter lacks in the compiler’s own words, and begins nothing', async () => {
    const before = openDescriptors();
    await expect(bench.start({ places: [whole(one)], filter: 'host and and' })).rejects.toThrow(
      /syntax error/,
    );
    await expect(
      bench.start({ places: [{ kind: 'link', link: `${bench.idOf(one)}/4711` }] }),
    ).rejects.toThrow(/unknown-link/);
    await expect(bench.start({ places: [{ kind: 'namespace', namespace: '1' }] })).rejects.toThrow(
      /unknown-namespace-id/,
    );
    expect([...openDescriptors()].sort()).toEqual([...before].sort());
  });

  it('has nothing of interfaces that were not asked for', async () => {
    run(`-n ${one} link add third type veth peer name fourth`);
    for (const link of ['third', 'fourth']) run(`-n ${one} link set ${link} up`);
    const capture = await bench.start({
      places: [
        { kind: 'link', link: bench.linkId(one, 'lo') },
        { kind: 'link', link: bench.linkId(one, 'third') },
      ],
    });
    ping(2);
    inNamespace(one, 'ping -q -c 1 127.0.0.1');
    const rows = await awaitRows(capture, 'icmp', 4);
    expect(new Set(rows.map(({ source }) => source))).toEqual(new Set(['127.0.0.1']));
  });

  it('answers nobody else, and no more captures than it may have', async () => {
    const capture = await bench.start({ places: [whole(one)] });
    const stranger = bench.captures.find(capture.id, 'stranger');
    expect(stranger.ok ? '' : stranger.failure.code).toBe('unknown-capture');
    for (let more = 1; more < 8; more += 1) await bench.start({ places: [whole(one)] });
    await expect(bench.start({ places: [whole(one)] })).rejects.toThrow(/capture-limit/);
  });

  it('leaves no descriptor and no thread when it is cancelled', async () => {
    const before = [...openDescriptors()].sort();
    for (let turn = 0; turn < 3; turn += 1) {
      const capture = await bench.start({ places: [whole(one), whole(other)], filter: 'icmp' });
      ping(1);
      await awaitRows(capture, 'icmp', 4);
      const answer = await capture.end();
      expect(answer.ok ? '' : answer.failure.kind).toBe('cancelled');
      expect(bench.captures.find(capture.id, 'owner').ok).toBe(false);
    }
    // Of a thread's event loop, which libuv closes as it ends.
    await expect.poll(() => [...openDescriptors()].sort()).toEqual(before);
  });
});

describe('what is captured', () => {
  it('may be renamed', async () => {
    const capture = await bench.start({ places: [whole(one)] });
    ping(1);
    run(`-n ${one} link set left down`);
    run(`-n ${one} link set left name other`);
    await expect
      .poll(() =>
        capture.progress.flatMap((each) =>
          each.kind === 'interfaces' ? each.interfaces.map(({ name }) => name) : [],
        ),
      )
      .toContain('other');
    run(`-n ${one} link set other up`);
    ping(1);
    const rows = await awaitRows(capture, 'icmp', 4);
    expect(new Set(rows.map((row) => row.interface)).size).toBe(1);
    expect(await rowsOf(capture, 'frame.interface_name contains "other"')).not.toEqual([]);
  });

  it('may move away: its packets stay, and it is said', async () => {
    const capture = await bench.start({
      places: [{ kind: 'link', link: bench.linkId(one, 'left') }],
    });
    ping(1);
    await awaitRows(capture, 'icmp', 2);
    run(`-n ${one} link set left netns ${other}`);
    await expect
      .poll(() => capture.progress.at(-1))
      .toMatchObject({
        kind: 'stopped',
        end: 'places-gone',
        failure: { code: 'capture-places-gone' },
      });
    expect((await rowsOf(capture, 'icmp')).length).toBe(2);
    expect(
      capture.progress.flatMap((each) =>
        each.kind === 'interfaces' ? each.interfaces.map(({ present }) => present) : [],
      ),
    ).toEqual([false]);
  });

  it('may be a namespace that ends: the ring does not hold it', async () => {
    const capture = await bench.start({ places: [whole(one)] });
    ping(1);
    await awaitRows(capture, 'icmp', 2);
    run(`netns delete ${one}`);
    await expect.poll(() => capture.progress.at(-1)?.kind, { timeout: 10_000 }).toBe('stopped');
    // The other end of the wire goes with it.
    await expect.poll(() => run(`-n ${other} -o link`), { timeout: 10_000 }).not.toMatch(/right/);
    expect((await rowsOf(capture, 'icmp')).length).toBe(2);
  });

  it('is given up before the agent removes it', async () => {
    const capture = await bench.start({ places: [whole(one), whole(other)] });
    await bench.captures.leave(one);
    run(`netns delete ${one}`);
    await expect.poll(() => run(`-n ${other} -o link`)).not.toMatch(/right/);
    expect(capture.progress.some(({ kind }) => kind === 'stopped')).toBe(false);
  });
});

describe('the packets that are kept', () => {
  it('are the last 100,000, and a filter finds its own among them while more come', async () => {
    const capture = await bench.start({ places: [whole(other)] });
    const flood = spawn('ip', ['netns', 'exec', one, 'ping', '-q', '-f', '-s', '20', '10.9.2.2'], {
      stdio: 'ignore',
    });
    try {
      await expect
        .poll(() => capture.totals()?.packets ?? 0, { timeout: 60_000, interval: 200 })
        .toBeGreaterThan(101_000);
      const all = must(
        await capture.session.rows({
          capture: capture.id,
          filter: 'icmp.type == 8 || icmp.type == 0 || arp || icmpv6',
          from: { kind: 'number', number: 0 },
          count: 5,
        }),
      );
      expect(all.matching).toBeGreaterThan(90_000);
      expect(all.matching).toBeLessThanOrEqual(100_000);
      expect(all.place).toBe(0);
      expect(all.totals.oldest).toBeGreaterThan(1);
    } finally {
      flood.kill();
    }
  }, 90_000);

  it('have flows that count what was sent', async () => {
    const capture = await bench.start({ places: [whole(one), whole(other)] });
    ping(5);
    await awaitRows(capture, 'icmp', 20);
    const answer = must(await capture.session.flows(10));
    const flows = answer.flows.filter(({ protocol }) => protocol === 'icmp');
    // One for each namespace, each counted once.
    expect(flows.map(({ packets, bytes }) => [packets, bytes])).toEqual([
      [10, 980],
      [10, 980],
    ]);
    expect(flows.map(({ ends }) => ends.map(({ address }) => address))).toEqual([
      ['10.9.2.1', '10.9.2.2'],
      ['10.9.2.1', '10.9.2.2'],
    ]);
    expect(new Set(flows.map(({ namespace }) => namespace))).toEqual(
      new Set([bench.idOf(one), bench.idOf(other)]),
    );
    expect(answer.protocols[0]?.protocol).toBe('icmp');
  });
});
