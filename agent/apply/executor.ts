/** What the transaction and the recovery need of whoever carries operations out; `execute.ts` does it on the kernel. */
import type { Failure, Result } from '../api/result.ts';
import type { Operation } from '../lab/operation.ts';

/**
 * What the kernel shows of an operation: `done`, `not-done`, `partly` (begun and not finished, as a kill leaves it),
 * or `foreign`: something that is not ours is where the operation's object would be.
 */
export type Effect = 'done' | 'not-done' | 'partly' | 'foreign';

/** Departures from the rule that only marked objects are touched and that each operation finds what it expects. */
export interface Tolerance {
  /**
   * An object without a mark counts as ours when it is in the state right after its creation. Only for an operation
   * that the journal names as begun: between creation and mark lies one message.
   */
  readonly unmarked: boolean;
  /** Somebody else's link may be made a port of a bridge of ours: to put back what was so before. */
  readonly foreignPorts: boolean;
}

export const noTolerance: Tolerance = { unmarked: false, foreignPorts: false };

export interface ExecutionFailure {
  /** Which of the group it was, where that is known; the first unless said. */
  readonly operation?: number | undefined;
  readonly failure: Failure;
  /** Whether anything was changed before it failed. */
  readonly begun: boolean;
}

export interface OperationExecutor {
  /** How many of the operations from `index` on are carried out as one: the first alone, unless said otherwise. */
  groupAt(operations: readonly Operation[], index: number): number;
  /**
   * Null is success. `midway` is called between the first effect of an operation and its last. Of a group all take effect or
   * none.
   */
  execute(
    group: readonly Operation[],
    tolerance: Tolerance,
    midway: () => Failure | null,
  ): ExecutionFailure | null | Promise<ExecutionFailure | null>;
  /** Reads the kernel, not a cache. */
  readBack(operation: Operation): Result<Effect> | Promise<Result<Effect>>;
  /**
   * To be waited for before an operation: what we run in a namespace ends before the namespace goes, and what a
   * machine starts from is made.
   */
  prepare(operation: Operation): Promise<void>;
  /** To be waited for after an operation: what it asked of a process may take that a moment. */
  conclude(operation: Operation): Promise<void>;
  /** Lets go of sockets and what was learnt. */
  close(): void;
}
