/**
 * The operations of one transaction that leads from the rows that are there to bridges as they are wanted. Pure.
 *
 * Only what differs is written. A row that is written has to be as it is known (`wait`), so that what somebody else did
 * meanwhile fails the transaction instead of being lost.
 */
import type { OvsBridge, OvsInterface, OvsMirror, OvsPort, OvsQos } from '../api/ovs.ts';
import { ovsTunnelKinds } from '../api/ovs.ts';
import { assertNever, fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  bridgeKeys,
  type BridgeReading,
  labOf,
  markKey,
  readBridge,
  treeKeys,
} from './bridge-rows.ts';
import type { EngineDatapath } from './engine-commands.ts';
import { ovsFailure } from './failures.ts';
import type { Operation } from './ovsdb-client.ts';
import {
  canonicalText,
  type Json,
  mapOf,
  namedUuid,
  numberOf,
  optional,
  type Reference,
  referenceMapOf,
  referencesOf,
  type Row,
  setOf,
  type Tables,
  textMapOf,
  textOf,
  uuid,
} from './values.ts';

export interface BridgeChange {
  readonly before: OvsBridge | null;
  readonly after: OvsBridge | null;
}

export interface BridgeTransaction {
  /** None where everything is as it is wanted already. The last one tells `next_cfg`. */
  readonly operations: readonly Operation[];
  /** Interfaces that the switch has to have afterwards. */
  readonly interfaces: readonly string[];
}

/** IFNAMSIZ without its NUL. Open vSwitch cuts the name of a longer one in its userspace datapath, and makes a link of that. */
const longestLinkName = 15;

/** What a row should be: columns, and of maps with keys of others the keys that are ours. */
interface Wanted {
  readonly columns: Row;
  readonly maps: Readonly<
    Record<
      string,
      { readonly known: readonly string[]; readonly entries: Readonly<Record<string, string>> }
    >
  >;
}

/**
 * `before` is only looked at for the name of a bridge that goes: what is compared is what the tables say. Fails with
 * 'name-taken' where a bridge or an interface of that name is not the lab's, 'not-allowed' where a bridge to be removed is
 * not, 'invalid-request' where a mirror names a port that is not there.
 */
export function transactionOf(
  tables: Tables,
  lab: string,
  changes: readonly BridgeChange[],
  datapath: EngineDatapath,
): Result<BridgeTransaction> {
  const [root] = tables.get('Open_vSwitch')?.keys() ?? [];
  if (root === undefined) {
    return fail(
      ovsFailure(
        'unsupported',
        'ovs-not-initialized',
        'Open_vSwitch',
        'The database of Open vSwitch has not been initialized.',
        'Run `ovs-vsctl init`, then try again.',
      ),
    );
  }
  const wanted = new Map<string, OvsBridge | null>();
  for (const { before, after } of changes) {
    const name = after?.name ?? before?.name;
    if (name !== undefined) wanted.set(name, after);
    // Under another name it is another bridge.
    if (before !== null && name !== before.name && !wanted.has(before.name)) {
      wanted.set(before.name, null);
    }
  }
  return new TransactionWriter(tables, lab, datapath, root).write(wanted);
}

class TransactionWriter {
  private readonly tables: Tables;
  private readonly lab: string;
  private readonly datapath: EngineDatapath;
  private readonly root: string;
  private readonly waits: Operation[] = [];
  private readonly effects: Operation[] = [];
  private readonly deletions: Operation[] = [];
  private readonly added: Reference[] = [];
  private readonly removed: Reference[] = [];
  /** Interfaces by name that go, and that come. */
  private readonly leaving = new Set<string>();
  private readonly coming: string[] = [];
  private readonly doomedPorts = new Set<string>();
  private tooLong: string | undefined;
  private counter = 0;

  constructor(tables: Tables, lab: string, datapath: EngineDatapath, root: string) {
    this.tables = tables;
    this.lab = lab;
    this.datapath = datapath;
    this.root = root;
  }

