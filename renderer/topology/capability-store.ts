import { defineStore } from 'pinia';
import { shallowRef } from 'vue';
import type { Capability } from '../../agent/api/index.ts';
import { useBridge } from '../bridge/bridge.ts';

export type KnownCapability = Pick<Capability, 'name' | 'available' | 'reason' | 'remedy'>;

/** What the running kernel and machine can do, by names such as `link:vlan`; what nobody tried counts as there. */
export const useCapabilities = defineStore('capabilities', () => {
  const capabilities = shallowRef<readonly KnownCapability[]>([]);
  return {
    capabilities,
    set(found: readonly KnownCapability[]) {
      capabilities.value = found;
    },
    /** Asks the machine, which takes a second or two. Without an answer everything counts as there. */
    async load() {
      const examined = await useBridge().call('app.doctor', {});
      if (examined.ok) capabilities.value = examined.value.capabilities;
    },
    /** What is known of something that is lacking; null when it is there or nobody knows. */
    lackOf(name: string): KnownCapability | null {
      const found = capabilities.value.find((each) => each.name === name);
      return found === undefined || found.available ? null : found;
    },
  };
});
