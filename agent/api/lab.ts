import { z } from 'zod';
import { LabNameSchema, RealmNameSchema } from './names.ts';
import { FailureSchema } from './result.ts';

/** What a check can come to. Those that end in `-unexpectedly` failed, those of the same name without it passed. */
export const checkCodes = [
  'reached',
  'reached-unexpectedly',
  'round-trip-within',
  'round-trip-outside',
  'no-answer',
  'no-answer-unexpectedly',
  'network-unreachable',
  'network-unreachable-unexpectedly',
  'host-unreachable',
  'host-unreachable-unexpectedly',
  'prohibited',
  'prohibited-unexpectedly',
  'port-or-protocol-unreachable',
  'port-or-protocol-unreachable-unexpectedly',
  'hop-limit-exceeded',
  'hop-limit-exceeded-unexpectedly',
  'packet-too-big',
  'packet-too-big-unexpectedly',
  'send-failed',
  'send-failed-unexpectedly',
  'connected',
  'connected-unexpectedly',
  'refused',
  'refused-unexpectedly',
  'connect-timeout',
  'connect-timeout-unexpectedly',
  'connect-unreachable',
  'connect-unreachable-unexpectedly',
  'rate-measured',
  'rate-within',
  'rate-outside',
  'rate-not-offered',
  'rate-nothing-arrived',
  'rate-unreachable',
  'records-found',
  'records-found-unexpectedly',
  'no-records',
  'no-records-unexpectedly',
  'cpu-within',
  'cpu-within-beside',
  'cpu-outside',
  'cpu-outside-beside',
  'cpu-not-to-be-had',
  /** A failure kept it from being done: `values` are the failure's own, its `object` and `reason`, and its code as `failure`. */
  'check-not-done',
] as const;
export type CheckCode = (typeof checkCodes)[number];

export const CheckResultSchema = z.strictObject({
  /** Index in the document's `checks`. */
  index: z.number().int(),
  label: z.string(),
  outcome: z.enum(['passed', 'failed', 'skipped']),
  /** One of `checkCodes`; a client translates by it and fills in `values`. */
  code: z.string(),
  values: z.record(z.string(), z.union([z.string(), z.number()])),
  /** What was expected and what was seen, one English sentence. */
  sentence: z.string(),
  roundTripMilliseconds: z.number().nullable(),
});
export type CheckResult = z.infer<typeof CheckResultSchema>;

export const RevisionSchema = z.strictObject({
  /** 1 is the first document applied; 0 stands for the state before it: nothing. */
  number: z.number().int(),
  /** ISO 8601, UTC. */
  time: z.string(),
  /** How it came about. */
  cause: z.enum(['apply', 'undo', 'redo']),
  steps: z.number().int(),
});
export type Revision = z.infer<typeof RevisionSchema>;

/** What the agent knows of a lab; kept in the realm's state directory, so it outlives agent and realm. */
export const LabRecordSchema = z.strictObject({
  name: LabNameSchema,
  realm: RealmNameSchema,
  /** The file it was brought up from; null for a document without a file. */
  path: z.string().nullable(),
  /** Whether the lab's objects are (meant to be) in the kernel. */
  up: z.boolean(),
  /** Boot and realm in which it was last brought up: a lab that is `up` in another one is gone. */
  incarnation: z.string(),
  /** Revision in force (or last in force, when down); 0 after everything was undone. */
  revision: z.number().int(),
  /** Revisions kept, in order; those above `revision` can be redone. */
  revisions: z.array(RevisionSchema),
  /** SHA-256 of the document in force, hexadecimal; null at revision 0. */
  documentHash: z.string().nullable(),
});
export type LabRecord = z.infer<typeof LabRecordSchema>;

/** A change that is in the kernel and goes back by itself unless it is confirmed in time. */
export const AwaitingSchema = z.strictObject({
  /** Names the change in `lab.confirm` and `lab.revert`. */
  token: z.string().max(64),
  /** From when this was said; the clock counts on while the machine sleeps. */
  endsInMilliseconds: z.number().min(0),
});
export type Awaiting = z.infer<typeof AwaitingSchema>;

/** A lab as a live agent reports it. */
export const LabStatusSchema = z.strictObject({
  record: LabRecordSchema,
  /** Steps that would bring the kernel back to the revision in force; null while unknown. */
  drift: z.number().int().nullable(),
  checks: z.array(CheckResultSchema),
  /** The transaction that runs now, if any. */
  busy: z.boolean(),
  /**
   * The change that waits for its confirmation; `record` is then what it comes to when it is confirmed. `within` is the
   * whole time in seconds.
   */
  awaiting: AwaitingSchema.extend({ within: z.number().int() }).nullable(),
});
export type LabStatus = z.infer<typeof LabStatusSchema>;

export const transactionPhases = ['journal', 'execute', 'verify', 'commit', 'roll-back'] as const;

export const TransactionProgressSchema = z.strictObject({
  lab: LabNameSchema,
  plan: z.string(),
  phase: z.enum(transactionPhases),
  /** Steps that are done. */
  done: z.number().int(),
  total: z.number().int(),
  /** The step that failed, during roll-back. */
  failedStep: z.number().int().nullable(),
});
export type TransactionProgress = z.infer<typeof TransactionProgressSchema>;

export const ApplyOutcomeSchema = z.strictObject({
  lab: LabNameSchema,
  up: z.boolean(),
  revision: z.number().int(),
  operations: z.number().int(),
  milliseconds: z.number(),
  /** True when this was the last lab of its realm and the realm may end. */
  realmEmpty: z.boolean(),
  /** Null when the change stands; otherwise it is to be confirmed. */
  awaiting: AwaitingSchema.nullable(),
});
export type ApplyOutcome = z.infer<typeof ApplyOutcomeSchema>;

/** What an agent did about an open journal when it started. */
export const RecoverySchema = z.strictObject({
  lab: LabNameSchema,
  /** `awaiting`: it still waits for its confirmation. `not-confirmed`: it was taken back since nobody confirmed it. */
  outcome: z.enum([
    'nothing-to-do',
    'rolled-back',
    'committed',
    'awaiting',
    'not-confirmed',
    'failed',
  ]),
  operations: z.number().int(),
  failure: FailureSchema.nullable(),
});
export type Recovery = z.infer<typeof RecoverySchema>;

/** Events on the `labs` stream. */
export const LabEventSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('transaction'), progress: TransactionProgressSchema }),
  z.strictObject({ kind: z.literal('status'), status: LabStatusSchema }),
  z.strictObject({ kind: z.literal('removed'), lab: LabNameSchema }),
]);
export type LabEvent = z.infer<typeof LabEventSchema>;
