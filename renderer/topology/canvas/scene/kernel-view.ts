/** The kernel through a lab's own names. */
import {
  emptyInventory,
  type Inventory,
  type LabDocument,
  type LinkView,
  type NamespaceView,
  type OvsBridgeView,
} from '../../../../agent/api/index.ts';
import { isEngineLink } from '../../ovs-view.ts';

/** Looks at the kernel through the lab's own names. */
export class KernelView {
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

export function namespaceOfNode(
  kernel: KernelView,
  nodes: LabDocument['topology']['nodes'],
  name: string,
): NamespaceView | null {
  const node = nodes[name];
  if (node?.kind === 'internet') return kernel.root;
  if (node?.kind !== 'bridge' && node?.kind !== 'ovs-bridge') return kernel.namespace(name);
  return node.namespace === undefined ? kernel.root : kernel.namespace(node.namespace);
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
