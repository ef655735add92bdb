import { describe, expect, it } from 'vitest';
import {
  directoryOfProcess,
  hierarchiesBelow,
  layoutOf,
  parseProcessCgroups,
} from '../../../agent/kernel/cgroup-hierarchies.ts';
import { parseMountInfo } from '../../../agent/kernel/mounts.ts';

/** As proc(5) has the lines; those of file systems in between do not count. */
const unified = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;
const legacy = `32 31 0:29 /docker/x /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
33 31 0:30 /docker/x /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct
34 31 0:31 /docker/x /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
`;

const layout = (text: string, offered: Readonly<Record<string, string>> = {}) =>
  layoutOf(parseMountInfo(text), (file) => offered[file]);

describe('the hierarchies of control groups', () => {
  it('are one where cgroup v2 has everything', () => {
    const found = layout(unified, {
      '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
    });
    expect(found).toEqual({
      mode: 'v2',
      hierarchies: [
        { version: 2, controllers: ['cpu', 'cpuset'], mountPoint: '/sys/fs/cgroup', root: '/' },
      ],
    });
  });

  it('are found for each controller where both versions are there', () => {
    const found = layout(hybrid, {
      '/sys/fs/cgroup/unified/cgroup.controllers': 'cpuset hugetlb',
    });
    expect(found.mode).toBe('hybrid');
    expect(found.hierarchies.map(({ version, controllers }) => [version, controllers])).toEqual([
      [1, ['cpu', 'cpuacct']],
      [2, ['cpuset']],
    ]);
  });

  it('are none where no mount has our controllers', () => {
    expect(layout('')).toEqual({ mode: 'none', hierarchies: [] });
    expect(layout(unified, { '/sys/fs/cgroup/cgroup.controllers': 'memory' })).toMatchObject({
      mode: 'v2',
      hierarchies: [],
    });
  });

  it('have places below a group that was set aside, as files and as /proc/PID/cgroup name them', () => {
    const found = layout(legacy);
    expect(found.mode).toBe('v1');
    expect(hierarchiesBelow(found, '/own.service').map(({ base, place }) => [base, place])).toEqual(
      [
        ['/sys/fs/cgroup/cpu/own.service', '/docker/x/own.service'],
        ['/sys/fs/cgroup/cpuacct/own.service', '/docker/x/own.service'],
        ['/sys/fs/cgroup/cpuset/own.service', '/docker/x/own.service'],
      ],
    );
    expect(hierarchiesBelow(layout(unified), '/')).toEqual([]);
  });

  it('tell where a process is, unless its group lies outside what is mounted', () => {
    const places = parseProcessCgroups('2:cpu,cpuacct:/docker/x/a:b\n1:name=systemd:/\n0::/\n');
    expect(places.get('cpuacct')).toBe('/docker/x/a:b');
    expect(places.get('')).toBe('/');
    const [cpu] = layout(legacy).hierarchies;
    if (cpu === undefined) throw new Error('none');
    expect(directoryOfProcess(cpu, places)).toBe('/sys/fs/cgroup/cpu/a:b');
    expect(directoryOfProcess(cpu, parseProcessCgroups('2:cpu:/elsewhere\n'))).toBeNull();
  });
});
