/** The links that are wanted, by what they belong to and in the orders of a plan; nothing of what is there. */
import { append } from './collections.ts';
import { parentOf } from './device.ts';
import { keyOf, linkKey, type Network, type NetworkLink } from './network.ts';

export class WantedLinks {
  private readonly desired: Network;
  private portsByMaster: LinkGroups | null = null;
  private linksBySwitch: LinkGroups | null = null;
  private parentsFirst: readonly NetworkLink[] | null = null;

  constructor(desired: Network) {
    this.desired = desired;
  }

  /** None or one. */
  at(namespace: string | null, name: string | null): readonly NetworkLink[] {
    const link = name === null ? undefined : this.desired.links.get(linkKey(namespace, name));
    return link === undefined ? [] : [link];
  }

  /** Of a bridge, bond or VRF. */
  portsOf(master: NetworkLink): readonly NetworkLink[] {
    this.portsByMaster ??= groupByMaster(this.desired);
    return this.portsByMaster.get(keyOf(master)) ?? [];
  }

  /** What the MTU of a link that Open vSwitch makes follows: its bridge's links, internal ones only where theirs is pinned. */
  linksOfSwitch({ namespace, switch: name }: NetworkLink): readonly NetworkLink[] {
    this.linksBySwitch ??= groupBySwitch(this.desired);
    return name === null ? [] : (this.linksBySwitch.get(linkKey(namespace, name)) ?? []);
  }

  /** The links that are wanted, each after the one that it sits on and after its master. */
  inOrderOfParents(): readonly NetworkLink[] {
    this.parentsFirst ??= this.inOrderOf((link) =>
      [parentOf(link.device), link.master].flatMap((name) => this.at(link.namespace, name)),
    );
    return this.parentsFirst;
  }

  /** The links that are wanted, each after those that its MTU follows from. */
  inOrderOfMtus(): readonly NetworkLink[] {
    return this.inOrderOf((link) =>
      link.kind === 'bridge'
        ? this.portsOf(link)
        : link.kind === 'internal'
          ? this.linksOfSwitch(link)
          : this.at(link.namespace, parentOf(link.device)),
    );
  }

  private inOrderOf(before: (link: NetworkLink) => readonly NetworkLink[]): readonly NetworkLink[] {
    const order: NetworkLink[] = [];
    const seen = new Set<NetworkLink>();
    // What is seen is not visited again: a circle ends.
    const visit = (link: NetworkLink): void => {
      if (seen.has(link)) return;
      seen.add(link);
      for (const other of before(link)) visit(other);
      order.push(link);
    };
    for (const link of this.desired.links.values()) visit(link);
    return order;
  }

  /** Kind of its master, as `PlanDraft.observedMasterKind` has it; undefined without one. */
  masterKindOf({ namespace, master }: NetworkLink): string | undefined {
    const link = master === null ? undefined : this.desired.links.get(linkKey(namespace, master));
    return link?.device?.kind ?? link?.kind;
  }
}

type LinkGroups = ReadonlyMap<string, readonly NetworkLink[]>;

function groupByMaster(network: Network): LinkGroups {
  return groupBy(network, ({ master }) => master);
}

function groupBySwitch(network: Network): LinkGroups {
  return groupBy(network, (link) =>
    link.kind === 'internal' && link.mtu === null ? null : link.switch,
  );
}

/** By the key of what a link belongs to in its namespace. */
function groupBy({ links }: Network, ownerOf: (link: NetworkLink) => string | null): LinkGroups {
  const groups = new Map<string, NetworkLink[]>();
  for (const link of links.values()) {
    const owner = ownerOf(link);
    if (owner === null) continue;
    append(groups, linkKey(link.namespace, owner), link);
  }
  return groups;
}
