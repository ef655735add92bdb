import { z } from 'zod';
import {
  interfaceNamePattern,
  LabNameSchema,
  nodeNamePattern,
  reservedInterfaceNames,
} from './names.ts';

const InterfaceNameSchema = z
  .string()
  .regex(
    interfaceNamePattern,
    'an interface name has 1 to 15 letters, digits, `.`, `_` or `-` and starts with a letter or digit',
  )
  .refine((name) => !reservedInterfaceNames.has(name), 'this name has a meaning of its own');

const NodeNameSchema = z
  .string()
  .regex(
    nodeNamePattern,
    'a node name has 1 to 15 letters, digits, `.`, `_` or `-` and starts with a letter or digit',
  )
  .refine((name) => !reservedInterfaceNames.has(name), 'this name has a meaning of its own');

/** A text in one language (English is assumed) or in several. */
export const LocalizedTextSchema = z.union([
  z.string().max(4000),
  z.strictObject({ en: z.string().max(4000), zh: z.string().max(4000).optional() }),
]);
export type LocalizedText = z.infer<typeof LocalizedTextSchema>;

/** `ADDRESS/PREFIX`, IPv4 or IPv6; checked in full by the validator. */
const InterfaceAddressSchema = z.string().min(3).max(64);

const MacAddressSchema = z
  .string()
  .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'a MAC address is six bytes such as 02:00:00:00:00:01');

const MtuSchema = z.number().int().min(68).max(65535);

export const InterfaceSettingsSchema = z.strictObject({
  addresses: z.array(InterfaceAddressSchema).max(64).optional(),
  mac: MacAddressSchema.optional(),
  mtu: MtuSchema.optional(),
  /** Administrative state; `up` unless said otherwise. */
  state: z.enum(['up', 'down']).optional(),
});
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

/** A network namespace: a host with its own interfaces, addresses and routes. */
export const NamespaceNodeSchema = z.strictObject({
  kind: z.literal('namespace'),
  title: LocalizedTextSchema.optional(),
  /** Whether `lo` is up; true unless said otherwise. */
  loopback: z.boolean().optional(),
  interfaces: InterfacesSchema.optional(),
  routes: z.array(RouteSettingsSchema).max(1000).optional(),
});
export type NamespaceNode = z.infer<typeof NamespaceNodeSchema>;

/** A Linux bridge named like its node, in the realm's own namespace or in that of another node. */
export const BridgeNodeSchema = z.strictObject({
  kind: z.literal('bridge'),
  title: LocalizedTextSchema.optional(),
  /** The namespace node that the bridge sits in; without it the realm's own namespace. */
  namespace: NodeNameSchema.optional(),
  ...InterfaceSettingsSchema.shape,
  stp: z.boolean().optional(),
  /** Settings of the bridge's ports, by interface name. A port carries no address. */
  ports: z
    .record(InterfaceNameSchema, InterfaceSettingsSchema.omit({ addresses: true }))
    .optional(),
});
export type BridgeNode = z.infer<typeof BridgeNodeSchema>;

export const NodeSchema = z.discriminatedUnion('kind', [NamespaceNodeSchema, BridgeNodeSchema]);
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
export const LinkSchema = z.strictObject({
  endpoints: z.tuple([EndpointSchema, EndpointSchema]),
  mtu: MtuSchema.optional(),
});
export type LabLink = z.infer<typeof LinkSchema>;

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
});
export type ReachCheck = z.infer<typeof ReachCheckSchema>;
export const CheckSchema = z.discriminatedUnion('check', [ReachCheckSchema]);
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

/** Picks the text for a language, English when it is missing. */
export function localizedText(text: LocalizedText | undefined, language: 'en' | 'zh'): string {
  if (text === undefined) return '';
  if (typeof text === 'string') return text;
  return text[language] ?? text.en;
}
