/** Lines of OpenFlow tables as ovs-ofctl(8) prints and takes them. Pure. */
import type { OpenFlowEntry } from '../api/openflow.ts';
import type { OpenFlowTables } from '../api/ovs.ts';
import { compareText } from './values.ts';

/** Of a flow that says none (OFP_DEFAULT_PRIORITY). */
const defaultPriority = 32768;

export interface FlowLine {
  readonly fields: ReadonlyMap<string, string>;
  readonly table: number;
  readonly priority: number;
  /** Without priority. */
  readonly match: string;
  readonly actions: string;
}

const leadingField =
  /^(cookie|duration|table|n_packets|n_bytes|idle_timeout|hard_timeout|importance|idle_age|hard_age)=([^,\s]+)[,\s]+/;
const leadingFlag =
  /^(?:send_flow_rem|check_overlap|reset_counts|no_packet_counts|no_byte_counts)[,\s]+/;

/** One flow as `dump-flows` prints it; undefined for another line, such as the heading. */
export function parseFlowLine(line: string): FlowLine | undefined {
  const split = /(?:^|[\s,])actions=/.exec(line);
  if (split === null) return undefined;
  const fields = new Map<string, string>();
  let rest = `${line.slice(0, split.index).trim()} `;
  for (;;) {
    const field = leadingField.exec(rest);
    if (field !== null) {
      fields.set(field[1] ?? '', field[2] ?? '');
      rest = rest.slice(field[0].length);
      continue;
    }
    const flag = leadingFlag.exec(rest);
    if (flag === null) break;
    rest = rest.slice(flag[0].length);
  }
  const parts = rest.trim().replace(/,$/, '').split(',');
  const said = parts.findIndex((part) => part.startsWith('priority='));
  const priority = said < 0 ? defaultPriority : Number(parts[said]?.slice('priority='.length));
  return {
    fields,
    table: Number(fields.get('table') ?? 0),
    priority,
    match: parts.filter((part, at) => at !== said && part !== '').join(','),
    actions: line.slice(split.index + split[0].length).trim(),
  };
}

/** `dump-flows` with counters. By table, then by priority, the highest first. */
export function parseFlowStatistics(text: string): readonly OpenFlowEntry[] {
  const entries: OpenFlowEntry[] = [];
  for (const line of text.split('\n')) {
    const flow = parseFlowLine(line);
    if (flow?.fields.has('n_packets') !== true) continue;
    const { fields, table, priority, match, actions } = flow;
    const idle = fields.get('idle_age');
    entries.push({
      table,
      priority,
      cookie: fields.get('cookie') ?? '0x0',
      match,
      actions,
      packets: Number(fields.get('n_packets')),
      bytes: Number(fields.get('n_bytes')),
      durationSeconds: Number((fields.get('duration') ?? '0s').replace(/s$/, '')),
      idleAge: idle === undefined ? null : Number(idle),
    });
  }
  return entries.sort(
    (one, other) =>
      one.table - other.table ||
      other.priority - one.priority ||
      compareText(one.match, other.match),
  );
}

/** `dump-flows --no-stats`: lines that add-flow(s) takes. */
export function parseFlows(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /(?:^|[\s,])actions=/.test(line))
    .sort(compareText);
}

/** `dump-groups`: lines that add-group(s) takes. */
export function parseGroups(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('group_id='))
    .sort(compareText);
}

/** `dump-meters`, whose form add-meter does not take: several lines a meter become one that it does. */
export function parseMeters(text: string): string[] {
  const meters: string[][] = [];
  for (const line of text.split('\n')) {
    if (/^meter=/.test(line)) {
      meters.push(
        line
          .trim()
          .split(/\s+/)
          .filter((word) => word !== 'bands='),
      );
    } else if (line.startsWith('type=')) {
      // Only the first needs to be called a band; add-meter takes further ones by their type.
      const band = line.trim().split(/\s+/);
      const current = meters.at(-1);
      const isFirst = current?.some((word) => word.startsWith('band=')) !== true;
      current?.push(...band.map((word, at) => (isFirst && at === 0 ? `band=${word}` : word)));
    }
  }
  return meters.map((words) => words.join(',')).sort(compareText);
}

export function meterId(line: string): string | undefined {
  return /^\s*meter=([^,\s]+)/.exec(line)?.[1];
}

export function groupId(line: string): string | undefined {
  return /(?:^|[\s,])group_id=([^,\s]+)/.exec(line)?.[1];
}

function flowKey(line: string): string {
  const flow = parseFlowLine(line);
  return flow === undefined ? line : `${flow.table} ${flow.priority} ${flow.match}`;
}

export interface TableChanges {
  /** Meters are no part of bundles: these come before, and those that go go afterwards. */
  readonly addMeters: readonly string[];
  readonly changeMeters: readonly string[];
  readonly removeMeters: readonly string[];
  /** Lines of a bundle; what stays as it is keeps its counters. */
  readonly bundle: readonly string[];
}

/** How tables as they are printed become what is wanted. Lines that are not in printed form are written anyway. */
export function tableChanges(before: OpenFlowTables, after: OpenFlowTables): TableChanges {
  const meters = changesById(before.meters, after.meters, meterId);
  const groups = changesById(before.groups, after.groups, groupId);
  const kept = new Set(after.flows);
  const keys = new Set(after.flows.map(flowKey));
  const known = new Set(before.flows);
  const removals = before.flows
    .filter((line) => !kept.has(line) && !keys.has(flowKey(line)))
    .flatMap((line) => {
      const flow = parseFlowLine(line);
      if (flow === undefined) return [];
      const match = [`table=${flow.table}`, `priority=${flow.priority}`, flow.match];
      return [`flow delete_strict ${match.filter((part) => part !== '').join(',')}`];
    });
  // A flow that refers to a group that goes would go with it: flows are added last.
  return {
    addMeters: meters.added,
    changeMeters: meters.changed,
    removeMeters: meters.removed,
    bundle: [
      ...removals,
      ...groups.removed.map((id) => `group delete group_id=${id}`),
      ...[...groups.changed, ...groups.added].map((line) => `group add_or_mod ${line}`),
      ...after.flows.filter((line) => !known.has(line)).map((line) => `flow add ${line}`),
    ],
  };
}

function changesById(
  before: readonly string[],
  after: readonly string[],
  idOf: (line: string) => string | undefined,
): {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
} {
  const known = new Map(before.map((line) => [idOf(line), line]));
  const wanted = new Set(after.map(idOf));
  return {
    added: after.filter((line) => !known.has(idOf(line))),
    changed: after.filter((line) => known.has(idOf(line)) && known.get(idOf(line)) !== line),
    removed: [...known.keys()].flatMap((id) => (id === undefined || wanted.has(id) ? [] : [id])),
  };
}

/** A port that a printed line calls by its number because it knows no name for it; undefined where all have names. */
export function unnamedPort(line: string): string | undefined {
  const found = /(?:^|[\s,(:=])(?:in_port=|output:|output\(port=|enqueue:)(\d+)(?![\d.])/.exec(
    line,
  );
  return found?.[1];
}
