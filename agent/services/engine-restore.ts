/** What a switch that was started again does not remember. Pure. */
import type { Network } from '../lab/network.ts';
import type { Operation } from '../lab/operation.ts';

const restored: ReadonlySet<Operation['kind']> = new Set([
  'change-ovs-bridge',
  'change-openflow',
  'change-link',
  'add-address',
  'add-route',
]);

/**
 * Of the operations that would bring a lab back to its document those that concern the engine of a namespace: its bridges,
 * the links that it makes, with their addresses and routes, and its flows. Other differences are somebody's doing and stay.
 */
export function restoringOperations(
  operations: readonly Operation[],
  network: Network,
  namespace: string | null,
): readonly Operation[] {
  const links = new Set(
    [...network.links.values()]
      .filter((link) => link.kind === 'internal' && link.namespace === namespace)
      .map(({ name }) => name),
  );
  return operations.filter((operation) => {
    if (!restored.has(operation.kind)) return false;
    if (!('namespace' in operation) || operation.namespace !== namespace) return false;
    switch (operation.kind) {
      case 'change-link':
        return links.has(operation.name);
      case 'add-address':
        return links.has(operation.interface);
      case 'add-route':
        return operation.route.dev !== null && links.has(operation.route.dev);
      default:
        return true;
    }
  });
}
