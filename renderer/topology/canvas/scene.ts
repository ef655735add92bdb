/**
 * The picture as data: what is drawn, and in which state, from document, inventory and plan. Pure, so that it can be
 * tested without a canvas.
 */
import {
  type BondMember,
  type BridgeNode,
  type CheckResult,
  emptyInventory,
  type Impairment,
  type Inventory,
  type LabDocument,
  type LinkView,
  type VirtualMachineNode,
  type NamespaceView,
  type OvsBridgeNode,
  type OvsBridgeView,
  parseEndpoint,
  type Plan,
  type PlanStep,
} from '../../../agent/api/index.ts';
import { internetInterface } from '../../../agent/lab/network.ts';
import { impairmentOf } from '../../../agent/lab/device.ts';
import { addedKindOf, addressesOf, homeOf, isDeviceKind, sameHost } from '../document/devices.ts';
import { commonOf, isBridgeKind, type MarkKind } from '../document/node-kinds.ts';
import {
  forwardingOf,
  heldAddresses,
  interfacesOf,
  isKernelPort,
  liveVlans,
  programOf,
  machineRunOf,
  type MachineRun,
  type WantedInterface,
  wantedVlans,
} from '../live.ts';
import {
  blockedState,
  isEngineLink,
  ovsPortOf,
  type OvsPortView,
  type PortVlans,
  portVlansOf,
  usesVlans,
  wantedOvsVlan,
} from '../ovs-view.ts';

/** `real` is in the kernel and in the document; `wanted` only in the document; `foreign` only in the kernel. */
export type Presence = 'real' | 'wanted' | 'foreign';
export type Difference = 'add' | 'remove' | 'change' | null;

export interface SceneInterface {
  /** `NODE:INTERFACE` for the lab's own, the inventory's id for what is foreign. */
  readonly id: string;
  readonly name: string;
  readonly address: string | null;
  readonly moreAddresses: number;
  readonly presence: Presence;
  readonly difference: Difference;
  /** In force, but the kernel says otherwise. */
  readonly drifted: boolean;
  readonly up: boolean | null;
  /** Scene id of the interface at the other end of its wire. */
  readonly peer: string | null;
  /** Kind of the device that it is; null for the end of a veth pair and what else there may be. */
  readonly device: MarkKind | null;
  /** Number that tells it from others of its kind: a VLAN's, a VNI, a routing table. */
  readonly number: number | null;
  /** Name of the interface that it stands on. */
  readonly parent: string | null;
  /** The bond that it is a member of; `state` is null while nobody knows. */
  readonly bond: { readonly name: string; readonly state: BondMember | null } | null;
  /** Names of the members, for a bond or VRF. */
  readonly members: readonly string[];
  /** For the port of a bridge that filters. */
  readonly vlans: PortVlans | null;
  readonly isolated: boolean;
  /** State of the spanning tree in which the port does not forward. */
  readonly blocked: string | null;
  readonly impairment: Impairment | null;
  /** For a tap or tun that is there: who holds it; empty for nobody. */
  readonly holders: readonly string[] | null;
  /** The way out of its bridge, through a NIC that the lab did not make. */
  readonly uplink: boolean;
  /** Why Open vSwitch could not have it. */
  readonly error: string | null;
}

export interface SceneNode {
  /** Node name, or `foreign:` and the inventory's id. */
  readonly id: string;
  readonly title: string;
  readonly kind: 'namespace' | 'bridge' | 'ovs-bridge' | 'internet' | 'vm' | 'device';
  readonly presence: Presence;
  readonly difference: Difference;
  readonly drifted: boolean;
  /** The node that it sits in, for a bridge inside a namespace. */
  readonly within: string | null;
  /** One quiet line: addresses of a bridge, processes of a namespace. */
  readonly note: string | null;
  /** Forwards packets between its interfaces. */
  readonly router: boolean;
  /** Number of rules of address translation. */
  readonly nat: number;
  readonly filter: boolean;
  /** Root of its spanning tree. */
  readonly root: boolean;
  /** Processes that the lab runs in it; `running` is null while the lab is not up. */
  readonly runs: readonly { readonly name: string; readonly running: boolean | null }[];
  readonly interfaces: readonly SceneInterface[];
}

export interface SceneWire {
  readonly id: string;
  /** Index in the document's links; null for a foreign wire. */
  readonly index: number | null;
  readonly ends: readonly [SceneEnd, SceneEnd];
  readonly presence: Presence;
  readonly difference: Difference;
  readonly carrier: boolean | null;
  /**
   * `tunnel` carries one wire over the network, `overlay` is two tunnel devices that point at each other, `patch` a pair
   * of patch ports.
   */
  readonly kind: 'veth' | 'tunnel' | 'overlay' | 'patch';
  /** What its packets run over: lit while it is selected. */
  readonly underlay: Underlay;
}

export interface Underlay {
  /** Scene ids of the interfaces that bear its addresses. */
  readonly interfaces: readonly string[];
  /** Ids of the wires between them. */
  readonly wires: readonly string[];
}

export interface SceneEnd {
  readonly node: string;
  readonly interface: string;
}

export interface Scene {
  readonly nodes: readonly SceneNode[];
  readonly wires: readonly SceneWire[];
}

export interface SceneInput {
  readonly document: LabDocument | null;
  readonly inventory: Inventory | null;
  readonly lab: string;
  readonly plan: Pick<Plan, 'steps'> | null;
  readonly checks: readonly CheckResult[];
  /** Whether the kernel differs from what is in force. */
  readonly drifted: boolean;
}

