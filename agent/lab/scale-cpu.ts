/** A split that is written for one machine, made smaller or larger in proportion for another. */
import { isMap, parseDocument } from 'yaml';
import type { CpuGroupSettings } from '../api/document-cpu.ts';
import type { LabDocument } from '../api/document.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { type GroupPath, joinPath } from '../cpu/group.ts';
import { minimumCores } from '../cpu/quota.ts';
import { failureOf } from './sentences.ts';

/** Caps have this many decimals: a quota of the usual period is not finer. */
const decimals = 5;

/**
 * The document's text with `cores`, every cap and burst and what checks expect in proportion; comments and order stay. Weights and pins are no
 * numbers of cores: weights stay, and pins to CPUs that are not there are refused.
 */
export function scaleSplit(text: string, document: LabDocument, cores: number): Result<string> {
  const written = document.cpu?.cores;
  if (document.cpu === undefined || written === undefined || written === cores) {
    return succeed(text);
  }
  const yaml = parseDocument(text);
  if (!isMap(yaml.contents)) return succeed(text);
  const left: { path: (string | number)[]; group: GroupPath; settings: CpuGroupSettings }[] = [];
  const add = (
    groups: Readonly<Record<string, CpuGroupSettings>>,
    path: readonly (string | number)[],
    around: GroupPath,
  ): void => {
    for (const [name, settings] of Object.entries(groups)) {
      left.push({ path: [...path, name], group: joinPath(around, name), settings });
    }
  };
  yaml.setIn(['cpu', 'cores'], cores);
  add(document.cpu.groups, ['cpu', 'groups'], '');
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { path, group, settings } = next;
    for (const key of ['cap', 'burst'] as const) {
      const value = settings[key];
      if (value === undefined || value === 0) continue;
      const scaled = Number(((value * cores) / written).toFixed(decimals));
      if (key === 'cap' && scaled < minimumCores) {
        const values = { group, cap: value, scaled, least: minimumCores };
        return fail(failureOf('refused', 'cpu-scaled-too-small', group, values));
      }
      yaml.setIn([...path, key], scaled);
    }
    add(settings.groups ?? {}, [...path, 'groups'], group);
  }
  for (const [index, check] of (document.checks ?? []).entries()) {
    if (check.check !== 'cpu') continue;
    const scaled = Number(((check.cores * cores) / written).toFixed(decimals));
    yaml.setIn(['checks', index, 'cores'], scaled);
  }
  return succeed(yaml.toString({ lineWidth: 0 }));
}
