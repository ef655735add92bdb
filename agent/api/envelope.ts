import { z } from 'zod';
import { FailureSchema } from './result.ts';
import { apiVersion } from './version.ts';

/** What a client sends on the call socket: one JSON text a message. */
export const RequestSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('call'),
    version: z.number().int(),
    id: z.number().int().min(0),
    call: z.string().max(64),
    args: z.unknown(),
  }),
  /** Asks that call `id` be cancelled; it still answers once. */
  z.strictObject({
    kind: z.literal('cancel'),
    version: z.number().int(),
    id: z.number().int().min(0),
  }),
]);
export type Request = z.infer<typeof RequestSchema>;

/** What an agent answers: any number of `progress`, then exactly one `result` or `failure`. */
export const ReplySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), id: z.number().int(), value: z.unknown() }),
  z.strictObject({ kind: z.literal('result'), id: z.number().int(), value: z.unknown() }),
  z.strictObject({ kind: z.literal('failure'), id: z.number().int(), failure: FailureSchema }),
]);
export type Reply = z.infer<typeof ReplySchema>;

/**
 * What an agent publishes: two frames, the stream's name and this as JSON. `sequence` counts the messages of the
 * stream since `incarnation`; a gap means that messages were lost and the client asks for the whole again.
 */
export const PublicationSchema = z.strictObject({
  incarnation: z.string(),
  sequence: z.number().int().min(0),
  value: z.unknown(),
});
export type Publication = z.infer<typeof PublicationSchema>;

export const requestVersion = apiVersion;
