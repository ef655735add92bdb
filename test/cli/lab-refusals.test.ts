/**
 * Labs that the kernel would take, or take in part, and that do not work or would harm: each is refused in one sentence
 * that says where, what, why and what to do, and nothing of the network changes.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Failure } from '../../agent/api/result.ts';
import { Netloom, parse, type RunningRealm } from '../harness/netloom.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

interface Refusal {
  readonly what: string;
  /** What follows `nodes:`. */
  readonly topology: string;
  /** Line of the file; null where it is not the text that is wrong. */
  readonly line: number | null;
  readonly object: string;
  readonly code: string;
  readonly reason: string;
  readonly next: string;
}

const head = 'netloom: 1\nname: refused\ntopology:\n  nodes:\n';

const refusals: readonly Refusal[] = [
  {
    what: 'a loop of bridges without STP',
    topology: `    b1: { kind: bridge }
    b2: { kind: bridge }
  links:
    - endpoints: [b1:p1, b2:p2]
    - endpoints: [b1:p3, b2:p4]
`,
    line: 9,
    object: 'b1:p3 — b2:p4',
    code: 'bridge-loop',
    reason: 'This link closes a loop of bridges of which none runs STP: b1, b2.',
    next: 'Set `stp: true` on the bridges of the loop, or remove a link.',
  },
  {
    what: 'an address outside the network of its link',
    topology: `    a: { kind: namespace, interfaces: { e: { addresses: [10.0.0.1/24] } } }
    b: { kind: namespace, interfaces: { e: { addresses: [10.0.1.2/24] } } }
  links:
    - endpoints: [a:e, b:e]
`,
    line: 6,
    object: 'b:e',
    code: 'address-outside-link',
    reason: 'The address 10.0.1.2/24 is in no subnet of a:e at the other end of the link.',
    next: 'Choose an address in 10.0.0.0/24.',
  },
  {
    what: 'a tunnel from a node to itself',
    topology: `    a:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.1/24] }
        t1: { kind: tun, addresses: [10.2.0.1/24] }
        t2: { kind: tun, addresses: [10.3.0.1/24] }
    b: { kind: namespace, interfaces: { e: { addresses: [10.1.0.2/24] } } }
  links:
    - endpoints: [a:e, b:e]
    - { type: tunnel, endpoints: [a:t1, a:t2], underlay: [10.1.0.1, 10.1.0.2] }
`,
    line: 14,
    object: 'a:t1 — a:t2',
    code: 'tunnel-to-itself',
    reason: 'Both ends of the tunnel are at a.',
    next: 'Choose another node for one end.',
  },
  {
    what: 'a VXLAN to an address of its own node',
    topology: `    a:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.1/24] }
        x: { kind: vxlan, id: 7, local: 10.1.0.1, remote: 10.1.0.1, addresses: [10.2.0.1/24] }
    b: { kind: namespace, interfaces: { e: { addresses: [10.1.0.2/24] } } }
  links:
    - endpoints: [a:e, b:e]
`,
    line: 9,
    object: 'a:x',
    code: 'tunnel-to-itself',
    reason: 'Both ends of the tunnel are at a.',
    next: 'Choose another node for one end.',
  },
  {
    what: 'the VLAN 4095',
    topology: `    b: { kind: bridge, vlanFiltering: true, ports: { p: { vlan: 4095 } } }
    a: { kind: namespace }
  links:
    - endpoints: [a:e, b:p]
`,
    line: 5,
    object: 'b:p',
    code: 'out-of-range',
    reason: '4095 is above 4094.',
    next: 'Choose a value in range.',
  },
  {
    what: 'a port in two bridges',
    topology: `    b1: { kind: bridge }
    b2: { kind: bridge }
    a: { kind: namespace }
    c: { kind: namespace }
  links:
    - endpoints: [a:e, b1:p]
    - endpoints: [c:e, b2:p]
`,
    line: 11,
    object: 'b2:p',
    code: 'duplicate-interface',
    reason:
      'The interface p already exists in the realm’s own namespace: the link at b1:p makes it.',
    next: 'Choose another interface name.',
  },
  {
    what: 'packets that cannot pass the tunnel',
    topology: `    a:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.1/24] }
        x: { kind: vxlan, id: 7, local: 10.1.0.1, remote: 10.1.0.2, mtu: 1500 }
    b:
      kind: namespace
      interfaces:
        e: { addresses: [10.1.0.2/24] }
        x: { kind: vxlan, id: 7, local: 10.1.0.2, remote: 10.1.0.1, mtu: 1450 }
  links:
    - endpoints: [a:e, b:e]
`,
    line: 9,
    object: 'a:x',
    code: 'mtu-beyond-tunnel',
    reason: 'Packets of 1500 bytes cannot pass in one piece: e below carries 1450 at most.',
    next: 'Choose an MTU of at most 1450, or leave it out.',
  },
  {
    what: 'a bridge that somebody else has made',
    topology: '    theirs: { kind: bridge, stp: true }\n    a: { kind: namespace }\n',
    line: null,
    object: 'theirs',
    code: 'interface-taken',
    reason: 'The interface theirs exists and is not of this lab.',
    next: 'Rename it in the lab, or remove the interface.',
  },
  {
    what: 'a namespace that somebody else has made',
    topology: '    stranger: { kind: namespace }\n    b: { kind: bridge }\n',
    line: null,
    object: 'stranger',
    code: 'namespace-taken',
    reason: 'The namespace stranger exists and is not of this lab.',
    next: 'Rename the node, or remove the namespace.',
  },
  {
    what: 'a port whose name somebody else’s link has',
    topology: `    b: { kind: bridge }
    a: { kind: namespace }
  links:
    - endpoints: [a:e, b:their-end]
`,
    line: null,
    object: 'b:their-end',
    code: 'interface-taken',
    reason: 'The interface b:their-end exists and is not of this lab.',
    next: 'Rename it in the lab, or remove the interface.',
  },
];

