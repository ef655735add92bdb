/** Open vSwitch bridges as documents ask for them, in the normal form of `agent/api/ovs.ts`. */
import type { OvsBridgeNode, OvsPortSettings } from '../api/document-ovs.ts';
import { initialFlows, openFlowVersions } from '../api/ovs.ts';
import type {
  OpenFlowTables,
  OvsBond,
  OvsBridge,
  OvsDatapath,
  OvsInterface,
  OvsMirror,
  OvsPolicing,
  OvsPort,
  OvsQos,
  OvsVlan,
} from '../api/ovs.ts';
import { isInSubnet, parseHostAddress, parseSubnetAddress } from './address.ts';
import { bitsPerSecond, genevePort, vxlanPort } from './device.ts';

/** A bridge in the database of an engine. */
export interface NetworkSwitch {
  readonly namespace: string | null;
  readonly name: string;
  /** Node that it is. */
  readonly node: string;
  readonly bridge: OvsBridge;
  /** What its engine is to use; null leaves it open. */
  readonly datapath: OvsDatapath | null;
  /** Lines as the document has them; null leaves the tables to Open vSwitch. */
  readonly openFlow: OpenFlowTables | null;
}

/** A port that is a link of the bridge's namespace: the end of a veth pair, or a tap. */
export type OvsLinkPort = Extract<OvsPortSettings, { readonly kind?: 'veth' | 'tap' | undefined }>;
export type OvsInternalPort = Extract<OvsPortSettings, { readonly kind: 'internal' }>;
export type OvsTunnelPort = Extract<OvsPortSettings, { readonly kind: 'vxlan' | 'gre' | 'geneve' }>;
export type OvsBondPort = Extract<OvsPortSettings, { readonly kind: 'bond' }>;

/** What any port may have. */
export type OvsPortWords = Pick<
  OvsLinkPort,
  | 'vlan'
  | 'trunk'
  | 'native'
  | 'nativeMode'
  | 'policing'
  | 'qos'
  | 'cost'
  | 'priority'
  | 'openFlowPort'
>;

export function isLinkPort(port: OvsPortSettings): port is OvsLinkPort {
  return port.kind === undefined || port.kind === 'veth' || port.kind === 'tap';
}

export function isTunnelPort(port: OvsPortSettings): port is OvsTunnelPort {
  return port.kind === 'vxlan' || port.kind === 'gre' || port.kind === 'geneve';
}

/** The settings of those ports that are links which somebody else makes, by name. */
export function linkPortsOf(node: OvsBridgeNode): Readonly<Record<string, OvsLinkPort>> {
  return Object.fromEntries(
    Object.entries(node.ports ?? {}).flatMap(([name, port]) =>
      isLinkPort(port) ? [[name, port] as const] : [],
    ),
  );
}

/** Ports that Open vSwitch makes a link for, by name, without the bridge's own. */
export function internalPortsOf(
  node: OvsBridgeNode,
): readonly (readonly [string, OvsInternalPort])[] {
  return Object.entries(node.ports ?? {}).flatMap(([name, port]) =>
    port.kind === 'internal' ? [[name, port] as const] : [],
  );
}

/** What the rest of a document says of a bridge. */
export interface SwitchSurroundings {
  /** Names of the links of its namespace that are ports of it. */
  readonly links: Iterable<string>;
  /** The port at the other end, by the name of a patch port. */
  readonly patches: ReadonlyMap<string, string>;
  /** MTU of what fits through the tunnels of its switching domain, if there are any. */
  readonly overlayMtu: number | undefined;
}

/** MTU of an internal port, where it is not left to Open vSwitch. Where nobody sends, nothing needs to fit. */
export function internalMtu(
  { mtu, addresses }: Pick<OvsInternalPort, 'mtu' | 'addresses'>,
  overlayMtu: number | undefined,
): number | null {
  return mtu ?? ((addresses ?? []).length > 0 ? overlayMtu : undefined) ?? null;
}

