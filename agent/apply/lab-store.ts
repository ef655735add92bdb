/** Records and revisions of labs on disk: `<state>/labs/NAME/record.json` and `revisions/N.yaml`. */
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type LabRecord, LabRecordSchema } from '../api/lab.ts';
import { labNamePattern } from '../api/names.ts';
import { stateFiles } from '../api/realm-files.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  readTextFile,
  removeDurably,
  storageFailure,
  syncDirectory,
  writeDurably,
} from './durable-file.ts';

/** Prefix of a lab's directory on its way out; never a lab's name. */
const leavingPrefix = '.leaving-';

export interface LoadedRecords {
  readonly records: readonly LabRecord[];
  /** Labs whose records could not be read; their files are left as they are. */
  readonly failures: readonly Failure[];
}

export class LabStore {
  private readonly directory: string;

  constructor(stateDirectory: string) {
    this.directory = join(stateDirectory, stateFiles.labs);
  }

  load(): Result<LoadedRecords> {
    const records: LabRecord[] = [];
    const failures: Failure[] = [];
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(this.directory)) {
        if (name.startsWith(leavingPrefix)) {
          rmSync(join(this.directory, name), { recursive: true, force: true });
        } else if (labNamePattern.test(name)) {
          const record = this.readRecord(name);
          if (!record.ok) failures.push(record.failure);
          else if (record.value !== null) records.push(record.value);
        }
      }
    } catch (error) {
      return fail(storageFailure(this.directory, error));
    }
    return succeed({ records, failures });
  }

  /** Null when the lab is not known. */
  readRecord(lab: string): Result<LabRecord | null> {
    const path = this.recordPath(lab);
    const text = readTextFile(path);
    if (!text.ok) return text;
    if (text.value === null) return succeed(null);
    let value: unknown;
    try {
      value = JSON.parse(text.value);
    } catch {
      value = undefined;
    }
    const record = LabRecordSchema.safeParse(value);
    if (record.success && record.data.name === lab) return succeed(record.data);
    return fail({
      kind: 'storage',
      code: 'record-unreadable',
      object: path.slice(0, 512),
      reason: `The record of lab ${lab} cannot be read.`,
      next: 'Restore the file from a copy, or remove it; the revisions beside it are plain documents.',
    });
  }

  writeRecord(record: LabRecord): Result<void> {
    return writeDurably(this.recordPath(record.name), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The text of a kept revision, from 1. */
  readRevision(lab: string, revision: number): Result<string> {
    const path = this.revisionPath(lab, revision);
    const text = readTextFile(path);
    if (!text.ok) return text;
    if (text.value !== null) return succeed(text.value);
    return fail({
      kind: 'unknown-object',
      code: 'unknown-revision',
      object: `${lab} revision ${revision}`,
      reason: `Lab ${lab} has no revision ${revision}.`,
      next: 'List the lab to see which revisions are kept.',
      values: { lab, revision },
    });
  }

  writeRevision(lab: string, revision: number, text: string): Result<void> {
    return writeDurably(this.revisionPath(lab, revision), text);
  }

  removeRevision(lab: string, revision: number): Result<void> {
    return removeDurably(this.revisionPath(lab, revision));
  }

  /** Removes all that is kept of a lab; after a crash in the middle the rest goes at the next start. */
  remove(lab: string): Result<void> {
    const leaving = join(this.directory, `${leavingPrefix}${lab}`);
    try {
      rmSync(leaving, { recursive: true, force: true });
      renameSync(join(this.directory, lab), leaving);
      syncDirectory(this.directory);
      rmSync(leaving, { recursive: true, force: true });
      return succeed(undefined);
    } catch (error) {
      return fail(storageFailure(leaving, error));
    }
  }

  private recordPath(lab: string): string {
    return join(this.directory, lab, stateFiles.record);
  }

  private revisionPath(lab: string, revision: number): string {
    return join(this.directory, lab, stateFiles.revisions, `${revision}.yaml`);
  }
}
