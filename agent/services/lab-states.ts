/** What is known of each lab of the realm: its record, its drift, its checks and its document. */
import type { LabDocument } from '../api/document.ts';
import type { CheckResult, LabRecord, LabStatus } from '../api/lab.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { isUp, unknownLab } from '../apply/history.ts';
import type { TransactionRunner } from '../apply/transaction.ts';
import type { LabDocuments } from './lab-documents.ts';
import type { LabServiceOptions } from './lab-options.ts';
import type { PendingChange } from './pending-change.ts';

export interface LabState {
  record: LabRecord;
  drift: number | null;
  checks: readonly CheckResult[];
}

export class LabStates {
  readonly byName = new Map<string, LabState>();

  private readonly options: LabServiceOptions;
  private readonly runner: TransactionRunner;
  private readonly documents: LabDocuments;
  private readonly pending: PendingChange;

  constructor(
    options: LabServiceOptions,
    runner: TransactionRunner,
    documents: LabDocuments,
    pending: PendingChange,
  ) {
    this.options = options;
    this.runner = runner;
    this.documents = documents;
    this.pending = pending;
  }

  statusOf(state: LabState): LabStatus {
    return {
      record: state.record,
      drift: state.drift,
      checks: [...state.checks],
      busy: this.runner.running === state.record.name,
      awaiting: this.pending.of(state.record.name),
    };
  }

  publish(state: LabState): void {
    this.options.publish({ kind: 'status', status: this.statusOf(state) });
  }

  /** After a change: what has become of a lab, which may be gone. */
  announce(lab: string): void {
    const state = this.byName.get(lab);
    if (state === undefined) this.options.publish({ kind: 'removed', lab });
    else this.publish(state);
  }

  /** Takes a lab's record from the store again. */
  reload(lab: string): void {
    const record = this.options.store.readRecord(lab);
    if (!record.ok) return;
    const state = this.byName.get(lab);
    if (record.value === null) {
      this.byName.delete(lab);
    } else if (state === undefined) {
      this.byName.set(lab, { record: record.value, drift: null, checks: [] });
    } else {
      state.record = record.value;
    }
  }

  hasLabsUp(): boolean {
    return [...this.byName.values()].some(({ record }) => isUp(record, this.options.incarnation));
  }

  /** Document in force of a lab that is up. */
  inForceOf(lab: string): Result<LabDocument> {
    const state = this.byName.get(lab);
    if (state === undefined) return fail(unknownLab(lab));
    if (!isUp(state.record, this.options.incarnation)) return fail(notUpForNode(state.record));
    return this.inForce(state.record);
  }

  /** Document of a record’s revision, also while that waits to be confirmed. */
  inForce(record: LabRecord): Result<LabDocument> {
    const known =
      record.documentHash === null ? null : this.documents.withHash(record.documentHash);
    if (known !== null) return succeed(known);
    const pending = this.pending.current?.entry;
    if (pending?.lab === record.name && pending.document !== null) {
      return this.documents.readKept(pending.document);
    }
    const text = this.options.store.readRevision(record.name, record.revision);
    return text.ok ? this.documents.readKept(text.value) : text;
  }
}

export function notUpForChecks(record: LabRecord): Failure {
  return {
    kind: 'refused',
    code: 'lab-not-up',
    object: record.name,
    reason: `Lab ${record.name} is not up, so there is nothing to check.`,
    next: 'Bring it up first.',
    values: { lab: record.name },
  };
}

function notUpForNode(record: LabRecord): Failure {
  return {
    ...notUpForChecks(record),
    reason: `Lab ${record.name} is not up, so its nodes do not exist.`,
  };
}
