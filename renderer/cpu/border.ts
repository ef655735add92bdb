/**
 * The right border of a group is moved: what that means for the group and those beside it. Pure; cores. Nothing of it is
 * written before the person lets go.
 */
import type { GroupFigures } from '../../agent/cpu/figures.ts';
import {
  type CpuGroup,
  type CpuSplit,
  type GroupPath,
  joinPath,
  maximumWeight,
  minimumWeight,
  parentPath,
} from '../../agent/cpu/group.ts';
import { minimumCores } from '../../agent/cpu/quota.ts';
import { measureOf, widthOf } from './icicle.ts';

/** `trade`: the next group gets what this one loses. `alone`: no other changes. `scale`: all others share the difference. */
export type BorderMode = 'trade' | 'alone' | 'scale';

/** A cap or a weight that a group is to have. */
export interface LimitChange {
  readonly kind: 'set-cpu-group';
  readonly group: GroupPath;
  readonly setting: 'cap' | 'weight';
  readonly value: number;
}

export interface Border {
  readonly group: CpuGroup;
  readonly path: GroupPath;
  /** As it is now. */
  readonly width: number;
  readonly siblings: readonly Sibling[];
  readonly index: number;
  /** What its parent has to hand out, and has not. */
  readonly ceiling: number;
  readonly free: number;
}

interface Sibling {
  readonly path: GroupPath;
  readonly group: CpuGroup;
  readonly width: number;
}

type Figures = ReadonlyMap<GroupPath, GroupFigures>;

export function groupAt({ root }: CpuSplit, path: GroupPath): CpuGroup | null {
  let at: CpuGroup | null = root;
  for (const name of path === '' ? [] : path.split('/')) {
    at = at?.groups.find((each) => each.name === name) ?? null;
  }
  return at;
}

/** Null for the root, and for a group that has whole CPUs instead of a number of cores. */
export function borderOf(split: CpuSplit, figures: Figures, path: GroupPath): Border | null {
  const parent = parentPath(path);
  const around = parent === null ? null : groupAt(split, parent);
  if (parent === null || around === null) return null;
  const siblings = around.groups.map((group) => {
    const own = joinPath(parent, group.name);
    return { path: own, group, width: widthOf(group, figures.get(own)) };
  });
  const index = siblings.findIndex((each) => each.path === path);
  const found = siblings[index];
  if (found === undefined || measureOf(found.group) === 'pins') return null;
  const ceiling = figures.get(parent)?.ceiling ?? 0;
  const sum = siblings.reduce((total, { width }) => total + width, 0);
  return { ...found, siblings, index, ceiling, free: Math.max(0, ceiling - sum) };
}

/** How far the border can be moved: widths of its group. `least` is the smallest that a group may get. */
export function rangeOf(
  border: Border,
  mode: BorderMode,
  least: number,
): { readonly least: number; readonly most: number } {
  const { group, width, siblings, index, ceiling, free } = border;
  const pins = group.pins?.length ?? Infinity;
  const within = (most: number) => {
    const upper = Math.max(width, Math.min(most, pins));
    return { least: Math.min(width, least), most: round(upper) };
  };
  if (mode === 'alone' || isOnlyOne(border))
    return within(mode === 'alone' ? ceiling : width + free);
  const others = mode === 'trade' ? siblings.slice(index + 1, index + 2) : othersOf(border);
  const giving = others.filter((each) => measureOf(each.group) !== 'pins');
  if (giving.length === 0) return within(hasTaker(border) ? ceiling : width + free);
  // What has no limit takes what is left by itself.
  if (measureOf(group) === 'cap' && giving.every((each) => measureOf(each.group) === 'weight')) {
    return within(ceiling);
  }
  const theirs = giving.reduce((sum, each) => sum + Math.max(0, each.width - least), 0);
  return within(Math.min(ceiling, width + theirs));
}

/** Nothing to trade with but what is free. */
function isOnlyOne({ siblings, index }: Border): boolean {
  return index === siblings.length - 1 && siblings.length === 1;
}

/** Whether a sibling without a limit gives and takes what is needed. */
function hasTaker(border: Border): boolean {
  return (
    measureOf(border.group) === 'cap' &&
    othersOf(border).some((each) => measureOf(each.group) === 'weight')
  );
}

function othersOf({ siblings, index }: Border): readonly Sibling[] {
  return siblings.filter((_, at) => at !== index);
}

