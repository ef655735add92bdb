import type { LabDocument } from '../api/document.ts';
import type { Inventory } from '../api/inventory.ts';
import type { PlanStep, Warning } from '../api/plan.ts';
import type { Failure } from '../api/result.ts';
import { isInSubnet, parseHostAddress, parseSubnetAddress } from './address.ts';
import type { CommandContext } from './command.ts';
import { defaultMtu, linkKey, networkOf, routeKey, smallestIpv6Mtu } from './network.ts';
import type { Network, NetworkLink, NetworkRoute } from './network.ts';
import { givenAddresses, observe, ownershipOf, routeOfOperation } from './observed.ts';
import type { Observed, ObservedLink, ObservedRoute, Ownership } from './observed.ts';
import type { LinkSettings, Operation, VethEnd } from './operation.ts';
import { failureOf, warningOf } from './sentences.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';
import { drawingOf, interfaceLabel, stepOf } from './step.ts';

export interface PlanInput {
  readonly lab: string;
  /** What is wanted; null takes the lab down. */
  readonly desired: LabDocument | null;
  /** The document in force, null when there is none. */
  readonly base: LabDocument | null;
  readonly inventory: Inventory;
}

export interface LabPlan {
  readonly operations: readonly Operation[];
  /** One for each operation, in the same order. */
  readonly steps: readonly PlanStep[];
  readonly warnings: readonly Warning[];
  /** Not empty: nothing may be applied, and there are no operations. */
  readonly refusals: readonly Failure[];
}

/**
 * The operations that lead from what is observed to what is wanted, in an order that a kernel accepts.
 *
 * What the kernel does by itself along the way is planned for, so that every inverse is exact:
 * - a link that goes down loses its IPv6 addresses (addrconf_ifdown) and all routes through it (fib_sync_down_dev);
 *   so does one whose MTU falls below 1280, as to IPv6;
 * - a link that loses its last IPv4 address loses its IPv4 routes (fib_disable_ip);
 * - an IPv4 address takes the later ones of its subnet with it (__inet_del_ifa, unless promote_secondaries is set);
 * - a bridge follows the smallest MTU of its ports until its own is set after creation (br_mtu_auto_adjust).
 * Addresses and routes that would vanish so, on the way there or back, are removed first and added again, as operations of their own.
 */
export function planLab(input: PlanInput): LabPlan {
  const desired = input.desired === null ? emptyNetwork : networkOf(input.desired);
  const base = input.base === null ? null : networkOf(input.base);
  const observed = observe(
    input.inventory,
    (name) => desired.namespaces.has(name) || base?.namespaces.has(name) === true,
  );
  const planner = new Planner(input.lab, desired, base, observed);
  const operations = planner.plan();
  const refused = planner.refusals.length > 0;
  const drawing = drawingOf(desired, base);
  const context = contextOf(desired, observed);
  return {
    operations: refused ? [] : operations,
    steps: refused
      ? []
      : operations.map((operation, id) => stepOf(operation, id, drawing, context)),
    warnings: planner.warnings,
    refusals: planner.refusals,
  };
}

const emptyNetwork: Network = {
  namespaces: new Map(),
  links: new Map(),
  pairs: [],
  routes: new Map(),
};

/** A pair may be made in the realm's own namespace, as the notes do, if neither name is or will be there. */
function contextOf(desired: Network, observed: Observed): CommandContext {
  const uses = new Map<string, number>();
  for (const link of desired.links.values()) uses.set(link.name, (uses.get(link.name) ?? 0) + 1);
  return {
    isFreeInRealm: (name) =>
      (uses.get(name) ?? 0) <= 1 &&
      !observed.links.has(linkKey(null, name)) &&
      !desired.links.has(linkKey(null, name)),
  };
}

/** The order in which operations are carried out. */
const phases = [
  'remove-routes',
  'remove-addresses',
  'release-ports',
  'remove-veths',
  'remove-bridges',
  'remove-namespaces',
  'add-namespaces',
  'add-bridges',
  'add-veths',
  'prepare-bridges',
  'change-links',
  'settle-bridges',
  'addresses',
  'loopbacks',
  'bridges-up',
  'links-up',
  // After the links are up: their inverses come before the links go down, which would take them along.
  'ipv6-addresses',
  'add-routes',
] as const;
type Phase = (typeof phases)[number];

