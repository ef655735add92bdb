import { defineStore } from 'pinia';
import { computed, ref, shallowReactive } from 'vue';
import { applyInventoryDelta, type Inventory, type RealmName } from '../../agent/api/index.ts';
import type { RealmOverview } from '../../main/bridge/contract.ts';
import { useNotices } from '../app/notice-store.ts';
import { useBridge } from '../bridge/bridge.ts';

/** The realms and what exists in them. Inventories are kept for realms that somebody looks at. */
export const useRealms = defineStore('realms', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const realms = shallowReactive(new Map<RealmName, RealmOverview>());
  const inventories = shallowReactive(new Map<RealmName, Inventory>());
  const watched = ref<RealmName | null>(null);
  const starting = ref(false);
  const fetching = new Set<RealmName>();

  const fetchInventory = async (realm: RealmName) => {
    if (fetching.has(realm)) return;
    fetching.add(realm);
    const result = await bridge.call('inventory.snapshot', { realm });
    fetching.delete(realm);
    // Without an agent there is nothing to ask; the realm's own state says so already.
    if (result.ok) inventories.set(realm, result.value);
  };

  const receive = (overview: RealmOverview) => {
    realms.set(overview.realm, overview);
    if (overview.state === 'gone' || overview.state === 'absent') {
      inventories.delete(overview.realm);
    } else if (overview.state === 'running' && watched.value === overview.realm) {
      void fetchInventory(overview.realm);
    }
  };

  bridge.subscribe('realm', receive);
  bridge.subscribe('inventory', (message) => {
    if (message.kind === 'reset') {
      inventories.set(message.realm, message.inventory);
      return;
    }
    const before = inventories.get(message.realm);
    // What nobody looks at is fetched when somebody does; what the snapshot holds already is old news.
    if (before === undefined || message.delta.sequence <= before.sequence) return;
    const after = applyInventoryDelta(before, message.delta);
    if (after === null) void fetchInventory(message.realm);
    else inventories.set(message.realm, after);
  });

  return {
    realms,
    inventories,
    watched,
    starting,
    current: computed(() => (watched.value === null ? null : (realms.get(watched.value) ?? null))),
    inventory: computed(() =>
      watched.value === null ? null : (inventories.get(watched.value) ?? null),
    ),
    async load() {
      const result = await bridge.call('realm.list', {});
      notices.judge('realms', result);
      if (!result.ok) return;
      const known = new Set(result.value.realms.map((realm) => realm.realm));
      for (const name of [...realms.keys()]) if (!known.has(name)) realms.delete(name);
      inventories.clear();
      for (const overview of result.value.realms) receive(overview);
    },
    /** Says which realm the window looks at. */
    watch(realm: RealmName | null) {
      if (watched.value === realm) return;
      watched.value = realm;
      if (realm !== null && realms.get(realm)?.state === 'running') void fetchInventory(realm);
    },
    async startAgent(realm: RealmName) {
      starting.value = true;
      const result = await bridge.call('realm.startAgent', { realm });
      starting.value = false;
      notices.judge('agent', result);
      if (result.ok) receive(result.value);
    },
  };
});
