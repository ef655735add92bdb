import type { Failure, LabRecord } from '../../agent/api/index.ts';

/** The document's problems as one failure; the first one's place leads to the text. */
export function invalidDocument(object: string, problems: readonly Failure[]): Failure {
  const count = problems.length;
  const place = problems[0]?.place;
  return {
    kind: 'invalid-document',
    code: 'invalid-document',
    object,
    reason:
      count === 1 ? 'The document has a problem.' : `The document has ${String(count)} problems.`,
    next: `Correct ${count === 1 ? 'it' : 'them'} and try again.`,
    values: { count },
    causes: problems.slice(0, 1000),
    ...(place === undefined ? {} : { place }),
  };
}

export function unknownLab(lab: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-lab',
    object: lab,
    reason: 'There is no lab of this name.',
    next: 'Bring it up from its file first; netloom list shows the labs that are known.',
    values: { lab },
  };
}

export function unknownRevision(lab: string, revision: number): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-revision',
    object: `${lab} revision ${String(revision)}`,
    reason: `Lab ${lab} has no revision ${String(revision)}.`,
    next: 'List the lab to see which revisions are kept.',
    values: { lab, revision },
  };
}

/** The lab is down, or gone with its realm: its history remains, and the step to take is an explicit one. */
export function notUp(record: LabRecord): Failure {
  return {
    kind: record.up ? 'realm-gone' : 'refused',
    code: record.up ? 'lab-gone' : 'lab-down',
    object: record.name,
    reason: record.up
      ? `The realm in which lab ${record.name} was up has ended; its history remains.`
      : `Lab ${record.name} is down; its history remains.`,
    next:
      record.revision > 0
        ? `Bring up revision ${String(record.revision)}.`
        : 'Bring it up from its file first.',
    values: { lab: record.name, revision: record.revision },
  };
}

export function stalePlan(lab: string, reason: string): Failure {
  return {
    kind: 'stale-plan',
    code: 'stale-plan',
    object: lab,
    reason,
    next: 'Plan again and look at what is new.',
    values: { lab },
  };
}

export function agentLost(realm: string): Failure {
  return {
    kind: 'unreachable',
    code: 'agent-lost',
    object: realm,
    reason: 'The realm goes on, but its agent does not answer.',
    next: `Start the agent again: netloom agent start --realm ${realm}.`,
    values: { realm },
  };
}

export function realmAbsent(realm: string): Failure {
  return {
    kind: 'unreachable',
    code: 'realm-absent',
    object: realm,
    reason: 'There is no such realm now.',
    next: 'Bring a lab up in it first.',
    values: { realm },
  };
}

export function stillUp(lab: string, verb: 'rename' | 'delete'): Failure {
  return {
    kind: 'refused',
    code: 'lab-still-up',
    object: lab,
    reason: `The lab is up, and what is up keeps its ${verb === 'rename' ? 'name' : 'history'}.`,
    next: 'Take it down first.',
    values: { lab },
  };
}

export function upElsewhere(lab: string, realm: string): Failure {
  return {
    kind: 'name-taken',
    code: 'lab-up-elsewhere',
    object: lab,
    reason: `A lab of this name is up in the realm ${realm}.`,
    next: 'Take it down there first, or give this one another name.',
    values: { lab, realm },
  };
}

/** As the agent says it; it says so itself where it runs. */
export function takenByOtherFile(record: LabRecord, path: string | null): Failure {
  const other = path ?? 'a document without a file';
  return {
    kind: 'name-taken',
    code: 'lab-name-taken',
    object: record.name,
    reason: `Lab ${record.name} was brought up from ${record.path ?? 'elsewhere'}, and this is ${other}.`,
    next: 'Give the lab another name, or replace it (--replace).',
    values: { lab: record.name, path: record.path ?? '', other },
  };
}

export function nothingAwaits(lab: string): Failure {
  return {
    kind: 'refused',
    code: 'nothing-awaits',
    object: lab,
    reason: `No change of lab ${lab} waits to be confirmed.`,
    next: 'Look at the state of the lab: it may have been confirmed or taken back already.',
    values: { lab },
  };
}
