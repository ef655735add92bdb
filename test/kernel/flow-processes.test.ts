/** The processes behind flows, of real sockets in namespaces of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaptureFlow } from '../../agent/api/traffic.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { withProcesses } from '../../agent/services/flow-processes.ts';
import { run } from './capture-bench.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let tracker: InventoryTracker;
let one: string;
let other: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  requirePrivateNamespaces();
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add left type veth peer name right netns ${other}`);
  for (const [name, link, host] of [
    [one, 'left', '1'],
    [other, 'right', '2'],
  ] as const) {
    run(`-n ${name} address add 10.9.3.${host}/24 dev ${link}`);
    run(`-n ${name} link set ${link} up`);
    run(`-n ${name} link set lo up`);
  }
  tracker = must(await InventoryTracker.open());
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    const gone = once(child, 'exit');
    if (child.exitCode !== null || child.pid === undefined) continue;
    // With what it has started.
    process.kill(-child.pid, 'SIGKILL');
    await gone;
  }
  tracker.close();
  for (const name of [one, other]) run(`netns delete ${name}`);
});

/** A program of Node's in a namespace, once it says `ready`; what it says is told to nobody else. */
async function program(namespace: string, text: string): Promise<number> {
  const words = ['netns', 'exec', namespace, process.execPath, '-e', text];
  const child = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (said: string) => {
      if (said.includes('ready')) resolve();
    });
    child.once('exit', () => {
      reject(new Error('the program has ended'));
    });
  });
  // `ip netns exec` becomes what it runs.
  return child.pid ?? 0;
}

const serve = (port: number, address: string | null = null): string =>
  `require('net').createServer(() => {}).listen(${String(port)}, ${JSON.stringify(address ?? '::')}, () => console.log('ready'))`;
const connect = (from: number, port: number): string =>
  `require('net').connect({ host: '10.9.3.2', port: ${String(port)}, localPort: ${String(from)} }, () => console.log('ready'))`;
const listen = (port: number, options = '{ type: "udp4" }'): string =>
  `const s = require('dgram').createSocket(${options}); s.bind(${String(port)}, () => console.log('ready'))`;

const sent = { packets: 1, bytes: 60 };
type EndText = readonly [address: string, port: number];
function flow(
  namespace: string,
  ipProtocol: number,
  ends: readonly [EndText, EndText],
): CaptureFlow {
  return {
    namespace: must(tracker.namespaceHandle(namespace)).id,
    ...{ protocol: ipProtocol === 6 ? 'tcp' : 'udp', ipProtocol, packets: 2, bytes: 120 },
    ends: ends.map(([address, port]) => ({ address, port, sent })),
    ...{ first: 0, last: 0, interfaces: [0], tcp: null },
  };
}

type Asked = Parameters<typeof withProcesses>[2];
function processesOf(of: CaptureFlow, asked: Asked = null): readonly (number | undefined)[] {
  const [found] = withProcesses([of], tracker, asked);
  return found?.ends.map((end) => end.process?.pid) ?? [];
}

describe('the process behind a flow', () => {
  it('is told of a connection at each of its ends, in the namespace of that end', async () => {
    const server = await program(other, serve(8080));
    const client = await program(one, connect(45_001, 8080));
    const ends = [['10.9.3.1', 45_001] as const, ['10.9.3.2', 8080] as const] as const;
    expect(processesOf(flow(one, 6, ends))).toEqual([client, undefined]);
    expect(processesOf(flow(other, 6, ends))).toEqual([undefined, server]);
    const [named] = withProcesses([flow(one, 6, ends)], tracker, null);
    expect(named?.ends[0]?.process).toEqual({ pid: client, name: expect.stringMatching(/^node/) });
    // Another connection to the same server is nobody's yet, although the server listens.
    const absent = [['10.9.3.1', 45_002] as const, ['10.9.3.2', 8080] as const] as const;
    expect(processesOf(flow(other, 6, absent))).toEqual([undefined, undefined]);
    // Of others a person is told nothing.
    expect(processesOf(flow(one, 6, ends), { uid: 12_345 })).toEqual([undefined, undefined]);
  }, 30_000);

  it('is told of a port of UDP that is open for everybody, by IPv4 and through IPv6', async () => {
    const plain = await program(other, listen(5300));
    const both = await program(other, listen(5301, '{ type: "udp6" }'));
    const six = await program(other, listen(5302, '{ type: "udp6", ipv6Only: true }'));
    const to = (port: number): CaptureFlow =>
      flow(other, 17, [
        ['10.9.3.1', 40_000],
        ['10.9.3.2', port],
      ]);
    expect(processesOf(to(5300))).toEqual([undefined, plain]);
    expect(processesOf(to(5301))).toEqual([undefined, both]);
    expect(processesOf(to(5302))).toEqual([undefined, undefined]);
    expect(six).toBeGreaterThan(0);
  }, 30_000);

  it('is not claimed of packets that only pass, nor where two sockets or two processes may be meant', async () => {
    await program(other, listen(5300));
    const passing: readonly [EndText, EndText] = [
      ['10.9.3.1', 40_000],
      ['192.0.2.7', 5300],
    ];
    expect(processesOf(flow(other, 17, passing))).toEqual([undefined, undefined]);
    for (let each = 0; each < 2; each += 1) {
      await program(other, listen(5303, '{ type: "udp4", reuseAddr: true }'));
    }
    const shared: readonly [EndText, EndText] = [
      ['10.9.3.1', 40_000],
      ['10.9.3.2', 5303],
    ];
    expect(processesOf(flow(other, 17, shared))).toEqual([undefined, undefined]);
    // A shell's descriptor, which the program below it has as well.
    const words = `exec 3<>/dev/udp/10.9.3.2/5304; sleep 60 & echo ready; wait`;
    const shell = spawn('ip', ['netns', 'exec', one, 'bash', '-c', words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    children.push(shell);
    await once(shell.stdout, 'data');
    const table = run(`netns exec ${one} cat /proc/net/udp`);
    const port = Number.parseInt(/0103090A:([0-9A-F]{4}) 0203090A:14B8/.exec(table)?.[1] ?? '', 16);
    expect(port).toBeGreaterThan(0);
    const inherited: readonly [EndText, EndText] = [
      ['10.9.3.1', port],
      ['10.9.3.2', 5304],
    ];
    expect(processesOf(flow(one, 17, inherited))).toEqual([undefined, undefined]);
  }, 30_000);
});
