/**
 * Installs what is missing and builds what is stale. Plain JavaScript on Node alone, since it runs on a fresh clone
 * before anything is installed. A build that has nothing to do reads the sources, compares their hashes and is gone.
 */
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const applicationRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

const distribution = path.join(applicationRoot, 'dist');
const stamps = path.join(distribution, '.stamps');
const lockFile = path.join(distribution, '.build-lock');

const sharedSources = ['package-lock.json', 'main/start/build.mjs'];
const pureAgentSources = ['agent/api', 'agent/lab', 'agent/dissect', 'agent/activity'];

/**
 * What is built, from which files. `output` is a file, or a directory for `renderer`.
 * `config` and `mode` say how vite builds it; a target without them is copied.
 */
const targets = [
  {
    name: 'agent',
    entry: 'agent/agent.ts',
    output: 'dist/agent/agent.js',
    sources: ['agent'],
    config: 'agent/vite.config.ts',
  },
  {
    name: 'realm-setup',
    entry: 'agent/realm/setup.ts',
    output: 'dist/agent/realm-setup.js',
    sources: ['agent'],
    config: 'agent/vite.config.ts',
  },
  {
    name: 'probe',
    entry: 'agent/probe.ts',
    output: 'dist/agent/probe.js',
    sources: ['agent'],
    config: 'agent/vite.config.ts',
  },
  {
    name: 'collector',
    entry: 'agent/collector.ts',
    output: 'dist/agent/collector.js',
    sources: ['agent'],
    config: 'agent/vite.config.ts',
  },
  {
    name: 'capture-worker',
    entry: 'agent/capture-worker.ts',
    output: 'dist/agent/capture-worker.js',
    sources: ['agent'],
    config: 'agent/vite.config.ts',
  },
  {
    name: 'keeper',
    entry: 'agent/realm/keeper.sh',
    output: 'dist/agent/keeper.sh',
    sources: ['agent/realm/keeper.sh'],
  },
  {
    name: 'cli',
    entry: 'main/cli/run.ts',
    output: 'dist/main/cli.js',
    sources: ['main', ...pureAgentSources],
    config: 'main/vite.config.ts',
  },
  {
    name: 'gateway',
    entry: 'main/gateway/start.ts',
    output: 'dist/main/gateway.js',
    sources: ['main', ...pureAgentSources],
    config: 'main/vite.config.ts',
  },
  {
    name: 'electron',
    entry: 'main/app/main.ts',
    output: 'dist/main/electron.js',
    sources: ['main', ...pureAgentSources],
    config: 'main/vite.config.ts',
  },
  {
    name: 'preload',
    entry: 'main/app/preload.ts',
    output: 'dist/main/preload.cjs',
    sources: ['main', ...pureAgentSources],
    config: 'main/vite.config.ts',
  },
  {
    name: 'renderer',
    entry: 'renderer/vite.config.ts',
    output: 'dist/renderer',
    sources: ['renderer', 'main/bridge', ...pureAgentSources],
    config: 'renderer/vite.config.ts',
  },
];

export const targetNames = targets.map((target) => target.name);

/** A build that could not be done; the message is one sentence for the person. */
export class BuildError extends Error {}

const say = (line) => process.stderr.write(`netloom: ${line}\n`);

/** Node may resolve these extensions from a source folder; anything else there is not part of a build. */
const ignoredNames = new Set(['node_modules', 'dist', 'README.md', 'netloom.mjs', 'start.mjs']);

