/** A piece of a file of pcapng with what a capture keeps, beginning where a reader has come to. */
import { release } from 'node:os';
import { programVersion } from '../api/version.ts';
import type { CaptureReadArguments } from '../api/traffic.ts';
import { CaptureWriter } from '../dissect/capture/capture-writer.ts';
import type { InterfaceRegister } from '../packets/interface-register.ts';
import type { StoredPacket } from '../packets/packet-store.ts';

/** Bytes of packets in one piece, about. */
const pieceLength = 1024 * 1024;

export interface PacketWriting {
  readonly args: CaptureReadArguments;
  readonly request: { readonly filter: string | null; readonly snapLength: number };
  readonly register: InterfaceRegister;
  /** Of the packets that are wanted. */
  readonly numbers: Iterable<number>;
  readonly get: (number: number) => StoredPacket | null;
  /** Packets of a namespace that were dropped, where all are of one interface. */
  readonly droppedOf: (namespace: string) => number | null;
}

export interface WrittenPackets {
  readonly blocks: readonly Uint8Array[];
  readonly packets: number;
  /** Number of the last packet in it, where there are more that are wanted; null where there are not. */
  readonly last: number | null;
}

export function writePackets(writing: PacketWriting): WrittenPackets {
  const { args, request, register, numbers, get } = writing;
  const writer = new CaptureWriter();
  const blocks: Uint8Array[] = [];
  if (args.after < 0)
    blocks.push(writer.section(`Netloom ${programVersion}`, `Linux ${release()}`));
  for (const view of register.all()) {
    const { bytes } = writer.interface({
      namespace: view.title,
      name: view.name,
      linkType: view.linkType,
      snapLength: request.snapLength,
      ...(request.filter === null ? {} : { filter: request.filter }),
    });
    // Those before are in the file already.
    if (view.number >= args.interfaces) blocks.push(bytes);
  }
  let [packets, length] = [0, 0];
  let last: number | null = null;
  let isFull = false;
  for (const number of numbers) {
    if (length >= pieceLength) {
      isFull = true;
      break;
    }
    const packet = get(number);
    if (packet === null) continue;
    const { bytes, time, wireLength, direction } = packet;
    blocks.push(
      writer.packet({
        ...{ interface: packet.interface, time, bytes, wireLength },
        ...(direction === null ? {} : { direction }),
      }),
    );
    length += bytes.length + 64;
    packets += 1;
    last = number;
  }
  if (args.totals && !isFull) blocks.push(...totalsOf(writing, writer));
  return { blocks, packets, last: isFull ? last : null };
}

function totalsOf({ register, droppedOf }: PacketWriting, writer: CaptureWriter): Uint8Array[] {
  const now = Date.now();
  const time = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
  return register.all().map(({ number, namespace }) => {
    const dropped = droppedOf(namespace);
    const received = register.packetsOf(number) + (dropped ?? 0);
    return writer.totals(number, { time, received, dropped });
  });
}
