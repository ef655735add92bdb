/**
 * Random edits of a lab's text, as a person makes them in an editor: reproducible by their seed, each one a valid
 * document. Comments and order of the text stay.
 */
import { Document, isMap, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { readDocument } from '../../agent/lab/document-text.ts';

/** A generator of numbers in [0, 1): mulberry32, the same for the same seed everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Random = () => number;
type Settings = Record<string, unknown>;
interface Node extends Settings {
  kind: 'namespace' | 'bridge';
  namespace?: string;
  interfaces?: Record<string, Settings>;
  ports?: Record<string, Settings>;
  routes?: Settings[];
}
interface Lab {
  topology: {
    nodes: Record<string, Node>;
    links?: { endpoints: [string, string]; mtu?: number }[];
  };
}

function pick<T>(random: Random, list: readonly T[]): T | undefined {
  return list[Math.floor(random() * list.length)];
}

function names(lab: Lab, kind?: Node['kind']): string[] {
  return Object.entries(lab.topology.nodes)
    .filter(([, node]) => kind === undefined || node.kind === kind)
    .map(([name]) => name);
}

function settingsOf(lab: Lab, endpoint: string): Settings | undefined {
  const [nodeName = '', name = ''] = endpoint.split(':');
  const node = lab.topology.nodes[nodeName];
  if (node === undefined) return undefined;
  const key = node.kind === 'bridge' ? 'ports' : 'interfaces';
  const group = (node[key] ??= {});
  return (group[name] ??= {});
}

/** Settings of an end of a link, or of a bridge. */
function anySettings(random: Random, lab: Lab): Settings | undefined {
  const ends = (lab.topology.links ?? []).flatMap(({ endpoints }) => endpoints);
  const bridges = names(lab, 'bridge');
  const chosen = pick(random, [...ends, ...bridges]);
  if (chosen === undefined) return undefined;
  return chosen.includes(':') ? settingsOf(lab, chosen) : lab.topology.nodes[chosen];
}

function isHostEnd(lab: Lab, endpoint: string): boolean {
  return lab.topology.nodes[endpoint.split(':')[0] ?? '']?.kind === 'namespace';
}

function address(random: Random): string {
  const host = 1 + Math.floor(random() * 250);
  const subnet = 1 + Math.floor(random() * 4);
  return random() < 0.3
    ? `fd00:${String(subnet)}::${host.toString(16)}/64`
    : `10.${String(subnet)}.0.${String(host)}/24`;
}

function forget(lab: Lab, gone: (endpoint: string) => boolean): void {
  for (const link of lab.topology.links ?? []) {
    if (!link.endpoints.some(gone)) continue;
    for (const endpoint of link.endpoints) {
      const [nodeName = '', name = ''] = endpoint.split(':');
      const node = lab.topology.nodes[nodeName];
      for (const group of [node?.interfaces, node?.ports]) {
        if (group !== undefined) Reflect.deleteProperty(group, name);
      }
    }
  }
  lab.topology.links = (lab.topology.links ?? []).filter(({ endpoints }) => !endpoints.some(gone));
}

type Edit = (random: Random, lab: Lab) => void;

const edits: Readonly<Record<string, Edit>> = {
  'add a namespace': (random, lab) => {
    lab.topology.nodes[`n${String(Math.floor(random() * 5))}`] ??= {
      kind: 'namespace',
      ...(random() < 0.3 ? { loopback: false } : {}),
    };
  },
  'remove a node': (random, lab) => {
    const name = pick(random, names(lab));
    if (name === undefined) return;
    forget(lab, (endpoint) => endpoint.startsWith(`${name}:`));
    Reflect.deleteProperty(lab.topology.nodes, name);
  },
  'add a bridge': (random, lab) => {
    const inside = random() < 0.3 ? pick(random, names(lab, 'namespace')) : undefined;
    lab.topology.nodes[`sw${String(Math.floor(random() * 4))}`] ??= {
      kind: 'bridge',
      ...(inside === undefined ? {} : { namespace: inside }),
    };
  },
  'add a link': (random, lab) => {
    const end = (): string => {
      const node = pick(random, names(lab)) ?? '';
      return `${node}:p${String(Math.floor(random() * 12))}`;
    };
    const endpoints: [string, string] = [end(), end()];
    lab.topology.links = [...(lab.topology.links ?? []), { endpoints }];
    for (const endpoint of endpoints) {
      const settings = settingsOf(lab, endpoint);
      if (settings !== undefined && isHostEnd(lab, endpoint) && random() < 0.7) {
        settings['addresses'] = [address(random)];
      }
    }
  },
  'remove a link': (random, lab) => {
    const link = pick(random, lab.topology.links ?? []);
    const gone = new Set<string>(link?.endpoints);
    forget(lab, (endpoint) => gone.has(endpoint));
  },
  'change addresses': (random, lab) => {
    const ends = (lab.topology.links ?? []).flatMap(({ endpoints }) => endpoints);
    const hosts = ends.filter((endpoint) => isHostEnd(lab, endpoint));
    const chosen = pick(random, [...hosts, ...names(lab, 'bridge')]);
    if (chosen === undefined) return;
    const settings = chosen.includes(':') ? settingsOf(lab, chosen) : lab.topology.nodes[chosen];
    if (settings === undefined) return;
    const list = Array.isArray(settings['addresses'])
      ? [...(settings['addresses'] as string[])]
      : [];
    const at = Math.floor(random() * (list.length + 1));
    if (random() < 0.5) list.splice(at, 1);
    if (random() < 0.8) list.splice(at, 0, address(random));
    if (list.length === 0) delete settings['addresses'];
    else settings['addresses'] = list;
  },
  'change an MTU': (random, lab) => {
    const link = pick(random, lab.topology.links ?? []);
    const mtu = pick(random, [undefined, 1280, 1400, 1500, 9000]);
    const target: { mtu?: unknown } | undefined = random() < 0.5 ? link : anySettings(random, lab);
    if (target === undefined) return;
    if (mtu === undefined) delete target.mtu;
    else target.mtu = mtu;
  },
  'change a MAC address': (random, lab) => {
    const settings = anySettings(random, lab);
    if (settings === undefined) return;
    const last = Math.floor(random() * 200)
      .toString(16)
      .padStart(2, '0');
    if (random() < 0.3) delete settings['mac'];
    else settings['mac'] = `02:00:00:00:01:${last}`;
  },
  'change a state': (random, lab) => {
    const settings = anySettings(random, lab);
    if (settings === undefined) return;
    if (settings['state'] === 'down') delete settings['state'];
    else settings['state'] = 'down';
  },
  'change the spanning tree': (random, lab) => {
    const node = lab.topology.nodes[pick(random, names(lab, 'bridge')) ?? ''];
    if (node !== undefined) node['stp'] = node['stp'] !== true;
  },
  'change routes': (random, lab) => {
    const node = lab.topology.nodes[pick(random, names(lab, 'namespace')) ?? ''];
    if (node === undefined) return;
    const routes = [...(node.routes ?? [])];
    if (random() < 0.4) routes.splice(Math.floor(random() * routes.length), 1);
    else {
      const subnet = String(1 + Math.floor(random() * 4));
      const [to, via] =
        random() < 0.3
          ? ['fd77::/48', `fd00:${subnet}::fe`]
          : [pick(random, ['default', '10.77.0.0/16', '192.0.2.7/32']) ?? '', `10.${subnet}.0.254`];
      routes.push({ to, via, ...(random() < 0.3 ? { metric: 50 } : {}) });
    }
    if (routes.length === 0) delete node.routes;
    else node.routes = routes;
  },
  'change a loopback': (random, lab) => {
    const node = lab.topology.nodes[pick(random, names(lab, 'namespace')) ?? ''];
    if (node !== undefined) node['loopback'] = node['loopback'] === false;
  },
  'rename a node': (random, lab) => {
    const before = pick(random, names(lab));
    const after = `m${String(Math.floor(random() * 6))}`;
    if (before === undefined || lab.topology.nodes[after] !== undefined) return;
    lab.topology.nodes = Object.fromEntries(
      Object.entries(lab.topology.nodes).map(([name, node]) => {
        if (node.namespace === before) node.namespace = after;
        return [name === before ? after : name, node];
      }),
    );
    for (const link of lab.topology.links ?? []) {
      link.endpoints = link.endpoints.map((endpoint) =>
        endpoint.startsWith(`${before}:`) ? after + endpoint.slice(before.length) : endpoint,
      ) as [string, string];
    }
  },
  'rename an interface': (random, lab) => {
    const link = pick(random, lab.topology.links ?? []);
    const side = random() < 0.5 ? 0 : 1;
    const [nodeName = '', before = ''] = link?.endpoints[side].split(':') ?? [];
    const node = lab.topology.nodes[nodeName];
    if (link === undefined || node === undefined) return;
    const after = `q${String(Math.floor(random() * 12))}`;
    const group = node.kind === 'bridge' ? node.ports : node.interfaces;
    if (group?.[before] !== undefined) {
      group[after] = group[before];
      Reflect.deleteProperty(group, before);
    }
    link.endpoints[side] = `${nodeName}:${after}`;
  },
};

/** Puts the new topology into the text where the old one was; the rest of the text stays as it is. */
function rewrite(text: string, lab: Lab): string {
  const document = parseDocument(text);
  const topology = document.get('topology', true);
  if (!isMap(topology)) throw new Error('the lab has no topology');
  const fresh = new Document(lab.topology).contents as YAMLMap;
  if (!isMap(fresh) && !isSeq(fresh)) throw new Error('the topology is no map');
  document.set('topology', fresh);
  return document.toString();
}

/** One edit that leads to another valid document; `what` says which. */
export function editText(
  random: Random,
  text: string,
): { readonly text: string; readonly what: string } {
  for (;;) {
    const [what, edit] = pick(random, Object.entries(edits)) ?? ['', () => undefined];
    const lab = parseDocument(text).toJS() as Lab;
    const before = JSON.stringify(lab);
    edit(random, lab);
    if (JSON.stringify(lab) === before) continue;
    const edited = rewrite(text, lab);
    if (readDocument(edited).document !== null) return { text: edited, what };
  }
}
