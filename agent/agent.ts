/**
 * The agent of one realm:
 *
 *     node agent.js --realm NAME --runtime DIR --state DIR [--read-only]
 *
 * Writes its log to standard output, one JSON object a line. Ends with 0 when it was asked to, 1 when it cannot work,
 * 2 when its arguments are wrong, 3 when another agent serves the realm.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { AgentInfo } from './api/agent-info.ts';
import type { Recovery } from './api/lab.ts';
import { RealmNameSchema } from './api/names.ts';
import { KeeperRecordSchema, realmFiles } from './api/realm-files.ts';
import { fail, type Failure, type Result, succeed } from './api/result.ts';
import { apiVersion, programVersion } from './api/version.ts';
import { hasCode, storageFailure } from './apply/durable-file.ts';
import { releaseBridgeNetfilter } from './apply/execute.ts';
import { faultsOf } from './apply/fault.ts';
import { machineLackOf } from './apply/guest-system.ts';
import { LabStore } from './apply/lab-store.ts';
import { InventoryTracker } from './inventory/tracker.ts';
import { lackOf } from './kernel/capabilities.ts';
import { getLink, setLink } from './kernel/links.ts';
import { homeNamespace } from './kernel/namespaces.ts';
import { keepDescriptors, lockDescriptor, O_RDWR, openDescriptor } from './kernel/native.ts';
import { RequestSocket } from './kernel/netlink-socket.ts';
import { parseProcessStat } from './kernel/process-table.ts';
import { makeHandlers } from './services/handlers.ts';
import { findCpuPlaces, RealmCpu } from './services/cpu-realm.ts';
import { LabService } from './services/labs.ts';
import { CaptureService } from './services/captures.ts';
import { ProcessService } from './services/processes.ts';
import { engineDirectory, systemEngineDirectory } from './ovs/engine-commands.ts';
import { Engines } from './ovs/engines.ts';
import { datapathCapability, lackOfKernelDatapath } from './ovs/datapath.ts';
import { AgentServer, readAgentKeys } from './transport/index.ts';

interface Settings {
  readonly realm: string;
  readonly runtime: string;
  readonly state: string;
  readonly readOnly: boolean;
}

/** Values of these names are never written out. */
const secretNames: ReadonlySet<string> = new Set(['secretKey', 'data']);
const keyNames: ReadonlySet<string> = new Set(['key', 'publicKey']);

function log(event: Readonly<Record<string, unknown>>): void {
  const line = JSON.stringify(
    { time: new Date().toISOString(), ...event },
    (name, value: unknown) => {
      if (secretNames.has(name)) return '[redacted]';
      // Enough to tell two apart.
      if (keyNames.has(name) && typeof value === 'string') return `${value.slice(0, 6)}…`;
      return value;
    },
  );
  process.stdout.write(`${line}\n`);
}

function readSettings(args: readonly string[]): Settings | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        realm: { type: 'string' },
        runtime: { type: 'string' },
        state: { type: 'string' },
        'read-only': { type: 'boolean', default: false },
      },
    });
    const { realm, runtime, state } = values;
    if (realm === undefined || runtime === undefined || state === undefined) return null;
    if (!RealmNameSchema.safeParse(realm).success) return null;
    return { realm, runtime, state, readOnly: values['read-only'] };
  } catch {
    return null;
  }
}

/**
 * Boot and realm: the kernel's boot id and, in a sandbox, the start time of its keeper, which is pid 1 there.
 * What was up in another incarnation has ended with it.
 */
function readIncarnation(settings: Settings): Result<string> {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    if (settings.realm === 'host') return succeed(boot);
    return succeed(`${boot}:${readKeeperStart(settings) ?? readFirstProcessStart()}`);
  } catch (error) {
    return fail(storageFailure('/proc', error));
  }
}

