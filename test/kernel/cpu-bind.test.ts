/** Processes bound to the CPU groups of a lab, and put back: on this machine's own kernel. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CpuBind } from '../../agent/api/cpu.ts';
import { type PlanTarget } from '../../agent/api/calls.ts';
import { apply, type Bench, documentTarget, must, openBench } from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

let own: OwnGroups;
let bench: Bench;
const children: ChildProcess[] = [];
beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    // Of its own process group: with all that it has forked.
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      process.kill(-child.pid, 'SIGKILL');
    }
  }
  await bench.close();
  own[Symbol.dispose]();
});

const split = `cpu:
  groups:
    A: { groups: { A1: {} } }
    B: {}
`;

function lab(cpu = split, nodes = '{}'): PlanTarget {
  return documentTarget(`netloom: 1\nname: lab\ntopology: { nodes: ${nodes} }\n${cpu}`);
}

function start(file: string, ...args: readonly string[]): number {
  const child = spawn(file, args, { stdio: 'ignore', detached: true });
  children.push(child);
  return child.pid ?? 0;
}

function bind(
  group: string | null,
  pids: readonly number[],
  more: { readonly tree?: boolean; readonly uid?: number } = {},
) {
  const asked: CpuBind = { lab: 'lab', group, pids: [...pids], descendants: more.tree ?? false };
  return bench.labs.bindings.bind(asked, more.uid === undefined ? null : { uid: more.uid });
}

/** Where a process is in the hierarchies of cpu, cpuacct and cpuset, as the kernel says. */
function placeOf(pid: number | string): string {
  const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  return ['cpu', 'cpuacct', 'cpuset']
    .map((one) => new RegExp(`^\\d+:${one}:(.*)$`, 'm').exec(text)?.[1] ?? '')
    .map((place) => place.replace(own.name, ''))
    .join(' ');
}

/** What has come of a sentence: its code. */
function codeOf(result: Awaited<ReturnType<typeof bind>>): string {
  return result.ok ? 'done' : result.failure.code;
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

/** Processes of a process group, which here are a whole family. */
function membersOf(group: number): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, , own] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(own) === group && state !== 'Z' ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function until(holds: () => boolean): Promise<void> {
  for (let look = 0; look < 500 && !holds(); look += 1) await delay(10);
  expect(holds()).toBe(true);
}

