/**
 * Reads a display filter as Wireshark has them, and holds each part against the fields that there are: presence,
 * comparisons, `contains`, `matches`, `in`, and, or, not, slices of bytes and bits of numbers.
 */
import { type Failure, fail, type Result, succeed } from '../../api/result.ts';
import type { Comparison, Expression, Operand, Slice, ValueRange } from './expression.ts';
import {
  type FilterField,
  filterField,
  nearestFilterField,
  type OperandKind,
} from './filter-fields.ts';
import { type Literal, literalOf, pieceOf } from './literal.ts';
import { Pattern } from './pattern.ts';
import { type Token, tokensOf } from './tokens.ts';

/** Characters. */
export const maximumFilterLength = 10_000;
/** Parentheses and negations within others. */
const maximumDepth = 64;
const maximumSet = 1_000;

export type FilterFaultCode =
  | 'filter-too-long'
  | 'filter-syntax'
  | 'filter-unknown-field'
  | 'filter-wrong-type'
  | 'filter-pattern';

const comparisons: Readonly<Record<string, Comparison>> = {
  '==': 'equal',
  eq: 'equal',
  any_eq: 'equal',
  '!=': 'unequal',
  ne: 'unequal',
  all_ne: 'unequal',
  '===': 'all-equal',
  all_eq: 'all-equal',
  '!==': 'any-unequal',
  any_ne: 'any-unequal',
  '<': 'less',
  lt: 'less',
  '<=': 'less-or-equal',
  le: 'less-or-equal',
  '>': 'more',
  gt: 'more',
  '>=': 'more-or-equal',
  ge: 'more-or-equal',
};

/** With its sides changed over. */
const reversed: Readonly<Record<Comparison, Comparison>> = {
  equal: 'equal',
  unequal: 'unequal',
  'all-equal': 'all-equal',
  'any-unequal': 'any-unequal',
  less: 'more',
  'less-or-equal': 'more-or-equal',
  more: 'less',
  'more-or-equal': 'less-or-equal',
};

const kindNames: Readonly<Record<OperandKind, string>> = {
  unsigned: 'a number',
  signed: 'a number',
  flag: 'a flag',
  mac: 'a hardware address',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  text: 'a text',
  octets: 'bytes',
  protocol: 'a protocol',
  group: 'a group of fields without a value of its own',
};

/** Kinds that have bytes to look into. */
const searched: ReadonlySet<OperandKind> = new Set(['text', 'octets', 'protocol', 'mac', 'ipv6']);
const numeric: ReadonlySet<OperandKind> = new Set(['unsigned', 'signed', 'flag']);

const none: Expression = { kind: 'and', parts: [] };
const fieldsNext = '`netloom dissect --fields` lists all fields.';

export function parseFilter(filter: string): Result<Expression> {
  if (filter.length > maximumFilterLength) {
    const reason = `It has ${String(filter.length)} characters; ${String(maximumFilterLength)} are read.`;
    return fail({
      kind: 'invalid-request',
      code: 'filter-too-long' satisfies FilterFaultCode,
      object: 'display filter',
      reason,
      next: 'Use `in {…}` with ranges, or prefixes of addresses.',
      values: { position: 1, length: filter.length },
    });
  }
  const parser = new FilterParser(filter);
  const expression = parser.parse();
  return parser.failure === null ? succeed(expression) : fail(parser.failure);
}

/** After the first fault all goes on to the end, and what comes of it does not count. */
class FilterParser {
  failure: Failure | null = null;
  private readonly tokens: readonly Token[];
  private place = 0;
  private depth = 0;

  constructor(filter: string) {
    this.tokens = tokensOf(filter);
  }

  parse(): Expression {
    const [first] = this.tokens;
    if (first?.kind === 'end') {
      this.fault(
        first,
        'filter-syntax',
        'there is nothing to look for',
        'Write a field or a protocol, such as tcp or ip.addr == 10.0.0.1.',
      );
      return none;
    }
    const expression = this.either();
    if (this.token.kind !== 'end') this.unexpected('Join two conditions by and or or.');
    return expression;
  }

  private get token(): Token {
    const token = this.tokens[this.failure === null ? this.place : this.tokens.length - 1];
    if (token === undefined) throw new Error('A filter has no last token.');
    return token;
  }

