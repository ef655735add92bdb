/** Whether a packet is meant by a display filter. */
import { type Result, succeed } from '../../api/result.ts';
import { maskAddress, parseIpv4, parseIpv6 } from '../../kernel/ip-address.ts';
import type { CapturedPacket } from '../capture/captured-packet.ts';
import type { Dissection } from '../core/dissection.ts';
import type { Field } from '../core/field.ts';
import type { Comparison, Expression, Operand, Slice, ValueRange } from './expression.ts';
import type { FilterField } from './filter-fields.ts';
import { compareValues, type FilterValue, holdsBytes, type Literal } from './literal.ts';
import { parseFilter } from './parse-filter.ts';

/** Of the frame, what filters may ask about. */
export type FilteredFrame = Pick<CapturedPacket, 'number' | 'time' | 'interface'>;

type Predicate = (frame: FilteredFrame, packet: Dissection) => boolean;

export interface DisplayFilter {
  readonly text: string;
  /** Builds the fields of those layers alone that the filter names. */
  readonly matches: Predicate;
}

/** Fails with the place in the text and what to do about it. */
export function displayFilter(text: string): Result<DisplayFilter> {
  const parsed = parseFilter(text);
  return parsed.ok ? succeed({ text, matches: predicateOf(parsed.value) }) : parsed;
}

function predicateOf(expression: Expression): Predicate {
  switch (expression.kind) {
    case 'and': {
      const parts = expression.parts.map(predicateOf);
      return (frame, packet) => parts.every((part) => part(frame, packet));
    }
    case 'or': {
      const parts = expression.parts.map(predicateOf);
      return (frame, packet) => parts.some((part) => part(frame, packet));
    }
    case 'not': {
      const of = predicateOf(expression.of);
      return (frame, packet) => !of(frame, packet);
    }
    case 'present':
      return presence(expression.operand);
    case 'compare':
      return comparing(expression.operand, expression.comparison, expression.with);
    case 'in': {
      const { operand, ranges } = expression;
      return (frame, packet) =>
        valuesOf(operand, frame, packet).some((value) =>
          ranges.some((range) => isWithin(value, range)),
        );
    }
    case 'contains': {
      const { operand, piece } = expression;
      return (frame, packet) =>
        valuesOf(operand, frame, packet).some((value) => holdsBytes(searchable(value), piece));
    }
    case 'matches': {
      const { operand, pattern } = expression;
      return (frame, packet) =>
        valuesOf(operand, frame, packet).some((value) => pattern.test(searchable(value)));
    }
  }
}

function presence(operand: Operand): Predicate {
  const { field, mask } = operand;
  if (mask !== null) {
    return (frame, packet) =>
      valuesOf(operand, frame, packet).some((value) => compareValues(value, 0) !== 0);
  }
  if (field.frame !== null) return (frame, packet) => valuesOf(operand, frame, packet).length > 0;
  if (field.kind === 'protocol') {
    if (field.protocols.size === 0) return () => true;
    return (_frame, { layers }) => layers.some(({ protocol }) => field.protocols.has(protocol));
  }
  return (_frame, packet) => {
    for (const layer of packet.layers) {
      if (field.protocols.has(layer.protocol) && isIn(layer.fields, field.names)) return true;
    }
    return false;
  };
}

function isIn(fields: readonly Field[], names: ReadonlySet<string>): boolean {
  return fields.some((field) => names.has(field.type.name) || isIn(field.fields, names));
}

/** By the sign of the comparison of a value with the other. */
const holds: Readonly<Record<Comparison, (order: number) => boolean>> = {
  equal: (order) => order === 0,
  unequal: (order) => order !== 0,
  'all-equal': (order) => order === 0,
  'any-unequal': (order) => order !== 0,
  less: (order) => order < 0,
  'less-or-equal': (order) => order <= 0,
  more: (order) => order > 0,
  'more-or-equal': (order) => order >= 0,
};

function comparing(operand: Operand, comparison: Comparison, other: Literal | Operand): Predicate {
  const isEach = comparison === 'unequal' || comparison === 'all-equal';
  const test = holds[comparison];
  const isHeld = (value: FilterValue, literal: Literal): boolean => {
    const order = orderOf(value, literal);
    return order !== undefined && test(order);
  };
  return (frame, packet) => {
    const values = valuesOf(operand, frame, packet);
    const others =
      'field' in other
        ? valuesOf(other, frame, packet).map((value): Literal => ({ value, prefix: null }))
        : [other];
    if (values.length === 0 || others.length === 0) return false;
    return isEach
      ? values.every((value) => others.every((literal) => isHeld(value, literal)))
      : values.some((value) => others.some((literal) => isHeld(value, literal)));
  };
}

