/**
 * Packets of several rings in the order in which they passed. Each ring hands its own on in order, but up to `patience` after the
 * others: what comes is held for that long, and sorted. Pure.
 */
export interface Arrival<T> {
  readonly time: { readonly seconds: number; readonly nanoseconds: number };
  readonly value: T;
}

interface Held<T> extends Arrival<T> {
  /** Milliseconds, of the clock that `release` is asked by. */
  readonly arrived: number;
}

export class ArrivalOrder<T> {
  private readonly patience: number;
  private held: Held<T>[] = [];

  /** Milliseconds for which packets are held. */
  constructor(patience: number) {
    this.patience = patience;
  }

  add(time: Arrival<T>['time'], value: T, now: number): void {
    this.held.push({ time, value, arrived: now });
  }

  /** Those that have been held long enough, and all that passed before them; with `now` at Infinity all. */
  release(now: number, take: (value: T) => void): void {
    const { held, patience } = this;
    let last: Held<T> | null = null;
    for (const one of held) {
      // In the order in which they arrived.
      if (one.arrived + patience > now) break;
      if (last === null || compareTimes(one, last) > 0) last = one;
    }
    if (last === null) return;
    const due: Held<T>[] = [];
    const rest: Held<T>[] = [];
    for (const one of held) (compareTimes(one, last) <= 0 ? due : rest).push(one);
    this.held = rest;
    due.sort(compareTimes);
    for (const { value } of due) take(value);
  }
}

function compareTimes(one: Held<unknown>, other: Held<unknown>): number {
  return one.time.seconds - other.time.seconds || one.time.nanoseconds - other.time.nanoseconds;
}
