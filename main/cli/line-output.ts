/** Lines on standard output, many at a time, and no faster than their reader reads. */

/** Characters that are written at a time. */
const batchLength = 64 * 1024;

export class LineOutput {
  private batch = '';

  line(text: string): void {
    this.batch += `${text}\n`;
  }

  /** Whether it is time to flush. */
  get isFull(): boolean {
    return this.batch.length >= batchLength;
  }

  /** Rejects when the reader is gone. */
  async flush(): Promise<void> {
    const { batch } = this;
    if (batch === '') return;
    this.batch = '';
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(batch, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }
}
