/** The dots of one direction of a wire: where they are, when the next comes. Pure. */
import { dotsOf, singlePackets } from './rate-scale.ts';

/** Dots that wait to set out; more come from readings that nobody drew. */
const mostWaiting = 60;

/** Part of a reading's time by which the next may be late. */
const overlap = 0.25;

export class DotTrain {
  /** From 0, where they set out, to 1; the first is the farthest. */
  readonly positions: number[] = [];
  private waiting = 0;
  /** Seconds between two. */
  private gap = 0;
  /** Seconds until the next. */
  private due = 0;

  /**
   * What was counted in the last `seconds`. Few packets are a dot each, spread over as long a time as they took; a whole ping is
   * one dot there and one back, never a half.
   */
  pay(packets: number, seconds: number): void {
    if (seconds <= 0) return;
    const rate = packets / seconds;
    const isStream = rate > singlePackets;
    const dots = isStream ? dotsOf(rate) * seconds : Math.round(packets);
    if (dots <= 0) return;
    // A stream goes on a little beyond its reading, so that a late one leaves no gap; what is left of it then does not count.
    const waiting = isStream ? dots * (1 + overlap) : Math.floor(this.waiting) + dots;
    this.waiting = Math.min(mostWaiting, waiting);
    this.gap = seconds / Math.max(1, dots);
    this.due = Math.min(this.due, this.gap);
  }

  /** Moves all on by `seconds`; `crossing` is how many seconds the whole wire takes. */
  advance(seconds: number, crossing: number): void {
    const step = seconds / Math.max(crossing, 0.001);
    const { positions } = this;
    for (let index = 0; index < positions.length; index += 1) {
      positions[index] = (positions[index] ?? 0) + step;
    }
    let arrived = 0;
    while (arrived < positions.length && (positions[arrived] ?? 0) >= 1) arrived += 1;
    if (arrived > 0) positions.splice(0, arrived);
    this.due -= seconds;
    while (this.waiting >= 1 && this.due <= 0) {
      positions.push(Math.min(1, Math.max(0, (-this.due / seconds) * step)));
      this.waiting -= 1;
      this.due += this.gap;
    }
    if (this.waiting < 1) this.due = Math.max(0, this.due);
  }

  /** Whether nothing moves and nothing will. */
  get quiet(): boolean {
    return this.positions.length === 0 && this.waiting < 1;
  }

  clear(): void {
    this.positions.length = 0;
    this.waiting = 0;
    this.due = 0;
  }
}
