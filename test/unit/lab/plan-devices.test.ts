import { describe, expect, test } from 'vitest';
import { emptyInventory } from '../../../agent/api/inventory.ts';
import type { LabDocument } from '../../../agent/api/document.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { ModelKernel } from './model-kernel.ts';

function lab(topology: string): LabDocument {
  const { document, problems } = readDocument(`netloom: 1\nname: lab\ntopology:\n${topology}`);
  expect(problems).toEqual([]);
  if (document === null) throw new Error('the document has problems');
  return document;
}

function planOn(kernel: ModelKernel, desired: LabDocument | null, base: LabDocument | null) {
  return planLab({ lab: 'lab', desired, base, inventory: kernel.inventory() });
}

function kernelWith(document: LabDocument): ModelKernel {
  const kernel = new ModelKernel('lab');
  for (const operation of planOn(kernel, document, null).operations) kernel.execute(operation);
  return kernel;
}

/** Commands of a lab that is made from nothing, without those of its namespaces. */
function commandsFor(topology: string): readonly string[] {
  const { steps } = planLab({
    lab: 'lab',
    desired: lab(topology),
    base: null,
    inventory: emptyInventory,
  });
  return steps
    .filter(({ object, label }) => object !== 'namespace' && !label.endsWith(':lo'))
    .flatMap(({ commands }) => commands);
}

/** Steps that lead from one lab to another, as `VERB OBJECT LABEL`, and their commands. */
function between(before: string, after: string | null) {
  const base = lab(before);
  const { steps, operations } = planOn(kernelWith(base), after === null ? null : lab(after), base);
  return {
    operations,
    steps: steps.map(({ verb, object, label }) => `${verb} ${object} ${label}`),
    changes: steps.flatMap(({ changes }) => changes),
    commands: steps.flatMap(({ commands }) => commands),
  };
}

describe('a VLAN device', () => {
  const pair = (vlan: string): string => `
  nodes:
    h1: { kind: namespace, interfaces: { eth0: {}, ${vlan} } }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:eth0', 'h2:eth0'] }]
`;

  test('is made after what it sits on and comes up with it', () => {
    expect(
      commandsFor(pair('eth0.10: { kind: vlan, parent: eth0, id: 10, addresses: [10.0.10.1/24] }')),
    ).toEqual([
      'ip link add eth0 netns h1 type veth peer name eth0 netns h2',
      'ip netns exec h1 ip link add link eth0 eth0.10 type vlan protocol 802.1Q id 10',
      'ip netns exec h1 ip addr add 10.0.10.1/24 dev eth0.10',
      'ip netns exec h1 ip link set eth0 up',
      'ip netns exec h2 ip link set eth0 up',
    ]);
  });

  test('is taken down again where the link below it brings it up', () => {
    const [, , ...states] = commandsFor(
      pair('eth0.10: { kind: vlan, parent: eth0, id: 10, state: down }'),
    );
    expect(states).toEqual([
      'ip netns exec h1 ip link set eth0 up',
      'ip netns exec h2 ip link set eth0 up',
      'ip netns exec h1 ip link set eth0.10 down',
    ]);
  });

  test('is added to a live link by itself', () => {
    expect(
      between(
        pair('eth0.10: { kind: vlan, parent: eth0, id: 10 }'),
        pair(
          'eth0.10: { kind: vlan, parent: eth0, id: 10 }, eth0.20: { kind: vlan, parent: eth0, id: 20 }',
        ),
      ).steps,
    ).toEqual(['add device h1:eth0.20', 'change interface h1:eth0.20']);
  });

  test('is made anew with another id, with all that is on it', () => {
    const double = (id: number): string =>
      pair(
        `eth0.10: { kind: vlan, parent: eth0, id: ${id} }, q: { kind: vlan, parent: eth0.10, id: 5 }`,
      );
    expect(between(double(10), double(11)).steps).toEqual([
      'remove device h1:q',
      'remove device h1:eth0.10',
      'add device h1:eth0.10',
      'add device h1:q',
      'change interface h1:eth0.10',
    ]);
  });

  test('shrinks before the link below it and grows after it', () => {
    const sized = (mtu: number): string => `
  nodes:
    h1: { kind: namespace, interfaces: { eth0: { mtu: ${mtu} }, v: { kind: vlan, parent: eth0, id: 10 } } }
    h2: { kind: namespace, interfaces: { eth0: { mtu: ${mtu} } } }
  links: [{ endpoints: ['h1:eth0', 'h2:eth0'] }]
`;
    expect(between(sized(9000), sized(1400)).commands).toEqual([
      'ip netns exec h1 ip link set dev v mtu 1400',
      'ip netns exec h1 ip link set eth0 mtu 1400',
      'ip netns exec h2 ip link set eth0 mtu 1400',
    ]);
    expect(between(sized(1400), sized(9000)).commands).toEqual([
      'ip netns exec h1 ip link set eth0 mtu 9000',
      'ip netns exec h2 ip link set eth0 mtu 9000',
      'ip netns exec h1 ip link set dev v mtu 9000',
    ]);
  });
});

