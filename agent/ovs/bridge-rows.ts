/** Bridges in normal form from rows of the database (ovs-vswitchd.conf.db(5)). Pure. */
import type {
  OvsBond,
  OvsBridge,
  OvsBridgeView,
  OvsInterface,
  OvsInterfaceState,
  OvsIpfix,
  OvsMirror,
  OvsNetflow,
  OvsPort,
  OvsQos,
  OvsSflow,
  OvsVlan,
} from '../api/ovs.ts';
import { openFlowVersions, ovsBondModes, ovsQosKinds, ovsTunnelKinds } from '../api/ovs.ts';
import {
  booleanOf,
  compareText,
  numberOf,
  numbersOf,
  referenceMapOf,
  referencesOf,
  type Row,
  type Tables,
  textMapOf,
  textOf,
  textsOf,
} from './values.ts';

/** Columns that a copy must be kept of for everything here. Counters and what changes every few seconds are not among them. */
export const monitoredColumns: Readonly<Record<string, readonly string[]>> = {
  Open_vSwitch: [
    'bridges',
    'next_cfg',
    'cur_cfg',
    'ovs_version',
    'db_version',
    'datapath_types',
    'iface_types',
  ],
  Bridge: [
    'name',
    'datapath_type',
    'ports',
    'mirrors',
    'netflow',
    'sflow',
    'ipfix',
    'controller',
    'protocols',
    'fail_mode',
    'stp_enable',
    'rstp_enable',
    'mcast_snooping_enable',
    'flood_vlans',
    'flow_tables',
    'auto_attach',
    'other_config',
    'external_ids',
  ],
  Port: [
    'name',
    'interfaces',
    'tag',
    'trunks',
    'cvlans',
    'vlan_mode',
    'qos',
    'mac',
    'bond_mode',
    'lacp',
    'bond_updelay',
    'bond_downdelay',
    'bond_fake_iface',
    'fake_bridge',
    'protected',
    'status',
    'rstp_status',
    'other_config',
    'external_ids',
  ],
  Interface: [
    'name',
    'mtu',
    'type',
    'options',
    'mac',
    'mtu_request',
    'ofport',
    'ofport_request',
    'ingress_policing_rate',
    'ingress_policing_burst',
    'ingress_policing_kpkts_rate',
    'ingress_policing_kpkts_burst',
    'bfd',
    'cfm_mpid',
    'lldp',
    'error',
    'link_state',
    'other_config',
    'external_ids',
  ],
  Controller: [
    'target',
    'type',
    'connection_mode',
    'max_backoff',
    'inactivity_probe',
    'local_ip',
    'enable_async_messages',
    'controller_rate_limit',
    'is_connected',
    'role',
    'other_config',
    'external_ids',
  ],
  Mirror: [
    'name',
    'select_all',
    'select_src_port',
    'select_dst_port',
    'select_vlan',
    'output_port',
    'output_vlan',
    'snaplen',
    'external_ids',
  ],
  QoS: ['type', 'queues', 'other_config', 'external_ids'],
  Queue: ['dscp', 'other_config', 'external_ids'],
  NetFlow: [
    'targets',
    'active_timeout',
    'engine_type',
    'engine_id',
    'add_id_to_interface',
    'external_ids',
  ],
  sFlow: ['targets', 'sampling', 'polling', 'header', 'agent', 'external_ids'],
  IPFIX: [
    'targets',
    'sampling',
    'obs_domain_id',
    'obs_point_id',
    'cache_active_timeout',
    'cache_max_flows',
    'other_config',
    'external_ids',
  ],
};

/** Key in external_ids of what is ours; its value is the lab. */
export const markKey = 'netloom';

/** Keys of `other_config` and `options` that the normal form speaks of. */
export const bridgeKeys = {
  datapathId: 'datapath-id',
  mac: 'hwaddr',
  outOfBand: 'disable-in-band',
  ageingTime: 'mac-aging-time',
  helloTime: 'stp-hello-time',
} as const;

