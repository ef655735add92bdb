/** The split of the open lab as the window sees it: from the document, or as it would be while a border is held. */
import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import { type Failure, type PlanStep } from '../../agent/api/index.ts';
import { type CpuSet, firstCpus } from '../../agent/cpu/cpu-list.ts';
import { figuresOf, type KnownFigures } from '../../agent/cpu/figures.ts';
import { type CpuSplit, type GroupPath, plainGroup, walkGroups } from '../../agent/cpu/group.ts';
import { groupLabel, splitOf } from '../../agent/lab/cpu-split.ts';
import { useSettings } from '../app/settings-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { groupAt, type LimitChange, withLimits } from './border.ts';
import { icicleOf } from './icicle.ts';

export const useCpu = defineStore('cpu', () => {
  const lab = useLab();
  const settings = useSettings();

  /** What a border that is held would come to; nothing of it is in the document. */
  const draft = shallowRef<readonly LimitChange[]>([]);

  const processors = computed(() => settings.info?.processors ?? []);
  const machineCpus = computed<CpuSet>(() =>
    processors.value.length > 0 ? processors.value.map(({ cpu }) => cpu) : firstCpus(1),
  );
  /** As the document says; without a section in it, the machine with no group. */
  const written = computed<CpuSplit>(() => {
    const cpus = machineCpus.value;
    const split = lab.document === null ? null : splitOf(lab.document, cpus);
    return split ?? { cpus, root: { ...plainGroup, name: '' } };
  });
  const split = computed(() => withLimits(written.value, draft.value));
  const groups = computed(() => new Map(walkGroups(split.value.root)));
  /** While a border is held, most groups are the very ones that are written. */
  const known: KnownFigures = new WeakMap();
  const figures = computed(() => figuresOf(split.value, known));
  const writtenFigures = computed(() =>
    split.value === written.value ? figures.value : figuresOf(written.value),
  );
  /** The group that is selected, as far as the document has it; null where something else is. */
  const selected = computed<GroupPath | null>(() => {
    const { selection } = lab;
    if (selection === null) return '';
    if (selection.kind !== 'cpu-group') return null;
    return groupAt(written.value, selection.group) === null ? '' : selection.group;
  });
  const icicle = computed(() => icicleOf(split.value, figures.value, selected.value));

  const freeByGroup = computed(
    () =>
      new Map(
        icicle.value.cells.flatMap(({ kind, path, from, to }) =>
          kind === 'free' ? [[path, to - from] as const] : [],
        ),
      ),
  );

  /** A plan that was carried out is no longer news. */
  const plan = computed(() => {
    const shown = lab.shownPlan;
    if (shown === null || shown.outcome !== null || shown.failure !== null) return null;
    return lab.planCurrent ? shown.plan : null;
  });
  const stepsByLabel = computed(() => {
    const found = new Map<string, PlanStep[]>();
    for (const step of plan.value?.steps ?? []) {
      if (step.object !== 'cpu-group') continue;
      const list = found.get(step.label);
      if (list === undefined) found.set(step.label, [step]);
      else list.push(step);
    }
    return found;
  });
  const saidByObject = computed(() => {
    const found = new Map<string, { problems: Failure[]; advice: Failure[] }>();
    const put = (kind: 'problems' | 'advice', failures: readonly Failure[]) => {
      for (const each of failures) {
        if (!each.code.startsWith('cpu-')) continue;
        const list = found.get(each.object) ?? { problems: [], advice: [] };
        list[kind].push(each);
        found.set(each.object, list);
      }
    };
    put('problems', lab.validation?.problems ?? []);
    put('problems', plan.value?.refusals ?? []);
    put('advice', lab.validation?.advice ?? []);
    return found;
  });

  return {
    draft,
    processors,
    machineCpus,
    written,
    writtenFigures,
    split,
    figures,
    icicle,
    selected,
    plan,
    /** Cores of a group that it has handed out to none; 0 where groups without limits take them. */
    freeOf: (path: GroupPath) => freeByGroup.value.get(path) ?? 0,
    /** Whether the document has a split at all. */
    has: computed(() => lab.document?.cpu !== undefined),
    groupOf: (path: GroupPath) => groups.value.get(path) ?? null,
    writtenGroup: (path: GroupPath) => groupAt(written.value, path),
    /** What the plan that is shown does to a group, as one mark. */
    markOf(path: GroupPath): 'add' | 'remove' | 'change' | null {
      const steps = stepsByLabel.value.get(groupLabel(path)) ?? [];
      return steps.find(({ verb }) => verb !== 'change')?.verb ?? steps[0]?.verb ?? null;
    },
    /** Groups that the plan takes away and the document does not have any more. */
    leaving: computed(() =>
      [...stepsByLabel.value]
        .filter(([, steps]) => steps.some(({ verb }) => verb === 'remove'))
        .map(([label]) => label),
    ),
    /** What the validator and the plan say of a group. */
    saidOf: (path: GroupPath) =>
      saidByObject.value.get(groupLabel(path)) ?? { problems: [], advice: [] },
    select(path: GroupPath) {
      lab.selection = { kind: 'cpu-group', group: path };
    },
  };
});
