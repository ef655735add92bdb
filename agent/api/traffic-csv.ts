/** Rates and flows as comma-separated values (RFC 4180), for spreadsheets: what the command prints and the window copies. Pure. */
import { type LinkCounterName, linkCounterNames } from './link-counters.ts';
import type { CaptureFlow } from './traffic.ts';

export type CsvCell = string | number | null;

/** A line with its end. Null is an empty cell. */
export function csvLine(cells: readonly CsvCell[]): string {
  return `${cells.map(cellText).join(',')}\r\n`;
}

function cellText(cell: CsvCell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  // Names come from whoever made the interface, and a spreadsheet would take these for formulas.
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const rateTitles: Readonly<Record<LinkCounterName, string>> = {
  receivedPackets: 'received packets/s',
  transmittedPackets: 'transmitted packets/s',
  receivedBytes: 'received bytes/s',
  transmittedBytes: 'transmitted bytes/s',
  receiveErrors: 'receive errors/s',
  transmitErrors: 'transmit errors/s',
  receiveDropped: 'receive drops/s',
  transmitDropped: 'transmit drops/s',
};

/** Times are of the epoch, in ISO 8601. */
export const ratesCsvHead = csvLine([
  ...['time', 'namespace', 'interface'],
  ...linkCounterNames.map((name) => rateTitles[name]),
]);

export interface CsvRates {
  /** Null for the realm's own namespace. */
  readonly namespace: string | null;
  readonly name: string;
  readonly rates: Readonly<Record<LinkCounterName, number>>;
}

/** `time` in milliseconds of the epoch. */
export function ratesCsvLine(time: number, { namespace, name, rates }: CsvRates): string {
  return csvLine([
    new Date(time).toISOString(),
    ...[namespace, name],
    ...linkCounterNames.map((each) => rates[each]),
  ]);
}

export const flowsCsvHead = csvLine([
  ...['namespace', 'protocol', 'first end', 'first port', 'second end', 'second port'],
  ...['packets', 'bytes', 'packets of the first', 'bytes of the first'],
  ...['packets of the second', 'bytes of the second', 'first seen', 'last seen'],
  ...['interfaces', 'TCP state', 'round trip (ms)'],
  ...['process of the first', 'pid of the first', 'process of the second', 'pid of the second'],
]);

/** `namespace` and `interfaces` are names. */
export function flowCsvLine(
  flow: CaptureFlow,
  namespace: string | null,
  interfaces: readonly string[],
): string {
  const [first, second] = flow.ends;
  const roundTrip = flow.tcp?.roundTrip ?? null;
  return csvLine([
    ...[namespace, flow.protocol],
    ...[first?.address ?? null, first?.port ?? null],
    ...[second?.address ?? null, second?.port ?? null],
    ...[flow.packets, flow.bytes],
    ...[first?.sent.packets ?? null, first?.sent.bytes ?? null],
    ...[second?.sent.packets ?? null, second?.sent.bytes ?? null],
    ...[new Date(flow.first).toISOString(), new Date(flow.last).toISOString()],
    ...[interfaces.join(' '), flow.tcp?.state ?? null],
    roundTrip === null ? null : Number((roundTrip * 1000).toFixed(3)),
    ...[first?.process?.name ?? null, first?.process?.pid ?? null],
    ...[second?.process?.name ?? null, second?.process?.pid ?? null],
  ]);
}
