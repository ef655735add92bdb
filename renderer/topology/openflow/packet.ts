/** A packet as a person describes it, and as `ofproto/trace` takes it (ovs-fields(7)). Pure. */
import { parseHostAddress } from '../../../agent/lab/address.ts';

export const packetProtocols = ['any', 'arp', 'ip', 'icmp', 'tcp', 'udp'] as const;
export type PacketProtocol = (typeof packetProtocols)[number];

export interface PacketDraft {
  readonly inPort: string;
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly vlan: string;
  readonly protocol: PacketProtocol;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: string;
  readonly destinationPort: string;
}

export const emptyPacket: PacketDraft = {
  inPort: '',
  sourceMac: '',
  destinationMac: '',
  vlan: '',
  protocol: 'icmp',
  source: '',
  destination: '',
  sourcePort: '',
  destinationPort: '',
};

export type PacketText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly field: keyof PacketDraft };

const macPattern = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;
const within = (text: string, least: number, most: number) =>
  /^\d{1,5}$/.test(text) && Number(text) >= least && Number(text) <= most;

/** Whether it has ports: only then are they asked for. */
export function hasPorts(protocol: PacketProtocol): boolean {
  return protocol === 'tcp' || protocol === 'udp';
}

export function hasAddresses(protocol: PacketProtocol): boolean {
  return protocol !== 'any';
}

/** One line in the syntax of ovs-ofctl, or the first field that cannot be so. */
export function packetText(draft: PacketDraft): PacketText {
  const { protocol } = draft;
  const parts: string[] = [];
  const wrong = (field: keyof PacketDraft): PacketText => ({ ok: false, field });
  if (draft.inPort !== '') parts.push(`in_port=${draft.inPort}`);
  for (const [field, key] of [
    ['sourceMac', 'dl_src'],
    ['destinationMac', 'dl_dst'],
  ] as const) {
    if (draft[field] === '') continue;
    if (!macPattern.test(draft[field])) return wrong(field);
    parts.push(`${key}=${draft[field].toLowerCase()}`);
  }
  if (draft.vlan !== '') {
    if (!within(draft.vlan, 1, 4094)) return wrong('vlan');
    parts.push(`dl_vlan=${Number(draft.vlan)}`);
  }
  const families = new Set<string>();
  if (hasAddresses(protocol)) {
    for (const field of ['source', 'destination'] as const) {
      if (draft[field] === '') continue;
      const host = parseHostAddress(draft[field]);
      if (host === null) return wrong(field);
      families.add(host.family);
      if (families.size > 1 || (protocol === 'arp' && host.family !== 'ipv4')) return wrong(field);
    }
  }
  const six = families.has('ipv6');
  const words = { any: '', arp: 'arp', ip: six ? 'ipv6' : 'ip', icmp: six ? 'icmp6' : 'icmp' };
  const word = hasPorts(protocol)
    ? `${protocol}${six ? '6' : ''}`
    : words[protocol as keyof typeof words];
  const head = word === '' ? [] : [word];
  const keys =
    protocol === 'arp'
      ? (['arp_spa', 'arp_tpa'] as const)
      : six
        ? (['ipv6_src', 'ipv6_dst'] as const)
        : (['nw_src', 'nw_dst'] as const);
  if (hasAddresses(protocol)) {
    if (draft.source !== '') parts.push(`${keys[0]}=${draft.source}`);
    if (draft.destination !== '') parts.push(`${keys[1]}=${draft.destination}`);
  }
  // A request, and a whole life before it: what a host sends.
  if (protocol === 'arp') parts.push('arp_op=1');
  else if (protocol !== 'any') parts.push('nw_ttl=64');
  if (protocol === 'icmp') parts.push(`icmp_type=${six ? 128 : 8}`);
  if (hasPorts(protocol)) {
    for (const [field, key] of [
      ['sourcePort', 'tp_src'],
      ['destinationPort', 'tp_dst'],
    ] as const) {
      if (draft[field] === '') continue;
      if (!within(draft[field], 0, 65535)) return wrong(field);
      parts.push(`${key}=${Number(draft[field])}`);
    }
  }
  const text = [...head, ...parts].join(',');
  return text === '' ? wrong('inPort') : { ok: true, text };
}

/** Fields that belong to the bridge or to the wire that a packet came by, and not to the packet. */
const notPackets =
  /^(?:in_port|dl_vlan|dl_vlan_pcp|vlan_|tun_|recirc_id|pkt_mark|metadata|reg\d|xreg\d|xxreg\d|ct_|dp_hash|skb_priority|eth\(|actset_output)/;

/** The same packet as it comes to the next bridge: at another port, with that VLAN or without a tag. */
export function onwardPacket(text: string, inPort: string, vlan: number | null): string {
  const kept = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !notPackets.test(part));
  const words = kept.filter((part) => !part.includes('='));
  const fields = kept.filter((part) => part.includes('='));
  return [
    ...words,
    `in_port=${inPort}`,
    ...(vlan === null ? [] : [`dl_vlan=${vlan}`]),
    ...fields,
  ].join(',');
}

/** The value of a field in such a line. */
export function fieldOf(text: string, key: string): string | null {
  const part = text
    .split(',')
    .map((each) => each.trim())
    .find((each) => each.startsWith(`${key}=`));
  return part === undefined ? null : part.slice(key.length + 1);
}
