/**
 * CPU groups and CPUs as they are in one moment, with what they have used since the moment before. Sampled only while
 * somebody watches (`cpu.watch`).
 */
import { z } from 'zod';
import { CpuGroupPathSchema } from './document-cpu.ts';
import { LabNameSchema } from './names.ts';
import { FailureSchema } from './result.ts';

const CountSchema = z.number().min(0);
/** 0 to 1. */
const ShareSchema = z.number().min(0).max(1);

/** What is the matter with a group; several may be at once. */
export const cpuGroupConditions = [
  /** Its own cap stops it in nearly every period. */
  'at-cap',
  /** A group around it has used its cap up: `heldBy` names it. */
  'held-back',
  /** It waits for CPUs although no cap stops it, and gets less than is its own under contention. */
  'starved',
  /** It runs on CPUs that its pins do not name, since none of those is to be had. */
  'pins-lost',
  /** It is to have its CPUs for itself, and the kernel has made its partition invalid. */
  'partition-ended',
  /** Its limits are gone: somebody has taken the controller away, and nothing holds it. */
  'limits-gone',
  /** Its limits are not those of the document in force: somebody else has written them. */
  'changed-outside',
  /** Its directory is not there. */
  'gone',
] as const;
export type CpuGroupCondition = (typeof cpuGroupConditions)[number];

/** Limits as the kernel shows them. What a kernel does not count is null, and so is what takes a sample before it. */
export const CpuGroupSampleSchema = z.strictObject({
  /** Path in the lab's split; the root's is empty. */
  group: z.string(),
  /** Cores; null without a cap of its own. */
  cap: z.number().nullable(),
  weight: z.number(),
  idle: z.boolean(),
  /** List of CPUs; empty is what the parent has. */
  pins: z.string(),
  /** List of CPUs that it can run on now; empty where the kernel does not say. */
  cpus: z.string(),
  /** Cores that are its own when all groups contend. Computed; the kernel reserves nothing. */
  guaranteed: z.number(),
  /** Cores that it and the groups in it used. */
  use: CountSchema.nullable(),
  /** Share of its periods in which its own cap stopped it. */
  throttled: ShareSchema.nullable(),
  /** CPU-seconds a second that it lost to its own cap; above 1 where several CPUs stood still. */
  throttledTime: CountSchema.nullable(),
  /** Share of the time in which some, or all, of its processes waited for a CPU (PSI). */
  pressure: z.strictObject({ some: ShareSchema, full: ShareSchema }).nullable(),
  /** Processes that are its own, not its groups'. */
  processes: CountSchema,
  conditions: z.array(z.enum(cpuGroupConditions)),
  /** Path of the group whose cap holds it back; null for none. */
  heldBy: z.string().nullable(),
});
export type CpuGroupSample = z.infer<typeof CpuGroupSampleSchema>;

/** A CPU that is online. `core` counts within its socket: CPUs of one core and socket share its pipelines. */
export const CpuSampleSchema = z.strictObject({
  cpu: z.number().int(),
  core: z.number().int(),
  socket: z.number().int(),
  /** NUMA node. */
  node: z.number().int(),
  /** Share of the time in which it was not idle. */
  use: ShareSchema.nullable(),
});
export type CpuSample = z.infer<typeof CpuSampleSchema>;

export const CpuProcessSampleSchema = z.strictObject({
  /** As seen in the realm. */
  pid: z.number().int(),
  /** As the kernel has it: at most 15 bytes, which the process may have chosen. */
  name: z.string(),
  /** The group that it is in. */
  group: z.string(),
  /** Cores over the last second: the kernel counts processes in hundredths of one. */
  use: CountSchema.nullable(),
});
export type CpuProcessSample = z.infer<typeof CpuProcessSampleSchema>;

/** Processes are listed up to this number; how many there are, the groups say. */
export const maximumCpuProcesses = 200;

export const CpuMachineSampleSchema = z.strictObject({
  /** Milliseconds of a clock that only runs forwards. */
  time: z.number(),
  /** Milliseconds since the sample before; 0 for the first one, which has no use yet. */
  since: z.number(),
  cpus: z.array(CpuSampleSchema),
  /** Parents before children; empty without a lab, or where it has no split. */
  groups: z.array(CpuGroupSampleSchema),
  /** Those that are in groups of the lab. */
  processes: z.array(CpuProcessSampleSchema),
});
export type CpuMachineSample = z.infer<typeof CpuMachineSampleSchema>;

export const CpuWatchSchema = z.strictObject({
  /** Null is the machine alone. */
  lab: LabNameSchema.nullable(),
  /** Milliseconds between two samples. */
  interval: z.number().int().min(100).max(60_000),
});
export type CpuWatch = z.infer<typeof CpuWatchSchema>;

const PidSchema = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1);

/** Processes that are to be in a group of a lab that is up, with all their threads. */
export const CpuBindSchema = z.strictObject({
  lab: LabNameSchema,
  /** `/` is the root; null puts them back where they were before they were bound. */
  group: CpuGroupPathSchema.nullable(),
  /** As seen in the realm. */
  pids: z.array(PidSchema).min(1).max(1000),
  /** With all that they have started, and what that has. */
  descendants: z.boolean(),
});
export type CpuBind = z.infer<typeof CpuBindSchema>;

export const CpuBoundSchema = z.strictObject({
  /** What is there now, read back; one that has ended meanwhile is missing. */
  processes: z.array(
    z.strictObject({
      pid: PidSchema,
      name: z.string(),
      /** False for one that was there before. */
      moved: z.boolean(),
    }),
  ),
});
export type CpuBound = z.infer<typeof CpuBoundSchema>;

/** A process that could be bound, or why it could not. */
export const CpuCandidateSchema = z.strictObject({
  pid: PidSchema,
  parent: z.number().int().min(0),
  name: z.string(),
  /** The command line, cut to 300 characters; empty for a kernel thread. */
  command: z.string(),
  uid: z.number().int().min(0),
  /** Name below /run/netns of its network namespace; null is the realm's own, or one without a name. */
  namespace: z.string().nullable(),
  /** The group of the lab that it is in; null is none. */
  group: z.string().nullable(),
  refusal: FailureSchema.nullable(),
});
export type CpuCandidate = z.infer<typeof CpuCandidateSchema>;

/** More are not listed; the lowest pids are. */
export const maximumCpuCandidates = 4000;
