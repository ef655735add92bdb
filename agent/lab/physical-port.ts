/** Interfaces of the machine that are ports of an Open vSwitch bridge: theirs stays theirs, only the port is ours. */
import type { FailureKind } from '../api/result.ts';
import { parseSubnetAddress } from './address.ts';
import type { Network } from './network.ts';
import { linkKey } from './network.ts';
import type { Observed } from './observed.ts';
import type { NetworkSwitch } from './ovs-network.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

export interface PhysicalPort {
  readonly owner: NetworkSwitch;
  readonly name: string;
}

interface Problem {
  readonly kind: FailureKind;
  readonly code: SentenceCode;
  readonly values: SentenceValues;
}

/** Kinds that vswitchd does not take, or that carry no Ethernet frames. */
const unfitKinds: ReadonlySet<string> = new Set([
  'loopback',
  'bridge',
  'gre',
  'ipip',
  'vrf',
  'openvswitch',
]);

/** The ports whose links nobody makes: neither the lab nor Open vSwitch. */
export function physicalPortsOf({ switches, links }: Network): readonly PhysicalPort[] {
  return [...switches.values()].flatMap((owner) =>
    owner.bridge.ports.flatMap(({ interfaces }) =>
      interfaces.flatMap(({ kind, name }) =>
        kind === 'system' && !links.has(linkKey(owner.namespace, name)) ? [{ owner, name }] : [],
      ),
    ),
  );
}

/** Why an interface cannot become the port; null where it can, or is it already. */
export function problemOfPhysicalPort(
  { owner, name }: PhysicalPort,
  observed: Observed,
  lab: string,
): Problem | null {
  const holder = [...observed.switches.values()].find(
    ({ namespace, view }) =>
      namespace === owner.namespace &&
      view.bridge.ports.some(({ interfaces }) => interfaces.some((one) => one.name === name)),
  );
  if (holder?.name === owner.name) return null;
  const values = { interface: name, bridge: owner.name };
  const view = observed.links.get(linkKey(owner.namespace, name))?.view;
  if (view === undefined) return { kind: 'unknown-object', code: 'physical-port-missing', values };
  if (view.lab !== null && view.lab !== lab) {
    const more = { name, other: view.lab };
    return { kind: 'name-taken', code: 'interface-of-other-lab', values: more };
  }
  if (unfitKinds.has(view.kind) || view.device?.kind === 'tun') {
    return { kind: 'refused', code: 'physical-port-unfit', values: { ...values, kind: view.kind } };
  }
  const master =
    holder?.name ?? (view.master === null ? undefined : observed.viewById.get(view.master)?.name);
  if (master !== undefined) {
    return { kind: 'name-taken', code: 'physical-port-taken', values: { ...values, master } };
  }
  const addresses = view.addresses.flatMap(({ address }) => {
    const text = parseSubnetAddress(address)?.host.text;
    // The kernel gives every interface one of these.
    return text === undefined || text.startsWith('fe80:') ? [] : [address];
  });
  if (addresses.length === 0) return null;
  const more = { ...values, addresses: addresses.join(', ') };
  return { kind: 'refused', code: 'physical-port-addressed', values: more };
}