/** The spanning tree's, which have other names in RSTP. A bridge without either keeps them as STP's. */
export function treeKeys(rstp: boolean): {
  readonly priority: string;
  readonly forwardDelay: string;
  readonly maximumAge: string;
  readonly cost: string;
  readonly portPriority: string;
} {
  const prefix = rstp ? 'rstp' : 'stp';
  return {
    priority: `${prefix}-priority`,
    forwardDelay: `${prefix}-forward-delay`,
    maximumAge: `${prefix}-max-age`,
    cost: `${prefix}-path-cost`,
    portPriority: rstp ? 'rstp-port-priority' : 'stp-port-priority',
  };
}

export interface BridgeReading extends Omit<OvsBridgeView, 'tables' | 'foreignPorts'> {
  /** Row of the bridge. */
  readonly id: string;
  /** Ports in a bridge of ours that are not ours; they are not among `bridge.ports`. */
  readonly foreignPorts: readonly string[];
  /** `netdev` or `system`. */
  readonly datapath: string;
}

export function labOf(row: Row | undefined): string | null {
  return textMapOf(row?.['external_ids']).get(markKey) ?? null;
}

interface SeenRow {
  readonly table: string;
  readonly id: string;
  readonly row: Row | undefined;
}

/** Notes that a bridge has what its normal form cannot say, and what it was read from. */
class Reader {
  readonly tables: Tables;
  readonly seen: SeenRow[] = [];
  intricate = false;

  constructor(tables: Tables) {
    this.tables = tables;
  }

  row(table: string, id: string | undefined): Row | undefined {
    if (id === undefined) return undefined;
    const row = this.tables.get(table)?.get(id);
    this.seen.push({ table, id, row });
    return row;
  }

  rows(table: string, ids: readonly string[]): readonly Row[] {
    return ids.flatMap((id) => {
      const row = this.row(table, id);
      return row === undefined ? [] : [row];
    });
  }

  /** Entries of a map whose other keys the normal form does not know. */
  entries(row: Row, column: string, known: readonly string[]): ReadonlyMap<string, string> {
    const entries = textMapOf(row[column]);
    for (const key of entries.keys()) if (!known.includes(key)) this.intricate = true;
    return entries;
  }

  /** A whole number that stands as text; null with a note where it is none. */
  number(text: string | undefined): number | null {
    if (text === undefined) return null;
    const number = /^(?:0x[0-9a-f]+|-?\d+)$/i.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(number)) return number;
    this.intricate = true;
    return null;
  }

  vlans(row: Row, column: string): number[] {
    const all = numbersOf(row[column]);
    const fit = all.filter((vlan) => vlan >= 1 && vlan <= 4094);
    if (fit.length < all.length) this.intricate = true;
    return fit.sort((one, other) => one - other);
  }

  /** Columns that have to be as they are by default. */
  unset(row: Row, columns: readonly string[]): void {
    for (const column of columns) {
      const value = row[column];
      const isSet = Array.isArray(value)
        ? !(Array.isArray(value[1]) && value[1].length === 0)
        : value !== undefined && value !== false && value !== 0 && value !== '';
      if (isSet) this.intricate = true;
    }
  }
}

/**
 * All bridges of a database, by name. A reading stays the same object as long as its rows do: of many bridges few change
 * at a time, and whoever compares readings is done at once with the others.
 */
export class BridgeReadings {
  private known = new Map<
    string,
    { readonly reading: BridgeReading; readonly seen: readonly SeenRow[] }
  >();

  read(tables: Tables): readonly BridgeReading[] {
    const known = this.known;
    this.known = new Map();
    for (const [id, row] of tables.get('Bridge') ?? []) {
      let found = known.get(id);
      if (found?.seen.every((one) => tables.get(one.table)?.get(one.id) === one.row) !== true) {
        const reader = new Reader(tables);
        reader.row('Bridge', id);
        found = { reading: readWith(reader, id, row), seen: reader.seen };
      }
      this.known.set(id, found);
    }
    return [...this.known.values()]
      .map(({ reading }) => reading)
      .sort((one, other) => compareText(one.bridge.name, other.bridge.name));
  }
}

