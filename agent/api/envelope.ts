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
 * What an agent publishes: the stream's name, a line feed and this as JSON, in one frame. Of a message of several frames libzmq
 * (4.3.5, `session_base_t::clean_pipes`) ends the whole process when the connection goes between two of them. `sequence` counts the messages of the
 * stream since `incarnation`; a gap means that messages were lost and the client asks for the whole again.
 */
export const PublicationSchema = z.strictObject({
  incarnation: z.string(),
  sequence: z.number().int().min(0),
  value: z.unknown(),
});
export type Publication = z.infer<typeof PublicationSchema>;

const lineFeed = 10;

/** What a subscription to a stream, and nothing else, begins with. */
export function publicationPrefix(topic: string): string {
  return `${topic}\n`;
}

export function publicationFrame(topic: string, message: string): string {
  return publicationPrefix(topic) + message;
}

/** The stream's name, and the byte at which the JSON begins; null for what is no publication. */
export function parsePublicationFrame(
  frame: Uint8Array,
): { readonly topic: string; readonly start: number } | null {
  const end = frame.indexOf(lineFeed);
  if (end < 0) return null;
  return { topic: new TextDecoder().decode(frame.subarray(0, end)), start: end + 1 };
}

export const requestVersion = apiVersion;
