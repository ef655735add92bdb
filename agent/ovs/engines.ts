/**
 * The Open vSwitches of a realm: what they show, and the doors to change them. A private one that dies is started again,
 * whatever killed it; what its database does not hold is put back by whoever is told of it.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OpenFlowEntry, OpenFlowTrace } from '../api/openflow.ts';
import { initialFlows } from '../api/ovs.ts';
import type {
  OpenFlowTables,
  OvsBridgeView,
  OvsEngineView,
  OvsInterfaceState,
} from '../api/ovs.ts';
import { equalData } from '../api/equal-data.ts';
import { maximumOvsFdbEntries, type OvsBridgeReport, type OvsFigures } from '../api/ovs-figures.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { closeNamespace, homeNamespace, openNamespaceByName } from '../kernel/namespaces.ts';
import {
  readBonds,
  readCoverage,
  readDatapaths,
  readFdb,
  readLacp,
  readTrees,
  readUpcalls,
  readVersion,
  traceOpenFlow,
} from './appctl.ts';
import { bondMembersOf } from './appctl-text.ts';
import { type BridgeChange, OvsDatabase } from './database.ts';
import {
  bridgeSocket,
  type EngineDatapath,
  engineFiles,
  engineName,
  namespaceOfEngine,
} from './engine-commands.ts';
import { ovsFailure } from './failures.ts';
import { readFlowStatistics, readOpenFlow, replaceOpenFlow } from './openflow.ts';
import {
  awaitSwitch,
  datapathOf,
  type EnginePart,
  type EngineState,
  probeEngine,
  restartEngine,
  startEngine,
  stopEngine,
} from './private-engine.ts';

/** Null is the realm's own namespace. */
type NamespaceName = string | null;

export interface EnginesOptions {
  /** Where private engines have their directories, one a namespace. */
  readonly directory: string;
  /** Run directory of the machine's own Open vSwitch, which the realm's own namespace uses; null in a sandbox. */
  readonly systemDirectory: string | null;
  /** Whether engines may be started; an agent that only looks starts none. */
  readonly mayStart: boolean;
  readonly onFailure: (failure: Failure) => void;
}

/** Milliseconds between two looks at the processes. */
const lookInterval = 500;
/** A part that dies again and again is started at ever longer intervals. */
const longestPause = 30_000;
const keptEvents = 20;
/** Milliseconds that a change waits for a part that has died. */
const restartPatience = 15_000;

type BondMember = NonNullable<OvsInterfaceState['bondMember']>;

/** What the database says of a bridge together with what it does not say. */
interface CompletedView {
  readonly members: Engine['members'];
  readonly tables: OpenFlowTables | null;
  readonly view: OvsBridgeView;
}

interface Engine {
  readonly namespace: NamespaceName;
  readonly kind: OvsEngineView['kind'];
  readonly directory: string;
  readonly datapath: EngineDatapath;
  database: OvsDatabase | null;
  state: EngineState;
  /** Of ovs-vswitchd. */
  version: string;
  events: readonly OvsEngineView['events'][number][];
  /** State of bonds' members by interface, as it was last read: the database does not have it. */
  members: ReadonlyMap<string, BondMember>;
  /** Flows by bridge, as they were last read. */
  readonly tables: Map<string, OpenFlowTables>;
  /** By what the database says. */
  readonly completed: WeakMap<OvsBridgeView, CompletedView>;
  /** It is being started, ended or started again. */
  busy: boolean;
  pause: number;
  nextStart: number;
}

const partNames: Readonly<Record<EnginePart, string>> = {
  database: 'ovsdb-server',
  switch: 'ovs-vswitchd',
};

/** What an engine's events say, by their code. */
export const engineEvents = {
  'ovs-part-ended': '{part} has ended.',
  'ovs-process-ended': '{part} (process {pid}) has ended.',
  'ovs-process-restarted': '{part} was started again (process {pid}).',
} as const;