/** One bridge. */
export function readBridge(tables: Tables, id: string, row: Row): BridgeReading {
  return readWith(new Reader(tables), id, row);
}

function readWith(reader: Reader, id: string, row: Row): BridgeReading {
  const name = textOf(row['name']) ?? '';
  const lab = labOf(row);
  const rstp = booleanOf(row['rstp_enable']) ?? false;
  const keys = treeKeys(rstp);
  const configuration = reader.entries(row, 'other_config', [
    ...Object.values(bridgeKeys),
    keys.priority,
    keys.forwardDelay,
    keys.maximumAge,
  ]);
  reader.unset(row, ['flood_vlans', 'flow_tables', 'auto_attach']);
  const portRows = reader.rows('Port', referencesOf(row['ports']));
  const isOurs = (port: Row): boolean =>
    lab === null || labOf(port) !== null || textOf(port['name']) === name;
  const ours = portRows.filter(isOurs);
  const datapathId = /^(?:0x)?([0-9a-f]{16})$/i.exec(
    configuration.get(bridgeKeys.datapathId) ?? '',
  );
  if (datapathId === null && configuration.has(bridgeKeys.datapathId)) reader.intricate = true;
  const controllers = reader.rows('Controller', referencesOf(row['controller']));
  for (const controller of controllers) readController(reader, controller);
  const protocols = textsOf(row['protocols']);
  const bridge: OvsBridge = {
    name,
    datapathId: datapathId?.[1]?.toLowerCase() ?? null,
    failMode: textOf(row['fail_mode']) === 'secure' ? 'secure' : 'standalone',
    protocols: openFlowVersions.filter((version) => protocols.includes(version)),
    controllers: controllers.map(({ target }) => textOf(target) ?? '').sort(compareText),
    controllersOutOfBand: configuration.get(bridgeKeys.outOfBand) === 'true',
    stp: booleanOf(row['stp_enable']) ?? false,
    rstp,
    priority: reader.number(configuration.get(keys.priority)),
    forwardDelay: reader.number(configuration.get(keys.forwardDelay)),
    helloTime: reader.number(configuration.get(bridgeKeys.helloTime)),
    maximumAge: reader.number(configuration.get(keys.maximumAge)),
    ageingTime: reader.number(configuration.get(bridgeKeys.ageingTime)),
    multicastSnooping: booleanOf(row['mcast_snooping_enable']) ?? false,
    mac: configuration.get(bridgeKeys.mac)?.toLowerCase() ?? null,
    ports: ours
      .map((port) => readPort(reader, port, rstp))
      .sort((one, other) => compareText(one.name, other.name)),
    mirrors: reader
      .rows('Mirror', referencesOf(row['mirrors']))
      .map((mirror) => readMirror(reader, mirror))
      .sort((one, other) => compareText(one.name, other.name)),
    netflow: readNetflow(reader.row('NetFlow', referencesOf(row['netflow'])[0])),
    sflow: readSflow(reader.row('sFlow', referencesOf(row['sflow'])[0])),
    ipfix: readIpfix(reader, reader.row('IPFIX', referencesOf(row['ipfix'])[0])),
  };
  return {
    id,
    bridge,
    lab,
    intricate: reader.intricate,
    foreignPorts: portRows
      .filter((port) => !isOurs(port))
      .map((port) => textOf(port['name']) ?? '')
      .sort(compareText),
    datapath: textOf(row['datapath_type']) === 'netdev' ? 'netdev' : 'system',
    interfaces: portRows
      .flatMap((port) =>
        reader
          .rows('Interface', referencesOf(port['interfaces']))
          .map((entry) => readState(bridge, port, entry)),
      )
      .sort((one, other) => compareText(one.name, other.name)),
  };
}

function readController(reader: Reader, row: Row): void {
  reader.unset(row, [
    'type',
    'connection_mode',
    'max_backoff',
    'inactivity_probe',
    'local_ip',
    'enable_async_messages',
    'controller_rate_limit',
    'other_config',
  ]);
}

