/** A server on the loopback that a page must never reach; it remembers who came. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Canary {
  readonly url: string;
  /** Paths that were asked for. */
  readonly visits: readonly string[];
  readonly udpPort: number;
  readonly packets: () => number;
  close(): void;
}

export async function startCanary(): Promise<Canary> {
  const visits: string[] = [];
  let packets = 0;
  const server = createServer((request, response) => {
    visits.push(request.url ?? '');
    response.writeHead(200, {
      'Access-Control-Allow-Origin': '*',
      'Content-Type': 'text/html',
    });
    response.end('<title>foreign</title>');
  });
  server.listen(0, '127.0.0.1');
  const socket = createSocket('udp4', () => (packets += 1));
  socket.bind(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    visits,
    udpPort: socket.address().port,
    packets: () => packets,
    close: () => {
      server.closeAllConnections();
      server.close();
      socket.close();
    },
  };
}
