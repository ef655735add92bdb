import { describe, expect, it } from 'vitest';
import { emptyInventory, type Inventory } from '../../../agent/api/inventory.ts';
import type { LabDocument } from '../../../agent/api/document.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { commandsOf, cautiousContext } from '../../../agent/lab/command.ts';

const text = (
  more = '',
  route = ', routes: [{ to: default, via: 10.9.0.1 }]',
): string => `netloom: 1
name: lab
topology:
  nodes:
    out: { kind: internet, interfaces: { lan: { addresses: [10.9.0.1/24] } } }
    r1: { kind: namespace, interfaces: { wan: { addresses: [10.9.0.2/24] } }${route} }${more}
  links: [{ endpoints: ['out:lan', 'r1:wan'] }]
`;

function documentOf(source: string): LabDocument {
  const { document, problems } = readDocument(source);
  expect(problems).toEqual([]);
  if (document === null) throw new Error('the document has problems');
  return document;
}

const said = (source: string): readonly string[] => {
  const { problems, advice } = readDocument(source);
  return [...problems, ...advice].map(({ object, code }) => `${object} ${code}`);
};

/** A realm with nothing but its own namespace, which has these rules. */
function realmWith(rules: string | null): Inventory {
  return {
    ...emptyInventory,
    namespaces: [
      {
        id: '1',
        names: [],
        root: true,
        container: null,
        mounts: [],
        processes: [],
        processCount: 0,
        runs: [],
        forwarding: { ipv4: false, ipv6: false },
        rules,
        lab: null,
      },
    ],
  };
}

describe('the document', () => {
  it('has one node for the outside, with addresses that others route to', () => {
    expect(said(text())).toEqual([]);
    expect(said(text('\n    far: { kind: internet }'))).toEqual(['far internet-twice']);
    expect(said(text('', ''))).toEqual(['r1 no-route-to-internet']);
    expect(said(text().replace('{ addresses: [10.9.0.1/24] }', '{}'))).toContain(
      'out:lan internet-without-address',
    );
  });

  it('gives it no devices, routes or rules of its own', () => {
    expect(said(text().replace('{ addresses: [10.9.0.1/24] }', '{ kind: dummy }'))).not.toEqual([]);
    expect(said(text().replace('kind: internet,', 'kind: internet, forwarding: true,'))).toEqual([
      'out unknown-key',
    ]);
  });
});

describe('the plan', () => {
  const desired = documentOf(text());
  const planOn = (inventory: Inventory, base: LabDocument | null = null) =>
    planLab({ lab: 'lab', desired, base, inventory, internet: 'allowed' });

  it('is refused where the realm has no way out, and in the host realm', () => {
    const plain = planLab({ lab: 'lab', desired, base: null, inventory: realmWith(null) });
    expect(plain.operations).toEqual([]);
    expect(plain.refusals).toMatchObject([
      { kind: 'not-allowed', code: 'internet-not-allowed', object: 'out' },
    ]);
    const host = planLab({
      lab: 'lab',
      desired,
      base: null,
      inventory: realmWith(null),
      internet: 'host',
    });
    expect(host.refusals).toMatchObject([{ kind: 'refused', code: 'internet-in-host' }]);
  });

  it('makes the realm’s own namespace a router that bears its own address outside', () => {
    const { operations, steps, refusals } = planOn(realmWith(null));
    expect(refusals).toEqual([]);
    const realm = operations.filter(
      (operation) => 'namespace' in operation && operation.namespace === null,
    );
    expect(realm.map(({ kind }) => kind)).toEqual([
      'change-forwarding',
      'add-address',
      'change-link',
      'change-rules',
    ]);
    expect(realm.flatMap((operation) => commandsOf(operation, cautiousContext))).toEqual([
      "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
      'ip addr add 10.9.0.1/24 dev lan',
      'ip link set lan up',
      `nft 'add table inet netloom; add chain inet netloom postrouting { type nat hook postrouting priority 100; policy accept; }; add rule inet netloom postrouting oifname "internet0" masquerade comment "netloom:lab"'`,
    ]);
    const rules = steps.find(({ object }) => object === 'rules');
    expect(rules).toMatchObject({
      verb: 'add',
      label: 'out',
      targets: [{ node: 'out', interface: null }],
      changes: [{ field: 'rules', before: null, after: 'masquerade out internet0' }],
    });
  });

  it('leaves the way out of another lab alone', () => {
    const rules = planOn(realmWith(null)).operations.flatMap((operation) =>
      operation.kind === 'change-rules' ? [operation.after] : [],
    )[0];
    if (rules === undefined || rules === null) throw new Error('there are no rules');
    expect(planOn(realmWith(rules)).refusals).toEqual([]);
    const others = rules.replace('netloom:lab', 'netloom:other');
    expect(planOn(realmWith(others)).refusals).toMatchObject([{ code: 'internet-taken' }]);
    // A lab without such a node takes nothing down.
    const plain = documentOf('netloom: 1\nname: lab\ntopology: { nodes: {} }\n');
    const down = planLab({ lab: 'lab', desired: null, base: plain, inventory: realmWith(others) });
    expect(down.operations).toEqual([]);
  });
});
