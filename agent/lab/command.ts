import type { Device, SomeBridgeSettings, SomePortSettings, VlanEntry } from '../api/device.ts';
import { impairmentWords, queueingKindOf } from '../api/impairment.ts';
import { assertNever } from '../api/result.ts';
import { commandsOfCpu, enterGroup } from './command-cpu.ts';
import type { CpuCommandContext } from './command-cpu.ts';
import { commandsOfOvs } from './command-ovs.ts';
import type { OvsCommandContext } from './command-ovs.ts';
import {
  machineDirectory,
  machineOfProcess,
  needsSystem,
  systemCommands,
} from './virtual-machine.ts';
import { isCpuOperation } from './operation.ts';
import type {
  LinkSettings,
  Operation,
  Route,
  UplinkAddress,
  UplinkRoute,
  VethEnd,
} from './operation.ts';
import { ruleCommand } from './rules.ts';
import { inAdditionOrder } from './uplink.ts';

export interface CommandContext extends OvsCommandContext, CpuCommandContext {
  /**
   * Whether the name may be borrowed in the realm's own namespace while a pair is made there: it is the name of one
   * interface of the lab only, and of none that is in the realm's own namespace.
   */
  readonly isFreeInRealm: (name: string) => boolean;
}

/** Nothing is known of the realm: pairs are made where they belong in one command. */
export const cautiousContext: CommandContext = { isFreeInRealm: () => false };

/**
 * The standard commands that do the same as an operation, one line of sh each, in the form of the notes that Netloom
 * started from where they have one. Ownership marks are left out: they are not part of the network.
 */
