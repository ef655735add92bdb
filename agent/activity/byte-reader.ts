/** Reads numbers in network order between two places of some bytes. Never throws: what is not there is 0, and `failed`. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  /** Whether more was asked for than there is. */
  failed = false;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.end = Math.max(0, Math.min(end, bytes.length));
    this.at = Math.max(0, Math.min(start, this.end));
  }

  get left(): number {
    return this.end - this.at;
  }

  has(length: number): boolean {
    return length >= 0 && length <= this.end - this.at;
  }

  private take(length: number): number {
    if (!this.has(length)) {
      this.failed = true;
      this.at = this.end;
      return -1;
    }
    const start = this.at;
    this.at += length;
    return start;
  }

  uint8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : (this.bytes[at] ?? 0);
  }

  uint16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : unsignedAt(this.bytes, at, 2);
  }

  uint32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : unsignedAt(this.bytes, at, 4);
  }

  /** A number where it is exact, else decimal text. */
  uint64(): number | string {
    const at = this.take(8);
    return at < 0 ? 0 : exactAt(this.bytes, at, 8);
  }

  /** A view, not a copy; empty where there is not so much. */
  slice(length: number): Uint8Array {
    const at = this.take(length);
    return at < 0 ? new Uint8Array(0) : this.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.take(length);
  }

  /** The next `length` bytes, or what there is of them, as a reader of their own; goes on after them. */
  part(length: number): ByteReader {
    const start = this.at;
    if (!this.has(length)) this.failed = true;
    this.at = Math.min(this.end, start + Math.max(0, length));
    return new ByteReader(this.bytes, start, this.at);
  }
}

/** Up to six bytes as a number. */
export function unsignedAt(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = 0; index < length; index += 1) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}

/** Up to sixteen bytes: a number where it is exact, else decimal text. */
export function exactAt(bytes: Uint8Array, at: number, length: number): number | string {
  if (length <= 6) return unsignedAt(bytes, at, length);
  let value = 0n;
  for (let index = 0; index < length; index += 1) {
    value = (value << 8n) | BigInt(bytes[at + index] ?? 0);
  }
  return exact(value);
}

function exact(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
    ? Number(value)
    : value.toString();
}

/** Two's complement of up to eight bytes. */
export function signedAt(bytes: Uint8Array, at: number, length: number): number | string {
  let value = 0n;
  for (let index = 0; index < length; index += 1) {
    value = (value << 8n) | BigInt(bytes[at + index] ?? 0);
  }
  return exact(BigInt.asIntN(length * 8, value));
}

/** An approximation where it is beyond 2^53: for sums and display. */
export function approximate(value: number | string): number {
  return typeof value === 'number' ? value : Number(value);
}

export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Of 4 or 16 bytes; as RFC 5952 asks. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return Array.from(bytes, String).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => unsignedAt(bytes, index * 2, 2));
  // IPv4-mapped addresses keep their dots (RFC 5952, 5).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${addressText(bytes.subarray(12, 16))}`;
  }
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const words = groups.map((group) => group.toString(16));
  if (best.start < 0) return words.join(':');
  const [head, tail] = [words.slice(0, best.start), words.slice(best.start + best.length)];
  return `${head.join(':')}::${tail.join(':')}`;
}

/** UTF-8 up to the first NUL; what is none becomes U+FFFD. Characters of control are left out. */
export function plainText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  // eslint-disable-next-line no-control-regex -- they have no place on a screen
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '');
}
