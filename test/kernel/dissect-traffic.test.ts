/** Packets that real programs and the kernel have made, captured by dumpcap, beside tshark's reading of the same file. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CaptureReader } from '../../agent/dissect/capture/capture-reader.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { packetJson, type PacketJson } from '../../agent/dissect/packet-json.ts';
import { differences, dissectByTshark, runTsharkOn, sharkFieldNames } from '../harness/tshark.ts';

const [left, right] = ['dissect-left', 'dissect-right'];
const directory = mkdtempSync(path.join(tmpdir(), 'netloom-traffic-'));
// Dumpcap gives its rights away, and then must still be able to write.
const file = path.join(directory, 'capture.pcapng');

function run(...words: readonly string[]): string {
  const [command = '', ...args] = words;
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${String(status)}: ${stderr}`);
  return stdout;
}
const inLeft = (...words: readonly string[]): string => run('ip', 'netns', 'exec', left, ...words);
const inRight = (...words: readonly string[]): string =>
  run('ip', 'netns', 'exec', right, ...words);
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (holds()) return;
    await pause(50);
  }
  throw new Error(`not so in time: ${what}`);
}

/** Sends and answers a few bytes over TCP: the listener ends when its peer does. */
async function talk(address: string): Promise<void> {
  const listener = spawn(
    'ip',
    ['netns', 'exec', right, 'socat', `TCP-LISTEN:7000,reuseaddr`, 'PIPE'],
    {
      stdio: 'ignore',
    },
  );
  const ended = new Promise((resolve) => listener.once('close', resolve));
  await until('socat listens', () => inRight('ss', '-Hltn', 'sport = 7000').trim() !== '');
  const said = spawnSync(
    'ip',
    ['netns', 'exec', left, 'socat', '-t2', '-', `TCP:${address}:7000`],
    {
      input: 'a few words\n',
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  expect(said.stdout).toBe('a few words\n');
  listener.kill();
  await ended;
}

/** Kinds of tunnels that the kernel has. Those that it lacks are among the packets built by hand. */
const tunnels = new Set<string>();

let ours: readonly PacketJson[];
let capture: Uint8Array;

beforeAll(async () => {
  run('ip', 'netns', 'add', left);
  run('ip', 'netns', 'add', right);
  run(
    'ip',
    'link',
    'add',
    'to-right',
    'netns',
    left,
    'type',
    'veth',
    'peer',
    'to-left',
    'netns',
    right,
  );
  const ends = [
    { enter: inLeft, link: 'to-right', host: '1', peer: '2' },
    { enter: inRight, link: 'to-left', host: '2', peer: '1' },
  ];
  for (const { enter, link, host, peer } of ends) {
    enter('ip', 'link', 'set', 'lo', 'up');
    enter('ip', 'address', 'add', `10.7.0.${host}/24`, 'dev', link);
    enter('ip', 'address', 'add', `2001:db8:7::${host}/64`, 'dev', link, 'nodad');
    enter('ip', 'link', 'set', link, 'up');
    const wanted: readonly (readonly [name: string, kind: string, ...words: readonly string[]])[] =
      [
        ['gre1', 'gre', 'local', `10.7.0.${host}`, 'remote', `10.7.0.${peer}`, 'key', '7'],
        ['vxlan1', 'vxlan', 'id', '42', 'remote', `10.7.0.${peer}`, 'dstport', '4789'],
        ['geneve1', 'geneve', 'id', '43', 'remote', `10.7.0.${peer}`],
      ];
    for (const [place, [name, kind, ...words]] of wanted.entries()) {
      const made = spawnSync('ip', [
        'netns',
        'exec',
        host === '1' ? left : right,
        'ip',
        'link',
        'add',
        name,
        'type',
        kind,
        ...words,
      ]);
      if (made.status !== 0) continue;
      tunnels.add(kind);
      enter('ip', 'address', 'add', `10.8.${String(place)}.${host}/24`, 'dev', name);
      enter('ip', 'link', 'set', name, 'up');
    }
  }
  const dumpcap = spawn(
    'ip',
    ['netns', 'exec', right, 'dumpcap', '-q', '-i', 'to-left', '-w', file],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = new Promise((resolve) => dumpcap.once('close', resolve));
  let told = '';
  dumpcap.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  await until(`dumpcap captures: ${told}`, () => existsSync(file) && statSync(file).size > 0);

  // Its file is there a moment before it captures: the neighbour is asked for again once it does.
  inLeft('ping', '-c', '2', '-i', '0.2', '10.7.0.2');
  inLeft('ip', 'neighbour', 'flush', 'dev', 'to-right');
  inLeft('ping', '-c', '1', '10.7.0.2');
  inLeft('ping', '-c', '2', '-i', '0.2', '2001:db8:7::2');
  // Larger than a packet may be: fragments.
  inLeft('ping', '-c', '1', '-s', '3000', '10.7.0.2');
  for (const place of [0, 1, 2]) {
    const to = `10.8.${String(place)}.2`;
    spawnSync('ip', ['netns', 'exec', left, 'ping', '-c', '1', '-W', '2', to]);
  }
  await talk('10.7.0.2');
  // Nobody listens there: an error that quotes the datagram.
  spawnSync('ip', ['netns', 'exec', left, 'sh', '-c', 'echo lost | socat - UDP:10.7.0.2:7001']);
  await pause(500);
  dumpcap.kill('SIGINT');
  await ended;

  capture = readFileSync(file);
  const packets: PacketJson[] = [];
  const reader = new CaptureReader();
  for (const item of [...reader.push(capture), ...reader.end()]) {
    if (item.kind === 'fault') throw new Error(JSON.stringify(item.fault));
    const { bytes, wireLength, interface: from } = item.packet;
    packets.push(packetJson(item.packet, dissect(bytes, from.linkType, wireLength)));
  }
  ours = packets;
});

afterAll(() => {
  for (const name of [left, right]) spawnSync('ip', ['netns', 'delete', name]);
  rmSync(directory, { recursive: true, force: true });
});

const stacks = (): readonly string[] =>
  ours.map(({ layers }) => layers.map(({ protocol }) => protocol).join(' '));

describe('what the kernel and its programs send', () => {
  it('is read without a fault, from the interface that dumpcap named', () => {
    expect(ours.length).toBeGreaterThan(20);
    expect(
      ours.flatMap(({ number, faults }) => faults.map((fault) => ({ number, fault }))),
    ).toEqual([]);
    expect(new Set(ours.map((packet) => packet.interface))).toEqual(new Set(['to-left']));
  });

  it('has the protocols that were used', () => {
    expect(stacks()).toEqual(
      expect.arrayContaining([
        'eth arp',
        'eth ip icmp data',
        'eth ipv6 icmpv6',
        'eth ipv6 icmpv6 data',
        'eth ip tcp',
        'eth ip tcp data',
        'eth ip udp data',
        'eth ip icmp ip udp data',
        'eth ip data',
        'eth ip udp vxlan eth ip icmp data',
        ...(tunnels.has('gre') ? ['eth ip gre ip icmp data'] : []),
        ...(tunnels.has('geneve') ? ['eth ip udp geneve eth ip icmp data'] : []),
      ]),
    );
  });

  it('is the same field by field beside tshark', () => {
    const known = sharkFieldNames();
    const theirs = dissectByTshark(capture);
    expect(theirs).toHaveLength(ours.length);
    const lines = ours.flatMap((packet, index) => {
      const shark = theirs[index];
      if (shark === undefined) return ['nothing'];
      const skip = (name: string): boolean => !known.has(name) || name === 'data.data';
      return differences(packet, shark, skip).map((line) => `${String(packet.number)}: ${line}`);
    });
    expect(lines).toEqual([]);
  });

  it('has the addresses that tshark lists', () => {
    const columns = ['_ws.col.Source', '_ws.col.Destination'].flatMap((name) => ['-e', name]);
    const theirs = runTsharkOn(capture, ['-T', 'fields', ...columns])
      .trimEnd()
      .split('\n');
    const isIp = ({ layers }: PacketJson): boolean => layers[1]?.protocol !== 'arp';
    const listed = ours.map((packet, index) =>
      isIp(packet) ? `${packet.source}\t${packet.destination}` : (theirs[index] ?? ''),
    );
    expect(listed).toEqual(theirs);
  });
});
