/** Tunnels over the network, and what their packets run over. */
import { type LabDocument, parseEndpoint } from '../../../../agent/api/index.ts';
import { addedKindOf, addressesOf, homeOf, sameHost } from '../../document/devices.ts';
import { isBridgeKind } from '../../document/node-kinds.ts';
import { interfacesOf } from '../../live.ts';
import { endId, type SceneEnd, type Underlay } from './scene.ts';

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
export function underlayOf(
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

export function reached(start: string, next: (name: string) => readonly string[]): Set<string> {
  const found = new Set([start]);
  for (const name of found) for (const each of next(name)) found.add(each);
  return found;
}
