import { computed, type ComputedRef } from 'vue';
import { createI18n } from 'vue-i18n';
import type { CheckResult, Failure, OvsEngineView, Warning } from '../../../agent/api/index.ts';
import { chineseChecks } from './checks.ts';
import { chinese } from './chinese.ts';
import { english } from './english.ts';
import { chineseEvents } from './events.ts';
import { chineseFailures } from './failures.ts';

export type Language = 'en' | 'zh';

type Leaves<T, Prefix extends string = ''> = {
  [K in keyof T & string]: T[K] extends string ? `${Prefix}${K}` : Leaves<T[K], `${Prefix}${K}.`>;
}[keyof T & string];

/** Key of a text; the compiler knows them all. */
export type TextKey = Leaves<typeof english>;
export type TextValues = Readonly<Record<string, string | number>>;

/** vue-i18n 11 interprets messages without generating code, so it needs no 'unsafe-eval'. */
export const i18n = createI18n({
  legacy: false,
  locale: 'en',
  fallbackLocale: 'en',
  messages: { en: english, zh: chinese },
});

export function setLanguage(language: Language): void {
  i18n.global.locale.value = language;
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
}

export interface Text {
  readonly language: ComputedRef<Language>;
  /** The text of a key; `count` picks the plural form and fills `{count}`. */
  t(key: TextKey, values?: TextValues): string;
  failure(failure: Failure): FailureText;
  warning(warning: Warning): string;
  /** What a check saw, one sentence. */
  check(result: CheckResult): string;
  /** What has happened to an Open vSwitch, one sentence. */
  event(event: OvsEngineView['events'][number]): string;
  /** Relative time such as “3 minutes ago”. */
  ago(time: string, now: number): string;
  exactTime(time: string): string;
  number(value: number, digits?: number): string;
}

export interface FailureText {
  readonly title: string;
  readonly reason: string;
  readonly next: string;
}

const units: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** Where the window has a way of its own, it names that and not an option of the command. */
const windowNext: Readonly<Record<string, TextKey>> = { 'cpu-too-few-cores': 'cpu.fewCoresNext' };

export function useText(): Text {
  const language = computed<Language>(() => (i18n.global.locale.value === 'zh' ? 'zh' : 'en'));
  const locale = computed(() => (language.value === 'zh' ? 'zh-CN' : 'en-GB'));
  const t = (key: TextKey, values: TextValues = {}) => {
    const count = values['count'];
    return typeof count === 'number'
      ? i18n.global.t(key, { ...values }, count)
      : i18n.global.t(key, { ...values });
  };
  return {
    language,
    t,
    failure(failure) {
      const said = language.value === 'zh' ? chineseFailures[failure.code] : undefined;
      const values = { object: failure.object, has: 0, ...failure.values };
      const own = windowNext[failure.code];
      return {
        title: t(`failure.${failure.kind}`),
        reason: said === undefined ? failure.reason : fill(said.reason, values, failure.reason),
        next:
          own !== undefined
            ? t(own, { ...values, count: Number(values.has) })
            : said === undefined
              ? failure.next
              : fill(said.next, values, failure.next),
      };
    },
    warning(warning) {
      const said = language.value === 'zh' ? chineseFailures[warning.code] : undefined;
      const values = { object: warning.object, ...warning.values };
      return said === undefined ? warning.sentence : fill(said.reason, values, warning.sentence);
    },
    check({ code, values, sentence }) {
      if (language.value !== 'zh') return sentence;
      // What kept a check from being done has a sentence of its own.
      const failed = chineseFailures[String(values['failure'])];
      const said =
        code === 'check-not-done' && failed !== undefined ? failed.reason : chineseChecks[code];
      return said === undefined ? sentence : fill(said, values, sentence);
    },
    event({ code, object, values, text }) {
      if (language.value !== 'zh') return text;
      // What kept it from starting again is a failure like others.
      const said = chineseEvents[code] ?? chineseFailures[code]?.reason;
      return said === undefined ? text : fill(said, { object, ...values }, text);
    },
    ago(time, now) {
      const seconds = Math.round((now - Date.parse(time)) / 1000);
      if (seconds < 45) return t('time.now');
      const formatter = new Intl.RelativeTimeFormat(locale.value, { numeric: 'auto' });
      const [unit, size] = units.find(([, each]) => seconds >= each) ?? ['minute', 60];
      return formatter.format(-Math.round(seconds / size), unit);
    },
    exactTime: (time) =>
      new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'medium' }).format(
        new Date(time),
      ),
    number: (value, digits = 0) =>
      new Intl.NumberFormat(locale.value, {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      }).format(value),
  };
}

/** Fills `{name}`; a sentence whose values are not all there is not said in that language. */
function fill(sentence: string, values: TextValues, otherwise: string): string {
  let complete = true;
  const filled = sentence.replace(/\{(?<name>\w+)\}/g, (_match, name: string) => {
    const value = values[name];
    if (value === undefined) complete = false;
    return String(value);
  });
  return complete ? filled : otherwise;
}
