import { describe, expect, it } from 'vitest';
import { firstCpus } from '../../../agent/cpu/cpu-list.ts';
import { paperSplitOf } from '../../../agent/lab/cpu-paper.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { scaleSplit } from '../../../agent/lab/scale-cpu.ts';

const text = `netloom: 1
name: lab
topology: { nodes: {} }
cpu:
  cores: 16 # of the server
  groups:
    A: { cap: 8, groups: { A1: { cap: 3 }, A2: { cap: 3 }, A3: { cap: 2 } } }
    B: { cap: 4, burst: 1 }
    C: { cap: 2, weight: 300 }
    D: { cap: 2 }
`;

function documentOf(source: string) {
  const { document, problems } = readDocument(source);
  expect(problems).toEqual([]);
  if (document === null) throw new Error('refused');
  return document;
}

describe('a split on paper', () => {
  it('has the numbers of the document and the writes that make it so', () => {
    const split = paperSplitOf(documentOf(text), firstCpus(2));
    expect(split?.cpus).toHaveLength(16);
    expect(
      split?.groups.map(({ group, ceiling, limits }) => [group, ceiling, limits.quota]),
    ).toEqual([
      ['', 16, null],
      ['A', 8, 800_000],
      ['A/A1', 3, 300_000],
      ['A/A2', 3, 300_000],
      ['A/A3', 2, 200_000],
      ['B', 4, 400_000],
      ['C', 2, 200_000],
      ['D', 2, 200_000],
    ]);
    const commands = split?.steps.flatMap((step) => step.commands) ?? [];
    expect(commands.slice(0, 6)).toEqual([
      "echo '+cpu +cpuset' > /sys/fs/cgroup/cgroup.subtree_control",
      'mkdir /sys/fs/cgroup/netloom.lab',
      'mkdir /sys/fs/cgroup/netloom.lab/_self',
      expect.stringContaining('netloom.lab/cgroup.procs'),
      "echo '+cpu +cpuset' > /sys/fs/cgroup/netloom.lab/cgroup.subtree_control",
      'mkdir /sys/fs/cgroup/netloom.lab/A',
    ]);
    expect(commands).toContain("echo '300000 100000' > /sys/fs/cgroup/netloom.lab/A/A1/cpu.max");
    expect(commands).toContain('echo 100000 > /sys/fs/cgroup/netloom.lab/B/cpu.max.burst');
  });

  it('takes CPUs for itself last, from the outside in, and its commands look whether the kernel has given them', () => {
    const alone = `netloom: 1
name: lab
topology: { nodes: {} }
cpu: { cores: 16, groups: { A: { pins: 0-3, partition: isolated }, B: { pins: 4-5 } } }
`;
    const split = paperSplitOf(documentOf(alone), []);
    const commands = split?.steps.flatMap((step) => step.commands) ?? [];
    const at = '/sys/fs/cgroup/netloom.lab';
    expect(commands).toContain(`echo 0-5 > ${at}/cpuset.cpus`);
    expect(commands.slice(-2)).toEqual([
      `echo root > ${at}/cpuset.cpus.partition && grep -qx root ${at}/cpuset.cpus.partition`,
      `echo isolated > ${at}/A/cpuset.cpus.partition && grep -qx isolated ${at}/A/cpuset.cpus.partition`,
    ]);
    expect(split?.steps.at(-1)?.changes).toEqual([
      { field: 'partition', before: 'member', after: 'isolated' },
    ]);
    const refusals = (cores: number) =>
      planLab({
        lab: 'lab',
        desired: documentOf(alone.replace('cores: 16', `cores: ${cores}`)),
        base: null,
        inventory: { sequence: 0, namespaces: [], links: [], routes: [], engines: [] },
      }).refusals.map(({ code }) => code);
    expect(refusals(16)).toEqual([]);
    expect(refusals(6)).toEqual(['cpu-partition-takes-all']);
  });

  it('is planned against nothing as it is planned for the machine that it is for', () => {
    const { steps, refusals } = planLab({
      lab: 'lab',
      desired: documentOf(text),
      base: null,
      inventory: { sequence: 0, namespaces: [], links: [], routes: [], engines: [] },
    });
    expect(refusals).toEqual([]);
    expect(steps.map(({ label }) => label)).toEqual(
      paperSplitOf(documentOf(text), [])?.steps.map(({ label }) => label),
    );
  });

  it('becomes one for fewer CPUs in proportion, with its comments', () => {
    const scaled = scaleSplit(text, documentOf(text), 2);
    if (!scaled.ok) throw new Error(scaled.failure.reason);
    expect(scaled.value).toContain('# of the server');
    const document = documentOf(scaled.value);
    expect(document.cpu).toEqual({
      cores: 2,
      groups: {
        A: { cap: 1, groups: { A1: { cap: 0.375 }, A2: { cap: 0.375 }, A3: { cap: 0.25 } } },
        B: { cap: 0.5, burst: 0.125 },
        C: { cap: 0.25, weight: 300 },
        D: { cap: 0.25 },
      },
    });
  });

  it('is refused where a cap would become smaller than the kernel’s least', () => {
    const tiny = text.replace('cap: 2, weight', 'cap: 0.005, weight');
    expect(scaleSplit(tiny, documentOf(tiny), 2)).toMatchObject({
      ok: false,
      failure: { code: 'cpu-scaled-too-small', object: 'C' },
    });
    const same = text.replace('cores: 16', 'cores: 2');
    expect(scaleSplit(same, documentOf(same), 2)).toEqual({ ok: true, value: same });
  });
});
