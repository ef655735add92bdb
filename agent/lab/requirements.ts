/** What a network needs of kernel and machine, by the names that `agent/kernel/capabilities.ts` tries. */
import { queueingKindOf } from '../api/impairment.ts';
import { assertNever } from '../api/result.ts';
import {
  consoleProgram,
  filesOf,
  machineOfProcess,
  machineProgram,
  needsSystem,
} from './virtual-machine.ts';
import type { Network, NetworkLink } from './network.ts';

export interface Requirement {
  /** `link:vlan`, `queueing:netem`, `bridge:vlan-filtering`, `program:nft`, `guest-system`, `file:/PATH`. */
  readonly capability: string;
  /** The first object that needs it. */
  readonly object: string;
}

export function requirementsOf(network: Network): readonly Requirement[] {
  const found = new Map<string, Requirement>();
  const need = (capability: string, object: string): void => {
    if (!found.has(capability)) found.set(capability, { capability, object });
  };
  for (const link of network.links.values()) {
    const label =
      link.kind === 'bridge' || link.name === link.node ? link.name : `${link.node}:${link.name}`;
    for (const capability of capabilitiesOf(link)) need(capability, label);
  }
  for (const { name, rules } of network.namespaces.values()) {
    if (rules !== null) need('program:nft', name);
  }
  for (const { name, openFlow, datapath } of network.switches.values()) {
    if (datapath === 'system') need('datapath:system', name);
    for (const program of ['ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl'])
      need(`program:${program}`, name);
    if (openFlow !== null) need('program:ovs-ofctl', name);
  }
  if (network.internet !== null) need('program:nft', network.internet.node);
  for (const { devices, namespace, name, command } of network.processes) {
    const machine = machineOfProcess(name);
    if (machine === null) {
      if (devices.length > 0) need('program:socat', namespace ?? name);
      continue;
    }
    need(`program:${machineProgram}`, machine);
    need(`program:${consoleProgram}`, machine);
    if (needsSystem(command)) need('guest-system', machine);
    for (const file of filesOf(command)) need(`file:${file}`, machine);
  }
  return [...found.values()];
}

function capabilitiesOf(link: NetworkLink): readonly string[] {
  const impairment =
    link.impairment === null ? [] : [`queueing:${queueingKindOf(link.impairment)}`];
  switch (link.kind) {
    case 'veth':
      return ['link:veth', ...impairment];
    case 'device':
      return link.device === null ? impairment : [`link:${link.device.kind}`, ...impairment];
    case 'internal':
      // Open vSwitch makes it: a tap, or the kernel datapath's own kind.
      return impairment;
    case 'bridge': {
      const filtering = link.bridge?.vlanFiltering === true ? ['bridge:vlan-filtering'] : [];
      return ['link:bridge', ...filtering, ...impairment];
    }
    default:
      return assertNever(link.kind);
  }
}
