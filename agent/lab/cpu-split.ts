/** The CPU split that a document asks for, in normal form, and which of its processes run in which group. */
import type { CpuGroupSettings } from '../api/document-cpu.ts';
import type { LabDocument } from '../api/document.ts';
import { type CpuSet, firstCpus, parseCpuList } from '../cpu/cpu-list.ts';
import {
  type CpuGroup,
  type CpuSplit,
  type GroupPath,
  joinPath,
  plainGroup,
} from '../cpu/group.ts';
import { machineOfProcess } from './virtual-machine.ts';

/** Null when the text is not a list. */
export function pinsOf(pins: number | string): CpuSet | null {
  return parseCpuList(String(pins));
}

/** The group that `cpu: PATH` names: `/` is the root, whose path is empty. */
export function groupPathOf(text: string): GroupPath {
  return text === '/' ? '' : text;
}

/** Null when the document has none. `cpus` are those of the machine, where the document does not say. */
export function splitOf(document: LabDocument, cpus: CpuSet): CpuSplit | null {
  const { cpu } = document;
  if (cpu === undefined) return null;
  const bound = boundGroups(document);
  const groupsOf = (
    settings: Readonly<Record<string, CpuGroupSettings>>,
    around: GroupPath,
  ): readonly CpuGroup[] =>
    Object.entries(settings).map(([name, own]) => {
      const path = joinPath(around, name);
      return {
        name,
        cap: own.cap ?? null,
        period: Math.round((own.period ?? 100) * 1000),
        burst: own.burst ?? 0,
        weight: own.idle === true ? plainGroup.weight : (own.weight ?? plainGroup.weight),
        idle: own.idle ?? false,
        pins: own.pins === undefined ? null : pinsOf(own.pins),
        exclusivity: own.partition ?? 'shared',
        direct: bound.has(path),
        groups: groupsOf(own.groups ?? {}, path),
      };
    });
  return {
    cpus: cpu.cores === undefined ? cpus : firstCpus(cpu.cores),
    root: { ...plainGroup, name: '', direct: bound.has(''), groups: groupsOf(cpu.groups, '') },
  };
}

/** Paths of groups that something of the document is bound to. */
function boundGroups({ topology }: LabDocument): ReadonlySet<GroupPath> {
  const bound = new Set<GroupPath>();
  for (const node of Object.values(topology.nodes)) {
    if (node.kind !== 'namespace' && node.kind !== 'vm') continue;
    if (node.cpu !== undefined) bound.add(groupPathOf(node.cpu));
    for (const run of node.kind === 'namespace' ? (node.run ?? []) : []) {
      if (run.cpu !== undefined) bound.add(groupPathOf(run.cpu));
    }
  }
  return bound;
}

/** The group that a process of the document runs in; null where it says none. `namespace` is where it runs. */
export function groupOfProcess(
  { topology, cpu }: LabDocument,
  { namespace, name }: { readonly namespace: string | null; readonly name: string },
): GroupPath | null {
  if (cpu === undefined) return null;
  const at = machineOfProcess(name) ?? namespace;
  const node = at === null ? undefined : new Map(Object.entries(topology.nodes)).get(at);
  if (node?.kind !== 'namespace' && node?.kind !== 'vm') return null;
  const run = node.kind === 'namespace' ? node.run?.find((one) => one.name === name) : undefined;
  const path = run?.cpu ?? node.cpu;
  return path === undefined ? null : groupPathOf(path);
}

/** As a person reads it. */
export function groupLabel(path: GroupPath): string {
  return path === '' ? '/' : path;
}
