import { describe, expect, test } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { codes } from '../../../agent/lab/sentences.ts';

function said(topology: string): readonly string[] {
  const { problems, advice } = readDocument(`netloom: 1\nname: lab\ntopology:\n${topology}\n`, {
    file: 'lab.yaml',
  });
  return [...problems, ...advice].map(({ object, code }) => `${object} ${code}`);
}

/** An Open vSwitch bridge sw with these ports, of which p1 and p2 lead to h1 and h2. */
function bridge(ports: string, more = '', links = '', nodes = ''): string {
  return `  nodes:
    sw: { kind: ovs-bridge, ports: { ${ports} }${more} }
    h1: { kind: namespace }
    h2: { kind: namespace }${nodes}
  links: [{ endpoints: ['sw:p1', 'h1:eth0'] }, { endpoints: ['sw:p2', 'h2:eth0'] }${links}]`;
}

interface Site {
  readonly port?: string;
  readonly uplink?: string;
  readonly address?: string;
  readonly mtu?: string;
}

/** Two machines with a tunnel between their bridges, in the shape in which it works. */
function site({
  port = 'kind: vxlan, remote: 192.0.2.2, key: 7',
  uplink = ', uplink: eth0',
  address = '192.0.2.1/24',
  mtu = '1450',
}: Site = {}): string {
  return `  nodes:
    m1: { kind: namespace, interfaces: { eth0: { addresses: [${address}] } } }
    m2: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.2/24] } } }
    ex1: { kind: ovs-bridge, namespace: m1${uplink} }
    ex2: { kind: ovs-bridge, namespace: m2, uplink: eth0 }
    i1: { kind: ovs-bridge, namespace: m1, ports: { t: { ${port} } } }
    i2: { kind: ovs-bridge, namespace: m2, ports: { t: { kind: vxlan, remote: 192.0.2.1, key: 7 } } }
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
  links:
    - endpoints: ['m1:eth0', 'm2:eth0']
    - { endpoints: ['i1:p1', 'h1:eth0'], mtu: ${mtu} }`;
}

/** Bridges a and b, and what leads from one to the other. */
function joined(links: string, a = '', b = ''): string {
  return `  nodes:
    m: { kind: namespace }
    a: { kind: ovs-bridge${a} }
    b: { kind: ovs-bridge${b} }
    k: { kind: bridge }
  links: [${links}]`;
}

/** An Open vSwitch bridge sw in a ring with two bridges of the kernel, of which the second has STP. */
function ring(sw: string, first: string): string {
  return `  nodes:
    sw: ${sw}
    k1: ${first}
    k2: { kind: bridge, stp: true }
  links:
    - endpoints: ['sw:p1', 'k2:q1']
    - endpoints: ['sw:p2', 'k1:q2']
    - endpoints: ['k1:r1', 'k2:r2']`;
}

/** Two Open vSwitch bridges, joined by a bond at each that has these words. */
function bondedBridges(first: string, second: string): string {
  const side = (name: string, words: string): string =>
    `{ kind: ovs-bridge, ports: { b${name}: { kind: bond, members: [${name}1, ${name}2]${words} } } }`;
  return `  nodes:
    a: ${side('p', first)}
    b: ${side('q', second)}
  links: [{ endpoints: ['a:p1', 'b:q1'] }, { endpoints: ['a:p2', 'b:q2'] }]`;
}

