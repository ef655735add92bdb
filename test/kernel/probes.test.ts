import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
  runIn,
} from '../../agent/kernel/namespaces.ts';
import { probeRate } from '../../agent/kernel/rate-probe.ts';
import { probeConnect } from '../../agent/kernel/tcp-probe.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

/** One link: probe-client c0 – s0 probe-server. */
let client: NamespaceHandle;
let server: NamespaceHandle;
let listener: Server;
const openPort = 8080;

function run(line: string): void {
  execFileSync('ip', line.split(' '));
}

function shape(line: string): void {
  execFileSync('ip', ['netns', 'exec', 'probe-client', 'tc', ...line.split(' ')]);
}

beforeAll(async () => {
  requirePrivateNamespaces();
  for (const name of ['probe-client', 'probe-server']) run(`netns add ${name}`);
  run('link add c0 netns probe-client type veth peer name s0 netns probe-server');
  for (const [name, link, host] of [
    ['probe-client', 'c0', '1'],
    ['probe-server', 's0', '2'],
  ] as const) {
    run(`-n ${name} link set lo up`);
    run(`-n ${name} link set ${link} up`);
    run(`-n ${name} addr add 10.9.0.${host}/24 dev ${link}`);
    run(`-n ${name} addr add 2001:db8:9::${host}/64 dev ${link} nodad`);
  }
  client = must(openNamespaceByName('probe-client'));
  server = must(openNamespaceByName('probe-server'));
  // libuv opens and binds the socket in the calling thread, so it is the namespace's.
  listener = createServer((socket) => socket.destroy());
  const listening = new Promise((resolve) => listener.once('listening', resolve));
  must(
    runIn(server.fd, () => {
      // With a host it would be looked up first, and bound after the namespace has been left.
      listener.listen(openPort);
    }),
  );
  await listening;
});

afterAll(() => {
  listener.close();
  closeNamespace(client);
  closeNamespace(server);
  for (const name of ['probe-client', 'probe-server']) run(`netns del ${name}`);
});

const connect = async (
  destination: string,
  port: number,
  timeoutMilliseconds = 5000,
): Promise<unknown> =>
  must(await probeConnect({ namespaceFd: client.fd, destination, port, timeoutMilliseconds }));

describe('a TCP probe', () => {
  it('tells who listens from who does not, in both families', async () => {
    for (const destination of ['10.9.0.2', '2001:db8:9::2']) {
      expect(await connect(destination, openPort)).toEqual({
        kind: 'connected',
        milliseconds: expect.any(Number) as number,
      });
      expect(await connect(destination, openPort + 1)).toEqual({ kind: 'refused' });
    }
    // The client's own namespace has no listener.
    expect(await connect('127.0.0.1', openPort)).toEqual({ kind: 'refused' });
  });

  it('tells silence and a missing route apart', async () => {
    execFileSync('ip', ['netns', 'exec', 'probe-server', 'nft', '-f', '-'], {
      input: 'table inet t { chain c { type filter hook input priority 0; tcp dport 81 drop; }; }',
    });
    expect(await connect('10.9.0.2', 81, 300)).toEqual({ kind: 'timeout' });
    expect(await connect('10.8.0.1', openPort)).toEqual({
      kind: 'unreachable',
      errno: 'ENETUNREACH',
    });
    // Nobody answers to ARP there: the kernel gives up after about three seconds.
    expect(await connect('10.9.0.99', openPort, 20_000)).toEqual({
      kind: 'unreachable',
      errno: 'EHOSTUNREACH',
    });
  });

  it('is cancelled and leaves no descriptor open', async () => {
    await connect('10.9.0.2', openPort);
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 5; round += 1) await connect('10.9.0.2', openPort + 1);
    const controller = new AbortController();
    const cancelled = probeConnect({
      namespaceFd: client.fd,
      destination: '10.9.0.2',
      port: 81,
      timeoutMilliseconds: 5000,
      signal: controller.signal,
    });
    controller.abort();
    expect(await cancelled).toMatchObject({ failure: { kind: 'cancelled' } });
    expect(count()).toBe(before);
  });
});

const measure = async (
  offer: number,
  destination = '10.9.0.2',
): Promise<Record<string, unknown>> => ({
  ...must(
    await probeRate({
      fromNamespaceFd: client.fd,
      toNamespaceFd: server.fd,
      destination,
      offer,
    }),
  ),
});

describe('a rate probe', () => {
  it.each([
    ['300kbit', 300e3, 'burst 4k limit 20k'],
    ['10mbit', 10e6, 'burst 12k limit 60k'],
    ['100mbit', 100e6, 'burst 64k limit 600k'],
  ])('sees the token bucket of %s that tc has set', async (rate, expected, sizes) => {
    shape(`qdisc add dev c0 root tbf rate ${rate} ${sizes}`);
    try {
      for (const destination of ['10.9.0.2', '2001:db8:9::2']) {
        for (const factor of [1.5, 3]) {
          const { kind, bitsPerSecond } = await measure(expected * factor, destination);
          expect(kind).toBe('measured');
          expect(Number(bitsPerSecond) / expected).toBeGreaterThan(0.85);
          expect(Number(bitsPerSecond) / expected).toBeLessThan(1.15);
        }
      }
    } finally {
      shape('qdisc del dev c0 root');
    }
  });

  it('sees what it sends where nothing limits it', async () => {
    const { bitsPerSecond, sentBitsPerSecond } = await measure(40e6);
    expect(Number(bitsPerSecond) / 40e6).toBeGreaterThan(0.85);
    expect(Number(bitsPerSecond) / 40e6).toBeLessThan(1.15);
    expect(Number(sentBitsPerSecond) / 40e6).toBeGreaterThan(0.85);
  });

  it('does not hold up the event loop', async () => {
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const outcome = await measure(2e9);
    clearInterval(timer);
    expect(outcome['kind']).toBe('measured');
    // Each turn is bounded to 8 ms; a second of sending in one go would be a hundred times that.
    expect(longest).toBeLessThan(200);
  });

  it('says that there is no way, or that nothing arrives', async () => {
    expect(await measure(1e6, '10.8.0.1')).toEqual({ kind: 'unreachable', errno: 'ENETUNREACH' });
    execFileSync('ip', ['netns', 'exec', 'probe-server', 'nft', '-f', '-'], {
      input:
        'table inet u { chain c { type filter hook input priority 0; udp dport 1-65535 drop; }; }',
    });
    expect(await measure(1e6)).toEqual({ kind: 'nothing-arrived' });
  });
});
