import { describe, expect, it } from 'vitest';
import type { LabRecord } from '../../../agent/api/lab.ts';
import {
  droppedRevisions,
  findDestination,
  hashDocument,
  isUp,
  nameConflict,
  recordAfter,
} from '../../../agent/apply/history.ts';

const now = 'boot 2';
const record: LabRecord = {
  name: 'two',
  realm: 'sandbox:two',
  path: '/labs/two.yaml',
  up: true,
  incarnation: now,
  revision: 2,
  revisions: [1, 2, 3].map((number) => ({
    number,
    time: '2026-01-01T00:00:00.000Z',
    cause: 'apply' as const,
    steps: 4,
  })),
  documentHash: hashDocument('second'),
};
const lab = 'two';

function arrive(before: LabRecord | null, text: string | null, revision: number | null) {
  return recordAfter(before, {
    lab,
    realm: 'sandbox:two',
    incarnation: now,
    destination: {
      goal: revision === null ? { kind: 'document' } : { kind: 'revision', revision },
      cause: 'apply',
      revision,
    },
    document: text,
    path: undefined,
    steps: 1,
    time: '2026-01-02T00:00:00.000Z',
  });
}

describe('the history of a lab', () => {
  it('goes back and forth from the revision in force', () => {
    expect(findDestination(record, { kind: 'undo', lab }, now)).toMatchObject({
      value: { revision: 1, cause: 'undo' },
    });
    expect(findDestination(record, { kind: 'redo', lab }, now)).toMatchObject({
      value: { revision: 3, cause: 'redo' },
    });
    const first = { ...record, revision: 1 };
    expect(findDestination(first, { kind: 'undo', lab }, now)).toMatchObject({
      value: { revision: 0 },
    });
  });

  it('offers the last revision where there is nothing to undo from', () => {
    const down = { ...record, up: false };
    const gone = { ...record, incarnation: 'boot 1' };
    expect(findDestination(down, { kind: 'undo', lab }, now)).toMatchObject({
      failure: { code: 'lab-down', next: 'Bring up revision 2.' },
    });
    expect(findDestination(gone, { kind: 'undo', lab }, now)).toMatchObject({
      failure: { code: 'lab-gone', next: 'Bring up revision 2.' },
    });
    expect(findDestination(gone, { kind: 'redo', lab }, now).ok).toBe(false);
    expect(findDestination(gone, { kind: 'revision', lab, revision: 2 }, now).ok).toBe(true);
    expect(isUp(gone, now)).toBe(false);
  });

  it('can be redone from nothing, in a new realm too', () => {
    const undone = { ...record, up: false, revision: 0, documentHash: null, incarnation: 'boot 1' };
    expect(findDestination(undone, { kind: 'redo', lab }, now)).toMatchObject({
      value: { revision: 1 },
    });
    expect(findDestination(undone, { kind: 'undo', lab }, now)).toMatchObject({
      failure: { code: 'nothing-to-undo' },
    });
  });

  it('knows neither labs nor revisions that were never there', () => {
    expect(findDestination(null, { kind: 'down', lab }, now)).toMatchObject({
      failure: { kind: 'unknown-object', code: 'unknown-lab' },
    });
    expect(findDestination(record, { kind: 'revision', lab, revision: 9 }, now)).toMatchObject({
      failure: { code: 'unknown-revision' },
    });
  });

  it('drops what could be redone when a new document comes', () => {
    const { record: after, newRevision } = arrive({ ...record, revision: 1 }, 'other', null);
    expect(newRevision).toBe(2);
    expect(after.revisions.map(({ number }) => number)).toEqual([1, 2]);
    expect(droppedRevisions(record, after)).toEqual([3]);
  });

  it('makes no step of the same text again', () => {
    const { record: after, newRevision } = arrive(record, 'second', null);
    expect(newRevision).toBeNull();
    expect(after).toEqual(record);
  });

  it('keeps everything when it goes down', () => {
    const { record: after } = recordAfter(record, {
      lab,
      realm: 'sandbox:two',
      incarnation: now,
      destination: { goal: { kind: 'down' }, cause: 'apply', revision: 0 },
      document: null,
      path: undefined,
      steps: 1,
      time: '2026-01-02T00:00:00.000Z',
    });
    expect(after).toEqual({ ...record, up: false });
  });

  it('keeps its name for its file', () => {
    expect(nameConflict(record, '/labs/two.yaml', false)).toBeNull();
    expect(nameConflict(record, '/other.yaml', true)).toBeNull();
    expect(nameConflict({ ...record, path: null }, '/other.yaml', false)).toBeNull();
    expect(nameConflict(record, '/other.yaml', false)).toMatchObject({
      kind: 'name-taken',
      values: { path: '/labs/two.yaml', other: '/other.yaml' },
    });
  });
});
