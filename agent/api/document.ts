import { z } from 'zod';
import { CpuGroupPathSchema, CpuSettingsSchema } from './document-cpu.ts';
import { bondHashPolicies, bondModes, macvlanModes, VlanIdSchema } from './device.ts';
import { OvsBridgeNodeSchema } from './document-ovs.ts';
import type { OvsBridgeNode } from './document-ovs.ts';
import {
  InterfaceNameSchema,
  NodeNameSchema,
  LocalizedTextSchema,
  MtuSchema,
  HostAddressSchema,
  RateSchema,
  commonSettings,
  VethSettingsSchema,
  members,
  tunnelEnds,
  UdpPortSchema,
  NetworkIdentifierSchema,
  tunTap,
} from './document-values.ts';
import type { LocalizedText } from './document-values.ts';
import { interfaceNamePattern, LabNameSchema } from './names.ts';

const deviceSettings = [
  z.strictObject({ kind: z.literal('dummy'), ...commonSettings }),
  z.strictObject({
    kind: z.literal('vlan'),
    parent: InterfaceNameSchema,
    id: VlanIdSchema,
    protocol: z.enum(['802.1Q', '802.1ad']).optional(),
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('bond'),
    mode: z.enum(bondModes).optional(),
    /** Milliseconds between two looks at the members' carrier; 100 unless said otherwise. */
    monitorInterval: z.number().int().min(0).max(60000).optional(),
    hashPolicy: z.enum(bondHashPolicies).optional(),
    members,
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('vxlan'),
    id: NetworkIdentifierSchema,
    ...tunnelEnds,
    /** UDP; 4789 unless said otherwise. */
    port: UdpPortSchema.optional(),
    parent: InterfaceNameSchema.optional(),
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('gre'),
    ...tunnelEnds,
    key: z.number().int().min(0).max(4294967295).optional(),
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('gretap'),
    ...tunnelEnds,
    key: z.number().int().min(0).max(4294967295).optional(),
    ...commonSettings,
  }),
  z.strictObject({ kind: z.literal('ipip'), ...tunnelEnds, ...commonSettings }),
  z.strictObject({
    kind: z.literal('geneve'),
    id: NetworkIdentifierSchema,
    remote: HostAddressSchema,
    /** UDP; 6081 unless said otherwise. */
    port: UdpPortSchema.optional(),
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('macvlan'),
    parent: InterfaceNameSchema,
    mode: z.enum(macvlanModes).optional(),
    ...commonSettings,
  }),
  z.strictObject({
    kind: z.literal('vrf'),
    /** Number of its routing table. */
    table: z.number().int().min(1).max(4294967295),
    members,
    ...commonSettings,
  }),
  z.strictObject({ kind: z.literal('tap'), ...tunTap, ...commonSettings }),
  z.strictObject({ kind: z.literal('tun'), ...tunTap, ...commonSettings }),
] as const;

/** An interface: the end of a link, or with a `kind` a device that the node makes itself. */
export const InterfaceSettingsSchema = z.discriminatedUnion('kind', [
  VethSettingsSchema,
  ...deviceSettings,
]);
export type InterfaceSettings = z.infer<typeof InterfaceSettingsSchema>;

export const RouteSettingsSchema = z.strictObject({
  /** A prefix or `default`. */
  to: z.string().min(1).max(64),
  via: z.string().max(64).optional(),
  dev: InterfaceNameSchema.optional(),
  metric: z.number().int().min(0).max(4294967295).optional(),
});
export type RouteSettings = z.infer<typeof RouteSettingsSchema>;

const InterfacesSchema = z.record(InterfaceNameSchema, InterfaceSettingsSchema);

const protocols = ['tcp', 'udp'] as const;
/** A host address or a prefix. */
const PeersSchema = z.string().min(2).max(64);
/** A port or a range such as `8000-8100`. */
const PortsSchema = z.union([
  z.number().int().min(1).max(65535),
  z.string().regex(/^\d{1,5}-\d{1,5}$/, 'a range of ports is such as `8000-8100`'),
]);

