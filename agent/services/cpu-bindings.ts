/**
 * Processes bound to a lab's CPU groups by a person: moved with all their threads, remembered with where they came from,
 * and put back there when they are released or when their group goes.
 */
import path from 'node:path';
import { readFileSync } from 'node:fs';
import {
  type CpuBind,
  type CpuBound,
  type CpuCandidate,
  maximumCpuCandidates,
} from '../api/cpu.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { type Binding, BindingStore } from '../apply/binding-store.ts';
import { moveAll } from '../apply/cpu-groups.ts';
import type { TransactionRunner } from '../apply/transaction.ts';
import { type GroupPath, walkGroups } from '../cpu/group.ts';
import { ownProcesses } from '../cpu/machine.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import { type ProcessEntry, listProcesses, readProcess } from '../kernel/process-table.ts';
import { parseRunMark } from '../kernel/runs.ts';
import { groupLabel, groupPathOf, splitOf } from '../lab/cpu-split.ts';
import { failureOf } from '../lab/sentences.ts';
import type { Caller, LabServiceOptions } from './lab-options.ts';
import type { LabStates } from './lab-states.ts';

/** Characters of a command line that a person is shown. */
const shownCommand = 300;

export class CpuBindings {
  private readonly options: LabServiceOptions;
  private readonly states: LabStates;
  private readonly runner: TransactionRunner;
  private readonly store: BindingStore;

  constructor(options: LabServiceOptions, states: LabStates, runner: TransactionRunner) {
    this.options = options;
    this.states = states;
    this.runner = runner;
    this.store = new BindingStore(options.stateDirectory, options.incarnation);
  }

  /** Binds all of them, or none and says why: the first reason, with the others as causes. */
  async bind(asked: CpuBind, caller: Caller): Promise<Result<CpuBound>> {
    const { readOnly } = this.options;
    if (readOnly !== null) return fail(readOnly);
    const { busy } = this.runner;
    if (busy !== null) return fail(busy);
    return this.runner.exclusively(asked.lab, () => Promise.resolve(this.bindNow(asked, caller)));
  }

  /** Who could be bound to a group of the lab, and why others could not. */
  candidates(
    lab: string,
    caller: Caller,
  ): Result<{ readonly candidates: CpuCandidate[]; readonly total: number }> {
    const groups = this.groupsOf(lab);
    if (!groups.ok) return groups;
    const processes = listProcesses();
    if (!processes.ok) return processes;
    const namespaces = new Map(
      this.options.tracker
        .snapshot()
        .namespaces.map(({ id, root, names }) => [id, root ? null : (names[0] ?? null)]),
    );
    const candidates = processes.value
      .slice(0, maximumCpuCandidates)
      .map((entry): CpuCandidate => ({
        pid: entry.pid,
        parent: entry.parent,
        name: entry.name,
        command: entry.commandLine.join(' ').slice(0, shownCommand),
        uid: entry.uid,
        namespace: namespaces.get(String(entry.networkNamespace)) ?? null,
        group: groups.value.groupOf(entry.pid),
        refusal: refusalOf(entry, caller),
      }));
    return succeed({ candidates, total: processes.value.length });
  }

  /**
   * After a change of a lab, or of what a dead agent has left: whose group is there is in it again, whose group has gone
   * is back where it was. What somebody else has moved meanwhile is theirs.
   */
  settle(lab: string): void {
    const known = this.store.read(lab);
    if (known.length === 0) return;
    const groups = this.options.cpu?.groupsOf(lab) ?? null;
    if (groups === null) return;
    const inForce = this.groupNames(lab);
    const kept = known.filter((binding) => {
      if (readProcess(binding.pid)?.startTime !== binding.startTime) return false;
      const isThere = inForce.has(binding.group);
      const at = groups.groupOf(binding.pid);
      if (isThere && at === binding.group) return true;
      if (at === null && !groups.isOutside(binding.pid)) return false;
      if (isThere) return groups.move([binding.pid], binding.group).ok;
      groups.putBack(binding.pid, binding.origin);
      return false;
    });
    this.store.write(lab, kept);
  }

  private bindNow({ lab, group, pids, descendants }: CpuBind, caller: Caller): Result<CpuBound> {
    const groups = this.groupsOf(lab);
    if (!groups.ok) return groups;
    if (group === null) return this.release(lab, groups.value, pids, descendants);
    const target = groupPathOf(group);
    if (!this.groupNames(lab).has(target)) {
      return fail(failureOf('unknown-object', 'cpu-bind-no-group', group, { group, lab }));
    }
    // The kernel's own word for it is that some limit is exhausted.
    if (groups.value.effectiveCpus(target) === '') {
      return fail(failureOf('refused', 'cpu-bind-no-cpus', group, { group }));
    }
    return this.moveTo(lab, groups.value, target, pids, descendants, caller);
  }

