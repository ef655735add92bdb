import { describe, expect, test } from 'vitest';
import type { AddressView, Inventory, LinkView, RouteView } from '../../../agent/api/inventory.ts';
import { revertScript } from '../../../agent/apply/watchdog-script.ts';
import { cautiousContext, commandsOf } from '../../../agent/lab/command.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { inverseOf } from '../../../agent/lab/inverse.ts';
import { networkOf } from '../../../agent/lab/network.ts';
import { type Operation, OperationSchema } from '../../../agent/lab/operation.ts';
import { type LabPlan, planLab } from '../../../agent/lab/plan.ts';

type UplinkOperation = Extract<Operation, { kind: 'attach-uplink' | 'detach-uplink' }>;

const mac = '52:54:00:12:34:56';

function link(index: number, name: string, change: Partial<LinkView> = {}): LinkView {
  return {
    id: `1/${index}`,
    namespace: '1',
    index,
    name,
    kind: 'physical',
    mac,
    mtu: 1500,
    up: true,
    carrier: true,
    operationalState: 'up',
    master: null,
    peer: null,
    alias: null,
    lab: null,
    addresses: [],
    device: null,
    bridge: null,
    port: null,
    portState: null,
    vlans: null,
    bondMember: null,
    impairment: null,
    queueing: null,
    holders: [],
    ...change,
  };
}

function address(text: string, change: Partial<AddressView> = {}): AddressView {
  return {
    address: text,
    family: text.includes(':') ? 'ipv6' : 'ipv4',
    scope: 'global',
    owned: false,
    tentative: false,
    duplicate: false,
    ...change,
  };
}

function route(to: string, change: Partial<RouteView> = {}): RouteView {
  return {
    family: to.includes(':') || change.via?.includes(':') === true ? 'ipv6' : 'ipv4',
    to,
    via: null,
    index: 2,
    metric: 0,
    table: 254,
    protocol: 4,
    scope: 'global',
    kind: 'unicast',
    owned: false,
    ...change,
  };
}

/** A realm's own namespace with these links and routes. */
function machine(links: readonly LinkView[], routes: readonly RouteView[]): Inventory {
  return {
    sequence: 1,
    namespaces: [
      {
        id: '1',
        names: [],
        root: true,
        container: null,
        mounts: [],
        processes: [],
        processCount: 1,
        runs: [],
        forwarding: { ipv4: false, ipv6: false },
        rules: null,
        lab: null,
      },
    ],
    links: [...links],
    routes: [{ namespace: '1', routes: [...routes] }],
    engines: [],
  };
}

const given = [
  address('192.168.0.97/24', { particulars: { broadcast: '192.168.0.255' } }),
  address('192.168.0.98/24', { particulars: { label: 'enp1s0:1' } }),
  address('10.5.0.1/24', { particulars: { noPrefixRoute: true, metric: 50 } }),
  address('fe80::1/64', { scope: 'link' }),
  address('fd00::97/64'),
  address('fd00::98/64', { particulars: { noDuplicateDetection: true } }),
  address('fd00::abcd/64', { dynamic: true }),
];
const ways = [
  route('default', { via: '192.168.0.1', metric: 100, protocol: 16, source: '192.168.0.97' }),
  route('192.168.0.0/24', { protocol: 2, scope: 'link' }),
  route('10.5.0.0/24', { protocol: 2, scope: 'link', metric: 50 }),
  route('172.16.0.0/12', { via: '192.168.0.254' }),
  route('10.66.0.0/16', { via: '10.9.9.9' }),
  route('default', { via: 'fe80::ff', metric: 1024, protocol: 9 }),
  route('fe80::/64', { protocol: 2, metric: 256 }),
  route('fd00:2::/48', { via: 'fd00::1', metric: 1024, source: 'fd00::abcd' }),
  route('fd00:3::/48', { via: 'fd00::1', metric: 1024 }),
];
const nic = link(2, 'enp1s0', { addresses: given });

function documentOf(settings: string): NonNullable<ReturnType<typeof readDocument>['document']> {
  const { document, problems } = readDocument(
    `netloom: 1\nname: up\ntopology:\n  nodes:\n    br-ex: { kind: bridge${settings} }\n`,
  );
  if (document === null) throw new Error(JSON.stringify(problems));
  return document;
}
const wanted = documentOf(', uplink: enp1s0');

