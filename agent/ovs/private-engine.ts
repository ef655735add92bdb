/**
 * A private Open vSwitch: a database and a switch of their own in one directory, in one network namespace. Both outlive the
 * agent; what is known of them is in the directory and in /proc, so that an agent that starts again finds them.
 */
import { mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type Result, succeed } from '../api/result.ts';
import { systemFailure } from '../kernel/kernel-failure.ts';
import { findProgram, runCommand } from '../kernel/process.ts';
import { readProcess } from '../kernel/process-table.ts';
import { control } from './appctl.ts';
import {
  type EngineCommands,
  engineCommands,
  type EngineDatapath,
  engineFiles,
  longestEngineDirectory,
  schemaFile,
} from './engine-commands.ts';
import { ovsFailure, switchSilent } from './failures.ts';
import { removeDatapath } from './datapath.ts';
import { OvsdbClient } from './ovsdb-client.ts';
import { numberOf } from './values.ts';

export interface EngineOptions {
  /** Of the engine alone; made with mode 0700, removed by {@link stopEngine}. */
  readonly directory: string;
  /** Namespace that both daemons are started in; the agent's own where it is left out. */
  readonly namespaceFd?: number | undefined;
  readonly datapath: EngineDatapath | 'dummy';
  /** Milliseconds for each daemon to become ready; default 30,000. */
  readonly timeout?: number | undefined;
}

export type EnginePart = 'database' | 'switch';

export interface PartState {
  /** Null where it does not run. */
  readonly pid: number | null;
  readonly running: boolean;
  /** Clock ticks after boot; with the pid it names the process for good. */
  readonly startTime: number | null;
}

export interface EngineState {
  readonly database: PartState;
  readonly switch: PartState;
}

const programs = ['ovsdb-tool', 'ovsdb-server', 'ovs-vsctl', 'ovs-vswitchd'] as const;

/** Fails with 'process' where a part of Open vSwitch is not installed. */
export function findOpenVswitch(): Result<void> {
  const missing = programs.find((program) => findProgram(program) === undefined);
  const schema = missing === undefined && !isFile(schemaFile) ? schemaFile : undefined;
  const lacking = missing ?? schema;
  if (lacking === undefined) return succeed(undefined);
  return fail(
    ovsFailure(
      'process',
      'ovs-missing',
      lacking,
      `Open vSwitch is not installed: ${lacking} is missing.`,
      'Install it: apt install openvswitch-switch.',
    ),
  );
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const absent: PartState = { pid: null, running: false, startTime: null };

/** A pid file may be a dead daemon's: whose process it is, is seen by its command line. */
function readPart(pidFile: string): PartState {
  let pid: number;
  try {
    pid = Number(readFileSync(pidFile, 'utf8').trim());
  } catch {
    return absent;
  }
  if (!Number.isInteger(pid) || pid <= 0) return absent;
  const process = readProcess(pid);
  if (process === undefined || !hasPidFile(process.commandLine, pidFile)) return absent;
  if (process.state === 'Z' || process.state === 'X') return absent;
  return { pid, running: true, startTime: process.startTime };
}

/** By whatever name: the machine's own daemons are told of /var/run, which is /run. */
function hasPidFile(commandLine: readonly string[], pidFile: string): boolean {
  const option = '--pidfile=';
  const named = commandLine.find((word) => word.startsWith(option))?.slice(option.length);
  if (named === undefined || named === pidFile) return named !== undefined;
  try {
    return realpathSync(named) === realpathSync(pidFile);
  } catch {
    return false;
  }
}

/** What runs of the engine in this directory. */
export function probeEngine(directory: string): EngineState {
  const files = engineFiles(directory);
  return { database: readPart(files.databasePid), switch: readPart(files.switchPid) };
}

async function run(
  options: EngineOptions,
  commands: EngineCommands,
  command: readonly string[],
  purpose: string,
  log?: string,
): Promise<Result<void>> {
  const [file = '', ...args] = command;
  const ran = await runCommand({
    file,
    args,
    purpose,
    environment: commands.environment,
    namespaceFd: options.namespaceFd,
    timeout: options.timeout,
  });
  if (!ran.ok) return ran;
  if (ran.value.exitCode === 0) return succeed(undefined);
  const said = ran.value.stderr.trim() || (log === undefined ? '' : lastLines(log));
  return fail(
    ovsFailure(
      'process',
      'ovs-start-failed',
      file,
      `${file} does not start (exit status ${ran.value.exitCode}): ${said}.`,
      'Look at its log, correct the cause and try again.',
      { detail: said.slice(0, 1500), status: ran.value.exitCode },
    ),
  );
}

function lastLines(log: string): string {
  try {
    return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-3).join(' ');
  } catch {
    return '';
  }
}