export class Engines {
  private readonly options: EnginesOptions;
  private readonly engines = new Map<NamespaceName, Engine>();
  private readonly listeners: (() => void)[] = [];
  private readonly restoreListeners: ((namespace: NamespaceName) => void)[] = [];
  /** Of switches that were started again before anybody listened. */
  private readonly untold = new Set<NamespaceName>();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  private constructor(options: EnginesOptions) {
    this.options = options;
  }

  /** Finds what runs, starts again what has died, and goes on looking. */
  static async open(options: EnginesOptions): Promise<Engines> {
    const engines = new Engines(options);
    for (const name of directoriesIn(options.directory)) {
      await engines.revive(engines.admit(namespaceOfEngine(name)));
    }
    await engines.findSystem();
    engines.timer = setInterval(() => {
      void engines.look();
    }, lookInterval);
    engines.timer.unref();
    return engines;
  }

  /** Lets go of the databases. The engines go on. */
  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    for (const { database } of this.engines.values()) database?.close();
  }

  watch(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Calls back when a switch runs again that had died: its links and flows are new. Also for what happened before. */
  onRestored(listener: (namespace: NamespaceName) => void): void {
    this.restoreListeners.push(listener);
    const untold = [...this.untold];
    this.untold.clear();
    setImmediate(() => {
      for (const namespace of untold) listener(namespace);
    });
  }

  views(idOf: (namespace: NamespaceName) => string | undefined): readonly OvsEngineView[] {
    return [...this.engines.values()].flatMap((engine) => {
      const namespace = idOf(engine.namespace);
      if (namespace === undefined) return [];
      const { database, kind, datapath, events, state } = engine;
      return [
        {
          namespace,
          kind,
          datapath,
          version: engine.version,
          schemaVersion: database?.schemaVersion ?? '',
          database: { pid: state.database.pid, running: database?.connected ?? false },
          switch: { pid: state.switch.pid, running: state.switch.running },
          events: [...events],
          bridges: (database?.bridges() ?? []).map((view) => completeView(engine, view)),
        },
      ];
    });
  }

  /** One that is there already keeps its datapath. */
  async start(
    namespace: NamespaceName,
    namespaceFd: number,
    wanted: EngineDatapath,
  ): Promise<Result<void>> {
    if (namespace === null && this.options.systemDirectory !== null) return this.findSystem();
    const engine = this.admit(namespace, wanted);
    engine.busy = true;
    try {
      const { directory, datapath } = engine;
      const started = await startEngine({ directory, datapath, namespaceFd });
      if (!started.ok) {
        this.engines.delete(namespace);
        return started;
      }
      engine.state = started.value;
      const connected = await this.connect(engine);
      if (connected.ok) await this.readVersion(engine);
      return connected;
    } finally {
      engine.busy = false;
      this.tell();
    }
  }

  async stop(namespace: NamespaceName): Promise<Result<void>> {
    const engine = this.engines.get(namespace);
    if (engine?.kind === 'system') return succeed(undefined);
    if (engine !== undefined) {
      engine.busy = true;
      engine.database?.close();
      engine.database = null;
    }
    const stopped = await this.inNamespace(namespace, (namespaceFd) =>
      stopEngine(this.directoryOf(namespace), namespaceFd),
    );
    if (stopped.ok) this.engines.delete(namespace);
    else if (engine !== undefined) engine.busy = false;
    this.tell();
    return stopped;
  }

  isRunning(namespace: NamespaceName): boolean {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return false;
    if (engine.kind === 'system') return engine.database?.connected === true;
    const { database, switch: daemon } = probeEngine(engine.directory);
    return database.running && daemon.running && engine.database !== null;
  }

  isUserspace(namespace: NamespaceName): boolean {
    return this.engines.get(namespace)?.datapath === 'netdev';
  }

  exists(namespace: NamespaceName): boolean {
    return (
      this.engines.has(namespace) ||
      directoriesIn(this.options.directory).includes(engineName(namespace))
    );
  }

  findBridge(namespace: NamespaceName, name: string): OvsBridgeView | null {
    const bridges = this.engines.get(namespace)?.database?.bridges() ?? [];
    return bridges.find(({ bridge }) => bridge.name === name) ?? null;
  }

  async changeBridges(
    namespace: NamespaceName,
    lab: string,
    changes: readonly BridgeChange[],
    onCommitted?: () => void,
  ): Promise<{ readonly result: Result<void>; readonly committed: boolean }> {
    const engine = this.engines.get(namespace);
    if (engine?.database === null || engine?.database === undefined) {
      return { result: fail(engineMissing(namespace)), committed: false };
    }
    await this.whenRunning(engine);
    for (const { after, before } of changes) {
      if (after === null && before !== null) engine.tables.delete(before.name);
    }
    const changed = await engine.database.apply(lab, changes, { onCommitted });
    this.tell();
    return changed;
  }

  async readTables(namespace: NamespaceName, bridge: string): Promise<Result<OpenFlowTables>> {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return fail(engineMissing(namespace));
    const read = await this.withSwitch(engine, () =>
      readOpenFlow(bridgeSocket(engine.directory, bridge)),
    );
    if (read.ok && !equalData(read.value, engine.tables.get(bridge))) {
      engine.tables.set(bridge, read.value);
      this.tell();
    }
    return read;
  }

  /** The flows of a bridge with their counters. */
  readFlows(namespace: NamespaceName, bridge: string): Promise<Result<readonly OpenFlowEntry[]>> {
    const engine = this.engines.get(namespace);
    return engine === undefined
      ? Promise.resolve(fail(engineMissing(namespace)))
      : readFlowStatistics(bridgeSocket(engine.directory, bridge));
  }

  /** What would become of a packet; of `frame`, where there is one, that comes in as `packet` says. */
  trace(
    namespace: NamespaceName,
    bridge: string,
    packet: string,
    frame?: string,
  ): Promise<Result<OpenFlowTrace>> {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return Promise.resolve(fail(engineMissing(namespace)));
    const bridges = (engine.database?.bridges() ?? []).map((view) => view.bridge);
    const { switchControl } = engineFiles(engine.directory);
    return traceOpenFlow(switchControl, bridge, packet, bridges, frame);
  }

  /** What a bridge has learned, and its spanning tree. */
  async readReport(namespace: NamespaceName, name: string): Promise<Result<OvsBridgeReport>> {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return fail(engineMissing(namespace));
    const { switchControl } = engineFiles(engine.directory);
    const view = this.findBridge(namespace, name);
    const inTree = view?.bridge.stp === true || view?.bridge.rstp === true;
    const [fdb, trees] = await Promise.all([
      readFdb(switchControl, name),
      inTree ? readTrees(switchControl) : Promise.resolve(succeed([])),
    ]);
    if (!fdb.ok) return fdb;
    if (!trees.ok) return trees;
    const names = new Map(
      (view?.interfaces ?? []).map((state) => [String(state.ofport), state.name] as const),
    );
    const entries = fdb.value
      .map(({ port, ...entry }) => ({
        ...entry,
        port: port === 'LOCAL' ? name : (names.get(port) ?? port),
      }))
      .sort(
        (one, other) =>
          one.port.localeCompare(other.port, 'en', { numeric: true }) ||
          one.vlan - other.vlan ||
          one.mac.localeCompare(other.mac, 'en'),
      );
    const found = trees.value.find((each) => each.bridge === name);
    const { bridge: _bridge, ...tree } = found ?? { bridge: name };
    return succeed({
      fdb: entries.slice(0, maximumOvsFdbEntries),
      fdbTotal: entries.length,
      tree: 'protocol' in tree ? { ...tree, ports: [...tree.ports] } : null,
    });
  }

  /** What its datapaths and their caches say, and its counters. */
  async readFigures(namespace: NamespaceName): Promise<Result<OvsFigures>> {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return fail(engineMissing(namespace));
    const { switchControl } = engineFiles(engine.directory);
    const [datapaths, upcalls, coverage] = await Promise.all([
      readDatapaths(switchControl),
      readUpcalls(switchControl),
      readCoverage(switchControl),
    ]);
    if (!datapaths.ok) return datapaths;
    if (!upcalls.ok) return upcalls;
    if (!coverage.ok) return coverage;
    return succeed({
      datapaths: datapaths.value.map(({ datapath, ...counts }) => {
        const report = upcalls.value.find((each) => each.datapath === datapath);
        return {
          name: datapath,
          ...counts,
          upcalls:
            report === undefined
              ? null
              : {
                  averageFlows: report.averageFlows,
                  maximumFlows: report.maximumFlows,
                  flowLimit: report.flowLimit,
                  dumpDuration: report.dumpDuration,
                },
        };
      }),
      coverage: [...coverage.value]
        .map(([event, { rates, total }]) => ({
          event,
          rates: [...rates] as [number, number, number],
          total,
        }))
        .sort((one, other) => one.event.localeCompare(other.event, 'en')),
    });
  }

  /** Null brings back what a bridge has by itself. */
  async changeTables(
    namespace: NamespaceName,
    bridge: string,
    tables: OpenFlowTables | null,
  ): Promise<Result<void>> {
    const engine = this.engines.get(namespace);
    if (engine === undefined) return fail(engineMissing(namespace));
    const replaced = await this.withSwitch(engine, () =>
      replaceOpenFlow(
        bridgeSocket(engine.directory, bridge),
        tables ?? this.tablesByItself(namespace, bridge),
      ),
    );
    if (!replaced.ok) return replaced;
    if (tables === null) {
      // Nobody compares what Open vSwitch has by itself.
      engine.tables.delete(bridge);
      this.tell();
      return replaced;
    }
    const read = await this.readTables(namespace, bridge);
    return read.ok ? succeed(undefined) : read;
  }

  /** A part that has died is started again: what needs it waits so long. */
  private async whenRunning(engine: Engine): Promise<void> {
    if (engine.kind === 'system' || !this.options.mayStart) return;
    const end = performance.now() + restartPatience;
    while (!this.closed && this.engines.get(engine.namespace) === engine) {
      const { database, switch: daemon } = probeEngine(engine.directory);
      const runs = database.running && daemon.running && engine.database?.connected === true;
      if ((runs && !engine.busy) || performance.now() > end) return;
      await delay(20);
    }
  }

  /** Once more where the switch has died meanwhile; for what may be done twice. */
  private async withSwitch<T>(
    engine: Engine,
    action: () => Promise<Result<T>>,
  ): Promise<Result<T>> {
    await this.whenRunning(engine);
    const { pid } = probeEngine(engine.directory).switch;
    const done = await action();
    if (done.ok || probeEngine(engine.directory).switch.pid === pid) return done;
    await this.whenRunning(engine);
    return action();
  }

  private tablesByItself(namespace: NamespaceName, name: string): OpenFlowTables {
    const bridge = this.findBridge(namespace, name)?.bridge;
    const flows = initialFlows(bridge?.failMode ?? 'standalone');
    return { flows: [...flows], groups: [], meters: [] };
  }

  private directoryOf(namespace: NamespaceName): string {
    return path.join(this.options.directory, engineName(namespace));
  }

  private admit(namespace: NamespaceName, wanted?: EngineDatapath): Engine {
    const known = this.engines.get(namespace);
    if (known !== undefined) return known;
    const directory = this.directoryOf(namespace);
    const isThere = directoriesIn(this.options.directory).includes(engineName(namespace));
    const datapath = isThere ? datapathOf(directory) : (wanted ?? 'netdev');
    return this.add(namespace, 'private', directory, datapath);
  }

  private add(
    namespace: NamespaceName,
    kind: Engine['kind'],
    directory: string,
    datapath: EngineDatapath,
  ): Engine {
    const engine: Engine = {
      namespace,
      kind,
      directory,
      datapath,
      database: null,
      state: probeEngine(directory),
      version: '',
      events: [],
      members: new Map(),
      tables: new Map(),
      completed: new WeakMap(),
      busy: false,
      pause: 0,
      nextStart: 0,
    };
    this.engines.set(namespace, engine);
    return engine;
  }

  /** The machine's own Open vSwitch, where the realm is the machine. */
  private async findSystem(): Promise<Result<void>> {
    const { systemDirectory } = this.options;
    if (systemDirectory === null) return succeed(undefined);
    const known = this.engines.get(null);
    if (known?.database?.connected === true) return succeed(undefined);
    const engine = known ?? this.add(null, 'system', systemDirectory, 'system');
    const connected = await this.connect(engine);
    if (connected.ok) await this.readVersion(engine);
    else this.engines.delete(null);
    return connected;
  }

  private async connect(engine: Engine): Promise<Result<void>> {
    engine.database?.close();
    engine.database = null;
    const opened = await OvsDatabase.open(engineFiles(engine.directory).socket, {
      datapath: engine.datapath,
      onChange: () => {
        this.tell();
      },
    });
    if (!opened.ok) return opened;
    engine.database = opened.value;
    return succeed(undefined);
  }

  private async readVersion(engine: Engine): Promise<void> {
    const said = engine.database?.version ?? '';
    const version =
      said === '' ? await readVersion(engineFiles(engine.directory).switchControl) : succeed(said);
    if (version.ok) engine.version = version.value;
  }

  private tell(): void {
    if (this.closed) return;
    for (const listener of this.listeners) listener();
  }

  private async look(): Promise<void> {
    const { systemDirectory } = this.options;
    if (systemDirectory !== null && !this.engines.has(null)) {
      if (probeEngine(systemDirectory).database.running) await this.findSystem();
    }
    for (const engine of [...this.engines.values()]) {
      if (engine.busy || this.closed) continue;
      if (engine.kind === 'private') await this.revive(engine);
      else await this.watchSystem(engine);
      if (!engine.busy && !this.closed) await this.readMembers(engine);
    }
  }

  /** The machine's own is not ours to start; what it forgets when it is, is put back. */
  private async watchSystem(engine: Engine): Promise<void> {
    const state = probeEngine(engine.directory);
    const changed = (['database', 'switch'] as const).filter(
      (part) => state[part].pid !== engine.state[part].pid,
    );
    if (changed.length === 0) return;
    for (const part of changed) {
      const [before, now] = [engine.state[part].pid, state[part].pid];
      if (before !== null) note(engine, 'ovs-process-ended', partNames[part], before);
      if (now !== null) note(engine, 'ovs-process-restarted', partNames[part], now);
    }
    engine.state = state;
    this.tell();
    if (!changed.includes('switch') || !state.switch.running || !this.options.mayStart) return;
    engine.busy = true;
    try {
      const ready = await awaitSwitch({ directory: engine.directory });
      if (!ready.ok) {
        this.options.onFailure(ready.failure);
        return;
      }
      engine.tables.clear();
      for (const listener of this.restoreListeners) listener(engine.namespace);
    } finally {
      engine.busy = false;
      this.tell();
    }
  }

  private async readMembers(engine: Engine): Promise<void> {
    const hasBonds = (engine.database?.bridges() ?? []).some(({ bridge }) =>
      bridge.ports.some(({ bond }) => bond !== null),
    );
    if (!hasBonds) return;
    const { switchControl } = engineFiles(engine.directory);
    const bonds = await readBonds(switchControl);
    const lacp = bonds.ok ? await readLacp(switchControl) : bonds;
    // A switch that does not answer is told of by those who look at its process.
    if (!bonds.ok || !lacp.ok) return;
    const members = bondMembersOf(bonds.value, lacp.value);
    if (JSON.stringify([...members]) === JSON.stringify([...engine.members])) return;
    engine.members = members;
    this.tell();
  }

  /** Starts again what has died of an engine, and takes over one that runs. */
  private async revive(engine: Engine): Promise<void> {
    const state = probeEngine(engine.directory);
    const dead = (['database', 'switch'] as const).filter((part) => !state[part].running);
    if (dead.length === 0) {
      engine.state = state;
      if (engine.database === null) await this.reconnect(engine);
      return;
    }
    if (!this.options.mayStart || performance.now() < engine.nextStart) return;
    engine.busy = true;
    for (const part of dead) {
      const { pid } = engine.state[part];
      note(engine, pid === null ? 'ovs-part-ended' : 'ovs-process-ended', partNames[part], pid);
    }
    engine.state = state;
    this.tell();
    try {
      const restarted = await this.restart(engine);
      if (!restarted.ok) {
        engine.pause = Math.min(Math.max(engine.pause * 2, 1000), longestPause);
        engine.nextStart = performance.now() + engine.pause;
        noteFailure(engine, restarted.failure);
        this.options.onFailure(restarted.failure);
        return;
      }
      engine.pause = 0;
      engine.state = restarted.value;
      for (const part of dead) {
        const { pid } = restarted.value[part];
        note(engine, 'ovs-process-restarted', partNames[part], pid);
      }
      if (engine.database === null) await this.reconnect(engine);
      if (!dead.includes('switch')) return;
      engine.tables.clear();
      if (this.restoreListeners.length === 0) this.untold.add(engine.namespace);
      for (const listener of this.restoreListeners) listener(engine.namespace);
    } finally {
      engine.busy = false;
      this.tell();
    }
  }

  private async reconnect(engine: Engine): Promise<void> {
    const connected = await this.connect(engine);
    if (connected.ok) await this.readVersion(engine);
    else this.options.onFailure(connected.failure);
    this.tell();
  }

  private async restart({ namespace, directory, datapath }: Engine): Promise<Result<EngineState>> {
    return this.inNamespace(namespace, (namespaceFd, missing) =>
      missing === null
        ? restartEngine({ directory, datapath, namespaceFd })
        : Promise.resolve(fail(missing)),
    );
  }

  /** Hands on a descriptor of the namespace, or why there is none. */
  private async inNamespace<T>(
    namespace: NamespaceName,
    action: (namespaceFd: number | undefined, missing: Failure | null) => Promise<T>,
  ): Promise<T> {
    if (namespace === null) return action(homeNamespace(), null);
    const handle = openNamespaceByName(namespace);
    if (!handle.ok) return action(undefined, handle.failure);
    try {
      return await action(handle.value.fd, null);
    } finally {
      closeNamespace(handle.value);
    }
  }
}

