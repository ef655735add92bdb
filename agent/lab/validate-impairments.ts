/** Impairments of links. */
import type { ImpairmentSettings } from '../api/document-values.ts';
import { bitsPerSecond } from './device.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import type { Findings } from './findings.ts';

export function checkImpairments(made: DocumentInterfaces, findings: Findings): void {
  for (const item of made.interfaces.values()) {
    const { impairment } = item.settings;
    if (impairment !== undefined) checkImpairment(findings, item, impairment);
  }
}

function checkImpairment(
  findings: Findings,
  item: Interface,
  impairment: ImpairmentSettings,
): void {
  const path = [...item.path, 'impairment'];
  if ((impairment.delay ?? 0) === 0) {
    for (const [key, what] of [
      ['jitter', 'Jitter'],
      ['reorder', 'Reordering'],
    ] as const) {
      if ((impairment[key] ?? 0) === 0) continue;
      findings.report('jitter-without-delay', item.label, { what, key }, [...path, key]);
    }
  }
  if (impairment.rate !== undefined && (bitsPerSecond(impairment.rate) ?? 0) < 8) {
    findings.report('rate-too-low', item.label, { rate: impairment.rate }, [...path, 'rate']);
  }
}