interface KeptLink {
  readonly observed: ObservedLink;
  readonly wanted: NetworkLink;
}

/** What happens to the addresses of a link that stays. */
interface AddressChange {
  readonly removed: ReadonlySet<string>;
  /** Whether it is without any IPv4 address at some time, this way or on the way back. */
  readonly baresIpv4: boolean;
}

class Planner {
  readonly warnings: Warning[] = [];
  readonly refusals: Failure[] = [];

  private readonly lab: string;
  private readonly desired: Network;
  private readonly base: Network | null;
  private readonly observed: Observed;
  private readonly ownership: Ownership;
  private readonly byPhase = new Map<Phase, Operation[]>(phases.map((phase) => [phase, []]));
  private readonly kept = new Map<string, KeptLink>();
  private readonly removedKeys = new Set<string>();
  private readonly addressChanges = new Map<string, AddressChange>();

  constructor(lab: string, desired: Network, base: Network | null, observed: Observed) {
    this.lab = lab;
    this.desired = desired;
    this.base = base;
    this.observed = observed;
    this.ownership = ownershipOf(lab, base, observed);
  }

  plan(): readonly Operation[] {
    const namespaces = this.sortNamespaces();
    const { veths, bridges } = this.sortLinks();
    this.refuseTakenLinks();
    if (this.refusals.length > 0) return [];

    for (const pair of veths) this.removeVeth(pair);
    for (const bridge of bridges) this.removeBridge(bridge);
    for (const name of namespaces.removed) this.removeNamespace(name);
    this.addNamespaces(namespaces.kept);
    this.addLinks();
    for (const link of this.kept.values()) this.changeLink(link);
    for (const link of this.desired.links.values()) {
      if (link.kind === 'bridge') this.settleBridgeMtu(link);
    }
    for (const link of this.kept.values()) this.changeAddresses(link);
    for (const link of this.desired.links.values()) {
      if (!this.kept.has(keyOf(link))) this.raiseNewLink(link);
    }
    for (const name of this.desired.namespaces.keys()) this.planRoutes(name);
    return phases.flatMap((phase) => this.byPhase.get(phase) ?? []);
  }

  // Namespaces

  private sortNamespaces(): { readonly kept: ReadonlySet<string>; readonly removed: string[] } {
    const kept = new Set<string>();
    for (const name of this.desired.namespaces.keys()) {
      const view = this.observed.namespacesByName.get(name);
      if (view === undefined) continue;
      if (this.ownership.ownsNamespace(view, name)) kept.add(name);
      else this.refuse('namespace-taken', 'namespace-of-other-lab', name, name, view.lab);
    }
    const removed: string[] = [];
    for (const [name, view] of this.observed.namespacesByName) {
      if (this.observed.nameOf(view.id) !== name || this.desired.namespaces.has(name)) continue;
      if (this.ownership.ownsNamespace(view, name)) removed.push(name);
    }
    return { kept, removed };
  }

  private addNamespaces(kept: ReadonlySet<string>): void {
    for (const { name, loopback } of this.desired.namespaces.values()) {
      if (!kept.has(name)) this.push('add-namespaces', { kind: 'add-namespace', name });
      const lo = kept.has(name) ? this.observed.links.get(linkKey(name, 'lo')) : undefined;
      const up = lo?.view.up ?? false;
      if (up === loopback || (kept.has(name) && lo === undefined)) continue;
      this.push('loopbacks', changeOf(name, 'lo', { up }, { up: loopback }));
    }
  }

