import { z } from 'zod';
import {
  BondMemberSchema,
  DeviceSchema,
  ImpairmentSchema,
  PortSettingsSchema,
  SomeBridgeSettingsSchema,
  VlanEntrySchema,
} from './device.ts';
import { OvsEngineViewSchema } from './ovs.ts';

/**
 * What exists in a realm, as the kernel reports it. Identifiers are opaque to clients: a namespace's is the inode of
 * its nsfs file, a link's is `NAMESPACE/IFINDEX`. Names of foreign objects are shown as they are, never interpreted.
 */
export const ProcessViewSchema = z.strictObject({
  /** As seen inside the realm. */
  pid: z.number().int(),
  command: z.string(),
});
export type ProcessView = z.infer<typeof ProcessViewSchema>;

/** A process that a lab runs in a namespace, and all that it started. */
export const RunViewSchema = z.strictObject({
  lab: z.string(),
  /** Name that the document gives it. */
  name: z.string(),
  /** The first of its processes. */
  pid: z.number().int(),
  /** As it was asked for; what /proc shows may differ. */
  command: z.array(z.string()),
  /** Whose process it is, in the realm of the host; elsewhere it is the agent's own user. */
  uid: z.number().int().optional(),
});
export type RunView = z.infer<typeof RunViewSchema>;

export const NamespaceViewSchema = z.strictObject({
  id: z.string(),
  /** Names under /run/netns; empty for a namespace that only processes or bind mounts hold. */
  names: z.array(z.string()),
  /** The namespace that the realm itself lives in. */
  root: z.boolean(),
  /** Container name for namespaces of docker and podman, where it is known. */
  container: z.string().nullable(),
  /** Paths outside /run/netns that hold it by a bind mount. */
  mounts: z.array(z.string()),
  /** Processes that live in it, the lowest pids first, at most 50; `processCount` is the whole number. */
  processes: z.array(ProcessViewSchema),
  processCount: z.number().int(),
  runs: z.array(RunViewSchema),
  forwarding: z.strictObject({ ipv4: z.boolean(), ipv6: z.boolean() }),
  /** Our nftables table in it as canonical JSON (`agent/lab/rules.ts`); null when there is none. */
  rules: z.string().nullable(),
  /** Lab that made it, by the mark on its `lo`; null for what is not ours. */
  lab: z.string().nullable(),
});
export type NamespaceView = z.infer<typeof NamespaceViewSchema>;

export const AddressViewSchema = z.strictObject({
  /** `ADDRESS/PREFIX` in canonical text (RFC 5952 for IPv6). */
  address: z.string(),
  family: z.enum(['ipv4', 'ipv6']),
  scope: z.enum(['global', 'site', 'link', 'host', 'nowhere', 'other']),
  /** Bears our IFA_PROTO mark. */
  owned: z.boolean(),
  tentative: z.boolean(),
  duplicate: z.boolean(),
  /** It ends by itself: from DHCP or a router's advertisement. */
  dynamic: z.literal(true).optional(),
  /** What it has beyond the ordinary; missing where there is nothing. */
  particulars: z
    .strictObject({
      peer: z.string().optional(),
      broadcast: z.string().optional(),
      /** IPv4, where it is not the link's name. */
      label: z.string().optional(),
      /** IFA_PROTO, where it is not ours. */
      protocol: z.number().int().optional(),
      /** Of the route to its prefix. */
      metric: z.number().int().optional(),
      noPrefixRoute: z.literal(true).optional(),
      noDuplicateDetection: z.literal(true).optional(),
    })
    .optional(),
});
export type AddressView = z.infer<typeof AddressViewSchema>;

export const LinkViewSchema = z.strictObject({
  id: z.string(),
  namespace: z.string(),
  index: z.number().int(),
  name: z.string(),
  /** IFLA_INFO_KIND, or `loopback`, or `physical`. */
  kind: z.string(),
  mac: z.string().nullable(),
  mtu: z.number().int(),
  /** Administrative state (IFF_UP). */
  up: z.boolean(),
  carrier: z.boolean(),
  /** IF_OPER_* in lower case: up, down, lowerlayerdown, dormant, testing, notpresent, unknown. */
  operationalState: z.string(),
  /** Link id of the bridge (or other master) that it is a port of. */
  master: z.string().nullable(),
  /** Link id of the other end of a veth pair, wherever it is. */
  peer: z.string().nullable(),
  alias: z.string().nullable(),
  lab: z.string().nullable(),
  addresses: z.array(AddressViewSchema),
  /** For the kinds that `DeviceSchema` knows; null also when it has settings beyond those. */
  device: DeviceSchema.nullable(),
  /** For a bridge. What this kernel does not tell is missing. */
  bridge: SomeBridgeSettingsSchema.nullable(),
  /**
   * For a bridge that is not the root of its spanning tree: the times that it shows are the root's (br_fill_info), and its
   * own are not to be seen.
   */
  follower: z.literal(true).optional(),
  /** For a port of a bridge. */
  port: PortSettingsSchema.nullable(),
  /** Port state of a bridge port: disabled, listening, learning, forwarding, blocking. */
  portState: z.string().nullable(),
  /** VLAN table of a bridge or of a port, by id; null where there is none. */
  vlans: z.array(VlanEntrySchema).nullable(),
  /** For a member of a bond. */
  bondMember: BondMemberSchema.nullable(),
  /** What our queueing discipline (handle 4e:) does to what leaves; null when there is none. */
  impairment: ImpairmentSchema.nullable(),
  /** Kind of a queueing discipline that somebody else has set at its root; null when nobody has. */
  queueing: z.string().nullable(),
  /** For a tap or tun: the processes that hold it, in any namespace of the realm, at most 20. */
  holders: z.array(ProcessViewSchema),
});
export type LinkView = z.infer<typeof LinkViewSchema>;

