/** Which protocol comes next, by the number that the one before it has for it. */
import type { Dissection, NextTable, Protocol } from './core/dissection.ts';
import { arp } from './link/arp.ts';
import { linuxCooked, linuxCooked2, loopback } from './link/cooked.ts';
import { ethernet, serviceTag, vlanTag } from './link/ethernet.ts';
import { linkDiscovery } from './link/lldp.ts';
import { logicalLink } from './link/llc.ts';
import { linkAggregation, slowProtocols } from './link/slow-protocols.ts';
import { spanningTree } from './link/spanning-tree.ts';
import { hostConfiguration } from './application/dhcp.ts';
import { hostConfiguration6 } from './application/dhcpv6.ts';
import { flowRecords, sampledFlow } from './application/flow-export.ts';
import { openFlow } from './application/openflow.ts';
import {
  borderGateway,
  routingInformation,
  routingInformation6,
  shortestPath,
} from './application/routing.ts';
import { domainNames, multicastNames } from './application/dns.ts';
import { hypertext, looksLikeHttp } from './application/http.ts';
import { networkTime } from './application/ntp.ts';
import { looksLikeTls, transportSecurity } from './application/tls.ts';
import { genericRouting } from './tunnel/gre.ts';
import { geneve, vxlan } from './tunnel/virtual-networks.ts';
import { controlMessage4 } from './network/icmp.ts';
import { controlMessage6 } from './network/icmpv6.ts';
import { groupManagement } from './network/igmp.ts';
import { internetProtocol4 } from './network/ipv4.ts';
import {
  authenticationHeader,
  destinationOptions,
  encapsulatingSecurity,
  fragmentHeader,
  hopByHopOptions,
  routingHeader,
} from './network/ipv6-extensions.ts';
import { internetProtocol6 } from './network/ipv6.ts';
import { transmissionControl } from './transport/tcp.ts';
import { userDatagram } from './transport/udp.ts';
import { undecoded } from './core/undecoded.ts';

/** Values of LINKTYPE_ (tcpdump.org/linktypes.html). */
const linkTypes: ReadonlyMap<number, Protocol> = new Map([
  [0, loopback],
  [1, ethernet],
  [108, loopback],
  [113, linuxCooked],
  [276, linuxCooked2],
]);
/** Packets of IP without a link's header: _RAW, and what systems wrote before it had a number; _IPV4 and _IPV6. */
const rawLinkTypes: ReadonlySet<number> = new Set([12, 14, 101, 228, 229]);

const etherTypes: ReadonlyMap<number, Protocol> = new Map([
  [0x0800, internetProtocol4],
  [0x0806, arp],
  [0x6558, ethernet],
  [0x8035, arp],
  [0x8100, vlanTag],
  [0x8809, slowProtocols],
  [0x86dd, internetProtocol6],
  [0x88a8, serviceTag],
  [0x88cc, linkDiscovery],
  [0x9100, vlanTag],
]);

const ipProtocols: ReadonlyMap<number, Protocol> = new Map([
  [0, hopByHopOptions],
  [1, controlMessage4],
  [2, groupManagement],
  [4, internetProtocol4],
  [6, transmissionControl],
  [17, userDatagram],
  [41, internetProtocol6],
  [43, routingHeader],
  [44, fragmentHeader],
  [47, genericRouting],
  [50, encapsulatingSecurity],
  [51, authenticationHeader],
  [58, controlMessage6],
  [60, destinationOptions],
  [89, shortestPath],
]);

const udpPorts: ReadonlyMap<number, Protocol> = new Map([
  [53, domainNames],
  [67, hostConfiguration],
  [68, hostConfiguration],
  [123, networkTime],
  [520, routingInformation],
  [521, routingInformation6],
  [546, hostConfiguration6],
  [547, hostConfiguration6],
  [2055, flowRecords],
  [4739, flowRecords],
  [4789, vxlan],
  [5353, multicastNames],
  [6081, geneve],
  [6343, sampledFlow],
  // Linux had it before the number was given.
  [8472, vxlan],
  [9995, flowRecords],
  [9996, flowRecords],
]);

const tcpPorts: ReadonlyMap<number, Protocol> = new Map([
  [53, domainNames],
  [179, borderGateway],
  [6633, openFlow],
  [6653, openFlow],
]);

/** The lower of two ports is the service more often. */
function byPorts(table: ReadonlyMap<number, Protocol>, ports: number): Protocol | undefined {
  const source = Math.floor(ports / 0x10000);
  const destination = ports % 0x10000;
  return source < destination
    ? (table.get(source) ?? table.get(destination))
    : (table.get(destination) ?? table.get(source));
}

function ipByVersion({ bytes }: Dissection, at: number): Protocol | undefined {
  const version = (bytes[at] ?? 0) >> 4;
  if (version === 4) return internetProtocol4;
  return version === 6 ? internetProtocol6 : undefined;
}

/** Undefined for one that has no dissector. */
export function protocolOf(
  packet: Dissection,
  table: NextTable,
  key: number,
  at: number,
  _end: number,
): Protocol | undefined {
  switch (table) {
    case 'link-type':
      return rawLinkTypes.has(key) ? ipByVersion(packet, at) : linkTypes.get(key);
    case 'ether-type':
      return etherTypes.get(key);
    case 'ip-protocol':
      return ipProtocols.get(key);
    case 'ip-version':
      return ipByVersion(packet, at);
    case 'llc':
      return logicalLink;
    case 'access-point':
      return key === 0x42 ? spanningTree : undefined;
    case 'slow-subtype':
      return key === 1 ? linkAggregation : undefined;
    case 'udp':
      return byPorts(udpPorts, key);
    case 'tcp':
      // What it looks like tells more than a number that anybody may use.
      if (looksLikeTls(packet.bytes, at)) return transportSecurity;
      if (looksLikeHttp(packet.bytes, at)) return hypertext;
      return byPorts(tcpPorts, key);
  }
}

/** All of them, for the catalogue of fields. */
export const protocols: readonly Protocol[] = [
  ...new Set([
    ...linkTypes.values(),
    ...etherTypes.values(),
    logicalLink,
    spanningTree,
    linkAggregation,
    ...ipProtocols.values(),
    ...udpPorts.values(),
    ...tcpPorts.values(),
    transportSecurity,
    hypertext,
    undecoded,
  ]),
];
