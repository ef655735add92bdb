import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Failure } from '../../agent/api/index.ts';

export interface NoticeAction {
  readonly label: string;
  readonly run: () => void;
}

export interface Notice {
  readonly id: number;
  readonly tone: 'good' | 'info' | 'bad';
  /** Shown as it is; for a failure the list says it in the person's language. */
  readonly title: string;
  readonly failure: Failure | null;
  readonly actions: readonly NoticeAction[];
}

/** Milliseconds that good news stays; failures stay until they are closed. */
const shown = 4_000;
const most = 5;

export const useNotices = defineStore('notices', () => {
  const notices = ref<readonly Notice[]>([]);
  let nextId = 1;

  const close = (id: number) => {
    notices.value = notices.value.filter((notice) => notice.id !== id);
  };
  const add = (notice: Omit<Notice, 'id'>, stays: boolean) => {
    const id = nextId++;
    notices.value = [...notices.value, { ...notice, id }].slice(-most);
    if (!stays) setTimeout(() => close(id), shown);
  };

  /** The same sentence twice is no news. */
  const forget = (title: string) => {
    notices.value = notices.value.filter((notice) => notice.title !== title || title === '');
  };

  return {
    notices,
    close,
    /** Says that something failed; a cancellation is the person's own doing and says nothing. */
    fail(failure: Failure, actions: readonly NoticeAction[] = []) {
      if (failure.kind === 'cancelled') return;
      const again = notices.value.find(
        (notice) =>
          notice.failure?.code === failure.code && notice.failure.object === failure.object,
      );
      if (again !== undefined) close(again.id);
      add({ tone: 'bad', title: '', failure, actions }, true);
    },
    tell(title: string, tone: 'good' | 'info' = 'good') {
      forget(title);
      add({ tone, title, failure: null, actions: [] }, false);
    },
    /** Says what happened while perhaps nobody looked; it stays until it is closed. */
    report(title: string) {
      forget(title);
      add({ tone: 'info', title, failure: null, actions: [] }, true);
    },
  };
});
