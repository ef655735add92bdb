/**
 * The rules of a lab's identity and history. Pure. A lab has a list of revisions and a pointer to the one in force;
 * undo and redo move the pointer, a new document after an undo drops what could be redone, and going down keeps all.
 */
import { createHash } from 'node:crypto';
import type { PlanTarget } from '../api/calls.ts';
import type { LabRecord, Revision } from '../api/lab.ts';
import type { PlanGoal } from '../api/plan.ts';
import { assertNever, fail, type Failure, type Result, succeed } from '../api/result.ts';

export function hashDocument(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Whether the lab's objects are meant to be in this very kernel and realm. */
export function isUp(record: LabRecord | null, incarnation: string): boolean {
  return record !== null && record.up && record.incarnation === incarnation;
}

/** Where a request leads, before anything is known about the kernel. */
export interface Destination {
  readonly goal: PlanGoal;
  readonly cause: Revision['cause'];
  /** Revision whose document is wanted; 0 is nothing; null is a document that comes with the request. */
  readonly revision: number | null;
}

type KeptTarget = Exclude<PlanTarget, { kind: 'document' }>;

/** `record` is that of the lab that the target names; null when it is not known here. */
export function findDestination(
  record: LabRecord | null,
  target: KeptTarget,
  incarnation: string,
): Result<Destination> {
  if (record === null) return fail(unknownLab(target.lab));
  const up = isUp(record, incarnation);
  const numbers = record.revisions.map((revision) => revision.number);
  switch (target.kind) {
    case 'down':
      return succeed({ goal: { kind: 'down' }, cause: 'apply', revision: 0 });
    case 'revision': {
      if (target.revision === 0 && !up) return fail(notUp(record));
      if (target.revision !== 0 && !numbers.includes(target.revision)) {
        return fail(unknownRevision(record, target.revision));
      }
      return succeed(towards(target.revision, target.revision < record.revision ? 'undo' : 'redo'));
    }
    case 'undo': {
      if (!up) return fail(record.revision === 0 ? nothingTo('undo', record) : notUp(record));
      const earlier = numbers.filter((number) => number < record.revision);
      return succeed(towards(earlier.at(-1) ?? 0, 'undo'));
    }
    case 'redo': {
      if (!up && record.revision !== 0) return fail(notUp(record));
      const later = numbers.find((number) => number > record.revision);
      if (later === undefined) return fail(nothingTo('redo', record));
      return succeed(towards(later, 'redo'));
    }
    default:
      return assertNever(target);
  }
}

function towards(revision: number, cause: Revision['cause']): Destination {
  return { goal: { kind: 'revision', revision }, cause, revision };
}

/** Why another file may not bring up a lab of this name; null when it may. */
export function nameConflict(
  record: LabRecord | null,
  path: string | null,
  replace: boolean,
): Failure | null {
  if (record === null || replace || record.path === null || record.path === path) return null;
  const other = path ?? 'a document without a file';
  return {
    kind: 'name-taken',
    code: 'lab-name-taken',
    object: record.name,
    reason: `Lab ${record.name} was brought up from ${record.path}, and this is ${other}.`,
    next: 'Give the lab another name, or replace it (--replace).',
    values: { lab: record.name, path: record.path, other },
  };
}

export interface Arrival {
  readonly record: LabRecord;
  /** Number under which the document is to be kept; null when nothing new is kept. */
  readonly newRevision: number | null;
}

export interface Journey {
  readonly lab: string;
  readonly realm: string;
  readonly incarnation: string;
  readonly destination: Destination;
  /** Null when nothing is wanted. */
  readonly document: string | null;
  /** File of the document; undefined leaves it as it is. */
  readonly path: string | null | undefined;
  readonly steps: number;
  /** ISO 8601, UTC. */
  readonly time: string;
}

/** The record after `journey`, were it to succeed. */
export function recordAfter(before: LabRecord | null, journey: Journey): Arrival {
  const { destination, document, incarnation } = journey;
  const base: LabRecord = before ?? {
    name: journey.lab,
    realm: journey.realm,
    path: null,
    up: false,
    incarnation,
    revision: 0,
    revisions: [],
    documentHash: null,
  };
  if (destination.goal.kind === 'down') {
    return { record: { ...base, up: false, incarnation }, newRevision: null };
  }
  const documentHash = document === null ? null : hashDocument(document);
  const path = journey.path === undefined ? base.path : journey.path;
  const next = { ...base, path, incarnation, up: document !== null, documentHash };
  if (destination.revision !== null) {
    return { record: { ...next, revision: destination.revision }, newRevision: null };
  }
  // The same text again is no new step in the history, and costs no redo.
  if (base.revision > 0 && base.documentHash === documentHash) {
    return { record: next, newRevision: null };
  }
  const kept = base.revisions.filter((revision) => revision.number <= base.revision);
  const number = (kept.at(-1)?.number ?? 0) + 1;
  const revision: Revision = {
    number,
    time: journey.time,
    cause: destination.cause,
    steps: journey.steps,
  };
  return {
    record: { ...next, revision: number, revisions: [...kept, revision] },
    newRevision: number,
  };
}

/** Numbers of the revisions that `after` no longer has. */
export function droppedRevisions(before: LabRecord | null, after: LabRecord): readonly number[] {
  const kept = new Set(after.revisions.map((revision) => revision.number));
  return (before?.revisions ?? [])
    .map((revision) => revision.number)
    .filter((number) => !kept.has(number));
}

export function unknownLab(lab: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-lab',
    object: lab,
    reason: `There is no lab ${lab} in this realm.`,
    next: 'Bring it up from its file first.',
    values: { lab },
  };
}

function unknownRevision(record: LabRecord, revision: number): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-revision',
    object: `${record.name} revision ${revision}`,
    reason: `Lab ${record.name} has no revision ${revision}.`,
    next: 'List the lab to see which revisions are kept.',
    values: { lab: record.name, revision },
  };
}

/** A lab that is down, or gone with its realm: its history remains, and the step to take is an explicit one. */
function notUp(record: LabRecord): Failure {
  const gone = record.up;
  const next =
    record.revision > 0
      ? `Bring up revision ${record.revision}.`
      : 'Bring it up from its file first.';
  return {
    kind: 'refused',
    code: gone ? 'lab-gone' : 'lab-down',
    object: record.name,
    reason: gone
      ? `The realm in which lab ${record.name} was up has ended; its history remains.`
      : `Lab ${record.name} is down; its history remains.`,
    next,
    values: { lab: record.name, revision: record.revision },
  };
}

function nothingTo(verb: 'undo' | 'redo', record: LabRecord): Failure {
  return {
    kind: 'refused',
    code: `nothing-to-${verb}`,
    object: record.name,
    reason:
      verb === 'undo'
        ? `Lab ${record.name} is at its beginning: there is nothing to undo.`
        : `Lab ${record.name} is at its latest revision: there is nothing to redo.`,
    next: verb === 'undo' ? 'Redo, or bring the lab up from its file.' : 'Edit and apply instead.',
    values: { lab: record.name, revision: record.revision },
  };
}
