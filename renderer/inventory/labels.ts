import type { Inventory, NamespaceView } from '../../agent/api/index.ts';

/** A namespace as a person calls it. */
export function namespaceLabel(namespace: NamespaceView): string {
  if (namespace.container !== null) return namespace.container;
  const [name] = namespace.names;
  if (name !== undefined) return name;
  const [mount] = namespace.mounts;
  if (mount !== undefined) return mount;
  const [process] = namespace.processes;
  return process === undefined ? namespace.id : `${process.command} (${process.pid})`;
}

/** `NAMESPACE:NAME` of a link; the realm's own namespace goes without saying. */
export function linkLabel(inventory: Inventory, id: string): string | null {
  const link = inventory.links.find((each) => each.id === id);
  if (link === undefined) return null;
  const namespace = inventory.namespaces.find((each) => each.id === link.namespace);
  return namespace === undefined || namespace.root
    ? link.name
    : `${namespaceLabel(namespace)}:${link.name}`;
}
