/**
 * Control groups of one lab, in all hierarchies at once: made, limited, opened, moved into and removed. Every file is read
 * before it is written, since a quota that is written again is filled up again, and read back after it, since the kernel
 * accepts some writes without a word and does something else. Nothing outside the lab's own directory is changed, except
 * that the directory that it is made in hands its controllers down.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { type CpuSet, formatCpuList, isSubset, parseCpuList, unionOf } from '../cpu/cpu-list.ts';
import { type FileWrite, type ReadFile, readLimits, writesFor } from '../cpu/files.ts';
import { depthOf, type GroupPath, joinPath, parentPath } from '../cpu/group.ts';
import {
  type CpuLimits,
  initialLimits,
  partitionInForce,
  shows,
  type SomeCpuLimits,
  withChange,
} from '../cpu/limits.ts';
import {
  type CpuController,
  type CpuFeatures,
  type CpuGroupView,
  type CpuHierarchy,
  type CpuMachine,
  directoryOf,
  hasOwnPlace,
  ownProcesses,
  placeOf,
  rootDirectoryOf,
} from '../cpu/machine.ts';
import { cpusOf, isPartition, parseProcessCgroups } from './cgroup-hierarchies.ts';
import { notAsWritten, partitionRefused } from './cgroup-failures.ts';
import { type CounterFiles, type GroupCounters, readCounters } from './cgroup-counters.ts';
import {
  handDownFor,
  markHandedDown,
  readHandedDown,
  takeBackHandedDown,
} from './cgroup-controllers.ts';
import {
  disarm,
  drain,
  groupsIn,
  handDown,
  isHandedDown,
  makeDirectory,
  moveProcess,
  processesFile,
  processesIn,
  readText,
  removeDirectory,
  writeText,
} from './cgroup-directory.ts';
import { isErrno } from './kernel-failure.ts';
import { readProcess } from './process-table.ts';

/** Where a process is in a hierarchy, of what parseProcessCgroups gives. */
function placeInHierarchy(
  {
    version,
    controllers: [controller = ''],
  }: Pick<CpuHierarchy, 'version'> & {
    readonly controllers: readonly string[];
  },
  places: ReadonlyMap<string, string>,
): string | undefined {
  return places.get(version === 2 ? '' : controller);
}

interface Evicted {
  /** With their start times. */
  readonly processes: readonly (readonly [pid: number, startTime: number])[];
  /** The group that they went to; null is outside. */
  readonly to: GroupPath | null;
}

export class Cgroups {
  readonly hierarchies: readonly CpuHierarchy[];
  private readonly lab: string;
  /** Where processes go that belong to no group of the lab any more, by hierarchy. */
  private readonly outside: readonly string[];
  private readonly readText: ReadFile;
  /** Who was in groups that were removed: whoever takes a removal back has them in there again. */
  private readonly evicted = new Map<GroupPath, Evicted>();

  /** `read` is for somebody who reads again and again, and keeps files open for that. */
  constructor(
    hierarchies: readonly CpuHierarchy[],
    lab: string,
    outside: readonly string[],
    read: ReadFile = readText,
  ) {
    this.hierarchies = hierarchies;
    this.lab = lab;
    this.outside = outside;
    this.readText = read;
  }

  /** Where a unit of systemd's would hold them: there is one hierarchy then. */
  held(): { readonly lab: string; readonly hierarchy: CpuHierarchy } | null {
    const [hierarchy] = this.hierarchies;
    return hierarchy === undefined ? null : { lab: this.lab, hierarchy };
  }

  /** Everything that is there now. */
  machine(): CpuMachine {
    const groups = new Map<GroupPath, CpuGroupView>();
    const left: GroupPath[] = [''];
    for (let group = left.pop(); group !== undefined; group = left.pop()) {
      const directories = this.hierarchies.map((one) => directoryOf(one, this.lab, group ?? ''));
      if (!directories.some((directory) => existsSync(directory))) continue;
      groups.set(group, this.view(group));
      const names = new Set(directories.flatMap(groupsIn));
      for (const name of [...names].toSorted().toReversed()) {
        if (name !== ownProcesses) left.push(joinPath(group, name));
      }
    }
    return {
      cpus: this.cpus(),
      hierarchies: this.hierarchies,
      features: this.features(),
      groups,
    };
  }

