/** What tshark says of packets, to hold our fields against. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FieldJson, PacketJson } from '../../agent/dissect/packet-json.ts';

export interface SharkField {
  readonly name: string;
  readonly position: number;
  readonly size: number;
  readonly show: string;
  /** Hexadecimal digits of the bytes. */
  readonly value: string;
}

export interface SharkPacket {
  /** Also those within others, in their order. */
  readonly protocols: readonly string[];
  readonly fields: readonly SharkField[];
}

/** Nothing that depends on other packets: streams, reassembly, names. */
const settings = [
  'tcp.desegment_tcp_streams:FALSE',
  'tcp.analyze_sequence_numbers:FALSE',
  'tcp.relative_sequence_numbers:FALSE',
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
].flatMap((setting) => ['-o', setting]);

export function runTshark(args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('tshark', args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    // Preferences of whoever runs the tests do not count.
    env: { ...process.env, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent' },
  });
  if (error !== undefined) throw error;
  if (status !== 0 && status !== 2) throw new Error(`tshark ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** What one tshark prints of a capture. */
export function runTsharkOn(capture: Uint8Array, args: readonly string[]): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'netloom-tshark-'));
  const file = path.join(directory, 'capture');
  writeFileSync(file, capture);
  try {
    return runTshark(['-r', file, '-n', ...settings, ...args]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** All packets of a capture. */
export function dissectByTshark(capture: Uint8Array): SharkPacket[] {
  return readPdml(runTsharkOn(capture, ['-T', 'pdml']));
}

const entities: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&amp;': '&',
  '&quot;': '"',
  '&apos;': "'",
};

function readPdml(xml: string): SharkPacket[] {
  const packets: SharkPacket[] = [];
  let protocols: string[] = [];
  let fields: SharkField[] = [];
  for (const [, tag = '', attributes = ''] of xml.matchAll(
    /<(\/?[a-z]+)((?:\s+[a-z]+="[^"]*")*)/g,
  )) {
    if (tag === 'packet') {
      protocols = [];
      fields = [];
    } else if (tag === '/packet') {
      packets.push({ protocols, fields });
    } else if (tag === 'proto' || tag === 'field') {
      const found = new Map<string, string>();
      for (const [, name = '', text = ''] of attributes.matchAll(/([a-z]+)="([^"]*)"/g)) {
        const plain = text
          .replaceAll(/&#(x?)([0-9a-f]+);/gi, (_, hex: string, digits: string) =>
            String.fromCodePoint(Number.parseInt(digits, hex === '' ? 10 : 16)),
          )
          .replaceAll(/&[a-z]+;/g, (entity) => entities[entity] ?? entity);
        found.set(name, plain);
      }
      const name = found.get('name') ?? '';
      if (tag === 'proto') protocols.push(name);
      fields.push({
        name,
        position: Number(found.get('pos')),
        size: Number(found.get('size')),
        show: found.get('show') ?? '',
        value: found.get('value') ?? '',
      });
    }
  }
  return packets;
}

export function flatFields({ layers }: Pick<PacketJson, 'layers'>): FieldJson[] {
  const flat: FieldJson[] = [];
  const add = (field: FieldJson): void => {
    flat.push(field);
    for (const inner of field.fields ?? []) add(inner);
  };
  for (const layer of layers) for (const field of layer.fields) add(field);
  return flat;
}

/** Whether it shows our value: numbers in whatever base, octets by the bytes. */
export function isSameValue({ value }: FieldJson, theirs: SharkField): boolean {
  const { show } = theirs;
  if (value === null) return true;
  if (typeof value === 'boolean') return value === ['1', 'True'].includes(show);
  if (typeof value === 'number') return Number(show) === value;
  if (show.toLowerCase() === value.toLowerCase()) return true;
  // 64 bits, which have digits alone.
  if (/^\d{16,}$/.test(value) && /^(?:0x)?[0-9a-f]+$/.test(show)) {
    return BigInt(show) === BigInt(value);
  }
  return theirs.value.toLowerCase() === value || show.replaceAll(':', '') === value;
}

/** Our fields that tshark does not have at the same bytes with the same value, as lines to read. */
export function differences(
  ours: PacketJson,
  theirs: SharkPacket,
  isOurs: (name: string) => boolean,
): string[] {
  const lines: string[] = [];
  for (const field of flatFields(ours)) {
    if (isOurs(field.name)) continue;
    const named = theirs.fields.filter(({ name }) => name === field.name);
    const placed = named.filter(
      ({ position, size }) => position === field.offset && size === field.length,
    );
    if (placed.some((one) => isSameValue(field, one))) continue;
    const shown = (placed.length > 0 ? placed : named)
      .map(({ show, position, size }) => `${show} [${String(position)}+${String(size)}]`)
      .join(', ');
    lines.push(
      `${field.name}: ${String(field.value)} [${String(field.offset)}+${String(field.length)}], tshark: ${shown || 'nothing'}`,
    );
  }
  return lines;
}

/** Names of all fields that tshark knows. */
export function sharkFieldNames(): ReadonlySet<string> {
  return new Set(
    runTshark(['-G', 'fields'])
      .split('\n')
      .flatMap((line) => {
        const [kind, , name] = line.split('\t');
        return kind === 'F' && name !== undefined ? [name] : [];
      }),
  );
}
