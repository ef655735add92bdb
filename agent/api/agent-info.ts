import { z } from 'zod';
import { RecoverySchema } from './lab.ts';
import { RealmNameSchema } from './names.ts';

/** One thing that the machine can or cannot do, found out by trying. */
export const CapabilitySchema = z.strictObject({
  name: z.string(),
  available: z.boolean(),
  /** Why not, one sentence; null when available. */
  reason: z.string().nullable(),
  /** The command that provides it, where there is one. */
  remedy: z.string().nullable(),
});
export type Capability = z.infer<typeof CapabilitySchema>;

export const AgentInfoSchema = z.strictObject({
  apiVersion: z.number().int(),
  version: z.string(),
  realm: RealmNameSchema,
  /** Pid inside the realm. */
  pid: z.number().int(),
  /** Boot id and realm start; labs that were up in another incarnation are gone. */
  incarnation: z.string(),
  kernel: z.string(),
  startedAt: z.string(),
  readOnly: z.boolean(),
  recoveries: z.array(RecoverySchema),
});
export type AgentInfo = z.infer<typeof AgentInfoSchema>;
