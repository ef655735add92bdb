import type { LabDocument } from '../api/document.ts';
import type { Warning } from '../api/plan.ts';
import type { Failure, Place } from '../api/result.ts';

/** Keys and indexes that lead to a value of the document. */
export type DocumentPath = readonly (string | number)[];
export type Locate = (path: DocumentPath) => Place;

/** What is allowed but probably not meant. */
export interface Advice extends Warning {
  readonly place?: Place | undefined;
}

export interface Validation {
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

export function validateDocument(document: LabDocument, locate?: Locate): Validation {
  throw new Error(`not yet: ${document.name} ${String(locate)}`);
}
