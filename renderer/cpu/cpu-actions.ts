/** What a person does to a split from buttons, menus and keys alike. */
import { type GroupPath, parentPath } from '../../agent/cpu/group.ts';
import { scaleSplit } from '../../agent/lab/scale-cpu.ts';
import { groupLabel } from '../../agent/lab/cpu-split.ts';
import { useNotices } from '../app/notice-store.ts';
import { useText } from '../app/text/text.ts';
import { useBridge } from '../bridge/bridge.ts';
import { keepForm } from '../topology/document/document-edit.ts';
import { useLab } from '../topology/lab-store.ts';
import { useCpu } from './cpu-store.ts';
import { addGroup, fitGroups, mergeGroups, mergePair, splitGroup } from './split-edits.ts';

export function useCpuActions() {
  const lab = useLab();
  const cpu = useCpu();
  const notices = useNotices();
  const bridge = useBridge();
  const { t } = useText();

  return {
    /** A group in another, of so many cores; of what is free where nobody says. */
    add(parent: GroupPath, cores: number | null = null) {
      const made = addGroup(cpu.written, cpu.writtenFigures, parent, cores);
      if (made !== null && lab.edit(made.edits)) cpu.select(made.path);
    },
    /** Beside the group that is selected. */
    addBeside() {
      this.add(parentPath(cpu.selected ?? '') ?? '');
    },
    split(path: GroupPath) {
      const made = splitGroup(cpu.written, path);
      if (made !== null) lab.edit(made.edits);
    },
    partnerOf: (path: GroupPath): GroupPath | null =>
      mergePair(cpu.written, path)?.find((each) => each !== path) ?? null,
    /** The one on the left keeps its name. */
    merge(path: GroupPath) {
      const pair = mergePair(cpu.written, path);
      if (pair !== null && lab.edit(mergeGroups(cpu.written, ...pair))) cpu.select(pair[0]);
    },
    /** In the kernel, at once; null puts them back where they were. With `tree`, all that they have started too. */
    async bind(pids: readonly number[], group: GroupPath | null, tree: boolean) {
      const realm = lab.overview?.realm;
      if (realm === undefined) return;
      const bound = await bridge.call('cpu.bind', {
        realm,
        lab: lab.name,
        group: group === null ? null : groupLabel(group),
        pids: [...pids],
        descendants: tree,
      });
      notices.judge('bind', bound);
      if (!bound.ok) return;
      const [first] = bound.value.processes;
      notices.tell(
        t(group === null ? 'cpu.isUnbound' : 'cpu.isBound', {
          count: bound.value.processes.length,
          name: first?.name ?? '',
          group: groupLabel(group ?? ''),
        }),
      );
    },
    fit(path: GroupPath) {
      const edits = fitGroups(cpu.written, cpu.writtenFigures, path);
      if (edits.length > 0) lab.edit(edits);
    },
    setCores(cores: number | undefined) {
      lab.edit([{ kind: 'set-cpu-cores', cores }]);
    },
    /** The document for so many CPUs, with every cap in proportion. */
    scaleTo(cores: number) {
      if (lab.document === null) return;
      const scaled = scaleSplit(lab.text, lab.document, cores);
      notices.judge('edit', scaled);
      if (scaled.ok) lab.change(keepForm(lab.text, scaled.value));
    },
  };
}
