/** CPU splits on cgroup v2, in a guest with 16 CPUs (cpu.inside.ts). */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { GuestFailure, GuestUnavailable, prepareGuest, runInGuest } from '../harness/guest.mjs';
import type { GuestResult } from '../harness/guest.d.mts';
import { checkout, install, temporaryDirectory } from '../harness/netloom.ts';

/** vitest's own report, as far as it is read here. */
interface VitestReport {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function writeScript(results: string): string {
  return [process.execPath, 'node_modules/vitest/vitest.mjs', 'run']
    .concat(['--config', 'test/vitest.config.ts', '--dir', 'test/guest', '--testTimeout=400000'])
    .concat(['--hookTimeout=400000', '--reporter=verbose', '--reporter=json'])
    .concat([`--outputFile.json=${path.join(results, 'inside.json')}`])
    .concat(['test/guest/cpu.inside.ts'])
    .map(quote)
    .join(' ');
}

interface Outcome {
  readonly results: string;
  readonly run: GuestResult | null;
  readonly problem: string | null;
  /** Why there is no guest here, in one sentence. */
  readonly missing: string | null;
}

async function runEverything(): Promise<Outcome> {
  let results = '';
  try {
    // Before anything is made: where every test is skipped, no hook runs that would remove it.
    prepareGuest();
    // Built here, so that the slow machine need not.
    install();
    results = path.join(temporaryDirectory('guest-cpu'), 'results');
    mkdirSync(results);
    const run = await runInGuest({
      script: writeScript(results),
      results,
      workingDirectory: checkout,
      cpus: 16,
      timeoutSeconds: 2400,
      receive: (chunk) => process.stderr.write(chunk),
    });
    return { results, run, problem: null, missing: null };
  } catch (error) {
    if (error instanceof GuestUnavailable) {
      return { results, run: null, problem: null, missing: error.message };
    }
    if (!(error instanceof GuestFailure)) throw error;
    return { results, run: null, problem: error.message, missing: null };
  }
}

const { results, run, problem, missing } = await runEverything();

function readReport(): VitestReport | null {
  try {
    return JSON.parse(readFileSync(path.join(results, 'inside.json'), 'utf8')) as VitestReport;
  } catch {
    return null;
  }
}

if (missing !== null) {
  process.stderr.write(`The guest tier is skipped: ${missing}\n`);
  it.skip(`CPU splits need a guest: ${missing}`, () => undefined);
} else {
  it('the guest with 16 CPUs boots, runs everything and comes to its end', () => {
    expect(problem).toBeNull();
    // How the tests went is said one by one below.
    expect([0, 1]).toContain(run?.status);
  });
}

if (run !== null) {
  describe('in the guest', () => {
    const file = readReport()?.testResults[0];
    const ran = file?.assertionResults ?? [];

    it('the tests are loaded and run', () => {
      expect(file, run.output.slice(-4000)).toBeDefined();
      expect(file?.message).toBe('');
      expect(ran.length).toBeGreaterThan(5);
    });

    for (const { status, fullName, failureMessages } of ran) {
      it(fullName, () => {
        expect(status, (failureMessages ?? []).join('\n')).toBe('passed');
      });
    }
  });
}