function readKeeperStart({ realm, runtime }: Settings): string | null {
  let text: string;
  try {
    text = readFileSync(join(runtime, realmFiles.keeper), 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
  try {
    const record = KeeperRecordSchema.safeParse(JSON.parse(text));
    return record.success && record.data.realm === realm ? record.data.startTime : null;
  } catch {
    return null;
  }
}

function readFirstProcessStart(): string {
  return String(parseProcessStat(readFileSync('/proc/1/stat', 'utf8'))?.startTime ?? 0);
}

/** asm-generic/fcntl.h */
const O_CREAT = 0o100;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** One agent a realm, also before the sockets are bound: two recoveries at once would take each other's work back. */
function lockState(state: string): Result<boolean> {
  const path = join(state, 'agent.lock');
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
  } catch (error) {
    return fail(storageFailure(state, error));
  }
  const fd = openDescriptor(path, O_RDWR | O_CREAT, 0o600);
  if (fd < 0) {
    return fail({
      kind: 'storage',
      code: 'state-not-writable',
      object: path.slice(0, 512),
      reason: `The state directory cannot be written (errno ${-fd}).`,
      next: 'Check who owns it.',
    });
  }
  // The lock lasts as long as this process; the descriptor is never closed.
  return succeed(lockDescriptor(fd, LOCK_EX | LOCK_NB) >= 0);
}

/** A sandbox begins with an empty namespace: `lo` is down, and bridged frames go through the firewall. */
function furnishRealm(): Result<void> {
  const socket = RequestSocket.open(homeNamespace(), 'realm');
  if (!socket.ok) return socket;
  try {
    const loopback = getLink(socket.value, { name: 'lo' });
    if (!loopback.ok) return loopback;
    if (!loopback.value.up) {
      const raised = setLink(socket.value, loopback.value.index, { up: true }, 'lo');
      if (!raised.ok) return raised;
    }
    return releaseBridgeNetfilter(homeNamespace());
  } finally {
    socket.value.close();
  }
}

function readOnlyFailure(settings: Settings): Failure | null {
  if (!settings.readOnly) return null;
  return {
    kind: 'unsupported',
    code: 'realm-read-only',
    object: settings.realm,
    reason: 'This agent was started to look only.',
    next: 'Start it again without --read-only, or bring the lab up in a sandbox.',
    values: { realm: settings.realm },
  };
}

async function serve(settings: Settings): Promise<number> {
  // What the starter left open is root's, and not for those who run something by this agent.
  const kept = keepDescriptors();
  if (kept < 0) log({ event: 'descriptors-not-kept', errno: -kept });
  const locked = lockState(settings.state);
  if (!locked.ok) return giveUp(locked.failure);
  if (!locked.value) {
    log({ event: 'agent-runs', realm: settings.realm });
    return 3;
  }
  const keys = readAgentKeys(settings.runtime);
  if (!keys.ok) return giveUp(keys.failure);
  const incarnation = readIncarnation(settings);
  if (!incarnation.ok) return giveUp(incarnation.failure);
  const readOnly = readOnlyFailure(settings);
  // The host is as it is: its `lo` and its settings are not ours.
  if (readOnly === null && settings.realm !== 'host') {
    const furnished = furnishRealm();
    if (!furnished.ok) return giveUp(furnished.failure);
  }
  const engines = await Engines.open({
    directory: engineDirectory,
    systemDirectory: settings.realm === 'host' ? systemEngineDirectory : null,
    mayStart: readOnly === null,
    onFailure: (failure) => {
      log({ event: 'engine-failure', failure });
    },
  });
  const tracker = await InventoryTracker.open({
    engines,
    runsAtHome: readOnly === null,
    onFailure: (failure) => {
      log({ event: 'inventory-failure', failure });
    },
    runRule: settings.realm === 'host' ? 'confined' : 'any',
  });
  if (!tracker.ok) return giveUp(tracker.failure);

  let server: AgentServer | null = null;
  /** What was taken back after the start, since nobody confirmed it. */
  const later: Recovery[] = [];
  const processes = new ProcessService({
    spotOf: (place) => labs.spotOf(place),
    namespaceFd: (namespace) => {
      const tracked = tracker.value.namespaceHandle(namespace);
      return tracked.ok ? succeed(tracked.value.fd) : tracked;
    },
  });
  const captures = new CaptureService({
    tracker: tracker.value,
    interfacesOf: (lab, node) => labs.interfacesOf(lab, node),
  });
  const opened = await LabService.open({
    realm: settings.realm,
    stateDirectory: settings.state,
    incarnation: incarnation.value,
    readOnly,
    tracker: tracker.value,
    store: new LabStore(settings.state),
    faults: faultsOf(process.env),
    prepareRemoval: async (namespace) => {
      await Promise.all([processes.endIn(namespace), captures.leave(namespace)]);
    },
    publish: (event) => server?.publish('labs', event),
    onRecovery: (recovery) => {
      later.push(recovery);
      log({ event: 'recovery', ...recovery });
    },
    cpu: new RealmCpu(findCpuPlaces(settings.realm)),
    lackOf: (capability) =>
      capability === datapathCapability
        ? lackOfKernelDatapath()
        : (machineLackOf(capability) ?? lackOf(capability)),
    engines,
  });
  if (!opened.ok) return giveUp(opened.failure);
  const { labs, recoveries, failures } = opened.value;
  for (const recovery of recoveries) log({ event: 'recovery', ...recovery });
  for (const failure of failures) log({ event: 'state-failure', failure });

  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.once(signal, () => {
        resolve(signal);
      });
    }
    const info: AgentInfo = {
      apiVersion,
      version: programVersion,
      realm: settings.realm,
      pid: process.pid,
      incarnation: incarnation.value,
      kernel: release(),
      startedAt: new Date().toISOString(),
      readOnly: readOnly !== null,
      recoveries: [...recoveries],
    };
    const handlers = makeHandlers({
      info: () => ({ ...info, recoveries: [...recoveries, ...later] }),
      // The answer leaves first.
      stop: () => setImmediate(resolve, 'agent.stop'),
      tracker: tracker.value,
      labs,
      processes,
      captures,
      engines,
      readOnly,
      shared: settings.realm === 'host',
    });
    server = new AgentServer({ directory: settings.runtime, keys: keys.value, handlers, log });
  });
  const started = await startServer(server);
  if (!started.ok) return giveUp(started.failure);
  tracker.value.onDelta((delta) => {
    server?.publish('inventory', delta);
  });
  log({ event: 'ready', realm: settings.realm, pid: process.pid, version: programVersion });

  const reason = await stopped;
  log({ event: 'stopping', reason });
  // A transaction under way comes to its end first.
  await closeServer(server);
  await labs.close();
  await processes.close();
  await captures.close();
  tracker.value.close();
  engines.close();
  log({ event: 'stopped' });
  return 0;
}

function startServer(server: AgentServer | null): Promise<Result<void>> {
  if (server === null) throw new Error('the server was not made');
  return server.start();
}

async function closeServer(server: AgentServer | null): Promise<void> {
  await server?.close();
}

function giveUp(failure: Failure): number {
  log({ event: 'failed', failure });
  return 1;
}

function die(event: string, error: unknown): void {
  log({ event, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exit(1);
}

// Whoever read the log may go away; the labs need their agent all the same.
process.stdout.on('error', () => undefined);
process.on('uncaughtException', (error) => {
  die('uncaught-exception', error);
});
process.on('unhandledRejection', (error) => {
  die('unhandled-rejection', error);
});

const settings = readSettings(process.argv.slice(2));
if (settings === null) {
  process.stderr.write(
    'usage: agent.js --realm host|sandbox:NAME --runtime DIR --state DIR [--read-only]\n',
  );
  process.exitCode = 2;
} else {
  process.exitCode = await serve(settings);
  // What is left open (a socket's linger) must not keep an agent that has ended.
  process.exit();
}