describe('a bond', () => {
  const bonded = (mode: string): string => `
  nodes:
    h1: { kind: namespace, interfaces: { e1: {}, e2: {}, bond0: { kind: bond, mode: ${mode}, members: [e1, e2], addresses: [10.0.0.1/24] } } }
    h2: { kind: namespace, interfaces: { e1: {}, e2: {}, bond0: { kind: bond, mode: ${mode}, members: [e1, e2], addresses: [10.0.0.2/24] } } }
  links: [{ endpoints: ['h1:e1', 'h2:e1'] }, { endpoints: ['h1:e2', 'h2:e2'] }]
`;

  test('is made before its members, which it brings up', () => {
    expect(commandsFor(bonded('active-backup'))).toEqual([
      'ip netns exec h1 ip link add bond0 type bond mode active-backup miimon 100',
      'ip netns exec h2 ip link add bond0 type bond mode active-backup miimon 100',
      'ip link add e1 netns h1 type veth peer name e1 netns h2',
      'ip netns exec h1 ip link set e1 master bond0',
      'ip netns exec h2 ip link set e1 master bond0',
      'ip link add e2 netns h1 type veth peer name e2 netns h2',
      'ip netns exec h1 ip link set e2 master bond0',
      'ip netns exec h2 ip link set e2 master bond0',
      'ip netns exec h1 ip addr add 10.0.0.1/24 dev bond0',
      'ip netns exec h2 ip addr add 10.0.0.2/24 dev bond0',
      'ip netns exec h1 ip link set bond0 up',
      'ip netns exec h2 ip link set bond0 up',
    ]);
  });

  test('is made anew with another mode; its members are let go and join again', () => {
    const one = (mode: string): string => `
  nodes:
    h1: { kind: namespace, interfaces: { e1: {}, bond0: { kind: bond, mode: ${mode}, members: [e1], addresses: [10.0.0.1/24] } } }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:e1', 'h2:e1'] }]
`;
    expect(between(one('active-backup'), one('802.3ad')).commands).toEqual([
      'ip netns exec h1 ip link set e1 nomaster',
      'ip netns exec h1 ip link del bond0',
      'ip netns exec h1 ip link add bond0 type bond mode 802.3ad miimon 100',
      'ip netns exec h1 ip link set e1 master bond0',
      'ip netns exec h1 ip addr add 10.0.0.1/24 dev bond0',
      'ip netns exec h1 ip link set bond0 up',
    ]);
  });

  test('takes a live link only when that is down', () => {
    const joining = (members: string): string => `
  nodes:
    h1: { kind: namespace, interfaces: { e1: {}, e2: {}, bond0: { kind: bond, members: [${members}] } } }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:e1', 'h2:e1'] }, { endpoints: ['h1:e2', 'h2:e2'] }]
`;
    expect(between(joining('e1'), joining('e1, e2')).commands).toEqual([
      'ip netns exec h1 ip link set e2 down',
      'ip netns exec h1 ip link set e2 master bond0',
    ]);
  });

  test('gives back a link with the MTU that is wanted, and down', () => {
    const leaving = (members: string): string => `
  nodes:
    h1: { kind: namespace, interfaces: { e1: {}, e2: {}, bond0: { kind: bond, members: [${members}] } } }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:e1', 'h2:e1'] }, { endpoints: ['h1:e2', 'h2:e2'] }]
`;
    expect(between(leaving('e1, e2'), leaving('e1')).commands).toEqual([
      'ip netns exec h1 ip link set e2 nomaster',
      'ip netns exec h1 ip link set e2 mtu 1500',
      'ip netns exec h1 ip link set e2 up',
    ]);
  });

  test('changes the MTU of its members itself', () => {
    const sized = (mtu: number): string => `
  nodes:
    h1: { kind: namespace, interfaces: { e1: {}, bond0: { kind: bond, mtu: ${mtu}, members: [e1] } } }
    h2: { kind: namespace }
  links: [{ endpoints: ['h1:e1', 'h2:e1'] }]
`;
    expect(between(sized(1500), sized(9000)).commands).toEqual([
      'ip netns exec h1 ip link set bond0 mtu 9000',
    ]);
  });

  test('is a port of a bridge in place of its members', () => {
    expect(
      commandsFor(`
  nodes:
    br0: { kind: bridge, ports: { p1: {}, bond0: { kind: bond, members: [p1], isolated: true } } }
    h1: { kind: namespace }
  links: [{ endpoints: ['br0:p1', 'h1:eth0'] }]
`),
    ).toEqual([
      'ip link add br0 type bridge',
      'ip link add bond0 type bond mode active-backup miimon 100',
      'ip link set bond0 master br0',
      'ip link add p1 type veth peer name eth0',
      'ip link set eth0 netns h1',
      'ip link set p1 master bond0',
      'ip link set bond0 type bridge_slave isolated on',
      'ip link set br0 up',
      'ip link set bond0 up',
      'ip netns exec h1 ip link set eth0 up',
    ]);
  });
});

