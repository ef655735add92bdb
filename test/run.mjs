// `npm test`: brings in what the tests need, then lint, types and every tier. Ends with one line
// `N passed, N failed`, with `, N unsteady` and `, N skipped` where there are such.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
const isRoot = process.getuid?.() === 0;
const only = process.argv.slice(2);

/** Debian packages by what they give the tests. */
const systemPackages = {
  iproute2: 'ip',
  'bridge-utils': 'brctl',
  'iputils-ping': 'ping',
  nftables: 'nft',
  socat: 'socat',
  passt: 'pasta',
  slirp4netns: 'slirp4netns',
  uidmap: 'newuidmap',
  procps: 'sysctl',
  'qemu-system-x86': 'qemu-system-x86_64',
  'linux-image-amd64': '/vmlinuz',
  'busybox-static': '/usr/share/doc/busybox-static',
  kmod: 'modprobe',
  'openvswitch-switch': 'ovs-vswitchd',
  chromium: 'chromium',
  tshark: 'tshark',
  gcc: 'gcc',
  'libc6-dev': '/usr/share/doc/libc6-dev',
  softflowd: 'softflowd',
  ethtool: 'ethtool',
  'fonts-noto-cjk': '/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc',
};

function present(proof) {
  if (proof.startsWith('/')) return existsSync(proof);
  return ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].some(
    (folder) => existsSync(path.join(folder, proof)),
  );
}

