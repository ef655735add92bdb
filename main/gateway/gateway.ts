/**
 * The browser shell's door: HTTP for the built renderer and one WebSocket for the bridge, on the loopback only. Any
 * process of the machine, and any page of the person's browser, can reach a loopback port; hence the token, and the
 * checks of Host (DNS rebinding) and Origin (other pages).
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { fail, maximumMessageSize, type Result, succeed } from '../../agent/api/index.ts';
import type { BridgeCarrier } from '../bridge/host.ts';
import { securityHeaders } from './security-headers.ts';
import { readStaticFile } from './static-files.ts';

export interface GatewayOptions {
  /** What a connected window talks to. */
  readonly attach: BridgeCarrier;
  /** Directory of the built renderer. */
  readonly rendererDirectory: string;
  /** 0 picks a free one. */
  readonly port: number;
}

export interface Gateway {
  readonly port: number;
  /** Opens the window; holds the token. */
  readonly url: string;
  /** Closes every connection and the port. */
  close(): Promise<void>;
}

export const bridgePath = '/bridge';

/** A window that does not take its messages is cut off at this many bytes; it connects again and starts afresh. */
const maximumBacklog = 64 * 1024 * 1024;
const heartbeatMilliseconds = 20_000;

/** Equality in a time that does not depend on where the texts differ. */
function isSameSecret(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}

function cookieOf(request: IncomingMessage, name: string): string | null {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = part.trim().split('=', 2);
    if (key === name && value !== undefined) return value;
  }
  return null;
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return (data instanceof ArrayBuffer ? Buffer.from(data) : data).toString('utf8');
}

/** Starts to listen on 127.0.0.1. Fails with `refused` when the port is taken or may not be used. */
export async function startGateway(options: GatewayOptions): Promise<Result<Gateway>> {
  // The token opens a session; the cookie is another secret, so that the token in a history opens nothing later on
  // that the cookie would.
  const token = randomBytes(24).toString('base64url');
  const session = randomBytes(24).toString('base64url');
  let hosts: readonly string[] = [];
  let cookieName = '';
  let headers: Readonly<Record<string, string>> = {};

  const isOurHost = (request: IncomingMessage): boolean => {
    const host = request.headers.host;
    return host !== undefined && hosts.includes(host);
  };
  const hasSession = (request: IncomingMessage): boolean => {
    const cookie = cookieOf(request, cookieName);
    return cookie !== null && isSameSecret(cookie, session);
  };

  const answer = (
    response: ServerResponse,
    status: number,
    body: string | Buffer,
    more: Readonly<Record<string, string>> = {},
  ): void => {
    response.writeHead(status, {
      ...headers,
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
      'Content-Length': String(Buffer.byteLength(body)),
      ...more,
    });
    response.end(response.req.method === 'HEAD' ? undefined : body);
  };

  const handleRequest = async (
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    if (!isOurHost(request)) {
      answer(response, 421, 'This address is not served here.\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, 405, 'Only GET is answered.\n', { Allow: 'GET, HEAD' });
      return;
    }
    // The path is taken as it was sent: URL would resolve `..` before it can be refused.
    const [rawPath = '/', query = ''] = (request.url ?? '/').split('?', 2);
    const given = new URLSearchParams(query).get('token');
    if (rawPath === '/' && given !== null && isSameSecret(given, token)) {
      answer(response, 303, '', {
        Location: '/',
        'Set-Cookie': `${cookieName}=${session}; HttpOnly; SameSite=Strict; Path=/`,
      });
      return;
    }
    if (!hasSession(request)) {
      answer(response, 403, 'Open the address that Netloom printed when it started.\n');
      return;
    }
    const file = await readStaticFile(options.rendererDirectory, rawPath);
    if (file === null) {
      answer(response, 404, 'There is no such file.\n');
      return;
    }
    answer(response, 200, file.body, {
      'Content-Type': file.type,
      'Cache-Control': file.immutable ? 'private, max-age=31536000, immutable' : 'no-store',
    });
  };

  const server = createServer((request, response) => {
    handleRequest(request, response).catch((error: unknown) => {
      process.stderr.write(`netloom: gateway: ${String(error)}\n`);
      response.destroy();
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;

  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maximumMessageSize,
    perMessageDeflate: false,
    clientTracking: true,
  });

  const refuseUpgrade = (socket: Duplex, status: string): void => {
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  };

  const serveWindow = (socket: WebSocket): void => {
    let alive = true;
    const window = options.attach((text) => {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > maximumBacklog) {
        socket.terminate();
        return;
      }
      socket.send(text);
    });
    const heartbeat = setInterval(() => {
      if (!alive) {
        socket.terminate();
        return;
      }
      alive = false;
      socket.ping();
    }, heartbeatMilliseconds);
    socket.on('pong', () => {
      alive = true;
    });
    socket.on('message', (data, isBinary) => {
      alive = true;
      if (isBinary) {
        socket.close(1003, 'text messages only');
        return;
      }
      window.receive(textOf(data));
    });
    socket.on('error', () => {
      socket.terminate();
    });
    socket.on('close', () => {
      clearInterval(heartbeat);
      window.close();
    });
  };

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {
      socket.destroy();
    });
    if (!isOurHost(request)) {
      refuseUpgrade(socket, '421 Misdirected Request');
      return;
    }
    // A browser always sends Origin with an upgrade; it must be the page's own.
    if (request.headers.origin !== `http://${request.headers.host ?? ''}`) {
      refuseUpgrade(socket, '403 Forbidden');
      return;
    }
    if (!hasSession(request)) {
      refuseUpgrade(socket, '403 Forbidden');
      return;
    }
    if (request.url !== bridgePath) {
      refuseUpgrade(socket, '404 Not Found');
      return;
    }
    sockets.handleUpgrade(request, socket, head, serveWindow);
  });

  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, '127.0.0.1', resolve);
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return fail({
      kind: 'refused',
      code: 'port-unavailable',
      object: `port ${String(options.port)}`,
      reason:
        code === 'EADDRINUSE' ? 'Another program listens on it.' : `The system reports ${code}.`,
      next: 'Choose another port with --port, or none at all.',
    });
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP port was asked for');
  const { port } = address;
  hosts = [`127.0.0.1:${String(port)}`, `localhost:${String(port)}`];
  // Cookies are shared by all ports of a host.
  cookieName = `netloom-${String(port)}`;
  headers = securityHeaders(["'self'", ...hosts.map((host) => `ws://${host}`)]);

  return succeed({
    port,
    url: `http://127.0.0.1:${String(port)}/?token=${token}`,
    close: async () => {
      for (const socket of sockets.clients) socket.close(1001, 'Netloom is closing');
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      server.closeAllConnections();
      // closeAllConnections does not know the upgraded ones; give them a moment to say goodbye.
      setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, 200).unref();
      await closed;
    },
  });
}
