import {
  type Inventory,
  type LabDocument,
  type LabLink,
  type LinkView,
  type NamespaceView,
  namespaceOfNode,
  type OvsVlan,
  parseEndpoint,
} from '../../agent/api/index.ts';
import type { Impairment, VlanEntry } from '../../agent/api/index.ts';
import { machineProcessName } from '../../agent/lab/virtual-machine.ts';
import { addedKindOf } from './document/devices.ts';
import {
  commonOf,
  interfaceSettingsOf,
  type MarkKind,
  type WantedSettings,
} from './document/node-kinds.ts';

import {
  isEngineLink,
  ovsBridgeOf,
  ovsPortOf,
  ovsVlanText,
  type PortVlans,
  wantedOvsVlan,
} from './ovs-view.ts';

export type { WantedSettings } from './document/node-kinds.ts';
export type { PortVlans } from './ovs-view.ts';

/** An interface that a node has by the document, from its settings or from a wire's end. */
export interface WantedInterface {
  readonly name: string;
  readonly settings: WantedSettings;
  /** Kind of the device that it is; null for the end of a veth pair. */
  readonly device: MarkKind | null;
  /** Index of the wire that ends here, null for none. */
  readonly link: number | null;
  /** `NODE:INTERFACE` at the other end. */
  readonly peer: string | null;
}

/** A node's interfaces in the order of the wires, then those that have settings alone. A bridge has its ports. */
export function interfacesOf(document: LabDocument, node: string): readonly WantedInterface[] {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined) return [];
  const settings = interfaceSettingsOf(wanted);
  const found = new Map<string, WantedInterface>();
  (document.topology.links ?? []).forEach((link, index) => {
    link.endpoints.forEach((text, end) => {
      const endpoint = parseEndpoint(text);
      if (endpoint.node !== node) return;
      const own: WantedSettings = settings[endpoint.interface] ?? {};
      found.set(endpoint.interface, {
        name: endpoint.interface,
        settings: own,
        device:
          link.type === 'patch'
            ? 'patch'
            : (addedKindOf(own) ?? (leadsToMachine(document, link, 1 - end) ? 'tap' : null)),
        link: index,
        peer: link.endpoints[1 - end] ?? null,
      });
    });
  });
  for (const [name, each] of Object.entries(settings)) {
    if (found.has(name)) continue;
    found.set(name, { name, settings: each, device: addedKindOf(each), link: null, peer: null });
  }
  return [...found.values()];
}

/** Whether that end of a link is a virtual machine: the other end is then a tap. */
function leadsToMachine(document: LabDocument, link: LabLink, end: number): boolean {
  const text = link.endpoints[end];
  const node = text === undefined ? undefined : document.topology.nodes[parseEndpoint(text).node];
  return link.type !== 'tunnel' && node?.kind === 'vm';
}

/** A virtual machine that runs. */
export interface MachineRun {
  readonly pid: number;
  /** Whether the processor's own virtualization carries it; null while that is not known. */
  readonly virtualized: boolean | null;
}

export function machineRunOf(
  inventory: Inventory | null,
  lab: string,
  node: string,
): MachineRun | null {
  const process = machineProcessName(node);
  for (const { runs, processes } of inventory?.namespaces ?? []) {
    const run = runs.find((each) => each.lab === lab && each.name === process);
    if (run === undefined) continue;
    const command = processes.find(({ pid }) => pid === run.pid)?.command;
    // It was started with KVM only where that works.
    return { pid: run.pid, virtualized: command?.includes('-accel kvm') ?? null };
  }
  return null;
}

/** Settings of one interface; those of a bridge's own interface are on the node itself. */
export function settingsOf(document: LabDocument, node: string, name: string): WantedSettings {
  const wanted = document.topology.nodes[node];
  if (wanted === undefined) return {};
  const bridge = wanted.kind === 'bridge' || wanted.kind === 'ovs-bridge';
  if (!bridge || name !== node) return interfaceSettingsOf(wanted)[name] ?? {};
  const { addresses, mac, mtu, state, impairment } = wanted;
  return {
    ...(addresses === undefined ? {} : { addresses }),
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(state === undefined ? {} : { state }),
    ...(impairment === undefined ? {} : { impairment }),
  };
}

/**
 * Addresses that an interface is to have in the kernel. Those of a bridge's uplink are the bridge's; `more` says that it
 * may have others, of an uplink that the lab does not make.
 */