const bonded = 'b0: { kind: bond, members: [p1, p2] }';
const mirrored = ', mirrors: { m1: ';
/** Code, object, a topology that has it and one that has nothing to say. */
const cases: readonly (readonly [string, string, string, string])[] = [
  ['stp-and-rstp', 'sw', bridge('', ', stp: true, rstp: true'), bridge('', ', rstp: true')],
  [
    'ovs-datapaths-mixed',
    'b',
    joined('', ', datapath: system', ', datapath: netdev'),
    joined('', ', datapath: system', ', datapath: system'),
  ],
  [
    'tree-setting-unused',
    'sw',
    bridge('', ', priority: 4096'),
    bridge('', ', stp: true, priority: 4096'),
  ],
  [
    'tree-setting-unused',
    'sw',
    bridge('', ', rstp: true, helloTime: 3'),
    bridge('', ', stp: true, helloTime: 3'),
  ],
  [
    'tree-setting-unused',
    'sw:p1',
    bridge('p1: { cost: 5 }'),
    bridge('p1: { cost: 5 }', ', rstp: true'),
  ],
  [
    'stp-cost-too-high',
    'sw:p1',
    bridge('p1: { cost: 70000 }', ', stp: true'),
    bridge('p1: { cost: 70000 }', ', rstp: true'),
  ],
  [
    'native-mode-without-native',
    'sw:p1',
    bridge('p1: { trunk: [5], nativeMode: tagged }'),
    bridge('p1: { trunk: [5], native: 5, nativeMode: tagged }'),
  ],
  ['access-and-trunk', 'sw:p1', bridge('p1: { vlan: 5, trunk: [6] }'), bridge('p1: { vlan: 5 }')],
  [
    'qos-and-impairment',
    'sw:p1',
    bridge('p1: { qos: { maximumRate: 1mbit }, impairment: { delay: 5 } }'),
    bridge('p1: { qos: { maximumRate: 1mbit } }'),
  ],
  [
    'ovs-rate-too-low',
    'sw:p1',
    bridge('p1: { policing: { rate: 900bit } }'),
    bridge('p1: { policing: { rate: 1kbit } }'),
  ],
  [
    'queue-rates-swapped',
    'sw:p1',
    bridge('p1: { qos: { queues: { 1: { minimumRate: 2mbit, maximumRate: 1mbit } } } }'),
    bridge('p1: { qos: { queues: { 1: { minimumRate: 1mbit, maximumRate: 2mbit } } } }'),
  ],
  [
    'bond-member-not-link',
    'sw:b0',
    bridge('b0: { kind: bond, members: [p1, p9] }'),
    bridge(bonded),
  ],
  [
    'bond-member-not-link',
    'sw:b0',
    bridge('i: { kind: internal }, b0: { kind: bond, members: [p1, i] }'),
    bridge(bonded),
  ],
  ['member-of-two', 'sw:b0', bridge('b0: { kind: bond, members: [p1, p1] }'), bridge(bonded)],
  [
    'bond-member-setting',
    'sw:p1',
    bridge(`p1: { vlan: 5 }, ${bonded}`),
    bridge('b0: { kind: bond, members: [p1, p2], vlan: 5 }'),
  ],
  [
    'bond-setting',
    'sw:b0',
    bridge('b0: { kind: bond, members: [p1, p2], openFlowPort: 5 }'),
    bridge(`p1: { openFlowPort: 5 }, ${bonded}`),
  ],
  [
    'balance-tcp-without-lacp',
    'sw:b0',
    bridge('b0: { kind: bond, members: [p1, p2], mode: balance-tcp }'),
    bridge('b0: { kind: bond, members: [p1, p2], mode: balance-tcp, lacp: active }'),
  ],
  [
    'qos-not-possible',
    'i1:t',
    site({ port: 'kind: vxlan, remote: 192.0.2.2, key: 7, qos: { maximumRate: 1mbit }' }),
    site(),
  ],
  [
    'duplicate-tunnel',
    'i1:u',
    site({
      port: 'kind: vxlan, remote: 192.0.2.2, key: 7 }, u: { kind: vxlan, remote: 192.0.2.2, key: 7',
    }),
    site(),
  ],
  ['invalid-host', 'i1:t', site({ port: 'kind: gre, remote: m2' }), site()],
  ['unlike-ends', 'i1:t', site({ port: "kind: gre, remote: 192.0.2.2, local: 'fd00::1'" }), site()],
  ['tunnel-to-itself', 'i1:t', site({ port: 'kind: gre, remote: 192.0.2.1' }), site()],
  [
    'underlay-not-own',
    'i1:t',
    site({ port: 'kind: gre, remote: 192.0.2.2, local: 192.0.2.9' }),
    site({ port: 'kind: gre, remote: 192.0.2.2, local: 192.0.2.1' }),
  ],
  ['tunnel-without-route', 'i1:t', site({ address: '198.51.100.1/24' }), site()],
  ['underlay-on-link', 'i1:t', site({ uplink: '' }), site()],
  ['mtu-beyond-ovs-tunnel', 'h1:eth0', site({ mtu: '1451' }), site()],
  [
    'mirror-port-unknown',
    'sw',
    bridge('', `${mirrored}{ source: [p9], output: p2 } }`),
    bridge('', `${mirrored}{ source: [p1, sw], output: p2 } }`),
  ],
  [
    'mirror-output-selected',
    'sw',
    bridge('', `${mirrored}{ source: [p2], output: p2 } }`),
    bridge('', `${mirrored}{ all: true, output: p2 } }`),
  ],
  [
    'mirror-selects-nothing',
    'sw',
    bridge('', `${mirrored}{ output: p2 } }`),
    bridge('', `${mirrored}{ vlans: [5], output: { vlan: 6 } } }`),
  ],
  [
    'invalid-target',
    'sw',
    bridge('', ", netflow: { targets: ['10.0.0.1'] }"),
    bridge('', ", netflow: { targets: ['10.0.0.1:2055', '[fd00::1]:2055'] }"),
  ],
  [
    'unknown-interface',
    'sw',
    bridge('', ", sflow: { targets: ['10.0.0.1:6343'], agent: eth9 }"),
    bridge('', ", sflow: { targets: ['10.0.0.1:6343'], agent: sw }"),
  ],
  [
    'invalid-controller',
    'sw',
    bridge('', ", controllers: ['tcp:10.0.0.1:99999']"),
    bridge('', ", controllers: ['tcp:10.0.0.1:6653', 'ssl:[fd00::1]', 'ptcp:6654:127.0.0.1']"),
  ],
  [
    'protocols-too-old',
    'sw',
    bridge('', ", protocols: [OpenFlow10], groups: ['group_id=1,type=all,bucket=drop']"),
    bridge('', ", groups: ['group_id=1,type=all,bucket=drop']"),
  ],
  [
    'unknown-group',
    'sw',
    bridge('', ", flows: ['actions=group:2']"),
    bridge('', ", flows: ['actions=group:2'], groups: ['group_id=2,type=all,bucket=drop']"),
  ],
  [
    'unknown-meter',
    'sw',
    bridge('', ", flows: ['actions=meter:2,normal']"),
    bridge(
      '',
      ", flows: ['actions=meter:2,normal'], meters: ['meter=2,kbps,band=type=drop,rate=9']",
    ),
  ],
  [
    'patch-not-at-bridge',
    'k:y',
    joined("{ type: patch, endpoints: ['a:x', 'k:y'] }"),
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }"),
  ],
  [
    'patch-across-namespaces',
    'a:x — b:y',
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }", ', namespace: m'),
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }", ', namespace: m', ', namespace: m'),
  ],
  [
    'patch-to-itself',
    'a:x — a:y',
    joined("{ type: patch, endpoints: ['a:x', 'a:y'] }"),
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }"),
  ],
  [
    'patch-setting',
    'a:x',
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }", ', ports: { x: { mtu: 1400 } }'),
    joined(
      "{ type: patch, endpoints: ['a:x', 'b:y'] }",
      ', ports: { x: { vlan: 5 } }',
      ', ports: { y: { vlan: 5 } }',
    ),
  ],
  [
    'duplicate-interface',
    'a:x',
    joined("{ type: patch, endpoints: ['a:x', 'b:x'] }"),
    joined("{ type: patch, endpoints: ['a:x', 'b:y'] }"),
  ].map((text, at) => (at === 1 ? 'b:x' : text)) as [string, string, string, string],
  [
    'duplicate-interface',
    'sw:i',
    bridge('i: { kind: internal }', '', '', '\n    i: { kind: bridge }'),
    bridge('i: { kind: internal }'),
  ],
  ['interface-without-link', 'sw:p9', bridge('p9: {}'), bridge('p1: {}')],
  ['ovs-uplink-not-made', 'sw', bridge('', ', uplink: eth0'), bridge('')],
  [
    'bridge-loop',
    'a:x2 — b:y2',
    joined(
      "{ type: patch, endpoints: ['a:x1', 'b:y1'] }, { type: patch, endpoints: ['a:x2', 'b:y2'] }",
    ),
    joined(
      "{ type: patch, endpoints: ['a:x1', 'b:y1'] }, { type: patch, endpoints: ['a:x2', 'b:y2'] }",
      ', rstp: true',
      ', rstp: true',
    ),
  ],
  [
    'physical-port-inside',
    'a:eth1',
    joined('', ', namespace: m, ports: { eth1: { kind: physical } }'),
    joined('', ', ports: { eth1: { kind: physical } }'),
  ],
  [
    'bridge-loop-past-tree',
    'sw:p2 — k1:q2',
    ring('{ kind: ovs-bridge }', '{ kind: bridge, stp: true }'),
    ring('{ kind: ovs-bridge, rstp: true }', '{ kind: bridge }'),
  ],
  [
    'bonds-choose-apart',
    'a:bp',
    bondedBridges('', ''),
    bondedBridges(', lacp: passive', ', lacp: active'),
  ],
];

