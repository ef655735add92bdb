/** The eight hues of protocols: which of them a packet has, by the title of its innermost protocol. Pure. */
export const protocolHues = [
  'arp',
  'icmp',
  'tcp',
  'udp',
  'dns',
  'dhcp',
  'tunnel',
  'other',
] as const;
export type ProtocolHue = (typeof protocolHues)[number];

/** As `agent/dissect` titles them. What is known by its name alone goes with what carries it. */
const hues: Readonly<Record<string, ProtocolHue>> = {
  ARP: 'arp',
  ICMP: 'icmp',
  ICMPv6: 'icmp',
  IGMP: 'icmp',
  TCP: 'tcp',
  HTTP: 'tcp',
  TLS: 'tcp',
  BGP: 'tcp',
  OpenFlow: 'tcp',
  UDP: 'udp',
  NTP: 'udp',
  NetFlow: 'udp',
  IPFIX: 'udp',
  sFlow: 'udp',
  RIP: 'udp',
  RIPv1: 'udp',
  RIPv2: 'udp',
  RIPng: 'udp',
  DNS: 'dns',
  mDNS: 'dns',
  DHCP: 'dhcp',
  DHCPv6: 'dhcp',
  GRE: 'tunnel',
  VXLAN: 'tunnel',
  Geneve: 'tunnel',
  ESP: 'tunnel',
  AH: 'tunnel',
};

const byName = new Map(Object.entries(hues).map(([title, hue]) => [title.toLowerCase(), hue]));
const titles = new Map(Object.keys(hues).map((title) => [title.toLowerCase(), title]));

/** By title or by name; versions behind it (`NetFlow v9`) do not count. */
export function hueOf(protocol: string): ProtocolHue {
  return byName.get(protocol.split(' ')[0]?.toLowerCase() ?? '') ?? 'other';
}

/** `ICMPv6` of `icmpv6`, the name that display filters have for it. */
export function titleOf(name: string): string {
  return titles.get(name) ?? name.toUpperCase();
}

export function hueVariable(hue: ProtocolHue): string {
  return `--protocol-${hue}`;
}