  private take(): Token {
    const { token } = this;
    if (token.kind !== 'end') this.place += 1;
    return token;
  }

  /** Takes the next token where it is one of these words or symbols. */
  private takeIf(...texts: readonly string[]): boolean {
    const { kind, text } = this.token;
    if ((kind !== 'word' && kind !== 'symbol') || !texts.includes(text)) return false;
    this.place += 1;
    return true;
  }

  private fault(token: Token, code: FilterFaultCode, what: string, next: string): void {
    this.failure ??= {
      kind: 'invalid-request',
      code,
      object: 'display filter',
      reason: `At character ${String(token.at + 1)} ${what}.`,
      next,
      values: { position: token.at + 1, length: token.end - token.at },
    };
  }

  private unexpected(next: string): void {
    const { token } = this;
    if (token.kind === 'fault') {
      this.fault(
        token,
        'filter-syntax',
        `it cannot be read: ${token.text.replace(/\.$/, '')}`,
        next,
      );
    } else if (token.kind === 'end') {
      this.fault(token, 'filter-syntax', 'it ends too early', next);
    } else {
      const shown = token.kind === 'string' ? `"${token.text}"` : token.text;
      const what =
        token.kind === 'slice' ? 'brackets are not expected' : `${shown} is not expected`;
      this.fault(token, 'filter-syntax', what, next);
    }
  }

  private either(): Expression {
    const parts = [this.both()];
    while (this.takeIf('or', '||')) parts.push(this.both());
    return joined('or', parts);
  }

  private both(): Expression {
    const parts = [this.negated()];
    while (this.takeIf('and', '&&')) parts.push(this.negated());
    return joined('and', parts);
  }

  private negated(): Expression {
    this.depth += 1;
    if (this.depth > maximumDepth) {
      this.fault(
        this.token,
        'filter-syntax',
        'there are too many parentheses and negations within others',
        'Write it flatter.',
      );
    }
    const expression = this.takeIf('not', '!')
      ? ({ kind: 'not', of: this.negated() } as const)
      : this.primary();
    this.depth -= 1;
    return expression;
  }

  private primary(): Expression {
    if (!this.takeIf('(')) return this.condition();
    const expression = this.either();
    if (!this.takeIf(')')) this.unexpected('Close the parenthesis with ).');
    return expression;
  }

  private condition(): Expression {
    const first = this.take();
    if (first.kind !== 'word' && first.kind !== 'string') {
      if (this.failure === null && first.kind !== 'end') this.place -= 1;
      this.unexpected('Write a field or a protocol, such as tcp or ip.addr == 10.0.0.1.');
      return none;
    }
    const isField = first.kind === 'word' && filterField(first.text) !== undefined;
    const comparison = this.peekComparison();
    if (!isField && comparison !== undefined && this.isFieldAhead()) {
      // The value is on the left.
      this.place += 1;
      const operand = this.operand(this.take());
      if (operand === undefined) return none;
      const literal = this.literal(operand, first);
      if (literal === undefined) return none;
      return { kind: 'compare', operand, comparison: reversed[comparison], with: literal };
    }
    const operand = this.operand(first);
    return operand === undefined ? none : this.relation(operand, first);
  }

  private peekComparison(): Comparison | undefined {
    const { kind, text } = this.token;
    return (kind === 'word' || kind === 'symbol') && Object.hasOwn(comparisons, text)
      ? comparisons[text]
      : undefined;
  }

  /** Behind the comparison that comes next. */
  private isFieldAhead(): boolean {
    const token = this.tokens[this.place + 1];
    return token?.kind === 'word' && filterField(token.text) !== undefined;
  }

  /** The field that `token` names, with its slice and its bits. */
  private operand(token: Token): Operand | undefined {
    const field = token.kind === 'word' ? filterField(token.text) : undefined;
    if (field === undefined) {
      this.unknown(token);
      return undefined;
    }
    let slice: Slice | null = null;
    if (this.token.kind === 'slice') {
      const found = this.slice(field, this.take());
      if (found === undefined) return undefined;
      slice = found;
    }
    let mask: number | bigint | null = null;
    if (this.takeIf('&', 'bitwise_and')) {
      const bits = this.take();
      const found = literalOf('unsigned', bits.text, bits.kind !== 'word');
      if (slice !== null || !numeric.has(field.kind)) {
        this.fault(
          bits,
          'filter-wrong-type',
          `bits are asked for of ${field.name}, which is ${kindNames[field.kind]}`,
          'Only numbers have bits: tcp.flags & 0x02.',
        );
        return undefined;
      }
      if (
        'wanted' in found ||
        found.value instanceof Uint8Array ||
        typeof found.value === 'string' ||
        (typeof found.value === 'number' && !Number.isInteger(found.value))
      ) {
        this.fault(
          bits,
          'filter-wrong-type',
          'there is no number behind &',
          'Write the bits as a number, such as 0x02.',
        );
        return undefined;
      }
      mask = found.value;
    }
    return { field, slice, mask };
  }

