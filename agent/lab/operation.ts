import { z } from 'zod';
import {
  DeviceSchema,
  ImpairmentSchema,
  SomeBridgeSettingsSchema,
  SomePortSettingsSchema,
  VlanEntrySchema,
} from '../api/device.ts';
import type { Device, Impairment, SomeBridgeSettings, VlanEntry } from '../api/device.ts';
import { type CpuOperation, cpuOperationSchemas } from '../cpu/operation.ts';
import { OpenFlowTablesSchema, OvsBridgeSchema, OvsDatapathSchema } from '../api/ovs.ts';
import type { OpenFlowTables, OvsBridge, OvsDatapath } from '../api/ovs.ts';

/**
 * Operations are data: they go into the journal, and are executed (`agent/apply`), inverted, described and said as
 * commands (`agent/lab`) from it. `namespace: null` is the realm's own network namespace.
 */
const NamespaceSchema = z.string().nullable();

export const RouteSchema = z.strictObject({
  to: z.string(),
  via: z.string().nullable(),
  dev: z.string().nullable(),
  metric: z.number().int().nullable(),
});
export type Route = z.infer<typeof RouteSchema>;

/** One end of a veth pair as it is created: always down; its master and mark follow in one further message. */
export const VethEndSchema = z.strictObject({
  namespace: NamespaceSchema,
  name: z.string(),
  mac: z.string().nullable(),
  mtu: z.number().int().nullable(),
  /** Bridge, bond or VRF in the same namespace. */
  master: z.string().nullable(),
});
export type VethEnd = z.infer<typeof VethEndSchema>;

export const LinkSettingsSchema = z.strictObject({
  up: z.boolean().optional(),
  mtu: z.number().int().optional(),
  mac: z.string().optional(),
  /** Bridge, bond or VRF in the same namespace. A bond takes a link only while that is down. */
  master: z.string().nullable().optional(),
  bridge: SomeBridgeSettingsSchema.optional(),
  port: SomePortSettingsSchema.optional(),
});
export type LinkSettings = z.infer<typeof LinkSettingsSchema>;

/** An address that goes from a NIC to a bridge or back, with all that it has. */
export const UplinkAddressSchema = z.strictObject({
  /** `ADDRESS/PREFIX`, canonical. */
  address: z.string(),
  scope: z.string(),
  peer: z.string().nullable(),
  broadcast: z.string().nullable(),
  /** What its label has after the link's name, `:1`; null for the link's name alone. */
  label: z.string().nullable(),
  protocol: z.number().int().nullable(),
  /** Of the route to its prefix; null is the kernel's own. */
  metric: z.number().int().nullable(),
  noPrefixRoute: z.boolean(),
  noDuplicateDetection: z.boolean(),
});
export type UplinkAddress = z.infer<typeof UplinkAddressSchema>;

export const UplinkRouteSchema = z.strictObject({
  /** Canonical prefix. */
  to: z.string(),
  via: z.string().nullable(),
  metric: z.number().int(),
  /** RTPROT_*. */
  protocol: z.number().int(),
  scope: z.string(),
  source: z.string().nullable(),
  onLink: z.boolean(),
});
export type UplinkRoute = z.infer<typeof UplinkRouteSchema>;

/** Operations that rebuild what goes away together with an object, in order: the tail of its inverse. */
type Contents = readonly Operation[];

