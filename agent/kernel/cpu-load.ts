/** Busy loops in a CPU group: processes that do nothing but run, for measurements. */
import { fail, type Result, succeed } from '../api/result.ts';
import type { GroupPath } from '../cpu/group.ts';
import type { Cgroups } from './cgroups.ts';
import { type RunningProcess, startProcess } from './process.ts';

export interface CpuLoad {
  /** Ends them; resolves when they have left their group. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts `count` of them. Each waits for a word until it is in the group, so that none runs elsewhere; within the group it
 * is the least of all that want to run; and it ends with the agent, whatever becomes of that.
 */
export async function startCpuLoad(
  groups: Cgroups,
  group: GroupPath,
  count: number,
): Promise<Result<CpuLoad>> {
  const started: RunningProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const one of started) one.kill('SIGKILL');
    await Promise.all(started.map(({ exited }) => exited));
  };
  const failed = async (failure: Parameters<typeof fail>[0]): Promise<Result<CpuLoad>> => {
    await stop();
    return fail(failure);
  };
  for (let index = 0; index < count; index += 1) {
    const one = startProcess({
      file: 'setpriv',
      args: ['--pdeathsig', 'KILL', 'nice', '-n', '19', 'sh', '-c', 'read go; while :; do :; done'],
      purpose: `keeping a CPU group busy`,
      channels: ['pipe', 'ignore', 'ignore'],
    });
    if (!one.ok) return failed(one.failure);
    // One that is killed while it waits closes its pipe.
    one.value.input?.on('error', () => undefined);
    started.push(one.value);
    const moved = groups.move([one.value.pid], group);
    if (!moved.ok) return failed(moved.failure);
  }
  for (const { input } of started) input?.write('go\n');
  return succeed({ stop });
}