  /** Goes after everything of ours in it; what is left inside is foreign. */
  private removeNamespace(name: string): void {
    const view = this.observed.namespacesByName.get(name);
    const contents: Operation[] = [];
    for (const link of this.observed.linksByNamespace.get(name) ?? []) {
      if (link.view.kind === 'loopback') contents.push(...this.contentsOf([link]));
      else if (!this.removedKeys.has(link.key)) {
        this.warn('foreign-interface-lost', this.label(link), { name: this.label(link) });
      }
    }
    for (const route of this.observed.routesOf(name)) {
      if (route.link !== null && this.removedKeys.has(route.link.key)) continue;
      if (route.owned || route.link?.view.kind === 'loopback') continue;
      this.warnOfRoute('foreign-route-lost', name, route);
    }
    if (view !== undefined && view.processCount > 0) {
      this.warn('processes-lose-name', name, { name, count: view.processCount });
    }
    this.push('remove-namespaces', { kind: 'remove-namespace', name, contents });
  }

  // Links that go, stay or come

  private sortLinks(): {
    readonly veths: readonly (readonly [ObservedLink, ObservedLink | null])[];
    readonly bridges: readonly ObservedLink[];
  } {
    const veths: (readonly [ObservedLink, ObservedLink | null])[] = [];
    const bridges: ObservedLink[] = [];
    for (const link of this.observed.links.values()) {
      if (this.removedKeys.has(link.key) || !this.ownership.ownsLink(link)) continue;
      const wanted = this.desired.links.get(link.key);
      if (link.view.kind === 'bridge') {
        if (wanted?.kind === 'bridge') this.kept.set(link.key, { observed: link, wanted });
        else {
          bridges.push(link);
          this.removedKeys.add(link.key);
        }
        continue;
      }
      const peer = this.observed.linkById(link.view.peer) ?? null;
      if (wanted?.kind === 'veth' && peer !== null && wanted.peer === peer.key) {
        this.kept.set(link.key, { observed: link, wanted });
        continue;
      }
      veths.push([link, peer]);
      this.removedKeys.add(link.key);
      if (peer !== null) this.removedKeys.add(peer.key);
    }
    for (const view of this.observed.viewById.values()) {
      if (view.lab !== this.lab || view.kind === 'loopback') continue;
      if (this.observed.nameOf(view.namespace) !== undefined) continue;
      if (this.observed.linkById(view.peer) === undefined) {
        this.warn('out-of-reach', view.name, { name: view.name });
      }
    }
    return { veths, bridges };
  }

  private refuseTakenLinks(): void {
    for (const [key, wanted] of this.desired.links) {
      const link = this.observed.links.get(key);
      if (link === undefined || this.kept.has(key) || this.removedKeys.has(key)) continue;
      const label = this.labelOf(wanted.namespace, wanted.name);
      this.refuse('interface-taken', 'interface-of-other-lab', label, label, link.view.lab);
    }
  }

  private removeVeth([link, peer]: readonly [ObservedLink, ObservedLink | null]): void {
    const ends = peer === null ? [link] : [link, peer];
    this.push('remove-veths', {
      kind: 'remove-veth',
      ends: [this.endOf(link), peer === null ? this.lostEndOf(link) : this.endOf(peer)],
      contents: this.contentsOf(ends),
    });
  }

  private endOf({ view, namespace }: ObservedLink): VethEnd {
    const master = this.observed.linkById(view.master);
    return {
      namespace,
      name: view.name,
      mac: view.mac,
      mtu: view.mtu,
      master: master?.view.kind === 'bridge' ? master.view.name : null,
    };
  }

  /** The other end of a pair whose namespace has no name: made again where the base document has it. */
  private lostEndOf(link: ObservedLink): VethEnd {
    const peerKey = this.base?.links.get(link.key)?.peer;
    const listed = peerKey === undefined || peerKey === null ? null : this.base?.links.get(peerKey);
    const view = link.view.peer === null ? undefined : this.observed.viewById.get(link.view.peer);
    return {
      namespace: listed?.namespace ?? null,
      name: listed?.name ?? view?.name ?? `${link.view.name.slice(0, 13)}-p`,
      mac: view?.mac ?? null,
      mtu: view?.mtu ?? null,
      master: listed?.master ?? null,
    };
  }

