import type { LabDocument } from '../api/document.ts';
import type { Failure } from '../api/result.ts';
import type { Advice, Locate } from './validate.ts';

export interface ParsedDocument {
  readonly document: LabDocument | null;
  readonly problems: readonly Failure[];
  /** The place in the text of a path of the document, or of its nearest ancestor. */
  readonly locate: Locate;
}

export interface ReadDocument {
  /** Null when there are problems. */
  readonly document: LabDocument | null;
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

export function parseDocument(
  text: string,
  options: { readonly file?: string } = {},
): ParsedDocument {
  throw new Error(`not yet: ${text} ${options.file}`);
}

/** Parses and validates: what everyone but an editor wants. */
export function readDocument(text: string, options: { readonly file?: string } = {}): ReadDocument {
  throw new Error(`not yet: ${text} ${options.file}`);
}