describe('binding processes to a group of a lab', () => {
  it('moves them with all their threads in every hierarchy, also to a group with groups in it', async () => {
    must(await apply(bench, lab()));
    const threaded = start(process.execPath, '-e', 'setInterval(() => undefined, 1000)');
    await until(() => readdirSync(`/proc/${threaded}/task`).length > 3);
    const bound = must(await bind('A', [threaded]));
    expect(bound.processes).toEqual([{ pid: threaded, name: 'node', moved: true }]);
    for (const task of readdirSync(`/proc/${threaded}/task`)) {
      expect(placeOf(`${threaded}/task/${task}`)).toBe(
        '/netloom.lab/A/_self /netloom.lab/A /netloom.lab/A',
      );
    }
    must(await bind('A/A1', [threaded]));
    expect(placeOf(threaded)).toBe('/netloom.lab/A/A1 /netloom.lab/A/A1 /netloom.lab/A/A1');
    must(await bind('/', [threaded]));
    expect(placeOf(threaded)).toBe('/netloom.lab/_self /netloom.lab /netloom.lab');
    const again = must(await bind('/', [threaded]));
    expect(again.processes).toMatchObject([{ moved: false }]);
  });

  it('puts them back where they were when they are released, or outside when that is gone', async () => {
    must(await apply(bench, lab()));
    const homes = own.hierarchies.map(({ base }) => path.join(base, 'home'));
    for (const [index, home] of homes.entries()) {
      mkdirSync(home);
      if (own.hierarchies[index]?.controllers.includes('cpuset') !== true) continue;
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(path.join(home, file), readFileSync(path.join(home, '..', file)));
      }
    }
    const [first, second] = [start('sleep', '961'), start('sleep', '962')];
    for (const pid of [first, second]) {
      for (const home of homes) writeFileSync(path.join(home, 'cgroup.procs'), String(pid));
    }
    expect(placeOf(first)).toBe('/home /home /home');
    must(await bind('A/A1', [first, second]));
    // From one group to another: where it came from is still the first place.
    must(await bind('B', [first]));
    const released = must(await bind(null, [first]));
    expect(released.processes).toEqual([{ pid: first, name: 'sleep', moved: true }]);
    expect(placeOf(first)).toBe('/home /home /home');
    expect(codeOf(await bind(null, [first]))).toBe('cpu-bind-not-bound');
    for (const home of homes) {
      writeFileSync(path.join(home, '..', '..', 'cgroup.procs'), String(first));
      rmdirSync(home);
    }
    must(await bind(null, [second]));
    expect(placeOf(second)).toBe('/ / /');
  });

  it('puts them back when the lab goes down, when undo takes their group, and after an agent has died', async () => {
    must(await apply(bench, lab()));
    const base = own.hierarchies.map((one) => path.join(one.base, 'home'));
    const homes = base.filter(
      (_, index) => !own.hierarchies[index]?.controllers.includes('cpuset'),
    );
    for (const home of homes) mkdirSync(home);
    const [stays, goes] = [start('sleep', '963'), start('sleep', '964')];
    for (const pid of [stays, goes]) {
      for (const home of homes) writeFileSync(path.join(home, 'cgroup.procs'), String(pid));
    }
    const home = placeOf(stays);
    must(await apply(bench, lab(split.replace('    B: {}\n', '    B: {}\n    C: {}\n'))));
    must(await bind('B', [stays]));
    must(await bind('C', [goes]));
    must(await apply(bench, { kind: 'undo', lab: 'lab' }));
    expect(placeOf(goes)).toBe(home);
    expect(placeOf(stays)).toBe('/netloom.lab/B /netloom.lab/B /netloom.lab/B');
    // Another agent that finds the same state.
    const { state } = bench;
    await bench.labs.close();
    const next = await openBench({ state, cpu: own.realm() });
    must(await apply(next, { kind: 'down', lab: 'lab' }));
    expect(placeOf(stays)).toBe(home);
    await next.close();
    for (const pid of [stays, goes]) process.kill(pid, 'SIGKILL');
    await until(() => children.every(({ signalCode }) => signalCode !== null));
  });

  it('has them in their groups again when a change is rolled back', async () => {
    must(await apply(bench, lab()));
    const pid = start('sleep', '965');
    must(await bind('B', [pid]));
    const { state } = bench;
    await bench.labs.close();
    const without = lab('cpu: { groups: { A: { groups: { A1: {} } } } }');
    const steps = must(bench.labs.plan(without)).steps.length;
    for (let step = 0; step < steps; step += 1) {
      const faulty = await openBench({ state, cpu: own.realm(), fault: `fail-at:${step}` });
      expect(await apply(faulty, without)).toMatchObject({ failure: { kind: 'rolled-back' } });
      expect(placeOf(pid)).toBe('/netloom.lab/B /netloom.lab/B /netloom.lab/B');
      await faulty.close();
    }
  });

  it('has strangers in their groups again too, whom somebody else has put there', async () => {
    must(await apply(bench, lab()));
    const [inB, inA1, inRoot] = [
      start('sleep', '975'),
      start('sleep', '976'),
      start('sleep', '977'),
    ];
    must(own.groups().move([inB], 'B'));
    must(own.groups().move([inA1], 'A/A1'));
    must(own.groups().move([inRoot], ''));
    const places = (): readonly string[] => [inB, inA1, inRoot].map(placeOf);
    const before = places();
    const { state } = bench;
    await bench.labs.close();
    const without = lab('cpu: { groups: { C: {} } }');
    const steps = must(bench.labs.plan(without)).steps.length;
    expect(steps).toBeGreaterThan(3);
    for (let step = 0; step < steps; step += 1) {
      const faulty = await openBench({ state, cpu: own.realm(), fault: `fail-at:${step}` });
      expect(await apply(faulty, without)).toMatchObject({ failure: { kind: 'rolled-back' } });
      expect(places(), `step ${step}`).toEqual(before);
      await faulty.close();
    }
  });

  it('takes all that a process has started, also what that forks while it is moved', async () => {
    must(await apply(bench, lab()));
    // Two shells that fork until they are told to stop, and wait: somebody is always being born.
    const stop = path.join(mkdtempSync(path.join(tmpdir(), 'netloom-forks-')), 'stop');
    const forks = `n=0; while [ ! -e ${stop} ] && [ $n -lt 1000 ]; do n=$((n+1)); sleep 60 & done; wait`;
    const family = start('sh', '-c', `sh -c '${forks}' & sh -c '${forks}' & wait`);
    await until(() => childrenOf(family).flatMap(childrenOf).length > 10);
    const count = membersOf(family).length;
    must(await bind('B', [family], { tree: true }));
    await until(() => membersOf(family).length > count);
    writeFileSync(stop, '');
    let seen = 0;
    // Those that were begun come to their end.
    await until(() => {
      const before = seen;
      seen = membersOf(family).length;
      return seen === before;
    });
    rmSync(path.dirname(stop), { recursive: true });
    for (const pid of membersOf(family)) {
      expect(placeOf(pid), String(pid)).toBe('/netloom.lab/B /netloom.lab/B /netloom.lab/B');
    }
    // What was born there has never been elsewhere.
    const released = must(await bind(null, [family], { tree: true }));
    expect(released.processes.length).toBeGreaterThan(10);
    expect(placeOf(family)).toBe('/ / /');
  });

  it('moves none of them when one of them cannot be, and says why', async () => {
    must(await apply(bench, lab()));
    const pid = start('sleep', '966');
    const before = placeOf(pid);
    const thread = readdirSync('/proc').find((name) => {
      if (!/^\d+$/.test(name)) return false;
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[6]) & 0x200000) !== 0;
    });
    const refused = async (...pids: readonly number[]): Promise<string> =>
      codeOf(await bind('B', [pid, ...pids]));
    if (thread !== undefined) expect(await refused(Number(thread))).toBe('cpu-bind-kernel-thread');
    expect(await refused(2 ** 22 + 7)).toBe('cpu-bind-no-process');
    expect(await refused(1)).toBe('cpu-bind-first-process');
    expect(await refused(process.pid)).toBe('cpu-bind-agent');
    expect(codeOf(await bind('nowhere', [pid]))).toBe('cpu-bind-no-group');
    expect(codeOf(await bind('B', [pid], { uid: 12_345 }))).toBe('cpu-bind-foreign');
    expect(codeOf(await bind('B', [pid], { uid: 0 }))).toBe('done');
    must(await bind(null, [pid]));
    const several = await bind('B', [1, process.pid, pid]);
    expect(several).toMatchObject({ failure: { causes: [{}, {}] } });
    expect(placeOf(pid)).toBe(before);
  });

  it('leaves what runs for a document, and names the place where its group is said', async () => {
    const nodes =
      '{ r1: { kind: namespace, run: [{ name: work, command: [sleep, "967"], cpu: A }] } }';
    must(await apply(bench, lab(split, nodes)));
    bench.tracker.refresh();
    const [run] = bench.tracker.snapshot().namespaces.flatMap(({ runs }) => runs);
    expect(await bind('B', [run?.pid ?? 0])).toMatchObject({
      failure: { code: 'cpu-bind-run', values: { run: 'work', lab: 'lab' } },
    });
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
  });

  it('does not take one that has ended for a process, though the kernel takes it without a word', async () => {
    must(await apply(bench, lab()));
    const parent = start('sh', '-c', 'true & exec sleep 969');
    const childOf = (): number =>
      Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8'));
    await until(() => childOf() > 0);
    const ended = childOf();
    await until(() => / Z /.test(readFileSync(`/proc/${ended}/stat`, 'utf8')));
    own.write('cpu', 'B/cgroup.procs', String(ended));
    expect(own.read('cpu', 'B/cgroup.procs')).toBe('');
    expect(codeOf(await bind('B', [ended]))).toBe('cpu-bind-no-process');
    // With its parent it is no obstacle.
    must(await bind('B', [parent], { tree: true }));
    expect(placeOf(parent)).toBe('/netloom.lab/B /netloom.lab/B /netloom.lab/B');
  });

  it('leaves a process the CPUs that it has chosen itself, once it is back', async () => {
    const all = own.read('cpuset', '../cpuset.cpus') ?? '0';
    const [first, second] = all.split(/[,-]/);
    if (second === undefined) return;
    must(await apply(bench, lab(`cpu: { groups: { B: { pins: ${first} } } }\n`)));
    const pid = start('taskset', '-c', second, 'sleep', '970');
    const allowed = (): string =>
      /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
    await until(() => allowed() === second);
    must(await bind('B', [pid]));
    expect(allowed()).toBe(first);
    must(await bind(null, [pid]));
    expect(allowed()).toBe(second);
  });

  it('says of a realtime process what keeps it out', async () => {
    must(await apply(bench, lab()));
    const pid = start('chrt', '--fifo', '1', 'sleep', '968');
    await until(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sleep');
    const hasBudgets = own.read('cpu', 'B/cpu.rt_runtime_us') !== null;
    expect(codeOf(await bind('B', [pid]))).toBe(hasBudgets ? 'cpu-bind-realtime' : 'done');
    if (hasBudgets) expect(placeOf(pid)).toBe('/ / /');
  });

  it('lists the realm’s processes with their groups, and why some cannot be bound', async () => {
    must(await apply(bench, lab()));
    const pid = start('sleep', '969');
    must(await bind('A/A1', [pid]));
    const { candidates, total } = must(bench.labs.bindings.candidates('lab', null));
    expect(total).toBe(candidates.length);
    expect(candidates.find((one) => one.pid === pid)).toMatchObject({
      name: 'sleep',
      command: 'sleep 969',
      group: 'A/A1',
      refusal: null,
    });
    const self = candidates.find((one) => one.pid === process.pid);
    expect(self?.refusal?.code).toBe('cpu-bind-agent');
  });

  it('is refused where a lab has no groups or is not up', async () => {
    const pid = start('sleep', '970');
    expect(codeOf(await bind('B', [pid]))).toBe('unknown-lab');
    must(await apply(bench, lab('')));
    expect(codeOf(await bind('B', [pid]))).toBe('cpu-bind-no-split');
  });
});