  write(wanted: ReadonlyMap<string, OvsBridge | null>): Result<BridgeTransaction> {
    const bridges = new Map<string, readonly [string, Row]>();
    for (const [id, row] of this.tables.get('Bridge') ?? []) {
      bridges.set(textOf(row['name']) ?? '', [id, row]);
    }
    const interfaces: string[] = [];
    for (const [name, after] of wanted) {
      const found = bridges.get(name);
      const reading = found === undefined ? null : readBridge(this.tables, ...found);
      if (reading !== null && reading.lab !== this.lab) {
        return fail(after === null ? notOurs(name) : nameTaken(name));
      }
      const failure = this.writeBridge(found?.[1], reading, after);
      if (failure !== undefined) return fail(failure);
      for (const port of after?.ports ?? []) {
        for (const entry of port.interfaces) interfaces.push(entry.name);
      }
    }
    if (this.tooLong !== undefined) return fail(nameTooLong(this.tooLong));
    const taken = this.takenName();
    if (taken !== undefined) return fail(nameTaken(taken));
    this.dropUnusedQos();
    const bridgesChange: Json[] = [
      ...(this.removed.length === 0 ? [] : [['bridges', 'delete', setOf(this.removed)]]),
      ...(this.added.length === 0 ? [] : [['bridges', 'insert', setOf(this.added)]]),
    ];
    if (this.effects.length + this.deletions.length + bridgesChange.length === 0) {
      return succeed({ operations: [], interfaces });
    }
    const where: Json = [['_uuid', '==', uuid(this.root)]];
    return succeed({
      operations: [
        ...this.waits,
        ...this.effects,
        ...this.deletions,
        {
          op: 'mutate',
          table: 'Open_vSwitch',
          where,
          mutations: [...bridgesChange, ['next_cfg', '+=', 1]],
        },
        { op: 'select', table: 'Open_vSwitch', where, columns: ['next_cfg'] },
      ],
      interfaces,
    });
  }

  private writeBridge(
    row: Row | undefined,
    reading: BridgeReading | null,
    after: OvsBridge | null,
  ): Failure | undefined {
    if (after === null) {
      if (reading === null || row === undefined) return undefined;
      this.awaitColumns('Bridge', reading.id, row, ['name', 'external_ids', 'ports']);
      for (const id of referencesOf(row['ports'])) this.doomPort(id);
      this.removed.push(uuid(reading.id));
      this.deleteRow('Bridge', reading.id);
      return undefined;
    }
    if (reading === null || row === undefined) {
      const ports = new Map<string, Reference>();
      for (const port of after.ports) ports.set(port.name, this.insertPort(port, after.rstp));
      const columns = this.childColumns(undefined, after, null, ports);
      if (!columns.ok) return columns.failure;
      this.added.push(
        this.insert('Bridge', bridgeWanted(after), {
          name: after.name,
          // The kernel's is what an empty text means.
          datapath_type: this.datapath === 'netdev' ? 'netdev' : '',
          ports: setOf([...ports.values()]),
          ...columns.value,
        }),
      );
      return undefined;
    }
    return this.updateBridge(row, reading, after);
  }

  private updateBridge(row: Row, reading: BridgeReading, after: OvsBridge): Failure | undefined {
    const taken = after.ports.find(({ name }) => reading.foreignPorts.includes(name));
    if (taken !== undefined) return nameTaken(taken.name);
    const { bridge: now } = reading;
    const portRows = this.rowsByName('Port', referencesOf(row['ports']));
    const ports = new Map<string, Reference>();
    const known = new Map(now.ports.map((port) => [port.name, port]));
    const mutations: Json[] = [];
    const gone: Reference[] = [];
    const come: Reference[] = [];
    for (const port of after.ports) {
      const found = portRows.get(port.name);
      const current = known.get(port.name);
      if (found === undefined || current === undefined) {
        const reference = this.insertPort(port, after.rstp);
        ports.set(port.name, reference);
        come.push(reference);
      } else {
        ports.set(port.name, uuid(found[0]));
        this.updatePort(...found, current, port, now.rstp, after.rstp);
      }
      known.delete(port.name);
    }
    for (const name of known.keys()) {
      const found = portRows.get(name);
      if (found === undefined) continue;
      gone.push(uuid(found[0]));
      this.doomPort(found[0]);
    }
    if (gone.length > 0) mutations.push(['ports', 'delete', setOf(gone)]);
    if (come.length > 0) mutations.push(['ports', 'insert', setOf(come)]);
    const children = this.childColumns(row, after, now, ports);
    if (!children.ok) return children.failure;
    const columns = {
      ...differences(row, bridgeWanted(now), bridgeWanted(after)),
      ...children.value,
    };
    const where: Json = [['_uuid', '==', uuid(reading.id)]];
    const touched = Object.keys(columns);
    if (touched.length > 0)
      this.effects.push({ op: 'update', table: 'Bridge', where, row: columns });
    if (mutations.length > 0)
      this.effects.push({ op: 'mutate', table: 'Bridge', where, mutations });
    if (touched.length + mutations.length > 0) {
      const ported = mutations.length > 0 ? ['ports'] : [];
      this.awaitColumns('Bridge', reading.id, row, ['name', 'external_ids', ...ported, ...touched]);
    }
    return undefined;
  }

