/** Failures and deaths at every operation: what is left is the state before or the one asked for. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { PlanStep } from '../../agent/api/plan.ts';
import { stateFiles } from '../../agent/api/realm-files.ts';
import {
  apply,
  type Bench,
  documentTarget,
  ip,
  makeStateDirectory,
  must,
  namespaces,
  network,
  notesLab,
  openBench,
  plan,
} from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

/** Differs from the notes' lab in every kind of object. */
const otherLab = `netloom: 1
name: notes
topology:
  nodes:
    r1:
      kind: namespace
      interfaces:
        veth1.1: { addresses: [172.16.0.3/24], mtu: 1300 }
    r3:
      kind: namespace
      loopback: false
      interfaces:
        veth1.2: { addresses: ['fd00::3/64'] }
    br-in: { kind: bridge, namespace: r1 }
  links:
    - { endpoints: ['r1:veth1.1', 'r3:veth1.2'] }
    - { endpoints: ['r3:up', 'br-in:p1'] }
`;

interface Scenario {
  readonly name: string;
  readonly before: string | null;
  readonly target: PlanTarget;
}

const scenarios: readonly Scenario[] = [
  { name: 'coming up', before: null, target: documentTarget(notesLab()) },
  { name: 'becoming another', before: notesLab(), target: documentTarget(otherLab) },
  { name: 'going down', before: notesLab(), target: { kind: 'down', lab: 'notes' } },
];

/** Where an operation has more than one message, so that a kill can fall between them. */
function hasMiddle(step: PlanStep): boolean {
  return (
    (step.verb === 'add' && ['namespace', 'bridge', 'veth'].includes(step.object)) ||
    (step.verb === 'change' && step.object === 'address')
  );
}

async function prepare(
  scenario: Scenario,
  fault = '',
): Promise<Bench & { readonly steps: readonly PlanStep[] }> {
  const state = makeStateDirectory();
  const clean = await openBench({ state });
  if (scenario.before !== null) must(await apply(clean, documentTarget(scenario.before)));
  await clean.close();
  const bench = await openBench({ state, fault });
  return { ...bench, steps: plan(bench, scenario.target).steps };
}

async function tidy(bench: Bench): Promise<void> {
  await bench.close();
  rmSync(bench.state, { recursive: true, force: true });
  for (const name of namespaces()) ip('netns', 'delete', name);
  for (const link of ['br-ex', 'p1']) spawnSync('ip', ['link', 'delete', link]);
}

let after: Map<string, unknown>;
let empty: unknown;
const work = join(import.meta.dirname, '../../node_modules/.netloom-test', String(process.pid));
const driver = join(work, 'driver.js');

beforeAll(async () => {
  requirePrivateNamespaces();
  empty = network();
  after = new Map();
  for (const scenario of scenarios) {
    const bench = await prepare(scenario);
    must(await apply(bench, scenario.target));
    after.set(scenario.name, network());
    await tidy(bench);
    expect(network()).toEqual(empty);
  }
  mkdirSync(work, { recursive: true });
  await build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    ssr: { target: 'node', noExternal: true, external: ['koffi', 'zeromq'] },
    build: {
      ssr: join(import.meta.dirname, 'apply-driver.ts'),
      outDir: work,
      target: 'node20',
      minify: false,
      rolldownOptions: {
        external: ['koffi', 'zeromq'],
        output: { format: 'es', entryFileNames: 'driver.js', codeSplitting: false },
      },
    },
  });
  expect(existsSync(driver)).toBe(true);
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

function kill(state: string, target: PlanTarget, fault: string): void {
  const run = spawnSync(process.execPath, [driver, state, JSON.stringify(target)], {
    encoding: 'utf8',
    env: { ...process.env, NETLOOM_TESTING: '1', NETLOOM_FAULT: fault },
  });
  if (run.signal !== 'SIGKILL') throw new Error(`not killed: ${run.stdout} ${run.stderr}`);
}

