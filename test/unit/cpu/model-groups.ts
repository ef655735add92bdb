/**
 * Control groups as the kernel's rules have them (tg_cfs_schedulable_down, tg_set_cfs_bandwidth, validate_change of cpuset),
 * without a kernel: every operation is checked as the kernel would, file by file.
 */
import {
  type CpuSet,
  formatCpuList,
  isSubset,
  overlaps,
  parseCpuList,
} from '../../../agent/cpu/cpu-list.ts';
import { writesFor } from '../../../agent/cpu/files.ts';
import { type GroupPath, joinPath, parentPath } from '../../../agent/cpu/group.ts';
import {
  type CpuLimits,
  initialLimits,
  type SomeCpuLimits,
  withChange,
} from '../../../agent/cpu/limits.ts';
import type { CpuHierarchy, CpuMachine } from '../../../agent/cpu/machine.ts';
import type { CpuGroupOperation } from '../../../agent/cpu/operation.ts';

interface ModelGroup {
  limits: CpuLimits;
  open: boolean;
}

export class ModelGroups {
  readonly version: 1 | 2;
  private readonly cpus: CpuSet;
  private readonly groups = new Map<GroupPath, ModelGroup>();

  constructor(version: 1 | 2, cpus: CpuSet) {
    this.version = version;
    this.cpus = cpus;
  }

  machine(): CpuMachine {
    const controllers = ['cpu', 'cpuset'] as const;
    const hierarchy: CpuHierarchy = { version: this.version, controllers, base: '/', place: '' };
    return {
      cpus: this.cpus,
      hierarchies: [hierarchy],
      features: { burst: true, idle: true, partitions: true },
      groups: new Map(
        [...this.groups].map(([path, { limits, open }]) => [
          path,
          { limits, open, complete: true },
        ]),
      ),
    };
  }

