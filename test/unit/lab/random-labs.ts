/** Random lab documents that a validator accepts, small enough to collide often. */
import fc from 'fast-check';
import type {
  BridgePort,
  InterfaceSettings,
  LabDocument,
  LabNode,
  RouteSettings,
} from '../../../agent/api/document.ts';
import type { ImpairmentSettings } from '../../../agent/api/document-values.ts';
import { LabDocumentSchema } from '../../../agent/api/document.ts';
import { validateDocument } from '../../../agent/lab/validate.ts';

const hosts = ['r1', 'r2', 'r3'] as const;
const bridges = ['b1', 'b2', 'b3'] as const;
const interfaceNames = ['e0', 'e1', 'e2', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6'] as const;

const impairments: readonly (ImpairmentSettings | undefined)[] = [
  undefined,
  undefined,
  undefined,
  { rate: '10mbit' },
  { delay: 20, jitter: 2, loss: 1 },
  { rate: '1mbit', duplicate: 3 },
];

const mtu = fc.constantFrom(undefined, undefined, undefined, 1400, 1500, 9000, 1200);
const state = fc.constantFrom(undefined, undefined, undefined, 'up' as const, 'down' as const);
const mac = fc.constantFrom(undefined, undefined, undefined, 1, 2, 3, 4, 5);

const settings = fc.record({
  addresses: fc.uniqueArray(
    fc.record({
      six: fc.boolean(),
      subnet: fc.integer({ min: 0, max: 2 }),
      host: fc.integer({ min: 1, max: 40 }),
      length: fc.constantFrom(24, 24, 24, 16),
    }),
    { maxLength: 4, selector: (address) => `${address.six} ${address.subnet} ${address.host}` },
  ),
  mtu,
  state,
  mac,
  impairment: fc.constantFrom(...impairments),
});

/** Settings of a port, as far as the bridge filters VLANs. */
const port = fc.record({
  vlans: fc.constantFrom(
    undefined,
    undefined,
    { vlan: 10 },
    { vlan: 20 },
    { trunk: [10, 20] },
    { trunk: [10, 30], native: 10 },
  ),
  isolated: fc.constantFrom(undefined, undefined, true, false),
  cost: fc.constantFrom(undefined, undefined, undefined, 50, 2),
  priority: fc.constantFrom(undefined, undefined, undefined, 5, 32),
});

/** A device of a host: on `below`, or with `members`, by number among what is there. */
const device = fc.record({
  host: fc.constantFrom(...hosts),
  kind: fc.constantFrom(
    'dummy',
    'vlan',
    'vlan',
    'vlan',
    'bond',
    'bond',
    'vrf',
    'vrf',
    'macvlan',
    'vxlan',
    'tap',
    'tun',
  ),
  number: fc.integer({ min: 1, max: 2 }),
  below: fc.nat({ max: 20 }),
  id: fc.constantFrom(10, 20),
  variant: fc.boolean(),
  members: fc.uniqueArray(fc.nat({ max: 8 }), { maxLength: 3 }),
  settings,
});

/** The same of a bridge, which has no address. */
const portDevice = fc.record({
  bridge: fc.constantFrom(...bridges),
  kind: fc.constantFrom('dummy', 'bond', 'bond', 'vxlan', 'tap', 'vlan'),
  number: fc.integer({ min: 1, max: 2 }),
  below: fc.nat({ max: 20 }),
  variant: fc.boolean(),
  members: fc.uniqueArray(fc.nat({ max: 8 }), { maxLength: 3 }),
  settings,
  port,
});

const specification = fc.record({
  hosts: fc.tuple(
    ...hosts.map(() =>
      fc.record({
        present: fc.integer({ min: 0, max: 5 }),
        loopback: fc.boolean(),
        forwarding: fc.constantFrom(undefined, undefined, true, { ipv6: true }),
        nat: fc.constantFrom(undefined, undefined, 'e0', 'e1', 'p1'),
        filter: fc.constantFrom(undefined, undefined, 'accept' as const, 'drop' as const),
        run: fc.constantFrom(undefined, undefined, '1', '2'),
      }),
    ),
  ),
  bridges: fc.tuple(
    ...bridges.map(() =>
      fc.record({
        present: fc.boolean(),
        namespace: fc.constantFrom(undefined, undefined, 'r1', 'r2'),
        stp: fc.boolean(),
        priority: fc.constantFrom(undefined, undefined, 4096),
        ageingTime: fc.constantFrom(undefined, undefined, 10),
        multicastSnooping: fc.constantFrom(undefined, undefined, false),
        vlanFiltering: fc.boolean(),
        vlans: fc.integer({ min: 0, max: 2 }),
        settings,
      }),
    ),
  ),
  links: fc.array(
    fc.record({
      ends: fc.tuple(
        fc.record({
          node: fc.constantFrom(...hosts, ...bridges),
          name: fc.constantFrom(...interfaceNames),
          settings,
          port,
        }),
        fc.record({
          node: fc.constantFrom(...hosts, ...bridges),
          name: fc.constantFrom(...interfaceNames),
          settings,
          port,
        }),
      ),
      mtu,
    }),
    { maxLength: 7 },
  ),
  devices: fc.array(device, { maxLength: 4 }),
  portDevices: fc.array(portDevice, { maxLength: 3 }),
  tunnel: fc.record({ present: fc.integer({ min: 0, max: 3 }), tap: fc.boolean() }),
  routes: fc.array(
    fc.record({
      host: fc.constantFrom(...hosts),
      to: fc.integer({ min: 0, max: 3 }),
      six: fc.boolean(),
      subnet: fc.integer({ min: 0, max: 2 }),
      metric: fc.constantFrom(undefined, undefined, 50),
      dev: fc.constantFrom(undefined, ...interfaceNames),
    }),
    { maxLength: 6 },
  ),
});
type Specification = typeof specification extends fc.Arbitrary<infer T> ? T : never;
type Settings = Specification['bridges'][number]['settings'];

type CommonSettings = Omit<Extract<InterfaceSettings, { readonly kind: 'dummy' }>, 'kind'>;

function settingsOf(drawn: Settings, used: Set<string>): CommonSettings {
  const addresses: string[] = [];
  for (const { six, subnet, host, length } of drawn.addresses) {
    const text = six ? `fd00:${subnet}::${host.toString(16)}` : `10.${subnet}.0.${host}`;
    if (used.has(text)) continue;
    used.add(text);
    addresses.push(six ? `${text}/64` : `${text}/${length}`);
  }
  const macText = `02:00:00:00:ff:0${drawn.mac}`;
  const takesMac = drawn.mac !== undefined && !used.has(macText);
  if (takesMac) used.add(macText);
  return {
    ...(addresses.length > 0 ? { addresses } : {}),
    ...(drawn.mtu === undefined ? {} : { mtu: drawn.mtu }),
    ...(drawn.state === undefined ? {} : { state: drawn.state }),
    ...(takesMac ? { mac: macText } : {}),
    ...(drawn.impairment === undefined ? {} : { impairment: drawn.impairment }),
  };
}

/** Without what is undefined. */
function stated<T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

type DrawnPort = Specification['portDevices'][number]['port'];

function portOf(drawn: DrawnPort, filters: boolean): Pick<BridgePort, 'isolated' | 'cost'> {
  const { vlans, ...rest } = drawn;
  return { ...stated(rest), ...(filters ? vlans : {}) };
}

type DrawnDevice = Pick<
  Specification['devices'][number],
  'number' | 'below' | 'variant' | 'members'
> & { readonly kind: Specification['devices'][number]['kind'] | 'vlan'; readonly id: number };

/** Names as the kernel's kinds; null where there is nothing to sit on. */
function deviceOf(
  drawn: DrawnDevice,
  common: CommonSettings,
  names: readonly string[],
  mayTake: (name: string) => boolean,
): InterfaceSettings | null {
  const parent = names[drawn.below % Math.max(1, names.length)];
  const taken = drawn.members.map((at) => names[at % Math.max(1, names.length)] ?? '');
  const members = [...new Set(taken)].filter((name) => name !== '' && mayTake(name));
  const { mac: _mac, ...withoutMac } = common;
  switch (drawn.kind) {
    case 'dummy':
      return { kind: 'dummy', ...common };
    case 'tap':
      return { kind: 'tap', ...common };
    case 'tun':
      return { kind: 'tun', ...withoutMac };
    case 'bond':
      return {
        kind: 'bond',
        ...(drawn.variant ? { mode: 'balance-rr' as const } : {}),
        ...(members.length > 0 ? { members } : {}),
        ...common,
      };
    case 'vrf':
      return {
        kind: 'vrf',
        table: 100 + drawn.number,
        ...(members.length > 0 ? { members } : {}),
        ...common,
      };
    case 'vxlan':
      return {
        kind: 'vxlan',
        id: drawn.number,
        remote: drawn.variant ? '192.0.2.9' : 'fd07::9',
        ...(drawn.below % 2 === 0 || parent === undefined ? {} : { parent }),
        ...common,
      };
    case 'vlan':
      return parent === undefined ? null : { kind: 'vlan', parent, id: drawn.id, ...common };
    case 'macvlan':
      return parent === undefined ? null : { kind: 'macvlan', parent, ...common };
    default:
      throw new Error(drawn.kind);
  }
}

/** Devices by number, on what is there before them. */
function addDevices(nodes: Record<string, LabNode>, drawn: Specification, used: Set<string>): void {
  const isPlain = (kind: string | undefined): boolean => kind !== 'vrf' && kind !== 'tun';
  for (const one of drawn.devices) {
    const node = nodes[one.host];
    const name = `${one.kind}${one.number}`;
    if (node?.kind !== 'namespace' || node.interfaces?.[name] !== undefined) continue;
    const interfaces = node.interfaces ?? {};
    const bridgesInside = Object.entries(nodes).flatMap(([text, other]) =>
      other.kind === 'bridge' && other.namespace === one.host ? [text] : [],
    );
    const names = Object.keys(interfaces).filter((text) => isPlain(interfaces[text]?.kind));
    const mayTake = (text: string): boolean => {
      const member = interfaces[text];
      if (member === undefined || isMember(interfaces, text)) return false;
      const lower = 'parent' in member ? member.parent : undefined;
      if (one.kind === 'vrf') return true;
      return member.addresses === undefined && member.kind !== 'bond' && lower === undefined;
    };
    const below = one.kind === 'bond' || one.kind === 'vrf' ? names : [...names, ...bridgesInside];
    const made = deviceOf(one, settingsOf(one.settings, used), below, mayTake);
    if (made !== null) node.interfaces = { ...interfaces, [name]: made };
  }
  for (const one of drawn.portDevices) {
    const node = nodes[one.bridge];
    // The names of a namespace are told apart by the bridge.
    const name = `${one.bridge}${one.kind}${one.number}`;
    if (node?.kind !== 'bridge' || node.ports?.[name] !== undefined) continue;
    const ports: Record<string, BridgePort> = node.ports ?? {};
    const { addresses: _addresses, ...common } = settingsOf(one.settings, used);
    const mayTake = (text: string): boolean =>
      (ports[text]?.kind ?? 'veth') === 'veth' && !isMember(ports, text);
    const id = 40 + one.number;
    const made = deviceOf({ ...one, id }, common, Object.keys(ports), mayTake);
    if (made === null) continue;
    const settings = { ...made, ...portOf(one.port, node.vlanFiltering === true) } as BridgePort;
    for (const member of made.kind === 'bond' ? (made.members ?? []) : []) {
      const { mac, mtu: size, state: admin, impairment } = ports[member] ?? {};
      ports[member] = stated({ mac, mtu: size, state: admin, impairment });
    }
    node.ports = { ...ports, [name]: settings };
  }
}

function isMember(interfaces: Readonly<Record<string, object>>, name: string): boolean {
  return Object.values(interfaces).some(
    (settings) =>
      'members' in settings && Array.isArray(settings.members) && settings.members.includes(name),
  );
}

/** Between the first two hosts, over the first addresses that they have. */
function tunnelOf(
  nodes: Record<string, LabNode>,
  { present, tap }: Specification['tunnel'],
): NonNullable<LabDocument['topology']['links']> {
  const kind = tap ? ('tap' as const) : ('tun' as const);
  const underlay = ['r1', 'r2'].map((name) => {
    const node = nodes[name];
    if (present === 0 || node?.kind !== 'namespace') return undefined;
    const addresses = Object.values(node.interfaces ?? {}).flatMap((one) => one.addresses ?? []);
    return addresses.find((address) => !address.includes(':'))?.split('/')[0];
  });
  const [near, far] = underlay;
  if (near === undefined || far === undefined) return [];
  for (const name of ['r1', 'r2']) {
    const node = nodes[name];
    if (node?.kind === 'namespace') node.interfaces = { ...node.interfaces, t0: { kind } };
  }
  return [{ type: 'tunnel', endpoints: ['r1:t0', 'r2:t0'], underlay: [near, far] }];
}

function build(drawn: Specification): LabDocument {
  const used = new Set<string>();
  const nodes: Record<string, LabNode> = {};
  hosts.forEach((name, at) => {
    const host = drawn.hosts[at];
    if (host === undefined || host.present === 0) return;
    const { forwarding, nat, filter, run } = host;
    nodes[name] = {
      kind: 'namespace',
      ...(host.loopback ? {} : { loopback: false }),
      ...stated({ forwarding }),
      ...(nat === undefined ? {} : { nat: [{ kind: 'masquerade', out: nat }] }),
      ...(filter === undefined ? {} : { filter: { input: { policy: filter } } }),
      ...(run === undefined ? {} : { run: [{ name: 'work', command: ['sleep', run] }] }),
    };
  });
  bridges.forEach((name, at) => {
    const bridge = drawn.bridges[at];
    if (bridge === undefined || !bridge.present) return;
    const inside = bridge.namespace !== undefined && nodes[bridge.namespace] !== undefined;
    nodes[name] = {
      kind: 'bridge',
      ...(inside && bridge.namespace !== undefined ? { namespace: bridge.namespace } : {}),
      stp: bridge.stp,
      ...stated({
        priority: bridge.priority,
        ageingTime: bridge.ageingTime,
        multicastSnooping: bridge.multicastSnooping,
      }),
      ...(bridge.vlanFiltering
        ? { vlanFiltering: true, vlans: [10, 20].slice(0, bridge.vlans) }
        : {}),
      ...settingsOf(bridge.settings, used),
    };
  });
  const taken = new Set<string>();
  const links: NonNullable<LabDocument['topology']['links']> = [];
  for (const { ends, mtu: linkMtu } of drawn.links) {
    const keys = ends.map(({ node, name }) => {
      const found = nodes[node];
      if (found === undefined) return null;
      return `${found.kind === 'bridge' ? (found.namespace ?? '') : node}/${name}`;
    });
    const [left, right] = keys;
    if (left === null || right === null || left === right) continue;
    if (keys.some((key) => taken.has(key ?? ''))) continue;
    for (const [at, { node, name, settings: end, port: drawnPort }] of ends.entries()) {
      taken.add(keys[at] ?? '');
      const found = nodes[node];
      const { addresses, ...rest } = settingsOf(end, used);
      if (found?.kind === 'namespace') {
        found.interfaces = {
          ...found.interfaces,
          [name]: { ...rest, ...(addresses === undefined ? {} : { addresses }) },
        };
      } else if (found?.kind === 'bridge') {
        const settings = { ...rest, ...portOf(drawnPort, found.vlanFiltering === true) };
        found.ports = { ...found.ports, [name]: settings };
      }
    }
    const [first, second] = ends.map(({ node, name }) => `${node}:${name}`);
    links.push({
      endpoints: [first ?? '', second ?? ''],
      ...(linkMtu === undefined ? {} : { mtu: linkMtu }),
    });
  }
  addDevices(nodes, drawn, used);
  links.push(...tunnelOf(nodes, drawn.tunnel));
  for (const { host, to, six, subnet, metric, dev } of drawn.routes) {
    const node = nodes[host];
    if (node?.kind !== 'namespace') continue;
    const destination = six
      ? ['::/0', 'fd09::/32', 'fd0a::/48', 'fd0b::7']
      : ['default', '172.16.0.0/12', '10.9.0.0/16', '192.0.2.1'];
    const gateway = six ? `fd00:${subnet}::ff` : `10.${subnet}.0.254`;
    const route: RouteSettings = {
      to: destination[to] ?? '',
      ...(dev === undefined ? { via: gateway } : { dev }),
      ...(metric === undefined ? {} : { metric }),
    };
    node.routes = [...(node.routes ?? []), route];
  }
  return { netloom: 1, name: 'lab', topology: { nodes, links } };
}

/** Leaves out what the validator finds fault with, until it finds none. */
function repair(document: LabDocument): LabDocument | null {
  let current = document;
  for (let round = 0; round < 60; round += 1) {
    const [problem] = validateDocument(current).problems;
    if (problem === undefined) return current;
    const copy = structuredClone(current);
    if (!leaveOut(copy, problem.code ?? '', problem.place?.path?.split('.') ?? [])) return null;
    current = copy;
  }
  return null;
}

function leaveOut(document: LabDocument, code: string, path: readonly string[]): boolean {
  const [, group, name = '', part, item = ''] = path;
  if (group === 'links') {
    const [removed] = document.topology.links?.splice(Number(name), 1) ?? [];
    for (const endpoint of removed?.endpoints ?? []) {
      const [node = '', link = ''] = endpoint.split(':');
      const found = document.topology.nodes[node];
      if (found?.kind === 'namespace') delete found.interfaces?.[link];
      else if (found?.kind === 'bridge') delete found.ports?.[link];
    }
    return removed !== undefined;
  }
  const node = document.topology.nodes[name];
  if (node === undefined) return false;
  if (node.kind === 'namespace' && part === 'routes') node.routes?.splice(Number(item), 1);
  else if (node.kind === 'namespace' && part === 'nat') delete node.nat;
  else if (node.kind === 'ovs-bridge') return false;
  else if (part === 'interfaces' || part === 'ports') {
    const links: Record<string, InterfaceSettings | BridgePort> | undefined =
      node.kind === 'bridge' ? node.ports : node.interfaces;
    const link = links?.[item];
    if (links === undefined || link === undefined) return false;
    if (code === 'duplicate-mac') delete link.mac;
    else if (code === 'parent-down') link.state = 'down';
    else if (code === 'mtu-beyond-tunnel') delete link.mtu;
    else if (path[5] === 'members' && 'members' in link) link.members?.splice(Number(path[6]), 1);
    else if (path[5] === 'parent' || path[5] === 'id') Reflect.deleteProperty(links, item);
    else if ('addresses' in link) delete link.addresses;
    else if (code === 'interface-without-link') Reflect.deleteProperty(links, item);
    else return false;
  } else if (node.kind === 'bridge') {
    delete node.addresses;
    delete node.mac;
  } else return false;
  return true;
}

/** Valid documents; every one also passes the schema. */
export const labDocuments: fc.Arbitrary<LabDocument> = specification
  .map((drawn) => repair(build(drawn)))
  .filter((document): document is LabDocument => document !== null)
  .map((document) => LabDocumentSchema.parse(document));
