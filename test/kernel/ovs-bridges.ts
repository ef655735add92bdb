/** Bridges in normal form, with what a new one has. */
import type { OvsBridge, OvsPort } from '../../agent/api/ovs.ts';

export function port(name: string, values: Partial<OvsPort> = {}): OvsPort {
  const common = { name, mac: null, mtu: null, openFlowPort: null, policing: null };
  return {
    name,
    interfaces: [{ kind: 'internal', ...common }],
    bond: null,
    vlan: { mode: 'trunk', tag: null, trunks: [] },
    qos: null,
    cost: null,
    priority: null,
    ...values,
  };
}

export function bridge(name: string, ports: readonly OvsPort[]): OvsBridge {
  return {
    name,
    datapathId: null,
    failMode: 'standalone',
    protocols: [],
    controllers: [],
    controllersOutOfBand: false,
    stp: false,
    rstp: false,
    priority: null,
    forwardDelay: null,
    helloTime: null,
    maximumAge: null,
    ageingTime: null,
    multicastSnooping: false,
    mac: null,
    ports: [port(name), ...ports].sort((one, other) => (one.name < other.name ? -1 : 1)),
    mirrors: [],
    netflow: null,
    sflow: null,
    ipfix: null,
  };
}
