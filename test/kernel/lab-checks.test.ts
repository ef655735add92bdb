import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CheckResult, LabCheck, LabDocument } from '../../agent/api/index.ts';
import { succeed } from '../../agent/api/result.ts';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
  runIn,
} from '../../agent/kernel/namespaces.ts';
import { runChecks } from '../../agent/services/lab-checks.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

/** Node a – node b, 10 Mbit/s from a to b by a token bucket that tc has set. */
const handles = new Map<string, NamespaceHandle>();
const server = createServer((socket) => socket.destroy());

beforeAll(() => {
  requirePrivateNamespaces();
  for (const name of ['a', 'b']) execFileSync('ip', ['netns', 'add', name]);
  const run = (line: string): void => {
    execFileSync('ip', line.split(' '));
  };
  run('link add e0 netns a type veth peer name e0 netns b');
  for (const [name, address] of [
    ['a', '10.0.0.1/24'],
    ['b', '10.0.0.2/24'],
  ] as const) {
    run(`-n ${name} link set e0 up`);
    run(`-n ${name} addr add ${address} dev e0`);
    handles.set(name, must(openNamespaceByName(name)));
  }
  run('netns exec a tc qdisc add dev e0 root tbf rate 10mbit burst 12k limit 60k');
});

afterAll(() => {
  server.close();
  for (const [name, handle] of handles) {
    closeNamespace(handle);
    execFileSync('ip', ['netns', 'del', name]);
  }
});

const fdOf = (name: string): number => handles.get(name)?.fd ?? -1;

async function check(...checks: LabCheck[]): Promise<readonly CheckResult[]> {
  const document: LabDocument = {
    netloom: 1,
    name: 'checks',
    topology: {
      nodes: {
        a: { kind: 'namespace', interfaces: { e0: { addresses: ['10.0.0.1/24'] } } },
        b: { kind: 'namespace', interfaces: { e0: { addresses: ['10.0.0.2/24'] } } },
      },
    },
    checks,
  };
  return runChecks({
    document,
    namespaceFd: (name) => succeed(fdOf(name)),
    isSettled: () => true,
    collected: () => {
      throw new Error('no check here asks a collector');
    },
    groups: null,
    signal: new AbortController().signal,
    onResult: () => undefined,
  });
}

it('judges round trips, connections and rates, in the order of the document', async () => {
  const ends = { from: 'a', to: 'b' };
  const results = await check(
    { check: 'rate', ...ends, atLeast: '8mbit', atMost: '12mbit' },
    { check: 'reach', ...ends, roundTrip: { atMost: 1000 } },
    { check: 'reach', ...ends, roundTrip: { atLeast: 1000 } },
    { check: 'connect', ...ends, port: 81 },
    { check: 'connect', ...ends, port: 81, expect: 'unreachable' },
    { check: 'rate', ...ends, atLeast: '20mbit' },
    { check: 'rate', ...ends, atMost: '5mbit' },
    { check: 'reach', from: 'a', to: '10.1.0.1', timeout: 0.3 },
  );
  expect(results.map(({ index, outcome, code }) => [index, outcome, code])).toEqual([
    [0, 'passed', 'rate-within'],
    [1, 'passed', 'round-trip-within'],
    [2, 'failed', 'round-trip-outside'],
    [3, 'failed', 'refused-unexpectedly'],
    [4, 'passed', 'refused'],
    [5, 'failed', 'rate-outside'],
    [6, 'failed', 'rate-outside'],
    [7, 'failed', 'network-unreachable-unexpectedly'],
  ]);
  expect(results[3]?.sentence).toBe(
    'TCP port 81 of 10.0.0.2 refused a, although it should be reachable.',
  );
  for (const { sentence } of results) expect(sentence).not.toMatch(/[{}]/);
});

it('waits for a server that starts within the time of the check', async () => {
  const results = check({ check: 'connect', from: 'a', to: 'b', port: 82, timeout: 10 });
  await new Promise((resolve) => setTimeout(resolve, 400));
  must(
    runIn(fdOf('b'), () => {
      server.listen(82);
    }),
  );
  expect(await results).toMatchObject([{ outcome: 'passed', code: 'connected' }]);
});
