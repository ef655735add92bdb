import { describe, expect, it } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { groupOfProcess, splitOf } from '../../../agent/lab/cpu-split.ts';

const head = 'netloom: 1\nname: lab\ntopology:\n  nodes: {}\n';

/** What is wrong with a lab whose `cpu:` is this text: code and object. */
function problemsOf(cpu: string, rest = head): readonly string[] {
  const { problems } = readDocument(`${rest}cpu:\n${cpu.replace(/^/gm, '  ')}\n`);
  return problems.map(({ code, object }) => `${code} ${object}`);
}

function adviceOf(cpu: string): readonly string[] {
  const { advice, problems } = readDocument(`${head}cpu:\n${cpu.replace(/^/gm, '  ')}\n`);
  expect(problems).toEqual([]);
  return advice.map(({ code, object }) => `${code} ${object}`);
}

describe('a CPU split in a document', () => {
  it('is what the notes say', () => {
    const { document, problems, advice } = readDocument(
      `${head}cpu:
  cores: 16
  groups:
    A: { cap: 8, groups: { A1: { cap: 3 }, A2: { cap: 3 }, A3: { cap: 2 } } }
    B: { cap: 4 }
    C: { cap: 2 }
    D: { cap: 2 }
`,
    );
    expect([problems, advice]).toEqual([[], []]);
    if (document === null) throw new Error('refused');
    const split = splitOf(document, []);
    expect(split?.cpus).toHaveLength(16);
    expect(split?.root.groups.map(({ name, cap }) => [name, cap])).toEqual([
      ['A', 8],
      ['B', 4],
      ['C', 2],
      ['D', 2],
    ]);
    expect(split?.root.groups[0]?.groups.map(({ name }) => name)).toEqual(['A1', 'A2', 'A3']);
  });

  it('binds the processes of a node to the node’s group, and one to its own', () => {
    const { document, problems } = readDocument(`netloom: 1
name: lab
topology:
  nodes:
    r1:
      kind: namespace
      cpu: A
      run:
        - { name: one, command: [sleep, inf] }
        - { name: two, command: [sleep, inf], cpu: A/A1 }
        - { name: any, command: [sleep, inf], cpu: / }
    r2: { kind: namespace, run: [{ name: one, command: [sleep, inf] }] }
cpu:
  groups: { A: { groups: { A1: {} } } }
`);
    expect(problems).toEqual([]);
    if (document === null) throw new Error('refused');
    const at = (namespace: string, name: string) => groupOfProcess(document, { namespace, name });
    expect([at('r1', 'one'), at('r1', 'two'), at('r1', 'any'), at('r2', 'one')]).toEqual([
      'A',
      'A/A1',
      '',
      null,
    ]);
    const root = splitOf(document, [])?.root;
    expect([root?.direct, root?.groups[0]?.direct]).toEqual([true, true]);
  });

  it.each([
    ['cap: 0', 'cpu-cap-too-small A'],
    ['cap: -1', 'cpu-cap-too-small A'],
    ['cap: 0.0009', 'cpu-cap-too-small A'],
    ['cap: .nan', 'not-finite A'],
    ['cap: .inf', 'not-finite A'],
    ['cap: -.inf', 'not-finite A'],
    ['groups: { A1: { cap: 0 } }', 'cpu-cap-too-small A/A1'],
    ['cap: many', 'wrong-type A'],
    ['cap: "8"', 'wrong-type A'],
    ['cap: 1000001', 'out-of-range A'],
    ['period: 0.5', 'out-of-range A'],
    ['period: 1001', 'out-of-range A'],
    ['weight: 0', 'out-of-range A'],
    ['weight: 10001', 'out-of-range A'],
    ['weight: 1.5', 'wrong-type A'],
    ['idle: 1', 'wrong-type A'],
    ['idle: true, weight: 100', 'cpu-idle-with-weight A'],
    ['burst: 1', 'cpu-burst-without-cap A'],
    ['cap: 1, burst: 1.5', 'cpu-burst-above-cap A'],
    ['pins: 3-1', 'cpu-invalid-pins A'],
    ['pins: all', 'wrong-format A'],
    ['pins: "0 1"', 'wrong-format A'],
    ['pins: 0-15:2/4', 'wrong-format A'],
    ['pins: 16', 'cpu-pins-missing A'],
    ['pins: 0-99999', 'cpu-invalid-pins A'],
    ['pins: 0-3, groups: { A1: { pins: 3-4 } }', 'cpu-pins-outside-parent A/A1'],
    [
      'pins: 0-3, groups: { A1: { groups: { A11: { pins: 8 } } } }',
      'cpu-pins-outside-parent A/A1/A11',
    ],
    ['partition: root', 'cpu-partition-without-pins A'],
    ['partition: member, pins: 0', 'wrong-choice A'],
    ['limit: 8', 'unknown-key A'],
    ['wieght: 8', 'unknown-key-near A'],
    ['groups: { cpu.max: {} }', 'cpu-group-reserved A/cpu.max'],
    ['groups: { cgroup.procs: {} }', 'cpu-group-reserved A/cgroup.procs'],
    ['groups: { irq.pressure: {} }', 'cpu-group-reserved A/irq.pressure'],
    ['groups: { tasks: {} }', 'cpu-group-reserved A/tasks'],
    ['groups: { _self: {} }', 'cpu-group-name _self'],
    ['groups: { "a/b": {} }', 'cpu-group-name a/b'],
    ['groups: { "..": {} }', 'cpu-group-name ..'],
    ['groups: { "a b": {} }', 'cpu-group-name a b'],
  ])('may not have %s', (settings, problem) => {
    expect(problemsOf(`cores: 16\ngroups: { A: { ${settings} } }`)).toEqual([problem]);
  });

  it('is refused in one sentence that names object, reason and next step', () => {
    const words = (cpu: string): string =>
      readDocument(`${head}cpu:\n  ${cpu}\n`)
        .problems.map(({ object, reason, next }) => `${object}: ${reason} ${next}`)
        .join('\n');
    expect(words('groups: { A: { cap: 0.0005 } }')).toBe(
      'A: The cap of A is 0.0005 cores; the kernel’s least is 0.001, a millisecond in each second. ' +
        'Give it at least that, or leave `cap` out for none.',
    );
    expect(words('groups: { A: { cap: .nan } }')).toBe(
      'A: NaN is no number that could be used here. Write a finite number, such as 2.5.',
    );
    expect(words('groups: { tasks: {} }')).toBe(
      'tasks: The kernel has a file of the name tasks in every control group, or may have one. ' +
        'Choose a name without a controller’s name and a dot at its beginning.',
    );
    expect(words('{ cores: 16, groups: { A: { pins: 16 } } }')).toBe(
      'A: A is pinned to CPU 16, and the split is for 16 CPUs: 0 to 15. ' +
        'Pin it to CPUs that there are, or correct `cores`.',
    );
  });

  it('has the least cap that the kernel has, and names as long as they may be', () => {
    expect(
      problemsOf(`groups: { ${'a'.repeat(63)}: { cap: 0.001 }, cpux: {}, CPU.max: {} }`),
    ).toEqual([]);
    expect(problemsOf(`groups: { ${'a'.repeat(64)}: {} }`)).toEqual([
      `cpu-group-name ${'a'.repeat(64)}`,
    ]);
  });

  it.each([
    ['cores: 0\ngroups: {}', 'out-of-range cpu.cores'],
    ['cores: 2.5\ngroups: {}', 'wrong-type cpu.cores'],
    ['cores: 16', 'missing-key cpu'],
    ['groups: []', 'wrong-type cpu.groups'],
    ['groups: { A: 8 }', 'wrong-type A'],
    ['groups: { A: { pins: 0-3, partition: root }, B: { pins: 2-5 } }', 'cpu-partition-overlap A'],
    [
      'groups: { B: { pins: 0-3, partition: root }, A: { pins: 3, partition: isolated } }',
      'cpu-partition-overlap A',
    ],
    [
      'groups: { A: { pins: 0-3, groups: { A1: { pins: 0, partition: root } } } }',
      'cpu-partition-in-shared A/A1',
    ],
    ['groups: { A: { pins: 0-3, partition: root }, B: {} }', 'cpu-partition-beside-unpinned B'],
    [
      'groups: { A: { pins: 0-1, partition: root, groups: { A1: { pins: 0-1, partition: root }, A2: {} } } }',
      'cpu-partition-leaves-none A',
    ],
  ])('may not be %s', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  it('leaves a CPU to what is bound to a group whose groups have theirs for themselves', () => {
    const nodes = (group: string): string => `netloom: 1
name: lab
topology: { nodes: { r1: { kind: namespace, cpu: ${group} } } }
`;
    const alone = 'groups: { A: { pins: 0-1, partition: root } }';
    expect(problemsOf(alone, nodes('/'))).toEqual(['cpu-partition-leaves-none /']);
    expect(problemsOf(alone, nodes('A'))).toEqual([]);
    const beside = 'groups: { A: { pins: 0-1, partition: root }, B: { pins: 2 } }';
    expect(problemsOf(beside, nodes('/'))).toEqual([]);
  });

  it('has at most ten thousand groups', () => {
    const groups = (count: number): string =>
      `groups:\n${Array.from({ length: count }, (_, at) => `  g${at}: {}`).join('\n')}`;
    expect(problemsOf(groups(10_000))).toEqual([]);
    expect(problemsOf(groups(10_001))).toEqual(['cpu-too-many-groups cpu']);
  });

  it('has the groups that processes are bound to', () => {
    const nodes = `netloom: 1
name: lab
topology:
  nodes:
    r1: { kind: namespace, cpu: A/A2, run: [{ name: x, command: [sleep], cpu: B }] }
`;
    expect(problemsOf('groups: { A: {} }', nodes)).toEqual([
      'cpu-group-unknown r1',
      'cpu-group-unknown r1:x',
    ]);
    const { problems } = readDocument(nodes);
    expect(problems.map(({ code }) => code)).toEqual(['cpu-group-unknown', 'cpu-group-unknown']);
  });

  it('tells of what is allowed and does not help', () => {
    expect(
      adviceOf('cores: 16\ngroups: { A: { cap: 8, groups: { A1: { cap: 12 } } }, B: { cap: 9 } }'),
    ).toEqual(['cpu-overcommitted /', 'cpu-overcommitted A', 'cpu-cap-without-effect A/A1']);
    expect(adviceOf('cores: 16\ngroups: { A: { cap: 2, pins: 0-1, partition: root } }')).toEqual([
      'cpu-partition-takes /',
      'cpu-cap-at-pins A',
    ]);
  });
});
