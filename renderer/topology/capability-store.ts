import { defineStore } from 'pinia';
import { shallowRef } from 'vue';
import type { Capability } from '../../agent/api/index.ts';

export type KnownCapability = Pick<Capability, 'name' | 'available' | 'reason'>;

/** What the running kernel and machine can do, by names such as `link:vlan`; what nobody tried counts as there. */
export const useCapabilities = defineStore('capabilities', () => {
  const capabilities = shallowRef<readonly KnownCapability[]>([]);
  return {
    capabilities,
    set(found: readonly KnownCapability[]) {
      capabilities.value = found;
    },
    /** Why it is lacking, one sentence; null when it is there or nobody knows. */
    lackOf(name: string): string | null {
      const found = capabilities.value.find((each) => each.name === name);
      return found === undefined || found.available ? null : (found.reason ?? '');
    },
  };
});
