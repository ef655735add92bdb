/**
 * Regular expressions that take no longer than the product of their own length and that of the text: all ways through the
 * expression are followed side by side, and none is gone back on. Like those of display filters they match bytes, and
 * whatever the case of letters.
 */

/** Steps of an expression once its repetitions are written out. */
export const maximumSteps = 1_000;
/** Bytes of a text that are looked at. */
export const maximumSearched = 65_536;
const maximumRepetitions = 255;
const maximumDepth = 32;

export interface PatternFault {
  /** Character of the expression, from 0. */
  readonly at: number;
  /** A sentence. */
  readonly reason: string;
}

/** Which of the 256 bytes are meant. */
type ByteSet = Uint8Array;

type Part =
  | { readonly kind: 'byte'; readonly set: ByteSet }
  | { readonly kind: 'start' | 'end' | 'boundary' | 'no-boundary' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Part[] }
  | { readonly kind: 'repeat'; readonly of: Part; readonly least: number; readonly most: number };

type Step =
  | { readonly kind: 'byte'; readonly set: ByteSet }
  | { readonly kind: 'start' | 'end' | 'boundary' | 'no-boundary' | 'found' }
  | { readonly kind: 'split'; first: number; second: number };

function setOf(test: (byte: number) => boolean): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

const digits = setOf((byte) => byte >= 48 && byte <= 57);
const spaces = setOf((byte) => byte === 32 || (byte >= 9 && byte <= 13));
const words = setOf(
  (byte) =>
    (byte >= 48 && byte <= 57) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 97 && byte <= 122) ||
    byte === 95,
);
const anyButNewline = setOf((byte) => byte !== 10);

function not(set: ByteSet): ByteSet {
  return setOf((byte) => set[byte] === 0);
}

/** With the other case of each letter. */
function anyCase(set: ByteSet): ByteSet {
  return setOf((byte) => {
    if (set[byte] === 1) return true;
    const isLetter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
    return isLetter && set[byte ^ 0x20] === 1;
  });
}

function only(byte: number): ByteSet {
  return anyCase(setOf((other) => other === byte));
}

const classes: Readonly<Record<string, ByteSet>> = {
  d: digits,
  D: not(digits),
  s: spaces,
  S: not(spaces),
  w: words,
  W: not(words),
};
const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, '0': 0 };

/** Reads the text of an expression; stops at its first fault. */
class PatternReader {
  fault: PatternFault | null = null;
  private readonly characters: readonly string[];
  private at = 0;
  private depth = 0;

  constructor(text: string) {
    this.characters = [...text];
  }

  read(): Part {
    const part = this.choice();
    if (this.at < this.characters.length) this.fail('This ) closes nothing.');
    return part;
  }

  private get next(): string | undefined {
    return this.fault === null ? this.characters[this.at] : undefined;
  }

  private fail(reason: string, at = this.at): void {
    this.fault ??= { at, reason };
  }

  private choice(): Part {
    const parts = [this.sequence()];
    while (this.next === '|') {
      this.at += 1;
      parts.push(this.sequence());
    }
    const [first] = parts;
    return parts.length === 1 && first !== undefined ? first : { kind: 'choice', parts };
  }

  private sequence(): Part {
    const parts: Part[] = [];
    for (;;) {
      const { next } = this;
      if (next === undefined || next === '|' || next === ')') return { kind: 'sequence', parts };
      parts.push(this.repeated());
    }
  }

  private repeated(): Part {
    const start = this.at;
    let part = this.single();
    for (;;) {
      const bounds = this.bounds();
      if (bounds === undefined) return part;
      if (part.kind === 'repeat') {
        this.fail(
          'A repetition of a repetition is not read; put the first one in parentheses.',
          start,
        );
      }
      // Which of several matches is taken makes no difference here.
      if (this.next === '?' || this.next === '+') this.at += 1;
      part = { kind: 'repeat', of: part, ...bounds };
    }
  }

  private bounds(): { readonly least: number; readonly most: number } | undefined {
    const { next } = this;
    if (next === '*' || next === '+' || next === '?') {
      this.at += 1;
      return { least: next === '+' ? 1 : 0, most: next === '?' ? 1 : Infinity };
    }
    if (next !== '{') return undefined;
    const rest = this.characters.slice(this.at, this.at + 12).join('');
    const found = /^\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/.exec(rest);
    // Braces of another form are mere characters.
    if (found === null) return undefined;
    const [whole, low = '', comma, high] = found;
    const least = Number(low);
    const most = comma === undefined ? least : high === undefined ? Infinity : Number(high);
    if (least > most || Math.max(least, most === Infinity ? 0 : most) > maximumRepetitions) {
      this.fail(`A repetition is of 0 to ${String(maximumRepetitions)}, the lower number first.`);
      return undefined;
    }
    this.at += whole.length;
    return { least, most };
  }

