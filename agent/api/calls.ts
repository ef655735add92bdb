import { z } from 'zod';
import {
  CpuBindSchema,
  CpuBoundSchema,
  CpuCandidateSchema,
  CpuMachineSampleSchema,
  CpuWatchSchema,
} from './cpu.ts';
import { AgentInfoSchema } from './agent-info.ts';
import { FdbSchema } from './bridge-fdb.ts';
import { ExportRecordsSchema, maximumExportRecords } from './flow-export.ts';
import { InterfaceStateChangeSchema } from './interface-state.ts';
import { InventoryDeltaSchema, InventorySchema } from './inventory.ts';
import {
  ApplyOutcomeSchema,
  CheckResultSchema,
  LabEventSchema,
  LabStatusSchema,
  TransactionProgressSchema,
} from './lab.ts';
import { LabNameSchema } from './names.ts';
import {
  OpenFlowFrameSchema,
  OpenFlowListSchema,
  OpenFlowPacketSchema,
  OpenFlowTraceSchema,
} from './openflow.ts';
import { OvsBridgeReportSchema, OvsFiguresSchema } from './ovs-figures.ts';
import { ConfirmWithinSchema, PlanSchema } from './plan.ts';
import {
  ProcessExitSchema,
  ProcessPlaceSchema,
  ProcessProgressSchema,
  TerminalSizeSchema,
} from './process.ts';
import {
  CapturedBytesSchema,
  CaptureFlowsArgumentsSchema,
  CaptureFlowsSchema,
  CapturePacketArgumentsSchema,
  CaptureProgressSchema,
  CaptureReadArgumentsSchema,
  CaptureReadSchema,
  CaptureRowsArgumentsSchema,
  CaptureRowsSchema,
  CaptureStartSchema,
  CaptureStopArgumentsSchema,
  PacketSightingsSchema,
  RatesSampleSchema,
  RatesWatchSchema,
} from './traffic.ts';
import { maximumDocumentSize } from './version.ts';

/** Description of one call. `progress` frames may come before the result. */
export interface CallDescription<
  A extends z.ZodType = z.ZodType,
  R extends z.ZodType = z.ZodType,
  P extends z.ZodType = z.ZodType,
> {
  readonly args: A;
  readonly result: R;
  readonly progress: P;
  /** Whether it may change the realm. A key enrolled for reading may not make such calls. */
  readonly effect: 'read' | 'write';
  /** Milliseconds after which the caller gives up; null for calls that last as long as they last. */
  readonly timeout: number | null;
}

const empty = z.strictObject({});

/** Helper that keeps the literal types of a description. */
export function describeCall<
  A extends z.ZodType,
  R extends z.ZodType,
  P extends z.ZodType = z.ZodNever,
>(
  description: Omit<CallDescription<A, R, P>, 'progress'> & { readonly progress?: P },
): CallDescription<A, R, P> {
  return { ...description, progress: description.progress ?? (z.never() as unknown as P) };
}

const DocumentTextSchema = z.string().max(maximumDocumentSize);

export const PlanTargetSchema = z.discriminatedUnion('kind', [
  /** Bring this document up, or change the lab to it. */
  z.strictObject({
    kind: z.literal('document'),
    text: DocumentTextSchema,
    /** Absolute path of its file, null for a document without one. */
    path: z.string().max(4096).nullable(),
    /** Take the name over from another file. */
    replace: z.boolean(),
  }),
  /** Go to a kept revision; 0 is nothing. */
  z.strictObject({
    kind: z.literal('revision'),
    lab: LabNameSchema,
    revision: z.number().int().min(0),
  }),
  z.strictObject({ kind: z.literal('undo'), lab: LabNameSchema }),
  z.strictObject({ kind: z.literal('redo'), lab: LabNameSchema }),
  z.strictObject({ kind: z.literal('down'), lab: LabNameSchema }),
]);
export type PlanTarget = z.infer<typeof PlanTargetSchema>;

