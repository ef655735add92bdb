/**
 * Client of a database of Open vSwitch (RFC 7047, ovsdb-server(7)). Keeps a copy of the tables that are asked for, comes back
 * after the server was away and then catches up.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { cancelled, ovsFailure, protocolBroken, unreachable } from './failures.ts';
import { RpcConnection } from './json-rpc.ts';
import {
  changedValue,
  type DatabaseSchema,
  isObject,
  type Json,
  parseSchema,
  type Row,
  type Tables,
} from './values.ts';

/** One operation of a transaction, as section 5.2 of RFC 7047 has it. */
export type Operation = Readonly<Record<string, Json>> & { readonly op: string };

/** Result of an operation: rows, uuid or count; empty where there is nothing to say. */
export type OperationAnswer = Readonly<Record<string, Json>>;

export interface TransactOptions {
  /** Milliseconds; default 30,000. */
  readonly timeout?: number | undefined;
  /** Looked at before anything is sent: what has been sent is not taken back. */
  readonly signal?: AbortSignal | undefined;
}

export interface OvsdbClientOptions {
  /** Columns by table that a copy is kept of; unknown ones are left out. */
  readonly columns?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The copy has changed, or the server has come or gone. */
  readonly onChange?: ((changed: ReadonlySet<string>) => void) | undefined;
  /** Bytes of one message. */
  readonly limit?: number | undefined;
  /** Milliseconds until the first connection stands; default 5000. */
  readonly timeout?: number | undefined;
}

const databaseName = 'Open_vSwitch';
const monitorId = 'netloom';
const noTransaction = '00000000-0000-0000-0000-000000000000';
const shortestPause = 50;
const longestPause = 2000;

type WritableTables = Map<string, Map<string, Row>>;

export class OvsdbClient {
  private readonly path: string;
  private readonly options: OvsdbClientOptions;
  private connection: RpcConnection | undefined;
  private closed = false;
  private readonly closing = new AbortController();
  private lastTransaction = noTransaction;
  private copy: WritableTables = new Map();
  private knownSchema: DatabaseSchema = new Map();
  private version = '';
  private lost: Failure;

  private constructor(path: string, options: OvsdbClientOptions) {
    this.path = path;
    this.options = options;
    this.lost = unreachable(path, 'not connected');
  }

  /** Connects and has the first copy when it succeeds. Fails with 'unreachable', 'timeout' or 'unsupported'. */
  static async open(path: string, options: OvsdbClientOptions = {}): Promise<Result<OvsdbClient>> {
    const client = new OvsdbClient(path, options);
    const connected = await client.connect();
    if (connected.ok) return succeed(client);
    client.close();
    return connected;
  }

  /** The copy, as of the last message. It stays what it was while the server is away. */
  get tables(): Tables {
    return this.copy;
  }

  get schema(): DatabaseSchema {
    return this.knownSchema;
  }

  /** Version of the schema, such as `8.3.1`. */
  get schemaVersion(): string {
    return this.version;
  }

  get connected(): boolean {
    return this.connection !== undefined;
  }

  /**
   * Carries out operations, all or none. Fails with 'stale-plan' where a `wait` did not hold, 'refused' where the database
   * said no, 'unreachable' where it is away. After 'unreachable' with `ovs-connection-lost` and after 'timeout' it may have
   * been done.
   */
  async transact(
    operations: readonly Operation[],
    options: TransactOptions = {},
  ): Promise<Result<readonly OperationAnswer[]>> {
    if (options.signal?.aborted === true) return fail(cancelled(this.path));
    if (this.connection === undefined) return fail(this.lost);
    const answer = await this.connection.call(
      'transact',
      [databaseName, ...operations],
      options.timeout,
    );
    if (!answer.ok) return answer;
    const { result, error } = answer.value;
    if (error !== null) return fail(refusal(this.path, error, undefined));
    if (!Array.isArray(result))
      return fail(protocolBroken(this.path, 'a transaction has no result'));
    const answers: OperationAnswer[] = [];
    for (const [index, entry] of result.entries()) {
      if (isObject(entry) && typeof entry['error'] === 'string') {
        return fail(refusal(this.path, entry, operations[index]));
      }
      answers.push(isObject(entry) ? entry : {});
    }
    return succeed(answers);
  }

  close(): void {
    this.closed = true;
    this.closing.abort();
    this.connection?.close();
    this.connection = undefined;
  }

  private async connect(): Promise<Result<void>> {
    const timeout = this.options.timeout ?? 5000;
    const opened = await RpcConnection.open(
      this.path,
      {
        limit: this.options.limit,
        onNotification: (method, params) => {
          if (method === 'update3') this.takeUpdate(params);
        },
        onEnd: (failure) => {
          this.takeEnd(failure);
        },
      },
      timeout,
    );
    if (!opened.ok) return opened;
    const connection = opened.value;
    const ready = await this.prepare(connection, timeout);
    if (!ready.ok || this.closed) {
      connection.close();
      return ready.ok ? fail(cancelled(this.path)) : ready;
    }
    if (connection.ended) return fail(unreachable(this.path, 'it ended at once'));
    this.connection = connection;
    return succeed(undefined);
  }