const planOf = (inventory: Inventory, base: typeof wanted | null = null): LabPlan =>
  planLab({ lab: 'up', desired: wanted, base, inventory });

function attachOf(plan: LabPlan): UplinkOperation {
  const found = plan.operations.find((operation) => operation.kind === 'attach-uplink');
  if (found?.kind !== 'attach-uplink') throw new Error(JSON.stringify(plan.refusals));
  return found;
}

/** The bridge with what an attach gave it, and the NIC as its port. */
function attached(operation: UplinkOperation): Inventory {
  const back = (views: readonly AddressView[]): AddressView[] =>
    views
      .filter(({ address: text }) => operation.addresses.some((one) => one.address === text))
      .map((view) =>
        view.particulars?.label === undefined
          ? view
          : { ...view, particulars: { label: 'br-ex:1' } },
      );
  const bridge = link(3, 'br-ex', {
    kind: 'bridge',
    lab: 'up',
    alias: 'netloom:up',
    addresses: back(given),
    bridge: {},
  });
  const rest = given.filter(
    ({ address: text }) => !operation.addresses.some((one) => one.address === text),
  );
  const moved = ways.map((way) =>
    operation.routes.some(({ to, via }) => way.to.startsWith(to.slice(0, 4)) && via === way.via) ||
    (way.to === 'default' && way.protocol === 16)
      ? { ...way, index: 3 }
      : way,
  );
  return machine([link(2, 'enp1s0', { master: '1/3', addresses: rest }), bridge], moved);
}

