/** The realms and agents of this machine as the workbench asks for them. */
import { rm } from 'node:fs/promises';
import { type RealmName, type Result, succeed } from '../../agent/api/index.ts';
import type { Directories } from '../agent-link/directories.ts';
import { findOutsideProgram } from '../agent-link/outside.ts';
import { type ConnectedAgent, Realms } from '../agent-link/realms.ts';
import { RealmWatcher } from '../agent-link/watch.ts';
import type { AgentConnection, RealmDoor } from './realm-door.ts';

export interface AgentDoorOptions {
  readonly applicationRoot: string;
  readonly directories: Directories;
  /** What a realm works without, in a sentence. */
  readonly onWarning?: (realm: RealmName, sentence: string) => void;
}

function connectionOf({ client, info }: ConnectedAgent): AgentConnection {
  return {
    info,
    call: (name, args, options) => client.call(name, args, options),
    subscribe: async (stream, listener) => {
      const subscribed = await client.subscribe(
        stream,
        (value) => {
          listener.value(value);
        },
        () => {
          listener.gap();
        },
      );
      return subscribed.ok ? succeed(undefined) : subscribed;
    },
    onLost: (listener) => {
      void client.ended.then(listener);
    },
    close: () => {
      client.close();
    },
  };
}

async function connected(agent: Promise<Result<ConnectedAgent>>): Promise<Result<AgentConnection>> {
  const result = await agent;
  return result.ok ? succeed(connectionOf(result.value)) : result;
}

export function agentDoor(options: AgentDoorOptions): RealmDoor {
  const realms = new Realms({
    applicationRoot: options.applicationRoot,
    directories: options.directories,
    onWarning: (realm, _code, sentence) => options.onWarning?.(realm, sentence),
  });
  return {
    list: () => Promise.resolve(realms.list()),
    look: (realm) => Promise.resolve(realms.look(realm)),
    watch: (onChange) => {
      const watcher = new RealmWatcher(realms, onChange);
      void watcher.start();
      return () => {
        watcher.close();
      };
    },
    stateDirectory: (realm) => realms.directoriesOf(realm).state,
    connect: (realm) => connected(realms.connect(realm)),
    start: (realm, options) => connected(realms.ensure(realm, options)),
    restart: (realm) => connected(realms.startAgent(realm)),
    canOpenOutside: () => {
      const found = findOutsideProgram();
      return found.ok ? succeed(undefined) : found;
    },
    openOutside: (realm) => realms.openOutside(realm),
    stop: (realm) => realms.stopAgent(realm),
    end: (realm) => realms.end(realm),
    discard: async (realm) => {
      const ended = await realms.end(realm);
      if (!ended.ok) return ended;
      const { runtime, state } = realms.directoriesOf(realm);
      await rm(state, { recursive: true, force: true });
      await rm(`${runtime}.lock`, { force: true });
      return ended;
    },
  };
}
