/** Bytes after which the sender is told at once, so that a flood never waits for the timer. */
const enough = 16 * 1024;
const delay = 40;

/** Counts output that the terminal has taken, and says so in few calls: the sender stops when its credit is spent. */
export class AcknowledgementCounter {
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #send: (bytes: number) => void;

  constructor(send: (bytes: number) => void) {
    this.#send = send;
  }

  taken(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= enough) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), delay);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bytes = 0;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#bytes > 0) this.#send(this.#bytes);
    this.#bytes = 0;
  }
}
