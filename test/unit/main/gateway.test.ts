import { request as httpRequest } from 'node:http';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Gateway, startGateway } from '../../../main/gateway/gateway.ts';
import { temporaryDirectory } from './temporary-directory.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

let gateway: Gateway;
let received: string[];
/** Windows that were ever attached. */
let windows: number;

beforeEach(async () => {
  const root = temporaryDirectory();
  const renderer = path.join(root, 'renderer');
  mkdirSync(path.join(renderer, 'assets'), { recursive: true });
  writeFileSync(path.join(renderer, 'index.html'), '<!doctype html><title>Netloom</title>');
  writeFileSync(path.join(renderer, 'assets/main-Abc123_-.js'), 'export {};');
  writeFileSync(path.join(root, 'secret.js'), 'secret');
  symlinkSync(path.join(root, 'secret.js'), path.join(renderer, 'assets/link.js'));
  received = [];
  windows = 0;
  const started = await startGateway({
    attach: (send) => {
      windows += 1;
      return {
        receive: (text) => {
          received.push(text);
          send(`echo ${text}`);
        },
        close: () => undefined,
      };
    },
    rendererDirectory: renderer,
    port: 0,
  });
  if (!started.ok) throw new Error(started.failure.reason);
  gateway = started.value;
});

afterEach(() => gateway.close());

/** Sends the path as it is; fetch would resolve it. */
function get(
  target: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { host: '127.0.0.1', port: gateway.port, path: target, headers, method, agent: false },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function openSession(): Promise<string> {
  const { pathname, search } = new URL(gateway.url);
  const { headers } = await get(pathname + search);
  const [cookie = ''] = headers['set-cookie'] ?? [];
  return cookie.split(';')[0] ?? '';
}

const origin = (): string => `http://127.0.0.1:${gateway.port}`;

/** Resolves to `open`, or to the status with which the upgrade was refused. */
function connect(
  headers: Readonly<Record<string, string>>,
  target = '/bridge',
): Promise<{ readonly outcome: string; readonly socket: WebSocket }> {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}${target}`, { headers });
  return new Promise((resolve) => {
    socket.on('open', () => {
      resolve({ outcome: 'open', socket });
    });
    socket.on('unexpected-response', (_request, response) => {
      resolve({ outcome: String(response.statusCode), socket });
    });
    socket.on('error', () => undefined);
  });
}

describe('the page', () => {
  it('is given for the cookie that the token buys, and for nothing else', async () => {
    const { pathname, search } = new URL(gateway.url);
    const first = await get(pathname + search);
    expect(first.status).toBe(303);
    expect(first.headers['location']).toBe('/');
    expect(String(first.headers['set-cookie'])).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
    const cookie = await openSession();
    expect((await get('/', { cookie })).body).toContain('Netloom');
    expect((await get('/')).status).toBe(403);
    expect((await get('/?token=wrong')).status).toBe(403);
    expect((await get('/assets/main-Abc123_-.js')).status).toBe(403);
    const token = new URL(gateway.url).searchParams.get('token') ?? '';
    const [name = ''] = cookie.split('=');
    expect((await get('/', { cookie: `${name}=${token}` })).status).toBe(403);
  });

  it('is refused under any other host name', async () => {
    const cookie = await openSession();
    for (const host of [
      'evil.example',
      `evil.example:${gateway.port}`,
      '127.0.0.1',
      'localhost:1',
    ]) {
      expect((await get('/', { cookie, host })).status).toBe(421);
    }
    expect((await get('/', { cookie, host: `localhost:${gateway.port}` })).status).toBe(200);
  });

  it('carries the security headers, whatever the answer is', async () => {
    const cookie = await openSession();
    for (const answer of [
      await get('/', { cookie }),
      await get('/'),
      await get('/x.js', { cookie }),
    ]) {
      const policy = String(answer.headers['content-security-policy']);
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
      expect(policy).not.toContain('unsafe');
      expect(policy).toContain("frame-ancestors 'none'");
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
      expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(answer.headers['referrer-policy']).toBe('no-referrer');
    }
  });

  it('lets hashed files alone be kept', async () => {
    const cookie = await openSession();
    const hashed = await get('/assets/main-Abc123_-.js', { cookie });
    expect(hashed.headers['cache-control']).toContain('immutable');
    expect((await get('/', { cookie })).headers['cache-control']).toBe('no-store');
  });

  it.each([
    '/../secret.js',
    '/%2e%2e/secret.js',
    '/assets/../../secret.js',
    '/assets/..%2f..%2fsecret.js',
    '//etc/passwd',
    '/assets/link.js',
    '/assets',
    '/assets/',
    '/index.html%00.js',
  ])('gives nothing out for %s', async (target) => {
    const cookie = await openSession();
    const answer = await get(target, { cookie });
    expect(answer.status).toBe(404);
    expect(answer.body).not.toContain('secret');
  });

  it('answers nothing but GET', async () => {
    const cookie = await openSession();
    expect((await get('/', { cookie }, 'POST')).status).toBe(405);
  });
});

describe('the bridge', () => {
  it('opens for the page itself and carries text both ways', async () => {
    const cookie = await openSession();
    const { outcome, socket } = await connect({ cookie, origin: origin() });
    expect(outcome).toBe('open');
    const answer = new Promise((resolve) => {
      socket.on('message', (data: Buffer) => {
        resolve(data.toString());
      });
    });
    socket.send('hello');
    expect(await answer).toBe('echo hello');
    expect(windows).toBe(1);
    socket.close();
  });

  it('is refused to other origins, hosts and paths, and without the cookie', async () => {
    const cookie = await openSession();
    const refused = async (
      headers: Readonly<Record<string, string>>,
      target?: string,
    ): Promise<string> => (await connect(headers, target)).outcome;
    expect(await refused({ cookie })).toBe('403');
    expect(await refused({ cookie, origin: 'http://evil.example' })).toBe('403');
    expect(await refused({ cookie, origin: `http://127.0.0.1:${gateway.port + 1}` })).toBe('403');
    expect(await refused({ origin: origin() })).toBe('403');
    expect(await refused({ cookie: `${cookie}x`, origin: origin() })).toBe('403');
    expect(await refused({ cookie, origin: origin(), host: 'evil.example' })).toBe('421');
    expect(await refused({ cookie, origin: origin() }, '/other')).toBe('404');
    expect(windows).toBe(0);
  });

  it('is closed on a message that is too large or binary', async () => {
    const cookie = await openSession();
    for (const message of ['x'.repeat(5 * 1024 * 1024), Buffer.from([1, 2, 3])]) {
      const { socket } = await connect({ cookie, origin: origin() });
      const closed = new Promise<number>((resolve) => {
        socket.on('close', resolve);
      });
      socket.send(message);
      expect([1003, 1009]).toContain(await closed);
    }
    expect(received).toEqual([]);
  });
});

describe('a taken port', () => {
  it('is said', async () => {
    const second = await startGateway({
      attach: () => ({ receive: () => undefined, close: () => undefined }),
      rendererDirectory: '/nowhere',
      port: gateway.port,
    });
    expect(second).toMatchObject({
      ok: false,
      failure: { code: 'port-unavailable', reason: 'Another program listens on it.' },
    });
  });
});
