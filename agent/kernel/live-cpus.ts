/** The machine's CPUs: where each sits, and how busy each has been (proc(5), /proc/stat). */
import { readdirSync, readFileSync } from 'node:fs';
import type { CpuSample } from '../api/cpu.ts';
import type { KeptFiles } from './kept-files.ts';

type Place = Omit<CpuSample, 'use'>;

/** Hundredths of a second since the start. */
interface Ticks {
  readonly busy: number;
  readonly all: number;
}

const directory = '/sys/devices/system/cpu';

function numberIn(file: string): number {
  try {
    const number = Number(readFileSync(file, 'utf8'));
    // The kernel says -1 where the firmware does not tell.
    return Number.isInteger(number) && number >= 0 ? number : 0;
  } catch {
    return 0;
  }
}

function nodeOf(cpu: number): number {
  try {
    const node = readdirSync(`${directory}/cpu${cpu}`).find((name) => /^node\d+$/.test(name));
    return Number(node?.slice('node'.length) ?? 0);
  } catch {
    return 0;
  }
}

function placeOf(cpu: number): Place {
  const topology = `${directory}/cpu${cpu}/topology`;
  return {
    cpu,
    core: numberIn(`${topology}/core_id`),
    socket: numberIn(`${topology}/physical_package_id`),
    node: nodeOf(cpu),
  };
}

/** Pure. Busy is what is neither idle nor waiting for a disk; guests' time is in user's already. */
export function parseCpuTicks(text: string): ReadonlyMap<number, Ticks> {
  const ticks = new Map<number, Ticks>();
  for (const line of text.split('\n')) {
    if (!line.startsWith('cpu')) break;
    const [name = '', ...fields] = line.split(' ');
    if (name === 'cpu') continue;
    const counts = fields.slice(0, 8).map(Number);
    const all = counts.reduce((sum, count) => sum + count, 0);
    ticks.set(Number(name.slice('cpu'.length)), {
      busy: all - (counts[3] ?? 0) - (counts[4] ?? 0),
      all,
    });
  }
  return ticks;
}

export class LiveCpus {
  private readonly files: KeptFiles;
  private before: ReadonlyMap<number, Ticks> = new Map();
  private places: readonly Place[] = [];

  constructor(files: KeptFiles) {
    this.files = files;
  }

  /** What is online now; a CPU's use is null where it was not there before, or no time has passed. */
  sample(): readonly CpuSample[] {
    const now = parseCpuTicks(this.files.read('/proc/stat') ?? '');
    if (this.places.length !== now.size || this.places.some(({ cpu }) => !now.has(cpu))) {
      this.places = [...now.keys()].map(placeOf);
    }
    const { before } = this;
    this.before = now;
    return this.places.map((place) => ({
      ...place,
      use: shareBetween(before.get(place.cpu), now.get(place.cpu)),
    }));
  }
}

function shareBetween(before: Ticks | undefined, now: Ticks | undefined): number | null {
  if (before === undefined || now === undefined || now.all <= before.all) return null;
  // The kernel's idle time may run backwards by a tick.
  const share = (now.busy - before.busy) / (now.all - before.all);
  return Math.min(1, Math.max(0, share));
}
