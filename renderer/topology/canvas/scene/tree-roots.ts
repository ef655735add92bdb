/** The roots of spanning trees. */
import { isBridgeKind } from '../../document/node-kinds.ts';
import { type KernelView, namespaceOfNode } from './kernel-view.ts';
import { reached } from './overlays.ts';
import { type Nodes, type SceneWire } from './scene.ts';

/**
 * The roots of the spanning trees that the kernel's bridges form: of those that run STP and are wired to each other,
 * the one with the lowest priority, then the lowest MAC address (IEEE 802.1D, 9.2.5). A bridge alone is no tree.
 */
export function rootBridges(
  kernel: KernelView,
  nodes: Nodes,
  wires: readonly SceneWire[],
): Set<string> {
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
