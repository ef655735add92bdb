/** Bytes as lines of hexadecimal digits and characters. Pure. */
export interface HexLine {
  /** Place of the first byte, four digits or more. */
  readonly place: string;
  readonly start: number;
  readonly cells: readonly { readonly at: number; readonly hex: string; readonly text: string }[];
}

/** The line that begins at `start`; empty cells are left out. */
export function hexLine(bytes: Uint8Array, start: number, width: number): HexLine {
  const cells = Array.from(bytes.subarray(start, start + width), (byte, index) => ({
    at: start + index,
    hex: byte.toString(16).padStart(2, '0'),
    text: byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·',
  }));
  return { place: start.toString(16).padStart(4, '0'), start, cells };
}

export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
