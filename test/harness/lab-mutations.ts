/**
 * Labs of the gallery with one setting wrong, and which of their checks must then fail: written by hand, as a person
 * would break them. A check that no mutation turns red proves nothing.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { CheckResult } from '../../agent/api/lab.ts';
import type { Result } from '../../agent/api/result.ts';
import { readDocument } from '../../agent/lab/document-text.ts';
import { networkOf } from '../../agent/lab/network.ts';
import { requirementsOf } from '../../agent/lab/requirements.ts';
import { gallery } from './netloom.ts';

/** A text that occurs once in the document, above its checks, and what stands there instead. */
type Edit = readonly [before: string, after: string];

export interface Mutation {
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Indexes of the checks that fail, in order; all others pass. Empty where the lab has to bear the change. */
  readonly red: readonly number[];
  /** Made while the lab is up, where coming up takes long; otherwise the changed lab comes up from nothing. */
  readonly live?: true;
}

/** A mutation that is no lab: the code of the problem that the document then has. */
export interface RefusedMutation {
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly code: string;
}

const isolate = (...ports: readonly string[]): string =>
  `ports: { ${ports.map((port) => `${port}: { isolated: true }`).join(', ')} }`;
/** Two ports of a bridge that do not exchange frames; the text before is the bridge's kind and what follows it. */
const isolated = (name: string, ...ports: readonly string[]): Edit => [
  `    ${name}:\n      kind: bridge\n`,
  `    ${name}:\n      kind: bridge\n      ${isolate(...ports)}\n`,
];
const noForwarding: Edit = ['      forwarding: true\n', ''];

