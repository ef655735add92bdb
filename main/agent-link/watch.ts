/** Notices at once when a realm, its keeper or its agent comes or goes. */
import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import { type RealmName, realmFiles } from '../../agent/api/index.ts';
import { isSameProcess, type ProcessSight } from './process-table.ts';
import type { Realms, RealmSight } from './realms.ts';

/**
 * Milliseconds between looks at the processes. /proc gives no events; a look at one process takes some 20 µs.
 */
const pollInterval = 100;
/** Milliseconds in which events of one change arrive. */
const settleTime = 15;
/** Where a change of the directories is not told by inotify. */
const listInterval = 2_000;

interface Tracked {
  sight: RealmSight | null;
  keeper: Pick<ProcessSight, 'pid' | 'startTime'> | null;
  agent: ProcessSight | null;
  outside: Pick<ProcessSight, 'pid' | 'startTime'> | null;
  watcher: FSWatcher | null;
}

/**
 *     const watcher = new RealmWatcher(realms, (sight) => …);
 *     await watcher.start();
 *     watcher.close();
 *
 * `onChange` gets every realm once at the start, and again whenever it looks different. Within 250 ms of an end of keeper
 * or agent; connections to the agent, where there are any, tell it sooner.
 */
export class RealmWatcher {
  readonly #realms: Realms;
  readonly #onChange: (sight: RealmSight) => void;
  readonly #tracked = new Map<RealmName, Tracked>();
  #watchers: FSWatcher[] = [];
  #timers: NodeJS.Timeout[] = [];
  #settling: NodeJS.Timeout | null = null;
  #turn: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(realms: Realms, onChange: (sight: RealmSight) => void) {
    this.#realms = realms;
    this.#onChange = onChange;
  }

  async start(): Promise<void> {
    const { runtime } = this.#realms.directories;
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    this.#watchers = [runtime, this.#realms.directoriesOf('host').runtime].flatMap((directory) => {
      const watcher = this.#watch(directory);
      return watcher === null ? [] : [watcher];
    });
    this.#timers = [
      setInterval(() => this.#poll(), pollInterval),
      setInterval(() => this.#lookSoon(), listInterval),
    ];
    for (const timer of this.#timers) timer.unref();
    await this.refresh();
  }

  /** Looks at every realm now. */
  refresh(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#closed) return;
      const names = new Set([...this.#realms.list(), ...this.#tracked.keys()]);
      for (const name of names) {
        this.#look(name);
        // Every look reads the whole process table: others may go on in between.
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    return this.#turn;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#settling !== null) clearTimeout(this.#settling);
    for (const watcher of this.#watchers) watcher.close();
    for (const { watcher } of this.#tracked.values()) watcher?.close();
    this.#tracked.clear();
  }

  #watch(directory: string): FSWatcher | null {
    try {
      const watcher = watch(directory, (_, name) => {
        if (name !== realmFiles.log) this.#lookSoon();
      });
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      // It is not there, or there are too many watches: the interval is enough.
      return null;
    }
  }

  #lookSoon(): void {
    if (this.#closed || this.#settling !== null) return;
    this.#settling = setTimeout(() => {
      this.#settling = null;
      void this.refresh();
    }, settleTime);
  }

  #poll(): void {
    for (const [name, { keeper, agent, outside }] of this.#tracked) {
      const isGone = (one: Pick<ProcessSight, 'pid' | 'startTime'> | null): boolean =>
        one !== null && !isSameProcess(one.pid, one.startTime);
      if (isGone(keeper) || isGone(agent) || isGone(outside)) {
        this.#look(name);
      }
    }
  }

  #look(name: RealmName): void {
    if (this.#closed) return;
    const { sight, keeper, agent } = this.#realms.lookClosely(name);
    const tracked = this.#tracked.get(name) ?? {
      sight: null,
      keeper: null,
      agent: null,
      outside: null,
      watcher: null,
    };
    this.#tracked.set(name, tracked);
    tracked.keeper = keeper;
    tracked.agent = agent;
    // One that has ended is looked at no more.
    tracked.outside = sight.outside === 'open' ? (keeper?.outside ?? null) : null;
    if (name !== 'host' && keeper === null) {
      tracked.watcher?.close();
      tracked.watcher = null;
    } else if (name !== 'host') {
      tracked.watcher ??= this.#watch(this.#realms.directoriesOf(name).runtime);
    }
    if (tracked.sight !== null && isEqual(tracked.sight, sight)) return;
    tracked.sight = sight;
    this.#onChange(sight);
  }
}

function isEqual(left: RealmSight, right: RealmSight): boolean {
  return (
    left.state === right.state &&
    left.keeperPid === right.keeperPid &&
    left.agentPid === right.agentPid &&
    left.socket === right.socket &&
    left.outside === right.outside
  );
}