function run(name, file, args, options = {}) {
  process.stderr.write(`\n— ${name}\n`);
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: 'inherit', ...options });
    child.on('error', (error) => {
      process.stderr.write(`${name}: ${error.message}\n`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

async function installSystemPackages() {
  const missing = Object.entries(systemPackages)
    .filter(([, proof]) => !present(proof))
    .map(([name]) => name);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!isRoot || !present('apt-get')) {
    process.stderr.write(
      `Some tests need packages that are not installed. Install them with:\n  ${command}\n`,
    );
    return;
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('package lists', 'apt-get', ['update', '-q'], { env });
  const code = await run(
    'system packages',
    'apt-get',
    ['install', '-y', '-q', '--no-install-recommends', ...missing],
    { env },
  );
  if (code !== 0) process.stderr.write(`The packages could not be installed. Try:\n  ${command}\n`);
}

/** By tier, in the order in which they came to their end. */
const counts = new Map();
/** What failed, once more at the end: a long run's output is often kept by its tail. */
const failures = [];
/** Test files that failed in their tier, with that tier's way to run them. */
const toRepeat = [];
/** More than this many files is no accident of a busy machine. */
const mostRepeated = 4;

/** `since`: milliseconds of the clock at its start. */
function count(name, since, passed, failed, skipped = 0) {
  const seconds = Math.round((Date.now() - since) / 1000);
  counts.set(name, { passed, failed, skipped, unsteady: 0, seconds });
}

function sentence({ passed, failed, skipped, unsteady }) {
  const rare = [
    unsteady > 0 ? `, ${unsteady} unsteady` : '',
    skipped > 0 ? `, ${skipped} skipped` : '',
  ];
  return `${passed} passed, ${failed} failed${rare.join('')}`;
}

async function check(name, file, args) {
  if (only.length > 0 && !only.includes(name)) return;
  const since = Date.now();
  const code = await run(name, file, args);
  count(name, since, code === 0 ? 1 : 0, code === 0 ? 0 : 1);
}

const firstLines = (text) => text.split('\n').slice(0, 12).join('\n  ');

/**
 * Runs tests of a folder, or of those of its files whose paths contain one of `files`. The report is undefined where it ended
 * without one. `shard` is `1/2` for the first half of the files.
 */
async function runTests(
  name,
  folder,
  { parallel = false, wrap = (command) => command, exclude = [] },
  files,
  shard = null,
) {
  const results = mkdtempSync(path.join(tmpdir(), 'netloom-test-'));
  const file = path.join(results, 'report.json');
  const command = wrap([
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    ...files,
    '--config',
    'test/vitest.config.ts',
    '--dir',
    folder,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
    parallel ? `--maxWorkers=${availableParallelism()}` : '--no-file-parallelism',
    ...exclude.map((each) => `--exclude=${each}`),
    ...(shard === null ? [] : [`--shard=${shard}`]),
  ]);
  const code = await run(shard === null ? name : `${name} ${shard}`, command[0], command.slice(1));
  const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  rmSync(results, { recursive: true, force: true });
  return { code, report };
}

/** Runs the halves of a folder beside each other, as one. */
async function runHalves(...args) {
  const halves = await Promise.all(['1/2', '2/2'].map((shard) => runTests(...args, shard)));
  const reports = halves.map(({ report }) => report);
  const code = Math.max(...halves.map((half) => half.code));
  if (reports.includes(undefined)) return { code, report: undefined };
  const sum = (key) => reports.reduce((total, report) => total + report[key], 0);
  return {
    code,
    report: {
      numPassedTests: sum('numPassedTests'),
      numFailedTests: sum('numFailedTests'),
      testResults: reports.flatMap(({ testResults }) => testResults),
    },
  };
}

// A file that cannot even be loaded has no test to fail.
const isBroken = ({ status, assertionResults }) =>
  status === 'failed' && assertionResults.length === 0;

/** The process that ran it ended before it did. One that is left out is `skipped`. */
const isUnfinished = ({ status }) => status === 'pending';

/**
 * Runs one folder of tests; `wrap` puts the command into namespaces of its own. `halves` run beside each other; `files` are
 * all that count, and `exclude` are globs of those that do not.
 */
async function tier(name, folder, options = {}) {
  if (only.length > 0 && !only.includes(name)) return;
  const since = Date.now();
  const { halves = false, files = [] } = options;
  const { code, report } = await (halves ? runHalves : runTests)(name, folder, options, files);
  if (report === undefined) {
    count(name, since, 0, 1);
    failures.push(`${name}: ended without a report (exit ${code})`);
    return;
  }
  const { numPassedTests, numFailedTests, testResults } = report;
  const all = testResults.flatMap((file) => file.assertionResults);
  const broken = testResults.filter(isBroken).length;
  const unfinished = all.filter(isUnfinished).length;
  const skipped = all.filter(({ status }) => status === 'skipped' || status === 'todo').length;
  const numFailed = numFailedTests + broken + unfinished || (code === 0 ? 0 : 1);
  count(name, since, numPassedTests, numFailed, skipped);
  for (const file of testResults) {
    const place = path.relative(root, file.name);
    const failed = file.assertionResults.filter(
      (test) => test.status === 'failed' || isUnfinished(test),
    );
    if (isBroken(file)) failures.push(`${place}: ${firstLines(file.message)}`);
    for (const { fullName, failureMessages, status } of failed) {
      const said = status === 'failed' ? failureMessages.join('\n') : 'its process ended before it';
      failures.push(`${place}: ${fullName}: ${firstLines(said)}`);
    }
    if (failed.length > 0) {
      toRepeat.push({
        name,
        folder,
        options,
        place,
        tests: failed.map(({ fullName }) => fullName),
      });
    }
  }
}

/**
 * Runs files that failed once more, alone and after everything else: most tests are of real kernels, daemons and browsers, on a
 * machine that may be busy. What passes then is unsteady: named beside what it failed by, counted apart, and a fault to mend.
 */
async function repeatFailed() {
  if (toRepeat.length === 0 || toRepeat.length > mostRepeated) return;
  for (const { name, folder, options, place, tests } of toRepeat) {
    const { report } = await runTests(`${name} again: ${place}`, folder, options, [place]);
    const again = (report?.testResults ?? []).flatMap((file) => file.assertionResults);
    const passed = new Set(
      again.filter(({ status }) => status === 'passed').map(({ fullName }) => fullName),
    );
    const tier = counts.get(name);
    for (const test of tests.filter((one) => passed.has(one))) {
      tier.failed -= 1;
      tier.unsteady += 1;
      failures.push(`${place}: ${test}: UNSTEADY, passed when it was run again alone`);
    }
    for (const { status, fullName } of again) {
      if (status !== 'failed' || tests.includes(fullName)) continue;
      tier.failed += 1;
      failures.push(`${place}: ${fullName}: failed when the file was run again alone`);
    }
  }
}

/** Kernel tests live in network and mount namespaces of their own: nothing they do is seen outside. */
function privately(command) {
  const user = isRoot ? [] : ['--user', '--map-root-user'];
  const script = 'mount -t tmpfs tmpfs /run && exec "$@"';
  // A private /run hides the results' folder only if that lies in /run: it does not.
  return [
    'unshare',
    ...user,
    '--net',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    'sh',
    ...command,
  ];
}

await installSystemPackages();
const built = spawnSync(process.execPath, ['main/start/build.mjs'], { stdio: 'inherit' });
if (built.status !== 0) {
  process.stderr.write('The build failed.\n');
  console.log('0 passed, 1 failed');
  process.exit(1);
}
async function checkSources() {
  await check('lint', 'npm', ['run', '--silent', 'lint']);
  await check('types', process.execPath, ['test/lint/types.mjs']);
}

await Promise.all([checkSources(), tier('unit', 'test/unit', { parallel: true })]);
// One at a time from here: beside each other they take as long, since processors are what they lack, and what waits for an
// emulated machine, or measures what others take from, becomes unsteady.
// Those of CPU groups measure cores, and have the machine for themselves.
await tier('cpu', 'test/kernel', { wrap: privately, files: ['test/kernel/cpu-'] });
// The others wait most of the time, and these guests have one processor each.
await tier('kernel', 'test/kernel', { wrap: privately, halves: true, exclude: ['**/cpu-*'] });
await tier('guest', 'test/guest', { parallel: true });
await tier('emulated', 'test/emulated');
await tier('cli', 'test/cli');
await tier('security', 'test/security');
await tier('chaos', 'test/chaos');
await tier('desktop', 'test/desktop');
await tier('ui', 'test/ui');

await repeatFailed();

if (failures.length > 0) process.stderr.write(`\nFailed:\n\n${failures.join('\n\n')}\n`);
process.stderr.write('\n');
const totals = { passed: 0, failed: 0, skipped: 0, unsteady: 0 };
for (const [name, one] of counts) {
  process.stderr.write(`${name}: ${sentence(one)}, ${one.seconds} s\n`);
  for (const key of Object.keys(totals)) totals[key] += one[key];
}
console.log(sentence(totals));
process.exit(totals.failed > 0 || totals.passed === 0 ? 1 : 0);
