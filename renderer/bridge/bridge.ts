import type { Bridge } from './client.ts';

let current: Bridge | null = null;

/** The window's one bridge; set before the program starts (or by a test). */
export function installBridge(bridge: Bridge): void {
  current = bridge;
}

export function useBridge(): Bridge {
  if (current === null) throw new Error('the bridge was used before it was installed');
  return current;
}
