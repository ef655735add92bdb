import { describe, expect, it } from 'vitest';
import type { LabDocument } from '../../../agent/api/index.ts';
import { nextHopOf } from '../../../renderer/topology/openflow/next-hop.ts';

const lab: LabDocument = {
  netloom: 1,
  name: 'hops',
  topology: {
    nodes: {
      h1: {
        kind: 'namespace',
        interfaces: { eth0: { addresses: ['10.0.0.1/24', 'fd00::1/64'] } },
        routes: [
          { to: 'default', via: '10.0.0.254' },
          { to: '10.9.0.0/16', via: '10.0.0.253' },
          { to: '10.8.0.0/16', via: '10.7.0.1' },
        ],
      },
      h2: {
        kind: 'namespace',
        interfaces: { eth0: { addresses: ['10.0.0.2/24', 'fd00:0::2/64'] } },
      },
      far: { kind: 'namespace', interfaces: { eth0: { addresses: ['10.9.1.1/24'] } } },
      other: { kind: 'namespace', interfaces: { eth0: { addresses: ['10.0.0.253/24'] } } },
      sw: { kind: 'ovs-bridge', addresses: ['10.0.0.254/24'] },
    },
  },
};
const hop = (destination: string) => {
  const found = nextHopOf(lab, 'h1', destination);
  return found === null ? null : `${found.node}:${found.interface}`;
};

describe('the next hop of a packet', () => {
  it('is its destination on the same link, however its address is written', () => {
    expect(hop('10.0.0.2')).toBe('h2:eth0');
    expect(hop('fd00:0:0::2')).toBe('h2:eth0');
  });

  it('is the gateway of the longest prefix elsewhere', () => {
    expect(hop('10.9.1.1')).toBe('other:eth0');
    expect(hop('198.51.100.1')).toBe('sw:sw');
  });

  it('is nobody where the document does not tell', () => {
    expect(hop('10.0.0.77')).toBeNull();
    expect(hop('10.8.0.1')).toBeNull();
    expect(hop('fd01::1')).toBeNull();
    expect(hop('10.0.0')).toBeNull();
    expect(nextHopOf(lab, 'h2', '10.9.1.1')).toBeNull();
  });
});
