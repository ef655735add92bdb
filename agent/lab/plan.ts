import {
  type BridgeSettings,
  type Impairment,
  initialBridge,
  initialPort,
  initialVlans,
  type PortSettings,
  type SomeBridgeSettings,
  type VlanEntry,
} from '../api/device.ts';
import type { LabDocument } from '../api/document.ts';
import type { Inventory, LinkView, NamespaceView } from '../api/inventory.ts';
import type { PlanStep, Warning } from '../api/plan.ts';
import type { Failure } from '../api/result.ts';
import { isInSubnet, parseHostAddress, parseSubnetAddress } from './address.ts';
import type { CommandContext } from './command.ts';
import { parentOf, sameDevice } from './device.ts';
import { initialOf } from './inverse.ts';
import { defaultMtu, linkKey, networkOf, routeKey, smallestIpv6Mtu } from './network.ts';
import type { Network, NetworkLink, NetworkRoute } from './network.ts';
import { givenAddresses, observe, ownershipOf, routeOfOperation } from './observed.ts';
import type { Observed, ObservedLink, ObservedRoute, Ownership } from './observed.ts';
import type { LinkSettings, Operation, VethEnd } from './operation.ts';
import { requirementsOf } from './requirements.ts';
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
  /** Why kernel or machine lack a capability such as `link:vlan`; null when they have it or nobody knows. */
  readonly lackOf?: (capability: string) => string | null;
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
 * - a bridge follows the smallest MTU of its ports until its own is set after creation (br_mtu_auto_adjust);
 * - a link that joins or leaves a bond or VRF goes down in between (bond_enslave, __bond_release_one, cycle_netdev);
 * - a device goes with the link below it (vlan_device_event, macvlan_device_event).
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
  for (const { capability, object } of requirementsOf(desired)) {
    const reason = input.lackOf?.(capability) ?? null;
    if (reason === null) continue;
    const values = { capability, object, reason: reason.replace(/\.$/, '') };
    planner.refusals.push(failureOf('unsupported', 'kernel-lacks', object, values));
  }
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
  processes: [],
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
  'stop-processes',
  'remove-routes',
  'remove-addresses',
  'release-ports',
  'remove-devices',
  'remove-veths',
  'remove-bridges',
  'remove-namespaces',
  'add-namespaces',
  // Before there are interfaces, each of which takes it over.
  'forwarding',
  'add-bridges',
  'add-veths',
  'add-devices',
  'prepare-bridges',
  // A bond takes a link only while that is down.
  'links-down',
  'change-links',
  'settle-bridges',
  'vlans',
  'addresses',
  'loopbacks',
  'bridges-up',
  'links-up',
  // After the links are up: their inverses come before the links go down, which would take them along.
  'ipv6-addresses',
  'impairments',
  'add-routes',
  'rules',
  'start-processes',
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
    const { veths, bridges, devices } = this.sortLinks();
    this.refuseTakenLinks();
    if (this.refusals.length > 0) return [];

    this.planProcesses();
    for (const device of devices) this.removeDevice(device);
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
    for (const link of this.inOrderOfParents()) {
      const kept = this.kept.get(keyOf(link));
      if (kept === undefined) this.raiseNewLink(link);
      else if (link.up && (!kept.observed.view.up || this.isCycled(kept))) this.raise(link);
    }
    for (const link of this.desired.links.values()) this.planLinkExtras(link);
    for (const name of this.desired.namespaces.keys()) {
      this.planRoutes(name);
      this.planNamespaceExtras(name, namespaces.kept.has(name));
    }
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
    const ours = view?.runs.filter((run) => run.lab === this.lab).length ?? 0;
    const others = (view?.processCount ?? 0) - ours;
    // What our processes have started themselves ends with them.
    if (others > 0 && ours === 0) this.warn('processes-lose-name', name, { name, count: others });
    if (view !== undefined) contents.unshift(...this.extrasOf(name, view));
    this.push('remove-namespaces', { kind: 'remove-namespace', name, contents });
  }

  // Links that go, stay or come

  private sortLinks(): {
    readonly veths: readonly (readonly [ObservedLink, ObservedLink | null])[];
    readonly bridges: readonly ObservedLink[];
    readonly devices: readonly ObservedLink[];
  } {
    const veths: (readonly [ObservedLink, ObservedLink | null])[] = [];
    const bridges: ObservedLink[] = [];
    const devices: ObservedLink[] = [];
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
      if (link.view.kind !== 'veth') {
        if (wanted?.kind === 'device' && this.mayStay(link, wanted)) {
          this.kept.set(link.key, { observed: link, wanted });
        } else devices.push(link);
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
    return { veths, bridges, devices: this.withDevicesOn(devices) };
  }

  /** Whether a device can become what is wanted without being made anew. */
  private mayStay({ view, key }: ObservedLink, wanted: NetworkLink): boolean {
    if (view.device === null || wanted.device === null) return false;
    if (!sameDevice(view.device, wanted.device)) return false;
    // Only the kernel knows what an MTU would be that nobody had set.
    const listed = this.base?.links.get(key);
    return wanted.mtu !== null || (listed?.mtu ?? null) === null;
  }

  /**
   * The devices to remove, those on top first: with a link go all devices on it. Takes them out of those that stay.
   */
  private withDevicesOn(devices: readonly ObservedLink[]): readonly ObservedLink[] {
    const order: ObservedLink[] = [];
    const seen = new Set<string>();
    const visit = (link: ObservedLink, itself: boolean): void => {
      if (seen.has(link.key)) return;
      seen.add(link.key);
      for (const upper of this.observed.devicesOn(link)) {
        if (this.ownership.ownsLink(upper)) visit(upper, true);
        else this.warn('foreign-interface-lost', this.label(upper), { name: this.label(upper) });
      }
      if (!itself) return;
      this.kept.delete(link.key);
      this.removedKeys.add(link.key);
      order.push(link);
    };
    for (const key of [...this.removedKeys]) {
      const link = this.observed.links.get(key);
      if (link !== undefined) visit(link, false);
    }
    for (const device of devices) visit(device, true);
    return order;
  }

  private refuseTakenLinks(): void {
    for (const [key, wanted] of this.desired.links) {
      const link = this.observed.links.get(key);
      if (link === undefined || this.kept.has(key) || this.removedKeys.has(key)) continue;
      const label = this.labelOf(wanted.namespace, wanted.name);
      this.refuse('interface-taken', 'interface-of-other-lab', label, label, link.view.lab);
    }
  }

  private removeDevice(link: ObservedLink): void {
    const { view, namespace, key } = link;
    const listed = this.base?.links.get(key) ?? null;
    const device = view.device ?? listed?.device ?? null;
    // Ours, and of a kind that nobody can tell: it is left, and said.
    if (device === null) {
      this.warn('out-of-reach', this.label(link), { name: this.label(link) });
      return;
    }
    const ports = this.releasePorts(link);
    this.push('remove-devices', {
      kind: 'remove-device',
      namespace,
      name: view.name,
      device,
      mac: listed?.mac ?? null,
      mtu: (listed?.mtu ?? null) === null ? null : view.mtu,
      master: this.ownMasterOf(link),
      contents: [...ports, ...this.contentsOf([link])],
    });
  }

  /** Name of the master, if it is of a kind that takes ports; OVS and the like do by themselves. */
  private ownMasterOf(link: ObservedLink): string | null {
    const master = this.observed.linkById(link.view.master);
    if (master === undefined) return null;
    const kind = master.view.device?.kind ?? master.view.kind;
    return kind === 'bridge' || kind === 'bond' || kind === 'vrf' ? master.view.name : null;
  }

  /** Lets go of what stays of a master's ports; the operations that give it back those that are not ours. */
  private releasePorts(master: ObservedLink): readonly Operation[] {
    const { namespace, view } = master;
    const foreignPorts: Operation[] = [];
    for (const port of this.observed.portsOf(master)) {
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
    return foreignPorts;
  }

  private removeVeth([link, peer]: readonly [ObservedLink, ObservedLink | null]): void {
    const ends = peer === null ? [link] : [link, peer];
    this.push('remove-veths', {
      kind: 'remove-veth',
      ends: [this.endOf(link), peer === null ? this.lostEndOf(link) : this.endOf(peer)],
      contents: this.contentsOf(ends),
    });
  }

  private endOf(link: ObservedLink): VethEnd {
    const { view, namespace } = link;
    const { name, mac, mtu } = view;
    return { namespace, name, mac, mtu, master: this.ownMasterOf(link) };
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
    const foreignPorts = this.releasePorts(bridge);
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
    const settings = differing(view.bridge ?? {}, initialBridge);
    const after: LinkSettings = {
      ...(pinsMtu ? { mtu: view.mtu } : {}),
      ...(pinsMac && view.mac !== null ? { mac: view.mac } : {}),
      ...(Object.keys(settings).length > 0 ? { bridge: settings } : {}),
    };
    if (Object.keys(after).length === 0) return [];
    // Setting the MTU that a bridge has does not pin it (dev_set_mtu returns early): there and back does.
    const passing = pinsMtu && view.mtu === defaultMtu ? defaultMtu - 1 : defaultMtu;
    const before: LinkSettings = {
      ...after,
      ...(after.mtu === undefined ? {} : { mtu: passing }),
      ...(after.bridge === undefined ? {} : { bridge: initialOf(after.bridge) }),
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
    const settings: Operation[] = [];
    const addresses: Operation[] = [];
    const ipv6Addresses: Operation[] = [];
    const ups: Operation[] = [];
    const routes: Operation[] = [];
    for (const { view, namespace, key } of links) {
      settings.push(...this.settingsOf(namespace, view));
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
    return [...settings, ...addresses, ...ups, ...ipv6Addresses, ...routes];
  }

  /** What a link that is made anew lacks of what this one has. */
  private settingsOf(namespace: string | null, view: LinkView): readonly Operation[] {
    const at = { namespace, name: view.name };
    const port = view.port === null ? {} : differing(view.port, initialPort);
    // The cost of a port that nobody has set follows from its speed.
    const stated = this.base?.links.get(linkKey(namespace, view.name))?.port?.cost !== undefined;
    const { cost, ...others } = port;
    const wanted = stated && cost !== undefined ? { ...others, cost } : others;
    const self = view.bridge !== null;
    const vlans = view.vlans ?? initialVlans;
    return [
      ...(Object.keys(wanted).length === 0
        ? []
        : [changeOf(namespace, view.name, { port: initialPort }, { port: wanted })]),
      ...(sameVlans(vlans, initialVlans)
        ? []
        : [
            { kind: 'change-vlans' as const, ...at, self, before: [...initialVlans], after: vlans },
          ]),
      ...(view.impairment === null
        ? []
        : [{ kind: 'change-impairment' as const, ...at, before: null, after: view.impairment }]),
    ];
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
        settings: link.bridge === null ? {} : differing(link.bridge, initialBridge),
      });
      if (link.master !== null) this.joinMaster(link);
    }
    for (const [left, right] of this.desired.pairs) {
      if (this.kept.has(keyOf(left))) continue;
      const endOf = (link: NetworkLink): VethEnd => {
        const { namespace, name, mac, mtu, master } = link;
        // Bonds and VRFs are made after the pairs.
        return {
          namespace,
          name,
          mac,
          mtu,
          master: this.isBridge(namespace, master) ? master : null,
        };
      };
      this.push('add-veths', { kind: 'add-veth', ends: [endOf(left), endOf(right)] });
      for (const end of [left, right]) {
        if (end.master !== null && !this.isBridge(end.namespace, end.master)) this.joinMaster(end);
      }
    }
    for (const link of this.inOrderOfParents()) {
      if (link.device === null || this.kept.has(keyOf(link))) continue;
      const { namespace, name, device, mac, mtu, master } = link;
      const atBridge = this.isBridge(namespace, master);
      this.push('add-devices', {
        kind: 'add-device',
        namespace,
        name,
        device,
        mac,
        mtu,
        master: atBridge ? master : null,
      });
      if (master !== null && !atBridge) this.joinMaster(link);
    }
  }

  private isBridge(namespace: string | null, name: string | null): boolean {
    return name !== null && this.desired.links.get(linkKey(namespace, name))?.kind === 'bridge';
  }

  private joinMaster({ namespace, name, master }: NetworkLink): void {
    this.push('change-links', changeOf(namespace, name, { master: null }, { master }));
  }

  private parentsFirst: readonly NetworkLink[] | null = null;

  /** The links that are wanted, each after the one that it sits on. */
  private inOrderOfParents(): readonly NetworkLink[] {
    if (this.parentsFirst !== null) return this.parentsFirst;
    const order = new Set<NetworkLink>();
    const visit = (link: NetworkLink, depth: number): void => {
      if (order.has(link)) return;
      const parent = parentOf(link.device);
      const lower =
        parent === null ? undefined : this.desired.links.get(linkKey(link.namespace, parent));
      // The validator refuses circles; a plan must end all the same.
      if (lower !== undefined && depth < 100) visit(lower, depth + 1);
      order.add(link);
    };
    for (const link of this.desired.links.values()) visit(link, 0);
    this.parentsFirst = [...order];
    return this.parentsFirst;
  }

  /** Whether a link that stays goes down and comes up again, since it joins or leaves a bond or a VRF. */
  private isCycled({ observed, wanted }: KeptLink): boolean {
    const master = this.observed.linkById(observed.view.master);
    const before = master?.view.name ?? null;
    const remade = master !== undefined && this.removedKeys.has(master.key);
    if (before === wanted.master && !remade) return false;
    const groups = (kind: string | undefined): boolean => kind === 'bond' || kind === 'vrf';
    const after =
      wanted.master === null
        ? undefined
        : this.desired.links.get(linkKey(wanted.namespace, wanted.master))?.device?.kind;
    return groups(master?.view.device?.kind) || groups(after);
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
    const at = [observed.namespace, view.name] as const;
    if (wanted.bridge !== null) {
      this.changeBridge(view.bridge ?? {}, wanted.bridge, early, late);
    } else {
      const mtu = wanted.mtu ?? (wanted.kind === 'veth' ? defaultMtu : view.mtu);
      if (mtu !== view.mtu) early.set('mtu', view.mtu, mtu);
    }
    const master = this.observed.linkById(view.master);
    const released = master !== undefined && this.removedKeys.has(master.key);
    const current = released ? null : (master?.view.name ?? null);
    if (wanted.master !== current) early.set('master', current, wanted.master);
    const cycled = this.isCycled({ observed, wanted });
    // One that leaves a bond goes down by itself.
    if (view.up && cycled && !released) {
      this.push('links-down', changeOf(...at, { up: true }, { up: false }));
    } else if (view.up && !wanted.up) early.set('up', true, false);
    this.pushChange(wanted.kind === 'bridge' ? 'prepare-bridges' : 'change-links', at, early);
    this.pushChange('settle-bridges', at, late);
  }

  private changeBridge(
    observed: SomeBridgeSettings,
    wanted: BridgeSettings,
    early: Change,
    late: Change,
  ): void {
    const before: SomeBridgeSettings = differing(observed, wanted);
    // Within a topology change a bridge shows a shorter time (__br_set_topology_change).
    if (observed.stp === true && before.ageingTime === 2 * (observed.forwardDelay ?? 0)) {
      delete before.ageingTime;
    }
    const { stp, ...others } = before;
    const fields = Object.keys(others).length === 0 ? null : others;
    if (fields !== null) early.setBridge(fields, pick(wanted, fields));
    // A loop must not be open while its links change: STP comes before them and goes after them.
    if (stp === undefined) return;
    (wanted.stp ? early : late).setBridge({ stp }, { stp: wanted.stp });
  }

  /** Settings of a port, VLANs and impairment: of links that stay and of new ones. */
  private planLinkExtras(wanted: NetworkLink): void {
    const { namespace, name } = wanted;
    const kept = this.kept.get(keyOf(wanted))?.observed.view;
    // A port that changes its bridge begins anew.
    const stays = kept !== undefined && this.staysPort(wanted);
    if (wanted.port !== null) {
      const before: PortSettings = (stays ? kept.port : null) ?? initialPort;
      const changed = differing(before, { ...before, ...wanted.port });
      if (Object.keys(changed).length > 0) {
        const after = pick({ ...before, ...wanted.port }, changed);
        this.push('vlans', changeOf(namespace, name, { port: changed }, { port: after }));
      }
    }
    if (wanted.vlans !== null && this.knowsVlans(wanted)) {
      const self = wanted.kind === 'bridge';
      const before = (stays || (self && kept !== undefined) ? kept.vlans : null) ?? initialVlans;
      if (!sameVlans(before, wanted.vlans)) {
        const after = wanted.vlans;
        this.push('vlans', { kind: 'change-vlans', namespace, name, self, before, after });
      }
    }
    const before = kept?.impairment ?? null;
    if (kept !== undefined && kept.queueing !== null && wanted.impairment !== null) {
      const label = this.labelOf(namespace, name);
      const values = { name: label, kind: kept.queueing };
      this.refusals.push(failureOf('name-taken', 'queueing-taken', label, values));
    } else if (!sameImpairment(before, wanted.impairment)) {
      const after = wanted.impairment;
      this.push('impairments', { kind: 'change-impairment', namespace, name, before, after });
    }
  }

  private staysPort(wanted: NetworkLink): boolean {
    const kept = this.kept.get(keyOf(wanted))?.observed;
    const master = this.observed.linkById(kept?.view.master ?? null);
    return (
      master !== undefined &&
      master.view.name === wanted.master &&
      !this.removedKeys.has(master.key)
    );
  }

  /** A kernel without VLAN filtering has no table; what needs one is refused elsewhere. */
  private knowsVlans(wanted: NetworkLink): boolean {
    const kept = this.kept.get(keyOf(wanted))?.observed.view;
    if (kept?.vlans !== undefined && kept.vlans !== null) return true;
    return wanted.vlans !== null && !sameVlans(wanted.vlans, initialVlans);
  }

  // What namespaces have beside links

  private planNamespaceExtras(name: string, kept: boolean): void {
    const wanted = this.desired.namespaces.get(name);
    if (wanted === undefined) return;
    const view = kept ? this.observed.namespacesByName.get(name) : undefined;
    for (const family of ['ipv4', 'ipv6'] as const) {
      const before = view?.forwarding[family] ?? false;
      const after = wanted.forwarding[family];
      if (before === after) continue;
      this.push('forwarding', {
        kind: 'change-forwarding',
        namespace: name,
        family,
        before,
        after,
      });
    }
    const before = view?.rules ?? null;
    if (before === wanted.rules) return;
    this.push('rules', { kind: 'change-rules', namespace: name, before, after: wanted.rules });
  }

  /** What a namespace that is made anew lacks of what this one has. */
  private extrasOf(namespace: string, view: NamespaceView): readonly Operation[] {
    const extras: Operation[] = [];
    for (const family of ['ipv4', 'ipv6'] as const) {
      if (!view.forwarding[family]) continue;
      extras.push({ kind: 'change-forwarding', namespace, family, before: false, after: true });
    }
    if (view.rules !== null) {
      extras.push({ kind: 'change-rules', namespace, before: null, after: view.rules });
    }
    return extras;
  }

  private planProcesses(): void {
    const wanted = new Map(
      this.desired.processes.map((process) => [`${process.namespace}/${process.name}`, process]),
    );
    const running = new Set<string>();
    for (const [namespace, view] of this.observed.namespacesByName) {
      if (this.observed.nameOf(view.id) !== namespace) continue;
      for (const { lab, name, command } of view.runs) {
        if (lab !== this.lab) continue;
        const key = `${namespace}/${name}`;
        const process = wanted.get(key);
        const device = process?.device ?? null;
        const held = device !== null && (this.removedKeys.has(device) || !this.kept.has(device));
        if (process !== undefined && sameWords(process.command, command) && !held) {
          running.add(key);
          continue;
        }
        this.push('stop-processes', { kind: 'stop-process', namespace, name, command });
      }
    }
    for (const [key, { namespace, name, command }] of wanted) {
      if (running.has(key)) continue;
      this.push('start-processes', { kind: 'start-process', namespace, name, command });
    }
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
    const cycled = view.up && this.isCycled({ observed, wanted });
    const goesDown = cycled || (view.up && !wanted.up);
    const flushesIpv6 = cycled || view.up !== wanted.up || this.passesSmallMtu(observed, wanted);
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
    if (link.observed.view.up && (!link.wanted.up || this.isCycled(link))) return true;
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

  setBridge(before: SomeBridgeSettings, after: SomeBridgeSettings): void {
    this.set('bridge', { ...this.before.bridge, ...before }, { ...this.after.bridge, ...after });
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

/** The fields in which `other` differs, as `one` has them. */
function differing<T extends object>(
  one: { readonly [K in keyof T]?: T[K] | undefined },
  other: T,
): Partial<T> {
  const entries = Object.entries(one).filter(
    ([key, value]) => value !== undefined && value !== (other as Record<string, unknown>)[key],
  );
  return Object.fromEntries(entries) as Partial<T>;
}

/** The fields of `one` that `fields` has. */
function pick<T extends object>(one: T, fields: object): Partial<T> {
  return Object.fromEntries(
    Object.entries(one).filter(([key]) => Object.hasOwn(fields, key)),
  ) as Partial<T>;
}

function sameVlans(one: readonly VlanEntry[], other: readonly VlanEntry[]): boolean {
  const text = (entries: readonly VlanEntry[]): string =>
    entries.map(({ id, pvid, untagged }) => `${id} ${pvid} ${untagged}`).join();
  return text(one) === text(other);
}

function sameImpairment(one: Impairment | null, other: Impairment | null): boolean {
  if (one === null || other === null) return one === other;
  return Object.keys(differing(one, other)).length === 0;
}

function sameWords(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}
