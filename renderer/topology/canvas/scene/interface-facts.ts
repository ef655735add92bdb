/** What the picture shows of an interface: as the kernel has it, else as it is wanted. */
import { type LinkView } from '../../../../agent/api/index.ts';
import { impairmentOf } from '../../../../agent/lab/device.ts';
import { isDeviceKind } from '../../document/devices.ts';
import { commonOf } from '../../document/node-kinds.ts';
import { liveVlans, programOf, type WantedInterface, wantedVlans } from '../../live.ts';
import { type OvsPortView, type PortVlans, portVlansOf, wantedOvsVlan } from '../../ovs-view.ts';
import { type SceneInterface } from './scene.ts';

/** What is no device has none of it. */
export const plainFacts = {
  device: null,
  number: null,
  parent: null,
  bond: null,
  members: [],
  vlans: null,
  isolated: false,
  blocked: null,
  impairment: null,
  holders: null,
  uplink: false,
  error: null,
} as const;

export function deviceFacts(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  live: LinkView | null,
): Pick<
  SceneInterface,
  'device' | 'number' | 'parent' | 'bond' | 'members' | 'impairment' | 'holders'
> {
  const { settings } = wanted;
  const bond = all.find(
    (each) => each.settings.kind === 'bond' && (each.settings.members ?? []).includes(wanted.name),
  );
  const device = wanted.device;
  return {
    device,
    number:
      'id' in settings
        ? settings.id
        : 'table' in settings
          ? settings.table
          : 'key' in settings
            ? (settings.key ?? null)
            : null,
    parent: 'parent' in settings ? (settings.parent ?? null) : null,
    members: 'members' in settings ? (settings.members ?? []) : [],
    bond: bond === undefined ? null : { name: bond.name, state: live?.bondMember ?? null },
    impairment: live === null ? impairmentOf(commonOf(settings).impairment) : live.impairment,
    holders: device === 'tap' || device === 'tun' ? (live === null ? null : holdersOf(live)) : null,
  };
}

/** What Open vSwitch says of a member of a bond. */
export function ovsFacts(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  { port, state }: OvsPortView,
): Partial<Pick<SceneInterface, 'bond'>> {
  const bond = bondOf(wanted, all);
  const member = state?.bondMember ?? null;
  if (bond === null || member === null) return {};
  // Balancing, every member that may carry does.
  const active = member.active || (port.bond?.mode !== 'active-backup' && member.enabled);
  return {
    bond: { name: bond, state: { state: active ? 'active' : 'backup', linkUp: member.enabled } },
  };
}

function bondOf(wanted: WantedInterface, all: readonly WantedInterface[]): string | null {
  const bond = all.find(
    ({ settings }) =>
      settings.kind === 'bond' && (settings.members ?? []).some((name) => name === wanted.name),
  );
  return bond?.name ?? null;
}

/** Of a port as Open vSwitch has it, else as it is wanted; those of a bond's members are the bond's. */
export function ovsVlans(
  wanted: WantedInterface,
  all: readonly WantedInterface[],
  port: OvsPortView | null,
): PortVlans | null {
  if (bondOf(wanted, all) !== null) return null;
  return portVlansOf(port?.port.vlan ?? wantedOvsVlan(wanted.settings));
}

function holdersOf(link: LinkView): string[] {
  return [...new Set(link.holders.map((process) => programOf(process.command)))];
}

export function vlansOf(wanted: WantedInterface, live: LinkView | null): PortVlans {
  const real = live?.vlans ?? null;
  if (real !== null) return liveVlans(real);
  const { settings } = wanted;
  return wantedVlans({
    vlan: 'vlan' in settings ? settings.vlan : undefined,
    trunk: 'trunk' in settings ? settings.trunk : undefined,
    native: 'native' in settings ? settings.native : undefined,
  });
}

export function isolatedOf(wanted: WantedInterface): boolean {
  return 'isolated' in wanted.settings && wanted.settings.isolated === true;
}

export function blockedOf(live: LinkView | null): string | null {
  const state = live?.portState ?? null;
  return state === null || state === 'forwarding' || state === 'disabled' ? null : state;
}

export function liveAddresses(link: LinkView, wanted: readonly string[]): string[] {
  // Addresses that the kernel makes by itself (fe80::) say nothing unless they were asked for.
  const shown = link.addresses.filter((address) => address.scope !== 'link' || address.owned);
  const order = (text: string) => {
    const index = wanted.indexOf(text);
    return index < 0 ? wanted.length : index;
  };
  return shown.map((address) => address.address).sort((one, other) => order(one) - order(other));
}

export function addressLine(
  addresses: readonly string[],
): Pick<SceneInterface, 'address' | 'moreAddresses'> {
  return { address: addresses[0] ?? null, moreAddresses: Math.max(0, addresses.length - 1) };
}

/** Whether it is down that should be up, or up that should be down. */
export function isOddState(
  live: LinkView,
  wanted: { readonly state?: 'up' | 'down' | undefined },
): boolean {
  return live.up !== (wanted.state !== 'down');
}

export function driftedInterface(live: LinkView | null, wanted: readonly string[]): boolean {
  if (live === null) return false;
  return live.addresses.some(
    (address) => address.scope !== 'link' && !address.owned && !wanted.includes(address.address),
  );
}

export function foreignInterface(link: LinkView, drawn: Set<string>): SceneInterface {
  drawn.add(link.id);
  return {
    id: link.id,
    name: link.name,
    ...addressLine(liveAddresses(link, [])),
    presence: 'foreign',
    difference: null,
    drifted: false,
    up: link.up,
    peer: link.peer,
    ...plainFacts,
    ...liveFacts(link),
  };
}

export function liveFacts(link: LinkView): Pick<SceneInterface, 'device' | 'number' | 'holders'> {
  const { device } = link;
  const kind = device?.kind ?? (isDeviceKind(link.kind) ? link.kind : null);
  return {
    device: kind,
    number:
      device !== null && 'id' in device
        ? device.id
        : device !== null && 'table' in device
          ? device.table
          : null,
    holders: kind === 'tap' || kind === 'tun' ? holdersOf(link) : null,
  };
}
