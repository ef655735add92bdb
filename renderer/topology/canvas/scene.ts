/**
 * The picture as data: what is drawn, and in which state, from document, inventory and plan. Pure, so that it can be
 * tested without a canvas.
 */
import {
  type CheckResult,
  type Inventory,
  type LabDocument,
  type LinkView,
  type NamespaceView,
  parseEndpoint,
  type Plan,
  type PlanStep,
} from '../../../agent/api/index.ts';

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
}

export interface SceneNode {
  /** Node name, or `foreign:` and the inventory's id. */
  readonly id: string;
  readonly title: string;
  readonly kind: 'namespace' | 'bridge' | 'device';
  readonly presence: Presence;
  readonly difference: Difference;
  readonly drifted: boolean;
  /** The node that it sits in, for a bridge inside a namespace. */
  readonly within: string | null;
  /** One quiet line: addresses of a bridge, processes of a namespace. */
  readonly note: string | null;
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
}

/** Looks at the kernel through the lab's own names. */
class KernelView {
  readonly #inventory: Inventory | null;
  readonly #lab: string;
  readonly #linksByNamespace = new Map<string, LinkView[]>();
  readonly #namespaceByName = new Map<string, NamespaceView>();
  readonly root: NamespaceView | null;

  constructor(inventory: Inventory | null, lab: string) {
    this.#inventory = inventory;
    this.#lab = lab;
    this.root = inventory?.namespaces.find((namespace) => namespace.root) ?? null;
    for (const namespace of inventory?.namespaces ?? []) {
      for (const name of namespace.names) this.#namespaceByName.set(name, namespace);
    }
    for (const link of inventory?.links ?? []) {
      const links = this.#linksByNamespace.get(link.namespace);
      if (links === undefined) this.#linksByNamespace.set(link.namespace, [link]);
      else links.push(link);
    }
  }

  /** The lab's own namespace of that name. */
  namespace(name: string): NamespaceView | null {
    const namespace = this.#namespaceByName.get(name);
    return namespace?.lab === this.#lab ? namespace : null;
  }

