/** What of a document runs in which group. Pure. */
import type { LabDocument } from '../../agent/api/index.ts';
import type { GroupPath } from '../../agent/cpu/group.ts';
import { groupPathOf } from '../../agent/lab/cpu-split.ts';
import type { DocumentEdit } from '../topology/document/document-edit.ts';

/** A node, or a process that the document runs in one. */
export interface Bindable {
  readonly node: string;
  /** Its place in the node's `run`; null is the node with all that it has. */
  readonly run: number | null;
  /** `h1`, or `load in h1`. */
  readonly label: string;
  /** The group that it names itself; null is none of its own. */
  readonly group: GroupPath | null;
}

export function bindablesOf({ topology }: LabDocument): readonly Bindable[] {
  return Object.entries(topology.nodes).flatMap(([node, settings]): Bindable[] => {
    if (settings.kind !== 'namespace' && settings.kind !== 'vm') return [];
    const own = settings.cpu;
    const group = own === undefined ? null : groupPathOf(own);
    const runs = settings.kind === 'namespace' ? (settings.run ?? []) : [];
    return [
      { node, run: null, label: node, group },
      ...runs.map((run, index) => ({
        node,
        run: index,
        label: `${run.name} · ${node}`,
        group: run.cpu === undefined ? null : groupPathOf(run.cpu),
      })),
    ];
  });
}

export function boundTo(document: LabDocument, path: GroupPath): readonly Bindable[] {
  return bindablesOf(document).filter(({ group }) => group === path);
}

/** Null takes the binding out. */
export function bindEdits(
  { node, run }: Bindable,
  group: GroupPath | null,
): readonly DocumentEdit[] {
  const path = run === null ? ['cpu'] : ['run', run, 'cpu'];
  const value = group === null ? undefined : group === '' ? '/' : group;
  return [{ kind: 'set-node', name: node, path, value }];
}
