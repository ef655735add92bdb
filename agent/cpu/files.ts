/** The files of a group: what is written into them and how they read. Texts only; nothing is opened here. */
import { formatCpuList, parseCpuList } from './cpu-list.ts';
import {
  type CpuLimits,
  initialLimits,
  partitionInForce,
  type SomeCpuLimits,
  withChange,
} from './limits.ts';
import type { CpuHierarchy } from './machine.ts';

export interface FileWrite {
  readonly file: string;
  /** Without the line's end. */
  readonly text: string;
}

/** cpu.weight as cpu.shares of cgroup v1 (systemd's and the kernel's own rule: 100 is 1024). */
export function sharesOf(weight: number): number {
  return Math.max(2, Math.round((weight * 1024) / 100));
}

/** Not whole for shares that no weight gives. */
export function weightOf(shares: number): number {
  const weight = Math.max(1, Math.round((shares * 100) / 1024));
  return sharesOf(weight) === shares ? weight : (shares * 100) / 1024;
}

/**
 * What leads from one state of a group to another, in an order that the kernel takes: `after` holds what is to change, and
 * nothing that is the same is written, since every write of a quota fills it up again.
 */
export function writesFor(
  { version, controllers }: CpuHierarchy,
  before: CpuLimits,
  change: SomeCpuLimits,
): readonly FileWrite[] {
  const after = withChange(before, change);
  const writes: FileWrite[] = [];
  const write = (file: string, text: string | number): void => {
    writes.push({ file, text: String(text) });
  };
  if (controllers.includes('cpu')) {
    const capChanges = before.quota !== after.quota || before.period !== after.period;
    const burst = version === 2 ? 'cpu.max.burst' : 'cpu.cfs_burst_us';
    // Never above the quota, not even for a moment.
    if (after.burst < before.burst) write(burst, after.burst);
    if (capChanges && version === 2) write('cpu.max', `${after.quota ?? 'max'} ${after.period}`);
    if (capChanges && version === 1) {
      const periodChanges = before.period !== after.period;
      // Of quota and period each is checked with the other's old value: without a quota there is nothing to check.
      if (after.quota === null || (periodChanges && before.quota !== null)) {
        write('cpu.cfs_quota_us', -1);
      }
      if (periodChanges) write('cpu.cfs_period_us', after.period);
      if (after.quota !== null) write('cpu.cfs_quota_us', after.quota);
    }
    if (after.burst > before.burst) write(burst, after.burst);
    const weightNow = before.idle && !after.idle ? initialLimits.weight : before.weight;
    if (before.idle !== after.idle) write('cpu.idle', after.idle ? 1 : 0);
    if (!after.idle && after.weight !== weightNow) {
      if (version === 2) write('cpu.weight', after.weight);
      else write('cpu.shares', sharesOf(after.weight));
    }
  }
  if (controllers.includes('cpuset')) {
    if (before.cpus !== after.cpus) write('cpuset.cpus', after.cpus);
    if (version === 2 && before.partition !== after.partition) {
      // One that has become invalid is not looked at again before it was a member (update_prstate of Linux 6.1).
      const isInvalid = before.partition !== partitionInForce(before.partition);
      if (isInvalid && after.partition !== 'member') write('cpuset.cpus.partition', 'member');
      write('cpuset.cpus.partition', after.partition);
    }
  }
  return writes;
}

/** What the files of a group say; undefined for one that is not there. */
export type ReadFile = (file: string) => string | undefined;

/** Limits that a hierarchy knows. A file that is not there says what a new group would have. */
export function readLimits({ version, controllers }: CpuHierarchy, read: ReadFile): SomeCpuLimits {
  const number = (file: string): number | undefined => {
    const text = read(file)?.trim();
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  };
  const limits: { -readonly [Key in keyof CpuLimits]?: CpuLimits[Key] } = {};
  if (controllers.includes('cpu')) {
    const idle = number('cpu.idle') === 1;
    limits.idle = idle;
    if (version === 2) {
      const [quota, period] = (read('cpu.max') ?? 'max 100000').trim().split(' ');
      limits.quota = quota === 'max' ? null : Number(quota);
      limits.period = Number(period ?? initialLimits.period);
      limits.burst = number('cpu.max.burst') ?? 0;
      limits.weight = number('cpu.weight') ?? initialLimits.weight;
    } else {
      const quota = number('cpu.cfs_quota_us') ?? -1;
      limits.quota = quota < 0 ? null : quota;
      limits.period = number('cpu.cfs_period_us') ?? initialLimits.period;
      limits.burst = number('cpu.cfs_burst_us') ?? 0;
      limits.weight = weightOf(number('cpu.shares') ?? 1024);
    }
    if (idle) limits.weight = initialLimits.weight;
  }
  if (controllers.includes('cpuset')) {
    limits.cpus = canonical(read('cpuset.cpus')?.trim() ?? '');
    limits.partition =
      version === 2 ? (read('cpuset.cpus.partition')?.trim() ?? 'member') : 'member';
  }
  return limits;
}

function canonical(text: string): string {
  const cpus = parseCpuList(text);
  return cpus === null ? text : formatCpuList(cpus);
}
