/** What a person does to a split, as edits of the document. Pure. */
import type { CpuGroupSettings } from '../../agent/api/index.ts';
import { formatCpuList, unionOf } from '../../agent/cpu/cpu-list.ts';
import type { GroupFigures } from '../../agent/cpu/figures.ts';
import {
  type CpuGroup,
  type CpuSplit,
  type GroupPath,
  joinPath,
  maximumWeight,
  parentPath,
} from '../../agent/cpu/group.ts';
import type { CpuEdit } from '../topology/document/cpu-edit.ts';
import { firstFree } from '../topology/document/document-edit.ts';
import { groupAt, round, scaledTo } from './border.ts';
import { measureOf } from './icicle.ts';

type Figures = ReadonlyMap<GroupPath, GroupFigures>;

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** A, B, C … at the top, A1, A2 … in A. */
export function freeGroupName(around: CpuGroup): string {
  const taken = new Set(around.groups.map(({ name }) => name));
  const letter = [...letters].find((each) => !taken.has(each));
  if (around.name === '' && letter !== undefined) return letter;
  const stem = around.name === '' ? 'G' : around.name.slice(0, 55);
  return firstFree(stem, 1, (name) => taken.has(name));
}

/** A new group with a cap: what is asked for, what is free, or a core beyond what there is, for the person to see. */
export function addGroup(
  split: CpuSplit,
  figures: Figures,
  parent: GroupPath,
  cores: number | null = null,
): { readonly path: GroupPath; readonly edits: readonly CpuEdit[] } | null {
  const around = groupAt(split, parent);
  const figure = figures.get(parent);
  if (around === null || figure === undefined) return null;
  const free = around.groups.length === 0 ? figure.ceiling : figure.unallocated;
  const cap = cores ?? (free > 0 ? free : Math.min(1, figure.ceiling));
  const name = freeGroupName(around);
  const add = { kind: 'add-cpu-group', parent, name, settings: { cap: round(cap) } } as const;
  return { path: joinPath(parent, name), edits: [add] };
}

/** Two of a half each in place of one; the second has its limits and nothing in it. Null for the root. */
export function splitGroup(
  split: CpuSplit,
  path: GroupPath,
): { readonly path: GroupPath; readonly edits: readonly CpuEdit[] } | null {
  const parent = parentPath(path);
  const group = groupAt(split, path);
  const around = parent === null ? null : groupAt(split, parent);
  if (parent === null || group === null || around === null) return null;
  const edits: CpuEdit[] = [];
  let settings: CpuGroupSettings = group.idle ? { idle: true } : {};
  if (group.cap !== null) {
    const half = Math.ceil(group.cap * 50) / 100;
    const rest = round(group.cap - half) > 0 ? round(group.cap - half) : half;
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'cap', value: half });
    settings = { ...settings, cap: rest };
  }
  if (group.pins !== null && group.pins.length > 1) {
    const middle = Math.ceil(group.pins.length / 2);
    const value = formatCpuList(group.pins.slice(0, middle));
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'pins', value });
    settings = { ...settings, pins: formatCpuList(group.pins.slice(middle)) };
  }
  if (!group.idle && measureOf(group) === 'weight') {
    const half = Math.max(1, Math.round(group.weight / 2));
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'weight', value: half });
    settings = { ...settings, weight: Math.max(1, group.weight - half) };
  }
  const name = freeGroupName(around);
  edits.push({ kind: 'add-cpu-group', parent, name, settings, behind: group.name });
  return { path: joinPath(parent, name), edits };
}

/** A group and the sibling that it can be merged with, in their order: the one behind it, or before it for the last. */
export function mergePair(
  split: CpuSplit,
  path: GroupPath,
): readonly [first: GroupPath, second: GroupPath] | null {
  const parent = parentPath(path);
  if (parent === null) return null;
  const paths = (groupAt(split, parent)?.groups ?? []).map(({ name }) => joinPath(parent, name));
  const at = Math.min(paths.indexOf(path), paths.length - 2);
  const [first, second] = [paths[at], paths[at + 1]];
  return first === undefined || second === undefined ? null : [first, second];
}

/** One group with the limits of both; it keeps the first one's name. */
export function mergeGroups(
  split: CpuSplit,
  path: GroupPath,
  other: GroupPath,
): readonly CpuEdit[] {
  const [one, two] = [groupAt(split, path), groupAt(split, other)];
  if (one === null || two === null) return [];
  const cap = one.cap !== null && two.cap !== null ? round(one.cap + two.cap) : undefined;
  const pins =
    one.pins !== null && two.pins !== null ? formatCpuList(unionOf(one.pins, two.pins)) : undefined;
  const edits: CpuEdit[] = [];
  if (cap !== (one.cap ?? undefined)) {
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'cap', value: cap });
  }
  if (cap === undefined && one.burst > 0) {
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'burst', value: undefined });
  }
  if (pins !== (one.pins === null ? undefined : formatCpuList(one.pins))) {
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'pins', value: pins });
  }
  if (pins === undefined && one.exclusivity !== 'shared') {
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'partition', value: undefined });
  }
  if (!one.idle && measureOf(one) === 'weight' && measureOf(two) === 'weight') {
    const value = Math.min(maximumWeight, one.weight + two.weight);
    edits.push({ kind: 'set-cpu-group', group: path, setting: 'weight', value });
  }
  return [...edits, { kind: 'join-cpu-groups', group: path, other }];
}

/** Caps of a group's groups, in proportion, so that together they are what it has. */
export function fitGroups(split: CpuSplit, figures: Figures, path: GroupPath): readonly CpuEdit[] {
  const group = groupAt(split, path);
  const figure = figures.get(path);
  if (group === null || figure === undefined) return [];
  const capped = group.groups.filter((each) => measureOf(each) === 'cap');
  const sum = capped.reduce((total, { cap }) => total + (cap ?? 0), 0);
  const goal = sum - figure.overcommit;
  if (figure.overcommit <= 0 || goal <= 0) return [];
  const caps = scaledTo(
    capped.map(({ cap }) => cap ?? 0),
    goal,
  );
  return capped.map((each, index) => ({
    kind: 'set-cpu-group',
    group: joinPath(path, each.name),
    setting: 'cap',
    value: caps[index] ?? 0,
  }));
}

/** The pins with one CPU more or less; `undefined` where none is left. Within what its parent has. */
export function togglePin(group: CpuGroup, cpu: number): string | undefined {
  const pins = group.pins ?? [];
  const next = pins.includes(cpu) ? pins.filter((each) => each !== cpu) : unionOf(pins, [cpu]);
  return next.length === 0 ? undefined : formatCpuList(next);
}
