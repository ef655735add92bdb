/** The picture as data: what is drawn, and in which state. Pure, so that it can be tested without a canvas. */
import {
  type BondMember,
  type CheckResult,
  type Impairment,
  type Inventory,
  type LabDocument,
  type Plan,
} from '../../../../agent/api/index.ts';
import { type MarkKind } from '../../document/node-kinds.ts';
import { type PortVlans } from '../../ovs-view.ts';

/** `real` is in the kernel and in the document; `wanted` only in the document; `foreign` only in the kernel. */
export type Presence = 'real' | 'wanted' | 'foreign';

export type Difference = 'add' | 'remove' | 'change' | null;

export interface SceneInterface {
  /** `NODE:INTERFACE` for the lab's own, the inventory's id for what is foreign. */
  readonly id: string;
  readonly name: string;
  readonly address: string | null;
  readonly moreAddresses: number;
  readonly presence: Presence;
  readonly difference: Difference;
  /** In force, but the kernel says otherwise. */
  readonly drifted: boolean;
  readonly up: boolean | null;
  /** Scene id of the interface at the other end of its wire. */
  readonly peer: string | null;
  /** Kind of the device that it is; null for the end of a veth pair and what else there may be. */
  readonly device: MarkKind | null;
  /** Number that tells it from others of its kind: a VLAN's, a VNI, a routing table. */
  readonly number: number | null;
  /** Name of the interface that it stands on. */
  readonly parent: string | null;
  /** The bond that it is a member of; `state` is null while nobody knows. */
  readonly bond: { readonly name: string; readonly state: BondMember | null } | null;
  /** Names of the members, for a bond or VRF. */
  readonly members: readonly string[];
  /** For the port of a bridge that filters. */
  readonly vlans: PortVlans | null;
  readonly isolated: boolean;
  /** State of the spanning tree in which the port does not forward. */
  readonly blocked: string | null;
  readonly impairment: Impairment | null;
  /** For a tap or tun that is there: who holds it; empty for nobody. */
  readonly holders: readonly string[] | null;
  /** The way out of its bridge, through a NIC that the lab did not make. */
  readonly uplink: boolean;
  /** Why Open vSwitch could not have it. */
  readonly error: string | null;
}

export interface SceneNode {
  /** Node name, or `foreign:` and the inventory's id. */
  readonly id: string;
  readonly title: string;
  readonly kind: 'namespace' | 'bridge' | 'ovs-bridge' | 'internet' | 'vm' | 'device';
  readonly presence: Presence;
  readonly difference: Difference;
  readonly drifted: boolean;
  /** The node that it sits in, for a bridge inside a namespace. */
  readonly within: string | null;
  /** One quiet line: addresses of a bridge, processes of a namespace. */
  readonly note: string | null;
  /** Forwards packets between its interfaces. */
  readonly router: boolean;
  /** Number of rules of address translation. */
  readonly nat: number;
  readonly filter: boolean;
  /** Root of its spanning tree. */
  readonly root: boolean;
  /** Processes that the lab runs in it; `running` is null while the lab is not up. */
  readonly runs: readonly { readonly name: string; readonly running: boolean | null }[];
  readonly interfaces: readonly SceneInterface[];
}

export interface SceneWire {
  readonly id: string;
  /** Index in the document's links; null for a foreign wire. */
  readonly index: number | null;
  readonly ends: readonly [SceneEnd, SceneEnd];
  readonly presence: Presence;
  readonly difference: Difference;
  readonly carrier: boolean | null;
  /**
   * `tunnel` carries one wire over the network, `overlay` is two tunnel devices that point at each other, `patch` a pair
   * of patch ports.
   */
  readonly kind: 'veth' | 'tunnel' | 'overlay' | 'patch';
  /** What its packets run over: lit while it is selected. */
  readonly underlay: Underlay;
}

export interface Underlay {
  /** Scene ids of the interfaces that bear its addresses. */
  readonly interfaces: readonly string[];
  /** Ids of the wires between them. */
  readonly wires: readonly string[];
}

export interface SceneEnd {
  readonly node: string;
  readonly interface: string;
}

export interface Scene {
  readonly nodes: readonly SceneNode[];
  readonly wires: readonly SceneWire[];
}

export interface SceneInput {
  readonly document: LabDocument | null;
  readonly inventory: Inventory | null;
  readonly lab: string;
  readonly plan: Pick<Plan, 'steps'> | null;
  readonly checks: readonly CheckResult[];
  /** Whether the kernel differs from what is in force. */
  readonly drifted: boolean;
}

export const nothingBelow: Underlay = { interfaces: [], wires: [] };

export function endId(end: SceneEnd): string {
  return `${end.node}:${end.interface}`;
}

export type Nodes = LabDocument['topology']['nodes'];
