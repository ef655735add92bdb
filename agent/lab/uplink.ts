import type { LinkView, RouteView } from '../api/inventory.ts';
import { isInSubnet, parseHostAddress, parsePrefix, parseSubnetAddress } from './address.ts';
import type { SubnetAddress } from './address.ts';
import { givenAddresses } from './observed.ts';
import type { GivenAddress } from './observed.ts';
import type { UplinkAddress, UplinkRoute } from './operation.ts';

/** RTPROT_REDIRECT and RTPROT_RA: what the kernel learns anew on another interface. */
const learntProtocols: ReadonlySet<number> = new Set([1, 9]);
/** RTPROT_KERNEL: of an address, unless that asks for none. */
const kernelProtocol = 2;

/** What of an interface's addresses and routes can be moved. */
export interface Movable {
  readonly addresses: readonly UplinkAddress[];
  readonly routes: readonly UplinkRoute[];
  /** Addresses that end by themselves; whoever gave them gives them again. */
  readonly dynamic: readonly string[];
  /** Destinations of routes that could not be made again as they are. */
  readonly intricate: readonly string[];
}

/** `takesAddress` and `takesRoute` leave out what is not the uplink's. */
export function movableOf(
  view: LinkView,
  routes: readonly RouteView[],
  takesAddress: (address: GivenAddress) => boolean,
  takesRoute: (route: RouteView, to: string) => boolean,
): Movable {
  const given = givenAddresses(view).filter(takesAddress);
  const fixed = given.filter(({ dynamic }) => dynamic !== true);
  const dynamic = given.filter((address) => address.dynamic === true);
  const subnets = fixed.flatMap(({ address, particulars }) => {
    const subnet = parseSubnetAddress(address);
    return subnet === null ? [] : [{ subnet, bare: particulars?.noPrefixRoute === true }];
  });
  const moved: UplinkRoute[] = [];
  const intricate: string[] = [];
  for (const route of routes) {
    const everything = route.family === 'ipv4' ? '0.0.0.0/0' : '::/0';
    const to = parsePrefix(route.to === 'default' ? everything : route.to)?.text;
    if (to === undefined || route.kind !== 'unicast' || learntProtocols.has(route.protocol)) {
      continue;
    }
    if (route.protocol === kernelProtocol && !isOfBareAddress(to, subnets)) continue;
    if (!takesRoute(route, to) || !isReachable(route, subnets)) continue;
    if (isFrom(route.source, dynamic)) continue;
    if (route.intricate === true) intricate.push(route.to);
    else moved.push(routeOf(route, to));
  }
  // Those on the link come first: a gateway is reached through them.
  const order = (route: UplinkRoute): number => (route.via === null ? 0 : 1);
  return {
    addresses: fixed.map((address) => addressOf(address, view.name)),
    routes: moved.sort((one, other) => order(one) - order(other)),
    dynamic: dynamic.map(({ address }) => address),
    intricate,
  };
}

interface Subnet {
  readonly subnet: SubnetAddress;
  /** Without the route that the kernel would make. */
  readonly bare: boolean;
}

/** Whether a route of the kernel's own protocol was made by somebody for an address that asks for none. */
function isOfBareAddress(to: string, subnets: readonly Subnet[]): boolean {
  const same = subnets.filter(({ subnet }) => subnet.subnet === to);
  return same.length > 0 && same.every(({ bare }) => bare);
}

/** Whether the gateway is in a subnet that moves, too. */
function isReachable({ via, onLink }: RouteView, subnets: readonly Subnet[]): boolean {
  const gateway = via === null ? null : parseHostAddress(via);
  if (gateway === null || onLink === true || gateway.text.startsWith('fe80:')) return true;
  return subnets.some(({ subnet }) => isInSubnet(gateway, subnet));
}

function isFrom(source: string | undefined, addresses: readonly GivenAddress[]): boolean {
  return addresses.some(({ address }) => address.split('/')[0] === source);
}

function addressOf(given: GivenAddress, link: string): UplinkAddress {
  const { address, scope, particulars } = given;
  const label = particulars?.label;
  return {
    address,
    scope,
    peer: particulars?.peer ?? null,
    broadcast: particulars?.broadcast ?? null,
    label: label?.startsWith(link) === true ? label.slice(link.length) : null,
    protocol: particulars?.protocol ?? null,
    metric: particulars?.metric ?? null,
    noPrefixRoute: particulars?.noPrefixRoute === true,
    noDuplicateDetection: particulars?.noDuplicateDetection === true,
  };
}

function routeOf(route: RouteView, to: string): UplinkRoute {
  return {
    to,
    via: route.via,
    metric: route.metric,
    protocol: route.protocol,
    scope: route.scope,
    source: route.source ?? null,
    onLink: route.onLink === true,
  };
}

/**
 * The addresses in the order that makes a kernel list them as they are here: it appends an IPv4 address, and puts an
 * IPv6 address before the others of its scope (ipv6_link_dev_addr).
 */
export function inAdditionOrder(addresses: readonly UplinkAddress[]): readonly UplinkAddress[] {
  const isIpv6 = ({ address }: UplinkAddress): boolean => address.includes(':');
  return [
    ...addresses.filter((address) => !isIpv6(address)),
    ...addresses.filter(isIpv6).reverse(),
  ];
}
