/** What an Open vSwitch says of the bridges of a document: the inventory's engines, looked at by node and port. Pure. */
import { engineLinks } from '../../agent/api/index.ts';
import type {
  Inventory,
  LabDocument,
  LinkView,
  OvsBridge,
  OvsBridgeNode,
  OvsBridgeView,
  OvsEngineView,
  OvsInterface,
  OvsInterfaceState,
  OvsPort,
  OvsVlan,
} from '../../agent/api/index.ts';
import type { WantedSettings } from './document/node-kinds.ts';
import { namespaceOf } from './live.ts';

/** What a port does with VLANs: the one without a tag, those with one, and whether that is every other, too. */
export interface PortVlans {
  readonly untagged: number | null;
  readonly tagged: readonly number[];
  /** A trunk of all. */
  readonly all?: boolean;
  /** A native VLAN whose frames leave with a tag. */
  readonly native?: number;
}

/** The Open vSwitch of the namespace that a node is, or sits in. */
export function engineOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
): OvsEngineView | null {
  const namespace = namespaceOf(inventory, document, node);
  if (namespace === null) return null;
  return inventory?.engines.find((engine) => engine.namespace === namespace.id) ?? null;
}

/** The bridge that a node is, as its Open vSwitch has it. */
export function ovsBridgeOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
): OvsBridgeView | null {
  if (document.topology.nodes[node]?.kind !== 'ovs-bridge') return null;
  const engine = engineOf(inventory, document, node);
  return engine?.bridges.find((view) => view.bridge.name === node) ?? null;
}

export interface OvsPortView {
  /** The port, or the bond that the interface is a member of. */
  readonly port: OvsPort;
  /** Null for a bond. */
  readonly interface: OvsInterface | null;
  readonly state: OvsInterfaceState | null;
}

/** A port of a bridge, or one member of a bond, by name. */
export function ovsPortOf(view: OvsBridgeView | null, name: string): OvsPortView | null {
  if (view === null) return null;
  const state = view.interfaces.find((each) => each.name === name) ?? null;
  for (const port of view.bridge.ports) {
    const own = port.interfaces.find((each) => each.name === name);
    if (own !== undefined) return { port, interface: own, state };
  }
  const port = view.bridge.ports.find((each) => each.name === name);
  return port === undefined ? null : { port, interface: null, state };
}

/** Whether any port of the bridge tells VLANs apart: else there is nothing to say of them. */
export function usesVlans(node: OvsBridgeNode, view: OvsBridgeView | null): boolean {
  const wanted = Object.values(node.ports ?? {}).some(
    (port) => port.vlan !== undefined || port.trunk !== undefined || port.native !== undefined,
  );
  const real = view?.bridge.ports.some(
    ({ vlan }) => vlan.mode !== 'trunk' || vlan.trunks.length > 0,
  );
  return wanted || node.vlan !== undefined || real === true;
}

/** How a port is to treat VLANs, in the words of the database. */
export function ovsVlanOf(settings: {
  readonly vlan?: number | undefined;
  readonly trunk?: readonly number[] | undefined;
  readonly native?: number | undefined;
  readonly nativeMode?: 'tagged' | 'untagged' | undefined;
}): OvsVlan {
  const { vlan, trunk, native, nativeMode } = settings;
  const trunks = [...(trunk ?? [])].sort((one, other) => one - other);
  if (native !== undefined) {
    return { mode: `native-${nativeMode ?? 'untagged'}`, tag: native, trunks };
  }
  if (vlan !== undefined) return { mode: 'access', tag: vlan, trunks: [] };
  return { mode: 'trunk', tag: null, trunks };
}

/** The VLAN settings of a port; those of other interfaces say nothing. */
export function wantedOvsVlan(settings: WantedSettings): OvsVlan {
  return ovsVlanOf({
    vlan: 'vlan' in settings ? settings.vlan : undefined,
    trunk: 'trunk' in settings ? settings.trunk : undefined,
    native: 'native' in settings ? settings.native : undefined,
    nativeMode: 'nativeMode' in settings ? settings.nativeMode : undefined,
  });
}

export function portVlansOf(vlan: OvsVlan): PortVlans {
  const all = vlan.mode !== 'access' && vlan.trunks.length === 0;
  const tagged = vlan.trunks.filter((id) => id !== vlan.tag);
  switch (vlan.mode) {
    case 'access':
      return { untagged: vlan.tag, tagged: [] };
    case 'trunk':
      return { untagged: null, tagged, all };
    case 'native-untagged':
      return { untagged: vlan.tag, tagged, all };
    case 'native-tagged':
      return { untagged: null, tagged, all, ...(vlan.tag === null ? {} : { native: vlan.tag }) };
  }
}

