/**
 * The bridge: everything the renderer can ask of main, whichever door it comes through (Electron IPC or the
 * gateway's WebSocket). One value; both sides are derived from it.
 */
import { z } from 'zod';
import {
  AgentInfoSchema,
  ApplyOutcomeSchema,
  CapabilitySchema,
  CapturedBytesSchema,
  CaptureFlowsArgumentsSchema,
  CaptureFlowsSchema,
  CapturePacketArgumentsSchema,
  CaptureProgressSchema,
  CaptureRowsArgumentsSchema,
  CaptureRowsSchema,
  CaptureStartSchema,
  CaptureStopArgumentsSchema,
  CheckResultSchema,
  ConfirmWithinSchema,
  CpuBindSchema,
  CpuBoundSchema,
  CpuCandidateSchema,
  CpuMachineSampleSchema,
  CpuSampleSchema,
  CpuWatchSchema,
  describeCall,
  ExportRecordsSchema,
  FailureSchema,
  FdbSchema,
  InterfaceStateChangeSchema,
  InventoryDeltaSchema,
  InventorySchema,
  LabDocumentSchema,
  LabNameSchema,
  LabStatusSchema,
  LocalizedTextSchema,
  maximumDocumentSize,
  maximumExportRecords,
  OpenFlowFrameSchema,
  OpenFlowListSchema,
  OpenFlowPacketSchema,
  OpenFlowTraceSchema,
  OvsBridgeReportSchema,
  OvsFiguresSchema,
  PacketSightingsSchema,
  PlanSchema,
  ProcessExitSchema,
  ProcessPlaceSchema,
  ProcessProgressSchema,
  RatesSampleSchema,
  RatesWatchSchema,
  RealmNameSchema,
  RevisionSchema,
  TerminalSizeSchema,
  TransactionProgressSchema,
} from '../../agent/api/index.ts';

const empty = z.strictObject({});
const DocumentTextSchema = z.string().max(maximumDocumentSize);
const PathSchema = z.string().min(1).max(4096);

/**
 * A lab's state as one word, from file, record and kernel:
 * `new` never brought up · `down` taken down · `up` as the file says · `changed` the file differs from what is in
 * force · `drifted` the kernel differs from what is in force · `gone` it was up in a realm that has ended ·
 * `unknown` its realm's agent does not answer.
 */
export const labStates = ['new', 'down', 'up', 'changed', 'drifted', 'gone', 'unknown'] as const;
export type LabState = (typeof labStates)[number];

export const LibraryEntrySchema = z.strictObject({
  name: LabNameSchema,
  title: LocalizedTextSchema,
  path: PathSchema,
  /** ISO 8601 time of the file's last change. */
  modified: z.string(),
  state: z.enum(labStates),
  realm: RealmNameSchema.nullable(),
  revision: z.number().int().nullable(),
  nodes: z.number().int(),
  links: z.number().int(),
  /** Why the file cannot be read as a lab, if it cannot. */
  problem: FailureSchema.nullable(),
});
export type LibraryEntry = z.infer<typeof LibraryEntrySchema>;

export const GalleryEntrySchema = z.strictObject({
  name: LabNameSchema,
  title: LocalizedTextSchema,
  description: LocalizedTextSchema,
  document: LabDocumentSchema,
});
export type GalleryEntry = z.infer<typeof GalleryEntrySchema>;

export const OpenDocumentSchema = z.strictObject({
  path: PathSchema,
  text: z.string(),
  /** SHA-256 of the file's bytes: a save names the version that it replaces. */
  version: z.string(),
});
export type OpenDocument = z.infer<typeof OpenDocumentSchema>;

/** What main knows of one lab: its file's state, its realm, its history. */
export const LabOverviewSchema = z.strictObject({
  name: LabNameSchema,
  state: z.enum(labStates),
  realm: RealmNameSchema,
  status: LabStatusSchema.nullable(),
  canUndo: z.boolean(),
  canRedo: z.boolean(),
  revisions: z.array(RevisionSchema),
});
export type LabOverview = z.infer<typeof LabOverviewSchema>;

