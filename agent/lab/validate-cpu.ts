/** What a schema cannot see of a CPU split. */
import type { CpuGroupSettings } from '../api/document-cpu.ts';
import type { LabDocument } from '../api/document.ts';
import {
  type CpuSet,
  differenceOf,
  firstCpus,
  formatCpuList,
  intersectionOf,
  maximumCpus,
  unionOf,
} from '../cpu/cpu-list.ts';
import { figuresOf } from '../cpu/figures.ts';
import { cpusForItself, type GroupPath, joinPath, walkGroups } from '../cpu/group.ts';
import { quotaOf } from '../cpu/quota.ts';
import { groupLabel, groupPathOf, pinsOf, splitOf } from './cpu-split.ts';
import type { DocumentPath, Findings } from './findings.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

export const maximumGroups = 10_000;

/** Cores closer than this are the same. */
const epsilon = 1e-9;

type Say = (code: SentenceCode, object: string, values: SentenceValues, path: DocumentPath) => void;

/** Controllers whose files are in a group's directory (cgroup-v2.rst), also those of other kernels. */
const controllers =
  /^(?:cgroup|cpu|cpuset|cpuacct|memory|io|blkio|pids|hugetlb|rdma|misc|dmem|irq|devices|freezer|net_cls|net_prio|perf_event|debug)\./;
/** Files of cgroup v1 without a controller's name (cgroup1_base_files). */
const otherFiles: ReadonlySet<string> = new Set(['tasks', 'notify_on_release', 'release_agent']);

/** Whether a directory of this name would be, or could become, one with a file of the kernel. */
export function isReservedGroupName(name: string): boolean {
  return controllers.test(name) || otherFiles.has(name);
}

export function checkCpu(document: LabDocument, findings: Findings): void {
  const { cpu } = document;
  const known = new Set<GroupPath>(cpu === undefined ? [] : ['']);
  let problems = 0;
  const report: Say = (...words) => {
    problems += 1;
    findings.report(...words);
  };
  if (cpu !== undefined) {
    const cpus = firstCpus(cpu.cores ?? maximumCpus);
    checkGroups(cpu.groups, '', ['cpu', 'groups'], { pins: cpus, from: null }, cpus, known, report);
    if (problems === 0) checkPartitions(document, findings, report);
    const count = known.size - 1;
    if (count > maximumGroups) {
      report('cpu-too-many-groups', 'cpu', { count, limit: maximumGroups }, ['cpu', 'groups']);
    }
  }
  checkBindings(document, known, report);
  // Figures of what is wrong would only confuse; and of a machine that nobody knows there are none.
  if (problems === 0 && cpu?.cores !== undefined) adviseOnFigures(document, findings);
}

interface Around {
  readonly pins: CpuSet;
  /** The group whose pins those are; null is the machine. */
  readonly from: GroupPath | null;
}

function checkGroups(
  groups: Readonly<Record<string, CpuGroupSettings>>,
  parent: GroupPath,
  path: DocumentPath,
  around: Around,
  machine: CpuSet,
  known: Set<GroupPath>,
  report: Say,
): void {
  const siblings: { readonly group: GroupPath; readonly pins: CpuSet; readonly alone: boolean }[] =
    [];
  for (const [name, settings] of Object.entries(groups)) {
    const group = joinPath(parent, name);
    const at = [...path, name];
    known.add(group);
    if (isReservedGroupName(name)) report('cpu-group-reserved', group, { name }, at);
    checkLimits(settings, group, at, report);
    const pins = checkPins(settings, group, at, around, machine, report);
    if (pins !== null) {
      siblings.push({ group, pins, alone: settings.partition !== undefined });
    }
    const inner = pins === null ? around : { pins, from: group };
    const below = [...at, 'groups'];
    checkGroups(settings.groups ?? {}, group, below, inner, machine, known, report);
  }
  for (const { group, pins, alone } of siblings) {
    if (!alone) continue;
    for (const other of siblings) {
      const common = intersectionOf(pins, other.pins);
      if (other.group === group || common.length === 0) continue;
      // Of two that both want to be alone the first one says so.
      if (other.alone && other.group < group) continue;
      const values = { group, other: other.group, pins: formatCpuList(common) };
      report('cpu-partition-overlap', group, values, [
        ...path,
        group.slice(parent.length).replace('/', ''),
      ]);
    }
  }
}

/**
 * What the kernel asks of groups that have CPUs for themselves (update_parent_subparts_cpumask of kernel/cgroup/cpuset.c):
 * the group around one is one too, and is left a CPU for whatever else is in it. At the top that is the lab as a whole.
 */