/** Every call that an agent answers. The typed client and the dispatcher both come from this value. */
export const agentCalls = {
  'agent.info': describeCall({
    args: empty,
    result: AgentInfoSchema,
    effect: 'read',
    timeout: 5_000,
  }),
  /** Ends the agent; the realm and its labs go on. */
  'agent.stop': describeCall({ args: empty, result: empty, effect: 'write', timeout: 10_000 }),
  'inventory.snapshot': describeCall({
    args: empty,
    result: InventorySchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** What a bridge has learned by now. It changes with every frame, so no stream carries it. */
  'bridge.fdb': describeCall({
    args: z.strictObject({
      /** Name below /run/netns; null is the realm's own. */
      namespace: z.string().min(1).max(255).nullable(),
      /** Name of the bridge's interface. */
      bridge: z.string().min(1).max(15),
    }),
    result: FdbSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  /** What the collector of a node has received. It grows with every datagram, so no stream carries it. */
  'collector.records': describeCall({
    args: z.strictObject({
      lab: LabNameSchema,
      node: z.string().min(1).max(15),
      limit: z.number().int().min(0).max(maximumExportRecords),
    }),
    result: ExportRecordsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /**
   * The machine's CPUs and the groups of a lab that is up, sampled as often as is asked, until the call is cancelled. The
   * first sample comes at once, without use. A call and not a stream of events: everybody has a rate of their own, and what
   * nobody asks for is not sampled.
   */
  'cpu.watch': describeCall({
    args: CpuWatchSchema,
    result: empty,
    progress: CpuMachineSampleSchema,
    effect: 'read',
    timeout: null,
  }),
  /** All of them or none: what was moved before one was refused goes back. */
  'cpu.bind': describeCall({
    args: CpuBindSchema,
    result: CpuBoundSchema,
    effect: 'write',
    timeout: 30_000,
  }),
  /** The realm's processes, for whoever looks for one to bind. */
  'cpu.candidates': describeCall({
    args: z.strictObject({ lab: LabNameSchema }),
    result: z.strictObject({
      candidates: z.array(CpuCandidateSchema),
      /** How many there are. */
      total: z.number().int(),
    }),
    effect: 'read',
    timeout: 30_000,
  }),
  /** Rates of interfaces, as often as is asked, until the call is cancelled. The first sample comes at once, without rates. */
  'rates.watch': describeCall({
    args: RatesWatchSchema,
    result: empty,
    progress: RatesSampleSchema,
    effect: 'read',
    timeout: null,
  }),
  /**
   * Captures packets until the call is cancelled; meanwhile they are kept (100,000 of them, 64 MiB) and the other calls ask
   * for them. Beyond the interfaces of its places nothing is captured. Keys enrolled for reading may not.
   */
  'capture.start': describeCall({
    args: CaptureStartSchema,
    result: empty,
    progress: CaptureProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  /** Takes no more packets, and keeps those that there are until `capture.start` is cancelled. */
  'capture.stop': describeCall({
    args: CaptureStopArgumentsSchema,
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  /** A piece of the list of packets that a display filter means, by now. */
  'capture.rows': describeCall({
    args: CaptureRowsArgumentsSchema,
    result: CaptureRowsSchema,
    effect: 'read',
    timeout: 60_000,
  }),
  'capture.packet': describeCall({
    args: CapturePacketArgumentsSchema,
    result: CapturedBytesSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  /** Where else the packet was seen, within a second before and after, also within tunnels. */
  'capture.sightings': describeCall({
    args: CapturePacketArgumentsSchema,
    result: PacketSightingsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  'capture.flows': describeCall({
    args: CaptureFlowsArgumentsSchema,
    result: CaptureFlowsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** Packets as pcapng, in pieces. The agent writes no file: whoever asks has the right to one, or has not. */
  'capture.read': describeCall({
    args: CaptureReadArgumentsSchema,
    result: CaptureReadSchema,
    effect: 'read',
    timeout: 60_000,
  }),
  /** The flows of an Open vSwitch bridge with their counters, by now. */
  'openflow.flows': describeCall({
    args: z.strictObject({
      /** Name below /run/netns of the namespace that its Open vSwitch is in; null is the realm's own. */
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
    }),
    result: OpenFlowListSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** What would become of a packet. Nothing is sent, and nothing learned. */
  'openflow.trace': describeCall({
    args: z.strictObject({
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
      flow: OpenFlowPacketSchema,
      /** The packet itself; `flow` then says no more than where it comes in. */
      frame: OpenFlowFrameSchema.optional(),
    }),
    result: OpenFlowTraceSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** What an Open vSwitch bridge has learned, and its spanning tree, by now. */
  'ovs.bridge': describeCall({
    args: z.strictObject({
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
    }),
    result: OvsBridgeReportSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** Datapaths, caches and counters of the Open vSwitch of a namespace, by now. */
  'ovs.figures': describeCall({
    args: z.strictObject({ namespace: z.string().min(1).max(255).nullable() }),
    result: OvsFiguresSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  'lab.list': describeCall({
    args: empty,
    result: z.strictObject({ labs: z.array(LabStatusSchema) }),
    effect: 'read',
    timeout: 15_000,
  }),
  /** The lab's status and the text of a kept revision (the one in force unless named). */
  'lab.document': describeCall({
    args: z.strictObject({ lab: LabNameSchema, revision: z.number().int().min(1).nullable() }),
    result: z.strictObject({ status: LabStatusSchema, text: z.string().nullable() }),
    effect: 'read',
    timeout: 15_000,
  }),
  'lab.plan': describeCall({
    args: z.strictObject({ target: PlanTargetSchema }),
    result: PlanSchema,
    effect: 'read',
    timeout: 60_000,
  }),
  'lab.apply': describeCall({
    args: z.strictObject({
      plan: z.string().max(128),
      /**
       * Seconds for its confirmation, where the plan has a `confirm`: the plan's own when absent; null asks for none,
       * which is refused when the only way out is at stake.
       */
      confirmWithin: ConfirmWithinSchema.nullable().optional(),
    }),
    result: ApplyOutcomeSchema,
    progress: TransactionProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  /** Keeps the change that awaits it. Too late, it is refused, and the change is taken back. */
  'lab.confirm': describeCall({
    args: z.strictObject({ lab: LabNameSchema, token: z.string().max(64) }),
    result: ApplyOutcomeSchema,
    effect: 'write',
    timeout: 60_000,
  }),
  /** Takes the change back that awaits its confirmation. */
  'lab.revert': describeCall({
    args: z.strictObject({ lab: LabNameSchema, token: z.string().max(64) }),
    result: ApplyOutcomeSchema,
    effect: 'write',
    timeout: 120_000,
  }),
  'lab.check': describeCall({
    args: z.strictObject({ lab: LabNameSchema }),
    result: z.strictObject({ results: z.array(CheckResultSchema) }),
    progress: CheckResultSchema,
    effect: 'write',
    timeout: null,
  }),
  /** Forgets a lab that is down: its record and revisions. */
  'lab.forget': describeCall({
    args: z.strictObject({ lab: LabNameSchema }),
    result: empty,
    effect: 'write',
    timeout: 15_000,
  }),
  'interface.setState': describeCall({
    args: InterfaceStateChangeSchema,
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  /**
   * Runs one command; cancelling the call ends it. Output stops while more than the credit is unacknowledged. With
   * `console`, a virtual machine's console takes the place of the command: no other command runs there.
   */
  'process.run': describeCall({
    args: z.strictObject({
      place: ProcessPlaceSchema,
      command: z.array(z.string().max(65536)).min(1).max(1000),
      terminal: TerminalSizeSchema.nullable(),
      console: z.boolean().optional(),
    }),
    result: ProcessExitSchema,
    progress: ProcessProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  'process.input': describeCall({
    args: z.strictObject({
      session: z.string().max(64),
      data: z.string().max(262144),
      end: z.boolean(),
    }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  'process.resize': describeCall({
    args: z.strictObject({ session: z.string().max(64), size: TerminalSizeSchema }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  /** Says that this many bytes of output were taken. */
  'process.acknowledge': describeCall({
    args: z.strictObject({ session: z.string().max(64), bytes: z.number().int().min(0) }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
} as const;

export type AgentCalls = typeof agentCalls;
export type AgentCallName = keyof AgentCalls;

type Description<Calls, K extends keyof Calls> =
  Calls[K] extends CallDescription<infer A, infer R, infer P>
    ? { args: A; result: R; progress: P }
    : never;
export type CallArguments<Calls, K extends keyof Calls> = z.infer<Description<Calls, K>['args']>;
export type CallResult<Calls, K extends keyof Calls> = z.infer<Description<Calls, K>['result']>;
export type CallProgress<Calls, K extends keyof Calls> = z.infer<Description<Calls, K>['progress']>;

/** Every stream that an agent publishes; each message carries a sequence number of its stream. */
export const agentStreams = {
  inventory: InventoryDeltaSchema,
  labs: LabEventSchema,
} as const;
export type AgentStreams = typeof agentStreams;
export type AgentStreamName = keyof AgentStreams;
