/**
 * Small files of the kernel that are read again and again: opened once, then read at offset 0, which makes the kernel
 * write them anew. That takes a quarter of the time of opening each time.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** seq_file(9) hands out about a page at a time: a shorter piece is the last one. */
const lastPiece = 2048;
const buffer = Buffer.allocUnsafeSlow(64 * 1024);

/** Of what this process may open, the part that is taken up here; beyond it files are opened each time. */
const partOfOpenFiles = 0.5;

function openFilesAllowed(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Math.floor(Number(soft ?? 1024) * partOfOpenFiles);
}

export class KeptFiles implements Disposable {
  private readonly opened = new Map<string, number>();
  private readonly limit: number;

  constructor(limit = openFilesAllowed()) {
    this.limit = limit;
  }

  /** Descriptors that are open. */
  get size(): number {
    return this.opened.size;
  }

  /**
   * The text of a file; undefined when there is none. What is gone although it was open (ENODEV of a control group's file
   * whose directory was removed, ESRCH of a process's) is looked up by its name once more: another may be there.
   */
  readonly read = (file: string): string | undefined => {
    const kept = this.opened.get(file);
    if (kept !== undefined) {
      const text = readWhole(kept);
      if (text !== undefined) return text;
      this.close(file, kept);
    }
    let fd: number;
    try {
      fd = openSync(file, 'r');
    } catch {
      return undefined;
    }
    const text = readWhole(fd);
    if (text !== undefined && this.opened.size < this.limit) this.opened.set(file, fd);
    else closeSync(fd);
    return text;
  };

  /** Closes what is kept of a file that will not be read again. */
  forget(file: string): void {
    const kept = this.opened.get(file);
    if (kept !== undefined) this.close(file, kept);
  }

  [Symbol.dispose](): void {
    for (const fd of this.opened.values()) closeSync(fd);
    this.opened.clear();
  }

  private close(file: string, fd: number): void {
    this.opened.delete(file);
    closeSync(fd);
  }
}

function readWhole(fd: number): string | undefined {
  try {
    let text = '';
    for (let at = 0; ;) {
      const length = readSync(fd, buffer, 0, buffer.length, at);
      text += buffer.toString('latin1', 0, length);
      at += length;
      if (length < lastPiece) return text;
    }
  } catch {
    return undefined;
  }
}
