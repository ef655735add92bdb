/** Whether a lab that has come up is what it will be: until then, that nothing answers says nothing. */
import type { Inventory } from '../api/inventory.ts';

/**
 * A carrier that the kernel has not announced yet (IFF_LOWER_UP without an operational state of RFC 2863 that carries)
 * still has no queue behind it, and a bridge does not forward there. A tentative address of IPv6 neither asks nor answers.
 */
export function isSettled(inventory: Inventory, lab: string, ipv6: boolean): boolean {
  return inventory.links
    .filter((link) => link.lab === lab && link.up && link.carrier)
    .every(
      ({ operationalState, addresses }) =>
        (operationalState === 'up' || operationalState === 'unknown') &&
        !(ipv6 && addresses.some(({ tentative, duplicate }) => tentative && !duplicate)),
    );
}
