import { z } from 'zod';
import { LabNameSchema } from './names.ts';

/** Where a process runs: in a lab's node, or in the realm's own namespace. */
export const ProcessPlaceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('realm') }),
  z.strictObject({ kind: z.literal('node'), lab: LabNameSchema, node: z.string().max(15) }),
]);
export type ProcessPlace = z.infer<typeof ProcessPlaceSchema>;

export const TerminalSizeSchema = z.strictObject({
  columns: z.number().int().min(1).max(1000),
  rows: z.number().int().min(1).max(1000),
});
export type TerminalSize = z.infer<typeof TerminalSizeSchema>;

/** Progress of `process.run`: its session once it runs, then its output in order. Data is base64. */
export const ProcessProgressSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('started'), session: z.string(), pid: z.number().int() }),
  z.strictObject({ kind: z.literal('output'), stream: z.enum(['out', 'error']), data: z.string() }),
]);
export type ProcessProgress = z.infer<typeof ProcessProgressSchema>;

export const ProcessExitSchema = z.strictObject({
  exitCode: z.number().int().nullable(),
  signal: z.string().nullable(),
});
export type ProcessExit = z.infer<typeof ProcessExitSchema>;
