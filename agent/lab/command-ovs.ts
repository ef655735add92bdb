/** The standard commands of operations on Open vSwitch: ovs-vsctl(8), ovs-ofctl(8) and the daemons' own. */
import { initialFlows } from '../api/ovs.ts';
import type {
  OpenFlowTables,
  OvsBridge,
  OvsDatapath,
  OvsInterface,
  OvsMirror,
  OvsPort,
  OvsQos,
} from '../api/ovs.ts';
import { assertNever } from '../api/result.ts';
import {
  bridgeSocket,
  engineCommands,
  engineDirectory,
  engineFiles,
  engineName,
} from '../ovs/engine-commands.ts';
import type { EngineOperation } from './operation.ts';

export interface OvsCommandContext {
  /** Whether the realm's own namespace uses the machine's Open vSwitch, where programs find it by themselves. */
  readonly usesSystemEngine?: boolean;
  /** What the engine of a namespace uses; `netdev` where nobody says. */
  readonly datapathAt?: (namespace: string | null) => OvsDatapath;
  /** What a bridge is to be. */
  readonly switchAt?: (namespace: string | null, name: string) => OvsBridge | undefined;
  /** The other end of a veth pair. */
  readonly peerAt?: (namespace: string | null, name: string) => InterfacePlace | undefined;
}

export interface InterfacePlace {
  readonly namespace: string | null;
  readonly name: string;
}

/** `word` makes a text a word of sh, `inside` puts a command into a namespace. */
export function commandsOfOvs(
  operation: EngineOperation,
  context: OvsCommandContext,
  word: (text: string) => string,
  inside: (namespace: string | null, command: string) => string,
): readonly string[] {
  const { namespace } = operation;
  const isSystem = namespace === null && context.usesSystemEngine === true;
  const directory = `${engineDirectory}/${engineName(namespace)}`;
  const words = (texts: readonly string[]): string =>
    texts.map((text) => (/^--?[\w=@.:/-]+$/.test(text) ? text : word(text))).join(' ');
  switch (operation.kind) {
    case 'start-engine': {
      const commands = engineCommands(directory, operation.datapath);
      const environment = Object.entries(commands.environment).map(
        ([name, value]) => `${name}=${value}`,
      );
      const daemon = (command: readonly string[]): string =>
        inside(namespace, words(['env', ...environment, ...command]));
      return [
        `mkdir -p ${word(directory)}`,
        words(commands.create),
        daemon(commands.startDatabase),
        words(commands.initialize),
        daemon(commands.startSwitch),
      ];
    }
    case 'stop-engine': {
      const { stopSwitch, stopDatabase } = engineCommands(directory, operation.datapath);
      return [words(stopSwitch), words(stopDatabase), `rm -r ${word(directory)}`];
    }
    case 'change-ovs-bridge': {
      const database = isSystem ? [] : [`--db=unix:${engineFiles(directory).socket}`];
      const isUserspace = (context.datapathAt?.(namespace) ?? 'netdev') === 'netdev';
      const chain = chainOf(operation, isUserspace);
      if (chain.length === 0) return [];
      const calls = chain.map((one) => `-- ${words(one)}`);
      return [
        ['ovs-vsctl', ...database, ...calls].join(' '),
        ...(isUserspace ? checksumCommands(operation, context, word, inside) : []),
      ];
    }
    case 'change-openflow': {
      const { name, before, after } = operation;
      const target = isSystem ? name : bridgeSocket(directory, name);
      const bridge = context.switchAt?.(namespace, name);
      return tableCommands(target, before, after, bridge, word);
    }
    default:
      return assertNever(operation);
  }
}

/** The userspace datapath takes packets as they are: the kernel is to finish their checksums before (ethtool(8)). */
function checksumCommands(
  { namespace, before, after }: Extract<EngineOperation, { readonly kind: 'change-ovs-bridge' }>,
  { peerAt }: OvsCommandContext,
  word: (text: string) => string,
  inside: (namespace: string | null, command: string) => string,
): readonly string[] {
  const linksOf = (bridge: OvsBridge | null): readonly string[] =>
    (bridge?.ports ?? []).flatMap(({ interfaces }) =>
      interfaces.flatMap(({ kind, name }) => (kind === 'system' ? [name] : [])),
    );
  const had = new Set(linksOf(before));
  return linksOf(after).flatMap((name) => {
    const peer = had.has(name) ? undefined : peerAt?.(namespace, name);
    return peer === undefined
      ? []
      : [inside(peer.namespace, `ethtool -K ${word(peer.name)} tx off >/dev/null`)];
  });
}

