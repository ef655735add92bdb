/**
 * Open vSwitch on the kernel's datapath, in a guest with Debian's full kernel: every lab with an Open vSwitch by
 * `netloom test`, as root, one of them as an ordinary user, and the host's realm with the machine's own Open vSwitch
 * (host-ovs.inside.ts).
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { GuestFailure, GuestUnavailable, prepareGuest, runInGuest } from '../harness/guest.mjs';
import type { GuestResult } from '../harness/guest.d.mts';
import { hasOpenVswitch } from '../harness/lab-mutations.ts';
import {
  checkout,
  gallery,
  install,
  ordinaryUser,
  temporaryDirectory,
} from '../harness/netloom.ts';

const labs = readdirSync(gallery)
  .filter((name) => name.endsWith('.yaml') && hasOpenVswitch(name))
  .sort();
/** Beside each other, as there are two processors. */
const lanes = [0, 1].map((lane) => labs.filter((_, index) => index % 2 === lane));
const byUser = labs.slice(0, 1);
const reports = ['lane-0', 'lane-1', 'user'] as const;

interface LabReport {
  readonly files: readonly {
    readonly file: string;
    readonly outcome: string;
    readonly reason: string | null;
    readonly datapaths?: readonly string[];
  }[];
}

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
  const { root, node } = install();
  const at = (name: string): string => quote(path.join(results, name));
  const netloom = `${quote(node)} ${quote(path.join(root, 'main/cli/netloom.mjs'))}`;
  const files = (names: readonly string[]): string =>
    names.map((name) => quote(path.join(root, 'assets/labs', name))).join(' ');
  const home = '/tmp/guest-person';
  const asUser = `setpriv --reuid ${ordinaryUser} --regid ${ordinaryUser} --clear-groups env HOME=${home} XDG_RUNTIME_DIR=${home}/run`;
  const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run']
    .concat(['--config', 'test/vitest.config.ts', '--dir', 'test/guest', '--testTimeout=600000'])
    .concat(['--hookTimeout=600000', '--reporter=verbose', '--reporter=json'])
    .concat([`--outputFile.json=${path.join(results, 'inside.json')}`])
    .concat(['test/guest/host-ovs.inside.ts'])
    .map(quote)
    .join(' ');
  const tryLabs = (who: string, stem: string, names: readonly string[]): string =>
    `${who} ${netloom} test --json ${files(names)} >${at(`${stem}.json`)} 2>${at(`${stem}.log`)}`;
  return `
took() { echo "$1: $(cut -d ' ' -f 1 /proc/uptime)"; }
mkdir -m 700 ${home} ${home}/run
chown -R ${ordinaryUser}:${ordinaryUser} ${home}
(cd /; ${tryLabs('', 'lane-0', lanes[0] ?? [])}; took 'first labs') &
first=$!
(cd /; ${tryLabs('', 'lane-1', lanes[1] ?? [])}; took 'other labs')
(cd /; ${tryLabs(asUser, 'user', byUser)}; took 'a lab as a user') &
second=$!
${vitest} >${at('inside.log')} 2>&1
took 'the host'
wait $first $second
`;
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
    results = path.join(temporaryDirectory('guest-ovs'), 'results');
    mkdirSync(results);
    const run = await runInGuest({
      script: writeScript(results),
      results,
      workingDirectory: checkout,
      timeoutSeconds: 3000,
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

function read(name: string): string {
  try {
    return readFileSync(path.join(results, name), 'utf8');
  } catch {
    return '';
  }
}

function readReport<T>(stem: string): T | null {
  try {
    return JSON.parse(read(`${stem}.json`)) as T;
  } catch {
    return null;
  }
}

if (missing !== null) {
  process.stderr.write(`The guest tier is skipped: ${missing}\n`);
  it.skip(`The kernel’s datapath needs a guest: ${missing}`, () => undefined);
} else {
  it('the guest with Open vSwitch boots, runs everything and comes to its end', () => {
    expect(problem).toBeNull();
    expect(run?.missingModules).toEqual([]);
  });
}

if (run !== null) {
  const found = reports.flatMap((stem) =>
    (readReport<LabReport>(stem)?.files ?? []).map((one) => ({ ...one, stem })),
  );
  const said = reports.map((stem) => read(`${stem}.log`).slice(-2000)).join('\n');
  for (const { file, outcome, datapaths, stem } of found) {
    const who = stem === 'user' ? 'an ordinary user' : 'root';
    process.stderr.write(
      `${outcome}: ${path.basename(file)}, as ${who}, Open vSwitch on ${datapaths?.join(', ') ?? 'nothing'}\n`,
    );
  }

  describe.each([
    { who: 'root', stems: ['lane-0', 'lane-1'], names: labs },
    { who: 'an ordinary user', stems: ['user'], names: byUser },
  ])('in the guest as $who', ({ stems, names }) => {
    it.each(names)('the lab %s works on the kernel’s datapath and leaves nothing', (lab) => {
      const mine = found.filter(
        ({ file, stem }) => stems.includes(stem) && path.basename(file) === lab,
      );
      const reasons = mine.map(({ reason }) => reason ?? '').join('\n') || said;
      expect(
        mine.map(({ outcome, datapaths }) => ({ outcome, datapaths })),
        reasons,
      ).toEqual([{ outcome: 'passed', datapaths: ['system'] }]);
    });
  });

  describe('in the host’s realm of the guest', () => {
    const [file] = readReport<VitestReport>('inside')?.testResults ?? [];

    it('the tests are loaded and run', () => {
      expect(file, read('inside.log').slice(-4000)).toBeDefined();
      expect(file?.assertionResults, file?.message).not.toEqual([]);
    });

    for (const { fullName, status, failureMessages } of file?.assertionResults ?? []) {
      it(fullName, () => {
        const reason = [...(failureMessages ?? []), file?.message ?? ''].join('\n');
        expect(status, reason).toBe('passed');
      });
    }
  });
}
