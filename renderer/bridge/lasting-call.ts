/** A call that goes on for as long as somebody looks, and is made again where it has ended. */
import {
  computed,
  onBeforeUnmount,
  onMounted,
  type Ref,
  ref,
  type ShallowRef,
  shallowRef,
  watch,
} from 'vue';
import type { Failure, Result } from '../../agent/api/index.ts';

/** Milliseconds until it is tried again where it ended. */
const pause = 2_000;

export interface LastingCall {
  /** How many components look now. */
  readonly lookers: Ref<number>;
  /** Why nothing comes; null while something does. */
  readonly problem: ShallowRef<Failure | null>;
}

export interface LastingCallOptions<Place> {
  /** Where to look; null where nothing answers. Another place begins anew. */
  readonly placeOf: () => Place | null;
  /** Forgets what the call before has told. */
  readonly forget: () => void;
  readonly call: (place: Place, signal: AbortSignal) => Promise<Result<unknown>>;
}

export function lastingCall<Place>(options: LastingCallOptions<Place>): LastingCall {
  const lookers = ref(0);
  /** A window that nobody sees asks nothing. */
  const hidden = ref(document.visibilityState === 'hidden');
  document.addEventListener('visibilitychange', () => {
    hidden.value = document.visibilityState === 'hidden';
  });
  const problem = shallowRef<Failure | null>(null);
  const place = computed(() => (lookers.value === 0 || hidden.value ? null : options.placeOf()));
  const address = computed(() => JSON.stringify(place.value));

  let end: AbortController | null = null;
  const look = async (): Promise<void> => {
    end?.abort();
    options.forget();
    problem.value = null;
    const controller = new AbortController();
    end = controller;
    while (!controller.signal.aborted && place.value !== null) {
      const ended = await options.call(place.value, controller.signal);
      if (controller.signal.aborted) return;
      options.forget();
      problem.value = ended.ok ? null : ended.failure;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  watch(address, () => void look());
  return { lookers, problem };
}

/** Has it go on while the component is there. */
export function useLook(store: { lookers: number }): void {
  onMounted(() => (store.lookers += 1));
  onBeforeUnmount(() => (store.lookers -= 1));
}