  private moveTo(
    lab: string,
    groups: Cgroups,
    target: GroupPath,
    pids: readonly number[],
    descendants: boolean,
    caller: Caller,
  ): Result<CpuBound> {
    const before = this.store.read(lab);
    const known = new Map(before.map((binding) => [binding.pid, binding]));
    /** Those that are bound by this very call, with where they were. */
    const moved = new Map<number, Binding>();
    const checked = new Set<number>();
    const find = (): Result<readonly number[]> => {
      const isFirst = checked.size === 0;
      const found = findProcesses(pids, descendants);
      const missing = isFirst ? pids.filter((pid) => !found.has(pid)) : [];
      const refusals = missing.map((pid) =>
        failureOf('unknown-object', 'cpu-bind-no-process', String(pid), { pid }),
      );
      const fresh: Binding[] = [];
      for (const entry of found.values()) {
        if (checked.has(entry.pid)) continue;
        checked.add(entry.pid);
        const refusal = refusalOf(entry, caller);
        if (refusal !== null) refusals.push(refusal);
        else if (!groups.isIn(entry.pid, target)) {
          const earlier = known.get(entry.pid);
          const isKnown = earlier?.startTime === entry.startTime;
          const origin = isKnown ? earlier.origin : groups.directoriesOf(entry.pid);
          fresh.push({
            pid: entry.pid,
            startTime: entry.startTime,
            group: target,
            origin: [...origin],
          });
        }
      }
      const [refusal, ...more] = refusals;
      if (refusal !== undefined) {
        return fail(
          more.length === 0 ? refusal : { ...refusal, causes: [refusal, ...more].slice(0, 1000) },
        );
      }
      for (const binding of fresh) moved.set(binding.pid, binding);
      const written =
        fresh.length === 0
          ? succeed(undefined)
          : this.store.write(lab, mergeBindings(before, moved));
      return written.ok ? succeed([...found.keys()]) : written;
    };
    const done = moveAll(groups, target, find);
    if (!done.ok) {
      this.takeBack(lab, groups, before, moved);
      return fail(reasonOf(done.failure, [...moved.keys()]));
    }
    const there = [...findProcesses([...checked], false).values()].filter(
      ({ pid }) => groups.groupOf(pid) === target,
    );
    return succeed({
      processes: there.map(({ pid, name }) => ({ pid, name, moved: moved.has(pid) })),
    });
  }

  /** As before the call: those that were bound to another group go there, the others where they came from. */
  private takeBack(
    lab: string,
    groups: Cgroups,
    before: readonly Binding[],
    moved: ReadonlyMap<number, Binding>,
  ): void {
    for (const { pid, startTime, origin } of moved.values()) {
      const earlier = before.find((one) => one.pid === pid && one.startTime === startTime);
      if (earlier !== undefined) groups.move([pid], earlier.group);
      else groups.putBack(pid, origin);
    }
    this.store.write(lab, before);
  }

  private release(
    lab: string,
    groups: Cgroups,
    pids: readonly number[],
    descendants: boolean,
  ): Result<CpuBound> {
    const known = this.store.read(lab);
    const found = findProcesses(pids, descendants);
    const wanted = known.filter(({ pid, startTime }) => found.get(pid)?.startTime === startTime);
    const [missing] = pids.filter((pid) => !wanted.some((binding) => binding.pid === pid));
    if (missing !== undefined) {
      const values = { pid: missing, lab };
      return fail(failureOf('unknown-object', 'cpu-bind-not-bound', String(missing), values));
    }
    for (const { pid, origin } of wanted) groups.putBack(pid, origin);
    const written = this.store.write(
      lab,
      known.filter((binding) => !wanted.includes(binding)),
    );
    if (!written.ok) return written;
    return succeed({
      processes: wanted.flatMap(({ pid }) => {
        const entry = readProcess(pid);
        return entry === undefined || groups.groupOf(pid) !== null
          ? []
          : [{ pid, name: entry.name, moved: true }];
      }),
    });
  }

  /** Of a lab that is up and has groups. */
  private groupsOf(lab: string): Result<Cgroups> {
    const document = this.states.inForceOf(lab);
    if (!document.ok) return document;
    const groups = this.options.cpu?.groupsOf(lab) ?? null;
    if (document.value.cpu !== undefined && groups !== null) return succeed(groups);
    return fail(failureOf('refused', 'cpu-bind-no-split', lab, { lab }));
  }

