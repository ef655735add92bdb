/** `netloom dissect`: packets of a file and of standard input, for people and as JSON; files that are none. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PacketJson } from '../../agent/dissect/packet-json.ts';
import { classicCapture, type WrittenPacket } from '../harness/captures.ts';
import { Netloom, temporaryDirectory } from '../harness/netloom.ts';
import { ascii, bytes, frame, ip4, macA, message, packet4, udpFrame } from '../harness/packets.ts';

const ping = frame(0x0800, packet4(1, message(bytes('0800 0000 1234 0001', ascii('payload')))));
const arp = frame(
  0x0806,
  bytes('0001 0800 06 04 0001', macA, ip4('10.0.0.1'), '000000000000', ip4('10.0.0.2')),
);
const odd = udpFrame(ascii('\u001b[2J'), { source: 40_000, destination: 40_001 });
const packets: readonly WrittenPacket[] = [
  { bytes: ping, fraction: 0 },
  { bytes: arp, fraction: 250_000 },
  { bytes: odd, fraction: 500_000 },
];
const capture = classicCapture(packets);

let netloom: Netloom;
let file: string;
let directory: string;

beforeAll(() => {
  netloom = new Netloom();
  directory = temporaryDirectory('captures');
  file = path.join(directory, 'three.pcap');
  writeFileSync(file, capture);
});

function written(name: string, content: Uint8Array): string {
  const place = path.join(directory, name);
  writeFileSync(place, content);
  return place;
}

describe('packets of a file', () => {
  it('are lines for people', async () => {
    const { stdout, stderr } = await netloom.must(['dissect', file]);
    expect(stderr).toBe('');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/\s{2,}/));
    expect(lines).toEqual([
      ['1', '0.000000', '10.0.0.1 → 10.0.0.2', 'ICMP', '60', 'Echo request, id 0x1234, sequence 1'],
      [
        '2',
        '0.250000',
        '02:00:00:00:00:0a → 02:00:00:00:00:0b',
        'ARP',
        '60',
        'Who has 10.0.0.2? Tell 10.0.0.1',
      ],
      ['3', '0.500000', '10.0.0.1 → 10.0.0.2', 'UDP', '60', '40000 → 40001, 4 bytes'],
    ]);
  });

  it('are trees with --verbose', async () => {
    const { stdout } = await netloom.must(['dissect', file, '-v', '-c', '1']);
    expect(stdout).toContain('Time to live: 64 hops  [22+1]');
    expect(stdout).toContain('Do not fragment: true  [20+1]');
    expect(stdout).not.toContain('ARP');
  });

  it('are one JSON object a line with --json', async () => {
    const { stdout } = await netloom.must(['dissect', file, '--json']);
    const read = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as PacketJson);
    expect(read).toHaveLength(3);
    expect(read[0]).toMatchObject({
      number: 1,
      time: '2023-11-14T22:13:20.000000000Z',
      interface: null,
      length: 60,
      captured: 60,
      source: '10.0.0.1',
      destination: '10.0.0.2',
      protocol: 'ICMP',
      faults: [],
    });
    expect(read[0]?.layers.map(({ protocol }) => protocol)).toEqual(['eth', 'ip', 'icmp', 'data']);
    expect(read[0]?.layers[1]?.fields.find(({ name }) => name === 'ip.ttl')).toEqual({
      name: 'ip.ttl',
      offset: 22,
      length: 1,
      value: 64,
      unit: 'hops',
    });
  });

  it('end after --count', async () => {
    const { stdout } = await netloom.must(['dissect', file, '--count', '2']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
  });
});

describe('a display filter', () => {
  it('leaves packets out, and counts what is shown', async () => {
    const { stdout } = await netloom.must(['dissect', file, '-Y', 'arp || udp.port == 40001']);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().split(/\s+/)[0]),
    ).toEqual(['2', '3']);
    expect(stdout).toContain('0.250000');
    const first = await netloom.must(['dissect', file, '-Y', 'not icmp', '-c', '1', '--json']);
    expect(JSON.parse(first.stdout)).toMatchObject({ number: 2, protocol: 'ARP' });
  });

  it('is refused with the place of its fault, before anything is read', async () => {
    const refused = await netloom.run(['dissect', file, '-Y', 'ip && tcp.prot == 80']);
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toContain('At character 7 there is no field or protocol tcp.prot.');
    expect(refused.stderr).toContain('Did you mean tcp.port?');
  });
});

describe('standard input', () => {
  it('is read for -', async () => {
    const child = netloom.start(['dissect', '-']);
    let stdout = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    const status = new Promise((resolve) => child.once('close', resolve));
    // In pieces that end within packets.
    for (let at = 0; at < capture.length; at += 50) child.stdin?.write(capture.slice(at, at + 50));
    child.stdin?.end();
    expect(await status).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(3);
  });
});

describe('what cannot be read', () => {
  it('is shown as far as it goes, with the byte of the fault', async () => {
    const cut = written('cut.pcap', capture.slice(0, capture.length - 5));
    const { status, stdout, stderr } = await netloom.run(['dissect', cut]);
    expect(status).toBe(1);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    const at = 24 + 2 * (16 + 60);
    expect(stderr).toContain(`error: ${cut}: It ends within the record that begins at byte ${at}`);
    const json = await netloom.run(['dissect', cut, '--json']);
    const last: unknown = JSON.parse(json.stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(last).toMatchObject({
      failure: { kind: 'storage', code: 'capture-cut-off', values: { offset: at } },
    });
  });

  it('is refused when it is no capture, with the status of usage', async () => {
    const text = written('notes.txt', ascii('# no packets'));
    const { status, stdout, stderr } = await netloom.run(['dissect', text]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('At byte 0 it has 0x23206e6f where captures (pcap, pcapng)');
  });

  it('is named when it is not there', async () => {
    const { status, stderr } = await netloom.run(['dissect', path.join(directory, 'nothing')]);
    expect(status).toBe(2);
    expect(stderr).toContain('There is no such file.');
  });
});

describe('the table of fields', () => {
  it('lists every field with its value, unit and label', async () => {
    const { stdout } = await netloom.must(['dissect', '--fields', '--json']);
    const { fields } = JSON.parse(stdout) as { fields: { name: string }[] };
    expect(fields).toContainEqual({
      name: 'ip.ttl',
      protocols: ['ip'],
      kind: 'unsigned',
      unit: 'hops',
      label: 'Time to live',
    });
    expect(new Set(fields.map(({ name }) => name)).size).toBe(fields.length);
  });
});
