/** What the executor needs of the realm's Open vSwitches (`agent/ovs/engines.ts`). */
import type { OpenFlowTables, OvsBridgeView, OvsDatapath } from '../api/ovs.ts';
import type { Result } from '../api/result.ts';
import type { BridgeChange } from '../ovs/database.ts';
import type { NamespaceName } from './doors.ts';

export interface SwitchEngines {
  /** Starts the private engine of a namespace; one that runs already is taken as it is. */
  start(
    namespace: NamespaceName,
    namespaceFd: number,
    datapath: OvsDatapath,
  ): Promise<Result<void>>;
  /** Ends it with everything it has; one that is not there has ended. */
  stop(namespace: NamespaceName): Promise<Result<void>>;
  isRunning(namespace: NamespaceName): boolean;
  /** Whether it takes packets off links itself, instead of the kernel. */
  isUserspace(namespace: NamespaceName): boolean;
  /** Whether there is anything of it, running or not. */
  exists(namespace: NamespaceName): boolean;
  /** What the database says now; null when it has no such bridge, or there is no engine. */
  findBridge(namespace: NamespaceName, name: string): OvsBridgeView | null;
  /**
   * Carries out changes of bridges as one transaction, and waits until the switch has taken them over. `onCommitted` is
   * called before that wait. `committed` tells, also of a failure, whether the database has them.
   */
  changeBridges(
    namespace: NamespaceName,
    lab: string,
    changes: readonly BridgeChange[],
    onCommitted: () => void,
  ): Promise<{ readonly result: Result<void>; readonly committed: boolean }>;
  readTables(namespace: NamespaceName, bridge: string): Promise<Result<OpenFlowTables>>;
  /** Null brings back what Open vSwitch has by itself. */
  changeTables(
    namespace: NamespaceName,
    bridge: string,
    tables: OpenFlowTables | null,
  ): Promise<Result<void>>;
}
