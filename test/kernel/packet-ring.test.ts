/** Packets of namespaces as they pass: real traffic between two of them, tags, offloads, losses, and ends. */
import { execFileSync, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../agent/api/result.ts';
import { PacketRing, type PacketRingOptions } from '../../agent/capture/packet-ring.ts';
import type { LivePacket } from '../../agent/capture/ring-block.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { packetJson, type PacketJson } from '../../agent/dissect/packet-json.ts';
import { closeNamespace, openNamespaceByName, runIn } from '../../agent/kernel/namespaces.ts';
import {
  AF_PACKET,
  closeDescriptor,
  openSocket,
  sendTo,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from '../../agent/kernel/native.ts';
import { ascii, bytes, frame, message, packet4 } from '../harness/packets.ts';
import { flatFields } from '../harness/tshark.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let one: string;
let other: string;
const rings: PacketRing[] = [];

beforeAll(requirePrivateNamespaces);

function run(line: string): string {
  return execFileSync('ip', line.split(' '), { stdio: 'pipe', encoding: 'utf8' });
}

function ping(to: string, ...words: readonly string[]): void {
  execFileSync('ip', ['netns', 'exec', one, 'ping', '-q', ...words, to], { stdio: 'pipe' });
}

function linksOf(namespace: string): ReadonlyMap<number, string> {
  const links = JSON.parse(run(`-n ${namespace} -j link`)) as { ifindex: number; ifname: string }[];
  return new Map(links.map(({ ifindex, ifname }) => [ifindex, ifname]));
}

function indexOf(namespace: string, name: string): number {
  const found = [...linksOf(namespace)].find(([, ifname]) => ifname === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found[0];
}

beforeEach(() => {
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add wire type veth peer name wire netns ${other}`);
  for (const [name, host] of [
    [one, '1'],
    [other, '2'],
  ] as const) {
    run(`-n ${name} address add 10.9.2.${host}/24 dev wire`);
    run(`-n ${name} link set wire up`);
  }
});

afterEach(() => {
  for (const ring of rings.splice(0)) ring.close();
  const left = run('netns list');
  for (const name of [one, other]) if (left.includes(name)) run(`netns delete ${name}`);
});

interface Seen extends Pick<
  LivePacket,
  'bytes' | 'direction' | 'interfaceIndex' | 'isChecksumPending' | 'segmentSize' | 'wireLength'
> {
  readonly json: PacketJson;
}

function hex(whole: Uint8Array): string {
  return Buffer.from(whole).toString('hex');
}

/** Sends a frame as it is. */
function inject(namespace: string, name: string, whole: Uint8Array): void {
  const handle = must(openNamespaceByName(namespace));
  const fd = must(runIn(handle.fd, () => openSocket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)));
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(indexOf(namespace, name), 4);
  const sent = sendTo(fd, whole, 0, address);
  closeDescriptor(fd);
  closeNamespace(handle);
  if (sent !== whole.length) throw new Error(`sendto: ${String(sent)}`);
}

interface Capture {
  readonly ring: PacketRing;
  readonly seen: readonly Seen[];
  readonly ends: readonly Failure[];
}

function capture(namespace: string, options: Partial<PacketRingOptions> = {}): Capture {
  const handle = must(openNamespaceByName(namespace));
  const names = linksOf(namespace);
  const seen: Seen[] = [];
  const ends: Failure[] = [];
  const ring = must(
    PacketRing.open({
      namespaceFd: handle.fd,
      nameOf: (index) => names.get(index) ?? null,
      onPacket: (packet) => {
        const json = packetJson(
          packet,
          dissect(packet.bytes, packet.interface.linkType, packet.wireLength),
        );
        seen.push({ ...packet, bytes: packet.bytes.slice(), json });
      },
      onEnd: (failure) => ends.push(failure),
      ...options,
    }),
  );
  closeNamespace(handle);
  rings.push(ring);
  return { ring, seen, ends };
}

const stack = ({ json }: Seen): string => json.layers.map(({ protocol }) => protocol).join(' ');
const field = ({ json }: Seen, name: string): unknown =>
  flatFields(json).find((each) => each.name === name)?.value;

function echoes({ seen }: Capture): readonly Seen[] {
  return seen.filter((packet) => field(packet, 'icmp.type') !== undefined);
}

/** Packets that the kernel has counted and that have not been seen: of those that came last a part. */
function missing({ ring, seen }: Capture): number {
  const { received, dropped } = ring.totals();
  return received - dropped - seen.length;
}

describe('a ring', () => {
  it('has what passes all interfaces of a namespace, with direction, name, time and bytes', async () => {
    const before = Date.now();
    const captured = capture(other);
    ping('10.9.2.2', '-c', '3', '-i', '0.01');
    await expect.poll(() => echoes(captured).length).toBe(6);
    const index = indexOf(other, 'wire');
    expect(
      echoes(captured).map(({ direction, json, interfaceIndex, wireLength }) => [
        direction,
        json.interface,
        interfaceIndex,
        wireLength,
        json.info.replace(/0x.*/, ''),
      ]),
    ).toEqual(
      [1, 2, 3].flatMap(() => [
        ['received', 'wire', index, 98, 'Echo request, id '],
        ['sent', 'wire', index, 98, 'Echo reply, id '],
      ]),
    );
    expect(captured.seen.flatMap(({ json }) => json.faults)).toEqual([]);
    const numbers = captured.seen.map(({ json }) => json.number);
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
    const times = captured.seen.map(({ json }) => Date.parse(json.time ?? ''));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(before - 1);
    expect(Math.max(...times)).toBeLessThanOrEqual(Date.now());
    await expect.poll(() => missing(captured)).toBe(0);
    expect(captured.ring.totals().dropped).toBe(0);
  });

  it('has interfaces that come later, and one alone where it is asked for one', async () => {
    run(`-n ${other} link set lo up`);
    const alone = capture(other, { interfaceIndex: indexOf(other, 'lo') });
    const all = capture(other);
    run(`-n ${one} link add late type veth peer name late netns ${other}`);
    run(`-n ${one} address add 10.9.3.1/24 dev late`);
    run(`-n ${other} address add 10.9.3.2/24 dev late`);
    run(`-n ${one} link set late up`);
    run(`-n ${other} link set late up`);
    const late = indexOf(other, 'late');
    ping('10.9.3.2', '-c', '2', '-i', '0.01');
    await expect
      .poll(() => echoes(all).filter(({ interfaceIndex }) => interfaceIndex === late).length)
      .toBe(4);
    expect(alone.seen).toEqual([]);
    // Nobody has said what it is called.
    expect(echoes(all)[0]?.json.interface).toBeNull();
  });

  it('captures no more of a packet than is asked for', async () => {
    const captured = capture(other, { snapLength: 50 });
    ping('10.9.2.2', '-c', '1', '-s', '1000');
    await expect
      .poll(() => captured.seen.filter(({ wireLength }) => wireLength === 1042).length)
      .toBe(2);
    const cut = captured.seen.filter(({ wireLength }) => wireLength === 1042);
    expect(cut.map(({ json }) => [json.length, json.captured])).toEqual([
      [1042, 50],
      [1042, 50],
    ]);
    expect(cut.flatMap(({ json }) => json.faults.map(({ kind }) => kind))).toEqual([
      'truncated',
      'truncated',
    ]);
  });

  it('puts tags back that the kernel has taken out, byte for byte', async () => {
    const echo = packet4(
      1,
      message(bytes('0800 0000 1234 0001', ascii('payload of a tagged packet'))),
    );
    const tagged = [
      frame(0x8100, bytes('a00a 0800', echo)),
      frame(0x88a8, bytes('3014 8100 001e 0800', echo)),
      frame(0x0800, echo),
      // Of no protocol that anybody has, with a tag of priority alone.
      frame(0x8100, bytes('6000 1234', ascii('x'.repeat(60)))),
    ];
    const captured = capture(other, { interfaceIndex: indexOf(other, 'wire') });
    const sending = capture(one, { interfaceIndex: indexOf(one, 'wire') });
    const short = capture(other, { interfaceIndex: indexOf(other, 'wire'), snapLength: 13 });
    // What is sent before the kernel has seen that the wire is up is dropped.
    ping('10.9.2.2', '-c', '1', '-W', '5');
    for (const whole of tagged) inject(one, 'wire', whole);
    const injected = ({ seen }: Capture): readonly Seen[] =>
      seen.filter(({ bytes: whole }) => hex(whole).startsWith('02000000000b02000000000a'));
    await expect.poll(() => injected(captured).length).toBe(4);
    await expect.poll(() => injected(sending).length).toBe(4);
    expect(injected(captured).map(({ bytes: whole }) => hex(whole))).toEqual(tagged.map(hex));
    expect(injected(sending).map(({ bytes: whole }) => hex(whole))).toEqual(tagged.map(hex));
    expect(injected(captured).map(stack)).toEqual([
      'eth vlan ip icmp data',
      'eth ieee8021ad vlan ip icmp data',
      'eth ip icmp data',
      'eth vlan data',
    ]);
    for (const { seen } of [captured, sending]) {
      expect(seen.map(({ wireLength, bytes: whole }) => wireLength - whole.length)).toEqual(
        seen.map(() => 0),
      );
    }
    expect(new Set(injected(captured).map(({ direction }) => direction))).toEqual(
      new Set(['received']),
    );
    expect(new Set(injected(sending).map(({ direction }) => direction))).toEqual(new Set(['sent']));
    // Also of a packet of which less was captured than where the tag is: thirteen bytes and the tag.
    await expect.poll(() => injected(short).length).toBe(4);
    expect(injected(short).map(({ bytes: whole }) => hex(whole))).toEqual(
      tagged.map((whole, at) => hex(at === 2 ? whole.slice(0, 13) : whole.slice(0, 17))),
    );
  });

  it('says which checksums are not done and which packets are to be cut into segments', async () => {
    const captured = capture(one, { snapLength: 128 });
    const listener = spawn(
      'ip',
      ['netns', 'exec', other, 'socat', '-u', 'TCP-LISTEN:7000', 'OPEN:/dev/null'],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => listener.once('close', resolve));
    await expect
      .poll(() => execFileSync('ip', ['netns', 'exec', other, 'ss', '-Hltn'], { encoding: 'utf8' }))
      .toContain(':7000');
    execFileSync(
      'ip',
      [
        'netns',
        'exec',
        one,
        'sh',
        '-c',
        'head -c 2000000 /dev/zero | socat -u - TCP:10.9.2.2:7000',
      ],
      { stdio: 'pipe' },
    );
    await ended;
    const closing = (): number =>
      captured.seen.filter((packet) => field(packet, 'tcp.flags.fin') === true).length;
    await expect.poll(closing).toBeGreaterThanOrEqual(2);
    const sent = captured.seen.filter(
      (packet) => packet.direction === 'sent' && field(packet, 'tcp.srcport') !== undefined,
    );
    const large = sent.filter(({ wireLength }) => wireLength > 1514);
    expect(large.length).toBeGreaterThan(0);
    expect(
      large.every(
        ({ segmentSize, isChecksumPending }) => segmentSize === 1448 && isChecksumPending,
      ),
    ).toBe(true);
    const small = sent.filter(({ wireLength }) => wireLength <= 1514);
    expect(small.every(({ segmentSize }) => segmentSize === null)).toBe(true);
    const payload = sent.reduce((sum, { wireLength }) => sum + wireLength - 66, 0);
    // The request for the connection has longer options.
    expect(payload - 8).toBe(2_000_000);
  });

  it('counts what it has no room for', async () => {
    const captured = capture(other, { ringLength: 1, patience: 5 });
    // It cannot be read meanwhile: this waits.
    ping('10.9.2.2', '-f', '-c', '1000', '-s', '1400');
    await expect.poll(() => missing(captured)).toBe(0);
    ping('10.9.2.2', '-c', '1');
    await expect.poll(() => echoes(captured).at(-1)?.wireLength).toBe(98);
    await expect.poll(() => missing(captured)).toBe(0);
    expect(captured.ring.totals().received).toBeGreaterThanOrEqual(2002);
    const { dropped } = captured.ring.totals();
    expect(dropped).toBeGreaterThan(0);
    // What came before it was full, and what came after.
    expect(captured.seen.length).toBeGreaterThan(10);
    expect(
      echoes(captured)
        .slice(-2)
        .map(({ wireLength }) => wireLength),
    ).toEqual([98, 98]);
  });
});

describe('what ends under a ring', () => {
  it('is an interface: that is said once', async () => {
    const captured = capture(other, { interfaceIndex: indexOf(other, 'wire') });
    run(`-n ${one} link delete wire`);
    await expect.poll(() => captured.ends.length).toBe(1);
    expect(captured.ends[0]).toMatchObject({
      code: 'capture-interface-gone',
      kind: 'unknown-object',
    });
    await pause(50);
    expect(captured.ends).toHaveLength(1);
    captured.ring.close();
    captured.ring.close();
  });

  it('is no interface that is set down: it goes on when it is up again', async () => {
    const captured = capture(other, { interfaceIndex: indexOf(other, 'wire') });
    run(`-n ${other} link set wire down`);
    await pause(100);
    run(`-n ${other} link set wire up`);
    ping('10.9.2.2', '-c', '1', '-W', '5');
    await expect.poll(() => echoes(captured).length).toBe(2);
    expect(captured.ends).toEqual([]);
  });

  it('is a namespace: it is kept until the ring is closed, and then goes with its wires', async () => {
    const captured = capture(other);
    ping('10.9.2.2', '-c', '1');
    await expect.poll(() => echoes(captured).length).toBe(2);
    run(`netns delete ${other}`);
    await pause(200);
    expect([...linksOf(one).values()]).toContain('wire');
    expect(captured.ring.totals().dropped).toBe(0);
    captured.ring.close();
    await expect.poll(() => [...linksOf(one).values()]).toEqual(['lo']);
  });

  it('is the ring itself, from within a packet', async () => {
    const captured = capture(other, {
      onPacket: () => {
        rings[0]?.close();
      },
    });
    ping('10.9.2.2', '-c', '3', '-i', '0.01');
    await pause(100);
    expect(captured.ring.totals().received).toBeGreaterThan(0);
  });
});
