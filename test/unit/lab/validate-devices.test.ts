import { describe, expect, test } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { codes } from '../../../agent/lab/sentences.ts';

/** Problems and advice of a lab, as `OBJECT CODE`. */
function said(topology: string, rest = ''): readonly string[] {
  const { problems, advice } = readDocument(
    `netloom: 1\nname: lab\ntopology:\n${topology}\n${rest}`,
    { file: 'lab.yaml' },
  );
  return [...problems, ...advice].map(({ object, code }) => `${object} ${code}`);
}

/** A node h1 with these interfaces, at the other end of whose eth0 is h2. */
function pair(interfaces: string, node = ''): string {
  return `  nodes:
    h1: { kind: namespace, interfaces: { ${interfaces} }${node} }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:eth0', 'h2:eth0'] }]`;
}

/** A bridge br0 with these ports, of which p1 and p2 lead to h1 and h2. */
function bridged(ports: string, bridge = ''): string {
  return `  nodes:
    br0: { kind: bridge, ports: { ${ports} }${bridge} }
    h1: { kind: namespace }
    h2: { kind: namespace }
  links: [{ endpoints: ['br0:p1', 'h1:eth0'] }, { endpoints: ['br0:p2', 'h2:eth0'] }]`;
}

const filters = ', vlanFiltering: true';

interface TunnelChange {
  readonly endpoints?: string;
  readonly underlay?: string;
  readonly mtu?: string;
  readonly far?: string;
  readonly more?: string;
}

/** Two nodes with a wire and a tunnel over it. */
function tunnel(change: TunnelChange = {}): string {
  const { endpoints = 'a:t, b:t', underlay = '192.0.2.1, 192.0.2.2', mtu = '' } = change;
  const { far = 'tap', more = '' } = change;
  return `  nodes:
    a: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.1/24, 'fd00::1/64'] }, t: { kind: tap${mtu} }, t2: { kind: tap } } }
    b: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.2/24, 'fd00::2/64'] }, t: { kind: ${far} } } }
    br0: { kind: bridge }
  links:
    - endpoints: [a:eth0, b:eth0]
    - { type: tunnel, endpoints: [${endpoints}], underlay: [${underlay}] }${more}`;
}

interface MachineChange {
  readonly settings?: string;
  /** What the machine's second card leads to. */
  readonly second?: string;
  readonly more?: string;
}

/** A machine with two cards: one at a bridge, one where the test says; and an h1 at the bridge. */
function machine({ settings = '', second = 'br0:t2', more = '' }: MachineChange = {}): string {
  return `  nodes:
    vm1: { kind: vm${settings} }
    vm2: { kind: vm }
    h1: { kind: namespace, interfaces: { t: { kind: tap } } }
    br0: { kind: bridge }
  links:
    - endpoints: [vm1:eth0, br0:t1]
    - endpoints: [vm1:eth1, '${second}']
    - endpoints: [h1:eth0, br0:p1]${more}`;
}

const tunnelTo = (end: string): string => `
    - { type: tunnel, endpoints: [h1:t, '${end}'], underlay: [192.0.2.1, 192.0.2.2] }`;
const manyAddresses = (count: number): string =>
  Array.from({ length: count }, (_, index) => `10.0.0.${index + 1}/24`).join(', ');
const otherSystem = ', kernel: /boot/k, interfaces: { eth0: { addresses: [10.0.0.2/24] } }';

/** What is wrong, what is said of it, and what is right. */
type Case = readonly [code: string, object: string, wrong: string, right: string, rest?: string];

const vlanOn = (parent: string, more = ''): string =>
  pair(`eth0: {}, v: { kind: vlan, parent: ${parent}, id: 10${more} }`);
const natted = (rule: string): string => pair('eth0: {}', `, forwarding: true, nat: [{ ${rule} }]`);
const filtered = (rule: string): string =>
  pair('eth0: {}', `, filter: { input: { rules: [{ action: drop, ${rule} }] } }`);
const impaired = (settings: string): string => pair(`eth0: { impairment: { ${settings} } }`);
const inNamespace = (vlans: string): string => `  nodes:
    h1: { kind: namespace, interfaces: { v: { kind: vlan, parent: br0, id: 10 } } }
    br0: { kind: bridge, namespace: h1, vlanFiltering: true${vlans} }`;

