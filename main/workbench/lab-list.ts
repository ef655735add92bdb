import type { LibraryEntry } from '../bridge/contract.ts';
import { readTextFile } from '../library/atomic-file.ts';
import type { LabFile, Library } from '../library/library.ts';
import type { FoundRecord } from './lab-files.ts';
import type { Workbench } from './workbench.ts';

/**
 * Every lab there is: the files of the library and the recent ones, and labs that a realm knows from files elsewhere.
 * Of the labs whose file is gone only those that are (or were) up are listed: there is something left to take down.
 */
export async function listLabs(
  workbench: Workbench,
  library: Library,
): Promise<readonly LibraryEntry[]> {
  const [files, records] = await Promise.all([library.list(), workbench.records()]);
  const listed = new Set(files.map(({ path }) => path));
  const names = new Set(files.map(({ name }) => name));
  const elsewhere = await Promise.all(
    [...records.values()]
      .filter(({ record }) => record.path === null || !listed.has(record.path))
      .map(async ({ record }): Promise<LabFile | null> => {
        const file = record.path === null ? null : await library.describe(record.path);
        if (file !== null) return file;
        return record.up && !names.has(record.name) ? withoutFile(record) : null;
      }),
  );
  return Promise.all(
    [...files, ...elsewhere.filter((file) => file !== null)].map((file) =>
      entryOf(workbench, file, records.get(file.name) ?? null),
    ),
  );
}

function withoutFile(record: FoundRecord['record']): LabFile {
  return {
    path: record.path ?? `(${record.name})`,
    name: record.name,
    title: record.name,
    modified: record.revisions.at(-1)?.time ?? new Date(0).toISOString(),
    version: null,
    nodes: 0,
    links: 0,
    problem: {
      kind: 'unknown-object',
      code: 'lab-without-file',
      object: record.path ?? record.name,
      reason: 'The file of this lab is not there.',
      next: 'Take the lab down, or save one of its revisions.',
    },
  };
}

async function entryOf(
  workbench: Workbench,
  file: LabFile,
  found: FoundRecord | null,
): Promise<LibraryEntry> {
  const { version: _version, ...shown } = file;
  // Another file with the name of a lab that is up is not that lab.
  const itsOwn =
    found !== null && (found.record.path === null || found.record.path === file.path)
      ? found
      : null;
  let text: string | null = null;
  if (itsOwn?.record.up === true && file.version !== itsOwn.record.documentHash) {
    const content = await readTextFile(file.path);
    text = content.ok ? content.value.text : null;
  }
  const overview = await workbench.overviewFrom(itsOwn, file.name, text);
  return {
    ...shown,
    state: overview.state,
    realm: itsOwn?.realm ?? null,
    revision: itsOwn?.record.revision ?? null,
  };
}
