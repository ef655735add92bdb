/** What the groups of the open lab use, sampled while somebody looks. */
import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import type { CpuGroupSample, CpuMachineSample, RealmName } from '../../agent/api/index.ts';
import type { GroupPath } from '../../agent/cpu/group.ts';
import { useBridge } from '../bridge/bridge.ts';
import { lastingCall, useLook } from '../bridge/lasting-call.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { type GroupHistory, withSample } from './history.ts';

/** Milliseconds between two samples. */
const interval = 500;

export const useCpuLive = defineStore('cpu-live', () => {
  const bridge = useBridge();
  const realms = useRealms();
  const lab = useLab();

  const sample = shallowRef<CpuMachineSample | null>(null);
  const history = shallowRef<ReadonlyMap<GroupPath, GroupHistory>>(new Map());

  const { lookers, problem } = lastingCall<{ realm: RealmName; lab: string | null }>({
    placeOf: () => {
      if (realms.watched === null || realms.current?.state !== 'running') return null;
      const inForce = lab.up && realms.watched === lab.overview?.realm;
      return { realm: realms.watched, lab: inForce ? lab.name : null };
    },
    forget: () => {
      sample.value = null;
      history.value = new Map();
    },
    call: (place, signal) =>
      bridge.call(
        'cpu.watch',
        { ...place, interval },
        {
          signal,
          onProgress: (next) => {
            if (signal.aborted) return;
            problem.value = null;
            sample.value = next;
            history.value = withSample(history.value, next);
          },
        },
      ),
  });

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
  useLook(live);
  return live;
}
