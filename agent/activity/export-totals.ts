/** What has come by protocol and exporter. */
import type { ExportProblemCode, ExportTotal, FlowExportProtocol } from '../api/flow-export.ts';
import type { DecodedExport, ExportArrival } from './export-decoding.ts';

/** Exporters that are told apart; what further ones send is under `other`. */
const maximumExporters = 256;
export const otherExporters = 'other';

/** Counts of one datagram. */
export type DatagramCounts = Pick<
  ExportTotal,
  'flows' | 'counters' | 'options' | 'packets' | 'bytes'
> & {
  readonly protocol: FlowExportProtocol;
  readonly exporter: string;
  readonly time: number;
  readonly problems: readonly ExportProblemCode[];
};

/** Null for what is none of the protocols. */
export function countsOf(
  { protocol, records, problems }: DecodedExport,
  { exporter, time }: ExportArrival,
): DatagramCounts | null {
  if (protocol === null) return null;
  const counts = { flows: 0, counters: 0, options: 0, packets: 0, bytes: 0 };
  for (const record of records) {
    if (record.kind === 'options') counts.options += 1;
    else if (record.kind === 'counters') counts.counters += 1;
    else {
      counts.flows += 1;
      counts.packets += record.packets ?? 0;
      counts.bytes += record.bytes ?? 0;
    }
  }
  const codes = [...new Set(problems.map(({ code }) => code))];
  return { protocol, exporter, time, ...counts, problems: codes };
}

export class ExportTotals {
  private readonly totals = new Map<string, ExportTotal>();

  constructor(start: readonly ExportTotal[] = []) {
    for (const total of start) this.totals.set(keyOf(total), { ...total });
  }

  add(counts: DatagramCounts): void {
    const known = this.totals.get(keyOf(counts));
    const { protocol, time } = counts;
    const exporter =
      known === undefined && this.totals.size >= maximumExporters
        ? otherExporters
        : counts.exporter;
    const before = known ?? this.totals.get(keyOf({ protocol, exporter }));
    const problems = { ...before?.problems };
    for (const code of counts.problems) problems[code] = (problems[code] ?? 0) + 1;
    this.totals.set(keyOf({ protocol, exporter }), {
      protocol,
      exporter,
      datagrams: (before?.datagrams ?? 0) + 1,
      flows: (before?.flows ?? 0) + counts.flows,
      counters: (before?.counters ?? 0) + counts.counters,
      options: (before?.options ?? 0) + counts.options,
      packets: (before?.packets ?? 0) + counts.packets,
      bytes: (before?.bytes ?? 0) + counts.bytes,
      problems,
      first: before?.first ?? time,
      last: time,
    });
  }

  /** By protocol, then exporter. */
  list(): ExportTotal[] {
    return [...this.totals.entries()]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, total]) => total);
  }
}

function keyOf({ protocol, exporter }: Pick<ExportTotal, 'protocol' | 'exporter'>): string {
  return `${protocol} ${exporter}`;
}