/** `access 10`, `trunk 10,20`, `native-untagged 1 · all`: short and the same in every language. */
export function ovsVlanText(vlan: OvsVlan, list: (ids: readonly number[]) => string): string {
  const trunks = vlan.trunks.length === 0 ? '' : list(vlan.trunks);
  return [vlan.mode, vlan.tag === null ? '' : String(vlan.tag), trunks].filter(Boolean).join(' ');
}

/** Links that Open vSwitch makes for its own use: no part of anybody's lab. */
export function isEngineLink(inventory: Inventory | null, link: LinkView): boolean {
  return (
    link.lab === null &&
    engineLinks.test(link.name) &&
    inventory?.engines.some((engine) => engine.namespace === link.namespace) === true
  );
}

/** In the spanning tree, but not forwarding. */
export function blockedState(state: OvsInterfaceState | null): string | null {
  const tree = state?.treeState ?? null;
  return tree === null || tree === 'forwarding' || tree === 'disabled' ? null : tree;
}

export type OvsRowKind = OvsInterface['kind'] | 'bond';

/** One line of the list of a bridge's ports. */
export interface OvsPortRow {
  readonly name: string;
  /** The bond that it is a member of. */
  readonly bond: string | null;
  readonly kind: OvsRowKind;
  readonly ofport: number | null;
  /** Null for a member of a bond, whose VLANs are the bond's. */
  readonly vlan: OvsVlan | null;
  readonly up: boolean | null;
  readonly error: string | null;
  /** `root · forwarding`; null outside a tree. */
  readonly tree: string | null;
  readonly member: OvsInterfaceState['bondMember'];
}

/** The ports in the order of the database, the bridge's own first, a bond's members after it. */
export function ovsPortRows({ bridge, interfaces }: OvsBridgeView): readonly OvsPortRow[] {
  const states = new Map(interfaces.map((state) => [state.name, state]));
  const own = (port: OvsPort) => (port.name === bridge.name ? 0 : 1);
  const rowOf = (made: OvsInterface, port: OvsPort, bond: string | null): OvsPortRow => {
    const state = states.get(made.name);
    const tree = [state?.treeRole, state?.treeState].filter(
      (each) => each !== null && each !== undefined,
    );
    return {
      name: made.name,
      bond,
      kind: made.kind,
      ofport: state?.ofport ?? null,
      vlan: bond === null ? port.vlan : null,
      up: state?.linkUp ?? null,
      error: state?.error ?? null,
      tree: tree.length === 0 ? null : tree.join(' · '),
      member: state?.bondMember ?? null,
    };
  };
  return [...bridge.ports]
    .sort((one, other) => own(one) - own(other))
    .flatMap((port): OvsPortRow[] => {
      const [only] = port.interfaces;
      if (port.interfaces.length === 1 && only !== undefined) return [rowOf(only, port, null)];
      const members = port.interfaces.map((made) => rowOf(made, port, port.name));
      const ups = members.map((row) => row.up);
      return [
        {
          name: port.name,
          bond: null,
          kind: 'bond',
          ofport: null,
          vlan: port.vlan,
          up: ups.includes(true) ? true : ups.includes(false) ? false : null,
          error: null,
          tree: null,
          member: null,
        },
        ...members,
      ];
    });
}

/** What a bridge is set to, in the words of its database; what is Open vSwitch's own choice is left out. */
export function ovsBridgeFacts(bridge: OvsBridge): readonly (readonly [BridgeFact, string])[] {
  const facts: (readonly [BridgeFact, string | number | null])[] = [
    ['datapathId', bridge.datapathId],
    ['failMode', bridge.failMode],
    ['controllers', bridge.controllers.join(' ') || null],
    ['protocols', bridge.protocols.join(' ') || null],
    ['stp', bridge.stp ? '✓' : null],
    ['rstp', bridge.rstp ? '✓' : null],
    ['priority', bridge.priority],
    ['forwardDelay', bridge.forwardDelay],
    ['helloTime', bridge.helloTime],
    ['maximumAge', bridge.maximumAge],
    ['ageingTime', bridge.ageingTime],
    ['multicastSnooping', bridge.multicastSnooping ? '✓' : null],
  ];
  return facts.flatMap(([key, value]) => (value === null ? [] : [[key, String(value)] as const]));
}
export type BridgeFact =
  | 'datapathId'
  | 'failMode'
  | 'controllers'
  | 'protocols'
  | 'stp'
  | 'rstp'
  | 'priority'
  | 'forwardDelay'
  | 'helloTime'
  | 'maximumAge'
  | 'ageingTime'
  | 'multicastSnooping';
