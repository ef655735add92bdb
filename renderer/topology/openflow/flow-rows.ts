/** Flows of a bridge as a person reads them: sorted, with rates, and with what has changed since the last look. Pure. */
import type { OpenFlowEntry } from '../../../agent/api/index.ts';
import { compareValues } from '../../app/sorting.ts';

export interface FlowRow {
  readonly key: string;
  readonly entry: OpenFlowEntry;
  /** Packets a second since the last look; null at the first. */
  readonly rate: number | null;
  /** `new` was not there before, `busy` has seen packets since. */
  readonly change: 'new' | 'busy' | null;
}

export const flowColumns = [
  'table',
  'priority',
  'match',
  'actions',
  'packets',
  'bytes',
  'rate',
  'age',
] as const;
export type FlowColumn = (typeof flowColumns)[number];

/** What tells a flow from the others of its bridge (OpenFlow 1.3, 5.2): table, priority and match. */
export function flowKey({ table, priority, match }: OpenFlowEntry): string {
  return `${table} ${priority} ${match}`;
}

/** `seconds` lie between the two looks; `before` is null at the first. */
export function flowRows(
  now: readonly OpenFlowEntry[],
  before: readonly OpenFlowEntry[] | null,
  seconds: number,
): readonly FlowRow[] {
  const known = new Map((before ?? []).map((entry) => [flowKey(entry), entry]));
  return now.map((entry) => {
    const key = flowKey(entry);
    const last = known.get(key);
    if (before === null) return { key, entry, rate: null, change: null };
    // A counter that fell is a flow that was made anew.
    if (last === undefined || entry.packets < last.packets) {
      return { key, entry, rate: null, change: 'new' };
    }
    const packets = entry.packets - last.packets;
    return {
      key,
      entry,
      rate: seconds > 0 ? packets / seconds : 0,
      change: packets > 0 ? 'busy' : null,
    };
  });
}

/** Sorted by a column; what is the same there stays in the order of the tables: by table, the highest priority first. */
export function sortFlows(
  rows: readonly FlowRow[],
  column: FlowColumn,
  descending: boolean,
): readonly FlowRow[] {
  const value = ({ entry, rate }: FlowRow): string | number => {
    switch (column) {
      case 'rate':
        return rate ?? -1;
      case 'age':
        return entry.durationSeconds;
      default:
        return entry[column];
    }
  };
  return [...rows].sort((one, other) => {
    const order = compareValues(value(one), value(other));
    return (
      (descending ? -order : order) ||
      one.entry.table - other.entry.table ||
      other.entry.priority - one.entry.priority ||
      compareValues(one.entry.match, other.entry.match)
    );
  });
}

/** The parts of a match or of actions, each with the comma behind it: between them a line may end. */
export function flowWords(text: string): readonly string[] {
  return text.split(/(?<=,)/u);
}

/** `1.2 k`, `3.4 M`: short enough for a column. */
export function shortCount(count: number): string {
  for (const [size, prefix] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e4, 'k'],
  ] as const) {
    if (count >= size) {
      const unit = prefix === 'k' ? 1e3 : size;
      return `${Number((count / unit).toPrecision(3))} ${prefix}`;
    }
  }
  return String(Math.round(count * 10) / 10);
}

/** `42 s`, `3 min`, `2 h`, `5 d`. */
export function shortAge(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}
