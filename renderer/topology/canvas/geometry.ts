/** Where the parts of a card lie, in drawing units (1 px at 100 %), relative to the card's centre. Pure. */
import type { Scene, SceneInterface, SceneNode } from './scene/scene.ts';

export type Side = 'left' | 'right' | 'top' | 'bottom';

/** `inner` is a row inside the card: of a device that no wire ends at. */
export type PortSide = Side | 'inner';

export interface PortBox {
  readonly interface: SceneInterface;
  readonly side: PortSide;
  /** Depth of an inner row below what it stands on. */
  readonly indent: number;
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

/** Joins the members of a bond, which lie beside each other. */
export interface Bracket {
  readonly bond: string;
  readonly side: Side;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface CardBox {
  readonly width: number;
  readonly height: number;
  /** Room above the title, for ports on the upper edge and their bonds. */
  readonly titleTop: number;
  /** Distance of the quiet line from the card's upper edge. */
  readonly noteTop: number;
  readonly ports: readonly PortBox[];
  readonly brackets: readonly Bracket[];
}

export const metrics = {
  titleHeight: 28,
  noteHeight: 18,
  /** An IPv4 address with its prefix length, at its longest. */
  portWidth: 124,
  portHeight: 34,
  bridgePortWidth: 72,
  bridgePortHeight: 18,
  /** With a line of VLAN chips. */
  bridgeTallPortHeight: 32,
  /** At a port of an Open vSwitch bridge: a name, and an address at its longest. */
  ovsPortWidth: 84,
  ovsAddressWidth: 116,
  /** A member of a bond also says what it does there. */
  ovsMemberWidth: 116,
  ovsMinimumWidth: 204,
  lineHeight: 14,
  innerHeight: 20,
  innerMinimumWidth: 252,
  minimumWidth: 168,
  bridgeMinimumWidth: 176,
  padding: 6,
} as const;

/** Lays out one card; `direction` gives, for each wired port, the way from this card's centre to the other card's. */
export function layOutCard(
  node: SceneNode,
  direction: (port: SceneInterface) => Point | null,
): CardBox {
  return node.kind === 'bridge' || node.kind === 'ovs-bridge'
    ? layOutBridge(node, direction)
    : layOutNamespace(node, direction);
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

/** Brings the members of each bond together, at the place of the first. */
function gather(items: readonly PlacedPort[]): PlacedPort[] {
  const bondOf = (item: PlacedPort) => item.port.bond?.name ?? null;
  const done = new Set<string>();
  return items.flatMap((item) => {
    const bond = bondOf(item);
    if (bond === null) return [item];
    if (done.has(bond)) return [];
    done.add(bond);
    return items.filter((other) => bondOf(other) === bond);
  });
}

/** A bracket along each run of members of one bond; inside the border, its arms towards the wires' ends. */
function bracketsOf(ports: readonly PortBox[]): Bracket[] {
  const runs = new Map<string, PortBox[]>();
  for (const port of ports) {
    const bond = port.interface.bond?.name;
    if (bond === undefined || port.side === 'inner') continue;
    const key = `${port.side} ${bond}`;
    runs.set(key, [...(runs.get(key) ?? []), port]);
  }
  const depth = 7;
  return [...runs.values()].flatMap((run): Bracket[] => {
    const [first] = run;
    const bond = first?.interface.bond?.name;
    if (first === undefined || bond === undefined || first.side === 'inner') return [];
    if (run.length < 2) return [];
    const xs = run.map((port) => port.anchor.x);
    const ys = run.map((port) => port.anchor.y);
    const left = Math.min(...xs);
    const top = Math.min(...ys);
    const along = { width: Math.max(...xs) - left, height: Math.max(...ys) - top };
    switch (first.side) {
      case 'left':
        return [{ bond, side: 'left', x: left, y: top, width: depth, height: along.height }];
      case 'right':
        return [
          { bond, side: 'right', x: left - depth, y: top, width: depth, height: along.height },
        ];
      case 'top':
        return [{ bond, side: 'top', x: left, y: top, width: along.width, height: depth }];
      case 'bottom':
        return [
          { bond, side: 'bottom', x: left, y: top - depth, width: along.width, height: depth },
        ];
    }
  });
}

/** The devices without a wire, each below what it stands on. */
function innerRows(
  node: SceneNode,
): readonly { readonly port: SceneInterface; readonly indent: number }[] {
  const inner = node.interfaces.filter(isInner);
  const names = new Set(inner.map((item) => item.name));
  const rows: { port: SceneInterface; indent: number }[] = [];
  const add = (port: SceneInterface, indent: number) => {
    if (rows.some((row) => row.port === port)) return;
    rows.push({ port, indent });
    for (const child of inner) if (child.parent === port.name) add(child, indent + 1);
  };
  // What stands on a wired interface first, in the order of these.
  for (const wired of node.interfaces) {
    if (!isInner(wired)) for (const item of inner) if (item.parent === wired.name) add(item, 0);
  }
  for (const item of inner) if (item.parent === null || !names.has(item.parent)) add(item, 0);
  // A circle of parents is the validator's to name; it is drawn all the same.
  for (const item of inner) add(item, 0);
  return rows;
}

function isInner(port: SceneInterface): boolean {
  return port.device !== null && port.peer === null;
}

/** A namespace: ports inside the card along the border that faces their peers. */
function layOutNamespace(
  node: SceneNode,
  direction: (port: SceneInterface) => Point | null,
): CardBox {
  const sides: Record<Side, PlacedPort[]> = { left: [], right: [], top: [], bottom: [] };
  for (const port of node.interfaces) {
    if (isInner(port)) continue;
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
  sides.left = gather(sides.left.sort(byY));
  sides.right = gather(sides.right.sort(byY));
  sides.top = gather(sides.top.sort(byX));
  sides.bottom = gather(sides.bottom.sort(byX));
  const rows = innerRows(node);

  const { portWidth, portHeight, titleHeight, noteHeight, padding } = metrics;
  const gap = 4;
  const row = (count: number) => count * portWidth + Math.max(0, count - 1) * gap + 2 * padding;
  const columns = (sides.left.length > 0 ? 1 : 0) + (sides.right.length > 0 ? 1 : 0);
  const width = Math.max(
    rows.length > 0 ? metrics.innerMinimumWidth : metrics.minimumWidth,
    row(sides.top.length),
    row(sides.bottom.length),
    columns === 2 ? 2 * portWidth + 3 * padding : 0,
  );
  const topRow = sides.top.length > 0 ? portHeight : 0;
  const bottomRow = sides.bottom.length > 0 ? portHeight : 0;
  const middle = Math.max(sides.left.length, sides.right.length) * portHeight;
  // Always there, so that a process that starts moves nothing.
  const note = noteHeight;
  const inner = rows.length === 0 ? 0 : rows.length * metrics.innerHeight + 4;
  const empty = topRow + bottomRow + middle + inner === 0 ? 8 : 0;
  const height = topRow + titleHeight + note + middle + inner + bottomRow + padding + empty;

  const ports: PortBox[] = [];
  const place = (item: PlacedPort, side: Side, { x, y }: Point, room: number, anchor: Point) =>
    ports.push({
      interface: item.port,
      side,
      indent: 0,
      x,
      y,
      width: room,
      height: portHeight,
      anchor,
    });
  const spread = (
    items: readonly PlacedPort[],
    side: 'top' | 'bottom',
    y: number,
    edge: number,
  ) => {
    const step = (width - 2 * padding) / Math.max(1, items.length);
    items.forEach((item, index) => {
      const centre = -width / 2 + padding + step * (index + 0.5);
      place(item, side, { x: centre - step / 2, y }, step, { x: centre, y: edge });
    });
  };
  spread(sides.top, 'top', -height / 2 + padding / 2, -height / 2);
  spread(sides.bottom, 'bottom', height / 2 - portHeight - padding / 2, height / 2);
  const first = -height / 2 + topRow + titleHeight;
  for (const side of ['left', 'right'] as const) {
    const edge = side === 'left' ? -width / 2 : width / 2;
    const room = columns === 2 ? (width - 3 * padding) / 2 : width - 2 * padding;
    const x = side === 'left' ? edge + padding : edge - padding - room;
    sides[side].forEach((item, index) => {
      const y = first + index * portHeight;
      place(item, side, { x, y }, room, { x: edge, y: y + portHeight / 2 });
    });
  }
  rows.forEach(({ port, indent }, index) => {
    const y = first + middle + 2 + index * metrics.innerHeight;
    const x = -width / 2 + padding;
    ports.push({
      interface: port,
      side: 'inner',
      indent,
      x,
      y,
      width: width - 2 * padding,
      height: metrics.innerHeight,
      anchor: { x, y: y + metrics.innerHeight / 2 },
    });
  });
  return {
    width,
    height,
    titleTop: topRow === 0 ? 0 : topRow + 2,
    noteTop: topRow + titleHeight + middle + inner,
    ports,
    brackets: bracketsOf(ports),
  };
}

/** A bridge: a bar with its ports along the edges that face their peers. */
function layOutBridge(node: SceneNode, direction: (port: SceneInterface) => Point | null): CardBox {
  let upper: PlacedPort[] = [];
  let lower: PlacedPort[] = [];
  let left: PlacedPort[] = [];
  let right: PlacedPort[] = [];
  const ovs = node.kind === 'ovs-bridge';
  const bonds = ovs ? bondsOf(node) : [];
  /** The edge at which the members of a bond lie beside each other, by where the first of their wires leads. */
  const bondSides = new Map<string, Side>();
  for (const port of node.interfaces) {
    if (bonds.some((bond) => bond.port === port)) continue;
    const toward = direction(port) ?? { x: 0, y: 1 };
    if (ovs && port.bond !== null) {
      const beside = Math.abs(toward.x) > 2 * Math.abs(toward.y);
      const facing = beside ? (toward.x < 0 ? 'left' : 'right') : toward.y < 0 ? 'top' : 'bottom';
      const side = bondSides.get(port.bond.name) ?? facing;
      bondSides.set(port.bond.name, side);
      ({ top: upper, bottom: lower, left, right })[side].push({ port, toward });
      continue;
    }
    // A peer beside the bar is reached from its end.
    if (Math.abs(toward.x) > 2 * Math.abs(toward.y))
      (toward.x < 0 ? left : right).push({ port, toward });
    else (toward.y < 0 ? upper : lower).push({ port, toward });
  }
  upper = gather(upper.sort(byX));
  lower = gather(lower.sort(byX));
  left = gather(left.sort(byY));
  right = gather(right.sort(byY));
  const { padding, titleHeight } = metrics;
  const addressed = ovs && node.interfaces.some((port) => port.address !== null);
  const bridgePortWidth = addressed
    ? metrics.ovsAddressWidth
    : ovs
      ? bonds.length > 0
        ? metrics.ovsMemberWidth
        : metrics.ovsPortWidth
      : metrics.bridgePortWidth;
  const bridgePortHeight =
    (node.interfaces.some((port) => port.vlans !== null)
      ? metrics.bridgeTallPortHeight
      : metrics.bridgePortHeight) + (addressed ? metrics.lineHeight : 0);
  const count = Math.max(upper.length, lower.length);
  const both = left.length > 0 && right.length > 0;
  /** Room for bonds, inwards of the ports at an end of the bar. */
  const besides = [...bondSides.values()].filter((side) => side === 'left' || side === 'right');
  const bondWidth = metrics.ovsPortWidth + 20;
  const bondRoom = new Set(besides).size * (bondWidth + padding);
  const width = Math.max(
    ovs ? metrics.ovsMinimumWidth : metrics.bridgeMinimumWidth,
    count * (bridgePortWidth + 4) + 2 * padding,
    ovs && both ? 2 * bridgePortWidth + 3 * padding + bondRoom : 0,
    ovs && !both ? bridgePortWidth + 3 * padding + bondRoom : 0,
  );
  const ends = Math.max(left.length, right.length) * bridgePortHeight;
  const bondRow = (side: Side) =>
    bonds.some((bond) => bondSides.get(bond.port.name) === side) ? metrics.lineHeight + 6 : 0;
  const upperRow = upper.length > 0 ? bridgePortHeight + bondRow('top') : 0;
  const lowerRow = lower.length > 0 ? bridgePortHeight + bondRow('bottom') : 0;
  const note = node.note === null ? 0 : metrics.noteHeight;
  const height = upperRow + titleHeight + note + ends + lowerRow + 8;
  const ports: PortBox[] = [];
  const spread = (items: readonly PlacedPort[], side: 'top' | 'bottom') => {
    const step = (width - 2 * padding) / Math.max(1, items.length);
    const edge = side === 'top' ? -height / 2 : height / 2;
    items.forEach((item, index) => {
      const centre = -width / 2 + padding + step * (index + 0.5);
      ports.push({
        interface: item.port,
        side,
        indent: 0,
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
  const first = -height / 2 + upperRow + titleHeight + note + 4;
  for (const [side, items] of [
    ['left', left],
    ['right', right],
  ] as const) {
    const edge = side === 'left' ? -width / 2 : width / 2;
    items.forEach((item, index) => {
      const y = first + index * bridgePortHeight;
      ports.push({
        interface: item.port,
        side,
        indent: 0,
        x: side === 'left' ? edge + padding : edge - padding - bridgePortWidth,
        y,
        width: bridgePortWidth,
        height: bridgePortHeight,
        anchor: { x: edge, y: y + bridgePortHeight / 2 },
      });
    });
  }
  // A bond lies along its members, inwards of them.
  for (const { port } of bonds) {
    const members = ports.filter((each) => each.interface.bond?.name === port.name);
    const side = bondSides.get(port.name);
    if (side === undefined || members.length === 0) continue;
    const from = Math.min(...members.map((each) => each.x));
    const to = Math.max(...members.map((each) => each.x + each.width));
    const top = Math.min(...members.map((each) => each.y));
    const foot = Math.max(...members.map((each) => each.y + each.height));
    const room = metrics.lineHeight + 4;
    const across = side === 'top' || side === 'bottom';
    const x = across ? from : side === 'left' ? to + padding / 2 : from - padding / 2 - bondWidth;
    const y = across ? (side === 'top' ? foot + 1 : top - room - 1) : (top + foot - room) / 2;
    const along = across ? to - from : bondWidth;
    ports.push({
      interface: port,
      side: 'inner',
      indent: 0,
      x,
      y,
      width: along,
      height: room,
      anchor: { x: x + along / 2, y: y + room / 2 },
    });
  }
  return {
    width,
    height,
    titleTop: upperRow === 0 ? 0 : upperRow + 2,
    noteTop: upperRow + titleHeight,
    ports,
    brackets: bracketsOf(ports),
  };
}

/** The bonds of an Open vSwitch bridge that have members there to lie along. */
function bondsOf(node: SceneNode): readonly { readonly port: SceneInterface }[] {
  return node.interfaces
    .filter((port) => port.device === 'bond')
    .filter((port) => node.interfaces.some((each) => each.bond?.name === port.name))
    .map((port) => ({ port }));
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
        : middle(positions);
    positions.set(node.id, firstFreePoint(start, cell, free));
  }
  return positions;
}

/** The middle of what is drawn: what comes without a neighbour finds the nearest room to it, in sight. */
function middle(positions: ReadonlyMap<string, Point>): Point {
  if (positions.size === 0) return { x: 0, y: 0 };
  const xs = [...positions.values()].map((point) => point.x);
  const ys = [...positions.values()].map((point) => point.y);
  return {
    x: (Math.min(...xs) + Math.max(...xs)) / 2,
    y: (Math.min(...ys) + Math.max(...ys)) / 2,
  };
}

/** The nearest free point of a grid of half cells around `start`. */
function firstFreePoint(
  start: Point,
  cell: { readonly width: number; readonly height: number },
  free: (point: Point) => boolean,
): Point {
  for (let ring = 0; ring < 400; ring++) {
    const candidates: Point[] = [];
    for (let column = -ring; column <= ring; column++) {
      for (let row = -ring; row <= ring; row++) {
        if (Math.max(Math.abs(column), Math.abs(row)) !== ring) continue;
        candidates.push({
          x: start.x + (column * cell.width) / 2,
          y: start.y + (row * cell.height) / 2,
        });
      }
    }
    const distance = (point: Point) => Math.hypot(point.x - start.x, point.y - start.y);
    // Below before above, right before left, where they are as near.
    candidates.sort(
      (one, other) => distance(one) - distance(other) || other.y - one.y || other.x - one.x,
    );
    const found = candidates.find(free);
    if (found !== undefined) return found;
  }
  return start;
}
