/** The failures that the transport itself answers with. */
import type { z } from 'zod';
import { type Failure, maximumMessageSize } from '../api/index.ts';

const nextForBadRequest = 'Use a client of the same version as the agent; if it is, report this.';

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

export function invalidRequest(code: string, object: string, reason: string): Failure {
  return {
    kind: 'invalid-request',
    code,
    object: shorten(object, 500),
    reason: shorten(reason, 1900),
    next: nextForBadRequest,
  };
}

/** The first problems that a schema found, as one sentence, with the path of the first as its place. */
export function schemaMismatch(code: string, object: string, error: z.ZodError): Failure {
  const [first] = error.issues;
  const sentences = error.issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
  return {
    ...invalidRequest(code, object, `${sentences.join('; ')}.`),
    ...(first === undefined || first.path.length === 0
      ? {}
      : { place: { path: shorten(first.path.join('.'), 500) } }),
  };
}

export function messageTooLarge(object: string, size: number): Failure {
  return {
    kind: 'too-large',
    code: 'message-too-large',
    object,
    reason: `The message has ${size} bytes; ${maximumMessageSize} are allowed.`,
    next: 'Ask for less at once.',
    values: { size, limit: maximumMessageSize },
  };
}

export function versionMismatch(theirs: number, ours: number): Failure {
  return {
    kind: 'unsupported',
    code: 'version-mismatch',
    object: 'agent',
    reason: `The client speaks version ${theirs} of the protocol, the agent version ${ours}.`,
    next: 'Stop the agent and start it again with the version of the client; labs go on.',
    values: { client: theirs, agent: ours },
  };
}

export function readOnlyKey(call: string): Failure {
  return {
    kind: 'not-allowed',
    code: 'read-only-key',
    object: call,
    reason: 'This key is enrolled for reading.',
    next: 'Ask the administrator to enrol it for writing.',
  };
}

export function tooManyCalls(limit: number): Failure {
  return {
    kind: 'busy',
    code: 'too-many-calls',
    object: 'agent',
    reason: `${limit} calls of this client are being worked on, and no more are taken.`,
    next: 'Wait for an answer, then try again.',
    values: { limit },
  };
}

export function callCancelled(call: string): Failure {
  return {
    kind: 'cancelled',
    code: 'call-cancelled',
    object: call,
    reason: 'The call was cancelled.',
    next: 'Make the call again.',
  };
}

export function handlerBug(call: string, what: string): Failure {
  return {
    kind: 'bug',
    code: 'handler-failed',
    object: call,
    reason: shorten(`The agent failed in a way that it does not know: ${what}.`, 1900),
    next: 'Report this with the agent’s log.',
  };
}