describe('a VRF', () => {
  const routed = (members: string): string => `
  nodes:
    r1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24, 'fd00::1/64'] }, red: { kind: vrf, table: 100${members} } } }
    h1: { kind: namespace }
  links: [{ endpoints: ['r1:eth0', 'h1:eth0'] }]
`;

  test('is made before its members', () => {
    expect(commandsFor(routed(', members: [eth0]'))).toEqual([
      'ip netns exec r1 ip link add red type vrf table 100',
      'ip link add eth0 netns r1 type veth peer name eth0 netns h1',
      'ip netns exec r1 ip link set eth0 master red',
      'ip netns exec r1 ip addr add 10.0.0.1/24 dev eth0',
      'ip netns exec r1 ip link set red up',
      'ip netns exec r1 ip link set eth0 up',
      'ip netns exec h1 ip link set eth0 up',
      'ip netns exec r1 ip addr add fd00::1/64 dev eth0 nodad',
    ]);
  });

  test('takes a live link that goes down in between, without its IPv6 addresses', () => {
    expect(between(routed(''), routed(', members: [eth0]')).commands).toEqual([
      'ip netns exec r1 ip addr del fd00::1/64 dev eth0',
      'ip netns exec r1 ip link set eth0 down',
      'ip netns exec r1 ip link set eth0 master red',
      'ip netns exec r1 ip link set eth0 up',
      'ip netns exec r1 ip addr add fd00::1/64 dev eth0 nodad',
    ]);
  });
});

describe('ports of a bridge', () => {
  const filtering = (port: string): string => `
  nodes:
    br0: { kind: bridge, vlanFiltering: true, ports: { p1: ${port}, p2: { trunk: [10, 20, 30] } } }
    h1: { kind: namespace }
    h2: { kind: namespace }
  links: [{ endpoints: ['br0:p1', 'h1:eth0'] }, { endpoints: ['br0:p2', 'h2:eth0'] }]
`;

  test('may be taps', () => {
    expect(
      commandsFor(`
  nodes: { br0: { kind: bridge, ports: { tap0: { kind: tap, owner: 1000 } } } }
`),
    ).toEqual([
      'ip link add br0 type bridge',
      'ip tuntap add dev tap0 mode tap user 1000',
      'ip link set tap0 master br0',
      'ip link set br0 up',
      'ip link set tap0 up',
    ]);
  });

  test('change their VLANs in one operation while they are up', () => {
    const { operations, changes, commands } = between(
      filtering('{ trunk: [10, 20] }'),
      filtering('{ trunk: [20, 30], native: 20 }'),
    );
    expect(operations).toEqual([
      {
        kind: 'change-vlans',
        namespace: null,
        name: 'p1',
        self: false,
        before: [
          { id: 10, pvid: false, untagged: false },
          { id: 20, pvid: false, untagged: false },
        ],
        after: [
          { id: 20, pvid: true, untagged: true },
          { id: 30, pvid: false, untagged: false },
        ],
      },
    ]);
    expect(changes).toEqual([{ field: 'vlans', before: '10, 20', after: '20 untagged, 30' }]);
    expect(commands).toEqual([
      'bridge vlan del dev p1 vid 10',
      'bridge vlan add dev p1 vid 20 pvid untagged',
      'bridge vlan add dev p1 vid 30',
    ]);
  });

  test('lose what their bridge gave them before they leave it', () => {
    const at = (first: string, second: string): string => `
  nodes:
    br0: { kind: bridge, ${first} }
    br1: { kind: bridge, ${second} }
    h1: { kind: namespace }
  links: [{ endpoints: ['${first === '' ? 'br1' : 'br0'}:p1', 'h1:eth0'] }]
`;
    expect(
      between(at('ports: { p1: { isolated: true, cost: 50 } }', ''), at('', 'ports: { p1: {} }'))
        .operations,
    ).toEqual([
      {
        kind: 'change-link',
        namespace: null,
        name: 'p1',
        before: { port: { isolated: true, cost: 50 } },
        after: { port: { isolated: false, cost: 2 } },
      },
      {
        kind: 'change-link',
        namespace: null,
        name: 'p1',
        before: { master: 'br0' },
        after: { master: 'br1' },
      },
    ]);
  });
});

