/** Kernel objects as tests need them: everything has a plain value unless said otherwise. */
import type { Address, Link, Route } from '../../../agent/kernel/rtnetlink.ts';
import type { NamespaceState } from '../../../agent/inventory/assemble.ts';

export function sampleLink(change: Partial<Link> & Pick<Link, 'index' | 'name'>): Link {
  return {
    alternativeNames: [],
    kind: 'veth',
    hardwareType: 1,
    mac: '02:00:00:00:00:01',
    permanentMac: undefined,
    mtu: 1500,
    flags: 0,
    up: true,
    running: true,
    lowerUp: true,
    broadcast: true,
    multicast: true,
    loopback: false,
    pointToPoint: false,
    noArp: false,
    promiscuous: false,
    promiscuity: 0,
    operationalState: 'up',
    carrier: true,
    master: undefined,
    link: undefined,
    linkNamespaceId: undefined,
    alias: undefined,
    group: 0,
    transmitQueueLength: 1000,
    transmitQueues: 1,
    receiveQueues: 1,
    queueingDiscipline: undefined,
    minimumMtu: undefined,
    maximumMtu: undefined,
    parentDevice: undefined,
    parentBus: undefined,
    bridge: undefined,
    bridgePort: undefined,
    portKind: undefined,
    infoData: undefined,
    portData: undefined,
    targetNamespaceId: undefined,
    newNamespaceId: undefined,
    newIndex: undefined,
    counters: undefined,
    ...change,
  };
}

export function sampleAddress(change: Partial<Address> & Pick<Address, 'address'>): Address {
  return {
    family: 4,
    prefixLength: 24,
    peer: undefined,
    broadcast: undefined,
    label: undefined,
    interfaceIndex: 2,
    scope: 'global',
    flags: 0,
    permanent: true,
    tentative: false,
    duplicateDetected: false,
    deprecated: false,
    secondary: false,
    noPrefixRoute: false,
    protocol: 0,
    validLifetime: undefined,
    preferredLifetime: undefined,
    targetNamespaceId: undefined,
    ...change,
  };
}

export function sampleRoute(change: Partial<Route> & Pick<Route, 'destination'>): Route {
  return {
    family: 4,
    gateway: undefined,
    interfaceIndex: 2,
    metric: undefined,
    table: 254,
    protocol: 3,
    scope: 'global',
    type: 'unicast',
    preferredSource: undefined,
    flags: 0,
    dead: false,
    cloned: false,
    nextHops: [],
    ...change,
  };
}

export function sampleNamespace(change: Partial<NamespaceState>): NamespaceState {
  return {
    id: '100',
    root: false,
    names: [],
    mounts: [],
    container: null,
    processes: [],
    processCount: 0,
    links: new Map(),
    addresses: new Map(),
    routes: [],
    runs: [],
    rules: null,
    forwarding: { ipv4: false, ipv6: false },
    queueing: new Map(),
    vlans: new Map(),
    holders: new Map(),
    ...change,
  };
}

export function byIndex(...links: readonly Link[]): ReadonlyMap<number, Link> {
  return new Map(links.map((link) => [link.index, link]));
}
