import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkCodes } from '../../../agent/api/index.ts';
import { checkSentences, sentences } from '../../../agent/lab/index.ts';
import { engineEvents } from '../../../agent/ovs/engines.ts';
import { chineseChecks } from '../../../renderer/app/text/checks.ts';
import { chinese } from '../../../renderer/app/text/chinese.ts';
import { english } from '../../../renderer/app/text/english.ts';
import { chineseEvents } from '../../../renderer/app/text/events.ts';
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
  it('are all said in Chinese, with values that they have', () => {
    for (const [code, sentence] of Object.entries(sentences)) {
      const translated = chineseFailures[code];
      expect([code, translated]).not.toEqual([code, undefined]);
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

describe('the events of Open vSwitch', () => {
  it('are all said in Chinese, with the same values', () => {
    expect(Object.keys(chineseEvents).sort()).toEqual(Object.keys(engineEvents).sort());
    for (const [code, sentence] of Object.entries(engineEvents)) {
      expect([code, placeholders(chineseEvents[code] ?? '')]).toEqual([
        code,
        placeholders(sentence),
      ]);
    }
  });

  it('are said in the language of the window, what kept it from starting too', () => {
    const event = {
      time: 0,
      code: 'ovs-process-ended',
      object: 'ovs-vswitchd',
      values: { part: 'ovs-vswitchd', pid: 7 },
      text: 'ovs-vswitchd (process 7) has ended.',
    };
    expect(useText().event(event)).toBe(event.text);
    i18n.global.locale.value = 'zh';
    expect(useText().event(event)).toBe('ovs-vswitchd（进程 7）已退出。');
    const failed = { ...event, code: 'ovs-missing', object: 'ovs-vswitchd', values: {} };
    expect(useText().event(failed)).toMatch(/[\u4e00-\u9fff]/);
    expect(useText().event({ ...event, code: 'of-a-later-agent' })).toBe(event.text);
    i18n.global.locale.value = 'en';
  });

  it('have Chinese for every failure that Open vSwitch’s doors speak of', () => {
    const folder = fileURLToPath(new URL('../../../agent/ovs', import.meta.url));
    const codes = readdirSync(folder).flatMap((file) =>
      [
        ...readFileSync(join(folder, file), 'utf8').matchAll(
          /ovsFailure\(\s*'[a-z-]+',\s*'(?<code>[a-z-]+)'/g,
        ),
      ].map((found) => found.groups?.['code'] ?? ''),
    );
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => chineseFailures[code] === undefined)).toEqual([]);
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
