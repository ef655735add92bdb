/**
 * Control messages of IPv6 (RFC 4443), with neighbour discovery (RFC 4861, its options also RFC 4191, 8106) and multicast
 * listeners (RFC 2710, 9777).
 */
import type { Protocol } from '../core/dissection.ts';
import {
  flag,
  group,
  hexadecimal,
  ipv6,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { ipv6Text, macText, uint16, uint8 } from '../core/octets.ts';
import { addDomainName } from '../core/domain-name.ts';

const types = meaningsOf({
  1: 'Destination unreachable',
  2: 'Packet too big',
  3: 'Time exceeded',
  4: 'Parameter problem',
  128: 'Echo request',
  129: 'Echo reply',
  130: 'Multicast listener query',
  131: 'Multicast listener report',
  132: 'Multicast listener done',
  133: 'Router solicitation',
  134: 'Router advertisement',
  135: 'Neighbour solicitation',
  136: 'Neighbour advertisement',
  137: 'Redirect',
  143: 'Multicast listener report v2',
});

const codes: Readonly<Record<number, ReadonlyMap<number, string>>> = {
  1: meaningsOf({
    0: 'no route',
    1: 'administratively prohibited',
    2: 'beyond scope of the source',
    3: 'address unreachable',
    4: 'port unreachable',
    5: 'source failed policy',
    6: 'route rejected',
  }),
  3: meaningsOf({ 0: 'in transit', 1: 'at reassembly' }),
  4: meaningsOf({ 0: 'bad field', 1: 'unknown next header', 2: 'unknown option' }),
};

const type = unsigned('icmpv6.type', 'Type', { meanings: types });
const code = unsigned('icmpv6.code', 'Code');
const checksum = hexadecimal('icmpv6.checksum', 'Checksum');
const reserved = octets('icmpv6.reserved', 'Reserved');
const linkMtu = unsigned('icmpv6.mtu', 'MTU', { unit: 'bytes' });
const pointer = unsigned('icmpv6.pointer', 'Pointer');
const identifier = hexadecimal('icmpv6.echo.identifier', 'Identifier');
const sequence = unsigned('icmpv6.echo.sequence_number', 'Sequence number');
const hopLimit = unsigned('icmpv6.nd.ra.cur_hop_limit', 'Hop limit', { unit: 'hops' });
const routerFlags = hexadecimal('icmpv6.nd.ra.flag', 'Flags');
const managed = flag('icmpv6.nd.ra.flag.m', 'Addresses by DHCPv6');
const otherConfiguration = flag('icmpv6.nd.ra.flag.o', 'Other settings by DHCPv6');
const homeAgent = flag('icmpv6.nd.ra.flag.h', 'Home agent');
const preferences = meaningsOf({ 0: 'medium', 1: 'high', 3: 'low' });
const routerPreference = unsigned('icmpv6.nd.ra.flag.prf', 'Preference', { meanings: preferences });
const proxy = flag('icmpv6.nd.ra.flag.p', 'Proxy');
const routerLifetime = unsigned('icmpv6.nd.ra.router_lifetime', 'Lifetime', { unit: 's' });
const reachableTime = unsigned('icmpv6.nd.ra.reachable_time', 'Reachable time', { unit: 'ms' });
const retransmission = unsigned('icmpv6.nd.ra.retrans_timer', 'Retransmission timer', {
  unit: 'ms',
});
const solicitTarget = ipv6('icmpv6.nd.ns.target_address', 'Target');
const neighbourFlags = hexadecimal('icmpv6.nd.na.flag', 'Flags');
const isRouter = flag('icmpv6.nd.na.flag.r', 'Router');
const solicited = flag('icmpv6.nd.na.flag.s', 'Solicited');
const override = flag('icmpv6.nd.na.flag.o', 'Override');
const advertisedTarget = ipv6('icmpv6.nd.na.target_address', 'Target');
const redirectTarget = ipv6('icmpv6.nd.rd.target_address', 'Target');
const redirectDestination = ipv6('icmpv6.rd.na.destination_address', 'Destination');

const optionNames = meaningsOf({
  1: 'source link-layer address',
  2: 'target link-layer address',
  3: 'prefix',
  4: 'redirected packet',
  5: 'MTU',
  14: 'nonce',
  24: 'route',
  25: 'DNS servers',
  31: 'DNS search list',
});
const option = group('icmpv6.opt', 'Option');
const optionType = unsigned('icmpv6.opt.type', 'Type', { meanings: optionNames });
const optionLength = unsigned('icmpv6.opt.length', 'Length (units of 8 bytes)');
const linkAddress = octets('icmpv6.opt.linkaddr', 'Link-layer address');
const prefixLength = unsigned('icmpv6.opt.prefix.length', 'Prefix length', { unit: 'bits' });
const prefixFlags = hexadecimal('icmpv6.opt.prefix.flag', 'Flags');
const onLink = flag('icmpv6.opt.prefix.flag.l', 'On link');
const autonomous = flag('icmpv6.opt.prefix.flag.a', 'Autonomous addresses');
const routerAddress = flag('icmpv6.opt.prefix.flag.r', 'Router address');
const validLifetime = unsigned('icmpv6.opt.prefix.valid_lifetime', 'Valid lifetime', { unit: 's' });
const preferredLifetime = unsigned('icmpv6.opt.prefix.preferred_lifetime', 'Preferred lifetime', {
  unit: 's',
});
const prefix = ipv6('icmpv6.opt.prefix', 'Prefix');
const optionMtu = unsigned('icmpv6.opt.mtu', 'MTU', { unit: 'bytes' });
const serverLifetime = unsigned('icmpv6.opt.rdnss.lifetime', 'Lifetime', { unit: 's' });
const server = ipv6('icmpv6.opt.rdnss', 'DNS server');
const searchLifetime = unsigned('icmpv6.opt.dnssl.lifetime', 'Lifetime', { unit: 's' });
const searchDomain = text('icmpv6.opt.dnssl', 'Domain');
const routePreferenceFlags = hexadecimal('icmpv6.opt.route_info.flag', 'Flags');
const routePreference = unsigned('icmpv6.opt.route_info.flag.route_preference', 'Preference', {
  meanings: preferences,
});
const routeLifetime = unsigned('icmpv6.opt.route_lifetime', 'Lifetime', { unit: 's' });
const optionData = octets('icmpv6.opt.data', 'Data');

const maximumDelay = unsigned('icmpv6.mld.maximum_response_delay', 'Response within', {
  unit: 'ms',
});
const maximumCode = unsigned('icmpv6.mld.maximum_response_code', 'Response code');
const multicastAddress = ipv6('icmpv6.mld.multicast_address', 'Multicast address');
const queryFlags = hexadecimal('icmpv6.mld.flag', 'Flags');
const suppress = flag('icmpv6.mld.flag.s', 'Suppress router processing');
const robustness = unsigned('icmpv6.mld.flag.qrv', 'Robustness');
const queryInterval = unsigned('icmpv6.mld.qqi', 'Query interval code');
const sourceCount = unsigned('icmpv6.mld.nb_sources', 'Number of sources');
const sourceAddress = ipv6('icmpv6.mld.source_address', 'Source');
const recordCount = unsigned('icmpv6.mldr.nb_mcast_records', 'Number of records');
const record = group('icmpv6.mldr.mar', 'Record');
const recordTypes = meaningsOf({
  1: 'mode is include',
  2: 'mode is exclude',
  3: 'change to include',
  4: 'change to exclude',
  5: 'allow new sources',
  6: 'block old sources',
});
const recordType = unsigned('icmpv6.mldr.mar.record_type', 'Type', { meanings: recordTypes });
const auxiliaryLength = unsigned('icmpv6.mldr.mar.aux_data_len', 'Length of auxiliary data');
const recordSources = unsigned('icmpv6.mldr.mar.nb_sources', 'Number of sources');
const recordAddress = ipv6('icmpv6.mldr.mar.multicast_address', 'Multicast address');
const recordSource = ipv6('icmpv6.mldr.mar.source_address', 'Source');
const auxiliary = octets('icmpv6.mldr.mar.auxiliary_data', 'Auxiliary data');

function describeOptions(tree: FieldTree): void {
  while (tree.left > 0) {
    tree.group(option, () => {
      const kind = tree.unsigned(optionType, 1);
      tree.name(null, optionNames.get(kind) ?? `option ${String(kind)}`);
      const units = tree.unsigned(optionLength, 1);
      if (tree.failed) return;
      if (units === 0) {
        tree.malformed(tree.at - 1);
        return;
      }
      tree.within(units * 8 - 2, () => {
        describeOption(tree, kind);
      });
    });
  }
}

function describeOption(tree: FieldTree, kind: number): void {
  switch (kind) {
    case 1:
    case 2:
      tree.octets(linkAddress, Math.min(6, tree.left));
      break;
    case 3:
      tree.unsigned(prefixLength, 1);
      tree.word(prefixFlags, 1, [
        [onLink, 0x80],
        [autonomous, 0x40],
        [routerAddress, 0x20],
      ]);
      tree.unsigned(validLifetime, 4);
      tree.unsigned(preferredLifetime, 4);
      tree.skip(4);
      tree.ipv6(prefix);
      break;
    case 5:
      tree.skip(2);
      tree.unsigned(optionMtu, 4);
      break;
    case 24: {
      tree.unsigned(prefixLength, 1);
      tree.word(routePreferenceFlags, 1, [[routePreference, 0x18]]);
      tree.unsigned(routeLifetime, 4);
      // As many bytes as count, filled up with zeros (RFC 4191, 2.3).
      const size = Math.min(16, tree.left);
      if (size === 0) break;
      if (!tree.has(size)) {
        tree.incomplete();
        break;
      }
      const given = tree.bytes.subarray(tree.at, tree.at + size);
      const whole = new Uint8Array(16);
      whole.set(given);
      tree.add(prefix, tree.at, given.length, ipv6Text(whole, 0));
      tree.skip(given.length);
      break;
    }
    case 25:
      tree.skip(2);
      tree.unsigned(serverLifetime, 4);
      while (tree.left >= 16) tree.ipv6(server);
      break;
    case 31:
      tree.skip(2);
      tree.unsigned(searchLifetime, 4);
      while (tree.left > 0 && tree.peek() !== 0) {
        addDomainName(tree, searchDomain, tree.at);
      }
      break;
    default:
      tree.octets(optionData, tree.left);
  }
}

function describeQuery(tree: FieldTree): void {
  const isSecond = tree.left >= 24;
  tree.unsigned(isSecond ? maximumCode : maximumDelay, 2);
  tree.octets(reserved, 2);
  tree.ipv6(multicastAddress);
  if (!isSecond) return;
  tree.word(queryFlags, 1, [
    [suppress, 0x08],
    [robustness, 0x07],
  ]);
  tree.unsigned(queryInterval, 1);
  const count = tree.unsigned(sourceCount, 2);
  for (let index = 0; index < count && !tree.failed; index += 1) tree.ipv6(sourceAddress);
}

function describeReports(tree: FieldTree): void {
  tree.octets(reserved, 2);
  const count = tree.unsigned(recordCount, 2);
  for (let index = 0; index < count && !tree.failed; index += 1) {
    tree.group(record, () => {
      tree.unsigned(recordType, 1);
      const more = tree.unsigned(auxiliaryLength, 1);
      const sources = tree.unsigned(recordSources, 2);
      tree.name(null, tree.ipv6(recordAddress));
      for (let place = 0; place < sources && !tree.failed; place += 1) tree.ipv6(recordSource);
      tree.octets(auxiliary, more * 4);
    });
  }
}

/** Bytes before the quoted packet of an error, or the data of an echo. */
const carriers: ReadonlySet<number> = new Set([1, 2, 3, 4, 128, 129]);

export const controlMessage6: Protocol = {
  name: 'icmpv6',
  title: 'ICMPv6',
  minimum: 8,
  fields: [
    type,
    code,
    checksum,
    reserved,
    linkMtu,
    pointer,
    identifier,
    sequence,
    hopLimit,
    routerFlags,
    managed,
    otherConfiguration,
    homeAgent,
    routerPreference,
    proxy,
    routerLifetime,
    reachableTime,
    retransmission,
    solicitTarget,
    neighbourFlags,
    isRouter,
    solicited,
    override,
    advertisedTarget,
    redirectTarget,
    redirectDestination,
    option,
    optionType,
    optionLength,
    linkAddress,
    prefixLength,
    prefixFlags,
    onLink,
    autonomous,
    routerAddress,
    validLifetime,
    preferredLifetime,
    prefix,
    optionMtu,
    serverLifetime,
    server,
    searchLifetime,
    searchDomain,
    routePreferenceFlags,
    routePreference,
    routeLifetime,
    optionData,
    maximumDelay,
    maximumCode,
    multicastAddress,
    queryFlags,
    suppress,
    robustness,
    queryInterval,
    sourceCount,
    sourceAddress,
    recordCount,
    record,
    recordType,
    auxiliaryLength,
    recordSources,
    recordAddress,
    recordSource,
    auxiliary,
  ],
  enter(packet, layer) {
    const { start, end } = layer;
    const kind = uint8(packet.bytes, start);
    if (carriers.has(kind)) layer.headerEnd = Math.min(end, start + 8);
    if (kind > 4 || kind === 0 || end <= start + 8) return;
    packet.quoted = true;
    packet.continueWith('ip-version', 0, start + 8, end);
  },
  describe(tree) {
    const kind = tree.unsigned(type, 1);
    if (tree.has(1)) {
      const number = tree.peek();
      tree.add(code, tree.at, 1, number, codes[kind]?.get(number) ?? null);
    }
    tree.skip(1);
    tree.unsigned(checksum, 2);
    switch (kind) {
      case 1:
      case 3:
        tree.octets(reserved, 4);
        break;
      case 2:
        tree.unsigned(linkMtu, 4);
        break;
      case 4:
        tree.unsigned(pointer, 4);
        break;
      case 128:
      case 129:
        tree.unsigned(identifier, 2);
        tree.unsigned(sequence, 2);
        break;
      case 130:
        describeQuery(tree);
        break;
      case 131:
      case 132:
        tree.unsigned(maximumDelay, 2);
        tree.octets(reserved, 2);
        tree.ipv6(multicastAddress);
        break;
      case 133:
        tree.octets(reserved, 4);
        describeOptions(tree);
        break;
      case 134:
        tree.unsigned(hopLimit, 1);
        tree.word(routerFlags, 1, [
          [managed, 0x80],
          [otherConfiguration, 0x40],
          [homeAgent, 0x20],
          [routerPreference, 0x18],
          [proxy, 0x04],
        ]);
        tree.unsigned(routerLifetime, 2);
        tree.unsigned(reachableTime, 4);
        tree.unsigned(retransmission, 4);
        describeOptions(tree);
        break;
      case 135:
        tree.octets(reserved, 4);
        tree.ipv6(solicitTarget);
        describeOptions(tree);
        break;
      case 136:
        tree.word(neighbourFlags, 4, [
          [isRouter, 0x80000000],
          [solicited, 0x40000000],
          [override, 0x20000000],
        ]);
        tree.ipv6(advertisedTarget);
        describeOptions(tree);
        break;
      case 137:
        tree.octets(reserved, 4);
        tree.ipv6(redirectTarget);
        tree.ipv6(redirectDestination);
        describeOptions(tree);
        break;
      case 143:
        describeReports(tree);
        break;
      default:
        break;
    }
  },
  info(packet, layer) {
    const { bytes } = packet;
    const { start } = layer;
    const kind = uint8(bytes, start);
    const name = types.get(kind) ?? `type ${String(kind)}`;
    if (kind === 128 || kind === 129) {
      const id = uint16(bytes, start + 4)
        .toString(16)
        .padStart(4, '0');
      return `${name}, id 0x${id}, sequence ${String(uint16(bytes, start + 6))}`;
    }
    if ((kind === 135 || kind === 136) && layer.has(24)) {
      // The first option is the link-layer address, where there is one (RFC 4861, 4.3 and 4.4).
      const has = layer.has(32) && [1, 2].includes(uint8(bytes, start + 24));
      const link = has ? ` ${kind === 135 ? 'from' : 'is at'} ${macText(bytes, start + 26)}` : '';
      return `${name} ${kind === 135 ? 'for ' : ''}${ipv6Text(bytes, start + 8)}${link}`;
    }
    const reason = codes[kind]?.get(uint8(bytes, start + 1));
    return reason === undefined ? name : `${name}: ${reason}`;
  },
};