  private removeBridge(bridge: ObservedLink): void {
    const { namespace, view } = bridge;
    const foreignPorts: Operation[] = [];
    for (const port of this.observed.portsOf(bridge)) {
      const { name } = port.view;
      if (this.removedKeys.has(port.key)) continue;
      if (this.kept.has(port.key)) {
        this.push(
          'release-ports',
          changeOf(namespace, name, { master: view.name }, { master: null }),
        );
        continue;
      }
      this.warn('foreign-port-released', this.label(port), {
        name: this.label(port),
        bridge: view.name,
      });
      foreignPorts.push(changeOf(namespace, name, { master: null }, { master: view.name }));
    }
    this.push('remove-bridges', {
      kind: 'remove-bridge',
      namespace,
      name: view.name,
      contents: [...this.bridgeSettingsOf(bridge), ...foreignPorts, ...this.contentsOf([bridge])],
    });
  }

  /** What a bare bridge needs to be this one. A MAC or MTU is only set again where it was pinned. */
  private bridgeSettingsOf(bridge: ObservedLink): readonly Operation[] {
    const { view } = bridge;
    const listed = this.base?.links.get(bridge.key);
    const automatic = smallestMtu(this.observed.portsOf(bridge).map((port) => port.view.mtu));
    const pinsMtu = (listed?.mtu ?? null) !== null || view.mtu !== automatic;
    const pinsMac = (listed?.mac ?? null) !== null && view.mac !== null;
    const after: LinkSettings = {
      ...(pinsMtu ? { mtu: view.mtu } : {}),
      ...(pinsMac && view.mac !== null ? { mac: view.mac } : {}),
      ...(view.bridge?.stp === true ? { stp: true } : {}),
    };
    if (Object.keys(after).length === 0) return [];
    // Setting the MTU that a bridge has does not pin it (dev_set_mtu returns early): there and back does.
    const passing = pinsMtu && view.mtu === defaultMtu ? defaultMtu - 1 : defaultMtu;
    const before: LinkSettings = {
      ...after,
      ...(after.mtu === undefined ? {} : { mtu: passing }),
      ...(after.stp === undefined ? {} : { stp: false }),
    };
    const { namespace } = bridge;
    const detour = changeOf(namespace, view.name, { mtu: defaultMtu }, { mtu: passing });
    return [
      ...(passing === defaultMtu ? [] : [detour]),
      changeOf(namespace, view.name, before, after),
    ];
  }

  /** Addresses, administrative states and routes that go with links, in the order that puts them back. */
  private contentsOf(links: readonly ObservedLink[]): readonly Operation[] {
    const addresses: Operation[] = [];
    const ipv6Addresses: Operation[] = [];
    const ups: Operation[] = [];
    const routes: Operation[] = [];
    for (const { view, namespace, key } of links) {
      for (const address of givenAddresses(view)) {
        const ours = address.owned || this.listsAddress(key, address.address);
        if (!ours) {
          this.warn('foreign-address-lost', this.labelOf(namespace, view.name), {
            address: address.address,
            interface: this.labelOf(namespace, view.name),
          });
        }
        (address.family === 'ipv6' ? ipv6Addresses : addresses).push({
          kind: 'add-address',
          namespace,
          interface: view.name,
          address: address.address,
          ...(ours ? {} : { foreign: true }),
        });
      }
      if (view.up) ups.push(changeOf(namespace, view.name, { up: false }, { up: true }));
      if (namespace === null) continue;
      for (const route of this.observed.routesOf(namespace)) {
        if (route.link?.key !== key) continue;
        const ours = this.ownsRoute(namespace, route);
        if (!ours) this.warnOfRoute('foreign-route-lost', namespace, route);
        routes.push({
          kind: 'add-route',
          namespace,
          route: routeOfOperation(route),
          ...(ours ? {} : { foreign: true }),
        });
      }
    }
    return [...addresses, ...ups, ...ipv6Addresses, ...routes];
  }

