import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCpuList, parseCpuList } from '../../../agent/cpu/cpu-list.ts';
import { coresOf, maximumQuota, minimumCores, quotaOf, ratioOf } from '../../../agent/cpu/quota.ts';
import { cpuSets, seeded } from './random-splits.ts';

describe('a cap in cores', () => {
  it('is a quota in the kernel’s default period', () => {
    expect(quotaOf(8)).toEqual({ quota: 800_000, period: 100_000 });
    expect(quotaOf(0.5)).toEqual({ quota: 50_000, period: 100_000 });
    expect(quotaOf(2.66667)).toEqual({ quota: 266_667, period: 100_000 });
    expect(quotaOf(null)).toEqual({ quota: null, period: 100_000 });
  });

  it('gets a longer period where the quota would be too short, down to a thousandth of a core', () => {
    expect(quotaOf(0.005)).toEqual({ quota: 1000, period: 200_000 });
    expect(quotaOf(0.001)).toEqual({ quota: 1000, period: 1_000_000 });
    expect(quotaOf(0.0009)).toBeNull();
    expect(quotaOf(Number.NaN)).toBeNull();
    expect(quotaOf(3e8)).toBeNull();
  });

  it('always is within what the kernel takes, and within a quarter of a per cent of what was asked', () => {
    const cores = fc.double({ min: minimumCores, max: 10_000, noNaN: true });
    fc.assert(
      fc.property(cores, fc.integer({ min: 1000, max: 1_000_000 }), (wanted, asked) => {
        const written = quotaOf(wanted, asked);
        if (written === null || written.quota === null) throw new Error('refused');
        expect(Number.isInteger(written.quota)).toBe(true);
        expect(Number.isInteger(written.period)).toBe(true);
        expect(written.quota).toBeGreaterThanOrEqual(1000);
        expect(written.quota).toBeLessThanOrEqual(maximumQuota);
        expect(written.period).toBeGreaterThanOrEqual(1000);
        expect(written.period).toBeLessThanOrEqual(1_000_000);
        expect(Math.abs((coresOf(written) ?? 0) / wanted - 1)).toBeLessThanOrEqual(0.0025);
      }),
      seeded,
    );
  });

  it('is compared by cgroup v1 in units of 2^-20', () => {
    expect(ratioOf({ quota: 800_000, period: 100_000 })).toBe(8 * 2 ** 20);
    expect(ratioOf({ quota: 800_001, period: 100_000 })).toBeGreaterThan(8 * 2 ** 20);
    expect(ratioOf({ quota: null, period: 100_000 })).toBe(Infinity);
  });
});

describe('a list of CPUs', () => {
  it('is read in one form only', () => {
    expect(parseCpuList('0-3,8')).toEqual([0, 1, 2, 3, 8]);
    expect(parseCpuList('')).toEqual([]);
    for (const wrong of ['3-1', '0-', 'a', '0 1', '0-15:2/4', 'all', 'N', '0,,1', ' 0', '9000']) {
      expect(parseCpuList(wrong), wrong).toBeNull();
    }
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(cpuSets, (cpus) => {
        expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus);
      }),
      seeded,
    );
  });
});
