/** What watching the rates of many interfaces costs a live agent, quiet ones and ones on which something moves. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { RealmName } from '../../agent/api/names.ts';
import type { Result } from '../../agent/api/result.ts';
import { closeNamespace, openNamespaceByName, runIn } from '../../agent/kernel/namespaces.ts';
import {
  AF_PACKET,
  interfaceIndex,
  openSocket,
  sendTo,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from '../../agent/kernel/native.ts';
import type { Realms } from '../../main/agent-link/realms.ts';
import { costOf, pidOutside } from './processor-time.ts';

/** A ring of namespaces with so many wires between each two neighbours. */
export interface RateLab {
  readonly namespaces: number;
  readonly wires: number;
}

const nameOf = (index: number, namespaces: number): string => `n${String(index % namespaces)}`;

export function rateLabOf(name: string, { namespaces, wires }: RateLab): string {
  const all = Array.from({ length: namespaces }, (_, index) => index);
  return [
    'netloom: 1',
    `name: ${name}`,
    'topology:',
    '  nodes:',
    ...all.map((index) => `    ${nameOf(index, namespaces)}: { kind: namespace }`),
    '  links:',
    ...all.flatMap((index) =>
      Array.from({ length: wires }, (_, wire) => {
        const [from, to] = [nameOf(index, namespaces), nameOf(index + 1, namespaces)];
        return `    - endpoints: [${from}:r${String(wire)}, ${to}:l${String(wire)}]`;
      }),
    ),
    '',
  ].join('\n');
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

/** Sends a frame over every wire of the lab, so many times a second, until its input ends. In the lab's realm. */
export async function chatter({ namespaces, wires }: RateLab, rate: number): Promise<void> {
  const frame = Buffer.alloc(60, 0xff);
  // An EtherType of nobody's: it is counted, and nobody answers.
  frame.writeUInt16BE(0x88b5, 12);
  const ends: { readonly fd: number; readonly address: Buffer }[] = [];
  for (let index = 0; index < namespaces; index += 1) {
    const handle = must(openNamespaceByName(nameOf(index, namespaces)));
    must(
      runIn(handle.fd, () => {
        const fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
        for (let wire = 0; wire < wires; wire += 1) {
          const address = Buffer.alloc(20);
          address.writeUInt16LE(AF_PACKET, 0);
          address.writeInt32LE(interfaceIndex(`r${String(wire)}`), 4);
          ends.push({ fd, address });
        }
      }),
    );
    closeNamespace(handle);
  }
  let isOver = false;
  process.stdin.once('end', () => (isOver = true)).resume();
  process.stdout.write('ready\n');
  while (!isOver) {
    for (const { fd, address } of ends) sendTo(fd, frame, 0, address);
    await delay(1000 / rate);
  }
}

async function startChatter(
  root: string,
  program: string,
  keeper: number,
  lab: RateLab,
): Promise<ChildProcess> {
  const enter = [path.join(root, 'dist/agent/keeper.sh'), 'enter', String(keeper)];
  const words = ['chatter', String(lab.namespaces), String(lab.wires), '20'];
  const child = spawn('sh', [...enter, process.execPath, program, ...words], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'close').then(() => {
      throw new Error('nothing sends');
    }),
  ]);
  return child;
}

export interface RatesCost {
  readonly interfaces: number;
  /** Samples, and interfaces that one told of on the average. */
  readonly samples: number;
  readonly told: number;
  /** Parts of a core, of the agent: while nobody watches and while somebody does. */
  readonly idle: number;
  readonly watched: number;
}

/** Quiet, and with a frame on each wire twice a sample. `interval` in milliseconds. */
export async function measureRates(
  realms: Realms,
  realm: RealmName,
  root: string,
  program: string,
  lab: RateLab,
  { interval, seconds }: { readonly interval: number; readonly seconds: number },
): Promise<Readonly<Record<'quiet' | 'busy', RatesCost>>> {
  const { client } = must(await realms.ensure(realm));
  const text = rateLabOf('rates', lab);
  const target: PlanTarget = { kind: 'document', text, path: null, replace: false };
  const plan = must(await client.call('lab.plan', { target }));
  must(await client.call('lab.apply', { plan: plan.id ?? '' }));
  const keeper = realms.findKeeper(realm)?.pid;
  if (keeper === undefined) throw new Error('the realm has no keeper');
  const agent = pidOutside(keeper, must(await client.call('agent.info', {})).pid);
  const wait = (): Promise<unknown> => delay(seconds * 1000);
  // What new interfaces say of themselves comes first.
  await delay(8000);
  const measure = async (): Promise<RatesCost> => {
    const idle = await costOf(agent, wait);
    let [samples, told, interfaces] = [0, 0, 0];
    const stop = new AbortController();
    const watching = client.call(
      'rates.watch',
      { interval, namespaces: null, counters: false },
      {
        signal: stop.signal,
        onProgress: (sample) => {
          interfaces += sample.links.length - sample.gone.length;
          samples += 1;
          told += sample.rates.length;
        },
      },
    );
    await delay(2000);
    [samples, told] = [0, 0];
    const watched = await costOf(agent, wait);
    const cost = { interfaces, samples, told: told / samples, idle, watched };
    stop.abort();
    await watching;
    return cost;
  };
  const quiet = await measure();
  const sender = await startChatter(root, program, keeper, lab);
  try {
    return { quiet, busy: await measure() };
  } finally {
    sender.stdin?.end();
    await once(sender, 'close');
    client.close();
  }
}
