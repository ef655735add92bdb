/**
 * Gives the event loop its turn during long synchronous work, and tells when a person may want to see progress again.
 */

/** Work between two turns of the event loop: streams and calls of others wait no longer than this. */
const sliceMilliseconds = 8;
/** Some 30 reports a second: more than an eye follows. */
const reportMilliseconds = 33;

export class Pace {
  private sliceStart = performance.now();
  private lastReport = -Infinity;

  /** True when the running slice is used up and `rest` is due. */
  get due(): boolean {
    return performance.now() - this.sliceStart >= sliceMilliseconds;
  }

  async rest(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.sliceStart = performance.now();
  }

  /** True at most 30 times a second. */
  mayReport(): boolean {
    const now = performance.now();
    if (now - this.lastReport < reportMilliseconds) return false;
    this.lastReport = now;
    return true;
  }
}

export async function delay(milliseconds: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
}
