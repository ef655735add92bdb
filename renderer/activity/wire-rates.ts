/** Which links of the kernel the ends of a wire are, and what moves along it. Pure. */
import type { LinkRates } from '../../agent/activity/rate-history.ts';
import { type Inventory, type LabDocument, namespaceOfNode } from '../../agent/api/index.ts';
import type { SceneEnd, SceneWire } from '../topology/canvas/scene/scene.ts';

/** Per second, one way. */
export interface Moving {
  readonly bytes: number;
  readonly packets: number;
  /** Packets that either end dropped on this way, or found broken. */
  readonly lost: number;
}

/** `onward` is from the first end of the wire to the second. */
export interface WireRate {
  readonly onward: Moving;
  readonly backward: Moving;
}

type LinkFinder = (end: SceneEnd) => string | null;

/** Finds inventory ids of links by what the drawing calls them; null for what the kernel does not have. */
export function linkFinder(document: LabDocument | null, inventory: Inventory | null): LinkFinder {
  if (inventory === null) return () => null;
  const ids = new Set<string>();
  const byPlace = new Map<string, string>();
  for (const link of inventory.links) {
    ids.add(link.id);
    byPlace.set(`${link.namespace} ${link.name}`, link.id);
  }
  const namespaces = new Map<string | null, string>();
  for (const namespace of inventory.namespaces) {
    if (namespace.root) namespaces.set(null, namespace.id);
    for (const name of namespace.names) namespaces.set(name, namespace.id);
  }
  return ({ node, interface: name }) => {
    // What is foreign is drawn by its id.
    if (ids.has(name)) return name;
    const wanted = document?.topology.nodes[node];
    if (wanted === undefined || wanted.kind === 'vm') return null;
    const namespace = namespaces.get(namespaceOfNode(node, wanted));
    return byPlace.get(`${namespace ?? ''} ${name}`) ?? null;
  };
}

export interface WireLinks {
  readonly wire: string;
  readonly ends: readonly [SceneEnd, SceneEnd];
  /** Inventory ids; null for an end that is no link of the kernel, such as a machine's card. */
  readonly links: readonly [string | null, string | null];
}

/** Wires of which at least one end is a link of the kernel. */
export function linksOfWires(
  wires: readonly Pick<SceneWire, 'id' | 'ends'>[],
  find: LinkFinder,
): readonly WireLinks[] {
  return wires.flatMap(({ id, ends }) => {
    const links = [find(ends[0]), find(ends[1])] as const;
    return links[0] === null && links[1] === null ? [] : [{ wire: id, ends, links }];
  });
}

/**
 * What one end sends is what the other receives; where they differ, the reading of one of them is younger, or it got lost,
 * so the larger counts. Null where neither end has rates.
 */
export function rateOfWire(one: LinkRates | null, other: LinkRates | null): WireRate | null {
  if (one === null && other === null) return null;
  return { onward: movingFrom(one, other), backward: movingFrom(other, one) };
}

function movingFrom(from: LinkRates | null, to: LinkRates | null): Moving {
  return {
    bytes: Math.max(from?.transmittedBytes ?? 0, to?.receivedBytes ?? 0),
    packets: Math.max(from?.transmittedPackets ?? 0, to?.receivedPackets ?? 0),
    lost:
      (from?.transmitDropped ?? 0) +
      (from?.transmitErrors ?? 0) +
      (to?.receiveDropped ?? 0) +
      (to?.receiveErrors ?? 0),
  };
}

/** Whether nothing moves either way. */
export function isQuiet({ onward, backward }: WireRate): boolean {
  return [onward, backward].every(({ packets, bytes, lost }) => packets + bytes + lost === 0);
}
