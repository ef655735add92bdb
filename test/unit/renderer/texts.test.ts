import { describe, expect, it } from 'vitest';
import { checkCodes } from '../../../agent/api/index.ts';
import { checkSentences, sentences } from '../../../agent/lab/index.ts';
import { chineseChecks } from '../../../renderer/app/text/checks.ts';
import { chinese } from '../../../renderer/app/text/chinese.ts';
import { english } from '../../../renderer/app/text/english.ts';
import { chineseFailures } from '../../../renderer/app/text/failures.ts';
import { i18n, useText } from '../../../renderer/app/text/text.ts';
import { shortcutList } from '../../../renderer/app/shortcuts.ts';

type Tree = { readonly [key: string]: string | Tree };

function leaves(tree: Tree, prefix = ''): [string, string][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value]] : leaves(value, `${prefix}${key}.`),
  );
}

const placeholders = (text: string) =>
  [...new Set([...text.matchAll(/\{(?<name>\w+)\}/g)].map((match) => match[1]))].sort();

describe('the texts', () => {
  const said = new Map(leaves(chinese));

  it('use the same values in both languages', () => {
    for (const [key, text] of leaves(english)) {
      expect([key, placeholders(said.get(key) ?? '')]).toEqual([key, placeholders(text)]);
    }
  });

  it('hold no sign that the message syntax reads as its own', () => {
    for (const [key, text] of [...leaves(english), ...said]) {
      expect([key, text.replaceAll(/\{\w+\}/g, '')]).not.toEqual([
        key,
        expect.stringMatching(/[@{}]/),
      ]);
    }
  });
});

describe('the sentences of the validator', () => {
  it('are used with values that they have', () => {
    for (const [code, sentence] of Object.entries(sentences)) {
      const translated = chineseFailures[code];
      if (translated === undefined) continue;
      const known = placeholders(`${sentence.reason} ${sentence.next}`);
      const used = placeholders(`${translated.reason} ${translated.next}`);
      expect([code, used.filter((name) => !known.includes(name))]).toEqual([code, []]);
    }
  });
});

describe('the sentences of checks', () => {
  it('are all said in Chinese, with the same values', () => {
    expect(Object.keys(chineseChecks).sort()).toEqual([...checkCodes].sort());
    for (const code of checkCodes) {
      const english = placeholders(checkSentences[code]);
      expect([code, placeholders(chineseChecks[code] ?? '')]).toEqual([code, english]);
    }
  });
});

describe('a sentence that nobody has translated', () => {
  it('is said in English', () => {
    i18n.global.locale.value = 'zh';
    const failure = {
      kind: 'invalid-document',
      code: 'of-a-later-agent',
      object: 'r1',
      reason: 'This is new.',
      next: 'Look it up.',
    } as const;
    expect(useText().failure(failure)).toMatchObject({
      reason: 'This is new.',
      next: 'Look it up.',
    });
    i18n.global.locale.value = 'en';
  });
});

describe('the shortcuts', () => {
  it('are each given once', () => {
    const keys = shortcutList.map(([, shortcut]) => shortcut.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
