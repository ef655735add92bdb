import { z } from 'zod';
import { VlanIdSchema } from './device.ts';

/**
 * Open vSwitch in normal form: what the database of an engine says of a bridge (ovs-vswitchd.conf.db(5)), every setting
 * stated. Operations and the inventory speak in these same shapes, so that what is wanted and what is there compare field
 * by field. Lists whose order means nothing are sorted by name; null is Open vSwitch's own choice.
 */

export const ovsBondModes = ['active-backup', 'balance-slb', 'balance-tcp'] as const;
export const ovsTunnelKinds = ['vxlan', 'gre', 'geneve'] as const;
/** Of the OpenFlow versions that Open vSwitch speaks, as its `protocols` column writes them. */
export const openFlowVersions = [
  'OpenFlow10',
  'OpenFlow11',
  'OpenFlow12',
  'OpenFlow13',
  'OpenFlow14',
  'OpenFlow15',
] as const;

/** Ingress policing: kbit/s and kbit, as the database has them. */
export const OvsPolicingSchema = z.strictObject({
  rate: z.number().int(),
  burst: z.number().int(),
});
export type OvsPolicing = z.infer<typeof OvsPolicingSchema>;

const commonInterface = {
  name: z.string(),
  /** Pinned MAC of an internal interface in lower case; null elsewhere. */
  mac: z.string().nullable(),
  /** Pinned MTU (mtu_request); null leaves it alone. */
  mtu: z.number().int().nullable(),
  /** Requested OpenFlow port number. */
  openFlowPort: z.number().int().nullable(),
  policing: OvsPolicingSchema.nullable(),
};

export const OvsInterfaceSchema = z.discriminatedUnion('kind', [
  /** A link that somebody else made, in the engine's namespace. */
  z.strictObject({ kind: z.literal('system'), ...commonInterface }),
  /** A link that Open vSwitch makes. The bridge's own, of the bridge's name, is one too. */
  z.strictObject({ kind: z.literal('internal'), ...commonInterface }),
  z.strictObject({ kind: z.literal('patch'), peer: z.string(), ...commonInterface }),
  z.strictObject({
    kind: z.enum(ovsTunnelKinds),
    local: z.string().nullable(),
    remote: z.string(),
    /** VNI or GRE key; null is none. */
    key: z.number().int().nullable(),
    /** UDP port of vxlan and geneve; null is the standard one. */
    port: z.number().int().nullable(),
    ...commonInterface,
  }),
]);
export type OvsInterface = z.infer<typeof OvsInterfaceSchema>;

export const OvsVlanSchema = z.strictObject({
  mode: z.enum(['access', 'trunk', 'native-tagged', 'native-untagged']),
  /** VLAN of an access port, native VLAN of a native-* one. */
  tag: VlanIdSchema.nullable(),
  /** Ascending; empty is all. */
  trunks: z.array(VlanIdSchema),
});
export type OvsVlan = z.infer<typeof OvsVlanSchema>;

export const OvsBondSchema = z.strictObject({
  mode: z.enum(ovsBondModes),
  lacp: z.enum(['off', 'active', 'passive']),
  lacpTime: z.enum(['slow', 'fast']),
  /** Falls back to active-backup while no partner speaks LACP. */
  lacpFallback: z.boolean(),
  /** Milliseconds. */
  upDelay: z.number().int(),
  downDelay: z.number().int(),
});
export type OvsBond = z.infer<typeof OvsBondSchema>;

/** Bits a second. */
export const OvsQueueSchema = z.strictObject({
  id: z.number().int(),
  minimumRate: z.number().int().nullable(),
  maximumRate: z.number().int().nullable(),
  /** The lowest comes first. */
  priority: z.number().int().nullable(),
});
/** What a port sends through; Open vSwitch's other kinds do nothing without DPDK (ovs-vswitchd.conf.db(5), QoS). */
export const ovsQosKinds = ['linux-htb', 'linux-hfsc'] as const;

export const OvsQosSchema = z.strictObject({
  kind: z.enum(ovsQosKinds),
  maximumRate: z.number().int().nullable(),
  /** By id, ascending. */
  queues: z.array(OvsQueueSchema),
});
export type OvsQos = z.infer<typeof OvsQosSchema>;