export function commandsOf(operation: Operation, context: CommandContext): readonly string[] {
  if (isCpuOperation(operation)) return commandsOfCpu(operation, context, word);
  switch (operation.kind) {
    case 'add-namespace':
      return [`ip netns add ${word(operation.name)}`, bridgeNetfilterOff(operation.name)];
    case 'remove-namespace':
      return [`ip netns del ${word(operation.name)}`];
    case 'add-bridge': {
      const name = device(operation.name);
      const address = operation.mac === null ? '' : ` address ${word(operation.mac)}`;
      const settings = bridgeWords(operation.settings).map((text) => ` ${text}`);
      const add = inside(
        operation.namespace,
        `ip link add ${named(operation.name)}${address} type bridge${settings.join('')}`,
      );
      // A bridge takes the MTU of its ports unless it is set after creation (BROPT_MTU_SET_BY_USER).
      return operation.mtu === null
        ? [add]
        : [add, inside(operation.namespace, `ip link set ${name} mtu ${operation.mtu}`)];
    }
    case 'remove-bridge':
      return [inside(operation.namespace, `ip link del ${device(operation.name)}`)];
    case 'add-veth':
      return commandsOfPair(operation.ends, context);
    case 'remove-veth': {
      const [end] = operation.ends;
      return [inside(end.namespace, `ip link del ${device(end.name)}`)];
    }
    case 'add-device':
      return commandsOfDevice(operation);
    case 'remove-device': {
      const { namespace, name, device: settings } = operation;
      if (settings.kind !== 'tap' && settings.kind !== 'tun') {
        return [inside(namespace, `ip link del ${device(name)}`)];
      }
      const queues = settings.multiQueue ? ' multi_queue' : '';
      return [inside(namespace, `ip tuntap del dev ${word(name)} mode ${settings.kind}${queues}`)];
    }
    case 'change-vlans':
      return commandsOfVlans(operation);
    case 'change-impairment': {
      const { namespace, name, before, after } = operation;
      const discipline = `dev ${word(name)} root`;
      // A discipline of another kind is not replaced but refused.
      const other =
        before !== null && after !== null && queueingKindOf(before) !== queueingKindOf(after);
      return [
        ...(after === null || other ? [`tc qdisc del ${discipline}`] : []),
        ...(after === null
          ? []
          : [
              `tc qdisc replace ${discipline} handle 4e: ${impairmentWords(after, other ? null : before)}`,
            ]),
      ].map((command) => inside(namespace, command));
    }
    case 'change-forwarding': {
      const file = operation.family === 'ipv4' ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding';
      // Not sysctl(8): it is outside the search path of an ordinary user on Debian.
      const script = `echo ${operation.after ? 1 : 0} > /proc/sys/net/${file}`;
      return [inside(operation.namespace, `sh -c '${script}'`)];
    }
    case 'change-rules':
      return ruleCommand(operation.after, operation.before).map((command) =>
        inside(operation.namespace, command),
      );
    case 'start-process': {
      const command = operation.command.map(argument).join(' ');
      const { group } = operation;
      const enter = group === undefined ? [] : enterGroup(group, context, word);
      const script = [...enter, `setsid ${command} </dev/null >/dev/null 2>&1 &`].join('; ');
      return [
        ...(machineOfProcess(operation.name) === null ? [] : [`mkdir -p ${machineDirectory}`]),
        ...(needsSystem(operation.command) ? systemCommands(word) : []),
        inside(operation.namespace, `sh -c ${word(script)}`),
      ];
    }
    case 'stop-process': {
      const pattern = operation.command.map(escapePattern).join(' ');
      // Netloom's own give themselves the name that they are called by, in the place of a longer one.
      const titled = operation.command[0] === 'netloom' ? '*' : '';
      const pids =
        operation.namespace === null
          ? "ls /proc | grep '^[0-9]'"
          : `ip netns pids ${word(operation.namespace)}`;
      return [
        `for pid in $(${pids}); do ` +
          `tr '\\0' ' ' </proc/$pid/cmdline | grep -q ${word(`^${pattern} ${titled}$`)} && kill $pid; done`,
      ];
    }
    case 'change-link':
      return commandsOfSettings(operation.after).map((settings) =>
        inside(operation.namespace, `ip link set ${device(operation.name)} ${settings}`),
      );
    case 'add-address':
    case 'remove-address': {
      const verb = operation.kind === 'add-address' ? 'add' : 'del';
      return [
        inside(operation.namespace, addressCommand(verb, operation.address, operation.interface)),
      ];
    }
    case 'change-address':
      return [
        inside(operation.namespace, addressCommand('del', operation.before, operation.interface)),
        inside(operation.namespace, addressCommand('add', operation.after, operation.interface)),
      ];
    case 'add-route':
    case 'remove-route': {
      const verb = operation.kind === 'add-route' ? 'add' : 'del';
      return [inside(operation.namespace, `ip route ${verb} ${routeWords(operation.route)}`)];
    }
    case 'start-engine':
    case 'stop-engine':
    case 'change-ovs-bridge':
    case 'change-openflow':
      return commandsOfOvs(operation, context, word, inside);
    case 'attach-uplink':
    case 'detach-uplink':
      return commandsOfUplink(operation).map((command) => inside(operation.namespace, command));
    default:
      return assertNever(operation);
  }
}

/** A word of sh: as it is when plain, otherwise in single quotes. */
export function word(text: string): string {
  return /^[A-Za-z0-9_.,:@%+=/][A-Za-z0-9_.,:@%+=/-]*$/.test(text)
    ? text
    : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A word that may be an option of a program. */
function argument(text: string): string {
  return text.startsWith('-') && word(text.slice(1)) === text.slice(1) ? text : word(text);
}

/**
 * A device name as `ip link` takes it. ip reads a bare name that begins one of its keywords as that keyword (`br` as
 * `broadcast`), and a foreign `-x` as an option; `dev` says that a name follows.
 */
function device(name: string): string {
  return isPlainDevice(name) ? name : `dev ${word(name)}`;
}

function isPlainDevice(name: string): boolean {
  return (
    /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name) &&
    !linkKeywords.some((keyword) => keyword.startsWith(name))
  );
}

/** Of iproute2's iplink_parse() and iplink_modify(), which compare by matches(). */
const linkKeywords = [
  'addrgenmode',
  'address',
  'alias',
  'allmulticast',
  'arp',
  'broadcast',
  'carrier',
  'dev',
  'down',
  'dynamic',
  'group',
  'gro_ipv4_max_size',
  'gro_max_size',
  'gso_ipv4_max_size',
  'gso_max_segs',
  'gso_max_size',
  'help',
  'index',
  'link',
  'link-netns',
  'link-netnsid',
  'master',
  'mode',
  'mtu',
  'multicast',
  'name',
  'netns',
  'nomaster',
  'numrxqueues',
  'numtxqueues',
  'parentdev',
  'peer',
  'promisc',
  'protodown',
  'protodown_reason',
  'qlen',
  'state',
  'trailers',
  'txqueuelen',
  'type',
  'up',
  'vf',
  'vrf',
  'xdp',
  'xdpdrv',
  'xdpgeneric',
  'xdpoffload',
] as const;