  /** CPUs that the lab's groups can have: those of the place that they are in, with those that they have taken from it. */
  cpus(): CpuSet {
    const around = cpusOf(this.hierarchies);
    const hierarchy = this.hierarchyOf('cpuset');
    if (hierarchy === undefined) return around;
    const { cpus = '', partition = 'member' } = this.read(
      hierarchy,
      directoryOf(hierarchy, this.lab, ''),
    );
    if (partitionInForce(partition) === 'member') return around;
    return unionOf(around, parseCpuList(cpus) ?? []);
  }

  view(group: GroupPath): CpuGroupView {
    let limits: CpuLimits = initialLimits;
    let open = true;
    let complete = true;
    for (const hierarchy of this.hierarchies) {
      const directory = directoryOf(hierarchy, this.lab, group);
      if (!existsSync(directory)) {
        complete = false;
        continue;
      }
      limits = withChange(limits, this.readGroup(hierarchy, group));
      open &&= this.isOpen(hierarchy, group);
    }
    return { limits, open, complete };
  }

  counterFiles(group: GroupPath): CounterFiles {
    const isVersion2 = this.hierarchyOf('cpu')?.version === 2;
    return {
      statistics: this.fileOf('cpu', group, 'cpu.stat'),
      local: isVersion2 ? this.fileOf('cpu', group, 'cpu.stat.local') : null,
      pressure: isVersion2 ? this.fileOf('cpu', group, 'cpu.pressure') : null,
      usage: this.fileOf('cpuacct', group, 'cpuacct.usage'),
    };
  }

  /** What a group has used by now; all zero or null for one that is not there. */
  counters(group: GroupPath, files = this.counterFiles(group)): GroupCounters {
    return readCounters(files, this.readText);
  }

  /** List of CPUs that a group can run on now; null where the kernel does not say. */
  effectiveCpus(group: GroupPath): string | null {
    const file =
      this.hierarchyOf('cpuset')?.version === 2 ? 'cpuset.cpus.effective' : 'cpuset.effective_cpus';
    return this.readOf('cpuset', group, file)?.trim() ?? null;
  }

  /** Whether the files of a group's cap are there: with the controller they go, and the limits with them. */
  hasLimits(group: GroupPath): boolean {
    const file = this.hierarchyOf('cpu')?.version === 2 ? 'cpu.max' : 'cpu.cfs_quota_us';
    return this.readOf('cpu', group, file) !== undefined;
  }

  private hierarchyOf(controller: CpuController): CpuHierarchy | undefined {
    return this.hierarchies.find(({ controllers }) => controllers.includes(controller));
  }

  private fileOf(controller: CpuController, group: GroupPath, file: string): string | null {
    const hierarchy = this.hierarchyOf(controller);
    return hierarchy === undefined ? null : `${directoryOf(hierarchy, this.lab, group)}/${file}`;
  }

  private readOf(controller: CpuController, group: GroupPath, file: string): string | undefined {
    const path = this.fileOf(controller, group, file);
    return path === null ? undefined : this.readText(path);
  }

  /** In how many hierarchies a group is there, and how many there are. */
  presence(group: GroupPath): readonly [there: number, all: number] {
    const there = this.hierarchies.filter((one) => existsSync(directoryOf(one, this.lab, group)));
    return [there.length, this.hierarchies.length];
  }

  /**
   * Makes a group; one that is there already is given its limits. One that this very object has removed gets back who was in
   * it, whoever put them there.
   */
  add(group: GroupPath, limits: CpuLimits): Result<void> {
    const made = this.make(group, limits);
    const evicted = this.evicted.get(group);
    if (!made.ok || evicted === undefined) return made;
    this.evicted.delete(group);
    const left = evicted.processes.filter(
      ([pid, startTime]) =>
        readProcess(pid)?.startTime === startTime && this.groupOf(pid) === evicted.to,
    );
    return this.move(
      left.map(([pid]) => pid),
      group,
    );
  }

  private make(group: GroupPath, limits: CpuLimits): Result<void> {
    for (const hierarchy of this.hierarchies) {
      const directory = directoryOf(hierarchy, this.lab, group);
      const handed = group === '' ? handDownFor(hierarchy) : succeed([]);
      if (!handed.ok) return handed;
      const made = makeDirectory(directory);
      if (!made.ok) return made;
      markHandedDown(directory, handed.value);
      if (hierarchy.version === 1 && hierarchy.controllers.includes('cpuset')) {
        const furnished = this.furnish(directory, limits);
        if (!furnished.ok) return furnished;
      }
    }
    return this.change(group, limits);
  }