export const mutations: Readonly<Record<string, readonly Mutation[]>> = {
  'cpu-caps.yaml': [
    { what: 'A has half of its cap', edits: [['      cap: 8\n', '      cap: 4\n']], red: [0, 3] },
    { what: 'A1 has a third of its cap', edits: [['A1: { cap: 3 }', 'A1: { cap: 1 }']], red: [1] },
    { what: 'B has no cap, and takes from A', edits: [['B: { cap: 4 }', 'B: {}']], red: [2, 3] },
  ],
  'cpu-weights.yaml': [
    {
      what: 'A has a cap, which holds when it is alone too',
      edits: [['      weight: 800\n', '      weight: 800\n      cap: 8\n']],
      red: [0],
    },
    { what: 'A weighs little', edits: [['weight: 800', 'weight: 200']], red: [1, 2, 3] },
    {
      what: 'A1 weighs little in A',
      edits: [['A1: { weight: 300 }', 'A1: { weight: 100 }']],
      red: [3],
    },
  ],
  'cpu-pins.yaml': [
    { what: 'A1 has one CPU', edits: [['A1: { pins: 0-2 }', 'A1: { pins: 0 }']], red: [1] },
    { what: 'B has one CPU', edits: [['B: { pins: 8-11 }', 'B: { pins: 8 }']], red: [2] },
    {
      what: 'A has half of its CPUs',
      edits: [
        ['      pins: 0-7\n', '      pins: 0-3\n'],
        ['A2: { pins: 3-5 }', 'A2: { pins: 3 }'],
        ['A3: { pins: 6-7 }', 'A3: { pins: 3 }'],
      ],
      red: [0],
    },
  ],
  'cpu-burst.yaml': [
    {
      what: 'the plain cap is higher',
      edits: [['plain: { cap: 1 }', 'plain: { cap: 2 }']],
      red: [0],
    },
    {
      what: 'the cap with burst is higher',
      edits: [['bursty: { cap: 1, burst: 1 }', 'bursty: { cap: 2, burst: 1 }']],
      red: [1],
    },
    {
      what: 'the cap of a short period is lower',
      edits: [['even: { cap: 1, period: 20 }', 'even: { cap: 0.5, period: 20 }']],
      red: [2],
    },
  ],
  'two-namespaces.yaml': [
    {
      what: 'one end of the wire is down',
      edits: [['addresses: [172.16.0.2/24]', 'addresses: [172.16.0.2/24]\n          state: down']],
      red: [0],
    },
  ],
  'one-bridge.yaml': [
    { what: 'h1 and h2 are isolated', edits: [isolated('br0', 'port1', 'port2')], red: [0] },
    { what: 'h2 and h3 are isolated', edits: [isolated('br0', 'port2', 'port3')], red: [1] },
    { what: 'h3 and h1 are isolated', edits: [isolated('br0', 'port3', 'port1')], red: [2] },
    {
      what: 'the port of h2 is down',
      edits: [
        [
          '    br0:\n      kind: bridge\n',
          '    br0: { kind: bridge, ports: { port2: { state: down } } }\n',
        ],
      ],
      red: [0, 1],
    },
  ],
  'isolated-bridges.yaml': [
    {
      what: 'a cable joins the bridges',
      edits: [['  links:\n', '  links:\n    - endpoints: [red:r-blue, blue:b-red]\n']],
      red: [2, 3],
    },
    {
      what: 'blue1 is plugged into red',
      edits: [['[blue1:eth0, blue:b-port1]', '[blue1:eth0, red:r-port3]']],
      red: [1, 2],
    },
    {
      what: 'red2 is plugged into blue',
      edits: [['[red2:eth0, red:r-port2]', '[red2:eth0, blue:b-port3]']],
      red: [0, 3],
    },
  ],
  'bridge-chain.yaml': [
    {
      what: 'the cable between the bridges is gone',
      edits: [['    - endpoints: [left:uplink1, right:uplink2]\n', '']],
      red: [1, 2],
    },
    { what: 'h1 and h2 are isolated', edits: [isolated('left', 'l-port1', 'l-port2')], red: [0] },
    {
      what: 'the bridge has an address of another subnet',
      edits: [['addresses: [10.1.0.254/24]', 'addresses: [10.1.9.254/24]']],
      red: [2],
    },
  ],
  'bridged.yaml': [
    {
      what: 'the NIC is down',
      edits: [
        [
          'addresses: [192.168.0.97/24]\n',
          'addresses: [192.168.0.97/24]\n      ports: { enp1s0: { state: down } }\n',
        ],
      ],
      red: [1, 2, 3],
    },
    { what: 'the guests are isolated', edits: [isolated('br-ex', 'vnet1', 'vnet2')], red: [0] },
    {
      what: 'the machine’s address is of another subnet',
      edits: [['addresses: [192.168.0.97/24]', 'addresses: [192.168.9.97/24]']],
      red: [3],
    },
    {
      what: 'vm1 has a route to the other subnet',
      edits: [
        [
          'eth0: { addresses: [192.168.0.101/24] }\n',
          'eth0: { addresses: [192.168.0.101/24] }\n      routes: [{ to: 203.0.113.0/24, via: 192.168.0.10 }]\n',
        ],
      ],
      red: [4],
    },
  ],
  'stp-ring.yaml': [
    {
      what: 'one cable of the ring is cut, and the blocked port takes over',
      edits: [['    - endpoints: [b1:b1-b2, b2:b2-b1]\n', '']],
      red: [],
      live: true,
    },
    {
      what: 'two cables of the ring are cut',
      edits: [
        ['    - endpoints: [b1:b1-b2, b2:b2-b1]\n', ''],
        ['    - endpoints: [b2:b2-b3, b3:b3-b2]\n', ''],
      ],
      red: [0, 1],
      live: true,
    },
    {
      what: 'the host of b3 is cut off as well',
      edits: [
        ['    - endpoints: [b1:b1-b2, b2:b2-b1]\n', ''],
        ['    - endpoints: [b2:b2-b3, b3:b3-b2]\n', ''],
        ['    - endpoints: [b3:b3-b1, b1:b1-b3]\n', ''],
      ],
      red: [0, 1, 2],
      live: true,
    },
  ],
  'bond.yaml': [
    {
      what: 'the active member fails, and the other takes over',
      edits: [
        [
          '    a:\n      kind: namespace\n      interfaces:\n        eth0: {}\n',
          '    a:\n      kind: namespace\n      interfaces:\n        eth0: { state: down }\n',
        ],
      ],
      red: [],
      live: true,
    },
    {
      what: 'both members fail',
      edits: [
        [
          '    a:\n      kind: namespace\n      interfaces:\n        eth0: {}\n        eth1: {}\n',
          '    a:\n      kind: namespace\n      interfaces:\n        eth0: { state: down }\n        eth1: { state: down }\n',
        ],
      ],
      red: [0, 1],
      live: true,
    },
    {
      what: 'b has the address that nobody has',
      edits: [['addresses: [10.50.0.2/24]', 'addresses: [10.50.0.2/24, 10.50.0.99/24]']],
      red: [2],
    },
  ],
  'ipv6-pair.yaml': [
    {
      what: 'the route is gone',
      edits: [
        [
          "      routes:\n        # The second subnet of v2 is behind v2's first address.\n        - { to: 'fd00:66::/64', via: 'fd00:6::2' }\n",
          '',
        ],
      ],
      red: [1],
    },
    {
      what: 'v2 is down',
      edits: [
        [
          "['fd00:6::2/64', 'fd00:66::2/64']",
          "['fd00:6::2/64', 'fd00:66::2/64']\n          state: down",
        ],
      ],
      red: [0, 1],
    },
    {
      what: 'v2 has the address that nobody has',
      edits: [
        ["['fd00:6::2/64', 'fd00:66::2/64']", "['fd00:6::2/64', 'fd00:66::2/64', 'fd00:6::99/64']"],
      ],
      red: [2],
    },
  ],
  'routed.yaml': [
    { what: 'the router does not forward', edits: [noForwarding], red: [1, 2] },
    { what: 'h1 and h2 are isolated', edits: [isolated('inner', 'in-h1', 'in-h2')], red: [0] },
    {
      what: 'h2 has no route',
      edits: [
        [
          'eth0: { addresses: [10.10.0.12/24] }\n      routes:\n        - { to: default, via: 10.10.0.1 }\n',
          'eth0: { addresses: [10.10.0.12/24] }\n',
        ],
      ],
      red: [2],
    },
    {
      what: 'knows has no route',
      edits: [['      routes:\n        - { to: 10.10.0.0/24, via: 203.0.113.1 }\n', '']],
      red: [1, 2],
    },
    {
      what: 'the router and lost are isolated',
      edits: [isolated('outer', 'out-router', 'out-lost')],
      red: [3],
    },
    {
      what: 'lost has a route',
      edits: [
        [
          'eth0: { addresses: [203.0.113.20/24] }\n',
          'eth0: { addresses: [203.0.113.20/24] }\n      routes: [{ to: 10.10.0.0/24, via: 203.0.113.1 }]\n',
        ],
      ],
      red: [4, 5],
    },
    {
      what: 'the router translates, so that lost has somebody to answer',
      edits: [
        [
          'out0: { addresses: [203.0.113.1/24] }\n',
          'out0: { addresses: [203.0.113.1/24] }\n      nat: [{ kind: masquerade, out: out0 }]\n',
        ],
      ],
      red: [4],
    },
  ],
  'ipv6-router.yaml': [
    {
      what: 'r1 does not forward',
      edits: [['      # IPv6 has a switch of its own.\n      forwarding: { ipv6: true }\n', '']],
      red: [0, 1],
    },
    {
      what: 'r1 forwards IPv4 only',
      edits: [
        [
          '      # IPv6 has a switch of its own.\n      forwarding: { ipv6: true }\n',
          '      forwarding: { ipv4: true }\n',
        ],
      ],
      red: [0, 1],
    },
    {
      what: 'r2 has no route back',
      edits: [["      routes:\n        - { to: '2001:db8:1::/64', via: '2001:db8:ff::1' }\n", '']],
      red: [0, 1],
    },
    { what: 'h2 and mute are isolated', edits: [isolated('lan2', 'p-h2', 'p-mute')], red: [2] },
    {
      what: 'mute has a route',
      edits: [
        [
          "eth0: { addresses: ['2001:db8:2::20/64'] }\n",
          "eth0: { addresses: ['2001:db8:2::20/64'] }\n      routes: [{ to: default, via: '2001:db8:2::1' }]\n",
        ],
      ],
      red: [3],
    },
    {
      what: 'h2 has the address that nobody has',
      edits: [["['2001:db8:2::10/64']", "['2001:db8:2::10/64', '2001:db8:2::99/64']"]],
      red: [4],
    },
  ],
  'nat.yaml': [
    {
      what: 'nothing is translated',
      edits: [
        [
          "      nat:\n        # `from` keeps the rule to the inner network's own addresses.\n        - { kind: masquerade, out: out0, from: 192.168.1.0/24 }\n",
          '',
        ],
      ],
      red: [0, 1],
    },
    {
      what: 'only h1 is translated',
      edits: [['from: 192.168.1.0/24', 'from: 192.168.1.11']],
      red: [1],
    },
    { what: 'the router does not forward', edits: [noForwarding], red: [0, 1] },
    {
      what: 'the router drops what comes to itself from outside',
      edits: [
        [
          '      nat:\n',
          '      filter: { input: { rules: [{ action: drop, in: out0 }] } }\n      nat:\n',
        ],
      ],
      red: [2],
    },
    {
      what: 'the server has a route to the inside',
      edits: [
        [
          'eth0: { addresses: [203.0.113.80/24] }\n',
          'eth0: { addresses: [203.0.113.80/24] }\n      routes: [{ to: 192.168.1.0/24, via: 203.0.113.1 }]\n',
        ],
      ],
      red: [3],
    },
  ],
  'port-forward.yaml': [
    {
      what: 'another port is forwarded',
      edits: [['port: 8080, to: 10.20.0.80', 'port: 8081, to: 10.20.0.80']],
      red: [0],
    },
    {
      what: 'nothing is forwarded',
      edits: [
        [
          '        - { kind: dnat, in: out0, protocol: tcp, port: 8080, to: 10.20.0.80, toPort: 80 }\n',
          '',
        ],
      ],
      red: [0],
    },
    {
      what: 'port 80 is forwarded instead',
      edits: [['port: 8080, to: 10.20.0.80', 'port: 80, to: 10.20.0.80']],
      red: [0, 1],
    },
    {
      what: 'the filter has no rule for web',
      edits: [
        [
          '            - { action: accept, in: out0, to: 10.20.0.80, protocol: tcp, port: 80 }\n',
          '',
        ],
      ],
      red: [0],
    },
    { what: 'the filter lets through', edits: [['policy: drop', 'policy: accept']], red: [2, 3] },
    {
      what: 'the rule for web holds for everybody inside',
      edits: [['in: out0, to: 10.20.0.80, protocol: tcp', 'in: out0, protocol: tcp']],
      red: [2],
    },
    {
      what: 'the rule for web holds for every protocol',
      edits: [['to: 10.20.0.80, protocol: tcp, port: 80 }\n\n', 'to: 10.20.0.80 }\n\n']],
      red: [3],
    },
    {
      what: 'the filter forgets connections',
      edits: [['            - { action: accept, state: [established, related] }\n', '']],
      red: [4],
    },
    {
      what: 'the inside may not go out',
      edits: [['            - { action: accept, in: in0, out: out0 }\n', '']],
      red: [4],
    },
    {
      what: 'nothing that leaves is translated',
      edits: [['        - { kind: masquerade, out: out0, from: 10.20.0.0/24 }\n', '']],
      red: [4],
    },
    { what: 'the router does not forward', edits: [noForwarding], red: [0, 4] },
    {
      what: 'web and private are isolated',
      edits: [isolated('inner', 'in-web', 'in-private')],
      red: [5],
    },
  ],
  'uplink.yaml': [
    {
      what: 'the NIC stays outside the bridge',
      edits: [['      uplink: enp1s0\n', '']],
      red: [3, 4],
    },
    {
      what: 'the machine has no default route',
      edits: [['      routes:\n        - { to: default, via: 192.168.0.1 }\n', '']],
      red: [1],
    },
    {
      what: 'the router is down',
      edits: [['203.0.113.10/24] }\n', '203.0.113.10/24], state: down }\n']],
      red: [0, 1, 2, 3],
    },
    {
      what: 'the guest has a default route',
      edits: [
        [
          'eth0: { addresses: [192.168.0.101/24] }\n',
          'eth0: { addresses: [192.168.0.101/24] }\n      routes: [{ to: default, via: 192.168.0.1 }]\n',
        ],
      ],
      red: [5],
    },
  ],
  'vlan-trunk.yaml': [
    {
      what: 'blue1 is in the VLAN of red',
      edits: [['sw1-blue: { vlan: 20 }', 'sw1-blue: { vlan: 10 }']],
      red: [1, 2],
    },
    {
      what: 'blue2 is in the VLAN of red',
      edits: [['sw2-blue: { vlan: 20 }', 'sw2-blue: { vlan: 10 }']],
      red: [1, 3],
    },
    {
      what: 'VLAN 20 is off the trunk at one end',
      edits: [['trunk1: { trunk: [10, 20] }', 'trunk1: { trunk: [10] }']],
      red: [1],
    },
    {
      what: 'VLAN 10 is off the trunk at one end',
      edits: [['trunk2: { trunk: [10, 20] }', 'trunk2: { trunk: [20] }']],
      red: [0],
    },
    {
      what: 'the switches filter no VLANs',
      edits: [
        [
          '      vlanFiltering: true\n      ports:\n        sw1-red: { vlan: 10 }\n        sw1-blue: { vlan: 20 }\n        trunk1: { trunk: [10, 20] }\n',
          '',
        ],
        [
          '      vlanFiltering: true\n      ports:\n        sw2-red: { vlan: 10 }\n        sw2-blue: { vlan: 20 }\n        trunk2: { trunk: [10, 20] }\n',
          '',
        ],
      ],
      red: [2, 3],
    },
  ],
  'vlan-router.yaml': [
    { what: 'the router does not forward', edits: [noForwarding], red: [1, 2] },
    {
      what: 'blue has no route',
      edits: [
        [
          'eth0: { addresses: [192.168.20.2/24] }\n      routes:\n        - { to: default, via: 192.168.20.1 }\n',
          'eth0: { addresses: [192.168.20.2/24] }\n',
        ],
      ],
      red: [1, 2],
    },
    {
      what: 'green1 is in VLAN 10',
      edits: [['p-green1: { vlan: 30 }', 'p-green1: { vlan: 10 }']],
      red: [3, 4, 5],
    },
    {
      what: 'the router’s cable for VLAN 10 is in VLAN 30',
      edits: [['up10: { vlan: 10 }', 'up10: { vlan: 30 }']],
      red: [0, 1, 2, 5],
    },
    {
      what: 'red is in VLAN 30',
      edits: [['p-red: { vlan: 10 }', 'p-red: { vlan: 30 }']],
      red: [0, 1, 2, 4],
    },
  ],
  'router-on-a-stick.yaml': [
    { what: 'the router does not forward', edits: [noForwarding], red: [1, 2] },
    {
      what: 'VLAN 30 is on the trunk',
      edits: [['trunk: [10, 20]', 'trunk: [10, 20, 30]']],
      red: [4, 5],
    },
    { what: 'VLAN 20 is off the trunk', edits: [['trunk: [10, 20]', 'trunk: [10]']], red: [1, 2] },
    {
      what: 'VLAN 10 is off the trunk',
      edits: [['trunk: [10, 20]', 'trunk: [20]']],
      red: [0, 1, 2],
    },
    {
      what: 'the router’s device for VLAN 20 takes the tag 40',
      edits: [['parent: eth0, id: 20', 'parent: eth0, id: 40']],
      red: [1, 2],
    },
    {
      what: 'green1 is in VLAN 20',
      edits: [['p-green1: { vlan: 30 }', 'p-green1: { vlan: 20 }']],
      red: [3],
    },
  ],
  'layer3-switch.yaml': [
    { what: 'the switch does not route', edits: [noForwarding], red: [1, 2] },
    {
      what: 'the bridge’s own door is closed to VLAN 20',
      edits: [
        ['      vlans: [10, 20]\n', '      vlans: [10]\n'],
        [
          'vlan20: { kind: vlan, parent: fabric, id: 20,',
          'vlan20: { kind: vlan, parent: fabric, id: 10,',
        ],
        ['vlan10: { kind: vlan, parent: fabric, id: 10,', 'vlan10: { kind: dummy,'],
      ],
      red: [1, 2],
    },
    {
      what: 'red2 is in VLAN 20',
      edits: [['port2: { vlan: 10 }', 'port2: { vlan: 20 }']],
      red: [0, 2],
    },
    {
      what: 'green1 is in VLAN 10',
      edits: [['port4: { vlan: 30 }', 'port4: { vlan: 10 }']],
      red: [3, 4, 5],
    },
  ],
  'rate-limit.yaml': [
    {
      what: 'home is down',
      edits: [['          # Upload.\n', '          state: down\n']],
      red: [0, 1, 2],
    },
    {
      what: 'upload is not limited',
      edits: [['          # Upload.\n          impairment: { rate: 4mbit }\n', '']],
      red: [1],
    },
    { what: 'upload is slower', edits: [['rate: 4mbit', 'rate: 2mbit']], red: [1] },
    {
      what: 'download is not limited',
      edits: [['          # Download.\n          impairment: { rate: 20mbit }\n', '']],
      red: [2],
    },
    { what: 'download is slower', edits: [['rate: 20mbit', 'rate: 10mbit']], red: [2] },
  ],
  'impairment.yaml': [
    {
      what: 'the line delays one way only',
      edits: [['          impairment: { delay: 20, rate: 10mbit, loss: 0 }\n\n', '\n']],
      red: [1],
    },
    {
      what: 'the line delays and limits at the far end only',
      edits: [['line: { impairment: { delay: 20, rate: 10mbit, loss: 0 } }', 'line: {}']],
      red: [1, 2],
    },
    {
      what: 'the line is not limited',
      edits: [
        [
          'line: { impairment: { delay: 20, rate: 10mbit, loss: 0 } }',
          'line: { impairment: { delay: 20 } }',
        ],
      ],
      red: [2],
    },
    {
      what: 'the line loses everything',
      edits: [
        [
          'line: { impairment: { delay: 20, rate: 10mbit, loss: 0 } }',
          'line: { impairment: { loss: 100 } }',
        ],
      ],
      red: [1, 2],
    },
    {
      what: 'near is as far',
      edits: [
        [
          'eth0: { addresses: [10.80.0.2/24] }',
          'eth0: { addresses: [10.80.0.2/24], impairment: { delay: 60 } }',
        ],
      ],
      red: [0],
    },
    {
      what: 'the rest of the LAN is as slow',
      edits: [
        ['      ports:\n', '      ports:\n        port2: { impairment: { rate: 10mbit } }\n'],
      ],
      red: [3],
    },
  ],
  'tun-tunnel.yaml': [
    {
      what: 'the tunnel is gone',
      edits: [
        [
          '    - type: tunnel\n      endpoints: [west:tun0, east:tun0]\n      underlay: [198.51.100.2, 203.0.113.2]\n',
          '',
        ],
      ],
      red: [0, 1, 2],
    },
    {
      what: 'west has no route through the tunnel',
      edits: [
        [
          "        # The other site's network, through the tunnel.\n        - { to: 192.168.20.0/24, via: 10.40.0.2 }\n",
          '',
        ],
      ],
      red: [1, 2],
    },
    {
      what: 'the underlay does not forward',
      edits: [['网络 }\n      forwarding: true\n', '网络 }\n']],
      red: [0, 1, 2],
    },
    {
      what: 'files has the address that nobody has',
      edits: [['addresses: [192.168.20.10/24]', 'addresses: [192.168.20.10/24, 192.168.20.99/24]']],
      red: [3],
    },
    {
      what: 'the underlay has a route into the site',
      edits: [
        [
          'eth1: { addresses: [203.0.113.1/24] }\n',
          'eth1: { addresses: [203.0.113.1/24] }\n      routes: [{ to: 192.168.20.0/24, via: 203.0.113.2 }]\n',
        ],
      ],
      red: [4],
    },
  ],
  'virtual-machine.yaml': [
    {
      what: 'the tap is down',
      edits: [
        [
          '    br0:\n      kind: bridge\n',
          '    br0: { kind: bridge, ports: { tap1: { state: down } } }\n',
        ],
      ],
      red: [0],
      live: true,
    },
    {
      what: 'h1 has the address that nobody has',
      edits: [['[10.90.0.1/24]', '[10.90.0.1/24, 10.90.0.99/24]']],
      red: [1],
      live: true,
    },
  ],
  'tap-tunnel.yaml': [
    { what: 'the underlay does not forward', edits: [noForwarding], red: [0, 1, 2, 3] },
    {
      what: 'the tunnel is gone',
      edits: [
        [
          '    - type: tunnel\n      endpoints: [west:tap0, east:tap0]\n      # The addresses that the UDP packets go between, in the same order.\n      underlay: [198.51.100.2, 203.0.113.2]\n',
          '',
        ],
      ],
      red: [1, 2, 3],
    },
    {
      what: 'the IPv6 address of east is gone',
      edits: [["[10.30.0.2/24, 'fd00:30::2/64']", '[10.30.0.2/24]']],
      red: [3],
    },
    {
      what: 'east has the address that nobody has',
      edits: [
        ["[10.30.0.2/24, 'fd00:30::2/64']", "[10.30.0.2/24, 10.30.0.99/24, 'fd00:30::2/64']"],
      ],
      red: [4],
    },
    {
      what: 'the underlay has a route into the tunnel',
      edits: [
        [
          'eth1: { addresses: [203.0.113.1/24] }\n',
          'eth1: { addresses: [203.0.113.1/24] }\n      routes: [{ to: 10.30.0.0/24, via: 198.51.100.2 }]\n',
        ],
      ],
      red: [5],
    },
  ],
  'gre.yaml': [
    {
      what: 'the keys differ',
      edits: [['remote: 203.0.113.2, key: 100', 'remote: 203.0.113.2, key: 101']],
      red: [2, 3],
    },
    ...overlay(70),
  ],
  'vxlan.yaml': [
    {
      what: 'the network identifiers differ',
      edits: [['id: 100, local: 198.51.100.2', 'id: 101, local: 198.51.100.2']],
      red: [2, 3],
    },
    ...overlay(60),
  ],
  'three-node-site.yaml': [
    {
      what: 'manager and compute are isolated',
      edits: [isolated('mgmt-net', 'm-manager', 'm-compute')],
      red: [0],
    },
    {
      what: 'manager and network are isolated',
      edits: [isolated('mgmt-net', 'm-manager', 'm-network')],
      red: [1],
    },
    {
      what: 'manager and internet are isolated',
      edits: [isolated('ext-net', 'e-manager', 'e-internet')],
      red: [2],
    },
    {
      what: 'the instances are isolated',
      edits: [
        [
          '      namespace: compute\n',
          '      namespace: compute\n      ports: { vnet1: { isolated: true }, vnet2: { isolated: true } }\n',
        ],
      ],
      red: [3],
    },
    {
      what: 'the gateway answers nobody inside',
      edits: [['            - { action: accept, in: int0, to: 192.168.100.1 }\n', '']],
      red: [4],
    },
    { what: 'the network node does not forward', edits: [noForwarding], red: [5] },
    {
      what: 'nothing is translated',
      edits: [
        ['      nat:\n        - { kind: masquerade, out: ext0, from: 192.168.100.0/24 }\n', ''],
      ],
      red: [5],
    },
    {
      what: 'the filter forgets connections',
      edits: [['            - { action: accept, state: [established, related] }\n', '']],
      red: [5],
    },
    {
      what: 'the instances may not go out',
      edits: [['            - { action: accept, in: int0, out: ext0 }\n', '']],
      red: [5],
    },
    { what: 'the filter lets through', edits: [['policy: drop', 'policy: accept']], red: [7, 8] },
    {
      what: 'the filter lets through, and the internet has a route inside',
      edits: [
        ['policy: drop', 'policy: accept'],
        [
          'eth0: { addresses: [203.0.113.80/24] }\n',
          'eth0: { addresses: [203.0.113.80/24] }\n      routes: [{ to: 192.168.100.0/24, via: 203.0.113.12 }]\n',
        ],
      ],
      red: [6, 7, 8],
    },
    {
      what: 'the network node answers the instances everywhere',
      edits: [['            - { action: drop, in: int0 }\n', '']],
      red: [9],
    },
  ],
  'ovs-access-trunk.yaml': [
    {
      what: 'red’s port has another tag',
      edits: [['p-red: { vlan: 10 }', 'p-red: { vlan: 11 }']],
      red: [0],
    },
    {
      what: 'the trunk carries VLAN 10 only',
      edits: [['        trunk: { trunk: [10, 20] }', '        trunk: { trunk: [10] }']],
      red: [1],
    },
    {
      what: 'the trunk carries VLAN 30 too',
      edits: [['        trunk: { trunk: [10, 20] }', '        trunk: { trunk: [10, 20, 30] }']],
      red: [2],
    },
  ],
  'ovs-native-vlan.yaml': [
    {
      what: 'the native VLAN of one end is another',
      edits: [['to-sw1: { trunk: [20], native: 10 }', 'to-sw1: { trunk: [20], native: 11 }']],
      red: [0, 2],
    },
    {
      what: 'one end does not carry VLAN 20',
      edits: [['to-sw1: { trunk: [20], native: 10 }', 'to-sw1: { trunk: [21], native: 10 }']],
      red: [1],
    },
    {
      what: 'the native VLAN leaves strict without a tag',
      edits: [['nativeMode: tagged', 'nativeMode: untagged']],
      red: [3],
    },
    {
      what: 'the desk’s port has the telephones’ tag',
      edits: [['p-desk: { vlan: 10 }', 'p-desk: { vlan: 20 }']],
      red: [0, 4],
    },
  ],
  'ovs-vlan-isolation.yaml': [
    {
      what: 'the trunk loses VLAN 10',
      edits: [['to-sw1: { trunk: [10, 20] }', 'to-sw1: { trunk: [20] }']],
      red: [0],
    },
    {
      what: 'the trunk loses VLAN 20',
      edits: [['to-sw1: { trunk: [10, 20] }', 'to-sw1: { trunk: [10] }']],
      red: [1],
    },
    {
      what: 'blue2 stands in VLAN 10',
      edits: [['p-blue2: { vlan: 20 }', 'p-blue2: { vlan: 10 }']],
      red: [1, 2],
    },
    {
      what: 'blue1 stands in VLAN 10',
      edits: [['p-blue1: { vlan: 20 }', 'p-blue1: { vlan: 10 }']],
      red: [1, 3],
    },
  ],
  'ovs-layer-3-switch.yaml': [
    { what: 'core does not forward', edits: [noForwarding], red: [0] },
    {
      what: 'green2’s port has another tag',
      edits: [['p-green2: { vlan: 30 }', 'p-green2: { vlan: 31 }']],
      red: [1],
    },
    {
      what: 'VLAN 30 has a gateway',
      edits: [
        [
          '        vlan20: {',
          '        vlan30: { kind: internal, vlan: 30, addresses: [192.168.30.1/24] }\n        vlan20: {',
        ],
      ],
      red: [2],
    },
  ],
  'ovs-bond.yaml': [
    {
      what: 'both members fail',
      edits: [
        [
          '    right: { kind: ovs-bridge }',
          '    right: { kind: ovs-bridge, ports: { r-sw: { state: down } } }',
        ],
      ],
      red: [0, 1],
    },
    {
      what: 'the far switches are apart',
      edits: [['    - endpoints: [left:l-right, right:r-left]\n', '']],
      red: [1],
    },
  ],
  'ovs-lacp.yaml': [
    {
      what: 'sw2 does not speak LACP',
      edits: [
        [
          'members: [b1, b2], mode: balance-tcp, lacp: passive, lacpTime: fast }',
          'members: [b1, b2] }',
        ],
      ],
      red: [0],
    },
    {
      what: 'far speaks LACP',
      edits: [
        [
          'members: [d1, d2], mode: balance-slb }',
          'members: [d1, d2], mode: balance-tcp, lacp: passive, lacpTime: fast }',
        ],
      ],
      red: [1],
    },
  ],
  'ovs-mirror.yaml': [
    {
      what: 'h2’s port is down',
      edits: [['      mirrors:\n', '      ports: { p-h2: { state: down } }\n      mirrors:\n']],
      red: [0, 1],
    },
    {
      what: 'there is no mirror',
      edits: [
        [
          '      mirrors:\n        of-h1: { source: [p-h1], destination: [p-h1], output: p-mon }\n',
          '',
        ],
      ],
      red: [2],
    },
  ],
  'ovs-rstp-ring.yaml': [
    {
      what: 'sw1 and sw2 are cut off',
      edits: [
        ['    - endpoints: [sw1:r12, sw2:r21]\n', ''],
        ['    - endpoints: [sw3:r31, sw1:r13]\n', ''],
      ],
      red: [0, 2],
    },
    {
      what: 'sw3 is cut off',
      edits: [
        ['    - endpoints: [sw2:r23, sw3:r32]\n', ''],
        ['    - endpoints: [sw3:r31, sw1:r13]\n', ''],
      ],
      red: [1, 2],
    },
  ],
  'ovs-leaf-spine.yaml': [
    {
      what: 'leaf1 is cut off',
      edits: [
        ['    - endpoints: [leaf1:l1s1, spine1:s1l1]\n', ''],
        ['    - endpoints: [leaf1:l1s2, spine2:s2l1]\n', ''],
      ],
      red: [0],
    },
    {
      what: 'leaf3 is cut off',
      edits: [
        ['    - endpoints: [leaf3:l3s1, spine1:s1l3]\n', ''],
        ['    - endpoints: [leaf3:l3s2, spine2:s2l3]\n', ''],
      ],
      red: [1],
    },
    {
      what: 'blue2 stands in red’s VLAN',
      edits: [['p-blue2: { vlan: 20 }', 'p-blue2: { vlan: 10 }']],
      red: [1, 2],
    },
  ],
  'ovs-qos.yaml': [
    {
      what: 'slow’s port is down',
      edits: [['qos: { maximumRate: 10mbit } }', 'qos: { maximumRate: 10mbit }, state: down }']],
      red: [0, 1, 3],
    },
    {
      what: 'the port’s maximum is higher',
      edits: [['qos: { maximumRate: 10mbit }', 'qos: { maximumRate: 40mbit }']],
      red: [1],
    },
    {
      what: 'the meter lets more through',
      edits: [['band=type=drop,rate=5000', 'band=type=drop,rate=20000']],
      red: [2],
    },
    {
      what: 'everybody goes through the meter',
      edits: [['priority=10,in_port=3', 'priority=10']],
      red: [1, 3],
    },
  ],
  'ovs-policing.yaml': [
    {
      what: 'server’s port is down',
      edits: [['        p-server:\n', '        p-server:\n          state: down\n']],
      red: [0, 1, 2, 3],
    },
    {
      what: 'voice is in the queue of bulk',
      edits: [['in_port=p-voice actions=set_queue:1', 'in_port=p-voice actions=set_queue:2']],
      red: [1],
    },
    {
      what: 'bulk is in no queue',
      edits: [['in_port=p-bulk actions=set_queue:2,NORMAL', 'in_port=p-bulk actions=NORMAL']],
      red: [2],
    },
    {
      what: 'the policer lets more through',
      edits: [['rate: 3mbit, burst: 300kbit', 'rate: 20mbit, burst: 2000kbit']],
      red: [3],
    },
  ],
  'ovs-openflow.yaml': [
    {
      what: 'the group is not used',
      edits: [['nw_dst=10.0.0.100 actions=group:1', 'nw_dst=10.0.0.100 actions=drop']],
      red: [0, 1],
    },
    // Whom the group gives to which server is up to Open vSwitch's hash of the address.
    {
      what: 'server1 is cut off',
      edits: [['p-server1: { openFlowPort: 3 }', 'p-server1: { openFlowPort: 3, state: down }']],
      red: [1],
    },
    {
      what: 'server2 is cut off',
      edits: [['p-server2: { openFlowPort: 4 }', 'p-server2: { openFlowPort: 4, state: down }']],
      red: [0],
    },
    {
      what: 'other packets go their way',
      edits: [
        [
          '        - priority=60,ip,in_port=3 actions=mod_nw_src:10.0.0.100,mod_dl_src:02:00:00:00:00:64,NORMAL\n',
          '        - priority=50,ip actions=NORMAL\n',
        ],
      ],
      red: [1, 2],
    },
    {
      what: 'the intruder is not dropped',
      edits: [['        - priority=100,in_port=5 actions=drop\n', '']],
      red: [3],
    },
  ],
  'ovs-flow-export.yaml': [
    { what: 'NetFlow goes elsewhere', edits: [['192.0.2.2:2055', '192.0.2.2:2056']], red: [2] },
    { what: 'IPFIX goes elsewhere', edits: [['192.0.2.2:4739', '192.0.2.2:4740']], red: [3] },
    { what: 'sFlow goes elsewhere', edits: [['192.0.2.2:6343', '192.0.2.2:6344']], red: [4] },
    {
      what: 'h3 and h4 are at the switch that exports',
      edits: [
        ['[h3:eth0, quiet:p-h3]', '[h3:eth0, sw:p-h3]'],
        ['[h4:eth0, quiet:p-h4]', '[h4:eth0, sw:p-h4]'],
      ],
      red: [5],
    },
    {
      what: 'h2 is cut off',
      edits: [
        [
          "      netflow: { targets: ['192.0.2.2:2055']",
          "      ports: { p-h2: { state: down } }\n      netflow: { targets: ['192.0.2.2:2055']",
        ],
      ],
      red: [0, 2, 3, 4],
    },
    {
      what: 'h4 is cut off',
      edits: [
        [
          '    quiet: { kind: ovs-bridge }',
          '    quiet: { kind: ovs-bridge, ports: { p-h4: { state: down } } }',
        ],
      ],
      red: [1],
    },
  ],
  'ovs-gre.yaml': [
    {
      what: 'red’s key differs',
      edits: [['remote: 192.0.2.1, key: 10 }', 'remote: 192.0.2.1, key: 11 }']],
      red: [0],
    },
    {
      what: 'blue’s key differs',
      edits: [['remote: 192.0.2.1, key: 20 }', 'remote: 192.0.2.1, key: 21 }']],
      red: [1],
    },
    {
      what: 'the keys are exchanged at one end',
      edits: [
        ['remote: 192.0.2.1, key: 10 }', 'remote: 192.0.2.1, key: 20 }'],
        [
          'local: 192.0.2.2, remote: 192.0.2.1, key: 20 } }\n    red1',
          'local: 192.0.2.2, remote: 192.0.2.1, key: 10 } }\n    red1',
        ],
      ],
      red: [0, 1, 2],
    },
  ],
  'ovs-vxlan-fabric.yaml': [
    {
      what: 'machine 2 has another address',
      edits: [['eth0: { addresses: [192.0.2.2/24] }', 'eth0: { addresses: [192.0.2.22/24] }']],
      red: [0, 1, 2],
    },
    {
      what: 'the key of machine 3 differs',
      edits: [
        [
          'to-m3: { kind: vxlan, remote: 192.0.2.3, key: 100 }',
          'to-m3: { kind: vxlan, remote: 192.0.2.3, key: 101 }',
        ],
      ],
      red: [2],
    },
    {
      what: 'machine 1 is a gateway',
      edits: [
        [
          '    int1:\n      kind: ovs-bridge\n',
          '    int1:\n      kind: ovs-bridge\n      addresses: [10.0.0.254/24]\n',
        ],
        [
          'interfaces: { eth0: { addresses: [10.0.0.1/24] } }',
          'interfaces: { eth0: { addresses: [10.0.0.1/24] } }\n      routes: [{ to: default, via: 10.0.0.254 }]',
        ],
      ],
      red: [3],
    },
  ],
  'ovs-three-node-site.yaml': [
    {
      what: 'the compute node is off the management network',
      edits: [
        [
          'mgmt0: { addresses: [172.16.0.11/24] }',
          'mgmt0: { addresses: [172.16.0.11/24], state: down }',
        ],
      ],
      red: [0],
    },
    {
      what: 'the internal network is down at compute',
      edits: [
        [
          'int0: { addresses: [192.0.2.11/24] }',
          'int0: { addresses: [192.0.2.11/24], state: down }',
        ],
      ],
      red: [1, 3, 4],
    },
    {
      what: 'red1 stands in another VLAN',
      edits: [['p-red1: { vlan: 1 }', 'p-red1: { vlan: 3 }']],
      red: [2, 3],
    },
    {
      what: 'blue1 stands in red’s VLAN',
      edits: [['p-blue1: { vlan: 2 }', 'p-blue1: { vlan: 1 }']],
      red: [5, 6],
    },
  ],
};

