/** What is the matter with a group, as sentences. */
import type { CpuGroupCondition, CpuGroupSample } from '../../agent/api/index.ts';
import { groupLabel } from '../../agent/lab/cpu-split.ts';
import type { Text } from '../app/text/text.ts';
import { coresText } from './core-text.ts';

/** Those that are nobody's wish. A cap that is reached, or a parent's, does as it was told. */
export const alarming: ReadonlySet<CpuGroupCondition> = new Set([
  'starved',
  'pins-lost',
  'partition-ended',
  'limits-gone',
  'changed-outside',
  'gone',
]);

export function percentOf(share: number | null): string {
  return share === null ? '–' : `${Math.round(share * 100)} %`;
}

export function sentenceOf(
  condition: CpuGroupCondition,
  { throttled, heldBy, use, guaranteed, pins, cpus }: CpuGroupSample,
  t: Text['t'],
): string {
  return t(`cpu.conditionHelp.${condition}`, {
    percent: percentOf(throttled),
    holder: heldBy === null ? '' : groupLabel(heldBy),
    use: coresText(use ?? 0),
    guaranteed: coresText(guaranteed),
    pins,
    cpus,
  });
}
