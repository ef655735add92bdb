/**
 * What tests in a guest have in common: one boot runs a script that leaves reports, and each entry of a report is a test on this
 * side.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GuestResult, GuestRun } from './guest.d.mts';
import { GuestFailure, GuestSilent, GuestUnavailable, prepareGuest, runInGuest } from './guest.mjs';
import { hasOpenVswitch } from './lab-needs.ts';
import { checkout, install, ordinaryUser, temporaryDirectory } from './netloom.ts';

export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** vitest's own report, as far as it is read here. */
interface VitestReport {
  readonly testResults: readonly VitestFile[];
}

interface VitestFile {
  readonly name: string;
  readonly message: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[] | null;
  }[];
}

/** The report of `netloom test --json`, as far as it is read here. */
interface LabReport {
  readonly files: readonly {
    readonly file: string;
    readonly outcome: string;
    readonly reason: string | null;
    readonly datapaths?: readonly string[];
  }[];
}

/** Scripts that succeed where the kernel has what they are named after. */
export type KernelFeatures = Readonly<Record<string, string>>;

export interface VitestCommand {
  /** Of the tier. */
  readonly directory: string;
  readonly files: readonly string[];
  /** The report is `STEM.json` in the directory for results. */
  readonly stem: string;
  /** Parts of the names of the tests that are to run; all where there are none. */
  readonly only?: readonly string[];
  /** One process for all files, which saves a slow machine its start. */
  readonly isolate?: boolean;
}

/** What a guest's script is written with. */
export class GuestPlaces {
  readonly results: string;

  constructor(results: string) {
    this.results = results;
  }

  /** A file in the directory for results, quoted for the shell. */
  at(name: string): string {
    return quote(path.join(this.results, name));
  }

  /** A guest is slow: these tests have the longest bounds. */
  vitest({ directory, files, stem, only = [], isolate = true }: VitestCommand): string {
    return [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', ...files]
      .concat(['--config', 'test/vitest.config.ts', '--dir', directory])
      .concat(['--testTimeout=600000', '--hookTimeout=600000'])
      .concat(['--no-file-parallelism'])
      .concat(['--reporter=verbose', '--reporter=json'])
      .concat([`--outputFile.json=${path.join(this.results, `${stem}.json`)}`])
      .concat(only.length === 0 ? [] : ['-t', only.join('|')])
      .concat(isolate ? [] : ['--no-isolate'])
      .map(quote)
      .join(' ');
  }

  /** Runs each by `sh -e` in a network namespace of its own and keeps how it ended; see {@link GuestReports.testFeatures}. */
  tryFeatures(features: KernelFeatures): string {
    return Object.values(features)
      .map(
        (script, index) =>
          `unshare --net sh -ec ${quote(script)} >${this.at(`feature-${index}.log`)} 2>&1; echo $? >${this.at(`feature-${index}.status`)}`,
      )
      .join('\n');
  }

  /** `netloom test` of gallery labs, with the report and what it says in files of that stem. */
  testLabs(stem: string, labs: readonly string[], person = ''): string {
    const { root, node } = install();
    const netloom = `${quote(node)} ${quote(path.join(root, 'main/cli/netloom.mjs'))}`;
    const files = labs.map((name) => quote(path.join(root, 'assets/labs', name))).join(' ');
    return `(cd /; ${person} ${netloom} test --json ${files} >${this.at(`${stem}.json`)} 2>${this.at(`${stem}.log`)})`;
  }
}

const home = '/tmp/guest-person';

/** Makes the home of an ordinary person; before {@link asPerson}. */
export const makePerson = `
mkdir -m 700 ${home} ${home}/run
chown -R ${ordinaryUser}:${ordinaryUser} ${home}
`;
export const asPerson = `setpriv --reuid ${ordinaryUser} --regid ${ordinaryUser} --clear-groups env HOME=${home} XDG_RUNTIME_DIR=${home}/run`;

/** Says on what is printed how long the guest has been up, which is what a run's time goes into. */
export const sayWhen = `took() { echo "$1: $(cut -d ' ' -f 1 /proc/uptime)"; }\n`;

type Script = (places: GuestPlaces) => string;

/** What came of a guest: a result, or a problem, or the reason why there is none here. */
export class GuestReports {
  readonly #results: string;
  readonly run: GuestResult | null;
  readonly problem: string | null;
  /** In one sentence. */
  readonly missing: string | null;

  private constructor(
    results: string,
    found: Partial<Pick<GuestReports, 'run' | 'problem' | 'missing'>>,
  ) {
    this.#results = results;
    this.run = found.run ?? null;
    this.problem = found.problem ?? null;
    this.missing = found.missing ?? null;
  }