/** Of the two labs with guests on two hosts and a tunnel between. */
function overlay(subnet: number): readonly Mutation[] {
  const own = (host: number): string => `addresses: [10.${String(subnet)}.0.${String(host)}/24]`;
  return [
    { what: 'the underlay does not forward', edits: [noForwarding], red: [0, 2, 3] },
    {
      what: 'guests of one host are isolated',
      edits: [
        [
          '      namespace: host1\n      ports:\n',
          '      namespace: host1\n      ports:\n        vnet1: { isolated: true }\n        vnet2: { isolated: true }\n',
        ],
      ],
      red: [1],
    },
    {
      what: 'vm2 has the address that nobody has',
      edits: [[own(2), own(2).replace(']', `, 10.${String(subnet)}.0.99/24]`)]],
      red: [4],
    },
    {
      what: 'the underlay router is plugged in among the guests',
      edits: [
        [
          'eth1: { addresses: [203.0.113.1/24] }\n',
          `eth1: { addresses: [203.0.113.1/24] }\n        eth2: { ${own(200)} }\n`,
        ],
        [
          '    - endpoints: [core:eth1, host2:eth0]\n',
          '    - endpoints: [core:eth1, host2:eth0]\n    - { endpoints: [core:eth2, br2:vnet9], mtu: 1450 }\n',
        ],
      ],
      red: [5],
    },
  ];
}

