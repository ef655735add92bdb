/**
 * What moves: rates of interfaces, and packets as they pass. Nothing of it is read while nobody asks (`rates.watch`,
 * `capture.start`). Interfaces bear the inventory's ids, `NAMESPACE/INDEX`.
 */
import { z } from 'zod';
import { type LinkCounterName, linkCounterNames } from './link-counters.ts';
import { LabNameSchema } from './names.ts';
import { FailureSchema } from './result.ts';

const CountSchema = z.number().int().min(0);
const NamespaceIdSchema = z.string().min(1).max(32);
const LinkIdSchema = z.string().min(3).max(48);

/** In the order of `linkCounterNames`. */
const CounterRowSchema = z.array(z.number()).length(linkCounterNames.length);

export const RatesWatchSchema = z.strictObject({
  /** Milliseconds between two readings. */
  interval: z.number().int().min(100).max(60_000),
  /** Ids of namespaces; null is all of them, also those that come later. */
  namespaces: z.array(NamespaceIdSchema).max(1000).nullable(),
  /** Whether counters are told beside the rates. */
  counters: z.boolean(),
});
export type RatesWatch = z.infer<typeof RatesWatchSchema>;

/** Where an interface is and what it is called. */
export const WatchedLinkSchema = z.strictObject({
  link: LinkIdSchema,
  /** Id of its namespace. */
  namespace: NamespaceIdSchema,
  /** As people know the namespace; null for the realm's own. */
  title: z.string().nullable(),
  name: z.string(),
});
export type WatchedLink = z.infer<typeof WatchedLinkSchema>;

export const LinkRateSchema = z.strictObject({
  link: LinkIdSchema,
  /**
   * Per second, the mean since the reading before, as the interface's own namespace sees it: `received` is what comes into
   * it. Null where two readings do not belong together (the first one; counters that began anew): nothing is known, and no
   * spike is made of it.
   */
  rates: CounterRowSchema.nullable(),
  /** Where they were asked for. */
  counters: CounterRowSchema.optional(),
});
export type LinkRateSample = z.infer<typeof LinkRateSchema>;

/**
 * One reading. `rates` has the interfaces whose rates are others than told before, all of them in the first one; what is
 * quiet and stays so costs nothing. One that falls silent is told once, with zeros. Where nothing is to be told a sample comes
 * all the same, so that a reader knows that time goes on. Histories are the reader's to keep
 * (`RateHistory` of `agent/activity`).
 */
export const RatesSampleSchema = z.strictObject({
  /** Milliseconds of a clock that only runs forwards. */
  time: z.number(),
  /** Milliseconds since the reading before; 0 for the first. */
  since: z.number(),
  /** Interfaces that are new, or have another name or namespace. One that moved has another id; its old one is in `gone`. */
  links: z.array(WatchedLinkSchema),
  rates: z.array(LinkRateSchema),
  gone: z.array(LinkIdSchema),
});
export type RatesSample = z.infer<typeof RatesSampleSchema>;

/** One number of a row of rates or counters, by its name. */
export function counterOf(row: readonly number[], name: LinkCounterName): number {
  return row[linkCounterNames.indexOf(name)] ?? 0;
}

/** Packets that a capture keeps at most; older ones make room. */
export const maximumKeptPackets = 100_000;
/** Bytes of packets that a capture keeps at most. */
export const maximumKeptBytes = 64 * 1024 * 1024;
/** Captures that one agent runs at the same time. */
export const maximumCaptures = 8;
/** Rows in one answer. */
export const maximumCaptureRows = 1_000;

export const CapturePlaceSchema = z.discriminatedUnion('kind', [
  /** A namespace with all its interfaces, also those that come later, by its id. */
  z.strictObject({ kind: z.literal('namespace'), namespace: NamespaceIdSchema }),
  /** One interface, by its id. */
  z.strictObject({ kind: z.literal('link'), link: LinkIdSchema }),
  /**
   * A node of a lab that is up: one of its interfaces by name, or with null all of them. Of a bridge those are its own and
   * its ports'.
   */
  z.strictObject({
    kind: z.literal('node'),
    lab: LabNameSchema,
    node: z.string().min(1).max(15),
    device: z.string().min(1).max(15).nullable(),
  }),
]);
export type CapturePlace = z.infer<typeof CapturePlaceSchema>;

/** Lasts until it is cancelled; its packets are kept as long. */
export const CaptureStartSchema = z.strictObject({
  places: z.array(CapturePlaceSchema).min(1).max(64),
  /** In the syntax of tcpdump; null for every packet. */
  filter: z.string().max(4_096).nullable(),
  /** Bytes of a packet that are captured at most. */
  snapLength: z.number().int().min(64).max(262_144),
});
export type CaptureStart = z.infer<typeof CaptureStartSchema>;