/** Address translation, in the order of the list. */
export const NatRuleSchema = z.discriminatedUnion('kind', [
  /** What leaves through `out` bears the address of that interface. */
  z.strictObject({
    kind: z.literal('masquerade'),
    out: InterfaceNameSchema,
    from: PeersSchema.optional(),
  }),
  z.strictObject({
    kind: z.literal('snat'),
    out: InterfaceNameSchema,
    from: PeersSchema.optional(),
    /** The address that it bears outside. */
    to: HostAddressSchema,
  }),
  /** What comes to this node at a port goes to `to`. */
  z.strictObject({
    kind: z.literal('dnat'),
    in: InterfaceNameSchema,
    protocol: z.enum(protocols),
    port: UdpPortSchema,
    to: HostAddressSchema,
    /** Port over there; the same unless said otherwise. */
    toPort: UdpPortSchema.optional(),
  }),
]);
export type NatRule = z.infer<typeof NatRuleSchema>;

export const FilterRuleSchema = z.strictObject({
  action: z.enum(['accept', 'drop', 'reject']),
  in: InterfaceNameSchema.optional(),
  out: InterfaceNameSchema.optional(),
  from: PeersSchema.optional(),
  to: PeersSchema.optional(),
  protocol: z.enum([...protocols, 'icmp', 'icmpv6']).optional(),
  /** Destination port; needs tcp or udp. */
  port: PortsSchema.optional(),
  /** States of the connection that the packet belongs to. */
  state: z
    .array(z.enum(['new', 'established', 'related', 'invalid']))
    .min(1)
    .max(4)
    .optional(),
});
export type FilterRule = z.infer<typeof FilterRuleSchema>;

const FilterChainSchema = z.strictObject({
  /** For what no rule decides; `accept` unless said otherwise. */
  policy: z.enum(['accept', 'drop']).optional(),
  rules: z.array(FilterRuleSchema).max(1000).optional(),
});
export type FilterChain = z.infer<typeof FilterChainSchema>;

/** A process that runs in the node as long as the lab is up. */
export const RunSettingsSchema = z.strictObject({
  name: InterfaceNameSchema,
  /** Program and arguments; no shell in between. */
  command: z.array(z.string().min(1).max(4096)).min(1).max(100),
  /** The CPU group that it runs in; the node's unless said otherwise. */
  cpu: CpuGroupPathSchema.optional(),
});
export type RunSettings = z.infer<typeof RunSettingsSchema>;

const CollectorPortSchema = z.union([UdpPortSchema, z.literal(true)]);

/**
 * Collects what exporters of flows send to the node: the UDP ports that are listened at, `true` for the usual ones (2055,
 * 4739, 6343). `true` alone is all three.
 */
export const CollectorSettingsSchema = z.union([
  z.literal(true),
  z
    .strictObject({
      /** NetFlow v5 and v9. */
      netflow: CollectorPortSchema.optional(),
      ipfix: CollectorPortSchema.optional(),
      /** sFlow v5. */
      sflow: CollectorPortSchema.optional(),
    })
    .refine(
      (ports) => Object.values(ports).some((port) => port !== undefined),
      'a collector listens for `netflow`, `ipfix` or `sflow`',
    ),
]);
export type CollectorSettings = z.infer<typeof CollectorSettingsSchema>;

/** A network namespace: a host with its own interfaces, addresses and routes. */
export const NamespaceNodeSchema = z.strictObject({
  kind: z.literal('namespace'),
  title: LocalizedTextSchema.optional(),
  /** Whether `lo` is up; true unless said otherwise. */
  loopback: z.boolean().optional(),
  interfaces: InterfacesSchema.optional(),
  routes: z.array(RouteSettingsSchema).max(1000).optional(),
  /** Whether it forwards packets between its interfaces: a router. */
  forwarding: z
    .union([
      z.boolean(),
      z.strictObject({ ipv4: z.boolean().optional(), ipv6: z.boolean().optional() }),
    ])
    .optional(),
  nat: z.array(NatRuleSchema).max(1000).optional(),
  filter: z
    .strictObject({
      input: FilterChainSchema.optional(),
      forward: FilterChainSchema.optional(),
      output: FilterChainSchema.optional(),
    })
    .optional(),
  run: z.array(RunSettingsSchema).max(100).optional(),
  collector: CollectorSettingsSchema.optional(),
  /** The CPU group that the node's processes run in. */
  cpu: CpuGroupPathSchema.optional(),
});
export type NamespaceNode = z.infer<typeof NamespaceNodeSchema>;

const SecondsSchema = z.number().min(0).max(1000000);

