/** Devices as documents ask for them, in the kernel's terms. */
import type { Device, Impairment } from '../api/device.ts';
import type { BridgePort, InterfaceSettings } from '../api/document.ts';
import { ratePattern } from '../api/document-values.ts';
import type { ImpairmentSettings } from '../api/document-values.ts';
import { normaliseImpairment } from '../api/impairment.ts';
import { assertNever } from '../api/result.ts';
import { parseHostAddress } from './address.ts';

/** IANA's UDP ports (RFC 7348, RFC 8926). */
export const vxlanPort = 4789;
export const genevePort = 6081;

/** The device that an interface is; null for the end of a link. */
export function deviceOf(settings: InterfaceSettings | BridgePort): Device | null {
  switch (settings.kind) {
    case undefined:
    case 'veth':
      return null;
    case 'dummy':
      return { kind: 'dummy' };
    case 'vlan': {
      const { kind, parent, id } = settings;
      return { kind, parent, id, protocol: settings.protocol ?? '802.1Q' };
    }
    case 'bond':
      return {
        kind: 'bond',
        mode: settings.mode ?? 'active-backup',
        monitorInterval: settings.monitorInterval ?? 100,
        hashPolicy: settings.hashPolicy ?? 'layer2',
      };
    case 'vxlan': {
      const { kind, id } = settings;
      const port = settings.port ?? vxlanPort;
      return { kind, id, ...endsOf(settings), port, parent: settings.parent ?? null };
    }
    case 'gre':
    case 'gretap':
      return { kind: settings.kind, ...endsOf(settings), key: settings.key ?? null };
    case 'ipip':
      return { kind: 'ipip', ...endsOf(settings) };
    case 'geneve': {
      const { kind, id, remote } = settings;
      return { kind, id, remote: canonical(remote), port: settings.port ?? genevePort };
    }
    case 'macvlan':
      return { kind: 'macvlan', parent: settings.parent, mode: settings.mode ?? 'bridge' };
    case 'vrf':
      return { kind: 'vrf', table: settings.table };
    case 'tap':
    case 'tun':
      return {
        kind: settings.kind,
        owner: settings.owner ?? null,
        group: settings.group ?? null,
        multiQueue: settings.multiQueue ?? false,
      };
    default:
      return assertNever(settings);
  }
}

function endsOf(settings: {
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
}): { readonly local: string | null; readonly remote: string | null } {
  return {
    local: settings.local === undefined ? null : canonical(settings.local),
    remote: settings.remote === undefined ? null : canonical(settings.remote),
  };
}

function canonical(address: string): string {
  return parseHostAddress(address)?.text ?? address;
}

/** Interfaces that a bond or VRF takes in. */
export function membersOf(settings: InterfaceSettings | BridgePort): readonly string[] {
  return settings.kind === 'bond' || settings.kind === 'vrf' ? (settings.members ?? []) : [];
}

/** Whether it has members: a bond or a VRF. */
export function isGroup({ kind }: Device): boolean {
  return kind === 'bond' || kind === 'vrf';
}

/** Name of the device below, in the same namespace; null for none. */
export function parentOf(device: Device | null): string | null {
  return device !== null && 'parent' in device ? device.parent : null;
}

/** Whether a port says which VLANs it carries. */
export function takesVlans(port: BridgePort): boolean {
  return port.vlan !== undefined || port.trunk !== undefined || port.native !== undefined;
}

/** Field by field: devices are flat. */
export function sameDevice(one: Device, other: Device): boolean {
  const left = Object.entries(one).sort(byKey);
  const right = Object.entries(other).sort(byKey);
  return JSON.stringify(left) === JSON.stringify(right);
}

function byKey([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

const prefixes: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** Bits a second of a rate such as `10mbit`; null when it is none. */
export function bitsPerSecond(rate: string): number | null {
  const match = ratePattern.exec(rate)?.groups;
  if (match === undefined) return null;
  return Math.round(Number(match['number']) * (prefixes[match['prefix'] ?? ''] ?? 1));
}

/** What a document asks to happen to what leaves an interface; null for nothing. */
export function impairmentOf(settings: ImpairmentSettings | undefined): Impairment | null {
  if (settings === undefined) return null;
  const impairment = normaliseImpairment({
    rate: settings.rate === undefined ? null : bitsPerSecond(settings.rate),
    delay: settings.delay ?? 0,
    jitter: settings.jitter ?? 0,
    loss: settings.loss ?? 0,
    duplicate: settings.duplicate ?? 0,
    reorder: settings.reorder ?? 0,
    corrupt: settings.corrupt ?? 0,
  });
  const { rate, ...others } = impairment;
  return rate === null && Object.values(others).every((value) => value === 0) ? null : impairment;
}

/** Whether an MTU that nobody sets is Ethernet's. That of tunnels follows from routes, which only the kernel knows. */
export function beginsWithDefaultMtu({ kind }: Device): boolean {
  return ['dummy', 'bond', 'tap', 'tun', 'vxlan'].includes(kind);
}

/** Of an interface whose MTU nobody sets (linux/if_ether.h, ETH_DATA_LEN). */
export const defaultMtu = 1500;

/** What an outer IPv6 header has more than one of IPv4. */
const longerIpv6Header = 20;

/** Bytes that a device puts around a packet of its own MTU (RFC 7348, RFC 8926, RFC 2784, RFC 2890, RFC 2003). */
export function overheadOf(device: Device): number {
  const ends = 'remote' in device ? [device.remote, 'local' in device ? device.local : null] : [];
  const overIpv6 = ends.some((end) => end?.includes(':') === true);
  return overheadOverIpv4(device) + (overIpv6 ? longerIpv6Header : 0);
}

/** Bytes that a tunnel puts around the packet in an Ethernet frame, with the frame's header and the outer ones. */
export function frameTunnelOverhead(
  kind: 'vxlan' | 'geneve' | 'gretap',
  { keyed, overIpv6 }: { readonly keyed: boolean; readonly overIpv6: boolean },
): number {
  const overIpv4 = kind === 'gretap' ? (keyed ? 42 : 38) : 50;
  return overIpv4 + (overIpv6 ? longerIpv6Header : 0);
}

function overheadOverIpv4(device: Device): number {
  switch (device.kind) {
    case 'vxlan':
    case 'geneve':
      return frameTunnelOverhead(device.kind, { keyed: true, overIpv6: false });
    case 'gre':
      return device.key === null ? 24 : 28;
    case 'gretap':
      return frameTunnelOverhead(device.kind, { keyed: device.key !== null, overIpv6: false });
    case 'ipip':
      return 20;
    default:
      return 0;
  }
}