  /** Columns of a bridge that hold rows of its own, beside its ports: those that differ. */
  private childColumns(
    row: Row | undefined,
    after: OvsBridge,
    now: OvsBridge | null,
    ports: ReadonlyMap<string, Reference>,
  ): Result<Row> {
    const columns: Record<string, Json> = {};
    if ((now?.controllers ?? []).join(' ') !== after.controllers.join(' ')) {
      const there = new Map(
        referencesOf(row?.['controller']).map((id) => [
          textOf(this.row('Controller', id)?.['target']) ?? '',
          id,
        ]),
      );
      columns['controller'] = setOf(
        after.controllers.map((target) => {
          const id = there.get(target);
          return id === undefined
            ? this.insert('Controller', { columns: { target }, maps: {} })
            : uuid(id);
        }),
      );
    }
    const mirrors = this.mirrorsColumn(row, after, now, ports);
    if (!mirrors.ok) return mirrors;
    if (mirrors.value !== undefined) columns['mirrors'] = mirrors.value;
    for (const [column, table] of [
      ['netflow', 'NetFlow'],
      ['sflow', 'sFlow'],
      ['ipfix', 'IPFIX'],
    ] as const) {
      const wanted = exportWanted(after, column);
      const current = now === null ? null : exportWanted(now, column);
      if (JSON.stringify(wanted) === JSON.stringify(current)) continue;
      if (wanted === null) {
        columns[column] = optional(null);
        continue;
      }
      const [id] = referencesOf(row?.[column]);
      const known = this.row(table, id);
      // A row of somebody else may serve their bridges too.
      if (id !== undefined && known !== undefined && labOf(known) === this.lab) {
        this.update(table, id, known, differences(known, current, wanted));
      } else columns[column] = this.insert(table, wanted);
    }
    return succeed(columns);
  }

  private mirrorsColumn(
    row: Row | undefined,
    after: OvsBridge,
    now: OvsBridge | null,
    ports: ReadonlyMap<string, Reference>,
  ): Result<Json | undefined> {
    const there = this.rowsByName('Mirror', referencesOf(row?.['mirrors']));
    const known = new Map((now?.mirrors ?? []).map((mirror) => [mirror.name, mirror]));
    const references: Reference[] = [];
    let differs = known.size !== after.mirrors.length;
    for (const mirror of after.mirrors) {
      const named = [
        ...mirror.selectSource,
        ...mirror.selectDestination,
        ...(mirror.outputPort === null ? [] : [mirror.outputPort]),
      ];
      const missing = named.find((name) => !ports.has(name));
      if (missing !== undefined) return fail(mirrorPortMissing(mirror.name, missing));
      const wanted = mirrorWanted(mirror, ports);
      const found = there.get(mirror.name);
      const current = known.get(mirror.name);
      if (found === undefined || current === undefined) {
        differs = true;
        references.push(this.insert('Mirror', wanted, { name: mirror.name }));
        continue;
      }
      const [id, mirrorRow] = found;
      references.push(uuid(id));
      // By references: a port that was made anew is another one of the same name.
      this.update('Mirror', id, mirrorRow, differences(mirrorRow, null, wanted));
    }
    return succeed(differs ? setOf(references) : undefined);
  }

  private insertPort(port: OvsPort, rstp: boolean): Reference {
    const interfaces = port.interfaces.map((entry) => this.insertInterface(entry));
    const qos = port.qos === null ? {} : { qos: this.insertQos(port.qos) };
    return this.insert('Port', portWanted(port, rstp), {
      name: port.name,
      interfaces: setOf(interfaces),
      ...qos,
    });
  }

