/** Where traffic is drawn: beside its wire, each way on a side of its own. Pure. */
import type { Point } from '../topology/canvas/geometry.ts';
import type { SceneEnd } from '../topology/canvas/scene/scene.ts';

/** A wire as it is drawn, in units of the drawing. */
export interface WireSegment {
  readonly wire: string;
  readonly ends: readonly [SceneEnd, SceneEnd];
  readonly from: Point;
  readonly to: Point;
}

export interface Lane {
  readonly from: Point;
  readonly to: Point;
  readonly length: number;
}

/** Units of the drawing beside the wire: traffic keeps to the right, seen the way it goes. */
const beside = 4;

/** The lane from the first end to the second, or back. */
export function laneOf({ from, to }: WireSegment, backward: boolean): Lane {
  const [start, end] = backward ? [to, from] : [from, to];
  const across = { x: end.x - start.x, y: end.y - start.y };
  const length = Math.hypot(across.x, across.y);
  if (length === 0) return { from: start, to: end, length };
  const shift = { x: (-across.y / length) * beside, y: (across.x / length) * beside };
  return {
    from: { x: start.x + shift.x, y: start.y + shift.y },
    to: { x: end.x + shift.x, y: end.y + shift.y },
    length,
  };
}

export function pointOn({ from, to }: Lane, share: number): Point {
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
