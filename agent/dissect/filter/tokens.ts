/** The text of a display filter in its smallest parts. */

export type TokenKind = 'word' | 'string' | 'slice' | 'symbol' | 'end' | 'fault';

export interface Token {
  readonly kind: TokenKind;
  /** Of a string its content, of a slice what is between the brackets, of a fault its sentence. */
  readonly text: string;
  /** Characters of the filter. */
  readonly at: number;
  readonly end: number;
}

const symbols = [
  '===',
  '!==',
  '==',
  '!=',
  '<=',
  '>=',
  '&&',
  '||',
  '<',
  '>',
  '!',
  '~',
  '&',
  '(',
  ')',
  '{',
  '}',
  ',',
] as const;

/** Names of fields, numbers, addresses with their prefixes, ranges. */
const wordForm = /[\p{L}\p{N}_.:/-]+/uy;

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  '\\': '\\',
};

/** Ends with a token of the kind `end` or `fault`. */
export function tokensOf(filter: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    while (/\s/.test(filter[at] ?? '')) at += 1;
    const character = filter[at];
    if (character === undefined) {
      tokens.push({ kind: 'end', text: '', at, end: at });
      return tokens;
    }
    const token = tokenAt(filter, at, character);
    tokens.push(...(token.kind === 'word' ? rangeParts(token) : [token]));
    if (token.kind === 'fault') return tokens;
    at = token.end;
  }
}

function tokenAt(filter: string, at: number, character: string): Token {
  if (character === '"') return stringAt(filter, at, at + 1, false);
  if ((character === 'r' || character === 'R') && filter[at + 1] === '"') {
    return stringAt(filter, at, at + 2, true);
  }
  if (character === '[') {
    const end = filter.indexOf(']', at);
    if (end < 0) return { kind: 'fault', text: 'This [ is not closed.', at, end: filter.length };
    return { kind: 'slice', text: filter.slice(at + 1, end), at, end: end + 1 };
  }
  const symbol = symbols.find((each) => filter.startsWith(each, at));
  if (symbol !== undefined) return { kind: 'symbol', text: symbol, at, end: at + symbol.length };
  wordForm.lastIndex = at;
  const [word] = wordForm.exec(filter) ?? [];
  if (word === undefined) {
    const shown = String.fromCodePoint(filter.codePointAt(at) ?? 0);
    return {
      kind: 'fault',
      text: `${shown} has no meaning here.`,
      at,
      end: at + shown.length,
    };
  }
  return { kind: 'word', text: word, at, end: at + word.length };
}

/** `8000..8080` is a word, two dots and a word. */
function rangeParts(token: Token): readonly Token[] {
  const { text, at, end } = token;
  const dots = text.indexOf('..');
  if (dots < 0) return [token];
  const parts: Token[] = [];
  const add = (kind: TokenKind, from: number, to: number): void => {
    if (to > from) parts.push({ kind, text: text.slice(from, to), at: at + from, end: at + to });
  };
  add('word', 0, dots);
  add('symbol', dots, dots + 2);
  add('word', dots + 2, end - at);
  return parts;
}

/**
 * `from` is behind the opening quote. A raw string keeps its backslashes; others keep those that are no escape, which are for
 * a regular expression.
 */
function stringAt(filter: string, at: number, from: number, raw: boolean): Token {
  let text = '';
  for (let place = from; place < filter.length; place += 1) {
    const character = filter[place] ?? '';
    if (character === '"') return { kind: 'string', text, at, end: place + 1 };
    if (character !== '\\') {
      text += character;
      continue;
    }
    place += 1;
    const next = filter[place] ?? '';
    const hexadecimal = /^x[0-9a-f]{2}/i.test(filter.slice(place, place + 3));
    if (raw) {
      text += next === '"' ? '"' : `\\${next}`;
    } else if (hexadecimal) {
      text += String.fromCharCode(Number.parseInt(filter.slice(place + 1, place + 3), 16));
      place += 2;
    } else {
      text += escapes[next] ?? `\\${next}`;
    }
  }
  return { kind: 'fault', text: 'This string is not closed.', at, end: filter.length };
}
