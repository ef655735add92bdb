import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { agentCalls, FailureSchema } from '../../../agent/api/index.ts';
import { decideAdmission } from '../../../agent/transport/admission.ts';
import { Dispatcher, parseRequest } from '../../../agent/transport/dispatcher.ts';
import { encodeZ85 } from '../../../agent/transport/socket.ts';
import { checkSocketPath, doorPath } from '../../../agent/transport/socket-file.ts';
import { callSocketPath } from '../../../main/agent-link/client.ts';
import { handlersWith } from './link.ts';

vi.setConfig({ testTimeout: 30_000 });

describe('a request', () => {
  test('is any bytes at worst, which give a failure and never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4_096 }), (bytes) => {
        const parsed = parseRequest(bytes);
        expect(parsed.kind).toBe('bad');
        if (parsed.kind === 'bad')
          expect(FailureSchema.safeParse(parsed.failure).success).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('is any JSON at worst, which gives a failure unless it is exactly a request', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(parseRequest(Buffer.from(JSON.stringify(value))).kind).toBe('bad');
      }),
      { numRuns: 2_000 },
    );
  });

  test('with one key too many, one too few or a wrong type is none', () => {
    const whole = { kind: 'cancel', version: 1, id: 7 };
    const variants: readonly unknown[] = [
      { ...whole, more: 1 },
      { kind: 'cancel', version: 1 },
      { ...whole, id: -1 },
      { ...whole, id: 1.5 },
      { ...whole, id: '7' },
      { ...whole, kind: 'call' },
      { ...whole, kind: 'constructor' },
      [whole],
      null,
    ];
    expect(parseRequest(Buffer.from(JSON.stringify(whole))).kind).toBe('request');
    for (const variant of variants) {
      expect(parseRequest(Buffer.from(JSON.stringify(variant))).kind).toBe('bad');
    }
  });

  test('nested a million deep is refused', () => {
    expect(parseRequest(Buffer.from('['.repeat(1_000_000))).kind).toBe('bad');
    const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = `{"kind":"call","version":1,"id":1,"call":"agent.info","args":${nested}}`;
    // As a request it is one; its arguments are then refused by the call's own schema.
    expect(parseRequest(Buffer.from(text)).kind).toBe('request');
  });

  test('of another version is refused as unsupported', () => {
    const parsed = parseRequest(Buffer.from('{"kind":"cancel","version":2,"id":3}'));
    expect(parsed).toMatchObject({ kind: 'bad', id: 3, failure: { kind: 'unsupported' } });
  });
});

describe('arguments', () => {
  const bugs: unknown[] = [];
  const dispatcher = new Dispatcher({
    handlers: handlersWith({}),
    checkResults: true,
    onBug: (_, error) => bugs.push(error),
  });
  const peer = { key: 'k', name: 'n', uid: 0, access: 'write', connection: 'c' } as const;

  test('of any shape, for any call, give exactly one answer and no bug', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constantFrom(...Object.keys(agentCalls)), fc.string({ maxLength: 20 })),
        fc.jsonValue({ maxDepth: 5 }),
        async (name, args) => {
          const replies: unknown[] = [];
          await dispatcher.run(name, args, {
            signal: new AbortController().signal,
            peer,
            id: 1,
            reply: (reply) => replies.push(reply),
          });
          expect(replies).toHaveLength(1);
        },
      ),
      { numRuns: 1_000 },
    );
    expect(bugs).toEqual([]);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'of a call named %s find no such call',
    async (name) => {
      const replies: unknown[] = [];
      const { signal } = new AbortController();
      await dispatcher.run(
        name,
        {},
        { signal, peer, id: 1, reply: (reply) => replies.push(reply) },
      );
      expect(replies).toMatchObject([
        { kind: 'failure', failure: { kind: 'invalid-request', code: 'unknown-call' } },
      ]);
    },
  );
});

describe('an admission', () => {
  const key = 'a'.repeat(40);
  const clients = [{ key, uid: 1000, name: 'someone', access: 'write' }] as const;
  const knock = { domain: '', mechanism: 'CURVE', key, address: 'localhost:1000:1000:42' };

  test('needs the key, its own door and the uid', () => {
    expect(decideAdmission(knock, key, clients)).toEqual({
      admitted: true,
      reason: 'enrolled',
      uid: 1000,
      pid: 42,
    });
    expect(decideAdmission(knock, 'b'.repeat(40), clients).reason).toBe('wrong-door');
    expect(decideAdmission(knock, key, []).reason).toBe('unknown-key');
    expect(decideAdmission({ ...knock, address: 'localhost:0:0:42' }, key, clients).reason).toBe(
      'wrong-uid',
    );
    expect(decideAdmission({ ...knock, address: '127.0.0.1' }, key, clients).reason).toBe(
      'no-credentials',
    );
    expect(decideAdmission({ ...knock, mechanism: 'NULL' }, key, clients).reason).toBe('not-curve');
    expect(decideAdmission({ ...knock, key: null }, key, clients).reason).toBe('not-curve');
  });
});

describe('names of sockets', () => {
  test('are the same on both sides and safe whatever the key is', () => {
    const key = '/.*?&<>()[{}@%$#0123456789abcdefghijklmn';
    expect(doorPath('/run/x', 'call', key)).toBe(callSocketPath('/run/x', key));
    expect(doorPath('/run/x', 'call', key)).toMatch(/^\/run\/x\/call-[0-9a-f]{20}$/);
  });

  test('of more than 107 bytes are refused with their length', () => {
    expect(checkSocketPath(`/${'x'.repeat(106)}`).ok).toBe(true);
    expect(checkSocketPath(`/${'x'.repeat(107)}`)).toMatchObject({
      ok: false,
      failure: { code: 'socket-path-too-long', values: { length: 108, limit: 107 } },
    });
  });
});

test('Z85 is that of ZeroMQ RFC 32', () => {
  expect(encodeZ85(Buffer.from('864fd26fb559f75b', 'hex'))).toBe('HelloWorld');
});