/** Guards that cannot be taken away: without them the document is refused. */
export const refusedMutations: Readonly<Record<string, readonly RefusedMutation[]>> = {
  'stp-ring.yaml': [
    {
      what: 'no bridge of the ring runs STP',
      edits: [1, 2, 3].map((number) => [
        `b${String(number)}: { kind: bridge, stp: true,`,
        `b${String(number)}: { kind: bridge,`,
      ]),
      code: 'bridge-loop',
    },
  ],
};

export function readGallery(file: string): string {
  return readFileSync(path.join(gallery, file), 'utf8');
}

/** What every kernel has that these tests run on. */
const usual: ReadonlySet<string> = new Set([
  ...['link:bridge', 'link:veth', 'link:tap', 'link:tun', 'link:vxlan'],
  ...['queueing:tbf', 'program:nft', 'program:socat'],
  ...['program:qemu-system-x86_64', 'guest-system'],
  // With the userspace datapath; on the kernel's they are tried in a guest of their own.
  ...['ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl'].map((name) => `program:${name}`),
]);

/** Whether a lab of the gallery needs more than every kernel has: the guest tier is where it is sure to run. */
export function needsFullKernel(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  if (document === null) return true;
  return requirementsOf(networkOf(document)).some(({ capability }) => !usual.has(capability));
}

