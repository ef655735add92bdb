import { z } from 'zod';

/** What an Open vSwitch bridge says of its OpenFlow tables when it is asked: counters, and the way of one packet. */

/** One flow with its counters, in the words of ovs-ofctl(8). */
export const OpenFlowEntrySchema = z.strictObject({
  table: z.number().int(),
  priority: z.number().int(),
  /** Hexadecimal, with `0x`. */
  cookie: z.string(),
  /** Without priority; empty fits every packet. Ports by name. */
  match: z.string(),
  actions: z.string(),
  packets: z.number(),
  bytes: z.number(),
  durationSeconds: z.number(),
  /** Seconds since a packet last fitted; null where nobody counts them. */
  idleAge: z.number().nullable(),
});
export type OpenFlowEntry = z.infer<typeof OpenFlowEntrySchema>;

/** More are counted, not sent. */
export const maximumOpenFlowEntries = 5000;

export const OpenFlowListSchema = z.strictObject({
  /** By table, then by priority, the highest first. */
  flows: z.array(OpenFlowEntrySchema).max(maximumOpenFlowEntries),
  total: z.number().int(),
});
export type OpenFlowList = z.infer<typeof OpenFlowListSchema>;

/** A look into one table. */
export const OpenFlowTraceTableSchema = z.strictObject({
  table: z.number().int(),
  /** Of the flow that fitted, empty for everything; null where none did. */
  match: z.string().nullable(),
  priority: z.number().int().nullable(),
  /** What was done, a line each; remarks of Open vSwitch on an action follow it and begin with `->`. */
  actions: z.array(z.string()),
});
export type OpenFlowTraceTable = z.infer<typeof OpenFlowTraceTableSchema>;

/** What happens in one bridge. */
export const OpenFlowTraceStepSchema = z.strictObject({
  bridge: z.string(),
  /** Name of the port that the packet comes in by, the bridge's own for LOCAL; null where nobody said. */
  inPort: z.string().nullable(),
  /** The earlier step that handed it on by a patch port, counted from 0; null for the first. */
  from: z.number().int().nullable(),
  tables: z.array(OpenFlowTraceTableSchema),
  /** Names of the bridge's ports that it leaves by, patch ports among them. */
  outPorts: z.array(z.string()),
});
export type OpenFlowTraceStep = z.infer<typeof OpenFlowTraceStepSchema>;

export const OpenFlowTraceSchema = z.strictObject({
  /** The packet as Open vSwitch understood it. */
  flow: z.string(),
  steps: z.array(OpenFlowTraceStepSchema),
  result: z.strictObject({
    /** The packet as it leaves; null where nothing about it changed. */
    finalFlow: z.string().nullable(),
    /** What the datapath would remember of it. */
    megaflow: z.string(),
    /** A group shares by a hash that only the datapath works out: this is one of its ways. */
    assumesHash: z.boolean().optional(),
    /** `drop`, or what the datapath does with it. */
    datapathActions: z.string(),
    /** The ports that it leaves Open vSwitch by: no patch ports. None is a packet that is dropped. */
    outputs: z.array(
      z.strictObject({
        bridge: z.string(),
        port: z.string(),
        /** Of a bond, the member that it goes by. */
        member: z.string().optional(),
      }),
    ),
  }),
});
export type OpenFlowTrace = z.infer<typeof OpenFlowTraceSchema>;

/** A packet in the syntax of ovs-ofctl(8), as `ofproto/trace` takes it: one line. */
export const OpenFlowPacketSchema = z
  .string()
  .min(1)
  .max(2000)
  .regex(/^[\x20-\x7e]+$/, 'a packet is described in one line of plain text');

/** Octets of an Ethernet frame in hexadecimal, without its check sequence. */
export const OpenFlowFrameSchema = z.string().regex(/^(?:[0-9a-f]{2}){14,9238}$/, 'not a frame');
