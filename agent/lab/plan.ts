import {
  type BridgeSettings,
  type Device,
  initialBridge,
  initialPort,
  initialVlans,
  type PortSettings,
  type SomeBridgeSettings,
  treeTimes,
  type VlanEntry,
} from '../api/device.ts';
import type { LabDocument } from '../api/document.ts';
import { defaultConfirmWithin } from '../api/plan.ts';
import { sameImpairment } from '../api/impairment.ts';
import type { Inventory, LinkView, NamespaceView } from '../api/inventory.ts';
import type { PlanConfirm, PlanStep, Warning } from '../api/plan.ts';
import type { OpenFlowTables } from '../api/ovs.ts';
import type { Failure } from '../api/result.ts';
import { isInSubnet, parseHostAddress, parseSubnetAddress } from './address.ts';
import { isCollector } from './collector.ts';
import type { CommandContext } from './command.ts';
import { beginsWithDefaultMtu, defaultMtu, overheadOf, parentOf, sameDevice } from './device.ts';
import { initialOf, inverseOf } from './inverse.ts';
import { internetInterface, linkKey, networkOf, routeKey, smallestIpv6Mtu } from './network.ts';
import type { Network, NetworkLink, NetworkNamespace, NetworkRoute } from './network.ts';
import {
  givenAddresses,
  isOfDatapath,
  observe,
  ownershipOf,
  routeOfOperation,
} from './observed.ts';
import type { GivenAddress, Observed, ObservedLink, ObservedRoute, Ownership } from './observed.ts';
import type { LinkSettings, Operation, VethEnd } from './operation.ts';
import { planCpu } from './plan-cpu.ts';
import type { CpuRealm } from './plan-cpu.ts';
import { keepsInternal, planSwitches, sortSwitches } from './plan-ovs.ts';
import type { OvsPhase, SortedSwitches } from './plan-ovs.ts';
import { physicalPortsOf, problemOfPhysicalPort } from './physical-port.ts';
import { requirementsOf } from './requirements.ts';
import { failureOf, warningOf } from './sentences.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';
import { drawingOf, interfaceLabel, stepOf } from './step.ts';
import { movableOf } from './uplink.ts';

export interface PlanInput {
  readonly lab: string;
  /** What is wanted; null takes the lab down. */
  readonly desired: LabDocument | null;
  /** The document in force, null when there is none. */
  readonly base: LabDocument | null;
  readonly inventory: Inventory;
  /** Why kernel or machine lack a capability such as `link:vlan`; null when they have it or nobody knows. */
  readonly lackOf?: (capability: string) => string | null;
  /** The chain of the realm's own firewall that drops what crosses a bridge there; null or absent when there is none. */
  readonly bridgedDrop?: string | null;
  /**
   * Whether the realm has a way out for a lab that asks for one; unless said, the inventory tells. `host` is the machine
   * itself, which has its own.
   */
  readonly internet?: 'allowed' | 'host';
  /**
   * What ovs-ofctl makes of the lines that the desired document gives to a bridge, by the bridge's `linkKey`: the form in
   * which the inventory shows them. Where it is missing, the lines count as they are.
   */
  readonly openFlow?: ReadonlyMap<string, OpenFlowTables>;
  /** Whose Open vSwitch the realm's own namespace uses; that of the machine is neither started nor ended. */
  readonly realmEngine?: 'private' | 'system';
  /** What there is for CPU groups; unless said, they are planned for a machine on paper. */
  readonly cpu?: CpuRealm | undefined;
}