export const realmStates = ['absent', 'starting', 'running', 'agent-lost', 'gone'] as const;

/** `absent`: never made. `agent-lost`: the keeper lives, its agent does not answer. `gone`: the keeper has ended. */
export const RealmOverviewSchema = z.strictObject({
  realm: RealmNameSchema,
  state: z.enum(realmStates),
  keeperPid: z.number().int().nullable(),
  /** As seen by the caller, outside the realm. */
  agentPid: z.number().int().nullable(),
  socket: z.string().nullable(),
  /** Its way out: `closed` unless the person allowed it; `lost` when its program has ended since. */
  outside: z.enum(['closed', 'open', 'lost']),
  labs: z.array(LabNameSchema),
  agent: AgentInfoSchema.nullable(),
});
export type RealmOverview = z.infer<typeof RealmOverviewSchema>;

export const SettingsSchema = z.strictObject({
  theme: z.enum(['system', 'light', 'dark']),
  language: z.enum(['system', 'en', 'zh']),
  /** The lab open last, by path. */
  lastDocument: z.string().nullable(),
  view: z.enum(['library', 'topology', 'cpu', 'inventory']),
  /** Widths and heights in px, zoom and the like: the renderer's own, kept verbatim. */
  layout: z.record(z.string().max(64), z.union([z.number(), z.string().max(256), z.boolean()])),
});
export type Settings = z.infer<typeof SettingsSchema>;

/** A CPU as the kernel numbers it: a thread of a core, of a socket, at a NUMA node. */
export const ProcessorSchema = CpuSampleSchema.omit({ use: true });
export type Processor = z.infer<typeof ProcessorSchema>;

export const AppInfoSchema = z.strictObject({
  version: z.string(),
  shell: z.enum(['browser', 'desktop']),
  user: z.string(),
  /** True when running as root. */
  root: z.boolean(),
  kernel: z.string(),
  /** Where new labs are kept. */
  libraryDirectory: z.string(),
  /** Where captures are saved. */
  captureDirectory: z.string(),
  /** The machine's CPUs that are on. */
  processors: z.array(ProcessorSchema),
});
export type AppInfo = z.infer<typeof AppInfoSchema>;

export const ValidationSchema = z.strictObject({
  /** The parsed document, when it parses and matches the schema (it may still have problems). */
  document: LabDocumentSchema.nullable(),
  problems: z.array(FailureSchema),
  /** Advice that does not stop an apply. */
  advice: z.array(FailureSchema),
});
export type Validation = z.infer<typeof ValidationSchema>;

/** What an open lab leads to. `edit` carries the text as it is in the window. */
export const LabTargetSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('document'),
    path: PathSchema,
    text: DocumentTextSchema,
    replace: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('revision'), revision: z.number().int().min(0) }),
  z.strictObject({ kind: z.literal('undo') }),
  z.strictObject({ kind: z.literal('redo') }),
  z.strictObject({ kind: z.literal('down') }),
]);
export type LabTarget = z.infer<typeof LabTargetSchema>;

/** A file name without a directory, which every file system takes. */
export const captureFileNamePattern = /^[\p{L}\p{N}][\p{L}\p{N} ._+-]{0,119}$/u;
const CaptureFileNameSchema = z.string().regex(captureFileNamePattern);

