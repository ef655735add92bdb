/** Names of the domain name system in a message (RFC 1035, 3.1 and 4.1.4). */
import type { FieldType } from './field.ts';
import type { FieldTree } from './field-tree.ts';

export interface DomainName {
  /** Labels joined by dots, without the last one; null where there is no whole name. The root is empty. */
  readonly name: string | null;
  /** Behind it, where it stands; -1 where it is none, and -2 where it goes on behind `end`. */
  readonly end: number;
}

const nothing: DomainName = { name: null, end: -1 };
const cutOff: DomainName = { name: null, end: -2 };

/** A name has at most 255 bytes, of which each label takes two. */
const maximumLabels = 128;
const maximumLength = 255;

/**
 * The name at `at` of a message that begins at `start` and ends before `end`. A pointer leads only backwards, as every one
 * does that was made by RFC 1035, so that there is an end. Bytes that would not be told apart in the text are `\DDD`.
 */
export function readDomainName(
  bytes: Uint8Array,
  start: number,
  at: number,
  end: number,
): DomainName {
  let name = '';
  let after = -1;
  let length = 0;
  let before = at;
  let place = at;
  for (let labels = 0; labels <= maximumLabels; labels += 1) {
    if (place >= end) return cutOff;
    const size = bytes[place] ?? 0;
    if (size === 0) return { name, end: after < 0 ? place + 1 : after };
    if (size >= 0xc0) {
      if (place + 2 > end) return cutOff;
      const target = start + (((size & 0x3f) << 8) | (bytes[place + 1] ?? 0));
      if (after < 0) after = place + 2;
      if (target >= before) return nothing;
      before = target;
      place = target;
      continue;
    }
    length += size + 1;
    if (size >= 0x40 || length > maximumLength) return nothing;
    if (place + 1 + size > end) return cutOff;
    if (name !== '') name += '.';
    name += labelText(bytes, place + 1, size);
    place += size + 1;
  }
  return nothing;
}

/** Adds the name that stands where the tree is, of a message that begins at `start`; null where there is no whole one. */
export function addDomainName(tree: FieldTree, type: FieldType, start: number): string | null {
  if (tree.failed) return null;
  const { at } = tree;
  const { name, end } = readDomainName(tree.bytes, start, at, tree.end);
  if (name === null) {
    if (end === -2) tree.incomplete();
    else tree.malformed();
    return null;
  }
  tree.add(type, at, end - at, name === '' ? '.' : name);
  tree.skip(end - at);
  return name;
}

function labelText(bytes: Uint8Array, at: number, size: number): string {
  let text = '';
  for (let place = at; place < at + size; place += 1) {
    const byte = bytes[place] ?? 0;
    if (byte <= 0x20 || byte >= 0x7f) text += `\\${String(byte).padStart(3, '0')}`;
    else if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else text += String.fromCharCode(byte);
  }
  return text;
}
