/** Lines of a bridge's forwarding database as a person reads them. */
import type { FdbEntry, Inventory, LinkView, OvsFdbEntry } from '../../../agent/api/index.ts';
import { compareValues } from '../../app/sorting.ts';
import { linkLabel } from '../../inventory/labels.ts';

export interface FdbRow {
  readonly key: string;
  readonly port: string;
  readonly mac: string;
  /** `NODE:INTERFACE` that has the address, null for what the inventory does not know. */
  readonly owner: string | null;
  readonly vlan: number | null;
  readonly kind: FdbEntry['kind'];
  readonly age: number | null;
}

export const fdbColumns = ['port', 'mac', 'vlan', 'age'] as const;
export type FdbColumn = (typeof fdbColumns)[number];

/**
 * Who has the address, seen from the port: its peer where that is the one; else a link that no bridge has, one with
 * addresses first, since what sits on a link (a VLAN, a bond over its members) bears the same MAC.
 */
function ownerOf(inventory: Inventory, mac: string, port: LinkView | undefined): string | null {
  const bearers = inventory.links.filter((link) => link.mac === mac);
  const peer = bearers.find((link) => link.id === port?.peer);
  const free = bearers.filter((link) => link.portState === null);
  const found = peer ?? free.find((link) => link.addresses.length > 0) ?? free[0] ?? bearers[0];
  return found === undefined ? null : linkLabel(inventory, found.id);
}

export function fdbRows(
  entries: readonly FdbEntry[],
  inventory: Inventory,
  bridge: LinkView,
): readonly FdbRow[] {
  const links = new Map(
    inventory.links
      .filter((link) => link.namespace === bridge.namespace)
      .map((link) => [link.index, link]),
  );
  return entries.map((entry) => {
    const port = links.get(entry.index);
    return {
      key: `${entry.index} ${entry.mac} ${entry.vlan ?? ''}`,
      port: port?.name ?? String(entry.index),
      mac: entry.mac,
      owner: entry.kind === 'local' ? null : ownerOf(inventory, entry.mac, port),
      vlan: entry.vlan,
      kind: entry.kind,
      age: entry.age,
    };
  });
}

/** The same of a bridge of Open vSwitch, which tells ports by name. `namespace` is the id of the one it is in. */
export function ovsFdbRows(
  entries: readonly OvsFdbEntry[],
  inventory: Inventory,
  namespace: string,
): readonly FdbRow[] {
  const links = new Map(
    inventory.links
      .filter((link) => link.namespace === namespace)
      .map((link) => [link.name, link] as const),
  );
  return entries.map(({ mac, port, vlan, age }) => ({
    key: `${port} ${mac} ${vlan}`,
    port,
    mac,
    owner: ownerOf(inventory, mac, links.get(port)),
    vlan: vlan === 0 ? null : vlan,
    kind: age === null ? 'static' : 'learned',
    age,
  }));
}

/** Sorted by a column, then by port and address. What does not age comes last by age. */
export function sortRows(
  rows: readonly FdbRow[],
  column: FdbColumn,
  descending: boolean,
): readonly FdbRow[] {
  const value = (row: FdbRow): string | number =>
    column === 'age' ? (row.age ?? Infinity) : column === 'vlan' ? (row.vlan ?? 0) : row[column];
  return [...rows].sort((one, other) => {
    const order = compareValues(value(one), value(other));
    return (
      (descending ? -order : order) ||
      compareValues(one.port, other.port) ||
      compareValues(one.mac, other.mac) ||
      (one.vlan ?? 0) - (other.vlan ?? 0)
    );
  });
}