export function heldAddresses(
  document: LabDocument,
  node: string,
  name: string,
): { readonly addresses: readonly string[]; readonly more: boolean } {
  const { nodes } = document.topology;
  const wanted = nodes[node];
  const own = settingsOf(document, node, name);
  const addresses = 'addresses' in own ? (own.addresses ?? []) : [];
  if (wanted?.kind === 'namespace') {
    const moved = Object.values(nodes).some(
      (each) =>
        (each.kind === 'bridge' || each.kind === 'ovs-bridge') &&
        each.namespace === node &&
        each.uplink === name,
    );
    return { addresses: moved ? [] : addresses, more: false };
  }
  if (wanted?.kind !== 'bridge' && wanted?.kind !== 'ovs-bridge') {
    return { addresses, more: false };
  }
  const { namespace, uplink } = wanted;
  if (name !== node || uplink === undefined) return { addresses, more: false };
  if (namespace === undefined || !hasInterface(document, namespace, uplink)) {
    return { addresses, more: true };
  }
  const given = settingsOf(document, namespace, uplink);
  const moved = 'addresses' in given ? (given.addresses ?? []) : [];
  return { addresses: [...addresses, ...moved], more: false };
}

function hasInterface(document: LabDocument, node: string, name: string): boolean {
  return interfacesOf(document, node).some((each) => each.name === name);
}

/** `20 ms · 1 % · 10 Mbit/s`, with what each is where that is not plain; `words` are loss, duplicates and so on. */
export function impairmentText(
  impairment: Impairment,
  words: Readonly<Record<'loss' | 'duplicate' | 'reorder' | 'corrupt', string>>,
): string {
  const parts: string[] = [];
  if (impairment.delay > 0) {
    parts.push(`${impairment.delay}${impairment.jitter > 0 ? ` ± ${impairment.jitter}` : ''} ms`);
  }
  for (const key of ['loss', 'duplicate', 'reorder', 'corrupt'] as const) {
    if (impairment[key] > 0) parts.push(`${impairment[key]} % ${words[key]}`);
  }
  if (impairment.rate !== null) parts.push(rateText(impairment.rate));
  return parts.join(' · ');
}

/** Bits a second with an SI prefix: `10 Mbit/s`. */
export function rateText(bits: number): string {
  for (const [size, prefix] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (bits >= size) return `${Number((bits / size).toPrecision(4))} ${prefix}bit/s`;
  }
  return `${bits} bit/s`;
}

/** By the settings of a port on a bridge that filters; without any it is in VLAN 1 (vlan_default_pvid). */
export function wantedVlans(port: {
  readonly vlan?: number | undefined;
  readonly trunk?: readonly number[] | undefined;
  readonly native?: number | undefined;
}): PortVlans {
  if (port.trunk !== undefined) {
    return {
      untagged: port.native ?? null,
      tagged: port.trunk.filter((id) => id !== port.native).sort((one, other) => one - other),
    };
  }
  return { untagged: port.vlan ?? 1, tagged: [] };
}

export function liveVlans(entries: readonly VlanEntry[]): PortVlans {
  return {
    untagged: entries.find((entry) => entry.untagged && entry.pvid)?.id ?? null,
    tagged: entries.filter((entry) => !entry.untagged).map((entry) => entry.id),
  };
}

/** `10,20,30-35` of VLAN identifiers. */
export function vlanText(ids: readonly number[]): string {
  const parts: string[] = [];
  const sorted = [...new Set(ids)].sort((one, other) => one - other);
  for (let index = 0; index < sorted.length;) {
    let end = index;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    const first = sorted[index];
    parts.push(
      end - index < 2 ? sorted.slice(index, end + 1).join(',') : `${first}-${sorted[end]}`,
    );
    index = end + 1;
  }
  return parts.join(',');
}

/** The identifiers of such a text; null where it is none. */
export function parseVlans(text: string): number[] | null {
  const ids = new Set<number>();
  for (const part of text.split(/[\s,，]+/).filter(Boolean)) {
    const match = /^(?<first>\d{1,4})(?:-(?<last>\d{1,4}))?$/.exec(part);
    const first = Number(match?.groups?.['first']);
    const last = Number(match?.groups?.['last'] ?? first);
    if (match === null || first < 1 || last > 4094 || last < first) return null;
    for (let id = first; id <= last; id++) ids.add(id);
  }
  return [...ids].sort((one, other) => one - other);
}

/** Whether a namespace is to forward packets of each family. */
export function forwardingOf(
  wanted:
    | boolean
    | { readonly ipv4?: boolean | undefined; readonly ipv6?: boolean | undefined }
    | undefined,
): { readonly ipv4: boolean; readonly ipv6: boolean } {
  if (typeof wanted === 'object') return { ipv4: wanted.ipv4 ?? false, ipv6: wanted.ipv6 ?? false };
  return { ipv4: wanted ?? false, ipv6: wanted ?? false };
}

