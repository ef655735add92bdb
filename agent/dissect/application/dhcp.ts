/** Host configuration of IPv4 (RFC 2131, options RFC 2132). */
import type { Protocol } from '../core/dissection.ts';
import {
  type FieldType,
  findField,
  flag,
  hexadecimal,
  ipv4,
  mac,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { hardwareTypes } from '../core/numbers.ts';
import { uint32, uint8 } from '../core/octets.ts';

const messageTypes = meaningsOf({
  1: 'Discover',
  2: 'Offer',
  3: 'Request',
  4: 'Decline',
  5: 'ACK',
  6: 'NAK',
  7: 'Release',
  8: 'Inform',
});
const optionNames = meaningsOf({
  0: 'padding',
  1: 'subnet mask',
  3: 'router',
  6: 'domain name servers',
  12: 'host name',
  15: 'domain name',
  26: 'MTU',
  28: 'broadcast address',
  43: 'vendor',
  50: 'requested address',
  51: 'lease time',
  53: 'message type',
  54: 'server',
  55: 'parameters wanted',
  57: 'largest message',
  58: 'renewal time',
  59: 'rebinding time',
  60: 'vendor class',
  61: 'client',
  81: 'client name',
  82: 'relay agent',
  119: 'search list',
  121: 'routes',
  255: 'end',
});

const operation = unsigned('dhcp.type', 'Operation', {
  meanings: meaningsOf({ 1: 'request', 2: 'reply' }),
});
const hardwareType = hexadecimal('dhcp.hw.type', 'Hardware type', { meanings: hardwareTypes });
const hardwareLength = unsigned('dhcp.hw.len', 'Hardware address length', { unit: 'bytes' });
const hops = unsigned('dhcp.hops', 'Hops');
const transaction = hexadecimal('dhcp.id', 'Transaction');
const elapsed = unsigned('dhcp.secs', 'Elapsed', { unit: 's' });
const flags = hexadecimal('dhcp.flags', 'Flags');
const broadcast = flag('dhcp.flags.bc', 'Broadcast');
const client = ipv4('dhcp.ip.client', 'Client address');
const yours = ipv4('dhcp.ip.your', 'Your address');
const server = ipv4('dhcp.ip.server', 'Next server');
const relay = ipv4('dhcp.ip.relay', 'Relay agent');
const clientMac = mac('dhcp.hw.mac_addr', 'Client MAC address');
const clientHardware = octets('dhcp.hw.addr', 'Client hardware address');
const hardwarePadding = octets('dhcp.hw.addr_padding', 'Padding');
const serverName = text('dhcp.server', 'Server name');
const file = text('dhcp.file', 'Boot file');
const cookie = ipv4('dhcp.cookie', 'Magic cookie');
const optionType = unsigned('dhcp.option.type', 'Option', { meanings: optionNames });
const optionEnd = unsigned('dhcp.option.end', 'End');
const optionLength = unsigned('dhcp.option.length', 'Length', { unit: 'bytes' });
const messageType = unsigned('dhcp.option.dhcp', 'Message', { meanings: messageTypes });
const wanted = unsigned('dhcp.option.request_list_item', 'Parameter', { meanings: optionNames });
const optionData = octets('dhcp.option.data', 'Data');

const addresses: ReadonlyMap<number, FieldType> = new Map([
  [1, ipv4('dhcp.option.subnet_mask', 'Subnet mask')],
  [3, ipv4('dhcp.option.router', 'Router')],
  [6, ipv4('dhcp.option.domain_name_server', 'Domain name server')],
  [28, ipv4('dhcp.option.broadcast_address', 'Broadcast address')],
  [50, ipv4('dhcp.option.requested_ip_address', 'Requested address')],
  [54, ipv4('dhcp.option.dhcp_server_id', 'Server')],
]);
const texts: ReadonlyMap<number, FieldType> = new Map([
  [12, text('dhcp.option.hostname', 'Host name')],
  [15, text('dhcp.option.domain_name', 'Domain name')],
  [60, text('dhcp.option.vendor_class_id', 'Vendor class')],
]);
const numbers: ReadonlyMap<number, readonly [type: FieldType, length: number]> = new Map([
  [26, [unsigned('dhcp.option.interface_mtu', 'MTU', { unit: 'bytes' }), 2]],
  [51, [unsigned('dhcp.option.ip_address_lease_time', 'Lease time', { unit: 's' }), 4]],
  [57, [unsigned('dhcp.option.dhcp_max_message_size', 'Largest message', { unit: 'bytes' }), 2]],
  [58, [unsigned('dhcp.option.renewal_time_value', 'Renewal time', { unit: 's' }), 4]],
  [59, [unsigned('dhcp.option.rebinding_time_value', 'Rebinding time', { unit: 's' }), 4]],
]);

const magicCookie = 0x63825363;

function describeOption(tree: FieldTree, kind: number): void {
  const address = addresses.get(kind);
  const content = texts.get(kind);
  const number = numbers.get(kind);
  if (address !== undefined) {
    while (tree.left >= 4) tree.ipv4(address);
  } else if (content !== undefined) {
    tree.text(content, tree.left);
  } else if (number?.[1] === tree.left) {
    tree.unsigned(...number);
  } else if (kind === 53 && tree.left === 1) {
    tree.unsigned(messageType, 1);
  } else if (kind === 55) {
    while (tree.left > 0) tree.unsigned(wanted, 1);
  } else {
    tree.octets(optionData, tree.left);
  }
}

function describeOptions(tree: FieldTree): void {
  let ended = false;
  while (!ended && tree.left > 0) {
    if (tree.has(1) && tree.peek() === 0) {
      tree.skip(1);
      continue;
    }
    const kind = tree.peek();
    if (kind === 255) {
      tree.unsigned(optionEnd, 1);
      ended = true;
      continue;
    }
    if (!tree.has(2)) {
      tree.incomplete();
      return;
    }
    const build = (): void => {
      tree.skip(1);
      tree.within(tree.unsigned(optionLength, 1), () => {
        describeOption(tree, kind);
      });
    };
    tree.group(optionType, build, kind, optionNames.get(kind) ?? null);
  }
}

export const hostConfiguration: Protocol = {
  name: 'dhcp',
  title: 'DHCP',
  minimum: 28,
  fields: [
    operation,
    hardwareType,
    hardwareLength,
    hops,
    transaction,
    elapsed,
    flags,
    broadcast,
    client,
    yours,
    server,
    relay,
    clientMac,
    clientHardware,
    hardwarePadding,
    serverName,
    file,
    cookie,
    optionType,
    optionEnd,
    optionLength,
    messageType,
    wanted,
    optionData,
    ...addresses.values(),
    ...texts.values(),
    ...[...numbers.values()].map(([type]) => type),
  ],
  enter: () => undefined,
  describe(tree) {
    tree.unsigned(operation, 1);
    const hardware = tree.unsigned(hardwareType, 1);
    const length = tree.unsigned(hardwareLength, 1);
    tree.unsigned(hops, 1);
    tree.unsigned(transaction, 4);
    tree.unsigned(elapsed, 2);
    tree.word(flags, 2, [[broadcast, 0x8000]]);
    tree.ipv4(client);
    tree.ipv4(yours);
    tree.ipv4(server);
    tree.ipv4(relay);
    const size = Math.min(16, length);
    if (hardware === 1 && size === 6) tree.mac(clientMac);
    else tree.octets(clientHardware, size);
    tree.octets(hardwarePadding, 16 - size);
    tree.text(serverName, 64);
    tree.text(file, 128);
    if (tree.left < 4 || (tree.has(4) && tree.peek(4) !== magicCookie)) return;
    tree.ipv4(cookie);
    describeOptions(tree);
  },
  info({ bytes }, layer) {
    const kind = findField(layer.fields, 'dhcp.option.dhcp')?.meaning;
    const name = kind ?? (uint8(bytes, layer.start) === 1 ? 'BOOTP request' : 'BOOTP reply');
    const id = uint32(bytes, layer.start + 4)
      .toString(16)
      .padStart(8, '0');
    return `${name}, transaction 0x${id}`;
  },
};
