/**
 * What an Open vSwitch has, for comparisons: its whole database, as `ovsdb-client` dumps it, and the OpenFlow tables of
 * its bridges, as `ovs-ofctl` dumps them; never what Netloom says. Without what changes by itself: counters, states,
 * transaction numbers. Rows are named by what a person calls them, and references by the rows' names.
 */
import { spawnSync } from 'node:child_process';
import type { RunInRealm } from './network-state.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Row = Readonly<Record<string, Json>>;

export interface OvsState {
  /** Rows by table and name, without empty columns. */
  readonly tables: Readonly<Record<string, Readonly<Record<string, Row>>>>;
  readonly openFlow: Readonly<Record<string, OpenFlowState>>;
  /**
   * What a row keeps as long as it is the same one, by `TABLE NAME`: its uuid, and what Open vSwitch has given it. Two
   * switches that are set up alike differ in it.
   */
  readonly identities: Readonly<Record<string, Row>>;
}

interface OpenFlowState {
  readonly flows: readonly string[];
  readonly groups: readonly string[];
  readonly meters: readonly string[];
}

/** One table as `ovsdb-client dump --format=json` prints it. */
interface DumpedTable {
  readonly caption: string;
  readonly headings: readonly string[];
  readonly data: readonly (readonly Json[])[];
}

/** Counters, states and what vswitchd notes down, by table (ovs-vswitchd.conf.db(5)). */
const passing: Readonly<Record<string, readonly string[]>> = {
  Open_vSwitch: ['cur_cfg', 'next_cfg', 'statistics', 'dpdk_initialized'],
  Bridge: ['status', 'rstp_status'],
  Port: ['status', 'statistics', 'rstp_status', 'rstp_statistics', 'bond_active_slave'],
  Interface: [
    ...['statistics', 'status', 'admin_state', 'link_state', 'link_speed', 'link_resets', 'duplex'],
    ...['lacp_current', 'bfd_status', 'mtu'],
    ...['cfm_fault', 'cfm_fault_status', 'cfm_flap_count', 'cfm_health', 'cfm_remote_mpids'],
    'cfm_remote_opstate',
  ],
  Controller: ['status', 'is_connected', 'role'],
  Manager: ['status', 'is_connected'],
  Mirror: ['statistics'],
};

/** What Open vSwitch gives to a row; the MAC of an internal port is drawn by lot. */
const given: Readonly<Record<string, readonly string[]>> = {
  Bridge: ['datapath_id'],
  Interface: ['ofport', 'ifindex', 'mac_in_use'],
};

/** Printed between sections; no command prints it. */
const separator = '\u001e';

const collect = `
dump() { ovs-ofctl -O OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15 "$@" 2>/dev/null; printf '\\036'; }
ovsdb-client dump --format=json "unix:$0/db.sock" Open_vSwitch || exit 1
printf '\\036'
for bridge in $(ovs-vsctl --db="unix:$0/db.sock" --timeout=20 list-br); do
  printf '%s\\036' "$bridge"
  dump --no-stats --names dump-flows "unix:$0/$bridge.mgmt"
  dump --names dump-groups "unix:$0/$bridge.mgmt"
  dump dump-meters "unix:$0/$bridge.mgmt"
done
`;

