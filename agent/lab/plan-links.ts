/** Which links go and which stay; what to do about it is said in `plan-removals.ts` and `plan-changes.ts`. */
import { defaultMtu, overheadOf, sameDevice } from './device.ts';
import type { NetworkLink } from './network.ts';
import type { ObservedLink } from './observed.ts';
import type { PlanDraft } from './plan-draft.ts';
import type { LinkMtus } from './plan-mtus.ts';
import { keepsInternal } from './plan-ovs.ts';

/** What is removed; those that stay are in the draft. */
export interface SortedLinks {
  /** With the other end, where that can be reached. */
  readonly veths: readonly (readonly [ObservedLink, ObservedLink | null])[];
  readonly bridges: readonly ObservedLink[];
  /** Those on top first, members before their masters. */
  readonly devices: readonly ObservedLink[];
  /** Made by Open vSwitch. */
  readonly internals: readonly ObservedLink[];
}

export class LinkSorter {
  private readonly draft: PlanDraft;
  private readonly mtus: LinkMtus;

  constructor(draft: PlanDraft, mtus: LinkMtus) {
    this.draft = draft;
    this.mtus = mtus;
  }

  /** Tells the draft which links stay and which go. */
  sort(): SortedLinks {
    const { observed, kept, removedKeys } = this.draft;
    const veths: (readonly [ObservedLink, ObservedLink | null])[] = [];
    const bridges: ObservedLink[] = [];
    const devices: ObservedLink[] = [];
    const internals: ObservedLink[] = [];
    for (const link of observed.links.values()) {
      if (removedKeys.has(link.key) || !this.draft.ownership.ownsLink(link)) continue;
      const wanted = this.draft.desired.links.get(link.key);
      const made = observed.switchOf(link);
      if (made !== undefined) {
        if (
          wanted?.kind === 'internal' &&
          keepsInternal(this.draft.switches, made, link.view.name)
        ) {
          kept.set(link.key, { observed: link, wanted });
        } else {
          internals.push(link);
          removedKeys.add(link.key);
        }
        continue;
      }
      if (link.view.kind === 'bridge') {
        if (wanted?.kind === 'bridge') kept.set(link.key, { observed: link, wanted });
        else {
          bridges.push(link);
          removedKeys.add(link.key);
        }
        continue;
      }
      if (link.view.kind !== 'veth') {
        if (wanted?.kind === 'device' && this.mayStay(link, wanted)) {
          kept.set(link.key, { observed: link, wanted });
        } else devices.push(link);
        continue;
      }
      const peer = observed.linkById(link.view.peer) ?? null;
      if (wanted?.kind === 'veth' && peer !== null && wanted.peer === peer.key) {
        kept.set(link.key, { observed: link, wanted });
        continue;
      }
      veths.push([link, peer]);
      removedKeys.add(link.key);
      if (peer !== null) removedKeys.add(peer.key);
    }
    for (const view of observed.viewById.values()) {
      if (view.lab !== this.draft.lab || view.kind === 'loopback') continue;
      if (observed.nameOf(view.namespace) !== undefined) continue;
      if (observed.linkById(view.peer) === undefined) {
        this.draft.warn('out-of-reach', view.name, { name: view.name });
      }
    }
    return { veths, bridges, devices: this.withDevicesOn(devices), internals };
  }

  /** Whether a device can become what is wanted without being made anew. */
  private mayStay({ view, key }: ObservedLink, wanted: NetworkLink): boolean {
    if (view.device === null || wanted.device === null) return false;
    if (!sameDevice(view.device, wanted.device)) return false;
    // Of some, only the kernel knows what the MTU would be that nobody had set.
    const listed = this.draft.base?.links.get(key);
    const pinned = listed?.mtu ?? null;
    if (pinned === null || this.mtus.of(wanted) !== null) return true;
    // It has been made anew since, or what was set is what a tunnel has by itself.
    return view.mtu !== pinned || pinned === defaultMtu - overheadOf(wanted.device);
  }

  /**
   * The devices to remove, those on top first and members before their masters: with a link go all devices on it.
   * Takes them out of those that stay.
   */
  private withDevicesOn(devices: readonly ObservedLink[]): readonly ObservedLink[] {
    const { observed, removedKeys } = this.draft;
    const order: ObservedLink[] = [];
    const seen = new Set<string>();
    const going = new Set(devices);
    const visit = (link: ObservedLink, itself: boolean): void => {
      if (seen.has(link.key)) return;
      seen.add(link.key);
      for (const upper of observed.devicesOn(link)) {
        const name = this.draft.label(upper);
        if (this.draft.ownership.ownsLink(upper)) visit(upper, true);
        else this.draft.warn('foreign-interface-lost', name, { name });
      }
      if (!itself) return;
      for (const port of observed.portsOf(link)) if (going.has(port)) visit(port, true);
      this.draft.kept.delete(link.key);
      removedKeys.add(link.key);
      order.push(link);
    };
    for (const key of [...removedKeys]) {
      const link = observed.links.get(key);
      if (link !== undefined) visit(link, false);
    }
    for (const device of devices) visit(device, true);
    return order;
  }

  /** Of what comes, refuses what has the name of something that is not ours. */
  refuseTaken(): void {
    const { kept, removedKeys } = this.draft;
    const taken = new Set<string>();
    for (const { key, name, view } of this.draft.switches.taken) {
      this.draft.refuse('ovs-bridge-taken', 'ovs-bridge-of-other-lab', name, name, view.lab);
      taken.add(key);
    }
    for (const [key, wanted] of this.draft.desired.links) {
      if (taken.has(key)) continue;
      const link = this.draft.observed.links.get(key);
      if (link === undefined || kept.has(key) || removedKeys.has(key)) continue;
      const label = this.draft.labelOf(wanted.namespace, wanted.name);
      this.draft.refuse('interface-taken', 'interface-of-other-lab', label, label, link.view.lab);
    }
  }
}