/** The namespace that a node is, or that a bridge sits in, as the kernel has it. */
export function namespaceOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
): NamespaceView | null {
  const wanted = document.topology.nodes[node];
  // A machine is behind the namespace that its cards lead to, and in none.
  if (inventory === null || wanted === undefined || wanted.kind === 'vm') return null;
  const name = namespaceOfNode(node, wanted);
  return (
    inventory.namespaces.find((each) => (name === null ? each.root : each.names.includes(name))) ??
    null
  );
}

/** Its name below /run/netns, null for the realm's own; undefined where it is not there. */
export function namespaceNameOf(
  inventory: Inventory | null,
  document: LabDocument,
  node: string,
): string | null | undefined {
  const namespace = namespaceOf(inventory, document, node);
  return namespace?.root === true ? null : namespace?.names[0];
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

export type DifferenceField =
  | 'presence'
  | 'state'
  | 'mtu'
  | 'mac'
  | 'stp'
  | 'address'
  | 'vlan-filtering'
  | 'forwarding-ipv4'
  | 'forwarding-ipv6'
  | 'process'
  | 'rstp'
  | 'vlan'
  | 'error';

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
  settings: WantedSettings,
  held: ReturnType<typeof heldAddresses>,
  link: LinkView | null,
  mtu: number | undefined,
): Difference[] {
  if (link === null) return [{ object, field: 'presence', wanted: object, real: null }];
  const found: Difference[] = [];
  const compare = (field: DifferenceField, wanted: string | undefined, real: string | null) => {
    if (wanted !== undefined && wanted !== real) found.push({ object, field, wanted, real });
  };
  const plain = commonOf(settings);
  compare('state', plain.state ?? 'up', link.up ? 'up' : 'down');
  compare('mtu', (plain.mtu ?? mtu)?.toString(), String(link.mtu));
  compare('mac', plain.mac?.toLowerCase(), link.mac);
  const wanted = held.addresses.map(canonical);
  // Link-local addresses come by themselves.
  const real = link.addresses.filter((each) => each.scope !== 'link').map((each) => each.address);
  for (const address of wanted) {
    if (!real.includes(address))
      found.push({ object, field: 'address', wanted: address, real: null });
  }
  for (const address of real) {
    if (!held.more && !wanted.includes(address)) {
      found.push({ object, field: 'address', wanted: null, real: address });
    }
  }
  return found;
}

function onOff(on: boolean): string {
  return on ? 'on' : 'off';
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
  if (wanted.kind === 'vm') {
    const runs = only !== null || machineRunOf(inventory, document.name, node) !== null;
    return runs ? [] : [{ object: node, field: 'process', wanted: node, real: null }];
  }
  const found: Difference[] = [];
  if (only === null && wanted.kind === 'namespace') {
    const namespace = namespaceOf(inventory, document, node);
    if (namespace === null) return [{ object: node, field: 'presence', wanted: node, real: null }];
    const forwarding = forwardingOf(wanted.forwarding);
    for (const family of ['ipv4', 'ipv6'] as const) {
      if (forwarding[family] === namespace.forwarding[family]) continue;
      found.push({
        object: node,
        field: `forwarding-${family}`,
        wanted: onOff(forwarding[family]),
        real: onOff(namespace.forwarding[family]),
      });
    }
    for (const run of wanted.run ?? []) {
      if (namespace.runs.some((each) => each.name === run.name)) continue;
      found.push({ object: node, field: 'process', wanted: run.name, real: null });
    }
  }
  if (wanted.kind === 'bridge' && (only === null || only === node)) {
    const link = linkOf(inventory, document, node, node);
    const own = settingsOf(document, node, node);
    const held = heldAddresses(document, node, node);
    found.push(...interfaceDifferences(node, own, held, link, undefined));
    const compare = (
      field: 'stp' | 'vlan-filtering',
      asked: boolean,
      real: boolean | undefined,
    ) => {
      if (real === undefined || real === asked) return;
      found.push({ object: node, field, wanted: onOff(asked), real: onOff(real) });
    };
    compare('stp', wanted.stp ?? false, link?.bridge?.stp);
    compare('vlan-filtering', wanted.vlanFiltering ?? false, link?.bridge?.vlanFiltering);
  }
  if (wanted.kind === 'ovs-bridge') found.push(...ovsDifferences(inventory, document, node, only));
  for (const each of interfacesOf(document, node)) {
    if (only !== null && only !== each.name) continue;
    // What is no link of the kernel, only Open vSwitch knows.
    if (wanted.kind === 'ovs-bridge' && !isKernelPort(each)) continue;
    const link = linkOf(inventory, document, node, each.name);
    const wire = each.link === null ? undefined : document.topology.links?.[each.link];
    // A veth that says nothing has the kernel's default.
    const veth = wire !== undefined && wire.type !== 'tunnel' && wire.type !== 'patch';
    const mtu = veth ? (wire.mtu ?? 1500) : undefined;
    const held = heldAddresses(document, node, each.name);
    found.push(...interfaceDifferences(each.name, each.settings, held, link, mtu));
  }
  return found;
}

