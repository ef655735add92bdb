/**
 * A file of captures read by the window itself, with the rights of the person who chose it: it needs no lab that is up, and
 * nothing of it leaves the window. It is read piece by piece, in slices between which the window answers.
 */
import { type FileFaults, PacketFile } from '../../agent/packets/packet-file.ts';

/** Bytes. */
const pieceLength = 256 * 1024;
/** Milliseconds between two reports. */
const reportInterval = 100;

export interface OpenedFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes that were read up to now. */
  readonly read: number;
  readonly faults: FileFaults;
  /** Whether the system refused to go on, as when the file was removed meanwhile. */
  readonly unreadable: boolean;
}

export interface FileReading {
  readonly packets: PacketFile;
  /** Resolves when it is read, cannot be, or `signal` has ended it. */
  readonly done: Promise<void>;
}

/** `onReport` is called at most ten times a second, and when it is over. */
export function readPacketFile(
  file: File,
  signal: AbortSignal,
  onReport: (opened: OpenedFile, packets: PacketFile) => void,
): FileReading {
  const packets = new PacketFile(() => new Promise((resolve) => setTimeout(resolve)));
  const { name, size } = file;
  let [read, reported] = [0, performance.now()];
  let unreadable = false;
  const report = (): void => {
    onReport({ name, size, read, faults: packets.faults, unreadable }, packets);
  };
  const pieces = async (): Promise<void> => {
    while (read < size && !signal.aborted) {
      const piece = await pieceOf(file, read);
      if (piece === null) {
        unreadable = true;
        return;
      }
      read += piece.length;
      if (!(await packets.feed(piece))) return;
      if (performance.now() < reported + reportInterval) continue;
      reported = performance.now();
      report();
    }
    // Of what was not read to its end nobody can say that it is cut off.
    if (!signal.aborted) await packets.end();
  };
  return { packets, done: pieces().then(report) };
}

async function pieceOf(file: File, from: number): Promise<Uint8Array | null> {
  try {
    const piece = new Uint8Array(await file.slice(from, from + pieceLength).arrayBuffer());
    return piece.length === 0 ? null : piece;
  } catch {
    return null;
  }
}
