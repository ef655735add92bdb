/** Administrative states, and masters as far as states depend on them. */
import { changeOf } from './link-change.ts';
import { isCollector } from './collector.ts';
import { keyOf, linkKey, type NetworkLink } from './network.ts';
import type { KeptLink, PlanDraft } from './plan-draft.ts';
import type { WantedLinks } from './wanted-links.ts';

/** Which links go down or come up, by the plan or by the kernel because of it. */
export class LinkStates {
  private readonly draft: PlanDraft;
  private readonly wanted: WantedLinks;
  /** Namespaces that have one. */
  private readonly collectors: ReadonlySet<string | null>;

  constructor(draft: PlanDraft, wanted: WantedLinks) {
    this.draft = draft;
    this.wanted = wanted;
    this.collectors = new Set(
      draft.desired.processes
        .filter(({ name, command }) => isCollector(name, command))
        .map(({ namespace }) => namespace),
    );
  }

  /** Whether a link that stays is let go by its master, which changes or is made anew. */
  leavesMaster({ observed, wanted }: KeptLink): boolean {
    const master = this.draft.observed.linkById(observed.view.master);
    if (master === undefined) return false;
    return master.view.name !== wanted.master || this.draft.removedKeys.has(master.key);
  }

  joinsMaster({ observed, wanted }: KeptLink): boolean {
    if (wanted.master === null) return false;
    return observed.view.master === null || this.leavesMaster({ observed, wanted });
  }

  leavesBond(link: KeptLink): boolean {
    return this.leavesMaster(link) && this.draft.observedMasterKind(link.observed) === 'bond';
  }

  private joinsBond(link: KeptLink): boolean {
    return this.joinsMaster(link) && this.wanted.masterKindOf(link.wanted) === 'bond';
  }

  /** Whether a link that stays goes down in between, since it joins or leaves a bond or a VRF. */
  isCycled(link: KeptLink): boolean {
    if (this.leavesMaster(link)) {
      const kind = this.draft.observedMasterKind(link.observed);
      if (kind === 'bond' || kind === 'vrf') return true;
    }
    return (
      this.joinsBond(link) ||
      (this.joinsMaster(link) && this.wanted.masterKindOf(link.wanted) === 'vrf')
    );
  }

  /** The link below a VLAN device that stays: it takes the device down and up with it. */
  carrierOf({ wanted }: KeptLink): KeptLink | undefined {
    if (wanted.device?.kind !== 'vlan') return undefined;
    return this.draft.kept.get(linkKey(wanted.namespace, wanted.device.parent));
  }

  /** Whether a link that stays goes down or comes up at some time. */
  isUnsettled(link: KeptLink, depth = 0): boolean {
    if (link.observed.view.up !== link.wanted.up || this.isCycled(link)) return true;
    const carrier = this.carrierOf(link);
    return carrier !== undefined && depth < 100 && this.isUnsettled(carrier, depth + 1);
  }

  /** Whether a link that stays goes down at some time, and loses what hangs on that. */
  falls(link: KeptLink): boolean {
    return link.observed.view.up && this.isUnsettled(link);
  }

  /** Whether the kernel brings a link up on the way back that was down. */
  isRaisedFirst(link: KeptLink): boolean {
    if (link.observed.view.up) return false;
    const carrier = this.carrierOf(link);
    return this.leavesBond(link) || (carrier !== undefined && this.falls(carrier));
  }

  /** Whether a link is of a collector's node, or the other end of such a one. */
  private leadsToCollector({ namespace, peer }: NetworkLink): boolean {
    const other = peer === null ? undefined : this.draft.desired.links.get(peer);
    return (
      this.collectors.has(namespace) || (other && this.collectors.has(other.namespace)) === true
    );
  }

  /** Leaves every link up or down as is wanted, after all that the kernel does to it by itself. */
  settle(): void {
    const states = new Map<string, boolean>();
    /** Those that a bond brings up, with the VLAN devices that are on them then, and those that come up here. */
    const joined = new Set<string>();
    const raised = new Set<string>();
    for (const link of this.wanted.inOrderOfParents()) {
      const key = keyOf(link);
      const kept = this.draft.kept.get(key);
      const isNew = kept === undefined;
      const carrier =
        link.device?.kind === 'vlan' ? linkKey(link.namespace, link.device.parent) : '';
      const joins = isNew ? this.wanted.masterKindOf(link) === 'bond' : this.joinsBond(kept);
      const isJoined = joins || (!isNew && joined.has(carrier));
      const isRaised = raised.has(carrier);
      const stays = !isNew && kept.observed.view.up && !this.falls(kept);
      const up = states.get(carrier) !== false && (stays || isJoined || isRaised);
      if (up !== link.up) {
        const phase =
          link.kind === 'bridge'
            ? 'bridges-up'
            : this.leadsToCollector(link)
              ? 'collectors-up'
              : 'links-up';
        this.draft.push(phase, changeOf(link.namespace, link.name, { up }, { up: link.up }));
      }
      if (isJoined) joined.add(key);
      if (isRaised || (link.up && !up)) raised.add(key);
      states.set(key, link.up);
    }
  }
}
