/** Addresses of links, but for those that move with an uplink. */
import { parseSubnetAddress } from './address.ts';
import type { NetworkLink } from './network.ts';
import { givenAddresses } from './observed.ts';
import type { KeptLink, PlanDraft } from './plan-draft.ts';
import type { LinkMtus } from './plan-mtus.ts';
import type { LinkStates } from './plan-states.ts';
import type { UplinkPlanner } from './plan-uplinks.ts';
import { failureOf } from './sentences.ts';

/** What happens to the addresses of a link that stays. */
interface AddressChange {
  readonly removed: ReadonlySet<string>;
  /** Whether it is without any IPv4 address at some time, this way or on the way back. */
  readonly baresIpv4: boolean;
}

export class AddressPlanner {
  /** Of links that stay, by key. */
  readonly changes = new Map<string, AddressChange>();

  private readonly draft: PlanDraft;
  private readonly states: LinkStates;
  private readonly mtus: LinkMtus;
  private readonly uplinks: UplinkPlanner;

  constructor(draft: PlanDraft, states: LinkStates, mtus: LinkMtus, uplinks: UplinkPlanner) {
    this.draft = draft;
    this.states = states;
    this.mtus = mtus;
    this.uplinks = uplinks;
  }

  /** Of a link that stays. */
  change({ observed, wanted }: KeptLink): void {
    const { view, namespace, key } = observed;
    const label = this.draft.labelOf(namespace, view.name);
    const present = givenAddresses(view).filter((address) => !this.uplinks.gave(observed, address));
    const texts = new Set(present.map((address) => address.address));
    const wantedTexts = new Set(wanted.addresses);
    const goesDown = this.states.falls({ observed, wanted });
    const flushesIpv6 =
      this.states.isUnsettled({ observed, wanted }) ||
      this.mtus.passesSmallMtu({ observed, wanted });
    const removed = new Set<string>();
    const lost = new Set<string>();
    const isOurs = (address: (typeof present)[number]): boolean =>
      address.owned ||
      wantedTexts.has(address.address) ||
      this.draft.listsAddress(key, address.address);

    for (const address of present) {
      const ours = isOurs(address);
      if (ours && !wantedTexts.has(address.address)) removed.add(address.address);
      if (!flushesIpv6 || address.family !== 'ipv6') continue;
      if (ours) removed.add(address.address);
      else if (goesDown) lost.add(address.address);
    }
    // The first address of an IPv4 subnet takes the others with it; take them away before it.
    const firsts = new Map<string, string>();
    for (const address of present) {
      if (address.family !== 'ipv4') continue;
      const subnet = parseSubnetAddress(address.address)?.subnet ?? address.address;
      const first = firsts.get(subnet);
      if (first === undefined) firsts.set(subnet, address.address);
      else if (removed.has(first)) (isOurs(address) ? removed : lost).add(address.address);
    }
    for (const address of present) {
      if (isOurs(address)) continue;
      const code = lost.has(address.address) ? 'foreign-address-lost' : 'foreign-address';
      this.draft.warn(code, label, { address: address.address, interface: label });
    }

    const added = wanted.addresses.filter((text) => !texts.has(text) || removed.has(text));
    for (const text of added) this.refuseTakenAddress(text, present, removed, label);
    const isIpv4 = (text: string): boolean => !text.includes(':');
    for (const ofFamily of [isIpv4, (text: string): boolean => !isIpv4(text)]) {
      const before = [...removed].filter(ofFamily);
      const after = added.filter(ofFamily);
      const [old] = before;
      const [fresh] = after;
      const simple = before.length === 1 && after.length === 1 && old !== fresh;
      if (simple && old !== undefined && fresh !== undefined && (!flushesIpv6 || isIpv4(old))) {
        this.draft.push(isIpv4(old) ? 'addresses' : 'ipv6-addresses', {
          kind: 'change-address',
          namespace,
          interface: view.name,
          before: old,
          after: fresh,
        });
        continue;
      }
      for (const text of present.map(({ address }) => address).reverse()) {
        if (!ofFamily(text) || !removed.has(text)) continue;
        this.draft.push('remove-addresses', {
          kind: 'remove-address',
          namespace,
          interface: view.name,
          address: text,
        });
      }
      for (const text of after) this.add(wanted, text);
    }
    const ipv4 = present.filter((address) => address.family === 'ipv4');
    this.changes.set(key, {
      removed,
      baresIpv4:
        added.some((text) => isIpv4(text)) || removed.size > 0
          ? ipv4.every((address) => removed.has(address.address) || lost.has(address.address))
          : false,
    });
  }

  /** An IPv6 address is on an interface once, whatever its prefix length; an IPv4 address once a length. */
  private refuseTakenAddress(
    text: string,
    present: readonly { readonly address: string; readonly family: string }[],
    removed: ReadonlySet<string>,
    label: string,
  ): void {
    const host = parseSubnetAddress(text)?.host;
    if (host === undefined || host.family === 'ipv4') return;
    const clash = present.find(
      (address) =>
        !removed.has(address.address) &&
        parseSubnetAddress(address.address)?.host.text === host.text,
    );
    if (clash === undefined) return;
    const values = { address: clash.address, interface: label };
    this.draft.refusals.push(failureOf('name-taken', 'address-taken', label, values));
  }

  /** Of a link that comes, or one that `change` has seen to. */
  add(link: NetworkLink, address: string): void {
    this.draft.push(address.includes(':') ? 'ipv6-addresses' : 'addresses', {
      kind: 'add-address',
      namespace: link.namespace,
      interface: link.name,
      address,
    });
  }
}
