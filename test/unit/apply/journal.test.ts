import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { programVersion } from '../../../agent/api/version.ts';
import { faultsOf } from '../../../agent/apply/fault.ts';
import { fingerprint } from '../../../agent/apply/fingerprint.ts';
import { beginJournal, findJournal, type Journal } from '../../../agent/apply/journal.ts';
import { LabStore } from '../../../agent/apply/lab-store.ts';
import type { Operation } from '../../../agent/lab/operation.ts';

const record: Journal['recordAfter'] = {
  name: 'two',
  realm: 'sandbox:two',
  path: null,
  up: true,
  incarnation: 'boot',
  revision: 1,
  revisions: [{ number: 1, time: '2026-01-01T00:00:00.000Z', cause: 'apply', steps: 1 }],
  documentHash: null,
};

const entry: Journal = {
  version: 1,
  id: '4b7c',
  plan: 'p',
  lab: 'two',
  incarnation: 'boot',
  startedAt: '2026-01-01T00:00:00.000Z',
  goal: { kind: 'document' },
  base: null,
  document: 'netloom: 1',
  newRevision: 1,
  recordBefore: null,
  recordAfter: record,
  operations: [{ kind: 'add-namespace', name: 'r1' }],
  confirmWithin: null,
};

describe('what a transaction keeps on disk', () => {
  let state: string;
  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), 'netloom-journal-'));
  });
  afterEach(() => {
    rmSync(state, { recursive: true, force: true });
  });

  it('is found with how far it came, and is gone once closed', () => {
    const begun = beginJournal(state, entry);
    if (!begun.ok) throw new Error(begun.failure.reason);
    begun.value.mark('roll-back', 17);
    begun.value.release();
    const found = findJournal(state);
    if (!found.ok || found.value === null) throw new Error('not found');
    expect(found.value.journal.entry).toEqual(entry);
    expect(found.value.progress).toEqual({ phase: 'roll-back', operation: 17 });
    expect(found.value.journal.close().ok).toBe(true);
    expect(readdirSync(state)).toEqual([]);
    expect(findJournal(state)).toEqual({ ok: true, value: null });
  });

  it('is found without its progress too', () => {
    const begun = beginJournal(state, entry);
    if (!begun.ok) throw new Error(begun.failure.reason);
    begun.value.release();
    writeFileSync(join(state, 'journal.json.progress'), 'another execute 3\n');
    const found = findJournal(state);
    expect(found.ok && found.value?.progress).toBeNull();
    if (found.ok) found.value?.journal.release();
  });

  it('is left alone when it cannot be read', () => {
    writeFileSync(join(state, 'journal.json'), '{"version":1}');
    expect(findJournal(state)).toMatchObject({
      ok: false,
      failure: { code: 'journal-unreadable' },
    });
    expect(existsSync(join(state, 'journal.json'))).toBe(true);
  });

  it('keeps records and revisions, and says which it cannot read', () => {
    const store = new LabStore(state);
    expect(store.writeRecord(record).ok).toBe(true);
    expect(store.writeRevision('two', 1, 'text').ok).toBe(true);
    expect(store.readRevision('two', 1)).toEqual({ ok: true, value: 'text' });
    expect(store.readRevision('two', 2)).toMatchObject({ failure: { code: 'unknown-revision' } });
    expect(store.writeRecord({ ...record, name: 'one' }).ok).toBe(true);
    writeFileSync(join(state, 'labs/one/record.json'), '{');
    expect(store.load()).toMatchObject({
      ok: true,
      value: { records: [record], failures: [{ code: 'record-unreadable' }] },
    });
    expect(store.remove('two').ok).toBe(true);
    expect(readdirSync(join(state, 'labs'))).toEqual(['one']);
  });
});

describe('points of failure', () => {
  it('count only in tests, and only where there are some', () => {
    const fault = { NETLOOM_FAULT: 'fail-at:3' };
    expect(faultsOf(fault).failureAt('fail-at', 3)).toBeNull();
    expect(faultsOf({ ...fault, NETLOOM_TESTING: '1' }).failureAt('fail-at', 3)).not.toBeNull();
    expect(faultsOf({ ...fault, NETLOOM_TESTING: '1' }).failureAt('fail-at', 4)).toBeNull();
    expect(() => faultsOf({ NETLOOM_TESTING: '1', NETLOOM_FAULT: 'kill-somewhere' })).toThrow();
  });
});

describe('the fingerprint of operations', () => {
  const end = (name: string) => ({ namespace: null, name, mac: null, mtu: null, master: null });
  const pair = (...ends: readonly [string, string]): Operation => ({
    kind: 'remove-veth',
    ends: [end(ends[0]), end(ends[1])],
    contents: [],
  });

  it('does not depend on the order in which a kernel lists things', () => {
    const other: Operation = { kind: 'add-namespace', name: 'r1' };
    expect(fingerprint([pair('a', 'b'), other])).toBe(fingerprint([other, pair('b', 'a')]));
    expect(fingerprint([pair('a', 'b')])).not.toBe(fingerprint([pair('a', 'c')]));
  });
});

describe('the version of the program', () => {
  it('is that of the package', () => {
    const file = new URL('../../../package.json', import.meta.url);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: programVersion });
  });
});
