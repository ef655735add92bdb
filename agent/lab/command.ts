import { assertNever } from '../api/result.ts';
import type { LinkSettings, Operation, Route, VethEnd } from './operation.ts';

export interface CommandContext {
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
  switch (operation.kind) {
    case 'add-namespace':
      return [`ip netns add ${word(operation.name)}`, bridgeNetfilterOff(operation.name)];
    case 'remove-namespace':
      return [`ip netns del ${word(operation.name)}`];
    case 'add-bridge': {
      const name = device(operation.name);
      const address = operation.mac === null ? '' : ` address ${word(operation.mac)}`;
      const stp = operation.stp ? ' stp_state 1' : '';
      const add = inside(
        operation.namespace,
        `ip link add ${named(operation.name)}${address} type bridge${stp}`,
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
  if (after.stp !== undefined) settings.push(`type bridge stp_state ${after.stp ? 1 : 0}`);
  if (after.master === null) settings.push('nomaster');
  else if (after.master !== undefined) settings.push(`master ${word(after.master)}`);
  if (after.up === true) settings.push('up');
  return settings;
}

function addressCommand(verb: 'add' | 'del', address: string, name: string): string {
  // Duplicate address detection would leave an IPv6 address unusable for a second or two.
  const detection = verb === 'add' && address.includes(':') ? ' nodad' : '';
  return `ip addr ${verb} ${word(address)} dev ${word(name)}${detection}`;
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
