/**
 * CPU splits on cgroup v2 in the realm of the host, on a machine with 16 CPUs: run in the guest by cpu.test.ts. What is
 * asked is the kernel's own files.
 */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostMachine } from '../harness/host-machine.ts';

const top = '/sys/fs/cgroup/netloom.split';

const split = (groups: string, run = ''): string =>
  `netloom: 1
name: split
topology:
  nodes:
    r1:
      kind: namespace
      run:
        - { name: all, command: [sh, -c, 'sleep 901 & exec sleep 900'], cpu: / }
        - { name: of-a, command: [sleep, '902'], cpu: A }
        - { name: of-a1, command: [sleep, '903'], cpu: A/A1 }
        - { name: of-b, command: [sleep, '904'], cpu: B }
${run}
cpu:
  cores: 16
  groups:
${groups}
`.replaceAll('name: all', 'name: every');

const notes = `    A: { cap: 8, groups: { A1: { cap: 3 }, A2: { cap: 3 }, A3: { cap: 2 } } }
    B: { cap: 4 }
    C: { cap: 2 }
    D: { cap: 2 }`;

let machine: HostMachine;

beforeAll(async () => {
  machine = await HostMachine.open();
  await machine.startAgent();
});

afterAll(async () => {
  await machine.close();
});

function read(file: string): string {
  return machine.look(['cat', `${top}/${file}`]).trim();
}

/** Every file of the split that was or could have been written, and who is where. One program: the guest is slow. */
function state(): string {
  const files = ['cpu.max', 'cpu.max.burst', 'cpu.weight', 'cpu.idle', 'cpuset.cpus']
    .concat(['cgroup.type', 'cgroup.subtree_control', 'cgroup.procs'])
    .map((file) => `--include=${file}`);
  const { stdout } = machine.try(['grep', '-rH', '', ...files, '/sys/fs/cgroup']);
  const lines = stdout.split('\n').filter((line) => line.startsWith('/sys/fs/cgroup/netloom.'));
  return lines.sort().join('\n');
}

function placeOf(seconds: number): readonly string[] {
  return machine
    .script(`for pid in $(pgrep -f '^sleep ${seconds}$'); do cat /proc/$pid/cgroup; done`)
    .trim()
    .split('\n');
}

async function up(text: string): Promise<{ readonly operations: number }> {
  const file = machine.write('split', text);
  const words = ['up', file, '--realm', 'host', '--yes', '--json'];
  const { stdout } = await machine.must('tester', words);
  const { outcome } = JSON.parse(stdout) as { readonly outcome: { readonly operations: number } };
  return outcome;
}

describe('the split of the notes', () => {
  it('gives exactly the quotas, and a second time nothing is written', async () => {
    await up(split(notes));
    const quotas = ['', 'A/', 'A/A1/', 'A/A2/', 'A/A3/', 'B/', 'C/', 'D/'].map((group) =>
      read(`${group}cpu.max`),
    );
    expect(quotas).toEqual([
      'max 100000',
      '800000 100000',
      '300000 100000',
      '300000 100000',
      '200000 100000',
      '400000 100000',
      '200000 100000',
      '200000 100000',
    ]);
    expect((await up(split(notes))).operations).toBe(0);
  });

  it('holds the processes that are bound to the root, to A, to A1 and to B, with their children', () => {
    expect(placeOf(900)).toEqual(['0::/netloom.split/_self']);
    expect(placeOf(901)).toEqual(['0::/netloom.split/_self']);
    expect(placeOf(902)).toEqual(['0::/netloom.split/A/_self']);
    expect(placeOf(903)).toEqual(['0::/netloom.split/A/A1']);
    expect(placeOf(904)).toEqual(['0::/netloom.split/B']);
  });

  it('is split further while there are processes in it, and no group becomes invalid', async () => {
    const deeper = notes.replace(
      'A1: { cap: 3 }',
      'A1: { cap: 3, groups: { x: { cap: 1 }, y: {} } }',
    );
    const inB = deeper.replace('B: { cap: 4 }', 'B: { cap: 4, groups: { B1: {} } }');
    await up(split(inB));
    expect(placeOf(903)).toEqual(['0::/netloom.split/A/A1/_self']);
    expect(placeOf(904)).toEqual(['0::/netloom.split/B/_self']);
    const types = machine.script(`cat $(find ${top} -name cgroup.type) | sort | uniq -c`).trim();
    expect(types).toMatch(/^\d+ domain$/);
    expect(read('A/A1/x/cpu.max')).toBe('100000 100000');
    await machine.must('tester', ['undo', 'split']);
    expect(placeOf(903)).toEqual(['0::/netloom.split/A/A1']);
    expect(read('B/cgroup.subtree_control')).toBe('');
  });

  it('becomes another and comes back with undo, burst before quota and pins with it', async () => {
    const before = state();
    const other = `    A: { cap: 2, burst: 2, weight: 10000, pins: 4-7, groups: { A1: { cap: 1, pins: 5 } } }
    B: { idle: true }
    E: { cap: 0.5, period: 10, weight: 1 }`;
    await up(split(other));
    expect(read('A/cpu.max.burst')).toBe('200000');
    expect([read('A/cpu.weight'), read('A/cpuset.cpus.effective')]).toEqual(['10000', '4-7']);
    expect([read('A/A1/cpuset.cpus.effective'), read('B/cpu.idle')]).toEqual(['5', '1']);
    expect([read('E/cpu.max'), read('E/cpu.weight')]).toEqual(['5000 10000', '1']);
    await up(split(other.replace('cap: 2, burst: 2', 'cap: 0.5, burst: 0.5')));
    expect([read('A/cpu.max'), read('A/cpu.max.burst')]).toEqual(['50000 100000', '50000']);
    await machine.must('tester', ['undo', 'split']);
    await machine.must('tester', ['undo', 'split']);
    expect(state()).toBe(before);
  });

  it('is as before when the agent dies in the middle of a change, once another one starts', async () => {
    const before = state();
    const other = `    A: { cap: 1, groups: { A1: { groups: { x: { cap: 0.5 } } } } }
    B: { cap: 1, pins: 0-1 }`;
    const file = machine.write('split', split(other));
    for (const fault of ['kill-after:2', 'kill-after:8']) {
      const agent = await machine.startFaultyAgent(fault);
      const died = once(agent, 'exit');
      const result = await machine.run('tester', ['up', file, '--realm', 'host', '--yes']);
      expect(result.status, fault).not.toBe(0);
      await died;
      await machine.startAgent();
      expect(state(), fault).toBe(before);
    }
    await machine.must('root', ['agent', 'stop', '--realm', 'host']);
    await machine.startAgent();
  });

  it('is refused whole where the machine has fewer CPUs', async () => {
    const before = state();
    const file = machine.write('split', split(notes).replace('cores: 16', 'cores: 17'));
    const result = await machine.run('tester', ['up', file, '--realm', 'host', '--yes']);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('The split is for 17 CPUs, and this machine has 16.');
    expect(state()).toBe(before);
  });

  it('leaves nothing when it goes, and what somebody has put into it goes on running', async () => {
    const pid = machine
      .script(`sleep 905 >/dev/null 2>&1 & echo $! > ${top}/C/cgroup.procs; echo $!`)
      .trim();
    await machine.must('tester', ['down', 'split']);
    expect(machine.script(`ls -d /sys/fs/cgroup/netloom.* 2>/dev/null | wc -l`).trim()).toBe('0');
    expect(machine.script(`cat /proc/${pid}/comm`).trim()).toBe('sleep');
    machine.script(`kill ${pid}`);
    expect(placeOf(902)).toEqual(['']);
  });
});
