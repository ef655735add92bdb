/**
 * The open transaction on disk. Two files: the journal itself, written once (atomic, fsynced) before the first
 * effect, and beside it a few bytes that say how far it has come. Those are not fsynced: they survive the agent's
 * death in the page cache, and what would lose them (a crash of the machine) loses the kernel's state with them.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LabRecordSchema } from '../api/lab.ts';
import { PlanGoalSchema } from '../api/plan.ts';
import { stateFiles } from '../api/realm-files.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { OperationSchema } from '../lab/operation.ts';
import { readTextFile, removeDurably, storageFailure, writeDurably } from './durable-file.ts';

export const JournalSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  plan: z.string(),
  lab: z.string(),
  /** Realm and boot in which the operations are executed. */
  incarnation: z.string(),
  startedAt: z.string(),
  goal: PlanGoalSchema,
  /** Revision in force before; null when the lab was not up. */
  base: z.number().int().nullable(),
  /** What the kernel is asked for; null is nothing. */
  document: z.string().nullable(),
  /** Number under which `document` is kept as a new revision; null when no new one is made. */
  newRevision: z.number().int().nullable(),
  recordBefore: LabRecordSchema.nullable(),
  recordAfter: LabRecordSchema,
  operations: z.array(OperationSchema),
  /** Seconds in which it must be confirmed; null when it need not be. */
  confirmWithin: z.number().int().nullable().default(null),
});
export type Journal = z.infer<typeof JournalSchema>;

export type JournalPhase = 'execute' | 'verify' | 'awaiting' | 'commit' | 'roll-back';

/**
 * How far a transaction has come. `execute N`: all operations before N are complete, N may have begun.
 * `awaiting`: everything is in place, and somebody is asked whether it may stay.
 * `roll-back N`: all operations after N are taken back, N may have been. `commit`: it is decided; only files remain.
 */
export interface JournalProgress {
  readonly phase: JournalPhase;
  readonly operation: number;
}

const progressPattern =
  /^(?<id>\S+) (?<phase>execute|verify|awaiting|commit|roll-back) (?<operation>\d+) *\n$/;

function journalPath(stateDirectory: string): string {
  return join(stateDirectory, stateFiles.journal);
}

function progressPath(stateDirectory: string): string {
  return `${journalPath(stateDirectory)}.progress`;
}

/** A journal that is open for writing progress. */
export class OpenJournal {
  readonly entry: Journal;
  private readonly stateDirectory: string;
  private descriptor: number;

  constructor(stateDirectory: string, entry: Journal, descriptor: number) {
    this.stateDirectory = stateDirectory;
    this.entry = entry;
    this.descriptor = descriptor;
  }

  /** Some 5 µs: one write of fixed length over the old one. */
  mark(phase: JournalPhase, operation: number): void {
    // A full disk cannot refuse it: the block is there since the journal was begun.
    writeSync(this.descriptor, progressText(this.entry.id, phase, operation), 0);
  }

  /** Removes the journal; from then on the transaction is over. */
  close(): Result<void> {
    this.release();
    const removed = removeDurably(journalPath(this.stateDirectory));
    // A progress file without a journal means nothing, so it may go afterwards or stay after a crash.
    if (removed.ok) return removeDurably(progressPath(this.stateDirectory));
    return removed;
  }

  /** Lets go of the file and leaves the journal open for a recovery. */
  release(): void {
    if (this.descriptor >= 0) closeSync(this.descriptor);
    this.descriptor = -1;
  }
}

function progressText(id: string, phase: JournalPhase, operation: number): string {
  return `${id} ${phase} ${operation}`.padEnd(63) + '\n';
}

function openProgress(stateDirectory: string, flags: 'w' | 'r+' | 'a'): Result<number> {
  const path = progressPath(stateDirectory);
  try {
    return succeed(openSync(path, flags, 0o600));
  } catch (error) {
    return fail(storageFailure(path, error));
  }
}

/** Writes a new journal, durable on return. */
export function beginJournal(stateDirectory: string, entry: Journal): Result<OpenJournal> {
  const descriptor = openProgress(stateDirectory, 'w');
  if (!descriptor.ok) return descriptor;
  const journal = new OpenJournal(stateDirectory, entry, descriptor.value);
  try {
    journal.mark('execute', 0);
  } catch (error) {
    journal.release();
    return fail(storageFailure(progressPath(stateDirectory), error));
  }
  const written = writeDurably(journalPath(stateDirectory), JSON.stringify(entry));
  if (!written.ok) {
    journal.release();
    return written;
  }
  return succeed(journal);
}

export interface FoundJournal {
  readonly journal: OpenJournal;
  /** Null when it is not known: then every operation may or may not have been executed. */
  readonly progress: JournalProgress | null;
}

/** The journal that a transaction left open; null when there is none. */
export function findJournal(stateDirectory: string): Result<FoundJournal | null> {
  const path = journalPath(stateDirectory);
  const text = readTextFile(path);
  if (!text.ok) return text;
  if (text.value === null) return succeed(null);
  const entry = parseJournal(text.value);
  if (entry === null) {
    return fail({
      kind: 'storage',
      code: 'journal-unreadable',
      object: path.slice(0, 512),
      reason: 'The journal of an unfinished transaction cannot be read.',
      next: 'Look at what the realm holds, then end the realm or remove this file.',
    });
  }
  const progress = readTextFile(progressPath(stateDirectory));
  if (!progress.ok) return progress;
  const found = progress.value === null ? undefined : progressPattern.exec(progress.value)?.groups;
  const known = found !== undefined && found['id'] === entry.id;
  const descriptor = openProgress(stateDirectory, known ? 'r+' : 'w');
  if (!descriptor.ok) return descriptor;
  return succeed({
    journal: new OpenJournal(stateDirectory, entry, descriptor.value),
    progress: known
      ? {
          phase: phaseOf(found['phase']),
          operation: Number(found['operation']),
        }
      : null,
  });
}

function phaseOf(text: string | undefined): JournalPhase {
  if (text === 'verify' || text === 'awaiting' || text === 'commit' || text === 'roll-back') {
    return text;
  }
  return 'execute';
}

function parseJournal(text: string): Journal | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = JournalSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
