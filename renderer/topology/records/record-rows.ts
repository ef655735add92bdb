/** Records of a collector as a person reads them: by kind, sorted, filtered. Pure. */
import type {
  CounterRecord,
  ExportRecord,
  FlowExportProtocol,
  FlowRecord,
} from '../../../agent/api/index.ts';
import { compareValues } from '../../app/sorting.ts';

export const protocolNames: Readonly<Record<FlowExportProtocol, string>> = {
  'netflow-v5': 'NetFlow v5',
  'netflow-v9': 'NetFlow v9',
  ipfix: 'IPFIX',
  'sflow-v5': 'sFlow v5',
};

export const recordKinds = ['flow', 'counters', 'options'] as const;
export type RecordKind = (typeof recordKinds)[number];

export const recordColumns = {
  flow: [
    ...(['time', 'protocol', 'exporter', 'source', 'destination', 'transport'] as const),
    ...(['packets', 'bytes', 'lasted', 'vlan', 'ports'] as const),
  ],
  counters: [
    ...(['time', 'protocol', 'exporter', 'interface'] as const),
    ...(['inPackets', 'inBytes', 'outPackets', 'outBytes', 'speed'] as const),
  ],
  options: ['time', 'protocol', 'exporter', 'fields'],
} as const;
export type RecordColumn = (typeof recordColumns)[RecordKind][number];

export const numericColumns: ReadonlySet<RecordColumn> = new Set([
  ...(['packets', 'bytes', 'lasted', 'vlan', 'interface'] as const),
  ...(['inPackets', 'inBytes', 'outPackets', 'outBytes', 'speed'] as const),
]);

/** IANA protocol numbers that have a name that everybody knows. */
const transports: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
  47: 'GRE',
  58: 'ICMPv6',
  89: 'OSPF',
  132: 'SCTP',
};
const etherTypes: Readonly<Record<number, string>> = { 0x0806: 'ARP', 0x88cc: 'LLDP' };

/** One line of a table: what its columns sort by. Null is what the exporter did not tell. */
export interface RecordRow {
  readonly key: string;
  readonly record: ExportRecord;
  readonly cells: Readonly<Partial<Record<RecordColumn, string | number | null>>>;
  /** What the filter looks into, in lower case. */
  readonly text: string;
}

export function endOf(address: string | null, port: number | null, mac: string | null): string {
  if (address === null) return mac ?? '–';
  if (port === null || port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function transportOf({ ipProtocol, etherType }: FlowRecord): string | null {
  if (ipProtocol !== null && (ipProtocol !== 0 || etherType === null)) {
    return transports[ipProtocol] ?? String(ipProtocol);
  }
  if (etherType === null) return null;
  // A length, in the older form of Ethernet: spanning trees, mostly.
  if (etherType < 0x600) return 'LLC';
  return etherTypes[etherType] ?? `0x${etherType.toString(16).padStart(4, '0')}`;
}

export function fieldText(fields: ExportRecord['fields']): string {
  return fields.map(({ name, value }) => `${name}=${value}`).join(' ');
}

function flowCells(flow: FlowRecord): RecordRow['cells'] {
  const { start, end, input, output } = flow;
  return {
    source: endOf(flow.source, flow.sourcePort, flow.sourceMac),
    destination: endOf(flow.destination, flow.destinationPort, flow.destinationMac),
    transport: transportOf(flow),
    packets: flow.packets,
    bytes: flow.bytes,
    lasted: start === null || end === null ? null : Math.max(0, end - start),
    vlan: flow.vlan,
    ports: input === null && output === null ? null : `${input ?? '–'} → ${output ?? '–'}`,
  };
}

function cellsOf(record: ExportRecord): RecordRow['cells'] {
  const common = {
    time: record.time,
    protocol: protocolNames[record.protocol],
    exporter: record.exporter,
  };
  switch (record.kind) {
    case 'flow':
      return { ...common, ...flowCells(record) };
    case 'counters':
      return { ...common, ...counterCells(record) };
    case 'options':
      return { ...common, fields: fieldText(record.fields) };
  }
}

function counterCells(record: CounterRecord): RecordRow['cells'] {
  const { inPackets, inBytes, outPackets, outBytes, speed } = record;
  return { interface: record.interface, inPackets, inBytes, outPackets, outBytes, speed };
}

export function recordRows(records: readonly ExportRecord[]): readonly RecordRow[] {
  // Equal records are told apart by how many came before: counted from the oldest, so that a key stays with its record.
  const seen = new Map<string, number>();
  const rows = [...records].reverse().map((record): RecordRow => {
    const cells = cellsOf(record);
    const base = `${record.kind} ${record.time} ${record.exporter} ${Object.values(cells).join(' ')}`;
    const count = seen.get(base) ?? 0;
    seen.set(base, count + 1);
    const { time: _time, ...words } = cells;
    const text = Object.values(words).filter((cell) => cell !== null);
    return { key: `${base} ${count}`, record, cells, text: text.join(' ').toLowerCase() };
  });
  return rows.reverse();
}

export function countKinds(records: readonly ExportRecord[]): Readonly<Record<RecordKind, number>> {
  const counts = { flow: 0, counters: 0, options: 0 };
  for (const record of records) counts[record.kind] += 1;
  return counts;
}

/** All words have to be in a row. */
export function filterRecords(
  rows: readonly RecordRow[],
  kind: RecordKind,
  filter: string,
): readonly RecordRow[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(
    (row) => row.record.kind === kind && words.every((word) => row.text.includes(word)),
  );
}

/** Sorted by a column, the newest first where it is the same; what was not told comes last. */
export function sortRecords(
  rows: readonly RecordRow[],
  column: RecordColumn,
  descending: boolean,
): readonly RecordRow[] {
  const numeric = numericColumns.has(column) || column === 'time';
  return [...rows].sort((one, other) => {
    const [mine, its] = [one.cells[column] ?? null, other.cells[column] ?? null];
    if (mine === null || its === null) return Number(mine === null) - Number(its === null);
    const order = numeric
      ? compareValues(Number(mine), Number(its))
      : compareValues(String(mine), String(its));
    return (descending ? -order : order) || other.record.time - one.record.time;
  });
}