  private insertInterface(entry: OvsInterface): Reference {
    this.coming.push(entry.name);
    const isLink = entry.kind === 'internal' || entry.kind === 'system';
    if (isLink && Buffer.byteLength(entry.name) > longestLinkName) this.tooLong ??= entry.name;
    return this.insert('Interface', interfaceWanted(entry), { name: entry.name });
  }

  private insertQos(qos: OvsQos): Reference {
    const queues = qos.queues.map((queue): Json => [
      queue.id,
      this.insert('Queue', queueWanted(queue)),
    ]);
    return this.insert(
      'QoS',
      qosWanted(qos),
      queues.length === 0 ? {} : { queues: ['map', queues] },
    );
  }

  private updatePort(
    id: string,
    row: Row,
    now: OvsPort,
    after: OvsPort,
    wasRstp: boolean,
    rstp: boolean,
  ): void {
    const columns: Record<string, Json> = {
      ...differences(row, portWanted(now, wasRstp), portWanted(after, rstp)),
    };
    const there = this.rowsByName('Interface', referencesOf(row['interfaces']));
    const known = new Map(now.interfaces.map((entry) => [entry.name, entry]));
    let differs = known.size !== after.interfaces.length;
    const interfaces = after.interfaces.map((entry) => {
      const found = there.get(entry.name);
      const current = known.get(entry.name);
      if (found === undefined || current === undefined) {
        differs = true;
        return this.insertInterface(entry);
      }
      this.updateInterface(...found, current, entry);
      there.delete(entry.name);
      return uuid(found[0]);
    });
    if (differs) {
      columns['interfaces'] = setOf(interfaces);
      for (const name of there.keys()) this.leaving.add(name);
    }
    const qos = this.qosColumn(row, now.qos, after.qos);
    if (qos !== undefined) columns['qos'] = qos;
    this.update('Port', id, row, columns);
  }

  private updateInterface(id: string, row: Row, now: OvsInterface, after: OvsInterface): void {
    const columns: Record<string, Json> = {
      ...differences(row, interfaceWanted(now), interfaceWanted(after)),
    };
    // Options of another type mean nothing to this one.
    if (columns['type'] !== undefined) {
      columns['options'] = mapOf(interfaceWanted(after).maps['options']?.entries ?? {});
    }
    this.update('Interface', id, row, columns);
  }

  private qosColumn(row: Row, now: OvsQos | null, after: OvsQos | null): Json | undefined {
    if (JSON.stringify(now) === JSON.stringify(after)) return undefined;
    const [id] = referencesOf(row['qos']);
    const known = this.row('QoS', id);
    const isOurs = known !== undefined && labOf(known) === this.lab;
    if (after === null) {
      if (isOurs && id !== undefined) this.dropQos(id, known);
      return optional(null);
    }
    if (!isOurs || id === undefined) return this.insertQos(after);
    const columns: Record<string, Json> = {
      ...differences(known, now === null ? null : qosWanted(now), qosWanted(after)),
    };
    const there = referenceMapOf(known['queues']);
    const past = new Map((now?.queues ?? []).map((queue) => [queue.id, queue]));
    let differs = there.size !== after.queues.length;
    const queues = after.queues.map((queue): Json => {
      const queueId = there.get(queue.id);
      const queueRow = this.row('Queue', queueId);
      const current = past.get(queue.id);
      if (queueId === undefined || queueRow === undefined || labOf(queueRow) !== this.lab) {
        differs = true;
        return [queue.id, this.insert('Queue', queueWanted(queue))];
      }
      const change = differences(
        queueRow,
        current === undefined ? null : queueWanted(current),
        queueWanted(queue),
      );
      this.update('Queue', queueId, queueRow, change);
      return [queue.id, uuid(queueId)];
    });
    if (differs) {
      columns['queues'] = ['map', queues];
      const kept = new Set(after.queues.map((queue) => queue.id));
      for (const [number, queueId] of there) if (!kept.has(number)) this.dropRow('Queue', queueId);
    }
    this.update('QoS', id, known, columns);
    return undefined;
  }

