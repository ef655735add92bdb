import { describe, expect, it } from 'vitest';
import type { LabDocument } from '../../../agent/api/index.ts';
import {
  guessUnderlay,
  newDevice,
  tunnelTargets,
} from '../../../renderer/topology/document/devices.ts';

const lab: LabDocument = {
  netloom: 1,
  name: 'lab',
  topology: {
    nodes: {
      a: {
        kind: 'namespace',
        interfaces: {
          eth0: { addresses: ['10.0.0.1/24'] },
          tap0: { kind: 'tap' },
          tun0: { kind: 'tun' },
        },
      },
      b: {
        kind: 'namespace',
        interfaces: {
          lo1: { kind: 'dummy', addresses: ['192.168.7.1/32'] },
          eth0: { addresses: ['10.0.0.2/24'] },
          tap0: { kind: 'tap' },
          vx: { kind: 'vxlan', id: 42, local: '10.0.0.2', remote: '10.0.0.1' },
        },
      },
      c: { kind: 'namespace', interfaces: { eth0: { addresses: ['fd00:1::1/64'] } } },
      br: { kind: 'bridge', namespace: 'c' },
      far: { kind: 'namespace' },
    },
    links: [
      { endpoints: ['a:eth0', 'b:eth0'] },
      { endpoints: ['a:eth1', 'far:eth0'] },
      { endpoints: ['a:eth2', 'far:eth1'] },
    ],
  },
};

describe('a new device', () => {
  it('has a name that is free in its namespace', () => {
    expect(newDevice(lab, 'a', 'tap')).toEqual({ name: 'tap1', settings: { kind: 'tap' } });
    expect(newDevice(lab, 'far', 'tap')?.name).toBe('tap0');
    // `gre0` is the kernel's own.
    expect(newDevice(lab, 'far', 'gre')?.name).toBe('gre1');
  });

  it('stands on the first interface, or on the one that is given', () => {
    expect(newDevice(lab, 'a', 'vlan')).toEqual({
      name: 'eth0.10',
      settings: { kind: 'vlan', parent: 'eth0', id: 10 },
    });
    expect(newDevice(lab, 'a', 'vlan', 'eth1')?.name).toBe('eth1.10');
    expect(
      newDevice({ ...lab, topology: { nodes: { x: { kind: 'namespace' } } } }, 'x', 'vlan'),
    ).toBe(null);
  });

  it('stands on a bridge of its namespace where there is nothing else', () => {
    const nodes = {
      host: { kind: 'namespace' },
      fabric: { kind: 'bridge', namespace: 'host' },
    } as const;
    expect(newDevice({ ...lab, topology: { nodes } }, 'host', 'vlan')?.settings).toEqual({
      kind: 'vlan',
      parent: 'fabric',
      id: 10,
    });
  });

  it('joins the wires that have no address into a bond', () => {
    expect(newDevice(lab, 'a', 'bond')?.settings).toEqual({
      kind: 'bond',
      mode: 'active-backup',
      members: ['eth1', 'eth2'],
    });
  });

  it('answers a tunnel that points here already', () => {
    expect(newDevice(lab, 'a', 'vxlan')?.settings).toEqual({
      kind: 'vxlan',
      id: 42,
      local: '10.0.0.1',
      remote: '10.0.0.2',
    });
    expect(newDevice(lab, 'b', 'gretap')?.settings).toEqual({
      kind: 'gretap',
      local: '10.0.0.2',
      remote: '10.0.0.1',
    });
  });

  it('is not offered to a bridge that could not have it as a port', () => {
    expect(newDevice(lab, 'br', 'tun')).toBe(null);
    expect(newDevice(lab, 'br', 'tap')?.settings).toEqual({ kind: 'tap' });
  });
});

describe('a tunnel of taps', () => {
  it('runs between addresses of one subnet before others', () => {
    expect(guessUnderlay(lab, 'b', 'a')).toEqual(['10.0.0.2', '10.0.0.1']);
  });

  it('does not run inside of itself, whatever got its address first', () => {
    const sites: LabDocument = {
      netloom: 1,
      name: 'sites',
      topology: {
        nodes: {
          west: {
            kind: 'namespace',
            interfaces: {
              tun0: { kind: 'tun', addresses: ['10.40.0.1/30'] },
              eth0: { addresses: ['198.51.100.2/24'] },
            },
          },
          east: {
            kind: 'namespace',
            interfaces: {
              tun0: { kind: 'tun', addresses: ['10.40.0.2/30'] },
              eth0: { addresses: ['203.0.113.2/24'] },
            },
          },
        },
      },
    };
    expect(guessUnderlay(sites, 'west', 'east')).toEqual(['198.51.100.2', '203.0.113.2']);
  });

  it('is not guessed between nodes without a common family', () => {
    expect(guessUnderlay(lab, 'a', 'c')).toBe(null);
    expect(guessUnderlay(lab, 'a', 'far')).toBe(null);
  });

  it('ends at a free device of the same kind of another node', () => {
    expect(tunnelTargets(lab, 'a', 'tap0')).toEqual([{ node: 'b', interface: 'tap0' }]);
    expect(tunnelTargets(lab, 'a', 'tun0')).toEqual([]);
    expect(tunnelTargets(lab, 'a', 'eth0')).toEqual([]);
  });
});
