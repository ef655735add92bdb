/** What views have beside the fields that a test is about: nothing. */
import type { LinkView, NamespaceView } from '../../agent/api/inventory.ts';

export const plainLinkView: Omit<LinkView, 'id' | 'namespace' | 'index' | 'name' | 'kind'> = {
  mac: null,
  mtu: 1500,
  up: true,
  carrier: true,
  operationalState: 'up',
  master: null,
  peer: null,
  alias: null,
  lab: null,
  addresses: [],
  device: null,
  bridge: null,
  port: null,
  portState: null,
  vlans: null,
  bondMember: null,
  impairment: null,
  queueing: null,
  holders: [],
};

export const plainNamespaceView: Omit<NamespaceView, 'id' | 'names'> = {
  root: false,
  container: null,
  mounts: [],
  processes: [],
  processCount: 0,
  runs: [],
  forwarding: { ipv4: false, ipv6: false },
  rules: null,
  lab: null,
};
