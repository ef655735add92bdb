import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  type DocumentEdit,
  editDocument,
} from '../../../renderer/topology/document/document-edit.ts';

const text = `netloom: 1
name: two-namespaces # the notes' first example
topology:
  nodes:
    r1:
      kind: namespace
      interfaces:
        # the near end
        veth1.1: { addresses: [172.16.0.1/24] }
    r2:
      kind: namespace
      interfaces:
        veth1.2:
          addresses: [172.16.0.2/24]
    br-ex: { kind: bridge }
  links:
    - endpoints: ["r1:veth1.1", "r2:veth1.2"]
checks:
  - check: reach
    from: r1
    to: r2
positions:
  r1: [0, 0]
  r2: [300, 0]
`;

function edited(...edits: DocumentEdit[]): string {
  const result = editDocument(text, edits);
  if (!result.ok) throw new Error(result.failure.reason);
  return result.value;
}

describe('editDocument', () => {
  it('changes an address and leaves every other line as it was', () => {
    const after = edited({
      kind: 'set-interface',
      node: 'r2',
      interface: 'veth1.2',
      settings: { addresses: ['172.16.0.3/24'] },
    });
    expect(after).toBe(text.replace('172.16.0.2/24', '172.16.0.3/24'));
  });

  it('adds a bridge and a wire to it', () => {
    const after = edited(
      { kind: 'add-node', name: 'r3', node: { kind: 'namespace' }, position: [10.4, 200] },
      { kind: 'add-link', endpoints: ['r3:eth0', 'br-ex:v-r3'] },
    );
    expect(after).toContain('    r3:\n      kind: namespace\n');
    expect(after).toContain('    - endpoints: [r3:eth0, br-ex:v-r3]\n');
    expect(after).toContain('  r3: [10, 200]\n');
    expect(after).toContain("# the notes' first example");
  });

  it('removes a node with its links, their settings, its checks and its position', () => {
    const after = edited({ kind: 'remove-node', name: 'r1' });
    expect(after).not.toContain('r1');
    expect(after).not.toContain('veth1.2');
    expect(after).not.toContain('checks');
    expect(after).toContain('    r2:\n      kind: namespace\n    br-ex');
  });

  it('renames a node everywhere it is named', () => {
    const after = edited({ kind: 'rename-node', name: 'r2', to: 'server' });
    expect(after).toContain('server:veth1.2');
    expect(after).toContain('to: server');
    expect(after).toContain('server: [300, 0]');
    expect(after).not.toContain('r2');
  });

  it('renames an interface with its settings and its endpoint', () => {
    const after = edited({
      kind: 'rename-interface',
      node: 'r1',
      interface: 'veth1.1',
      to: 'eth0',
    });
    expect(after).toMatch(/eth0: \{ ?addresses: \[172\.16\.0\.1\/24\] ?\}/);
    expect(after).toContain('r1:eth0');
    expect(after).toContain('# the near end');
  });

  it('refuses a text that is no mapping and says where to go', () => {
    const result = editDocument('- 1\n- 2\n', []);
    expect(result).toMatchObject({ ok: false, failure: { kind: 'invalid-document' } });
  });
});

const devices = `netloom: 1
name: devices
description: >-
  A long text that somebody broke
  by hand, at the right place.
topology:
  nodes:
    r1:
      kind: namespace
      interfaces:
        eth0: { addresses: [10.0.0.1/24] } # outside
        bond0:
          kind: bond
          mode: active-backup # one at a time
          members: [eth1, eth2]
        bond0.10: { kind: vlan, parent: bond0, id: 10 }
        tap0: { kind: tap }
      forwarding: true
      nat:
        # for the hosts inside
        - { kind: masquerade, out: eth0 }
        - { kind: dnat, in: eth0, protocol: tcp, port: 80, to: 10.1.0.2 }
      filter:
        forward:
          policy: drop
          rules:
            - { action: accept, in: bond0.10, out: eth0 }
    br: { kind: bridge, vlanFiltering: true, ports: { p1: { trunk: [10, 20] } } }
    r2: { kind: namespace, interfaces: { tap0: { kind: tap } } }
  links:
    - endpoints: [r1:eth0, r2:eth0]
    - endpoints: [r1:eth1, br:p1]
    - { type: tunnel, endpoints: [r1:tap0, r2:tap0], underlay: [10.0.0.1, 10.0.0.2] }
checks:
  # the way out
  - { check: reach, from: r1, to: r2 }
  - { check: reach, from: r1, to: r1:tap0 }
`;

function change(...edits: DocumentEdit[]): string {
  const result = editDocument(devices, edits);
  if (!result.ok) throw new Error(result.failure.reason);
  return result.value;
}

