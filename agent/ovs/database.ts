/** The database of one Open vSwitch: what it says by now, and changes that its switch takes over. */
import type { OvsBridgeView, OvsInterface, OvsInterfaceState } from '../api/ovs.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { type BridgeReading, BridgeReadings, monitoredColumns } from './bridge-rows.ts';
import { type BridgeChange, configurationOf, transactionOf } from './bridge-transaction.ts';
import type { EngineDatapath } from './engine-commands.ts';
import { cancelled, ovsFailure, switchSilent } from './failures.ts';
import { OvsdbClient } from './ovsdb-client.ts';
import { numberOf, type Row, type Tables, textOf, textsOf } from './values.ts';

export type { BridgeChange } from './bridge-transaction.ts';

export interface OvsDatabaseOptions {
  /** Of bridges that are made. */
  readonly datapath: EngineDatapath;
  /** Something has changed, or the database has come or gone. */
  readonly onChange?: (() => void) | undefined;
  /** Milliseconds for the connection; default 5000. */
  readonly timeout?: number | undefined;
}

/** `committed` is also true where nobody can tell: what is there has to be read back. */
export interface BridgeOutcome {
  readonly result: Result<void>;
  readonly committed: boolean;
}

/** ETHERMTU: of a bridge whose ports are all its own (ofproto_create in ofproto.c). */
const defaultMtu = 1500;

export interface ChangeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the database, and again for the switch; default 60,000. */
  readonly timeout?: number | undefined;
  /** The database has the change; the switch begins with it. */
  readonly onCommitted?: (() => void) | undefined;
}

const unsettled = { result: succeed(undefined), committed: false };

export class OvsDatabase {
  private readonly path: string;
  private readonly options: OvsDatabaseOptions;
  private client: OvsdbClient | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly readings = new BridgeReadings();
  /** What the tables say now; undefined when they have changed since it was asked for. */
  private current: readonly OvsBridgeView[] | undefined;
  private readonly views = new WeakMap<BridgeReading, OvsBridgeView>();
  /** One change at a time: each is made against what the one before has left. */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, options: OvsDatabaseOptions) {
    this.path = path;
    this.options = options;
    if (options.onChange !== undefined) this.listeners.add(options.onChange);
  }

  static async open(path: string, options: OvsDatabaseOptions): Promise<Result<OvsDatabase>> {
    const database = new OvsDatabase(path, options);
    const opened = await OvsdbClient.open(path, {
      columns: monitoredColumns,
      timeout: options.timeout,
      onChange: () => {
        database.current = undefined;
        // Until it is open nobody can look at it.
        if (database.client === undefined) return;
        for (const listener of [...database.listeners]) listener();
      },
    });
    if (!opened.ok) return opened;
    database.client = opened.value;
    return succeed(database);
  }

  close(): void {
    this.client?.close();
    this.listeners.clear();
  }

  /** Calls back after each change; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get connected(): boolean {
    return this.client?.connected ?? false;
  }

  get tables(): Tables {
    return this.client?.tables ?? new Map();
  }

  get schemaVersion(): string {
    return this.client?.schemaVersion ?? '';
  }

  /** Of ovs-vswitchd as the database says it; empty where nobody has written it there. */
  get version(): string {
    return textOf(this.root()?.['ovs_version']) ?? '';
  }

  /** Datapaths that the switch offers, such as `netdev` and `system`. */
  get datapaths(): readonly string[] {
    return textsOf(this.root()?.['datapath_types']);
  }

  /** All bridges by name, without their flows. A bridge that has not changed since is the same object. */
  bridges(): readonly OvsBridgeView[] {
    this.current ??= this.readings.read(this.tables).map((reading) => this.viewOf(reading));
    return this.current;
  }

  private viewOf(reading: BridgeReading): OvsBridgeView {
    const known = this.views.get(reading);
    if (known !== undefined) return known;
    const { bridge, lab, intricate, interfaces, foreignPorts } = reading;
    const view: OvsBridgeView = {
      bridge,
      lab,
      intricate,
      tables: null,
      interfaces,
      ...(foreignPorts.length === 0 ? {} : { foreignPorts: [...foreignPorts] }),
    };
    this.views.set(reading, view);
    return view;
  }

  /**
   * Makes bridges of a lab what is wanted, in one transaction, and waits until the switch has taken it over. Fails as
   * `transactionOf` and `OvsdbClient.transact` do, with 'timeout' where the switch is silent, and with 'refused' where it could
   * not have an interface; in the last two cases the database has the change.
   */
  apply(
    lab: string,
    changes: readonly BridgeChange[],
    options: ChangeOptions = {},
  ): Promise<BridgeOutcome> {
    const done = this.last.then(() => this.change(lab, changes, options));
    this.last = done.catch(() => undefined);
    return done;
  }

  private async change(
    lab: string,
    changes: readonly BridgeChange[],
    { signal, timeout = 60_000, onCommitted }: ChangeOptions,
  ): Promise<BridgeOutcome> {
    if (signal?.aborted === true) return { ...unsettled, result: fail(cancelled(this.path)) };
    const { client } = this;
    if (client === undefined) throw new Error('The database is not open.');
    const between = changes.map((one) => withUsualMtu(one, client.tables));
    if (between.every((one, at) => one === changes[at])) {
      return this.commit(client, lab, changes, { signal, timeout, onCommitted });
    }
    const prepared = await this.commit(client, lab, between, { signal, timeout });
    if (!prepared.result.ok) return prepared;
    const rest = changes.map(({ after }, at) => ({ before: between[at]?.after ?? null, after }));
    const done = await this.commit(client, lab, rest, { signal, timeout, onCommitted });
    return { ...done, committed: done.committed || prepared.committed };
  }

  private async commit(
    client: OvsdbClient,
    lab: string,
    changes: readonly BridgeChange[],
    { signal, timeout, onCommitted }: ChangeOptions & { readonly timeout: number },
  ): Promise<BridgeOutcome> {
    const built = transactionOf(client.tables, lab, changes, this.options.datapath);
    if (!built.ok) return { ...unsettled, result: built };
    const { operations, interfaces } = built.value;
    if (operations.length === 0) return unsettled;
    const answered = await client.transact(operations, { signal, timeout });
    if (!answered.ok) {
      const { code } = answered.failure;
      const isOpen = code === 'ovs-connection-lost' || code === 'ovs-answer-late';
      return { result: answered, committed: isOpen };
    }
    onCommitted?.();
    const wanted = configurationOf(answered.value) ?? 0;
    const taken = await this.awaitSwitch(wanted, timeout);
    return { result: taken.ok ? this.judge(interfaces) : taken, committed: true };
  }

  private awaitSwitch(wanted: number, timeout: number): Promise<Result<void>> {
    const isTaken = (): boolean => (numberOf(this.root()?.['cur_cfg']) ?? 0) >= wanted;
    if (isTaken()) return Promise.resolve(succeed(undefined));
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        forget();
        resolve(fail(switchSilent(this.path, timeout)));
      }, timeout);
      const forget = this.onChange(() => {
        if (!isTaken()) return;
        clearTimeout(timer);
        forget();
        resolve(succeed(undefined));
      });
    });
  }

  /** Whether the switch has the interfaces. One that it does not name a reason for was not even tried, as a bridge `a/b`. */
  private judge(names: readonly string[]): Result<void> {
    const wanted = new Set(names);
    const causes: Failure[] = [];
    for (const { interfaces } of this.bridges()) {
      for (const state of interfaces) {
        if (wanted.has(state.name) && isRefused(state)) causes.push(interfaceRefused(state));
      }
    }
    const [first] = causes;
    if (first === undefined) return succeed(undefined);
    return fail({ ...first, causes: causes.slice(0, 100) });
  }

  private root(): Row | undefined {
    return this.tables.get('Open_vSwitch')?.values().next().value;
  }
}

