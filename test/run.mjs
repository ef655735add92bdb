// `npm test`: brings in what the tests need, then lint, types and every tier. Ends with one line
// `N passed, N failed`, with `, N skipped` where something was skipped.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
  chromium: 'chromium',
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

const totals = { passed: 0, failed: 0, skipped: 0 };
const remarks = [];
/** What failed, once more at the end: a long run's output is often kept by its tail. */
const failures = [];

function count(name, passed, failed, skipped = 0) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  remarks.push(
    `${name}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
  );
}

async function check(name, file, args) {
  const code = await run(name, file, args);
  count(name, code === 0 ? 1 : 0, code === 0 ? 0 : 1);
}

const firstLines = (text) => text.split('\n').slice(0, 12).join('\n  ');

/** Runs one folder of tests; `wrap` puts the command into namespaces of its own. */
async function tier(name, folder, { parallel = false, wrap = (command) => command } = {}) {
  if (only.length > 0 && !only.includes(name)) return;
  const results = mkdtempSync(path.join(tmpdir(), 'netloom-test-'));
  const report = path.join(results, 'report.json');
  const command = wrap([
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'test/vitest.config.ts',
    '--dir',
    folder,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...(parallel ? [] : ['--no-file-parallelism']),
  ]);
  const code = await run(name, command[0], command.slice(1));
  if (existsSync(report)) {
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    // A file that cannot even be loaded has no test to fail.
    const broken = testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
    count(name, numPassedTests, numFailedTests + broken || (code === 0 ? 0 : 1), numPendingTests);
    for (const file of testResults) {
      const place = path.relative(root, file.name);
      if (file.status === 'failed' && file.assertionResults.length === 0) {
        failures.push(`${place}: ${firstLines(file.message)}`);
      }
      for (const { status, fullName, failureMessages } of file.assertionResults) {
        if (status !== 'failed') continue;
        failures.push(`${place}: ${fullName}: ${firstLines(failureMessages.join('\n'))}`);
      }
    }
  } else {
    count(name, 0, 1);
    failures.push(`${name}: ended without a report (exit ${code})`);
  }
  rmSync(results, { recursive: true, force: true });
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
if (only.length === 0 || only.includes('lint'))
  await check('lint', 'npm', ['run', '--silent', 'lint']);
if (only.length === 0 || only.includes('types'))
  await check('types', process.execPath, ['test/lint/types.mjs']);
await tier('unit', 'test/unit', { parallel: true });
await tier('kernel', 'test/kernel', { wrap: privately });
await tier('guest', 'test/guest');
await tier('cli', 'test/cli');
await tier('security', 'test/security');
await tier('chaos', 'test/chaos');
await tier('desktop', 'test/desktop');
await tier('ui', 'test/ui');

if (failures.length > 0) process.stderr.write(`\nFailed:\n\n${failures.join('\n\n')}\n`);
process.stderr.write(`\n${remarks.join('\n')}\n`);
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(totals.failed > 0 || totals.passed === 0 ? 1 : 0);