  private doomPort(id: string): void {
    this.doomedPorts.add(id);
    const row = this.row('Port', id);
    for (const entry of referencesOf(row?.['interfaces'])) {
      const name = textOf(this.row('Interface', entry)?.['name']);
      if (name !== null) this.leaving.add(name);
    }
  }

  /**
   * QoS and queues are roots: nobody removes them with their port. What refers to them has to go by name then, since rows
   * that nothing refers to are only removed after references have been checked.
   */
  private dropUnusedQos(): void {
    for (const port of this.doomedPorts) {
      const [id] = referencesOf(this.row('Port', port)?.['qos']);
      const row = this.row('QoS', id);
      if (id === undefined || row === undefined || labOf(row) !== this.lab) continue;
      this.deleteRow('Port', port);
      this.dropQos(id, row);
    }
  }

  private dropQos(id: string, row: Row): void {
    this.dropRow('QoS', id);
    for (const queue of referenceMapOf(row['queues']).values()) this.dropRow('Queue', queue);
  }

  private dropRow(table: string, id: string): void {
    const row = this.row(table, id);
    if (row !== undefined && labOf(row) === this.lab) this.deleteRow(table, id);
  }

  private deleteRow(table: string, id: string): void {
    this.deletions.push({ op: 'delete', table, where: [['_uuid', '==', uuid(id)]] });
  }

  /** A name that somebody else's interface has: the database would refuse it without saying whose it is. */
  private takenName(): string | undefined {
    if (this.coming.length === 0) return undefined;
    const remaining = new Set<string>();
    for (const row of this.tables.get('Interface')?.values() ?? []) {
      const name = textOf(row['name']) ?? '';
      if (!this.leaving.has(name)) remaining.add(name);
    }
    const seen = new Set<string>();
    return this.coming.find((name) => {
      const isTaken = remaining.has(name) || seen.has(name);
      seen.add(name);
      return isTaken;
    });
  }

  private insert(table: string, wanted: Wanted, further: Row = {}): Reference {
    this.counter += 1;
    const name = `row${this.counter}`;
    const row: Record<string, Json> = {};
    for (const [column, value] of Object.entries({ ...wanted.columns, ...further })) {
      if (!isInitial(value)) row[column] = value;
    }
    for (const [column, { entries }] of Object.entries(wanted.maps)) {
      if (Object.keys(entries).length > 0) row[column] = mapOf(entries);
    }
    row['external_ids'] = mapOf({ [markKey]: this.lab });
    this.effects.push({ op: 'insert', table, 'uuid-name': name, row });
    return namedUuid(name);
  }

  private update(table: string, id: string, row: Row, columns: Row): void {
    const touched = Object.keys(columns);
    if (touched.length === 0) return;
    this.awaitColumns(table, id, row, touched);
    this.effects.push({
      op: 'update',
      table,
      where: [['_uuid', '==', uuid(id)]],
      row: columns,
    });
  }

  private awaitColumns(table: string, id: string, row: Row, columns: readonly string[]): void {
    const known = columns.filter((column) => row[column] !== undefined);
    this.waits.push({
      op: 'wait',
      timeout: 0,
      table,
      where: [['_uuid', '==', uuid(id)]],
      columns: known,
      until: '==',
      rows: [Object.fromEntries(known.map((column) => [column, row[column] ?? null]))],
    });
  }

  private row(table: string, id: string | undefined): Row | undefined {
    return id === undefined ? undefined : this.tables.get(table)?.get(id);
  }

  private rowsByName(table: string, ids: readonly string[]): Map<string, readonly [string, Row]> {
    const found = new Map<string, readonly [string, Row]>();
    for (const id of ids) {
      const row = this.row(table, id);
      if (row !== undefined) found.set(textOf(row['name']) ?? '', [id, row]);
    }
    return found;
  }
}

/** What a new row has anyway. Of numbers nobody can tell: an optional 0 is not none. */
function isInitial(value: Json): boolean {
  if (Array.isArray(value)) return Array.isArray(value[1]) && value[1].length === 0;
  return value === '' || value === false || value === null;
}

/**
 * Columns to write into a row so that it says what is wanted: none where it does. That is told by the normal form, since
 * there are several ways to write one thing; null compares with the row itself.
 */
