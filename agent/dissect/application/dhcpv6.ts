/** Host configuration of IPv6 (RFC 8415). */
import type { Protocol } from '../core/dissection.ts';
import { addDomainName } from '../core/domain-name.ts';
import { group, hexadecimal, ipv6, meaningsOf, octets, text, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { uint32, uint8 } from '../core/octets.ts';

const messageTypes = meaningsOf({
  1: 'Solicit',
  2: 'Advertise',
  3: 'Request',
  4: 'Confirm',
  5: 'Renew',
  6: 'Rebind',
  7: 'Reply',
  8: 'Release',
  9: 'Decline',
  10: 'Reconfigure',
  11: 'Information request',
  12: 'Relay forward',
  13: 'Relay reply',
});
const optionNames = meaningsOf({
  1: 'client',
  2: 'server',
  3: 'addresses',
  5: 'address',
  6: 'options wanted',
  7: 'preference',
  8: 'elapsed time',
  9: 'relayed message',
  13: 'status',
  14: 'rapid commit',
  16: 'vendor class',
  18: 'interface',
  23: 'domain name servers',
  24: 'domain search list',
  25: 'prefixes',
  26: 'prefix',
});

const messageType = unsigned('dhcpv6.msgtype', 'Message', { meanings: messageTypes });
const transaction = hexadecimal('dhcpv6.xid', 'Transaction');
const hopCount = unsigned('dhcpv6.hopcount', 'Hops');
const linkAddress = ipv6('dhcpv6.linkaddr', 'Link address');
const peerAddress = ipv6('dhcpv6.peeraddr', 'Peer address');
const option = group('dhcpv6.option', 'Option');
const optionType = unsigned('dhcpv6.option.type', 'Type', { meanings: optionNames });
const optionLength = unsigned('dhcpv6.option.length', 'Length', { unit: 'bytes' });
const identifier = octets('dhcpv6.duid.bytes', 'Identifier');
const association = octets('dhcpv6.iaid.octets', 'Association');
const renewal = unsigned('dhcpv6.iaid.t1', 'Renewal time', { unit: 's' });
const rebinding = unsigned('dhcpv6.iaid.t2', 'Rebinding time', { unit: 's' });
const address = ipv6('dhcpv6.iaaddr.ip', 'Address');
const preferredLifetime = unsigned('dhcpv6.iaaddr.pref_lifetime', 'Preferred lifetime', {
  unit: 's',
});
const validLifetime = unsigned('dhcpv6.iaaddr.valid_lifetime', 'Valid lifetime', { unit: 's' });
const prefixPreferred = unsigned('dhcpv6.iaprefix.pref_lifetime', 'Preferred lifetime', {
  unit: 's',
});
const prefixValid = unsigned('dhcpv6.iaprefix.valid_lifetime', 'Valid lifetime', { unit: 's' });
const prefixLength = unsigned('dhcpv6.iaprefix.pref_len', 'Prefix length', { unit: 'bits' });
const prefix = ipv6('dhcpv6.iaprefix.pref_addr', 'Prefix');
const wanted = unsigned('dhcpv6.requested_option_code', 'Option', { meanings: optionNames });
const elapsedTime = unsigned('dhcpv6.elapsed_time', 'Elapsed', { unit: 'ms' });
const status = unsigned('dhcpv6.status_code', 'Status', {
  meanings: meaningsOf({
    0: 'success',
    1: 'failed',
    2: 'no addresses',
    3: 'no binding',
    4: 'not on link',
    5: 'use multicast',
    6: 'no prefixes',
  }),
});
const statusText = text('dhcpv6.status_msg', 'Message');
const server = ipv6('dhcpv6.dns_server', 'Domain name server');
const searchDomain = text('dhcpv6.search_domain', 'Domain');
const data = octets('dhcpv6.option.data', 'Data');

/** Options within options, and messages within messages of relays. */
const maximumDepth = 4;

function describeOptions(tree: FieldTree, depth: number): void {
  while (tree.left >= 4) {
    tree.group(option, () => {
      const kind = tree.unsigned(optionType, 2);
      tree.name(null, optionNames.get(kind) ?? `option ${String(kind)}`);
      tree.within(tree.unsigned(optionLength, 2), () => {
        describeOption(tree, kind, depth);
      });
    });
  }
}

function describeOption(tree: FieldTree, kind: number, depth: number): void {
  if (tree.left === 0) return;
  switch (kind) {
    case 1:
    case 2:
      tree.octets(identifier, tree.left);
      break;
    case 3:
    case 25:
      tree.octets(association, 4);
      tree.unsigned(renewal, 4);
      tree.unsigned(rebinding, 4);
      if (depth < maximumDepth) describeOptions(tree, depth + 1);
      break;
    case 5:
      tree.ipv6(address);
      tree.unsigned(preferredLifetime, 4);
      tree.unsigned(validLifetime, 4);
      if (depth < maximumDepth) describeOptions(tree, depth + 1);
      break;
    case 6:
      while (tree.left >= 2) tree.unsigned(wanted, 2);
      break;
    case 8:
      if (tree.has(2)) tree.add(elapsedTime, tree.at, 2, tree.peek(2) * 10);
      tree.skip(2);
      break;
    case 9:
      if (depth < maximumDepth) describeMessage(tree, depth + 1);
      break;
    case 13:
      tree.unsigned(status, 2);
      if (tree.left > 0) tree.text(statusText, tree.left);
      break;
    case 23:
      while (tree.left >= 16) tree.ipv6(server);
      break;
    case 24:
      while (tree.left > 0) addDomainName(tree, searchDomain, tree.at);
      break;
    case 26:
      tree.unsigned(prefixPreferred, 4);
      tree.unsigned(prefixValid, 4);
      tree.unsigned(prefixLength, 1);
      tree.ipv6(prefix);
      if (depth < maximumDepth) describeOptions(tree, depth + 1);
      break;
    default:
      tree.octets(data, tree.left);
  }
}

function describeMessage(tree: FieldTree, depth: number): void {
  const kind = tree.unsigned(messageType, 1);
  if (kind === 12 || kind === 13) {
    tree.unsigned(hopCount, 1);
    tree.ipv6(linkAddress);
    tree.ipv6(peerAddress);
  } else {
    tree.unsigned(transaction, 3);
  }
  describeOptions(tree, depth);
}

export const hostConfiguration6: Protocol = {
  name: 'dhcpv6',
  title: 'DHCPv6',
  minimum: 4,
  fields: [
    messageType,
    transaction,
    hopCount,
    linkAddress,
    peerAddress,
    option,
    optionType,
    optionLength,
    identifier,
    association,
    renewal,
    rebinding,
    address,
    preferredLifetime,
    validLifetime,
    prefixPreferred,
    prefixValid,
    prefixLength,
    prefix,
    wanted,
    elapsedTime,
    status,
    statusText,
    server,
    searchDomain,
    data,
  ],
  enter: () => undefined,
  describe(tree) {
    describeMessage(tree, 0);
  },
  info({ bytes }, { start }) {
    const kind = uint8(bytes, start);
    const name = messageTypes.get(kind) ?? `message ${String(kind)}`;
    if (kind === 12 || kind === 13) return name;
    return `${name}, transaction 0x${(uint32(bytes, start) % 0x1000000).toString(16).padStart(6, '0')}`;
  },
};
