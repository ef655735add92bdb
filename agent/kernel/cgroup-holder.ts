/** Starts, finds and stops the unit of systemd's that holds the place of a lab's CPU groups. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  type CpuHolder,
  holderDescriptionOf,
  holderUnitOf,
  wordsToHold,
  wordsToLetGo,
} from '../cpu/holder.ts';
import { type CpuHierarchy, ownProcesses } from '../cpu/machine.ts';
import { processesIn, readText, removeDirectory } from './cgroup-directory.ts';
import { runCommand } from './process.ts';

/** Where systemd keeps the files of units that were made while it runs, and all others (systemd.unit(5)). */
const transientFolder = '/run/systemd/transient';
const unitFolders = [
  ...['/etc/systemd/system.control', '/run/systemd/system.control', '/etc/systemd/system'],
  ...['/run/systemd/system', '/run/systemd/generator', '/usr/local/lib/systemd/system'],
  ...['/usr/lib/systemd/system', '/lib/systemd/system'],
];

/** Milliseconds in which what systemd has accepted is to be seen. */
const longestWait = 2000;
const pollInterval = 20;

/** `hierarchy` is the lab's, whose base is the unit's own directory. */
export function findHolder(lab: string, { base }: CpuHierarchy): CpuHolder {
  const unit = holderUnitOf(lab);
  const transient = readText(path.join(transientFolder, unit));
  if (transient !== undefined) {
    const isOurs = transient.split('\n').includes(`Description=${holderDescriptionOf(lab)}`);
    if (!isOurs) return { unit, state: 'foreign' };
    // systemd knows a unit for as long as anybody is in its directory, also one that was stopped.
    if (processesIn(path.join(base, ownProcesses)).length > 0) return { unit, state: 'held' };
  }
  if (unitFolders.some((folder) => existsSync(path.join(folder, unit)))) {
    return { unit, state: 'foreign' };
  }
  return { unit, state: existsSync(base) ? 'left' : 'absent' };
}

/** The controllers that it does not have yet, or that its process is not where it belongs; empty when all is well. */
function lacksOf({ base, controllers }: CpuHierarchy): readonly string[] {
  const offered = (readText(path.join(base, 'cgroup.controllers')) ?? '').trim().split(' ');
  const missing = controllers.filter((one) => one !== 'cpuacct' && !offered.includes(one));
  const isSettled =
    processesIn(base).length === 0 && processesIn(path.join(base, ownProcesses)).length > 0;
  return isSettled ? missing : [...missing, 'a process in its own group'];
}

export function isHeldWhole(hierarchy: CpuHierarchy): boolean {
  return lacksOf(hierarchy).length === 0;
}

/** Fails where systemd refuses, and where it says yes and does something else. */
export async function startHolder(lab: string, hierarchy: CpuHierarchy): Promise<Result<void>> {
  const unit = holderUnitOf(lab);
  const started = await ask(unit, wordsToHold(lab, hierarchy));
  if (!started.ok) return started;
  let lacks = lacksOf(hierarchy);
  for (const end = performance.now() + longestWait; lacks.length > 0;) {
    if (performance.now() > end) return fail(notAsAsked(unit, lacks));
    await delay(pollInterval);
    lacks = lacksOf(hierarchy);
  }
  return succeed(undefined);
}

/** Also where the unit has gone already and has left its directory. */
export async function stopHolder(lab: string, hierarchy: CpuHierarchy): Promise<Result<void>> {
  const { base } = hierarchy;
  const { unit, state } = findHolder(lab, hierarchy);
  if (state === 'foreign') return succeed(undefined);
  if (state === 'held') {
    const stopped = await ask(unit, wordsToLetGo(unit));
    if (!stopped.ok) return stopped;
  }
  const isThere = (): boolean => existsSync(base) || existsSync(path.join(transientFolder, unit));
  for (const end = performance.now() + longestWait; isThere();) {
    // systemd removes it when it is empty; what it no longer knows of nobody else does.
    for (const directory of [path.join(base, ownProcesses), base]) removeDirectory(directory);
    if (!isThere()) break;
    if (performance.now() > end) return fail(stays(unit, base));
    await delay(pollInterval);
  }
  return succeed(undefined);
}

async function ask(unit: string, [file = '', ...args]: readonly string[]): Promise<Result<void>> {
  const ran = await runCommand({ file, args, purpose: `the place of CPU groups (${unit})` });
  if (!ran.ok) return ran;
  const { exitCode, stderr } = ran.value;
  if (exitCode === 0) return succeed(undefined);
  return fail({
    kind: 'process',
    code: 'cpu-holder-refused',
    object: unit,
    reason: `systemd refuses ${unit}: ${stderr.trim().slice(0, 500)}`,
    next: `Look at systemctl status ${unit}.`,
    values: { unit, said: stderr.trim().slice(0, 500) },
  });
}

function notAsAsked(unit: string, lacks: readonly string[]): Failure {
  const what = lacks.join(', ');
  return {
    kind: 'verification',
    code: 'cpu-holder-lacks',
    object: unit,
    reason: `systemd has started ${unit}, and it lacks ${what}.`,
    next: `Look at systemctl status ${unit}, and whether the kernel offers it (cat /sys/fs/cgroup/cgroup.controllers).`,
    values: { unit, what },
  };
}

function stays(unit: string, base: string): Failure {
  return {
    kind: 'verification',
    code: 'cpu-holder-stays',
    object: unit,
    reason: `${base} is still there.`,
    next: `Look at who is in it (systemd-cgls ${base}).`,
    values: { unit, base },
  };
}
