import type { Inventory } from '../../agent/api/index.ts';
import type { Text } from '../app/text/text.ts';
import { linkLabel, namespaceLabel } from './labels.ts';

export const tableNames = ['namespaces', 'links', 'addresses', 'routes', 'processes'] as const;
export type TableName = (typeof tableNames)[number];

export interface InventoryRow {
  readonly key: string;
  readonly cells: readonly string[];
  /** Not made by a lab. */
  readonly foreign: boolean;
}

export interface InventoryTable {
  readonly columns: readonly string[];
  readonly rows: readonly InventoryRow[];
}

/** RTPROT_KERNEL: routes that the kernel adds with an address; nobody's, so not foreign either. */
const kernelProtocol = 2;

/** The inventory as tables: the same content as the drawing, for searching and for screen readers. */
export function inventoryTables(
  inventory: Inventory,
  t: Text['t'],
): Readonly<Record<TableName, InventoryTable>> {
  const namespaces = new Map(
    inventory.namespaces.map((each) => [
      each.id,
      each.root ? t('inventory.rootNamespace') : namespaceLabel(each),
    ]),
  );
  const inside = (id: string) => namespaces.get(id) ?? id;
  const none = '–';
  const label = (id: string | null) => (id === null ? none : (linkLabel(inventory, id) ?? id));
  const linkName = (namespace: string, index: number | null) =>
    inventory.links.find((each) => each.namespace === namespace && each.index === index)?.name ??
    none;

  return {
    namespaces: {
      columns: [
        t('inventory.name'),
        t('inventory.lab'),
        t('inventory.id'),
        t('inventory.links'),
        t('inventory.processes'),
      ],
      rows: inventory.namespaces.map((each) => ({
        key: each.id,
        foreign: each.lab === null && !each.root,
        cells: [
          inside(each.id),
          each.lab ?? none,
          each.id,
          String(inventory.links.filter((link) => link.namespace === each.id).length),
          String(each.processCount),
        ],
      })),
    },
    links: {
      columns: [
        t('inventory.name'),
        t('kind.namespace'),
        t('inventory.kind'),
        t('inspector.state'),
        'MTU',
        'MAC',
        t('live.peer'),
        t('live.master'),
        t('inventory.addresses'),
      ],
      rows: inventory.links.map((each) => ({
        key: each.id,
        foreign: each.lab === null && each.kind !== 'loopback',
        cells: [
          each.name,
          inside(each.namespace),
          each.kind,
          each.up ? each.operationalState : t('inspector.down'),
          String(each.mtu),
          each.mac ?? none,
          label(each.peer),
          label(each.master),
          each.addresses.map((address) => address.address).join('  ') || none,
        ],
      })),
    },
    addresses: {
      columns: [
        t('inventory.address'),
        t('inventory.interface'),
        t('kind.namespace'),
        t('inventory.scope'),
      ],
      rows: inventory.links.flatMap((link) =>
        link.addresses.map((each) => ({
          key: `${link.id} ${each.address}`,
          foreign: !each.owned && each.scope !== 'link' && each.scope !== 'host',
          cells: [each.address, link.name, inside(link.namespace), each.scope],
        })),
      ),
    },
    routes: {
      columns: [
        t('inventory.destination'),
        t('inventory.via'),
        t('inventory.interface'),
        t('kind.namespace'),
        t('inventory.metric'),
        t('inventory.kind'),
      ],
      rows: inventory.routes.flatMap((table) =>
        table.routes.map((each, index) => ({
          key: `${table.namespace} ${index}`,
          foreign: !each.owned && each.protocol !== kernelProtocol,
          cells: [
            each.to,
            each.via ?? none,
            linkName(table.namespace, each.index),
            inside(table.namespace),
            String(each.metric),
            each.kind,
          ],
        })),
      ),
    },
    processes: {
      columns: [t('inventory.pid'), t('inventory.command'), t('kind.namespace')],
      rows: inventory.namespaces.flatMap((each) =>
        each.processes.map((process) => ({
          key: `${each.id} ${process.pid}`,
          foreign: false,
          cells: [String(process.pid), process.command, inside(each.id)],
        })),
      ),
    },
  };
}
