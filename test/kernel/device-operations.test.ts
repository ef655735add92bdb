/**
 * The doors for devices, queueing, VLANs and forwarding against iproute2: what ours makes in one namespace and what its
 * command makes in another have to look the same to `ip`, `tc` and `bridge`. The kernel that runs it decides which
 * kinds can be tried; the others are named on standard error.
 */
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  bondHashPolicies,
  bondModes,
  type Device,
  type Impairment,
  initialBridge,
  initialPort,
  macvlanModes,
} from '../../agent/api/device.ts';
import { impairmentWords, normaliseImpairment } from '../../agent/api/impairment.ts';
import { type Result, succeed } from '../../agent/api/result.ts';
import { changeVlans, listVlans } from '../../agent/kernel/bridge-vlans.ts';
import { probeCapabilities } from '../../agent/kernel/capabilities.ts';
import { bondMemberOf, createDevice, deviceOf } from '../../agent/kernel/devices.ts';
import { readForwarding, writeForwarding } from '../../agent/kernel/forwarding.ts';
import {
  createBridge,
  createVeth,
  getLink,
  listLinks,
  setBridgePort,
  setLink,
} from '../../agent/kernel/links.ts';
import {
  closeNamespace,
  createNamespace,
  type NamespaceHandle,
  removeNamespace,
} from '../../agent/kernel/namespaces.ts';
import { RequestSocket } from '../../agent/kernel/netlink-socket.ts';
import { listQueueing, setImpairment } from '../../agent/kernel/queueing.ts';
import { errnoOf, ip, must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

const report = must(probeCapabilities());
function has(name: string): boolean {
  return report.capabilities.some((found) => found.name === name && found.available);
}
const missing = [
  ...['dummy', 'vlan', 'bond', 'vxlan', 'gre', 'gretap', 'ipip', 'geneve', 'macvlan', 'vrf'],
  ...['tap', 'tun'],
]
  .map((kind) => `link:${kind}`)
  .concat('queueing:netem', 'queueing:tbf', 'bridge:vlan-filtering')
  .filter((name) => !has(name));

let ours: NamespaceHandle;
let theirs: NamespaceHandle;
let oursName: string;
let theirsName: string;
let socket: RequestSocket;
let other: RequestSocket;

beforeAll(requirePrivateNamespaces);
afterAll(() => {
  if (missing.length > 0) {
    console.error(
      `This kernel does not have, and these tests have not tried: ${missing.join(', ')}`,
    );
  }
});

beforeEach(() => {
  oursName = uniqueName('ours');
  theirsName = uniqueName('theirs');
  ours = must(createNamespace(oursName));
  theirs = must(createNamespace(theirsName));
  socket = must(RequestSocket.open(ours.fd));
  other = must(RequestSocket.open(theirs.fd));
});

afterEach(() => {
  socket.close();
  other.close();
  closeNamespace(ours);
  closeNamespace(theirs);
  removeNamespace(oursName);
  removeNamespace(theirsName);
});

function run(program: string, words: string): void {
  execFileSync(program, ['-n', theirsName, ...words.split(' ')], { stdio: 'pipe' });
}

function json(program: string, namespace: string, ...words: readonly string[]): unknown {
  const text = execFileSync(program, ['-n', namespace, '-j', ...words], { encoding: 'utf8' });
  return text.trim() === '' ? [] : JSON.parse(text);
}

function indexOf(name: string): Result<number> {
  const link = getLink(socket, { name });
  return link.ok ? succeed(link.value.index) : link;
}

function readDevice(from: RequestSocket, name: string): Device | null {
  const links = must(listLinks(from));
  const nameOf = (index: number): string | undefined =>
    links.find((link) => link.index === index)?.name;
  const link = links.find((found) => found.name === name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return deviceOf(link, nameOf);
}

/** What `ip -j -d` says of a link, without what differs from namespace to namespace. */
function describeLink(namespace: string, name: string): unknown {
  return ip('-n', namespace, '-d', 'link', 'show', 'dev', name);
}

interface Case {
  readonly device: Device;
  /** Words after `ip link add x [address MAC] [mtu MTU]`, or after `ip tuntap add x`. */
  readonly command: string;
  readonly mac?: string;
  readonly mtu?: number;
}

const mac = '02:00:00:00:77:01';
const nobody = { local: null, remote: null };
const ends = { local: '192.0.2.1', remote: '192.0.2.2' };
const forAnybody = { owner: null, group: null, multiQueue: false };

const cases: readonly Case[] = [
  { device: { kind: 'dummy' }, command: 'type dummy', mac, mtu: 1400 },
  {
    device: { kind: 'vlan', parent: 'below', id: 5, protocol: '802.1Q' },
    command: 'link below type vlan id 5',
    mac,
    mtu: 1300,
  },
  {
    device: { kind: 'vlan', parent: 'below', id: 4094, protocol: '802.1ad' },
    command: 'link below type vlan protocol 802.1ad id 4094',
    mac,
  },
  ...bondModes.map((mode, position): Case => ({
    device: {
      kind: 'bond',
      mode,
      monitorInterval: 70,
      hashPolicy: bondHashPolicies[position % bondHashPolicies.length] ?? 'layer2',
    },
    command: `type bond mode ${mode} miimon 70 xmit_hash_policy ${bondHashPolicies[position % bondHashPolicies.length] ?? ''}`,
    mac,
  })),
  {
    device: { kind: 'vxlan', id: 42, ...ends, port: 4789, parent: null },
    command: 'type vxlan id 42 local 192.0.2.1 remote 192.0.2.2 dstport 4789',
    mac,
    mtu: 1400,
  },
  {
    device: { kind: 'vxlan', id: 16777215, ...nobody, port: 8472, parent: 'below' },
    command: 'type vxlan id 16777215 dev below dstport 8472',
    mac,
  },
  {
    device: {
      kind: 'vxlan',
      id: 7,
      local: '2001:db8::1',
      remote: '2001:db8::2',
      port: 4789,
      parent: null,
    },
    command: 'type vxlan id 7 local 2001:db8::1 remote 2001:db8::2 dstport 4789',
    mac,
  },
  {
    device: { kind: 'vxlan', id: 8, local: null, remote: '239.1.1.1', port: 4789, parent: 'below' },
    command: 'type vxlan id 8 group 239.1.1.1 dev below dstport 4789',
    mac,
  },
  {
    device: { kind: 'gre', ...ends, key: null },
    command: 'type gre local 192.0.2.1 remote 192.0.2.2',
  },
  {
    device: { kind: 'gre', ...ends, key: 4_000_000_000 },
    command: 'type gre local 192.0.2.1 remote 192.0.2.2 key 4000000000',
    mtu: 1200,
  },
  {
    device: { kind: 'gretap', ...ends, key: 77 },
    command: 'type gretap local 192.0.2.1 remote 192.0.2.2 key 77',
    mac,
    mtu: 1300,
  },
  {
    device: { kind: 'gretap', local: null, remote: '192.0.2.2', key: null },
    command: 'type gretap remote 192.0.2.2',
    mac,
  },
  {
    device: { kind: 'ipip', ...ends },
    command: 'type ipip local 192.0.2.1 remote 192.0.2.2',
    mtu: 1280,
  },
  {
    device: { kind: 'geneve', id: 9, remote: '192.0.2.2', port: 6081 },
    command: 'type geneve id 9 remote 192.0.2.2',
    mac,
  },
  {
    device: { kind: 'geneve', id: 10, remote: '2001:db8::2', port: 7777 },
    command: 'type geneve id 10 remote 2001:db8::2 dstport 7777',
    mac,
    mtu: 1300,
  },
  ...macvlanModes.map((mode): Case => ({
    device: { kind: 'macvlan', parent: 'below', mode },
    command: `link below type macvlan mode ${mode}`,
    // One that passes everything through has its parent's.
    ...(mode === 'passthru' ? {} : { mac }),
  })),
  { device: { kind: 'vrf', table: 1077 }, command: 'type vrf table 1077', mac },
  { device: { kind: 'tap', ...forAnybody }, command: 'mode tap', mac, mtu: 1400 },
  {
    device: { kind: 'tap', owner: 1000, group: 1001, multiQueue: true },
    command: 'mode tap user 1000 group 1001 multi_queue',
    mac,
  },
  { device: { kind: 'tun', ...forAnybody }, command: 'mode tun', mtu: 1300 },
  { device: { kind: 'tun', owner: 0, group: null, multiQueue: false }, command: 'mode tun user 0' },
];

describe('devices are made as ip makes them, and read back', () => {
  for (const each of cases.filter(({ device }) => has(`link:${device.kind}`))) {
    it(`${each.device.kind}: ${each.command}`, () => {
      for (const namespace of [oursName, theirsName]) {
        execFileSync('ip', [
          ...['-n', namespace, 'link', 'add', 'below', 'index', '50', 'address'],
          ...['02:00:00:00:66:01', 'type', 'veth', 'peer', 'name', 'far', 'index', '51'],
          ...['address', '02:00:00:00:66:02'],
        ]);
      }
      const { device } = each;
      must(
        createDevice(
          { socket, fd: ours.fd },
          { name: 'x', mac: each.mac, mtu: each.mtu },
          device,
          indexOf,
        ),
      );
      const settings =
        (each.mac === undefined ? '' : ` address ${each.mac}`) +
        (each.mtu === undefined ? '' : ` mtu ${each.mtu}`);
      if (device.kind === 'tap' || device.kind === 'tun') {
        run('ip', `tuntap add x ${each.command}`);
        if (settings !== '') run('ip', `link set x${settings}`);
      } else {
        run('ip', `link add x${settings} ${each.command}`);
      }
      const expected = describeLink(theirsName, 'x');
      expect(describeLink(oursName, 'x')).toEqual(expected);
      expect(expected).toMatchObject([
        { operstate: 'DOWN', ...(each.mac === undefined ? {} : { address: each.mac }) },
      ]);
      expect(readDevice(other, 'x')).toEqual(device);
      expect(readDevice(socket, 'x')).toEqual(device);
      // A name that is taken is said so and nothing of it is touched.
      expect(errnoOf(createDevice({ socket, fd: ours.fd }, { name: 'x' }, device, indexOf))).toBe(
        'EEXIST',
      );
      expect(describeLink(oursName, 'x')).toEqual(expected);
    });
  }

  it('leaves nothing of a tap whose settings the kernel refuses', () => {
    const refused = createDevice(
      { socket, fd: ours.fd },
      { name: 'x', mtu: 7_000_000 },
      { kind: 'tap', ...forAnybody },
      indexOf,
    );
    expect(errnoOf(refused)).toBe('EINVAL');
    expect(errnoOf(getLink(socket, { name: 'x' }))).toBe('ENODEV');
  });

  it.runIf(has('link:vxlan'))('does not take a parent or settings that it cannot say', () => {
    run('ip', 'link add x type vxlan id 3 dstport 4789 nolearning');
    expect(readDevice(other, 'x')).toBeNull();
    run('ip', 'link add y type vxlan id 4 dstport 4789 ttl 5');
    expect(readDevice(other, 'y')).toBeNull();
    expect(readDevice(other, 'lo')).toBeNull();
  });

  it.runIf(has('link:vlan'))('knows no VLAN whose parent is in another namespace', () => {
    run('ip', 'link add below type veth peer name far');
    run('ip', 'link add link below name x type vlan id 5');
    run('ip', `link set x netns ${oursName}`);
    expect(readDevice(socket, 'x')).toBeNull();
  });

  it.runIf(has('link:bond'))('tells the state of a bond’s members', async () => {
    run('ip', 'link add bond0 type bond mode active-backup miimon 50');
    for (const name of ['one', 'two']) {
      run('ip', `link add ${name} type veth peer name far${name}`);
      run('ip', `link set ${name} master bond0`);
      run('ip', `link set far${name} up`);
    }
    run('ip', 'link set bond0 up');
    run('ip', 'link set fartwo down');
    type Member = { linkinfo: { info_slave_data: { state: string; mii_status: string } } };
    for (let patience = 0; patience < 100; patience += 1) {
      const [two] = describeLink(theirsName, 'two') as [Member];
      if (two.linkinfo.info_slave_data.mii_status === 'DOWN') break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const name of ['one', 'two']) {
      const [said] = describeLink(theirsName, name) as [Member];
      const { state, mii_status: status } = said.linkinfo.info_slave_data;
      expect(bondMemberOf(must(getLink(other, { name })))).toEqual({
        state: state.toLowerCase(),
        linkUp: status === 'UP',
      });
    }
    expect(bondMemberOf(must(getLink(other, { name: 'one' })))).toEqual({
      state: 'active',
      linkUp: true,
    });
    expect(bondMemberOf(must(getLink(other, { name: 'two' })))).toEqual({
      state: 'backup',
      linkUp: false,
    });
    expect(bondMemberOf(must(getLink(other, { name: 'bond0' })))).toBeNull();
  });
});

const none: Impairment = {
  rate: null,
  delay: 0,
  jitter: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
};

const impairments: readonly Impairment[] = [
  { ...none, rate: 10_000_000 },
  { ...none, rate: 64_000 },
  { ...none, rate: 25_000_000_000 },
  { ...none, rate: 100_000_000_000 },
  { ...none, delay: 10 },
  { ...none, delay: 100.001, jitter: 10.5 },
  { ...none, loss: 1 },
  { ...none, loss: 30, duplicate: 10, corrupt: 0.1 },
  { ...none, delay: 20, reorder: 25 },
  { ...none, delay: 5, rate: 100_000_000 },
  { ...none, delay: 5, rate: 40_000_000_000 },
  {
    rate: 1_000_000,
    delay: 20,
    jitter: 2,
    loss: 0.0001,
    duplicate: 0.5,
    reorder: 12.5,
    corrupt: 100,
  },
  none,
];

function disciplines(namespace: string): unknown {
  return json('tc', namespace, '-d', 'qdisc', 'show', 'dev', 'x');
}

const isToken = (impairment: Impairment): boolean => impairmentWords(impairment).startsWith('tbf');
const possible = impairments.filter((each) =>
  has(isToken(each) ? 'queueing:tbf' : 'queueing:netem'),
);

describe('impairments are made as tc makes them, and read back', () => {
  let index: number;
  beforeEach(() => {
    must(createVeth(socket, { name: 'x', index: 60 }, { name: 'y', index: 61 }));
    must(createVeth(other, { name: 'x', index: 60 }, { name: 'y', index: 61 }));
    index = 60;
  });

  for (const impairment of possible) {
    it(impairmentWords(impairment), () => {
      must(setImpairment(socket, index, impairment, 'x'));
      run('tc', `qdisc replace dev x root handle 4e: ${impairmentWords(impairment)}`);
      const expected = disciplines(theirsName);
      expect(expected).toMatchObject([{ handle: '4e:', root: true }]);
      expect(disciplines(oursName)).toEqual(expected);
      expect(normaliseImpairment(impairment)).toEqual(impairment);
      for (const from of [socket, other]) {
        expect(must(listQueueing(from))).toEqual(new Map([[60, { impairment, foreign: null }]]));
      }
      must(setImpairment(socket, index, null, 'x'));
      expect(must(listQueueing(socket))).toEqual(new Map());
      must(setImpairment(socket, index, null, 'x'));
    });
  }

  it('change from any to any other', () => {
    let before: Impairment | null = null;
    for (const impairment of [...possible, ...[...possible].reverse()]) {
      must(setImpairment(socket, index, impairment, 'x'));
      const words = impairmentWords(impairment, before);
      const inPlace = before !== null && isToken(before) === isToken(impairment);
      if (before !== null && !inPlace) run('tc', 'qdisc del dev x root handle 4e:');
      run('tc', `qdisc replace dev x root handle 4e: ${words}`);
      expect(must(listQueueing(socket)).get(60)).toEqual({ impairment, foreign: null });
      expect(disciplines(oursName)).toEqual(disciplines(theirsName));
      before = impairment;
    }
  });

  it.runIf(has('queueing:tbf'))('leave what somebody else has set alone', () => {
    run('tc', 'qdisc add dev x root handle 7: tbf rate 1mbit burst 10000 limit 30000');
    const before = disciplines(theirsName);
    expect(must(listQueueing(other))).toEqual(
      new Map([[60, { impairment: null, foreign: 'tbf' }]]),
    );
    expect(errnoOf(setImpairment(other, 60, { ...none, rate: 8000 }, 'x'))).toBe('EEXIST');
    must(setImpairment(other, 60, null, 'x'));
    expect(disciplines(theirsName)).toEqual(before);
  });

  it('a root that the kernel has put there is nobody’s', () => {
    execFileSync('ip', ['-n', oursName, 'tuntap', 'add', 't', 'mode', 'tap']);
    execFileSync('ip', ['-n', oursName, 'link', 'set', 'dev', 't', 'up']);
    expect(json('tc', oursName, 'qdisc', 'show', 'dev', 't')).toHaveLength(1);
    expect(must(listQueueing(socket))).toEqual(new Map());
  });
});

describe('bridges', () => {
  beforeEach(() => {
    must(createBridge(socket, { name: 'br', index: 70, mac }));
    run('ip', `link add name br index 70 address ${mac} type bridge`);
    for (const each of [socket, other]) {
      must(
        createVeth(
          each,
          { name: 'p', index: 71, mac: '02:00:00:00:55:01' },
          { name: 'q', index: 72 },
        ),
      );
      must(setLink(each, 71, { master: 70 }));
    }
  });

  it('begin as the contract says, and take all settings as ip gives them', () => {
    const start = must(getLink(other, { name: 'br' })).bridge;
    expect(start).toMatchObject(initialBridge);
    expect(must(getLink(other, { name: 'p' })).bridgePort).toMatchObject(initialPort);
    const settings = {
      stp: true,
      priority: 4096,
      forwardDelay: 4,
      helloTime: 1,
      maximumAge: 6,
      ageingTime: 30.5,
      multicastSnooping: false,
    };
    must(setLink(socket, 70, { bridge: settings }));
    run(
      'ip',
      'link set dev br type bridge stp_state 1 priority 4096 forward_delay 400 hello_time 100 max_age 600 ageing_time 3050 mcast_snooping 0',
    );
    must(setBridgePort(socket, 71, { isolated: true, cost: 7, priority: 5 }));
    run('ip', 'link set dev p type bridge_slave isolated on cost 7 priority 5');
    for (const [name, key] of [
      ['br', 'info_data'],
      ['p', 'info_slave_data'],
    ] as const) {
      const settingsOf = (namespace: string): Record<string, unknown> => {
        const [link] = describeLink(namespace, name) as [
          { linkinfo: Record<string, Record<string, unknown>> },
        ];
        // Times until the next message: they run.
        const entries = Object.entries(link.linkinfo[key] ?? {});
        return Object.fromEntries(entries.filter(([field]) => !field.endsWith('_timer')));
      };
      expect(settingsOf(oursName)).toEqual(settingsOf(theirsName));
    }
    for (const each of [socket, other]) {
      expect(must(getLink(each, { name: 'br' })).bridge).toMatchObject(settings);
      expect(must(getLink(each, { name: 'p' })).bridgePort).toMatchObject({
        isolated: true,
        cost: 7,
        priority: 5,
      });
    }
  });

  it.runIf(has('bridge:vlan-filtering'))('and ports have VLAN tables as bridge makes them', () => {
    const first = [{ id: 1, pvid: true, untagged: true }];
    expect(must(listVlans(other))).toEqual(
      new Map([
        [70, first],
        [71, first],
      ]),
    );
    const tagged = (id: number) => ({ id, pvid: false, untagged: false });
    const run20 = Array.from({ length: 20 }, (_, position) => tagged(100 + position));
    const table = [{ id: 7, pvid: true, untagged: true }, tagged(9), ...run20, tagged(4094)];
    must(changeVlans(socket, 71, { self: false }, first, table, 'p'));
    run('bridge', 'vlan add dev p vid 7 pvid untagged');
    run('bridge', 'vlan add dev p vid 9');
    run('bridge', 'vlan add dev p vid 100-119');
    run('bridge', 'vlan add dev p vid 4094');
    run('bridge', 'vlan del dev p vid 1');
    const own = [tagged(1), { id: 9, pvid: true, untagged: false }];
    must(changeVlans(socket, 70, { self: true }, first, own, 'br'));
    run('bridge', 'vlan add dev br vid 1 self');
    run('bridge', 'vlan add dev br vid 9 pvid self');
    const compare = (): void => {
      expect(json('bridge', oursName, 'vlan', 'show')).toEqual(
        json('bridge', theirsName, 'vlan', 'show'),
      );
    };
    compare();
    for (const each of [socket, other]) {
      expect(must(listVlans(each))).toEqual(
        new Map([
          [70, own],
          [71, table],
        ]),
      );
    }
    must(changeVlans(socket, 71, { self: false }, table, [], 'p'));
    run('bridge', 'vlan del dev p vid 7');
    run('bridge', 'vlan del dev p vid 9');
    run('bridge', 'vlan del dev p vid 100-119');
    run('bridge', 'vlan del dev p vid 4094');
    compare();
    expect(must(listVlans(socket)).get(71)).toEqual([]);
    // The kernel takes the first and not the second (4095 is reserved): neither is kept, and what was there is.
    const kept = [{ id: 5, pvid: true, untagged: false }];
    must(changeVlans(socket, 71, { self: false }, [], kept, 'p'));
    const refused = [{ id: 8, pvid: true, untagged: true }, tagged(4095)];
    expect(errnoOf(changeVlans(socket, 71, { self: false }, kept, refused, 'p'))).toBe('EINVAL');
    expect(must(listVlans(socket)).get(71)).toEqual(kept);
    expect(errnoOf(changeVlans(socket, 72, { self: false }, [], kept, 'q'))).toBe('EOPNOTSUPP');
  });

  it.runIf(!has('bridge:vlan-filtering'))('have no VLAN table where the kernel has none', () => {
    expect([...must(listVlans(socket)).values()].flat()).toEqual([]);
    expect(must(getLink(socket, { name: 'br' })).bridge?.defaultPvid).toBeUndefined();
  });
});

describe('forwarding', () => {
  const sysctl = (setting: string): string =>
    execFileSync('ip', ['netns', 'exec', oursName, 'cat', `/proc/sys/net/${setting}`], {
      encoding: 'utf8',
    }).trim();

  it('is read and written in its namespace, each family alone', () => {
    expect(must(readForwarding(socket))).toEqual({ ipv4: false, ipv6: false });
    must(writeForwarding(ours.fd, 'ipv4', true));
    expect(must(readForwarding(socket))).toEqual({ ipv4: true, ipv6: false });
    expect([sysctl('ipv4/ip_forward'), sysctl('ipv6/conf/all/forwarding')]).toEqual(['1', '0']);
    must(writeForwarding(ours.fd, 'ipv6', true));
    must(writeForwarding(ours.fd, 'ipv4', false));
    expect(must(readForwarding(socket))).toEqual({ ipv4: false, ipv6: true });
    expect([sysctl('ipv4/ip_forward'), sysctl('ipv6/conf/all/forwarding')]).toEqual(['0', '1']);
    expect(must(readForwarding(other))).toEqual({ ipv4: false, ipv6: false });
  });
});