  /** Groups of the document in force; none when the lab is down. */
  private groupNames(lab: string): ReadonlySet<GroupPath> {
    const document = this.states.inForceOf(lab);
    if (!document.ok) return new Set();
    const split = splitOf(document.value, []);
    return new Set(split === null ? [] : [...walkGroups(split.root)].map(([group]) => group));
  }
}

function mergeBindings(
  before: readonly Binding[],
  moved: ReadonlyMap<number, Binding>,
): readonly Binding[] {
  return [...before.filter(({ pid }) => !moved.has(pid)), ...moved.values()];
}

/** Those that live, with all that they have started: children of what is found, until there are no more. */
function findProcesses(
  pids: readonly number[],
  descendants: boolean,
): ReadonlyMap<number, ProcessEntry> {
  const found = new Map<number, ProcessEntry>();
  const add = (entry: ProcessEntry | undefined): boolean => {
    if (entry === undefined || entry.state === 'Z' || entry.state === 'X') return false;
    found.set(entry.pid, entry);
    return true;
  };
  for (const pid of pids) add(readProcess(pid));
  if (!descendants) return found;
  const all = listProcesses();
  const children = new Map<number, ProcessEntry[]>();
  for (const entry of all.ok ? all.value : []) {
    const siblings = children.get(entry.parent);
    if (siblings === undefined) children.set(entry.parent, [entry]);
    else siblings.push(entry);
  }
  const left = [...found.keys()];
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    for (const child of children.get(pid) ?? []) {
      if (!found.has(child.pid) && add(child)) left.push(child.pid);
    }
  }
  return found;
}

/** Why a process is not to be moved; null when it may be. */
function refusalOf(entry: ProcessEntry, caller: Caller): Failure | null {
  const { pid, name } = entry;
  const values = { pid, name };
  const refuse = (
    code: Parameters<typeof failureOf>[1],
    more: Readonly<Record<string, string | number>> = {},
  ): Failure => failureOf('refused', code, `${name} (${pid})`, { ...values, ...more });
  if (entry.isKernelThread) return refuse('cpu-bind-kernel-thread');
  if (pid === 1) return refuse('cpu-bind-first-process');
  if (pid === process.pid) return refuse('cpu-bind-agent');
  if (caller !== null && caller.uid !== 0 && entry.uids.some((uid) => uid !== caller.uid)) {
    return refuse('cpu-bind-foreign', { uid: entry.uid });
  }
  const unit = serviceOf(pid);
  if (unit !== null) return refuse('cpu-bind-unit', { unit });
  const run = runOf(pid);
  if (run !== null) return refuse('cpu-bind-run', { run: run.name, lab: run.lab });
  return null;
}

/** Where the one process is that keeps a unit of ours running (agent/cpu/holder.ts). */
const holderPlace = new RegExp(`/(netloom-[^/\n]+\\.service)/${ownProcesses}$`, 'm');

/** The service of the machine's systemd that a process is of; null for a person's own, and for none. */
function serviceOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    const found = /\/system\.slice\/(?:[^\n]*\/)?([^/\n]+\.service)(?:\/|$)/m.exec(text)?.[1];
    const holder = holderPlace.exec(text)?.[1];
    return found ?? holder ?? (/\/init\.scope$/m.test(text) ? 'init.scope' : null);
  } catch {
    return null;
  }
}

/** The process of a lab's document that it is one of. */
function runOf(pid: number): { readonly lab: string; readonly name: string } | null {
  try {
    return parseRunMark(readFileSync(`/proc/${pid}/environ`, 'utf8')) ?? null;
  } catch {
    return null;
  }
}

/** What the kernel means by an error of a process that is to be moved. */
function reasonOf(failure: Failure, pids: readonly number[]): Failure {
  if (failure.kind !== 'kernel') return failure;
  const realtime = pids.map(readProcess).find((entry) => entry?.isRealtime === true);
  if (realtime !== undefined && failure.values?.['errno'] === 'EINVAL') {
    const { pid, name } = realtime;
    return {
      ...failureOf('refused', 'cpu-bind-realtime', `${name} (${pid})`, { pid, name }),
      causes: [failure],
    };
  }
  // A process is moved by whoever may write to both places and to what holds them; in a sandbox that is its own group.
  const [outside] = pids;
  if (outside !== undefined && failure.values?.['errno'] === 'EACCES') {
    const name = readProcess(outside)?.name ?? '';
    return {
      ...failureOf('refused', 'cpu-bind-outside', `${name} (${outside})`, { pid: outside, name }),
      causes: [failure],
    };
  }
  const group = path.basename(path.dirname(failure.object));
  return {
    ...failureOf('refused', 'cpu-bind-refused', groupLabel(group), {
      errno: String(failure.values?.['errno'] ?? ''),
    }),
    causes: [failure],
  };
}
