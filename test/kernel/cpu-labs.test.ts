/** CPU groups in the transaction of a lab, together with its network: on this machine's own kernel. */
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LabStatus } from '../../agent/api/lab.ts';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  must,
  namespaces,
  openBench,
  plan,
} from './apply-harness.ts';
import { OwnGroups } from './cpu-own-groups.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

requirePrivateNamespaces();

let own: OwnGroups;
let bench: Bench;
beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
});
afterEach(async () => {
  await bench.close();
  own[Symbol.dispose]();
  for (const name of namespaces()) ip('netns', 'delete', name);
});

/** A shell that has a child from its first moment on, and waits. */
const family = "[sh, -c, 'sleep 987 & exec sleep 986']";

function lab(cpu: string, run = `{ name: work, command: ${family}, cpu: A/A1 }`): string {
  return `netloom: 1
name: lab
topology:
  nodes:
    r1:
      kind: namespace
      run: [${run}]
${cpu}`;
}

const notes = `cpu:
  groups:
    A: { cap: 8, groups: { A1: { cap: 3 }, A2: { cap: 3 }, A3: { cap: 2 } } }
    B: { cap: 4 }
    C: { cap: 2 }
    D: { cap: 2 }
`;

function quotas(): readonly (string | null)[] {
  return ['A', 'A/A1', 'A/A2', 'A/A3', 'B', 'C', 'D'].map((path) =>
    own.read('cpu', `${path}/cpu.cfs_quota_us`),
  );
}

/** Where the lab's process and its child are, in every hierarchy, below the lab's own group. */
async function places(): Promise<readonly string[]> {
  bench.tracker.refresh();
  for (let look = 0; look < 50; look += 1) {
    const pids = bench.tracker
      .snapshot()
      .namespaces.flatMap(({ runs }) => runs)
      .map(({ pid }) => pid);
    const children = pids.flatMap((pid) =>
      readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean),
    );
    if (pids.length > 0 && children.length === pids.length) {
      return [...pids, ...children].map((pid) =>
        ['cpu', 'cpuacct', 'cpuset']
          .map((one) => new RegExp(`^\\d+:${one}:(.*)$`, 'm').exec(cgroupsOf(pid))?.[1] ?? '')
          .map((place) => place.replace(`${own.name}/netloom.lab`, ''))
          .join(' '),
      );
    }
    await delay(20);
    bench.tracker.refresh();
  }
  return [];
}

function cgroupsOf(pid: string | number): string {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
}

