/** Bytes that come in pieces and are read as one; what is skipped is not kept. */
export class ByteQueue {
  private buffer: Uint8Array = new Uint8Array(0);
  private at = 0;
  private toSkip = 0;
  /** Bytes read or skipped so far: where in the whole the next one is. */
  offset = 0;
  /** Where what is skipped began. */
  skipStart = 0;

  /** Views given out before are not valid afterwards. */
  push(piece: Uint8Array): void {
    if (this.toSkip > 0) {
      const skipped = Math.min(this.toSkip, piece.length);
      this.toSkip -= skipped;
      piece = piece.subarray(skipped);
    }
    if (this.length === 0) {
      this.buffer = piece;
    } else {
      const joined = new Uint8Array(this.length + piece.length);
      joined.set(this.buffer.subarray(this.at));
      joined.set(piece, this.length);
      this.buffer = joined;
    }
    this.at = 0;
  }

  get length(): number {
    return this.buffer.length - this.at;
  }

  /** Whether bytes that are to be skipped have not come yet. */
  get isSkipping(): boolean {
    return this.toSkip > 0;
  }

  /** The next bytes, without going on; null where there are not so many yet. */
  peek(length: number): Uint8Array | null {
    return this.length < length ? null : this.buffer.subarray(this.at, this.at + length);
  }

  /** Goes on, also beyond what has come. */
  skip(length: number): void {
    const there = Math.min(length, this.length);
    if (there < length) this.skipStart = this.offset;
    this.at += there;
    this.toSkip += length - there;
    this.offset += length;
  }
}
