/**
 * Records and revisions of labs, read from the realms' state directories. The agent of a running realm owns them; what
 * is changed here is changed in realms that do not run. A realm can write its state directory: nothing read from it is
 * trusted beyond its schema.
 */
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import {
  fail,
  labNamePattern,
  type LabRecord,
  LabRecordSchema,
  type RealmName,
  type Result,
  stateFiles,
  succeed,
} from '../../agent/api/index.ts';
import { readTextFile, writeTextFile } from '../library/atomic-file.ts';
import { storageFailure } from '../library/storage-failure.ts';

export interface FoundRecord {
  readonly realm: RealmName;
  readonly record: LabRecord;
}

const labDirectory = (state: string, lab: string): string => path.join(state, stateFiles.labs, lab);

/** The records of a realm; those that cannot be read are left out. */
export async function readRecords(state: string, realm: RealmName): Promise<readonly FoundRecord[]> {
  const names = await readdir(path.join(state, stateFiles.labs)).catch((): string[] => []);
  const records = await Promise.all(
    names.filter((name) => labNamePattern.test(name)).map((name) => readRecord(state, realm, name)),
  );
  return records.filter((record) => record !== null);
}

export async function readRecord(
  state: string,
  realm: RealmName,
  lab: string,
): Promise<FoundRecord | null> {
  const text = await readFile(path.join(labDirectory(state, lab), stateFiles.record), 'utf8').catch(
    () => null,
  );
  if (text === null) return null;
  try {
    const parsed = LabRecordSchema.safeParse(JSON.parse(text));
    return parsed.success && parsed.data.name === lab ? { realm, record: parsed.data } : null;
  } catch {
    return null;
  }
}

/** The text of a kept revision, from 1. */
export async function readRevision(
  state: string,
  lab: string,
  revision: number,
): Promise<Result<string>> {
  const file = path.join(labDirectory(state, lab), stateFiles.revisions, `${String(revision)}.yaml`);
  const content = await readTextFile(file);
  if (content.ok) return succeed(content.value.text);
  if (content.failure.kind !== 'unknown-object') return content;
  return fail({
    kind: 'unknown-object',
    code: 'unknown-revision',
    object: `${lab} revision ${String(revision)}`,
    reason: `Lab ${lab} has no revision ${String(revision)}.`,
    next: 'List the lab to see which revisions are kept.',
    values: { lab, revision },
  });
}

/** For a lab whose realm has ended: it is no longer meant to be up. */
export async function markDown(state: string, record: LabRecord): Promise<Result<void>> {
  const written = await writeTextFile(
    path.join(labDirectory(state, record.name), stateFiles.record),
    `${JSON.stringify({ ...record, up: false } satisfies LabRecord, null, 2)}\n`,
    0o600,
  );
  return written.ok ? succeed(undefined) : written;
}

/** Removes record and revisions of a lab, and what is then empty around them. */
export async function forgetLab(state: string, lab: string): Promise<Result<void>> {
  try {
    await rm(labDirectory(state, lab), { recursive: true, force: true });
  } catch (error) {
    return storageFailure(labDirectory(state, lab), error);
  }
  await rmdir(path.join(state, stateFiles.labs)).catch(() => undefined);
  return succeed(undefined);
}
