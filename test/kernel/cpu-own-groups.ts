/** A place of the test's own in every hierarchy of this machine that has a controller of ours, removed afterwards. */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { CpuHierarchy } from '../../agent/cpu/machine.ts';
import { findCgroupLayout, hierarchiesBelow } from '../../agent/kernel/cgroup-hierarchies.ts';
import { Cgroups } from '../../agent/kernel/cgroups.ts';
import { succeed } from '../../agent/api/result.ts';
import { RealmCpu } from '../../agent/services/cpu-realm.ts';

export class OwnGroups implements Disposable {
  /** Of a directory below each mount. */
  readonly name: string;
  readonly hierarchies: readonly CpuHierarchy[];
  private readonly started: ChildProcess[] = [];

  constructor() {
    this.name = `/netloom-test-${process.pid}-${Math.floor(Math.random() * 1e6)}`;
    this.hierarchies = hierarchiesBelow(findCgroupLayout(), this.name);
    for (const { base, version, controllers } of this.hierarchies) {
      mkdirSync(base);
      if (version === 1 && controllers.includes('cpuset')) {
        for (const file of ['cpuset.cpus', 'cpuset.mems']) {
          writeFileSync(path.join(base, file), readFileSync(path.join(base, '..', file)));
        }
      }
    }
  }

  groups(lab = 'lab'): Cgroups {
    const outside = this.hierarchies.map(({ base }) => path.dirname(base));
    return new Cgroups(this.hierarchies, lab, outside);
  }

  /** As the agent has it. */
  realm(): RealmCpu {
    return new RealmCpu(
      succeed({
        hierarchies: this.hierarchies,
        areHeld: false,
        outside: this.hierarchies.map(({ base }) => path.dirname(base)),
      }),
    );
  }

  /** Of the lab's tree in the hierarchy with a controller: what a file says; null when it is not there. */
  read(controller: 'cpu' | 'cpuset' | 'cpuacct', file: string, lab = 'lab'): string | null {
    const one = this.hierarchies.find(({ controllers }) => controllers.includes(controller));
    const full = path.join(one?.base ?? '/nowhere', `netloom.${lab}`, file);
    return existsSync(full) ? readFileSync(full, 'utf8').trim() : null;
  }

  write(controller: 'cpu' | 'cpuset', file: string, text: string, lab = 'lab'): void {
    const one = this.hierarchies.find(({ controllers }) => controllers.includes(controller));
    writeFileSync(path.join(one?.base ?? '/nowhere', `netloom.${lab}`, file), text);
  }

  /** A process that only waits. */
  sleeper(): number {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    this.started.push(child);
    return child.pid ?? 0;
  }

  /** A process in a group that never stops by itself; it is the least of all that want to run. */
  busy(group: string, lab = 'lab'): number {
    const child = spawn('nice', ['-n', '19', 'sh', '-c', 'while :; do :; done'], {
      stdio: 'ignore',
    });
    this.started.push(child);
    const pid = child.pid ?? 0;
    const moved = this.groups(lab).move([pid], group);
    if (!moved.ok) throw new Error(moved.failure.reason);
    return pid;
  }

  [Symbol.dispose](): void {
    for (const child of this.started) child.kill('SIGKILL');
    for (const { base } of this.hierarchies) {
      removeTree(base, path.dirname(base));
    }
  }
}

/** Milliseconds that processes which were ended may take to leave their group. */
const longestLeave = 5000;

function removeTree(directory: string, outside: string): void {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(path.join(directory, entry.name), outside);
  }
  const end = performance.now() + longestLeave;
  for (;;) {
    for (const pid of readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').split('\n')) {
      if (pid !== '') writeFileSync(path.join(outside, 'cgroup.procs'), pid);
    }
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      const isBusy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
      if (!isBusy || performance.now() > end) throw error;
      // One that is ending is listed no longer and is there still.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