function tableCommands(
  target: string,
  before: OpenFlowTables | null,
  after: OpenFlowTables | null,
  bridge: OvsBridge | undefined,
  word: (text: string) => string,
): readonly string[] {
  const version = bridge?.protocols.at(-1) ?? 'OpenFlow15';
  const call = (command: string, lines: readonly string[] | null): string => {
    // A bundle takes effect as a whole; OpenFlow has them since 1.4.
    const bundle = command === 'replace-flows' && version >= 'OpenFlow14' ? ' --bundle' : '';
    const program = `ovs-ofctl -O ${version}${bundle} ${command} ${word(target)}`;
    if (lines === null) return program;
    if (lines.length === 0) return `${program} /dev/null`;
    return `printf '%s\\n' ${lines.map(word).join(' ')} | ${program} -`;
  };
  const had = before ?? { flows: [], groups: [], meters: [] };
  const has = after ?? {
    flows: initialFlows(bridge?.failMode ?? 'standalone'),
    groups: [],
    meters: [],
  };
  const same = (one: readonly string[], other: readonly string[]): boolean =>
    one.join('\n') === other.join('\n');
  return [
    // Flows lead to groups and meters, which take them along when they go.
    ...(had.groups.length > 0 && !same(had.groups, has.groups) ? [call('del-groups', null)] : []),
    ...(had.meters.length > 0 && !same(had.meters, has.meters) ? [call('del-meters', null)] : []),
    ...(same(had.meters, has.meters)
      ? []
      : has.meters.map((line) => `${call('add-meter', null)} ${word(line)}`)),
    ...(has.groups.length > 0 && !same(had.groups, has.groups)
      ? [call('add-groups', has.groups)]
      : []),
    call('replace-flows', has.flows),
  ];
}

// The chain of commands of one call of ovs-vsctl

type Command = readonly string[];

function chainOf(
  { before, after, name }: Extract<EngineOperation, { readonly kind: 'change-ovs-bridge' }>,
  isUserspace: boolean,
): readonly Command[] {
  if (after === null) return before === null ? [] : [['del-br', name]];
  const chain: Command[] = [];
  if (before === null) {
    chain.push(['add-br', name]);
    if (isUserspace) chain.push(['set', 'Bridge', name, 'datapath_type=netdev']);
  }
  chain.push(...changesOf('Bridge', name, bridgeColumns(before), bridgeColumns(after)));
  const had = before?.controllers ?? [];
  if (had.join(' ') !== after.controllers.join(' ')) {
    chain.push(
      after.controllers.length === 0
        ? ['del-controller', name]
        : ['set-controller', name, ...after.controllers],
    );
  }
  const mirrorsDiffer = !same(before?.mirrors ?? [], after.mirrors);
  if (mirrorsDiffer && before !== null && before.mirrors.length > 0) {
    chain.push(['clear', 'Bridge', name, 'mirrors']);
  }
  chain.push(...portCommands(before, after));
  if (mirrorsDiffer)
    after.mirrors.forEach((mirror, at) => chain.push(...mirrorCommands(name, mirror, at)));
  for (const table of ['netflow', 'sflow', 'ipfix'] as const) {
    if (same(before?.[table] ?? null, after[table])) continue;
    const columns = exportColumns(after, table);
    if (columns === null) chain.push(['clear', 'Bridge', name, table]);
    else {
      chain.push([
        `--id=@${table}`,
        'create',
        { netflow: 'NetFlow', sflow: 'sFlow', ipfix: 'IPFIX' }[table],
        ...columns,
      ]);
      chain.push(['set', 'Bridge', name, `${table}=@${table}`]);
    }
  }
  return chain;
}

function portCommands(before: OvsBridge | null, after: OvsBridge): readonly Command[] {
  const bridge = after.name;
  const had = new Map((before?.ports ?? []).map((port) => [port.name, port]));
  const has = new Set(after.ports.map(({ name }) => name));
  const names = (port: OvsPort): string => port.interfaces.map(({ name }) => name).join(' ');
  const removals: Command[] = [];
  const additions: Command[] = [];
  for (const { name } of had.values()) {
    if (!has.has(name)) removals.push(['del-port', bridge, name]);
  }
  for (const [at, port] of after.ports.entries()) {
    const { name, interfaces } = port;
    let old = had.get(name) ?? null;
    if (old !== null && names(old) !== names(port)) {
      removals.push(['del-port', bridge, name]);
      old = null;
    }
    if (old === null && name !== bridge) {
      additions.push(
        port.bond === null
          ? ['add-port', bridge, name]
          : ['add-bond', bridge, name, ...interfaces.map((one) => one.name)],
      );
    }
    const isOwn = name === bridge;
    for (const one of interfaces) {
      const past = old?.interfaces.find((other) => other.name === one.name) ?? null;
      const [from, to] = [interfaceColumns(past, isOwn), interfaceColumns(one, isOwn)];
      additions.push(...changesOf('Interface', one.name, from, to));
    }
    additions.push(...changesOf('Port', name, portColumns(old, before), portColumns(port, after)));
    additions.push(...qosCommands(name, old?.qos ?? null, port.qos, at));
  }
  return [...removals, ...additions];
}

