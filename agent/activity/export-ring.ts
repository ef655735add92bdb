/**
 * What a collector keeps: two files of JSON lines, of which one is written until it is full, then the other from its
 * beginning. The first line of each has the totals up to there, so that the newer one alone tells what has come.
 */
import { z } from 'zod';
import {
  type ExportRecord,
  ExportRecordSchema,
  type ExportTotal,
  ExportTotalSchema,
  exportProblemCodes,
  flowExportProtocols,
} from '../api/flow-export.ts';
import { type DatagramCounts, ExportTotals } from './export-totals.ts';

/** Bytes that a file of the two may have. */
export const ringFileSize = 1024 * 1024;

const BeginningSchema = z.strictObject({
  /** Counts the files that were begun. */
  file: z.number().int(),
  totals: z.array(ExportTotalSchema),
});

const DatagramSchema = z.strictObject({
  counts: z.strictObject({
    protocol: z.enum(flowExportProtocols),
    exporter: z.string(),
    time: z.number(),
    flows: z.number().int(),
    counters: z.number().int(),
    options: z.number().int(),
    packets: z.number(),
    bytes: z.number(),
    problems: z.array(z.enum(exportProblemCodes)),
  }),
  records: z.array(ExportRecordSchema),
});

export interface RingFile {
  /** Empties it. */
  readonly clear: () => void;
  /** Throws when it cannot be written. */
  readonly append: (text: string) => void;
}

/** Writes the two files; `byteLength` is that of UTF-8. */
export class ExportRing {
  private readonly files: readonly [RingFile, RingFile];
  private readonly byteLength: (text: string) => number;
  private readonly totals = new ExportTotals();
  private begun = 0;
  private size = 0;

  constructor(files: readonly [RingFile, RingFile], byteLength: (text: string) => number) {
    this.files = files;
    this.byteLength = byteLength;
    this.begin();
  }

  private get file(): RingFile {
    return this.files[this.begun % 2 === 0 ? 1 : 0];
  }

  private begin(): void {
    this.begun += 1;
    this.size = 0;
    this.file.clear();
    this.append(`${JSON.stringify({ file: this.begun, totals: this.totals.list() })}\n`);
  }

  private append(line: string): void {
    this.file.append(line);
    this.size += this.byteLength(line);
  }

  /** Records that make the line longer than a file are left out; they are in the totals. */
  write(counts: DatagramCounts, records: readonly ExportRecord[]): void {
    let line = `${JSON.stringify({ counts, records })}\n`;
    if (this.byteLength(line) > ringFileSize / 2) {
      line = `${JSON.stringify({ counts, records: records.slice(0, 64) })}\n`;
    }
    if (this.size + this.byteLength(line) > ringFileSize) this.begin();
    this.totals.add(counts);
    this.append(line);
  }
}

export interface RingContent {
  /** Newest first. */
  readonly records: readonly ExportRecord[];
  readonly totals: ExportTotal[];
}

/** Reads the texts of the two files, in whatever order, also while they are written: a line without an end is left out. */
export function readExportRing(texts: readonly string[], limit: number): RingContent {
  const files = texts
    .map(readFile)
    .filter((file) => file !== null)
    .sort((one, other) => other.file - one.file);
  const [newest] = files;
  const totals = new ExportTotals(newest?.totals ?? []);
  const records: ExportRecord[] = [];
  for (const line of newest?.lines ?? []) {
    const datagram = parseLine(line, DatagramSchema);
    if (datagram !== null) totals.add(datagram.counts);
  }
  for (const { lines } of files) {
    for (let index = lines.length - 1; index >= 0 && records.length < limit; index -= 1) {
      const datagram = parseLine(lines[index] ?? '', DatagramSchema);
      if (datagram !== null) records.push(...datagram.records.reverse());
    }
  }
  return { records: records.slice(0, limit), totals: totals.list() };
}

function readFile(
  text: string,
): (z.infer<typeof BeginningSchema> & { readonly lines: readonly string[] }) | null {
  const [first = '', ...lines] = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const beginning = parseLine(first, BeginningSchema);
  return beginning === null ? null : { ...beginning, lines: lines.filter((line) => line !== '') };
}

function parseLine<T>(line: string, schema: z.ZodType<T>): T | null {
  try {
    const value: unknown = JSON.parse(line);
    const parsed = schema.safeParse(value);
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
