/** What the kernel holds of a group, as one shape for both versions of control groups. */
import { z } from 'zod';
import { equalData } from '../api/equal-data.ts';
import { formatCpuList } from './cpu-list.ts';
import { type CpuGroup, defaultWeight } from './group.ts';
import { defaultPeriod, quotaOf } from './quota.ts';

export const CpuLimitsSchema = z.strictObject({
  /** Microseconds in each period; null is no cap. */
  quota: z.number().int().nullable(),
  /** Microseconds. */
  period: z.number().int(),
  /** Microseconds. */
  burst: z.number().int(),
  /** 100 while idle: it is that again when idle ends. Not whole where somebody has set shares that no weight gives. */
  weight: z.number(),
  idle: z.boolean(),
  /** List of CPUs; empty is what the parent has. */
  cpus: z.string(),
  /** As cpuset.cpus.partition reads, with the reason where it is invalid. */
  partition: z.string(),
});
export type CpuLimits = z.infer<typeof CpuLimitsSchema>;

export const SomeCpuLimitsSchema = CpuLimitsSchema.partial();
export type SomeCpuLimits = Readonly<z.infer<typeof SomeCpuLimitsSchema>>;

/** A group as the kernel makes it. */
export const initialLimits: CpuLimits = {
  quota: null,
  period: defaultPeriod,
  burst: 0,
  weight: defaultWeight,
  idle: false,
  cpus: '',
  partition: 'member',
};

export function withChange(limits: CpuLimits, change: SomeCpuLimits): CpuLimits {
  return {
    quota: change.quota === undefined ? limits.quota : change.quota,
    period: change.period ?? limits.period,
    burst: change.burst ?? limits.burst,
    weight: change.weight ?? limits.weight,
    idle: change.idle ?? limits.idle,
    cpus: change.cpus ?? limits.cpus,
    partition: change.partition ?? limits.partition,
  };
}

/** Whether every field that a change has is so already. */
export function shows(limits: CpuLimits, change: SomeCpuLimits): boolean {
  return equalData(limits, withChange(limits, change));
}

/** An invalid partition is one in name only: its group shares its CPUs as before. */
export function partitionInForce(partition: string): string {
  return partition.includes(' ') ? 'member' : partition;
}

/** What a group of a document is to have. Throws for a cap that the validator lets nobody write. */
export function limitsOf(group: CpuGroup): CpuLimits {
  const quota = quotaOf(group.cap, group.period);
  if (quota === null) throw new Error(`no quota for ${group.cap} cores`);
  return {
    ...quota,
    burst: Math.round(group.burst * quota.period),
    weight: group.idle ? defaultWeight : group.weight,
    idle: group.idle,
    cpus: group.pins === null ? '' : formatCpuList(group.pins),
    partition: group.exclusivity === 'shared' ? 'member' : group.exclusivity,
  };
}
