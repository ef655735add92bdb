/** What this machine's kernel does not let a CPU split become: said in a sentence, with nothing half-written. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maximumGroups } from '../../agent/lab/validate-cpu.ts';
import {
  apply,
  type Bench,
  documentTarget,
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
const mounted: string[] = [];

beforeEach(async () => {
  own = new OwnGroups();
  bench = await openBench({ cpu: own.realm() });
});
afterEach(async () => {
  await bench.close();
  for (const directory of mounted.splice(0).toReversed()) execFileSync('umount', [directory]);
  own[Symbol.dispose]();
});

function lab(groups: string): string {
  return `netloom: 1
name: lab
topology: { nodes: { r1: { kind: namespace } } }
cpu: { groups: ${groups} }
`;
}

/** A mount of the test's own, in the mount namespace that it has for itself. */
function makeReadOnly(directory: string): void {
  execFileSync('mount', ['--bind', directory, directory]);
  mounted.push(directory);
  execFileSync('mount', ['-o', 'remount,bind,ro', directory]);
}

function baseOf(controller: 'cpu' | 'cpuset'): string {
  const found = own.hierarchies.find(({ controllers }) => controllers.includes(controller));
  return found?.base ?? '/nowhere';
}

/** Every directory of the lab, in every hierarchy. */
function directories(): readonly string[] {
  return own.hierarchies
    .flatMap(({ base }) => readdirSync(base, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

describe('control groups that are mounted read-only', () => {
  it('are refused in the plan, whichever hierarchy it is, and nothing is written', async () => {
    for (const controller of ['cpu', 'cpuset'] as const) {
      makeReadOnly(baseOf(controller));
      const { refusals, steps } = plan(bench, documentTarget(lab('{ A: { cap: 1 } }')));
      expect(refusals.map(({ object, reason, next }) => `${object}: ${reason} ${next}`)).toEqual([
        `${baseOf(controller)}: The control groups at ${baseOf(controller)} are mounted read-only: ` +
          'no CPU group can be changed there. Mount them writable; where this is a container, ' +
          'start it with its control groups writable.',
      ]);
      expect(steps).toEqual([]);
      expect(await apply(bench, documentTarget(lab('{ A: { cap: 1 } }')))).toMatchObject({
        ok: false,
        failure: { kind: 'refused', code: 'cpu-place-read-only' },
      });
      expect([directories(), namespaces()]).toEqual([[], []]);
      execFileSync('umount', [mounted.pop() ?? '']);
    }
  });

  it('leave a lab as it was when they become so while it is up', async () => {
    const text = lab('{ A: { cap: 1 } }');
    must(await apply(bench, documentTarget(text)));
    const before = [directories(), JSON.stringify([...own.groups().machine().groups])];
    // One hierarchy of three, below where the plan looks: what comes first succeeds there.
    makeReadOnly(path.join(baseOf('cpuset'), 'netloom.lab'));
    const outcome = await apply(bench, documentTarget(lab('{ A: { cap: 2 }, B: { cap: 1 } }')));
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'rolled-back' } });
    const words = JSON.stringify(outcome);
    expect(words).toContain(path.join(baseOf('cpuset'), 'netloom.lab/B'));
    expect(words).toContain('EROFS');
    expect(words).toContain('It is mounted read-only: mount it writable, and try again.');
    expect([directories(), JSON.stringify([...own.groups().machine().groups])]).toEqual(before);
    // What asks for no write is not refused.
    makeReadOnly(baseOf('cpu'));
    expect(plan(bench, documentTarget(text))).toMatchObject({ steps: [], refusals: [] });
    expect(await apply(bench, { kind: 'down', lab: 'lab' })).toMatchObject({
      ok: false,
      failure: { code: 'cpu-place-read-only' },
    });
    expect(own.read('cpu', 'A/cpu.cfs_quota_us')).toBe('100000');
    for (const directory of mounted.splice(0).toReversed()) execFileSync('umount', [directory]);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
    expect([directories(), namespaces()]).toEqual([[], []]);
  });
});

describe('a place for groups that is not there', () => {
  it('is refused by its name', async () => {
    const gone = new OwnGroups();
    const elsewhere = await openBench({ cpu: gone.realm() });
    gone[Symbol.dispose]();
    const { refusals } = plan(elsewhere, documentTarget(lab('{ A: {} }')));
    expect(refusals).toMatchObject([
      { code: 'cpu-place-missing', object: gone.hierarchies[0]?.base },
    ]);
    await elsewhere.close();
  });
});

describe('ten thousand groups', () => {
  const groups = (count: number): string =>
    `{ ${Array.from({ length: count }, (_, at) => `g${at}: {}`).join(', ')} }`;

  it('are made and taken away again, and one more is refused by the document', async () => {
    must(await apply(bench, documentTarget(lab(groups(maximumGroups)))));
    expect(directories()).toHaveLength(
      own.hierarchies.length * (maximumGroups + 1) +
        // Of the root, where `cpu` is.
        1,
    );
    const more = bench.labs.plan(documentTarget(lab(groups(maximumGroups + 1))));
    expect(JSON.stringify(more)).toContain('The split has 10001 groups; at most 10000 are made.');
    expect(more.ok).toBe(false);
    must(await apply(bench, { kind: 'down', lab: 'lab' }));
    expect(directories()).toEqual([]);
  }, 300_000);
});
