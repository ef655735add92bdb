/**
 * Points at which a test may let the agent fail or die. NETLOOM_FAULT lists them, comma-separated; it counts only
 * together with NETLOOM_TESTING=1. N is the index of an operation, from 0.
 */
import type { Failure } from '../api/result.ts';

const numbered = [
  'kill-before',
  'kill-mid',
  'kill-after',
  'fail-at',
  'fail-mid',
  'kill-roll-back',
  'fail-roll-back',
] as const;
const plain = [
  'kill-before-journal',
  'kill-after-journal',
  'kill-after-arm',
  'kill-before-awaiting',
  'kill-before-verify',
  'fail-verify',
  'kill-before-commit',
  'kill-mid-commit',
  'kill-after-commit',
] as const;
export type NumberedFault = (typeof numbered)[number];
export type PlainFault = (typeof plain)[number];

export interface Faults {
  /** Kills this process if the environment asks for it at this point. */
  dieAt(point: NumberedFault | PlainFault, operation?: number): void;
  /** The failure that the environment asks for at this point, if any. */
  failureAt(point: NumberedFault | PlainFault, operation?: number): Failure | null;
}

export const noFaults: Faults = { dieAt: () => undefined, failureAt: () => null };

/** Throws on a point that does not exist: a test that asks for nothing would prove nothing. */
export function faultsOf(environment: NodeJS.ProcessEnv): Faults {
  const text = environment['NETLOOM_FAULT'];
  if (environment['NETLOOM_TESTING'] !== '1' || text === undefined || text === '') return noFaults;
  const asked = new Set(text.split(','));
  for (const point of asked) {
    const [name = '', operation] = point.split(':');
    const known =
      operation === undefined
        ? plain.some((candidate) => candidate === name)
        : numbered.some((candidate) => candidate === name) && /^\d+$/.test(operation);
    if (!known) throw new Error(`NETLOOM_FAULT names no fault point: ${point}`);
  }
  const key = (point: string, operation: number | undefined): string =>
    operation === undefined ? point : `${point}:${operation}`;
  return {
    dieAt: (point, operation) => {
      if (asked.has(key(point, operation))) process.kill(process.pid, 'SIGKILL');
    },
    failureAt: (point, operation) =>
      asked.has(key(point, operation))
        ? {
            kind: 'kernel',
            code: 'fault-injected',
            object: key(point, operation),
            reason: 'A test asked for a failure here.',
            next: 'Unset NETLOOM_FAULT.',
          }
        : null,
  };
}