const cases: readonly Case[] = [
  ['unknown-interface', 'h1:v', vlanOn('eth1'), vlanOn('eth0')],
  [
    'unknown-interface',
    'h1:bond0',
    pair('eth0: {}, bond0: { kind: bond, members: [eth1] }'),
    pair('eth0: {}, bond0: { kind: bond, members: [eth0] }'),
  ],
  [
    'unknown-interface',
    'h1',
    natted('kind: masquerade, out: eth1'),
    natted('kind: masquerade, out: eth0'),
  ],
  [
    'device-on-itself',
    'h1:w',
    pair('v: { kind: vlan, parent: w, id: 10 }, w: { kind: vlan, parent: v, id: 20 }'),
    pair('v: { kind: vlan, parent: eth0, id: 10 }, w: { kind: vlan, parent: v, id: 20 }'),
  ],
  [
    'device-on-itself',
    'br0:v',
    bridged('v: { kind: vlan, parent: br0, id: 10 }'),
    bridged('v: { kind: vlan, parent: p1, id: 10 }'),
  ],
  [
    'parent-down',
    'h1:v',
    pair('eth0: { state: down }, v: { kind: vlan, parent: eth0, id: 10 }'),
    pair('eth0: { state: down }, v: { kind: vlan, parent: eth0, id: 10, state: down }'),
  ],
  [
    'duplicate-vlan',
    'h1:w',
    pair('v: { kind: vlan, parent: eth0, id: 10 }, w: { kind: vlan, parent: eth0, id: 10 }'),
    pair(
      'v: { kind: vlan, parent: eth0, id: 10 }, w: { kind: vlan, parent: eth0, id: 10, protocol: 802.1ad }',
    ),
  ],
  [
    'member-of-two',
    'h1:eth0',
    pair(
      'eth0: {}, b1: { kind: bond, members: [eth0] }, b2: { kind: bond, members: [eth0, d] }, d: { kind: dummy }',
    ),
    pair(
      'eth0: {}, b1: { kind: bond, members: [eth0] }, b2: { kind: bond, members: [d] }, d: { kind: dummy }',
    ),
  ],
  [
    'member-is-master',
    'h1:b1',
    pair('eth0: {}, b1: { kind: bond, members: [eth0, b1] }'),
    pair('eth0: {}, b1: { kind: bond, members: [eth0] }'),
  ],
  [
    'member-with-address',
    'h1:eth0',
    pair('eth0: { addresses: [10.0.0.1/24] }, b1: { kind: bond, members: [eth0] }'),
    pair('eth0: {}, b1: { kind: bond, members: [eth0], addresses: [10.0.0.1/24] }'),
  ],
  [
    'bond-without-members',
    'h1:b1',
    pair('b1: { kind: bond }'),
    pair('b1: { kind: bond, members: [eth0] }, eth0: {}'),
  ],
  [
    'mac-not-possible',
    'h1:t',
    pair(`t: { kind: tun, mac: '02:00:00:00:00:01' }`),
    pair(`t: { kind: tap, mac: '02:00:00:00:00:01' }`),
  ],
  [
    'unlike-ends',
    'h1:g',
    pair(
      `eth0: { addresses: ['fd00::1/64'] }, g: { kind: gre, local: 'fd00::1', remote: 192.0.2.2 }`,
    ),
    pair(
      `eth0: { addresses: [192.0.2.1/24] }, g: { kind: gre, local: 192.0.2.1, remote: 192.0.2.2 }`,
    ),
  ],
  // 1500 less 20 of IPv4 and 4 of GRE.
  [
    'mtu-beyond-tunnel',
    'h1:g',
    pair('eth0: { addresses: [192.0.2.1/24] }, g: { kind: gre, local: 192.0.2.1, mtu: 1477 }'),
    pair('eth0: { addresses: [192.0.2.1/24] }, g: { kind: gre, local: 192.0.2.1, mtu: 1476 }'),
  ],
  // 1500 less 40 of IPv6, 8 of UDP, 8 of VXLAN and 14 of Ethernet.
  [
    'mtu-beyond-tunnel',
    'h1:x',
    pair(`x: { kind: vxlan, id: 1, parent: eth0, remote: 'fd00::2', mtu: 1431 }, eth0: {}`),
    pair(`x: { kind: vxlan, id: 1, parent: eth0, remote: 'fd00::2', mtu: 1430 }, eth0: {}`),
  ],
  ['mtu-beyond-tunnel', 'h1:v', vlanOn('eth0', ', mtu: 1501'), vlanOn('eth0', ', mtu: 1500')],
  // 1500 less 20 of IPv4, 8 of UDP and 14 of Ethernet.
  ['mtu-beyond-tunnel', 'a:t', tunnel({ mtu: ', mtu: 1459' }), tunnel({ mtu: ', mtu: 1458' })],
  [
    'address-outside-link',
    'h2:eth0',
    `  nodes:
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
    h2: { kind: namespace, interfaces: { eth0: { addresses: [10.0.1.2/24] } } }
  links: [{ endpoints: ['h1:eth0', 'h2:eth0'] }]`,
    `  nodes:
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
    h2: { kind: namespace, interfaces: { eth0: { addresses: [10.0.1.2/24, 10.0.0.2/24] } } }
  links: [{ endpoints: ['h1:eth0', 'h2:eth0'] }]`,
  ],
  [
    'vlan-without-filtering',
    'br0:p1',
    bridged('p1: { vlan: 10 }'),
    bridged('p1: { vlan: 10 }, p2: { vlan: 10 }', filters),
  ],
  [
    'access-and-trunk',
    'br0:p1',
    bridged('p1: { vlan: 10, trunk: [20] }, p2: { trunk: [10, 20] }', filters),
    bridged('p1: { native: 10, trunk: [20] }, p2: { trunk: [10, 20] }', filters),
  ],
  [
    'native-without-trunk',
    'br0:p1',
    bridged('p1: { native: 10 }, p2: { vlan: 10 }', filters),
    bridged('p1: { vlan: 10 }, p2: { vlan: 10 }', filters),
  ],
  ['vlan-not-at-bridge', 'h1:v', inNamespace(', vlans: [20]'), inNamespace(', vlans: [10]')],
  [
    'vlan-alone',
    'br0:p1',
    bridged('p1: { vlan: 10 }', filters),
    bridged('p1: { vlan: 10 }', `${filters}, vlans: [10]`),
  ],
  [
    'tunnel-to-itself',
    'a:t — a:t2',
    tunnel({ endpoints: 'a:t, a:t2', underlay: '192.0.2.1, 192.0.2.1' }),
    tunnel(),
  ],
  ['tunnel-at-bridge', 'br0:t', tunnel({ endpoints: 'a:t, br0:t' }), tunnel()],
  ['tunnel-without-device', 'b:eth0', tunnel({ endpoints: 'a:t, b:eth0' }), tunnel()],
  ['tunnel-of-unlike-devices', 'a:t — b:t', tunnel({ far: 'tun' }), tunnel({ far: 'tap' })],
  [
    'tunnel-device-taken',
    'b:t',
    tunnel({
      more: `
    - { type: tunnel, endpoints: [a:t2, b:t], underlay: [192.0.2.1, 192.0.2.2], port: 6000 }`,
    }),
    tunnel(),
  ],
  [
    'underlay-not-own',
    'a:t — b:t',
    tunnel({ underlay: '192.0.2.7, 192.0.2.2' }),
    tunnel({ underlay: '192.0.2.1, 192.0.2.2' }),
  ],
  [
    'underlay-not-own',
    'h1:g',
    pair('eth0: { addresses: [192.0.2.1/24] }, g: { kind: gre, local: 192.0.2.7 }'),
    pair('eth0: { addresses: [192.0.2.1/24] }, g: { kind: gre, local: 192.0.2.1 }'),
  ],
  ['jitter-without-delay', 'h1:eth0', impaired('jitter: 2'), impaired('delay: 20, jitter: 2')],
  ['jitter-without-delay', 'h1:eth0', impaired('reorder: 2'), impaired('delay: 20, reorder: 2')],
  ['rate-too-low', 'h1:eth0', impaired('rate: 7bit'), impaired('rate: 8bit')],
  ['invalid-prefix', 'h1', filtered('from: 10.0.0.0/33'), filtered('from: 10.0.0.0/24')],
  [
    'invalid-host',
    'h1',
    natted('kind: snat, out: eth0, to: 192.0.2.1/24'),
    natted('kind: snat, out: eth0, to: 192.0.2.1'),
  ],
  ['invalid-host', 'a:t — b:t', tunnel({ underlay: 'nowhere, 192.0.2.2' }), tunnel()],
  [
    'families-differ',
    'h1',
    filtered(`from: 10.0.0.0/24, to: 'fd00::1'`),
    filtered(`from: 'fd00::/64', to: 'fd00::1'`),
  ],
  [
    'families-differ',
    'a:t — b:t',
    tunnel({ underlay: `192.0.2.1, 'fd00::2'` }),
    tunnel({ underlay: `'fd00::1', 'fd00::2'` }),
  ],
  ['port-without-protocol', 'h1', filtered('port: 80'), filtered('protocol: tcp, port: 80')],
  [
    'invalid-port-range',
    'h1',
    filtered(`protocol: udp, port: '90-80'`),
    filtered(`protocol: udp, port: '80-90'`),
  ],
  [
    'nat-without-forwarding',
    'h1',
    pair('eth0: {}', ', nat: [{ kind: masquerade, out: eth0 }]'),
    natted('kind: masquerade, out: eth0'),
  ],
  [
    'duplicate-process',
    'h1',
    pair('eth0: {}', ', run: [{ name: web, command: [a] }, { name: web, command: [b] }]'),
    pair('eth0: {}', ', run: [{ name: web, command: [a] }, { name: web2, command: [b] }]'),
  ],
  ['tunnel-at-machine', 'vm2:t', machine({ more: tunnelTo('vm2:t') }), machine()],
  ['machine-to-machine', 'vm1:eth1 — vm2:eth0', machine({ second: 'vm2:eth0' }), machine()],
  ['machine-in-two-namespaces', 'vm1', machine({ second: 'h1:t2' }), machine()],
  [
    'machine-without-kernel',
    'vm1',
    machine({ settings: ', initramfs: /i' }),
    machine({ settings: ', kernel: /k, initramfs: /i' }),
  ],
  [
    'machine-without-kernel',
    'vm1',
    machine({ settings: ', disk: /d, append: quiet' }),
    machine({ settings: ', append: quiet' }),
  ],
  [
    'machine-routes-unused',
    'vm1',
    machine({ settings: `${otherSystem}, routes: [{ to: default, via: 10.0.0.1 }]` }),
    machine({ settings: otherSystem }),
  ],
  [
    'machine-command-line-too-long',
    'vm1',
    machine({ settings: `, interfaces: { eth0: { addresses: [${manyAddresses(60)}] } }` }),
    machine({ settings: `, interfaces: { eth0: { addresses: [${manyAddresses(30)}] } }` }),
  ],
  [
    'check-target-no-node',
    'check 1',
    pair('eth0: { addresses: [10.0.0.1/24] }'),
    pair('eth0: { addresses: [10.0.0.1/24] }'),
    '10.0.0.1',
  ],
  ['uplink-of-two', 'br1', uplinked('eth0', ', uplink: eth0'), uplinked('eth0', ', uplink: d0')],
  ['uplink-is-member', 'br0', uplinked('p1'), uplinked('eth0')],
  [
    'uplink-is-member',
    'br0',
    uplinked('d0', '', ', b0: { kind: bond, members: [d0] }'),
    uplinked('eth0', '', ', b0: { kind: bond, members: [d0] }'),
  ],
  ['uplink-not-possible', 'br0', uplinked('t0'), uplinked('d0')],
  ['uplink-not-possible', 'br0', uplinked('br1'), uplinked('enp1s0')],
  [
    'uplink-bridge-down',
    'br1',
    uplinked('eth0', ', uplink: d0, state: down'),
    uplinked('eth0', ', uplink: d0'),
  ],
];

