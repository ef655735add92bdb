/** Takes operations back, last one first: the common part of a roll-back and of the recovery at start. */
import type { Failure } from '../api/result.ts';
import { inverseOf } from '../lab/inverse.ts';
import type { Operation } from '../lab/operation.ts';
import type { OperationExecutor, Tolerance } from './executor.ts';
import type { Faults } from './fault.ts';
import type { OpenJournal } from './journal.ts';
import { delay, Pace } from './pace.ts';

export interface TakeBackRequest {
  readonly journal: OpenJournal;
  readonly executor: OperationExecutor;
  readonly faults: Faults;
  /** Index of the last operation that may have taken effect; -1 for none. */
  readonly from: number;
  /** Whether operation `index` may be half-made, so that an unmarked object of its is ours. */
  readonly uncertain: (index: number) => boolean;
  /** `left` operations are still to be taken back. */
  readonly report: (left: number) => void;
}

export interface TakenBack {
  /** Operations of which something had to be taken back. */
  readonly count: number;
  /** What could not be taken back, one failure an operation. */
  readonly failures: readonly Failure[];
}

/** Goes on after a failure: the less is left, the better. Each inverse is carried out only where the kernel lacks it. */
export async function takeBack(request: TakeBackRequest): Promise<TakenBack> {
  const { journal, executor, faults } = request;
  const failures: Failure[] = [];
  const pace = new Pace();
  let count = 0;
  const { operations } = journal.entry;
  for (let next = Math.min(request.from, operations.length - 1); next >= 0;) {
    const indexes = groupEndingAt(executor, operations, next);
    for (const index of indexes) {
      journal.mark('roll-back', index);
      faults.dieAt('kill-roll-back', index);
      const injected = faults.failureAt('fail-roll-back', index);
      if (injected !== null) failures.push(injected);
    }
    const tolerance = { unmarked: indexes.some(request.uncertain), foreignPorts: true };
    const inverses = indexes.flatMap((index) =>
      operations
        .slice(index, index + 1)
        .flatMap(inverseOf)
        .flatMap(partsOf),
    );
    if (indexes.length > 1) {
      const together = await settleTogether(executor, inverses, tolerance);
      count += together.touched;
      failures.push(...together.failures);
    } else {
      let touched = false;
      for (const inverse of inverses) {
        const step = await settle(executor, inverse, tolerance);
        touched ||= step.touched;
        if (step.failure !== null) failures.push(step.failure);
        if (pace.due) await pace.rest();
      }
      if (touched) count += 1;
    }
    next -= indexes.length;
    if (pace.mayReport()) request.report(next + 1);
  }
  return { count, failures };
}

/** Indexes of what was carried out together with the operation at `last`, which is the first of them. */
function groupEndingAt(
  executor: OperationExecutor,
  operations: readonly Operation[],
  last: number,
): readonly number[] {
  const indexes = [last];
  for (let index = last - 1; index >= 0; index -= 1) {
    if (executor.groupAt(operations, index) <= 1) break;
    indexes.push(index);
  }
  return indexes;
}

/** What was carried out together goes back together: of two patch ports neither is usable without the other. */
async function settleTogether(
  executor: OperationExecutor,
  inverses: readonly Operation[],
  tolerance: Tolerance,
): Promise<{ readonly touched: number; readonly failures: readonly Failure[] }> {
  const lacking: Operation[] = [];
  const failures: Failure[] = [];
  for (const inverse of inverses) {
    const effect = await executor.readBack(inverse);
    if (!effect.ok) failures.push(effect.failure);
    else if (effect.value !== 'done') lacking.push(inverse);
  }
  if (lacking.length === 0) return { touched: 0, failures };
  const failed = await executor.execute(lacking, tolerance, () => null);
  if (failed !== null) failures.push(failed.failure);
  return { touched: lacking.length, failures };
}

/** A change of two messages, of which one may have taken effect, as two operations. */
function partsOf(operation: Operation): readonly Operation[] {
  if (operation.kind !== 'change-address') return [operation];
  const { namespace, interface: name, before, after } = operation;
  return [
    { kind: 'remove-address', namespace, interface: name, address: before },
    { kind: 'add-address', namespace, interface: name, address: after },
  ];
}

/** Whether an operation has to do with processes, which end when they end. */
export function takesTime(operation: Operation): boolean {
  return ['remove-namespace', 'start-process', 'stop-process'].includes(operation.kind);
}

interface Settled {
  readonly touched: boolean;
  readonly failure: Failure | null;
}

/** The end of a namespace takes its links along, but only some time after its name has gone. */
const patience = [5, 20, 80, 320, 1000] as const;

async function settle(
  executor: OperationExecutor,
  operation: Operation,
  tolerance: Tolerance,
): Promise<Settled> {
  if (takesTime(operation)) await executor.prepare(operation);
  let settled = await settleOnce(executor, operation, tolerance);
  if (takesTime(operation)) await executor.conclude(operation);
  if (operation.kind !== 'add-veth' && operation.kind !== 'add-namespace') return settled;
  for (const wait of patience) {
    if (settled.failure === null) return settled;
    await delay(wait);
    settled = await settleOnce(executor, operation, tolerance);
  }
  return settled;
}

async function settleOnce(
  executor: OperationExecutor,
  operation: Operation,
  tolerance: Tolerance,
): Promise<Settled> {
  const effect = await executor.readBack(operation);
  if (!effect.ok) return { touched: false, failure: effect.failure };
  if (effect.value === 'done') return { touched: false, failure: null };
  // What stands in the way of a removal is not ours to remove. An address or route that is there without our mark is
  // there all the same. Anything else that stands in the way of an addition fails below.
  const stays = operation.kind.startsWith('remove-') || isPlainAddition(operation);
  if (effect.value === 'foreign' && stays) return { touched: false, failure: null };
  if (effect.value === 'partly' && tolerance.unmarked && operation.kind.startsWith('add-')) {
    // Left by a roll-back that was itself cut short: make it anew.
    const [removal] = inverseOf(operation);
    const cleared = removal === undefined ? null : await run(executor, removal, tolerance);
    if (cleared !== null) return { touched: true, failure: cleared };
  }
  return { touched: true, failure: await run(executor, operation, tolerance) };
}

function isPlainAddition(operation: Operation): boolean {
  return operation.kind === 'add-address' || operation.kind === 'add-route';
}

async function run(
  executor: OperationExecutor,
  operation: Operation,
  tolerance: Tolerance,
): Promise<Failure | null> {
  const failed = await executor.execute([operation], tolerance, () => null);
  return failed?.failure ?? null;
}
