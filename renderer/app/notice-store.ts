import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Failure, Result } from '../../agent/api/index.ts';

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
  /** What was tried: when it goes well, or no longer matters, its failure goes too. */
  readonly about: string | null;
  readonly actions: readonly NoticeAction[];
}

/** Milliseconds that good news stays; failures stay until they are closed or what they are about is settled. */
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

  /** Takes back what was said of these. */
  const settled = (...abouts: readonly string[]) => {
    notices.value = notices.value.filter(({ about }) => about === null || !abouts.includes(about));
  };
  /** Says that something failed; a cancellation is the person's own doing and says nothing. */
  const fail = (
    failure: Failure,
    actions: readonly NoticeAction[] = [],
    about: string | null = null,
  ) => {
    if (failure.kind === 'cancelled') return;
    const again = notices.value.find(
      (notice) => notice.failure?.code === failure.code && notice.failure.object === failure.object,
    );
    if (again !== undefined) close(again.id);
    if (about !== null) settled(about);
    add({ tone: 'bad', title: '', failure, about, actions }, true);
  };

  return {
    notices,
    close,
    settled,
    fail,
    /** Says that something failed, or that what failed before no longer does. */
    judge(about: string, result: Result<unknown>, actions: readonly NoticeAction[] = []) {
      if (result.ok) settled(about);
      else fail(result.failure, actions, about);
    },
    tell(title: string, tone: 'good' | 'info' = 'good') {
      forget(title);
      add({ tone, title, failure: null, about: null, actions: [] }, false);
    },
    /** Says what happened while perhaps nobody looked; it stays until it is closed. */
    report(title: string) {
      forget(title);
      add({ tone: 'info', title, failure: null, about: null, actions: [] }, true);
    },
  };
});
