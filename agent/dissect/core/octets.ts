/** Numbers and texts of bytes at a place. What lies outside of the bytes is 0: callers that mind look before. */

export function uint8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

export function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function uint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 0x1000000 +
    (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  );
}

const decimals = Array.from({ length: 256 }, (_, byte) => String(byte));
const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Dotted decimal of four bytes. */
export function ipv4Text(bytes: Uint8Array, at: number): string {
  return `${decimals[bytes[at] ?? 0] ?? ''}.${decimals[bytes[at + 1] ?? 0] ?? ''}.${
    decimals[bytes[at + 2] ?? 0] ?? ''
  }.${decimals[bytes[at + 3] ?? 0] ?? ''}`;
}

/** Sixteen bytes as RFC 5952 asks. */
export function ipv6Text(bytes: Uint8Array, at: number): string {
  let gapStart = -1;
  let gapLength = 1; // One group of zeros is not shortened (4.2.2).
  for (let group = 0; group < 8; group += 1) {
    let end = group;
    while (end < 8 && uint16(bytes, at + end * 2) === 0) end += 1;
    if (end - group > gapLength) {
      gapStart = group;
      gapLength = end - group;
    }
    if (end > group) group = end;
  }
  // IPv4-mapped addresses keep their dots (section 5).
  if (gapStart === 0 && gapLength === 5 && uint16(bytes, at + 10) === 0xffff) {
    return `::ffff:${ipv4Text(bytes, at + 12)}`;
  }
  let text = '';
  for (let group = 0; group < 8; group += 1) {
    if (group === gapStart) {
      text += '::';
      group += gapLength - 1;
      continue;
    }
    if (text !== '' && !text.endsWith('::')) text += ':';
    text += uint16(bytes, at + group * 2).toString(16);
  }
  return text;
}

/** Pairs joined by colons; six bytes unless told. */
export function macText(bytes: Uint8Array, at: number, length = 6): string {
  let text = pairs[bytes[at] ?? 0] ?? '';
  for (let place = at + 1; place < at + length; place += 1) {
    text += `:${pairs[bytes[place] ?? 0] ?? ''}`;
  }
  return text;
}

export function hexadecimalText(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let place = at; place < at + length; place += 1) text += pairs[bytes[place] ?? 0] ?? '';
  return text;
}

const decoder = new TextDecoder();

/** UTF-8 up to the first NUL; what is none becomes U+FFFD. */
export function utf8Text(bytes: Uint8Array, at: number, length: number): string {
  const part = bytes.subarray(at, at + length);
  const end = part.indexOf(0);
  return decoder.decode(end < 0 ? part : part.subarray(0, end));
}

/** A byte for a character; for protocols that are ASCII. */
export function latinText(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let place = at; place < at + length; place += 1) {
    text += String.fromCharCode(bytes[place] ?? 0);
  }
  return text;
}