function checkPartitions(document: LabDocument, findings: Findings, report: Say): void {
  const split = splitOf(document, []);
  if (split === null) return;
  const taken = cpusForItself(split.root);
  for (const [path, group] of walkGroups(split.root)) {
    const alone = group.groups.filter(({ exclusivity }) => exclusivity !== 'shared');
    const [first] = alone;
    if (first === undefined) continue;
    const shared = group.groups.filter(({ exclusivity }) => exclusivity === 'shared');
    const label = groupLabel(path);
    if (path !== '' && group.exclusivity === 'shared') {
      for (const { name } of alone) {
        const inner = joinPath(path, name);
        const values = { group: inner, parent: label };
        report('cpu-partition-in-shared', inner, values, [...placeOfGroup(inner), 'partition']);
      }
      continue;
    }
    const unpinned = path === '' ? shared.filter(({ pins }) => pins === null) : [];
    for (const { name } of unpinned) {
      const values = { group: name, other: first.name };
      report('cpu-partition-beside-unpinned', name, values, placeOfGroup(name));
    }
    const own = path === '' ? taken : group.pins;
    const left = differenceOf(own ?? [], unionOf(...alone.map(({ pins }) => pins ?? [])));
    const rest = [
      ...(group.direct ? [label] : []),
      ...shared.map(({ name }) => joinPath(path, name)),
    ];
    if (unpinned.length > 0 || left.length > 0 || rest.length === 0) continue;
    const values = { group: label, rest: rest.join(', ') };
    report('cpu-partition-leaves-none', label, values, placeOfGroup(path));
  }
  if (taken === null) return;
  findings.advise('cpu-partition-takes', '/', { pins: formatCpuList(taken) }, ['cpu']);
}

function placeOfGroup(path: GroupPath): DocumentPath {
  return ['cpu', ...path.split('/').flatMap((name) => (name === '' ? [] : ['groups', name]))];
}

function checkLimits(
  { cap, period, burst, weight, idle }: CpuGroupSettings,
  group: GroupPath,
  path: DocumentPath,
  report: Say,
): void {
  if (cap !== undefined && quotaOf(cap, Math.round((period ?? 100) * 1000)) === null) {
    report('cpu-cap-inexact', group, { group, cores: cap }, [...path, 'cap']);
  }
  if (burst !== undefined && burst > 0) {
    const at = [...path, 'burst'];
    if (cap === undefined) report('cpu-burst-without-cap', group, { group }, at);
    else if (burst > cap) report('cpu-burst-above-cap', group, { group, burst, cap }, at);
  }
  if (idle === true && weight !== undefined) {
    report('cpu-idle-with-weight', group, { group }, [...path, 'weight']);
  }
}

/** The pins where they are valid; null without any. */
function checkPins(
  { pins: text, partition }: CpuGroupSettings,
  group: GroupPath,
  path: DocumentPath,
  around: Around,
  machine: CpuSet,
  report: Say,
): CpuSet | null {
  if (text === undefined) {
    if (partition !== undefined) {
      report('cpu-partition-without-pins', group, { group }, [...path, 'partition']);
    }
    return null;
  }
  const at = [...path, 'pins'];
  const pins = pinsOf(text);
  if (pins === null) {
    report('cpu-invalid-pins', group, { pins: String(text) }, at);
    return null;
  }
  const [missing] = differenceOf(pins, machine);
  if (missing !== undefined) {
    const values = { group, cpu: missing, cores: machine.length, last: machine.length - 1 };
    report('cpu-pins-missing', group, values, at);
    return null;
  }
  const outside = differenceOf(pins, around.pins);
  if (outside.length > 0) {
    const outer = formatCpuList(around.pins);
    const parent = groupLabel(around.from ?? '');
    const values = { group, pins: formatCpuList(pins), parent, outer };
    report('cpu-pins-outside-parent', group, values, at);
    return null;
  }
  return pins;
}

function checkBindings(document: LabDocument, known: ReadonlySet<GroupPath>, report: Say): void {
  const check = (group: string | undefined, object: string, path: DocumentPath): void => {
    if (group === undefined || known.has(groupPathOf(group))) return;
    report('cpu-group-unknown', object, { group }, path);
  };
  for (const [name, node] of Object.entries(document.topology.nodes)) {
    if (node.kind !== 'namespace' && node.kind !== 'vm') continue;
    const path = ['topology', 'nodes', name];
    check(node.cpu, name, [...path, 'cpu']);
    if (node.kind !== 'namespace') continue;
    for (const [index, run] of (node.run ?? []).entries()) {
      check(run.cpu, `${name}:${run.name}`, [...path, 'run', index, 'cpu']);
    }
  }
}

function adviseOnFigures(document: LabDocument, findings: Findings): void {
  const split = splitOf(document, []);
  if (split === null) return;
  const figures = figuresOf(split);
  for (const [path, group] of walkGroups(split.root)) {
    const figure = figures.get(path);
    if (figure === undefined) continue;
    const place = placeOfGroup(path);
    const label = groupLabel(path);
    const { ceiling, heldBy, allotted, overcommit } = figure;
    if (group.cap !== null && group.cap > ceiling) {
      const ancestor = heldBy === null ? 'the machine' : groupLabel(heldBy);
      const values = { group: label, cap: group.cap, ancestor, ceiling };
      findings.advise('cpu-cap-without-effect', label, values, [...place, 'cap']);
    }
    if (group.cap !== null && group.exclusivity !== 'shared' && group.cap === group.pins?.length) {
      findings.advise('cpu-cap-at-pins', label, { group: label }, [...place, 'cap']);
    }
    for (const [index, check] of (document.checks ?? []).entries()) {
      if (check.check !== 'cpu' || groupPathOf(check.group) !== path) continue;
      if (check.cores <= ceiling + epsilon) continue;
      const values = { group: label, ceiling, cores: check.cores };
      findings.advise('check-above-ceiling', `check ${index + 1}`, values, [
        ...['checks', index, 'cores'],
      ]);
    }
    if (overcommit > epsilon) {
      const rounded = Number(allotted.toFixed(3));
      findings.advise(
        'cpu-overcommitted',
        label,
        { group: label, allotted: rounded, ceiling },
        place,
      );
    }
  }
}