export const CapturedInterfaceSchema = z.strictObject({
  /** Counts from 0 in its capture; stays what it is, and is not given again. */
  number: CountSchema,
  link: LinkIdSchema,
  namespace: NamespaceIdSchema,
  /** As people know the namespace; null for the realm's own. */
  title: z.string().nullable(),
  /** Its name now, or the last that it had. */
  name: z.string(),
  /** LINKTYPE_ of tcpdump.org: 1 Ethernet, 101 IP alone. */
  linkType: z.number().int(),
  /** False once it is gone, or has moved to a namespace that is not captured. */
  present: z.boolean(),
});
export type CapturedInterface = z.infer<typeof CapturedInterfaceSchema>;

export const captureEnds = [
  /** `capture.stop`. */
  'asked',
  /** Every interface and namespace that was asked for is gone. */
  'places-gone',
] as const;
export type CaptureEnd = (typeof captureEnds)[number];

const TotalsSchema = z.strictObject({
  /** Packets that passed the filter and were taken. The number of the last one. */
  packets: CountSchema,
  /** Bytes of them on the wire. */
  bytes: CountSchema,
  /** Packets that the kernel had no room for. */
  dropped: CountSchema,
  /** The same by namespace; those that lost none are left out. */
  drops: z.array(z.strictObject({ namespace: NamespaceIdSchema, dropped: CountSchema })),
  /** Number of the oldest packet that is kept; `packets + 1` where there is none. */
  oldest: z.number().int().min(1),
  keptBytes: CountSchema,
});
export type CaptureTotals = z.infer<typeof TotalsSchema>;

export const CaptureProgressSchema = z.discriminatedUnion('kind', [
  /** The first one: packets are captured from now on. */
  z.strictObject({
    kind: z.literal('started'),
    /** What the other calls name it by. Only who started it may. */
    capture: z.string(),
    interfaces: z.array(CapturedInterfaceSchema),
  }),
  /** Those that are new, renamed or gone. */
  z.strictObject({
    kind: z.literal('interfaces'),
    interfaces: z.array(CapturedInterfaceSchema),
  }),
  /** At most ten a second, when there is something new; and before `stopped`. */
  z.strictObject({ kind: z.literal('totals'), totals: TotalsSchema }),
  /** No more packets come. What is kept can be asked for until the call is cancelled. */
  z.strictObject({
    kind: z.literal('stopped'),
    end: z.enum(captureEnds),
    /** What is to be said of it; null for `asked`. */
    failure: FailureSchema.nullable(),
  }),
]);
export type CaptureProgress = z.infer<typeof CaptureProgressSchema>;

const CaptureIdSchema = z.string().min(1).max(64);
/** Wireshark's language, as `netloom dissect -Y` has it; null for every packet. */
const DisplayFilterSchema = z.string().max(4_096).nullable();

export const CaptureRowsArgumentsSchema = z.strictObject({
  capture: CaptureIdSchema,
  filter: DisplayFilterSchema,
  from: z.discriminatedUnion('kind', [
    /** The newest `count`. */
    z.strictObject({ kind: z.literal('end') }),
    /** From this one on, in the order of those that match: 0 is the oldest that is kept. */
    z.strictObject({ kind: z.literal('place'), place: CountSchema }),
    /** From the first that matches with this number or a higher one. */
    z.strictObject({ kind: z.literal('number'), number: CountSchema }),
  ]),
  count: z.number().int().min(0).max(maximumCaptureRows),
});
export type CaptureRowsArguments = z.infer<typeof CaptureRowsArgumentsSchema>;

export const PacketRowSchema = z.strictObject({
  /** From 1 through the capture. */
  number: z.number().int().min(1),
  /** Since the epoch. */
  seconds: z.number().int(),
  nanoseconds: CountSchema,
  /** Number of a `CapturedInterface`. */
  interface: CountSchema,
  direction: z.enum(['received', 'sent']).nullable(),
  protocol: z.string(),
  /** Of the innermost packet: of hosts, else of cards; empty where there is none. */
  source: z.string(),
  destination: z.string(),
  info: z.string(),
  /** Bytes on the wire. */
  length: CountSchema,
});
export type PacketRow = z.infer<typeof PacketRowSchema>;

export const CaptureRowsSchema = z.strictObject({
  /** By number. */
  rows: z.array(PacketRowSchema),
  /** Place of the first row among those that match and are kept. */
  place: CountSchema,
  /** How many match and are kept. */
  matching: CountSchema,
  totals: TotalsSchema,
});
export type CaptureRows = z.infer<typeof CaptureRowsSchema>;

/** A packet as it is. `dissect` of `agent/dissect` takes it apart: fields with their places in these bytes. */
export const CapturedBytesSchema = z.strictObject({
  row: PacketRowSchema,
  linkType: z.number().int(),
  /** Base64 of what was captured. */
  bytes: z.string(),
  /** The card was to fill in the checksum of the transport: what stands there is not wrong. */
  checksumPending: z.boolean(),
  /** Bytes of payload in each segment that the card is to cut this into, or was joined from; null for a packet as it is. */
  segmentSize: z.number().int().nullable(),
});
export type CapturedBytes = z.infer<typeof CapturedBytesSchema>;

