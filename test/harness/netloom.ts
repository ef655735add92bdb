/**
 * Netloom as a person has it: an installed copy of what was built, directories of their own, the command. The copy
 * lies where every user can read it, wherever the checkout is, and does not change while somebody edits the sources.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { RealmName } from '../../agent/api/names.ts';
import { type Directories, realmDirectories } from '../../main/agent-link/directories.ts';
import { type ConnectedAgent, Realms } from '../../main/agent-link/realms.ts';
import type { RunInRealm } from './network-state.ts';

export const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const gallery = path.join(checkout, 'assets/labs');

/** A uid that no person and no package has. */
export const ordinaryUser = 47_329;

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const removals: (() => void)[] = [];

function removeAll(): void {
  for (const remove of removals.splice(0)) remove();
}
// Also when a worker ends before its hooks have run.
process.once('exit', removeAll);
afterAll(removeAll);

/** A directory that is gone after the test file; everybody may enter it. */
export function temporaryDirectory(stem: string): string {
  const directory = mkdtempSync(path.join(tmpdir(), `netloom-${stem}-`));
  chmodSync(directory, 0o755);
  removals.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Packages that the bundles leave outside, with what these need. */
function nativePackages(names: readonly string[], found = new Set<string>()): ReadonlySet<string> {
  for (const name of names) {
    const file = path.join(checkout, 'node_modules', name, 'package.json');
    // Of optional packages for other machines nothing is there.
    if (found.has(name) || !existsSync(file)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(file, 'utf8'),
    ) as Record<string, Record<string, string> | undefined>;
    nativePackages([...Object.keys(dependencies), ...Object.keys(optionalDependencies)], found);
  }
  return found;
}

export interface Installation {
  /** The application's root. */
  readonly root: string;
  /** A Node program that everybody may run. */
  readonly node: string;
}

let installation: Installation | undefined;

/** Copies what `npm run package` ships and runs, once a test file. `npm test` has built it. */
export function install(): Installation {
  if (installation !== undefined) return installation;
  const built = spawnSync(
    process.execPath,
    [
      path.join(checkout, 'main/start/build.mjs'),
      'agent',
      'realm-setup',
      'probe',
      'collector',
      'capture-worker',
      'keeper',
      'cli',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (built.status !== 0) throw new Error(`The build failed: ${built.stderr.toString()}`);
  const root = path.join(temporaryDirectory('install'), 'netloom');
  const copy = (relative: string, filter: (name: string) => boolean = () => true): void => {
    cpSync(path.join(checkout, relative), path.join(root, relative), {
      recursive: true,
      dereference: true,
      filter: (source) => filter(path.relative(path.join(checkout, relative), source)),
    });
  };
  for (const file of [
    'package.json',
    'package-lock.json',
    'main/cli/netloom.mjs',
    'main/start/build.mjs',
    'dist/main/cli.js',
    'dist/agent',
    'assets/labs',
  ]) {
    copy(file);
  }
  // What was compiled for other systems is most of the bulk.
  const wanted = (name: string): boolean => !/^build\/(?:darwin|win32)(?:\/|$)/.test(name);
  for (const name of nativePackages(['koffi', 'zeromq'])) copy(`node_modules/${name}`, wanted);
  spawnSync('chmod', ['-R', 'a+rX', root]);
  const node = nodeForEverybody(root);
  // As a package has it in the search path: transcripts call it by its name.
  const command = path.join(root, 'bin/netloom');
  mkdirSync(path.dirname(command), { recursive: true, mode: 0o755 });
  writeFileSync(command, `#!/bin/sh\nexec ${node} ${root}/main/cli/netloom.mjs "$@"\n`);
  chmodSync(command, 0o755);
  installation = { root, node };
  return installation;
}

function nodeForEverybody(root: string): string {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) return process.execPath;
  const tried = spawnSync(process.execPath, ['--version'], {
    uid: ordinaryUser,
    gid: ordinaryUser,
    cwd: '/',
  });
  if (tried.status === 0) return process.execPath;
  const node = path.join(root, 'bin/node');
  cpSync(process.execPath, node, { dereference: true });
  chmodSync(node, 0o755);
  return node;
}

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Parses what a command printed with `--json`. */
export function parse<T>({ stdout, stderr }: CommandResult): T {
  try {
    return JSON.parse(stdout) as T;
  } catch {
    throw new Error(`no JSON on stdout: ${stdout} (stderr: ${stderr})`);
  }
}

export interface RunOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Milliseconds until it is killed; its status is null then. */
  readonly limit?: number;
}

/** A realm as `agent status --json` tells it. */
export interface RealmRow {
  readonly realm: RealmName;
  readonly state: string;
  readonly keeperPid: number | null;
  readonly agentPid: number | null;
  readonly socket: string | null;
  readonly outside: string;
  readonly labs: readonly string[];
}

/** A living realm. */
export interface RunningRealm {
  readonly realm: RealmName;
  readonly keeper: number;
  readonly agent: number | null;
  /** `pid:[…]` of its pid namespace: what tells its processes after it has ended. */
  readonly processes: string;
  readonly network: string;
  /** For the comparator: its namespaces by `nsenter`, nothing of Netloom's. */
  readonly inRealm: RunInRealm;
  /** Runs a script by `sh -e` as a process of the realm; throws when it fails. */
  readonly script: (text: string) => void;
}

export interface NetloomOptions {
  /** Uid and gid of the person; whoever runs the tests unless given. */
  readonly user?: number;
  /** Words that run the command in another network (`outer-world.ts`). */
  readonly enter?: readonly string[];
  /** The words that start Netloom; those of the installed copy unless given. */
  readonly command?: readonly string[];
}

/**
 * Ends the keepers below a runtime directory and removes the home, when its standard input ends: with the test's
 * process, however that ends.
 */
const guardian = `
read -r _
for file in "$1"/*/keeper.json; do
  pid=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' "$file" 2>/dev/null)
  born=$(sed -n 's/.*"startTime":"\\([0-9]*\\)".*/\\1/p' "$file" 2>/dev/null)
  # The 22nd field of /proc/PID/stat; the name in the second one may hold blanks.
  now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)
  [ -n "$pid" ] && [ "$born" = "$now" ] && kill -9 "$pid"
done
sleep 1
rm -rf "$2"
`;

/** One person's Netloom. `dispose` ends their realms, whatever state these are in. */
export class Netloom {
  readonly installation: Installation;
  readonly user: number;
  readonly home: string;
  readonly directories: Directories;
  readonly environment: Readonly<Record<string, string>>;
  private readonly enter: readonly string[];
  private readonly command: readonly string[];

  constructor(options: NetloomOptions = {}) {
    this.installation = install();
    this.user = options.user ?? process.getuid?.() ?? 0;
    this.enter = options.enter ?? [];
    const { root, node } = this.installation;
    this.command = options.command ?? [node, path.join(root, 'main/cli/netloom.mjs')];
    this.home = temporaryDirectory('home');
    const make = (name: string): string => {
      const directory = path.join(this.home, name);
      mkdirSync(directory, { mode: 0o700 });
      if (this.isOther) chownSync(directory, this.user, this.user);
      return directory;
    };
    if (this.isOther) chownSync(this.home, this.user, this.user);
    const [run, state, data, config] = [make('run'), make('state'), make('data'), make('config')];
    this.environment = {
      PATH: `${path.dirname(this.installation.node)}:${systemPath}`,
      HOME: this.home,
      XDG_RUNTIME_DIR: run,
      XDG_STATE_HOME: state,
      XDG_DATA_HOME: data,
      XDG_CONFIG_HOME: config,
    };
    this.directories = {
      runtime: path.join(run, 'netloom'),
      state: path.join(state, 'netloom'),
      data: path.join(data, 'netloom'),
      labs: path.join(data, 'netloom/labs'),
      config: path.join(config, 'netloom'),
    };
    // Before the home is removed: the list is worked off from its front.
    removals.unshift(() => this.killKeepers());
    const watch = ['-c', guardian, 'guardian', this.directories.runtime, this.home];
    const guard = spawn('sh', watch, {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
    });
    guard.unref();
    guard.stdin.on('error', () => undefined);
    // A pipe that nobody writes to must not keep the test's process.
    if (guard.stdin instanceof Socket) guard.stdin.unref();
  }

  private get isOther(): boolean {
    return this.user !== process.getuid?.();
  }

  private get identity(): { readonly uid?: number; readonly gid?: number } {
    return this.isOther ? { uid: this.user, gid: this.user } : {};
  }

  /** Starts the command; for what is not over at once. */
  start(args: readonly string[], options: RunOptions = {}): ChildProcess {
    const { node } = this.installation;
    const command = [...this.command, ...args];
    // Only root may enter, and becomes the person after it.
    const uid = String(this.user);
    const become = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups', '--'];
    const [program = node, ...words] =
      this.enter.length === 0
        ? command
        : [...this.enter, ...(this.isOther ? become : []), ...command];
    return spawn(program, words, {
      ...(this.enter.length === 0 ? this.identity : {}),
      cwd: options.cwd ?? '/',
      env: { ...this.environment, ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Runs the command to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return ended(this.start(args, options), options);
  }

  /** As `run`, and throws unless it ended with 0. */
  async must(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const result = await this.run(args, options);
    if (result.status !== 0) {
      const { status, stdout, stderr } = result;
      throw new Error(`netloom ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
    }
    return result;
  }

  async realms(): Promise<readonly RealmRow[]> {
    const result = await this.must(['agent', 'status', '--json']);
    return parse<{ readonly realms: readonly RealmRow[] }>(result).realms;
  }

  /** The realm that a lab has for itself. */
  realm(lab: string): Promise<RunningRealm> {
    return this.namedRealm(`sandbox:${lab}`);
  }

  async namedRealm(realm: RealmName): Promise<RunningRealm> {
    const row = (await this.realms()).find((one) => one.realm === realm);
    if (row === undefined || row.keeperPid === null) throw new Error(`${realm} does not run`);
    return this.describe(realm, row.keeperPid, row.agentPid);
  }

  /** A realm with its agent and nothing in it. */
  async emptyRealm(name: string): Promise<RunningRealm> {
    const result = await this.must(['agent', 'start', '--realm', `sandbox:${name}`, '--json']);
    const { realm, keeperPid, agentPid } = parse<RealmRow>(result);
    if (keeperPid === null) throw new Error(`${realm} has no keeper`);
    return this.describe(realm, keeperPid, agentPid);
  }

  private describe(realm: RealmName, keeper: number, agent: number | null): RunningRealm {
    return {
      realm,
      keeper,
      agent,
      processes: readlinkSync(`/proc/${keeper}/ns/pid`),
      network: readlinkSync(`/proc/${keeper}/ns/net`),
      inRealm: (command) => this.lookInto(this.joinWords(keeper), command),
      script: (text) => void this.lookInto(this.joinWords(keeper), ['sh', '-e'], text),
    };
  }

  /**
   * The words that run a command in a realm's network, as whoever doubts a picture would; in its pid namespace too: with
   * it `/proc/self` is there, which `ip netns add` opens and where `tc` looks up the kernel's clock.
   */
  private joinWords(keeper: number): readonly string[] {
    const target = ['-t', String(keeper)];
    return ['nsenter', ...target, '-U', '--preserve-credentials', '-m', '-n', '-p', '--'];
  }

  private lookInto(
    enter: readonly string[],
    command: readonly string[],
    input: string | undefined = undefined,
  ): string {
    const [program = '', ...args] = [...enter, ...command];
    const result = spawnSync(program, args, {
      ...this.identity,
      ...(input === undefined ? {} : { input }),
      cwd: '/',
      env: { PATH: `${path.join(this.installation.root, 'bin')}:${systemPath}` },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 60_000,
    });
    if (result.status !== 0) {
      throw new Error(`${command.slice(0, 4).join(' ')}: ${result.stderr.toString()}`);
    }
    return result.stdout.toString();
  }

  /** Starts a program as a process of the realm and leaves it running. */
  startInRealm(keeper: number, command: readonly string[]): ChildProcess {
    const [program = '', ...args] = [...this.joinWords(keeper), ...command];
    return spawn(program, args, { ...this.identity, cwd: '/', env: { PATH: systemPath } });
  }

  /** The link to this person's agents; only for whoever runs the tests, since it checks who owns what. */
  link(): Realms {
    return new Realms({
      applicationRoot: this.installation.root,
      directories: this.directories,
    });
  }

  /** Writes a lab file into the person's home. */
  async write(name: string, text: string | Uint8Array): Promise<string> {
    const { writeFile } = await import('node:fs/promises');
    const file = path.join(this.home, name);
    await writeFile(file, text);
    if (this.isOther) chownSync(file, this.user, this.user);
    return file;
  }

  /**
   * Starts an agent in a realm that has none, with fault points. The command passes no such variable on, so this is
   * the command's own launch with an environment beside it.
   */
  async startFaultyAgent(
    link: Realms,
    realm: RunningRealm,
    fault: string,
  ): Promise<ConnectedAgent> {
    const { runtime, state } = realmDirectories(realm.realm, this.directories);
    const { root, node } = this.installation;
    const start = (): ChildProcess => {
      const log = openSync(path.join(this.home, 'faulty-agent.log'), 'a');
      const child = spawn(
        'sh',
        [
          path.join(root, 'dist/agent/keeper.sh'),
          ...['enter', String(realm.keeper), node, path.join(root, 'dist/agent/agent.js')],
          ...['--realm', realm.realm, '--runtime', runtime, '--state', state],
        ],
        {
          cwd: '/',
          detached: true,
          stdio: ['ignore', log, log],
          env: {
            PATH: systemPath,
            HOME: this.home,
            NETLOOM_TESTING: '1',
            ...(fault === '' ? {} : { NETLOOM_FAULT: fault }),
          },
        },
      );
      child.unref();
      closeSync(log);
      return child;
    };
    let child = start();
    let starts = 1;
    const end = Date.now() + 20_000;
    for (;;) {
      const connected = await link.connect(realm.realm);
      if (connected.ok) return connected.value;
      // One that comes before its predecessor has wholly gone is turned away, and ends.
      if ((child.exitCode ?? child.signalCode) !== null && starts < 3) {
        child = start();
        starts += 1;
      }
      if (Date.now() > end) throw new Error(connected.failure.reason);
      await delay(10);
    }
  }

  /** Ends this person's realms and removes their directories. */
  async dispose(): Promise<void> {
    const ended = this.killKeepers();
    await waitUntil(() => ended.every((pid) => !isAlive(pid)));
    rmSync(this.home, { recursive: true, force: true });
  }

  private killKeepers(): readonly number[] {
    const killed: number[] = [];
    for (const entry of listDirectory(this.directories.runtime)) {
      const file = path.join(this.directories.runtime, entry, 'keeper.json');
      try {
        const { pid, startTime } = JSON.parse(readFileSync(file, 'utf8')) as {
          readonly pid: number;
          readonly startTime: string;
        };
        // Another process may have its pid by now.
        if (startTimeOf(pid) !== startTime) continue;
        process.kill(pid, 'SIGKILL');
        killed.push(pid);
      } catch {
        // No keeper, or one that has ended.
      }
    }
    return killed;
  }
}

/** Gathers what a process prints, until it ends. */
export function ended(child: ChildProcess, options: RunOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.limit ?? 110_000);
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(timer);
      resolve({
        status,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      });
    });
  });
}

export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until something holds; false when it does not within `limit` milliseconds. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  limit = 15_000,
): Promise<boolean> {
  const end = Date.now() + limit;
  while (!(await condition())) {
    if (Date.now() > end) return false;
    await delay(20);
  }
  return true;
}

function listDirectory(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Field 22 of /proc/PID/stat (proc(5)); null when there is no such process. */
function startTimeOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** Whether a process runs; one that waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Pids of all processes in a pid or network namespace, given as `pid:[…]` or `net:[…]`. */
export function processesIn(namespace: string): readonly number[] {
  const kind = namespace.startsWith('pid:') ? 'pid' : 'net';
  return listDirectory('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/${kind}`) === namespace && isAlive(pid);
      } catch {
        return false;
      }
    });
}
