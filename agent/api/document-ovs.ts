/** The part of a lab document that is Open vSwitch: words of ovs-vswitchd.conf.db(5), ours only where a lab needs less. */
import { z } from 'zod';
import { VlanIdSchema } from './device.ts';
import {
  commonSettings,
  HostAddressSchema,
  InterfaceNameSchema,
  LocalizedTextSchema,
  NetworkIdentifierSchema,
  NodeNameSchema,
  RateSchema,
  tunTap,
  UdpPortSchema,
  VethSettingsSchema,
} from './document-values.ts';
import { openFlowVersions, ovsBondModes, OvsDatapathSchema, ovsQosKinds } from './ovs.ts';

const SizeSchema = z.string().regex(/^\d+(?:\.\d+)?[kmg]?bit$/, 'a size is bits such as `800kbit`');

const QueueSchema = z.strictObject({
  minimumRate: RateSchema.optional(),
  maximumRate: RateSchema.optional(),
  /** The lowest comes first. */
  priority: z.number().int().min(0).max(4294967295).optional(),
});

/** What a port of an Open vSwitch bridge has beside the settings of its interface. Without VLANs it is a trunk of all. */
const portSettings = {
  /** Access port: frames of this VLAN leave and come without a tag. */
  vlan: VlanIdSchema.optional(),
  /** Trunk port: these VLANs leave and come with a tag. */
  trunk: z.array(VlanIdSchema).max(4094).optional(),
  /** Of a trunk, the VLAN of frames without a tag. */
  native: VlanIdSchema.optional(),
  /** Whether frames of the native VLAN leave with a tag; `untagged` unless said otherwise. */
  nativeMode: z.enum(['tagged', 'untagged']).optional(),
  /** What may come in: above it is dropped. The kernel's datapath has it, the userspace one does not. */
  policing: z.strictObject({ rate: RateSchema, burst: SizeSchema.optional() }).optional(),
  /** What leaves. Queues by number; flows put packets into them by `set_queue`. */
  qos: z
    .strictObject({
      type: z.enum(ovsQosKinds).optional(),
      maximumRate: RateSchema.optional(),
      queues: z.record(z.string().regex(/^\d{1,10}$/), QueueSchema).optional(),
    })
    .optional(),
  /** Of the spanning tree, STP or RSTP. */
  cost: z.number().int().min(1).max(200000000).optional(),
  priority: z.number().int().min(0).max(240).optional(),
  /** OpenFlow port number; the next free one unless said otherwise. */
  openFlowPort: z.number().int().min(1).max(65279).optional(),
};

const withoutAddresses = { ...commonSettings, addresses: z.undefined().optional() };

const tunnelSettings = {
  local: HostAddressSchema.optional(),
  remote: HostAddressSchema,
};

/**
 * A port is the end of a link, or with a `kind` something that the bridge has itself. Only `internal` ones carry addresses:
 * their interface is in the bridge's own namespace.
 */
export const OvsPortSettingsSchema = z.discriminatedUnion('kind', [
  VethSettingsSchema.omit({ addresses: true }).extend(portSettings),
  z.strictObject({ kind: z.literal('internal'), ...commonSettings, ...portSettings }),
  /** An interface of the machine, named like the port. It keeps its settings; one with addresses is refused. */
  z.strictObject({ kind: z.literal('physical'), ...portSettings }),
  z
    .strictObject({ kind: z.literal('tap'), ...tunTap, ...withoutAddresses, ...portSettings })
    .omit({ addresses: true }),
  z.strictObject({
    kind: z.literal('vxlan'),
    ...tunnelSettings,
    /** VNI. */
    key: NetworkIdentifierSchema.optional(),
    /** UDP; 4789 unless said otherwise. */
    port: UdpPortSchema.optional(),
    ...portSettings,
  }),
  z.strictObject({
    kind: z.literal('gre'),
    ...tunnelSettings,
    key: z.number().int().min(0).max(4294967295).optional(),
    ...portSettings,
  }),
  z.strictObject({
    kind: z.literal('geneve'),
    ...tunnelSettings,
    /** VNI. */
    key: NetworkIdentifierSchema.optional(),
    /** UDP; 6081 unless said otherwise. */
    port: UdpPortSchema.optional(),
    ...portSettings,
  }),
  z.strictObject({
    kind: z.literal('bond'),
    /** Other ports of the bridge, ends of links. */
    members: z.array(InterfaceNameSchema).min(2).max(64),
    /** `active-backup` unless said otherwise. */
    mode: z.enum(ovsBondModes).optional(),
    lacp: z.enum(['off', 'active', 'passive']).optional(),
    lacpTime: z.enum(['slow', 'fast']).optional(),
    /** Whether it goes on as active-backup while no partner speaks LACP. */
    lacpFallback: z.boolean().optional(),
    /** Milliseconds that a member must be up or down before it counts. */
    upDelay: z.number().int().min(0).max(600000).optional(),
    downDelay: z.number().int().min(0).max(600000).optional(),
    ...portSettings,
  }),
]);
export type OvsPortSettings = z.infer<typeof OvsPortSettingsSchema>;