type Columns = ReadonlyMap<string, string>;

function changesOf(
  table: string,
  name: string,
  before: Columns,
  after: Columns,
): readonly Command[] {
  const set = [...after]
    .filter(([column, value]) => before.get(column) !== value)
    .map(([column, value]) => `${column}=${value}`);
  const cleared = [...before.keys()].filter((column) => !after.has(column));
  const columns = cleared.filter((column) => !column.includes(':'));
  const keys = cleared.filter((column) => column.includes(':'));
  return [
    ...(columns.length === 0 ? [] : [['clear', table, name, ...columns]]),
    ...keys.map((column) => ['remove', table, name, ...column.split(':')]),
    ...(set.length === 0 ? [] : [['set', table, name, ...set]]),
  ];
}

/** What differs from what a new row has. A false truth value is as good as none. */
function columnsOf(
  values: Readonly<
    Record<string, string | number | boolean | readonly string[] | readonly number[] | null>
  >,
): Columns {
  const columns = new Map<string, string>();
  for (const [column, value] of Object.entries(values)) {
    if (value === null || value === false) continue;
    if (typeof value === 'object') {
      if (value.length > 0) columns.set(column, value.map(atom).join(','));
    } else columns.set(column, atom(value));
  }
  return columns;
}

/** A value as ovs-vsctl reads it: with quotation marks where it is not one plain word. */
function atom(value: string | number | boolean): string {
  const text = String(value);
  return /^[\w.-]+$/.test(text) ? text : JSON.stringify(text);
}

function bridgeColumns(bridge: OvsBridge | null): Columns {
  if (bridge === null) return new Map();
  const tree = bridge.rstp ? 'rstp' : 'stp';
  return columnsOf({
    'other_config:datapath-id': bridge.datapathId,
    fail_mode: bridge.failMode === 'standalone' ? null : bridge.failMode,
    protocols: bridge.protocols,
    'other_config:disable-in-band': bridge.controllersOutOfBand,
    stp_enable: bridge.stp,
    rstp_enable: bridge.rstp,
    [`other_config:${tree}-priority`]: bridge.priority,
    [`other_config:${tree}-forward-delay`]: bridge.forwardDelay,
    'other_config:stp-hello-time': bridge.helloTime,
    [`other_config:${tree}-max-age`]: bridge.maximumAge,
    'other_config:mac-aging-time': bridge.ageingTime,
    mcast_snooping_enable: bridge.multicastSnooping,
    'other_config:hwaddr': bridge.mac,
  });
}

function portColumns(port: OvsPort | null, bridge: OvsBridge | null): Columns {
  if (port === null) return new Map();
  const { vlan, bond } = port;
  const tree = bridge?.rstp === true ? 'rstp' : 'stp';
  return columnsOf({
    vlan_mode: vlan.mode === 'access' || vlan.mode === 'trunk' ? null : vlan.mode,
    tag: vlan.tag,
    trunks: vlan.trunks,
    bond_mode: bond?.mode ?? null,
    lacp: bond === null || bond.lacp === 'off' ? null : bond.lacp,
    'other_config:lacp-time': bond?.lacpTime === 'fast' ? 'fast' : null,
    'other_config:lacp-fallback-ab': bond?.lacpFallback ?? null,
    bond_updelay: bond === null || bond.upDelay === 0 ? null : bond.upDelay,
    bond_downdelay: bond === null || bond.downDelay === 0 ? null : bond.downDelay,
    [`other_config:${tree}-path-cost`]: port.cost,
    [tree === 'rstp' ? 'other_config:rstp-port-priority' : 'other_config:stp-port-priority']:
      port.priority,
  });
}