/** What is to be set so that the group is so wide; nothing where it is already. `wanted` is within the border's range. */
export function moveBorder(
  border: Border,
  wanted: number,
  mode: BorderMode,
  least: number,
): readonly LimitChange[] {
  const range = rangeOf(border, mode, least);
  const width = round(Math.min(range.most, Math.max(range.least, wanted)));
  if (width === round(border.width)) return [];
  const own = measureOf(border.group);
  if (mode === 'scale' && own === 'cap') return scale(border, width);
  const next = mode === 'trade' ? border.siblings[border.index + 1] : undefined;
  if (own === 'cap') {
    const changes = [capOf(border.path, width)];
    // What has a weight only takes what is left by itself.
    if (next !== undefined && measureOf(next.group) === 'cap') {
      changes.push(capOf(next.path, border.width + next.width - width));
    }
    return changes;
  }
  if (next === undefined) return weightFor(border, width);
  if (measureOf(next.group) === 'weight') {
    const total = border.group.weight + next.group.weight;
    const share = Math.round((total * width) / (border.width + next.width));
    const weight = Math.min(total - minimumWeight, Math.max(minimumWeight, share));
    return [weightOf(border.path, weight), weightOf(next.path, total - weight)];
  }
  if (measureOf(next.group) === 'cap') {
    return [capOf(next.path, border.width + next.width - width)];
  }
  return weightFor(border, width);
}

/** The weight that comes to so many cores beside the others as they are. */
function weightFor(border: Border, width: number): readonly LimitChange[] {
  const rivals = othersOf(border).filter((each) => measureOf(each.group) === 'weight');
  const shared = border.width + rivals.reduce((sum, each) => sum + each.width, 0);
  const weights = rivals.reduce((sum, each) => sum + each.group.weight, 0);
  if (weights === 0 || width >= shared) return [];
  const weight = Math.round((weights * width) / (shared - width));
  return [weightOf(border.path, Math.min(maximumWeight, Math.max(minimumWeight, weight)))];
}

/** All others give or take in proportion; what rounding leaves is the widest one's. */
function scale(border: Border, width: number): readonly LimitChange[] {
  const others = othersOf(border).filter((each) => measureOf(each.group) === 'cap');
  const sum = others.reduce((total, each) => total + each.width, 0);
  const changes = [capOf(border.path, width)];
  if (sum === 0) return changes;
  const goal = sum + border.width - width;
  const scaled = scaledTo(
    others.map((each) => each.width),
    goal,
  );
  others.forEach((each, index) => {
    const cap = scaled[index] ?? each.width;
    if (cap !== each.width) changes.push(capOf(each.path, cap));
  });
  return changes;
}

/** Widths in proportion that come to a sum, to a hundredth of a core where that does. */
export function scaledTo(widths: readonly number[], goal: number): readonly number[] {
  const sum = widths.reduce((total, width) => total + width, 0);
  const scaled = widths.map((width) => Number(((width * goal) / sum).toFixed(2)));
  const rest = goal - scaled.reduce((total, width) => total + width, 0);
  const widest = scaled.indexOf(Math.max(...scaled));
  return scaled.map((width, index) =>
    Math.max(minimumCores, round(index === widest ? width + rest : width)),
  );
}

function capOf(group: GroupPath, cores: number): LimitChange {
  return { kind: 'set-cpu-group', group, setting: 'cap', value: round(cores) };
}

function weightOf(group: GroupPath, value: number): LimitChange {
  return { kind: 'set-cpu-group', group, setting: 'weight', value };
}

/** A quota of the usual period is no finer. */
export function round(cores: number): number {
  return Number(cores.toFixed(5));
}

/** The step of a drag: round, and some pixels wide. `room` is pixels for one core. */
export function stepOf(room: number): number {
  return [0.05, 0.1, 0.5, 1, 2, 4, 8, 16].find((step) => step * room >= 4) ?? 32;
}

export function snap(cores: number, step: number): number {
  return round(Math.round(cores / step) * step);
}

/** The split as it would be; groups that stay as they are stay the same objects. */
export function withLimits(split: CpuSplit, changes: readonly LimitChange[]): CpuSplit {
  if (changes.length === 0) return split;
  const change = (group: CpuGroup, path: GroupPath): CpuGroup => {
    const within = path === '' ? '' : `${path}/`;
    let next = group;
    for (const each of changes) {
      if (each.group === path) next = { ...next, [each.setting]: each.value };
    }
    if (!changes.some((each) => each.group.startsWith(within) && each.group !== path)) return next;
    return { ...next, groups: next.groups.map((each) => change(each, joinPath(path, each.name))) };
  };
  return { ...split, root: change(split.root, '') };
}
