/** Headers of OpenFlow (Open Networking Foundation, 1.0 to 1.5): the messages of a segment one after the other. */
import type { Protocol } from '../core/dissection.ts';
import { group, hexadecimal, meaningsOf, octets, unsigned } from '../core/field.ts';
import { uint16, uint8 } from '../core/octets.ts';

const versions = meaningsOf({ 1: '1.0', 2: '1.1', 3: '1.2', 4: '1.3', 5: '1.4', 6: '1.5' });
const firstTypes = {
  0: 'HELLO',
  1: 'ERROR',
  2: 'ECHO_REQUEST',
  3: 'ECHO_REPLY',
  4: 'VENDOR',
  5: 'FEATURES_REQUEST',
  6: 'FEATURES_REPLY',
  7: 'GET_CONFIG_REQUEST',
  8: 'GET_CONFIG_REPLY',
  9: 'SET_CONFIG',
  10: 'PACKET_IN',
  11: 'FLOW_REMOVED',
  12: 'PORT_STATUS',
  13: 'PACKET_OUT',
  14: 'FLOW_MOD',
} as const;
const types10 = meaningsOf({
  ...firstTypes,
  15: 'PORT_MOD',
  16: 'STATS_REQUEST',
  17: 'STATS_REPLY',
  18: 'BARRIER_REQUEST',
  19: 'BARRIER_REPLY',
});
const types13 = meaningsOf({
  ...firstTypes,
  4: 'EXPERIMENTER',
  15: 'GROUP_MOD',
  16: 'PORT_MOD',
  17: 'TABLE_MOD',
  18: 'MULTIPART_REQUEST',
  19: 'MULTIPART_REPLY',
  20: 'BARRIER_REQUEST',
  21: 'BARRIER_REPLY',
  24: 'ROLE_REQUEST',
  25: 'ROLE_REPLY',
  26: 'GET_ASYNC_REQUEST',
  27: 'GET_ASYNC_REPLY',
  28: 'SET_ASYNC',
  29: 'METER_MOD',
});

function typeName(version: number, type: number): string {
  return (version === 1 ? types10 : types13).get(type) ?? `type ${String(type)}`;
}

const message = group('openflow.message', 'Message');
const versionField = hexadecimal('openflow.version', 'Version', { meanings: versions });
const typeField = unsigned('openflow.type', 'Type');
const length = unsigned('openflow.length', 'Length', { unit: 'bytes' });
const transaction = unsigned('openflow.xid', 'Transaction');
const body = octets('openflow.body', 'Body');

const headerLength = 8;

export const openFlow: Protocol = {
  name: 'openflow',
  title: 'OpenFlow',
  minimum: headerLength,
  fields: [message, versionField, typeField, length, transaction, body],
  enter: () => undefined,
  describe(tree) {
    while (tree.left >= headerLength) {
      // Of what comes from the middle of a message nothing can be said.
      if (tree.has(1) && !versions.has(tree.peek())) return;
      tree.group(message, () => {
        const version = tree.unsigned(versionField, 1);
        if (tree.has(1)) {
          const type = tree.peek();
          tree.add(typeField, tree.at, 1, type, typeName(version, type));
          tree.name(null, typeName(version, type));
        }
        tree.skip(1);
        const size = tree.unsigned(length, 2);
        tree.unsigned(transaction, 4);
        if (tree.failed) return;
        if (size < headerLength) {
          tree.malformed(tree.at - 6);
          return;
        }
        tree.octets(body, Math.min(size - headerLength, tree.left));
      });
    }
  },
  info({ bytes }, { start, end }) {
    const names: string[] = [];
    const stop = Math.min(end, bytes.length);
    for (let at = start; at + headerLength <= stop && names.length < 8;) {
      if (!versions.has(uint8(bytes, at))) break;
      names.push(typeName(uint8(bytes, at), uint8(bytes, at + 1)));
      at += Math.max(headerLength, uint16(bytes, at + 2));
    }
    return names.length === 0 ? 'Middle of a message' : names.join(', ');
  },
};
