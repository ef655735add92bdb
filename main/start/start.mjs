/**
 * `npm start`: brings packages and build up to date, chooses a shell and opens Netloom in it. The one line on stdout
 * says where; everything else goes to stderr.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { applicationRoot, build, BuildError } from './build.mjs';

const usage = `Usage: npm start -- [--no-open] [--port N]

  --no-open   do not open a browser
  --port N    listen on this port (browser shell); without it a free one

NETLOOM_SHELL=desktop|browser decides between Electron and the browser.
`;

/** How long the fetch of Electron's binary may take, and for how long a failed one is not tried again. */
const fetchSeconds = 60;
const retryHours = 24;

const say = (line) => process.stderr.write(`netloom: ${line}\n`);

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        'no-open': { type: 'boolean', default: false },
        port: { type: 'string', default: '0' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    const port = Number(values.port);
    if (!/^\d{1,5}$/u.test(values.port) || port > 65535) {
      throw new Error(`--port takes a number from 0 to 65535, not ${values.port}.`);
    }
    return { open: !values['no-open'], port };
  } catch (error) {
    process.stderr.write(`error: start: ${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

const hasDisplay = () =>
  (process.env['DISPLAY'] ?? '') !== '' || (process.env['WAYLAND_DISPLAY'] ?? '') !== '';

const electronDirectory = path.join(applicationRoot, 'node_modules/electron');
/** In the person's cache: a checkout may belong to somebody else. */
const fetchRecord = path.join(
  path.isAbsolute(process.env['XDG_CACHE_HOME'] ?? '')
    ? process.env['XDG_CACHE_HOME']
    : path.join(homedir(), '.cache'),
  'netloom/electron-fetch.json',
);

/** Path of Electron's binary, or null when it has not been fetched. */
function electronBinary() {
  try {
    const name = readFileSync(path.join(electronDirectory, 'path.txt'), 'utf8');
    const directory =
      process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? path.join(electronDirectory, 'dist');
    const binary = path.join(directory, name);
    return existsSync(binary) ? binary : null;
  } catch {
    return null;
  }
}

/** Why the last fetch failed, if that was lately and for the version that is wanted. */
function rememberedFailure(version) {
  try {
    const record = JSON.parse(readFileSync(fetchRecord, 'utf8'));
    const fresh = Date.now() - record.time < retryHours * 3_600_000;
    return fresh && record.version === version ? record.reason : null;
  } catch {
    return null;
  }
}

/** Fetches Electron's binary by its own script, for a bounded time. The reason when that fails, else null. */
async function fetchElectron() {
  const require = createRequire(path.join(applicationRoot, 'package.json'));
  let version;
  try {
    ({ version } = require('electron/package.json'));
  } catch {
    return 'the electron package is not installed';
  }
  try {
    accessSync(electronDirectory, constants.W_OK);
  } catch {
    return 'its binary is not there, and this user may not add it to node_modules';
  }
  const remembered = rememberedFailure(version);
  if (remembered !== null) {
    return `${remembered}; it is tried again after ${retryHours} hours, or by npx install-electron`;
  }
  say(`Fetching Electron ${version} (at most ${fetchSeconds} s) …`);
  const reason = await new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(electronDirectory, 'install.js')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (data) => {
      text = (text + data).slice(-4000);
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(`its binary did not arrive within ${fetchSeconds} s`);
    }, fetchSeconds * 1000);
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve(error.message);
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      const line = text.split('\n').find((one) => one.trim() !== '') ?? `exit ${code}`;
      resolve(code === 0 ? null : `its binary cannot be fetched (${line.trim().slice(0, 200)})`);
    });
  });
  if (reason !== null) {
    try {
      mkdirSync(path.dirname(fetchRecord), { recursive: true });
      writeFileSync(fetchRecord, JSON.stringify({ version, time: Date.now(), reason }));
    } catch {
      // Not remembered, then: the next start tries again.
    }
  }
  return reason;
}

/** The shell to use: the desktop's binary, or null and the reason why it is the browser. */
async function chooseShell() {
  const wish = process.env['NETLOOM_SHELL'] ?? '';
  if (wish === 'browser') return { binary: null, reason: 'NETLOOM_SHELL asks for it', wish };
  if (wish !== '' && wish !== 'desktop') {
    process.stderr.write(`error: NETLOOM_SHELL: It is ${wish}. Set it to desktop or browser.\n`);
    process.exit(2);
  }
  if (process.geteuid?.() === 0) {
    return { binary: null, reason: 'Electron keeps no sandbox when it runs as root', wish };
  }
  if (!hasDisplay()) return { binary: null, reason: 'there is no display', wish };
  if (!existsSync(path.join(applicationRoot, 'dist/main/electron.js'))) {
    return { binary: null, reason: 'the desktop shell is not built', wish };
  }
  const reason = electronBinary() === null ? await fetchElectron() : null;
  const binary = reason === null ? electronBinary() : null;
  return { binary, reason: reason ?? 'Electron’s binary is not there', wish };
}

/** Runs Electron until it ends. Resolves to its exit code and how long it ran. */
function runDesktop(binary) {
  const begun = Date.now();
  return new Promise((resolve) => {
    const environment = { ...process.env, NETLOOM_NODE: process.execPath };
    delete environment['ELECTRON_RUN_AS_NODE'];
    const child = spawn(binary, [applicationRoot], { stdio: 'inherit', env: environment });
    const forward = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const end = (code) => {
      for (const signal of signals) process.off(signal, forward);
      resolve({ code, seconds: (Date.now() - begun) / 1000 });
    };
    child.on('error', () => end(127));
    child.on('exit', (code, signal) => end(signal === null ? (code ?? 1) : 0));
  });
}

/** The person's browser, if there is a display to show it on. Whether it opens is between them and the desktop. */
function openBrowser(url) {
  if (!hasDisplay()) return;
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.on('error', () => say('xdg-open is not installed: open the address by hand.'));
  child.unref();
}

async function main() {
  const options = readOptions();
  try {
    await build();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`error: build: ${error.message}\n`);
    process.exit(1);
  }
  const { binary, reason, wish } = await chooseShell();
  if (binary !== null) {
    const { code, seconds } = await runDesktop(binary);
    if (code === 0 || wish === 'desktop' || seconds > 10) process.exit(code);
    say(`Electron ended at once (exit ${code}); the browser shell opens instead.`);
  } else if (wish === 'desktop') {
    process.stderr.write(`error: desktop shell: It cannot open: ${reason}.\n`);
    process.exit(1);
  } else {
    say(`Browser shell: ${reason}.`);
  }
  const entry = pathToFileURL(path.join(applicationRoot, 'dist/main/gateway.js')).href;
  const { startBrowserShell } = await import(entry);
  const started = await startBrowserShell({ applicationRoot, port: options.port });
  if (!started.ok) {
    const { object, reason: why, next } = started.failure;
    process.stderr.write(`error: ${object}: ${why} ${next}\n`);
    process.exit(1);
  }
  const shell = started.value;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    let asked = false;
    process.on(signal, () => {
      // A second one means it: something does not end.
      if (asked) process.exit(130);
      asked = true;
      void shell.close();
    });
  }
  process.stdout.write(`Netloom is ready at ${shell.url}\n`);
  if (options.open) openBrowser(shell.url);
  await shell.closed;
  process.exit(0);
}

await main();
