/** Rates of the last minutes, in slots of equal length: a ring that never grows. */
import { type LinkCounterName, linkCounterNames } from '../api/link-counters.ts';

export type LinkRates = Readonly<Record<LinkCounterName, number>>;

export interface HistoryShape {
  readonly slots: number;
  readonly millisecondsPerSlot: number;
}

/** A minute at ten readings a second. */
export const minuteOfTenths: HistoryShape = { slots: 600, millisecondsPerSlot: 100 };

export class RateHistory {
  readonly shape: HistoryShape;
  /** Per second; not a number where nothing is known. One run of slots after the other. */
  private readonly values: Float32Array;
  /** Number of the newest slot since time 0; -1 before the first. */
  private newest = -1;
  /** Rates that came within the newest slot, which is their mean. */
  private inNewest = 0;

  constructor(shape: HistoryShape = minuteOfTenths) {
    this.shape = shape;
    this.values = new Float32Array(shape.slots * linkCounterNames.length).fill(NaN);
  }

  /** `time` in milliseconds of the clock of the readings. What is older than the newest slot is left out. */
  add(time: number, rates: LinkRates): void {
    const { slots, millisecondsPerSlot } = this.shape;
    const slot = Math.floor(time / millisecondsPerSlot);
    if (slot < this.newest) return;
    const isNew = slot > this.newest;
    // Slots without a reading say that nothing is known, not that nothing moved.
    const first = this.newest < 0 ? slot : Math.max(this.newest + 1, slot - slots + 1);
    for (let empty = first; empty <= slot; empty += 1) this.clear(empty);
    this.newest = slot;
    this.inNewest = isNew ? 1 : this.inNewest + 1;
    for (const [series, name] of linkCounterNames.entries()) {
      const place = series * slots + (slot % slots);
      const before = isNew ? 0 : (this.values[place] ?? 0);
      this.values[place] = before + (rates[name] - before) / this.inNewest;
    }
  }

  private clear(slot: number): void {
    const { slots } = this.shape;
    for (let series = 0; series < linkCounterNames.length; series += 1) {
      this.values[series * slots + (slot % slots)] = NaN;
    }
  }

  /** Milliseconds at which the newest slot begins; null before the first. */
  get newestTime(): number | null {
    return this.newest < 0 ? null : this.newest * this.shape.millisecondsPerSlot;
  }

  /** Per second, oldest first and the newest slot last; null where nothing is known. */
  series(name: LinkCounterName): readonly (number | null)[] {
    const { slots } = this.shape;
    const start = linkCounterNames.indexOf(name) * slots;
    return Array.from({ length: slots }, (_, index) => {
      const slot = this.newest - slots + 1 + index;
      if (slot < 0 || this.newest < 0) return null;
      const value = this.values[start + (slot % slots)] ?? NaN;
      return Number.isNaN(value) ? null : value;
    });
  }
}
