/** Processes: those that end, and those that start. */
import type { NamespaceView } from '../api/inventory.ts';
import { isCollector } from './collector.ts';
import { linkKey } from './network.ts';
import type { PlanDraft } from './plan-draft.ts';

export function planProcesses(draft: PlanDraft): void {
  const { observed } = draft;
  const wanted = new Map(
    draft.desired.processes.map((process) => [linkKey(process.namespace, process.name), process]),
  );
  const running = new Set<string>();
  const { realm } = observed;
  const views: readonly (readonly [string | null, NamespaceView])[] = [
    ...(realm === undefined ? [] : [[null, realm] as const]),
    ...observed.namespacesByName,
  ];
  for (const [namespace, view] of views) {
    if (observed.nameOf(view.id) !== namespace) continue;
    for (const { lab, name, command, uid } of view.runs) {
      if (lab !== draft.lab) continue;
      const key = linkKey(namespace, name);
      const process = wanted.get(key);
      const held = process?.devices.some(
        (device) => draft.removedKeys.has(device) || !draft.kept.has(device),
      );
      if (process !== undefined && sameWords(process.command, command) && held !== true) {
        running.add(key);
        continue;
      }
      draft.push('stop-processes', {
        kind: 'stop-process',
        namespace,
        name,
        command,
        ...(uid === undefined ? {} : { uid }),
      });
    }
  }
  for (const [key, { namespace, name, command }] of wanted) {
    if (running.has(key)) continue;
    const phase = isCollector(name, command) ? 'start-collectors' : 'start-processes';
    draft.push(phase, { kind: 'start-process', namespace, name, command });
  }
}

function sameWords(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}