describe('the plan of an uplink that is not ours', () => {
  const plan = planOf(machine([nic], ways));

  test('moves what was given to the NIC and can be given back, and says that it must be confirmed', () => {
    const operation = attachOf(plan);
    expect(plan.operations.at(-1)).toBe(operation);
    expect(operation.addresses.map(({ address: text }) => text)).toEqual([
      '192.168.0.97/24',
      '192.168.0.98/24',
      '10.5.0.1/24',
      'fd00::97/64',
      'fd00::98/64',
    ]);
    expect(operation.routes.map(({ to, via }) => `${to} ${via ?? '-'}`)).toEqual([
      '10.5.0.0/24 -',
      '0.0.0.0/0 192.168.0.1',
      '172.16.0.0/12 192.168.0.254',
      'fd00:3::/48 fd00::1',
    ]);
    expect(operation.macs).toEqual({ attached: mac, detached: null });
    expect(plan.confirm).toMatchObject({ within: 60, reason: { code: 'uplink-at-stake' } });
    expect(plan.warnings.map(({ code }) => code)).toEqual(['uplink-address-dynamic']);
    expect(plan.onlyWays).toEqual(['enp1s0']);
    expect(plan.steps.at(-1)).toMatchObject({ verb: 'add', object: 'uplink' });
    expect(OperationSchema.parse(operation)).toEqual(operation);
  });

  test('is said in commands that lose nothing on the way', () => {
    expect(commandsOf(attachOf(plan), cautiousContext)).toEqual([
      'ip route del fd00:3::/48 via fd00::1 dev enp1s0 proto 4 metric 1024',
      'ip route del 172.16.0.0/12 via 192.168.0.254 dev enp1s0 proto 4 scope global',
      'ip route del default via 192.168.0.1 dev enp1s0 proto 16 scope global src 192.168.0.97 metric 100',
      'ip route del 10.5.0.0/24 dev enp1s0 proto 2 scope link metric 50',
      'ip addr del fd00::97/64 dev enp1s0',
      'ip addr del fd00::98/64 dev enp1s0',
      'ip addr del 10.5.0.1/24 dev enp1s0',
      'ip addr del 192.168.0.98/24 dev enp1s0',
      'ip addr del 192.168.0.97/24 dev enp1s0',
      'ip link set enp1s0 master br-ex',
      `ip link set br-ex address ${mac}`,
      'ip addr add 192.168.0.97/24 broadcast 192.168.0.255 dev br-ex',
      'ip addr add 192.168.0.98/24 dev br-ex label br-ex:1',
      'ip addr add 10.5.0.1/24 dev br-ex metric 50 noprefixroute',
      'ip addr add fd00::98/64 dev br-ex nodad',
      'ip addr add fd00::97/64 dev br-ex nodad',
      'ip addr change fd00::97/64 dev br-ex',
      'ip route add 10.5.0.0/24 dev br-ex proto 2 scope link metric 50',
      'ip route add default via 192.168.0.1 dev br-ex proto 16 scope global src 192.168.0.97 metric 100',
      'ip route add 172.16.0.0/12 via 192.168.0.254 dev br-ex proto 4 scope global',
      'ip route add fd00:3::/48 via fd00::1 dev br-ex proto 4 metric 1024',
    ]);
  });

  test('has an inverse that is its own inverse, and no MAC to give back to a new bridge', () => {
    const operation = attachOf(plan);
    const [back] = inverseOf(operation);
    expect(back).toEqual({ ...operation, kind: 'detach-uplink' });
    expect(back === undefined ? [] : inverseOf(back)).toEqual([operation]);
    const commands = back === undefined ? [] : commandsOf(back, cautiousContext);
    expect(commands).toContain('ip link set enp1s0 nomaster');
    expect(commands).toContain('ip addr add 192.168.0.98/24 dev enp1s0 label enp1s0:1');
    expect(commands.filter((command) => command.includes('address'))).toEqual([]);
  });

  test('is empty once it is in place, whether or not the base is known', () => {
    const inventory = attached(attachOf(plan));
    for (const base of [wanted, null]) {
      const again = planOf(inventory, base);
      expect([again.operations, again.confirm, again.refusals]).toEqual([[], null, []]);
    }
  });

  test('gives everything back when the lab goes, without a deadline', () => {
    const operation = attachOf(plan);
    const down = planLab({
      lab: 'up',
      desired: null,
      base: wanted,
      inventory: attached(operation),
    });
    const [first, ...rest] = down.operations;
    expect(first).toEqual({
      ...operation,
      kind: 'detach-uplink',
      routes: expect.arrayContaining([...operation.routes]) as unknown,
    });
    expect(rest.map(({ kind }) => kind)).toEqual(['remove-bridge']);
    expect(rest[0]).toMatchObject({
      contents: [{ kind: 'change-link', after: { up: true } }],
    });
    expect([down.confirm, down.warnings]).toEqual([null, []]);
  });

  test('gives one NIC back and takes another', () => {
    const other = link(4, 'enp2s0', {
      mac: '52:54:00:00:00:02',
      addresses: [address('10.8.0.1/24')],
    });
    const inventory = attached(attachOf(plan));
    const swapped = planLab({
      lab: 'up',
      desired: documentOf(', uplink: enp2s0'),
      base: wanted,
      inventory: { ...inventory, links: [...inventory.links, other] },
    });
    expect(swapped.operations.map(({ kind }) => kind)).toEqual(['detach-uplink', 'attach-uplink']);
    expect(swapped.operations[1]).toMatchObject({
      interface: 'enp2s0',
      macs: { attached: '52:54:00:00:00:02', detached: mac },
    });
    expect(swapped.confirm).not.toBeNull();
    expect(swapped.onlyWays).toEqual(['enp2s0']);
  });

  test('keeps a MAC that the document pins, and another default route is another way out', () => {
    const second = link(5, 'wlan0');
    const pinned = planLab({
      lab: 'up',
      desired: documentOf(', uplink: enp1s0, mac: "02:00:00:00:00:09"'),
      base: null,
      inventory: machine(
        [nic, second],
        [
          ...ways.filter(({ family }) => family === 'ipv4'),
          route('default', { via: '10.1.1.1', index: 5, metric: 600 }),
        ],
      ),
    });
    expect(attachOf(pinned).macs).toEqual({ attached: null, detached: null });
    expect([pinned.onlyWays, pinned.confirm?.within]).toEqual([[], 60]);
  });
});