/**
 * Whether a lab of the gallery splits CPUs: that takes the realm of the host and as many CPUs as the lab is for. It is tried
 * scaled to the machine's own (test/kernel/cpu-gallery.test.ts), and refused in a sandbox.
 */
export function splitsCpus(file: string): boolean {
  return readDocument(readGallery(file)).document?.cpu !== undefined;
}

/** Whether a lab of the gallery has an Open vSwitch. */
export function hasOpenVswitch(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  return document !== null && networkOf(document).switches.size > 0;
}

/** The lab's text with the edits; throws where one does not fit: it would change nothing, or not what is meant. */
export function mutate(text: string, edits: readonly Edit[]): string {
  const at = text.indexOf('\nchecks:\n');
  if (at < 0) throw new Error('a lab without checks');
  const [head, checks] = [text.slice(0, at + 1), text.slice(at + 1)];
  const edited = edits.reduce((current, [before, after]) => {
    const parts = current.split(before);
    if (parts.length !== 2) {
      throw new Error(`stands ${String(parts.length - 1)} times in the lab: ${before}`);
    }
    return parts.join(after);
  }, head);
  return edited + checks;
}

/** Where labs go up and down. */
export interface LabDoor {
  readonly apply: (target: PlanTarget) => Promise<Result<unknown>>;
  readonly check: (lab: string) => Promise<Result<{ readonly results: readonly CheckResult[] }>>;
}

