/** A server and its clients in one process, over real sockets. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Enrolment, Result } from '../../../agent/api/index.ts';
import {
  type AgentHandlers,
  AgentServer,
  curveKeyPair,
  type CurveKeyPair,
  type TransportEvent,
} from '../../../agent/transport/index.ts';
import { Dealer } from 'zeromq';
import { AgentClient, callSocketPath } from '../../../main/agent-link/client.ts';
import { handlersWith } from './handlers.ts';

export { handlersWith };

export interface Link {
  readonly directory: string;
  readonly agentKeys: CurveKeyPair;
  readonly keys: CurveKeyPair;
  readonly events: TransportEvent[];
  readonly server: AgentServer;
  readonly enrol: (clients: Enrolment['clients']) => void;
  /** A client that must connect; the holder of `keys` unless others are given. */
  readonly connect: (keys?: CurveKeyPair) => Promise<AgentClient>;
  readonly tryConnect: (keys?: CurveKeyPair) => Promise<Result<AgentClient>>;
  readonly end: () => Promise<void>;
}

export async function makeLink(own: Partial<AgentHandlers> = {}): Promise<Link> {
  const directory = mkdtempSync(join(tmpdir(), 'netloom-link-'));
  chmodSync(directory, 0o700);
  const agentKeys = curveKeyPair();
  const keys = curveKeyPair();
  const owner = process.geteuid?.() ?? 0;
  const enrol = (clients: Enrolment['clients']): void =>
    writeFileSync(join(directory, 'enrolled.json'), JSON.stringify({ clients }), { mode: 0o600 });
  enrol([{ key: keys.publicKey, uid: owner, name: 'tester', access: 'write' }]);
  writeFileSync(join(directory, 'agent.pub'), `${agentKeys.publicKey}\n`);
  const events: TransportEvent[] = [];
  const server = new AgentServer({
    directory,
    keys: agentKeys,
    handlers: handlersWith(own),
    log: (event) => events.push(event),
    checkResults: true,
  });
  const started = await server.start();
  if (!started.ok) throw new Error(started.failure.reason);
  const clients: AgentClient[] = [];
  const tryConnect = async (pair = keys): Promise<Result<AgentClient>> => {
    const client = await AgentClient.connect({
      realm: 'sandbox:test',
      directory,
      keys: pair,
      owner,
    });
    if (client.ok) clients.push(client.value);
    return client;
  };
  return {
    directory,
    agentKeys,
    keys,
    events,
    server,
    enrol,
    tryConnect,
    connect: async (pair) => {
      const client = await tryConnect(pair);
      if (!client.ok) throw new Error(JSON.stringify(client.failure));
      return client.value;
    },
    end: async () => {
      for (const client of clients) client.close();
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until `condition` holds; throws after `limit` milliseconds, which only a failing test needs. */
export async function until(condition: () => boolean, limit = 10_000): Promise<void> {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A client without any of AgentClient's manners. */
export interface RawClient {
  readonly send: (body: string | Buffer | readonly (string | Buffer)[]) => Promise<void>;
  /** The next message that is not empty, as JSON. */
  readonly receive: () => Promise<unknown>;
  readonly events: string[];
  readonly close: () => void;
}

export function openRawClient(
  link: Pick<Link, 'directory' | 'agentKeys'>,
  keys: CurveKeyPair | null,
  options: {
    readonly doorOf?: string;
    readonly serverKey?: string;
    readonly receiveHighWaterMark?: number;
  } = {},
): RawClient {
  const socket = new Dealer({
    linger: 0,
    reconnectInterval: -1,
    receiveTimeout: 10_000,
    receiveHighWaterMark: options.receiveHighWaterMark ?? 1_000,
    ...(keys === null
      ? {}
      : {
          curvePublicKey: keys.publicKey,
          curveSecretKey: keys.secretKey,
          curveServerKey: options.serverKey ?? link.agentKeys.publicKey,
        }),
  });
  const events: string[] = [];
  for (const event of [
    'handshake',
    'disconnect',
    'handshake:error:auth',
    'handshake:error:protocol',
    'handshake:error:other',
  ] as const) {
    socket.events.on(event, () => events.push(event));
  }
  socket.connect(
    `ipc://${callSocketPath(link.directory, options.doorOf ?? keys?.publicKey ?? '')}`,
  );
  return {
    events,
    send: (body) => socket.send(Array.isArray(body) ? [...body] : (body as string | Buffer)),
    receive: async () => {
      for (;;) {
        const [message] = await socket.receive();
        if (message !== undefined && message.length > 0) return JSON.parse(message.toString());
      }
    },
    close: () => socket.close(),
  };
}

export function request(id: number, call: string, args: unknown): string {
  return JSON.stringify({ kind: 'call', version: 1, id, call, args });
}
