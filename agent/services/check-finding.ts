/** What a check came to, before it has its place in the list. */
import type { CheckCode, CheckResult } from '../api/lab.ts';
import type { Failure } from '../api/result.ts';
import { sayCheck } from '../lab/check-sentences.ts';
import type { SentenceValues } from '../lab/sentences.ts';

export type Finding = Omit<CheckResult, 'index' | 'label'>;

export function finding(
  outcome: CheckResult['outcome'],
  code: CheckCode,
  values: SentenceValues,
  roundTripMilliseconds: number | null = null,
): Finding {
  return { outcome, ...sayCheck(code, values), roundTripMilliseconds };
}

export function notDone(failure: Failure): Finding {
  // What this machine cannot do says nothing about the lab.
  const outcome = failure.kind === 'unsupported' ? 'skipped' : 'failed';
  const { code, object, reason, values } = failure;
  return {
    ...finding(outcome, 'check-not-done', { ...values, object, reason, failure: code }),
    sentence: reason,
  };
}
