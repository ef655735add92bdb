/** What the document does not have: what the plan takes away, and what is not the lab's. */
import { machineRunOf } from '../../live.ts';
import {
  addressLine,
  foreignInterface,
  liveAddresses,
  liveFacts,
  plainFacts,
} from './interface-facts.ts';
import { type KernelView } from './kernel-view.ts';
import { plainNode, processNote } from './node-facts.ts';
import {
  nothingBelow,
  type SceneEnd,
  type SceneInterface,
  type SceneNode,
  type SceneWire,
} from './scene.ts';

/** A node that the plan takes away and the document no longer has. */
export function removedNode(
  kernel: KernelView,
  name: string,
  drawn: Set<string>,
): SceneNode | null {
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
export function addForeign(
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