  private unknown(token: Token): void {
    if (token.kind === 'string') {
      this.fault(
        token,
        'filter-syntax',
        'there is a text where a field is expected',
        'Write the field first: http.request.uri contains "index".',
      );
      return;
    }
    const near = nearestFilterField(token.text);
    this.fault(
      token,
      'filter-unknown-field',
      `there is no field or protocol ${token.text}`,
      near === null ? fieldsNext : `Did you mean ${near}? ${fieldsNext}`,
    );
  }

  private slice(field: FilterField, token: Token): Slice | undefined {
    if (!searched.has(field.kind) && field.kind !== 'ipv4') {
      this.fault(
        token,
        'filter-wrong-type',
        `bytes are asked for of ${field.name}, which is ${kindNames[field.kind]}`,
        'Protocols, texts, addresses and bytes have slices: eth.src[0:3].',
      );
      return undefined;
    }
    const found = /^\s*(-?\d{1,6})?\s*(?:([:-])\s*(\d{1,6})?)?\s*$/.exec(token.text);
    const [, from, sign, to] = found ?? [];
    const start = Number(from ?? 0);
    const length =
      sign === undefined
        ? 1
        : to === undefined
          ? null
          : sign === ':'
            ? Number(to)
            : Number(to) - start + 1;
    const isRange = sign !== '-' || (to !== undefined && start >= 0);
    if (
      found === null ||
      (from === undefined && to === undefined) ||
      !isRange ||
      (length ?? 1) < 1
    ) {
      this.fault(
        token,
        'filter-syntax',
        `[${token.text}] names no bytes`,
        'Write [first:count], [first-last], [first:], [:count] or [place]; a place below 0 counts from the end.',
      );
      return undefined;
    }
    return { start, length };
  }

  private relation(operand: Operand, first: Token): Expression {
    const { field } = operand;
    const comparison = this.peekComparison();
    const verb = this.token;
    if (comparison !== undefined) {
      this.place += 1;
      if (!this.hasValue(field, verb)) return none;
      const right = this.right(operand);
      return right === undefined ? none : { kind: 'compare', operand, comparison, with: right };
    }
    if (this.takeIf('contains')) return this.contains(operand, verb);
    if (this.takeIf('matches', '~')) return this.matches(operand, verb);
    if (this.takeIf('in')) return this.within(operand, verb);
    if (this.token.text === 'not' && this.tokens[this.place + 1]?.text === 'in') {
      this.place += 2;
      return { kind: 'not', of: this.within(operand, verb) };
    }
    if (operand.slice !== null) {
      this.fault(
        first,
        'filter-syntax',
        `there is a slice of ${field.name} that is held against nothing`,
        'Compare it: eth.src[0:3] == 00:00:5e.',
      );
    }
    return { kind: 'present', operand };
  }

  private hasValue(field: FilterField, verb: Token): boolean {
    if (field.kind !== 'group') return true;
    this.fault(
      verb,
      'filter-wrong-type',
      `${field.name} is ${kindNames.group}`,
      `Write ${field.name} alone to ask whether it is there, or compare a field in it.`,
    );
    return false;
  }

  /** Of a slice there are bytes, whatever the field is. */
  private kindOf({ field, slice }: Operand): OperandKind {
    return slice === null ? field.kind : 'octets';
  }