  state(): string {
    return JSON.stringify([...this.groups].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  carryOut(operation: CpuGroupOperation): void {
    if (operation.kind === 'move-process') throw new Error('none is here');
    const { group } = operation;
    const parent = parentPath(group);
    switch (operation.kind) {
      case 'add-cpu-group': {
        if (this.groups.has(group)) throw new Error(`${group} is there`);
        // Its controllers' files would not be there.
        if (parent !== null && this.groups.get(parent)?.open !== true)
          throw new Error(`${group}: closed`);
        const cpus = this.version === 1 ? operation.limits.cpus : '';
        this.groups.set(group, { limits: { ...initialLimits, cpus }, open: false });
        this.change(group, operation.limits);
        return;
      }
      case 'remove-cpu-group':
        if (this.childrenOf(group).length > 0) throw new Error(`${group}: EBUSY`);
        if (this.at(group).open) throw new Error(`${group} has its own place still`);
        this.groups.delete(group);
        return;
      case 'open-cpu-group':
        if (this.at(group).open) throw new Error(`${group} is open`);
        this.at(group).open = true;
        return;
      case 'close-cpu-group':
        if (this.childrenOf(group).length > 0) throw new Error(`${group}: children lose limits`);
        this.at(group).open = false;
        return;
      case 'change-cpu-group': {
        const { limits } = this.at(group);
        if (JSON.stringify(withChange(limits, operation.before)) !== JSON.stringify(limits)) {
          throw new Error(`${group} is not as the operation has it before`);
        }
        this.change(group, operation.after);
        return;
      }
    }
  }

  private change(group: GroupPath, change: SomeCpuLimits): void {
    const [hierarchy] = this.machine().hierarchies;
    const own = this.at(group);
    const after = withChange(own.limits, change);
    if (hierarchy === undefined) return;
    const files: Record<string, (text: string) => void> = {
      'cpu.max': (text) => {
        const [quota = '', period = ''] = text.split(' ');
        own.limits = {
          ...own.limits,
          quota: quota === 'max' ? null : Number(quota),
          period: Number(period),
        };
      },
      'cpu.cfs_quota_us': (text) => {
        own.limits = { ...own.limits, quota: text === '-1' ? null : Number(text) };
      },
      'cpu.cfs_period_us': (text) => {
        own.limits = { ...own.limits, period: Number(text) };
      },
      'cpuset.cpus': (text) => {
        own.limits = { ...own.limits, cpus: text };
      },
      'cpuset.cpus.partition': (text) => {
        own.limits = { ...own.limits, partition: text };
      },
    };
    for (const { file, text } of writesFor(hierarchy, own.limits, change)) {
      const write = files[file];
      if (write !== undefined) write(text);
      else if (file.includes('burst')) own.limits = { ...own.limits, burst: Number(text) };
      else if (file === 'cpu.idle') own.limits = { ...own.limits, idle: text === '1', weight: 100 };
      else if (file === 'cpu.weight' || file === 'cpu.shares') {
        if (own.limits.idle) throw new Error(`${group}: EINVAL, a weight while idle`);
        own.limits = { ...own.limits, weight: after.weight };
      } else throw new Error(`nobody knows ${file}`);
      this.check(`${group} ${file} ${text}`);
    }
  }

  private check(what: string): void {
    for (const [path, { limits }] of this.groups) {
      const { quota, period, burst } = limits;
      if (quota !== null && (quota < 1000 || burst > quota))
        throw new Error(`${what}: EINVAL, ${path}`);
      if (period < 1000 || period > 1_000_000) throw new Error(`${what}: EINVAL, ${path}`);
      if (this.version === 2) {
        if (limits.partition !== 'member') this.checkPartition(path, what);
        continue;
      }
      const parent = parentPath(path);
      if (quota !== null && parent !== null && this.ratio(path) > this.ratio(parent)) {
        throw new Error(`${what}: EINVAL, ${path} has more than its parent`);
      }
      const around = parent === null ? formatCpuList(this.cpus) : this.at(parent).limits.cpus;
      if (!isSubset(parseCpuList(limits.cpus) ?? [], parseCpuList(around) ?? [])) {
        throw new Error(`${what}: EACCES or EBUSY, ${path} is not within ${around}`);
      }
      if (limits.cpus === '') throw new Error(`${what}: ENOSPC, ${path}`);
    }
  }

  /** What makes one invalid without a word (update_parent_subparts_cpumask, validate_change). */
  private checkPartition(path: GroupPath, what: string): void {
    const of = (group: GroupPath): CpuSet => parseCpuList(this.at(group).limits.cpus) ?? [];
    const own = of(path);
    const parent = parentPath(path);
    const around = parent === null ? this.cpus : of(parent);
    if (parent !== null && this.at(parent).limits.partition === 'member') {
      throw new Error(`${what}: ${path} is in no partition`);
    }
    const isWhole = parent === null && own.length === around.length;
    if (own.length === 0 || !isSubset(own, around) || isWhole) {
      throw new Error(`${what}: ${path} cannot have ${formatCpuList(own)}`);
    }
    for (const other of parent === null ? [] : this.childrenOf(parent)) {
      if (other === path || !overlaps(own, of(other))) continue;
      throw new Error(`${what}: ${path} is not exclusive beside ${other}`);
    }
  }

  /** The effective one: without a quota of its own a group has its parent's. */
  private ratio(path: GroupPath): number {
    const { quota, period } = this.at(path).limits;
    if (quota !== null) return Math.floor((quota * 2 ** 20) / period);
    const parent = parentPath(path);
    return parent === null ? Infinity : this.ratio(parent);
  }

  private childrenOf(group: GroupPath): readonly GroupPath[] {
    return [...this.groups.keys()].filter((path) => path !== '' && parentPath(path) === group);
  }

  private at(group: GroupPath): ModelGroup {
    const found = this.groups.get(group);
    if (found === undefined) throw new Error(`${joinPath(group, '')} is not there`);
    return found;
  }
}
