/**
 * The one comparator of networks. It reads what iproute2 (and tc, bridge, nft, and Open vSwitch's own programs) say inside
 * a realm, never what Netloom says, and leaves out what changes by itself: ifindex, unpinned MACs, counters, timers,
 * lifetimes, ownership marks.
 */
import { type OvsState, ovsState } from './ovs-state.ts';

/** Runs a command where the network is and returns its standard output; throws when it fails. */
export type RunInRealm = (command: readonly string[]) => string;

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

export interface NamespaceState {
  readonly links: Readonly<Record<string, Json>>;
  readonly addresses: Readonly<Record<string, Json>>;
  readonly routes: readonly string[];
  readonly vlans: Json;
  readonly queueing: readonly string[];
  readonly rules: Json;
  readonly settings: Readonly<Record<string, string>>;
  readonly processes: readonly string[];
  /** What the Open vSwitches have that run in it, wherever their sockets are. */
  readonly switches: readonly Json[];
}

/** Namespaces by name; the realm's own is `''`. */
export type NetworkState = Readonly<Record<string, NamespaceState>>;

/** Printed by the collecting shell between sections; no command prints it. */
const separator = '\u001e';

const settingFiles = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/*/forwarding',
  'net/ipv4/conf/*/rp_filter',
  'net/ipv4/conf/*/proxy_arp',
  'net/ipv6/conf/*/forwarding',
  'net/ipv6/conf/*/disable_ipv6',
  'net/ipv6/conf/*/accept_ra',
  'net/bridge/bridge-nf-call-*',
];

/** Runs inside one namespace: every section ends with the separator. */
const collect = [
  'ip -j -d link show',
  'ip -j addr show',
  'ip -j -4 route show table all',
  'ip -j -6 route show table all',
  'bridge -j vlan show 2>/dev/null',
  'tc -j qdisc show 2>/dev/null',
  'if command -v nft >/dev/null; then nft -j list ruleset 2>/dev/null; fi',
  // Not the shell's `read`: it takes a byte at a time, and a sysctl file answers the first read only.
  `grep -sH '' ${settingFiles.map((file) => `/proc/sys/${file}`).join(' ')} | tr ':' '='`,
  'for d in /sys/class/net/*; do read -r v <"$d/addr_assign_type" && echo "${d##*/}=$v"; done 2>/dev/null; true',
  'ip -j netns list-id 2>/dev/null',
  `own=$(readlink /proc/self/ns/net)
  for c in $(grep -slx ovs-vswitchd /proc/[0-9]*/comm); do
    [ "$(readlink "\${c%/comm}/ns/net")" = "$own" ] || continue
    tr '\\000' '\\n' <"\${c%/comm}/cmdline" | sed -n 's|^unix:\\(.*\\)/db.sock$|\\1|p'
  done`,
]
  .map((command) => `${command}; printf '\\036'`)
  .join('\n');

const script = `
show() {
  printf '%s\\036' "$1"
  if [ -z "$1" ]; then printf '\\036'; sh -c "$2"; else
    for p in $(ip netns pids "$1"); do tr '\\000' ' ' <"/proc/$p/cmdline" 2>/dev/null; echo; done
    printf '\\036'
    ip netns exec "$1" sh -c "$2"
  fi
}
show '' "$0"
for n in $(ls /run/netns 2>/dev/null | sort); do
  # A file that is no namespace (yet) is not a part of the network.
  ip netns exec "$n" true 2>/dev/null && show "$n" "$0"
done
`;

const sectionsPerNamespace = 13;

interface RawNamespace {
  readonly name: string;
  readonly processes: string;
  readonly links: readonly JsonObject[];
  readonly addresses: readonly JsonObject[];
  readonly routes: readonly JsonObject[];
  readonly vlans: Json;
  readonly queueing: readonly JsonObject[];
  readonly rules: Json;
  readonly settings: string;
  readonly assignTypes: string;
  readonly ids: readonly JsonObject[];
  readonly switches: readonly OvsState[];
}

/** Reads the whole network of a realm. */
export function readNetworkState(run: RunInRealm): NetworkState {
  const sections = run(['sh', '-c', script, collect]).split(separator);
  const raw: RawNamespace[] = [];
  for (
    let start = 0;
    start + sectionsPerNamespace <= sections.length;
    start += sectionsPerNamespace
  ) {
    const part = sections.slice(start, start + sectionsPerNamespace);
    const text = (index: number) => (part[index] ?? '').trim();
    const list = (index: number) => parseList(text(index));
    raw.push({
      name: text(0),
      processes: text(1),
      links: list(2),
      addresses: list(3),
      routes: [...list(4), ...list(5)],
      vlans: [...list(6)].sort((one, other) =>
        String(one['ifname']) < String(other['ifname']) ? -1 : 1,
      ),
      queueing: list(7),
      rules: withoutKeys(parseJson(text(8)), new Set(['handle', 'metainfo', 'packets', 'bytes'])),
      settings: text(9),
      assignTypes: text(10),
      ids: list(11),
      switches: lines(text(12))
        .sort()
        .map((directory) => ovsState(directory, run)),
    });
  }
  if (raw.length === 0) throw new Error('the network could not be read');
  return Object.fromEntries(raw.map((namespace) => [namespace.name, normalise(namespace, raw)]));
}

