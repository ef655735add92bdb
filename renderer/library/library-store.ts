import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Result } from '../../agent/api/index.ts';
import type { GalleryEntry, LibraryEntry, OpenDocument } from '../../main/bridge/contract.ts';
import { useNotices } from '../app/notice-store.ts';
import { useBridge } from '../bridge/bridge.ts';

/** The person's lab files and the gallery. */
export const useLibrary = defineStore('library', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const entries = ref<readonly LibraryEntry[]>([]);
  const gallery = ref<readonly GalleryEntry[]>([]);
  const loaded = ref(false);
  /** Names of labs that an action of this table works on right now. */
  const busy = ref<ReadonlySet<string>>(new Set());

  const load = async () => {
    const result = await bridge.call('library.list', {});
    notices.judge('library', result);
    if (result.ok) entries.value = result.value.entries;
    loaded.value = true;
  };

  let timer: ReturnType<typeof setTimeout> | undefined;
  const loadSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void load(), 50);
  };
  bridge.subscribe('library', loadSoon);
  bridge.subscribe('lab', loadSoon);

  const opened = (result: Result<OpenDocument>): OpenDocument | null => {
    loadSoon();
    notices.judge('library-file', result);
    return result.ok ? result.value : null;
  };

  return {
    entries,
    gallery,
    loaded,
    busy,
    load,
    async loadGallery() {
      const result = await bridge.call('library.gallery', {});
      notices.judge('gallery', result);
      if (result.ok) gallery.value = result.value.entries;
    },
    openGallery: async (name: string) => opened(await bridge.call('library.openGallery', { name })),
    open: async (path: string) => opened(await bridge.call('document.open', { path })),
    create: async (name: string) => opened(await bridge.call('library.create', { name })),
    duplicate: async (path: string, name: string) =>
      opened(await bridge.call('library.duplicate', { path, name })),
    rename: async (path: string, name: string) =>
      opened(await bridge.call('library.rename', { path, name })),
    async remove(path: string): Promise<boolean> {
      const result = await bridge.call('library.delete', { path });
      loadSoon();
      notices.judge('library-file', result);
      return result.ok;
    },
    /** Plans and applies “down” without opening the lab. */
    async takeDown(name: string): Promise<boolean> {
      busy.value = new Set([...busy.value, name]);
      const plan = await bridge.call('lab.plan', { lab: name, target: { kind: 'down' } });
      const refusal = plan.ok ? plan.value.refusals[0] : plan.failure;
      let done = false;
      const about = `down ${name}`;
      if (refusal !== undefined) notices.fail(refusal, [], about);
      else if (plan.ok && plan.value.id !== null) {
        const applied = await bridge.call('lab.apply', { lab: name, plan: plan.value.id });
        done = applied.ok;
        notices.judge(about, applied);
      }
      busy.value = new Set([...busy.value].filter((each) => each !== name));
      loadSoon();
      return done;
    },
  };
});

/** A free name made from another: `lab` becomes `lab-2`, `lab-2` becomes `lab-3`. Lab names have at most 32 letters. */
export function freeLabName(wish: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wish)) return wish;
  const stem = wish.replace(/-\d+$/, '');
  for (let number = 2; ; number += 1) {
    const ending = `-${number}`;
    const name = stem.slice(0, 32 - ending.length).replace(/-+$/, '') + ending;
    if (!taken.has(name)) return name;
  }
}