export const OvsPortSchema = z.strictObject({
  name: z.string(),
  /** One; several where it is a bond. By name. */
  interfaces: z.array(OvsInterfaceSchema),
  /** Null for a bond's only: what does not concern bonds has none. */
  bond: OvsBondSchema.nullable(),
  vlan: OvsVlanSchema,
  qos: OvsQosSchema.nullable(),
  /** Path cost and priority in the spanning tree, STP or RSTP as the bridge has it. */
  cost: z.number().int().nullable(),
  priority: z.number().int().nullable(),
});
export type OvsPort = z.infer<typeof OvsPortSchema>;

export const OvsMirrorSchema = z.strictObject({
  name: z.string(),
  selectAll: z.boolean(),
  /** Ports by name, ascending. */
  selectSource: z.array(z.string()),
  selectDestination: z.array(z.string()),
  selectVlans: z.array(VlanIdSchema),
  outputPort: z.string().nullable(),
  outputVlan: VlanIdSchema.nullable(),
});
export type OvsMirror = z.infer<typeof OvsMirrorSchema>;

/** `ADDRESS:PORT`, ascending. */
const targets = z.array(z.string());
export const OvsNetflowSchema = z.strictObject({
  targets,
  /** Seconds; 0 is Open vSwitch's own (600), -1 never. */
  activeTimeout: z.number().int(),
  engineType: z.number().int().nullable(),
  engineId: z.number().int().nullable(),
  addIdToInterface: z.boolean(),
});
export type OvsNetflow = z.infer<typeof OvsNetflowSchema>;

export const OvsSflowSchema = z.strictObject({
  targets,
  /** One packet in so many. */
  sampling: z.number().int().nullable(),
  /** Seconds between counters. */
  polling: z.number().int().nullable(),
  /** Bytes of a packet that are sent along. */
  header: z.number().int().nullable(),
  /** Interface whose address the agent bears. */
  agent: z.string().nullable(),
});
export type OvsSflow = z.infer<typeof OvsSflowSchema>;

export const OvsIpfixSchema = z.strictObject({
  targets,
  sampling: z.number().int().nullable(),
  observationDomain: z.number().int().nullable(),
  observationPoint: z.number().int().nullable(),
  /** Seconds. */
  cacheActiveTimeout: z.number().int().nullable(),
  cacheMaximumFlows: z.number().int().nullable(),
});
export type OvsIpfix = z.infer<typeof OvsIpfixSchema>;

export const OvsBridgeSchema = z.strictObject({
  name: z.string(),
  /** 16 hexadecimal digits. */
  datapathId: z.string().nullable(),
  failMode: z.enum(['standalone', 'secure']),
  /** In the order of `openFlowVersions`; empty is Open vSwitch's own choice. */
  protocols: z.array(z.enum(openFlowVersions)),
  /** Targets such as `tcp:10.0.0.1:6653`, ascending. */
  controllers: z.array(z.string()),
  /** Whether controllers are reached outside the bridge's own flows. */
  controllersOutOfBand: z.boolean(),
  stp: z.boolean(),
  rstp: z.boolean(),
  /** Of the bridge in the spanning tree, STP or RSTP. */
  priority: z.number().int().nullable(),
  forwardDelay: z.number().int().nullable(),
  helloTime: z.number().int().nullable(),
  maximumAge: z.number().int().nullable(),
  /** Seconds. */
  ageingTime: z.number().int().nullable(),
  multicastSnooping: z.boolean(),
  /** Pinned MAC of the bridge's own port; null leaves it to Open vSwitch. */
  mac: z.string().nullable(),
  /** With the bridge's own port, by name. */
  ports: z.array(OvsPortSchema),
  mirrors: z.array(OvsMirrorSchema),
  netflow: OvsNetflowSchema.nullable(),
  sflow: OvsSflowSchema.nullable(),
  ipfix: OvsIpfixSchema.nullable(),
});
export type OvsBridge = z.infer<typeof OvsBridgeSchema>;

