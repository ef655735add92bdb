/**
 * Records and revisions of labs, read from the realms' state directories. The agent of a running realm owns them; what
 * is changed here is changed in realms that do not run. Whoever is in a realm can write its state directory: nothing
 * read from it is trusted beyond its schema, and no link in it is followed.
 */
import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import {
  fail,
  labNamePattern,
  type LabRecord,
  LabRecordSchema,
  maximumDocumentSize,
  type RealmName,
  type Result,
  stateFiles,
  succeed,
} from '../../agent/api/index.ts';
import { writeWhole } from '../agent-link/private-file.ts';
import { readRealmFile } from '../agent-link/realm-file.ts';
import { storageFailure, systemErrorCode } from '../library/storage-failure.ts';

export interface FoundRecord {
  readonly realm: RealmName;
  readonly record: LabRecord;
}

async function isDirectory(directory: string): Promise<boolean> {
  return lstat(directory).then(
    (status) => status.isDirectory(),
    () => false,
  );
}

/** The lab's directory, null when it is none or when a link leads there. */
async function labDirectory(state: string, lab: string): Promise<string | null> {
  const labs = path.join(state, stateFiles.labs);
  const directory = path.join(labs, lab);
  return (await isDirectory(labs)) && (await isDirectory(directory)) ? directory : null;
}

/** The records of a realm; those that cannot be read are left out. */
export async function readRecords(
  state: string,
  realm: RealmName,
): Promise<readonly FoundRecord[]> {
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
  const directory = await labDirectory(state, lab);
  if (directory === null) return null;
  try {
    const text = readRealmFile(path.join(directory, stateFiles.record));
    const parsed = LabRecordSchema.safeParse(JSON.parse(text));
    return parsed.success && parsed.data.name === lab ? { realm, record: parsed.data } : null;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== null) return null;
    throw error;
  }
}

/** The text of a kept revision, from 1. */
export async function readRevision(
  state: string,
  lab: string,
  revision: number,
): Promise<Result<string>> {
  const directory = await labDirectory(state, lab);
  const file = path.join(
    directory ?? path.join(state, stateFiles.labs, lab),
    stateFiles.revisions,
    `${String(revision)}.yaml`,
  );
  try {
    return succeed(readRealmFile(file, maximumDocumentSize));
  } catch (error) {
    const failed = storageFailure(file, error);
    if (failed.failure.kind !== 'unknown-object') return failed;
  }
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
  const directory = await labDirectory(state, record.name);
  if (directory === null) return succeed(undefined);
  const file = path.join(directory, stateFiles.record);
  try {
    writeWhole(file, `${JSON.stringify({ ...record, up: false } satisfies LabRecord, null, 2)}\n`);
    return succeed(undefined);
  } catch (error) {
    return storageFailure(file, error);
  }
}

/** Removes record and revisions of a lab, and what is then empty around them. */
export async function forgetLab(state: string, lab: string): Promise<Result<void>> {
  const directory = await labDirectory(state, lab);
  if (directory === null) return succeed(undefined);
  try {
    await rm(directory, { recursive: true, force: true });
  } catch (error) {
    return storageFailure(directory, error);
  }
  await rmdir(path.dirname(directory)).catch(() => undefined);
  return succeed(undefined);
}
