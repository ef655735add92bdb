/** A cursor over the captured bytes of a layer that builds its fields, and cannot leave them. */
import { type Field, type FieldType, type FieldValue, meaningOf } from './field.ts';
import {
  hexadecimalText,
  ipv4Text,
  ipv6Text,
  macText,
  uint16,
  uint32,
  uint8,
  utf8Text,
} from './octets.ts';

/**
 * `truncated`: the packet has more than was captured. `malformed`: a length or a number says what cannot be. `too-much`: it
 * has more fields or layers than anybody reads.
 */
export const packetFaultKinds = ['truncated', 'malformed', 'too-much'] as const;
export type PacketFaultKind = (typeof packetFaultKinds)[number];

export interface PacketFault {
  readonly kind: PacketFaultKind;
  /** Byte of the packet where it was seen. */
  readonly offset: number;
}

/** Fields of one layer. */
export const maximumFields = 8192;
/** Fields within fields. */
const maximumDepth = 16;

interface OpenField {
  readonly type: FieldType;
  readonly offset: number;
  length: number;
  readonly mask: number | null;
  value: FieldValue;
  meaning: string | null;
  readonly fields: OpenField[];
}

const none: OpenField[] = [];

/** A flag set or a word of several parts: what lies below it, by its bits. */
export type BitFields = readonly (readonly [type: FieldType, mask: number])[];

/**
 * After the first read that fails, all others give 0 or nothing and add no field, until the part that they are in ends: so
 * dissectors are written straight on, and what was captured is there.
 */
export class FieldTree {
  readonly bytes: Uint8Array;
  at: number;
  /** First byte that may not be read: of this part, and never beyond what was captured. */
  end: number;
  failed = false;
  fault: PacketFault | null = null;
  private readonly captured: number;
  /** Where this part ends by what the packet says, beyond `end` where it was cut off. */
  private declared: number;
  private readonly root: OpenField[] = [];
  private list: OpenField[] = this.root;
  private count = 0;
  private depth = 0;

  /** Reads from `at` to `end`, which may lie beyond the captured bytes. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.captured = bytes.length;
    this.declared = Math.max(at, end);
    this.at = Math.min(at, this.captured);
    this.end = Math.max(this.at, Math.min(end, this.captured));
  }

  get fields(): readonly Field[] {
    return this.root;
  }

  /** Bytes up to the end of this part, whether they were captured or not; 0 after a failure. */
  get left(): number {
    return this.failed ? 0 : this.declared - this.at;
  }

  /** Whether so many bytes are there to be read. */
  has(length: number): boolean {
    return !this.failed && length <= this.end - this.at;
  }

  /** Goes on with another part of the packet, at the outermost level. */
  goTo(at: number, end: number): void {
    if (this.failed || at > this.captured) return;
    this.at = at;
    this.declared = Math.max(at, end);
    this.end = Math.max(at, Math.min(end, this.captured));
  }

  /** Says that what is here cannot be, and ends this part. */
  malformed(offset = this.at): void {
    this.fail(offset, 'malformed');
  }

  /** Says that what begins here goes on behind the last byte that is there. */
  incomplete(): void {
    this.fail(this.end, this.declared > this.end ? 'truncated' : 'malformed');
  }

  private fail(offset: number, kind: PacketFaultKind): void {
    this.failed = true;
    this.at = this.end;
    this.fault ??= { kind, offset };
  }

  /** Where the next `length` bytes begin, and goes on after them; -1 where there are not so many. */
  private take(length: number): number {
    if (this.failed) return -1;
    if (!(length >= 0 && length <= this.end - this.at)) {
      const isCut = length >= 0 && length <= this.declared - this.at;
      this.fail(this.at, isCut ? 'truncated' : 'malformed');
      return -1;
    }
    const at = this.at;
    this.at += length;
    return at;
  }

  /** Adds a field of bytes that were looked at; outside of what was captured it adds nothing. */
  add(
    type: FieldType,
    offset: number,
    length: number,
    value: FieldValue,
    meaning: string | null = null,
    mask: number | null = null,
  ): void {
    if (offset < 0 || length < 0 || offset + length > this.captured) return;
    this.push({ type, offset, length, mask, value, meaning, fields: none });
  }

  private push(field: OpenField): void {
    if (this.count >= maximumFields) {
      this.fail(field.offset, 'too-much');
      return;
    }
    this.count += 1;
    this.list.push(field);
  }

  private numberAt(at: number, length: number): number {
    switch (length) {
      case 1:
        return uint8(this.bytes, at);
      case 2:
        return uint16(this.bytes, at);
      case 4:
        return uint32(this.bytes, at);
      default: {
        let value = 0;
        for (let place = at; place < at + length; place += 1) {
          value = value * 256 + uint8(this.bytes, place);
        }
        return value;
      }
    }
  }

  /** A number of up to six bytes. */
  unsigned(type: FieldType, length: number): number {
    const at = this.take(length);
    if (at < 0) return 0;
    const value = this.numberAt(at, length);
    this.add(type, at, length, value, meaningOf(type, value));
    return value;
  }

  /** As `unsigned`, with the bytes in the order of the machine that wrote them. */
  littleEndian(type: FieldType, length: number): number {
    const at = this.take(length);
    if (at < 0) return 0;
    let value = 0;
    for (let place = at + length - 1; place >= at; place -= 1) {
      value = value * 256 + uint8(this.bytes, place);
    }
    this.add(type, at, length, value, meaningOf(type, value));
    return value;
  }