  private right(operand: Operand): Literal | Operand | undefined {
    const token = this.take();
    if (token.kind === 'word' && filterField(token.text) !== undefined) {
      const other = this.operand(token);
      if (other === undefined) return undefined;
      const [kind, otherKind] = [this.kindOf(operand), this.kindOf(other)];
      if (groupOf(kind) === groupOf(otherKind)) return other;
      this.fault(
        token,
        'filter-wrong-type',
        `${other.field.name} is ${kindNames[otherKind]}, and ${operand.field.name} is ${kindNames[kind]}`,
        'Compare fields of the same kind.',
      );
      return undefined;
    }
    return this.literal(operand, token);
  }

  private literal(operand: Operand, token: Token): Literal | undefined {
    if (token.kind !== 'word' && token.kind !== 'string') {
      if (this.failure === null && token.kind !== 'end') this.place -= 1;
      this.unexpected(`Write the value that ${operand.field.name} is held against.`);
      return undefined;
    }
    const found = literalOf(this.kindOf(operand), token.text, token.kind === 'string');
    if (!('wanted' in found)) return found;
    this.fault(
      token,
      'filter-wrong-type',
      `"${token.text}" is no value for ${operand.field.name}, which is ${kindNames[this.kindOf(operand)]}`,
      `Write ${found.wanted}.`,
    );
    return undefined;
  }

  private contains(operand: Operand, verb: Token): Expression {
    if (!this.isSearched(operand, verb)) return none;
    const token = this.take();
    const isText = operand.field.kind === 'text';
    const piece =
      token.kind === 'word' || token.kind === 'string'
        ? pieceOf(token.text, isText || token.kind === 'string')
        : undefined;
    if (piece !== undefined && piece.length > 0) return { kind: 'contains', operand, piece };
    this.fault(
      token,
      'filter-wrong-type',
      'there is nothing that could be contained',
      'Write a text in double quotes, or bytes such as 0a:ff:00.',
    );
    return none;
  }

  private matches(operand: Operand, verb: Token): Expression {
    if (!this.isSearched(operand, verb)) return none;
    const token = this.take();
    if (token.kind !== 'string') {
      this.fault(
        token,
        'filter-wrong-type',
        'there is no text in double quotes behind matches',
        'Write a regular expression: http.request.uri matches "\\.js$".',
      );
      return none;
    }
    const pattern = Pattern.parse(token.text);
    if (pattern instanceof Pattern) return { kind: 'matches', operand, pattern };
    this.fault(
      token,
      'filter-pattern',
      `the regular expression cannot be read at its character ${String(pattern.at + 1)}: ${pattern.reason.replace(/\.$/, '')}`,
      'Characters, . [a-z] ^ $ ( ) | * + ? {2,5} \\d \\w \\s \\b are read, whatever the case of letters.',
    );
    return none;
  }

  private isSearched(operand: Operand, verb: Token): boolean {
    const kind = this.kindOf(operand);
    if (searched.has(kind) && operand.mask === null) return true;
    this.fault(
      verb,
      'filter-wrong-type',
      `${verb.text} is asked of ${operand.field.name}, which is ${kindNames[kind]}`,
      'It looks into protocols, texts and bytes; compare others by ==, < or in {…}.',
    );
    return false;
  }

  private within(operand: Operand, verb: Token): Expression {
    if (!this.hasValue(operand.field, verb)) return none;
    if (!this.takeIf('{')) {
      this.unexpected('Write the values in braces: tcp.port in {80, 443, 8000..8080}.');
      return none;
    }
    const ranges: ValueRange[] = [];
    do {
      const low = this.literal(operand, this.take());
      if (low === undefined) return none;
      let high = low;
      if (this.takeIf('..')) {
        const upper = this.literal(operand, this.take());
        if (upper === undefined) return none;
        high = upper;
      }
      ranges.push({ low, high });
      if (ranges.length > maximumSet) {
        this.fault(
          this.token,
          'filter-syntax',
          `there are more than ${String(maximumSet)} values in the braces`,
          'Write ranges: 8000..8080.',
        );
      }
    } while (this.takeIf(','));
    if (!this.takeIf('}'))
      this.unexpected('Separate values by commas, and close the braces with }.');
    return { kind: 'in', operand, ranges };
  }
}

function joined(kind: 'and' | 'or', parts: readonly Expression[]): Expression {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : { kind, parts };
}

/** Kinds whose values can be held against each other. */
function groupOf(kind: OperandKind): string {
  if (numeric.has(kind)) return 'number';
  return kind === 'octets' || kind === 'protocol' || kind === 'mac' ? 'bytes' : kind;
}