function readPort(reader: Reader, row: Row, rstp: boolean): OvsPort {
  const keys = treeKeys(rstp);
  const configuration = reader.entries(row, 'other_config', [
    'lacp-time',
    'lacp-fallback-ab',
    keys.cost,
    keys.portPriority,
  ]);
  reader.unset(row, ['cvlans', 'mac', 'bond_fake_iface', 'fake_bridge', 'protected']);
  const interfaces = reader
    .rows('Interface', referencesOf(row['interfaces']))
    .map((entry) => readInterface(reader, entry))
    .sort((one, other) => compareText(one.name, other.name));
  return {
    name: textOf(row['name']) ?? '',
    interfaces,
    bond: readBond(reader, row, interfaces.length, configuration),
    vlan: readVlan(reader, row),
    qos: readQos(reader, reader.row('QoS', referencesOf(row['qos'])[0])),
    cost: reader.number(configuration.get(keys.cost)),
    priority: reader.number(configuration.get(keys.portPriority)),
  };
}

function readVlan(reader: Reader, row: Row): OvsVlan {
  const [tag = null] = reader.vlans(row, 'tag');
  const said = textOf(row['vlan_mode']);
  const implied = numberOf(row['tag']) === null ? 'trunk' : 'access';
  let mode: OvsVlan['mode'] = implied;
  if (said === 'access' || said === 'trunk') mode = said;
  else if (said === 'native-tagged' || said === 'native-untagged') mode = said;
  else if (said !== null) reader.intricate = true;
  return { mode, tag, trunks: reader.vlans(row, 'trunks') };
}

function readBond(
  reader: Reader,
  row: Row,
  count: number,
  configuration: ReadonlyMap<string, string>,
): OvsBond | null {
  const said = textOf(row['bond_mode']);
  const lacp = textOf(row['lacp']);
  if (count < 2 && said === null) {
    reader.unset(row, ['lacp', 'bond_updelay', 'bond_downdelay']);
    if (configuration.has('lacp-time') || configuration.has('lacp-fallback-ab')) {
      reader.intricate = true;
    }
    return null;
  }
  return {
    mode: ovsBondModes.find((mode) => mode === said) ?? 'active-backup',
    lacp: lacp === 'active' || lacp === 'passive' ? lacp : 'off',
    lacpTime: configuration.get('lacp-time') === 'fast' ? 'fast' : 'slow',
    lacpFallback: configuration.get('lacp-fallback-ab') === 'true',
    upDelay: numberOf(row['bond_updelay']) ?? 0,
    downDelay: numberOf(row['bond_downdelay']) ?? 0,
  };
}

function readInterface(reader: Reader, row: Row): OvsInterface {
  reader.unset(row, [
    'ingress_policing_kpkts_rate',
    'ingress_policing_kpkts_burst',
    'bfd',
    'cfm_mpid',
    'lldp',
    'other_config',
  ]);
  const rate = numberOf(row['ingress_policing_rate']) ?? 0;
  const common = {
    name: textOf(row['name']) ?? '',
    mac: textOf(row['mac'])?.toLowerCase() ?? null,
    mtu: numberOf(row['mtu_request']),
    openFlowPort: numberOf(row['ofport_request']),
    policing: rate === 0 ? null : { rate, burst: numberOf(row['ingress_policing_burst']) ?? 0 },
  };
  const type = textOf(row['type']) ?? '';
  if (type === 'patch') {
    const options = reader.entries(row, 'options', ['peer']);
    return { kind: 'patch', peer: options.get('peer') ?? '', ...common };
  }
  const kind = ovsTunnelKinds.find((name) => name === type);
  if (kind !== undefined) {
    const options = reader.entries(row, 'options', ['remote_ip', 'local_ip', 'key', 'dst_port']);
    return {
      kind,
      local: options.get('local_ip') ?? null,
      remote: options.get('remote_ip') ?? '',
      key: reader.number(options.get('key')),
      port: reader.number(options.get('dst_port')),
      ...common,
    };
  }
  reader.entries(row, 'options', []);
  if (type === 'internal') return { kind: 'internal', ...common };
  if (type !== '' && type !== 'system') reader.intricate = true;
  return { kind: 'system', ...common };
}