function* filesBelow(relative) {
  const absolute = path.join(applicationRoot, relative);
  const status = statSync(absolute, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (status.isFile()) {
    yield relative;
    return;
  }
  const entries = readdirSync(absolute, { withFileTypes: true });
  entries.sort((left, right) => (left.name < right.name ? -1 : 1));
  for (const entry of entries) {
    if (ignoredNames.has(entry.name) || entry.name.startsWith('.')) continue;
    const child = `${relative}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(child);
    else if (entry.isFile()) yield child;
  }
}

/** One digest of names and contents; a file is read once for all targets. */
function hashSources(sources, contents) {
  const hash = createHash('sha256');
  for (const source of sources) {
    for (const file of filesBelow(source)) {
      let digest = contents.get(file);
      if (digest === undefined) {
        digest = createHash('sha256')
          .update(readFileSync(path.join(applicationRoot, file)))
          .digest('hex');
        contents.set(file, digest);
      }
      hash.update(`${file}\0${digest}\n`);
    }
  }
  return hash.digest('hex');
}

function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function writeAtomically(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.${randomUUID().slice(0, 8)}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}

/** Targets whose sources differ from those that their output was built from, with the digest of the sources. */
function findStale(names) {
  const contents = new Map();
  return targets
    .filter((target) => names === undefined || names.includes(target.name))
    .filter((target) => existsSync(path.join(applicationRoot, target.entry)))
    .map((target) => ({
      target,
      hash: hashSources([...sharedSources, ...target.sources], contents),
    }))
    .filter(
      ({ target, hash }) =>
        readText(path.join(stamps, target.name)) !== hash ||
        !existsSync(path.join(applicationRoot, target.output)),
    );
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm records in node_modules/.package-lock.json what it
 * installed, so that this is also right after a person's own `npm ci`.
 */
function isInstalled() {
  const wantedText = readText(path.join(applicationRoot, 'package-lock.json'));
  const presentText = readText(path.join(applicationRoot, 'node_modules/.package-lock.json'));
  if (wantedText === null || presentText === null) return false;
  const stamp = createHash('sha256').update(wantedText).update(presentText).digest('hex');
  const stampFile = path.join(stamps, 'install');
  if (readText(stampFile) === stamp) return true;
  const wanted = JSON.parse(wantedText).packages;
  const present = JSON.parse(presentText).packages;
  const complete = Object.entries(wanted).every(
    ([name, entry]) =>
      name === '' ||
      entry.optional === true ||
      entry.devOptional === true ||
      present[name]?.version === entry.version,
  );
  if (complete) {
    try {
      writeAtomically(stampFile, stamp);
    } catch {
      // A checkout that is not ours to write: the comparison is made again next time.
    }
  }
  return complete;
}

/** Runs a program with its output on stderr, since stdout belongs to results. */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: applicationRoot,
      stdio: ['ignore', 2, 2],
      ...options,
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new BuildError(`${command} ${args.join(' ')} ended with ${signal ?? code}.`));
    });
  });
}

async function install() {
  say('Installing packages (npm ci) …');
  // npm lends its own path to the scripts that it runs; elsewhere it is looked up.
  const npm = process.env['npm_execpath'];
  const viaNode = npm !== undefined && /npm-cli\.[cm]?js$/u.test(npm);
  const [command, args] = viaNode ? [process.execPath, [npm, 'ci']] : ['npm', ['ci']];
  await run(command, args);
  if (!isInstalled())
    throw new BuildError('npm ci left packages out that package-lock.json names.');
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Start time in clock ticks since boot (proc(5), field 22): tells a process from a later one with its pid. */
function startTimeOf(pid) {
  const text = readText(`/proc/${pid}/stat`);
  return text === null ? null : (text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null);
}

/**
 * Takes the build lock: a file that names its holder. It is made under another name and linked, so that it is never
 * seen half-written; one whose holder is gone is taken away.
 */
async function takeLock() {
  try {
    mkdirSync(distribution, { recursive: true });
  } catch (error) {
    throw new BuildError(`${distribution} cannot be written (${error.code}).`);
  }
  const mine = `${process.pid} ${startTimeOf(process.pid)}`;
  const draft = `${lockFile}.${process.pid}`;
  try {
    writeFileSync(draft, mine);
  } catch (error) {
    throw new BuildError(
      `The build is stale and ${distribution} cannot be written (${error.code}): run npm run build as its owner.`,
    );
  }
  let waiting = false;
  try {
    for (;;) {
      try {
        linkSync(draft, lockFile);
        break;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const holder = readText(lockFile);
      if (holder === null) continue;
      const [pid = '', startTime] = holder.split(' ');
      if (startTimeOf(pid) !== startTime) {
        const aside = `${lockFile}.stale.${process.pid}`;
        try {
          renameSync(lockFile, aside);
          // Another one may have cleared the stale lock and taken it in between: give that one back.
          if (readText(aside) !== holder) linkSync(aside, lockFile);
        } catch {
          // Somebody else was faster.
        }
        rmSync(aside, { force: true });
        continue;
      }
      if (!waiting) say(`Waiting for the build of process ${pid} …`);
      waiting = true;
      await sleep(100);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (readText(lockFile) === mine) rmSync(lockFile, { force: true });
  };
}

/** Moves a built directory over the one in place: what pages refer to first, pages last, leftovers after that. */
function replaceDirectory(built, output) {
  const list = (root, relative = '') =>
    readdirSync(path.join(root, relative), { withFileTypes: true }).flatMap((entry) => {
      const child = path.join(relative, entry.name);
      return entry.isDirectory() ? list(root, child) : [child];
    });
  const files = list(built);
  const isPage = (file) => file.endsWith('.html');
  mkdirSync(output, { recursive: true });
  const leftovers = new Set(list(output));
  for (const file of [...files.filter((one) => !isPage(one)), ...files.filter(isPage)]) {
    mkdirSync(path.dirname(path.join(output, file)), { recursive: true });
    renameSync(path.join(built, file), path.join(output, file));
    leftovers.delete(file);
  }
  for (const file of leftovers) rmSync(path.join(output, file), { force: true });
}

async function buildTarget({ target, hash }, vite) {
  const begun = performance.now();
  const output = path.join(applicationRoot, target.output);
  const workplace = path.join(distribution, `.building-${target.name}-${process.pid}`);
  rmSync(workplace, { recursive: true, force: true });
  mkdirSync(workplace, { recursive: true });
  try {
    mkdirSync(path.dirname(output), { recursive: true });
    if (target.config === undefined) {
      const draft = path.join(workplace, path.basename(output));
      copyFileSync(path.join(applicationRoot, target.entry), draft);
      chmodSync(draft, 0o755);
      renameSync(draft, output);
    } else {
      await vite.build({
        configFile: path.join(applicationRoot, target.config),
        mode: target.name === 'renderer' ? 'production' : target.name,
        logLevel: 'error',
        build: { outDir: workplace, emptyOutDir: false },
      });
      if (target.name === 'renderer') replaceDirectory(workplace, output);
      else renameSync(path.join(workplace, path.basename(output)), output);
    }
    writeAtomically(path.join(stamps, target.name), hash);
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
  say(`Built ${target.name} in ${((performance.now() - begun) / 1000).toFixed(1)} s.`);
}

/** What a build that was killed left behind; only under the lock. */
function clearWorkplaces() {
  for (const name of readdirSync(distribution)) {
    if (name.startsWith('.building-')) {
      rmSync(path.join(distribution, name), { recursive: true, force: true });
    }
  }
}

/**
 * Brings dist/ up to date. `install` says whether packages may be installed; `only` limits the targets by name.
 * Throws a BuildError with one sentence for the person.
 */
export async function build({ install: mayInstall = true, only } = {}) {
  const installed = isInstalled();
  if (installed && findStale(only).length === 0) return;
  if (!installed && !mayInstall && !existsSync(path.join(applicationRoot, 'node_modules/vite'))) {
    if (findStale(only).length === 0) return;
    throw new BuildError('The packages are not installed: run npm ci first.');
  }
  const release = await takeLock();
  try {
    if (mayInstall && !isInstalled()) await install();
    const stale = findStale(only);
    if (stale.length === 0) return;
    clearWorkplaces();
    say(`Building ${stale.map(({ target }) => target.name).join(', ')} …`);
    const needsVite = stale.some(({ target }) => target.config !== undefined);
    // vite sets NODE_ENV for the whole process, which is also the program's when the build runs in front of it.
    const environment = process.env['NODE_ENV'];
    const vite = needsVite
      ? await import(
          pathToFileURL(path.join(applicationRoot, 'node_modules/vite/dist/node/index.js')).href
        )
      : null;
    const outcomes = await Promise.allSettled(stale.map((one) => buildTarget(one, vite)));
    if (environment === undefined) delete process.env['NODE_ENV'];
    else process.env['NODE_ENV'] = environment;
    const failed = outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected'
        ? [{ name: stale[index].target.name, cause: outcome.reason }]
        : [],
    );
    for (const { name, cause } of failed) say(`${name}: ${cause?.message ?? cause}`);
    if (failed.length > 0) {
      throw new BuildError(`${failed.map(({ name }) => name).join(', ')} could not be built.`);
    }
  } finally {
    release();
  }
}

const isMain =
  process.argv[1] !== undefined &&
  existsSync(process.argv[1]) &&
  import.meta.url === pathToFileURL(process.argv[1]).href;
if (isMain) {
  const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
  try {
    await build({ ...(only.length > 0 ? { only } : {}) });
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}