/**
 * A link keeps the MTU that was asked for when nobody asks any more, and so do those that followed it (update_mtu in
 * ofproto.c): before, it is to have what Open vSwitch would have given it, the smallest of the ports. Otherwise the same change.
 */
function withUsualMtu(change: BridgeChange, tables: Tables): BridgeChange {
  const { before, after } = change;
  if (before === null || after === null) return change;
  const interfaces = after.ports.flatMap((port) => port.interfaces);
  const leftAlone = new Set(
    interfaces
      .filter(({ kind, mtu }) => kind === 'internal' && mtu === null)
      .map(({ name }) => name),
  );
  const isGivenBack = ({ name, mtu }: OvsInterface): boolean => mtu !== null && leftAlone.has(name);
  if (!before.ports.some((port) => port.interfaces.some(isGivenBack))) return change;
  const links = new Set(interfaces.filter(({ kind }) => kind === 'system').map(({ name }) => name));
  const mtus = [...(tables.get('Interface')?.values() ?? [])].flatMap((row) =>
    links.has(textOf(row['name']) ?? '') ? (numberOf(row['mtu']) ?? []) : [],
  );
  const usual = mtus.length === 0 ? defaultMtu : Math.min(...mtus);
  const ports = before.ports.map((port) => ({
    ...port,
    interfaces: port.interfaces.map((one) => (isGivenBack(one) ? { ...one, mtu: usual } : one)),
  }));
  return { before, after: { ...before, ports } };
}

function isRefused({ error, ofport }: OvsInterfaceState): boolean {
  return error !== null || ofport === null;
}

function interfaceRefused({ name, error }: OvsInterfaceState): Failure {
  const detail = error ?? 'it says no reason';
  return ovsFailure(
    'refused',
    'ovs-interface-refused',
    name,
    `Open vSwitch cannot have the interface ${name}: ${detail}.`,
    'Check its name and settings, and the log of ovs-vswitchd.',
    { detail: detail.slice(0, 1500) },
  );
}