describe('editing devices', () => {
  it('changes one value and keeps comments, order and the way a text is broken', () => {
    const settings = {
      kind: 'bond',
      mode: '802.3ad',
      members: ['eth1', 'eth2'],
    };
    expect(change({ kind: 'set-interface', node: 'r1', interface: 'bond0', settings })).toBe(
      devices.replace('active-backup #', '802.3ad #'),
    );
  });

  it('adds a device with an impairment below the others', () => {
    const after = change({
      kind: 'set-interface',
      node: 'r1',
      interface: 'vxlan0',
      settings: { kind: 'vxlan', id: 100, remote: '10.0.0.2', impairment: { delay: 20 } },
    });
    expect(after).toBe(
      devices.replace(
        '        tap0: { kind: tap }\n      forwarding',
        '        tap0: { kind: tap }\n        vxlan0:\n          kind: vxlan\n          id: 100\n' +
          '          remote: 10.0.0.2\n          impairment:\n            delay: 20\n      forwarding',
      ),
    );
  });

  it('takes a rule out of the middle of a list and keeps what is said of the others', () => {
    const after = change({ kind: 'set-node', name: 'r1', path: ['nat', 1], value: undefined });
    expect(after).toContain('# for the hosts inside\n        - { kind: masquerade, out: eth0 }\n');
    expect(after).not.toContain('dnat');
  });

  it('makes the lists that are not there yet', () => {
    const after = change(
      {
        kind: 'set-node',
        name: 'r2',
        path: ['run', 0],
        value: { name: 'web', command: ['a', 'b'] },
      },
      {
        kind: 'set-node',
        name: 'r1',
        path: ['filter', 'input', 'rules', 0],
        value: { action: 'accept', state: ['established'] },
      },
    );
    const read = parse(after) as {
      topology: { nodes: Record<string, { run?: unknown; filter?: unknown }> };
    };
    expect(read.topology.nodes['r2']?.run).toEqual([{ name: 'web', command: ['a', 'b'] }]);
    expect(read.topology.nodes['r1']?.filter).toEqual({
      forward: { policy: 'drop', rules: [{ action: 'accept', in: 'bond0.10', out: 'eth0' }] },
      input: { rules: [{ action: 'accept', state: ['established'] }] },
    });
  });

  it('removes a device with what stands on it and with the places that name it', () => {
    const after = change(
      { kind: 'remove-interface', node: 'r1', interface: 'bond0' },
      { kind: 'remove-interface', node: 'r1', interface: 'tap0' },
    );
    expect(after).not.toContain('bond0:');
    expect(after).not.toContain('bond0.10:');
    expect(after).not.toContain('type: tunnel');
    expect(after).not.toContain('r1:tap0');
    // The other end of a tunnel is a device of its own.
    expect(after).toContain('r2: { kind: namespace, interfaces: { tap0: { kind: tap } } }');
    expect(after).toContain('# the way out');
  });

  it('takes a wire out of the bond that it was a member of', () => {
    expect(change({ kind: 'remove-link', index: 1 })).toContain('members: [eth2]');
  });

  it('renames an interface wherever it is named', () => {
    const after = change(
      { kind: 'rename-interface', node: 'r1', interface: 'bond0', to: 'lag0' },
      { kind: 'rename-interface', node: 'r1', interface: 'eth0', to: 'wan0' },
      { kind: 'rename-interface', node: 'r1', interface: 'eth1', to: 'lan1' },
    );
    expect(after).toContain('parent: lag0');
    expect(after).toContain('kind: masquerade, out: wan0');
    expect(after).toContain('in: bond0.10, out: wan0');
    expect(after).toContain('members: [lan1, eth2]');
    expect(after).toContain('r1:lan1, br:p1');
  });

  it('joins two taps over the network and takes the port of a tunnel back', () => {
    const added = change(
      {
        kind: 'add-link',
        endpoints: ['r1:tap1', 'r2:tap1'],
        underlay: ['10.0.0.1', '10.0.0.2'],
      },
      { kind: 'set-link', index: 3, path: ['port'], value: 5556 },
    );
    expect(added).toContain(
      '    - type: tunnel\n      endpoints: [r1:tap1, r2:tap1]\n      underlay: [10.0.0.1, 10.0.0.2]\n      port: 5556\n',
    );
  });

  it('replaces one check and keeps what is said of it', () => {
    const check = {
      check: 'reach',
      from: 'r1',
      to: 'r2',
      roundTrip: { atLeast: 20 },
    } as const;
    const after = change({ kind: 'set-check', index: 0, check });
    expect(after).toContain('# the way out\n');
    expect((parse(after) as { checks: unknown[] }).checks[0]).toEqual(check);
    const without = change({ kind: 'set-check', index: 1, check: null });
    expect(without).not.toContain('r1:tap0 }\n  - ');
    expect((parse(without) as { checks: unknown[] }).checks).toHaveLength(1);
  });
});
