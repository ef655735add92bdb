/** What a lab's collector has written. */
import { readFileSync } from 'node:fs';
import { readExportRing } from '../activity/export-ring.ts';
import type { ExportRecords } from '../api/flow-export.ts';
import { type Result, fail, succeed } from '../api/result.ts';
import { hasCode, storageFailure } from '../apply/durable-file.ts';
import { recordFilesOf } from '../apply/execute.ts';

/** `log` is the file that its process prints into. Files that are not there yet hold nothing. */
export function readCollected(log: string, limit: number, running: boolean): Result<ExportRecords> {
  const texts: string[] = [];
  for (const file of recordFilesOf(log)) {
    try {
      texts.push(readFileSync(file, 'utf8'));
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) return fail(storageFailure(file, error));
    }
  }
  const { records, totals } = readExportRing(texts, limit);
  return succeed({ records: [...records], totals, running });
}