/** What a bridge's OpenFlow tables hold, in the form that ovs-ofctl(8) prints, without counters; sorted. */
export const OpenFlowTablesSchema = z.strictObject({
  flows: z.array(z.string()),
  groups: z.array(z.string()),
  meters: z.array(z.string()),
});
export type OpenFlowTables = z.infer<typeof OpenFlowTablesSchema>;

/** What a bridge without a controller begins with (ovs-vswitchd.conf.db(5), fail_mode). */
export function initialFlows(failMode: OvsBridge['failMode']): readonly string[] {
  return failMode === 'standalone' ? ['priority=0 actions=NORMAL'] : [];
}

/** Names of links that Open vSwitch makes for its own use (lib/dpif-netlink.c, lib/netdev-vport.c). */
export const engineLinks = /^(?:ovs-netdev|ovs-system|(?:vxlan|gre|genev|geneve)_sys(?:_\d+)?)$/;

/** What moves the packets: Open vSwitch itself, or the kernel's module. */
export const OvsDatapathSchema = z.enum(['netdev', 'system']);
export type OvsDatapath = z.infer<typeof OvsDatapathSchema>;

/** The link that a switch makes for each kind of datapath that it uses, one in a namespace. */
export const datapathLinks: Readonly<Record<OvsDatapath, string>> = {
  netdev: 'ovs-netdev',
  system: 'ovs-system',
};

/** What an interface came to. */
export const OvsInterfaceStateSchema = z.strictObject({
  name: z.string(),
  /** OpenFlow port number; null while it has none. */
  ofport: z.number().int().nullable(),
  /** Why Open vSwitch could not have it. */
  error: z.string().nullable(),
  linkUp: z.boolean().nullable(),
  /** In the spanning tree; null outside one. `root`, `designated`, … and `forwarding`, `learning`, … in lower case. */
  treeRole: z.string().nullable(),
  treeState: z.string().nullable(),
  /** For a member of a bond; null elsewhere. */
  bondMember: z
    .strictObject({ enabled: z.boolean(), active: z.boolean(), lacp: z.string().nullable() })
    .nullable(),
});
export type OvsInterfaceState = z.infer<typeof OvsInterfaceStateSchema>;

export const OvsBridgeViewSchema = z.strictObject({
  bridge: OvsBridgeSchema,
  /** Lab that made it (external_ids); null for what is not ours. */
  lab: z.string().nullable(),
  /** It has settings beyond those that `bridge` can say; such a bridge of somebody else's is only shown. */
  intricate: z.boolean(),
  /** Null where nobody asked for flows of ours, or Open vSwitch does not answer. */
  tables: OpenFlowTablesSchema.nullable(),
  interfaces: z.array(OvsInterfaceStateSchema),
  /** Ports in a bridge of ours that are not ours, by name; they are not among `bridge.ports`. */
  foreignPorts: z.array(z.string()).optional(),
});
export type OvsBridgeView = z.infer<typeof OvsBridgeViewSchema>;

/** One Open vSwitch: a database and a switch, in one network namespace. */
export const OvsEngineViewSchema = z.strictObject({
  /** Id of the network namespace. */
  namespace: z.string(),
  /** Started by Netloom for the realm, or the machine's own. */
  kind: z.enum(['private', 'system']),
  datapath: OvsDatapathSchema,
  /** Version of ovs-vswitchd and of the database's schema; empty while unknown. */
  version: z.string(),
  schemaVersion: z.string(),
  database: z.strictObject({ pid: z.number().int().nullable(), running: z.boolean() }),
  switch: z.strictObject({ pid: z.number().int().nullable(), running: z.boolean() }),
  /** What has happened to it lately, newest first, at most 20. */
  events: z.array(
    z.strictObject({
      /** Milliseconds since the epoch. */
      time: z.number(),
      /** Stable key of the sentence, kebab-case, with what fills it. */
      code: z.string(),
      object: z.string(),
      values: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
      text: z.string(),
    }),
  ),
  bridges: z.array(OvsBridgeViewSchema),
});
export type OvsEngineView = z.infer<typeof OvsEngineViewSchema>;