/** What OVSDB takes and the kernel or the switch does not. */
const switchRefusals: readonly Refusal[] = [
  {
    what: 'a bridge with a slash in its name',
    topology: '    a/b: { kind: ovs-bridge }\n',
    line: 5,
    object: 'a/b',
    code: 'name-characters',
    reason: 'The name a/b has characters other than letters, digits, `.`, `_` and `-`.',
    next: 'Use only these.',
  },
  {
    what: 'a port with a name of 25 characters',
    topology: `    sw:
      kind: ovs-bridge
      ports:
        twenty-five-characters-xx: { kind: internal }
`,
    line: 8,
    object: 'twenty-five-characters-xx',
    code: 'name-too-long',
    reason: 'The name twenty-five-characters-xx has 25 characters; the kernel keeps 15 bytes.',
    next: 'Choose a name of at most 15 characters.',
  },
  {
    what: 'the tag 4096',
    topology: '    sw: { kind: ovs-bridge, ports: { p: { kind: internal, vlan: 4096 } } }\n',
    line: 5,
    object: 'sw:p',
    code: 'out-of-range',
    reason: '4096 is above 4094.',
    next: 'Choose a value in range.',
  },
  {
    what: 'a mode that no bond has',
    topology: `    sw:
      kind: ovs-bridge
      ports:
        b: { kind: bond, members: [p1, p2], mode: round-robin }
    a: { kind: namespace }
  links:
    - endpoints: [a:e1, sw:p1]
    - endpoints: [a:e2, sw:p2]
`,
    line: 8,
    object: 'sw:b',
    code: 'wrong-choice',
    reason: '`round-robin` is none of `active-backup`, `balance-slb`, `balance-tcp`.',
    next: 'Use one of them.',
  },
  {
    what: 'a tunnel without a remote',
    topology: '    sw: { kind: ovs-bridge, ports: { t: { kind: vxlan, key: 7 } } }\n',
    line: 5,
    object: 'sw:t',
    code: 'missing-key',
    reason: 'The key remote is missing.',
    next: 'Add it.',
  },
  {
    what: 'a peer that is no patch port',
    topology: `    s1: { kind: ovs-bridge, ports: { x: { kind: internal } } }
    s2: { kind: ovs-bridge }
  links:
    - { type: patch, endpoints: ['s1:x', 's2:y'] }
`,
    line: 8,
    object: 's1:x',
    code: 'duplicate-interface',
    reason: 'The interface x already exists in the realm’s own namespace: the port s1:x makes it.',
    next: 'Choose another interface name.',
  },
  {
    what: 'a patch to a bridge in another Open vSwitch',
    topology: `    m: { kind: namespace }
    s1: { kind: ovs-bridge, namespace: m }
    s2: { kind: ovs-bridge }
  links:
    - { type: patch, endpoints: ['s1:x', 's2:y'] }
`,
    line: 9,
    object: 's1:x — s2:y',
    code: 'patch-across-namespaces',
    reason: 's1 and s2 are in different namespaces, and so in different Open vSwitches.',
    next: 'Use a link without `type: patch`, or a tunnel.',
  },
  {
    what: 'a flow that does not parse',
    topology: `    sw:
      kind: ovs-bridge
      flows:
        - priority=1,actions=NORMAL
        - in_port=1,actions=explode
`,
    line: null,
    object: 'sw',
    code: 'openflow-line-refused',
    reason:
      'Open vSwitch does not take the line in_port=1,actions=explode: unknown action explode.',
    next: 'Correct the line; ovs-ofctl(8) describes its syntax.',
  },
  {
    what: 'a group of a type that there is not',
    topology: `    sw:
      kind: ovs-bridge
      groups: ['group_id=1,type=sideways,bucket=output:1']
`,
    line: null,
    object: 'sw',
    code: 'openflow-line-refused',
    reason:
      'Open vSwitch does not take the line group_id=1,type=sideways,bucket=output:1: invalid group type sideways.',
    next: 'Correct the line; ovs-ofctl(8) describes its syntax.',
  },
];