  /** Two's complement of up to four bytes. */
  signed(type: FieldType, length: number): number {
    const at = this.take(length);
    if (at < 0) return 0;
    const value = this.numberAt(at, length);
    const turn = 2 ** (length * 8);
    const real = value >= turn / 2 ? value - turn : value;
    this.add(type, at, length, real, meaningOf(type, real));
    return real;
  }

  /** Eight bytes: a number where it is exact, else decimal text. */
  wide(type: FieldType): void {
    const at = this.take(8);
    if (at < 0) return;
    const high = uint32(this.bytes, at);
    const low = uint32(this.bytes, at + 4);
    const value =
      high < 0x200000 ? high * 2 ** 32 + low : ((BigInt(high) << 32n) | BigInt(low)).toString();
    this.add(type, at, 8, value);
  }

  flag(type: FieldType): boolean {
    const at = this.take(1);
    if (at < 0) return false;
    const value = uint8(this.bytes, at) !== 0;
    this.add(type, at, 1, value);
    return value;
  }

  /** Some bits of a number of up to four bytes at a place that was read. */
  bits(type: FieldType, offset: number, length: number, mask: number): number {
    if (this.failed || offset + length > this.end) return 0;
    const word = this.numberAt(offset, length);
    const shift = 31 - Math.clz32(mask & -mask);
    const value = (word & mask) >>> shift;
    if (type.kind === 'flag') this.add(type, offset, length, value !== 0, null, mask >>> 0);
    else this.add(type, offset, length, value, meaningOf(type, value), mask >>> 0);
    return value;
  }

  /** A number and its bits below it; gives the number. */
  word(type: FieldType, length: number, parts: BitFields): number {
    const at = this.take(length);
    if (at < 0) return 0;
    const value = this.numberAt(at, length);
    this.nest(type, at, value, meaningOf(type, value), () => {
      for (const [part, mask] of parts) this.bits(part, at, length, mask);
    });
    return value;
  }

  mac(type: FieldType): string {
    const at = this.take(6);
    if (at < 0) return '';
    const value = macText(this.bytes, at);
    this.add(type, at, 6, value);
    return value;
  }

  ipv4(type: FieldType): string {
    const at = this.take(4);
    if (at < 0) return '';
    const value = ipv4Text(this.bytes, at);
    this.add(type, at, 4, value);
    return value;
  }

  ipv6(type: FieldType): string {
    const at = this.take(16);
    if (at < 0) return '';
    const value = ipv6Text(this.bytes, at);
    this.add(type, at, 16, value);
    return value;
  }

  text(type: FieldType, length: number): string {
    const at = this.take(length);
    if (at < 0) return '';
    const value = utf8Text(this.bytes, at, length);
    this.add(type, at, length, value);
    return value;
  }

  /** Adds nothing for no bytes at all. */
  octets(type: FieldType, length: number): string {
    const at = this.take(length);
    if (at < 0 || length === 0) return '';
    const value = hexadecimalText(this.bytes, at, length);
    this.add(type, at, length, value);
    return value;
  }

  skip(length: number): void {
    this.take(length);
  }

  /** The next byte and those after it, without going on; 0 where there is none. */
  peek(length = 1, ahead = 0): number {
    const at = this.at + ahead;
    return this.failed || at + length > this.end ? 0 : this.numberAt(at, length);
  }

  /** A field that holds what `build` adds, and ends where that ends. */
  group(
    type: FieldType,
    build: () => void,
    value: FieldValue = null,
    meaning: string | null = null,
  ): void {
    if (this.failed) return;
    this.nest(type, this.at, value, meaning, build);
  }

  /** Within `build` the field may be given what is known only then. */
  private nest(
    type: FieldType,
    offset: number,
    value: FieldValue,
    meaning: string | null,
    build: () => void,
  ): void {
    if (this.depth >= maximumDepth) {
      this.fail(offset, 'too-much');
      return;
    }
    const field: OpenField = { type, offset, length: 0, mask: null, value, meaning, fields: [] };
    this.push(field);
    const outer = this.list;
    this.list = field.fields;
    this.depth += 1;
    build();
    this.depth -= 1;
    this.list = outer;
    field.length = Math.max(0, this.at - offset);
  }

  /** Says of the field that is being built what only its content tells. */
  name(value: FieldValue, meaning: string | null = null): void {
    const field = this.holder;
    if (field === undefined) return;
    field.value = value;
    field.meaning = meaning;
  }

  private get holder(): OpenField | undefined {
    // The list that is filled belongs to the last field of the one outside of it.
    let list = this.root;
    for (;;) {
      const last = list.at(-1);
      if (last === undefined) return undefined;
      if (last.fields === this.list) return last;
      list = last.fields;
    }
  }

  /**
   * The next `length` bytes as a part: what fails in it fails there alone, and afterwards it goes on behind it. A part that
   * does not fit is read as far as it goes, and the outer one fails with it.
   */
  within(length: number, build: () => void): void {
    if (this.failed) return;
    if (length < 0) {
      this.malformed();
      return;
    }
    const start = this.at;
    const outerEnd = this.end;
    const outerDeclared = this.declared;
    const fits = length <= outerDeclared - start;
    if (fits) this.declared = start + length;
    this.end = Math.min(outerEnd, this.declared);
    build();
    this.failed = false;
    this.end = outerEnd;
    this.declared = outerDeclared;
    if (this.count >= maximumFields) this.fail(this.at, 'too-much');
    else if (!fits) this.fail(start, 'malformed');
    else if (start + length > outerEnd) this.fail(outerEnd, 'truncated');
    else this.at = start + length;
  }
}
