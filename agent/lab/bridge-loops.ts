/** Loops of bridges that no spanning tree breaks: what enters them goes round for ever. */
import type { LabNode } from '../api/document.ts';
import { Groups } from './groups.ts';

/** The end of a wire at a bridge. */
export interface BridgeEnd {
  /** The bridge's node. */
  readonly bridge: string;
}

/** A wire between two bridges that forward by themselves, with where it is written. */
export type BridgeWire<End> = readonly [
  End & BridgeEnd,
  End & BridgeEnd,
  readonly (string | number)[],
];

export interface BridgeLoop<End> {
  /** The wire that closes it, in the order of the document. */
  readonly wire: BridgeWire<End>;
  readonly bridges: readonly string[];
  /** A bridge in it that keeps the spanning tree of the others from seeing it; null where none of them runs one. */
  readonly cutBy: string | null;
}

/**
 * A bridge of the kernel without STP forwards the BPDUs of others (br_handle_frame), so one bridge with STP is enough to
 * break a loop: only loops among bridges that all lack it stay. An Open vSwitch bridge without a spanning tree drops
 * them (ovs-vswitchd.conf.db(5), forward-bpdu), so every loop through one stays.
 */
export function findBridgeLoops<End>(
  wires: readonly BridgeWire<End>[],
  nodes: ReadonlyMap<string, LabNode>,
): readonly BridgeLoop<End>[] {
  const isTreeless = (bridge: string): boolean => {
    const node = nodes.get(bridge);
    if (node?.kind === 'ovs-bridge') return node.stp !== true && node.rstp !== true;
    return node?.kind === 'bridge' && node.stp !== true;
  };
  const dropsBpdus = (bridge: string): boolean =>
    nodes.get(bridge)?.kind === 'ovs-bridge' && isTreeless(bridge);
  const isPastTree = ([left, right]: BridgeWire<End>): boolean =>
    dropsBpdus(left.bridge) || dropsBpdus(right.bridge);

  const treeless = closingWires(
    wires.filter(([left, right]) => isTreeless(left.bridge) && isTreeless(right.bridge)),
  );
  // What the others close among themselves, their spanning tree breaks.
  const pastTree = closingWires([
    ...wires.filter((wire) => !isPastTree(wire)),
    ...wires.filter(isPastTree),
  ]);
  return wires.flatMap((wire): BridgeLoop<End>[] => {
    const alike = treeless.get(wire);
    if (alike !== undefined) return [{ wire, bridges: alike, cutBy: null }];
    const bridges = pastTree.get(wire);
    if (bridges === undefined || !isPastTree(wire)) return [];
    return [{ wire, bridges, cutBy: bridges.find(dropsBpdus) ?? null }];
  });
}

/** The wires that close a loop with those before them, with the bridges of the loop. */
function closingWires<End>(
  wires: readonly BridgeWire<End>[],
): ReadonlyMap<BridgeWire<End>, readonly string[]> {
  const groups = new Groups();
  const neighbours = new Map<string, string[]>();
  const join = (bridge: string, other: string): void => {
    const list = neighbours.get(bridge);
    if (list === undefined) neighbours.set(bridge, [other]);
    else list.push(other);
  };
  const closing = new Map<BridgeWire<End>, readonly string[]>();
  for (const wire of wires) {
    const [left, right] = wire;
    if (groups.join(left.bridge, right.bridge)) {
      join(left.bridge, right.bridge);
      join(right.bridge, left.bridge);
    } else {
      closing.set(wire, pathBetween(neighbours, left.bridge, right.bridge));
    }
  }
  return closing;
}

/** The only way between two nodes of a forest, both included. */
function pathBetween(
  neighbours: ReadonlyMap<string, readonly string[]>,
  from: string,
  to: string,
): readonly string[] {
  const cameFrom = new Map<string, string | null>([[from, null]]);
  const queue = [from];
  for (const node of queue) {
    if (node === to) break;
    for (const next of neighbours.get(node) ?? []) {
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  const way: string[] = [];
  for (let at: string | null = to; at !== null; at = cameFrom.get(at) ?? null) way.unshift(at);
  return way;
}
