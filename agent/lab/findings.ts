/** What is found in a document: problems, which keep it from being planned, and advice. */
import type { Warning } from '../api/plan.ts';
import type { Failure, Place } from '../api/result.ts';
import { failureOf, type SentenceCode, type SentenceValues, warningOf } from './sentences.ts';

/** Keys and indexes that lead to a value of the document. */
export type DocumentPath = readonly (string | number)[];

export type Locate = (path: DocumentPath) => Place;

/** What is allowed but probably not meant. */
export interface Advice extends Warning {
  readonly place?: Place | undefined;
}

/** At most this many problems, and as many pieces of advice, are reported. */
const maximumReports = 100;

/** `a.b.0` */
export function pathText(path: DocumentPath): string {
  return path.join('.');
}

export class Findings {
  readonly problems: Failure[] = [];
  readonly advice: Advice[] = [];
  readonly locate: Locate;

  constructor(locate: Locate) {
    this.locate = locate;
  }

  report(code: SentenceCode, object: string, values: SentenceValues, path: DocumentPath): void {
    if (this.problems.length >= maximumReports) return;
    this.add(failureOf('invalid-document', code, object, values, this.locate(path)));
  }

  /** A problem that was found elsewhere. */
  add(problem: Failure): void {
    if (this.problems.length < maximumReports) this.problems.push(problem);
  }

  advise(code: SentenceCode, object: string, values: SentenceValues, path: DocumentPath): void {
    if (this.advice.length >= maximumReports) return;
    this.advice.push({ ...warningOf(code, object, values), place: this.locate(path) });
  }
}
