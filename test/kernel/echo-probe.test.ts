import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeCapabilities } from '../../agent/kernel/capabilities.ts';
import { probeEcho } from '../../agent/kernel/echo.ts';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
} from '../../agent/kernel/namespaces.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

/** client – router – server, where the router knows one dead end more. */
const names = ['echo-client', 'echo-router', 'echo-server'] as const;
let client: NamespaceHandle;

beforeAll(() => {
  requirePrivateNamespaces();
  const run = (line: string): void => {
    execFileSync('ip', line.split(' '));
  };
  for (const name of names) {
    run(`netns add ${name}`);
    run(`-n ${name} link set lo up`);
  }
  run('link add c0 netns echo-client type veth peer name r0 netns echo-router');
  run('link add s0 netns echo-server type veth peer name r1 netns echo-router');
  for (const [name, link, v4, v6] of [
    ['echo-client', 'c0', '10.1.0.2/24', '2001:db8:1::2/64'],
    ['echo-router', 'r0', '10.1.0.1/24', '2001:db8:1::1/64'],
    ['echo-router', 'r1', '10.2.0.1/24', '2001:db8:2::1/64'],
    ['echo-server', 's0', '10.2.0.2/24', '2001:db8:2::2/64'],
  ] as const) {
    run(`-n ${name} link set ${link} up`);
    run(`-n ${name} addr add ${v4} dev ${link}`);
    run(`-n ${name} addr add ${v6} dev ${link} nodad`);
  }
  for (const forwarding of ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']) {
    run(`netns exec echo-router sysctl -qw ${forwarding}`);
  }
  run('-n echo-client route add default via 10.1.0.1');
  run('-n echo-client route add default via 2001:db8:1::1');
  run('-n echo-client route add prohibit 10.66.0.0/16');
  run('-n echo-server route add default via 10.2.0.1');
  run('-n echo-server route add default via 2001:db8:2::1');
  run('-n echo-router route add unreachable 10.77.0.0/16');
  run('-n echo-router route add prohibit 10.78.0.0/16');
  client = must(openNamespaceByName('echo-client'));
});

afterAll(() => {
  closeNamespace(client);
  for (const name of names) execFileSync('ip', ['netns', 'del', name]);
});

const probe = async (
  destination: string,
  timeoutMilliseconds = 5000,
): Promise<Record<string, unknown>> => ({
  ...must(await probeEcho({ namespaceFd: client.fd, destination, timeoutMilliseconds })),
});

describe('an echo probe', () => {
  it('is answered across a router, in both families', async () => {
    for (const destination of [
      '10.1.0.1',
      '10.2.0.2',
      '2001:db8:1::1',
      '2001:db8:2::2',
      '127.0.0.1',
      '::1',
    ]) {
      expect(await probe(destination), destination).toMatchObject({ kind: 'reply' });
    }
  });

  it('tells who refuses and why', async () => {
    expect(await probe('10.77.0.1')).toMatchObject({
      kind: 'unreachable',
      reason: 'host-unreachable',
      reporter: '10.1.0.1',
    });
    expect(await probe('10.78.0.1')).toMatchObject({ reason: 'prohibited', reporter: '10.1.0.1' });
    expect(await probe('10.66.0.1')).toMatchObject({ reason: 'prohibited', detail: 'EACCES' });
    expect(await probe('2001:db8:9::1')).toMatchObject({
      reason: 'network-unreachable',
      reporter: '2001:db8:1::1',
    });
    expect(await probe('10.1.0.99', 300)).toMatchObject({ reason: 'no-answer' });
  });

  it('keeps probes that run together apart and leaves no descriptor open', async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const destinations = Array.from({ length: 60 }, (_, position) =>
      position % 3 === 0 ? '10.77.0.1' : position % 3 === 1 ? '10.2.0.2' : '2001:db8:2::2',
    );
    const outcomes = await Promise.all(
      // Routers limit the rate of refusals: some probes to the dead end hear nothing.
      destinations.map((destination) => probe(destination, 1500)),
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(
      destinations.map((destination) => (destination === '10.77.0.1' ? 'unreachable' : 'reply')),
    );
    const controller = new AbortController();
    const cancelled = probeEcho({
      namespaceFd: client.fd,
      destination: '10.1.0.98',
      timeoutMilliseconds: 5000,
      signal: controller.signal,
    });
    controller.abort();
    expect(await cancelled).toMatchObject({ failure: { kind: 'cancelled' } });
    expect(count()).toBe(before);
  });
});

describe('capabilities', () => {
  it('agree with what ip can make', () => {
    const report = must(probeCapabilities());
    for (const kind of ['veth', 'bridge', 'dummy', 'ifb', 'bond', 'vrf']) {
      const data = kind === 'vrf' ? ['table', '10'] : [];
      let made = true;
      try {
        execFileSync('ip', ['link', 'add', 'name', 'cap0', 'type', kind, ...data], {
          stdio: 'ignore',
        });
        execFileSync('ip', ['link', 'del', 'cap0']);
      } catch {
        made = false;
      }
      expect(report.capabilities.find(({ name }) => name === `link:${kind}`)?.available, kind).toBe(
        made,
      );
    }
  });
});
