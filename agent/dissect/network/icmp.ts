/** Control messages of IPv4 (RFC 792, 950, 1256, 4884). Errors quote the packet that they are about. */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, ipv4, meaningsOf, octets, signed, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { uint16, uint8 } from '../core/octets.ts';

const types = meaningsOf({
  0: 'Echo reply',
  3: 'Destination unreachable',
  4: 'Source quench',
  5: 'Redirect',
  8: 'Echo request',
  9: 'Router advertisement',
  10: 'Router solicitation',
  11: 'Time exceeded',
  12: 'Parameter problem',
  13: 'Timestamp request',
  14: 'Timestamp reply',
  17: 'Address mask request',
  18: 'Address mask reply',
});

const codes: Readonly<Record<number, ReadonlyMap<number, string>>> = {
  3: meaningsOf({
    0: 'network unreachable',
    1: 'host unreachable',
    2: 'protocol unreachable',
    3: 'port unreachable',
    4: 'fragmentation needed',
    5: 'source route failed',
    6: 'network unknown',
    7: 'host unknown',
    9: 'network prohibited',
    10: 'host prohibited',
    13: 'administratively prohibited',
  }),
  5: meaningsOf({
    0: 'for the network',
    1: 'for the host',
    2: 'for the service and network',
    3: 'for the service and host',
  }),
  11: meaningsOf({ 0: 'in transit', 1: 'at reassembly' }),
  12: meaningsOf({ 0: 'pointer names it', 1: 'option missing', 2: 'bad length' }),
};

const type = unsigned('icmp.type', 'Type', { meanings: types });
const code = unsigned('icmp.code', 'Code');
const checksum = hexadecimal('icmp.checksum', 'Checksum');
const identifier = hexadecimal('icmp.ident', 'Identifier');
const sequence = unsigned('icmp.seq', 'Sequence number');
const unused = octets('icmp.unused', 'Unused');
const quotedLength = unsigned('icmp.length', 'Length of the quoted packet (units of 4 bytes)');
const linkMtu = unsigned('icmp.mtu', 'MTU of the next hop', { unit: 'bytes' });
const gateway = ipv4('icmp.redir_gw', 'Gateway');
const pointer = unsigned('icmp.pointer', 'Pointer');
const addressCount = unsigned('icmp.num_addrs', 'Number of addresses');
const entrySize = unsigned('icmp.addr_entry_size', 'Size of an entry (units of 4 bytes)');
const lifetime = unsigned('icmp.lifetime', 'Lifetime', { unit: 's' });
const routerAddress = ipv4('icmp.router_address', 'Router');
const preference = signed('icmp.pref_level', 'Preference');
const originate = unsigned('icmp.originate_timestamp', 'Originated', { unit: 'ms' });
const receive = unsigned('icmp.receive_timestamp', 'Received', { unit: 'ms' });
const transmit = unsigned('icmp.transmit_timestamp', 'Transmitted', { unit: 'ms' });
const addressMask = ipv4('icmp.address_mask', 'Address mask');

const errors: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);
const withIdentifier: ReadonlySet<number> = new Set([0, 8, 13, 14, 17, 18]);
/** Bytes of the messages that are not followed by anything else. */
const sizes: Readonly<Record<number, number>> = { 10: 8, 13: 20, 14: 20, 17: 12, 18: 12 };

/** The second byte may be the length of what is quoted (RFC 4884), which is 0 where nobody says it. */
function describeUnused(tree: FieldTree, length: number): void {
  if (tree.peek(1, 1) === 0) {
    tree.octets(unused, length);
    return;
  }
  tree.octets(unused, 1);
  tree.unsigned(quotedLength, 1);
  tree.octets(unused, length - 2);
}

export const controlMessage4: Protocol = {
  name: 'icmp',
  title: 'ICMP',
  minimum: 8,
  fields: [
    type,
    code,
    checksum,
    identifier,
    sequence,
    unused,
    quotedLength,
    linkMtu,
    gateway,
    pointer,
    addressCount,
    entrySize,
    lifetime,
    routerAddress,
    preference,
    originate,
    receive,
    transmit,
    addressMask,
  ],
  enter(packet, layer) {
    const { start, end } = layer;
    const kind = uint8(packet.bytes, start);
    const size = kind === 9 ? 8 + uint8(packet.bytes, start + 4) * 8 : (sizes[kind] ?? 8);
    layer.headerEnd = Math.min(end, start + size);
    if (!errors.has(kind) || end <= start + 8) return;
    packet.quoted = true;
    packet.continueWith('ip-version', 0, start + 8, end);
  },
  describe(tree) {
    const kind = tree.unsigned(type, 1);
    const codeAt = tree.at;
    if (tree.has(1)) {
      const number = tree.peek();
      tree.add(code, codeAt, 1, number, codes[kind]?.get(number) ?? null);
    }
    tree.skip(1);
    tree.unsigned(checksum, 2);
    if (withIdentifier.has(kind)) {
      tree.unsigned(identifier, 2);
      tree.unsigned(sequence, 2);
    }
    switch (kind) {
      case 3:
        // The MTU is of RFC 1191.
        if (tree.bytes[codeAt] === 4) {
          describeUnused(tree, 2);
          tree.unsigned(linkMtu, 2);
        } else {
          describeUnused(tree, 4);
        }
        break;
      case 5:
        tree.ipv4(gateway);
        break;
      case 9: {
        const count = tree.unsigned(addressCount, 1);
        tree.unsigned(entrySize, 1);
        tree.unsigned(lifetime, 2);
        for (let index = 0; index < count && !tree.failed; index += 1) {
          tree.ipv4(routerAddress);
          tree.signed(preference, 4);
        }
        break;
      }
      case 11:
        describeUnused(tree, 4);
        break;
      case 12:
        tree.unsigned(pointer, 1);
        if (tree.peek() === 0) {
          tree.octets(unused, 3);
        } else {
          tree.unsigned(quotedLength, 1);
          tree.octets(unused, 2);
        }
        break;
      case 13:
      case 14:
        tree.unsigned(originate, 4);
        tree.unsigned(receive, 4);
        tree.unsigned(transmit, 4);
        break;
      case 17:
      case 18:
        tree.ipv4(addressMask);
        break;
      default:
        break;
    }
  },
  info({ bytes }, { start }) {
    const kind = uint8(bytes, start);
    const reason = codes[kind]?.get(uint8(bytes, start + 1));
    const name = types.get(kind) ?? `type ${String(kind)}`;
    if (kind === 0 || kind === 8) {
      const id = uint16(bytes, start + 4)
        .toString(16)
        .padStart(4, '0');
      return `${name}, id 0x${id}, sequence ${String(uint16(bytes, start + 6))}`;
    }
    return reason === undefined ? name : `${name}: ${reason}`;
  },
};