describe('an uplink is refused', () => {
  const refusals = (links: readonly LinkView[], routes: readonly RouteView[] = []): unknown =>
    planOf(machine(links, routes)).refusals.map(({ kind, code }) => `${kind} ${code}`);

  test('when it is not there, a port already, a bridge, another lab’s, or has more than can be kept', () => {
    const foreign = link(7, 'docker0', { kind: 'bridge', bridge: {} });
    expect(refusals([])).toEqual(['unknown-object uplink-missing']);
    expect(refusals([{ ...nic, master: '1/7' }, foreign])).toEqual(['name-taken uplink-is-port']);
    expect(refusals([{ ...nic, kind: 'bridge' }])).toEqual(['name-taken uplink-unfit']);
    expect(refusals([{ ...nic, kind: 'loopback' }])).toEqual(['name-taken uplink-unfit']);
    expect(refusals([{ ...nic, lab: 'other' }])).toEqual(['name-taken interface-of-other-lab']);
    expect(refusals([nic], [route('default', { via: '192.168.0.1', intricate: true })])).toEqual([
      'refused uplink-route-intricate',
    ]);
  });
});

describe('an uplink that the lab makes itself', () => {
  const { document } = readDocument(`netloom: 1
name: up
topology:
  nodes:
    network:
      kind: namespace
      interfaces: { enp1s0: { addresses: [192.168.0.97/24] } }
      routes:
        - { to: default, via: 192.168.0.1 }
        - { to: 10.0.0.0/8, via: 192.168.0.2, dev: enp1s0 }
    outside: { kind: namespace, interfaces: { eth0: { addresses: [192.168.0.1/24] } } }
    br-ex: { kind: bridge, namespace: network, addresses: [10.3.0.1/24], uplink: enp1s0 }
  links: [{ endpoints: ['network:enp1s0', 'outside:eth0'] }]
`);
  if (document === null) throw new Error('no document');

  test('is an ordinary port; its addresses and routes are the bridge’s', () => {
    const network = networkOf(document);
    expect(network.uplinks.size).toBe(0);
    expect(network.links.get('network/enp1s0')).toMatchObject({
      master: 'br-ex',
      addresses: [],
      node: 'network',
      port: { isolated: false },
    });
    expect(network.links.get('network/br-ex')?.addresses).toEqual([
      '10.3.0.1/24',
      '192.168.0.97/24',
    ]);
    expect(network.routes.get('network')?.map(({ dev }) => dev)).toEqual(['br-ex', 'br-ex']);
    const plan = planLab({ lab: 'up', desired: document, base: null, inventory: machine([], []) });
    expect([plan.confirm, plan.refusals, plan.onlyWays]).toEqual([null, [], []]);
    expect(plan.operations.some(({ kind }) => kind === 'attach-uplink')).toBe(false);
  });
});

describe('the script of the watchdog', () => {
  test('takes the last operation back first, with the marks of what comes back', () => {
    const operations: readonly Operation[] = [
      { kind: 'remove-bridge', namespace: null, name: 'old', contents: [] },
      { kind: 'add-namespace', name: 'vm' },
      {
        kind: 'remove-route',
        namespace: 'vm',
        route: { to: '10.0.0.0/8', via: '10.1.0.1', dev: 'eth0', metric: null },
      },
    ];
    expect(revertScript('up', operations).split('\n')).toEqual([
      '#!/bin/sh',
      '# Takes a change of lab up back.',
      'set -x',
      'ip netns exec vm ip route add 10.0.0.0/8 via 10.1.0.1 dev eth0 proto 78',
      'ip netns del vm',
      'ip link add old type bridge',
      'ip link set dev old alias netloom:up',
      ':',
      '',
    ]);
  });

  test('leaves CPU groups to the next agent, which knows where they are', () => {
    const text = revertScript('up', [
      { kind: 'open-cpu-group', group: 'A' },
      { kind: 'change-cpu-group', group: 'A', before: { burst: 0 }, after: { burst: 1000 } },
    ]);
    expect(text).toBe('#!/bin/sh\n# Takes a change of lab up back.\nset -x\n:\n');
  });

  test('runs nothing that a document says', () => {
    const process = { namespace: 'vm', name: 'nap', command: ['sleep', '$(id)'] };
    const text = revertScript('up', [{ kind: 'stop-process', ...process }]);
    expect(text).toBe('#!/bin/sh\n# Takes a change of lab up back.\nset -x\n:\n');
  });
});