/** A bridge in h1 with this uplink, and what h1 has beside it. */
function uplinked(uplink: string, nodes = '', more = ''): string {
  return `  nodes:
    h1: { kind: namespace, interfaces: { eth0: {}, d0: { kind: dummy }, t0: { kind: tun }${more} } }
    h2: { kind: namespace }
    br0: { kind: bridge, namespace: h1, uplink: ${uplink}, ports: { p1: {} } }
    br1: { kind: bridge, namespace: h1${nodes} }
  links:
    - { endpoints: ['h1:eth0', 'h2:eth0'] }
    - { endpoints: ['br0:p1', 'h2:eth1'] }`;
}

/** A measurement of throughput from h2 to this target. */
function measuring(target: string): string {
  return `checks: [{ check: rate, from: h2, to: ${target}, atLeast: 1mbit }]`;
}

describe('the validator', () => {
  const named = cases.map(([code, object, wrong, right, target]) => ({
    code,
    object,
    wrong,
    right,
    target,
  }));
  test.each(named)('says $code of $object', ({ code, object, wrong, right, target }) => {
    const measuringAt = (node: string): string => (target === undefined ? '' : measuring(node));
    expect(said(wrong, measuringAt(target ?? ''))).toContain(`${object} ${code}`);
    expect(said(right, measuringAt('h1'))).toEqual([]);
  });

  test('has every sentence about devices provoked', () => {
    const first = codes.indexOf('unknown-interface');
    const wanted = codes.slice(first, codes.indexOf('stp-and-rstp'));
    expect(new Set(cases.map(([code]) => code))).toEqual(new Set(wanted));
  });

  test('takes the routes of a machine as those of a host', () => {
    const routed = (via: string): string =>
      machine({
        settings: `, interfaces: { eth0: { addresses: [10.0.0.2/24] } }, routes: [{ to: default, via: ${via} }]`,
      });
    expect(said(routed('10.0.0.1'))).toEqual([]);
    expect(said(routed('10.0.1.1'))).toEqual(['vm1 gateway-outside-subnets']);
    expect(said(machine({ settings: ', interfaces: { eth2: {} }' }))).toEqual([
      'vm1:eth2 interface-without-link',
    ]);
  });

  test('has only VLANs from 1 to 4094', () => {
    expect(said(pair('v: { kind: vlan, parent: eth0, id: 4095 }'))).toEqual(['h1:v out-of-range']);
    expect(said(bridged('p1: { vlan: 0 }', filters))).toEqual(['br0:p1 out-of-range']);
    expect(said(vlanOn('eth0').replace('id: 10', 'id: 4094'))).toEqual([]);
  });
});

