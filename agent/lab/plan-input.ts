import type { LabDocument } from '../api/document.ts';
import type { Inventory } from '../api/inventory.ts';
import type { OpenFlowTables } from '../api/ovs.ts';
import type { CpuRealm } from './plan-cpu.ts';

export interface PlanInput {
  readonly lab: string;
  /** What is wanted; null takes the lab down. */
  readonly desired: LabDocument | null;
  /** The document in force, null when there is none. */
  readonly base: LabDocument | null;
  readonly inventory: Inventory;
  /** Why kernel or machine lack a capability such as `link:vlan`; null when they have it or nobody knows. */
  readonly lackOf?: (capability: string) => string | null;
  /** The chain of the realm's own firewall that drops what crosses a bridge there; null or absent when there is none. */
  readonly bridgedDrop?: string | null;
  /**
   * Whether the realm has a way out for a lab that asks for one; unless said, the inventory tells. `host` is the machine
   * itself, which has its own.
   */
  readonly internet?: 'allowed' | 'host';
  /**
   * What ovs-ofctl makes of the lines that the desired document gives to a bridge, by the bridge's `linkKey`: the form in
   * which the inventory shows them. Where it is missing, the lines count as they are.
   */
  readonly openFlow?: ReadonlyMap<string, OpenFlowTables>;
  /** Whose Open vSwitch the realm's own namespace uses; that of the machine is neither started nor ended. */
  readonly realmEngine?: 'private' | 'system';
  /** What there is for CPU groups; unless said, they are planned for a machine on paper. */
  readonly cpu?: CpuRealm | undefined;
}