  private addLinks(): void {
    for (const link of this.desired.links.values()) {
      if (link.kind !== 'bridge' || this.kept.has(keyOf(link))) continue;
      this.push('add-bridges', {
        kind: 'add-bridge',
        namespace: link.namespace,
        name: link.name,
        mac: link.mac,
        // An MTU given at creation does not stick once there are ports; it is set afterwards.
        mtu: null,
        stp: link.stp,
      });
    }
    for (const [left, right] of this.desired.pairs) {
      if (this.kept.has(keyOf(left))) continue;
      const endOf = ({ namespace, name, mac, mtu, master }: NetworkLink): VethEnd => ({
        namespace,
        name,
        mac,
        mtu,
        master,
      });
      this.push('add-veths', { kind: 'add-veth', ends: [endOf(left), endOf(right)] });
    }
  }

  private raiseNewLink(link: NetworkLink): void {
    for (const address of link.addresses) this.addAddress(link, address);
    if (link.up) this.raise(link);
  }

  // Settings

  private changeLink({ observed, wanted }: KeptLink): void {
    const { view } = observed;
    const early: Change = new Change();
    const late: Change = new Change();
    if (wanted.mac !== null && wanted.mac !== view.mac) {
      early.set('mac', view.mac ?? wanted.mac, wanted.mac);
    }
    if (wanted.kind === 'bridge') {
      const stp = view.bridge?.stp ?? false;
      // A loop must not be open while its links change: STP comes before them and goes after them.
      if (wanted.stp !== stp) (wanted.stp ? early : late).set('stp', stp, wanted.stp);
    } else {
      const mtu = wanted.mtu ?? defaultMtu;
      if (mtu !== view.mtu) early.set('mtu', view.mtu, mtu);
      const master = this.observed.linkById(view.master);
      const released = master !== undefined && this.removedKeys.has(master.key);
      const current = released ? null : (master?.view.name ?? null);
      if (wanted.master !== current) early.set('master', current, wanted.master);
    }
    if (view.up && !wanted.up) early.set('up', true, false);
    const at = [observed.namespace, view.name] as const;
    this.pushChange(wanted.kind === 'bridge' ? 'prepare-bridges' : 'change-links', at, early);
    this.pushChange('settle-bridges', at, late);
    if (!view.up && wanted.up) this.raise(wanted);
  }

  /** Leaves each bridge with its pinned MTU, or with that of its ports whether or not it still follows them. */
  private settleBridgeMtu(wanted: NetworkLink): void {
    const bridge = this.kept.get(keyOf(wanted))?.observed;
    const automatic = smallestMtu(this.portMtus(wanted, bridge));
    if (bridge === undefined) {
      if (wanted.mtu === null || wanted.mtu === automatic) return;
      const change = changeOf(
        wanted.namespace,
        wanted.name,
        { mtu: automatic },
        { mtu: wanted.mtu },
      );
      this.push('settle-bridges', change);
      return;
    }
    const before = bridge.view.mtu;
    const earlier = smallestMtu(this.observed.portsOf(bridge).map((port) => port.view.mtu));
    const mtu = wanted.mtu ?? automatic;
    const mayHaveFollowed = wanted.mtu !== null && automatic !== earlier && automatic !== mtu;
    if (before === mtu && !mayHaveFollowed) return;
    this.push('settle-bridges', changeOf(wanted.namespace, wanted.name, { mtu: before }, { mtu }));
  }

  /**
   * Whether a bridge with a pinned MTU may yet follow its ports below 1280 for a moment, where IPv6 ends: there is no
   * telling whether it still follows them.
   */
  private passesSmallMtu(bridge: ObservedLink, wanted: NetworkLink): boolean {
    if (wanted.kind !== 'bridge') return false;
    const before = smallestMtu(this.observed.portsOf(bridge).map((port) => port.view.mtu));
    const after = smallestMtu(this.portMtus(wanted, bridge));
    return before < smallestIpv6Mtu !== after < smallestIpv6Mtu;
  }

  private portMtus(wanted: NetworkLink, bridge: ObservedLink | undefined): readonly number[] {
    const foreign =
      bridge === undefined
        ? []
        : this.observed
            .portsOf(bridge)
            .filter((port) => !this.kept.has(port.key) && !this.removedKeys.has(port.key))
            .map((port) => port.view.mtu);
    const ours = this.wantedPorts().get(keyOf(wanted)) ?? [];
    return [...ours.map((port) => port.mtu ?? defaultMtu), ...foreign];
  }

