import {
  type InterfaceSettings,
  type Inventory,
  type LabDocument,
  type LinkView,
  type NamespaceView,
  parseEndpoint,
} from '../../agent/api/index.ts';

/** An interface that a node has by the document, from its settings or from a wire's end. */
export interface WantedInterface {
  readonly name: string;
  readonly settings: InterfaceSettings;
  /** Index of the wire that ends here, null for none. */
  readonly link: number | null;
  /** `NODE:INTERFACE` at the other end. */
  readonly peer: string | null;
}

/** A node's interfaces in the order of the wires, then those that have settings alone. A bridge has its ports. */
export function interfacesOf(document: LabDocument, node: string): readonly WantedInterface[] {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined) return [];
  const settings = (wanted.kind === 'bridge' ? wanted.ports : wanted.interfaces) ?? {};
  const found = new Map<string, WantedInterface>();
  (document.topology.links ?? []).forEach((link, index) => {
    link.endpoints.forEach((text, end) => {
      const endpoint = parseEndpoint(text);
      if (endpoint.node !== node) return;
      found.set(endpoint.interface, {
        name: endpoint.interface,
        settings: settings[endpoint.interface] ?? {},
        link: index,
        peer: link.endpoints[1 - end] ?? null,
      });
    });
  });
  for (const [name, each] of Object.entries(settings)) {
    if (!found.has(name)) found.set(name, { name, settings: each, link: null, peer: null });
  }
  return [...found.values()];
}

/** Settings of one interface; those of a bridge's own interface are on the node itself. */
export function settingsOf(document: LabDocument, node: string, name: string): InterfaceSettings {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined) return {};
  if (wanted.kind === 'namespace') return wanted.interfaces?.[name] ?? {};
  if (name !== node) return wanted.ports?.[name] ?? {};
  const { addresses, mac, mtu, state } = wanted;
  return {
    ...(addresses === undefined ? {} : { addresses }),
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(state === undefined ? {} : { state }),
  };
}

/** The namespace that a node is, or that a bridge sits in, as the kernel has it. */
export function namespaceOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
): NamespaceView | null {
  const wanted = document.topology.nodes[node];
  if (inventory === null || wanted === undefined) return null;
  const name = wanted.kind === 'bridge' ? (wanted.namespace ?? null) : node;
  return (
    inventory.namespaces.find((each) => (name === null ? each.root : each.names.includes(name))) ??
    null
  );
}

export function linkOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
  name: string,
): LinkView | null {
  const namespace = namespaceOf(inventory, document, node);
  if (inventory === null || namespace === null) return null;
  return (
    inventory.links.find((each) => each.namespace === namespace.id && each.name === name) ?? null
  );
}

export type DifferenceField = 'presence' | 'state' | 'mtu' | 'mac' | 'stp' | 'address';

/** Wanted against real; null stands for what is not there. */
export interface Difference {
  readonly object: string;
  readonly field: DifferenceField;
  readonly wanted: string | null;
  readonly real: string | null;
}

/** An address as the kernel writes it: IPv6 shortened (RFC 5952), which a URL's host is too. */
function canonical(address: string): string {
  if (!address.includes(':')) return address;
  const [host = '', length = ''] = address.split('/');
  const text = `http://[${host}]/`;
  return URL.canParse(text) ? `${new URL(text).hostname.slice(1, -1)}/${length}` : address;
}

function interfaceDifferences(
  object: string,
  settings: InterfaceSettings,
  link: LinkView | null,
  mtu: number | undefined,
): Difference[] {
  if (link === null) return [{ object, field: 'presence', wanted: object, real: null }];
  const found: Difference[] = [];
  const compare = (field: DifferenceField, wanted: string | undefined, real: string | null) => {
    if (wanted !== undefined && wanted !== real) found.push({ object, field, wanted, real });
  };
  compare('state', settings.state ?? 'up', link.up ? 'up' : 'down');
  compare('mtu', (settings.mtu ?? mtu)?.toString(), String(link.mtu));
  compare('mac', settings.mac?.toLowerCase(), link.mac);
  const wanted = (settings.addresses ?? []).map(canonical);
  // Link-local addresses come by themselves.
  const real = link.addresses.filter((each) => each.scope !== 'link').map((each) => each.address);
  for (const address of wanted) {
    if (!real.includes(address))
      found.push({ object, field: 'address', wanted: address, real: null });
  }
  for (const address of real) {
    if (!wanted.includes(address)) {
      found.push({ object, field: 'address', wanted: null, real: address });
    }
  }
  return found;
}

/** How a node differs from what the document wants; of one interface only, where it is named. */
export function differencesOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
  only: string | null = null,
): readonly Difference[] {
  const wanted = document.topology.nodes[node];
  if (inventory === null || wanted === undefined) return [];
  const found: Difference[] = [];
  if (only === null && wanted.kind === 'namespace') {
    if (namespaceOf(inventory, document, node) === null) {
      return [{ object: node, field: 'presence', wanted: node, real: null }];
    }
  }
  if (wanted.kind === 'bridge' && (only === null || only === node)) {
    const link = linkOf(inventory, document, node, node);
    found.push(...interfaceDifferences(node, settingsOf(document, node, node), link, undefined));
    const stp = wanted.stp ?? false;
    const bridge = link?.bridge ?? null;
    if (bridge !== null && bridge.stp !== stp) {
      const word = (on: boolean) => (on ? 'on' : 'off');
      found.push({ object: node, field: 'stp', wanted: word(stp), real: word(bridge.stp) });
    }
  }
  for (const each of interfacesOf(document, node)) {
    if (only !== null && only !== each.name) continue;
    const link = linkOf(inventory, document, node, each.name);
    const wire = each.link === null ? undefined : document.topology.links?.[each.link];
    // A veth that says nothing has the kernel's default.
    const mtu = wire === undefined ? undefined : (wire.mtu ?? 1500);
    found.push(...interfaceDifferences(each.name, each.settings, link, mtu));
  }
  return found;
}

/** A free place for a new node: below what is there. */
export function freePosition(document: LabDocument | null): [number, number] {
  const places = Object.values(document?.positions ?? {});
  if (places.length === 0) return [0, 0];
  const middle = places.reduce((sum, [x]) => sum + x, 0) / places.length;
  return [Math.round(middle), Math.max(...places.map(([, y]) => y)) + 160];
}