  private single(): Part {
    const { next } = this;
    const start = this.at;
    this.at += 1;
    switch (next) {
      case '(':
        return this.grouped(start);
      case '[':
        return { kind: 'byte', set: this.bracket(start) };
      case '.':
        return { kind: 'byte', set: anyButNewline };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '*':
      case '+':
      case '?':
        this.fail(`There is nothing before ${next} that it could repeat.`, start);
        return { kind: 'sequence', parts: [] };
      case '\\':
        return this.escaped(start);
      default:
        return literal(next ?? '');
    }
  }

  private grouped(start: number): Part {
    this.depth += 1;
    if (this.depth > maximumDepth) this.fail('It has too many parentheses within others.', start);
    if (this.next === '?') {
      if (this.characters[this.at + 1] === ':') this.at += 2;
      else this.fail('Of the groups that begin with (? only (?: is read.', start);
    }
    const part = this.choice();
    this.depth -= 1;
    if (this.next === ')') this.at += 1;
    else this.fail('This ( is not closed.', start);
    return { kind: 'sequence', parts: [part] };
  }

  private escaped(start: number): Part {
    const { next } = this;
    if (next === 'b' || next === 'B') {
      this.at += 1;
      return { kind: next === 'b' ? 'boundary' : 'no-boundary' };
    }
    return { kind: 'byte', set: this.escapedSet(start) };
  }

  /** After a backslash. */
  private escapedSet(start: number): ByteSet {
    const { next } = this;
    if (next === undefined) {
      this.fail('A backslash at the end stands for nothing.', start);
      return digits;
    }
    this.at += 1;
    const set = classes[next];
    if (set !== undefined) return set;
    const control = controls[next];
    if (control !== undefined) return only(control);
    if (next === 'x') {
      const two = this.characters.slice(this.at, this.at + 2).join('');
      if (/^[0-9a-f]{2}$/i.test(two)) {
        this.at += 2;
        return only(Number.parseInt(two, 16));
      }
    }
    if (/[a-z0-9]/i.test(next) || next.charCodeAt(0) > 0x7f) {
      this.fail(`\\${next} is not read here.`, start);
      return digits;
    }
    return only(next.charCodeAt(0));
  }

  private bracket(start: number): ByteSet {
    const negated = this.next === '^';
    if (negated) this.at += 1;
    const set = new Uint8Array(256);
    for (let first = true; ; first = false) {
      const { next } = this;
      if (next === undefined) {
        this.fail('This [ is not closed.', start);
        return set;
      }
      if (next === ']' && !first) {
        this.at += 1;
        break;
      }
      if (next === '[' && this.characters[this.at + 1] === ':') {
        this.fail('Named classes such as [:alpha:] are not read; write the range, as a-z.');
        return set;
      }
      const place = this.at;
      const low = this.member();
      const isRange = this.next === '-' && !['', ']'].includes(this.characters[this.at + 1] ?? '');
      if (!isRange) {
        for (const [byte, isIn] of low.entries()) if (isIn === 1) set[byte] = 1;
        continue;
      }
      this.at += 1;
      const from = singleByte(low);
      const to = singleByte(this.member());
      if (from < 0 || to < from) {
        this.fail('This range has no first and last character in their order.', place);
        return set;
      }
      set.fill(1, from, to + 1);
    }
    return negated ? not(anyCase(set)) : anyCase(set);
  }

  /** Of brackets: not in any case yet, since ranges need the very byte. */
  private member(): ByteSet {
    const { next = '' } = this;
    const start = this.at;
    this.at += 1;
    if (next === '\\') {
      const escape = this.characters[this.at] ?? '';
      const set = this.escapedSet(start);
      if (classes[escape] !== undefined) return set;
      const bytes = [...set.keys()].filter((byte) => set[byte] === 1);
      // A letter can only have come from \x, which says which one.
      const code =
        escape === 'x'
          ? Number.parseInt(this.characters.slice(start + 2, start + 4).join(''), 16)
          : bytes[0];
      return setOf((byte) => byte === code);
    }
    const code = next.codePointAt(0) ?? 0;
    if (code > 0x7f) {
      this.fail('Brackets hold ASCII characters; write others as a choice, as (é|è).', start);
    }
    return setOf((byte) => byte === code);
  }
}

/** -1 for none or several. */
function singleByte(set: ByteSet): number {
  const first = set.indexOf(1);
  return first >= 0 && set.indexOf(1, first + 1) < 0 ? first : -1;
}

const encoder = new TextEncoder();

function literal(character: string): Part {
  const parts = [...encoder.encode(character)].map((byte): Part => ({
    kind: 'byte',
    set: only(byte),
  }));
  return { kind: 'sequence', parts };
}

/** Writes the steps out, repetitions as often as they may be. */
class PatternWriter {
  readonly steps: Step[] = [];
  /** Also of what has no step: it is repeated, too. */
  private written = 0;