export function ovsBridgeOf(
  name: string,
  node: OvsBridgeNode,
  { links, patches, overlayMtu }: SwitchSurroundings,
): OvsBridge {
  const settings = node.ports ?? {};
  const of = (port: string): OvsPortSettings =>
    (Object.hasOwn(settings, port) ? settings[port] : undefined) ?? {};
  const tree = node.stp === true ? 'stp' : node.rstp === true ? 'rstp' : null;
  const linked = new Set(links);
  const members = new Set(
    Object.values(settings).flatMap((port) => (port.kind === 'bond' ? port.members : [])),
  );
  const single = (port: string, one: OvsInterface): OvsPort => ({
    name: port,
    interfaces: [one],
    bond: null,
    ...portWords(of(port), tree),
  });
  const ports: OvsPort[] = [
    {
      name,
      interfaces: [
        { kind: 'internal', ...plainInterface(name, {}), mtu: internalMtu(node, overlayMtu) },
      ],
      bond: null,
      ...portWords(node.vlan === undefined ? {} : { vlan: node.vlan }, null),
    },
  ];
  for (const port of linked) {
    if (members.has(port)) continue;
    ports.push(single(port, { kind: 'system', ...plainInterface(port, of(port)) }));
  }
  for (const [port, peer] of patches) {
    ports.push(single(port, { kind: 'patch', peer, ...plainInterface(port, of(port)) }));
  }
  for (const [port, words] of Object.entries(settings)) {
    if (words.kind === 'internal') {
      const { mac } = words;
      ports.push(
        single(port, {
          kind: 'internal',
          ...plainInterface(port, words),
          mac: mac?.toLowerCase() ?? null,
          mtu: internalMtu(words, overlayMtu),
        }),
      );
    } else if (words.kind === 'physical') {
      ports.push(single(port, { kind: 'system', ...plainInterface(port, words) }));
    } else if (isTunnelPort(words)) ports.push(single(port, tunnelInterface(port, words)));
    else if (words.kind === 'bond') {
      ports.push({
        name: port,
        interfaces: [...new Set(words.members)]
          .filter((member) => linked.has(member))
          .map((member) => ({ kind: 'system' as const, ...plainInterface(member, of(member)) }))
          .sort(byName),
        bond: bondOf(words),
        ...portWords(words, tree),
      });
    }
  }
  const controllers = [...new Set(node.controllers ?? [])].sort();
  return {
    name,
    datapathId: node.datapathId?.toLowerCase() ?? null,
    failMode: node.failMode ?? 'standalone',
    protocols: openFlowVersions.filter((version) => node.protocols?.includes(version) === true),
    controllers,
    controllersOutOfBand: controllers.length > 0 && !reachesThroughItself(node, controllers),
    stp: node.stp === true,
    rstp: node.rstp === true,
    // Without a spanning tree there is no column that would hold them.
    priority: tree === null ? null : (node.priority ?? null),
    forwardDelay: tree === null ? null : (node.forwardDelay ?? null),
    helloTime: tree === 'stp' ? (node.helloTime ?? null) : null,
    maximumAge: tree === null ? null : (node.maximumAge ?? null),
    ageingTime: node.ageingTime ?? null,
    multicastSnooping: node.multicastSnooping === true,
    mac: node.mac?.toLowerCase() ?? null,
    ports: ports.sort(byName),
    mirrors: mirrorsOf(node),
    netflow:
      node.netflow === undefined
        ? null
        : {
            targets: sorted(node.netflow.targets),
            activeTimeout: node.netflow.activeTimeout ?? 0,
            engineType: node.netflow.engineType ?? null,
            engineId: node.netflow.engineId ?? null,
            addIdToInterface: node.netflow.addIdToInterface === true,
          },
    sflow:
      node.sflow === undefined
        ? null
        : {
            targets: sorted(node.sflow.targets),
            sampling: node.sflow.sampling ?? null,
            polling: node.sflow.polling ?? null,
            header: node.sflow.header ?? null,
            agent: node.sflow.agent ?? null,
          },
    ipfix:
      node.ipfix === undefined
        ? null
        : {
            targets: sorted(node.ipfix.targets),
            sampling: node.ipfix.sampling ?? null,
            observationDomain: node.ipfix.observationDomain ?? null,
            observationPoint: node.ipfix.observationPoint ?? null,
            cacheActiveTimeout: node.ipfix.cacheActiveTimeout ?? null,
            cacheMaximumFlows: node.ipfix.cacheMaximumFlows ?? null,
          },
  };
}

function plainInterface(
  name: string,
  { openFlowPort, policing }: Pick<OvsPortWords, 'openFlowPort' | 'policing'>,
): Pick<OvsInterface, 'name' | 'mac' | 'mtu' | 'openFlowPort' | 'policing'> {
  return {
    name,
    mac: null,
    mtu: null,
    openFlowPort: openFlowPort ?? null,
    policing: policing === undefined ? null : policingOf(policing),
  };
}

function policingOf(policing: NonNullable<OvsPortWords['policing']>): OvsPolicing {
  return {
    rate: Math.round((bitsPerSecond(policing.rate) ?? 0) / 1000),
    // 0 is Open vSwitch's own.
    burst:
      policing.burst === undefined ? 0 : Math.round((bitsPerSecond(policing.burst) ?? 0) / 1000),
  };
}

function portWords(
  words: OvsPortWords,
  tree: 'stp' | 'rstp' | null,
): Pick<OvsPort, 'vlan' | 'qos' | 'cost' | 'priority'> {
  return {
    vlan: vlanOf(words),
    qos: words.qos === undefined ? null : qosOf(words.qos),
    cost: tree === null ? null : (words.cost ?? null),
    priority: tree === null ? null : (words.priority ?? null),
  };
}