export type Operation =
  | CpuOperation
  | {
      /** Makes a named namespace, marks its `lo`, sets bridge-nf-call-* to 0 in it. */
      readonly kind: 'add-namespace';
      readonly name: string;
    }
  | { readonly kind: 'remove-namespace'; readonly name: string; readonly contents: Contents }
  | {
      readonly kind: 'add-bridge';
      readonly namespace: string | null;
      readonly name: string;
      readonly mac: string | null;
      readonly mtu: number | null;
      /** What differs from `initialBridge`. */
      readonly settings: SomeBridgeSettings;
    }
  | {
      readonly kind: 'remove-bridge';
      readonly namespace: string | null;
      readonly name: string;
      readonly contents: Contents;
    }
  | { readonly kind: 'add-veth'; readonly ends: readonly [VethEnd, VethEnd] }
  | {
      readonly kind: 'remove-veth';
      readonly ends: readonly [VethEnd, VethEnd];
      readonly contents: Contents;
    }
  | {
      /** Made down; its master and mark follow in one further message, as with a veth pair. */
      readonly kind: 'add-device';
      readonly namespace: string | null;
      readonly name: string;
      readonly device: Device;
      readonly mac: string | null;
      readonly mtu: number | null;
      readonly master: string | null;
    }
  | {
      readonly kind: 'remove-device';
      readonly namespace: string | null;
      readonly name: string;
      readonly device: Device;
      readonly mac: string | null;
      readonly mtu: number | null;
      readonly master: string | null;
      readonly contents: Contents;
    }
  | {
      /** The VLAN table of a port, or with `self` of the bridge itself. */
      readonly kind: 'change-vlans';
      readonly namespace: string | null;
      readonly name: string;
      readonly self: boolean;
      readonly before: readonly VlanEntry[];
      readonly after: readonly VlanEntry[];
    }
  | {
      /** Our queueing discipline at the root of a link; null takes it away. */
      readonly kind: 'change-impairment';
      readonly namespace: string | null;
      readonly name: string;
      readonly before: Impairment | null;
      readonly after: Impairment | null;
    }
  | {
      readonly kind: 'change-forwarding';
      readonly namespace: string | null;
      readonly family: 'ipv4' | 'ipv6';
      readonly before: boolean;
      readonly after: boolean;
    }
  | {
      /** Our nftables table, as canonical JSON (`rules.ts`); null takes it away. */
      readonly kind: 'change-rules';
      readonly namespace: string | null;
      readonly before: string | null;
      readonly after: string | null;
    }
  | {
      readonly kind: 'start-process' | 'stop-process';
      readonly namespace: string | null;
      readonly name: string;
      readonly command: readonly string[];
      /**
       * Whose process it is that stops, in the realm of the host: taken back, it is theirs again. Without it a process
       * starts as the one who applies.
       */
      readonly uid?: number | undefined;
      /** The CPU group that it runs in; without it none of the lab's. */
      readonly group?: string | undefined;
    }
  | {
      /** Also brings `lo` up or down. Every key of `after` is in `before`. */
      readonly kind: 'change-link';
      readonly namespace: string | null;
      readonly name: string;
      readonly before: LinkSettings;
      readonly after: LinkSettings;
      /** The kernel does not show it: once carried out it counts as done. */
      readonly unseen?: true | undefined;
    }
  | {
      readonly kind: 'add-address' | 'remove-address';
      readonly namespace: string | null;
      readonly interface: string;
      /** `ADDRESS/PREFIX`, canonical. */
      readonly address: string;
      /** Puts back what was not ours (in `contents` only): without our mark. */
      readonly foreign?: true | undefined;
    }
  | {
      /** One address in place of another of the same family: `before` is removed, then `after` added. */
      readonly kind: 'change-address';
      readonly namespace: string | null;
      readonly interface: string;
      readonly before: string;
      readonly after: string;
    }
  | {
      readonly kind: 'add-route' | 'remove-route';
      readonly namespace: string | null;
      /** `to` is a canonical prefix (`0.0.0.0/0` and `::/0` for defaults); a null metric is the kernel's own. */
      readonly route: Route;
      /** Puts back what was not ours (in `contents` only): with RTPROT_STATIC instead of our mark. */
      readonly foreign?: true | undefined;
    }
  | {
      /**
       * Starts or ends the private Open vSwitch of a namespace. Not on the host's own namespace, where the machine's is
       * used. Its end takes its bridges along: they are removed before.
       */
      readonly kind: 'start-engine' | 'stop-engine';
      readonly namespace: string | null;
      /** What it uses. */
      readonly datapath: OvsDatapath;
    }
  | {
      /**
       * A bridge in the database of the namespace's engine, with its ports; null is none. Operations of this kind that
       * follow each other in one namespace are one transaction of the database. The links that Open vSwitch makes for it
       * (internal ports) then bear our mark and are up or down as `change-link` says, down at first.
       */
      readonly kind: 'change-ovs-bridge';
      readonly namespace: string | null;
      readonly name: string;
      readonly before: OvsBridge | null;
      readonly after: OvsBridge | null;
    }
  | {
      /** Flows, groups and meters of a bridge, as one bundle; null is what Open vSwitch has by itself. */
      readonly kind: 'change-openflow';
      readonly namespace: string | null;
      /** Of the bridge. */
      readonly name: string;
      readonly before: OpenFlowTables | null;
      readonly after: OpenFlowTables | null;
    }
  | {
      /**
       * Makes an interface that is not ours a port of a bridge of ours and moves its addresses and routes to the bridge,
       * as they are and without our mark; or the way back.
       */
      readonly kind: 'attach-uplink' | 'detach-uplink';
      readonly namespace: string | null;
      readonly bridge: string;
      readonly interface: string;
      /** In the order in which the kernel lists them. */
      readonly addresses: readonly UplinkAddress[];
      readonly routes: readonly UplinkRoute[];
      /** MAC of the bridge with the interface and without it; null leaves it alone. */
      readonly macs: { readonly attached: string | null; readonly detached: string | null };
    };

export type OperationKind = Operation['kind'];

/** Those that an Open vSwitch carries out, not the kernel. */
export type EngineOperation = Extract<
  Operation,
  { readonly kind: 'start-engine' | 'stop-engine' | 'change-ovs-bridge' | 'change-openflow' }
>;

/** Those on CPU groups. */
export type { CpuOperation } from '../cpu/operation.ts';