  links(namespace: NamespaceView | null): readonly LinkView[] {
    return namespace === null ? [] : (this.#linksByNamespace.get(namespace.id) ?? []);
  }

  link(namespace: NamespaceView | null, name: string): LinkView | null {
    return this.links(namespace).find((link) => link.name === name && this.owns(link)) ?? null;
  }

  owns(link: LinkView): boolean {
    return link.lab === this.#lab;
  }

  get inventory(): Inventory {
    return this.#inventory ?? { sequence: 0, namespaces: [], links: [], routes: [] };
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
    return differenceOf(this.#node.get(name) ?? [], new Set(['namespace', 'bridge']));
  }

  interface(id: string): Difference {
    return differenceOf(this.#interface.get(id) ?? [], new Set(['veth']));
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
  const namesByNode = new Map<string, string[]>();
  links.forEach((link, index) => {
    const ends = link.endpoints.map(parseEndpoint);
    const [first, second] = ends;
    if (first === undefined || second === undefined) return;
    if (!(first.node in nodes) || !(second.node in nodes)) return;
    const ids = [endId(first), endId(second)] as const;
    peers.set(ids[0], ids[1]);
    peers.set(ids[1], ids[0]);
    for (const end of [first, second]) {
      const names = namesByNode.get(end.node);
      if (names === undefined) namesByNode.set(end.node, [end.interface]);
      else names.push(end.interface);
    }
    const live = [first, second].map((end) =>
      kernel.link(namespaceOfNode(kernel, nodes, end.node), end.interface),
    );
    const real = live.every((view) => view !== null);
    const differences = ids.map((id) => plan.interface(id));
    wires.push({
      id: `link:${index}`,
      index,
      ends: [first, second],
      presence: real ? 'real' : 'wanted',
      difference: pending(
        differences.find((difference) => difference === 'add' || difference === 'remove') ?? null,
        real,
      ),
      carrier: real ? live.every((view) => view?.carrier === true) : null,
    });
  });

  const drawn = new Set<string>();
  const sceneNodes: SceneNode[] = Object.entries(nodes).map(([name, node]): SceneNode => {
    const namespace = namespaceOfNode(kernel, nodes, name);
    const own = node.kind === 'bridge' ? kernel.link(namespace, name) : null;
    const exists = node.kind === 'bridge' ? own !== null : namespace !== null;
    if (own !== null) drawn.add(own.id);
    const settings = node.kind === 'bridge' ? undefined : node.interfaces;
    const wanted = (namesByNode.get(name) ?? []).map((interfaceName): SceneInterface => {
      const live = kernel.link(namespace, interfaceName);
      if (live !== null) drawn.add(live.id);
      const id = `${name}:${interfaceName}`;
      const wantedAddresses = settings?.[interfaceName]?.addresses ?? [];
      return {
        id,
        name: interfaceName,
        ...addressLine(live === null ? wantedAddresses : liveAddresses(live, wantedAddresses)),
        presence: live === null ? 'wanted' : 'real',
        difference: pending(plan.interface(id), live !== null),
        drifted: driftedInterface(live, wantedAddresses),
        up: live?.up ?? null,
        peer: peers.get(id) ?? null,
      };
    });
    const foreign =
      node.kind === 'namespace' && namespace !== null
        ? kernel
            .links(namespace)
            .filter((link) => link.kind !== 'loopback' && !drawn.has(link.id))
            .map((link) => foreignInterface(link, drawn))
        : [];
    return {
      id: name,
      title: name,
      kind: node.kind,
      presence: exists ? 'real' : 'wanted',
      difference: pending(plan.node(name), exists),
      drifted: false,
      within: node.kind === 'bridge' ? (node.namespace ?? null) : null,
      note: node.kind === 'bridge' ? bridgeNote(node.addresses ?? [], own) : processNote(namespace),
      interfaces: [...wanted, ...foreign],
    };
  });

  for (const name of plan.removedNodes()) {
    if (name in nodes) continue;
    const node = removedNode(kernel, name, drawn);
    if (node !== null) sceneNodes.push(node);
  }
  addForeign(kernel, sceneNodes, wires, drawn);
  return { nodes: sceneNodes, wires };
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
  if (node?.kind !== 'bridge') return kernel.namespace(name);
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

function driftedInterface(live: LinkView | null, wanted: readonly string[]): boolean {
  if (live === null) return false;
  return live.addresses.some(
    (address) => address.scope !== 'link' && !address.owned && !wanted.includes(address.address),
  );
}

function bridgeNote(wanted: readonly string[], live: LinkView | null): string | null {
  const addresses = live === null ? wanted : liveAddresses(live, wanted);
  return addresses.length === 0 ? null : addresses.join(' · ');
}

function processNote(namespace: NamespaceView | null): string | null {
  if (namespace === null || namespace.processCount === 0) return null;
  const commands = [...new Set(namespace.processes.map((process) => baseName(process.command)))];
  return commands.slice(0, 3).join(' · ') + (commands.length > 3 ? ' …' : '');
}

function baseName(command: string): string {
  const program = command.split(' ')[0] ?? command;
  return program.slice(program.lastIndexOf('/') + 1);
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
  };
}

/** A node that the plan takes away and the document no longer has. */
function removedNode(kernel: KernelView, name: string, drawn: Set<string>): SceneNode | null {
  const bridge = kernel.link(kernel.root, name);
  const namespace = kernel.namespace(name);
  if (bridge === null && namespace === null) return null;
  if (bridge !== null) drawn.add(bridge.id);
  return {
    id: name,
    title: name,
    kind: bridge === null ? 'namespace' : 'bridge',
    presence: 'real',
    difference: 'remove',
    drifted: false,
    within: null,
    note: null,
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
): void {
  const labNamespaces = new Set(
    nodes.map((node) => kernel.namespace(node.id)?.id).filter((id) => id !== undefined),
  );
  const ownerOf = new Map<string, SceneEnd>();
  for (const node of nodes) {
    for (const item of node.interfaces) ownerOf.set(item.id, { node: node.id, interface: item.id });
  }
  for (const namespace of kernel.inventory.namespaces) {
    const own = labNamespaces.has(namespace.id);
    const links = kernel
      .links(namespace)
      .filter((link) => link.kind !== 'loopback' && !drawn.has(link.id));
    if (namespace.root || own) {
      for (const link of links) {
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
    interfaces,
  };
}