/** The same object as before where nothing is different. */
function completeView(engine: Engine, said: OvsBridgeView): OvsBridgeView {
  const { members, completed } = engine;
  const tables = engine.tables.get(said.bridge.name) ?? null;
  const known = completed.get(said);
  if (known?.members === members && known.tables === tables) return known.view;
  const interfaces = said.interfaces.map((state) => ({
    ...state,
    bondMember: members.get(state.name) ?? null,
  }));
  const view = { ...said, interfaces, tables };
  completed.set(said, { members, tables, view });
  return view;
}

function note(
  engine: Engine,
  code: keyof typeof engineEvents,
  part: string,
  pid: number | null,
): void {
  const text = engineEvents[code].replace('{part}', part).replace('{pid}', String(pid));
  const values = { part, ...(pid === null ? {} : { pid }) };
  keep(engine, { code, object: part, values, text });
}

function noteFailure(engine: Engine, { code, object, values, reason }: Failure): void {
  keep(engine, { code, object, ...(values === undefined ? {} : { values }), text: reason });
}

function keep(engine: Engine, event: Omit<Engine['events'][number], 'time'>): void {
  engine.events = [{ time: Date.now(), ...event }, ...engine.events].slice(0, keptEvents);
}

function directoriesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function engineMissing(namespace: NamespaceName): Failure {
  const place = namespace ?? 'the realm';
  return ovsFailure(
    'unknown-object',
    'ovs-engine-missing',
    place,
    `There is no Open vSwitch in ${place}.`,
    'Plan again: something else changed it meanwhile.',
  );
}
