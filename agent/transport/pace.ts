const burst = 10_000;
const perSecond = 5_000;

/**
 * How fast one client is heard: 5,000 messages a second, and 10,000 at once. Beyond that its door is not read, and what
 * it sends waits at its own end.
 */
export class Pace {
  #tokens = burst;
  #last = performance.now();
  #sinceYield = 0;

  /** Resolves when the next message may be taken. */
  async wait(): Promise<void> {
    const now = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#last) / 1_000) * perSecond);
    this.#last = now;
    this.#tokens -= 1;
    if (this.#tokens < 0) {
      await new Promise((resolve) => setTimeout(resolve, (-this.#tokens / perSecond) * 1_000));
      return;
    }
    this.#sinceYield += 1;
    if (this.#sinceYield < 50) return;
    // Messages that are there at once would keep everything else from running.
    this.#sinceYield = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
