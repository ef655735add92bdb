import { assertNever, type Device } from '../../../agent/api/index.ts';
import type { FieldLabel } from './setting-fields.ts';

/** What the kernel says of a device, in the order of the form. */
export function deviceFacts(device: Device | null): readonly (readonly [FieldLabel, string])[] {
  if (device === null) return [];
  const ends = (tunnel: { readonly local: string | null; readonly remote: string | null }) =>
    [
      ['local', tunnel.local ?? '–'],
      ['remote', tunnel.remote ?? '–'],
    ] as const;
  switch (device.kind) {
    case 'dummy':
      return [];
    case 'vlan':
      return [
        ['parent', device.parent],
        ['id', String(device.id)],
        ['protocol', device.protocol],
      ];
    case 'bond':
      return [
        ['mode', device.mode],
        ['monitorInterval', String(device.monitorInterval)],
        ['hashPolicy', device.hashPolicy],
      ];
    case 'vxlan':
      return [
        ['vni', String(device.id)],
        ['udpPort', String(device.port)],
        ...ends(device),
        ...(device.parent === null ? [] : [['parent', device.parent] as const]),
      ];
    case 'gre':
    case 'gretap':
      return [
        ...ends(device),
        ...(device.key === null ? [] : [['key', String(device.key)] as const]),
      ];
    case 'ipip':
      return ends(device);
    case 'geneve':
      return [
        ['vni', String(device.id)],
        ['remote', device.remote],
        ['udpPort', String(device.port)],
      ];
    case 'macvlan':
      return [
        ['parent', device.parent],
        ['mode', device.mode],
      ];
    case 'vrf':
      return [['table', String(device.table)]];
    case 'tap':
    case 'tun':
      return [
        ...(device.owner === null ? [] : [['owner', String(device.owner)] as const]),
        ...(device.group === null ? [] : [['group', String(device.group)] as const]),
        ...(device.multiQueue ? [['multiQueue', '✓'] as const] : []),
      ];
    default:
      return assertNever(device);
  }
}