export interface MutationResult {
  /** Null for the lab as it is. */
  readonly what: string | null;
  readonly expected: readonly number[];
  /** Indexes of the checks that failed. */
  readonly red: readonly number[];
  /** What did not pass, in the words of the checks. */
  readonly sentences: readonly string[];
}

function documentOf(text: string): PlanTarget {
  return { kind: 'document', text, path: null, replace: false };
}

async function must(result: Promise<Result<unknown>>, what: string): Promise<void> {
  const { ok, ...rest } = await result;
  if (!ok) throw new Error(`${what}: ${JSON.stringify(rest)}`);
}

/** The lab as it is, and then with each of its mutations: which checks fail. It is down before and after. `adapt` makes it fit a machine. */
export async function tryMutations(
  door: LabDoor,
  file: string,
  adapt: (text: string) => string = (text) => text,
): Promise<readonly MutationResult[]> {
  const lab = path.basename(file, '.yaml');
  const text = readGallery(file);
  const results: MutationResult[] = [];
  const judge = async (mutation: Mutation | null): Promise<void> => {
    const what = mutation?.what ?? null;
    const checked = await door.check(lab);
    if (!checked.ok) throw new Error(`${what ?? lab}: ${JSON.stringify(checked.failure)}`);
    const wrong = checked.value.results.filter(({ outcome }) => outcome !== 'passed');
    results.push({
      what,
      expected: mutation?.red ?? [],
      // What was skipped is neither: it shows as a number that no check has.
      red: wrong.map(({ index, outcome }) => (outcome === 'failed' ? index : -1)),
      sentences: wrong.map(({ index, sentence }) => `${String(index)}: ${sentence}`),
    });
  };
  const down = (): Promise<void> => must(door.apply({ kind: 'down', lab }), `${lab} down`);
  const all = mutations[file] ?? [];
  await must(door.apply(documentOf(adapt(text))), lab);
  await judge(null);
  for (const mutation of all.filter(({ live }) => live === true)) {
    await must(door.apply(documentOf(adapt(mutate(text, mutation.edits)))), mutation.what);
    await judge(mutation);
  }
  await down();
  for (const mutation of all.filter(({ live }) => live !== true)) {
    await must(door.apply(documentOf(adapt(mutate(text, mutation.edits)))), mutation.what);
    await judge(mutation);
    await down();
  }
  return results;
}