describe('one thing that changes', () => {
  const router = (settings: string, eth0 = '{ addresses: [10.0.0.1/24] }'): string => `
  nodes:
    r1: { kind: namespace, interfaces: { eth0: ${eth0} }${settings} }
    h1: { kind: namespace }
  links: [{ endpoints: ['r1:eth0', 'h1:eth0'] }]
`;

  test('is one operation for an impairment', () => {
    const delayed = (milliseconds: number): string =>
      router('', `{ addresses: [10.0.0.1/24], impairment: { delay: ${milliseconds}, loss: 1 } }`);
    const { steps, changes, commands } = between(delayed(20), delayed(50));
    expect(steps).toEqual(['change interface r1:eth0']);
    expect(changes).toEqual([
      { field: 'impairment', before: '20 ms, 1 % loss', after: '50 ms, 1 % loss' },
    ]);
    expect(commands).toEqual([
      'ip netns exec r1 tc qdisc replace dev eth0 root handle 4e: netem limit 1000 delay 50000us loss 1%',
    ]);
  });

  test('is one operation for address translation at a live router', () => {
    const { operations } = between(
      router(', forwarding: true'),
      router(', forwarding: true, nat: [{ kind: masquerade, out: eth0 }]'),
    );
    expect(operations).toMatchObject([{ kind: 'change-rules', namespace: 'r1', before: null }]);
  });

  test('is one operation a family for forwarding', () => {
    expect(between(router(''), router(', forwarding: true')).operations).toEqual([
      {
        kind: 'change-forwarding',
        namespace: 'r1',
        family: 'ipv4',
        before: false,
        after: true,
      },
      {
        kind: 'change-forwarding',
        namespace: 'r1',
        family: 'ipv6',
        before: false,
        after: true,
      },
    ]);
    expect(
      between(router(', forwarding: true'), router(', forwarding: { ipv4: true }')).operations,
    ).toMatchObject([{ family: 'ipv6', before: true, after: false }]);
  });

  test('stops a process and starts it anew when its command changes', () => {
    const serving = (port: number): string =>
      router(`, run: [{ name: web, command: [python3, -m, http.server, '${port}'] }]`);
    const { operations, steps } = between(serving(80), serving(8080));
    expect(operations).toEqual([
      {
        kind: 'stop-process',
        namespace: 'r1',
        name: 'web',
        command: ['python3', '-m', 'http.server', '80'],
      },
      {
        kind: 'start-process',
        namespace: 'r1',
        name: 'web',
        command: ['python3', '-m', 'http.server', '8080'],
      },
    ]);
    expect(steps).toEqual(['remove process web in r1', 'add process web in r1']);
  });

  test('is one operation for several settings of a bridge', () => {
    const { operations } = between(
      `\n  nodes: { br0: { kind: bridge } }\n`,
      `\n  nodes: { br0: { kind: bridge, stp: true, priority: 4096, ageingTime: 10 } }\n`,
    );
    expect(operations).toEqual([
      {
        kind: 'change-link',
        namespace: null,
        name: 'br0',
        before: { bridge: { stp: false, priority: 32768, ageingTime: 300 } },
        after: { bridge: { stp: true, priority: 4096, ageingTime: 10 } },
      },
    ]);
  });
});

