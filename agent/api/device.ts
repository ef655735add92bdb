import { z } from 'zod';

/**
 * What links are beyond name, MAC, MTU and master, in the kernel's terms. Operations and the inventory speak in these
 * same shapes, so that what is wanted and what is there compare field by field. References to other links are names in
 * the same namespace; IP addresses are canonical text.
 */

export const bondModes = [
  'balance-rr',
  'active-backup',
  'balance-xor',
  'broadcast',
  '802.3ad',
  'balance-tlb',
  'balance-alb',
] as const;
export const bondHashPolicies = ['layer2', 'layer3+4', 'layer2+3', 'encap2+3', 'encap3+4'] as const;
export const macvlanModes = ['private', 'vepa', 'bridge', 'passthru'] as const;

/** 802.1Q VLAN identifier; 0 and 4095 are reserved (IEEE 802.1Q, table 9-2). */
export const VlanIdSchema = z.number().int().min(1).max(4094);

const tunnelEnds = { local: z.string().nullable(), remote: z.string().nullable() };
const tunTap = {
  /** Numeric ids of who may attach to it; null is anybody with CAP_NET_ADMIN. */
  owner: z.number().int().nullable(),
  group: z.number().int().nullable(),
  multiQueue: z.boolean(),
};

/** A link that one message makes, or for tap and tun one ioctl. Bridges and veth pairs are apart. */
export const DeviceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('dummy') }),
  z.strictObject({
    kind: z.literal('vlan'),
    parent: z.string(),
    id: VlanIdSchema,
    protocol: z.enum(['802.1Q', '802.1ad']),
  }),
  z.strictObject({
    kind: z.literal('bond'),
    mode: z.enum(bondModes),
    /** Milliseconds between two looks at the members' carrier (miimon). */
    monitorInterval: z.number().int(),
    hashPolicy: z.enum(bondHashPolicies),
  }),
  z.strictObject({
    kind: z.literal('vxlan'),
    /** VNI (RFC 7348). */
    id: z.number().int(),
    ...tunnelEnds,
    /** UDP. */
    port: z.number().int(),
    parent: z.string().nullable(),
  }),
  z.strictObject({ kind: z.literal('gre'), ...tunnelEnds, key: z.number().int().nullable() }),
  z.strictObject({ kind: z.literal('gretap'), ...tunnelEnds, key: z.number().int().nullable() }),
  z.strictObject({ kind: z.literal('ipip'), ...tunnelEnds }),
  z.strictObject({
    kind: z.literal('geneve'),
    /** VNI (RFC 8926). */
    id: z.number().int(),
    remote: z.string(),
    port: z.number().int(),
  }),
  z.strictObject({ kind: z.literal('macvlan'), parent: z.string(), mode: z.enum(macvlanModes) }),
  z.strictObject({ kind: z.literal('vrf'), table: z.number().int() }),
  z.strictObject({ kind: z.literal('tap'), ...tunTap }),
  z.strictObject({ kind: z.literal('tun'), ...tunTap }),
]);
export type Device = z.infer<typeof DeviceSchema>;
export type DeviceKind = Device['kind'];

/** Settings of a bridge, all of them; what the kernel starts with is `initialBridge`. Times in seconds. */
export const BridgeSettingsSchema = z.strictObject({
  stp: z.boolean(),
  /** 0–61440 in steps of 4096 (IEEE 802.1D). */
  priority: z.number().int(),
  forwardDelay: z.number(),
  helloTime: z.number(),
  maximumAge: z.number(),
  ageingTime: z.number(),
  multicastSnooping: z.boolean(),
  vlanFiltering: z.boolean(),
});
export type BridgeSettings = z.infer<typeof BridgeSettingsSchema>;

/** Some of them. */
export const SomeBridgeSettingsSchema = BridgeSettingsSchema.partial();
export type SomeBridgeSettings = z.infer<typeof SomeBridgeSettingsSchema>;

/** What all bridges of a spanning tree have of its root (IEEE 802.1D). */
export const treeTimes = ['forwardDelay', 'helloTime', 'maximumAge'] as const;

/** Of a new bridge (net/bridge/br_device.c, br_dev_setup). */
export const initialBridge: BridgeSettings = {
  stp: false,
  priority: 32768,
  forwardDelay: 15,
  helloTime: 2,
  maximumAge: 20,
  ageingTime: 300,
  multicastSnooping: true,
  vlanFiltering: false,
};

/** Settings of a bridge's port. */
export const PortSettingsSchema = z.strictObject({
  /** Does not exchange frames with other isolated ports. */
  isolated: z.boolean(),
  /** STP path cost; the kernel derives it from the speed (10 Gb/s: 2). */
  cost: z.number().int(),
  /** STP priority, 0–63. */
  priority: z.number().int(),
});
export type PortSettings = z.infer<typeof PortSettingsSchema>;

/** Some of them. */
export const SomePortSettingsSchema = PortSettingsSchema.partial();
export type SomePortSettings = z.infer<typeof SomePortSettingsSchema>;

/** Of a new port of a veth pair (net/bridge/br_if.c, new_nbp and port_cost). */
export const initialPort: PortSettings = { isolated: false, cost: 2, priority: 32 };

/** One line of a port's VLAN table. */
export const VlanEntrySchema = z.strictObject({
  id: VlanIdSchema,
  /** Frames that come in without a tag belong to it. */
  pvid: z.boolean(),
  /** Frames of it leave without a tag. */
  untagged: z.boolean(),
});
export type VlanEntry = z.infer<typeof VlanEntrySchema>;

/** Of a new port, and of the bridge itself (vlan_default_pvid). */
export const initialVlans: readonly VlanEntry[] = [{ id: 1, pvid: true, untagged: true }];

/** What happens to everything that leaves through an interface. 0 is nothing, null no limit. */
export const ImpairmentSchema = z.strictObject({
  /** Bits a second. */
  rate: z.number().int().nullable(),
  /** Milliseconds, to the microsecond. */
  delay: z.number(),
  jitter: z.number(),
  /** Per cent, to a ten-thousandth. */
  loss: z.number(),
  duplicate: z.number(),
  reorder: z.number(),
  corrupt: z.number(),
});
export type Impairment = z.infer<typeof ImpairmentSchema>;

/** State of a bond's member. */
export const BondMemberSchema = z.strictObject({
  state: z.enum(['active', 'backup']),
  /** Whether the bond takes its carrier for good (mii_status). */
  linkUp: z.boolean(),
});
export type BondMember = z.infer<typeof BondMemberSchema>;