function inside(namespace: string | null, command: string): string {
  return namespace === null ? command : `ip netns exec ${word(namespace)} ${command}`;
}

function commandsOfPair(
  ends: readonly [VethEnd, VethEnd],
  context: CommandContext,
): readonly string[] {
  const [left, right] = ends;
  const settings = (end: VethEnd): string =>
    (end.mac === null ? '' : ` address ${word(end.mac)}`) +
    (end.mtu === null ? '' : ` mtu ${end.mtu}`);
  const borrow = ends.every((end) => end.namespace === null || context.isFreeInRealm(end.name));
  const place = (end: VethEnd): string =>
    borrow || end.namespace === null ? '' : ` netns ${word(end.namespace)}`;
  const commands = [
    `ip link add ${named(left.name)}${settings(left)}${place(left)} type veth ` +
      `peer name ${word(right.name)}${settings(right)}${place(right)}`,
  ];
  if (borrow) {
    for (const end of ends) {
      if (end.namespace === null) continue;
      commands.push(`ip link set ${device(end.name)} netns ${word(end.namespace)}`);
    }
  }
  for (const end of ends) {
    if (end.master === null) continue;
    commands.push(
      inside(end.namespace, `ip link set ${device(end.name)} master ${word(end.master)}`),
    );
  }
  return commands;
}

function named(name: string): string {
  return isPlainDevice(name) ? name : `name ${word(name)}`;
}

function commandsOfSettings(after: LinkSettings): readonly string[] {
  const settings: string[] = [];
  if (after.up === false) settings.push('down');
  if (after.mtu !== undefined) settings.push(`mtu ${after.mtu}`);
  if (after.mac !== undefined) settings.push(`address ${word(after.mac)}`);
  if (after.bridge !== undefined)
    settings.push(`type bridge ${bridgeWords(after.bridge).join(' ')}`);
  if (after.master === null) settings.push('nomaster');
  else if (after.master !== undefined) settings.push(`master ${word(after.master)}`);
  if (after.port !== undefined) {
    settings.push(`type bridge_slave ${portWords(after.port).join(' ')}`);
  }
  if (after.up === true) settings.push('up');
  return settings;
}

const hundredths = (seconds: number): number => Math.round(seconds * 100);
const bit = (on: boolean): number => (on ? 1 : 0);

/** As ip-link(8) writes them: times in hundredths of a second. */
function bridgeWords(settings: SomeBridgeSettings): readonly string[] {
  const { stp, priority, forwardDelay, helloTime, maximumAge, ageingTime } = settings;
  const { multicastSnooping, vlanFiltering } = settings;
  return [
    ...(forwardDelay === undefined ? [] : [`forward_delay ${hundredths(forwardDelay)}`]),
    ...(helloTime === undefined ? [] : [`hello_time ${hundredths(helloTime)}`]),
    ...(maximumAge === undefined ? [] : [`max_age ${hundredths(maximumAge)}`]),
    ...(ageingTime === undefined ? [] : [`ageing_time ${hundredths(ageingTime)}`]),
    ...(stp === undefined ? [] : [`stp_state ${bit(stp)}`]),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(multicastSnooping === undefined ? [] : [`mcast_snooping ${bit(multicastSnooping)}`]),
    ...(vlanFiltering === undefined ? [] : [`vlan_filtering ${bit(vlanFiltering)}`]),
  ];
}

function portWords({ isolated, cost, priority }: SomePortSettings): readonly string[] {
  return [
    ...(cost === undefined ? [] : [`cost ${cost}`]),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(isolated === undefined ? [] : [`isolated ${isolated ? 'on' : 'off'}`]),
  ];
}

