/** In which order CPUs are shown: as they lie in NUMA nodes, sockets and cores, threads of a core beside each other. Pure. */
import type { CpuSet } from '../../agent/cpu/cpu-list.ts';
import type { Processor } from '../../main/bridge/contract.ts';

export interface PlacedCpu {
  readonly cpu: number;
  /** Null for a CPU that this machine does not have. */
  readonly processor: Processor | null;
  /** Whether it is a thread of the same core as the one before it. */
  readonly joined: boolean;
}

/** CPUs of a split that is for another machine are in the order of their numbers. */
export function placeCpus(cpus: CpuSet, processors: readonly Processor[]): readonly PlacedCpu[] {
  const known = new Map(processors.map((each) => [each.cpu, each]));
  const here = cpus.length === processors.length && cpus.every((cpu) => known.has(cpu));
  if (!here) return cpus.map((cpu) => ({ cpu, processor: null, joined: false }));
  const ordered = processors.toSorted(
    (one, other) =>
      one.node - other.node ||
      one.socket - other.socket ||
      one.core - other.core ||
      one.cpu - other.cpu,
  );
  return ordered.map((processor, index) => {
    const before = ordered[index - 1];
    const joined = before !== undefined && sameCore(before, processor);
    return { cpu: processor.cpu, processor, joined };
  });
}

function sameCore(one: Processor, other: Processor): boolean {
  return one.node === other.node && one.socket === other.socket && one.core === other.core;
}

export interface CpuRegion {
  readonly node: number;
  readonly socket: number;
  /** Places in the order of CPUs, the second one behind the last. */
  readonly from: number;
  readonly to: number;
}

/** Stretches of one socket at one NUMA node. */
export function regionsOf(placed: readonly PlacedCpu[]): readonly CpuRegion[] {
  const regions: CpuRegion[] = [];
  placed.forEach(({ processor }, index) => {
    if (processor === null) return;
    const { node, socket } = processor;
    const last = regions.at(-1);
    if (last?.node === node && last.socket === socket) {
      regions[regions.length - 1] = { ...last, to: index + 1 };
    } else regions.push({ node, socket, from: index, to: index + 1 });
  });
  return regions;
}