/**
 * Starts what does not run yet; an engine that runs is taken as it is. It is ready when this succeeds: the switch has taken
 * over everything that the database says. Fails with 'process', 'timeout' or 'kernel'; a directory that this made is gone then.
 */
export async function startEngine(options: EngineOptions): Promise<Result<EngineState>> {
  const { directory, datapath } = options;
  const installed = findOpenVswitch();
  if (!installed.ok) return installed;
  if (Buffer.byteLength(directory) > longestEngineDirectory) {
    return fail(
      ovsFailure(
        'too-large',
        'ovs-directory-too-long',
        directory,
        `The directory of an Open vSwitch may have ${longestEngineDirectory} bytes, since sockets lie in it.`,
        'Choose a shorter name.',
        { limit: longestEngineDirectory },
      ),
    );
  }
  const commands = engineCommands(directory, datapath);
  const files = engineFiles(directory);
  const isNew = !isFile(files.database);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (datapath === 'system') writeFileSync(files.kernelMark, '');
  } catch (error) {
    return fail(systemFailure(directory, error));
  }
  const started = await startParts(options, commands, isNew);
  if (started.ok || !isNew) return started;
  await stopEngine(directory);
  return started;
}

async function startParts(
  options: EngineOptions,
  commands: EngineCommands,
  isNew: boolean,
): Promise<Result<EngineState>> {
  const files = engineFiles(options.directory);
  if (isNew) {
    const created = await run(options, commands, commands.create, 'making a database');
    if (!created.ok) return created;
  }
  if (!probeEngine(options.directory).database.running) {
    const started = await run(
      options,
      commands,
      commands.startDatabase,
      'starting the database of Open vSwitch',
      files.databaseLog,
    );
    // An agent that died while it started one may have left it to become ready.
    if (!started.ok && !probeEngine(options.directory).database.running) return started;
  }
  const initialized = await run(options, commands, commands.initialize, 'preparing the database');
  if (!initialized.ok) return initialized;
  if (!probeEngine(options.directory).switch.running) {
    const started = await run(
      options,
      commands,
      commands.startSwitch,
      'starting Open vSwitch',
      files.switchLog,
    );
    if (!started.ok && !probeEngine(options.directory).switch.running) return started;
  }
  const ready = await awaitSwitch(options);
  if (!ready.ok) return ready;
  return succeed(probeEngine(options.directory));
}

