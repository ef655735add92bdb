/** What exporters of traffic figures tell a collector: records of flows, of counters, and of the exporter itself. */
import { z } from 'zod';

export const flowExportProtocols = ['netflow-v5', 'netflow-v9', 'ipfix', 'sflow-v5'] as const;
export type FlowExportProtocol = (typeof flowExportProtocols)[number];

/**
 * A field as it was exported: its name in the protocol's own registry and its value. Integers beyond 2^53 - 1 are decimal
 * text, octets without a further meaning hexadecimal.
 */
export const ExportFieldSchema = z.strictObject({
  name: z.string(),
  value: z.union([z.number(), z.string()]),
});
export type ExportField = z.infer<typeof ExportFieldSchema>;

const common = {
  protocol: z.enum(flowExportProtocols),
  /** Address that the datagram came from. */
  exporter: z.string(),
  /** Observation domain (IPFIX), source id (NetFlow v9), engine type × 256 + id (NetFlow v5), sub-agent (sFlow). */
  domain: z.number().int(),
  /** When it was received: milliseconds since the epoch. */
  time: z.number(),
};

const NumberSchema = z.number().nullable();
const TextSchema = z.string().nullable();

/**
 * A flow, or with sFlow one sampled packet. Null is what the exporter did not tell. Packets and bytes are as exported:
 * Open vSwitch's IPFIX has multiplied them by the sampling already, sFlow tells of the one packet.
 */
export const FlowRecordSchema = z.strictObject({
  kind: z.literal('flow'),
  ...common,
  source: TextSchema,
  destination: TextSchema,
  /** Null also for ICMP, whose type and code are a field. */
  sourcePort: NumberSchema,
  destinationPort: NumberSchema,
  /** IANA protocol number: 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6. */
  ipProtocol: NumberSchema,
  /** All flags seen, FIN = 1, SYN = 2, … */
  tcpFlags: NumberSchema,
  /** The whole octet: DSCP × 4 + ECN. */
  typeOfService: NumberSchema,
  packets: NumberSchema,
  /** Of layer 3 where the exporter counts them, else whole frames. */
  bytes: NumberSchema,
  /** Milliseconds since the epoch, by the exporter's clock. */
  start: NumberSchema,
  end: NumberSchema,
  /** Interface index, SNMP ifIndex or OpenFlow port, as the exporter numbers them. */
  input: NumberSchema,
  output: NumberSchema,
  vlan: NumberSchema,
  sourceMac: TextSchema,
  destinationMac: TextSchema,
  etherType: NumberSchema,
  /** One packet in so many was looked at. */
  sampling: NumberSchema,
  fields: z.array(ExportFieldSchema),
});
export type FlowRecord = z.infer<typeof FlowRecordSchema>;

/** Counters of an interface, or of the exporter, since it started. */
export const CounterRecordSchema = z.strictObject({
  kind: z.literal('counters'),
  ...common,
  /** ifIndex that the counters are of; null for others. */
  interface: NumberSchema,
  inBytes: NumberSchema,
  inPackets: NumberSchema,
  outBytes: NumberSchema,
  outPackets: NumberSchema,
  /** bit/s. */
  speed: NumberSchema,
  fields: z.array(ExportFieldSchema),
});
export type CounterRecord = z.infer<typeof CounterRecordSchema>;

/** What an exporter tells of itself (options data of NetFlow v9 and IPFIX): names of interfaces, sampling, … */
export const OptionsRecordSchema = z.strictObject({
  kind: z.literal('options'),
  ...common,
  fields: z.array(ExportFieldSchema),
});
export type OptionsRecord = z.infer<typeof OptionsRecordSchema>;

export const ExportRecordSchema = z.discriminatedUnion('kind', [
  FlowRecordSchema,
  CounterRecordSchema,
  OptionsRecordSchema,
]);
export type ExportRecord = z.infer<typeof ExportRecordSchema>;

export const exportProblemCodes = [
  /** None of the protocols. */
  'unknown-version',
  /** It ends within something. */
  'truncated',
  /** A length within it cannot be. */
  'bad-length',
  /** Data whose template has not come yet: exporters repeat templates every so often. */
  'unknown-template',
  /** More than a datagram may ask for. */
  'too-much',
] as const;
export type ExportProblemCode = (typeof exportProblemCodes)[number];

/** Totals of a collector by protocol and exporter. */
export const ExportTotalSchema = z.strictObject({
  protocol: z.enum(flowExportProtocols),
  exporter: z.string(),
  datagrams: z.number().int(),
  flows: z.number().int(),
  counters: z.number().int(),
  options: z.number().int(),
  /** Sums over the flows. */
  packets: z.number(),
  bytes: z.number(),
  /** Datagrams that could not be read to their end, by why. */
  problems: z.partialRecord(z.enum(exportProblemCodes), z.number().int()),
  /** Milliseconds since the epoch. */
  first: z.number(),
  last: z.number(),
});
export type ExportTotal = z.infer<typeof ExportTotalSchema>;

export const maximumExportRecords = 1000;

export const ExportRecordsSchema = z.strictObject({
  /** The latest, newest first. */
  records: z.array(ExportRecordSchema).max(maximumExportRecords),
  /** Since the collector started; by protocol, then exporter. */
  totals: z.array(ExportTotalSchema),
  /** Whether the collector runs. */
  running: z.boolean(),
});
export type ExportRecords = z.infer<typeof ExportRecordsSchema>;
