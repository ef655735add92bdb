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
  for (let index = request.from; index >= 0; index -= 1) {
    const operation = journal.entry.operations[index];
    if (operation === undefined) continue;
    journal.mark('roll-back', index);
    faults.dieAt('kill-roll-back', index);
    const injected = faults.failureAt('fail-roll-back', index);
    if (injected !== null) failures.push(injected);
    const tolerance = { unmarked: request.uncertain(index), foreignPorts: true };
    let touched = false;
    for (const inverse of inverseOf(operation).flatMap(partsOf)) {
      const step = await settle(executor, inverse, tolerance);
      touched ||= step.touched;
      if (step.failure !== null) failures.push(step.failure);
      if (pace.due) await pace.rest();
    }
    if (touched) count += 1;
    if (pace.mayReport()) request.report(index);
  }
  return { count, failures };
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
  let settled = settleOnce(executor, operation, tolerance);
  if (takesTime(operation)) await executor.conclude(operation);
  if (operation.kind !== 'add-veth' && operation.kind !== 'add-namespace') return settled;
  for (const wait of patience) {
    if (settled.failure === null) return settled;
    await delay(wait);
    settled = settleOnce(executor, operation, tolerance);
  }
  return settled;
}

function settleOnce(
  executor: OperationExecutor,
  operation: Operation,
  tolerance: Tolerance,
): Settled {
  const effect = executor.readBack(operation);
  if (!effect.ok) return { touched: false, failure: effect.failure };
  if (effect.value === 'done') return { touched: false, failure: null };
  // What stands in the way of a removal is not ours to remove. An address or route that is there without our mark is
  // there all the same. Anything else that stands in the way of an addition fails below.
  const stays = operation.kind.startsWith('remove-') || isPlainAddition(operation);
  if (effect.value === 'foreign' && stays) return { touched: false, failure: null };
  if (effect.value === 'partly' && tolerance.unmarked && operation.kind.startsWith('add-')) {
    // Left by a roll-back that was itself cut short: make it anew.
    const [removal] = inverseOf(operation);
    const cleared = removal === undefined ? null : run(executor, removal, tolerance);
    if (cleared !== null) return { touched: true, failure: cleared };
  }
  return { touched: true, failure: run(executor, operation, tolerance) };
}

function isPlainAddition(operation: Operation): boolean {
  return operation.kind === 'add-address' || operation.kind === 'add-route';
}

function run(
  executor: OperationExecutor,
  operation: Operation,
  tolerance: Tolerance,
): Failure | null {
  return executor.execute(operation, tolerance, () => null)?.failure ?? null;
}
