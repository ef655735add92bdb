/** Links that go. */
import { isGroup, overheadOf, parentOf } from './device.ts';
import { inverseOf } from './inverse.ts';
import { changeOf } from './link-change.ts';
import { linkKey } from './network.ts';
import type { ObservedLink } from './observed.ts';
import type { Operation, VethEnd } from './operation.ts';
import type { LinkContents } from './plan-contents.ts';
import type { PlanDraft } from './plan-draft.ts';
import type { UplinkPlanner } from './plan-uplinks.ts';

export class LinkRemover {
  private readonly draft: PlanDraft;
  private readonly uplinks: UplinkPlanner;
  private readonly contents: LinkContents;

  constructor(draft: PlanDraft, uplinks: UplinkPlanner, contents: LinkContents) {
    this.draft = draft;
    this.uplinks = uplinks;
    this.contents = contents;
  }

  /** Links that Open vSwitch makes go with what they have; on the way back it is put back one by one. */
  emptyInternal(link: ObservedLink): void {
    for (const operation of [...this.contents.of([link])].reverse()) {
      for (const back of inverseOf(operation)) this.draft.push('empty-internals', back);
    }
  }

  removeDevice(link: ObservedLink): void {
    const { view, namespace, key } = link;
    const listed = this.draft.base?.links.get(key) ?? null;
    const device = view.device ?? listed?.device ?? null;
    // Ours, and of a kind that nobody can tell: it is left, and said.
    if (device === null) {
      const label = this.draft.label(link);
      this.draft.warn('out-of-reach', label, { name: label });
      return;
    }
    const ports = this.releasePorts(link);
    this.draft.push(isGroup(device) ? 'remove-groups' : 'remove-devices', {
      kind: 'remove-device',
      namespace,
      name: view.name,
      device,
      mac: listed?.mac ?? null,
      mtu: Math.min(view.mtu, this.largestMtuOf(link)),
      master: this.ownMasterOf(link),
      contents: [...ports, ...this.contents.of([link])],
    });
  }

  /** Null is an end that cannot be reached. */
  removeVeth([link, peer]: readonly [ObservedLink, ObservedLink | null]): void {
    const ends = peer === null ? [link] : [link, peer];
    this.draft.push('remove-veths', {
      kind: 'remove-veth',
      ends: [this.endOf(link), peer === null ? this.lostEndOf(link) : this.endOf(peer)],
      contents: this.contents.of(ends),
    });
  }

  removeBridge(bridge: ObservedLink): void {
    const { namespace, view } = bridge;
    const foreignPorts = this.releasePorts(bridge);
    this.draft.push('remove-bridges', {
      kind: 'remove-bridge',
      namespace,
      name: view.name,
      contents: [...this.contents.ofBridge(bridge), ...foreignPorts, ...this.contents.of([bridge])],
    });
  }

  /** Lets go of what stays of a master's ports; the operations that give it back those that are not ours. */
  private releasePorts(master: ObservedLink): readonly Operation[] {
    const { namespace, view } = master;
    const foreignPorts: Operation[] = [];
    for (const port of this.draft.observed.portsOf(master)) {
      const { name } = port.view;
      if (this.draft.removedKeys.has(port.key) || this.uplinks.detaching.has(port.key)) continue;
      if (this.draft.kept.has(port.key)) {
        const release = changeOf(namespace, name, { master: view.name }, { master: null });
        this.draft.push('release-ports', release);
        continue;
      }
      const label = this.draft.label(port);
      this.draft.warn('foreign-port-released', label, { name: label, bridge: view.name });
      foreignPorts.push(changeOf(namespace, name, { master: null }, { master: view.name }));
    }
    return foreignPorts;
  }

  /** A VXLAN device does not shrink with what is below it, but could not be made so large again. */
  private largestMtuOf({ view, namespace }: ObservedLink): number {
    const name = parentOf(view.device);
    const parent =
      name === null ? undefined : this.draft.observed.links.get(linkKey(namespace, name));
    if (view.device === null || parent === undefined) return Infinity;
    return parent.view.mtu - overheadOf(view.device);
  }

  /** Name of the master, if it is of a kind that takes ports; OVS and the like do by themselves. */
  private ownMasterOf(link: ObservedLink): string | null {
    const kind = this.draft.observedMasterKind(link);
    const master = this.draft.observed.linkById(link.view.master);
    if (master === undefined) return null;
    return kind === 'bridge' || kind === 'bond' || kind === 'vrf' ? master.view.name : null;
  }

  private endOf(link: ObservedLink): VethEnd {
    const { view, namespace } = link;
    const { name, mtu } = view;
    // A member shows the MAC of its bond.
    const bonded = this.draft.observedMasterKind(link) === 'bond';
    const mac = bonded ? (this.draft.base?.links.get(link.key)?.mac ?? null) : view.mac;
    return { namespace, name, mac, mtu, master: this.ownMasterOf(link) };
  }

  /** The other end of a pair whose namespace has no name: made again where the base document has it. */
  private lostEndOf(link: ObservedLink): VethEnd {
    const { base } = this.draft;
    const peerKey = base?.links.get(link.key)?.peer;
    const listed = peerKey === undefined || peerKey === null ? null : base?.links.get(peerKey);
    const view =
      link.view.peer === null ? undefined : this.draft.observed.viewById.get(link.view.peer);
    return {
      namespace: listed?.namespace ?? null,
      name: listed?.name ?? view?.name ?? `${link.view.name.slice(0, 13)}-p`,
      mac: view?.mac ?? null,
      mtu: view?.mtu ?? null,
      master: listed?.master ?? null,
    };
  }
}