/** What a port of a bridge has beside the settings of its interface. VLANs count where the bridge filters them. */
const portSettings = {
  /** Access port: frames of this VLAN leave and come without a tag. */
  vlan: VlanIdSchema.optional(),
  /** Trunk port: these VLANs leave and come with a tag. */
  trunk: z.array(VlanIdSchema).max(4094).optional(),
  /** Of a trunk, the VLAN without a tag. */
  native: VlanIdSchema.optional(),
  /** Does not exchange frames with other isolated ports. */
  isolated: z.boolean().optional(),
  /** STP path cost and port priority. */
  cost: z.number().int().min(1).max(65535).optional(),
  priority: z.number().int().min(0).max(63).optional(),
};

const [dummyPort, vlanPort, bondPort, vxlanPort, , gretapPort, , genevePort, , , tapPort] =
  deviceSettings;

/** A port is the end of a link, or with a `kind` a device that the bridge's namespace makes. It carries no address. */
export const BridgePortSchema = z.discriminatedUnion('kind', [
  VethSettingsSchema.omit({ addresses: true }).extend(portSettings),
  dummyPort.omit({ addresses: true }).extend(portSettings),
  vlanPort.omit({ addresses: true }).extend(portSettings),
  bondPort.omit({ addresses: true }).extend(portSettings),
  vxlanPort.omit({ addresses: true }).extend(portSettings),
  gretapPort.omit({ addresses: true }).extend(portSettings),
  genevePort.omit({ addresses: true }).extend(portSettings),
  tapPort.omit({ addresses: true }).extend(portSettings),
]);
export type BridgePort = z.infer<typeof BridgePortSchema>;

/** A Linux bridge named like its node, in the realm's own namespace or in that of another node. */
export const BridgeNodeSchema = z.strictObject({
  kind: z.literal('bridge'),
  title: LocalizedTextSchema.optional(),
  /** The namespace node that the bridge sits in; without it the realm's own namespace. */
  namespace: NodeNameSchema.optional(),
  ...commonSettings,
  stp: z.boolean().optional(),
  /** Of the spanning tree: the lowest becomes the root. */
  priority: z.number().int().min(0).max(61440).multipleOf(4096).optional(),
  forwardDelay: z.number().min(2).max(30).optional(),
  helloTime: z.number().min(1).max(10).optional(),
  maximumAge: z.number().min(6).max(40).optional(),
  /** Seconds after which an address that was not heard of is forgotten. */
  ageingTime: SecondsSchema.optional(),
  multicastSnooping: z.boolean().optional(),
  vlanFiltering: z.boolean().optional(),
  /** VLANs that the bridge itself takes part in, with a tag: for VLAN devices on it. */
  vlans: z.array(VlanIdSchema).max(4094).optional(),
  /**
   * An interface in the bridge's own namespace that becomes a port of it and gives it its addresses and routes: the way
   * out. It may be one that the lab does not make, a NIC of the machine; then it gets them back when the lab goes.
   */
  uplink: InterfaceNameSchema.optional(),
  /** Settings of the bridge's ports, by interface name. */
  ports: z.record(InterfaceNameSchema, BridgePortSchema).optional(),
});
export type BridgeNode = z.infer<typeof BridgeNodeSchema>;

/**
 * What lies outside the sandbox: the realm's own network namespace as a router. What it forwards leaves by the realm's
 * way out, which the person allows realm by realm.
 */
export const InternetNodeSchema = z.strictObject({
  kind: z.literal('internet'),
  title: LocalizedTextSchema.optional(),
  /** Ends of links. */
  interfaces: z.record(InterfaceNameSchema, VethSettingsSchema).optional(),
});
export type InternetNode = z.infer<typeof InternetNodeSchema>;

const FilePathSchema = z
  .string()
  .max(4096)
  .regex(/^\/[^\0\n]*$/, 'a file is named by its whole path, which begins with `/`');

/** A network card of a virtual machine; where it leads says a link. */
export const VirtualMachineInterfaceSchema = VethSettingsSchema.omit({
  state: true,
  impairment: true,
});

/**
 * A virtual machine: a kernel of its own, in a process of QEMU. Each of its cards is a tap device in the namespace
 * that the link leads to. Without `kernel` and `disk` it starts Netloom's small system, which takes the addresses and
 * routes that are written here; other systems set their own, and what is written tells where they are.
 */