function orderOf(value: FilterValue, { value: other, prefix }: Literal): number | undefined {
  const isMasked = prefix !== null && value instanceof Uint8Array;
  return compareValues(isMasked ? maskAddress(value, prefix) : value, other);
}

function isWithin(value: FilterValue, { low, high }: ValueRange): boolean {
  const [above, below] = [orderOf(value, low), orderOf(value, high)];
  return above !== undefined && below !== undefined && above >= 0 && below <= 0;
}

const encoder = new TextEncoder();

function searchable(value: FilterValue): Uint8Array {
  return value instanceof Uint8Array ? value : encoder.encode(String(value));
}

/** All values that the packet has for it; none where it is not there. */
function valuesOf(operand: Operand, frame: FilteredFrame, packet: Dissection): FilterValue[] {
  const { field, slice, mask } = operand;
  const values: FilterValue[] = [];
  if (field.frame !== null) {
    const value = frameValue(field.frame, frame, packet);
    if (value !== null) values.push(value);
  } else if (field.kind === 'protocol') {
    const { bytes } = packet;
    if (field.protocols.size === 0) values.push(bytes);
    for (const layer of packet.layers) {
      if (field.protocols.has(layer.protocol)) values.push(bytes.subarray(layer.start, layer.end));
    }
  } else {
    for (const layer of packet.layers) {
      if (field.protocols.has(layer.protocol)) gather(layer.fields, field, packet.bytes, values);
    }
  }
  if (mask !== null) return values.map((value) => masked(value, mask));
  return slice === null ? values : values.flatMap((value) => sliced(value, slice));
}

function frameValue(
  of: NonNullable<FilterField['frame']>,
  { number, time, interface: from }: FilteredFrame,
  packet: Dissection,
): FilterValue | null {
  switch (of) {
    case 'number':
      return number;
    case 'length':
      return packet.wireLength;
    case 'captured':
      return packet.bytes.length;
    case 'interface':
      return from.name;
    case 'time':
      return time === null ? null : time.seconds + time.nanoseconds / 1e9;
  }
}

function gather(
  fields: readonly Field[],
  wanted: FilterField,
  bytes: Uint8Array,
  values: FilterValue[],
): void {
  for (const field of fields) {
    if (wanted.names.has(field.type.name)) {
      const value = valueOf(field, bytes);
      if (value !== undefined) values.push(value);
    }
    if (field.fields.length > 0) gather(field.fields, wanted, bytes, values);
  }
}

/** Undefined for what has no value, such as a group. */
function valueOf(field: Field, packet: Uint8Array): FilterValue | undefined {
  const { type, offset, length, value } = field;
  switch (type.kind) {
    case 'unsigned':
    case 'signed':
      // 64 bits that are not exact.
      if (typeof value === 'string') return /^-?\d+$/.test(value) ? BigInt(value) : undefined;
      return typeof value === 'number' ? value : undefined;
    case 'flag':
      return typeof value === 'boolean' ? Number(value) : undefined;
    case 'text':
      return typeof value === 'string' ? value : undefined;
    case 'ipv4':
      // A prefix may have fewer bytes than its address.
      if (length === 4) return packet.subarray(offset, offset + 4);
      return typeof value === 'string' ? parseIpv4(value) : undefined;
    case 'ipv6':
      if (length === 16) return packet.subarray(offset, offset + 16);
      return typeof value === 'string' ? parseIpv6(value) : undefined;
    case 'mac':
    case 'octets':
      return packet.subarray(offset, offset + length);
    case 'group':
      return undefined;
  }
}

function masked(value: FilterValue, mask: number | bigint): FilterValue {
  if (typeof value !== 'number' && typeof value !== 'bigint') return value;
  // Of times there are parts, which have no bits.
  return BigInt(typeof value === 'number' ? Math.trunc(value) : value) & BigInt(mask);
}

/** No value where not all of it is there. */
function sliced(value: FilterValue, { start, length }: Slice): FilterValue[] {
  const bytes = searchable(value);
  const from = start < 0 ? bytes.length + start : start;
  const to = length === null ? bytes.length : from + length;
  return from < 0 || from >= bytes.length || to > bytes.length ? [] : [bytes.subarray(from, to)];
}