function differences(row: Row, now: Wanted | null, after: Wanted): Row {
  if (now !== null && JSON.stringify(now) === JSON.stringify(after)) return {};
  const columns: Record<string, Json> = {};
  for (const [column, value] of Object.entries(after.columns)) {
    if (canonicalText(row[column]) !== canonicalText(value)) columns[column] = value;
  }
  const maps = new Set([...Object.keys(after.maps), ...Object.keys(now?.maps ?? {})]);
  for (const column of maps) {
    const known = new Set([
      ...(after.maps[column]?.known ?? []),
      ...(now?.maps[column]?.known ?? []),
    ]);
    const entries: Record<string, string> = {};
    for (const [key, value] of textMapOf(row[column])) if (!known.has(key)) entries[key] = value;
    Object.assign(entries, after.maps[column]?.entries ?? {});
    const value = mapOf(entries);
    if (canonicalText(row[column]) !== canonicalText(value)) columns[column] = value;
  }
  return columns;
}

/** Entries that have a value. */
function entriesOf(
  values: Readonly<Record<string, string | number | null>>,
): Readonly<Record<string, string>> {
  const entries: Record<string, string> = {};
  for (const [key, value] of Object.entries(values)) {
    if (value !== null) entries[key] = String(value);
  }
  return entries;
}

function mapWanted(
  values: Readonly<Record<string, string | number | null>>,
): Wanted['maps'][string] {
  return { known: Object.keys(values), entries: entriesOf(values) };
}

function bridgeWanted(bridge: OvsBridge): Wanted {
  const keys = treeKeys(bridge.rstp);
  return {
    columns: {
      protocols: setOf(bridge.protocols),
      fail_mode: optional(bridge.failMode === 'secure' ? 'secure' : null),
      stp_enable: bridge.stp,
      rstp_enable: bridge.rstp,
      mcast_snooping_enable: bridge.multicastSnooping,
    },
    maps: {
      other_config: mapWanted({
        [bridgeKeys.datapathId]: bridge.datapathId,
        [bridgeKeys.mac]: bridge.mac,
        [bridgeKeys.outOfBand]: bridge.controllersOutOfBand ? 'true' : null,
        [bridgeKeys.ageingTime]: bridge.ageingTime,
        [bridgeKeys.helloTime]: bridge.helloTime,
        [keys.priority]: bridge.priority,
        [keys.forwardDelay]: bridge.forwardDelay,
        [keys.maximumAge]: bridge.maximumAge,
      }),
    },
  };
}

function portWanted(port: OvsPort, rstp: boolean): Wanted {
  const { vlan, bond } = port;
  const keys = treeKeys(rstp);
  const implied = vlan.tag === null ? 'trunk' : 'access';
  return {
    columns: {
      tag: optional(vlan.tag),
      trunks: setOf(vlan.trunks),
      vlan_mode: optional(vlan.mode === implied ? null : vlan.mode),
      bond_mode: optional(bond?.mode),
      lacp: optional(bond === null || bond.lacp === 'off' ? null : bond.lacp),
      bond_updelay: bond?.upDelay ?? 0,
      bond_downdelay: bond?.downDelay ?? 0,
    },
    maps: {
      other_config: mapWanted({
        'lacp-time': bond?.lacpTime === 'fast' ? 'fast' : null,
        'lacp-fallback-ab': bond?.lacpFallback === true ? 'true' : null,
        [keys.cost]: port.cost,
        [keys.portPriority]: port.priority,
      }),
    },
  };
}

function interfaceWanted(entry: OvsInterface): Wanted {
  return {
    columns: {
      type: entry.kind === 'system' ? '' : entry.kind,
      mac: optional(entry.mac),
      mtu_request: optional(entry.mtu),
      ofport_request: optional(entry.openFlowPort),
      ingress_policing_rate: entry.policing?.rate ?? 0,
      ingress_policing_burst: entry.policing?.burst ?? 0,
    },
    maps: { options: mapWanted(optionsOf(entry)) },
  };
}

function optionsOf(entry: OvsInterface): Readonly<Record<string, string | number | null>> {
  switch (entry.kind) {
    case 'system':
    case 'internal':
      return {};
    case 'patch':
      return { peer: entry.peer };
    case 'vxlan':
    case 'gre':
    case 'geneve':
      return {
        remote_ip: entry.remote,
        local_ip: entry.local,
        key: entry.key,
        dst_port: entry.port,
      };
    default:
      return assertNever(entry, `unknown interface beside ${ovsTunnelKinds.join(', ')}`);
  }
}

