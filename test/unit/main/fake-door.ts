import path from 'node:path';
import {
  type AgentCallName,
  type AgentCalls,
  type CallArguments,
  type CallResult,
  emptyInventory,
  fail,
  type Failure,
  type LabRecord,
  type RealmName,
  type Result,
  succeed,
} from '../../../agent/api/index.ts';
import type { AgentConnection, RealmDoor, RealmSight } from '../../../main/workbench/realm-door.ts';

const unreachable: Failure = {
  kind: 'unreachable',
  code: 'agent-lost',
  object: 'realm',
  reason: 'The agent has ended.',
  next: 'Start it.',
};

export type Answers = {
  [K in AgentCallName]?: (args: CallArguments<AgentCalls, K>) => Result<CallResult<AgentCalls, K>>;
};

/** Realms on paper: what the workbench asks of them, and an agent that answers what a test says. */
export class FakeDoor implements RealmDoor {
  readonly states = new Map<RealmName, RealmSight['state']>();
  /** Realms with a way out. */
  readonly outside = new Set<RealmName>();
  readonly records = new Map<string, LabRecord>();
  readonly events: string[] = [];
  answers: Answers = {};
  #lost = new Map<RealmName, () => void>();
  #onChange: (sight: RealmSight) => void = () => undefined;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Sets a realm's state, as its processes would. */
  become(realm: RealmName, state: RealmSight['state']): void {
    this.states.set(realm, state);
    if (state !== 'running') this.#lost.get(realm)?.();
    this.#onChange(this.#sightOf(realm));
  }

  list(): Promise<readonly RealmName[]> {
    return Promise.resolve([...this.states.keys()]);
  }

  look(realm: RealmName): Promise<RealmSight> {
    return Promise.resolve(this.#sightOf(realm));
  }

  watch(onChange: (sight: RealmSight) => void): () => void {
    this.#onChange = onChange;
    for (const realm of this.states.keys()) onChange(this.#sightOf(realm));
    return () => {
      this.#onChange = () => undefined;
    };
  }

  stateDirectory(realm: RealmName): string {
    return path.join(this.#root, realm.replace(':', '-'));
  }

  connect(realm: RealmName): Promise<Result<AgentConnection>> {
    if (this.states.get(realm) !== 'running') return Promise.resolve(fail(unreachable));
    return Promise.resolve(succeed(this.#connection(realm)));
  }

  start(realm: RealmName): Promise<Result<AgentConnection>> {
    this.events.push(`start ${realm}`);
    this.become(realm, 'running');
    return this.connect(realm);
  }

  restart(realm: RealmName): Promise<Result<AgentConnection>> {
    return this.start(realm);
  }

  canOpenOutside(): Result<void> {
    return succeed(undefined);
  }

  openOutside(realm: RealmName): Promise<Result<void>> {
    this.events.push(`open ${realm}`);
    this.outside.add(realm);
    return Promise.resolve(succeed(undefined));
  }

  stop(realm: RealmName): Promise<Result<void>> {
    this.become(realm, 'agent-lost');
    return Promise.resolve(succeed(undefined));
  }

  end(realm: RealmName): Promise<Result<void>> {
    this.events.push(`end ${realm}`);
    this.become(realm, 'gone');
    return Promise.resolve(succeed(undefined));
  }

  discard(realm: RealmName): Promise<Result<void>> {
    return this.end(realm);
  }

  #sightOf(realm: RealmName): RealmSight {
    const state = this.states.get(realm) ?? 'absent';
    const there = state === 'running' || state === 'agent-lost';
    return {
      realm,
      state,
      keeperPid: there ? 1 : null,
      agentPid: state === 'running' ? 2 : null,
      socket: null,
      outside: there && this.outside.has(realm) ? 'open' : 'closed',
    };
  }

  #connection(realm: RealmName): AgentConnection {
    let open = true;
    const listeners: (() => void)[] = [];
    this.#lost.set(realm, () => {
      open = false;
      for (const listener of listeners) listener();
    });
    const { events, records } = this;
    const answersNow = (): Answers => this.answers;
    return {
      info: {
        apiVersion: 1,
        version: '0',
        realm,
        pid: 2,
        incarnation: 'now',
        kernel: '6',
        startedAt: '2026-01-01T00:00:00.000Z',
        readOnly: false,
        recoveries: [],
      },
      call: <K extends AgentCallName>(
        name: K,
        args: CallArguments<AgentCalls, K>,
      ): Promise<Result<CallResult<AgentCalls, K>>> => {
        if (!open) return Promise.resolve(fail(unreachable));
        events.push(name);
        const answers: Answers = {
          'lab.list': () =>
            succeed({
              labs: [...records.values()].map((record) => ({
                record,
                drift: 0,
                checks: [],
                busy: false,
                awaiting: null,
              })),
            }),
          'inventory.snapshot': () => succeed(emptyInventory),
          ...answersNow(),
        };
        const answer = answers[name];
        if (answer === undefined) throw new Error(`no answer to ${name}`);
        return Promise.resolve(answer(args));
      },
      subscribe: () => Promise.resolve(succeed(undefined)),
      onLost: (listener) => {
        listeners.push(listener);
      },
      close: () => {
        open = false;
      },
    };
  }
}

export function makeRecord(changes: Partial<LabRecord> = {}): LabRecord {
  return {
    name: 'wire',
    realm: 'sandbox:wire',
    path: '/labs/wire.yaml',
    up: true,
    incarnation: 'now',
    revision: 1,
    revisions: [{ number: 1, time: '2026-01-01T00:00:00.000Z', cause: 'apply', steps: 3 }],
    documentHash: null,
    ...changes,
  };
}
