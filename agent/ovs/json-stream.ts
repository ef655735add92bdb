/**
 * JSON texts on a stream without anything between them, as JSON-RPC of Open vSwitch has them: a text ends where its
 * outermost bracket closes. Pure.
 */

const quote = 0x22;
const backslash = 0x5c;

/** What came is no stream of JSON objects, or a text is longer than allowed. Nothing more can be read then. */
export class JsonStreamError extends Error {
  readonly code: 'malformed' | 'too-large';

  constructor(code: 'malformed' | 'too-large', message: string) {
    super(message);
    this.code = code;
  }
}

/** Takes bytes as they come and gives whole values. */
export class JsonStream {
  private readonly limit: number;
  private readonly chunks: Buffer[] = [];
  private held = 0;
  private depth = 0;
  private inText = false;
  private escaped = false;

  /** `limit`: bytes of one text. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Values that are whole now. Throws {@link JsonStreamError}. */
  push(chunk: Buffer): readonly unknown[] {
    const values: unknown[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.inText) {
        // Bytes of a character beyond ASCII are none of these.
        if (this.escaped) this.escaped = false;
        else if (byte === backslash) this.escaped = true;
        else if (byte === quote) this.inText = false;
        continue;
      }
      if (byte === 0x7b || byte === 0x5b) {
        this.depth += 1;
      } else if (byte === 0x7d || byte === 0x5d) {
        this.depth -= 1;
        if (this.depth < 0) throw new JsonStreamError('malformed', 'a bracket closes nothing');
        if (this.depth === 0) {
          values.push(this.take(chunk.subarray(start, at + 1)));
          start = at + 1;
        }
      } else if (this.depth === 0) {
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw new JsonStreamError('malformed', 'something stands between the messages');
        }
        start = at + 1;
      } else if (byte === quote) this.inText = true;
    }
    if (start < chunk.length) {
      this.chunks.push(chunk.subarray(start));
      this.held += chunk.length - start;
    }
    if (this.held > this.limit) {
      throw new JsonStreamError('too-large', `a message has more than ${this.limit} bytes`);
    }
    return values;
  }

  private take(last: Buffer): unknown {
    const size = this.held + last.length;
    if (size > this.limit) {
      throw new JsonStreamError('too-large', `a message has more than ${this.limit} bytes`);
    }
    const text = Buffer.concat([...this.chunks, last], size).toString('utf8');
    this.chunks.length = 0;
    this.held = 0;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new JsonStreamError('malformed', error instanceof Error ? error.message : 'no JSON');
    }
  }
}