export interface LabPlan {
  readonly operations: readonly Operation[];
  /** One for each operation, in the same order. */
  readonly steps: readonly PlanStep[];
  readonly warnings: readonly Warning[];
  /** Not empty: nothing may be applied, and there are no operations. */
  readonly refusals: readonly Failure[];
  /** Null when nothing in it can cut anyone off. */
  readonly confirm: PlanConfirm | null;
  /** Interfaces with the only way out of their namespace, which the plan moves. */
  readonly onlyWays: readonly string[];
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
 * - a link that joins or leaves a VRF is cycled (cycle_netdev); one that leaves a bond goes down and gets back the MTU and
 *   MAC that it had before, one that joins a bond must be down, takes the bond's and comes up (bond_enslave);
 * - a device goes with the link below it; a VLAN device also goes down and comes up with it, and like a macvlan shrinks
 *   with it (vlan_device_event, macvlan_device_event).
 * Addresses and routes that would vanish so, on the way there or back, are removed first and added again, as operations of their own.
 */
export function planLab(input: PlanInput): LabPlan {
  const desired = input.desired === null ? emptyNetwork : networkOf(input.desired);
  const base = input.base === null ? null : networkOf(input.base);
  const observed = observe(
    input.inventory,
    (name) => desired.namespaces.has(name) || base?.namespaces.has(name) === true,
  );
  const planner = new Planner(input, desired, base, observed);
  const ofNetwork = planner.plan();
  for (const { capability, object } of requirementsOf(desired)) {
    const reason = input.lackOf?.(capability) ?? null;
    if (reason === null) continue;
    const values = { capability, object, reason: reason.replace(/\.$/, '') };
    planner.refusals.push(failureOf('unsupported', 'kernel-lacks', object, values));
  }
  const { bridgedDrop } = input;
  if (bridgedDrop !== null && bridgedDrop !== undefined) {
    for (const { kind, namespace, name } of desired.links.values()) {
      if (kind !== 'bridge' || namespace !== null) continue;
      planner.warnings.push(warningOf('bridge-filtered', name, { name, chain: bridgedDrop }));
    }
  }
  refuseInternet(input, planner, desired, observed);
  const cpu = planCpu(input, desired.processes);
  planner.refusals.push(...cpu.refusals);
  const refused = planner.refusals.length > 0;
  const drawing = drawingOf(desired, base);
  const operations = cpu.weave(ofNetwork);
  const context = {
    ...contextOf(input, desired, base, observed, operations),
    ...cpu.context,
  };
  return {
    operations: refused ? [] : operations,
    steps: refused
      ? []
      : operations.map((operation, id) => stepOf(operation, id, drawing, context)),
    warnings: planner.warnings,
    refusals: planner.refusals,
    confirm: refused ? null : planner.confirm,
    onlyWays: planner.onlyWays,
  };
}

/** The way out is the person's to open, before anything is applied. */
function refuseInternet(
  { internet }: PlanInput,
  { refusals }: Planner,
  desired: Network,
  observed: Observed,
): void {
  if (desired.internet === null || internet === 'allowed') return;
  const { node } = desired.internet;
  if (internet === 'host') {
    refusals.push(failureOf('refused', 'internet-in-host', node, { node }));
  } else if (!observed.links.has(linkKey(null, internetInterface))) {
    refusals.push(failureOf('not-allowed', 'internet-not-allowed', node, { node }));
  }
}

const emptyNetwork: Network = {
  namespaces: new Map(),
  links: new Map(),
  pairs: [],
  routes: new Map(),
  processes: [],
  uplinks: new Map(),
  switches: new Map(),
  engines: new Set(),
  internet: null,
};

/** A pair may be made in the realm's own namespace, as the notes do, if neither name is or will be there. */
function contextOf(
  input: PlanInput,
  desired: Network,
  base: Network | null,
  observed: Observed,
  operations: readonly Operation[],
): CommandContext {
  const uses = new Map<string, number>();
  for (const link of desired.links.values()) uses.set(link.name, (uses.get(link.name) ?? 0) + 1);
  return {
    isFreeInRealm: (name) =>
      (uses.get(name) ?? 0) <= 1 &&
      !observed.links.has(linkKey(null, name)) &&
      !desired.links.has(linkKey(null, name)),
    usesSystemEngine: input.realmEngine === 'system',
    datapathAt: (namespace) => {
      for (const operation of operations) {
        const { kind } = operation;
        if (kind === 'start-engine' && operation.namespace === namespace) return operation.datapath;
      }
      const isSystem = namespace === null && input.realmEngine === 'system';
      return observed.engines.get(namespace)?.datapath ?? (isSystem ? 'system' : 'netdev');
    },
    switchAt: (namespace, name) => {
      const key = linkKey(namespace, name);
      return (desired.switches.get(key) ?? base?.switches.get(key))?.bridge;
    },
    peerAt: (namespace, name) => {
      const peer = desired.links.get(linkKey(namespace, name))?.peer;
      return peer === undefined || peer === null ? undefined : desired.links.get(peer);
    },
  };
}

/** The order in which operations are carried out. */
const phases = [
  // While its bridge is as it was, and after everything on the way back.
  'detach-uplinks',
  'stop-processes',
  'remove-flows',
  'remove-routes',
  'remove-addresses',
  // While what they sit on is as it was: their inverses come after its inverses.
  'remove-devices',
  // Links that Open vSwitch makes go with their ports, and what they have before that.
  'empty-internals',
  'shrink-switches',
  'remove-switches',
  'stop-engines',
  // What comes up by itself on the way back must have been up before.
  'raise-first',
  // A bond takes a link only while that is down; one that is in a VRF or leaves it is cycled.
  'links-down',
  // A device is never larger than what is below it.
  'shrink-devices',
  // A port begins anew at every bridge.
  'reset-ports',
  'release-ports',
  'remove-veths',
  'remove-groups',
  'remove-bridges',
  'remove-namespaces',
  'add-namespaces',
  // Before there are interfaces, each of which takes it over.
  'forwarding',
  // Before what tells them is there: IPFIX says what its records mean before the first of them, and seldom again.
  'start-collectors',
  'start-engines',
  'add-bridges',
  // Bonds and VRFs, before their members.
  'add-groups',
  'add-veths',
  'add-devices',
  'prepare-bridges',
  'change-links',
  // When the links that are to be ports are there, and nobody else has them.
  'switches',
  // The MTUs of bridges, and devices on others, in the order in which one follows from another.
  'settle-mtus',
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
  'flows',
  // When the bridge is up: routes through it need that. It is the first to go back.
  'attach-uplinks',
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
  readonly onlyWays: string[] = [];
  confirm: PlanConfirm | null = null;

  private readonly input: PlanInput;
  private readonly lab: string;
  private readonly desired: Network;
  private readonly base: Network | null;
  private readonly observed: Observed;
  private readonly ownership: Ownership;
  private readonly byPhase = new Map<Phase, Operation[]>(phases.map((phase) => [phase, []]));
  private readonly switches: SortedSwitches;
  private readonly kept = new Map<string, KeptLink>();
  private readonly removedKeys = new Set<string>();
  private readonly takenSwitches = new Set<string>();
  private readonly addressChanges = new Map<string, AddressChange>();
  /** Uplinks that are ports of a bridge of ours, and the bridges, by the bridge's key. */
  private readonly attached: ReadonlyMap<string, AttachedUplink>;
  /** What goes back to an uplink, by its key. */
  private readonly detaching = new Map<string, UplinkOperation>();
  /** Keys of uplinks that are or become ports. */
  private readonly movingRoutes = new Set<string>();

  constructor(input: PlanInput, desired: Network, base: Network | null, observed: Observed) {
    const { lab } = input;
    this.input = input;
    this.lab = lab;
    this.desired = desired;
    this.base = base;
    this.observed = observed;
    this.ownership = ownershipOf(lab, base, observed);
    this.switches = sortSwitches(desired, observed, this.ownership);
    this.attached = this.findAttached();
  }

  plan(): readonly Operation[] {
    const namespaces = this.sortNamespaces();
    const { veths, bridges, devices, internals } = this.sortLinks();
    // Not before it is known which ports stay.
    this.knownMtus.clear();
    this.refuseTakenLinks();
    this.detachUplinks();
    this.attachUplinks();
    if (this.refusals.length > 0) return [];

    this.planProcesses();
    for (const device of devices) this.removeDevice(device);
    for (const link of internals) this.emptyInternal(link);
    this.checkPhysicalPorts();
    this.planSwitches(namespaces);
    for (const pair of veths) this.removeVeth(pair);
    for (const bridge of bridges) this.removeBridge(bridge);
    for (const name of namespaces.removed) this.removeNamespace(name);
    this.addNamespaces(namespaces.kept);
    this.addLinks();
    for (const link of this.inOrderOfParents()) {
      const kept = this.kept.get(keyOf(link));
      if (kept !== undefined) this.changeLink(kept);
    }
    for (const link of [...this.inOrderOfParents()].reverse()) this.shrinkDevice(link);
    for (const link of this.inOrderOfMtus()) {
      if (link.kind === 'bridge') this.settleBridgeMtu(link);
      else if (parentOf(link.device) === null) continue;
      else if (this.kept.has(keyOf(link))) this.growDevice(link);
      else this.addDevice(link, 'settle-mtus');
    }
    for (const link of this.kept.values()) this.changeAddresses(link);
    for (const link of this.desired.links.values()) {
      if (this.kept.has(keyOf(link))) continue;
      for (const address of link.addresses) this.addAddress(link, address);
    }
    this.settleStates();
    for (const link of this.desired.links.values()) this.planLinkExtras(link);
    for (const name of this.desired.namespaces.keys()) {
      this.planRoutes(name);
      this.planNamespaceExtras(name, namespaces.kept.has(name));
    }
    this.planInternet();
    return phases.flatMap((phase) => this.byPhase.get(phase) ?? []);
  }

  // Uplinks: interfaces that are not ours, as ports of bridges of ours

  private findAttached(): ReadonlyMap<string, AttachedUplink> {
    const found = new Map<string, AttachedUplink>();
    for (const uplinks of [this.desired.uplinks, this.base?.uplinks ?? []]) {
      for (const [key, name] of uplinks) {
        const bridge = this.observed.links.get(key);
        if (bridge?.view.kind !== 'bridge' || !this.ownership.ownsLink(bridge)) continue;
        const uplink = this.observed.links.get(linkKey(bridge.namespace, name));
        if (uplink === undefined || uplink.view.master !== bridge.view.id) continue;
        if (!this.ownership.ownsLink(uplink)) found.set(key, { bridge, uplink });
      }
    }
    return found;
  }

  /** Whether an address of a bridge came from its uplink: nobody else has a say about it. */
  private isOfUplink(link: ObservedLink, address: GivenAddress): boolean {
    if (!this.attached.has(link.key) || address.owned) return false;
    return (
      !this.listsAddress(link.key, address.address) &&
      this.desired.links.get(link.key)?.addresses.includes(address.address) !== true
    );
  }

  private movesWithUplink({ namespace, key, view }: ObservedLink, route: RouteKeyParts): boolean {
    if (!this.attached.has(key)) return this.movingRoutes.has(key);
    const text = routeKey({ ...route, dev: view.name });
    if (route.owned || (namespace !== null && this.baseRoutes(namespace).has(text))) return false;
    const wanted = namespace === null ? [] : (this.desired.routes.get(namespace) ?? []);
    return !wanted.some((other) => routeKey(other) === text);
  }

  private detachUplinks(): void {
    for (const [key, { bridge, uplink }] of this.attached) {
      const stays = this.kept.has(key);
      if (stays && this.desired.uplinks.get(key) === uplink.view.name) continue;
      const { addresses, routes } = movableOf(
        bridge.view,
        this.observed.routesThrough(bridge),
        (address) => this.isOfUplink(bridge, address),
        (route, to) => this.movesWithUplink(bridge, { ...route, to }),
      );
      const pinned = this.desired.links.get(key)?.mac ?? null;
      const others = this.observed
        .portsOf(bridge)
        .flatMap((port) => (port === uplink ? [] : (port.view.mac ?? [])));
      const operation: UplinkOperation = {
        kind: 'detach-uplink',
        namespace: bridge.namespace,
        bridge: bridge.view.name,
        interface: uplink.view.name,
        addresses,
        routes,
        macs: {
          attached: bridge.view.mac,
          // What the kernel would choose (br_stp_recalculate_bridge_id).
          detached: stays ? (pinned ?? others.sort()[0] ?? null) : null,
        },
      };
      this.detaching.set(uplink.key, operation);
      this.push('detach-uplinks', operation);
    }
  }

  private attachUplinks(): void {
    for (const [key, name] of this.desired.uplinks) {
      const bridge = this.desired.links.get(key);
      if (bridge === undefined) continue;
      const uplink = this.observed.links.get(linkKey(bridge.namespace, name));
      const label = this.labelOf(bridge.namespace, name);
      const problem = this.problemOfUplink(uplink, key);
      if (problem !== null || uplink === undefined) {
        const [code, more] = problem ?? (['uplink-missing', {}] as const);
        const values = { interface: label, bridge: bridge.name, ...more };
        const kind = code === 'uplink-missing' ? 'unknown-object' : 'name-taken';
        this.refusals.push(failureOf(kind, code, label, values));
        continue;
      }
      this.attachUplink(key, bridge, uplink, label);
    }
  }

  /** Why an interface cannot be the uplink of a bridge; null when it can. */
  private problemOfUplink(
    uplink: ObservedLink | undefined,
    bridgeKey: string,
  ): readonly [SentenceCode, SentenceValues] | null {
    if (uplink === undefined || this.removedKeys.has(uplink.key)) return ['uplink-missing', {}];
    const { view } = uplink;
    if (view.lab !== null && view.lab !== this.lab) {
      return ['interface-of-other-lab', { name: view.name, other: view.lab }];
    }
    if (unfitKinds.has(view.kind) || view.device?.kind === 'tun')
      return ['uplink-unfit', { kind: view.kind }];
    const attached = this.attached.get(bridgeKey);
    const stays = attached?.uplink === uplink;
    if (view.master === null || stays || this.detaching.has(uplink.key)) return null;
    const master = this.observed.viewById.get(view.master)?.name ?? 'another interface';
    return ['uplink-is-port', { master }];
  }

  private attachUplink(
    key: string,
    bridge: NetworkLink,
    uplink: ObservedLink,
    label: string,
  ): void {
    const { view } = uplink;
    const own = movableOf(
      view,
      this.observed.routesThrough(uplink),
      (address) => !address.owned,
      () => true,
    );
    this.movingRoutes.add(uplink.key);
    for (const to of own.intricate) {
      const values = { to: readableDestination(to), interface: label };
      this.refusals.push(failureOf('refused', 'uplink-route-intricate', label, values));
    }
    for (const address of own.dynamic) {
      this.warn('uplink-address-dynamic', label, {
        address,
        interface: label,
        bridge: bridge.name,
      });
    }
    if (!view.up) this.warn('uplink-down', label, { interface: label, bridge: bridge.name });
    const back = this.detaching.get(uplink.key);
    const addresses = [...own.addresses, ...(back?.addresses ?? [])];
    const routes = [...own.routes, ...(back?.routes ?? [])];
    const observed = this.observed.links.get(key);
    if (this.attached.get(key)?.uplink === uplink && addresses.length + routes.length === 0) return;
    this.push('attach-uplinks', {
      kind: 'attach-uplink',
      namespace: bridge.namespace,
      bridge: bridge.name,
      interface: view.name,
      addresses,
      routes,
      // Neighbours and DHCP servers know the way in by the NIC's MAC; and it must not change as ports come and go.
      macs: {
        attached: bridge.mac === null ? view.mac : null,
        detached: bridge.mac === null && this.kept.has(key) ? (observed?.view.mac ?? null) : null,
      },
    });
    const values = { interface: label, bridge: bridge.name };
    this.confirm ??= {
      within: defaultConfirmWithin,
      reason: warningOf('uplink-at-stake', label, values),
    };
    const defaults = this.observed.defaultsBeside(uplink);
    const before =
      back === undefined
        ? undefined
        : this.observed.links.get(linkKey(back.namespace, back.bridge));
    const through = [uplink, observed, before].map((link) => link?.view.index);
    for (const family of ['ipv4', 'ipv6'] as const) {
      const ways = defaults.filter((route) => route.family === family);
      if (ways.length === 0 || !ways.every(({ index }) => through.includes(index ?? -1))) continue;
      if (!this.onlyWays.includes(label)) this.onlyWays.push(label);
    }
  }

  // Namespaces

  private sortNamespaces(): SortedNamespaces {
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
      else if (!this.removedKeys.has(link.key) && !isOfDatapath(link)) {
        this.warn('foreign-interface-lost', this.label(link), { name: this.label(link) });
      }
    }
    for (const route of this.observed.routesOf(name)) {
      if (route.link !== null && this.removedKeys.has(route.link.key)) continue;
      if (route.owned || route.link?.view.kind === 'loopback') continue;
      this.warnOfRoute('foreign-route-lost', name, route);
    }
    const ours = view?.runs.filter((run) => run.lab === this.lab).length ?? 0;
    const engine = this.observed.engines.get(name);
    const daemons = [engine?.database.pid, engine?.switch.pid].filter(
      (pid) => typeof pid === 'number',
    ).length;
    const others = (view?.processCount ?? 0) - ours - daemons;
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
    /** Made by Open vSwitch. */
    readonly internals: readonly ObservedLink[];
  } {
    const veths: (readonly [ObservedLink, ObservedLink | null])[] = [];
    const bridges: ObservedLink[] = [];
    const devices: ObservedLink[] = [];
    const internals: ObservedLink[] = [];
    for (const link of this.observed.links.values()) {
      if (this.removedKeys.has(link.key) || !this.ownership.ownsLink(link)) continue;
      const wanted = this.desired.links.get(link.key);
      const made = this.observed.switchOf(link);
      if (made !== undefined) {
        if (wanted?.kind === 'internal' && keepsInternal(this.switches, made, link.view.name)) {
          this.kept.set(link.key, { observed: link, wanted });
        } else {
          internals.push(link);
          this.removedKeys.add(link.key);
        }
        continue;
      }
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
    return { veths, bridges, devices: this.withDevicesOn(devices), internals };
  }

  /** Whether a device can become what is wanted without being made anew. */
  private mayStay({ view, key }: ObservedLink, wanted: NetworkLink): boolean {
    if (view.device === null || wanted.device === null) return false;
    if (!sameDevice(view.device, wanted.device)) return false;
    // Of some, only the kernel knows what the MTU would be that nobody had set.
    const listed = this.base?.links.get(key);
    const pinned = listed?.mtu ?? null;
    if (pinned === null || this.mtuOf(wanted) !== null) return true;
    // It has been made anew since, or what was set is what a tunnel has by itself.
    return view.mtu !== pinned || pinned === defaultMtu - overheadOf(wanted.device);
  }

  /**
   * The devices to remove, those on top first and members before their masters: with a link go all devices on it.
   * Takes them out of those that stay.
   */
  private withDevicesOn(devices: readonly ObservedLink[]): readonly ObservedLink[] {
    const order: ObservedLink[] = [];
    const seen = new Set<string>();
    const going = new Set(devices);
    const visit = (link: ObservedLink, itself: boolean): void => {
      if (seen.has(link.key)) return;
      seen.add(link.key);
      for (const upper of this.observed.devicesOn(link)) {
        if (this.ownership.ownsLink(upper)) visit(upper, true);
        else this.warn('foreign-interface-lost', this.label(upper), { name: this.label(upper) });
      }
      if (!itself) return;
      for (const port of this.observed.portsOf(link)) if (going.has(port)) visit(port, true);
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
    for (const { key, name, view } of this.switches.taken) {
      this.refuse('ovs-bridge-taken', 'ovs-bridge-of-other-lab', name, name, view.lab);
      this.takenSwitches.add(key);
    }
    for (const [key, wanted] of this.desired.links) {
      if (this.takenSwitches.has(key)) continue;
      const link = this.observed.links.get(key);
      if (link === undefined || this.kept.has(key) || this.removedKeys.has(key)) continue;
      const label = this.labelOf(wanted.namespace, wanted.name);
      this.refuse('interface-taken', 'interface-of-other-lab', label, label, link.view.lab);
    }
  }

  /** Links that Open vSwitch makes go with what they have; on the way back it is put back one by one. */
  private emptyInternal(link: ObservedLink): void {
    for (const operation of [...this.contentsOf([link])].reverse()) {
      for (const back of inverseOf(operation)) this.push('empty-internals', back);
    }
  }

  private checkPhysicalPorts(): void {
    for (const port of physicalPortsOf(this.desired)) {
      const { owner, name } = port;
      const label = `${owner.node}:${name}`;
      const problem = problemOfPhysicalPort(port, this.observed, this.lab);
      if (problem !== null) {
        this.refusals.push(failureOf(problem.kind, problem.code, label, problem.values));
      } else if (this.observed.links.get(linkKey(owner.namespace, name))?.view.up === false) {
        this.warn('physical-port-down', label, { interface: name });
      }
    }
  }

  private planSwitches({ kept, removed }: SortedNamespaces): void {
    planSwitches({
      desired: this.desired,
      base: this.base,
      observed: this.observed,
      sorted: this.switches,
      removedNamespaces: new Set(removed),
      keptNamespaces: kept,
      isGoing: (key) => this.removedKeys.has(key),
      openFlow: this.input.openFlow ?? new Map<string, OpenFlowTables>(),
      usesSystemEngine: this.input.realmEngine === 'system',
      offersKernelDatapath: this.input.lackOf?.('datapath:system') === null,
      push: (phase: OvsPhase, operation) => {
        this.push(phase, operation);
      },
      warn: (code, object, values) => {
        this.warn(code, object, values);
      },
      refuse: (code, object, values) => {
        this.refusals.push(failureOf('unsupported', code, object, values));
      },
    });
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
    this.push(isGroup(device) ? 'remove-groups' : 'remove-devices', {
      kind: 'remove-device',
      namespace,
      name: view.name,
      device,
      mac: listed?.mac ?? null,
      mtu: Math.min(view.mtu, this.largestMtuOf(link)),
      master: this.ownMasterOf(link),
      contents: [...ports, ...this.contentsOf([link])],
    });
  }

  /** A VXLAN device does not shrink with what is below it, but could not be made so large again. */
  private largestMtuOf({ view, namespace }: ObservedLink): number {
    const name = parentOf(view.device);
    const parent = name === null ? undefined : this.observed.links.get(linkKey(namespace, name));
    if (view.device === null || parent === undefined) return Infinity;
    return parent.view.mtu - overheadOf(view.device);
  }

  /** Name of the master, if it is of a kind that takes ports; OVS and the like do by themselves. */
  private ownMasterOf(link: ObservedLink): string | null {
    const kind = this.observedMasterKind(link);
    const master = this.observed.linkById(link.view.master);
    if (master === undefined) return null;
    return kind === 'bridge' || kind === 'bond' || kind === 'vrf' ? master.view.name : null;
  }

  /** IFLA_INFO_KIND of the master; undefined without one. */
  private observedMasterKind(link: ObservedLink): string | undefined {
    return this.observed.linkById(link.view.master)?.view.kind;
  }

  /** As `observedMasterKind`, of the master that is wanted. */
  private wantedMasterKind({ namespace, master }: NetworkLink): string | undefined {
    const link = master === null ? undefined : this.desired.links.get(linkKey(namespace, master));
    return link?.device?.kind ?? link?.kind;
  }

  /** Lets go of what stays of a master's ports; the operations that give it back those that are not ours. */
  private releasePorts(master: ObservedLink): readonly Operation[] {
    const { namespace, view } = master;
    const foreignPorts: Operation[] = [];
    for (const port of this.observed.portsOf(master)) {
      const { name } = port.view;
      if (this.removedKeys.has(port.key) || this.detaching.has(port.key)) continue;
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
    const { name, mtu } = view;
    // A member shows the MAC of its bond.
    const bonded = this.observedMasterKind(link) === 'bond';
    const mac = bonded ? (this.base?.links.get(link.key)?.mac ?? null) : view.mac;
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
    const settings = differing(lastingSettings(view, listed?.bridge ?? null), initialBridge);
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
    for (const link of links) {
      const { view, namespace, key } = link;
      settings.push(...this.settingsOf(namespace, view));
      for (const address of givenAddresses(view)) {
        const ours = address.owned || this.listsAddress(key, address.address);
        if (this.isOfUplink(link, address)) continue;
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
      // A bond brings its members up itself, and gives them its MTU.
      const bond = this.observed.linkById(view.master)?.view;
      if (bond?.kind === 'bond' && bond.mtu !== view.mtu) {
        settings.push(changeOf(namespace, view.name, { mtu: bond.mtu }, { mtu: view.mtu }));
      }
      const made = this.observedMasterKind(link) === 'bond';
      if (view.up !== made) ups.push(changeOf(namespace, view.name, { up: made }, { up: view.up }));
      if (namespace === null) continue;
      for (const route of this.observed.routesOf(namespace)) {
        if (route.link?.key !== key || this.movesWithUplink(link, route)) continue;
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
    const port = view.port === null ? {} : differing(view.port, initialPortOf(view.kind));
    // The cost of a port that nobody has set follows from its speed.
    const stated = this.statesCost(linkKey(namespace, view.name));
    const { cost, ...others } = port;
    const wanted = stated && cost !== undefined ? { ...others, cost } : others;
    const self = view.bridge !== null;
    const vlans = view.vlans ?? initialVlans;
    return [
      ...(Object.keys(wanted).length === 0
        ? []
        : [
            changeOf(
              namespace,
              view.name,
              { port: pick(initialPortOf(view.kind), wanted) },
              { port: wanted },
            ),
          ]),
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
    for (const link of this.inOrderOfParents()) {
      if (this.kept.has(keyOf(link))) continue;
      if (link.kind === 'bridge') this.addBridge(link);
      if (link.device === null || parentOf(link.device) !== null) continue;
      this.addDevice(link, isGroup(link.device) ? 'add-groups' : 'add-devices');
    }
    for (const [left, right] of this.desired.pairs) {
      if (this.kept.has(keyOf(left))) continue;
      const endOf = (link: NetworkLink): VethEnd => {
        const { namespace, name, mac, master } = link;
        return { namespace, name, mac, mtu: this.ownMtuOf(link), master };
      };
      this.push('add-veths', { kind: 'add-veth', ends: [endOf(left), endOf(right)] });
    }
  }

  private addBridge({ namespace, name, mac, bridge }: NetworkLink): void {
    this.push('add-bridges', {
      kind: 'add-bridge',
      namespace,
      name,
      mac,
      // An MTU given at creation does not stick once there are ports; it is set afterwards.
      mtu: null,
      settings: bridge === null ? {} : differing(bridge, initialBridge),
    });
  }

  private addDevice(link: NetworkLink, phase: Phase): void {
    const { namespace, name, device, mac, master } = link;
    if (device === null) return;
    this.push(phase, {
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
    return this.wantedMasterKind(link) === 'bond' ? null : link.mtu;
  }

  private readonly knownMtus = new Map<string, number | null>();

  /** The MTU that a link is to have; null where only the kernel knows. */
  private mtuOf(link: NetworkLink): number | null {
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
      const [other] = this.wantedAt(namespace, name);
      return other === undefined ? null : this.mtuOf(other);
    };
    if (this.wantedMasterKind(link) === 'bond') return lookUp(link.master);
    if (link.mtu !== null) return link.mtu;
    if (link.kind === 'bridge') {
      return smallestMtu(this.portMtus(link, this.kept.get(keyOf(link))?.observed));
    }
    if (link.kind === 'internal') {
      // It follows the links that are ports (update_mtu_ofproto in ofproto.c).
      return smallestMtu(this.switchLinksOf(link).map((port) => this.mtuOf(port) ?? defaultMtu));
    }
    if (device === null) return defaultMtu;
    // vrf_setup: IP6_MAX_MTU, which is 65535 and an IPv6 header.
    if (device.kind === 'vrf') return 65575;
    const parent = parentOf(device);
    if (parent === null) return beginsWithDefaultMtu(device) ? defaultMtu : null;
    const below = lookUp(parent);
    return below === null ? null : below - overheadOf(device);
  }

  /** What the MTU of a link that Open vSwitch makes follows: its bridge's links, internal ones only where theirs is pinned. */
  private switchLinksOf({ namespace, switch: name }: NetworkLink): readonly NetworkLink[] {
    this.linksBySwitch ??= groupBySwitch(this.desired);
    return name === null ? [] : (this.linksBySwitch.get(linkKey(namespace, name)) ?? []);
  }
  private linksBySwitch: ReadonlyMap<string, readonly NetworkLink[]> | null = null;

  private parentsFirst: readonly NetworkLink[] | null = null;

  /** The links that are wanted, each after the one that it sits on and after its master. */
  private inOrderOfParents(): readonly NetworkLink[] {
    this.parentsFirst ??= this.inOrderOf((link) =>
      [parentOf(link.device), link.master].flatMap((name) => this.wantedAt(link.namespace, name)),
    );
    return this.parentsFirst;
  }

  /** The links that are wanted, each after those that its MTU follows from. */
  private inOrderOfMtus(): readonly NetworkLink[] {
    return this.inOrderOf((link) =>
      link.kind === 'bridge'
        ? (this.wantedPorts().get(keyOf(link)) ?? [])
        : link.kind === 'internal'
          ? this.switchLinksOf(link)
          : this.wantedAt(link.namespace, parentOf(link.device)),
    );
  }

  private wantedAt(namespace: string | null, name: string | null): readonly NetworkLink[] {
    const link = name === null ? undefined : this.desired.links.get(linkKey(namespace, name));
    return link === undefined ? [] : [link];
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

  /** Whether a link that stays is let go by its master, which changes or is made anew. */
  private leavesMaster({ observed, wanted }: KeptLink): boolean {
    const master = this.observed.linkById(observed.view.master);
    if (master === undefined) return false;
    return master.view.name !== wanted.master || this.removedKeys.has(master.key);
  }

  private joinsMaster({ observed, wanted }: KeptLink): boolean {
    if (wanted.master === null) return false;
    return observed.view.master === null || this.leavesMaster({ observed, wanted });
  }

  private leavesBond(link: KeptLink): boolean {
    return this.leavesMaster(link) && this.observedMasterKind(link.observed) === 'bond';
  }

  private joinsBond(link: KeptLink): boolean {
    return this.joinsMaster(link) && this.wantedMasterKind(link.wanted) === 'bond';
  }

  /** Whether a link that stays goes down in between, since it joins or leaves a bond or a VRF. */
  private isCycled(link: KeptLink): boolean {
    if (this.leavesMaster(link)) {
      const kind = this.observedMasterKind(link.observed);
      if (kind === 'bond' || kind === 'vrf') return true;
    }
    return (
      this.joinsBond(link) ||
      (this.joinsMaster(link) && this.wantedMasterKind(link.wanted) === 'vrf')
    );
  }

  /** The link below a VLAN device that stays: it takes the device down and up with it. */
  private carrierOf({ wanted }: KeptLink): KeptLink | undefined {
    if (wanted.device?.kind !== 'vlan') return undefined;
    return this.kept.get(linkKey(wanted.namespace, wanted.device.parent));
  }

  /** Whether a link that stays goes down or comes up at some time. */
  private isUnsettled(link: KeptLink, depth = 0): boolean {
    if (link.observed.view.up !== link.wanted.up || this.isCycled(link)) return true;
    const carrier = this.carrierOf(link);
    return carrier !== undefined && depth < 100 && this.isUnsettled(carrier, depth + 1);
  }

  /** Whether a link that stays goes down at some time, and loses what hangs on that. */
  private falls(link: KeptLink): boolean {
    return link.observed.view.up && this.isUnsettled(link);
  }

  /** Whether the kernel brings a link up on the way back that was down. */
  private isRaisedFirst(link: KeptLink): boolean {
    if (link.observed.view.up) return false;
    const carrier = this.carrierOf(link);
    return this.leavesBond(link) || (carrier !== undefined && this.falls(carrier));
  }

  /** Leaves every link up or down as is wanted, after all that the kernel does to it by itself. */
  private settleStates(): void {
    const states = new Map<string, boolean>();
    /** Those that a bond brings up, with the VLAN devices that are on them then, and those that come up here. */
    const joined = new Set<string>();
    const raised = new Set<string>();
    for (const link of this.inOrderOfParents()) {
      const key = keyOf(link);
      const kept = this.kept.get(key);
      const isNew = kept === undefined;
      const carrier =
        link.device?.kind === 'vlan' ? linkKey(link.namespace, link.device.parent) : '';
      const joins = isNew ? this.wantedMasterKind(link) === 'bond' : this.joinsBond(kept);
      const isJoined = joins || (!isNew && joined.has(carrier));
      const isRaised = raised.has(carrier);
      const stays = !isNew && kept.observed.view.up && !this.falls(kept);
      const up = states.get(carrier) !== false && (stays || isJoined || isRaised);
      if (up !== link.up) {
        const phase = link.kind === 'bridge' ? 'bridges-up' : 'links-up';
        this.push(phase, changeOf(link.namespace, link.name, { up }, { up: link.up }));
      }
      if (isJoined) joined.add(key);
      if (isRaised || (link.up && !up)) raised.add(key);
      states.set(key, link.up);
    }
  }

  // Settings

  private changeLink(link: KeptLink): void {
    const { observed, wanted } = link;
    const { view, namespace } = observed;
    const early: Change = new Change();
    const late: Change = new Change();
    const at = [namespace, view.name] as const;
    if (wanted.kind === 'internal') {
      // Its MAC and MTU are in the database.
      this.changeMaster(link, early);
      this.pushChange('change-links', at, early);
      return;
    }
    const bonded = this.wantedMasterKind(wanted) === 'bond';
    const leavesBond = this.leavesBond(link);
    if (wanted.mac !== null && !bonded && !leavesBond) {
      const forgets = this.forgetsMac(observed);
      if (forgets || wanted.mac !== view.mac) {
        (forgets ? late : early).set('mac', view.mac ?? wanted.mac, wanted.mac);
      }
    }
    if (wanted.bridge !== null) {
      this.changeBridge(observed, wanted.bridge, early, late);
    } else if (parentOf(wanted.device) === null && !leavesBond) {
      const mtu = this.mtuOf(wanted) ?? view.mtu;
      if (bonded) this.followBond(link);
      else if (mtu !== view.mtu) early.set('mtu', view.mtu, mtu);
    }
    this.changeMaster(link, early);
    this.pushChange(wanted.kind === 'bridge' ? 'prepare-bridges' : 'change-links', at, early);
    if (leavesBond && !bonded) {
      // What the bond had set, after that has given back what was before.
      const again = new Change();
      again.set('mtu', view.mtu, this.mtuOf(wanted) ?? view.mtu);
      if (wanted.mac !== null) again.set('mac', view.mac ?? wanted.mac, wanted.mac);
      this.pushChange('change-links', at, again);
    }
    this.pushChange('settle-mtus', at, late);
  }

  /** Whether a bond loses all its members, and with them its MAC (__bond_release_one). */
  private forgetsMac(bond: ObservedLink): boolean {
    const members = bond.view.kind === 'bond' ? this.observed.portsOf(bond) : [];
    return (
      members.length > 0 &&
      members.every(({ key }) => {
        const kept = this.kept.get(key);
        return kept === undefined ? this.removedKeys.has(key) : this.leavesMaster(kept);
      })
    );
  }

  private changeMaster(link: KeptLink, early: Change): void {
    const { observed, wanted } = link;
    const { view, namespace } = observed;
    const down = changeOf(namespace, view.name, { up: true }, { up: false });
    const up = changeOf(namespace, view.name, { up: false }, { up: true });
    if (this.isRaisedFirst(link)) this.push('raise-first', up);
    const leaves = this.leavesMaster(link);
    if (leaves) this.resetPort(link);
    const master = this.observed.linkById(view.master);
    const current =
      master === undefined || this.removedKeys.has(master.key) ? null : master.view.name;
    if (wanted.master !== current) early.set('master', current, wanted.master);
    // One that leaves a bond, or whose lower link goes down, goes down by itself.
    if (!view.up || this.leavesBond(link)) return;
    const carrier = this.carrierOf(link);
    if (carrier !== undefined && this.falls(carrier)) return;
    if (this.isCycled(link)) this.push('links-down', down);
    else if (!wanted.up) early.set('up', true, false);
  }

  /** What a port has of its bridge goes when it leaves. */
  private resetPort({ observed, wanted }: KeptLink): void {
    const { view, namespace } = observed;
    const at = { namespace, name: view.name };
    const initial = initialPortOf(view.kind);
    // The cost of a port that nobody has set follows from its speed.
    const cost = this.statesCost(observed.key) ? view.port?.cost : initial.cost;
    const changed = view.port === null ? {} : differing({ ...view.port, cost }, initial);
    if (Object.keys(changed).length > 0) {
      const after = pick(initial, changed);
      this.push('reset-ports', changeOf(namespace, view.name, { port: changed }, { port: after }));
    }
    if (wanted.kind === 'bridge' || view.vlans === null) return;
    const before = view.vlans;
    if (sameVlans(before, initialVlans)) return;
    const after = [...initialVlans];
    this.push('reset-ports', { kind: 'change-vlans', ...at, self: false, before, after });
  }

  private statesCost(key: string): boolean {
    return this.base?.links.get(key)?.port?.cost !== undefined;
  }

  /** A bond gives its members its MTU when that changes: what differs goes back to it before. */
  private followBond(link: KeptLink): void {
    if (this.joinsMaster(link)) return;
    const { observed } = link;
    const bond = this.observed.linkById(observed.view.master)?.view;
    const { mtu, name } = observed.view;
    if (bond === undefined || bond.mtu === mtu) return;
    this.push('shrink-devices', changeOf(observed.namespace, name, { mtu }, { mtu: bond.mtu }));
  }

  /** Devices on others shrink before what is below them, and grow after it. */
  private shrinkDevice(wanted: NetworkLink): void {
    const mtus = this.deviceMtus(wanted);
    if (mtus === null || mtus.least >= mtus.before) return;
    this.changeMtu('shrink-devices', wanted, mtus.before, mtus.least);
  }

  private growDevice(wanted: NetworkLink): void {
    const mtus = this.deviceMtus(wanted);
    if (mtus === null || mtus.after <= mtus.least) return;
    this.changeMtu('settle-mtus', wanted, mtus.least, mtus.after);
  }

  private changeMtu(phase: Phase, link: NetworkLink, before: number, mtu: number): void {
    this.push(phase, changeOf(link.namespace, link.name, { mtu: before }, { mtu }));
  }

  /** Of a device on another that stays; null where a bond sees to its MTU. */
  private deviceMtus(
    wanted: NetworkLink,
  ): { readonly before: number; readonly least: number; readonly after: number } | null {
    const kept = this.kept.get(keyOf(wanted));
    if (kept === undefined || parentOf(wanted.device) === null) return null;
    if (this.wantedMasterKind(wanted) === 'bond' || this.leavesBond(kept)) return null;
    const before = kept.observed.view.mtu;
    const after = this.mtuOf(wanted) ?? before;
    return { before, least: Math.min(before, after, this.leastMtuBelow(wanted)), after };
  }

  /** What a device may shrink to with what is below it, which may be a bridge that follows its ports for a moment. */
  private leastMtuBelow({ namespace, device }: NetworkLink, depth = 0): number {
    if (device === null || device.kind === 'vxlan' || depth > 100) return Infinity;
    const [lower] = this.wantedAt(namespace, parentOf(device));
    const kept = lower === undefined ? undefined : this.kept.get(keyOf(lower));
    if (lower === undefined || kept === undefined) return Infinity;
    if (lower.kind === 'internal') return this.mtuOf(lower) ?? Infinity;
    if (lower.kind !== 'bridge') return this.leastMtuBelow(lower, depth + 1);
    const automatic = smallestMtu(this.portMtus(lower, kept.observed));
    return this.mayFollow(kept.observed, lower, automatic) ? automatic : Infinity;
  }

  private changeBridge(
    { view, namespace, key }: ObservedLink,
    wanted: BridgeSettings,
    early: Change,
    late: Change,
  ): void {
    const before: SomeBridgeSettings = differing(lastingSettings(view, null), wanted);
    const given = view.follower === true ? this.base?.links.get(key)?.bridge : null;
    const times = differing(pick(given ?? {}, ownTimes), wanted);
    if (Object.keys(times).length > 0) {
      const after = { bridge: pick(wanted, times) };
      this.push('prepare-bridges', {
        ...{ kind: 'change-link', namespace, name: view.name, before: { bridge: times }, after },
        unseen: true,
      });
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
      const initial = initialPortOf(wanted.device?.kind ?? wanted.kind);
      const before: PortSettings = (stays ? kept.port : null) ?? initial;
      const cost = this.statesCost(keyOf(wanted)) ? initial.cost : before.cost;
      const port = { ...before, cost, ...wanted.port };
      const changed = differing(before, port);
      if (Object.keys(changed).length > 0) {
        const after = pick(port, changed);
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
    this.planExtras(name, kept ? this.observed.namespacesByName.get(name) : undefined, wanted);
  }

  /** The realm's own namespace is nobody's: of what a router needs there, only what a lab asks for is changed. */
  private planInternet(): void {
    const wanted = this.desired.internet;
    const had = this.base?.internet ?? null;
    if (wanted === null && had === null) return;
    const view = this.observed.realm;
    const rules = view?.rules ?? null;
    // Rules bear the name of their lab: those that are as wanted are ours.
    if (wanted !== null && had === null && rules !== null && rules !== wanted.rules) {
      this.refusals.push(
        failureOf('name-taken', 'internet-taken', wanted.node, { node: wanted.node }),
      );
      return;
    }
    this.planExtras(null, view, {
      forwarding: { ipv4: wanted !== null, ipv6: view?.forwarding.ipv6 ?? false },
      rules: wanted?.rules ?? null,
    });
  }

  private planExtras(
    namespace: string | null,
    view: NamespaceView | undefined,
    wanted: Pick<NetworkNamespace, 'forwarding' | 'rules'>,
  ): void {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const before = view?.forwarding[family] ?? false;
      const after = wanted.forwarding[family];
      if (before === after) continue;
      this.push('forwarding', {
        kind: 'change-forwarding',
        namespace,
        family,
        before,
        after,
      });
    }
    const before = view?.rules ?? null;
    if (before === wanted.rules) return;
    this.push('rules', { kind: 'change-rules', namespace, before, after: wanted.rules });
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
      this.desired.processes.map((process) => [linkKey(process.namespace, process.name), process]),
    );
    const running = new Set<string>();
    const { realm } = this.observed;
    const views: readonly (readonly [string | null, NamespaceView])[] = [
      ...(realm === undefined ? [] : [[null, realm] as const]),
      ...this.observed.namespacesByName,
    ];
    for (const [namespace, view] of views) {
      if (this.observed.nameOf(view.id) !== namespace) continue;
      for (const { lab, name, command, uid } of view.runs) {
        if (lab !== this.lab) continue;
        const key = linkKey(namespace, name);
        const process = wanted.get(key);
        const held = process?.devices.some(
          (device) => this.removedKeys.has(device) || !this.kept.has(device),
        );
        if (process !== undefined && sameWords(process.command, command) && held !== true) {
          running.add(key);
          continue;
        }
        this.push('stop-processes', {
          kind: 'stop-process',
          namespace,
          name,
          command,
          ...(uid === undefined ? {} : { uid }),
        });
      }
    }
    for (const [key, { namespace, name, command }] of wanted) {
      if (running.has(key)) continue;
      const phase = isCollector(name, command) ? 'start-collectors' : 'start-processes';
      this.push(phase, { kind: 'start-process', namespace, name, command });
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
      this.push('settle-mtus', change);
      return;
    }
    const before = bridge.view.mtu;
    const mtu = wanted.mtu ?? automatic;
    if (before === mtu && !this.mayFollow(bridge, wanted, automatic)) return;
    this.changeMtu('settle-mtus', wanted, before, mtu);
  }

  /** Whether a bridge with a pinned MTU may yet follow its ports: there is no telling whether it still does. */
  private mayFollow(bridge: ObservedLink, { mtu }: NetworkLink, automatic: number): boolean {
    if (mtu === null || automatic === mtu) return false;
    return automatic !== smallestMtu(this.observed.portsOf(bridge).map((port) => port.view.mtu));
  }

  /** Whether a link may be below 1280 for a moment, where IPv6 ends. */
  private passesSmallMtu({ observed, wanted }: KeptLink): boolean {
    if (wanted.kind !== 'bridge') {
      const mtus = this.deviceMtus(wanted);
      return mtus !== null && mtus.least < smallestIpv6Mtu && mtus.before >= smallestIpv6Mtu;
    }
    const before = smallestMtu(this.observed.portsOf(observed).map((port) => port.view.mtu));
    const after = smallestMtu(this.portMtus(wanted, observed));
    return before < smallestIpv6Mtu !== after < smallestIpv6Mtu;
  }

  private portMtus(wanted: NetworkLink, bridge: ObservedLink | undefined): readonly number[] {
    const foreign =
      bridge === undefined
        ? []
        : this.observed
            .portsOf(bridge)
            .filter((port) => !this.kept.has(port.key) && !this.removedKeys.has(port.key))
            .filter((port) => !this.detaching.has(port.key))
            .map((port) => port.view.mtu);
    const ours = this.wantedPorts().get(keyOf(wanted)) ?? [];
    const uplink = this.uplinkOf(wanted);
    const mtuOf = (port: NetworkLink): number =>
      this.mtuOf(port) ?? this.kept.get(keyOf(port))?.observed.view.mtu ?? defaultMtu;
    const coming = uplink === undefined || bridge === undefined ? [] : [uplink.view.mtu];
    return [...ours.map(mtuOf), ...foreign, ...coming];
  }

  private uplinkOf(wanted: NetworkLink): ObservedLink | undefined {
    const name = this.desired.uplinks.get(keyOf(wanted));
    return name === undefined
      ? undefined
      : this.observed.links.get(linkKey(wanted.namespace, name));
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

  // Addresses

  private changeAddresses({ observed, wanted }: KeptLink): void {
    const { view, namespace, key } = observed;
    const label = this.labelOf(namespace, view.name);
    const present = givenAddresses(view).filter((address) => !this.isOfUplink(observed, address));
    const texts = new Set(present.map((address) => address.address));
    const wantedTexts = new Set(wanted.addresses);
    const goesDown = this.falls({ observed, wanted });
    const flushesIpv6 =
      this.isUnsettled({ observed, wanted }) || this.passesSmallMtu({ observed, wanted });
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
      if (!ours && route.link !== null && this.movesWithUplink(route.link, route)) {
        staying.push(route);
        continue;
      }
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
    if (this.falls(link)) return true;
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

interface SortedNamespaces {
  readonly kept: ReadonlySet<string>;
  readonly removed: readonly string[];
}

function groupBySwitch({ links }: Network): ReadonlyMap<string, readonly NetworkLink[]> {
  const groups = new Map<string, NetworkLink[]>();
  for (const link of links.values()) {
    if (link.switch === null || (link.kind === 'internal' && link.mtu === null)) continue;
    const key = linkKey(link.namespace, link.switch);
    const list = groups.get(key);
    if (list === undefined) groups.set(key, [link]);
    else list.push(link);
  }
  return groups;
}

interface AttachedUplink {
  readonly bridge: ObservedLink;
  readonly uplink: ObservedLink;
}

type UplinkOperation = Extract<Operation, { readonly kind: 'attach-uplink' | 'detach-uplink' }>;

type RouteKeyParts = Pick<NetworkRoute, 'to' | 'via' | 'metric'> & { readonly owned: boolean };

/** What a bridge does not take as a port (br_add_if), and what is a bridge's own business. */
const unfitKinds: ReadonlySet<string> = new Set(['loopback', 'bridge', 'gre', 'ipip', 'vrf']);

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

const ownTimes: Pick<BridgeSettings, (typeof treeTimes)[number]> = initialBridge;

/**
 * What a bridge shows but for what its spanning tree makes of it: the root's times, and the shorter ageing of a topology
 * change (__br_set_topology_change). Instead of those what the bridge was given, where that is known.
 */
function lastingSettings(
  { bridge, follower }: LinkView,
  given: BridgeSettings | null,
): SomeBridgeSettings {
  const observed = bridge ?? {};
  const passing = new Set<string>(follower === true ? treeTimes : []);
  if (observed.stp === true && observed.ageingTime === 2 * (observed.forwardDelay ?? 0)) {
    passing.add('ageingTime');
  }
  return Object.fromEntries(
    Object.entries(observed).flatMap(([field, value]) => {
      if (!passing.has(field)) return [[field, value]];
      return given === null ? [] : [[field, given[field as keyof BridgeSettings]]];
    }),
  );
}

/** The fields of `one` that `fields` has. */
function pick<T extends object>(one: T, fields: object): Partial<T> {
  return Object.fromEntries(
    Object.entries(one).filter(([key]) => Object.hasOwn(fields, key)),
  ) as Partial<T>;
}

function isGroup(device: Device): boolean {
  return device.kind === 'bond' || device.kind === 'vrf';
}

/** Of a new port; the cost is that of what does not say how fast it is, unless it is a veth pair (port_cost). */
function initialPortOf(kind: string): PortSettings {
  return kind === 'veth' ? initialPort : { ...initialPort, cost: 100 };
}

function sameVlans(one: readonly VlanEntry[], other: readonly VlanEntry[]): boolean {
  const text = (entries: readonly VlanEntry[]): string =>
    entries.map(({ id, pvid, untagged }) => `${id} ${pvid} ${untagged}`).join();
  return text(one) === text(other);
}

function sameWords(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}