  private portsByBridge: ReadonlyMap<string, readonly NetworkLink[]> | null = null;

  private wantedPorts(): ReadonlyMap<string, readonly NetworkLink[]> {
    if (this.portsByBridge !== null) return this.portsByBridge;
    const ports = new Map<string, NetworkLink[]>();
    for (const link of this.desired.links.values()) {
      if (link.master === null) continue;
      const key = linkKey(link.namespace, link.master);
      const list = ports.get(key);
      if (list === undefined) ports.set(key, [link]);
      else list.push(link);
    }
    this.portsByBridge = ports;
    return ports;
  }

  private raise(link: NetworkLink): void {
    this.push(
      link.kind === 'bridge' ? 'bridges-up' : 'links-up',
      changeOf(link.namespace, link.name, { up: false }, { up: true }),
    );
  }

  // Addresses

  private changeAddresses({ observed, wanted }: KeptLink): void {
    const { view, namespace, key } = observed;
    const label = this.labelOf(namespace, view.name);
    const present = givenAddresses(view);
    const texts = new Set(present.map((address) => address.address));
    const wantedTexts = new Set(wanted.addresses);
    const goesDown = view.up && !wanted.up;
    const flushesIpv6 = view.up !== wanted.up || this.passesSmallMtu(observed, wanted);
    const removed = new Set<string>();
    const lost = new Set<string>();
    const isOurs = (address: (typeof present)[number]): boolean =>
      address.owned || wantedTexts.has(address.address) || this.listsAddress(key, address.address);

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
      this.warn(code, label, { address: address.address, interface: label });
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
        this.push(isIpv4(old) ? 'addresses' : 'ipv6-addresses', {
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
        this.push('remove-addresses', {
          kind: 'remove-address',
          namespace,
          interface: view.name,
          address: text,
        });
      }
      for (const text of after) this.addAddress(wanted, text);
    }
    const ipv4 = present.filter((address) => address.family === 'ipv4');
    this.addressChanges.set(key, {
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
    this.refusals.push(failureOf('name-taken', 'address-taken', label, values));
  }

  private listsAddress(key: string, address: string): boolean {
    return this.base?.links.get(key)?.addresses.includes(address) === true;
  }

  private addAddress(link: NetworkLink, address: string): void {
    this.push(address.includes(':') ? 'ipv6-addresses' : 'addresses', {
      kind: 'add-address',
      namespace: link.namespace,
      interface: link.name,
      address,
    });
  }

  // Routes

  private planRoutes(namespace: string): void {
    const wanted = new Map<string, NetworkRoute>();
    for (const route of this.desired.routes.get(namespace) ?? []) {
      wanted.set(routeKey(route), route);
    }
    const staying: ObservedRoute[] = [];
    const present = new Set<string>();
    for (const route of this.observed.routesOf(namespace)) {
      const deviceKey = route.link?.key;
      if (deviceKey !== undefined && this.removedKeys.has(deviceKey)) continue;
      const key = route.dev === null ? null : routeKey({ ...route, dev: route.dev });
      const isWanted = key !== null && wanted.has(key);
      const ours = isWanted || this.ownsRoute(namespace, route);
      const disturbed = deviceKey !== undefined && this.disturbs(deviceKey, route);
      if (!ours) {
        if (!disturbed) staying.push(route);
        this.warnOfRoute(disturbed ? 'foreign-route-lost' : 'foreign-route', namespace, route);
        continue;
      }
      if (isWanted && !disturbed) {
        present.add(key);
        continue;
      }
      const operation = routeOfOperation(route);
      this.push('remove-routes', { kind: 'remove-route', namespace, route: operation });
    }
    const taken = new Set(staying.map((route) => `${route.to} ${route.metric}`));
    for (const [key, route] of wanted) {
      if (present.has(key)) continue;
      if (taken.has(`${route.to} ${route.metric}`)) {
        this.refusals.push(
          failureOf('name-taken', 'route-taken', namespace, {
            to: readableDestination(route.to),
            metric: route.metric,
            place: namespace,
          }),
        );
        continue;
      }
      const operation = routeOfOperation(route);
      this.push('add-routes', { kind: 'add-route', namespace, route: operation });
    }
  }

  /** Whether what is planned for a device makes the kernel drop a route through it. */
  private disturbs(deviceKey: string, route: ObservedRoute): boolean {
    const link = this.kept.get(deviceKey);
    if (link === undefined) return false;
    if (link.observed.view.up && !link.wanted.up) return true;
    const change = this.addressChanges.get(deviceKey);
    if (change === undefined) return false;
    if (route.family === 'ipv4' && change.baresIpv4) return true;
    const gateway = route.via === null ? null : parseHostAddress(route.via);
    if (gateway === null) return false;
    // Linux keeps such a route, but could not make it again; this way both directions are the same.
    return [...change.removed].some((text) => {
      const subnet = parseSubnetAddress(text);
      return subnet !== null && isInSubnet(gateway, subnet);
    });
  }

  private ownsRoute(namespace: string, route: ObservedRoute): boolean {
    if (route.owned) return true;
    const { dev } = route;
    if (dev === null) return false;
    const key = routeKey({ ...route, dev });
    return this.baseRoutes(namespace).has(key);
  }

  private readonly baseRouteKeys = new Map<string, ReadonlySet<string>>();

  private baseRoutes(namespace: string): ReadonlySet<string> {
    const known = this.baseRouteKeys.get(namespace);
    if (known !== undefined) return known;
    const keys = new Set((this.base?.routes.get(namespace) ?? []).map((route) => routeKey(route)));
    this.baseRouteKeys.set(namespace, keys);
    return keys;
  }

  // Sentences and output

  private label(link: ObservedLink): string {
    return this.labelOf(link.namespace, link.view.name);
  }

  private labelOf(namespace: string | null, name: string): string {
    return interfaceLabel(drawingOf(this.desired, this.base), namespace, name);
  }

  private warn(code: SentenceCode, object: string, values: SentenceValues): void {
    this.warnings.push(warningOf(code, object, values));
  }

  private warnOfRoute(code: SentenceCode, namespace: string, route: ObservedRoute): void {
    this.warn(code, namespace, { to: readableDestination(route.to), place: namespace });
  }

  private refuse(
    code: SentenceCode,
    codeOfOtherLab: SentenceCode,
    object: string,
    name: string,
    owner: string | null,
  ): void {
    const other = owner !== null && owner !== this.lab;
    const values = { name, ...(other ? { other: owner } : {}) };
    this.refusals.push(failureOf('name-taken', other ? codeOfOtherLab : code, object, values));
  }

  private push(phase: Phase, operation: Operation): void {
    this.byPhase.get(phase)?.push(operation);
  }

  private pushChange(
    phase: Phase,
    [namespace, name]: readonly [string | null, string],
    change: Change,
  ): void {
    if (change.isEmpty) return;
    this.push(phase, changeOf(namespace, name, change.before, change.after));
  }
}

/** Collects the settings of one link that change together. */
class Change {
  before: LinkSettings = {};
  after: LinkSettings = {};

  get isEmpty(): boolean {
    return Object.keys(this.after).length === 0;
  }

  set<K extends keyof LinkSettings>(key: K, before: LinkSettings[K], after: LinkSettings[K]): void {
    this.before = { ...this.before, [key]: before };
    this.after = { ...this.after, [key]: after };
  }
}

function changeOf(
  namespace: string | null,
  name: string,
  before: LinkSettings,
  after: LinkSettings,
): Operation {
  return { kind: 'change-link', namespace, name, before, after };
}

function keyOf(link: NetworkLink): string {
  return linkKey(link.namespace, link.name);
}

/** What a bridge that follows its ports has (br_mtu_min). */
function smallestMtu(mtus: readonly number[]): number {
  return mtus.length === 0 ? defaultMtu : Math.min(...mtus);
}

function readableDestination(to: string): string {
  return to === '0.0.0.0/0' || to === '::/0' ? 'default' : to;
}
