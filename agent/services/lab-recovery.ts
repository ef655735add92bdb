/** The way back, or on, from an open journal. */
import type { LabDocument } from '../api/document.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import type { Journal } from '../apply/journal.ts';
import type { LabStore } from '../apply/lab-store.ts';
import { recover, type Recovered } from '../apply/recovery.ts';
import { readDocument } from '../lab/document-text.ts';
import { invalidDocument } from './lab-documents.ts';
import { executorOf } from './lab-executor.ts';
import type { LabServiceOptions } from './lab-options.ts';
import { findRemaining } from './lab-planner.ts';
import type { OpenFlowShelf } from './openflow-shelf.ts';

/**
 * Null when there is nothing to recover from. `decided`: somebody has said how a change that waits to be confirmed
 * ends.
 */
export function recoverRealm(
  options: LabServiceOptions,
  openFlow: OpenFlowShelf,
  decided = false,
): Promise<Result<Recovered | null>> {
  const { stateDirectory, incarnation, store, faults } = options;
  return recover({
    decided,
    stateDirectory,
    incarnation,
    store,
    faults,
    makeExecutor: (entry) => {
      const documents = documentsOf(store, entry);
      return executorOf(options, entry.lab, documents.ok ? documents.value.base : null, null);
    },
    remaining: async (entry) => {
      const documents = documentsOf(store, entry);
      if (!documents.ok) return documents;
      return findRemaining(options, openFlow, entry.lab, documents.value);
    },
  });
}

function documentsOf(
  store: LabStore,
  entry: Journal,
): Result<{ readonly desired: LabDocument | null; readonly base: LabDocument | null }> {
  const parse = (text: string): Result<LabDocument> => {
    const { document, problems } = readDocument(text);
    return document === null ? fail(invalidDocument(null, problems)) : succeed(document);
  };
  const desired = entry.document === null ? succeed(null) : parse(entry.document);
  if (!desired.ok) return desired;
  if (entry.base === null) return succeed({ desired: desired.value, base: null });
  const text = store.readRevision(entry.lab, entry.base);
  if (!text.ok) return text;
  const base = parse(text.value);
  return base.ok ? succeed({ desired: desired.value, base: base.value }) : base;
}
