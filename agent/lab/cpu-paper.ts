/** What a split comes to by itself, on the machine that it is written for. */
import type { LabDocument } from '../api/document.ts';
import type { PlanStep } from '../api/plan.ts';
import type { CpuSet } from '../cpu/cpu-list.ts';
import { figuresOf } from '../cpu/figures.ts';
import { type GroupPath, walkGroups } from '../cpu/group.ts';
import { type CpuLimits, limitsOf } from '../cpu/limits.ts';
import { paperMachine } from '../cpu/machine.ts';
import { planSplit } from '../cpu/plan-split.ts';
import { commandsOfCpu } from './command-cpu.ts';
import { word } from './command.ts';
import { splitOf } from './cpu-split.ts';
import { describeCpu } from './step-cpu.ts';

export interface PaperGroup {
  readonly group: GroupPath;
  /** Cores; null without. */
  readonly cap: number | null;
  readonly limits: CpuLimits;
  readonly ceiling: number;
  /** The group that holds it to its ceiling; null is the machine. */
  readonly heldBy: GroupPath | null;
  /** Cores under contention, when nothing but the lab's groups wants to run. No promise of the kernel's. */
  readonly guaranteed: number;
  readonly overcommit: number;
  readonly unallocated: number;
}

export interface PaperSplit {
  readonly cpus: CpuSet;
  readonly groups: readonly PaperGroup[];
  readonly steps: readonly PlanStep[];
}

/** `cpus` are the machine's where the document does not say. Null without a split. */
export function paperSplitOf(document: LabDocument, cpus: CpuSet): PaperSplit | null {
  const split = splitOf(document, cpus);
  if (split === null) return null;
  const figures = figuresOf(split);
  const machine = paperMachine(split.cpus);
  const cpu = { lab: document.name, machine, isOpen: () => false };
  return {
    cpus: split.cpus,
    groups: [...walkGroups(split.root)].flatMap(([group, { cap, ...settings }]) => {
      const figure = figures.get(group);
      if (figure === undefined) return [];
      const { ceiling, heldBy, guaranteed, overcommit, unallocated } = figure;
      const limits = limitsOf({ cap, ...settings });
      return [{ group, cap, limits, ceiling, heldBy, guaranteed, overcommit, unallocated }];
    }),
    steps: planSplit(split, machine).first.map((operation, id) => ({
      id,
      ...describeCpu(operation),
      commands: [...commandsOfCpu(operation, { cpu }, word)],
    })),
  };
}
