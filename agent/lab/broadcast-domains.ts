/** Broadcast domains: who hears the broadcasts of whom, VLAN by VLAN. */
import type { OvsBridgeNode } from '../api/document-ovs.ts';
import type { BridgePort } from '../api/document.ts';
import { groupBy, own } from './collections.ts';
import { parentOf, takesVlans } from './device.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import { Groups } from './groups.ts';
import { linkKey } from './network.ts';
import { forwardsByItself, type OvsPortWords, vlanOf } from './ovs-network.ts';
import type { TunnelEnd } from './validate-tunnels.ts';

/** Tag of a frame on a wire. */
type Lane = number | 'untagged';

export class BroadcastDomains {
  private readonly made: DocumentInterfaces;
  private readonly groups = new Groups();
  private vlansByParent: ReadonlyMap<string, readonly Interface[]> | null = null;
  private knownOvsVlans: readonly number[] | null = null;

  constructor(made: DocumentInterfaces) {
    this.made = made;
  }

  /** Of all wires and devices, and of tunnels, which are wires as well. */
  joinAll(tunnels: readonly (readonly TunnelEnd[])[]): void {
    const { wires, patches } = this.made;
    for (const [left, right] of [...wires, ...patches]) this.joinLanes(left, right);
    for (const link of tunnels) {
      const [left, right] = link.map(({ device }) => device);
      if (left !== undefined && right !== undefined) this.joinLanes(left, right);
    }
    for (const item of this.made.interfaces.values()) {
      const lower = parentOf(item.device);
      const parent =
        lower === null ? undefined : this.made.interfaces.get(linkKey(item.namespace, lower));
      if (parent === undefined) continue;
      if (item.device?.kind === 'macvlan') this.joinLanes(item, parent);
      // A VLAN device on a bridge is in the bridge's own VLAN.
      if (item.device?.kind !== 'vlan') continue;
      if (!parent.isBridge && parent.isInternal !== true) continue;
      const { id } = item.device;
      const lane = this.lanesOf(parent).get(id) ?? this.transparentLane(parent, id);
      if (lane !== undefined) this.groups.join(this.domainOf(item), lane);
    }
  }

  private joinLanes(left: Interface, right: Interface): void {
    const [one, other] = [this.lanesOf(left), this.lanesOf(right)];
    const passing = this.isOvs(left) && this.isOvs(right) ? this.ovsVlans() : [];
    for (const lane of new Set([...one.keys(), ...other.keys(), ...passing])) {
      const here = one.get(lane) ?? this.transparentLane(left, lane);
      const there = other.get(lane) ?? this.transparentLane(right, lane);
      if (here !== undefined && there !== undefined) this.groups.join(here, there);
    }
  }

  /** Makes two interfaces hear each other, which are joined by no wire. */
  join(left: Interface, right: Interface): void {
    this.groups.join(this.domainOf(left), this.domainOf(right));
  }

  /** Whether one hears the broadcasts of the other. */
  areJoined(left: Interface, right: Interface): boolean {
    return this.groups.areJoined(this.domainOf(left), this.domainOf(right));
  }

  /** The same text for all that hear each other. */
  rootOf(item: Interface): string {
    return this.groups.rootOf(this.domainOf(item));
  }

  /** What an interface itself hears without a tag. */
  private domainOf(item: Interface): string {
    const bridge = item.bridge === null ? undefined : this.made.nodes.get(item.bridge);
    const untagged = this.lanesOf(item).get('untagged');
    if (bridge !== undefined && untagged !== undefined) return untagged;
    return `interface ${linkKey(item.namespace, item.name)}`;
  }

