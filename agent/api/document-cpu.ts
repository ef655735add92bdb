/** The CPU split of a document: groups of processes that share the machine's cores. */
import { z } from 'zod';

/** A directory's name below /sys/fs/cgroup. */
export const cpuGroupNamePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

export const CpuGroupNameSchema = z
  .string()
  .regex(
    cpuGroupNamePattern,
    'a group’s name has 1 to 63 letters, digits, `.`, `_` or `-` and starts with a letter or digit',
  );

/** `A/A1`; `/` is the root, which holds all groups. */
export const CpuGroupPathSchema = z
  .string()
  .max(4096)
  .regex(
    /^(\/|[A-Za-z0-9][A-Za-z0-9_.-]*(\/[A-Za-z0-9][A-Za-z0-9_.-]*)*)$/,
    'a group is named by its path, such as `A/A1`; `/` is the root',
  );

/** What a group is limited to, and the groups in it. */
export interface CpuGroupSettings {
  cap?: number | undefined;
  period?: number | undefined;
  burst?: number | undefined;
  weight?: number | undefined;
  idle?: boolean | undefined;
  pins?: number | string | undefined;
  partition?: 'root' | 'isolated' | undefined;
  groups?: Record<string, CpuGroupSettings> | undefined;
}

export const CpuGroupSettingsSchema: z.ZodType<CpuGroupSettings> = z.lazy(() =>
  z.strictObject({
    /** Cores that it may use at most, averaged over a period. */
    cap: z.number().min(0.001).max(100_000).optional(),
    /** Milliseconds over which the cap counts; 100 unless said otherwise. */
    period: z.number().min(1).max(1000).multipleOf(0.001).optional(),
    /** Cores above the cap in one period, as far as it has saved them up before. */
    burst: z.number().min(0).max(100_000).optional(),
    /** Its part of what its siblings contend for; 100 unless said otherwise. */
    weight: z.number().int().min(1).max(10_000).optional(),
    /** Runs only when nobody else wants to. */
    idle: z.boolean().optional(),
    /** CPUs that it may run on, such as `0-3,8`. */
    pins: z
      .union([
        z.number().int().min(0).max(8191),
        z
          .string()
          .max(4096)
          .regex(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'pins are CPUs such as `0-3,8`'),
      ])
      .optional(),
    /** Nobody else runs on its pins; `isolated` also takes them out of load balancing. */
    partition: z.enum(['root', 'isolated']).optional(),
    groups: z.record(CpuGroupNameSchema, CpuGroupSettingsSchema).optional(),
  }),
);

export const CpuSettingsSchema = z.strictObject({
  /** CPUs of the machine that the split is for; those of the machine that it is applied on unless said. */
  cores: z.number().int().min(1).max(8192).optional(),
  groups: z.record(CpuGroupNameSchema, CpuGroupSettingsSchema),
});
export type CpuSettings = z.infer<typeof CpuSettingsSchema>;
