/**
 * A split as a picture: a row a depth, and one ruler of cores for all of them, so that a core is as wide everywhere. Pure;
 * lengths are cores.
 */
import { type GroupFigures, ownLimit } from '../../agent/cpu/figures.ts';
import {
  type CpuGroup,
  type CpuSplit,
  depthOf,
  type GroupPath,
  joinPath,
} from '../../agent/cpu/group.ts';

/** What a group's width is: its cap, its pins, or what its weight comes to. */
export type Measure = 'cap' | 'pins' | 'weight';

export interface IcicleCell {
  /** `free` is what a group has not handed out; it bears that group's path. */
  readonly kind: 'group' | 'free';
  readonly path: GroupPath;
  readonly depth: number;
  /** Families that would lie on each other are in lanes below each other. */
  readonly lane: number;
  readonly from: number;
  readonly to: number;
  /** Up to here it gets what it wants however busy the others are. */
  readonly solidTo: number;
  /** Up to here it may use what others leave, by its own limits: never less than `to`. */
  readonly reach: number;
  /** From here on it lies beyond what its parent has; null where it does not. */
  readonly overFrom: number | null;
}

export interface Icicle {
  readonly cells: readonly IcicleCell[];
  /** Lanes of each depth. */
  readonly lanes: readonly number[];
  /** Cores that the ruler shows. */
  readonly extent: number;
}

/** Cores closer than this are the same. */
const epsilon = 1e-6;

export function measureOf({ cap, pins }: CpuGroup): Measure {
  if (cap !== null && (pins === null || cap < pins.length)) return 'cap';
  return pins === null ? 'weight' : 'pins';
}

/** How wide a group is drawn. */
export function widthOf(group: CpuGroup, figures: GroupFigures | undefined): number {
  return ownLimit(group) ?? figures?.guaranteed ?? 0;
}

/** A group with those in it, as they are laid out. */
interface Family {
  readonly from: number;
  readonly to: number;
  readonly spills: boolean;
  readonly cells: readonly Omit<IcicleCell, 'lane'>[];
  readonly groups: readonly (readonly [group: CpuGroup, from: number, to: number])[];
}

interface Placed {
  readonly path: GroupPath;
  readonly group: CpuGroup;
  readonly from: number;
  readonly to: number;
}

/** `open` is a group that shows what is free in it even where it has no groups: there the first one is drawn. */
export function icicleOf(
  { cpus, root }: CpuSplit,
  figures: ReadonlyMap<GroupPath, GroupFigures>,
  open: GroupPath | null = null,
): Icicle {
  const cores = cpus.length;
  const top: IcicleCell = {
    ...{ kind: 'group', path: '', depth: 0, lane: 0, from: 0, to: cores },
    ...{ solidTo: cores, reach: cores, overFrom: null },
  };
  const cells: IcicleCell[] = [top];
  const lanes = [1];
  let extent = cores;
  let row: readonly Placed[] = [{ path: '', group: root, from: 0, to: cores }];
  for (let depth = 1; row.length > 0; depth += 1) {
    const families = row.flatMap((one) => {
      const family = familyOf(one, figures, one.path === open);
      return family.cells.length === 0 ? [] : [{ path: one.path, ...family }];
    });
    if (families.length === 0) break;
    const placed = lanesOf(families);
    lanes.push(Math.max(...placed) + 1);
    families.forEach((family, index) => {
      for (const cell of family.cells) {
        cells.push({ ...cell, lane: placed[index] ?? 0 });
        extent = Math.max(extent, cell.reach);
      }
    });
    row = families.flatMap(({ path, groups }) =>
      groups.map(([group, from, to]) => ({ path: joinPath(path, group.name), group, from, to })),
    );
  }
  return { cells, lanes, extent };
}

/**
 * A family is laid out by its limits. Where it holds groups without any, which take what the others do not use, and there is
 * too little for all, each is as wide as what it gets under contention, and a limit beyond that is its reach.
 */
function familyOf(
  { path, group, from, to: end }: Placed,
  figures: ReadonlyMap<GroupPath, GroupFigures>,
  isOpen: boolean,
): Family {
  const depth = depthOf(path) + 1;
  const ceiling = figures.get(path)?.ceiling ?? 0;
  const edge = Math.min(end, from + ceiling);
  const children = group.groups.map((child) => {
    const own = joinPath(path, child.name);
    const figure = figures.get(own);
    return { child, own, width: widthOf(child, figure), guaranteed: figure?.guaranteed ?? 0 };
  });
  const sum = children.reduce((total, { width }) => total + width, 0);
  const isContended =
    from + sum > edge + epsilon && children.some(({ child }) => measureOf(child) === 'weight');
  const cells: Omit<IcicleCell, 'lane'>[] = [];
  const groups: (readonly [CpuGroup, number, number])[] = [];
  let at = from;
  for (const { child, own, width, guaranteed } of children) {
    const to = at + (isContended ? Math.min(width, guaranteed) : width);
    cells.push({
      ...{ kind: 'group', path: own, depth, from: at, to, reach: at + width },
      solidTo: Math.min(to, at + guaranteed),
      overFrom: to > from + ceiling + epsilon ? Math.max(at, from + ceiling) : null,
    });
    groups.push([child, at, to]);
    at = to;
  }
  const spills = at > edge + epsilon;
  // The machine as a whole can be handed out before there is any group.
  if ((group.groups.length > 0 || path === '' || isOpen) && edge - at > epsilon) {
    const free = { kind: 'free', path, depth, from: at, to: edge } as const;
    cells.push({ ...free, solidTo: at, reach: edge, overFrom: null });
  }
  return { from, to: Math.max(at, edge), spills, cells, groups };
}

/** The lane of each family: those that spill over others go below them. */
function lanesOf(families: readonly Family[]): readonly number[] {
  const placed = families.map(() => 0);
  const place = (indexes: readonly number[], first: number): number => {
    const ends: number[] = [];
    for (const index of indexes.toSorted((a, b) => fromOf(a) - fromOf(b))) {
      const family = families[index];
      if (family === undefined) continue;
      let lane = ends.findIndex((end) => end <= family.from + epsilon);
      if (lane < 0) lane = ends.length;
      ends[lane] = family.to;
      placed[index] = first + lane;
    }
    return ends.length;
  };
  const fromOf = (index: number): number => families[index]?.from ?? 0;
  const all = families.map((_, index) => index);
  if (place(all, 0) <= 1) return placed;
  const staying = all.filter((index) => families[index]?.spills !== true);
  const below = place(staying, 0);
  place(
    all.filter((index) => families[index]?.spills === true),
    below,
  );
  return placed;
}

/** Marks of the ruler: few enough to be read, at round numbers of cores. `room` is pixels for one core. */
export function ticksOf(extent: number, room: number): readonly number[] {
  const step = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512].find(
    (each) => each * room >= 36,
  );
  const every = step ?? 1024;
  return Array.from({ length: Math.floor(extent / every + epsilon) + 1 }, (_, index) =>
    Number((index * every).toFixed(2)),
  );
}
