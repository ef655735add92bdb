/** dissect: the packets of a capture, taken apart. It needs no realm and no agent, and reads a file of any size. */
import { open } from 'node:fs/promises';
import type { Failure } from '../../agent/api/index.ts';
import { CaptureReader } from '../../agent/dissect/capture/capture-reader.ts';
import type { CapturedPacket, CaptureFault } from '../../agent/dissect/capture/captured-packet.ts';
import { textOfFault } from '../../agent/dissect/capture/fault-text.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { fieldCatalogue } from '../../agent/dissect/field-catalogue.ts';
import { type DisplayFilter, displayFilter } from '../../agent/dissect/filter/display-filter.ts';
import { packetJson } from '../../agent/dissect/packet-json.ts';
import { packetLine, packetTree } from '../../agent/dissect/packet-text.ts';
import { storageFailure } from '../library/storage-failure.ts';
import { LineOutput } from './line-output.ts';
import {
  type ExitCode,
  formatTable,
  printable,
  printFailure,
  printJson,
  printResult,
} from './output.ts';

export interface DissectOptions {
  /** How many packets; all of them unless given. */
  readonly count?: number;
  /** Display filter: packets that it does not mean are left out, and not counted. */
  readonly filter?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly fields?: boolean;
}

/** Bytes that are read at a time. */
const pieceLength = 1024 * 1024;
/** Faults that are named one by one; a damaged file may have as many as packets. */
const maximumFaults = 20;

function failureOf(file: string, fault: CaptureFault): Failure {
  const isOther = fault.kind === 'not-a-capture' || fault.kind === 'other-format';
  return {
    kind: isOther || fault.kind === 'unsupported-version' ? 'invalid-request' : 'storage',
    code: `capture-${fault.kind}`,
    object: file,
    ...textOfFault(fault),
    values: { offset: fault.offset, detail: fault.detail },
  };
}

/** Standard input for `-`. Stops reading when nobody takes more. */
async function* piecesOf(file: string): AsyncGenerator<Uint8Array> {
  if (file === '-') {
    for await (const piece of process.stdin) {
      if (piece instanceof Uint8Array) yield piece;
    }
    return;
  }
  const handle = await open(file, 'r');
  try {
    for (;;) {
      // A buffer for each, since packets are views of it until the next one has come.
      const { bytesRead, buffer } = await handle.read(new Uint8Array(pieceLength), 0, pieceLength);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function printCatalogue(json: boolean): ExitCode {
  const entries = fieldCatalogue();
  if (json) {
    printJson({ fields: entries });
    return 0;
  }
  const rows = entries.map(({ name, protocols, kind, unit, label }) => [
    name,
    protocols.join(' '),
    kind,
    unit ?? '',
    label,
  ]);
  printResult(formatTable(['field', 'of', 'value', 'unit', 'what it is'], rows));
  return 0;
}

export async function dissectCapture(
  file: string | undefined,
  options: DissectOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  if (options.fields === true) return printCatalogue(json);
  if (file === undefined) {
    return printFailure({
      kind: 'invalid-request',
      code: 'missing-file',
      object: 'netloom dissect',
      reason: 'No file is given.',
      next: 'Give a capture, or - for standard input.',
    });
  }
  let filter: DisplayFilter | null = null;
  if (options.filter !== undefined) {
    const read = displayFilter(options.filter);
    if (!read.ok) return printFailure(read.failure);
    filter = read.value;
  }
  const output = new LineOutput();
  const faults: CaptureFault[] = [];
  const most = options.count ?? Infinity;
  let unnamed = 0;
  let since: CapturedPacket['time'] = null;

  /** Whether it was shown. */
  const show = (packet: CapturedPacket): boolean => {
    const { bytes, wireLength, time } = packet;
    const dissection = dissect(bytes, packet.interface.linkType, wireLength);
    // Times count from the first packet of the file, shown or not.
    since ??= time;
    if (filter?.matches(packet, dissection) === false) return false;
    if (json) {
      output.line(JSON.stringify(packetJson(packet, dissection)));
      return true;
    }
    output.line(printable(packetLine(packet, dissection, since)));
    if (options.verbose === true) {
      for (const line of packetTree(dissection)) output.line(printable(line));
    }
    return true;
  };

  const reader = new CaptureReader();
  let left = most;
  const take = async (items: ReturnType<CaptureReader['push']>): Promise<void> => {
    for (const item of items) {
      if (left <= 0) return;
      if (item.kind === 'packet') {
        if (show(item.packet)) left -= 1;
        // Nothing waits between packets otherwise: that would take longer than they do.
        if (output.isFull) await output.flush();
      } else if (faults.length < maximumFaults) {
        faults.push(item.fault);
      } else {
        unnamed += 1;
      }
    }
  };
  let broken: Failure | null = null;
  try {
    for await (const piece of piecesOf(file)) {
      await take(reader.push(piece));
      if (left <= 0) break;
    }
    if (left > 0) await take(reader.end());
  } catch (error) {
    broken = storageFailure(file, error).failure;
  }
  await output.flush();

  const failures = faults.map((fault) => failureOf(file === '-' ? 'standard input' : file, fault));
  if (broken !== null) failures.push(broken);
  let status: ExitCode = 0;
  for (const failure of failures) {
    if (json) printResult(JSON.stringify({ failure }));
    status = printFailure(failure);
  }
  if (unnamed > 0) {
    process.stderr.write(`and ${String(unnamed)} more faults like these\n`);
  }
  return status;
}
