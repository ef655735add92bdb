/**
 * What contenders get of a number of cores by weight, when everybody wants all: weighted max-min fairness ("water-filling").
 * What one cannot take, because of its cap or its pins, goes to the others by weight. The kernel promises nothing of the
 * sort; this is what its weights come to while every contender has runnable threads enough.
 */
import type { CpuSet } from './cpu-list.ts';

export interface Contender {
  /** Above zero. */
  readonly weight: number;
  /** Cores that it can take at most. */
  readonly limit: number;
  /** CPUs that it may run on. */
  readonly cpus: CpuSet;
}

/** Cores closer than this are the same. */
const epsilon = 1e-9;

/** Cores of each contender, in their order. `capacity` in cores is for all of them together. */
export function shareFairly(capacity: number, contenders: readonly Contender[]): readonly number[] {
  const classes = classify(contenders);
  const shares = contenders.map(() => 0);
  let active = contenders.map((_, index) => index);
  while (active.length > 0) {
    const { level, tight } = raise(capacity, contenders, classes, shares, active);
    const still: number[] = [];
    for (const index of active) {
      const { weight, limit } = contenders[index] ?? neverContender;
      shares[index] = Math.min(limit, weight * level);
      if (!tight.has(index)) still.push(index);
    }
    // Rounding may leave nobody tight; then the level cannot rise.
    if (still.length === active.length) break;
    active = still;
  }
  return shares;
}

const neverContender: Contender = { weight: 0, limit: 0, cpus: [] };

/** Contenders that may run on the same CPUs, and CPUs that the same contenders may use. */
interface Classes {
  /** Class of each contender. */
  readonly classOf: readonly number[];
  /** For each class of contenders the classes of CPUs that it may use. */
  readonly reach: readonly (readonly number[])[];
  /** CPUs in each class of CPUs. */
  readonly sizes: readonly number[];
}

function classify(contenders: readonly Contender[]): Classes {
  const classes = new Map<CpuSet | string, number>();
  const sets: CpuSet[] = [];
  const classOf = contenders.map(({ cpus }) => {
    // Most are the parent's very list, which spares the text.
    let known = classes.get(cpus);
    if (known === undefined) {
      const key = cpus.join();
      known = classes.get(key);
      if (known === undefined) {
        known = sets.length;
        sets.push(cpus);
        classes.set(key, known);
      }
      classes.set(cpus, known);
    }
    return known;
  });
  const users = new Map<number, number[]>();
  sets.forEach((cpus, index) => {
    for (const cpu of cpus) {
      const list = users.get(cpu);
      if (list === undefined) users.set(cpu, [index]);
      else list.push(index);
    }
  });
  const bySignature = new Map<string, number>();
  const sizes: number[] = [];
  const reach: number[][] = sets.map(() => []);
  for (const list of users.values()) {
    const signature = list.join();
    let known = bySignature.get(signature);
    if (known === undefined) {
      known = sizes.length;
      bySignature.set(signature, known);
      sizes.push(0);
      for (const index of list) reach[index]?.push(known);
    }
    sizes[known] = (sizes[known] ?? 0) + 1;
  }
  return { classOf, reach, sizes };
}

/**
 * The highest common level (cores for each unit of weight) at which everybody still gets what it is due, and who cannot
 * rise above it. Those not in `active` keep their `shares`. Comes down from above: each step goes to the level that the most
 * overdrawn set of contenders allows (discrete Newton), so that few are needed.
 */
function raise(
  capacity: number,
  contenders: readonly Contender[],
  classes: Classes,
  shares: readonly number[],
  active: readonly number[],
): { readonly level: number; readonly tight: ReadonlySet<number> } {
  const rising = new Set(active);
  let level = Infinity;
  for (const index of active) {
    const { limit, weight } = contenders[index] ?? neverContender;
    level = level === Infinity ? limit / weight : Math.max(level, limit / weight);
  }
  const dueAt = (index: number, at: number): number => {
    const { weight, limit } = contenders[index] ?? neverContender;
    return rising.has(index) ? Math.min(limit, weight * at) : (shares[index] ?? 0);
  };
  const everyone = contenders.map((_, index) => index);
  const fits = (members: readonly number[], room: number): void => {
    level = Math.min(level, levelFor(members, room, contenders, rising, shares));
  };
  fits(everyone, capacity);
  const byClass = classes.reach.map((): number[] => []);
  for (const index of everyone) byClass[classes.classOf[index] ?? 0]?.push(index);
  let blocked: ReadonlySet<number> = new Set();
  // Every round ends with a smaller level or the end; the number of sets of classes bounds them.
  for (let round = 0; round < 1000; round += 1) {
    const demands = byClass.map((members) =>
      members.reduce((sum, index) => sum + dueAt(index, level), 0),
    );
    const { overdrawn, full } = flowOf(demands, classes);
    if (overdrawn.size === 0) {
      blocked = full;
      break;
    }
    const members = [...overdrawn].flatMap((one) => byClass[one] ?? []);
    const room = roomOf(overdrawn, classes);
    const before = level;
    fits(members, room);
    if (level >= before - epsilon) {
      blocked = overdrawn;
      break;
    }
  }
  const total = everyone.reduce((sum, index) => sum + dueAt(index, level), 0);
  const exhausted = total >= capacity - epsilon;
  const tight = new Set(
    active.filter((index) => {
      const { weight, limit } = contenders[index] ?? neverContender;
      return (
        exhausted || weight * level >= limit - epsilon || blocked.has(classes.classOf[index] ?? -1)
      );
    }),
  );
  return { level, tight };
}

