/** The last step of a transaction: what it leads to, on disk. May be repeated after a crash in the middle. */
import { type Result, succeed } from '../api/result.ts';
import { droppedRevisions } from './history.ts';
import type { LabStore } from './lab-store.ts';
import type { Faults } from './fault.ts';
import type { Journal } from './journal.ts';

export function commitJournal(store: LabStore, entry: Journal, faults: Faults): Result<void> {
  const { lab, newRevision, document, recordBefore, recordAfter } = entry;
  if (newRevision !== null && document !== null) {
    const written = store.writeRevision(lab, newRevision, document);
    if (!written.ok) return written;
  }
  faults.dieAt('kill-mid-commit');
  const recorded = store.writeRecord(recordAfter);
  if (!recorded.ok) return recorded;
  for (const revision of droppedRevisions(recordBefore, recordAfter)) {
    const removed = store.removeRevision(lab, revision);
    if (!removed.ok) return removed;
  }
  return succeed(undefined);
}
