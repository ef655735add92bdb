/** What the services of labs work with, and for whom. */
import type { LabEvent, Recovery } from '../api/lab.ts';
import type { Failure } from '../api/result.ts';
import type { Faults } from '../apply/fault.ts';
import type { LabStore } from '../apply/lab-store.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import type { Engines } from '../ovs/engines.ts';
import type { RealmCpu } from './cpu-realm.ts';

export interface LabServiceOptions {
  /** `host` or `sandbox:NAME`. */
  readonly realm: string;
  readonly stateDirectory: string;
  readonly incarnation: string;
  /** Why nothing may be changed here; null when it may. */
  readonly readOnly: Failure | null;
  readonly tracker: InventoryTracker;
  readonly store: LabStore;
  readonly faults: Faults;
  /** Ends what we run in a namespace before the namespace goes. */
  readonly prepareRemoval: (namespace: string) => Promise<void>;
  readonly publish: (event: LabEvent) => void;
  /** Told when a change was taken back that nobody confirmed in time. */
  readonly onRecovery?: (recovery: Recovery) => void;
  /** Why this machine lacks a capability; null when it has it. */
  readonly lackOf?: (capability: string) => string | null;
  readonly engines: Engines;
  /** As in `ExecutorOptions`. */
  readonly collectorProgram?: string;
  /** Without it the realm has no CPU groups. */
  readonly cpu?: RealmCpu;
}

/** Who asks, as the kernel says: on the host, a lab's processes run as them. Null where nobody is asked for. */
export type Caller = { readonly uid: number } | null;