/** Whether a port of an Open vSwitch bridge is a link of the kernel too that the lab makes. */
export function isKernelPort({ device }: WantedInterface): boolean {
  return device === null || device === 'internal' || device === 'tap';
}

/** How an Open vSwitch bridge differs from what the document wants, by what its own database says. */
function ovsDifferences(
  inventory: Inventory,
  document: LabDocument,
  node: string,
  only: string | null,
): readonly Difference[] {
  const wanted = document.topology.nodes[node];
  if (wanted?.kind !== 'ovs-bridge') return [];
  const view = ovsBridgeOf(inventory, document, node);
  const found: Difference[] = [];
  if (view === null) return [{ object: node, field: 'presence', wanted: node, real: null }];
  const compare = (object: string, field: DifferenceField, asked: string, real: string) => {
    if (asked !== real) found.push({ object, field, wanted: asked, real });
  };
  if (only === null || only === node) {
    const link = linkOf(inventory, document, node, node);
    const own = settingsOf(document, node, node);
    found.push(
      ...interfaceDifferences(node, own, heldAddresses(document, node, node), link, undefined),
    );
    compare(node, 'stp', onOff(wanted.stp ?? false), onOff(view.bridge.stp));
    compare(node, 'rstp', onOff(wanted.rstp ?? false), onOff(view.bridge.rstp));
  }
  const all = interfacesOf(document, node);
  const members = new Set(
    all.flatMap(({ settings }) => ('members' in settings ? (settings.members ?? []) : [])),
  );
  for (const each of all) {
    if (only !== null && only !== each.name) continue;
    const port = ovsPortOf(view, each.name);
    if (port === null) {
      // An interface of the kernel that is missing is told of with the others.
      const told = isKernelPort(each) && linkOf(inventory, document, node, each.name) === null;
      if (!told)
        found.push({ object: each.name, field: 'presence', wanted: each.name, real: null });
      continue;
    }
    const error = port.state?.error ?? null;
    if (error !== null) {
      found.push({ object: each.name, field: 'error', wanted: null, real: error });
    }
    if (members.has(each.name)) continue;
    const text = (vlan: OvsVlan) => ovsVlanText(vlan, vlanText);
    compare(each.name, 'vlan', text(wantedOvsVlan(each.settings)), text(port.port.vlan));
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

/** Interfaces of a namespace (null is the realm's own) that no lab made and that no bridge has yet: NICs, mostly. */
export function freeNics(inventory: Inventory | null, namespace: string | null): readonly string[] {
  const home = inventory?.namespaces.find((each) =>
    namespace === null ? each.root : each.names.includes(namespace),
  );
  return (inventory?.links ?? [])
    .filter((link) => link.namespace === home?.id && link.lab === null && link.master === null)
    .filter((link) => link.kind !== 'loopback' && link.kind !== 'bridge')
    .filter((link) => !isEngineLink(inventory, link))
    .map((link) => link.name);
}

/**
 * Interfaces of the realm's own namespace that may become a port of an Open vSwitch bridge: those that have no address
 * first, since others are refused.
 */
export function freeForPort(inventory: Inventory | null): readonly string[] {
  const root = inventory?.namespaces.find((each) => each.root);
  const taken = new Set(
    (inventory?.engines ?? [])
      .filter((engine) => engine.namespace === root?.id)
      .flatMap(({ bridges }) => bridges.flatMap(({ bridge }) => bridge.ports))
      .flatMap(({ interfaces }) => interfaces.map((each) => each.name)),
  );
  const addressed = (name: string): boolean =>
    inventory?.links
      .find((link) => link.namespace === root?.id && link.name === name)
      ?.addresses.some(({ scope }) => scope !== 'link') === true;
  const free = freeNics(inventory, null).filter((name) => !taken.has(name));
  return [...free.filter((name) => !addressed(name)), ...free.filter(addressed)];
}

/** The name of the program that a command line runs. */
export function programOf(command: string): string {
  // Of Netloom's own programs the name alone says nothing.
  if (command.startsWith('netloom collect')) return 'netloom collect';
  const program = command.split(' ')[0] ?? command;
  return program.slice(program.lastIndexOf('/') + 1);
}
