/** Where the parts of a card lie, in drawing units (1 px at 100 %), relative to the card's centre. Pure. */
import type { Scene, SceneInterface, SceneNode } from './scene.ts';

export type Side = 'left' | 'right' | 'top' | 'bottom';

export interface PortBox {
  readonly interface: SceneInterface;
  readonly side: Side;
  /** Top left of its box, and its size. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The point on the card's border where the wire ends. */
  readonly anchor: Point;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface CardBox {
  readonly width: number;
  readonly height: number;
  readonly ports: readonly PortBox[];
}

export const metrics = {
  titleHeight: 28,
  noteHeight: 18,
  portWidth: 116,
  portHeight: 34,
  bridgePortWidth: 72,
  bridgePortHeight: 18,
  minimumWidth: 168,
  bridgeMinimumWidth: 176,
  padding: 6,
} as const;

/** Lays out one card; `direction` gives, for each wired port, the way from this card's centre to the other card's. */
export function layOutCard(
  node: SceneNode,
  direction: (port: SceneInterface) => Point | null,
): CardBox {
  return node.kind === 'bridge' ? layOutBridge(node, direction) : layOutNamespace(node, direction);
}

interface PlacedPort {
  readonly port: SceneInterface;
  readonly toward: Point;
}

function byX(one: PlacedPort, other: PlacedPort): number {
  return one.toward.x - other.toward.x || one.port.name.localeCompare(other.port.name);
}

function byY(one: PlacedPort, other: PlacedPort): number {
  return one.toward.y - other.toward.y || one.port.name.localeCompare(other.port.name);
}

/** A namespace: ports inside the card along the border that faces their peers. */
function layOutNamespace(
  node: SceneNode,
  direction: (port: SceneInterface) => Point | null,
): CardBox {
  const sides: Record<Side, PlacedPort[]> = { left: [], right: [], top: [], bottom: [] };
  for (const port of node.interfaces) {
    const toward = direction(port) ?? { x: 0, y: 1 };
    const side: Side =
      Math.abs(toward.x) > Math.abs(toward.y) * 1.2
        ? toward.x < 0
          ? 'left'
          : 'right'
        : toward.y < 0
          ? 'top'
          : 'bottom';
    sides[side].push({ port, toward });
  }
  sides.left.sort(byY);
  sides.right.sort(byY);
  sides.top.sort(byX);
  sides.bottom.sort(byX);

  const { portWidth, portHeight, titleHeight, noteHeight, padding } = metrics;
  const gap = 4;
  const row = (count: number) => count * portWidth + Math.max(0, count - 1) * gap + 2 * padding;
  const columns = (sides.left.length > 0 ? 1 : 0) + (sides.right.length > 0 ? 1 : 0);
  const width = Math.max(
    metrics.minimumWidth,
    row(sides.top.length),
    row(sides.bottom.length),
    columns === 2 ? 2 * portWidth + 3 * padding : 0,
  );
  const topRow = sides.top.length > 0 ? portHeight : 0;
  const bottomRow = sides.bottom.length > 0 ? portHeight : 0;
  const middle = Math.max(sides.left.length, sides.right.length) * portHeight;
  const note = node.note === null ? 0 : noteHeight;
  const empty = topRow + bottomRow + middle === 0 ? 8 : 0;
  const height = topRow + titleHeight + note + middle + bottomRow + padding + empty;

  const ports: PortBox[] = [];
  const place = (item: PlacedPort, side: Side, x: number, y: number, anchor: Point) =>
    ports.push({ interface: item.port, side, x, y, width: portWidth, height: portHeight, anchor });
  const spread = (
    items: readonly PlacedPort[],
    side: 'top' | 'bottom',
    y: number,
    edge: number,
  ) => {
    const step = (width - 2 * padding) / Math.max(1, items.length);
    items.forEach((item, index) => {
      const centre = -width / 2 + padding + step * (index + 0.5);
      place(item, side, centre - portWidth / 2, y, { x: centre, y: edge });
    });
  };
  spread(sides.top, 'top', -height / 2 + padding / 2, -height / 2);
  spread(sides.bottom, 'bottom', height / 2 - portHeight - padding / 2, height / 2);
  const first = -height / 2 + topRow + titleHeight + note;
  for (const side of ['left', 'right'] as const) {
    const edge = side === 'left' ? -width / 2 : width / 2;
    const x = side === 'left' ? edge + padding : edge - padding - portWidth;
    sides[side].forEach((item, index) => {
      const y = first + index * portHeight;
      place(item, side, x, y, { x: edge, y: y + portHeight / 2 });
    });
  }
  return { width, height, ports };
}

/** A bridge: a bar with its ports along the upper and the lower edge. */
function layOutBridge(node: SceneNode, direction: (port: SceneInterface) => Point | null): CardBox {
  const upper: PlacedPort[] = [];
  const lower: PlacedPort[] = [];
  const level: PlacedPort[] = [];
  for (const port of node.interfaces) {
    const toward = direction(port) ?? { x: 0, y: 1 };
    if (Math.abs(toward.y) < 24) level.push({ port, toward });
    else (toward.y < 0 ? upper : lower).push({ port, toward });
  }
  // A peer at the same height is reached from whichever edge has more room.
  for (const item of level) (upper.length < lower.length ? upper : lower).push(item);
  upper.sort(byX);
  lower.sort(byX);
  const { bridgePortWidth, bridgePortHeight, padding, titleHeight } = metrics;
  const count = Math.max(upper.length, lower.length);
  const width = Math.max(metrics.bridgeMinimumWidth, count * (bridgePortWidth + 4) + 2 * padding);
  const upperRow = upper.length > 0 ? bridgePortHeight : 0;
  const lowerRow = lower.length > 0 ? bridgePortHeight : 0;
  const note = node.note === null ? 0 : metrics.noteHeight;
  const height = upperRow + titleHeight + note + lowerRow + 8;
  const ports: PortBox[] = [];
  const spread = (items: readonly PlacedPort[], side: 'top' | 'bottom') => {
    const step = (width - 2 * padding) / Math.max(1, items.length);
    const edge = side === 'top' ? -height / 2 : height / 2;
    items.forEach((item, index) => {
      const centre = -width / 2 + padding + step * (index + 0.5);
      ports.push({
        interface: item.port,
        side,
        x: centre - bridgePortWidth / 2,
        y: side === 'top' ? edge + 4 : edge - bridgePortHeight - 4,
        width: bridgePortWidth,
        height: bridgePortHeight,
        anchor: { x: centre, y: edge },
      });
    });
  };
  spread(upper, 'top');
  spread(lower, 'bottom');
  return { width, height, ports };
}

export interface PlacedScene {
  readonly cards: ReadonlyMap<string, CardBox>;
}

/** Lays out every card for the positions given. */
export function layOutScene(scene: Scene, positions: ReadonlyMap<string, Point>): PlacedScene {
  const nodeOfInterface = new Map<string, string>();
  for (const node of scene.nodes)
    for (const item of node.interfaces) nodeOfInterface.set(item.id, node.id);
  const cards = new Map<string, CardBox>();
  for (const node of scene.nodes) {
    const here = positions.get(node.id) ?? { x: 0, y: 0 };
    cards.set(
      node.id,
      layOutCard(node, (port) => {
        const other = port.peer === null ? undefined : nodeOfInterface.get(port.peer);
        const there = other === undefined ? undefined : positions.get(other);
        return there === undefined ? null : { x: there.x - here.x, y: there.y - here.y };
      }),
    );
  }
  return { cards };
}

/**
 * Finds room for nodes that have no position: near the mean of their neighbours, else to the right of what is there,
 * on a grid, never over another card. Positions given are never moved.
 */
export function placeMissing(scene: Scene, given: ReadonlyMap<string, Point>): Map<string, Point> {
  const positions = new Map<string, Point>();
  for (const node of scene.nodes) {
    const position = given.get(node.id);
    if (position !== undefined) positions.set(node.id, position);
  }
  const neighbours = new Map<string, string[]>();
  for (const wire of scene.wires) {
    const [one, other] = wire.ends;
    neighbours.set(one.node, [...(neighbours.get(one.node) ?? []), other.node]);
    neighbours.set(other.node, [...(neighbours.get(other.node) ?? []), one.node]);
  }
  const cell = { width: 260, height: 140 };
  const free = (point: Point): boolean => {
    for (const other of positions.values()) {
      if (
        Math.abs(other.x - point.x) < cell.width - 20 &&
        Math.abs(other.y - point.y) < cell.height - 20
      ) {
        return false;
      }
    }
    return true;
  };
  for (const node of scene.nodes) {
    if (positions.has(node.id)) continue;
    const near = (neighbours.get(node.id) ?? [])
      .map((name) => positions.get(name))
      .filter((point) => point !== undefined);
    const start =
      near.length > 0
        ? {
            x: near.reduce((sum, point) => sum + point.x, 0) / near.length,
            y: near.reduce((sum, point) => sum + point.y, 0) / near.length + cell.height,
          }
        : node.presence === 'foreign'
          ? { x: 0, y: lowest(positions) + cell.height + 40 }
          : { x: 0, y: 0 };
    positions.set(node.id, firstFreePoint(start, cell, free));
  }
  return positions;
}

function lowest(positions: ReadonlyMap<string, Point>): number {
  return Math.max(0, ...[...positions.values()].map((point) => point.y));
}

/** Walks outward in rings of cells; the first free cell wins. */
function firstFreePoint(
  start: Point,
  cell: { readonly width: number; readonly height: number },
  free: (point: Point) => boolean,
): Point {
  for (let ring = 0; ring < 200; ring++) {
    for (let column = -ring; column <= ring; column++) {
      for (let row = 0; row <= ring; row++) {
        if (Math.max(Math.abs(column), row) !== ring) continue;
        const point = { x: start.x + column * cell.width, y: start.y + row * cell.height };
        if (free(point)) return point;
      }
    }
  }
  return start;
}
