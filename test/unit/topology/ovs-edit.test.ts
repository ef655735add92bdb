/** Edits of Open vSwitch bridges in the text of a document, and what the palette adds to them. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type LabDocument, LabDocumentSchema } from '../../../agent/api/index.ts';
import { canPatch, newDevice, takesDevice } from '../../../renderer/topology/document/devices.ts';
import {
  type DocumentEdit,
  editDocument,
  freeInterfaceName,
  freeNodeName,
  newNode,
} from '../../../renderer/topology/document/document-edit.ts';

const text = `netloom: 1
name: switches
topology:
  nodes:
    m1: { kind: namespace }
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
    sw1:
      kind: ovs-bridge
      # The hosts of the first floor.
      ports:
        a: { vlan: 10 }
        b: {}
        bond0: { kind: bond, members: [a, b] }
      mirrors:
        both: { source: [a, b], output: span }
        other: { destination: [a], output: { vlan: 99 } }
    sw2: { kind: ovs-bridge }
    sw3: { kind: ovs-bridge, namespace: m1, addresses: [192.0.2.1/24] }
  links:
    - endpoints: [h1:eth0, sw1:a]
    - endpoints: [h1:eth1, sw1:b]
`;

function after(...edits: DocumentEdit[]): { text: string; document: LabDocument } {
  const edited = editDocument(text, edits);
  if (!edited.ok) throw new Error(edited.failure.reason);
  return { text: edited.value, document: LabDocumentSchema.parse(parse(edited.value)) };
}
const document = LabDocumentSchema.parse(parse(text));

function bridgeOf(lab: LabDocument, name: string) {
  const node = lab.topology.nodes[name];
  if (node?.kind !== 'ovs-bridge') throw new Error(`${name} is no Open vSwitch bridge`);
  return node;
}

describe('edits of an Open vSwitch bridge', () => {
  it('add it under a name of its own', () => {
    expect(freeNodeName(document, 'ovs-bridge')).toBe('sw4');
    const { document: lab } = after({
      kind: 'add-node',
      name: 'sw4',
      node: newNode('ovs-bridge'),
      position: [0, 0],
    });
    expect(lab.topology.nodes['sw4']).toEqual({ kind: 'ovs-bridge' });
  });

  it('join two by patch ports', () => {
    const { document: lab, text: written } = after({
      kind: 'add-link',
      endpoints: ['sw1:p-sw2', 'sw2:p-sw1'],
      patch: true,
    });
    expect(lab.topology.links?.at(-1)).toEqual({
      type: 'patch',
      endpoints: ['sw1:p-sw2', 'sw2:p-sw1'],
    });
    expect(written).toContain('# The hosts of the first floor.');
  });

  it('set the port of its own and those along it where the document has them', () => {
    const { document: lab } = after(
      {
        kind: 'set-interface',
        node: 'sw2',
        interface: 'sw2',
        settings: { addresses: ['10.9.0.1/24'], mtu: 1450 },
      },
      { kind: 'set-interface', node: 'sw2', interface: 'p', settings: { trunk: [10, 20] } },
    );
    expect(bridgeOf(lab, 'sw2')).toEqual({
      kind: 'ovs-bridge',
      addresses: ['10.9.0.1/24'],
      mtu: 1450,
      ports: { p: { trunk: [10, 20] } },
    });
  });

  it('take a removed port out of bonds and mirrors, and a bond of one away', () => {
    const { document: lab } = after({ kind: 'remove-link', index: 0 });
    const sw1 = bridgeOf(lab, 'sw1');
    expect(sw1.ports).toEqual({ b: {} });
    expect(sw1.mirrors).toEqual({
      both: { source: ['b'], output: 'span' },
      other: { output: { vlan: 99 } },
    });
  });

  it('take a mirror away whose copies have nowhere to go', () => {
    const { document: lab } = after({ kind: 'remove-interface', node: 'sw1', interface: 'span' });
    expect(Object.keys(bridgeOf(lab, 'sw1').mirrors ?? {})).toEqual(['other']);
  });

  it('rename a port everywhere', () => {
    const { document: lab } = after({
      kind: 'rename-interface',
      node: 'sw1',
      interface: 'a',
      to: 'access',
    });
    const sw1 = bridgeOf(lab, 'sw1');
    expect(sw1.ports?.['bond0']).toMatchObject({ members: ['access', 'b'] });
    expect(sw1.mirrors?.['both']?.source).toEqual(['access', 'b']);
    expect(lab.topology.links?.[0]?.endpoints[1]).toBe('sw1:access');
  });

  it('write flows a line each', () => {
    const { text: written } = after({
      kind: 'set-node',
      name: 'sw2',
      path: ['flows'],
      value: ['priority=10,ip,nw_dst=10.0.0.1 actions=output:1', 'priority=0 actions=drop'],
    });
    expect(parse(written)).toMatchObject({
      topology: { nodes: { sw2: { flows: { length: 2 } } } },
    });
  });

  it('write flows of a bridge of several lines a line each', () => {
    const { text: written } = after({
      kind: 'set-node',
      name: 'sw1',
      path: ['flows'],
      value: ['priority=10,ip actions=output:1', 'priority=0 actions=drop'],
    });
    expect(written).toContain(
      '      flows:\n        - priority=10,ip actions=output:1\n        - priority=0 actions=drop\n',
    );
  });
});

describe('what an Open vSwitch bridge is given', () => {
  it('is what it can have as a port of its own', () => {
    expect(takesDevice('ovs-bridge', 'internal')).toBe(true);
    expect(takesDevice('ovs-bridge', 'vlan')).toBe(false);
    expect(takesDevice('bridge', 'internal')).toBe(false);
    expect(newDevice(document, 'sw2', 'internal')).toEqual({
      name: 'int1',
      settings: { kind: 'internal' },
    });
  });

  it('is a bond of the ends of wires that are in none, or nothing', () => {
    expect(newDevice(document, 'sw2', 'bond')).toBeNull();
    const { document: lab } = after({ kind: 'remove-interface', node: 'sw1', interface: 'bond0' });
    expect(newDevice(lab, 'sw1', 'bond')?.settings).toMatchObject({
      members: ['a', 'b'],
      lacp: 'active',
      lacpFallback: true,
    });
  });

  it('is a NIC by its own name, of those that nobody has, or one to be named', () => {
    expect(newDevice(document, 'sw2', 'physical', null, ['a', 'enp1s0', 'enp2s0'])).toEqual({
      name: 'enp1s0',
      settings: { kind: 'physical' },
    });
    expect(newDevice(document, 'sw2', 'physical')?.name).toBe('eth0');
    expect(takesDevice('bridge', 'physical')).toBe(false);
    // The machine's interfaces are not in there.
    expect(newDevice(document, 'sw3', 'physical', null, ['enp1s0'])).toBeNull();
    const { document: lab } = after({
      kind: 'set-interface',
      node: 'sw2',
      interface: 'enp1s0',
      settings: { kind: 'physical', vlan: 10 },
    });
    expect(bridgeOf(lab, 'sw2').ports).toEqual({ enp1s0: { kind: 'physical', vlan: 10 } });
  });

  it('is a tunnel that is valid as it comes', () => {
    for (const kind of ['vxlan', 'gre', 'geneve'] as const) {
      const made = newDevice(document, 'sw3', kind);
      if (made === null) throw new Error(`no ${kind}`);
      const { document: lab } = after({
        kind: 'set-interface',
        node: 'sw3',
        interface: made.name,
        settings: made.settings,
      });
      expect(bridgeOf(lab, 'sw3').ports?.[made.name]).toMatchObject({ kind, key: 100 });
    }
  });
});

describe('a wire at an Open vSwitch bridge', () => {
  it('ends at a port that is named for what hangs on it', () => {
    expect(freeInterfaceName(document, 'sw2', 'h1')).toBe('v-h1');
  });

  it('may be a patch only between two of one namespace', () => {
    expect(canPatch(document, 'sw1', 'sw2')).toBe(true);
    expect(canPatch(document, 'sw1', 'sw3')).toBe(false);
    expect(canPatch(document, 'sw1', 'h1')).toBe(false);
    expect(canPatch(document, 'sw1', 'sw1')).toBe(false);
  });
});