describe('a lab with a CPU split', () => {
  it('comes up with its groups and processes in them, and a second time nothing is to do', async () => {
    must(await apply(bench, documentTarget(lab(notes))));
    expect(quotas()).toEqual([
      '800000',
      '300000',
      '300000',
      '200000',
      '400000',
      '200000',
      '200000',
    ]);
    expect(await places()).toEqual(['/A/A1 /A/A1 /A/A1', '/A/A1 /A/A1 /A/A1']);
    expect(namespaces()).toEqual(['r1']);
    expect(plan(bench, documentTarget(lab(notes))).steps).toEqual([]);
    expect(bench.labs.list()[0]?.drift).toBe(0);
  });

  it('says what it does as writes to the files, in words and as commands', () => {
    const { steps } = plan(bench, documentTarget(lab(notes)));
    const base = own.hierarchies.find(({ controllers }) => controllers.includes('cpu'))?.base;
    const added = steps.find(({ label, verb }) => label === 'A/A1' && verb === 'add');
    expect(added?.changes).toContainEqual({ field: 'cap', before: null, after: '3 cores' });
    expect(added?.commands).toContain(`mkdir ${base}/netloom.lab/A/A1`);
    expect(added?.commands).toContain(`echo 300000 > ${base}/netloom.lab/A/A1/cpu.cfs_quota_us`);
    const started = steps.find(({ object }) => object === 'process');
    expect(started?.changes).toContainEqual({ field: 'cpu-group', before: null, after: 'A/A1' });
    expect(started?.commands.join()).toContain(`${base}/netloom.lab/A/A1/cgroup.procs`);
  });

  it('moves what runs to another group without starting it anew, and back with undo', async () => {
    must(await apply(bench, documentTarget(lab(notes))));
    const before = await places();
    const other = lab(notes, `{ name: work, command: ${family}, cpu: / }`);
    const target = documentTarget(other);
    expect(plan(bench, target).steps.map(({ object, verb }) => `${verb} ${object}`)).toEqual([
      'change process',
    ]);
    const pids = bench.tracker.snapshot().namespaces.flatMap(({ runs }) => runs);
    must(await apply(bench, target));
    expect(await places()).toEqual(['/_self  ', '/_self  ']);
    must(await apply(bench, { kind: 'undo', lab: 'lab' }));
    expect(await places()).toEqual(before);
    expect(bench.tracker.snapshot().namespaces.flatMap(({ runs }) => runs)).toEqual(pids);
    must(await apply(bench, { kind: 'redo', lab: 'lab' }));
    expect(await places()).toEqual(['/_self  ', '/_self  ']);
  });

  it('holds a busy process to its cap, and counts what it uses and how often it is stopped', async () => {
    const busy = "{ name: work, command: [sh, -c, 'while :; do :; done'], cpu: A }";
    must(await apply(bench, documentTarget(lab('cpu: { groups: { A: { cap: 0.1 } } }', busy))));
    const count = () => own.groups().counters('A');
    const [first, begun] = [count(), performance.now()];
    await delay(3000);
    const [second, ended] = [count(), performance.now()];
    const cores = ((second.usage ?? 0) - (first.usage ?? 0)) / 1000 / (ended - begun);
    // The machine is shared: less may come of it than the cap, never much more.
    expect(cores).toBeLessThan(0.13);
    expect(cores).toBeGreaterThan(0.02);
    expect(second.throttled - first.throttled).toBeGreaterThan(5);
    expect(second.throttledTime).toBeGreaterThan(100_000);
  });

  it('changes its split with undo and redo, and leaves nothing when it goes', async () => {
    must(await apply(bench, documentTarget(lab(notes))));
    const other = `cpu:
  groups:
    A: { cap: 1, groups: { A1: { cap: 1, groups: { inner: { cap: 0.5, burst: 0.5 } } } } }
    E: { weight: 10, idle: false, pins: 1 }
`;
    must(await apply(bench, documentTarget(lab(other))));
    expect(own.read('cpu', 'A/A1/inner/cpu.cfs_burst_us')).toBe('50000');
    expect(own.read('cpu', 'B/cpu.shares')).toBeNull();
    expect((await places())[0]).toBe('/A/A1/_self /A/A1 /A/A1');
    must(await apply(bench, { kind: 'undo', lab: 'lab' }));
    expect(quotas()).toEqual([
      '800000',
      '300000',
      '300000',
      '200000',
      '400000',
      '200000',
      '200000',
    ]);
    expect((await places())[0]).toBe('/A/A1 /A/A1 /A/A1');
    must(await apply(bench, { kind: 'redo', lab: 'lab' }));
    expect(own.read('cpuset', 'E/cpuset.cpus')).toBe('1');
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
    expect(own.read('cpu', 'cpu.shares')).toBeNull();
    expect(own.read('cpuset', 'cpuset.cpus')).toBeNull();
    expect(namespaces()).toEqual([]);
    must(await apply(bench, documentTarget(lab(other))));
    expect((await places())[0]).toBe('/A/A1/_self /A/A1 /A/A1');
  });

  it('loses its split alone when the document does', async () => {
    must(await apply(bench, documentTarget(lab(notes))));
    must(await apply(bench, documentTarget(lab('', `{ name: work, command: ${family} }`))));
    expect(own.read('cpu', 'cpu.shares')).toBeNull();
    expect((await places())[0]).toBe('/ / /');
    expect(bench.labs.list()[0]?.drift).toBe(0);
  });

  it('is as it was when a step fails, whichever it is', async () => {
    const before = lab(notes);
    const after = lab(
      `cpu:
  groups:
    A: { cap: 2, groups: { A1: { cap: 1, burst: 1, groups: { inner: {} } }, A9: { pins: 0 } } }
`,
      `{ name: work, command: ${family}, cpu: A/A1/inner }`,
    );
    must(await apply(bench, documentTarget(before)));
    const seen = JSON.stringify([...own.groups().machine().groups]);
    const was = await places();
    const { length } = plan(bench, documentTarget(after)).steps;
    expect(length).toBeGreaterThan(10);
    for (let step = 0; step < length; step += 1) {
      const state = bench.state;
      await bench.labs.close();
      const faulty = await openBench({ state, cpu: own.realm(), fault: `fail-at:${step}` });
      const outcome = await apply(faulty, documentTarget(after));
      expect(outcome, `step ${step}`).toMatchObject({
        ok: false,
        failure: { kind: 'rolled-back' },
      });
      expect(JSON.stringify([...own.groups().machine().groups]), `step ${step}`).toBe(seen);
      await faulty.close();
    }
    expect(await places()).toEqual(was);
    rmSync(bench.state, { recursive: true, force: true });
  });

  it('notices within seconds that somebody has changed a file or taken a group away', async () => {
    must(await apply(bench, documentTarget(lab(notes))));
    const drifted = async (): Promise<number> => {
      for (let look = 0; look < 100; look += 1) {
        const drift = (bench.labs.list()[0] as LabStatus | undefined)?.drift ?? 0;
        if (drift > 0) return drift;
        await delay(50);
      }
      return 0;
    };
    own.write('cpu', 'B/cpu.cfs_quota_us', '100000');
    expect(await drifted()).toBe(1);
    must(await apply(bench, documentTarget(lab(notes))));
    expect(quotas()[4]).toBe('400000');
    must(own.groups().remove('C'));
    expect(await drifted()).toBe(1);
    must(await apply(bench, documentTarget(lab(notes))));
    expect(quotas()[5]).toBe('200000');
  });

  it('is refused in a sentence where it cannot be', async () => {
    const refusals = (text: string): readonly string[] =>
      plan(bench, documentTarget(text)).refusals.map(({ code, object }) => `${code} ${object}`);
    expect(refusals(lab(notes.replace('cpu:', 'cpu:\n  cores: 4096')))).toEqual([
      'cpu-too-few-cores lab',
    ]);
    expect(refusals(lab('cpu: { groups: { A: { groups: { A1: { pins: 4000 } } } } }'))).toEqual([
      'cpu-pins-not-here A/A1',
    ]);
    expect(
      refusals(lab('cpu: { groups: { A: { cap: 1, groups: { A1: { cap: 1.5 } } } } }')),
    ).toEqual(['cpu-cap-above-parent A/A1']);
    expect(
      refusals(lab('cpu: { groups: { A: { pins: 0, partition: root, groups: { A1: {} } } } }')),
    ).toEqual(['cpu-machine-lacks A']);
    const outcome = await apply(
      bench,
      documentTarget(lab(notes.replace('cpu:', 'cpu:\n  cores: 4096'))),
    );
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'cpu-too-few-cores' } });
    expect([namespaces(), own.read('cpu', 'cpu.shares')]).toEqual([[], null]);
  });
});

describe('a realm without a control group', () => {
  it('refuses a split and names what provides one', async () => {
    const bare = await openBench();
    const { refusals, steps } = plan(bare, documentTarget(lab(notes)));
    expect(steps).toEqual([]);
    expect(refusals).toMatchObject([{ code: 'cpu-in-sandbox-v1', kind: 'refused' }]);
    expect(refusals[0]?.next).toContain('for d in /sys/fs/cgroup/');
    await bare.close();
  });
});
