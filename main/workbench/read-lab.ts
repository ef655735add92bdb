import { isDeepStrictEqual } from 'node:util';
import type { Failure, LabDocument } from '../../agent/api/index.ts';
import { parseDocument } from '../../agent/lab/document-text.ts';
import type { Advice } from '../../agent/lab/findings.ts';
import { validateDocument } from '../../agent/lab/validate.ts';
import type { Validation } from '../bridge/contract.ts';

function adviceAsFailure(advice: Advice): Failure {
  return {
    kind: 'invalid-document',
    code: advice.code,
    object: advice.object,
    reason: advice.sentence,
    next: 'It may stay as it is.',
    ...(advice.values === undefined ? {} : { values: advice.values }),
    ...(advice.place === undefined ? {} : { place: advice.place }),
  };
}

/** A document and all that is wrong with it. The document is there whenever it matches the schema. */
export function readLab(text: string, file?: string): Validation {
  const parsed = parseDocument(text, file === undefined ? {} : { file });
  if (parsed.document === null) {
    return { document: null, problems: [...parsed.problems], advice: [] };
  }
  const { problems, advice } = validateDocument(parsed.document, parsed.locate);
  return {
    document: parsed.document,
    problems: [...parsed.problems, ...problems],
    advice: advice.map(adviceAsFailure),
  };
}

/** What of a document reaches the kernel or its checks: not how it is drawn, nor what it is called. */
function substance(document: LabDocument): unknown {
  const { positions: _positions, title: _title, description: _description, ...rest } = document;
  return rest;
}

/** Whether two texts ask for the same lab, however they are written and drawn. */
export function asksForTheSame(left: string, right: string): boolean {
  if (left === right) return true;
  const first = parseDocument(left).document;
  const second = parseDocument(right).document;
  return (
    first !== null && second !== null && isDeepStrictEqual(substance(first), substance(second))
  );
}