export const RouteViewSchema = z.strictObject({
  family: z.enum(['ipv4', 'ipv6']),
  to: z.string(),
  via: z.string().nullable(),
  /** Interface index in the same namespace. */
  index: z.number().int().nullable(),
  metric: z.number().int(),
  table: z.number().int(),
  protocol: z.number().int(),
  scope: z.string(),
  kind: z.string(),
  owned: z.boolean(),
  /** The preferred source address. */
  source: z.string().optional(),
  /** The gateway is on the link although no prefix says so. */
  onLink: z.literal(true).optional(),
  /** It has more to it than is said here: several ways, metrics, an encapsulation. */
  intricate: z.literal(true).optional(),
});
export type RouteView = z.infer<typeof RouteViewSchema>;

export const RouteTableViewSchema = z.strictObject({
  namespace: z.string(),
  /** Routes of the main table. */
  routes: z.array(RouteViewSchema),
});
export type RouteTableView = z.infer<typeof RouteTableViewSchema>;

export const InventorySchema = z.strictObject({
  /** Rises by one with every delta. */
  sequence: z.number().int(),
  namespaces: z.array(NamespaceViewSchema),
  links: z.array(LinkViewSchema),
  routes: z.array(RouteTableViewSchema),
  engines: z.array(OvsEngineViewSchema),
});
export type Inventory = z.infer<typeof InventorySchema>;

/** What changed between `sequence - 1` and `sequence`. A gap means: fetch the snapshot again. */
export const InventoryDeltaSchema = z.strictObject({
  sequence: z.number().int(),
  namespaces: z.array(NamespaceViewSchema),
  removedNamespaces: z.array(z.string()),
  links: z.array(LinkViewSchema),
  removedLinks: z.array(z.string()),
  routes: z.array(RouteTableViewSchema),
  engines: z.array(OvsEngineViewSchema),
  /** By namespace. */
  removedEngines: z.array(z.string()),
});
export type InventoryDelta = z.infer<typeof InventoryDeltaSchema>;

/** Applies a delta; null when it does not follow the inventory's sequence. */
export function applyInventoryDelta(inventory: Inventory, delta: InventoryDelta): Inventory | null {
  if (delta.sequence !== inventory.sequence + 1) return null;
  const goneNamespaces = new Set(delta.removedNamespaces);
  const goneLinks = new Set(delta.removedLinks);
  const goneEngines = new Set(delta.removedEngines);
  const changed = <T>(
    before: readonly T[],
    set: readonly T[],
    key: (item: T) => string,
    gone: (item: T) => boolean,
  ): T[] => {
    const merged = new Map(before.filter((item) => !gone(item)).map((item) => [key(item), item]));
    for (const item of set) merged.set(key(item), item);
    return [...merged.values()];
  };
  return {
    sequence: delta.sequence,
    namespaces: changed(
      inventory.namespaces,
      delta.namespaces,
      (item) => item.id,
      (item) => goneNamespaces.has(item.id),
    ),
    links: changed(
      inventory.links,
      delta.links,
      (item) => item.id,
      (item) => goneLinks.has(item.id) || goneNamespaces.has(item.namespace),
    ),
    routes: changed(
      inventory.routes,
      delta.routes,
      (item) => item.namespace,
      (item) => goneNamespaces.has(item.namespace),
    ),
    engines: changed(
      inventory.engines,
      delta.engines,
      (item) => item.namespace,
      (item) => goneEngines.has(item.namespace) || goneNamespaces.has(item.namespace),
    ),
  };
}

export const emptyInventory: Inventory = {
  sequence: 0,
  namespaces: [],
  links: [],
  routes: [],
  engines: [],
};