describe('an uplink', () => {
  test('is not lo, and shares its addresses with what is at the bridge', () => {
    expect(said(uplinked('lo'))).toEqual(['br0 wrong-format']);
    const twice = uplinked('eth0')
      .replace('eth0: {}', 'eth0: { addresses: [10.0.0.1/24] }')
      .replace(
        'h2: { kind: namespace }',
        'h2: { kind: namespace, interfaces: { eth1: { addresses: [10.0.0.1/24] } } }',
      );
    expect(said(twice)).toEqual(['h2:eth1 duplicate-address']);
  });
});

describe('a loop of bridges', () => {
  const looped = (bridge: string, ports = ['', '']): string => `  nodes:
    b1: { kind: bridge${bridge}, ports: { p1: {}, p2: {}${ports[0] ?? ''} } }
    b2: { kind: bridge, ports: { p1: {}, p2: {}${ports[1] ?? ''} } }
  links: [{ endpoints: ['b1:p1', 'b2:p1'] }, { endpoints: ['b1:p2', 'b2:p2'] }]`;

  test('needs STP at one of them', () => {
    // Both bridges are in the realm, where names are unique.
    const apart = (text: string): string =>
      text
        .replace(/b2: \{ kind: bridge/, 'b2: { kind: bridge, namespace: n')
        .replace('  links', '    n: { kind: namespace }\n  links');
    expect(said(apart(looped('')))).toEqual(['b1:p2 — b2:p2 bridge-loop']);
    expect(said(apart(looped(', stp: true')))).toEqual([]);
    const bond = ', bond0: { kind: bond, members: [p1, p2] }';
    expect(said(apart(looped('', [bond, bond])))).toEqual([]);
  });
});

describe('an address', () => {
  const tagged = (first: number, second: number, address: string): string => `  nodes:
    br0: { kind: bridge, vlanFiltering: true, ports: { p1: { vlan: ${first} }, p2: { vlan: ${second} }, p3: { trunk: [${first}, ${second}] } } }
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
    h2: { kind: namespace, interfaces: { eth0: { addresses: [${address}] } } }
    r1: { kind: namespace }
  links:
    - { endpoints: ['br0:p1', 'h1:eth0'] }
    - { endpoints: ['br0:p2', 'h2:eth0'] }
    - { endpoints: ['br0:p3', 'r1:eth0'] }`;

  test('is there once a VLAN, and may be in two', () => {
    expect(said(tagged(10, 10, '10.0.0.1/24'))).toEqual(['h2:eth0 duplicate-address']);
    expect(said(tagged(10, 10, '10.0.0.2/24'))).toEqual([]);
    // Another broadcast domain: allowed, and pointed out.
    expect(said(tagged(10, 20, '10.0.0.1/24'))).toEqual(['h2:eth0 repeated-address']);
  });

  test('of IPv6 needs the MTU that a VLAN device begins with', () => {
    const small = (address: string): string =>
      pair(
        `eth0: { mtu: 1200 }, v: { kind: vlan, parent: eth0, id: 10, addresses: ['${address}'] }`,
      ).replace(
        'h2: { kind: namespace }',
        'h2: { kind: namespace, interfaces: { eth0: { mtu: 1200 } } }',
      );
    expect(said(small('fd00::1/64'))).toEqual(['h1:v mtu-too-small-for-ipv6']);
    expect(said(small('10.0.0.1/24'))).toEqual([]);
  });
});
