/** Packets that were cut off, and packets with bytes that nobody has sent. */
import { describe, expect, it } from 'vitest';
import { maximumFields } from '../../../agent/dissect/core/field-tree.ts';
import { dissect, maximumLayers } from '../../../agent/dissect/dissect.ts';
import { type FieldJson, packetJson, type PacketJson } from '../../../agent/dissect/packet-json.ts';
import { packetTree } from '../../../agent/dissect/packet-text.ts';
import { summaryOf } from '../../../agent/dissect/summary.ts';
import { bytes, packet4 } from '../../harness/packets.ts';
import { flatFields } from '../../harness/tshark.ts';
import { samples } from './samples.ts';

/** All of a packet, as it would be printed. */
function read(whole: Uint8Array, linkType = 1, wireLength = whole.length): PacketJson {
  const dissection = dissect(whole, linkType, wireLength);
  packetTree(dissection);
  return packetJson(
    {
      number: 1,
      offset: 0,
      time: null,
      interface: { index: 0, name: null, linkType },
      bytes: whole,
      wireLength,
    },
    dissection,
  );
}

/** Fields that hold a value of their own, whatever is in them. */
function keyOf({ name, offset, length, value }: FieldJson): string {
  return `${name} [${String(offset)}+${String(length)}] ${JSON.stringify(value)}`;
}

function leavesOf(packet: PacketJson): FieldJson[] {
  return flatFields(packet).filter(({ name, value, fields }) => {
    // What is read to the end of a packet ends where it was cut off.
    return value !== null && fields === undefined && name !== 'data.data';
  });
}

/** Which of two readings it is hangs on a byte behind: of a part of them nothing is said. */
const lookAhead = new Set([
  'icmp.unused',
  'llc.control',
  // A word is over where something follows it.
  'http.request.method',
  'http.request.uri',
  'http.request.version',
  'http.response.version',
  'http.response.code',
  'http.response.phrase',
  'http.header.name',
  'http.header.value',
]);

/** What is told by its first bytes rather than by a port needs some of them to be known. */
function isKnown({ layers, captured }: PacketJson, name: string): boolean {
  const protocol = ['http', 'tls'].find((each) => name.startsWith(`${each}.`));
  if (protocol === undefined || layers.some((layer) => layer.protocol === protocol)) return true;
  const segment = layers.find((layer) => layer.protocol === 'tcp');
  return segment !== undefined && captured - segment.offset - segment.length >= 9;
}

describe('a packet that is cut off', () => {
  it.each(samples)('has the fields that are there whole: $name', ({ bytes: whole, linkType }) => {
    const full = leavesOf(read(whole, linkType));
    for (let length = 0; length < whole.length; length += 1) {
      const cut = read(whole.slice(0, length), linkType, whole.length);
      const given = leavesOf(cut);
      const wanted = full.filter((field) => field.offset + field.length <= length);
      const missing = new Set(
        wanted.filter(({ name }) => !lookAhead.has(name) && isKnown(cut, name)).map(keyOf),
      );
      for (const field of given) missing.delete(keyOf(field));
      expect({ length, missing: [...missing] }).toEqual({ length, missing: [] });
      const wantedKeys = new Set(wanted.map(keyOf));
      const invented = given.map(keyOf).filter((key) => !wantedKeys.has(key));
      expect({ length, invented }).toEqual({ length, invented: [] });
      // What the layers say is cut off, never malformed: all of it is right as far as it goes.
      expect(cut.faults.filter(({ kind }) => kind !== 'truncated')).toEqual([]);
    }
  });
});

/** mulberry32: the same packets for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One that says when it is asked for what it does not have; the prototype's methods see the proxy. */
function guarded(whole: Uint8Array, outside: (place: string) => void): Uint8Array {
  return new Proxy(whole, {
    get(target, key) {
      if (typeof key === 'string' && /^-?\d+$/.test(key) && !(Number(key) < target.length)) {
        outside(key);
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const seed = Number(process.env['NETLOOM_SEED'] ?? '78');

function mutated(random: () => number): { readonly whole: Uint8Array; readonly linkType: number } {
  const { bytes: original, linkType = 1 } = samples[Math.floor(random() * samples.length)] ?? {
    bytes: new Uint8Array(0),
  };
  const whole = original.slice(
    0,
    random() < 0.2 ? Math.floor(random() * original.length) : undefined,
  );
  const changes = 1 + Math.floor(random() * 6);
  for (let change = 0; change < changes; change += 1) {
    const at = Math.floor(random() * whole.length);
    // Lengths and counts do most harm where they are extreme.
    const extremes = [0, 1, 0x3f, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
    whole[at] =
      random() < 0.5
        ? (extremes[Math.floor(random() * extremes.length)] ?? 0)
        : Math.floor(random() * 256);
  }
  return { whole, linkType };
}

function fieldCount(fields: readonly FieldJson[]): number {
  return fields.reduce((sum, field) => sum + 1 + fieldCount(field.fields ?? []), 0);
}

describe('a packet of any bytes', () => {
  it(`ends, within bounds and without throwing (NETLOOM_SEED=${String(seed)})`, () => {
    const random = randomOf(seed);
    for (let round = 0; round < 15_000; round += 1) {
      const { whole, linkType } = mutated(random);
      const wireLength = random() < 0.5 ? whole.length : whole.length + Math.floor(random() * 2000);
      const packet = read(whole, linkType, wireLength);
      expect(packet.layers.length).toBeLessThanOrEqual(maximumLayers);
      for (const field of flatFields(packet)) {
        if (field.offset < 0 || field.offset + field.length > whole.length) {
          throw new Error(`seed ${String(seed)} round ${String(round)}: ${keyOf(field)}`);
        }
      }
    }
  });

  it(`is read within its bytes (NETLOOM_SEED=${String(seed)})`, () => {
    const random = randomOf(seed + 1);
    for (let round = 0; round < 2000; round += 1) {
      const { whole, linkType } = mutated(random);
      const places = new Set<string>();
      read(
        guarded(whole, (place) => places.add(place)),
        linkType,
      );
      expect({ round, places: [...places], bytes: Buffer.from(whole).toString('hex') }).toEqual({
        round,
        places: [],
        bytes: Buffer.from(whole).toString('hex'),
      });
    }
  });

  it('has a bounded number of layers', () => {
    let nested = bytes('45 00');
    for (let depth = 0; depth < 100; depth += 1) nested = packet4(4, nested);
    const packet = read(nested, 101);
    expect(packet.layers).toHaveLength(maximumLayers);
    expect(packet.faults.map(({ kind }) => kind)).toContain('too-much');
    expect(summaryOf(dissect(nested, 101)).info).toContain('too many layers');
  });

  it('has a bounded number of fields', () => {
    // 60,000 bytes of options without a length.
    const options = new Uint8Array(60_000).fill(0);
    const whole = bytes('60000000 ea 68 3c 40', '00'.repeat(32), '3b ff 0000', options);
    const packet = read(whole, 101);
    for (const { fields } of packet.layers) {
      expect(fieldCount(fields)).toBeLessThanOrEqual(maximumFields);
    }
  });
});