  /** Its processes go to its parent's own, those of the root outside. */
  remove(group: GroupPath): Result<void> {
    const parent = parentPath(group);
    const evicted = new Set<number>();
    for (const [index, hierarchy] of this.hierarchies.entries()) {
      const directory = directoryOf(hierarchy, this.lab, group);
      if (!existsSync(directory)) continue;
      const target =
        parent === null
          ? (this.outside[index] ?? hierarchy.base)
          : placeOf(hierarchy, this.lab, parent, this.isOpen(hierarchy, parent));
      const drained = drain(directory, target);
      if (!drained.ok) return drained;
      for (const pid of drained.value) evicted.add(pid);
      const disarmed = disarm(hierarchy, directory);
      if (!disarmed.ok) return disarmed;
      const handed = group === '' ? readHandedDown(directory) : [];
      const removed = removeDirectory(directory);
      if (!removed.ok) return removed;
      takeBackHandedDown(hierarchy, handed);
    }
    this.remember(group, evicted, parent);
    return succeed(undefined);
  }

  private remember(group: GroupPath, pids: Iterable<number>, to: GroupPath | null): void {
    const processes = [...pids].flatMap((pid) => {
      const startTime = readProcess(pid)?.startTime;
      return startTime === undefined ? [] : [[pid, startTime] as const];
    });
    this.evicted.set(group, { processes, to });
  }

  /** Takes everything away, whatever somebody else has made of it; who is in it goes outside. */
  clear(): Result<void> {
    const upwards = [...this.machine().groups.keys()].toSorted(
      (one, other) => depthOf(other) - depthOf(one),
    );
    for (const group of upwards) {
      const evicted = new Set<number>();
      for (const [index, hierarchy] of this.hierarchies.entries()) {
        const directory = directoryOf(hierarchy, this.lab, group);
        const handed = group === '' ? readHandedDown(directory) : [];
        for (const place of [path.join(directory, ownProcesses), directory]) {
          if (!existsSync(place)) continue;
          const drained = drain(place, this.outside[index] ?? hierarchy.base);
          if (!drained.ok) return drained;
          for (const pid of drained.value) evicted.add(pid);
          const removed = removeDirectory(place);
          if (!removed.ok) return removed;
        }
        takeBackHandedDown(hierarchy, handed);
      }
      this.remember(group, evicted, null);
    }
    return succeed(undefined);
  }

  open(group: GroupPath): Result<void> {
    for (const hierarchy of this.hierarchies) {
      if (!hasOwnPlace(hierarchy)) continue;
      const directory = directoryOf(hierarchy, this.lab, group);
      const place = path.join(directory, ownProcesses);
      const made = makeDirectory(place);
      if (!made.ok) return made;
      // Before there are controllers in it: they would be taken, and what is in it would refuse processes.
      const drained = drain(directory, place);
      if (!drained.ok) return drained;
      if (hierarchy.version === 1) continue;
      const handed = handDown(hierarchy, directory, '+');
      if (!handed.ok) return handed;
    }
    return succeed(undefined);
  }

  close(group: GroupPath): Result<void> {
    for (const hierarchy of this.hierarchies) {
      if (!hasOwnPlace(hierarchy)) continue;
      const directory = directoryOf(hierarchy, this.lab, group);
      const place = path.join(directory, ownProcesses);
      if (hierarchy.version === 2 && existsSync(directory)) {
        const handed = handDown(hierarchy, directory, '-');
        if (!handed.ok) return handed;
      }
      if (!existsSync(place)) continue;
      const drained = drain(place, directory);
      if (!drained.ok) return drained;
      const removed = removeDirectory(place);
      if (!removed.ok) return removed;
    }
    return succeed(undefined);
  }

  /** Whether nothing of `open` is left. */
  isClosed(group: GroupPath): boolean {
    return this.hierarchies.every((hierarchy) => {
      const directory = directoryOf(hierarchy, this.lab, group);
      return !existsSync(path.join(directory, ownProcesses));
    });
  }