export const VirtualMachineNodeSchema = z.strictObject({
  kind: z.literal('vm'),
  title: LocalizedTextSchema.optional(),
  /** MiB; 128 unless said otherwise. */
  memory: z.number().int().min(16).max(1048576).optional(),
  /** 1 unless said otherwise. */
  cpus: z.number().int().min(1).max(255).optional(),
  kernel: FilePathSchema.optional(),
  initramfs: FilePathSchema.optional(),
  /** Further words for the kernel's command line. */
  append: z
    .string()
    .max(2000)
    .regex(/^[\x20-\x7e]*$/, 'the kernel’s command line is plain text')
    .optional(),
  /** An image that it starts from. It is never written: what the machine writes is gone when it ends. */
  disk: FilePathSchema.optional(),
  interfaces: z.record(InterfaceNameSchema, VirtualMachineInterfaceSchema).optional(),
  routes: z.array(RouteSettingsSchema).max(100).optional(),
  /** The CPU group that the machine runs in. */
  cpu: CpuGroupPathSchema.optional(),
});
export type VirtualMachineNode = z.infer<typeof VirtualMachineNodeSchema>;

export const NodeSchema = z.discriminatedUnion('kind', [
  NamespaceNodeSchema,
  BridgeNodeSchema,
  OvsBridgeNodeSchema,
  InternetNodeSchema,
  VirtualMachineNodeSchema,
]);
export type LabNode = z.infer<typeof NodeSchema>;
export type NodeKind = LabNode['kind'];

/** `NODE:INTERFACE`. */
const EndpointSchema = z
  .string()
  .regex(/^[^:]{1,15}:[^:]{1,15}$/, 'an endpoint is `NODE:INTERFACE`')
  .refine(
    (endpoint) => endpoint.split(':').every((part) => interfaceNamePattern.test(part)),
    'both parts of an endpoint are names of 1 to 15 letters, digits, `.`, `_` or `-`',
  );

/** A veth pair; an end at a bridge becomes a port of it. */
export const VethLinkSchema = z.strictObject({
  type: z.literal('veth').optional(),
  endpoints: z.tuple([EndpointSchema, EndpointSchema]),
  mtu: MtuSchema.optional(),
});

/** Two taps or two tuns of two nodes, joined over UDP: what goes into one comes out of the other. */
export const TunnelLinkSchema = z.strictObject({
  type: z.literal('tunnel'),
  endpoints: z.tuple([EndpointSchema, EndpointSchema]),
  /** The nodes' own addresses that the UDP packets go between, in the order of the endpoints. */
  underlay: z.tuple([HostAddressSchema, HostAddressSchema]),
  /** UDP, at both ends; 5555 unless said otherwise. */
  port: UdpPortSchema.optional(),
});

/** Two Open vSwitch bridges of one engine, joined by a pair of patch ports: no device of the kernel. */
export const PatchLinkSchema = z.strictObject({
  type: z.literal('patch'),
  endpoints: z.tuple([EndpointSchema, EndpointSchema]),
});

export const LinkSchema = z.discriminatedUnion('type', [
  VethLinkSchema,
  TunnelLinkSchema,
  PatchLinkSchema,
]);
export type LabLink = z.infer<typeof LinkSchema>;
export type PairLink = Exclude<LabLink, { readonly type: 'tunnel' | 'patch' }>;

export const ReachCheckSchema = z.strictObject({
  check: z.literal('reach'),
  name: LocalizedTextSchema.optional(),
  /** The namespace node that asks. */
  from: NodeNameSchema,
  /** A node (its first address), `NODE:INTERFACE`, or an address. */
  to: z.string().min(1).max(64),
  /** What must hold; `reachable` unless said otherwise. */
  expect: z.enum(['reachable', 'unreachable']).optional(),
  /** Seconds until an unanswered request counts as unreachable; 2 unless said otherwise. */
  timeout: z.number().positive().max(60).optional(),
  /** Bounds of the round trip, in milliseconds. */
  roundTrip: z
    .strictObject({ atLeast: z.number().min(0).optional(), atMost: z.number().min(0).optional() })
    .optional(),
});
export type ReachCheck = z.infer<typeof ReachCheckSchema>;

/** A TCP connection: somebody listens there and answers. */
export const ConnectCheckSchema = z.strictObject({
  check: z.literal('connect'),
  name: LocalizedTextSchema.optional(),
  from: NodeNameSchema,
  to: z.string().min(1).max(64),
  port: UdpPortSchema,
  expect: z.enum(['reachable', 'unreachable']).optional(),
  timeout: z.number().positive().max(60).optional(),
});
export type ConnectCheck = z.infer<typeof ConnectCheckSchema>;

/** Throughput of UDP in one direction, measured for a second. */
export const RateCheckSchema = z.strictObject({
  check: z.literal('rate'),
  name: LocalizedTextSchema.optional(),
  from: NodeNameSchema,
  to: z.string().min(1).max(64),
  atLeast: RateSchema.optional(),
  atMost: RateSchema.optional(),
});
export type RateCheck = z.infer<typeof RateCheckSchema>;

