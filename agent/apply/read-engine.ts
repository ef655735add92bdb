/** What an Open vSwitch shows of an operation. */
import { equalData } from '../api/equal-data.ts';
import type { OvsBridge, OvsBridgeView } from '../api/ovs.ts';
import { assertNever, type Result, succeed } from '../api/result.ts';
import type { EngineOperation, Operation } from '../lab/operation.ts';
import type { Effect } from './executor.ts';
import type { SwitchEngines } from './switch-engines.ts';

export function isEngineOperation(operation: Operation): operation is EngineOperation {
  const { kind } = operation;
  return (
    kind === 'start-engine' ||
    kind === 'stop-engine' ||
    kind === 'change-ovs-bridge' ||
    kind === 'change-openflow'
  );
}

export async function readEngineEffect(
  engines: SwitchEngines,
  lab: string,
  operation: EngineOperation,
): Promise<Result<Effect>> {
  const { namespace } = operation;
  switch (operation.kind) {
    case 'start-engine':
      return succeed(engines.isRunning(namespace) ? 'done' : 'not-done');
    case 'stop-engine':
      return succeed(engines.exists(namespace) ? 'not-done' : 'done');
    case 'change-ovs-bridge': {
      const found = engines.findBridge(namespace, operation.name);
      return succeed(effectOfBridge(found, operation.after, lab));
    }
    case 'change-openflow': {
      // Without a table of ours there is nothing to compare with; to ask for it again changes nothing.
      if (operation.after === null) return succeed('not-done');
      if (engines.findBridge(namespace, operation.name) === null) return succeed('not-done');
      const tables = await engines.readTables(namespace, operation.name);
      if (!tables.ok) return tables;
      return succeed(equalData(tables.value, operation.after) ? 'done' : 'not-done');
    }
    default:
      return assertNever(operation);
  }
}

function effectOfBridge(view: OvsBridgeView | null, after: OvsBridge | null, lab: string): Effect {
  if (view === null) return after === null ? 'done' : 'not-done';
  if (view.lab !== lab) return 'foreign';
  return after !== null && equalData(view.bridge, after) ? 'done' : 'not-done';
}
