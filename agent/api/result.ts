import { z } from 'zod';

/**
 * Every way in which a request may fail as expected. The set is closed: behaviour hangs on the kind,
 * wording never does.
 */
export const failureKinds = [
  /** The request does not match its schema. */
  'invalid-request',
  /** The lab document has problems; `causes` lists them with their places. */
  'invalid-document',
  /** A lab or a kernel object of that name exists and is not ours to take. */
  'name-taken',
  /** What the request names does not exist. */
  'unknown-object',
  /** Document, base revision or observed state changed since the plan was made. */
  'stale-plan',
  /** Another transaction runs in the realm. */
  'busy',
  /** The plan may not be applied; the reason says why. */
  'refused',
  /** The running kernel or the machine lacks what is asked for. */
  'unsupported',
  /** The kernel said no; `errno` and its extended message are in `values`. */
  'kernel',
  /** What was applied does not read back as asked. */
  'verification',
  /** The change failed and everything is as it was before. */
  'rolled-back',
  /** The change failed and taking it back failed too: the loudest outcome. */
  'rollback-failed',
  'cancelled',
  'timeout',
  /** No agent answers. */
  'unreachable',
  /** The realm has ended (its keeper is gone). */
  'realm-gone',
  'not-allowed',
  'too-large',
  /** A file could not be read or written. */
  'storage',
  /** A program that Netloom needs could not be started or ended badly. */
  'process',
  /** This should not happen; report it. */
  'bug',
] as const;

export type FailureKind = (typeof failureKinds)[number];

/** A place in a file; line and column start at 1. */
export const PlaceSchema = z.strictObject({
  file: z.string().optional(),
  line: z.number().int().positive().optional(),
  column: z.number().int().positive().optional(),
  /** Path inside the document, such as `topology.nodes.r1.interfaces`. */
  path: z.string().optional(),
});
export type Place = z.infer<typeof PlaceSchema>;

/**
 * An expected failure. `object` names what it happened to, `reason` why, `next` what to do: one neutral English
 * sentence each. `code` and `values` let a client say the same in another language.
 */
export interface Failure {
  readonly kind: FailureKind;
  /** Stable key of the sentence, kebab-case, such as `duplicate-address`. */
  readonly code: string;
  readonly object: string;
  readonly reason: string;
  readonly next: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
  readonly place?: Place | undefined;
  readonly causes?: readonly Failure[] | undefined;
}

export const FailureSchema: z.ZodType<Failure> = z.lazy(() =>
  z.strictObject({
    kind: z.enum(failureKinds),
    code: z.string().max(64),
    object: z.string().max(512),
    reason: z.string().max(2000),
    next: z.string().max(2000),
    values: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    place: PlaceSchema.optional(),
    causes: z.array(FailureSchema).max(1000).optional(),
  }),
);

export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

export function succeed<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function fail(failure: Failure): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure };
}

/** For the `default` of an exhaustive switch. */
export function assertNever(value: never, rationale = 'unexpected value'): never {
  throw new Error(`${rationale}: ${JSON.stringify(value)}`);
}
