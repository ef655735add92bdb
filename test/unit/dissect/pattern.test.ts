/** Regular expressions of display filters beside those of the language, and how long they take at most. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pattern } from '../../../agent/dissect/filter/pattern.ts';
import { ascii } from '../../harness/packets.ts';

function matches(expression: string, text: string): boolean {
  const pattern = Pattern.parse(expression);
  if (!(pattern instanceof Pattern)) throw new Error(`${expression}: ${pattern.reason}`);
  return pattern.test(ascii(text));
}

describe('a regular expression', () => {
  const expressions = [
    ...['abc', 'a|b', 'a*b+c?', '^ab', 'bc$', '[a-c]+', '[^a]', 'a{2}', 'a{2,3}b', '(ab|c)*d'],
    ...['\\d\\w\\s', '\\ba', 'a\\B', '(?:a|)+c', '[]a]', '[\\d-]', 'a.c', '', '(a*)*b', 'a{,2}'],
    ...['x{0}a', '\\x61', '[\\x61-\\x63]', '\\.', '[.]', 'a??b', '(|a)b'],
  ];

  it.each(expressions)('finds what the language’s own finds: %s', (expression) => {
    // An empty bracket and braces of another form mean something else there, as in Perl's.
    const own = new RegExp(expression.replace('[]a]', '[\\]a]'), 'i');
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'aAbcd01 .]-{}\n'), maxLength: 8 }),
        (text) => {
          // $ is before a newline at the end, too.
          const theirs =
            own.test(text) || (expression.endsWith('$') && own.test(text.replace(/\n$/, '')));
          expect({ text, found: matches(expression, text) }).toEqual({ text, found: theirs });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('comes to an end where others take for ever', () => {
    expect(matches('^(a+)+$', `${'a'.repeat(60_000)}b`)).toBe(false);
    expect(matches('(a|aa)*c', 'a'.repeat(60_000))).toBe(false);
    expect(matches('(.*)(.*)(.*)(.*)z', 'a'.repeat(60_000))).toBe(false);
  });

  it('never throws, whatever is written', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab(?:)|*+{}1,2[]^-$.\\bdxé'), maxLength: 20 }),
        (text) => {
          const pattern = Pattern.parse(text);
          if (pattern instanceof Pattern) pattern.test(ascii('ab1 2é'));
          else expect(pattern.reason).toMatch(/\.$/);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
