/** Failures of the doors to Open vSwitch. */
import type { Failure, FailureKind } from '../api/result.ts';

/** A failure with its values as its other words need them. */
export function ovsFailure(
  kind: FailureKind,
  code: string,
  object: string,
  reason: string,
  next: string,
  values: Readonly<Record<string, string | number>> = {},
): Failure {
  return {
    kind,
    code,
    object: object.slice(0, 512),
    reason: reason.slice(0, 2000),
    next,
    values,
  };
}

/** Nobody answers on a socket of Open vSwitch. */
export function unreachable(object: string, detail: string): Failure {
  return ovsFailure(
    'unreachable',
    'ovs-unreachable',
    object,
    `Open vSwitch does not answer at ${object}: ${detail}.`,
    'Start Open vSwitch, then try again.',
    { detail },
  );
}

/** The connection ended before the answer came: what was asked for may or may not have been done. */
export function connectionLost(object: string): Failure {
  return ovsFailure(
    'unreachable',
    'ovs-connection-lost',
    object,
    `Open vSwitch at ${object} ended before it answered.`,
    'Look at what is there now, then try again.',
  );
}

export function answerLate(object: string, milliseconds: number): Failure {
  return ovsFailure(
    'timeout',
    'ovs-answer-late',
    object,
    `Open vSwitch at ${object} did not answer within ${milliseconds} ms.`,
    'Look at the log of Open vSwitch, then try again.',
    { milliseconds },
  );
}

export function cancelled(object: string): Failure {
  return ovsFailure(
    'cancelled',
    'ovs-cancelled',
    object,
    'It was cancelled before it began.',
    'Start it again when it is wanted.',
  );
}

/** What came is not what the protocol allows. */
export function protocolBroken(object: string, detail: string): Failure {
  return ovsFailure(
    'unsupported',
    'ovs-protocol',
    object,
    `What ${object} answers is not understood: ${detail}.`,
    'Check which program listens there and its version.',
    { detail },
  );
}

/** The database has the change, but the switch has not taken it over. */
export function switchSilent(object: string, milliseconds: number): Failure {
  return ovsFailure(
    'timeout',
    'ovs-switch-silent',
    object,
    `ovs-vswitchd has not taken the change over within ${milliseconds} ms.`,
    'Check that ovs-vswitchd runs, and look at its log.',
    { milliseconds },
  );
}