let netloom: Netloom;
let realm: RunningRealm;
let before: NetworkState;

beforeAll(async () => {
  netloom = new Netloom();
  realm = await netloom.emptyRealm('refused');
  realm.script(`
ip netns add stranger
ip link add theirs type bridge
ip link add their-end type veth peer name eth0 netns stranger
ip link set their-end master theirs
`);
  before = readNetworkState(realm.inRealm);
});
afterAll(() => netloom.dispose());

it.each([...refusals, ...switchRefusals])(
  '$what',
  async ({ topology, line, object, code, reason, next }) => {
    const file = await netloom.write('refused.yaml', head + topology);
    // The sentence and the data, each by an attempt of its own.
    const said = await netloom.run(['up', file, '--yes']);
    const told = await netloom.run(['up', file, '--yes', '--json']);
    expect([said.status, told.status], said.stderr).toEqual(line === null ? [1, 1] : [2, 2]);
    expect(said.stdout).toBe('');
    const place = line === null ? '' : `${file}:${String(line)}:\\d+: `;
    const escaped = [object, reason, next].map((text) =>
      text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    );
    expect(said.stderr).toMatch(
      new RegExp(`${place}${escaped[0] ?? ''}: ${escaped[1] ?? ''} ${escaped[2] ?? ''}`),
    );
    const { failure } = parse<{ readonly failure: Failure }>(told);
    const own = line === null ? [failure] : (failure.causes ?? []);
    expect(own.map((one) => [one.code, one.object, one.reason, one.next])).toEqual([
      [code, object, reason, next],
    ]);
    if (line !== null) expect(own[0]?.place?.line).toBe(line);
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
    expect((await netloom.realms()).find((one) => one.realm === realm.realm)?.labs).toEqual([]);
  },
);