function qosWanted({ kind, maximumRate }: OvsQos): Wanted {
  return {
    columns: { type: kind },
    maps: { other_config: mapWanted({ 'max-rate': maximumRate }) },
  };
}

function queueWanted(queue: OvsQos['queues'][number]): Wanted {
  return {
    columns: {},
    maps: {
      other_config: mapWanted({
        'min-rate': queue.minimumRate,
        'max-rate': queue.maximumRate,
        priority: queue.priority,
      }),
    },
  };
}

function mirrorWanted(mirror: OvsMirror, ports: ReadonlyMap<string, Reference>): Wanted {
  const references = (names: readonly string[]): Json =>
    setOf(
      names.flatMap((name) => {
        const reference = ports.get(name);
        return reference === undefined ? [] : [reference];
      }),
    );
  return {
    columns: {
      select_all: mirror.selectAll,
      select_src_port: references(mirror.selectSource),
      select_dst_port: references(mirror.selectDestination),
      select_vlan: setOf(mirror.selectVlans),
      output_port: references(mirror.outputPort === null ? [] : [mirror.outputPort]),
      output_vlan: optional(mirror.outputVlan),
    },
    maps: {},
  };
}

function exportWanted(bridge: OvsBridge, column: 'netflow' | 'sflow' | 'ipfix'): Wanted | null {
  switch (column) {
    case 'netflow': {
      const { netflow } = bridge;
      if (netflow === null) return null;
      return {
        columns: {
          targets: setOf(netflow.targets),
          active_timeout: netflow.activeTimeout,
          engine_type: optional(netflow.engineType),
          engine_id: optional(netflow.engineId),
          add_id_to_interface: netflow.addIdToInterface,
        },
        maps: {},
      };
    }
    case 'sflow': {
      const { sflow } = bridge;
      if (sflow === null) return null;
      return {
        columns: {
          targets: setOf(sflow.targets),
          sampling: optional(sflow.sampling),
          polling: optional(sflow.polling),
          header: optional(sflow.header),
          agent: optional(sflow.agent),
        },
        maps: {},
      };
    }
    case 'ipfix': {
      const { ipfix } = bridge;
      if (ipfix === null) return null;
      return {
        columns: {
          targets: setOf(ipfix.targets),
          sampling: optional(ipfix.sampling),
          obs_domain_id: optional(ipfix.observationDomain),
          obs_point_id: optional(ipfix.observationPoint),
          cache_active_timeout: optional(ipfix.cacheActiveTimeout),
          cache_max_flows: optional(ipfix.cacheMaximumFlows),
        },
        maps: {},
      };
    }
    default:
      return assertNever(column);
  }
}

function nameTaken(name: string): Failure {
  return ovsFailure(
    'name-taken',
    'ovs-name-taken',
    name,
    `Open vSwitch has a ${name} already, which is not of this lab.`,
    'Choose another name, or remove it there by hand.',
  );
}

function nameTooLong(name: string): Failure {
  return ovsFailure(
    'refused',
    'ovs-name-too-long',
    name,
    `The name ${name} has more than ${longestLinkName} bytes, which no link can have.`,
    'Choose a shorter name.',
    { limit: longestLinkName },
  );
}

function notOurs(name: string): Failure {
  return ovsFailure(
    'not-allowed',
    'ovs-not-ours',
    name,
    `The bridge ${name} bears no mark of this lab, so it is left alone.`,
    'Remove it by hand if it is to go.',
  );
}

function mirrorPortMissing(mirror: string, port: string): Failure {
  return ovsFailure(
    'invalid-request',
    'ovs-mirror-port-missing',
    mirror,
    `The mirror ${mirror} names the port ${port}, which its bridge does not have.`,
    'Name a port of the same bridge.',
    { port },
  );
}

/** `next_cfg` that a transaction ends with, from the answers to its operations. */
export function configurationOf(answers: readonly Row[]): number | null {
  const rows = answers.at(-1)?.['rows'];
  const [row] = Array.isArray(rows) ? rows : [];
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return null;
  return numberOf((row as Row)['next_cfg']);
}
