/** Changes of a link’s settings as operations. */
import type { SomeBridgeSettings } from '../api/device.ts';
import type { LinkSettings, Operation } from './operation.ts';

/** Collects the settings of one link that change together. */
export class LinkChange {
  before: LinkSettings = {};
  after: LinkSettings = {};

  get isEmpty(): boolean {
    return Object.keys(this.after).length === 0;
  }

  setBridge(before: SomeBridgeSettings, after: SomeBridgeSettings): void {
    this.set('bridge', { ...this.before.bridge, ...before }, { ...this.after.bridge, ...after });
  }

  set<K extends keyof LinkSettings>(key: K, before: LinkSettings[K], after: LinkSettings[K]): void {
    this.before = { ...this.before, [key]: before };
    this.after = { ...this.after, [key]: after };
  }
}

export function changeOf(
  namespace: string | null,
  name: string,
  before: LinkSettings,
  after: LinkSettings,
): Operation {
  return { kind: 'change-link', namespace, name, before, after };
}
