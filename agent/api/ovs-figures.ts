/** What an Open vSwitch says of its work when it is asked: learned addresses, spanning trees, caches and counters. */
import { z } from 'zod';

export const OvsFdbEntrySchema = z.strictObject({
  mac: z.string(),
  /** Name of the port, the bridge's own for LOCAL; its OpenFlow number where no port has it any more. */
  port: z.string(),
  /** 0 is a frame without a tag in no VLAN. */
  vlan: z.number().int(),
  /** Seconds since a frame from it came in; null for one that stays. */
  age: z.number().nullable(),
});
export type OvsFdbEntry = z.infer<typeof OvsFdbEntrySchema>;

export const OvsTreeSchema = z.strictObject({
  protocol: z.enum(['stp', 'rstp']),
  isRoot: z.boolean(),
  /** `PRIORITY.MAC` of the root and of this bridge. */
  root: z.string(),
  own: z.string(),
  /** Null for the root. */
  rootPort: z.string().nullable(),
  rootPathCost: z.number().nullable(),
  ports: z.array(
    z.strictObject({
      name: z.string(),
      /** In lower case, as `designated`, `forwarding`. */
      role: z.string(),
      state: z.string(),
      cost: z.number(),
      /** Priority and number. */
      id: z.string(),
    }),
  ),
});
export type OvsTree = z.infer<typeof OvsTreeSchema>;

/** More learned addresses are counted, not sent. */
export const maximumOvsFdbEntries = 2000;

export const OvsBridgeReportSchema = z.strictObject({
  /** By port, VLAN and address. */
  fdb: z.array(OvsFdbEntrySchema).max(maximumOvsFdbEntries),
  fdbTotal: z.number().int(),
  /** Null without a spanning tree. */
  tree: OvsTreeSchema.nullable(),
});
export type OvsBridgeReport = z.infer<typeof OvsBridgeReportSchema>;

export const OvsDatapathFiguresSchema = z.strictObject({
  /** Such as `netdev@ovs-netdev`. */
  name: z.string(),
  /** Packets that the datapath knew what to do with, that it had to ask for, and that were lost meanwhile. */
  hit: z.number(),
  missed: z.number(),
  lost: z.number(),
  /** Flows in its cache. */
  flows: z.number(),
  /** What the upcall handlers say of that cache; null while they say nothing. */
  upcalls: z
    .strictObject({
      averageFlows: z.number(),
      maximumFlows: z.number(),
      flowLimit: z.number(),
      /** Milliseconds that the last look through all flows took. */
      dumpDuration: z.number(),
    })
    .nullable(),
});
export type OvsDatapathFigures = z.infer<typeof OvsDatapathFiguresSchema>;

export const OvsCoverageCounterSchema = z.strictObject({
  /** What is counted, in Open vSwitch's own word. */
  event: z.string(),
  /** A second, over the last five seconds, the last minute and the last hour. */
  rates: z.tuple([z.number(), z.number(), z.number()]),
  total: z.number(),
});
export type OvsCoverageCounter = z.infer<typeof OvsCoverageCounterSchema>;

export const OvsFiguresSchema = z.strictObject({
  datapaths: z.array(OvsDatapathFiguresSchema),
  /** What has happened at all, by name. */
  coverage: z.array(OvsCoverageCounterSchema),
});
export type OvsFigures = z.infer<typeof OvsFiguresSchema>;
