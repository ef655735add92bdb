/** Random lab documents that a validator accepts, small enough to collide often. */
import fc from 'fast-check';
import type {
  InterfaceSettings,
  LabDocument,
  LabNode,
  RouteSettings,
} from '../../../agent/api/document.ts';
import { LabDocumentSchema } from '../../../agent/api/document.ts';
import { validateDocument } from '../../../agent/lab/validate.ts';

const hosts = ['r1', 'r2', 'r3'] as const;
const bridges = ['b1', 'b2', 'b3'] as const;
const interfaceNames = ['e0', 'e1', 'e2', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6'] as const;

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
});

const specification = fc.record({
  hosts: fc.tuple(
    ...hosts.map(() =>
      fc.record({ present: fc.integer({ min: 0, max: 5 }), loopback: fc.boolean() }),
    ),
  ),
  bridges: fc.tuple(
    ...bridges.map(() =>
      fc.record({
        present: fc.boolean(),
        namespace: fc.constantFrom(undefined, undefined, 'r1', 'r2'),
        stp: fc.boolean(),
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
        }),
        fc.record({
          node: fc.constantFrom(...hosts, ...bridges),
          name: fc.constantFrom(...interfaceNames),
          settings,
        }),
      ),
      mtu,
    }),
    { maxLength: 7 },
  ),
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

/** Of the end of a link. */
type PlainSettings = Extract<InterfaceSettings, { readonly kind?: 'veth' | undefined }>;

function settingsOf(drawn: Settings, used: Set<string>): Omit<PlainSettings, 'kind'> {
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
  };
}

function build(drawn: Specification): LabDocument {
  const used = new Set<string>();
  const nodes: Record<string, LabNode> = {};
  hosts.forEach((name, at) => {
    const host = drawn.hosts[at];
    if (host === undefined || host.present === 0) return;
    nodes[name] = { kind: 'namespace', ...(host.loopback ? {} : { loopback: false }) };
  });
  bridges.forEach((name, at) => {
    const bridge = drawn.bridges[at];
    if (bridge === undefined || !bridge.present) return;
    const inside = bridge.namespace !== undefined && nodes[bridge.namespace] !== undefined;
    nodes[name] = {
      kind: 'bridge',
      ...(inside && bridge.namespace !== undefined ? { namespace: bridge.namespace } : {}),
      stp: bridge.stp,
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
    for (const [at, { node, name, settings: end }] of ends.entries()) {
      taken.add(keys[at] ?? '');
      const found = nodes[node];
      const { addresses, ...rest } = settingsOf(end, used);
      if (found?.kind === 'namespace') {
        found.interfaces = {
          ...found.interfaces,
          [name]: { ...rest, ...(addresses === undefined ? {} : { addresses }) },
        };
      } else if (found?.kind === 'bridge') found.ports = { ...found.ports, [name]: rest };
    }
    const [first, second] = ends.map(({ node, name }) => `${node}:${name}`);
    links.push({
      endpoints: [first ?? '', second ?? ''],
      ...(linkMtu === undefined ? {} : { mtu: linkMtu }),
    });
  }
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
  for (let round = 0; round < 40; round += 1) {
    const [problem] = validateDocument(current).problems;
    if (problem === undefined) return current;
    const path = problem.place?.path?.split('.') ?? [];
    const copy = structuredClone(current);
    const [, group, name = '', part] = path;
    if (group === 'links') {
      const [removed] = copy.topology.links?.splice(Number(name), 1) ?? [];
      for (const endpoint of removed?.endpoints ?? []) {
        const [node = '', link = ''] = endpoint.split(':');
        const found = copy.topology.nodes[node];
        if (found?.kind === 'namespace') delete found.interfaces?.[link];
        else if (found?.kind === 'bridge') delete found.ports?.[link];
      }
    } else {
      const node = copy.topology.nodes[name];
      if (node === undefined) return null;
      if (part === 'routes' && node.kind === 'namespace') node.routes?.splice(Number(path[4]), 1);
      else if (part === 'interfaces' && node.kind === 'namespace') {
        const link = node.interfaces?.[path[4] ?? ''];
        if (link === undefined) return null;
        delete link.addresses;
        delete link.mac;
      } else if (node.kind === 'bridge') {
        if (part === 'ports') delete node.ports?.[path[4] ?? '']?.mac;
        delete node.addresses;
        delete node.mac;
      } else return null;
    }
    current = copy;
  }
  return null;
}

/** Valid documents; every one also passes the schema. */
export const labDocuments: fc.Arbitrary<LabDocument> = specification
  .map((drawn) => repair(build(drawn)))
  .filter((document): document is LabDocument => document !== null)
  .map((document) => LabDocumentSchema.parse(document));