  isOpened(group: GroupPath): boolean {
    return this.hierarchies.every((hierarchy) => this.isOpen(hierarchy, group));
  }

  /** Writes what differs and reads it back. */
  change(group: GroupPath, change: SomeCpuLimits): Result<void> {
    for (const hierarchy of this.hierarchies) {
      const directory = directoryOf(hierarchy, this.lab, group);
      const now = withChange(initialLimits, this.readGroup(hierarchy, group));
      for (const write of writesFor(hierarchy, now, change)) {
        const file = path.join(directory, write.file);
        let written = writeText(file, write.text);
        // Before Linux 6.7 a group with processes keeps some list: one of all CPUs pins it to nothing.
        if (!written.ok && write.text === '' && isErrno(written.failure, 'ENOSPC')) {
          written = writeText(file, formatCpuList(this.cpus()));
        }
        if (!written.ok) return written;
      }
      const wanted = withChange(now, change);
      const shown = withChange(wanted, this.readGroup(hierarchy, group));
      if (shows(shown, wanted)) continue;
      return change.partition !== undefined && shown.partition !== wanted.partition
        ? fail(partitionRefused(group, shown.cpus, shown.partition))
        : fail(this.difference(hierarchy, directory, shown, wanted));
    }
    return succeed(undefined);
  }

  /** Moves processes to a group; null is outside. One that has ended meanwhile is left out. */
  move(pids: readonly number[], group: GroupPath | null): Result<void> {
    for (const [index, hierarchy] of this.hierarchies.entries()) {
      const place = this.place(hierarchy, index, group);
      for (const pid of pids) {
        const moved = moveProcess(pid, place);
        if (!moved.ok) return moved;
      }
    }
    return succeed(undefined);
  }

  /** Files that a process writes its number into to be in a group, by hierarchy. */
  filesToJoin(group: GroupPath): readonly string[] {
    return this.hierarchies.map((hierarchy, index) =>
      path.join(this.place(hierarchy, index, group), processesFile),
    );
  }

  /** The group of the lab that a process is in; null is none, or the process has ended. */
  groupOf(pid: number): GroupPath | null {
    const hierarchy = this.hierarchyOf('cpu');
    const text = readText(`/proc/${pid}/cgroup`);
    if (hierarchy === undefined || text === undefined) return null;
    return this.groupIn(hierarchy, parseProcessCgroups(text));
  }

  /**
   * Whether a process is in a group of the lab, or for null in none, in every hierarchy. It is moved in one after the other, and
   * what it forks between two of them is born in both.
   */
  isIn(pid: number, group: GroupPath | null): boolean {
    const text = readText(`/proc/${pid}/cgroup`);
    if (text === undefined) return group === null;
    const places = parseProcessCgroups(text);
    return this.hierarchies.every((hierarchy) => this.groupIn(hierarchy, places) === group);
  }

  private groupIn(hierarchy: CpuHierarchy, places: ReadonlyMap<string, string>): GroupPath | null {
    const place = placeInHierarchy(hierarchy, places);
    const root = `${hierarchy.place}/${rootDirectoryOf(this.lab)}`;
    if (place !== root && place?.startsWith(`${root}/`) !== true) return null;
    const names = place.slice(root.length + 1).split('/');
    return (names.at(-1) === ownProcesses ? names.slice(0, -1) : names).join('/');
  }

  /** Directories that a process is in, by hierarchy; null where that cannot be seen through its mount. */
  directoriesOf(pid: number): readonly (string | null)[] {
    const text = readText(`/proc/${pid}/cgroup`);
    if (text === undefined) return this.hierarchies.map(() => null);
    const places = parseProcessCgroups(text);
    return this.hierarchies.map((hierarchy) => {
      const { base, place } = hierarchy;
      const at = placeInHierarchy(hierarchy, places);
      if (at === undefined) return null;
      // The base may lie below the mount's top; what is not below the mount is not seen.
      const directory = path.posix.join(base, path.posix.relative(place === '' ? '/' : place, at));
      return existsSync(path.join(directory, processesFile)) ? directory : null;
    });
  }

  /** Whether a process is where those go that leave the lab's groups. */
  isOutside(pid: number): boolean {
    return this.directoriesOf(pid).some((directory, index) => directory === this.outside[index]);
  }

