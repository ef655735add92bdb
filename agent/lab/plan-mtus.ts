/** MTUs: what they are to be, and the way there. */
import { beginsWithDefaultMtu, defaultMtu, overheadOf, parentOf } from './device.ts';
import { changeOf } from './link-change.ts';
import { keyOf, linkKey, type NetworkLink, smallestIpv6Mtu } from './network.ts';
import type { ObservedLink } from './observed.ts';
import type { KeptLink, PlanDraft } from './plan-draft.ts';
import type { Phase } from './plan-phases.ts';
import type { LinkStates } from './plan-states.ts';
import type { UplinkPlanner } from './plan-uplinks.ts';
import type { WantedLinks } from './wanted-links.ts';

export class LinkMtus {
  private readonly draft: PlanDraft;
  private readonly wanted: WantedLinks;
  private readonly states: LinkStates;
  private readonly uplinks: UplinkPlanner;
  private readonly knownMtus = new Map<string, number | null>();

  constructor(draft: PlanDraft, wanted: WantedLinks, states: LinkStates, uplinks: UplinkPlanner) {
    this.draft = draft;
    this.wanted = wanted;
    this.states = states;
    this.uplinks = uplinks;
  }

  /** The MTU that a link is to have; null where only the kernel knows. */
  of(link: NetworkLink): number | null {
    const key = keyOf(link);
    const known = this.knownMtus.get(key);
    if (known !== undefined) return known;
    // Ends the search where bridges and devices sit on each other in a circle.
    this.knownMtus.set(key, null);
    const mtu = this.findMtu(link);
    this.knownMtus.set(key, mtu);
    return mtu;
  }

  private findMtu(link: NetworkLink): number | null {
    const { namespace, device } = link;
    const lookUp = (name: string | null): number | null => {
      const [other] = this.wanted.at(namespace, name);
      return other === undefined ? null : this.of(other);
    };
    if (this.wanted.masterKindOf(link) === 'bond') return lookUp(link.master);
    if (link.mtu !== null) return link.mtu;
    if (link.kind === 'bridge') {
      return smallestMtu(this.portMtus(link, this.draft.kept.get(keyOf(link))?.observed));
    }
    if (link.kind === 'internal') {
      // It follows the links that are ports (update_mtu_ofproto in ofproto.c).
      return smallestMtu(
        this.wanted.linksOfSwitch(link).map((port) => this.of(port) ?? defaultMtu),
      );
    }
    if (device === null) return defaultMtu;
    // vrf_setup: IP6_MAX_MTU, which is 65535 and an IPv6 header.
    if (device.kind === 'vrf') return 65575;
    const parent = parentOf(device);
    if (parent === null) return beginsWithDefaultMtu(device) ? defaultMtu : null;
    const below = lookUp(parent);
    return below === null ? null : below - overheadOf(device);
  }

  /** Of all that are to be ports of a bridge, ours or not. */
  private portMtus(wanted: NetworkLink, bridge: ObservedLink | undefined): readonly number[] {
    const { kept } = this.draft;
    const foreign =
      bridge === undefined
        ? []
        : this.draft.observed
            .portsOf(bridge)
            .filter((port) => !kept.has(port.key) && !this.draft.removedKeys.has(port.key))
            .filter((port) => !this.uplinks.detaching.has(port.key))
            .map((port) => port.view.mtu);
    const ours = this.wanted.portsOf(wanted);
    const uplink = this.uplinkOf(wanted);
    const mtuOf = (port: NetworkLink): number =>
      this.of(port) ?? kept.get(keyOf(port))?.observed.view.mtu ?? defaultMtu;
    const coming = uplink === undefined || bridge === undefined ? [] : [uplink.view.mtu];
    return [...ours.map(mtuOf), ...foreign, ...coming];
  }

  private uplinkOf(wanted: NetworkLink): ObservedLink | undefined {
    const name = this.draft.desired.uplinks.get(keyOf(wanted));
    return name === undefined
      ? undefined
      : this.draft.observed.links.get(linkKey(wanted.namespace, name));
  }

  /** Whether a bridge with a pinned MTU may yet follow its ports: there is no telling whether it still does. */
  private mayFollow(bridge: ObservedLink, { mtu }: NetworkLink, automatic: number): boolean {
    if (mtu === null || automatic === mtu) return false;
    return (
      automatic !== smallestMtu(this.draft.observed.portsOf(bridge).map((port) => port.view.mtu))
    );
  }

