/** Puts back what an Open vSwitch that was started again does not remember. */
import { type Result, succeed } from '../api/result.ts';
import { isUp } from '../apply/history.ts';
import { networkOf } from '../lab/network.ts';
import type { Operation } from '../lab/operation.ts';
import type { ChangeTools } from './change-tools.ts';
import { restoringOperations } from './engine-restore.ts';
import { executorOf } from './lab-executor.ts';

export class LabRestorer {
  private readonly tools: ChangeTools;
  private closed = false;

  constructor(tools: ChangeTools) {
    this.tools = tools;
  }

  /** What a switch that was started again does not remember is put back for every lab that has bridges there. */
  async restore(namespace: string | null): Promise<void> {
    const { options, runner, states, planner, pending, drift } = this.tools;
    const { incarnation, readOnly } = options;
    if (readOnly !== null) return;
    // What is carried out now is what is to be there.
    const settled = async (): Promise<void> => {
      while (runner.running !== null) await runner.idle();
    };
    await settled();
    for (const name of [...states.byName.keys()]) {
      await settled();
      const record = states.byName.get(name)?.record;
      if (this.closed || pending.current !== null) continue;
      if (record === undefined || !isUp(record, incarnation)) continue;
      const document = states.inForce(record);
      if (!document.ok) continue;
      const network = networkOf(document.value);
      if (![...network.switches.values()].some((one) => one.namespace === namespace)) continue;
      const remaining = async (): Promise<Result<readonly Operation[]>> => {
        const left = await planner.remaining(record.name, document.value, document.value);
        return left.ok ? succeed(restoringOperations(left.value, network, namespace)) : left;
      };
      const text = options.store.readRevision(record.name, record.revision);
      await runner.exclusively(record.name, async (): Promise<Result<unknown>> => {
        const operations = await remaining();
        if (!operations.ok || operations.value.length === 0) return operations;
        return runner.run({
          plan: 'restore',
          lab: record.name,
          goal: { kind: 'revision', revision: record.revision },
          base: record.revision,
          document: text.ok ? text.value : null,
          newRevision: null,
          recordBefore: record,
          recordAfter: record,
          operations: operations.value,
          makeExecutor: () => executorOf(options, record.name, document.value, null),
          remaining,
          confirmWithin: null,
          signal: new AbortController().signal,
          report: (progress) => {
            options.publish({ kind: 'transaction', progress });
          },
        });
      });
      states.announce(record.name);
      drift.lookSoon();
    }
  }

  close(): void {
    this.closed = true;
  }
}
