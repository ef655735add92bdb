/** What the nodes of a document have in common: bridges of either make, and the settings of interfaces. Pure. */
import type {
  BridgePort,
  DeviceKind,
  InterfaceSettings,
  LabNode,
  OvsPortSettings,
} from '../../../agent/api/index.ts';

/** Settings of an interface; of a bridge's port also what a port has. */
export type WantedSettings = InterfaceSettings | BridgePort | OvsPortSettings;

/** What a node may be given: a device, or a port that only an Open vSwitch bridge has. */
export type AddedKind = DeviceKind | 'internal' | 'physical';
/** What an interface may be other than the end of a veth pair: a patch port is the end of a wire, too. */
export type MarkKind = AddedKind | 'patch';

/** A Linux bridge or one of Open vSwitch: its interfaces are ports, and itself is one too. */
export function isBridgeKind(kind: LabNode['kind'] | undefined): kind is 'bridge' | 'ovs-bridge' {
  return kind === 'bridge' || kind === 'ovs-bridge';
}

/** Settings that a node has for its interfaces, or for its ports, by name. */
export function interfaceSettingsOf(
  node: LabNode | undefined,
): Readonly<Record<string, WantedSettings>> {
  if (node === undefined) return {};
  if (node.kind === 'bridge' || node.kind === 'ovs-bridge') return node.ports ?? {};
  return node.interfaces ?? {};
}

/** What an interface of the kernel may have set. */
export interface CommonSettings {
  readonly addresses?: readonly string[] | undefined;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  readonly state?: 'up' | 'down' | undefined;
  readonly impairment?: VethSettings['impairment'];
}
type VethSettings = Extract<InterfaceSettings, { kind?: 'veth' | undefined }>;

/** These settings of an interface; tunnels and bonds of Open vSwitch are none of the kernel's and have none. */
export function commonOf(settings: WantedSettings): CommonSettings {
  return {
    ...('addresses' in settings ? { addresses: settings.addresses } : {}),
    ...('mac' in settings ? { mac: settings.mac } : {}),
    ...('mtu' in settings ? { mtu: settings.mtu } : {}),
    ...('state' in settings ? { state: settings.state } : {}),
    ...('impairment' in settings ? { impairment: settings.impairment } : {}),
  };
}
