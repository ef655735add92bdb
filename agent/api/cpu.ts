/** CPU groups as they are, with what they use. */
import { z } from 'zod';

const CountSchema = z.number().min(0);

/** Counters since the group was made; what a kernel or a hierarchy does not have is null. */
export const CpuGroupStateSchema = z.strictObject({
  /** Path in the lab's split; the root's is empty. */
  group: z.string(),
  /** Cores; null without a cap. */
  cap: z.number().nullable(),
  weight: z.number(),
  idle: z.boolean(),
  /** List of CPUs; empty is what the parent has. */
  pins: z.string(),
  /** Processes that are its own, not its groups'. */
  processes: CountSchema,
  /** Microseconds on all CPUs together, its groups' too. */
  usage: CountSchema.nullable(),
  /** Periods in which something wanted to run, and those in which its own cap stopped it. */
  periods: CountSchema,
  throttled: CountSchema,
  /** Microseconds of all CPUs together; more than the time that passed where several stood still. */
  throttledTime: CountSchema,
  /** Per cent of the last ten seconds in which some, or all, of its processes waited for a CPU. */
  pressure: z.strictObject({ some: z.number(), full: z.number() }).nullable(),
});
export type CpuGroupState = z.infer<typeof CpuGroupStateSchema>;

export const CpuGroupStatesSchema = z.strictObject({
  /** Milliseconds of a clock that only runs forwards. */
  time: z.number(),
  groups: z.array(CpuGroupStateSchema),
});
export type CpuGroupStates = z.infer<typeof CpuGroupStatesSchema>;
