/**
 * The unit of systemd's that holds the place of a lab's groups. Where systemd manages control groups, it takes controllers
 * away from groups that it has not made; a unit with `Delegate=` is how it leaves a subtree to somebody else
 * (systemd.resource-control(5), https://systemd.io/CGROUP_DELEGATION). Pure.
 */
import { type CpuHierarchy, ownProcesses } from './machine.ts';

export interface CpuHolder {
  readonly unit: string;
  /**
   * `left` is its directory without it: somebody has stopped it while processes were in the lab's groups. `foreign` is
   * somebody else's unit of that name.
   */
  readonly state: 'absent' | 'held' | 'left' | 'foreign';
}

/** A lab's name has nothing that systemd would want escaped. */
export function holderUnitOf(lab: string): string {
  return `netloom-${lab}.service`;
}

/** By which a unit is known as ours. */
export function holderDescriptionOf(lab: string): string {
  return `Netloom: CPU groups of the lab ${lab}`;
}

/** Words of the command that starts it; below the hierarchy's top, beside `system.slice` and `user.slice`. */
export function wordsToHold(lab: string, { base, controllers }: CpuHierarchy): readonly string[] {
  const place = `${base}/${ownProcesses}`;
  const properties = [
    `Delegate=${controllers.filter((one) => one !== 'cpuacct').join(' ')}`,
    // Whoever stops it, or what the kernel ends for want of memory, does not take the processes of people with it.
    'KillMode=process',
    'OOMPolicy=continue',
    'OOMScoreAdjust=-1000',
    // What people bind counts as its tasks.
    'TasksMax=infinity',
  ];
  return [
    ...['systemd-run', '--quiet', '--collect', `--unit=${holderUnitOf(lab)}`, '--slice=-.slice'],
    ...['--service-type=exec', `--description=${holderDescriptionOf(lab)}`],
    ...properties.flatMap((property) => ['-p', property]),
    // Something has to run in a service. A group with controllers for its own has no processes beside them, and 0 is
    // whoever writes. Where systemd has put the unit elsewhere there is no such place, and it does not start.
    ...['/bin/sh', '-c'],
    `mkdir ${place} && echo 0 > ${place}/cgroup.procs && exec sleep infinity`,
  ];
}

export function wordsToLetGo(unit: string): readonly string[] {
  return ['systemctl', 'stop', unit];
}
