import type { Text } from '../app/text/text.ts';

/** Cores as they are read: two digits at most, none that say nothing. */
export function coresText(cores: number): string {
  return String(Number(cores.toFixed(2)));
}

/** With their unit: `1 core`, `0.5 cores`. */
export function coresWords(t: Text['t'], cores: number): string {
  const text = coresText(cores);
  return t('cpu.cores', { count: text === '1' ? 1 : 2, cores: text });
}
