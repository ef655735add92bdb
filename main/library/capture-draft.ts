/** A capture that is being written: beside its file, under a name that it gives up only when it is whole. */
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { fail, type Failure, type Result, succeed } from '../../agent/api/index.ts';
import { storageFailure } from './storage-failure.ts';

export class CaptureDraft {
  private readonly file: string;
  private readonly draft: string;
  private readonly handle: FileHandle;
  /** Bytes and packets of whole blocks. */
  private size = 0;
  private packets = 0;

  private constructor(file: string, draft: string, handle: FileHandle) {
    this.file = file;
    this.draft = draft;
    this.handle = handle;
  }

  /** `FILE.part` until it is whole. A pipe or a device, which somebody reads along, is written as it is. */
  static async open(file: string): Promise<Result<CaptureDraft>> {
    try {
      const there = await stat(file).catch(() => null);
      const isStream = there !== null && !there.isFile() && !there.isDirectory();
      const draft = isStream || there?.isDirectory() === true ? file : `${file}.part`;
      // What was sent over the network is nobody else's to read.
      const handle = await open(draft, 'w', 0o600);
      return succeed(new CaptureDraft(file, draft, handle));
    } catch (error) {
      return storageFailure(file, error);
    }
  }

  /** Adds whole blocks with so many packets. After a failure nothing more may be added. */
  async add(blocks: Uint8Array, packets: number): Promise<Result<void>> {
    try {
      let at = 0;
      while (at < blocks.length) {
        const { bytesWritten } = await this.handle.write(blocks, at);
        at += bytesWritten;
      }
    } catch (error) {
      return this.keepPart(error);
    }
    this.size += blocks.length;
    this.packets += packets;
    return succeed(undefined);
  }

  /** It is whole, and has its name. */
  async finish(): Promise<Result<void>> {
    if (this.draft === this.file) {
      await this.handle.close();
      return succeed(undefined);
    }
    try {
      await this.handle.sync();
    } catch (error) {
      return this.keepPart(error);
    }
    await this.handle.close();
    try {
      await rename(this.draft, this.file);
      return succeed(undefined);
    } catch (error) {
      return storageFailure(this.file, error);
    }
  }

  /** Nothing of it is wanted. */
  async drop(): Promise<void> {
    await this.handle.close();
    if (this.draft !== this.file) await unlink(this.draft);
  }

  /** What is whole stays, under the name that says that there is more missing. */
  private async keepPart(error: unknown): Promise<{ ok: false; failure: Failure }> {
    const { failure } = storageFailure(this.file, error);
    if (this.draft === this.file) {
      await this.handle.close();
      return { ok: false, failure };
    }
    await this.handle.truncate(this.size);
    await this.handle.close();
    return fail({
      ...failure,
      code: 'capture-file-cut',
      next: `The first ${String(this.packets)} packets are in ${this.draft}; free some room, or write elsewhere, and capture again.`,
      values: { ...failure.values, file: this.draft, packets: this.packets },
    });
  }
}
