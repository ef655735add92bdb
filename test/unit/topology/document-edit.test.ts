import { describe, expect, it } from 'vitest';
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
