/** The machine's CPUs and how they lie together, from sysfs (Documentation/ABI/stable/sysfs-devices-system-cpu). */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { firstCpus, parseCpuList } from '../../agent/cpu/cpu-list.ts';
import type { Processor } from '../bridge/contract.ts';

/** CPUs that are on, by number. Where sysfs does not say, each is a core of its own. */
export function readProcessors(devices = '/sys/devices/system'): readonly Processor[] {
  const online = parseCpuList(readText(path.join(devices, 'cpu/online')) ?? '') ?? [];
  const cpus = online.length === 0 ? firstCpus(availableParallelism()) : online;
  const nodes = nodesOf(path.join(devices, 'node'));
  return cpus.map((cpu) => {
    const topology = path.join(devices, `cpu/cpu${cpu}/topology`);
    return {
      cpu,
      core: readNumber(path.join(topology, 'core_id')) ?? cpu,
      socket: readNumber(path.join(topology, 'physical_package_id')) ?? 0,
      node: nodes.get(cpu) ?? 0,
    };
  });
}

function nodesOf(directory: string): ReadonlyMap<number, number> {
  const nodes = new Map<number, number>();
  let entries: string[] = [];
  try {
    entries = readdirSync(directory);
  } catch {
    // A kernel without NUMA.
  }
  for (const entry of entries) {
    const node = /^node(?<number>\d+)$/.exec(entry)?.groups?.['number'];
    if (node === undefined) continue;
    const cpus = parseCpuList(readText(path.join(directory, entry, 'cpulist')) ?? '') ?? [];
    for (const cpu of cpus) nodes.set(cpu, Number(node));
  }
  return nodes;
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}

/** Null where the kernel does not know: it writes -1. */
function readNumber(file: string): number | null {
  const text = readText(file);
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