function parseJson(text: string): Json {
  return text === '' ? [] : (JSON.parse(text) as Json);
}

function parseList(text: string): readonly JsonObject[] {
  const value = parseJson(text);
  // iproute2 prints an empty object for what does not exist.
  return Array.isArray(value)
    ? (value as readonly Json[]).filter(
        (item): item is JsonObject => isObject(item) && Object.keys(item).length > 0,
      )
    : [];
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutKeys(value: Json, keys: ReadonlySet<string>): Json {
  if (Array.isArray(value))
    return (value as readonly Json[]).map((item) => withoutKeys(item, keys));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !keys.has(key))
      .map(([key, item]) => [key, withoutKeys(item, keys)]),
  );
}

function normalise(namespace: RawNamespace, all: readonly RawNamespace[]): NamespaceState {
  const assignTypes = new Map(lines(namespace.assignTypes).map((line) => split(line)));
  const links = Object.fromEntries(
    namespace.links.map((link) => [
      String(link['ifname']),
      normaliseLink(link, namespace, all, assignTypes.get(String(link['ifname'])) ?? ''),
    ]),
  );
  const addresses = Object.fromEntries(
    namespace.addresses.map((link) => [String(link['ifname']), normaliseAddresses(link)]),
  );
  return {
    links: Object.fromEntries(
      Object.entries(links).map(([name, link]) => [
        name,
        namespace.switches.some((one) => drawsMac(one, name)) ? { ...link, mac: null } : link,
      ]),
    ),
    addresses,
    routes: namespace.routes.flatMap(normaliseRoute).sort(),
    vlans: namespace.vlans,
    queueing: namespace.queueing
      .filter((discipline) => !['noqueue', 'noop'].includes(String(discipline['kind'])))
      .map((discipline) => canonical(withoutKeys(discipline, passingQueueing)))
      .sort(),
    rules: namespace.rules,
    settings: Object.fromEntries(
      lines(namespace.settings).map((line) => {
        const [file, value] = split(line);
        return [file.replace('/proc/sys/', ''), value];
      }),
    ),
    // The daemons of Open vSwitch are known by what they have; where they keep it is up to whoever starts them.
    processes: lines(namespace.processes)
      .map((line) => line.trim())
      .filter((line) => !/^(?:ovsdb-server|ovs-vswitchd) /.test(line))
      .sort(),
    switches: namespace.switches.map(({ tables, openFlow }) => ({
      tables: Object.fromEntries(
        Object.entries(tables).map(([table, rows]) => [table, withoutMarks(rows)]),
      ),
      openFlow: openFlow as unknown as Json,
    })),
  };
}

const passingQueueing: ReadonlySet<string> = new Set(['handle', 'refcnt', 'direct_packets_stat']);

/** Open vSwitch gives its internal ports MACs by lot, as if a person had chosen them. */
function drawsMac({ tables }: OvsState, link: string): boolean {
  const port = tables['Interface']?.[link];
  const settings = tables['Bridge']?.[link]?.['other_config'];
  const isPinned = port?.['mac'] !== undefined || (isObject(settings) && 'hwaddr' in settings);
  return port?.['type'] === 'internal' && !isPinned;
}