function commandsOfDevice(
  operation: Extract<Operation, { readonly kind: 'add-device' }>,
): readonly string[] {
  const { namespace, name, device: settings, mac, mtu, master } = operation;
  const further = [
    ...(mtu === null ? [] : [`mtu ${mtu}`]),
    ...(master === null ? [] : [`master ${word(master)}`]),
  ];
  if (settings.kind === 'tap' || settings.kind === 'tun') {
    const { owner, group, multiQueue } = settings;
    const address = mac === null ? [] : [`address ${word(mac)}`];
    return [
      `ip tuntap add dev ${word(name)} mode ${settings.kind}` +
        (owner === null ? '' : ` user ${owner}`) +
        (group === null ? '' : ` group ${group}`) +
        (multiQueue ? ' multi_queue' : ''),
      ...[...address, ...further].map((words) => `ip link set ${device(name)} ${words}`),
    ].map((command) => inside(namespace, command));
  }
  const address = mac === null ? '' : ` address ${word(mac)}`;
  const parent = settings.kind === 'vlan' || settings.kind === 'macvlan' ? settings.parent : null;
  const link = parent === null ? '' : ` link ${word(parent)}`;
  return [
    `ip link add${link} ${named(name)}${address} type ${typeWords(settings)}`,
    ...further.map((words) => `ip link set ${device(name)} ${words}`),
  ].map((command) => inside(namespace, command));
}

/** What follows `type`. */
function typeWords(settings: Exclude<Device, { readonly kind: 'tap' | 'tun' }>): string {
  const ends = (local: string | null, remote: string | null): string =>
    (local === null ? '' : ` local ${word(local)}`) +
    (remote === null ? '' : ` remote ${word(remote)}`);
  switch (settings.kind) {
    case 'dummy':
      return 'dummy';
    case 'vlan':
      return `vlan protocol ${settings.protocol} id ${settings.id}`;
    case 'bond':
      return (
        `bond mode ${settings.mode} miimon ${settings.monitorInterval}` +
        (settings.hashPolicy === 'layer2' ? '' : ` xmit_hash_policy ${settings.hashPolicy}`)
      );
    case 'vxlan':
      return (
        `vxlan id ${settings.id}${ends(settings.local, settings.remote)}` +
        `${settings.parent === null ? '' : ` dev ${word(settings.parent)}`} dstport ${settings.port}`
      );
    case 'gre':
    case 'gretap': {
      const key = settings.key === null ? '' : ` key ${settings.key}`;
      return `${settings.kind}${ends(settings.local, settings.remote)}${key}`;
    }
    case 'ipip':
      return `ipip${ends(settings.local, settings.remote)}`;
    case 'geneve':
      return `geneve id ${settings.id} remote ${word(settings.remote)} dstport ${settings.port}`;
    case 'macvlan':
      return `macvlan mode ${settings.mode}`;
    case 'vrf':
      return `vrf table ${settings.table}`;
    default:
      return assertNever(settings);
  }
}

function commandsOfVlans(
  operation: Extract<Operation, { readonly kind: 'change-vlans' }>,
): readonly string[] {
  const { namespace, name, self, before, after } = operation;
  const text = (entry: VlanEntry): string =>
    `vid ${entry.id}${entry.pvid ? ' pvid' : ''}${entry.untagged ? ' untagged' : ''}`;
  const place = `dev ${word(name)}`;
  const suffix = self ? ' self' : '';
  const wanted = new Map(after.map((entry) => [entry.id, text(entry)]));
  const present = new Map(before.map((entry) => [entry.id, text(entry)]));
  return [
    ...before
      .filter(({ id }) => !wanted.has(id))
      .map(({ id }) => `bridge vlan del ${place} vid ${id}${suffix}`),
    ...after
      .filter(({ id }) => present.get(id) !== wanted.get(id))
      .map((entry) => `bridge vlan add ${place} ${text(entry)}${suffix}`),
  ].map((command) => inside(namespace, command));
}

/** A literal text as a basic regular expression. */
function escapePattern(text: string): string {
  return text.replace(/[\\.*^$[\]]/g, '\\$&');
}

function addressCommand(verb: 'add' | 'del', address: string, name: string): string {
  // Duplicate address detection would leave an IPv6 address unusable for a second or two.
  const detection = verb === 'add' && address.includes(':') ? ' nodad' : '';
  return `ip addr ${verb} ${word(address)} dev ${word(name)}${detection}`;
}

