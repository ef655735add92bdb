import { describe, expect, test } from 'vitest';
import { emptyInventory } from '../../../agent/api/inventory.ts';
import type { LabDocument } from '../../../agent/api/document.ts';
import { transcriptOf } from '../../../agent/api/plan.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { ModelKernel } from './model-kernel.ts';

function documentOf(text: string): LabDocument {
  const { document, problems } = readDocument(`netloom: 1\nname: lab\n${text}`);
  expect(problems).toEqual([]);
  if (document === null) throw new Error('the document has problems');
  return document;
}

/** The lab of the notes. */
function notes(address = '172.16.0.1/24', rest = ''): LabDocument {
  return documentOf(`
topology:
  nodes:
    r1: { kind: namespace, interfaces: { veth1.1: { addresses: [${address}] } } ${rest} }
    r2: { kind: namespace, interfaces: { veth1.2: { addresses: [172.16.0.2/24] } } }
    br-ex: { kind: bridge }
  links: [{ endpoints: ['r1:veth1.1', 'r2:veth1.2'] }]
`);
}

function planOn(kernel: ModelKernel, desired: LabDocument | null, base: LabDocument | null) {
  return planLab({ lab: 'lab', desired, base, inventory: kernel.inventory() });
}

function kernelWith(document: LabDocument): ModelKernel {
  const kernel = new ModelKernel('lab');
  for (const operation of planOn(kernel, document, null).operations) kernel.execute(operation);
  return kernel;
}

describe('the lab of the notes', () => {
  test('is planned as the commands of the notes', () => {
    const plan = planLab({ lab: 'lab', desired: notes(), base: null, inventory: emptyInventory });
    const off = (name: string): string =>
      `ip netns exec ${name} sh -c 'for file in /proc/sys/net/bridge/bridge-nf-call-*; do ` +
      `[ ! -e "$file" ] || echo 0 > "$file"; done'`;
    expect(transcriptOf({ steps: [...plan.steps] }).split('\n')).toEqual([
      'ip netns add r1',
      off('r1'),
      'ip netns add r2',
      off('r2'),
      'ip link add br-ex type bridge',
      'ip link add veth1.1 type veth peer name veth1.2',
      'ip link set veth1.1 netns r1',
      'ip link set veth1.2 netns r2',
      'ip netns exec r1 ip addr add 172.16.0.1/24 dev veth1.1',
      'ip netns exec r2 ip addr add 172.16.0.2/24 dev veth1.2',
      'ip netns exec r1 ip link set lo up',
      'ip netns exec r2 ip link set lo up',
      'ip link set br-ex up',
      'ip netns exec r1 ip link set veth1.1 up',
      'ip netns exec r2 ip link set veth1.2 up',
      '',
    ]);
  });

  test('with another address is one operation', () => {
    const kernel = kernelWith(notes());
    const { operations, steps } = planOn(kernel, notes('172.16.0.9/24'), notes());
    expect(operations).toEqual([
      {
        kind: 'change-address',
        namespace: 'r1',
        interface: 'veth1.1',
        before: '172.16.0.1/24',
        after: '172.16.0.9/24',
      },
    ]);
    expect(steps[0]).toMatchObject({
      verb: 'change',
      object: 'address',
      label: '172.16.0.9/24 on r1:veth1.1',
      targets: [{ node: 'r1', interface: 'veth1.1' }],
      changes: [{ field: 'address', before: '172.16.0.1/24', after: '172.16.0.9/24' }],
    });
  });

  test('goes down by its own objects only', () => {
    const kernel = kernelWith(notes());
    const { steps } = planOn(kernel, null, notes());
    expect(steps.map((step) => `${step.verb} ${step.object} ${step.label}`)).toEqual([
      'remove veth r1:veth1.1 — r2:veth1.2',
      'remove bridge br-ex',
      'remove namespace r1',
      'remove namespace r2',
    ]);
    expect(steps.flatMap((step) => step.commands)).toEqual([
      'ip netns exec r1 ip link del veth1.1',
      'ip link del br-ex',
      'ip netns del r1',
      'ip netns del r2',
    ]);
  });

  test('carries what goes with a wire in its removal', () => {
    const routed = notes('172.16.0.1/24', ', routes: [{ to: default, via: 172.16.0.2 }]');
    const [removal] = planOn(kernelWith(routed), null, routed).operations;
    expect(removal).toMatchObject({
      kind: 'remove-veth',
      contents: [
        { kind: 'add-address', namespace: 'r1', address: '172.16.0.1/24' },
        { kind: 'add-address', namespace: 'r2', address: '172.16.0.2/24' },
        { kind: 'change-link', namespace: 'r1', before: { up: false }, after: { up: true } },
        { kind: 'change-link', namespace: 'r2', before: { up: false }, after: { up: true } },
        { kind: 'add-route', route: { to: '0.0.0.0/0', via: '172.16.0.2', dev: 'veth1.1' } },
      ],
    });
  });

  test('takes routes away before the address they hang on, and adds them again', () => {
    const route = ', routes: [{ to: default, via: 172.16.0.2 }]';
    const before = notes('172.16.0.1/24', route);
    const { operations } = planOn(kernelWith(before), notes('172.16.0.9/24', route), before);
    expect(operations.map((operation) => operation.kind)).toEqual([
      'remove-route',
      'change-address',
      'add-route',
    ]);
  });
});