  /**
   * The broadcast domains that frames on a wire at this end belong to, by their tag: a bridge that filters VLANs has one
   * for each VLAN, one that does not carries each tag apart, a host hears a tag with the VLAN device of that id.
   */
  private lanesOf(item: Interface): ReadonlyMap<Lane, string> {
    const group = this.made.masterOf(item);
    const top = group?.device?.kind === 'bond' ? group : item;
    const lanes = new Map<Lane, string>();
    const node = top.bridge === null ? undefined : this.made.nodes.get(top.bridge);
    if (node?.kind === 'ovs-bridge' && forwardsByItself(node)) return this.ovsLanesOf(item, node);
    if (node?.kind !== 'bridge') {
      lanes.set('untagged', `interface ${linkKey(top.namespace, top.name)}`);
      for (const device of this.vlansOn(top)) {
        if (device.device?.kind !== 'vlan') continue;
        lanes.set(device.device.id, `interface ${linkKey(device.namespace, device.name)}`);
      }
      return lanes;
    }
    const bridge = `bridge ${top.bridge ?? ''}`;
    if (node.vlanFiltering !== true) {
      lanes.set('untagged', bridge);
      return lanes;
    }
    const vlan = (id: number): string => `${bridge} vlan ${id}`;
    const port: BridgePort = top.isBridge ? {} : (top.settings as BridgePort);
    if (top.isBridge || !takesVlans(port)) lanes.set('untagged', vlan(1));
    if (port.vlan !== undefined) lanes.set('untagged', vlan(port.vlan));
    if (port.native !== undefined) lanes.set('untagged', vlan(port.native));
    for (const id of top.isBridge ? (node.vlans ?? []) : (port.trunk ?? [])) {
      if (id !== port.native) lanes.set(id, vlan(id));
    }
    return lanes;
  }

  /** Every Open vSwitch bridge looks at tags. What has none, at a port that says nothing, is VLAN 0. */
  private ovsLanesOf(item: Interface, node: OvsBridgeNode): ReadonlyMap<Lane, string> {
    const lanes = new Map<Lane, string>();
    const vlan = (id: number): string => `bridge ${item.bridge ?? ''} vlan ${id}`;
    const { mode, tag, trunks } = vlanOf(this.vlanWordsOf(item, node));
    if (mode === 'trunk') {
      if (trunks.length === 0) lanes.set('untagged', vlan(0));
    } else if (tag !== null) lanes.set('untagged', vlan(tag));
    if (mode === 'native-tagged' && tag !== null) lanes.set(tag, vlan(tag));
    for (const id of trunks) lanes.set(id, vlan(id));
    return lanes;
  }

  private vlanWordsOf(item: Interface, node: OvsBridgeNode): OvsPortWords {
    if (item.isBridge) return node.vlan === undefined ? {} : { vlan: node.vlan };
    return this.made.ovsBondOf(item)?.[1] ?? own(node.ports ?? {}, item.name) ?? {};
  }

  private vlansOn(item: Interface): readonly Interface[] {
    this.vlansByParent ??= groupBy(
      [...this.made.interfaces.values()].filter(({ device }) => device?.kind === 'vlan'),
      ({ namespace, device }) => linkKey(namespace, parentOf(device) ?? ''),
    );
    return this.vlansByParent.get(linkKey(item.namespace, item.name)) ?? [];
  }

  private isOvs({ bridge }: Interface): boolean {
    return bridge !== null && this.made.nodes.get(bridge)?.kind === 'ovs-bridge';
  }

  /** VLANs that any Open vSwitch bridge speaks of: a trunk of all between two of them carries each. */
  private ovsVlans(): readonly number[] {
    this.knownOvsVlans ??= [
      ...new Set(
        [...this.made.nodes.values()].flatMap((node) =>
          node.kind !== 'ovs-bridge'
            ? []
            : [{ vlan: node.vlan }, ...Object.values(node.ports ?? {})].flatMap((port) => {
                const { tag, trunks } = vlanOf(port);
                return tag === null ? trunks : [tag, ...trunks];
              }),
        ),
      ),
    ];
    return this.knownOvsVlans;
  }

  /** A bridge that does not look at tags passes them on. */
  private transparentLane(item: Interface, lane: Lane): string | undefined {
    const node = item.bridge === null ? undefined : this.made.nodes.get(item.bridge);
    if (node?.kind === 'ovs-bridge') {
      const { mode, trunks } = vlanOf(this.vlanWordsOf(item, node));
      const takesAll = forwardsByItself(node) && mode !== 'access' && trunks.length === 0;
      return takesAll && lane !== 'untagged'
        ? `bridge ${item.bridge ?? ''} vlan ${lane}`
        : undefined;
    }
    if (node?.kind !== 'bridge' || node.vlanFiltering === true) return undefined;
    return `bridge ${item.bridge ?? ''} tag ${lane}`;
  }
}
