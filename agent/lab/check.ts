import type { LabDocument, ReachCheck } from '../api/document.ts';
import type { Result } from '../api/result.ts';

export interface ResolvedReachCheck {
  readonly kind: 'reach';
  /** Namespace that asks. */
  readonly fromNamespace: string;
  /** Address without a prefix length, canonical. */
  readonly destination: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly expect: 'reachable' | 'unreachable';
  readonly timeoutMilliseconds: number;
  readonly label: string;
}

export function resolveCheck(
  document: LabDocument,
  check: ReachCheck,
  language: 'en' | 'zh' = 'en',
): Result<ResolvedReachCheck> {
  throw new Error(`not yet: ${document.name} ${check.from} ${language}`);
}
