/** What the groups of the open lab use, sampled while somebody looks. */
import { defineStore } from 'pinia';
import { computed, onBeforeUnmount, onMounted, ref, shallowRef, watch } from 'vue';
import type {
  CpuGroupSample,
  CpuMachineSample,
  Failure,
  RealmName,
} from '../../agent/api/index.ts';
import type { GroupPath } from '../../agent/cpu/group.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { type GroupHistory, withSample } from './history.ts';

/** Milliseconds between two samples. */
const interval = 500;
/** Milliseconds until it is tried again where it ended. */
const pause = 2_000;

export const useCpuLive = defineStore('cpu-live', () => {
  const bridge = useBridge();
  const realms = useRealms();
  const lab = useLab();

  const lookers = ref(0);
  /** A window that nobody sees asks nothing. */
  const hidden = ref(document.visibilityState === 'hidden');
  document.addEventListener('visibilitychange', () => {
    hidden.value = document.visibilityState === 'hidden';
  });
  const sample = shallowRef<CpuMachineSample | null>(null);
  const problem = shallowRef<Failure | null>(null);
  const history = shallowRef<ReadonlyMap<GroupPath, GroupHistory>>(new Map());

  /** Where to look, and for what; null where nobody looks or nothing answers. */
  const place = computed<{ realm: RealmName; lab: string | null } | null>(() => {
    if (lookers.value === 0 || hidden.value || realms.watched === null) return null;
    if (realms.current?.state !== 'running') return null;
    const inForce = lab.up && realms.watched === lab.overview?.realm;
    return { realm: realms.watched, lab: inForce ? lab.name : null };
  });
  const address = computed(() => JSON.stringify(place.value));

  let end: AbortController | null = null;
  const look = async (): Promise<void> => {
    end?.abort();
    sample.value = null;
    history.value = new Map();
    problem.value = null;
    const controller = new AbortController();
    end = controller;
    while (!controller.signal.aborted && place.value !== null) {
      const ended = await bridge.call(
        'cpu.watch',
        { ...place.value, interval },
        {
          signal: controller.signal,
          onProgress: (next) => {
            if (controller.signal.aborted) return;
            problem.value = null;
            sample.value = next;
            history.value = withSample(history.value, next);
          },
        },
      );
      if (controller.signal.aborted) return;
      sample.value = null;
      problem.value = ended.ok ? null : ended.failure;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  watch(address, () => void look());

  const byGroup = computed<ReadonlyMap<GroupPath, CpuGroupSample>>(
    () => new Map((sample.value?.groups ?? []).map((each) => [each.group, each])),
  );

  return {
    sample,
    problem,
    lookers,
    of: (path: GroupPath): CpuGroupSample | null => byGroup.value.get(path) ?? null,
    historyOf: (path: GroupPath): GroupHistory | null => history.value.get(path) ?? null,
    /** Cores that processes outside of the lab's groups use. */
    othersUse: computed(() => {
      const cpus = sample.value?.cpus ?? [];
      if (cpus.length === 0 || cpus.some(({ use }) => use === null)) return null;
      const all = cpus.reduce((sum, { use }) => sum + (use ?? 0), 0);
      return Math.max(0, all - (byGroup.value.get('')?.use ?? 0));
    }),
    cpuUse: computed(() => new Map((sample.value?.cpus ?? []).map((each) => [each.cpu, each.use]))),
    processes: computed(() => sample.value?.processes ?? []),
  };
});

/** Has the groups sampled while the component is there. */
export function useCpuLook(): ReturnType<typeof useCpuLive> {
  const live = useCpuLive();
  onMounted(() => (live.lookers += 1));
  onBeforeUnmount(() => (live.lookers -= 1));
  return live;
}
