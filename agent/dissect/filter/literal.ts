/** Values that a filter holds a field against. */
import { maskAddress, parseIpv4, parseIpv6 } from '../../kernel/ip-address.ts';
import type { OperandKind } from './filter-fields.ts';

/** A value that can be compared: with others of its form only. */
export type FilterValue = number | bigint | string | Uint8Array;

export interface Literal {
  readonly value: FilterValue;
  /** Bits of an address that count; null where all do. */
  readonly prefix: number | null;
}

export interface LiteralFault {
  /** What the kind of the field takes, to complete "is not …". */
  readonly wanted: string;
}

const encoder = new TextEncoder();

const wanted: Readonly<Record<OperandKind, string>> = {
  unsigned: 'a number, such as 80 or 0x50',
  signed: 'a number, such as -1 or 0x50',
  flag: '1, 0, true or false',
  mac: 'a hardware address, such as 02:00:00:00:00:01',
  ipv4: 'an IPv4 address, such as 10.0.0.1 or 10.0.0.0/8',
  ipv6: 'an IPv6 address, such as 2001:db8::1 or 2001:db8::/32',
  text: 'a text; put it in double quotes',
  octets: 'bytes, such as 0a:ff:00, or a text in double quotes',
  protocol: 'bytes, such as 0a:ff:00, or a text in double quotes',
  group: 'a value',
};

/** The text as a value for a field of the kind. `quoted` says that it was in double quotes. */
export function literalOf(
  kind: OperandKind,
  text: string,
  quoted: boolean,
): Literal | LiteralFault {
  const value = valueOf(kind, text, quoted);
  if (value === undefined) return { wanted: wanted[kind] };
  return value instanceof Object && 'value' in value ? value : { value, prefix: null };
}

/** For `contains`: a piece of a text or of bytes, whatever the field's own kind is. */
export function pieceOf(text: string, quoted: boolean): Uint8Array | undefined {
  return quoted ? encoder.encode(text) : (bytesOf(text) ?? undefined);
}

function valueOf(
  kind: OperandKind,
  text: string,
  quoted: boolean,
): FilterValue | Literal | undefined {
  switch (kind) {
    case 'unsigned':
    case 'signed':
      return quoted ? undefined : numberOf(text);
    case 'flag':
      if (/^true$/i.test(text)) return 1;
      if (/^false$/i.test(text)) return 0;
      return quoted ? undefined : numberOf(text);
    case 'mac': {
      const bytes = bytesOf(text);
      return bytes?.length === 6 ? bytes : undefined;
    }
    case 'ipv4':
      return addressOf(text, parseIpv4);
    case 'ipv6':
      return addressOf(text, parseIpv6);
    case 'octets':
    case 'protocol':
      return pieceOf(text, quoted);
    case 'text':
      return text;
    case 'group':
      return undefined;
  }
}

/** Numbers that are not exact are bigints. */
function numberOf(text: string): number | bigint | undefined {
  if (/^-?\d+\.\d+$/.test(text)) return Number(text);
  const found = /^(-?)(0x[0-9a-f]+|0b[01]+|0[0-7]+|\d+)$/i.exec(text);
  const [, sign = '', digits = ''] = found ?? [];
  if (found === null || digits.length > 80) return undefined;
  // A zero in front is octal.
  const isOctal = /^0[0-7]+$/.test(digits);
  if (/^0\d/.test(digits) && !isOctal) return undefined;
  const whole = BigInt(isOctal ? `0o${digits}` : digits);
  const value = sign === '' ? whole : -whole;
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

/** Pairs of hexadecimal digits joined by colons, dashes or dots; undefined for any other text. */
function bytesOf(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(?:([:.-])[0-9a-f]{2}(?:\1[0-9a-f]{2})*)?$/i.test(text)) return undefined;
  const pairs = text.replaceAll(/[:.-]/g, '').match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

function addressOf(
  text: string,
  parse: (text: string) => Uint8Array | undefined,
): Literal | undefined {
  const [address = '', length, more] = text.split('/');
  const bytes = parse(address);
  if (bytes === undefined || more !== undefined) return undefined;
  if (length === undefined) return { value: bytes, prefix: null };
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : Infinity;
  if (prefix > bytes.length * 8) return undefined;
  return { value: maskAddress(bytes, prefix), prefix };
}

/** Less than 0, 0 or more than 0; undefined for values that cannot be compared. */
export function compareValues(one: FilterValue, other: FilterValue): number | undefined {
  if (typeof one === 'string') {
    if (typeof other !== 'string') return undefined;
    return one < other ? -1 : one > other ? 1 : 0;
  }
  if (one instanceof Uint8Array) {
    return other instanceof Uint8Array ? compareBytes(one, other) : undefined;
  }
  if (typeof other === 'string' || other instanceof Uint8Array) return undefined;
  // Numbers and bigints compare by their values.
  return one < other ? -1 : one > other ? 1 : 0;
}

function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const difference = (one[at] ?? 0) - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** Whether `piece` is somewhere in `bytes`. */
export function holdsBytes(bytes: Uint8Array, piece: Uint8Array): boolean {
  const [first] = piece;
  if (first === undefined) return true;
  const last = bytes.length - piece.length;
  for (let at = bytes.indexOf(first); at >= 0 && at <= last; at = bytes.indexOf(first, at + 1)) {
    let length = 1;
    while (length < piece.length && bytes[at + length] === piece[length]) length += 1;
    if (length === piece.length) return true;
  }
  return false;
}
