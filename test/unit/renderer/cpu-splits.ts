/** Splits for the tests of the CPU screen, from the text of a document as a person writes it. */
import { parseDocument } from '../../../agent/lab/index.ts';
import { firstCpus } from '../../../agent/cpu/cpu-list.ts';
import { figuresOf, type GroupFigures } from '../../../agent/cpu/figures.ts';
import type { CpuSplit } from '../../../agent/cpu/group.ts';
import { splitOf } from '../../../agent/lab/cpu-split.ts';

export interface Seen {
  readonly split: CpuSplit;
  readonly figures: ReadonlyMap<string, GroupFigures>;
}

const head = 'netloom: 1\nname: cores\ntopology:\n  nodes: {}\n';

/** `cpu` is the section, from `cpu:` on. */
export function documentText(cpu: string): string {
  return `${head}${cpu}`;
}

export function seen(text: string): Seen {
  const { document, problems } = parseDocument(text);
  if (document === null) throw new Error(problems.map(({ reason }) => reason).join(' '));
  const split = splitOf(document, firstCpus(16));
  if (split === null) throw new Error('no split');
  return { split, figures: figuresOf(split) };
}

export const notes = documentText(`cpu:
  cores: 16
  groups:
    A:
      cap: 8 # half of the machine
      groups:
        A1: { cap: 3 }
        A2: { cap: 3 }
        A3: { cap: 2 }
    B: { cap: 4 }
    C: { cap: 2 }
    D: { cap: 2 }
`);
