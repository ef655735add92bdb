/** Which of the kept packets a display filter means: known packet by packet, so that asking again costs only what is new. Pure. */

/** Numbers that are let go before the list of them is copied. */
const slack = 4_096;

export class PacketMatches {
  private readonly test: (number: number) => boolean;
  private numbers: number[] = [];
  /** Where in `numbers` those that are kept begin. */
  private start = 0;
  /** The last packet that was tested. */
  private tested = 0;

  /** `test` is asked once for each packet that is kept. */
  constructor(test: (number: number) => boolean) {
    this.test = test;
  }

  get count(): number {
    return this.numbers.length - this.start;
  }

  /** Tests what is kept up to `newest` until `isTimeUp`; returns whether all of it is tested. */
  advance(oldest: number, newest: number, isTimeUp: () => boolean): boolean {
    this.forget(oldest);
    this.tested = Math.max(this.tested, oldest - 1);
    for (let sinceLook = 0; this.tested < newest; sinceLook += 1) {
      // The clock costs more than most tests.
      if (sinceLook === 64) {
        if (isTimeUp()) return false;
        sinceLook = 0;
      }
      this.tested += 1;
      if (this.test(this.tested)) this.numbers.push(this.tested);
    }
    return true;
  }

  private forget(oldest: number): void {
    const { numbers } = this;
    while (this.start < numbers.length && (numbers[this.start] ?? 0) < oldest) this.start += 1;
    if (this.start < slack) return;
    this.numbers = numbers.slice(this.start);
    this.start = 0;
  }

  /** Place of the first that has this number or a higher one; `count` where there is none. */
  placeOf(number: number): number {
    let [low, high] = [this.start, this.numbers.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.numbers[middle] ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low - this.start;
  }

  at(place: number): number | undefined {
    return place < 0 ? undefined : this.numbers[this.start + place];
  }
}
