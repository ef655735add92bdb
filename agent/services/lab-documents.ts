/** Texts of documents, read. */
import type { LabDocument } from '../api/document.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { hashDocument } from '../apply/history.ts';
import { type ReadDocument, readDocument } from '../lab/document-text.ts';

const keptDocuments = 64;

export class LabDocuments {
  /** Read documents by hash: a lab's is needed at every look at its drift, a plan's again when it is applied. */
  private readonly byHash = new Map<string, ReadDocument>();

  read(text: string, path: string | null): ReadDocument {
    const hash = hashDocument(text);
    const known = this.byHash.get(hash);
    // The places of problems name the file, so those are found anew.
    if (known !== undefined && known.problems.length === 0) return known;
    const read = readDocument(text, path === null ? {} : { file: path });
    this.byHash.set(hash, read);
    for (const key of this.byHash.keys()) {
      if (this.byHash.size <= keptDocuments) break;
      this.byHash.delete(key);
    }
    return read;
  }

  /** Null for one that is not kept, or that has problems. */
  withHash(hash: string): LabDocument | null {
    return this.byHash.get(hash)?.document ?? null;
  }

  /** A document that was valid when it was kept. */
  readKept(text: string): Result<LabDocument> {
    const { document, problems } = this.read(text, null);
    return document === null ? fail(invalidDocument(null, problems)) : succeed(document);
  }
}

export function invalidDocument(path: string | null, problems: readonly Failure[]): Failure {
  const [first] = problems;
  return {
    kind: 'invalid-document',
    code: 'invalid-document',
    object: (path ?? 'document').slice(0, 512),
    reason:
      problems.length === 1 && first !== undefined
        ? first.reason
        : `The document has ${problems.length} problems.`,
    next: 'Correct the places that are listed.',
    values: { problems: problems.length },
    causes: problems.slice(0, 1000),
  };
}
