/** Slow protocols (IEEE 802.3, annex 57A), of which link aggregation is read (IEEE 802.1AX, 6.4.2). */
import type { Protocol } from '../core/dissection.ts';
import {
  type FieldType,
  flag,
  hexadecimal,
  mac,
  meaningsOf,
  octets,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { macText, uint16, uint8 } from '../core/octets.ts';

const subtypes = meaningsOf({ 1: 'LACP', 2: 'Marker', 3: 'OAM', 10: 'Organization' });
const subtype = hexadecimal('slow.subtype', 'Subtype', { meanings: subtypes });

export const slowProtocols: Protocol = {
  name: 'slow',
  title: 'Slow protocols',
  minimum: 1,
  fields: [subtype],
  enter(packet, layer) {
    layer.headerEnd = layer.start + 1;
    const kind = uint8(packet.bytes, layer.start);
    packet.continueWith('slow-subtype', kind, layer.start + 1, layer.end);
  },
  describe(tree) {
    tree.unsigned(subtype, 1);
  },
  info({ bytes }, { start }) {
    const kind = uint8(bytes, start);
    return subtypes.get(kind) ?? `Subtype ${String(kind)}`;
  },
};

const version = hexadecimal('lacp.version', 'Version');
const partType = hexadecimal('lacp.tlv_type', 'Part', {
  meanings: meaningsOf({ 0: 'end', 1: 'actor', 2: 'partner', 3: 'collector' }),
});
const partLength = hexadecimal('lacp.tlv_length', 'Length', { unit: 'bytes' });
const maximumDelay = unsigned('lacp.collector.max_delay', 'Maximum delay', { unit: '10 µs' });
const collectorReserved = octets('lacp.coll_reserved', 'Reserved');
const padding = octets('lacp.pad', 'Padding');

interface Party {
  readonly systemPriority: FieldType;
  readonly system: FieldType;
  readonly key: FieldType;
  readonly portPriority: FieldType;
  readonly port: FieldType;
  readonly state: FieldType;
  readonly states: readonly (readonly [FieldType, number])[];
  readonly reserved: FieldType;
}

function partyOf(who: 'actor' | 'partner'): Party {
  const prefix = `lacp.${who}`;
  return {
    systemPriority: unsigned(`${prefix}.sys_priority`, 'System priority'),
    system: mac(`${prefix}.sysid`, 'System'),
    key: unsigned(`${prefix}.key`, 'Key'),
    portPriority: unsigned(`${prefix}.port_priority`, 'Port priority'),
    port: unsigned(`${prefix}.port`, 'Port'),
    state: hexadecimal(`${prefix}.state`, 'State'),
    states: [
      [flag(`${prefix}.state.activity`, 'Active'), 0x01],
      [flag(`${prefix}.state.timeout`, 'Short timeout'), 0x02],
      [flag(`${prefix}.state.aggregation`, 'Aggregatable'), 0x04],
      [flag(`${prefix}.state.synchronization`, 'In synchronization'), 0x08],
      [flag(`${prefix}.state.collecting`, 'Collecting'), 0x10],
      [flag(`${prefix}.state.distributing`, 'Distributing'), 0x20],
      [flag(`${prefix}.state.defaulted`, 'Defaulted'), 0x40],
      [flag(`${prefix}.state.expired`, 'Expired'), 0x80],
    ],
    reserved: octets(`${prefix}.reserved`, 'Reserved'),
  };
}

const actor = partyOf('actor');
const partner = partyOf('partner');

function fieldsOf({ states, ...others }: Party): readonly FieldType[] {
  return [...Object.values(others), ...states.map(([type]) => type)];
}

function describeParty(tree: FieldTree, party: Party): void {
  tree.unsigned(partType, 1);
  tree.unsigned(partLength, 1);
  tree.unsigned(party.systemPriority, 2);
  tree.mac(party.system);
  tree.unsigned(party.key, 2);
  tree.unsigned(party.portPriority, 2);
  tree.unsigned(party.port, 2);
  tree.word(party.state, 1, party.states);
  tree.octets(party.reserved, 3);
}

/** All parts have the lengths that they have in version 1; later ones follow the collector. */
export const linkAggregation: Protocol = {
  name: 'lacp',
  title: 'LACP',
  minimum: 1,
  fields: [
    version,
    partType,
    partLength,
    ...fieldsOf(actor),
    ...fieldsOf(partner),
    maximumDelay,
    collectorReserved,
    padding,
  ],
  enter(packet, layer) {
    // Of 110 bytes, with its subtype; what is left fills the frame up.
    layer.headerEnd = layer.end = Math.min(layer.end, layer.start + 109);
    if (packet.paddingAt < 0) packet.paddingAt = layer.end;
  },
  describe(tree) {
    tree.unsigned(version, 1);
    describeParty(tree, actor);
    describeParty(tree, partner);
    tree.unsigned(partType, 1);
    tree.unsigned(partLength, 1);
    tree.unsigned(maximumDelay, 2);
    tree.octets(collectorReserved, 12);
    tree.unsigned(partType, 1);
    tree.unsigned(partLength, 1);
    tree.octets(padding, tree.left);
  },
  info({ bytes }, layer) {
    const { start } = layer;
    if (!layer.has(41)) return 'LACP';
    const party = (at: number): string =>
      `${macText(bytes, at + 4)} key ${String(uint16(bytes, at + 10))} port ${String(uint16(bytes, at + 14))}`;
    return `Actor ${party(start + 1)}, partner ${party(start + 21)}`;
  },
};
