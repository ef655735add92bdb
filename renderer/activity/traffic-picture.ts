/** Traffic on a canvas above the wires: dots that move, or still marks where nothing may move. */
import { DotTrain } from './dot-train.ts';
import { laneOf, pointOn, type WireSegment } from './lane.ts';
import { levelOf, speedOf, thicknessOf } from './rate-scale.ts';
import { isQuiet, type WireRate } from './wire-rates.ts';

export interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

/** What one wire has to show. */
interface WireTraffic {
  rate: WireRate;
  colour: string;
  readonly onward: DotTrain;
  readonly backward: DotTrain;
}

/** Seconds that are caught up with at most: after a pause nothing jumps. */
const longestStep = 0.1;
/** Units of the drawing. */
const dotLength = 9;
const dotWidth = 4.5;

export class TrafficPicture {
  private readonly wires = new Map<string, WireTraffic>();
  private segments = new Map<string, WireSegment>();
  private readonly still: boolean;

  /** `still`: nothing moves; what flows is a band beside the wire with its direction. */
  constructor(still: boolean) {
    this.still = still;
  }

  place(segments: readonly WireSegment[]): void {
    this.segments = new Map(segments.map((segment) => [segment.wire, segment]));
    for (const wire of this.wires.keys()) if (!this.segments.has(wire)) this.wires.delete(wire);
  }

  /** A reading of a wire, over the last `seconds`. */
  read(wire: string, rate: WireRate, seconds: number, colour: string): void {
    const known = this.wires.get(wire);
    if (known === undefined && isQuiet(rate)) return;
    const traffic = known ?? {
      rate,
      colour,
      onward: new DotTrain(),
      backward: new DotTrain(),
    };
    if (this.still && isQuiet(rate)) {
      this.wires.delete(wire);
      return;
    }
    traffic.rate = rate;
    traffic.colour = colour;
    if (!this.still) {
      traffic.onward.pay(rate.onward.packets * seconds, seconds);
      traffic.backward.pay(rate.backward.packets * seconds, seconds);
    }
    this.wires.set(wire, traffic);
  }

  clear(): void {
    this.wires.clear();
  }

  /** Moves on by `seconds`. False when nothing is left that moves. */
  advance(seconds: number): boolean {
    const step = Math.min(seconds, longestStep);
    let moves = false;
    for (const [wire, traffic] of this.wires) {
      const segment = this.segments.get(wire);
      if (segment === undefined) continue;
      const length = Math.hypot(segment.to.x - segment.from.x, segment.to.y - segment.from.y);
      for (const way of ['onward', 'backward'] as const) {
        const level = levelOf(traffic.rate[way].bytes * 8);
        // What is still under way when the rate has gone to nothing arrives as slow as the slowest.
        traffic[way].advance(step, length / speedOf(Math.max(level, 0.1)));
        if (!traffic[way].quiet) moves = true;
      }
      const { rate, onward, backward } = traffic;
      if (onward.quiet && backward.quiet && isQuiet(rate)) this.wires.delete(wire);
    }
    return moves;
  }

  /** Whether a frame would differ from an empty one. */
  get empty(): boolean {
    return this.wires.size === 0;
  }

  draw(context: CanvasRenderingContext2D, view: View, pixels: number): void {
    const { canvas } = context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const scale = view.zoom * pixels;
    context.setTransform(scale, 0, 0, scale, view.x * pixels, view.y * pixels);
    context.lineCap = 'round';
    // On a small drawing the dots stay large enough to be seen.
    const grow = Math.max(1, 0.7 / view.zoom);
    for (const [wire, traffic] of this.wires) {
      const segment = this.segments.get(wire);
      if (segment === undefined) continue;
      context.strokeStyle = traffic.colour;
      if (this.still) drawBands(context, segment, traffic.rate);
      else {
        context.lineWidth = dotWidth * grow;
        drawDots(context, segment, false, traffic.onward, grow);
        drawDots(context, segment, true, traffic.backward, grow);
      }
    }
  }
}

function drawDots(
  context: CanvasRenderingContext2D,
  segment: WireSegment,
  backward: boolean,
  { positions }: DotTrain,
  grow: number,
): void {
  if (positions.length === 0) return;
  const lane = laneOf(segment, backward);
  const half = lane.length === 0 ? 0 : ((dotLength - dotWidth) * grow) / 2 / lane.length;
  context.beginPath();
  for (const position of positions) {
    const tail = pointOn(lane, Math.max(0, position - half));
    const head = pointOn(lane, Math.min(1, position + half));
    context.moveTo(tail.x, tail.y);
    context.lineTo(head.x, head.y);
  }
  context.stroke();
}

/** A band as thick as there is traffic, with a few arrow heads that say which way. */
function drawBands(context: CanvasRenderingContext2D, segment: WireSegment, rate: WireRate): void {
  for (const way of ['onward', 'backward'] as const) {
    const thickness = thicknessOf(levelOf(rate[way].bytes * 8));
    if (thickness === 0) continue;
    const lane = laneOf(segment, way === 'backward');
    if (lane.length === 0) continue;
    const ahead = {
      x: (lane.to.x - lane.from.x) / lane.length,
      y: (lane.to.y - lane.from.y) / lane.length,
    };
    const size = 3 + thickness / 2;
    context.lineWidth = Math.max(1.5, thickness / 2);
    context.beginPath();
    context.moveTo(lane.from.x, lane.from.y);
    context.lineTo(lane.to.x, lane.to.y);
    context.globalAlpha = 0.35;
    context.stroke();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.beginPath();
    for (const share of [0.25, 0.75]) {
      const tip = pointOn(lane, share);
      for (const side of [-1, 1]) {
        context.moveTo(
          tip.x - ahead.x * size - ahead.y * size * side,
          tip.y - ahead.y * size + ahead.x * size * side,
        );
        context.lineTo(tip.x, tip.y);
      }
    }
    context.stroke();
  }
}
