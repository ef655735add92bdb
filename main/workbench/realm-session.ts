/** One realm as this process follows it: its agent's connection, its labs and, when asked for, its inventory. */
import {
  applyInventoryDelta,
  type Inventory,
  type InventoryDelta,
  type LabStatus,
  type RealmName,
  type Result,
  succeed,
  type TransactionProgress,
} from '../../agent/api/index.ts';
import type { AgentConnection, RealmDoor, StartOptions } from './realm-door.ts';

export interface RealmSessionListener {
  /** A lab's status changed, or the lab is no longer known to the agent. */
  labChanged(realm: RealmName, lab: string): void;
  transaction(realm: RealmName, progress: TransactionProgress): void;
  inventoryReset(realm: RealmName, inventory: Inventory): void;
  inventoryDelta(realm: RealmName, delta: InventoryDelta): void;
  /** The agent came or went. */
  connectionChanged(realm: RealmName): void;
}

export class RealmSession {
  readonly realm: RealmName;
  readonly #door: RealmDoor;
  readonly #listener: RealmSessionListener;
  readonly #labs = new Map<string, LabStatus>();
  #connection: AgentConnection | null = null;
  #opening: Promise<Result<AgentConnection>> | null = null;
  #inventory: Inventory | null = null;
  #loading: Promise<Result<Inventory>> | null = null;
  /** Deltas that arrived while the snapshot was on its way. */
  #early: InventoryDelta[] = [];
  #followsInventory = false;
  /** The connection whose inventory stream is followed. */
  #subscribed: AgentConnection | null = null;

  constructor(realm: RealmName, door: RealmDoor, listener: RealmSessionListener) {
    this.realm = realm;
    this.#door = door;
    this.#listener = listener;
  }

  get connection(): AgentConnection | null {
    return this.#connection;
  }

  statusOf(lab: string): LabStatus | null {
    return this.#labs.get(lab) ?? null;
  }

  get statuses(): readonly LabStatus[] {
    return [...this.#labs.values()];
  }

  /** Connects to the agent that runs; fails with `unreachable` or `realm-gone`. */
  connect(): Promise<Result<AgentConnection>> {
    return this.#open(() => this.#door.connect(this.realm));
  }

  /** Connects, after making what is missing of keeper and agent. */
  start(options: StartOptions = {}): Promise<Result<AgentConnection>> {
    return this.#open(() => this.#door.start(this.realm, options));
  }

  /** Starts the agent again where the realm is still there. */
  async restart(): Promise<Result<AgentConnection>> {
    // Whoever asks has seen that the agent is gone; its connection may have yet to notice.
    if (this.#connection !== null && (await this.#door.look(this.realm)).state !== 'running') {
      this.close();
    }
    return this.#open(() => this.#door.restart(this.realm));
  }

  /** The inventory, followed from now on. */
  async inventory(): Promise<Result<Inventory>> {
    const connected = await this.connect();
    if (!connected.ok) return connected;
    if (this.#inventory !== null) return succeed(this.#inventory);
    return this.#loadInventory(connected.value);
  }

  /** Takes the labs from the agent anew: the answer to a call comes another way than the news of what it did. */
  async refresh(): Promise<void> {
    const connection = this.#connection;
    if (connection !== null) await this.#loadLabs(connection);
  }

  close(): void {
    const connection = this.#connection;
    this.#forget();
    connection?.close();
  }

  async #open(door: () => Promise<Result<AgentConnection>>): Promise<Result<AgentConnection>> {
    // An attempt under way may be one that starts nothing: see what comes of it before making another.
    while (this.#opening !== null) await this.#opening;
    if (this.#connection !== null) return succeed(this.#connection);
    this.#opening = this.#adopt(door);
    try {
      return await this.#opening;
    } finally {
      this.#opening = null;
    }
  }

  async #adopt(door: () => Promise<Result<AgentConnection>>): Promise<Result<AgentConnection>> {
    const opened = await door();
    if (!opened.ok) return opened;
    const connection = opened.value;
    this.#connection = connection;
    connection.onLost(() => {
      if (this.#connection !== connection) return;
      this.#forget();
      connection.close();
      this.#listener.connectionChanged(this.realm);
    });
    const subscribed = await connection.subscribe('labs', {
      value: (event) => {
        if (this.#connection !== connection) return;
        if (event.kind === 'transaction') {
          this.#listener.transaction(this.realm, event.progress);
          return;
        }
        const lab = event.kind === 'status' ? event.status.record.name : event.lab;
        if (event.kind === 'status') this.#labs.set(lab, event.status);
        else this.#labs.delete(lab);
        this.#listener.labChanged(this.realm, lab);
      },
      gap: () => void this.#loadLabs(connection),
    });
    const listed = subscribed.ok ? await this.#loadLabs(connection) : subscribed;
    if (!listed.ok) {
      this.close();
      return listed;
    }
    if (this.#followsInventory) {
      const loaded = await this.#loadInventory(connection);
      if (loaded.ok) this.#listener.inventoryReset(this.realm, loaded.value);
    }
    this.#listener.connectionChanged(this.realm);
    return opened;
  }

  async #loadLabs(connection: AgentConnection): Promise<Result<void>> {
    const listed = await connection.call('lab.list', {});
    if (!listed.ok) return listed;
    if (this.#connection !== connection) return succeed(undefined);
    const known = new Set([
      ...this.#labs.keys(),
      ...listed.value.labs.map((lab) => lab.record.name),
    ]);
    this.#labs.clear();
    for (const status of listed.value.labs) this.#labs.set(status.record.name, status);
    for (const lab of known) this.#listener.labChanged(this.realm, lab);
    return succeed(undefined);
  }

  #loadInventory(connection: AgentConnection): Promise<Result<Inventory>> {
    this.#loading ??= this.#fetchInventory(connection).finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #fetchInventory(connection: AgentConnection): Promise<Result<Inventory>> {
    this.#followsInventory = true;
    this.#inventory = null;
    this.#early = [];
    if (this.#subscribed !== connection) {
      const subscribed = await connection.subscribe('inventory', {
        value: (delta) => {
          if (this.#connection === connection) this.#receiveDelta(connection, delta);
        },
        gap: () => void this.#resync(connection),
      });
      if (!subscribed.ok) return subscribed;
      this.#subscribed = connection;
    }
    const snapshot = await connection.call('inventory.snapshot', {});
    if (!snapshot.ok || this.#connection !== connection) return snapshot;
    let inventory = snapshot.value;
    for (const delta of this.#early) inventory = applyInventoryDelta(inventory, delta) ?? inventory;
    this.#early = [];
    this.#inventory = inventory;
    return succeed(inventory);
  }

  #receiveDelta(connection: AgentConnection, delta: InventoryDelta): void {
    if (this.#inventory === null) {
      this.#early.push(delta);
      return;
    }
    if (delta.sequence <= this.#inventory.sequence) return;
    const next = applyInventoryDelta(this.#inventory, delta);
    if (next === null) {
      void this.#resync(connection);
      return;
    }
    this.#inventory = next;
    this.#listener.inventoryDelta(this.realm, delta);
  }

  async #resync(connection: AgentConnection): Promise<void> {
    if (this.#connection !== connection || !this.#followsInventory) return;
    const loaded = await this.#loadInventory(connection);
    if (loaded.ok && this.#connection === connection) {
      this.#listener.inventoryReset(this.realm, loaded.value);
    }
  }

  #forget(): void {
    this.#connection = null;
    this.#labs.clear();
    this.#inventory = null;
    this.#early = [];
  }
}
