/** Group management of IPv4: version 1, 2 (RFC 2236) and 3 (RFC 9776). */
import type { Protocol } from '../core/dissection.ts';
import { flag, group, hexadecimal, ipv4, meaningsOf, octets, unsigned } from '../core/field.ts';
import { ipv4Text, uint16, uint8 } from '../core/octets.ts';

const types = meaningsOf({
  0x11: 'Membership query',
  0x12: 'Membership report v1',
  0x16: 'Membership report v2',
  0x17: 'Leave group',
  0x22: 'Membership report v3',
});
const recordTypes = meaningsOf({
  1: 'mode is include',
  2: 'mode is exclude',
  3: 'change to include',
  4: 'change to exclude',
  5: 'allow new sources',
  6: 'block old sources',
});

const type = hexadecimal('igmp.type', 'Type', { meanings: types });
const responseTime = unsigned('igmp.max_resp', 'Response within', { unit: '0.1 s' });
const reserved = octets('igmp.reserved', 'Reserved');
const checksum = hexadecimal('igmp.checksum', 'Checksum');
const address = ipv4('igmp.maddr', 'Group');
const suppress = flag('igmp.s', 'Suppress router processing');
const robustness = unsigned('igmp.qrv', 'Robustness');
const queryInterval = unsigned('igmp.qqic', 'Query interval code');
const sourceCount = unsigned('igmp.num_src', 'Number of sources');
const source = ipv4('igmp.saddr', 'Source');
const recordCount = unsigned('igmp.num_grp_recs', 'Number of records');
const record = group('igmp.record', 'Record');
const recordType = unsigned('igmp.record_type', 'Type', { meanings: recordTypes });
const auxiliaryLength = unsigned('igmp.aux_data_len', 'Length of auxiliary data');
const auxiliary = octets('igmp.aux_data', 'Auxiliary data');

export const groupManagement: Protocol = {
  name: 'igmp',
  title: 'IGMP',
  minimum: 8,
  fields: [
    type,
    responseTime,
    reserved,
    checksum,
    address,
    suppress,
    robustness,
    queryInterval,
    sourceCount,
    source,
    recordCount,
    record,
    recordType,
    auxiliaryLength,
    auxiliary,
  ],
  enter: () => undefined,
  describe(tree, layer) {
    const kind = tree.unsigned(type, 1);
    if (kind === 0x22) {
      tree.octets(reserved, 1);
      tree.unsigned(checksum, 2);
      tree.octets(reserved, 2);
      const count = tree.unsigned(recordCount, 2);
      for (let index = 0; index < count && !tree.failed; index += 1) {
        tree.group(record, () => {
          tree.unsigned(recordType, 1);
          const more = tree.unsigned(auxiliaryLength, 1);
          const sources = tree.unsigned(sourceCount, 2);
          tree.name(null, tree.ipv4(address));
          for (let place = 0; place < sources && !tree.failed; place += 1) tree.ipv4(source);
          tree.octets(auxiliary, more * 4);
        });
      }
      return;
    }
    // Version 1 has no time: its field is 0, and a query without it is one of version 1.
    tree.unsigned(responseTime, 1);
    tree.unsigned(checksum, 2);
    tree.ipv4(address);
    if (kind !== 0x11 || layer.end - layer.start < 12) return;
    const at = tree.at;
    if (tree.has(1)) {
      tree.bits(suppress, at, 1, 0x08);
      tree.bits(robustness, at, 1, 0x07);
    }
    tree.skip(1);
    tree.unsigned(queryInterval, 1);
    const count = tree.unsigned(sourceCount, 2);
    for (let index = 0; index < count && !tree.failed; index += 1) tree.ipv4(source);
  },
  info({ bytes }, { start }) {
    const kind = uint8(bytes, start);
    const name = types.get(kind) ?? `type 0x${kind.toString(16)}`;
    if (kind === 0x22) {
      const count = uint16(bytes, start + 6);
      return `${name}, ${String(count)} ${count === 1 ? 'record' : 'records'}`;
    }
    return `${name} ${ipv4Text(bytes, start + 4)}`;
  },
};
