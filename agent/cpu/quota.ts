/** Cores as the kernel's pair of numbers, and back (kernel/sched/core.c, tg_set_cfs_bandwidth). Microseconds. */

/** What a group may run in each period, on all CPUs together. */
export interface Quota {
  /** Null is no cap. */
  readonly quota: number | null;
  readonly period: number;
}

export const defaultPeriod = 100_000;
export const minimumPeriod = 1000;
export const maximumPeriod = 1_000_000;
/** min_cfs_quota_period: no quota is shorter. */
export const minimumQuota = 1000;
/** max_cfs_runtime: (2^44 - 1) microseconds. */
export const maximumQuota = 2 ** 44 - 1;
/** The shortest quota in the longest period. */
export const minimumCores = minimumQuota / maximumPeriod;

/**
 * The quota for so many cores. A cap too small for its period gets a longer one. Null below a thousandth of a core, where
 * there is none, and above what a quota can say.
 */
export function quotaOf(cores: number | null, period = defaultPeriod): Quota | null {
  if (cores === null) return { quota: null, period };
  if (!(cores >= minimumCores)) return null;
  const quota = Math.round(cores * period);
  if (quota > maximumQuota) return null;
  if (quota >= minimumQuota) return { quota, period };
  const stretched = Math.min(maximumPeriod, Math.ceil(minimumQuota / cores));
  return { quota: minimumQuota, period: stretched };
}

export function coresOf({ quota, period }: Quota): number | null {
  return quota === null ? null : quota / period;
}

/**
 * The ratio that cgroup v1 compares: no child's may be above its parent's (to_ratio, BW_SHIFT 20). Infinite without a cap.
 */
export function ratioOf({ quota, period }: Quota): number {
  return quota === null ? Infinity : Math.floor((quota * 2 ** 20) / period);
}