/** Looks at the kernel through the lab's own names. */
class KernelView {
  readonly #inventory: Inventory | null;
  readonly lab: string;
  readonly #linksByNamespace = new Map<string, LinkView[]>();
  readonly #namespaceByName = new Map<string, NamespaceView>();
  readonly root: NamespaceView | null;

  constructor(inventory: Inventory | null, lab: string) {
    this.#inventory = inventory;
    this.lab = lab;
    this.root = inventory?.namespaces.find((namespace) => namespace.root) ?? null;
    for (const namespace of inventory?.namespaces ?? []) {
      for (const name of namespace.names) this.#namespaceByName.set(name, namespace);
    }
    for (const link of inventory?.links ?? []) {
      if (isFallback(link) || isEngineLink(inventory, link)) continue;
      const links = this.#linksByNamespace.get(link.namespace);
      if (links === undefined) this.#linksByNamespace.set(link.namespace, [link]);
      else links.push(link);
    }
  }

  /** The lab's own namespace of that name. */
  namespace(name: string): NamespaceView | null {
    const namespace = this.#namespaceByName.get(name);
    return namespace?.lab === this.lab ? namespace : null;
  }

  links(namespace: NamespaceView | null): readonly LinkView[] {
    return namespace === null ? [] : (this.#linksByNamespace.get(namespace.id) ?? []);
  }

  link(namespace: NamespaceView | null, name: string): LinkView | null {
    return this.links(namespace).find((link) => link.name === name && this.owns(link)) ?? null;
  }

  /** A link of nobody's lab, which a lab may use: it is there before it is a port, and keeps its settings then. */
  nic(namespace: NamespaceView | null, name: string): LinkView | null {
    return this.links(namespace).find((link) => link.name === name && link.lab === null) ?? null;
  }

  owns(link: LinkView): boolean {
    return link.lab === this.lab;
  }

  get inventory(): Inventory {
    return this.#inventory ?? emptyInventory;
  }

  /** Bridges of somebody else's in a namespace's Open vSwitch, with the links among these that are their ports. */
  foreignOvsPorts(
    namespace: NamespaceView,
    links: readonly LinkView[],
  ): ReadonlyMap<string, ReadonlySet<string>> {
    const engine = this.#inventory?.engines.find((each) => each.namespace === namespace.id);
    const names = new Set(links.map((link) => link.name));
    return new Map(
      (engine?.bridges ?? [])
        .filter((view) => view.lab !== this.lab && names.has(view.bridge.name))
        .map(({ bridge }) => {
          const ports = bridge.ports.flatMap((port) => port.interfaces.map(({ name }) => name));
          const own = ports.filter((name) => name !== bridge.name && names.has(name));
          return [bridge.name, new Set(own)] as const;
        }),
    );
  }

  /** A bridge of the lab in any Open vSwitch of the realm. */
  anyOvsBridge(name: string): OvsBridgeView | null {
    const all = (this.#inventory?.engines ?? []).flatMap((engine) => engine.bridges);
    return all.find((view) => view.bridge.name === name && view.lab === this.lab) ?? null;
  }

  /** An Open vSwitch bridge of the lab, by what its Open vSwitch says. */
  ovsBridge(namespace: NamespaceView | null, name: string): OvsBridgeView | null {
    const engine = this.#inventory?.engines.find((each) => each.namespace === namespace?.id);
    const view = engine?.bridges.find((each) => each.bridge.name === name);
    return view?.lab === this.lab ? view : null;
  }
}

/** Steps of a plan by what they touch. */
class PlanView {
  readonly #node = new Map<string, PlanStep[]>();
  readonly #interface = new Map<string, PlanStep[]>();

  constructor(plan: Pick<Plan, 'steps'> | null) {
    for (const step of plan?.steps ?? []) {
      for (const target of step.targets) {
        const [map, key] =
          target.interface === null || target.interface === target.node
            ? [this.#node, target.node]
            : [this.#interface, `${target.node}:${target.interface}`];
        const steps = map.get(key);
        if (steps === undefined) map.set(key, [step]);
        else steps.push(step);
      }
    }
  }

  node(name: string): Difference {
    return differenceOf(
      this.#node.get(name) ?? [],
      new Set(['namespace', 'bridge', 'ovs-bridge', 'machine']),
    );
  }

  /** The realm's own namespace is there anyway; its rules make it the way out. */
  internet(name: string): Difference {
    return differenceOf(this.#node.get(name) ?? [], new Set(['rules']));
  }

  interface(id: string): Difference {
    return differenceOf(this.#interface.get(id) ?? [], new Set(['veth', 'device']));
  }

  removedNodes(): string[] {
    return [...this.#node.keys()].filter((name) => this.node(name) === 'remove');
  }
}

/** Adding or removing the object itself outweighs changes to it; both at once is a change. */
function differenceOf(steps: readonly PlanStep[], own: ReadonlySet<string>): Difference {
  const verbs = new Set(steps.filter((step) => own.has(step.object)).map((step) => step.verb));
  if (verbs.has('add') && verbs.has('remove')) return 'change';
  if (verbs.has('add')) return 'add';
  if (verbs.has('remove')) return 'remove';
  return steps.length > 0 ? 'change' : null;
}

/** While a plan is carried out, what has appeared is no longer to be added: the drawing fills in. */
function pending(difference: Difference, real: boolean): Difference {
  return difference === 'add' && real ? null : difference;
}

/** Builds the picture. Linear in the size of document and inventory. */
export function buildScene(input: SceneInput): Scene {
  const kernel = new KernelView(input.inventory, input.lab);
  const plan = new PlanView(input.plan);
  const nodes = input.document?.topology.nodes ?? {};
  const links = input.document?.topology.links ?? [];

  const wires: SceneWire[] = [];
  const peers = new Map<string, string>();
  const join = (
    ends: readonly [SceneEnd, SceneEnd],
    wire: Pick<SceneWire, 'id' | 'index' | 'kind' | 'underlay'>,
  ) => {
    const ids = [endId(ends[0]), endId(ends[1])] as const;
    peers.set(ids[0], ids[1]);
    peers.set(ids[1], ids[0]);
    // Of a machine's card there is the other end, while the machine runs.
    const outside = ends.filter((end) => nodes[end.node]?.kind !== 'vm');
    const live = outside.map((end) => endState(kernel, nodes, end));
    const running = ends.every(
      (end) => outside.includes(end) || machineRunOf(input.inventory, input.lab, end.node) !== null,
    );
    const real = running && live.every((view) => view !== null);
    const differences = ids.map((id) => plan.interface(id));
    wires.push({
      ...wire,
      ends,
      presence: real ? 'real' : 'wanted',
      difference: pending(
        differences.find((difference) => difference === 'add' || difference === 'remove') ?? null,
        real,
      ),
      carrier: real ? live.every((view) => view?.carrier !== false) : null,
    });
  };
  links.forEach((link, index) => {
    const [first, second] = link.endpoints.map(parseEndpoint);
    if (first === undefined || second === undefined) return;
    if (!(first.node in nodes) || !(second.node in nodes)) return;
    const tunnel = link.type === 'tunnel';
    const underlay =
      tunnel && input.document !== null
        ? underlayOf(input.document, [first.node, second.node], link.underlay)
        : nothingBelow;
    join([first, second], {
      id: `link:${index}`,
      index,
      kind: tunnel ? 'tunnel' : link.type === 'patch' ? 'patch' : 'veth',
      underlay,
    });
  });
  for (const overlay of input.document === null ? [] : overlaysOf(input.document)) {
    const [one, other] = overlay.ends;
    if (peers.has(endId(one)) || peers.has(endId(other))) continue;
    join(overlay.ends, {
      id: `overlay:${endId(one)}|${endId(other)}`,
      index: null,
      kind: 'overlay',
      underlay: overlay.underlay,
    });
  }

  /** Whether a machine's taps are there: then it ran, or is about to. */
  const started = (machine: string): boolean =>
    links
      .flatMap(({ endpoints }) => endpoints.map(parseEndpoint))
      .some((end) => {
        const [node = '', name = ''] = (peers.get(endId(end)) ?? '').split(':');
        if (end.node !== machine || !(node in nodes)) return false;
        return kernel.link(namespaceOfNode(kernel, nodes, node), name) !== null;
      });

  const drawn = new Set<string>();
  /** NICs that are drawn as ports of the lab's: what is at their other ends may be drawn too. */
  const outsideEnds = new Map<string, SceneEnd>();
  const roots = rootBridges(kernel, nodes, wires);
  const sceneNodes: SceneNode[] = Object.entries(nodes).map(([name, node]): SceneNode => {
    const namespace = namespaceOfNode(kernel, nodes, name);
    const own = isBridgeKind(node.kind) ? kernel.link(namespace, name) : null;
    const ovs = node.kind === 'ovs-bridge' ? kernel.ovsBridge(namespace, name) : null;
    const machine = node.kind === 'vm' ? machineRunOf(input.inventory, input.lab, name) : null;
    const wayOut =
      node.kind === 'internet'
        ? kernel.links(namespace).find((link) => link.name === internetInterface)
        : undefined;
    if (wayOut !== undefined) drawn.add(wayOut.id);
    const exists =
      node.kind === 'vm'
        ? machine !== null
        : isBridgeKind(node.kind)
          ? own !== null || ovs !== null
          : node.kind === 'internet'
            ? (namespace?.rules ?? null) !== null
            : namespace !== null;
    if (own !== null) drawn.add(own.id);
    const filtering =
      node.kind === 'bridge' && (own?.bridge?.vlanFiltering ?? node.vlanFiltering ?? false);
    const stp = node.kind === 'bridge' && (own?.bridge?.stp ?? node.stp ?? false);
    const telling = node.kind === 'ovs-bridge' && usesVlans(node, ovs);
    const interfaces = input.document === null ? [] : interfacesOf(input.document, name);
    const wanted = interfaces.map((each): SceneInterface => {
      const nic = each.device === 'physical' ? kernel.nic(namespace, each.name) : null;
      const live = nic ?? kernel.link(namespace, each.name);
      if (live !== null) drawn.add(live.id);
      if (nic !== null) outsideEnds.set(nic.id, { node: name, interface: each.name });
      const port = ovsPortOf(ovs, each.name);
      // A bond, a tunnel and a patch port are there when Open vSwitch has them; it takes no link of the kernel.
      const there =
        (live !== null && nic === null) ||
        machine !== null ||
        (node.kind === 'ovs-bridge' && !isKernelPort(each) && port !== null);
      const id = `${name}:${each.name}`;
      const wantedAddresses =
        input.document === null ? [] : heldAddresses(input.document, name, each.name).addresses;
      return {
        id,
        name: each.name,
        ...addressLine(live === null ? wantedAddresses : liveAddresses(live, wantedAddresses)),
        presence: there ? 'real' : 'wanted',
        difference: pending(node.kind === 'vm' ? plan.node(name) : plan.interface(id), there),
        drifted:
          (nic === null && driftedInterface(live, wantedAddresses)) ||
          (nic === null &&
            live !== null &&
            input.drifted &&
            isOddState(live, commonOf(each.settings))) ||
          (input.drifted && ovs !== null && (there || nic !== null) && port === null),
        up: live?.up ?? port?.state?.linkUp ?? null,
        peer: peers.get(id) ?? nic?.peer ?? null,
        ...deviceFacts(each, interfaces, live),
        ...(port === null ? {} : ovsFacts(each, interfaces, port)),
        vlans: filtering ? vlansOf(each, live) : telling ? ovsVlans(each, interfaces, port) : null,
        isolated: live?.port?.isolated ?? isolatedOf(each),
        blocked: stp ? blockedOf(live) : blockedState(port?.state ?? null),
        uplink: false,
        error: port?.state?.error ?? null,
      };
    });
    const outward =
      (node.kind === 'bridge' || node.kind === 'ovs-bridge') && input.document !== null
        ? uplinkOf(kernel, input.document, name, node, drawn)
        : [];
    const foreign =
      node.kind === 'namespace' && namespace !== null
        ? kernel
            .links(namespace)
            .filter((link) => link.kind !== 'loopback' && !drawn.has(link.id))
            .filter((link) => !(kernel.owns(link) && isPartOfBridge(input.document, name, link)))
            .map((link) => foreignInterface(link, drawn))
        : [];
    return {
      id: name,
      title: name,
      kind: node.kind,
      presence: exists ? 'real' : 'wanted',
      difference: pending(node.kind === 'internet' ? plan.internet(name) : plan.node(name), exists),
      drifted: own !== null && input.drifted && isOddState(own, bridgeState(node)),
      within: 'namespace' in node ? (node.namespace ?? null) : null,
      ...nodeFacts(node, namespace),
      ...(node.kind === 'vm' ? { runs: [machineLine(node, machine, started(name))] } : {}),
      note:
        node.kind === 'bridge' || node.kind === 'ovs-bridge'
          ? bridgeNote(
              input.document === null ? [] : heldAddresses(input.document, name, name).addresses,
              own,
            )
          : node.kind === 'internet'
            ? (wayOut?.name ?? null)
            : node.kind !== 'namespace' || (node.run ?? []).length > 0
              ? null
              : processNote(namespace),
      root: roots.has(name),
      interfaces: [...wanted, ...outward, ...foreign],
    };
  });

  for (const name of plan.removedNodes()) {
    if (name in nodes) continue;
    const node = removedNode(kernel, name, drawn);
    if (node !== null) sceneNodes.push(node);
  }
  addForeign(kernel, sceneNodes, wires, drawn, outsideEnds);
  return { nodes: sceneNodes, wires };
}

type Nodes = LabDocument['topology']['nodes'];

const nothingBelow: Underlay = { interfaces: [], wires: [] };

/** What is no device has none of it. */
const plainFacts = {
  device: null,
  number: null,
  parent: null,
  bond: null,
  members: [],
  vlans: null,
  isolated: false,
  blocked: null,
  impairment: null,
  holders: null,
  uplink: false,
  error: null,
} as const;

const plainNode = { router: false, nat: 0, filter: false, root: false, runs: [] } as const;

/** The uplink of a bridge where the lab does not make it; one of the lab's own is drawn with its namespace. */
function uplinkOf(
  kernel: KernelView,
  document: LabDocument,
  name: string,
  node: BridgeNode | OvsBridgeNode,
  drawn: Set<string>,
): readonly SceneInterface[] {
  const { uplink, namespace } = node;
  if (uplink === undefined) return [];
  const own = namespace === undefined ? [] : interfacesOf(document, namespace);
  if (own.some((each) => each.name === uplink)) return [];
  const links = kernel.links(namespace === undefined ? kernel.root : kernel.namespace(namespace));
  const live = links.find((link) => link.name === uplink);
  if (live !== undefined) return [{ ...foreignInterface(live, drawn), device: null, uplink: true }];
  const absent: SceneInterface = {
    id: `${name}:${uplink}`,
    name: uplink,
    address: null,
    moreAddresses: 0,
    presence: 'wanted',
    difference: null,
    drifted: false,
    up: null,
    peer: null,
    ...plainFacts,
    uplink: true,
  };
  return [absent];
}

/** A link of a bridge that the document puts into this namespace is drawn with that bridge. */
function isPartOfBridge(document: LabDocument | null, namespace: string, link: LinkView): boolean {
  return Object.entries(document?.topology.nodes ?? {}).some(([name, node]) => {
    if (node.kind !== 'bridge' && node.kind !== 'ovs-bridge') return false;
    if (node.namespace !== namespace) return false;
    if (name === link.name) return true;
    // The userspace datapath is no master of its ports.
    return node.kind === 'bridge'
      ? link.master !== null
      : document !== null && interfacesOf(document, name).some((each) => each.name === link.name);
  });
}

function nodeFacts(
  node: Nodes[string],
  namespace: NamespaceView | null,
): Pick<SceneNode, 'router' | 'nat' | 'filter' | 'runs'> {
  if (node.kind !== 'namespace') return { router: false, nat: 0, filter: false, runs: [] };
  const forwarding = namespace?.forwarding ?? forwardingOf(node.forwarding);
  return {
    router: forwarding.ipv4 || forwarding.ipv6,
    nat: node.nat?.length ?? 0,
    filter: Object.keys(node.filter ?? {}).length > 0,
    runs: (node.run ?? []).map((run) => ({
      name: run.name,
      running: namespace === null ? null : namespace.runs.some((each) => each.name === run.name),
    })),
  };
}

/** What carries a machine, and its size. */
function machineLine(
  { memory, cpus }: VirtualMachineNode,
  run: MachineRun | null,
  started: boolean,
): SceneNode['runs'][number] {
  const virtualized = run?.virtualized ?? null;
  const carrier = virtualized === null ? 'QEMU' : virtualized ? 'QEMU KVM' : 'QEMU TCG';
  const name = [carrier, `${memory ?? 128} MiB`, ...(cpus === undefined ? [] : [`${cpus} CPU`])];
  return { name: name.join(' · '), running: run === null && !started ? null : run !== null };
}

function deviceFacts(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  live: LinkView | null,
): Pick<
  SceneInterface,
  'device' | 'number' | 'parent' | 'bond' | 'members' | 'impairment' | 'holders'
> {
  const { settings } = wanted;
  const bond = all.find(
    (each) => each.settings.kind === 'bond' && (each.settings.members ?? []).includes(wanted.name),
  );
  const device = wanted.device;
  return {
    device,
    number:
      'id' in settings
        ? settings.id
        : 'table' in settings
          ? settings.table
          : 'key' in settings
            ? (settings.key ?? null)
            : null,
    parent: 'parent' in settings ? (settings.parent ?? null) : null,
    members: 'members' in settings ? (settings.members ?? []) : [],
    bond: bond === undefined ? null : { name: bond.name, state: live?.bondMember ?? null },
    impairment: live === null ? impairmentOf(commonOf(settings).impairment) : live.impairment,
    holders: device === 'tap' || device === 'tun' ? (live === null ? null : holdersOf(live)) : null,
  };
}

/** What Open vSwitch says of a member of a bond. */
function ovsFacts(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  { port, state }: OvsPortView,
): Partial<Pick<SceneInterface, 'bond'>> {
  const bond = bondOf(wanted, all);
  const member = state?.bondMember ?? null;
  if (bond === null || member === null) return {};
  // Balancing, every member that may carry does.
  const active = member.active || (port.bond?.mode !== 'active-backup' && member.enabled);
  return {
    bond: { name: bond, state: { state: active ? 'active' : 'backup', linkUp: member.enabled } },
  };
}

function bondOf(wanted: WantedInterface, all: readonly WantedInterface[]): string | null {
  const bond = all.find(
    ({ settings }) =>
      settings.kind === 'bond' && (settings.members ?? []).some((name) => name === wanted.name),
  );
  return bond?.name ?? null;
}

/** Of a port as Open vSwitch has it, else as it is wanted; those of a bond's members are the bond's. */
function ovsVlans(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  port: OvsPortView | null,
): PortVlans | null {
  if (bondOf(wanted, all) !== null) return null;
  return portVlansOf(port?.port.vlan ?? wantedOvsVlan(wanted.settings));
}

function bridgeState(node: Nodes[string]): { readonly state?: 'up' | 'down' | undefined } {
  return 'state' in node ? { state: node.state } : {};
}

function holdersOf(link: LinkView): string[] {
  return [...new Set(link.holders.map((process) => programOf(process.command)))];
}

function vlansOf(wanted: WantedInterface, live: LinkView | null): PortVlans {
  const real = live?.vlans ?? null;
  if (real !== null) return liveVlans(real);
  const { settings } = wanted;
  return wantedVlans({
    vlan: 'vlan' in settings ? settings.vlan : undefined,
    trunk: 'trunk' in settings ? settings.trunk : undefined,
    native: 'native' in settings ? settings.native : undefined,
  });
}

function isolatedOf(wanted: WantedInterface): boolean {
  return 'isolated' in wanted.settings && wanted.settings.isolated === true;
}

function blockedOf(live: LinkView | null): string | null {
  const state = live?.portState ?? null;
  return state === null || state === 'forwarding' || state === 'disabled' ? null : state;
}

/**
 * The roots of the spanning trees that the kernel's bridges form: of those that run STP and are wired to each other,
 * the one with the lowest priority, then the lowest MAC address (IEEE 802.1D, 9.2.5). A bridge alone is no tree.
 */
function rootBridges(kernel: KernelView, nodes: Nodes, wires: readonly SceneWire[]): Set<string> {
  const identities = new Map<string, readonly [number, string]>();
  const ovsRoots = Object.entries(nodes).flatMap(([name, node]) => {
    if (node.kind !== 'ovs-bridge') return [];
    const view = kernel.ovsBridge(namespaceOfNode(kernel, nodes, name), name);
    // Every bridge of a tree but its root has a way there.
    const roles = (view?.interfaces ?? []).flatMap(({ treeRole }) => treeRole ?? []);
    const tree = view?.bridge.stp === true || view?.bridge.rstp === true;
    const wired = wires.some(
      ({ ends }) => ends.some((end) => end.node === name) && isWireOfTree(ends, nodes),
    );
    return tree && wired && roles.includes('designated') && !roles.includes('root') ? [name] : [];
  });
  for (const [name, node] of Object.entries(nodes)) {
    if (node.kind !== 'bridge') continue;
    const live = kernel.link(namespaceOfNode(kernel, nodes, name), name);
    if (live?.bridge?.stp !== true) continue;
    identities.set(name, [live.bridge.priority ?? node.priority ?? 32768, live.mac ?? '']);
  }
  const neighbours = new Map<string, string[]>();
  for (const wire of wires) {
    const [one, other] = wire.ends.map((end) => end.node);
    if (one === undefined || other === undefined || wire.presence !== 'real') continue;
    if (!identities.has(one) || !identities.has(other)) continue;
    neighbours.set(one, [...(neighbours.get(one) ?? []), other]);
    neighbours.set(other, [...(neighbours.get(other) ?? []), one]);
  }
  const roots = new Set<string>(ovsRoots);
  const seen = new Set<string>();
  for (const start of neighbours.keys()) {
    if (seen.has(start)) continue;
    const tree = reached(start, (name) => neighbours.get(name) ?? []);
    for (const name of tree) seen.add(name);
    const [lowest] = [...tree].sort((one, other) => {
      const [priority, mac] = identities.get(one) ?? [0, ''];
      const [otherPriority, otherMac] = identities.get(other) ?? [0, ''];
      return priority - otherPriority || (mac < otherMac ? -1 : 1);
    });
    if (lowest !== undefined) roots.add(lowest);
  }
  return roots;
}

function isWireOfTree(ends: SceneWire['ends'], nodes: Nodes): boolean {
  return ends.every((end) => isBridgeKind(nodes[end.node]?.kind));
}

function reached(start: string, next: (name: string) => readonly string[]): Set<string> {
  const found = new Set([start]);
  for (const name of found) for (const each of next(name)) found.add(each);
  return found;
}

export interface Overlay {
  readonly ends: readonly [SceneEnd, SceneEnd];
  readonly underlay: Underlay;
}

/** Pairs of tunnel devices of two nodes, each of which points at an address of the other. */
export function overlaysOf(document: LabDocument): Overlay[] {
  const ends = Object.keys(document.topology.nodes).flatMap((node) =>
    interfacesOf(document, node).flatMap(({ name, settings }) => {
      if (!('remote' in settings) || settings.remote === undefined) return [];
      const mark =
        'id' in settings ? settings.id : 'key' in settings ? (settings.key ?? null) : null;
      const local = 'local' in settings ? (settings.local ?? null) : null;
      const ovs = document.topology.nodes[node]?.kind === 'ovs-bridge';
      // What Open vSwitch calls GRE carries Ethernet, as the kernel's gretap does.
      const kind = ovs && settings.kind === 'gre' ? 'gretap' : settings.kind;
      return [{ node, interface: name, kind, mark, local, remote: settings.remote }];
    }),
  );
  if (ends.length === 0) return [];
  const held = new Map(
    [...new Set(ends.map((end) => end.node))].map((node) => [
      node,
      addressesOf(document, node).map((each) => each.address.host.text),
    ]),
  );
  type End = (typeof ends)[number];
  const pointsAt = (from: End, to: End) =>
    (held.get(to.node) ?? []).some((text) => sameHost(text, from.remote)) &&
    (to.local === null || sameHost(to.local, from.remote));
  const found: Overlay[] = [];
  const used = new Set<End>();
  for (const [index, one] of ends.entries()) {
    for (const other of ends.slice(index + 1)) {
      if (used.has(one) || used.has(other) || one.kind !== other.kind || one.mark !== other.mark) {
        continue;
      }
      if (homeOf(document, one.node) === homeOf(document, other.node)) continue;
      if (!pointsAt(one, other) || !pointsAt(other, one)) continue;
      used.add(one).add(other);
      found.push({
        ends: [
          { node: one.node, interface: one.interface },
          { node: other.node, interface: other.interface },
        ],
        underlay: underlayOf(document, [one.node, other.node], [other.remote, one.remote]),
      });
    }
  }
  return found;
}

/**
 * The interfaces that bear the addresses of a tunnel, and the wires between them where these lead from one to the
 * other through bridges alone. Through routers, the way is the routing tables' business and not guessed at.
 */
function underlayOf(
  document: LabDocument,
  nodes: readonly [string, string],
  addresses: readonly [string, string],
): Underlay {
  const bearers = nodes.flatMap((node, end) => {
    const address = addresses[end] ?? '';
    const held = addressesOf(document, node).find((each) =>
      sameHost(each.address.host.text, address),
    );
    return held === undefined ? [] : [held];
  });
  const [one, other] = bearers;
  const interfaces = bearers.map((held) => `${held.node}:${held.interface}`);
  if (one === undefined || other === undefined) return { interfaces, wires: [] };
  const wires = (document.topology.links ?? []).flatMap((link, index) => {
    const [first, second] = link.endpoints.map(parseEndpoint);
    return first === undefined || second === undefined || link.type === 'tunnel'
      ? []
      : [{ id: `link:${index}`, ends: [first, second] as const }];
  });
  const target = new Set(carriersOf(document, other.node, other.interface));
  // From each end that packets leave by, along wires and through bridges.
  interface Way {
    readonly at: SceneEnd;
    readonly wires: readonly string[];
  }
  const queue: Way[] = [...carriersOf(document, one.node, one.interface)].flatMap((id) => {
    const { node, interface: name } = parseEndpoint(id);
    return [{ at: { node, interface: name }, wires: [] }];
  });
  const seen = new Set<string>();
  for (const way of queue) {
    for (const wire of wires) {
      const end = wire.ends.findIndex((each) => endId(each) === endId(way.at));
      const far = end < 0 ? undefined : wire.ends[1 - end];
      if (far === undefined || seen.has(wire.id)) continue;
      seen.add(wire.id);
      const path = [...way.wires, wire.id];
      if (target.has(endId(far))) return { interfaces, wires: path };
      if (!isBridgeKind(document.topology.nodes[far.node]?.kind)) continue;
      // The bridge's own address is behind every port of it, and so is that of an internal port.
      if (other.node === far.node && isOwnPort(document, other.node, other.interface)) {
        return { interfaces, wires: path };
      }
      for (const { name } of interfacesOf(document, far.node)) {
        if (name !== far.interface)
          queue.push({ at: { node: far.node, interface: name }, wires: path });
      }
    }
  }
  return { interfaces, wires: [] };
}

/** The wired ends that carry the packets of an interface: itself, what it stands on, its members, a bridge's ports. */
function carriersOf(document: LabDocument, node: string, name: string): Set<string> {
  const all = new Map(interfacesOf(document, node).map((each) => [each.name, each]));
  if (isOwnPort(document, node, name)) {
    return new Set([...all.keys()].map((port) => `${node}:${port}`));
  }
  const names = reached(name, (each) => {
    const settings = all.get(each)?.settings;
    if (settings === undefined || addedKindOf(settings) === null) return [];
    return [
      ...('parent' in settings && settings.parent !== undefined ? [settings.parent] : []),
      ...('members' in settings ? (settings.members ?? []) : []),
    ];
  });
  return new Set([...names].map((each) => `${node}:${each}`));
}

/** A bridge's own interface, or an internal port of one of Open vSwitch. */
function isOwnPort(document: LabDocument, node: string, name: string): boolean {
  const wanted = document.topology.nodes[node];
  if (wanted?.kind === 'ovs-bridge' && wanted.ports?.[name]?.kind === 'internal') return true;
  return name === node && isBridgeKind(wanted?.kind);
}

/** Whether an end of a wire is there; null for one that is not. */
function endState(
  kernel: KernelView,
  nodes: Nodes,
  end: SceneEnd,
): { readonly carrier: boolean | null } | null {
  const namespace = namespaceOfNode(kernel, nodes, end.node);
  const link = kernel.link(namespace, end.interface);
  if (link !== null || nodes[end.node]?.kind !== 'ovs-bridge') return link;
  const port = ovsPortOf(kernel.ovsBridge(namespace, end.node), end.interface);
  const inside = port !== null && !['system', 'internal'].includes(port.interface?.kind ?? '');
  return inside ? { carrier: port.state?.linkUp ?? null } : null;
}

function endId(end: SceneEnd): string {
  return `${end.node}:${end.interface}`;
}

function namespaceOfNode(
  kernel: KernelView,
  nodes: LabDocument['topology']['nodes'],
  name: string,
): NamespaceView | null {
  const node = nodes[name];
  if (node?.kind === 'internet') return kernel.root;
  if (node?.kind !== 'bridge' && node?.kind !== 'ovs-bridge') return kernel.namespace(name);
  return node.namespace === undefined ? kernel.root : kernel.namespace(node.namespace);
}

function liveAddresses(link: LinkView, wanted: readonly string[]): string[] {
  // Addresses that the kernel makes by itself (fe80::) say nothing unless they were asked for.
  const shown = link.addresses.filter((address) => address.scope !== 'link' || address.owned);
  const order = (text: string) => {
    const index = wanted.indexOf(text);
    return index < 0 ? wanted.length : index;
  };
  return shown.map((address) => address.address).sort((one, other) => order(one) - order(other));
}

function addressLine(
  addresses: readonly string[],
): Pick<SceneInterface, 'address' | 'moreAddresses'> {
  return { address: addresses[0] ?? null, moreAddresses: Math.max(0, addresses.length - 1) };
}

/** Whether it is down that should be up, or up that should be down. */
function isOddState(
  live: LinkView,
  wanted: { readonly state?: 'up' | 'down' | undefined },
): boolean {
  return live.up !== (wanted.state !== 'down');
}

function driftedInterface(live: LinkView | null, wanted: readonly string[]): boolean {
  if (live === null) return false;
  return live.addresses.some(
    (address) => address.scope !== 'link' && !address.owned && !wanted.includes(address.address),
  );
}

/** Made by the kernel in every namespace once a tunnel module is there (fb_tunnels_only_for_init_net = 0). */
const fallbackNames: ReadonlySet<string> = new Set([
  ...['gre0', 'gretap0', 'erspan0', 'tunl0', 'sit0', 'ip_vti0'],
  ...['ip6gre0', 'ip6gretap0', 'ip6erspan0', 'ip6tnl0', 'ip6_vti0'],
]);

/** A fallback device that nobody uses says nothing about the lab; the host inventory has it. */
function isFallback(link: LinkView): boolean {
  const used = link.up || link.master !== null || link.alias !== null || link.addresses.length > 0;
  return fallbackNames.has(link.name) && !used;
}

function bridgeNote(wanted: readonly string[], live: LinkView | null): string | null {
  const addresses = live === null ? wanted : liveAddresses(live, wanted);
  return addresses.length === 0 ? null : addresses.join(' · ');
}

function processNote(namespace: NamespaceView | null): string | null {
  if (namespace === null || namespace.processCount === 0) return null;
  const commands = [...new Set(namespace.processes.map((process) => programOf(process.command)))];
  return commands.slice(0, 3).join(' · ') + (commands.length > 3 ? ' …' : '');
}

function foreignInterface(link: LinkView, drawn: Set<string>): SceneInterface {
  drawn.add(link.id);
  return {
    id: link.id,
    name: link.name,
    ...addressLine(liveAddresses(link, [])),
    presence: 'foreign',
    difference: null,
    drifted: false,
    up: link.up,
    peer: link.peer,
    ...plainFacts,
    ...liveFacts(link),
  };
}

function liveFacts(link: LinkView): Pick<SceneInterface, 'device' | 'number' | 'holders'> {
  const { device } = link;
  const kind = device?.kind ?? (isDeviceKind(link.kind) ? link.kind : null);
  return {
    device: kind,
    number:
      device !== null && 'id' in device
        ? device.id
        : device !== null && 'table' in device
          ? device.table
          : null,
    holders: kind === 'tap' || kind === 'tun' ? holdersOf(link) : null,
  };
}

/** A node that the plan takes away and the document no longer has. */
function removedNode(kernel: KernelView, name: string, drawn: Set<string>): SceneNode | null {
  const bridge = kernel.link(kernel.root, name);
  const namespace = kernel.namespace(name);
  const machine = machineRunOf(kernel.inventory, kernel.lab, name);
  const ovs = kernel.anyOvsBridge(name);
  if (bridge === null && namespace === null && machine === null && ovs === null) return null;
  if (bridge !== null) drawn.add(bridge.id);
  return {
    id: name,
    title: name,
    kind:
      ovs !== null
        ? 'ovs-bridge'
        : bridge !== null
          ? 'bridge'
          : namespace !== null
            ? 'namespace'
            : 'vm',
    presence: 'real',
    difference: 'remove',
    drifted: false,
    within: null,
    note: null,
    ...plainNode,
    interfaces: kernel
      .links(namespace)
      .filter((link) => link.kind !== 'loopback')
      .map((link) => {
        drawn.add(link.id);
        return {
          id: `${name}:${link.name}`,
          name: link.name,
          ...addressLine(liveAddresses(link, [])),
          presence: 'real' as const,
          difference: 'remove' as const,
          drifted: false,
          up: link.up,
          peer: null,
          ...plainFacts,
          ...liveFacts(link),
        };
      }),
  };
}

/** Everything else in the realm: not the lab's, shown apart and never touched. */
function addForeign(
  kernel: KernelView,
  nodes: SceneNode[],
  wires: SceneWire[],
  drawn: Set<string>,
  outsideEnds: ReadonlyMap<string, SceneEnd>,
): void {
  const labNamespaces = new Set(
    nodes.map((node) => kernel.namespace(node.id)?.id).filter((id) => id !== undefined),
  );
  const ownerOf = new Map<string, SceneEnd>(outsideEnds);
  for (const node of nodes) {
    for (const item of node.interfaces) ownerOf.set(item.id, { node: node.id, interface: item.id });
  }
  for (const namespace of kernel.inventory.namespaces) {
    const own = labNamespaces.has(namespace.id);
    const links = kernel
      .links(namespace)
      .filter((link) => link.kind !== 'loopback' && !drawn.has(link.id));
    if (namespace.root || own) {
      const portsOf = kernel.foreignOvsPorts(namespace, links);
      for (const link of links) {
        // A port of somebody's Open vSwitch bridge is drawn along it.
        if ([...portsOf.values()].some((ports) => ports.has(link.name))) continue;
        const ports = portsOf.get(link.name);
        if (ports !== undefined) {
          const items = links
            .filter((each) => ports.has(each.name))
            .map((each) => foreignInterface(each, drawn));
          const note = addressLine(liveAddresses(link, [])).address;
          drawn.add(link.id);
          nodes.push(foreignNode(link.id, link.name, 'ovs-bridge', note, items));
          for (const item of items) {
            ownerOf.set(item.id, { node: `foreign:${link.id}`, interface: item.id });
          }
          continue;
        }
        // Ends of the lab's wires that hang on a bridge of the lab are drawn with that bridge.
        if (link.lab !== null && kernel.owns(link)) continue;
        const kind = link.kind === 'bridge' ? 'bridge' : 'device';
        const item = foreignInterface(link, drawn);
        nodes.push(
          foreignNode(link.id, link.name, kind, item.address, kind === 'device' ? [item] : []),
        );
        ownerOf.set(link.id, { node: `foreign:${link.id}`, interface: link.id });
      }
    } else if (namespace.lab === null) {
      const name = namespace.names[0] ?? namespace.container ?? processNote(namespace);
      // A namespace without name, process or link has nothing to show.
      if (name === null && links.length === 0) continue;
      const items = links.map((link) => foreignInterface(link, drawn));
      const node = foreignNode(
        namespace.id,
        name ?? namespace.id,
        'namespace',
        processNote(namespace),
        items,
      );
      nodes.push(node);
      for (const item of items) ownerOf.set(item.id, { node: node.id, interface: item.id });
    }
  }
  const seen = new Set<string>();
  for (const link of kernel.inventory.links) {
    if (link.peer === null || seen.has(link.id)) continue;
    seen.add(link.peer);
    const one = ownerOf.get(link.id);
    const other = ownerOf.get(link.peer);
    if (one === undefined || other === undefined) continue;
    wires.push({
      id: `foreign:${link.id}`,
      index: null,
      ends: [one, other],
      presence: 'foreign',
      difference: null,
      carrier: link.carrier,
      kind: 'veth',
      underlay: nothingBelow,
    });
  }
}

function foreignNode(
  id: string,
  title: string,
  kind: SceneNode['kind'],
  note: string | null,
  interfaces: readonly SceneInterface[],
): SceneNode {
  return {
    id: `foreign:${id}`,
    title,
    kind,
    presence: 'foreign',
    difference: null,
    drifted: false,
    within: null,
    note,
    ...plainNode,
    interfaces,
  };
}
