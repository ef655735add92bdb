/**
 * What a dissector says of some bytes. Fields bear the names that display filters of Wireshark have for them, where they
 * have one: people know them, and they can be held against `tshark` one by one.
 */

/** 64-bit numbers that are not exact are decimal text; null where the field only holds others or its bytes. */
export type FieldValue = number | string | boolean | null;

/**
 * How a value reads: `unsigned` and `signed` numbers, `flag` a boolean, `mac` and the addresses as text, `text` what the
 * packet has as text, `octets` lower-case hexadecimal digits, `group` no value.
 */
export type FieldKind =
  'unsigned' | 'signed' | 'flag' | 'mac' | 'ipv4' | 'ipv6' | 'text' | 'octets' | 'group';

/** What a number stands for. */
export type Meanings = ReadonlyMap<number, string> | ((value: number) => string | undefined);

export interface FieldType {
  readonly name: string;
  /** For people. */
  readonly label: string;
  readonly kind: FieldKind;
  /** Of the value; null for a mere number or what is none. */
  readonly unit: string | null;
  /** Whether people write the number in hexadecimal. */
  readonly hexadecimal: boolean;
  readonly meanings: Meanings | null;
}

export interface Field {
  readonly type: FieldType;
  /** First byte, from the beginning of the packet. */
  readonly offset: number;
  readonly length: number;
  /** The bits that count, of a number as long as the field; null for all. */
  readonly mask: number | null;
  readonly value: FieldValue;
  /** What the value stands for, where that is known. */
  readonly meaning: string | null;
  readonly fields: readonly Field[];
}

export interface FieldOptions {
  readonly unit?: string;
  readonly meanings?: Meanings;
}

function typeOf(
  kind: FieldKind,
  hexadecimal: boolean,
  name: string,
  label: string,
  { unit, meanings }: FieldOptions,
): FieldType {
  return { name, label, kind, unit: unit ?? null, hexadecimal, meanings: meanings ?? null };
}

export function unsigned(name: string, label: string, options: FieldOptions = {}): FieldType {
  return typeOf('unsigned', false, name, label, options);
}

export function signed(name: string, label: string, options: FieldOptions = {}): FieldType {
  return typeOf('signed', false, name, label, options);
}

/** A number that is written in hexadecimal. */
export function hexadecimal(name: string, label: string, options: FieldOptions = {}): FieldType {
  return typeOf('unsigned', true, name, label, options);
}

export function flag(name: string, label: string): FieldType {
  return typeOf('flag', false, name, label, {});
}

export function mac(name: string, label: string): FieldType {
  return typeOf('mac', false, name, label, {});
}

export function ipv4(name: string, label: string): FieldType {
  return typeOf('ipv4', false, name, label, {});
}

export function ipv6(name: string, label: string): FieldType {
  return typeOf('ipv6', false, name, label, {});
}

export function text(name: string, label: string, options: FieldOptions = {}): FieldType {
  return typeOf('text', false, name, label, options);
}

export function octets(name: string, label: string): FieldType {
  return typeOf('octets', false, name, label, {});
}

export function group(name: string, label: string): FieldType {
  return typeOf('group', false, name, label, {});
}

export function meaningsOf(names: Readonly<Record<number, string>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(names).map(([value, name]) => [Number(value), name]));
}

export function meaningOf({ meanings }: FieldType, value: number): string | null {
  if (meanings === null) return null;
  return (typeof meanings === 'function' ? meanings(value) : meanings.get(value)) ?? null;
}

/** The first field of a name, at any depth. */
export function findField(fields: readonly Field[], name: string): Field | undefined {
  for (const field of fields) {
    if (field.type.name === name) return field;
    const found = findField(field.fields, name);
    if (found !== undefined) return found;
  }
  return undefined;
}
