import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { Failure, Inventory } from '../../../agent/api/index.ts';
import { useBridge } from '../../bridge/bridge.ts';
import { useRealms } from '../../inventory/realm-store.ts';
import { overlaysOf } from '../canvas/scene/overlays.ts';
import { useLab } from '../lab-store.ts';
import { namespaceNameOf } from '../live.ts';
import { onwardPacket } from './packet.ts';
import { beyond, lightOf, noLight, tagBeyond, type TracedRun } from './trace-path.ts';

/** A packet that floods a large lab would be asked after for ever. */
const mostRuns = 24;

/** The switches with their ports and the state of these, as a text to compare. */
function switchesOf(inventory: Inventory | null): string {
  return JSON.stringify(
    (inventory?.engines ?? []).map((engine) => [
      engine.switch.pid,
      engine.bridges.map((view) => [view.bridge, view.interfaces]),
    ]),
  );
}

/** The packet that is traced, and what came of it: the drawing and the list show the same. */
export const useTraces = defineStore('traces', () => {
  const bridge = useBridge();
  const realms = useRealms();
  const lab = useLab();
  const runs = shallowRef<readonly TracedRun[]>([]);
  const problem = shallowRef<Failure | null>(null);
  const busy = ref(false);
  /** Whether there was more to follow than is followed. */
  const cut = ref(false);
  /** Lab that it belongs to: in another one nothing is lit. */
  const of = ref('');
  /** What the switches were when it was traced; null while it is. */
  const then = ref<string | null>(null);
  let asked = 0;

  const shown = computed(() => (of.value === lab.name ? runs.value : []));
  /** Whether the switches have changed since: the packet might go another way now. */
  const stale = computed(
    () =>
      shown.value.length > 0 && then.value !== null && then.value !== switchesOf(realms.inventory),
  );
  const light = computed(() =>
    shown.value.length === 0 || stale.value ? noLight : lightOf(shown.value),
  );

  async function ask(node: string, flow: string, frame: string | null) {
    const realm = realms.watched;
    if (realm === null || lab.document === null) return null;
    const namespace = namespaceNameOf(realms.inventory, lab.document, node);
    if (namespace === undefined) return null;
    return bridge.call('openflow.trace', {
      ...{ realm, namespace, bridge: node, flow },
      ...(frame === null ? {} : { frame }),
    });
  }

  function clear(): void {
    asked += 1;
    runs.value = [];
    problem.value = null;
    busy.value = false;
    cut.value = false;
    then.value = null;
  }

  /**
   * Asks the bridge, then each that the packet comes to by a wire or a tunnel from there. `frame` are a packet's own
   * octets as hexadecimal text; `packet` then says where it comes in.
   */
  async function trace(node: string, packet: string, frame: string | null = null): Promise<void> {
    clear();
    const count = asked;
    busy.value = true;
    of.value = lab.name;
    const { document } = lab;
    const tunnels = document === null ? [] : overlaysOf(document).map((each) => each.ends);
    const queue: { node: string; packet: string; from: string | null; by: string | null }[] = [
      { node, packet, from: null, by: null },
    ];
    const seen = new Set<string>();
    for (const next of queue) {
      if (runs.value.length >= mostRuns) {
        cut.value = true;
        break;
      }
      const answer = await ask(next.node, next.packet, next.from === null ? frame : null);
      if (count !== asked) return;
      if (answer === null || !answer.ok) {
        problem.value = answer?.failure ?? null;
        break;
      }
      const { value } = answer;
      // Of a packet that came as octets the switch says first what it is.
      const packet = next.from === null && frame !== null ? value.flow : next.packet;
      runs.value = [...runs.value, { node: next.node, trace: value, from: next.from, by: next.by }];
      if (document === null) continue;
      for (const { bridge: last, port, member } of value.result.outputs) {
        const out = { node: last, interface: member ?? port };
        const far = beyond(document, tunnels, out);
        const key = far === null ? '' : `${far.node}:${far.interface}`;
        if (far === null || seen.has(key)) continue;
        seen.add(key);
        const tag = tagBeyond(document, packet, value.steps, out);
        const onward = onwardPacket(value.result.finalFlow ?? packet, far.interface, tag);
        queue.push({ node: far.node, packet: onward, from: `${last}:${port}`, by: key });
      }
    }
    busy.value = false;
    then.value = switchesOf(realms.inventory);
  }

  return { runs: shown, stale, light, problem, busy, cut, trace, clear };
});