  /** A guest that falls silent is booted again, in all so many times: that is the emulator, and no test has failed. */
  static async collect(
    stem: string,
    script: Script,
    options: Omit<GuestRun, 'script' | 'results' | 'workingDirectory' | 'receive'>,
    attempts = 1,
  ): Promise<GuestReports> {
    let results = '';
    try {
      // Before anything is made: where every test is skipped, no hook runs that would remove it.
      prepareGuest(options.machine, options.init);
      // Built here, so that the slow machine need not.
      install();
      results = path.join(temporaryDirectory(stem), 'results');
      mkdirSync(results);
      const run = await runInGuest({
        ...options,
        script: script(new GuestPlaces(results)),
        results,
        workingDirectory: checkout,
        receive: (chunk) => process.stderr.write(chunk),
      });
      return new GuestReports(results, { run });
    } catch (error) {
      if (error instanceof GuestUnavailable) {
        return new GuestReports(results, { missing: error.message });
      }
      if (error instanceof GuestSilent && attempts > 1) {
        process.stderr.write(`${stem}: once more: ${error.message}\n`);
        return GuestReports.collect(stem, script, options, attempts - 1);
      }
      if (!(error instanceof GuestFailure)) throw error;
      return new GuestReports(results, { problem: error.message });
    }
  }

  /** What a file has; '' where there is none. */
  read(name: string): string {
    try {
      return readFileSync(path.join(this.#results, name), 'utf8');
    } catch {
      return '';
    }
  }

  readReport<T>(stem: string): T | null {
    try {
      return JSON.parse(this.read(`${stem}.json`)) as T;
    } catch {
      return null;
    }
  }

  /** The first test of each guest: that there was one. Where none can be had, a skip that says why. */
  testBoot(name: string, statuses: readonly number[] = [0]): void {
    if (this.missing !== null) {
      process.stderr.write(`${name}: skipped: ${this.missing}\n`);
      it.skip(`${name} needs a guest: ${this.missing}`, () => undefined);
      return;
    }
    it(`${name}: the guest boots, runs everything and comes to its end`, () => {
      expect(this.problem).toBeNull();
      expect(this.run?.missingModules).toEqual([]);
      expect(statuses).toContain(this.run?.status);
    });
  }

  testFeatures(features: KernelFeatures): void {
    describe('the guest’s kernel', () => {
      it.each(Object.keys(features).map((name, index) => ({ name, index })))(
        'has $name',
        ({ index }) => {
          const log = this.read(`feature-${index}.log`);
          expect(this.read(`feature-${index}.status`).trim(), log).toBe('0');
        },
      );
    });
  }

  /**
   * A test for each of these labs: that it passed, with its switches on the kernel's datapath. Its kernel lacks nothing of
   * what they need: a lab that is skipped there is one that never runs. `who` is whom the labs were run as.
   */
  testLabs(who: string, stem: string, names: readonly string[]): void {
    const said = (): string => this.read(`${stem}.log`).slice(-4000);
    const files = this.readReport<LabReport>(stem)?.files ?? [];
    for (const { file, outcome, datapaths = [] } of files) {
      const switches = datapaths.length > 0 ? `, Open vSwitch on ${datapaths.join(', ')}` : '';
      process.stderr.write(
        `${outcome}: ${path.basename(file)}, in the guest as ${who}${switches}\n`,
      );
    }
    describe(`in the guest as ${who}`, () => {
      it.each(names)('the lab %s works and leaves nothing', (lab) => {
        const mine = files.filter(({ file }) => path.basename(file) === lab);
        const reasons = mine.map(({ reason }) => reason ?? '').join('\n') || said();
        expect(
          mine.map(({ outcome }) => outcome),
          reasons,
        ).toEqual(['passed']);
        const datapaths = mine.flatMap((one) => one.datapaths ?? []);
        expect(datapaths).toEqual(hasOpenVswitch(lab) ? ['system'] : []);
      });

      it('nothing was built anew', () => {
        expect(said()).not.toContain('Building');
      });
    });
  }

  /** A test for each that ran inside; `wanted` are parts of names of which each is to be found among them. */
  testInside(stem: string, fileName: string, wanted: readonly string[] = []): void {
    describe(`${fileName} in the guest`, () => {
      const file = this.readReport<VitestReport>(stem)?.testResults.find(
        ({ name }) => path.basename(name) === fileName,
      );
      const ran = (file?.assertionResults ?? []).filter(
        // Those that were not asked for.
        ({ status }) => wanted.length === 0 || status === 'passed' || status === 'failed',
      );

      it('is loaded and has tests', () => {
        expect(file, this.read(`${stem}.log`).slice(-4000)).toBeDefined();
        expect(ran, file?.message).not.toEqual([]);
        const names = ran.map(({ fullName }) => fullName);
        const unseen = wanted.filter((part) => !names.some((name) => name.includes(part)));
        expect(unseen, file?.message).toEqual([]);
      });

      for (const { fullName, status, failureMessages } of ran) {
        it(fullName, (test) => {
          if (status === 'skipped' || status === 'todo') test.skip();
          const reason = [...(failureMessages ?? []), file?.message ?? ''].join('\n');
          expect(status, reason).toBe('passed');
        });
      }
    });
  }
}
