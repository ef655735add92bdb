/** What watching many CPU groups costs a live agent, in groups of the measurement's own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PlanTarget } from '../../agent/api/calls.ts';
import { cpuPlaceVariable } from '../../agent/api/realm-files.ts';
import type { Result } from '../../agent/api/result.ts';
import { findDirectories } from '../../main/agent-link/directories.ts';
import { Realms } from '../../main/agent-link/realms.ts';
import { OwnGroups } from '../kernel/cpu-own-groups.ts';
import { costOf } from './processor-time.ts';

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

/** Groups of ten in groups of ten, as many as are asked for at most; each has a cap and a weight. */
export function splitOf(name: string, count: number): string {
  const lines: string[] = [];
  let made = 0;
  const add = (depth: number, prefix: string): void => {
    for (let index = 0; index < 10 && made < count; index += 1) {
      made += 1;
      const own = `${prefix}${String(index)}`;
      const indent = '  '.repeat(2 + depth * 2);
      lines.push(
        `${indent}${own}:`,
        `${indent}  cap: 0.5`,
        `${indent}  weight: ${String(50 + index)}`,
      );
      if (depth === 2 || made === count) continue;
      lines.push(`${indent}  groups:`);
      const before = lines.length;
      add(depth + 1, own);
      if (lines.length === before) lines.pop();
    }
  };
  add(0, 'g');
  return [
    'netloom: 1',
    `name: ${name}`,
    'topology: { nodes: {} }',
    'cpu:',
    '  groups:',
    ...lines,
    '',
  ].join('\n');
}

export interface CpuWatchCost {
  readonly groups: number;
  readonly samples: number;
  /** Bytes of one sample as JSON. */
  readonly bytes: number;
  /** Parts of a core: of the agent, while nobody watches and while somebody does. */
  readonly idle: number;
  readonly watched: number;
}

/** `interval` in milliseconds. In mounts of its own: it starts the agent of the host. */
export async function measureCpuWatch(
  applicationRoot: string,
  count: number,
  interval: number,
  seconds: number,
): Promise<CpuWatchCost> {
  const own = new OwnGroups();
  try {
    return await measureIn(own, applicationRoot, count, interval, seconds);
  } finally {
    own[Symbol.dispose]();
  }
}

async function measureIn(
  own: OwnGroups,
  applicationRoot: string,
  count: number,
  interval: number,
  seconds: number,
): Promise<CpuWatchCost> {
  process.env[cpuPlaceVariable] = own.name;
  const realms = new Realms({ applicationRoot, directories: findDirectories() });
  const { client } = must(await realms.ensure('host'));
  const reach = async (target: PlanTarget): Promise<void> => {
    const plan = must(await client.call('lab.plan', { target }));
    if (plan.refusals.length > 0) throw new Error(JSON.stringify(plan.refusals[0]));
    must(await client.call('lab.apply', { plan: plan.id ?? '' }));
  };
  const { pid } = must(await client.call('agent.info', {}));
  const text = splitOf('bench', count);
  await reach({ kind: 'document', text, path: null, replace: false });
  try {
    const wait = (): Promise<unknown> => delay(seconds * 1000);
    // What the change has left to do comes first.
    await delay(3000);
    const idle = await costOf(pid, wait);
    let [samples, bytes, groups] = [0, 0, 0];
    const stop = new AbortController();
    const watching = client.call(
      'cpu.watch',
      { lab: 'bench', interval },
      {
        signal: stop.signal,
        onProgress: (sample) => {
          samples += 1;
          groups = sample.groups.length - 1;
          bytes = JSON.stringify(sample).length;
        },
      },
    );
    // The first sample opens the files, which is done once.
    await delay(3000);
    const watched = await costOf(pid, wait);
    stop.abort();
    await watching;
    return { groups, samples, bytes, idle, watched };
  } finally {
    await reach({ kind: 'down', lab: 'bench' });
    await client.call('agent.stop', {});
    client.close();
    // Its own groups can go when it has let go of them.
    await delay(500);
  }
}