function runHere(command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${args.at(-1) ?? program}: ${stderr}`);
  return stdout;
}

/**
 * Reads the Open vSwitch whose run directory (or `db.sock` in it) is given, such as `/run/openvswitch`, by a runner of
 * commands where it is.
 */
export function ovsState(socketOrDirectory: string, run: RunInRealm = runHere): OvsState {
  const directory = socketOrDirectory.replace(/\/db\.sock$/, '');
  const [dump = '', ...sections] = run(['sh', '-c', collect, directory]).split(separator);
  const dumped = dump
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DumpedTable);
  const openFlow: Record<string, OpenFlowState> = {};
  for (let start = 0; start + 4 <= sections.length; start += 4) {
    const [bridge = '', flows = '', groups = '', meters = ''] = sections.slice(start, start + 4);
    openFlow[bridge.trim()] = {
      flows: openFlowLines(flows),
      groups: openFlowLines(groups),
      meters: openFlowLines(meters.replace(/\n(?=type=)/g, ' ')),
    };
  }
  return { ...readTables(dumped), openFlow };
}

/** What differs, one line each; empty when they are the same, rows' identities included. */
export function ovsDifferences(before: OvsState, after: OvsState): string[] {
  const differences: string[] = [];
  compare('', before as unknown as Json, after as unknown as Json, differences);
  return differences;
}

function openFlowLines(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/ reply \(|^\w+_\w+ reply|^OFPST_/.test(line))
    .sort();
}

function readTables(dumped: readonly DumpedTable[]): Pick<OvsState, 'tables' | 'identities'> {
  const rows = dumped.flatMap(({ caption, headings, data }) =>
    data.map((cells) => ({
      table: caption.replace(/ table$/, ''),
      row: Object.fromEntries(headings.map((heading, index) => [heading, cells[index] ?? null])),
    })),
  );
  const byUuid = new Map(rows.map((entry) => [uuidOf(entry.row['_uuid']), entry]));
  /** A row without a name is called by what refers to it. */
  const names = new Map<string, string>();
  for (const [uuid, { table, row }] of byUuid) {
    const name = table === 'Open_vSwitch' ? '' : (row['name'] ?? row['id'] ?? row['target']);
    if (typeof name === 'string') names.set(uuid, name);
  }
  for (let found = new Map<string, string>(); ; found = new Map()) {
    for (const [uuid, { row }] of byUuid) {
      const name = names.get(uuid);
      if (name === undefined) continue;
      for (const [column, value] of Object.entries(row)) {
        for (const [key, reference] of column === '_uuid' ? [] : referencesIn(value)) {
          if (names.has(reference) || !byUuid.has(reference)) continue;
          const called = [name, column, key].filter((part) => part !== '').join(' ');
          const other = found.get(reference);
          // Of several that refer to it always the same one, whatever their order.
          found.set(reference, other === undefined || called < other ? called : other);
        }
      }
    }
    if (found.size === 0) break;
    for (const [uuid, name] of found) names.set(uuid, name);
  }
  const tables: Record<string, Record<string, Row>> = {};
  const identities: Record<string, Row> = {};
  for (const [uuid, { table, row }] of byUuid) {
    const name = names.get(uuid) ?? uuid;
    const kept: Record<string, Json> = {};
    const identity: Record<string, Json> = { uuid };
    for (const [column, value] of Object.entries(row)) {
      if (column === '_uuid' || passing[table]?.includes(column) === true) continue;
      const plain = plainOf(value, names);
      if (given[table]?.includes(column) === true) identity[column] = plain;
      else if (!isEmpty(plain)) kept[column] = plain;
    }
    (tables[table] ??= {})[name] = kept;
    identities[`${table} ${name}`] = identity;
  }
  return { tables, identities };
}

function isPair(value: Json | undefined, word: string): value is readonly [string, Json] {
  return Array.isArray(value) && value.length === 2 && (value as readonly Json[])[0] === word;
}

function uuidOf(value: Json | undefined): string {
  return isPair(value, 'uuid') ? String(value[1]) : '';
}

/** Uuids in a value with the key that they have in a map (RFC 7047, 5.1). */
function referencesIn(value: Json, key = ''): readonly (readonly [string, string])[] {
  if (isPair(value, 'uuid')) return [[key, String(value[1])]];
  if (isPair(value, 'set')) {
    return (value[1] as readonly Json[]).flatMap((one) => referencesIn(one));
  }
  if (!isPair(value, 'map')) return [];
  return (value[1] as readonly (readonly [Json, Json])[]).flatMap(([name, one]) =>
    referencesIn(one, String(name)),
  );
}

function plainOf(value: Json, names: ReadonlyMap<string, string>): Json {
  if (isPair(value, 'uuid')) return names.get(String(value[1])) ?? String(value[1]);
  if (isPair(value, 'set')) {
    return (value[1] as readonly Json[]).map((one) => plainOf(one, names)).sort(byText);
  }
  if (!isPair(value, 'map')) return value;
  return Object.fromEntries(
    (value[1] as readonly (readonly [Json, Json])[])
      .map(([key, one]) => [String(key), plainOf(one, names)] as const)
      .sort(byText),
  );
}

function byText(one: unknown, other: unknown): number {
  return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1;
}

function isEmpty(value: Json): boolean {
  if (value === '' || value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function isObject(value: Json | undefined): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function compare(
  place: string,
  before: Json | undefined,
  after: Json | undefined,
  found: string[],
): void {
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(`${place}/${key}`, before[key], after[key], found);
    }
    return;
  }
  const one = before === undefined ? 'nothing' : JSON.stringify(before);
  const other = after === undefined ? 'nothing' : JSON.stringify(after);
  if (one !== other) found.push(`${place}: ${one} → ${other}`);
}
