/** Links that come. */
import { initialBridge } from '../api/device.ts';
import { isGroup, parentOf } from './device.ts';
import { differing } from './link-settings.ts';
import { keyOf, type NetworkLink } from './network.ts';
import type { VethEnd } from './operation.ts';
import type { PlanDraft } from './plan-draft.ts';
import type { Phase } from './plan-phases.ts';
import type { WantedLinks } from './wanted-links.ts';

export class LinkAdder {
  private readonly draft: PlanDraft;
  private readonly wanted: WantedLinks;

  constructor(draft: PlanDraft, wanted: WantedLinks) {
    this.draft = draft;
    this.wanted = wanted;
  }

  /** But for devices on others, which follow them as `addDevice` is called. */
  add(): void {
    const { kept } = this.draft;
    for (const link of this.wanted.inOrderOfParents()) {
      if (kept.has(keyOf(link))) continue;
      if (link.kind === 'bridge') this.addBridge(link);
      if (link.device === null || parentOf(link.device) !== null) continue;
      this.addDevice(link, isGroup(link.device) ? 'add-groups' : 'add-devices');
    }
    for (const [left, right] of this.draft.desired.pairs) {
      if (kept.has(keyOf(left))) continue;
      const endOf = (link: NetworkLink): VethEnd => {
        const { namespace, name, mac, master } = link;
        return { namespace, name, mac, mtu: this.ownMtuOf(link), master };
      };
      this.draft.push('add-veths', { kind: 'add-veth', ends: [endOf(left), endOf(right)] });
    }
  }

  private addBridge({ namespace, name, mac, bridge }: NetworkLink): void {
    this.draft.push('add-bridges', {
      kind: 'add-bridge',
      namespace,
      name,
      mac,
      // An MTU given at creation does not stick once there are ports; it is set afterwards.
      mtu: null,
      settings: bridge === null ? {} : differing(bridge, initialBridge),
    });
  }

  addDevice(link: NetworkLink, phase: Phase): void {
    const { namespace, name, device, mac, master } = link;
    if (device === null) return;
    this.draft.push(phase, {
      kind: 'add-device',
      namespace,
      name,
      device,
      mac,
      mtu: this.ownMtuOf(link),
      master,
    });
  }

  /** The MTU that a link is made with; null leaves it to the kernel. A bond gives its members its own. */
  private ownMtuOf(link: NetworkLink): number | null {
    return this.wanted.masterKindOf(link) === 'bond' ? null : link.mtu;
  }
}