  /** Schema and first copy. */
  private async prepare(connection: RpcConnection, timeout: number): Promise<Result<void>> {
    const described = await connection.call('get_schema', [databaseName], timeout);
    if (!described.ok) return described;
    const schema = parseSchema(described.value.result);
    if (schema === undefined) {
      return fail(protocolBroken(this.path, `it has no database ${databaseName}`));
    }
    this.knownSchema = schema.tables;
    this.version = schema.version;
    if (this.options.columns === undefined) return succeed(undefined);
    const requests: Record<string, Json> = {};
    for (const [table, columns] of Object.entries(this.options.columns)) {
      const known = schema.tables.get(table);
      if (known !== undefined) {
        requests[table] = [{ columns: columns.filter((column) => known.has(column)) }];
      }
    }
    const answer = await connection.call(
      'monitor_cond_since',
      [databaseName, monitorId, requests, this.lastTransaction],
      timeout,
    );
    if (!answer.ok) return answer;
    const { result, error } = answer.value;
    if (error !== null || !Array.isArray(result)) {
      return fail(
        protocolBroken(this.path, `it does not tell of changes: ${JSON.stringify(error)}`),
      );
    }
    const [found, last, updates] = result;
    // What the server has no history of is told anew as a whole.
    if (found !== true) {
      this.copy = new Map(Object.keys(requests).map((table) => [table, new Map<string, Row>()]));
    }
    if (typeof last === 'string') this.lastTransaction = last;
    this.takeRows(updates, new Set(Object.keys(requests)));
    return succeed(undefined);
  }

  private takeUpdate(params: Json): void {
    if (!Array.isArray(params) || params[0] !== monitorId) return;
    const [, last, updates] = params;
    if (typeof last === 'string') this.lastTransaction = last;
    this.takeRows(updates, new Set());
  }

  private takeRows(updates: Json | undefined, changed: Set<string>): void {
    if (isObject(updates)) {
      for (const [name, rows] of Object.entries(updates)) {
        if (!isObject(rows)) continue;
        changed.add(name);
        let table = this.copy.get(name);
        if (table === undefined) {
          table = new Map();
          this.copy.set(name, table);
        }
        for (const [id, change] of Object.entries(rows)) this.takeRow(name, table, id, change);
      }
    }
    if (changed.size > 0) this.options.onChange?.(changed);
  }

  private takeRow(name: string, table: Map<string, Row>, id: string, change: Json): void {
    if (!isObject(change)) return;
    const types = this.knownSchema.get(name);
    const whole = change['initial'] ?? change['insert'];
    if (isObject(whole)) {
      const row: Record<string, Json> = {};
      for (const column of this.options.columns?.[name] ?? []) {
        const type = types?.get(column);
        if (type !== undefined) row[column] = whole[column] ?? type.initial;
      }
      table.set(id, row);
      return;
    }
    const modified = change['modify'];
    if (isObject(modified)) {
      const row: Record<string, Json> = { ...table.get(id) };
      for (const [column, value] of Object.entries(modified)) {
        const type = types?.get(column);
        if (type !== undefined) row[column] = changedValue(type, row[column], value);
      }
      table.set(id, row);
      return;
    }
    if ('delete' in change) table.delete(id);
  }

  private takeEnd(failure: Failure): void {
    // Before it is ready, whoever connects sees the failure.
    if (this.connection === undefined) return;
    this.connection = undefined;
    this.lost = unreachable(this.path, failure.code);
    this.options.onChange?.(new Set());
    void this.comeBack();
  }

  private async comeBack(): Promise<void> {
    for (let pause = shortestPause; !this.closed; pause = Math.min(pause * 2, longestPause)) {
      try {
        await delay(pause, undefined, { signal: this.closing.signal, ref: false });
      } catch {
        return;
      }
      const connected = await this.connect();
      if (connected.ok) {
        this.options.onChange?.(new Set());
        return;
      }
      this.lost = connected.failure;
    }
  }
}

/** What the database says of an operation (RFC 7047, section 3.1 and 5.2). */
function refusal(path: string, answer: Json, operation: Operation | undefined): Failure {
  const error = isObject(answer) ? answer['error'] : answer;
  const details = isObject(answer) ? answer['details'] : undefined;
  const word = typeof error === 'string' ? error : JSON.stringify(error);
  const detail = typeof details === 'string' ? details : word;
  if (operation?.op === 'wait' && word === 'timed out') {
    return ovsFailure(
      'stale-plan',
      'ovs-database-changed',
      path,
      'The database of Open vSwitch was changed by somebody else meanwhile.',
      'Plan again: nothing has been done.',
    );
  }
  return ovsFailure(
    'refused',
    'ovs-transaction-refused',
    path,
    `The database of Open vSwitch refuses the change (${word}): ${detail}.`,
    'Correct the values; nothing has been done.',
    { error: word.slice(0, 500), detail: detail.slice(0, 1500) },
  );
}
