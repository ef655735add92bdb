/**
 * What an agent does before anything else when its forerunner died in a transaction: finish it where everything asked
 * for is in place, take it back otherwise.
 */
import type { Recovery } from '../api/lab.ts';
import { type Failure, type Result, succeed } from '../api/result.ts';
import type { Operation } from '../lab/operation.ts';
import { commitJournal } from './commit.ts';
import { clearDeadlines, Deadline } from './deadline.ts';
import type { OperationExecutor } from './executor.ts';
import type { Faults } from './fault.ts';
import { fingerprint } from './fingerprint.ts';
import { findJournal, type FoundJournal, type Journal } from './journal.ts';
import type { LabStore } from './lab-store.ts';
import { delay } from './pace.ts';
import { takeBack } from './take-back.ts';
import { difference, rollbackFailed } from './transaction.ts';

export interface RecoveryTools {
  readonly stateDirectory: string;
  readonly incarnation: string;
  readonly store: LabStore;
  readonly faults: Faults;
  readonly makeExecutor: (entry: Journal) => OperationExecutor;
  /** What would still have to be done for a journal's goal, by a fresh look at the kernel. */
  readonly remaining: (entry: Journal) => Promise<Result<readonly Operation[]>>;
  /** This very agent has decided that the change goes: nobody else is at it. */
  readonly decided?: boolean;
}

export interface Recovered {
  readonly recovery: Recovery;
  readonly entry: Journal;
}

/**
 * Null when there was no open journal. Fails when the journal cannot be read. A change that still awaits its
 * confirmation is left as it is.
 */
export async function recover(tools: RecoveryTools): Promise<Result<Recovered | null>> {
  const found = findJournal(tools.stateDirectory);
  if (!found.ok) return found;
  if (found.value === null) return succeed(null);
  const { journal } = found.value;
  try {
    const recovery = await settleJournal(tools, found.value);
    return succeed({ recovery, entry: journal.entry });
  } finally {
    // Of a closed journal nothing is left to release; of an open one only the descriptor.
    journal.release();
  }
}

async function settleJournal(tools: RecoveryTools, found: FoundJournal): Promise<Recovery> {
  const { journal, progress } = found;
  const { entry } = journal;
  if (entry.incarnation !== tools.incarnation) {
    // The kernel's objects ended with their realm. What may be unfinished is the record.
    const decided =
      progress?.phase === 'commit' ||
      hasCommitBegun(tools.store, entry) ||
      (entry.confirmWithin !== null && deadlineOf(tools, entry).verdict() === 'confirmed');
    return decided ? finish(tools, found) : close(tools, found, 'nothing-to-do', 0);
  }
  if (progress?.phase === 'commit') return finish(tools, found);
  if (entry.confirmWithin !== null) return settleDeadline(tools, found);
  if (progress === null || progress.phase === 'verify' || isAtLast(found)) {
    const remaining = await settled(tools, entry, (operations) => operations.length === 0);
    if (remaining.ok && remaining.value.length === 0) return finish(tools, found);
  }
  return rollBack(tools, found);
}

function deadlineOf({ stateDirectory }: RecoveryTools, entry: Journal): Deadline {
  return new Deadline(stateDirectory, entry.id);
}

/** Without a confirmation nothing stays, whatever is in place. */
async function settleDeadline(tools: RecoveryTools, found: FoundJournal): Promise<Recovery> {
  const { progress, journal } = found;
  const { entry } = journal;
  const deadline = deadlineOf(tools, entry);
  const awaiting = progress?.phase === 'awaiting';
  let verdict = deadline.verdict();
  if (verdict === 'pending' && awaiting && deadline.remaining() > 0) {
    const operations = entry.operations.length;
    return { lab: entry.lab, outcome: 'awaiting', operations, failure: null };
  }
  let alone = tools.decided === true;
  if (verdict === 'pending') {
    const claimed = deadline.claim('reverting');
    if (!claimed.ok) return failed(entry, 0, claimed.failure);
    alone = claimed.value;
    verdict = deadline.verdict();
  }
  if (verdict === 'confirmed') return finish(tools, found);
  if (verdict === 'reverting' && !alone) await deadline.settled();
  const taken = await rollBack(tools, found, verdict === 'reverting' && !alone);
  deadline.conclude();
  const silent = taken.outcome === 'rolled-back' || taken.outcome === 'nothing-to-do';
  return awaiting && silent ? { ...taken, outcome: 'not-confirmed' } : taken;
}