function interfaceColumns(one: OvsInterface | null, isOwn: boolean): Columns {
  if (one === null) return new Map();
  const common = {
    mac: one.mac,
    mtu_request: one.mtu,
    ofport_request: one.openFlowPort,
    ingress_policing_rate: one.policing?.rate ?? null,
    ingress_policing_burst:
      one.policing === null || one.policing.burst === 0 ? null : one.policing.burst,
  };
  switch (one.kind) {
    case 'system':
      return columnsOf(common);
    case 'internal':
      return columnsOf({ type: isOwn ? null : 'internal', ...common });
    case 'patch':
      return columnsOf({ type: 'patch', 'options:peer': one.peer, ...common });
    case 'vxlan':
    case 'gre':
    case 'geneve':
      return columnsOf({
        type: one.kind,
        'options:remote_ip': one.remote,
        'options:local_ip': one.local,
        'options:key': one.key,
        'options:dst_port': one.port,
        ...common,
      });
    default:
      return assertNever(one);
  }
}

function qosCommands(
  port: string,
  before: OvsQos | null,
  after: OvsQos | null,
  number: number,
): readonly Command[] {
  if (same(before, after)) return [];
  const commands: Command[] = [];
  if (before !== null) {
    // The table is a root: a row of it goes only when it is told to.
    commands.push(['destroy', 'QoS', port], ['clear', 'Port', port, 'qos']);
  }
  if (after === null) return commands;
  const own = columnsOf({ type: after.kind, 'other_config:max-rate': after.maximumRate });
  commands.push([
    `--id=@qos${number}`,
    'create',
    'QoS',
    ...[...own].map(([column, value]) => `${column}=${value}`),
    ...after.queues.map(({ id }) => `queues:${id}=@queue${number}-${id}`),
  ]);
  for (const queue of after.queues) {
    const columns = columnsOf({
      'other_config:min-rate': queue.minimumRate,
      'other_config:max-rate': queue.maximumRate,
      'other_config:priority': queue.priority,
    });
    commands.push([
      `--id=@queue${number}-${queue.id}`,
      'create',
      'Queue',
      ...[...columns].map(([column, value]) => `${column}=${value}`),
    ]);
  }
  commands.push(['set', 'Port', port, `qos=@qos${number}`]);
  return commands;
}

function mirrorCommands(bridge: string, mirror: OvsMirror, number: number): readonly Command[] {
  const { selectSource, selectDestination, outputPort } = mirror;
  const ports = [
    ...new Set([
      ...selectSource,
      ...selectDestination,
      ...(outputPort === null ? [] : [outputPort]),
    ]),
  ];
  const reference = (port: string): string => `@mirror${number}-${ports.indexOf(port)}`;
  const list = (column: string, names: readonly string[]): readonly string[] =>
    names.length === 0 ? [] : [`${column}=${names.map(reference).join(',')}`];
  const columns = columnsOf({
    name: mirror.name,
    select_all: mirror.selectAll,
    select_vlan: mirror.selectVlans,
    output_vlan: mirror.outputVlan,
  });
  return [
    ...ports.map((port) => [`--id=${reference(port)}`, 'get', 'Port', port]),
    [
      `--id=@mirror${number}`,
      'create',
      'Mirror',
      ...[...columns].map(([column, value]) => `${column}=${value}`),
      ...list('select_src_port', selectSource),
      ...list('select_dst_port', selectDestination),
      ...list('output_port', outputPort === null ? [] : [outputPort]),
    ],
    ['add', 'Bridge', bridge, 'mirrors', `@mirror${number}`],
  ];
}

/** Null where the bridge does not export. */
function exportColumns(
  bridge: OvsBridge,
  table: 'netflow' | 'sflow' | 'ipfix',
): readonly string[] | null {
  const text = (columns: Columns): readonly string[] =>
    [...columns].map(([column, value]) => `${column}=${value}`);
  switch (table) {
    case 'netflow':
      return bridge.netflow === null
        ? null
        : text(
            columnsOf({
              targets: bridge.netflow.targets,
              active_timeout: bridge.netflow.activeTimeout || null,
              engine_type: bridge.netflow.engineType,
              engine_id: bridge.netflow.engineId,
              add_id_to_interface: bridge.netflow.addIdToInterface,
            }),
          );
    case 'sflow':
      return bridge.sflow === null
        ? null
        : text(
            columnsOf({
              targets: bridge.sflow.targets,
              sampling: bridge.sflow.sampling,
              polling: bridge.sflow.polling,
              header: bridge.sflow.header,
              agent: bridge.sflow.agent,
            }),
          );
    case 'ipfix':
      return bridge.ipfix === null
        ? null
        : text(
            columnsOf({
              targets: bridge.ipfix.targets,
              sampling: bridge.ipfix.sampling,
              obs_domain_id: bridge.ipfix.observationDomain,
              obs_point_id: bridge.ipfix.observationPoint,
              cache_active_timeout: bridge.ipfix.cacheActiveTimeout,
              cache_max_flows: bridge.ipfix.cacheMaximumFlows,
            }),
          );
    default:
      return assertNever(table);
  }
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
