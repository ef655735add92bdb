import { z } from 'zod';
import { interfaceNamePattern, nodeNamePattern, reservedInterfaceNames } from './names.ts';

export const InterfaceNameSchema = z
  .string()
  .regex(
    interfaceNamePattern,
    'an interface name has 1 to 15 letters, digits, `.`, `_` or `-` and starts with a letter or digit',
  )
  .refine((name) => !reservedInterfaceNames.has(name), 'this name has a meaning of its own');

export const NodeNameSchema = z
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
export const InterfaceAddressSchema = z.string().min(3).max(64);

export const MacAddressSchema = z
  .string()
  .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'a MAC address is six bytes such as 02:00:00:00:00:01');

export const MtuSchema = z.number().int().min(68).max(65535);

/** An address without a prefix length; checked in full by the validator. */
export const HostAddressSchema = z.string().min(2).max(64);

export const PercentSchema = z.number().min(0).max(100);

/** `10mbit`, `1.5gbit`, `800kbit`, `9600bit`: bits a second with SI prefixes, as tc(8) writes them. */
export const ratePattern = /^(?<number>\d+(?:\.\d+)?)(?<prefix>[kmg]?)bit$/;
export const RateSchema = z.string().regex(ratePattern, 'a rate is bits a second such as `10mbit`');

/** What happens to everything that leaves through the interface: one direction of its link. */
export const ImpairmentSettingsSchema = z.strictObject({
  rate: RateSchema.optional(),
  /** Milliseconds. */
  delay: z.number().min(0).max(60000).optional(),
  /** Milliseconds by which the delay varies; needs a delay. */
  jitter: z.number().min(0).max(60000).optional(),
  /** Per cent of the packets. */
  loss: PercentSchema.optional(),
  duplicate: PercentSchema.optional(),
  /** Per cent that go at once; needs a delay. */
  reorder: PercentSchema.optional(),
  corrupt: PercentSchema.optional(),
});
export type ImpairmentSettings = z.infer<typeof ImpairmentSettingsSchema>;

export const commonSettings = {
  addresses: z.array(InterfaceAddressSchema).max(64).optional(),
  mac: MacAddressSchema.optional(),
  mtu: MtuSchema.optional(),
  /** Administrative state; `up` unless said otherwise. */
  state: z.enum(['up', 'down']).optional(),
  impairment: ImpairmentSettingsSchema.optional(),
};

/** The end of a link that is a veth pair. */
export const VethSettingsSchema = z.strictObject({
  kind: z.literal('veth').optional(),
  ...commonSettings,
});

export const members = z.array(InterfaceNameSchema).max(64).optional();
export const tunnelEnds = {
  local: HostAddressSchema.optional(),
  remote: HostAddressSchema.optional(),
};
export const UdpPortSchema = z.number().int().min(1).max(65535);
/** VNI: 24 bits. */
export const NetworkIdentifierSchema = z.number().int().min(0).max(16777215);
export const tunTap = {
  /** Numeric user and group that may attach to it. */
  owner: z.number().int().min(0).max(4294967294).optional(),
  group: z.number().int().min(0).max(4294967294).optional(),
  multiQueue: z.boolean().optional(),
};