/** Records of flows or counters that a collector has received. */
export const RecordsCheckSchema = z.strictObject({
  check: z.literal('records'),
  name: LocalizedTextSchema.optional(),
  /** The node with the collector. */
  at: NodeNameSchema,
  protocol: z.enum(['netflow', 'ipfix', 'sflow']),
  /** `present` unless said otherwise. */
  expect: z.enum(['present', 'absent']).optional(),
  /** Of a flow from or to this address; any record unless said. */
  source: HostAddressSchema.optional(),
  destination: HostAddressSchema.optional(),
  /** Seconds that it is waited for: exporters tell of a flow when it ends or lasts. 10 unless said otherwise. */
  timeout: z.number().positive().max(600).optional(),
});
export type RecordsCheck = z.infer<typeof RecordsCheckSchema>;

/** What a CPU group uses while it is kept busy, by the kernel's own count. */
export const CpuCheckSchema = z.strictObject({
  check: z.literal('cpu'),
  name: LocalizedTextSchema.optional(),
  group: CpuGroupPathSchema,
  /** Cores that it must use. */
  cores: z.number().positive().max(100_000),
  /** Per cent of them that it may use more or less; 10 unless said otherwise. */
  tolerance: z.number().min(1).max(100).optional(),
  /** Groups that are kept busy beside it, so that they contend. */
  against: z.array(CpuGroupPathSchema).min(1).max(64).optional(),
  /** Seconds that are measured; 2 unless said otherwise. */
  seconds: z.number().min(0.5).max(60).optional(),
});
export type CpuCheck = z.infer<typeof CpuCheckSchema>;

export const CheckSchema = z.discriminatedUnion('check', [
  ReachCheckSchema,
  ConnectCheckSchema,
  RateCheckSchema,
  RecordsCheckSchema,
  CpuCheckSchema,
]);
export type LabCheck = z.infer<typeof CheckSchema>;

/** One lab, as written in its YAML file. */
export const LabDocumentSchema = z.strictObject({
  netloom: z.literal(1),
  name: LabNameSchema,
  title: LocalizedTextSchema.optional(),
  description: LocalizedTextSchema.optional(),
  topology: z.strictObject({
    nodes: z.record(NodeNameSchema, NodeSchema),
    links: z.array(LinkSchema).max(20000).optional(),
  }),
  cpu: CpuSettingsSchema.optional(),
  checks: z.array(CheckSchema).max(5000).optional(),
  /** Where each node is drawn, in drawing units of 1 px at 100 %: [x, y] of its centre. */
  positions: z.record(NodeNameSchema, z.tuple([z.number(), z.number()])).optional(),
});
export type LabDocument = z.infer<typeof LabDocumentSchema>;

export interface Endpoint {
  readonly node: string;
  readonly interface: string;
}

/** Splits `NODE:INTERFACE`; the schema has made sure that both parts are there. */
export function parseEndpoint(endpoint: string): Endpoint {
  const [node = '', name = ''] = endpoint.split(':');
  return { node, interface: name };
}

/** Whether a node is a switch: its interfaces are ports. */
export function isSwitch(node: LabNode): node is BridgeNode | OvsBridgeNode {
  return node.kind === 'bridge' || node.kind === 'ovs-bridge';
}

/** Whether a link is a veth pair, or a tap where a virtual machine is at one end. */
export function isPairLink(link: LabLink): link is PairLink {
  return link.type !== 'tunnel' && link.type !== 'patch';
}

/** The namespace that a node's interfaces are in, a machine's own for its cards; null is the realm's own. */
export function namespaceOfNode(name: string, node: LabNode): string | null {
  switch (node.kind) {
    case 'namespace':
    case 'vm':
      return name;
    case 'bridge':
    case 'ovs-bridge':
      return node.namespace ?? null;
    default:
      return null;
  }
}

/** Whether a lab asks for the world outside its realm. */
export function asksForInternet({ topology }: LabDocument): boolean {
  return Object.values(topology.nodes).some(({ kind }) => kind === 'internet');
}

/** Picks the text for a language, English when it is missing. */
export function localizedText(text: LocalizedText | undefined, language: 'en' | 'zh'): string {
  if (text === undefined) return '';
  if (typeof text === 'string') return text;
  return text[language] ?? text.en;
}