  /** Whether a link may be below 1280 for a moment, where IPv6 ends. */
  passesSmallMtu({ observed, wanted }: KeptLink): boolean {
    if (wanted.kind !== 'bridge') {
      const mtus = this.deviceMtus(wanted);
      return mtus !== null && mtus.least < smallestIpv6Mtu && mtus.before >= smallestIpv6Mtu;
    }
    const before = smallestMtu(this.draft.observed.portsOf(observed).map((port) => port.view.mtu));
    const after = smallestMtu(this.portMtus(wanted, observed));
    return before < smallestIpv6Mtu !== after < smallestIpv6Mtu;
  }

  /** Of a device on another that stays; null where a bond sees to its MTU. */
  private deviceMtus(
    wanted: NetworkLink,
  ): { readonly before: number; readonly least: number; readonly after: number } | null {
    const kept = this.draft.kept.get(keyOf(wanted));
    if (kept === undefined || parentOf(wanted.device) === null) return null;
    if (this.wanted.masterKindOf(wanted) === 'bond' || this.states.leavesBond(kept)) return null;
    const before = kept.observed.view.mtu;
    const after = this.of(wanted) ?? before;
    return { before, least: Math.min(before, after, this.leastMtuBelow(wanted)), after };
  }

  /** What a device may shrink to with what is below it, which may be a bridge that follows its ports for a moment. */
  private leastMtuBelow({ namespace, device }: NetworkLink, depth = 0): number {
    if (device === null || device.kind === 'vxlan' || depth > 100) return Infinity;
    const [lower] = this.wanted.at(namespace, parentOf(device));
    const kept = lower === undefined ? undefined : this.draft.kept.get(keyOf(lower));
    if (lower === undefined || kept === undefined) return Infinity;
    if (lower.kind === 'internal') return this.of(lower) ?? Infinity;
    if (lower.kind !== 'bridge') return this.leastMtuBelow(lower, depth + 1);
    const automatic = smallestMtu(this.portMtus(lower, kept.observed));
    return this.mayFollow(kept.observed, lower, automatic) ? automatic : Infinity;
  }

  /** Devices on others shrink before what is below them, and grow after it. */
  shrink(wanted: NetworkLink): void {
    const mtus = this.deviceMtus(wanted);
    if (mtus === null || mtus.least >= mtus.before) return;
    this.changeMtu('shrink-devices', wanted, mtus.before, mtus.least);
  }

  /** The way back up, or further up, when what is below has its MTU. */
  grow(wanted: NetworkLink): void {
    const mtus = this.deviceMtus(wanted);
    if (mtus === null || mtus.after <= mtus.least) return;
    this.changeMtu('settle-mtus', wanted, mtus.least, mtus.after);
  }

  /** Leaves each bridge with its pinned MTU, or with that of its ports whether or not it still follows them. */
  settleBridge(wanted: NetworkLink): void {
    const bridge = this.draft.kept.get(keyOf(wanted))?.observed;
    const automatic = smallestMtu(this.portMtus(wanted, bridge));
    if (bridge === undefined) {
      if (wanted.mtu === null || wanted.mtu === automatic) return;
      const change = changeOf(
        wanted.namespace,
        wanted.name,
        { mtu: automatic },
        { mtu: wanted.mtu },
      );
      this.draft.push('settle-mtus', change);
      return;
    }
    const before = bridge.view.mtu;
    const mtu = wanted.mtu ?? automatic;
    if (before === mtu && !this.mayFollow(bridge, wanted, automatic)) return;
    this.changeMtu('settle-mtus', wanted, before, mtu);
  }

  /** A bond gives its members its MTU when that changes: what differs goes back to it before. */
  followBond(link: KeptLink): void {
    if (this.states.joinsMaster(link)) return;
    const { observed } = link;
    const bond = this.draft.observed.linkById(observed.view.master)?.view;
    const { mtu, name } = observed.view;
    if (bond === undefined || bond.mtu === mtu) return;
    this.draft.push(
      'shrink-devices',
      changeOf(observed.namespace, name, { mtu }, { mtu: bond.mtu }),
    );
  }

  private changeMtu(phase: Phase, link: NetworkLink, before: number, mtu: number): void {
    this.draft.push(phase, changeOf(link.namespace, link.name, { mtu: before }, { mtu }));
  }
}

/** What a bridge that follows its ports has (br_mtu_min). */
export function smallestMtu(mtus: readonly number[]): number {
  return mtus.length === 0 ? defaultMtu : Math.min(...mtus);
}