function roomOf(members: ReadonlySet<number>, { reach, sizes }: Classes): number {
  const cpus = new Set([...members].flatMap((one) => reach[one] ?? []));
  return [...cpus].reduce((sum, one) => sum + (sizes[one] ?? 0), 0);
}

/** The highest level at which these contenders together are due no more than `room`. */
function levelFor(
  members: readonly number[],
  room: number,
  contenders: readonly Contender[],
  rising: ReadonlySet<number>,
  shares: readonly number[],
): number {
  let left = room;
  let weights = 0;
  const breaks: { readonly at: number; readonly weight: number; readonly limit: number }[] = [];
  for (const index of members) {
    if (!rising.has(index)) {
      left -= shares[index] ?? 0;
      continue;
    }
    const { weight, limit } = contenders[index] ?? neverContender;
    weights += weight;
    breaks.push({ at: limit / weight, weight, limit });
  }
  breaks.sort((one, other) => one.at - other.at);
  for (const { at, weight, limit } of breaks) {
    if (weights * at > left) return Math.max(0, left / weights);
    left -= limit;
    weights -= weight;
  }
  return left >= -epsilon ? Infinity : 0;
}

/**
 * Sends what each class of contenders is due to CPUs that it may use, each with one core to give. `overdrawn` are those that
 * cannot be served together; where that is nobody, `full` are those that could not be given any more.
 */
function flowOf(
  demands: readonly number[],
  { reach, sizes }: Classes,
): { readonly overdrawn: ReadonlySet<number>; readonly full: ReadonlySet<number> } {
  const left = [...demands];
  const room = [...sizes];
  const sent = reach.map((cpus) => new Map(cpus.map((one) => [one, 0])));
  for (let from = 0; from < left.length; from += 1) {
    while ((left[from] ?? 0) > epsilon) {
      const path = pathFrom(from, reach, room, sent);
      if (path === null) break;
      const amount = Math.min(left[from] ?? 0, bottleneckOf(path, room, sent));
      send(path, amount, room, sent);
      left[from] = (left[from] ?? 0) - amount;
    }
  }
  const starved = left.flatMap((amount, index) => (amount > epsilon ? [index] : []));
  const overdrawn = reachable(starved, reach, sent);
  const full = new Set(
    reach.flatMap((_, index) => (pathFrom(index, reach, room, sent) === null ? [index] : [])),
  );
  return { overdrawn, full };
}

/** Contenders and CPUs in turn: contender, CPU, contender that gives way there, CPU, … */
type FlowPath = readonly number[];

/** The shortest way to a CPU with room, over those who can give way; null when there is none. */
function pathFrom(
  start: number,
  reach: Classes['reach'],
  room: readonly number[],
  sent: readonly ReadonlyMap<number, number>[],
): FlowPath | null {
  const cameFrom = new Map<number, readonly [contender: number, cpu: number] | null>([
    [start, null],
  ]);
  const queue = [start];
  const seen = new Set<number>();
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const cpu of reach[at] ?? []) {
      if (seen.has(cpu)) continue;
      seen.add(cpu);
      if ((room[cpu] ?? 0) > epsilon) return pathTo(at, cpu, cameFrom);
      sent.forEach((to, other) => {
        if (cameFrom.has(other) || (to.get(cpu) ?? 0) <= epsilon) return;
        cameFrom.set(other, [at, cpu]);
        queue.push(other);
      });
    }
  }
  return null;
}

function pathTo(
  last: number,
  cpu: number,
  cameFrom: ReadonlyMap<number, readonly [number, number] | null>,
): FlowPath {
  const path = [cpu, last];
  for (let step = cameFrom.get(last); step; step = cameFrom.get(step[0]))
    path.push(step[1], step[0]);
  return path.reverse();
}

function bottleneckOf(
  path: FlowPath,
  room: readonly number[],
  sent: readonly ReadonlyMap<number, number>[],
): number {
  let amount = room[path.at(-1) ?? 0] ?? 0;
  for (let at = 2; at < path.length; at += 2) {
    amount = Math.min(amount, sent[path[at] ?? 0]?.get(path[at - 1] ?? 0) ?? 0);
  }
  return amount;
}

function send(
  path: FlowPath,
  amount: number,
  room: number[],
  sent: readonly Map<number, number>[],
): void {
  for (let at = 0; at + 1 < path.length; at += 2) {
    const [contender = 0, cpu = 0] = [path[at], path[at + 1]];
    const to = sent[contender];
    to?.set(cpu, (to.get(cpu) ?? 0) + amount);
    const gives = at === 0 ? undefined : path[at - 1];
    if (gives !== undefined) to?.set(gives, (to.get(gives) ?? 0) - amount);
  }
  const last = path.at(-1) ?? 0;
  room[last] = (room[last] ?? 0) - amount;
}

/** These classes, and all that hold CPUs which these may use. */
function reachable(
  starts: readonly number[],
  reach: Classes['reach'],
  sent: readonly ReadonlyMap<number, number>[],
): ReadonlySet<number> {
  const found = new Set(starts);
  const queue = [...starts];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const cpu of reach[at] ?? []) {
      sent.forEach((to, other) => {
        if (found.has(other) || (to.get(cpu) ?? 0) <= epsilon) return;
        found.add(other);
        queue.push(other);
      });
    }
  }
  return found;
}