/** `ADDRESS:PORT`, an IPv6 address in brackets; checked in full by the validator. */
const TargetSchema = z.string().min(3).max(80);
const TargetsSchema = z.array(TargetSchema).min(1).max(16);

const MirrorSchema = z.strictObject({
  /** What is copied: all, or what comes in at or leaves by these ports, or is of these VLANs. */
  all: z.boolean().optional(),
  source: z.array(InterfaceNameSchema).max(1000).optional(),
  destination: z.array(InterfaceNameSchema).max(1000).optional(),
  vlans: z.array(VlanIdSchema).max(4094).optional(),
  /** Where the copies go: a port that then does nothing else, or a VLAN. */
  output: z.union([InterfaceNameSchema, z.strictObject({ vlan: VlanIdSchema })]),
});

/** A line as ovs-ofctl(8) takes it; ovs-ofctl itself reads it before anything is planned. */
const OpenFlowLineSchema = z
  .string()
  .min(1)
  .max(8000)
  .regex(/^[^\0\n]*$/, 'it is one line');
const OpenFlowLinesSchema = z.array(OpenFlowLineSchema).max(20000);

/** An Open vSwitch bridge named like its node, in the realm's own namespace or in that of another node, with an Open vSwitch of its own. */
export const OvsBridgeNodeSchema = z.strictObject({
  kind: z.literal('ovs-bridge'),
  title: LocalizedTextSchema.optional(),
  /** The namespace node that it sits in, which then has an Open vSwitch of its own; without it the realm's. */
  namespace: NodeNameSchema.optional(),
  /** Settings of the bridge's own port. */
  ...commonSettings,
  /** VLAN of the bridge's own port. */
  vlan: VlanIdSchema.optional(),
  /**
   * What moves the packets: the kernel's module (`system`) or Open vSwitch itself (`netdev`). All bridges of a namespace have
   * the same; without the word the kernel's where the machine offers it.
   */
  datapath: OvsDatapathSchema.optional(),
  /** 16 hexadecimal digits. */
  datapathId: z
    .string()
    .regex(/^[0-9a-fA-F]{16}$/, 'a datapath id is 16 hexadecimal digits')
    .optional(),
  /** What it does without a controller: forward by itself, or nothing. `standalone` unless said otherwise. */
  failMode: z.enum(['standalone', 'secure']).optional(),
  protocols: z.array(z.enum(openFlowVersions)).min(1).max(6).optional(),
  /** Targets such as `tcp:10.0.0.1:6653`, reached from the bridge's own namespace. */
  controllers: z.array(z.string().min(3).max(120)).max(8).optional(),
  stp: z.boolean().optional(),
  rstp: z.boolean().optional(),
  /** Of the spanning tree: the lowest becomes the root. */
  priority: z.number().int().min(0).max(61440).multipleOf(4096).optional(),
  forwardDelay: z.number().int().min(4).max(30).optional(),
  helloTime: z.number().int().min(1).max(10).optional(),
  maximumAge: z.number().int().min(6).max(40).optional(),
  /** Seconds after which an address that was not heard of is forgotten. */
  ageingTime: z.number().int().min(15).max(3600).optional(),
  multicastSnooping: z.boolean().optional(),
  /** Interface in the bridge's own namespace that becomes a port of it and gives it its addresses and routes. */
  uplink: InterfaceNameSchema.optional(),
  ports: z.record(InterfaceNameSchema, OvsPortSettingsSchema).optional(),
  mirrors: z.record(InterfaceNameSchema, MirrorSchema).optional(),
  netflow: z
    .strictObject({
      targets: TargetsSchema,
      /** Seconds after which a flow that lasts is told of. */
      activeTimeout: z.number().int().min(-1).max(86400).optional(),
      engineType: z.number().int().min(0).max(255).optional(),
      engineId: z.number().int().min(0).max(255).optional(),
      addIdToInterface: z.boolean().optional(),
    })
    .optional(),
  sflow: z
    .strictObject({
      targets: TargetsSchema,
      /** One packet in so many. */
      sampling: z.number().int().min(1).max(4294967295).optional(),
      /** Seconds between counters. */
      polling: z.number().int().min(0).max(86400).optional(),
      /** Bytes of each packet. */
      header: z.number().int().min(14).max(1500).optional(),
      /** Interface whose address the agent bears. */
      agent: InterfaceNameSchema.optional(),
    })
    .optional(),
  ipfix: z
    .strictObject({
      targets: TargetsSchema,
      sampling: z.number().int().min(1).max(4294967295).optional(),
      observationDomain: z.number().int().min(0).max(4294967295).optional(),
      observationPoint: z.number().int().min(0).max(4294967295).optional(),
      cacheActiveTimeout: z.number().int().min(0).max(4200).optional(),
      cacheMaximumFlows: z.number().int().min(0).max(4294967295).optional(),
    })
    .optional(),
  /** Exactly these; without the word, whatever Open vSwitch has by itself. */
  flows: OpenFlowLinesSchema.optional(),
  groups: OpenFlowLinesSchema.optional(),
  meters: OpenFlowLinesSchema.optional(),
});
export type OvsBridgeNode = z.infer<typeof OvsBridgeNodeSchema>;
