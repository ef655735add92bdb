/** The realm's processes as rows: those that are looked for, as a tree. Pure. */
import type { CpuCandidate } from '../../agent/api/index.ts';

export interface ProcessRow {
  readonly process: CpuCandidate;
  /** Below how many others that are shown it stands. */
  readonly depth: number;
}

/** Deeper than that nobody can tell. */
const deepest = 6;

/** Kernel threads can be bound by nobody and are shown only to whoever looks for them. */
export function processRows(
  candidates: readonly CpuCandidate[],
  query: string,
): readonly ProcessRow[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = candidates.filter((each) =>
    words.length === 0 ? each.command !== '' : words.every((word) => matches(each, word)),
  );
  const byPid = new Map(shown.map((each) => [each.pid, each]));
  const children = new Map<number, CpuCandidate[]>();
  const roots: CpuCandidate[] = [];
  for (const each of shown) {
    if (!byPid.has(each.parent) || each.parent === each.pid) {
      roots.push(each);
      continue;
    }
    const list = children.get(each.parent);
    if (list === undefined) children.set(each.parent, [each]);
    else list.push(each);
  }
  const rows: ProcessRow[] = [];
  const left = roots.toReversed().map((process) => ({ process, depth: 0 }));
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    rows.push(next);
    const depth = Math.min(deepest, next.depth + 1);
    for (const process of (children.get(next.process.pid) ?? []).toReversed()) {
      left.push({ process, depth });
    }
  }
  return rows;
}

function matches(
  { pid, name, command, uid, namespace, group }: CpuCandidate,
  word: string,
): boolean {
  if (/^\d+$/.test(word) && (String(pid) === word || String(uid) === word)) return true;
  return [name, command, namespace ?? '', group ?? ''].some((text) =>
    text.toLowerCase().includes(word),
  );
}
