/** Operations on CPU groups, carried out and read back. */
import { assertNever, fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { GroupPath } from '../cpu/group.ts';
import { shows } from '../cpu/limits.ts';
import type { CpuGroupOperation, CpuHolderOperation } from '../cpu/operation.ts';
import { findHolder, isHeldWhole, startHolder, stopHolder } from '../kernel/cgroup-holder.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import type { Effect } from './executor.ts';

/** The processes of a run of the lab, its first one first; none when it does not run. */
export type FindProcesses = (run: {
  readonly namespace: string | null;
  readonly name: string;
}) => readonly number[];

/** Rounds of moving: each catches what it has forked during the one before. */
const moveRounds = 100;

export function carryOutOnGroups(
  groups: Cgroups | null,
  operation: CpuGroupOperation,
  find: FindProcesses,
): Result<void> {
  if (groups === null) return fail(noGroups());
  switch (operation.kind) {
    case 'add-cpu-group':
      return groups.add(operation.group, operation.limits);
    case 'remove-cpu-group':
      return groups.remove(operation.group);
    case 'open-cpu-group':
      return groups.open(operation.group);
    case 'close-cpu-group':
      return groups.close(operation.group);
    case 'change-cpu-group':
      return groups.change(operation.group, operation.after);
    case 'move-process':
      return moveAll(groups, operation.after, () => succeed(find(operation)));
    default:
      return assertNever(operation);
  }
}

/**
 * Starts or stops the unit that holds the groups' place. What somebody who has stopped it has left there is taken away first:
 * a unit does not start in a directory that is in use, and nothing keeps systemd from taking its controllers away.
 */
export async function carryOutOnHolder(
  groups: Cgroups | null,
  { kind }: CpuHolderOperation,
): Promise<Result<void>> {
  const place = groups?.held() ?? null;
  if (groups === null || place === null) return fail(noGroups());
  const { lab, hierarchy } = place;
  const { state } = findHolder(lab, hierarchy);
  if (state === 'left') {
    const cleared = groups.clear();
    if (!cleared.ok) return cleared;
  }
  if (kind === 'stop-cpu-holder' || state === 'left') {
    const stopped = await stopHolder(lab, hierarchy);
    if (!stopped.ok) return stopped;
  }
  return kind === 'start-cpu-holder' ? startHolder(lab, hierarchy) : succeed(undefined);
}

export function readEffectOnHolder(
  groups: Cgroups | null,
  { kind }: CpuHolderOperation,
): Result<Effect> {
  const place = groups?.held() ?? null;
  if (place === null) return fail(noGroups());
  const starts = kind === 'start-cpu-holder';
  switch (findHolder(place.lab, place.hierarchy).state) {
    case 'held':
      if (!starts) return succeed('not-done');
      return succeed(isHeldWhole(place.hierarchy) ? 'done' : 'partly');
    case 'left':
      return succeed('partly');
    case 'foreign':
      return succeed(starts ? 'foreign' : 'done');
    case 'absent':
      return succeed(starts ? 'not-done' : 'done');
  }
}

/** Moves everything that `find` finds, also what that forks meanwhile: until there is nothing left elsewhere. */
export function moveAll(
  groups: Cgroups,
  group: GroupPath | null,
  find: () => Result<readonly number[]>,
): Result<void> {
  for (let round = 0; round < moveRounds; round += 1) {
    const found = find();
    if (!found.ok) return found;
    const left = found.value.filter((pid) => !groups.isIn(pid, group));
    if (left.length === 0) return succeed(undefined);
    const moved = groups.move(left, group);
    if (!moved.ok) return moved;
  }
  return succeed(undefined);
}

export function readEffectOnGroups(
  groups: Cgroups | null,
  operation: CpuGroupOperation,
  find: FindProcesses,
): Result<Effect> {
  if (groups === null) return fail(noGroups());
  switch (operation.kind) {
    case 'add-cpu-group': {
      const [there, all] = groups.presence(operation.group);
      if (there === 0) return succeed('not-done');
      const { limits } = groups.view(operation.group);
      return succeed(there === all && shows(limits, operation.limits) ? 'done' : 'partly');
    }
    case 'remove-cpu-group': {
      const [there, all] = groups.presence(operation.group);
      if (there === 0) return succeed('done');
      return succeed(there === all ? 'not-done' : 'partly');
    }
    case 'open-cpu-group':
      return succeed(groups.isOpened(operation.group) ? 'done' : 'not-done');
    case 'close-cpu-group':
      return succeed(groups.isClosed(operation.group) ? 'done' : 'not-done');
    case 'change-cpu-group': {
      const { limits } = groups.view(operation.group);
      return succeed(shows(limits, operation.after) ? 'done' : 'not-done');
    }
    case 'move-process': {
      const elsewhere = find(operation).some((pid) => !groups.isIn(pid, operation.after));
      return succeed(elsewhere ? 'not-done' : 'done');
    }
    default:
      return assertNever(operation);
  }
}

function noGroups(): Failure {
  return {
    kind: 'unsupported',
    code: 'cpu-no-groups',
    object: 'cpu',
    reason: 'There is no place for CPU groups in this realm any more.',
    next: 'Look at netloom doctor, and start the agent as it was started before.',
  };
}
