/**
 * The command's `cpu` verbs against an agent of the host, by an enrolled user and by root, on a machine of the test's own
 * (test/harness/host-machine.ts) and in control groups of the test's own.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CpuMachineSample } from '../../agent/api/cpu.ts';
import { cpuPlaceVariable } from '../../agent/api/realm-files.ts';
import { HostMachine } from '../harness/host-machine.ts';
import { type CommandResult, delay, parse } from '../harness/netloom.ts';
import { OwnGroups } from '../kernel/cpu-own-groups.ts';

const isRoot = process.getuid?.() === 0;

const lab = `netloom: 1
name: split
topology: { nodes: { r1: { kind: namespace, cpu: B, run: [{ name: work, command: [sleep, '971'], cpu: A/A1 }] } } }
cpu:
  groups:
    A: { cap: 0.5, groups: { A1: { cap: 0.2 } } }
    B: { cap: 0.2, weight: 50 }
checks:
  - { check: cpu, group: B, cores: 0.2, tolerance: 30, seconds: 1 }
`;

describe.skipIf(!isRoot)('the cpu verbs', () => {
  let own: OwnGroups;
  let machine: HostMachine;

  beforeAll(async () => {
    own = new OwnGroups();
    machine = await HostMachine.open();
    machine.variables[cpuPlaceVariable] = own.name;
    await machine.startAgent();
    const file = machine.write('split', lab);
    await machine.must('tester', ['up', file, '--realm', 'host', '--yes']);
  });
  afterAll(async () => {
    await machine.run('root', ['down', 'split']);
    await machine.close();
    own[Symbol.dispose]();
  });

  /** Starts a program in the machine, by somebody of it, and gives its number there. */
  function start(who: 'root' | 'tester', ...words: readonly string[]): number {
    machine.begin(who === 'root' ? words : machine.asTester(words));
    return find(words.join(' '));
  }

  /** The first of this command line: a shell's child bears the shell's own until it becomes what it is to be. */
  function find(command: string): number {
    for (let look = 0; look < 100; look += 1) {
      const found = machine.try(['pgrep', '-oxf', command]).stdout.trim();
      if (found !== '') return Number(found);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    throw new Error(`${command} does not run`);
  }

  function placeOf(pid: number): string {
    const text = machine.look(['cat', `/proc/${String(pid)}/cgroup`]);
    return (/^\d+:cpu:(.*)$/m.exec(text)?.[1] ?? '').replace(own.name, '');
  }

  const cpu = (who: 'root' | 'tester', ...words: readonly string[]): Promise<CommandResult> =>
    machine.run(who, ['cpu', ...words]);

  it('show what groups and the processes in them use, in words and as JSON', async () => {
    const shown = await machine.must('tester', ['cpu', 'show', 'split']);
    const lines = shown.stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^GROUP +CORES +CAP +WEIGHT +PINS +THROTTLED +PRESSURE +PROCESSES +STATE$/,
    );
    expect(lines[3]).toMatch(/^A\/A1 +0\.0\d +0\.20 +100 +– +0 % +\S+(?: %)? +1 +ok$/);
    expect(shown.stdout).toMatch(/\n\d+ +sleep +A\/A1 +0\.0\d\n/);
    const sample = parse<CpuMachineSample & { readonly lab: string }>(
      await machine.must('tester', ['cpu', 'show', 'split', '--json']),
    );
    expect(sample.lab).toBe('split');
    expect(sample.groups.map(({ group, cap, weight }) => [group, cap, weight])).toEqual([
      ['', null, 100],
      ['A', 0.5, 100],
      ['A/A1', 0.2, 100],
      ['B', 0.2, 50],
    ]);
    expect(sample.cpus.length).toBeGreaterThan(0);
  });

  it('bind a process with what it has started, say where it is, and put it back', async () => {
    const pid = start('tester', 'sh', '-c', 'sleep 972 & wait');
    const child = find('sleep 972');
    const before = placeOf(pid);
    const bound = await cpu('tester', 'bind', 'split', 'B', String(pid), '--tree');
    expect(bound.stdout.trim().split('\n').sort()).toEqual(
      [`sh (${String(pid)}) is in B.`, `sleep (${String(child)}) is in B.`].sort(),
    );
    expect([placeOf(pid), placeOf(child)]).toEqual(['/netloom.split/B', '/netloom.split/B']);
    const again = await cpu('tester', 'bind', 'split', 'B', String(pid));
    expect(again.stdout).toBe(`sh (${String(pid)}) is in B already.\n`);
    const released = await cpu('tester', 'unbind', 'split', String(pid), '--tree', '--json');
    expect(parse<{ readonly processes: readonly unknown[] }>(released).processes).toHaveLength(2);
    expect([placeOf(pid), placeOf(child)]).toEqual([before, before]);
  });

  it('have a console of a node in the node’s group, as whoever opened it', async () => {
    const script = 'id -un; sleep 0.1 & cat /proc/$!/cgroup; wait';
    const said = await machine.must('tester', ['exec', 'split', 'r1', '--', 'sh', '-c', script]);
    expect(said.stdout).toMatch(/^tester\n/);
    for (const controller of ['cpu', 'cpuacct', 'cpuset']) {
      expect(said.stdout).toContain(`:${controller}:${own.name}/netloom.split/B\n`);
    }
  });

  it('let nobody but root bind what is another’s, and say why in a sentence', async () => {
    const pid = start('root', 'sleep', '973');
    const refused = await cpu('tester', 'bind', 'split', 'B', String(pid));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(
      `error: sleep (${String(pid)}): sleep is a process of another user (uid 0).`,
    );
    expect((await cpu('root', 'bind', 'split', 'B', String(pid))).status).toBe(0);
    expect(placeOf(pid)).toBe('/netloom.split/B');
    const agent = await machine.agentPid();
    expect((await cpu('root', 'bind', 'split', 'B', String(agent))).stderr).toContain(
      'This is Netloom’s own agent',
    );
    const run = machine.look(['pgrep', '-nxf', 'sleep 971']).trim();
    expect((await cpu('root', 'bind', 'split', 'B', run)).stderr).toContain(
      'is of the process work that lab split runs',
    );
  });

  it('refuse bad words with the status of a usage error', async () => {
    for (const words of [
      ['bind', 'split', 'B', 'many'],
      ['bind', 'split', 'B', '0'],
      ['bind', 'split', 'B', '-5'],
      ['bind', 'split', 'B'],
      ['bind', 'split', '../B', '1'],
      ['bind', 'split', 'nowhere', '1'],
      ['bind', 'nothing', 'B', '1'],
      ['show', 'split', '--every', '5'],
    ]) {
      expect((await cpu('root', ...words)).status, words.join(' ')).toBe(2);
    }
    expect((await cpu('root', 'bind', 'split', 'nowhere', '1')).stderr).toContain(
      'Lab split has no CPU group nowhere.',
    );
  });

  it('measure a group in a check, by the word of the document', async () => {
    const checked = await machine.run('tester', ['check', 'split']);
    expect(checked.stdout + checked.stderr).toMatch(
      /✓ B uses 0\.2 cores: B used 0\.\d\d cores in 1 s/,
    );
    expect(checked.status).toBe(0);
  });

  it('go on showing until they are interrupted, and find the lab gone when it is', async () => {
    const watching = machine.run('tester', [
      ...['cpu', 'show', 'split', '--watch', '--json', '--every', '200'],
    ]);
    const pid = start('tester', 'sleep', '974');
    await machine.must('tester', ['cpu', 'bind', 'split', 'A', String(pid)]);
    // Who is in a group is looked at once a second, later on a busy machine.
    await delay(4000);
    await machine.must('tester', ['down', 'split']);
    // Back where it was, and alive.
    expect(placeOf(pid)).not.toContain('netloom.split');
    expect(machine.look(['cat', `/proc/${String(pid)}/comm`]).trim()).toBe('sleep');
    const { status, stdout, stderr } = await watching;
    expect(status).toBe(1);
    expect(stderr).toContain('Lab split is not up');
    const samples = stdout
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('{"lab"'))
      .map((line) => JSON.parse(line) as CpuMachineSample);
    expect(samples.length).toBeGreaterThan(1);
    expect(samples.some(({ processes }) => processes.some((one) => one.pid === pid))).toBe(true);
    expect(readFileSync('/proc/self/cgroup', 'utf8')).not.toContain('netloom.split');
  });
});