function isAtLast({ journal, progress }: FoundJournal): boolean {
  return progress?.phase === 'execute' && progress.operation >= journal.entry.operations.length - 1;
}

/** Whether the new revision is on disk: it is the first thing that a commit writes. */
function hasCommitBegun(store: LabStore, entry: Journal): boolean {
  if (entry.newRevision === null) return false;
  const text = store.readRevision(entry.lab, entry.newRevision);
  return text.ok && text.value === entry.document;
}

function finish(tools: RecoveryTools, found: FoundJournal): Recovery {
  const { journal } = found;
  journal.mark('commit', journal.entry.operations.length);
  const committed = commitJournal(tools.store, journal.entry, tools.faults);
  if (!committed.ok) return failed(journal.entry, 0, committed.failure);
  return close(tools, found, 'committed', journal.entry.operations.length);
}

/** With `isTaken` somebody else has taken it back already: what may be left is taken back. */
async function rollBack(
  tools: RecoveryTools,
  found: FoundJournal,
  isTaken = false,
): Promise<Recovery> {
  const { journal, progress } = found;
  const { entry } = journal;
  if (isTaken) {
    const before = fingerprint(entry.operations);
    const remaining = await settled(tools, entry, (left) => fingerprint(left) === before);
    if (remaining.ok && fingerprint(remaining.value) === before) {
      return close(tools, found, 'rolled-back', entry.operations.length);
    }
  }
  const last = entry.operations.length - 1;
  const from = progress === null ? last : Math.min(progress.operation, last);
  const executor = tools.makeExecutor(entry);
  try {
    const taken = await takeBack({
      journal,
      executor,
      faults: tools.faults,
      from,
      // A killed roll-back may have left a half-made object where it was putting something back.
      uncertain: (index) => progress === null || index === progress.operation,
      report: () => undefined,
    });
    const before = fingerprint(entry.operations);
    const remaining = await settled(
      tools,
      entry,
      (operations) => fingerprint(operations) === before,
    );
    // What somebody else has taken back already is not there to be taken back again.
    const whole = remaining.ok && fingerprint(remaining.value) === before;
    const left: Failure[] = isTaken && whole ? [] : [...taken.failures];
    if (!remaining.ok) left.push(remaining.failure);
    else if (fingerprint(remaining.value) !== before) {
      left.push(...difference(entry.operations, remaining.value));
    }
    if (left.length > 0) {
      return failed(entry, taken.count, rollbackFailed(entry.lab, null, left));
    }
    return close(tools, found, taken.count === 0 ? 'nothing-to-do' : 'rolled-back', taken.count);
  } finally {
    executor.close();
  }
}

/** Looks again for a while: the end of a namespace takes the kernel a moment. */
async function settled(
  tools: RecoveryTools,
  entry: Journal,
  enough: (operations: readonly Operation[]) => boolean,
): Promise<Result<readonly Operation[]>> {
  for (let wait = 20; ; wait *= 2) {
    const remaining = await tools.remaining(entry);
    if (!remaining.ok || enough(remaining.value) || wait > 1000) return remaining;
    await delay(wait);
  }
}

function close(
  tools: RecoveryTools,
  found: FoundJournal,
  outcome: 'nothing-to-do' | 'rolled-back' | 'committed',
  operations: number,
): Recovery {
  const { journal } = found;
  const closed = journal.close();
  if (closed.ok) clearDeadlines(tools.stateDirectory, null);
  return closed.ok
    ? { lab: journal.entry.lab, outcome, operations, failure: null }
    : failed(journal.entry, operations, closed.failure);
}

function failed(entry: Journal, operations: number, failure: Failure): Recovery {
  return { lab: entry.lab, outcome: 'failed', operations, failure };
}