  get isTooLong(): boolean {
    return this.steps.length > maximumSteps || this.written > maximumSteps * 8;
  }

  write(part: Part): void {
    this.written += 1;
    if (this.isTooLong) return;
    switch (part.kind) {
      case 'sequence':
        for (const each of part.parts) this.write(each);
        return;
      case 'choice':
        this.choice(part.parts, 0);
        return;
      case 'repeat':
        this.repeat(part.of, part.least, part.most);
        return;
      default:
        this.steps.push(part);
    }
  }

  private choice(parts: readonly Part[], from: number): void {
    const ends: { second: number }[] = [];
    for (let index = from; index < parts.length; index += 1) {
      const part = parts[index];
      if (part === undefined) break;
      const split = this.split();
      split.first = this.steps.length;
      this.write(part);
      if (index < parts.length - 1) {
        const jump = this.split();
        ends.push(jump);
        split.second = this.steps.length;
        // A jump is a split with one way.
        jump.first = -1;
      } else {
        split.second = split.first;
      }
    }
    for (const end of ends) end.second = this.steps.length;
  }

  private repeat(of: Part, least: number, most: number): void {
    for (let count = 0; count < least && !this.isTooLong; count += 1) this.write(of);
    if (most === Infinity) {
      const place = this.steps.length;
      const split = this.split();
      split.first = this.steps.length;
      this.write(of);
      const back = this.split();
      back.first = place;
      back.second = place;
      split.second = this.steps.length;
      return;
    }
    const skips: { second: number }[] = [];
    for (let count = least; count < most && !this.isTooLong; count += 1) {
      const split = this.split();
      split.first = this.steps.length;
      skips.push(split);
      this.write(of);
    }
    for (const skip of skips) skip.second = this.steps.length;
  }

  private split(): { kind: 'split'; first: number; second: number } {
    const step = { kind: 'split' as const, first: -1, second: -1 };
    this.steps.push(step);
    return step;
  }
}

export class Pattern {
  private readonly steps: readonly Step[];
  /** The place at which a step was last reached, and the steps that wait for the next byte. */
  private readonly reached: Int32Array;
  private waiting: number[] = [];
  private following: number[] = [];

  private constructor(steps: readonly Step[]) {
    this.steps = steps;
    this.reached = new Int32Array(steps.length);
  }

  static parse(text: string): Pattern | PatternFault {
    const reader = new PatternReader(text);
    const part = reader.read();
    if (reader.fault !== null) return reader.fault;
    const writer = new PatternWriter();
    writer.write(part);
    if (writer.isTooLong) {
      return {
        at: 0,
        reason: `With its repetitions written out it has more than ${String(maximumSteps)} steps.`,
      };
    }
    writer.steps.push({ kind: 'found' });
    return new Pattern(writer.steps);
  }

  /** Whether it is anywhere within the first `maximumSearched` bytes. */
  test(bytes: Uint8Array): boolean {
    const text = bytes.length > maximumSearched ? bytes.subarray(0, maximumSearched) : bytes;
    this.reached.fill(-1);
    this.waiting.length = 0;
    for (let at = 0; at <= text.length; at += 1) {
      // It may begin anywhere.
      if (this.follow(0, at, text, this.waiting)) return true;
      const byte = text[at];
      if (byte === undefined) return false;
      this.following.length = 0;
      for (const index of this.waiting) {
        const step = this.steps[index];
        if (step?.kind !== 'byte' || step.set[byte] === 0) continue;
        if (this.follow(index + 1, at + 1, text, this.following)) return true;
      }
      [this.waiting, this.following] = [this.following, this.waiting];
    }
    return false;
  }

  /** Adds what waits for a byte from `index` on; true when the end is reached. */
  private follow(index: number, at: number, text: Uint8Array, waiting: number[]): boolean {
    const open = [index];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      if (place < 0 || this.reached[place] === at) continue;
      this.reached[place] = at;
      const step = this.steps[place];
      if (step === undefined) continue;
      if (step.kind === 'found') return true;
      if (step.kind === 'byte') waiting.push(place);
      else if (step.kind === 'split') open.push(step.second, step.first);
      else if (holdsAt(step.kind, at, text)) open.push(place + 1);
    }
    return false;
  }
}

function holdsAt(
  kind: 'start' | 'end' | 'boundary' | 'no-boundary',
  at: number,
  text: Uint8Array,
): boolean {
  if (kind === 'start') return at === 0;
  if (kind === 'end') {
    return at === text.length || (at === text.length - 1 && text[at] === 10);
  }
  const isWord = (byte: number | undefined): boolean => byte !== undefined && words[byte] === 1;
  return (isWord(text[at - 1]) !== isWord(text[at])) === (kind === 'boundary');
}
