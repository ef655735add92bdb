/**
 * The host realm on a machine that is one: test/cli/host-realm.test.ts in a guest with Debian's full kernel and a NIC,
 * where root, /run, /var/lib and the machine's own network namespace are the guest's. Of the tests there, those that such
 * a machine may answer otherwise; the rest is tried by the tier cli alone, since the guest is slow.
 */
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

/** Beginnings or parts of names; each is to be found among those that ran. */
const wanted = [
  ...['is as it was with an agent', 'keeps its NIC', 'brings the lab', 'holds several labs'],
  ...['of a namespace is refused', 'of a tap is refused', 'runs as the person'],
  ...['is known again, and ends with its lab', 'by tester runs'],
  ...['at kill-after:3 leaves', 'stays once it is confirmed', 'goes back by its deadline'],
];

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function writeScript(results: string): string {
  return [process.execPath, 'node_modules/vitest/vitest.mjs', 'run']
    .concat(['--config', 'test/vitest.config.ts', '--dir', 'test/cli', '--testTimeout=600000'])
    .concat(['--reporter=verbose', '--reporter=json'])
    .concat([`--outputFile.json=${path.join(results, 'report.json')}`])
    .concat(['test/cli/host-realm.test.ts', '-t', wanted.join('|')])
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
    results = path.join(temporaryDirectory('guest-host'), 'results');
    mkdirSync(results);
    const run = await runInGuest({
      script: writeScript(results),
      results,
      workingDirectory: checkout,
      timeoutSeconds: 3000,
      network: true,
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
    return JSON.parse(readFileSync(path.join(results, 'report.json'), 'utf8')) as VitestReport;
  } catch {
    return null;
  }
}

if (missing !== null) {
  process.stderr.write(`The guest tier is skipped: ${missing}\n`);
  it.skip(`The host realm’s tests need a guest: ${missing}`, () => undefined);
} else {
  it('the guest with a NIC boots, runs everything and comes to its end', () => {
    expect(problem).toBeNull();
    expect(run?.missingModules).toEqual([]);
    // How the tests went is said one by one below.
    expect([0, 1]).toContain(run?.status);
  });
}

if (run !== null) {
  describe('in the guest', () => {
    const file = readReport()?.testResults[0];
    const ran = (file?.assertionResults ?? []).filter(
      ({ status }) => status === 'passed' || status === 'failed',
    );

    it('the tests are loaded and run', () => {
      expect(file, run.output.slice(-4000)).toBeDefined();
      const names = ran.map(({ fullName }) => fullName);
      const unseen = wanted.filter((part) => !names.some((name) => name.includes(part)));
      expect(unseen, file?.message).toEqual([]);
    });

    for (const { fullName, status, failureMessages } of ran) {
      it(fullName, () => {
        const reason = [...(failureMessages ?? []), file?.message ?? ''].join('\n');
        expect(status, reason).toBe('passed');
      });
    }
  });
}