const cpuKinds: ReadonlySet<string> = new Set<CpuOperation['kind']>([
  'start-cpu-holder',
  'stop-cpu-holder',
  'add-cpu-group',
  'remove-cpu-group',
  'open-cpu-group',
  'close-cpu-group',
  'change-cpu-group',
  'move-process',
]);

export function isCpuOperation(operation: Operation): operation is CpuOperation {
  return cpuKinds.has(operation.kind);
}

const ContentsSchema: z.ZodType<Contents> = z.lazy(() => z.array(OperationSchema));

const deviceFields = {
  namespace: NamespaceSchema,
  name: z.string(),
  device: DeviceSchema,
  mac: z.string().nullable(),
  mtu: z.number().int().nullable(),
  master: z.string().nullable(),
};

export const OperationSchema: z.ZodType<Operation> = z.lazy(() =>
  z.union([
    ...cpuOperationSchemas,
    z.strictObject({ kind: z.literal('add-namespace'), name: z.string() }),
    z.strictObject({
      kind: z.literal('remove-namespace'),
      name: z.string(),
      contents: ContentsSchema,
    }),
    z.strictObject({
      kind: z.literal('add-bridge'),
      namespace: NamespaceSchema,
      name: z.string(),
      mac: z.string().nullable(),
      mtu: z.number().int().nullable(),
      settings: SomeBridgeSettingsSchema,
    }),
    z.strictObject({
      kind: z.literal('remove-bridge'),
      namespace: NamespaceSchema,
      name: z.string(),
      contents: ContentsSchema,
    }),
    z.strictObject({ kind: z.literal('add-veth'), ends: z.tuple([VethEndSchema, VethEndSchema]) }),
    z.strictObject({
      kind: z.literal('remove-veth'),
      ends: z.tuple([VethEndSchema, VethEndSchema]),
      contents: ContentsSchema,
    }),
    z.strictObject({ kind: z.literal('add-device'), ...deviceFields }),
    z.strictObject({ kind: z.literal('remove-device'), ...deviceFields, contents: ContentsSchema }),
    z.strictObject({
      kind: z.literal('change-vlans'),
      namespace: NamespaceSchema,
      name: z.string(),
      self: z.boolean(),
      before: z.array(VlanEntrySchema),
      after: z.array(VlanEntrySchema),
    }),
    z.strictObject({
      kind: z.literal('change-impairment'),
      namespace: NamespaceSchema,
      name: z.string(),
      before: ImpairmentSchema.nullable(),
      after: ImpairmentSchema.nullable(),
    }),
    z.strictObject({
      kind: z.literal('change-forwarding'),
      namespace: NamespaceSchema,
      family: z.enum(['ipv4', 'ipv6']),
      before: z.boolean(),
      after: z.boolean(),
    }),
    z.strictObject({
      kind: z.literal('change-rules'),
      namespace: NamespaceSchema,
      before: z.string().nullable(),
      after: z.string().nullable(),
    }),
    z.strictObject({
      kind: z.enum(['start-process', 'stop-process']),
      namespace: NamespaceSchema,
      name: z.string(),
      command: z.array(z.string()),
      uid: z.number().int().optional(),
      group: z.string().optional(),
    }),
    z.strictObject({
      kind: z.literal('change-link'),
      namespace: NamespaceSchema,
      name: z.string(),
      before: LinkSettingsSchema,
      after: LinkSettingsSchema,
      unseen: z.literal(true).optional(),
    }),
    z.strictObject({
      kind: z.enum(['add-address', 'remove-address']),
      namespace: NamespaceSchema,
      interface: z.string(),
      address: z.string(),
      foreign: z.literal(true).optional(),
    }),
    z.strictObject({
      kind: z.literal('change-address'),
      namespace: NamespaceSchema,
      interface: z.string(),
      before: z.string(),
      after: z.string(),
    }),
    z.strictObject({
      kind: z.enum(['add-route', 'remove-route']),
      namespace: NamespaceSchema,
      route: RouteSchema,
      foreign: z.literal(true).optional(),
    }),
    z.strictObject({
      kind: z.enum(['start-engine', 'stop-engine']),
      namespace: NamespaceSchema,
      datapath: OvsDatapathSchema,
    }),
    z.strictObject({
      kind: z.literal('change-ovs-bridge'),
      namespace: NamespaceSchema,
      name: z.string(),
      before: OvsBridgeSchema.nullable(),
      after: OvsBridgeSchema.nullable(),
    }),
    z.strictObject({
      kind: z.literal('change-openflow'),
      namespace: NamespaceSchema,
      name: z.string(),
      before: OpenFlowTablesSchema.nullable(),
      after: OpenFlowTablesSchema.nullable(),
    }),
    z.strictObject({
      kind: z.enum(['attach-uplink', 'detach-uplink']),
      namespace: NamespaceSchema,
      bridge: z.string(),
      interface: z.string(),
      addresses: z.array(UplinkAddressSchema),
      routes: z.array(UplinkRouteSchema),
      macs: z.strictObject({ attached: z.string().nullable(), detached: z.string().nullable() }),
    }),
  ]),
);
