import { afterEach, describe, expect, test, vi } from 'vitest';
import { maximumMessageSize, succeed } from '../../../agent/api/index.ts';
import {
  type AgentHandlers,
  CallCancelled,
  type CallContext,
  curveKeyPair,
} from '../../../agent/transport/index.ts';
import { type Link, makeLink, openRawClient, request, until } from './link.ts';

vi.setConfig({ testTimeout: 30_000 });

let link: Link;
afterEach(() => link.end());

const command: Parameters<AgentHandlers['process.run']>[0] = {
  place: { kind: 'realm' },
  command: ['sleep', '1'],
  terminal: null,
};

/** A `process.run` that lasts until it is aborted, and then says why. */
function lasting(reasons: string[], contexts: CallContext<never>[] = []) {
  return {
    'process.run': (_: unknown, context: CallContext<never>) =>
      new Promise<never>((_resolve, reject) => {
        contexts.push(context);
        context.signal.addEventListener('abort', () => {
          const { reason } = context.signal;
          reasons.push(reason instanceof CallCancelled ? reason.origin : 'other');
          reject(reason);
        });
      }),
  };
}

function handlers(own: object): Partial<AgentHandlers> {
  return own;
}

describe('a call', () => {
  test('is answered once, after its progress and in its order', async () => {
    link = await makeLink(
      handlers({
        'lab.check': (_: unknown, { progress }: CallContext<unknown>) => {
          for (let index = 0; index < 500; index += 1) progress(checkResult(index));
          return Promise.resolve({ ok: true, value: { results: [] } });
        },
      }),
    );
    const client = await link.connect();
    const seen: number[] = [];
    const outcome = await client.call(
      'lab.check',
      { lab: 'one' },
      { onProgress: ({ index }) => seen.push(index) },
    );
    expect(outcome).toEqual({ ok: true, value: { results: [] } });
    expect(seen).toEqual(Array.from({ length: 500 }, (_, index) => index));
  });

  test('that is cancelled aborts its handler and still ends with the answer', async () => {
    const reasons: string[] = [];
    link = await makeLink(handlers(lasting(reasons)));
    const client = await link.connect();
    const abort = new AbortController();
    const outcome = client.call('process.run', command, { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    expect(await outcome).toMatchObject({ ok: false, failure: { kind: 'cancelled' } });
    expect(reasons).toEqual(['asked']);
  });

  test('that nobody answers ends with its timeout', async () => {
    const reasons: string[] = [];
    link = await makeLink(handlers(lasting(reasons)));
    const client = await link.connect();
    const outcome = await client.call('process.run', command, { timeout: 50 });
    expect(outcome).toMatchObject({ ok: false, failure: { kind: 'timeout' } });
    await until(() => reasons.length > 0);
    expect(await client.call('agent.info', {})).toMatchObject({ ok: true });
  });

  test('of a handler with a bug gives a failure of that kind, and the agent goes on', async () => {
    link = await makeLink(
      handlers({
        'lab.forget': () => {
          throw new Error('oh no');
        },
        'lab.list': () => Promise.resolve({ ok: true, value: { labs: 'many' } }),
      }),
    );
    const client = await link.connect();
    expect(await client.call('lab.forget', { lab: 'one' })).toMatchObject({
      ok: false,
      failure: { kind: 'bug' },
    });
    expect(await client.call('lab.list', {})).toMatchObject({
      ok: false,
      failure: { kind: 'bug' },
    });
    expect(link.events.filter(({ event }) => event === 'handler-bug')).toHaveLength(2);
    expect(await client.call('agent.info', {})).toMatchObject({ ok: true });
  });

  test('whose answer is larger than a message may be fails as too large', async () => {
    const text = 'x'.repeat(maximumMessageSize);
    link = await makeLink(
      handlers({
        'lab.document': () => Promise.resolve({ ok: true, value: { status: null, text } }),
      }),
    );
    const raw = openRawClient(link, link.keys);
    await raw.send(request(5, 'lab.document', { lab: 'one', revision: null }));
    // The contract is broken on purpose: what matters is the size of whatever would be sent.
    expect(await raw.receive()).toMatchObject({ kind: 'failure', id: 5 });
    raw.close();
  });

  test('with an id that is under way is refused without disturbing the first', async () => {
    const reasons: string[] = [];
    link = await makeLink(handlers(lasting(reasons)));
    const raw = openRawClient(link, link.keys);
    await raw.send(request(1, 'process.run', command));
    await raw.send(request(1, 'agent.info', {}));
    expect(await raw.receive()).toMatchObject({ id: -1, failure: { code: 'duplicate-id' } });
    await raw.send(JSON.stringify({ kind: 'cancel', version: 1, id: 1 }));
    expect(await raw.receive()).toMatchObject({ id: 1, failure: { kind: 'cancelled' } });
    raw.close();
  });

  test('beyond the bound of calls under way is refused as busy, and only then', async () => {
    const reasons: string[] = [];
    link = await makeLink(handlers(lasting(reasons)));
    const raw = openRawClient(link, link.keys);
    for (let id = 0; id < 256; id += 1) await raw.send(request(id, 'process.run', command));
    await raw.send(request(300, 'agent.info', {}));
    expect(await raw.receive()).toMatchObject({ id: 300, failure: { code: 'too-many-calls' } });
    await raw.send(JSON.stringify({ kind: 'cancel', version: 1, id: 0 }));
    expect(await raw.receive()).toMatchObject({ id: 0, failure: { kind: 'cancelled' } });
    await raw.send(request(301, 'agent.info', {}));
    expect(await raw.receive()).toMatchObject({ kind: 'result', id: 301 });
    raw.close();
  });

  test('that changes something is refused to a key enrolled for reading', async () => {
    link = await makeLink();
    const reader = curveKeyPair();
    const uid = process.geteuid?.() ?? 0;
    link.enrol([
      { key: link.keys.publicKey, uid, name: 'tester', access: 'write' },
      { key: reader.publicKey, uid, name: 'reader', access: 'read' },
    ]);
    await until(() => link.events.some((e) => e.event === 'door-opened' && e.client === 'reader'));
    const client = await link.connect(reader);
    expect(await client.call('lab.forget', { lab: 'one' })).toMatchObject({
      ok: false,
      failure: { kind: 'not-allowed', code: 'read-only-key' },
    });
    expect(await client.call('lab.list', {})).toMatchObject({ ok: true });
    const writer = await link.connect();
    expect(await writer.call('lab.forget', { lab: 'one' })).toMatchObject({ ok: true });
  });
});

describe('when a client vanishes', () => {
  test('its processes end and its transactions go on', async () => {
    const reasons: string[] = [];
    const applied: AbortSignal[] = [];
    link = await makeLink(
      handlers({
        ...lasting(reasons),
        'lab.apply': (_: unknown, { signal }: CallContext<never>) => {
          applied.push(signal);
          return new Promise(() => undefined);
        },
      }),
    );
    const client = await link.connect();
    const run = client.call('process.run', command);
    const apply = client.call('lab.apply', { plan: 'p' });
    await until(() => applied.length === 1);
    client.close();
    expect(await run).toMatchObject({ ok: false });
    expect(await apply).toMatchObject({ ok: false });
    await until(() => reasons.length === 1);
    expect(reasons).toEqual(['caller-gone']);
    expect(applied[0]?.aborted).toBe(false);
    expect(link.events).toContainEqual({ event: 'client-gone', client: 'tester', calls: 2 });
  });

  test('another client of the same key keeps its calls', async () => {
    const reasons: string[] = [];
    const contexts: CallContext<never>[] = [];
    link = await makeLink(handlers(lasting(reasons, contexts)));
    const [first, second] = [await link.connect(), await link.connect()];
    void first.call('process.run', command);
    const kept = second.call('process.run', command, { timeout: 600 });
    await until(() => contexts.length === 2);
    first.close();
    await until(() => reasons.length === 1);
    expect(contexts.filter(({ signal }) => signal.aborted)).toHaveLength(1);
    expect(await kept).toMatchObject({ ok: false, failure: { kind: 'timeout' } });
  });
});

describe('when the agent ends', () => {
  test('every pending and later call fails as unreachable', async () => {
    link = await makeLink(handlers({ 'lab.apply': () => new Promise(() => undefined) }));
    const client = await link.connect();
    const pending = client.call('lab.apply', { plan: 'p' });
    await client.call('agent.info', {});
    await link.server.close();
    expect(await pending).toMatchObject({ ok: false, failure: { kind: 'unreachable' } });
    expect(await client.ended).toMatchObject({ kind: 'unreachable' });
    expect(client.isOpen).toBe(false);
    expect(await client.call('agent.info', {})).toMatchObject({
      ok: false,
      failure: { kind: 'unreachable' },
    });
    expect(await link.tryConnect()).toMatchObject({ ok: false, failure: { kind: 'unreachable' } });
  });
});

describe('the answer that an agent gives before it ends', () => {
  test('is read, though its connections end at once', async () => {
    for (let count = 0; count < 50; count++) {
      link = await makeLink({
        'agent.stop': () => {
          // While this process does something else, the answer and the ends of both connections come together.
          setImmediate(() => void link.server.close().then(() => doSomethingElse(20)));
          return Promise.resolve(succeed({}));
        },
      });
      const client = await link.connect();
      expect(await client.call('agent.stop', {})).toEqual(succeed({}));
      await link.end();
    }
    link = await makeLink();
  });
});

function doSomethingElse(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function checkResult(index: number) {
  return {
    index,
    label: 'ping',
    outcome: 'passed',
    code: 'reached',
    values: { from: 'a', to: '10.0.0.2', roundTrip: '1.00' },
    sentence: 'It answers.',
    roundTripMilliseconds: 1,
  };
}