describe('what is foreign', () => {
  test('is refused by name when a namespace is wanted', () => {
    const kernel = new ModelKernel('lab');
    kernel.addForeignNamespace('r1');
    const { operations, refusals } = planOn(kernel, notes(), null);
    expect(operations).toEqual([]);
    expect(refusals).toMatchObject([
      { kind: 'name-taken', code: 'namespace-taken', object: 'r1', values: { name: 'r1' } },
    ]);
  });

  test('is refused by the name of the lab that has it', () => {
    const kernel = new ModelKernel('first');
    kernel.execute({
      kind: 'add-bridge',
      namespace: null,
      name: 'br-ex',
      mac: null,
      mtu: null,
      settings: {},
    });
    const { refusals } = planLab({
      lab: 'lab',
      desired: notes(),
      base: notes(),
      inventory: kernel.inventory(),
    });
    expect(refusals).toMatchObject([
      { code: 'interface-of-other-lab', values: { name: 'br-ex', other: 'first' } },
    ]);
  });

  test('stays on our links and is pointed out', () => {
    const kernel = kernelWith(notes());
    kernel.addForeignAddress('r1', 'veth1.1', '192.0.2.1/24');
    kernel.addForeignRoute('r1', {
      to: '198.51.100.0/24',
      via: null,
      dev: 'veth1.1',
      metric: null,
    });
    const { operations, warnings } = planOn(kernel, notes(), notes());
    expect(operations).toEqual([]);
    expect(warnings.map((warning) => warning.sentence)).toEqual([
      'The address 192.0.2.1/24 on r1:veth1.1 is not of this lab and stays.',
      'The route to 198.51.100.0/24 in r1 is not of this lab and stays.',
    ]);
  });

  test('goes with its namespace, is pointed out, and comes back unmarked', () => {
    const kernel = kernelWith(notes());
    kernel.addForeignLink('r1', 'dummy0', 'dummy');
    kernel.addForeignAddress('r1', 'veth1.1', '192.0.2.1/24');
    const { operations, warnings } = planOn(kernel, null, notes());
    expect(warnings.map((warning) => warning.code)).toEqual([
      'foreign-address-lost',
      'foreign-interface-lost',
    ]);
    expect(operations[0]).toMatchObject({
      contents: [{}, { kind: 'add-address', address: '192.0.2.1/24', foreign: true }, {}, {}, {}],
    });
  });

  test('is let go by a bridge of ours', () => {
    const kernel = kernelWith(notes());
    kernel.addForeignLink(null, 'eth0', 'physical');
    kernel.setByHand(null, 'eth0', { master: 'br-ex' });
    const { operations, warnings } = planOn(kernel, null, notes());
    expect(warnings.map((warning) => warning.code)).toEqual(['foreign-port-released']);
    for (const operation of operations) kernel.execute(operation);
    expect(kernel.has(null, 'eth0')).toBe(true);
  });
});

describe('a large lab', () => {
  const star = (count: number, mtu = 1500): LabDocument => {
    const hosts = Array.from({ length: count }, (_, at) => at);
    return documentOf(`
topology:
  nodes:
    br0: { kind: bridge }
${hosts.map((at) => `    h${at}: { kind: namespace, interfaces: { eth0: { addresses: [10.${at >> 7}.0.${(at & 127) + 1}/8], mtu: ${at === 7 ? mtu : 1500} } } }`).join('\n')}
  links:
${hosts.map((at) => `    - endpoints: [h${at}:eth0, br0:p${at}]`).join('\n')}
`);
  };

  test('changes by one link where one link was changed', () => {
    const before = star(200);
    const after = star(200, 9000);
    const { steps } = planOn(kernelWith(before), after, before);
    expect(steps.map((step) => step.label)).toEqual(['h7:eth0']);
    expect(steps[0]?.commands).toEqual(['ip netns exec h7 ip link set eth0 mtu 9000']);
  });

  test('is planned in an effort that grows with its size', () => {
    const effort = (count: number): number => {
      const document = star(count);
      const kernel = kernelWith(document);
      const { operations } = planOn(kernel, null, document);
      return operations.length;
    };
    expect(effort(50)).toBe(50 + 1 + 50);
    expect(effort(300)).toBe(300 + 1 + 300);
  });
});

describe('pairs whose names are not free in the realm', () => {
  test('are made where they belong', () => {
    const document = documentOf(`
topology:
  nodes:
    h1: { kind: namespace }
    h2: { kind: namespace }
    br: { kind: bridge, stp: true }
  links:
    - endpoints: [h1:eth0, h2:eth0]
    - endpoints: [h1:a, br:b]
`);
    const { steps } = planLab({
      lab: 'lab',
      desired: document,
      base: null,
      inventory: emptyInventory,
    });
    const commands = steps.flatMap((step) => step.commands);
    expect(commands).toContain('ip link add eth0 netns h1 type veth peer name eth0 netns h2');
    // `br` and `a` begin keywords of ip, which would take them for these.
    expect(commands).toContain('ip link add name br type bridge stp_state 1');
    expect(commands).toContain('ip link set dev br up');
    expect(commands).toContain('ip link set dev b master br');
  });
});