/**
 * The moves of an uplink in an order that loses nothing: an interface that loses its last IPv4 address would take its
 * routes along, so they go first and come last.
 */
function commandsOfUplink(
  operation: Extract<Operation, { readonly kind: 'attach-uplink' | 'detach-uplink' }>,
): readonly string[] {
  const { bridge, interface: name, addresses, routes, macs } = operation;
  const attach = operation.kind === 'attach-uplink';
  const [from, to] = attach ? [name, bridge] : [bridge, name];
  const mac = attach ? macs.attached : macs.detached;
  const order = inAdditionOrder(addresses);
  return [
    ...[...routes].reverse().map((route) => `ip route del ${uplinkRouteWords(route, from)}`),
    ...[...order].reverse().map(({ address, peer }) => {
      const text = peer === null ? word(address) : peerWords(address, peer);
      return `ip addr del ${text} dev ${word(from)}`;
    }),
    `ip link set ${device(name)} ${attach ? `master ${word(bridge)}` : 'nomaster'}`,
    ...(mac === null ? [] : [`ip link set ${device(bridge)} address ${word(mac)}`]),
    ...order.flatMap((address) => uplinkAddressCommands(address, to)),
    ...routes.map((route) => `ip route add ${uplinkRouteWords(route, to)}`),
  ];
}

/** `ADDRESS peer PEER/PREFIX`, as ip-address(8) wants it. */
function peerWords(address: string, peer: string): string {
  const [host = '', length = ''] = address.split('/');
  return `${word(host)} peer ${word(`${peer}/${length}`)}`;
}

function uplinkAddressCommands(given: UplinkAddress, name: string): readonly string[] {
  const { address, peer, broadcast, label, scope, metric, protocol } = given;
  const ipv6 = address.includes(':');
  const words =
    (peer === null ? word(address) : peerWords(address, peer)) +
    (broadcast === null ? '' : ` broadcast ${word(broadcast)}`) +
    ` dev ${word(name)}` +
    (label === null ? '' : ` label ${word(`${name}${label}`)}`) +
    (scope === 'global' ? '' : ` scope ${word(scope)}`) +
    (metric === null ? '' : ` metric ${metric}`) +
    (protocol === null ? '' : ` proto ${protocol}`) +
    (given.noPrefixRoute ? ' noprefixroute' : '');
  if (!ipv6) return [`ip addr add ${words}`];
  // A route from an address waits until that has been tried for duplicates; the flag goes again afterwards.
  return [
    `ip addr add ${words} nodad`,
    ...(given.noDuplicateDetection ? [] : [`ip addr change ${words}`]),
  ];
}

function uplinkRouteWords(route: UplinkRoute, name: string): string {
  const { to, via, metric, protocol, scope, source, onLink } = route;
  const ipv6 = to.includes(':');
  return (
    (to === '0.0.0.0/0' ? 'default' : word(to)) +
    (via === null ? '' : ` via ${via.includes(':') && !ipv6 ? 'inet6 ' : ''}${word(via)}`) +
    ` dev ${word(name)} proto ${protocol}` +
    (ipv6 ? '' : ` scope ${word(scope)}`) +
    (source === null ? '' : ` src ${word(source)}`) +
    (metric === 0 ? '' : ` metric ${metric}`) +
    (onLink ? ' onlink' : '')
  );
}

function routeWords(route: Route): string {
  const to = route.to === '0.0.0.0/0' ? 'default' : word(route.to);
  const via = route.via === null ? '' : ` via ${word(route.via)}`;
  const dev = route.dev === null ? '' : ` dev ${word(route.dev)}`;
  const metric = route.metric === null ? '' : ` metric ${route.metric}`;
  return `${to}${via}${dev}${metric}`;
}

/**
 * A fresh namespace filters bridged frames where br_netfilter is loaded; the files are absent where it is not. Not
 * `sysctl -e`: it is outside the search path of an ordinary user on Debian.
 */
function bridgeNetfilterOff(namespace: string): string {
  const files = '/proc/sys/net/bridge/bridge-nf-call-*';
  const script = `for file in ${files}; do [ ! -e "$file" ] || echo 0 > "$file"; done`;
  return `ip netns exec ${word(namespace)} sh -c '${script}'`;
}