export function vlanOf({ vlan, trunk, native, nativeMode }: OvsPortWords): OvsVlan {
  if (vlan !== undefined) return { mode: 'access', tag: vlan, trunks: [] };
  // The native VLAN is carried without being listed (bundle_set in ofproto-dpif.c).
  const trunks = [...new Set(trunk ?? [])].filter((id) => id !== native).sort((a, b) => a - b);
  if (native === undefined) return { mode: 'trunk', tag: null, trunks };
  return {
    mode: nativeMode === 'tagged' ? 'native-tagged' : 'native-untagged',
    tag: native,
    trunks,
  };
}

function qosOf(qos: NonNullable<OvsPortWords['qos']>): OvsQos {
  const rateOf = (rate: string | undefined): number | null =>
    rate === undefined ? null : bitsPerSecond(rate);
  return {
    kind: qos.type ?? 'linux-htb',
    maximumRate: rateOf(qos.maximumRate),
    queues: Object.entries(qos.queues ?? {})
      .map(([id, queue]) => ({
        id: Number(id),
        minimumRate: rateOf(queue.minimumRate),
        maximumRate: rateOf(queue.maximumRate),
        priority: queue.priority ?? null,
      }))
      .sort((one, other) => one.id - other.id),
  };
}

function tunnelInterface(name: string, port: OvsTunnelPort): OvsInterface {
  const standard = port.kind === 'vxlan' ? vxlanPort : port.kind === 'geneve' ? genevePort : null;
  const udp = port.kind === 'gre' ? undefined : port.port;
  return {
    kind: port.kind,
    local: port.local === undefined ? null : canonical(port.local),
    remote: canonical(port.remote),
    key: port.key ?? null,
    port: udp === undefined || udp === standard ? null : udp,
    ...plainInterface(name, port),
  };
}

function bondOf(bond: OvsBondPort): OvsBond {
  return {
    mode: bond.mode ?? 'active-backup',
    lacp: bond.lacp ?? 'off',
    lacpTime: bond.lacpTime ?? 'slow',
    lacpFallback: bond.lacpFallback === true,
    upDelay: bond.upDelay ?? 0,
    downDelay: bond.downDelay ?? 0,
  };
}

function mirrorsOf({ mirrors }: OvsBridgeNode): OvsMirror[] {
  return Object.entries(mirrors ?? {})
    .map(([name, mirror]) => ({
      name,
      // Without ports the VLANs are those of all ports.
      selectAll:
        mirror.all === true || (mirror.source === undefined && mirror.destination === undefined),
      selectSource: sorted(mirror.source),
      selectDestination: sorted(mirror.destination),
      selectVlans: [...new Set(mirror.vlans ?? [])].sort((one, other) => one - other),
      outputPort: typeof mirror.output === 'string' ? mirror.output : null,
      outputVlan: typeof mirror.output === 'string' ? null : mirror.output.vlan,
    }))
    .sort(byName);
}

/** A controller that is heard through a bridge is let through by that bridge, whatever its flows say ("in band"). */
function reachesThroughItself(node: OvsBridgeNode, controllers: readonly string[]): boolean {
  const addresses = [node, ...internalPortsOf(node).map(([, port]) => port)].flatMap((port) =>
    (port.addresses ?? []).flatMap((text) => parseSubnetAddress(text) ?? []),
  );
  return controllers.some((target) => {
    const host = hostOfTarget(target.replace(/^(?:tcp|ssl):/, ''));
    return host !== null && addresses.some((address) => isInSubnet(host, address));
  });
}

/** The address of `ADDRESS:PORT` or `[ADDRESS]:PORT`, or of one alone; null where it is none. */
export function hostOfTarget(target: string): ReturnType<typeof parseHostAddress> {
  const text = /^\[(?<address>[^\]]*)\](?::\d+)?$/.exec(target)?.groups?.['address'];
  return parseHostAddress(
    text ?? (target.split(':').length === 2 ? (target.split(':')[0] ?? '') : target),
  );
}

/** The tables that a document asks for; null when it says nothing of them. */
export function openFlowOf(node: OvsBridgeNode): OpenFlowTables | null {
  const { flows, groups, meters } = node;
  if (flows === undefined && groups === undefined && meters === undefined) return null;
  return {
    flows: flows ?? [...initialFlows(node.failMode ?? 'standalone')],
    groups: groups ?? [],
    meters: meters ?? [],
  };
}

/** Whether a bridge forwards by itself, as a switch that learns: nobody gives it flows. */
export function forwardsByItself(node: OvsBridgeNode): boolean {
  return (
    node.flows === undefined && node.failMode !== 'secure' && (node.controllers ?? []).length === 0
  );
}

function canonical(address: string): string {
  return parseHostAddress(address)?.text ?? address;
}

function sorted(texts: readonly string[] | undefined): string[] {
  return [...new Set(texts ?? [])].sort();
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}
