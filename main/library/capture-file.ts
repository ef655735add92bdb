/** Packets of a capture in a file of the person's: pcapng, whole or not at all. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import path from 'node:path';
import {
  type CaptureRead,
  type CaptureReadArguments,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { storageFailure } from './storage-failure.ts';

/** Asks an agent for the next blocks of one capture. */
export type ReadCapture = (
  from: Omit<CaptureReadArguments, 'capture' | 'filter'>,
) => Promise<Result<CaptureRead>>;

export interface SavedCapture {
  readonly path: string;
  readonly packets: number;
  /** Bytes of the file. */
  readonly size: number;
  /** Packets that the capture forgot while it was written. */
  readonly missed: number;
}

export function withExtension(name: string): string {
  return /\.pcapng$/i.test(name) ? name : `${name}.pcapng`;
}

/**
 * Writes what is kept now to a file that must not exist yet; what comes meanwhile is left out, so that it ends. Fails with
 * what the agent says, or with `storage`, and then leaves nothing behind.
 */
export async function saveCapture(file: string, read: ReadCapture): Promise<Result<SavedCapture>> {
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}`);
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    // What was sent over the network is nobody else's to read.
    const handle = await open(draft, 'wx', 0o600);
    try {
      const written = await writeBlocks(read, async (bytes) => {
        await handle.appendFile(bytes);
      });
      if (!written.ok) return written;
      await handle.sync();
      await link(draft, file);
      return succeed({ path: file, ...written.value });
    } finally {
      await handle.close();
      await unlink(draft);
    }
  } catch (error) {
    return storageFailure(file, error);
  }
}

async function writeBlocks(
  read: ReadCapture,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<Result<Omit<SavedCapture, 'path'>>> {
  let [packets, size, missed] = [0, 0, 0];
  let from: Parameters<ReadCapture>[0] = {
    ...{ after: -1, interfaces: 0, until: null, wait: 0, totals: false },
  };
  for (;;) {
    const piece = await read(from);
    if (!piece.ok) return piece;
    const { data, more, after, interfaces, totals } = piece.value;
    const bytes = Buffer.from(data, 'base64');
    await write(bytes);
    packets += piece.value.packets;
    size += bytes.length;
    missed += piece.value.missed;
    if (from.totals) return succeed({ packets, size, missed });
    // Totals of each interface come last.
    from = { after, interfaces, until: from.until ?? totals.packets, wait: 0, totals: !more };
  }
}
