/** What may come through an open door: each bad input gets its failure, and a good client works after it. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FailureSchema, maximumMessageSize } from '../../agent/api/index.ts';
import { CallCancelled } from '../../agent/transport/index.ts';
import { callSocketPath } from '../../main/agent-link/client.ts';
import {
  type Link,
  makeLink,
  openRawClient,
  type RawClient,
  request,
  until,
} from '../unit/transport/link.ts';

vi.setConfig({ testTimeout: 60_000 });

let link: Link;
let raw: RawClient;
const endings: string[] = [];
let sent = 0;

beforeEach(async () => {
  endings.length = 0;
  sent = 0;
  link = await makeLink({
    // Says more than anybody reads.
    'process.run': async (_, { signal, progress }) => {
      const data = 'x'.repeat(64 * 1024);
      while (!signal.aborted && sent < 20_000) {
        progress({ kind: 'output', stream: 'out', data });
        sent += 1;
        if (sent % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      endings.push(signal.reason instanceof CallCancelled ? signal.reason.origin : 'not aborted');
      return { ok: true, value: { exitCode: 0, signal: null } };
    },
  });
  raw = openRawClient(link, link.keys);
});
afterEach(async () => {
  raw.close();
  await link.end();
});

async function expectGoodClient(): Promise<void> {
  const client = await link.connect();
  expect(await client.call('agent.info', {})).toMatchObject({ ok: true });
}

function isLogged(code: string): boolean {
  return link.events.some((event) => event.event === 'request-refused' && event.code === code);
}

describe('an enrolled client that sends', () => {
  test('10 MB of garbage is told that it is too large', async () => {
    await raw.send(randomBytes(10 * 1024 * 1024));
    expect(await raw.receive()).toMatchObject({
      kind: 'failure',
      id: -1,
      failure: { kind: 'too-large', values: { size: 10 * 1024 * 1024, limit: maximumMessageSize } },
    });
    expect(isLogged('message-too-large')).toBe(true);
    await raw.send(request(1, 'agent.info', {}));
    expect(await raw.receive()).toMatchObject({ kind: 'result', id: 1 });
    await expectGoodClient();
  });

  test('more than zeromq takes loses its connection', async () => {
    await raw.send(randomBytes(16 * 1024 * 1024));
    await until(() => raw.events.includes('disconnect'));
    await expectGoodClient();
  });

  test('garbage below the limit is told that it is no request', async () => {
    await raw.send(randomBytes(1024 * 1024));
    expect(await raw.receive()).toMatchObject({
      failure: { kind: 'invalid-request', code: 'not-json' },
    });
    expect(isLogged('not-json')).toBe(true);
    await expectGoodClient();
  });

  test('a call that does not exist is told so', async () => {
    await raw.send(request(4, 'host.reboot', {}));
    expect(await raw.receive()).toMatchObject({
      kind: 'failure',
      id: 4,
      failure: { kind: 'invalid-request', code: 'unknown-call', object: 'host.reboot' },
    });
    expect(isLogged('unknown-call')).toBe(true);
    await expectGoodClient();
  });

  test('arguments with a key too many is told which', async () => {
    await raw.send(request(5, 'lab.forget', { lab: 'one', force: true }));
    const answer = await raw.receive();
    expect(answer).toMatchObject({
      kind: 'failure',
      id: 5,
      failure: { kind: 'invalid-request', code: 'invalid-arguments' },
    });
    expect(JSON.stringify(answer)).toContain('force');
    await expectGoodClient();
  });

  test('arguments that break a bound is told where', async () => {
    await raw.send(request(6, 'process.acknowledge', { session: 'x'.repeat(65), bytes: 1 }));
    expect(await raw.receive()).toMatchObject({
      id: 6,
      failure: { kind: 'invalid-request', place: { path: 'session' } },
    });
    await expectGoodClient();
  });

  test('several frames, or none that says anything, is told so', async () => {
    await raw.send(['{}', '{}']);
    expect(await raw.receive()).toMatchObject({ failure: { code: 'wrong-frames' } });
    await raw.send('');
    expect(await raw.receive()).toMatchObject({ failure: { code: 'not-json' } });
    await expectGoodClient();
  });

  test('any bytes gets one failure for each message', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (bytes) => {
        await raw.send(Buffer.from(bytes));
        const answer = await raw.receive();
        expect(answer).toMatchObject({ kind: 'failure', id: -1 });
        const { failure } = answer as { failure: unknown };
        expect(FailureSchema.safeParse(failure).success).toBe(true);
      }),
      { numRuns: 300 },
    );
    await expectGoodClient();
  });

  test('20,000 requests at once gets every answer, and others get theirs', async () => {
    const count = 20_000;
    const flood = (async () => {
      for (let id = 0; id < count; id += 1) {
        await raw.send(request(id, 'agent.info', {}));
        if (id % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const client = await link.connect();
    expect(await client.call('agent.info', {}, { timeout: 20_000 })).toMatchObject({ ok: true });
    const ids = new Set<unknown>();
    while (ids.size < count) ids.add(((await raw.receive()) as { id: unknown }).id);
    await flood;
  });

  test('and does not read is given up, with what it had started', async () => {
    const lazy = openRawClient(link, link.keys, { receiveHighWaterMark: 1 });
    const command = { place: { kind: 'realm' }, command: ['yes'], terminal: null };
    await lazy.send(request(1, 'process.run', command));
    await until(() => endings.length === 1, 30_000);
    expect(endings).toEqual(['caller-gone']);
    expect(link.events).toContainEqual({ event: 'client-too-slow', client: 'tester', calls: 1 });
    lazy.close();
    await expectGoodClient();
  });
});

describe('anybody who reaches the socket', () => {
  test('and sends it 10 MB that are no ZeroMQ is cut off', async () => {
    const socket = connect(callSocketPath(link.directory, link.keys.publicKey));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.write(randomBytes(10 * 1024 * 1024));
    await closed;
    await expectGoodClient();
  });

  test('and says nothing is cut off', async () => {
    const socket = connect(callSocketPath(link.directory, link.keys.publicKey));
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    await expectGoodClient();
  });

  test('and opens 200 connections does not shut others out', async () => {
    const path = callSocketPath(link.directory, link.keys.publicKey);
    const sockets = Array.from({ length: 200 }, () => connect(path));
    for (const socket of sockets) socket.on('error', () => undefined);
    await expectGoodClient();
    for (const socket of sockets) socket.destroy();
  });
});
