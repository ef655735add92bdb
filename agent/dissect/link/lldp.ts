/** Link layer discovery (IEEE 802.1AB). */
import type { Protocol } from '../core/dissection.ts';
import {
  type FieldType,
  findField,
  flag,
  group,
  hexadecimal,
  ipv4,
  ipv6,
  mac,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { BitFields, FieldTree } from '../core/field-tree.ts';

const types = meaningsOf({
  0: 'end',
  1: 'chassis',
  2: 'port',
  3: 'time to live',
  4: 'port description',
  5: 'system name',
  6: 'system description',
  7: 'capabilities',
  8: 'management address',
  127: 'organization',
});
const families = meaningsOf({ 1: 'IPv4', 2: 'IPv6', 6: 'MAC' });

const part = group('lldp.tlv', 'Part');
const partType = unsigned('lldp.tlv.type', 'Type', { meanings: types });
const partLength = unsigned('lldp.tlv.len', 'Length', { unit: 'bytes' });
const chassisKind = unsigned('lldp.chassis.subtype', 'Kind of chassis', {
  meanings: meaningsOf({
    1: 'component',
    2: 'interface alias',
    3: 'port component',
    4: 'MAC',
    5: 'network address',
    6: 'interface name',
    7: 'local',
  }),
});
const chassis = octets('lldp.chassis.id', 'Chassis');
const chassisMac = mac('lldp.chassis.id.mac', 'Chassis');
const chassisIpv4 = ipv4('lldp.chassis.id.ip4', 'Chassis');
const chassisIpv6 = ipv6('lldp.chassis.id.ip6', 'Chassis');
const portKind = unsigned('lldp.port.subtype', 'Kind of port', {
  meanings: meaningsOf({
    1: 'interface alias',
    2: 'port component',
    3: 'MAC',
    4: 'network address',
    5: 'interface name',
    6: 'circuit',
    7: 'local',
  }),
});
const port = text('lldp.port.id', 'Port');
const portMac = mac('lldp.port.id.mac', 'Port');
const portIpv4 = ipv4('lldp.port.id.ip4', 'Port');
const portIpv6 = ipv6('lldp.port.id.ip6', 'Port');
const addressFamily = unsigned('lldp.network_address.subtype', 'Address family', {
  meanings: families,
});
const timeToLive = unsigned('lldp.time_to_live', 'Time to live', { unit: 's' });
const portDescription = text('lldp.port.desc', 'Port description');
const systemName = text('lldp.tlv.system.name', 'System name');
const systemDescription = text('lldp.tlv.system.desc', 'System description');

function capabilitiesOf(name: string, label: string): readonly [FieldType, BitFields] {
  return [
    hexadecimal(name, label),
    [
      [flag(`${name}.other`, 'Other'), 0x01],
      [flag(`${name}.repeater`, 'Repeater'), 0x02],
      [flag(`${name}.bridge`, 'Bridge'), 0x04],
      [flag(`${name}.wlan_access_pt`, 'Access point'), 0x08],
      [flag(`${name}.router`, 'Router'), 0x10],
      [flag(`${name}.telephone`, 'Telephone'), 0x20],
      [flag(`${name}.docsis_cable_device`, 'Cable device'), 0x40],
      [flag(`${name}.station_only`, 'Station only'), 0x80],
    ],
  ];
}
const [capabilities, capabilityBits] = capabilitiesOf('lldp.tlv.system_cap', 'Capabilities');
const [enabled, enabledBits] = capabilitiesOf('lldp.tlv.enable_system_cap', 'Enabled');

const managementLength = unsigned('lldp.mgn.address.len', 'Length', { unit: 'bytes' });
const managementFamily = unsigned('lldp.mgn.address.subtype', 'Address family', {
  meanings: families,
});
const managementIpv4 = ipv4('lldp.mgn.addr.ip4', 'Management address');
const managementIpv6 = ipv6('lldp.mgn.addr.ip6', 'Management address');
const managementOctets = octets('lldp.mgn.addr.hex', 'Management address');
const interfaceKind = unsigned('lldp.mgn.interface.subtype', 'Kind of interface number', {
  meanings: meaningsOf({ 1: 'unknown', 2: 'ifIndex', 3: 'system port' }),
});
const interfaceNumber = unsigned('lldp.mgn.interface.number', 'Interface');
const objectLength = unsigned('lldp.mgn.obj.len', 'Length of the object', { unit: 'bytes' });
const objectId = octets('lldp.mgn.obj.octets', 'Object');
const organization = hexadecimal('lldp.orgtlv.oui', 'Organization');
const organizationKind = unsigned('lldp.orgtlv.subtype', 'Subtype');
const organizationData = octets('lldp.orgtlv.data', 'Data');
const unknown = octets('lldp.tlv.data', 'Data');

/** A network address: its family, then its bytes. */
function networkAddress(tree: FieldTree, four: FieldType, six: FieldType, other: FieldType): void {
  const family = tree.unsigned(addressFamily, 1);
  if (family === 1 && tree.left === 4) tree.ipv4(four);
  else if (family === 2 && tree.left === 16) tree.ipv6(six);
  else tree.octets(other, tree.left);
}

function describePart(tree: FieldTree, type: number): void {
  switch (type) {
    case 1: {
      const kind = tree.unsigned(chassisKind, 1);
      if (kind === 4 && tree.left === 6) tree.mac(chassisMac);
      else if (kind === 5) networkAddress(tree, chassisIpv4, chassisIpv6, chassis);
      else tree.octets(chassis, tree.left);
      break;
    }
    case 2: {
      const kind = tree.unsigned(portKind, 1);
      if (kind === 3 && tree.left === 6) tree.mac(portMac);
      else if (kind === 4) networkAddress(tree, portIpv4, portIpv6, unknown);
      else tree.text(port, tree.left);
      break;
    }
    case 3:
      tree.unsigned(timeToLive, 2);
      break;
    case 4:
      tree.text(portDescription, tree.left);
      break;
    case 5:
      tree.text(systemName, tree.left);
      break;
    case 6:
      tree.text(systemDescription, tree.left);
      break;
    case 7:
      tree.word(capabilities, 2, capabilityBits);
      tree.word(enabled, 2, enabledBits);
      break;
    case 8: {
      const length = tree.unsigned(managementLength, 1);
      const family = tree.unsigned(managementFamily, 1);
      if (family === 1 && length === 5) tree.ipv4(managementIpv4);
      else if (family === 2 && length === 17) tree.ipv6(managementIpv6);
      else tree.octets(managementOctets, length - 1);
      tree.unsigned(interfaceKind, 1);
      tree.unsigned(interfaceNumber, 4);
      tree.octets(objectId, tree.unsigned(objectLength, 1));
      break;
    }
    case 127:
      tree.unsigned(organization, 3);
      tree.unsigned(organizationKind, 1);
      tree.octets(organizationData, tree.left);
      break;
    default:
      tree.octets(unknown, tree.left);
  }
}

export const linkDiscovery: Protocol = {
  name: 'lldp',
  title: 'LLDP',
  minimum: 2,
  fields: [
    part,
    partType,
    partLength,
    chassisKind,
    chassis,
    chassisMac,
    chassisIpv4,
    chassisIpv6,
    portKind,
    port,
    portMac,
    portIpv4,
    portIpv6,
    addressFamily,
    timeToLive,
    portDescription,
    systemName,
    systemDescription,
    capabilities,
    ...capabilityBits.map(([type]) => type),
    enabled,
    ...enabledBits.map(([type]) => type),
    managementLength,
    managementFamily,
    managementIpv4,
    managementIpv6,
    managementOctets,
    interfaceKind,
    interfaceNumber,
    objectLength,
    objectId,
    organization,
    organizationKind,
    organizationData,
    unknown,
  ],
  enter: () => undefined,
  describe(tree) {
    let ended = false;
    while (!ended && tree.left >= 2) {
      tree.group(part, () => {
        const word = tree.peek(2);
        const type = word >> 9;
        const at = tree.at;
        tree.bits(partType, at, 2, 0xfe00);
        tree.bits(partLength, at, 2, 0x01ff);
        tree.name(null, types.get(type) ?? `type ${String(type)}`);
        tree.skip(2);
        tree.within(word & 0x1ff, () => {
          if (tree.left > 0) describePart(tree, type);
        });
        ended = type === 0;
      });
    }
  },
  info(_, { fields }) {
    const value = (name: string): string => String(findField(fields, name)?.value ?? '');
    const name = value('lldp.tlv.system.name');
    const of = name === '' ? value('lldp.chassis.id.mac') : name;
    return `${of} port ${value('lldp.port.id') || value('lldp.port.id.mac')}`;
  },
};
