/**
 * Which of the kept packets a display filter means. What comes is tested as it comes (`add`), what is there already in slices
 * (`advance`), so that the answer is whole however fast packets come. Pure.
 */

/** Numbers that are let go before the list of them is copied. */
const slack = 4_096;
/** Tests before a look at the clock, which costs more than most of them. */
const testsPerLook = 64;

export class PacketMatches {
  private readonly test: (number: number) => boolean;
  /** Numbers, rising. */
  private numbers: number[] = [];
  /** Where in `numbers` those that are kept begin. */
  private start = 0;
  /** The last packet that was tested of those that were there before. */
  private tested = 0;
  private readonly before: number;
  /** What has come meanwhile; null once all that was there before is tested. */
  private later: number[] | null = [];

  /** `test` is asked once for each packet that is kept, of those up to `newest`. */
  constructor(newest: number, test: (number: number) => boolean) {
    this.before = newest;
    this.test = test;
  }

  get count(): number {
    return this.numbers.length - this.start;
  }

  /** A packet that came, and matches. */
  add(number: number): void {
    (this.later ?? this.numbers).push(number);
  }

  /** Tests what was there before until `isTimeUp`; returns whether that is done. To be called before it is read. */
  advance(oldest: number, isTimeUp: () => boolean): boolean {
    this.tested = Math.max(this.tested, oldest - 1);
    for (let tests = 1; this.tested < this.before; tests += 1) {
      if (tests % testsPerLook === 0 && isTimeUp()) return false;
      this.tested += 1;
      if (this.test(this.tested)) this.numbers.push(this.tested);
    }
    if (this.later !== null) {
      for (const number of this.later) this.numbers.push(number);
      this.later = null;
    }
    this.forget(oldest);
    return true;
  }

  /** Lets go of what is not kept any more. */
  forget(oldest: number): void {
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
