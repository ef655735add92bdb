/**
 * Lists of CPUs as the kernel writes them: `0-3,8` (Documentation/admin-guide/cgroup-v2.rst, cpuset.cpus). The kernel's own
 * reader takes more (`0 1`, strides, `all`) and means something else by some of it; ours takes one form.
 */

/** Ascending, each once. */
export type CpuSet = readonly number[];

/** No kernel has more (NR_CPUS of the largest configurations). */
export const maximumCpus = 8192;

const listPattern = /^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/;

/** Null for what is not a list: a range that runs backwards, spaces, strides. The empty text is the empty set. */
export function parseCpuList(text: string): CpuSet | null {
  if (text === '') return [];
  if (!listPattern.test(text)) return null;
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const [first = '', last = first] = part.split('-');
    const [from, to] = [Number(first), Number(last)];
    if (from > to || to >= maximumCpus) return null;
    for (let cpu = from; cpu <= to; cpu += 1) cpus.add(cpu);
  }
  return ascending(cpus);
}

/** As the kernel prints it: ranges where they are, ascending. */
export function formatCpuList(cpus: CpuSet): string {
  const parts: string[] = [];
  for (let at = 0; at < cpus.length;) {
    let end = at;
    while (cpus[end + 1] === (cpus[end] ?? 0) + 1) end += 1;
    parts.push(end === at ? String(cpus[at]) : `${cpus[at]}-${cpus[end]}`);
    at = end + 1;
  }
  return parts.join(',');
}

/** The first `count` CPUs of a machine that is only on paper. */
export function firstCpus(count: number): CpuSet {
  return Array.from({ length: count }, (_, cpu) => cpu);
}

export function unionOf(...sets: readonly CpuSet[]): CpuSet {
  return ascending(new Set(sets.flat()));
}

export function intersectionOf(left: CpuSet, right: CpuSet): CpuSet {
  const others = new Set(right);
  return left.filter((cpu) => others.has(cpu));
}

export function differenceOf(left: CpuSet, right: CpuSet): CpuSet {
  const others = new Set(right);
  return left.filter((cpu) => !others.has(cpu));
}

export function isSubset(inner: CpuSet, outer: CpuSet): boolean {
  return differenceOf(inner, outer).length === 0;
}

export function overlaps(left: CpuSet, right: CpuSet): boolean {
  return intersectionOf(left, right).length > 0;
}

function ascending(cpus: Iterable<number>): CpuSet {
  return [...cpus].sort((left, right) => left - right);
}