export const bridgeCalls = {
  'app.info': describeCall({ args: empty, result: AppInfoSchema, effect: 'read', timeout: 5_000 }),
  'app.doctor': describeCall({
    args: empty,
    result: z.strictObject({ capabilities: z.array(CapabilitySchema) }),
    effect: 'read',
    timeout: 60_000,
  }),
  'settings.read': describeCall({
    args: empty,
    result: SettingsSchema,
    effect: 'read',
    timeout: 5_000,
  }),
  'settings.write': describeCall({
    args: z.strictObject({ settings: SettingsSchema }),
    result: empty,
    effect: 'write',
    timeout: 5_000,
  }),
  'library.list': describeCall({
    args: empty,
    result: z.strictObject({ entries: z.array(LibraryEntrySchema) }),
    effect: 'read',
    timeout: 30_000,
  }),
  'library.gallery': describeCall({
    args: empty,
    result: z.strictObject({ entries: z.array(GalleryEntrySchema) }),
    effect: 'read',
    timeout: 60_000,
  }),
  /** Copies a gallery lab into the library (or finds the copy that is there) and opens it. */
  'library.openGallery': describeCall({
    args: z.strictObject({ name: LabNameSchema }),
    result: OpenDocumentSchema,
    effect: 'write',
    timeout: 60_000,
  }),
  /** An empty lab of that name; refused when the name is taken. */
  'library.create': describeCall({
    args: z.strictObject({ name: LabNameSchema }),
    result: OpenDocumentSchema,
    effect: 'write',
    timeout: 10_000,
  }),
  'library.duplicate': describeCall({
    args: z.strictObject({ path: PathSchema, name: LabNameSchema }),
    result: OpenDocumentSchema,
    effect: 'write',
    timeout: 10_000,
  }),
  /** Renames the lab and its file; refused while it is up. */
  'library.rename': describeCall({
    args: z.strictObject({ path: PathSchema, name: LabNameSchema }),
    result: OpenDocumentSchema,
    effect: 'write',
    timeout: 10_000,
  }),
  /** Deletes the file and its history; refused while the lab is up. */
  'library.delete': describeCall({
    args: z.strictObject({ path: PathSchema }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  'document.open': describeCall({
    args: z.strictObject({ path: PathSchema }),
    result: OpenDocumentSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  /** Atomic. Refused when the file is no longer the version named. */
  'document.save': describeCall({
    args: z.strictObject({ path: PathSchema, text: DocumentTextSchema, version: z.string() }),
    result: OpenDocumentSchema,
    effect: 'write',
    timeout: 10_000,
  }),
  'document.validate': describeCall({
    args: z.strictObject({ text: DocumentTextSchema, path: PathSchema.nullable() }),
    result: ValidationSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  'lab.overview': describeCall({
    args: z.strictObject({
      lab: LabNameSchema,
      path: PathSchema,
      text: DocumentTextSchema.nullable(),
    }),
    result: LabOverviewSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** Without a realm the plan is against nothing and its id is main's own; apply then makes the realm first. */
  'lab.plan': describeCall({
    /** `realm` is where it is to be; by default where it is, or was last, or a sandbox of its own. */
    args: z.strictObject({
      lab: LabNameSchema,
      target: LabTargetSchema,
      realm: RealmNameSchema.optional(),
    }),
    result: PlanSchema,
    effect: 'read',
    timeout: 60_000,
  }),
  'lab.apply': describeCall({
    args: z.strictObject({
      lab: LabNameSchema,
      plan: z.string().max(128),
      /** As the agent's: seconds; absent is the plan's own; null is without a deadline. */
      confirmWithin: ConfirmWithinSchema.nullable().optional(),
    }),
    result: ApplyOutcomeSchema,
    progress: TransactionProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  /** Keeps the change of which the lab's status says that it awaits its confirmation. */
  'lab.confirm': describeCall({
    args: z.strictObject({ lab: LabNameSchema, token: z.string().max(64) }),
    result: ApplyOutcomeSchema,
    effect: 'write',
    timeout: 60_000,
  }),
  /** Takes that change back at once. */
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
  /** Takes an interface down or brings it up in the kernel, without a change of the document. */
  'interface.setState': describeCall({
    args: InterfaceStateChangeSchema,
    result: empty,
    effect: 'write',
    timeout: 15_000,
  }),
  /** Text of a kept revision. */
  'lab.revision': describeCall({
    args: z.strictObject({ lab: LabNameSchema, revision: z.number().int().min(1) }),
    result: z.strictObject({ text: z.string() }),
    effect: 'read',
    timeout: 10_000,
  }),
  'realm.list': describeCall({
    args: empty,
    result: z.strictObject({ realms: z.array(RealmOverviewSchema) }),
    effect: 'read',
    timeout: 15_000,
  }),
  'realm.startAgent': describeCall({
    args: z.strictObject({ realm: RealmNameSchema }),
    result: RealmOverviewSchema,
    effect: 'write',
    timeout: 60_000,
  }),
  /**
   * The person allows a realm a way out, until the realm ends. Opens it where the realm is there, else when it is made;
   * by nothing but an answer of theirs.
   */
  'realm.allowInternet': describeCall({
    args: z.strictObject({ realm: RealmNameSchema }),
    result: empty,
    effect: 'write',
    timeout: 60_000,
  }),
  'inventory.snapshot': describeCall({
    args: z.strictObject({ realm: RealmNameSchema }),
    result: InventorySchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** What a bridge has learned by now; the window asks again while it shows it. */
  'bridge.fdb': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
    }),
    result: FdbSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  /** What a node's collector has received; the window asks again while it shows it. */
  'collector.records': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      lab: LabNameSchema,
      node: z.string().min(1).max(15),
      limit: z.number().int().min(0).max(maximumExportRecords),
    }),
    result: ExportRecordsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** As the agent's: samples until it is cancelled or its window closes. One a subject is enough for a window. */
  'cpu.watch': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CpuWatchSchema.shape }),
    result: empty,
    progress: CpuMachineSampleSchema,
    effect: 'read',
    timeout: null,
  }),
  /** As the agent's. */
  'cpu.bind': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CpuBindSchema.shape }),
    result: CpuBoundSchema,
    effect: 'write',
    timeout: 30_000,
  }),
  /** The realm's processes, for whoever looks for one to bind. */
  'cpu.candidates': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, lab: LabNameSchema }),
    result: z.strictObject({ candidates: z.array(CpuCandidateSchema), total: z.number().int() }),
    effect: 'read',
    timeout: 30_000,
  }),
  /** As the agent's, for as long as somebody looks. */
  'rates.watch': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...RatesWatchSchema.shape }),
    result: empty,
    progress: RatesSampleSchema,
    effect: 'read',
    timeout: null,
  }),
  /** As the agent's: lasts until it is cancelled, and its packets are kept as long. */
  'capture.start': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CaptureStartSchema.shape }),
    result: empty,
    progress: CaptureProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  'capture.stop': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CaptureStopArgumentsSchema.shape }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  'capture.rows': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CaptureRowsArgumentsSchema.shape }),
    result: CaptureRowsSchema,
    effect: 'read',
    timeout: 60_000,
  }),
  'capture.packet': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CapturePacketArgumentsSchema.shape }),
    result: CapturedBytesSchema,
    effect: 'read',
    timeout: 10_000,
  }),
  'capture.sightings': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CapturePacketArgumentsSchema.shape }),
    result: PacketSightingsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  'capture.flows': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, ...CaptureFlowsArgumentsSchema.shape }),
    result: CaptureFlowsSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** Writes what a capture keeps, as far as the display filter means it, to a new pcapng file of the person's. */
  'capture.save': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      capture: z.string().min(1).max(64),
      filter: z.string().max(4_096).nullable(),
      /** Below the directory of captures; `.pcapng` is added where it is missing. */
      name: CaptureFileNameSchema,
    }),
    result: z.strictObject({
      path: PathSchema,
      packets: z.number().int().min(0),
      /** Bytes of the file. */
      size: z.number().int().min(0),
      /** Packets that were forgotten while it was written. */
      missed: z.number().int().min(0),
    }),
    effect: 'write',
    timeout: 120_000,
  }),
  /** The flows of an Open vSwitch bridge with their counters, by now. */
  'openflow.flows': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
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
      realm: RealmNameSchema,
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
      flow: OpenFlowPacketSchema,
      frame: OpenFlowFrameSchema.optional(),
    }),
    result: OpenFlowTraceSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** What an Open vSwitch bridge has learned, and its spanning tree; the window asks again while it shows them. */
  'ovs.bridge': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      namespace: z.string().min(1).max(255).nullable(),
      bridge: z.string().min(1).max(15),
    }),
    result: OvsBridgeReportSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  /** Datapaths, caches and counters of an Open vSwitch; the window asks again while it shows them. */
  'ovs.figures': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      namespace: z.string().min(1).max(255).nullable(),
    }),
    result: OvsFiguresSchema,
    effect: 'read',
    timeout: 15_000,
  }),
  'process.run': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      place: ProcessPlaceSchema,
      /** Null starts the person's shell. */
      command: z.array(z.string()).min(1).nullable(),
      terminal: TerminalSizeSchema,
    }),
    result: ProcessExitSchema,
    progress: ProcessProgressSchema,
    effect: 'write',
    timeout: null,
  }),
  'process.input': describeCall({
    args: z.strictObject({
      realm: RealmNameSchema,
      session: z.string(),
      data: z.string(),
      end: z.boolean(),
    }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  'process.resize': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, session: z.string(), size: TerminalSizeSchema }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  'process.acknowledge': describeCall({
    args: z.strictObject({ realm: RealmNameSchema, session: z.string(), bytes: z.number().int() }),
    result: empty,
    effect: 'write',
    timeout: 10_000,
  }),
  /** Quitting by the person's word: keeps labs running or takes every one down first. */
  'app.quit': describeCall({
    args: z.strictObject({ labs: z.enum(['keep', 'down']) }),
    result: empty,
    effect: 'write',
    timeout: null,
  }),
} as const;
export type BridgeCalls = typeof bridgeCalls;
export type BridgeCallName = keyof BridgeCalls;

/**
 * Streams that main sends to every window, in order and without loss (the carrier is reliable; main itself resyncs
 * with its agents and then sends `reset`).
 */
export const bridgeStreams = {
  /** A lab's overview changed (any cause: this window, another one, the CLI, the kernel). */
  lab: LabOverviewSchema,
  /** A transaction moved on, whoever started it. */
  transaction: TransactionProgressSchema,
  /** A realm appeared, lost its agent, or ended. */
  realm: RealmOverviewSchema,
  inventory: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('reset'),
      realm: RealmNameSchema,
      inventory: InventorySchema,
    }),
    z.strictObject({
      kind: z.literal('delta'),
      realm: RealmNameSchema,
      delta: InventoryDeltaSchema,
    }),
  ]),
  /** Files of the library changed. */
  library: z.strictObject({ changed: z.literal(true) }),
  /** An open file was changed by somebody else. */
  document: z.strictObject({ path: z.string(), version: z.string() }),
} as const;
export type BridgeStreams = typeof bridgeStreams;
export type BridgeStreamName = keyof BridgeStreams;

/** Messages that the carriers move, both ways, one JSON text each. */
export const BridgeRequestSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('call'),
    id: z.number().int(),
    call: z.string(),
    args: z.unknown(),
  }),
  z.strictObject({ kind: z.literal('cancel'), id: z.number().int() }),
]);
export type BridgeRequest = z.infer<typeof BridgeRequestSchema>;
export const BridgeMessageSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), id: z.number().int(), value: z.unknown() }),
  z.strictObject({ kind: z.literal('result'), id: z.number().int(), value: z.unknown() }),
  z.strictObject({ kind: z.literal('failure'), id: z.number().int(), failure: FailureSchema }),
  z.strictObject({ kind: z.literal('stream'), stream: z.string(), value: z.unknown() }),
]);
export type BridgeMessage = z.infer<typeof BridgeMessageSchema>;