describe('the validator of Open vSwitch', () => {
  const named = cases.map(([code, object, wrong, right]) => ({ code, object, wrong, right }));
  test.each(named)('says $code of $object', ({ code, object, wrong, right }) => {
    expect(said(wrong)).toContain(`${object} ${code}`);
    expect(said(right)).toEqual([]);
  });

  test('has every sentence about Open vSwitch provoked', () => {
    const first = codes.indexOf('stp-and-rstp');
    const wanted = codes.slice(first, codes.indexOf('ovs-bridge-taken'));
    const provoked = new Set(cases.map(([code]) => code));
    expect(wanted.filter((code) => !provoked.has(code))).toEqual([]);
  });

  test('finds a loop of tunnels', () => {
    const machine = (at: number, others: readonly number[]): string =>
      `    m${at}: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.${at}/24] } } }
    ex${at}: { kind: ovs-bridge, namespace: m${at}, uplink: eth0 }
    i${at}: { kind: ovs-bridge, namespace: m${at}, ports: { ${others.map((other) => `t${other}: { kind: vxlan, remote: 192.0.2.${other}, key: 7 }`).join(', ')} } }`;
    const three = (first: readonly number[], second: readonly number[]): string => `  nodes:
    net: { kind: bridge }
${machine(1, [2, 3])}
${machine(2, first)}
${machine(3, second)}
  links: [${[1, 2, 3].map((at) => `{ endpoints: ['net:p${at}', 'm${at}:eth0'] }`).join(', ')}]`;
    expect(said(three([1, 3], [1, 2])).some((line) => line.endsWith('bridge-loop'))).toBe(true);
    expect(said(three([1], [1]))).toEqual([]);
  });

  test('keeps VLANs of one switch apart, and joins those of two', () => {
    const switches = (vlan: number): string => `  nodes:
    s1: { kind: ovs-bridge, ports: { a1: { vlan: 5 } } }
    s2: { kind: ovs-bridge, ports: { a2: { vlan: ${vlan} } } }
    h1: { kind: namespace, interfaces: { eth0: { mac: '02:00:00:00:00:01' } } }
    h2: { kind: namespace, interfaces: { eth0: { mac: '02:00:00:00:00:01' } } }
  links:
    - { endpoints: ['s1:a1', 'h1:eth0'] }
    - { endpoints: ['s2:a2', 'h2:eth0'] }
    - { type: patch, endpoints: ['s1:x', 's2:y'] }`;
    expect(said(switches(5))).toEqual(['h2:eth0 duplicate-mac']);
    expect(said(switches(6))).toEqual(['h2:eth0 repeated-mac']);
  });
});
