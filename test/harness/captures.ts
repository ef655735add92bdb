/** Files of captures, written by the documents of their formats. */
import { bytes, type Part } from './packets.ts';

export interface WrittenPacket {
  readonly bytes: Uint8Array;
  /** Bytes on the wire; as many as there are unless given. */
  readonly wireLength?: number;
  readonly seconds?: number;
  /** Of a second, in the file's resolution. */
  readonly fraction?: number;
}

export interface ClassicOptions {
  readonly littleEndian?: boolean;
  readonly nanoseconds?: boolean;
  readonly linkType?: number;
}

/** A number in the order of the file. */
export function ordered(value: number, length: number, littleEndian: boolean): Uint8Array {
  const result = new Uint8Array(length);
  let rest = value;
  for (let at = 0; at < length; at += 1) {
    result[littleEndian ? at : length - 1 - at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return result;
}

export function classicCapture(
  packets: readonly WrittenPacket[],
  { littleEndian = true, nanoseconds = false, linkType = 1 }: ClassicOptions = {},
): Uint8Array {
  const word = (value: number): Uint8Array => ordered(value, 4, littleEndian);
  const half = (value: number): Uint8Array => ordered(value, 2, littleEndian);
  const parts: Uint8Array[] = [
    word(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4),
    half(2),
    half(4),
    word(0),
    word(0),
    word(262_144),
    word(linkType),
  ];
  for (const packet of packets) {
    parts.push(
      word(packet.seconds ?? 1_700_000_000),
      word(packet.fraction ?? 0),
      word(packet.bytes.length),
      word(packet.wireLength ?? packet.bytes.length),
      packet.bytes,
    );
  }
  return join(parts);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function filled(part: Uint8Array): Uint8Array {
  return join([part, new Uint8Array(-part.length & 3)]);
}

/** A block of pcapng: type and body, in the byte order of its section. */
export function block(type: number, body: Uint8Array, littleEndian = true): Uint8Array {
  const whole = filled(body);
  const length = ordered(whole.length + 12, 4, littleEndian);
  return join([ordered(type, 4, littleEndian), length, whole, length]);
}

export function option(code: number, value: Part, littleEndian = true): Uint8Array {
  const content = bytes(value);
  return join([
    ordered(code, 2, littleEndian),
    ordered(content.length, 2, littleEndian),
    filled(content),
  ]);
}

export function sectionHeader(littleEndian = true): Uint8Array {
  const words = [ordered(0x1a2b3c4d, 4, littleEndian), ordered(1, 2, littleEndian)];
  const body = join([...words, ordered(0, 2, littleEndian), bytes('ff'.repeat(8))]);
  return block(0x0a0d0d0a, body, littleEndian);
}

export function interfaceBlock(
  linkType: number,
  options: readonly Uint8Array[] = [],
  { littleEndian = true, snapLength = 0 }: { littleEndian?: boolean; snapLength?: number } = {},
): Uint8Array {
  const end = options.length === 0 ? [] : [new Uint8Array(4)];
  const body = [ordered(linkType, 2, littleEndian), new Uint8Array(2)];
  return block(
    1,
    join([...body, ordered(snapLength, 4, littleEndian), ...options, ...end]),
    littleEndian,
  );
}

export interface EnhancedPacket {
  readonly interface?: number;
  /** Ticks since the epoch. */
  readonly time?: bigint;
  readonly bytes: Uint8Array;
  readonly wireLength?: number;
}

export function packetBlock(packet: EnhancedPacket, littleEndian = true): Uint8Array {
  const time = packet.time ?? 0n;
  const word = (value: number): Uint8Array => ordered(value, 4, littleEndian);
  return block(
    6,
    join([
      word(packet.interface ?? 0),
      word(Number(time >> 32n)),
      word(Number(time & 0xffffffffn)),
      word(packet.bytes.length),
      word(packet.wireLength ?? packet.bytes.length),
      packet.bytes,
    ]),
    littleEndian,
  );
}