/** Rows without who they belong to. */
function withoutMarks(rows: Readonly<Record<string, JsonObject>>): JsonObject {
  return Object.fromEntries(
    Object.entries(rows).map(([name, { external_ids: ids, ...row }]) => {
      if (!isObject(ids)) return [name, row];
      const others = Object.entries(ids).filter(([key]) => key !== 'netloom');
      return [
        name,
        others.length === 0 ? row : { ...row, external_ids: Object.fromEntries(others) },
      ];
    }),
  );
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function split(line: string): [string, string] {
  const at = line.lastIndexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}

/** Flags that a person sets; LOWER_UP, M-DOWN and the like follow from other things. */
const settableFlags = new Set([
  'UP',
  'NOARP',
  'PROMISC',
  'ALLMULTI',
  'MULTICAST',
  'DYNAMIC',
  'TRAILERS',
]);

/**
 * Values of IFLA_INFO_DATA and IFLA_INFO_SLAVE_DATA that are state, not settings. Whether a tap has a packet header
 * (vnet_hdr) is up to the process that is attached to it; the MAC that a bond's member had before is not its bond's.
 */
const transientData =
  /^vnet_hdr$|timer|^root_|^bridge_id|^designated_|topology_change|^state$|^id$|^no$|_qlen|^fdb_n_learned|^multicast_router|^config_pending|^backup|^perm_hwaddr$/;

function normaliseLink(
  link: JsonObject,
  namespace: RawNamespace,
  all: readonly RawNamespace[],
  assignType: string,
): JsonObject {
  const info = isObject(link['linkinfo']) ? link['linkinfo'] : {};
  const data = (key: string): Json => {
    const value = info[key];
    if (!isObject(value)) return {};
    // Within a topology change of its spanning tree a bridge forgets sooner (__br_set_topology_change).
    const isPassing = (name: string): boolean =>
      transientData.test(name) || (name === 'ageing_time' && value['stp_state'] === 1);
    return Object.fromEntries(Object.entries(value).filter(([name]) => !isPassing(name)));
  };
  const inBond = info['info_slave_kind'] === 'bond';
  const flags = Array.isArray(link['flags']) ? (link['flags'] as readonly Json[]) : [];
  return {
    kind: info['info_kind'] ?? link['link_type'] ?? null,
    flags: flags.filter((flag) => settableFlags.has(String(flag))),
    mtu: link['mtu'] ?? null,
    master: link['master'] ?? null,
    // NET_ADDR_SET (3): a person chose it; anything else is the kernel's own choice. A bond gives its own to its members.
    mac: assignType === '3' && !inBond ? (link['address'] ?? null) : null,
    group: link['group'] ?? null,
    queueLength: link['txqlen'] ?? null,
    peer: peerOf(link, namespace, all),
    data: data('info_data'),
    port: data('info_slave_data'),
  };
}

/** The other end of a pair: the link that points back from the namespace that the kernel's id names. */
function peerOf(
  link: JsonObject,
  namespace: RawNamespace,
  all: readonly RawNamespace[],
): string | null {
  const other = link['link_index'] ?? null;
  if (typeof link['link'] === 'string') return `${namespace.name}/${link['link']}`;
  if (other === null) return null;
  const id = link['link_netnsid'];
  const named = namespace.ids.find((entry) => entry['nsid'] === id)?.['name'];
  const home =
    id === undefined
      ? namespace
      : all.find((candidate) => candidate.name === (typeof named === 'string' ? named : ''));
  const peer = home?.links.find(
    (candidate) => candidate['ifindex'] === other && candidate['link_index'] === link['ifindex'],
  );
  return peer === undefined ? 'elsewhere' : `${home?.name ?? ''}/${String(peer['ifname'])}`;
}

/**
 * A link-local address that the kernel derived from a MAC (RFC 4291, appendix A): as unpinned as the MAC is. A bridge
 * keeps the one of the MAC that it had when it came up, so the present MAC says nothing about it.
 */
const derivedLinkLocal = /^fe80::[0-9a-f]{1,4}:[0-9a-f]{0,2}ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}$/;

/** Chosen by the kernel, from a MAC or where there is none by lot (a tun, addrconf_addr_gen). */
function isDrawn(link: JsonObject, address: JsonObject): boolean {
  const byLot = link['link_type'] === 'none' && address['scope'] === 'link';
  return byLot || derivedLinkLocal.test(String(address['local']));
}

function normaliseAddresses(link: JsonObject): Json {
  const list = Array.isArray(link['addr_info']) ? (link['addr_info'] as readonly Json[]) : [];
  return list
    .filter(isObject)
    .filter((address) => Object.keys(address).length > 0 && !isDrawn(link, address))
    .map((address) =>
      canonical({
        local: address['local'] ?? null,
        prefix: address['prefixlen'] ?? null,
        peer: address['address'] ?? null,
        scope: address['scope'] ?? null,
        noprefixroute: address['noprefixroute'] ?? false,
      }),
    )
    .sort();
}

function normaliseRoute(route: JsonObject): string[] {
  const table = route['table'] ?? 'main';
  const to = String(route['dst'] ?? '');
  // The local table and the link-local prefixes follow from addresses and MACs.
  if (table === 'local' || to.startsWith('fe80:') || to.startsWith('ff00:')) return [];
  if (route['type'] === 'multicast' || route['type'] === 'anycast') return [];
  const protocol = String(route['protocol'] ?? '');
  return [
    canonical({
      to,
      table,
      via: route['gateway'] ?? null,
      dev: route['dev'] ?? null,
      metric: route['metric'] ?? null,
      scope: route['scope'] ?? null,
      source: route['prefsrc'] ?? null,
      kernel: protocol === 'kernel',
    }),
  ];
}

/** JSON with sorted keys. */
function canonical(value: Json): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

/** What differs, one line each as `path: before → after`; empty when the networks are the same. */
export function networkDifferences(before: NetworkState, after: NetworkState): string[] {
  const differences: string[] = [];
  compare('', before as unknown as Json, after as unknown as Json, differences);
  return differences;
}

function compare(
  path: string,
  before: Json | undefined,
  after: Json | undefined,
  found: string[],
): void {
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(`${path}/${key}`, before[key], after[key], found);
    }
    return;
  }
  const one = before === undefined ? 'nothing' : canonical(before);
  const other = after === undefined ? 'nothing' : canonical(after);
  if (one !== other) found.push(`${path}: ${one} → ${other}`);
}