// Some fifty processes are started and killed: this is slow on a busy machine.
describe.each(scenarios)('a lab $name', { timeout: 900_000 }, (scenario) => {
  it('is as before after a failure at any operation', async () => {
    const first = await prepare(scenario);
    const { steps } = first;
    const before = network();
    await first.close();
    expect(steps.length).toBeGreaterThan(4);
    for (const [index, step] of steps.entries()) {
      const faults = [`fail-at:${index}`, ...(hasMiddle(step) ? [`fail-mid:${index}`] : [])];
      for (const fault of faults) {
        const bench = await openBench({ state: first.state, fault });
        const outcome = await apply(bench, scenario.target);
        expect(outcome, `${fault} ${step.label}`).toMatchObject({
          ok: false,
          failure: { kind: 'rolled-back', values: { step: index } },
        });
        expect(network(), `${fault} ${step.label}`).toEqual(before);
        expect(existsSync(join(first.state, stateFiles.journal))).toBe(false);
        await bench.close();
      }
    }
    const bench = await openBench({ state: first.state, fault: 'fail-verify' });
    expect(await apply(bench, scenario.target)).toMatchObject({ ok: false });
    expect(network()).toEqual(before);
    await tidy(bench);
  });

  it('is as before or as asked after a kill at any operation', async () => {
    const { steps, ...first } = await prepare(scenario);
    let { state } = first;
    await first.close();
    const faults = steps.flatMap((step, index) => [
      `kill-before:${index}`,
      ...(hasMiddle(step) ? [`kill-mid:${index}`] : []),
      `kill-after:${index}`,
    ]);
    const before = network();
    for (const fault of ['kill-after-journal', ...faults]) {
      kill(state, scenario.target, fault);
      const bench = await openBench({ state });
      const [recovery] = bench.opened.recoveries;
      expect(bench.opened.failures).toEqual([]);
      expect(recovery?.failure ?? null, fault).toBeNull();
      expect(network(), `${fault} ${JSON.stringify(recovery)}`).toEqual(
        recovery?.outcome === 'committed' ? after.get(scenario.name) : before,
      );
      expect(existsSync(join(state, stateFiles.journal))).toBe(false);
      if (recovery?.outcome === 'committed') {
        await tidy(bench);
        const again = await prepare(scenario);
        ({ state } = again);
        await again.close();
      } else {
        await bench.close();
      }
    }
    await tidy({ ...first, state, close: () => Promise.resolve() });
  });

  it('is as asked after a kill in its commit', async () => {
    for (const fault of [
      'kill-before-verify',
      'kill-before-commit',
      'kill-mid-commit',
      'kill-after-commit',
    ]) {
      const prepared = await prepare(scenario);
      await prepared.close();
      kill(prepared.state, scenario.target, fault);
      const bench = await openBench({ state: prepared.state });
      expect(bench.opened.recoveries, fault).toMatchObject([{ outcome: 'committed' }]);
      expect(network()).toEqual(after.get(scenario.name));
      const record = bench.labs.list()[0]?.record;
      expect(record?.up).toBe(scenario.target.kind !== 'down');
      expect(plan(bench, scenario.target).steps).toEqual([]);
      await tidy(bench);
    }
  });
});

describe('a recovery', () => {
  it('can itself be killed, again and again', async () => {
    const scenario = scenarios[1];
    if (scenario === undefined) throw new Error('no scenario');
    const { state, steps, ...bench } = await prepare(scenario);
    const before = network();
    await bench.close();
    kill(state, scenario.target, `kill-after:${steps.length - 2}`);
    for (let index = steps.length - 2; index >= 0; index -= 1) {
      kill(state, scenario.target, `kill-roll-back:${index}`);
    }
    const last = await openBench({ state });
    expect(last.opened.recoveries).toMatchObject([{ outcome: 'rolled-back' }]);
    expect(network()).toEqual(before);
    await tidy(last);
  });

  it('takes a half-made namespace away and leaves what is foreign', async () => {
    const scenario = scenarios[0];
    if (scenario === undefined) throw new Error('no scenario');
    const { state, ...bench } = await prepare(scenario);
    await bench.close();
    kill(state, scenario.target, 'kill-before:0');
    // As a kill inside the making of the name leaves it: a file on which nothing is mounted.
    mkdirSync('/run/netns', { recursive: true });
    writeFileSync('/run/netns/r1', '');
    ip('netns', 'add', 'r2');
    ip('-n', 'r2', 'link', 'set', 'lo', 'up');
    const next = await openBench({ state });
    expect(next.opened.recoveries).toMatchObject([{ outcome: 'failed' }]);
    expect(existsSync('/run/netns/r1')).toBe(false);
    expect(namespaces()).toEqual(['r2']);
    ip('netns', 'delete', 'r2');
    // The next change recovers first.
    must(await apply(next, scenario.target));
    expect(network()).toEqual(after.get(scenario.name));
    await tidy(next);
  });

  it('puts only the record right when the realm has ended in between', async () => {
    const scenario = scenarios[0];
    if (scenario === undefined) throw new Error('no scenario');
    const { state, ...bench } = await prepare(scenario);
    await bench.close();
    kill(state, scenario.target, 'kill-mid-commit');
    const between = network();
    const next = await openBench({ state, incarnation: 'another boot' });
    expect(next.opened.recoveries).toMatchObject([{ outcome: 'committed' }]);
    expect(network()).toEqual(between);
    expect(next.labs.list()[0]?.record).toMatchObject({ revision: 1, incarnation: 'boot' });
    expect(next.labs.plan({ kind: 'undo', lab: 'notes' })).toMatchObject({
      ok: false,
      failure: { code: 'lab-gone' },
    });
    await tidy(next);
  });

  it('says loudly what a failed roll-back leaves', async () => {
    const scenario = scenarios[0];
    if (scenario === undefined) throw new Error('no scenario');
    const bench = await prepare(scenario, 'fail-at:4,fail-roll-back:2');
    const outcome = await apply(bench, scenario.target);
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'rollback-failed' } });
    expect(JSON.parse(readFileSync(join(bench.state, stateFiles.journal), 'utf8'))).toMatchObject({
      lab: 'notes',
    });
    await tidy(bench);
  });
});
