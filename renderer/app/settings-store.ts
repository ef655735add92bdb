import { defineStore } from 'pinia';
import { computed, ref, watch } from 'vue';
import type { AppInfo, Settings } from '../../main/bridge/contract.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useNotices } from './notice-store.ts';
import { type Language, setLanguage } from './text/text.ts';

export type View = Settings['view'];
export type Theme = 'light' | 'dark';

const initial: Settings = {
  theme: 'system',
  language: 'system',
  lastDocument: null,
  view: 'library',
  layout: {},
};

const writeDelay = 400;

export const useSettings = defineStore('settings', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const settings = ref<Settings>(initial);
  const info = ref<AppInfo | null>(null);
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const systemDark = ref(dark.matches);
  dark.addEventListener('change', (event) => {
    systemDark.value = event.matches;
  });

  const theme = computed<Theme>(() => {
    if (settings.value.theme !== 'system') return settings.value.theme;
    return systemDark.value ? 'dark' : 'light';
  });
  const language = computed<Language>(() => {
    if (settings.value.language !== 'system') return settings.value.language;
    return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
  });
  watch(theme, (value) => (document.documentElement.dataset['theme'] = value), {
    immediate: true,
  });
  watch(language, setLanguage, { immediate: true });

  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = async () => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    const result = await bridge.call('settings.write', { settings: settings.value });
    notices.judge('settings', result);
  };
  const update = (change: Partial<Settings>) => {
    settings.value = { ...settings.value, ...change };
    clearTimeout(timer);
    timer = setTimeout(() => void flush(), writeDelay);
  };
  window.addEventListener('pagehide', () => void flush());

  /** Closed until somebody asks for something that it shows: the drawing comes first. */
  const drawerOpen = computed(() => settings.value.layout['drawerOpen'] === true);

  return {
    settings,
    info,
    drawerOpen,
    theme,
    language,
    update,
    flush,
    async load() {
      const [read, about] = await Promise.all([
        bridge.call('settings.read', {}),
        bridge.call('app.info', {}),
      ]);
      notices.judge('settings', read);
      if (read.ok) settings.value = read.value;
      if (about.ok) info.value = about.value;
    },
    /** A remembered number of the layout, in px unless it says otherwise. */
    layoutNumber(key: string, otherwise: number): number {
      const value = settings.value.layout[key];
      return typeof value === 'number' ? value : otherwise;
    },
    layoutText(key: string, otherwise: string): string {
      const value = settings.value.layout[key];
      return typeof value === 'string' ? value : otherwise;
    },
    setLayout(key: string, value: number | string | boolean) {
      if (settings.value.layout[key] === value) return;
      update({ layout: { ...settings.value.layout, [key]: value } });
    },
  };
});
