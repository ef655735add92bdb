/** What capturing a busy wire costs and loses: a capture of Netloom with its flows, beside other programs on the same wire. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SessionEvent } from '../../agent/capture/capture-session.ts';
import { SessionThread } from '../../agent/capture/session-thread.ts';
import { closeNamespace, openNamespaceByName, runIn } from '../../agent/kernel/namespaces.ts';
import {
  AF_PACKET,
  interfaceIndex,
  openSocket,
  sendTo,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from '../../agent/kernel/native.ts';
import type { Result } from '../../agent/api/result.ts';
import { mixedPackets } from './packets.ts';

const [sender, receiver, wire] = ['bench-from', 'bench-to', 'wire'];

export interface LiveCapture {
  readonly name: string;
  /** Packets; what the program says itself. */
  readonly sent: number;
  readonly captured: number;
  readonly dropped: number;
  /** Of processor time. */
  readonly seconds: number;
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

function ip(line: string): void {
  execFileSync('ip', line.split(' '), { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Sends packets at a pace, from the namespace that it is in; prints how many. */
export function generate(rate: number, seconds: number): void {
  const fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(interfaceIndex(wire), 4);
  const packets = mixedPackets();
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  let [sent, turn] = [0, 0];
  for (;;) {
    const passed = performance.now() - start;
    if (passed >= seconds * 1000) break;
    const due = Math.floor((passed / 1000) * rate);
    // In small steps, so that it does not burst after it had to wait.
    for (let step = Math.min(due - turn, 500); step > 0; step -= 1) {
      const packet = packets[turn % packets.length] ?? new Uint8Array(60);
      if (sendTo(fd, packet, 0, address) > 0) sent += 1;
      turn += 1;
    }
    if (turn >= due) Atomics.wait(pause, 0, 0, 0.2);
  }
  process.stdout.write(`${JSON.stringify({ sent, asked: Math.floor(rate * seconds) })}\n`);
}

function startGenerator(program: string, rate: number, seconds: number): Promise<number> {
  const words = ['netns', 'exec', sender, process.execPath, program, 'generate'];
  const child = spawn('ip', [...words, String(rate), String(seconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  return new Promise((resolve, reject) => {
    child.once('close', (code) => {
      if (code === 0) resolve((JSON.parse(text) as { sent: number }).sent);
      else reject(new Error('the generator failed'));
    });
  });
}

async function netloom(
  thread: string,
  program: string,
  rate: number,
  seconds: number,
): Promise<LiveCapture> {
  let [captured, dropped] = [0, 0];
  const session = new SessionThread(
    thread,
    (event: SessionEvent) => {
      if (event.kind === 'totals') ({ packets: captured, dropped } = event.totals);
    },
    (error) => {
      throw error;
    },
  );
  const handle = must(openNamespaceByName(receiver));
  const index = must(runIn(handle.fd, () => interfaceIndex(wire)));
  must(
    await session.open({
      filter: null,
      snapLength: 262_144,
      rings: [
        {
          namespace: 'bench',
          title: receiver,
          fd: handle.fd,
          interfaces: [{ index, name: wire, linkType: 1 }],
          only: true,
        },
      ],
    }),
  );
  closeNamespace(handle);
  await delay(500);
  const before = process.cpuUsage();
  const sent = await startGenerator(program, rate, seconds);
  must(await session.stop());
  const { user, system } = process.cpuUsage(before);
  const { flows } = must(await session.flows(1));
  if (flows.length === 0) throw new Error('no flow was seen');
  await session.close();
  return {
    name: 'Netloom, kept, with flows',
    ...{ sent, captured, dropped, seconds: (user + system) / 1e6 },
  };
}

interface Rival {
  readonly name: string;
  readonly command: readonly string[];
  readonly captured: RegExp;
  readonly dropped: RegExp;
}

function rivals(directory: string): readonly Rival[] {
  // Each its own: some give their file to a user of theirs, and the next may not write to it.
  const file = (name: string): string => path.join(directory, name);
  return [
    {
      name: 'tcpdump -w FILE',
      command: ['tcpdump', '-i', wire, '-w', file('tcpdump')],
      captured: /(\d+) packets captured/,
      dropped: /(\d+) packets dropped by kernel/,
    },
    {
      name: 'dumpcap -w FILE',
      command: ['dumpcap', '-q', '-i', wire, '-w', file('dumpcap')],
      captured: /received\/dropped on interface '[^']*': (\d+)\//,
      dropped: /received\/dropped on interface '[^']*': \d+\/(\d+)/,
    },
    {
      name: 'tshark -n, a line each',
      // Nothing that hangs on other packets, which is more work.
      command: [
        ...['tshark', '-n', '-o', 'tcp.desegment_tcp_streams:FALSE'],
        ...['-o', 'tcp.analyze_sequence_numbers:FALSE', '-i', wire],
      ],
      captured: /(\d+) packets? captured/,
      dropped: /(\d+) packets? dropped/,
    },
  ].filter(
    ({ command: [name = ''] }) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0,
  );
}

/** Ended as a person would; the shell counts the processor time of all that it waited for. */
async function rival(
  { name, command, captured, dropped }: Rival,
  program: string,
  rate: number,
  seconds: number,
): Promise<LiveCapture> {
  const script = 'trap : INT; timeout -s INT "$0" "$@" >/dev/null 2>&3; times';
  const words = ['netns', 'exec', receiver, 'sh', '-c', script, String(seconds + 6), ...command];
  const child = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  let [out, said] = ['', ''];
  child.stdout?.on('data', (data: Buffer) => (out += data.toString()));
  child.stdio[3]?.on('data', (data: Buffer) => (said += data.toString()));
  const ended = new Promise((resolve) => child.once('close', resolve));
  await delay(2500);
  const sent = await startGenerator(program, rate, seconds);
  await ended;
  const [, children = ''] = out.trim().split('\n');
  const used = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, each]) => sum + Number(minutes) * 60 + Number(each),
    0,
  );
  const numberOf = (pattern: RegExp): number => {
    const found = pattern.exec(said)?.[1];
    if (found === undefined) throw new Error(`${name}: ${said}`);
    return Number(found);
  };
  return { name, sent, captured: numberOf(captured), dropped: numberOf(dropped), seconds: used };
}

/** Packets a second for some seconds, to each program in turn; in namespaces of its own. */
export async function measureLiveCaptures(
  root: string,
  program: string,
  rate: number,
  seconds: number,
): Promise<readonly LiveCapture[]> {
  for (const name of [sender, receiver]) ip(`netns add ${name}`);
  ip(`-n ${sender} link add ${wire} type veth peer name ${wire} netns ${receiver}`);
  for (const name of [sender, receiver]) ip(`-n ${name} link set ${wire} up`);
  const directory = mkdtempSync(path.join(tmpdir(), 'netloom-live-'));
  try {
    const thread = path.join(root, 'dist/agent/capture-worker.js');
    const measured = [await netloom(thread, program, rate, seconds)];
    for (const each of rivals(directory)) measured.push(await rival(each, program, rate, seconds));
    return measured;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