/** Has the switch read the database and waits until it says so (`cur_cfg`). */
export async function awaitSwitch(
  options: Pick<EngineOptions, 'directory' | 'timeout'>,
): Promise<Result<void>> {
  const timeout = options.timeout ?? 30_000;
  const { socket } = engineFiles(options.directory);
  let look = (): void => undefined;
  const opened = await OvsdbClient.open(socket, {
    columns: { Open_vSwitch: ['cur_cfg', 'next_cfg'] },
    onChange: () => {
      look();
    },
    timeout,
  });
  if (!opened.ok) return opened;
  const client = opened.value;
  try {
    const asked = await client.transact([
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
      { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] },
    ]);
    if (!asked.ok) return asked;
    const rows = asked.value[1]?.['rows'];
    const [row] = Array.isArray(rows) ? rows : [];
    const wanted = typeof row === 'object' && row !== null && 'next_cfg' in row ? row.next_cfg : 0;
    const isReady = (): boolean =>
      [...(client.tables.get('Open_vSwitch')?.values() ?? [])].some(
        (entry) => (numberOf(entry['cur_cfg']) ?? 0) >= Number(wanted),
      );
    if (isReady()) return succeed(undefined);
    return await new Promise<Result<void>>((resolve) => {
      const timer = setTimeout(() => {
        resolve(fail(switchSilent(options.directory, timeout)));
      }, timeout);
      look = () => {
        if (!isReady()) return;
        clearTimeout(timer);
        resolve(succeed(undefined));
      };
    });
  } finally {
    client.close();
  }
}

/** Starts a part that has died, on the same database. The same as {@link startEngine} for one that was there before. */
export async function restartEngine(options: EngineOptions): Promise<Result<EngineState>> {
  const { database } = engineFiles(options.directory);
  if (isFile(database)) return startEngine(options);
  return fail(
    ovsFailure(
      'unknown-object',
      'ovs-engine-missing',
      options.directory,
      `There is no Open vSwitch in ${options.directory}.`,
      'Start it anew by applying the lab.',
    ),
  );
}

/** Milliseconds for a daemon to end by itself, and again after each signal. */
const patience = 5000;

/** What the engine in this directory uses. */
export function datapathOf(directory: string): EngineDatapath {
  return isFile(engineFiles(directory).kernelMark) ? 'system' : 'netdev';
}

/**
 * Ends both daemons, the switch first, which takes its links with it, and removes the directory. What a switch that was killed
 * has left of its datapath goes from the given namespace. Succeeds when nothing is left, also when nothing was there. Fails
 * with 'timeout', 'process' or 'kernel'.
 */
export async function stopEngine(directory: string, namespaceFd?: number): Promise<Result<void>> {
  const files = engineFiles(directory);
  const switched = await stopPart(files.switchPid, files.switchControl, ['--cleanup']);
  if (!switched.ok) return switched;
  const stored = await stopPart(files.databasePid, files.databaseControl, []);
  if (!stored.ok) return stored;
  // One that was killed may have been followed by one that knew nothing of it.
  if (namespaceFd !== undefined && isFile(files.switchLog)) {
    const removed = await removeDatapath(namespaceFd, datapathOf(directory));
    if (!removed.ok) return removed;
  }
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    return fail(systemFailure(directory, error));
  }
  return succeed(undefined);
}

async function stopPart(
  pidFile: string,
  socket: string,
  words: readonly string[],
): Promise<Result<void>> {
  const first = readPart(pidFile);
  if (!first.running) return succeed(undefined);
  const asked = await control(socket, 'exit', words, { timeout: patience });
  for (const signal of [undefined, 'SIGTERM', 'SIGKILL'] as const) {
    if (signal === undefined && !asked.ok) continue;
    if (signal !== undefined && first.pid !== null) signalPart(first.pid, signal);
    const deadline = performance.now() + patience;
    while (isAlive(first) && performance.now() < deadline) await delay(10);
    if (!isAlive(first)) return succeed(undefined);
  }
  return fail(
    ovsFailure(
      'timeout',
      'ovs-stop-late',
      pidFile,
      `The process ${first.pid ?? 0} of Open vSwitch does not end.`,
      'Look at what holds it, then try again.',
      { pid: first.pid ?? 0 },
    ),
  );
}

function isAlive(part: PartState): boolean {
  if (part.pid === null) return false;
  const process = readProcess(part.pid);
  if (process === undefined || process.startTime !== part.startTime) return false;
  return process.state !== 'Z' && process.state !== 'X';
}

function signalPart(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already; the next look tells.
  }
}