describe('a bridge within a topology change of its spanning tree', () => {
  test.each([{ ageing: '' }, { ageing: ', ageingTime: 100' }])(
    'is taken down by the same plan as at any other time: $ageing',
    ({ ageing }) => {
      const base = lab(
        `\n  nodes: { br0: { kind: bridge, stp: true, forwardDelay: 4, maximumAge: 6, helloTime: 1${ageing} } }\n`,
      );
      const inventory = kernelWith(base).inventory();
      // The kernel shows twice the forward delay then.
      const changing = {
        ...inventory,
        links: inventory.links.map((link) =>
          link.bridge === null ? link : { ...link, bridge: { ...link.bridge, ageingTime: 8 } },
        ),
      };
      expect(changing).not.toEqual(inventory);
      const down = (found: typeof inventory) =>
        planLab({ lab: 'lab', desired: null, base, inventory: found }).operations;
      expect(down(changing)).toEqual(down(inventory));
      expect(JSON.stringify(down(changing))).not.toContain('"ageingTime":8');
      expect(planLab({ lab: 'lab', desired: base, base, inventory: changing }).operations).toEqual(
        [],
      );
    },
  );
});

describe('a tunnel between two nodes', () => {
  const tunnel = `
  nodes:
    a: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.1/24] }, tap0: { kind: tap, addresses: [10.9.0.1/24] } } }
    b: { kind: namespace, interfaces: { eth0: { addresses: [192.0.2.2/24] }, tap0: { kind: tap, addresses: [10.9.0.2/24] } } }
  links:
    - endpoints: [a:eth0, b:eth0]
    - { type: tunnel, endpoints: [a:tap0, b:tap0], underlay: [192.0.2.1, 192.0.2.2] }
`;

  test('is two devices with room for the headers, and two processes after all else', () => {
    const { operations } = planLab({
      lab: 'lab',
      desired: lab(tunnel),
      base: null,
      inventory: emptyInventory,
    });
    const tap = { kind: 'tap', owner: null, group: null, multiQueue: false };
    expect(operations.filter(({ kind }) => kind === 'add-device')).toMatchObject([
      // 1500 less IPv4 (20), UDP (8) and Ethernet (14).
      { namespace: 'a', name: 'tap0', device: tap, mtu: 1458 },
      { namespace: 'b', name: 'tap0', device: tap, mtu: 1458 },
    ]);
    expect(operations.slice(-2)).toEqual([
      {
        kind: 'start-process',
        namespace: 'a',
        name: 'tunnel:tap0',
        command: [
          'socat',
          'UDP4-DATAGRAM:192.0.2.2:5555,bind=192.0.2.1:5555',
          'TUN,tun-name=tap0,tun-type=tap,iff-no-pi',
        ],
      },
      {
        kind: 'start-process',
        namespace: 'b',
        name: 'tunnel:tap0',
        command: [
          'socat',
          'UDP4-DATAGRAM:192.0.2.1:5555,bind=192.0.2.2:5555',
          'TUN,tun-name=tap0,tun-type=tap,iff-no-pi',
        ],
      },
    ]);
  });

  test('ends with its processes before its devices', () => {
    expect(between(tunnel, null).steps).toEqual([
      'remove process tunnel:tap0 in a',
      'remove process tunnel:tap0 in b',
      'remove device a:tap0',
      'remove device b:tap0',
      'remove veth a:eth0 — b:eth0',
      'remove namespace a',
      'remove namespace b',
    ]);
  });
});

describe('what a machine lacks', () => {
  test('is refused with the reason', () => {
    const { operations, refusals } = planLab({
      lab: 'lab',
      desired: lab('  nodes: { h: { kind: namespace, interfaces: { d: { kind: dummy } } } }\n'),
      base: null,
      inventory: emptyInventory,
      lackOf: (capability) =>
        capability === 'link:dummy' ? 'the kernel has no such links.' : null,
    });
    expect(operations).toEqual([]);
    expect(refusals).toMatchObject([
      {
        kind: 'unsupported',
        code: 'kernel-lacks',
        object: 'h:d',
        reason: 'This machine lacks link:dummy, which h:d needs (the kernel has no such links).',
      },
    ]);
  });
});