function readQos(reader: Reader, row: Row | undefined): OvsQos | null {
  if (row === undefined) return null;
  const type = textOf(row['type']);
  const kind = ovsQosKinds.find((name) => name === type);
  if (kind === undefined) {
    reader.intricate = true;
    return null;
  }
  const configuration = reader.entries(row, 'other_config', ['max-rate']);
  const queues = [...referenceMapOf(row['queues'])]
    .sort(([one], [other]) => one - other)
    .flatMap(([number, id]) => {
      const queue = reader.row('Queue', id);
      if (queue === undefined) return [];
      reader.unset(queue, ['dscp']);
      const entries = reader.entries(queue, 'other_config', ['min-rate', 'max-rate', 'priority']);
      return [
        {
          id: number,
          minimumRate: reader.number(entries.get('min-rate')),
          maximumRate: reader.number(entries.get('max-rate')),
          priority: reader.number(entries.get('priority')),
        },
      ];
    });
  return {
    kind,
    maximumRate: reader.number(configuration.get('max-rate')),
    queues,
  };
}

function readMirror(reader: Reader, row: Row): OvsMirror {
  reader.unset(row, ['snaplen']);
  const names = (column: string): string[] =>
    reader
      .rows('Port', referencesOf(row[column]))
      .map(({ name }) => textOf(name) ?? '')
      .sort(compareText);
  const [outputVlan = null] = reader.vlans(row, 'output_vlan');
  return {
    name: textOf(row['name']) ?? '',
    selectAll: booleanOf(row['select_all']) ?? false,
    selectSource: names('select_src_port'),
    selectDestination: names('select_dst_port'),
    selectVlans: reader.vlans(row, 'select_vlan'),
    outputPort: names('output_port')[0] ?? null,
    outputVlan,
  };
}

function readTargets(row: Row): string[] {
  return [...textsOf(row['targets'])].sort(compareText);
}

function readNetflow(row: Row | undefined): OvsNetflow | null {
  if (row === undefined) return null;
  return {
    targets: readTargets(row),
    activeTimeout: numberOf(row['active_timeout']) ?? 0,
    engineType: numberOf(row['engine_type']),
    engineId: numberOf(row['engine_id']),
    addIdToInterface: booleanOf(row['add_id_to_interface']) ?? false,
  };
}

function readSflow(row: Row | undefined): OvsSflow | null {
  if (row === undefined) return null;
  return {
    targets: readTargets(row),
    sampling: numberOf(row['sampling']),
    polling: numberOf(row['polling']),
    header: numberOf(row['header']),
    agent: textOf(row['agent']),
  };
}

function readIpfix(reader: Reader, row: Row | undefined): OvsIpfix | null {
  if (row === undefined) return null;
  reader.unset(row, ['other_config']);
  return {
    targets: readTargets(row),
    sampling: numberOf(row['sampling']),
    observationDomain: numberOf(row['obs_domain_id']),
    observationPoint: numberOf(row['obs_point_id']),
    cacheActiveTimeout: numberOf(row['cache_active_timeout']),
    cacheMaximumFlows: numberOf(row['cache_max_flows']),
  };
}

/** Members of bonds have their state from `bond/show`; the database does not tell it. */
function readState(bridge: OvsBridge, port: Row, row: Row): OvsInterfaceState {
  const number = numberOf(row['ofport']);
  const link = textOf(row['link_state']);
  const [status, role, state] = bridge.rstp
    ? (['rstp_status', 'rstp_port_role', 'rstp_port_state'] as const)
    : (['status', 'stp_role', 'stp_state'] as const);
  const tree = bridge.rstp || bridge.stp ? textMapOf(port[status]) : new Map<string, string>();
  return {
    name: textOf(row['name']) ?? '',
    // -1 is a port that could not be had.
    ofport: number === null || number < 0 ? null : number,
    error: textOf(row['error']),
    linkUp: link === null ? null : link === 'up',
    treeRole: tree.get(role)?.toLowerCase() ?? null,
    treeState: tree.get(state)?.toLowerCase() ?? null,
    bondMember: null,
  };
}
