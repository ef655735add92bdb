/** What changes too fast for a stream is asked for again and again, while somebody looks at it. */
import { computed, onBeforeUnmount, type ShallowRef, shallowRef, watch } from 'vue';
import type { Failure, Result } from '../../agent/api/index.ts';

const refreshMilliseconds = 2_000;

export interface LiveAnswer<T> {
  readonly value: T;
  /** The one before, and the seconds that lie between; null at the first. */
  readonly before: T | null;
  readonly seconds: number;
}

/** `place` says where to ask, null where nothing can be asked; another place begins anew. */
export function useLiveAnswer<P, T>(
  place: () => P | null,
  ask: (place: P) => Promise<Result<T>>,
): {
  readonly answer: Readonly<ShallowRef<LiveAnswer<T> | null>>;
  readonly problem: Readonly<ShallowRef<Failure | null>>;
} {
  const answer = shallowRef<LiveAnswer<T> | null>(null);
  const problem = shallowRef<Failure | null>(null);
  const address = computed(() => JSON.stringify(place()));
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  let last = 0;

  async function look(): Promise<void> {
    clearTimeout(timer);
    const asked = place();
    const of = address.value;
    // A window that nobody sees asks nothing.
    if (asked !== null && document.visibilityState !== 'hidden') {
      const said = await ask(asked);
      // It may have been closed, or another place picked, meanwhile.
      if (closed || of !== address.value) return;
      if (said.ok) {
        const now = performance.now();
        const before = answer.value?.value ?? null;
        answer.value = {
          value: said.value,
          before,
          seconds: before === null ? 0 : (now - last) / 1000,
        };
        last = now;
      }
      problem.value = said.ok ? null : said.failure;
    }
    timer = setTimeout(() => void look(), refreshMilliseconds);
  }
  watch(
    address,
    () => {
      answer.value = null;
      problem.value = null;
      void look();
    },
    { immediate: true },
  );
  onBeforeUnmount(() => {
    closed = true;
    clearTimeout(timer);
  });
  return { answer, problem };
}