  /** Moves a process to the directories that it once was in; outside where one is gone or takes it no more. */
  putBack(pid: number, directories: readonly (string | null)[]): void {
    for (const [index, hierarchy] of this.hierarchies.entries()) {
      const origin = directories[index] ?? null;
      if (origin !== null && existsSync(origin) && moveProcess(pid, origin).ok) continue;
      moveProcess(pid, this.outside[index] ?? hierarchy.base);
    }
  }

  /** Processes that are a group's own. */
  processesOf(group: GroupPath): ReadonlySet<number> {
    const hierarchy = this.hierarchyOf('cpu');
    if (hierarchy === undefined) return new Set();
    const place = placeOf(hierarchy, this.lab, group, this.isOpen(hierarchy, group));
    // On v1 an open file goes on showing whom it showed, as long as it is read once a second (cgroup_pidlist_start in
    // kernel/cgroup/cgroup-v1.c): it is opened anew.
    return new Set(processesIn(place, hierarchy.version === 1 ? readText : this.readText));
  }

  private place(hierarchy: CpuHierarchy, index: number, group: GroupPath | null): string {
    if (group === null) return this.outside[index] ?? hierarchy.base;
    return placeOf(hierarchy, this.lab, group, this.isOpen(hierarchy, group));
  }

  private isOpen(hierarchy: CpuHierarchy, group: GroupPath): boolean {
    if (!hasOwnPlace(hierarchy)) return true;
    const directory = directoryOf(hierarchy, this.lab, group);
    if (!existsSync(path.join(directory, ownProcesses))) return false;
    return hierarchy.version === 1 || isHandedDown(hierarchy, directory);
  }

  /** Pins to all CPUs are none: a group with processes cannot be without any text on every kernel. */
  private readGroup(hierarchy: CpuHierarchy, group: GroupPath): SomeCpuLimits {
    const limits = this.read(hierarchy, directoryOf(hierarchy, this.lab, group));
    if (hierarchy.version === 1 || limits.cpus === undefined || limits.cpus === '') return limits;
    const own = parseCpuList(limits.cpus);
    return own !== null && isSubset(this.cpus(), own) ? { ...limits, cpus: '' } : limits;
  }

  private read(hierarchy: CpuHierarchy, directory: string): SomeCpuLimits {
    return readLimits(hierarchy, (file) => this.readText(`${directory}/${file}`));
  }

  /** A group of cgroup v1's cpuset takes no process before it has CPUs and memory nodes. */
  private furnish(directory: string, { cpus }: CpuLimits): Result<void> {
    const around = path.dirname(directory);
    const of = (file: string): string => readText(path.join(around, file))?.trim() ?? '';
    const wanted: readonly FileWrite[] = [
      { file: 'cpuset.cpus', text: cpus === '' ? of('cpuset.cpus') : cpus },
      { file: 'cpuset.mems', text: of('cpuset.mems') },
    ];
    for (const { file, text } of wanted) {
      if (readText(path.join(directory, file))?.trim() !== '') continue;
      const written = writeText(path.join(directory, file), text);
      if (!written.ok) return written;
    }
    return succeed(undefined);
  }

  private difference(
    hierarchy: CpuHierarchy,
    directory: string,
    shown: CpuLimits,
    wanted: CpuLimits,
  ): Failure {
    const [write] = writesFor(hierarchy, shown, wanted);
    const file = path.join(directory, write?.file ?? '');
    return notAsWritten(file, write?.text ?? '', readText(file)?.trim() ?? '');
  }

  private features(): CpuFeatures {
    const hierarchy = this.hierarchyOf('cpu');
    const partitions = this.offersPartitions();
    if (hierarchy === undefined) return { burst: false, idle: false, partitions };
    // cgroup v2's root has no such files: the kernel's version tells, and the read-back has the last word.
    if (hierarchy.version === 2) return { burst: true, idle: true, partitions };
    return {
      partitions,
      burst: existsSync(path.join(hierarchy.base, 'cpu.cfs_burst_us')),
      idle: existsSync(path.join(hierarchy.base, 'cpu.idle')),
    };
  }

  private offersPartitions(): boolean {
    const hierarchy = this.hierarchyOf('cpuset');
    return hierarchy !== undefined && isPartition(hierarchy);
  }
}