/** The same packet where else it was seen, in the order of time, itself included: its way through what it crosses. */
export const PacketSightingsSchema = z.strictObject({ sightings: z.array(PacketRowSchema) });
export type PacketSightings = z.infer<typeof PacketSightingsSchema>;

const FlowCountsSchema = z.strictObject({ packets: CountSchema, bytes: CountSchema });

/** Seconds. */
const RoundTripSchema = z.strictObject({
  least: z.number(),
  /** Weighs the newest sample with an eighth (RFC 6298). */
  smoothed: z.number(),
  samples: CountSchema,
});

export const CaptureFlowSchema = z.strictObject({
  /** Id of the namespace. */
  namespace: NamespaceIdSchema,
  protocol: z.string(),
  /** IANA's number; null for what is not of IP. */
  ipProtocol: z.number().int().nullable(),
  /** The one that was seen sending first, then the other, with what each has sent. */
  ends: z.array(
    z.strictObject({
      address: z.string(),
      port: z.number().int().nullable(),
      sent: FlowCountsSchema,
      /**
       * Who holds its socket now, in the flow's own namespace: of TCP and UDP, and only where it can be no other. The pid is
       * as the realm has it.
       */
      process: z.strictObject({ pid: z.number().int().min(1), name: z.string() }).optional(),
    }),
  ),
  packets: CountSchema,
  /** On the wire, of the interface that saw most. */
  bytes: CountSchema,
  /** Milliseconds since the epoch. */
  first: z.number(),
  last: z.number(),
  /** Numbers of the interfaces that saw it. */
  interfaces: z.array(CountSchema),
  tcp: z
    .strictObject({
      state: z.string(),
      connections: CountSchema,
      /** Seconds from one end to the other and back; null where nothing was to be measured. */
      roundTrip: z.number().nullable(),
      /** Between where it was seen and each end. */
      roundTrips: z.array(RoundTripSchema.nullable()),
    })
    .nullable(),
});
export type CaptureFlow = z.infer<typeof CaptureFlowSchema>;

/** Since the capture began, also of packets that are kept no more. */
export const CaptureFlowsSchema = z.strictObject({
  /** Those that moved most bytes first. */
  flows: z.array(CaptureFlowSchema),
  total: CountSchema,
  /** Flows that made room for others. */
  forgotten: z.strictObject({ flows: CountSchema, packets: CountSchema, bytes: CountSchema }),
  talkers: z.array(
    z.strictObject({
      namespace: NamespaceIdSchema,
      address: z.string(),
      sent: FlowCountsSchema,
      received: FlowCountsSchema,
      flows: CountSchema,
    }),
  ),
  protocols: z.array(
    z.strictObject({
      protocol: z.string(),
      packets: CountSchema,
      bytes: CountSchema,
      flows: CountSchema,
    }),
  ),
});
export type CaptureFlows = z.infer<typeof CaptureFlowsSchema>;

/**
 * Packets as blocks of pcapng, for a file or a program that reads along: ask again with what the answer says, and write
 * one answer's blocks after the other's. Asking is the pace: what a slow reader leaves too long is forgotten and counted.
 */
export const CaptureReadArgumentsSchema = z.strictObject({
  capture: CaptureIdSchema,
  filter: DisplayFilterSchema,
  /** Number of the last packet that was read, or -1 to begin with: then the section's header comes first. */
  after: z.number().int().min(-1),
  /** Interfaces that were described already: 0 to begin with. */
  interfaces: CountSchema,
  /** The last packet that is wanted; null for the newest there is. */
  until: CountSchema.nullable(),
  /** Milliseconds to wait for packets where there are none yet. */
  wait: z.number().int().min(0).max(1_000),
  /** Whether totals of each interface (received, dropped) are written behind the packets. */
  totals: z.boolean(),
});
export type CaptureReadArguments = z.infer<typeof CaptureReadArgumentsSchema>;

export const CaptureReadSchema = z.strictObject({
  /** Base64 of whole blocks; at most about a mebibyte. */
  data: z.string(),
  /** Packets in it. */
  packets: CountSchema,
  /** To go on with. */
  after: z.number().int(),
  interfaces: CountSchema,
  /** Packets that were forgotten before they were read. */
  missed: CountSchema,
  /** Whether more is there already. */
  more: z.boolean(),
  /** Whether the capture takes no more packets. */
  stopped: z.boolean(),
  totals: TotalsSchema,
});
export type CaptureRead = z.infer<typeof CaptureReadSchema>;

export const CapturePacketArgumentsSchema = z.strictObject({
  capture: CaptureIdSchema,
  number: z.number().int().min(1),
});

export const CaptureFlowsArgumentsSchema = z.strictObject({
  capture: CaptureIdSchema,
  /** Flows, and talkers. */
  count: z.number().int().min(0).max(maximumCaptureRows),
});

export const CaptureStopArgumentsSchema = z.strictObject({ capture: CaptureIdSchema });
