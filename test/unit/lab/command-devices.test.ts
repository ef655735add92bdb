import { describe, expect, test } from 'vitest';
import type { Device, Impairment, VlanEntry } from '../../../agent/api/device.ts';
import { cautiousContext, commandsOf } from '../../../agent/lab/command.ts';
import type { Operation } from '../../../agent/lab/operation.ts';

function commands(operation: Operation): readonly string[] {
  return commandsOf(operation, cautiousContext);
}

interface DeviceSettings {
  readonly mac?: string;
  readonly mtu?: number;
  readonly master?: string;
}

function added(device: Device, name = 'x0', settings: DeviceSettings = {}): readonly string[] {
  const { mac = null, mtu = null, master = null } = settings;
  return commands({ kind: 'add-device', namespace: null, name, device, mac, mtu, master });
}

describe('the command for a new device', () => {
  const noEnds = { local: null, remote: null };
  const ends = { local: '192.0.2.1', remote: '192.0.2.2' };
  const tunTap = { owner: null, group: null, multiQueue: false };

  test.each<readonly [Device, string]>([
    [{ kind: 'dummy' }, 'ip link add x0 type dummy'],
    [
      { kind: 'vlan', parent: 'eth0', id: 10, protocol: '802.1Q' },
      'ip link add link eth0 x0 type vlan protocol 802.1Q id 10',
    ],
    [
      { kind: 'vlan', parent: 'eth0', id: 10, protocol: '802.1ad' },
      'ip link add link eth0 x0 type vlan protocol 802.1ad id 10',
    ],
    [
      { kind: 'bond', mode: '802.3ad', monitorInterval: 50, hashPolicy: 'layer3+4' },
      'ip link add x0 type bond mode 802.3ad miimon 50 xmit_hash_policy layer3+4',
    ],
    [
      { kind: 'vxlan', id: 7, ...ends, port: 4789, parent: null },
      'ip link add x0 type vxlan id 7 local 192.0.2.1 remote 192.0.2.2 dstport 4789',
    ],
    [
      { kind: 'vxlan', id: 7, ...noEnds, port: 8472, parent: 'eth0' },
      'ip link add x0 type vxlan id 7 dev eth0 dstport 8472',
    ],
    [
      { kind: 'gre', ...ends, key: 5 },
      'ip link add x0 type gre local 192.0.2.1 remote 192.0.2.2 key 5',
    ],
    [
      { kind: 'gretap', ...ends, key: null },
      'ip link add x0 type gretap local 192.0.2.1 remote 192.0.2.2',
    ],
    [{ kind: 'ipip', ...ends }, 'ip link add x0 type ipip local 192.0.2.1 remote 192.0.2.2'],
    [
      { kind: 'geneve', id: 9, remote: '192.0.2.2', port: 6081 },
      'ip link add x0 type geneve id 9 remote 192.0.2.2 dstport 6081',
    ],
    [
      { kind: 'macvlan', parent: 'eth0', mode: 'bridge' },
      'ip link add link eth0 x0 type macvlan mode bridge',
    ],
    [{ kind: 'vrf', table: 100 }, 'ip link add x0 type vrf table 100'],
    [{ kind: 'tap', ...tunTap }, 'ip tuntap add dev x0 mode tap'],
    [
      { kind: 'tun', owner: 1000, group: 100, multiQueue: true },
      'ip tuntap add dev x0 mode tun user 1000 group 100 multi_queue',
    ],
  ])('of %j', (device, command) => {
    expect(added(device)).toEqual([command]);
  });

  test('is followed by what a device is given afterwards', () => {
    const settings = { mac: '02:00:00:00:00:01', mtu: 1400, master: 'br0' };
    expect(added({ kind: 'dummy' }, 'x0', settings)).toEqual([
      'ip link add x0 address 02:00:00:00:00:01 type dummy',
      'ip link set x0 mtu 1400',
      'ip link set x0 master br0',
    ]);
    expect(added({ kind: 'tap', ...tunTap }, 'x0', settings)).toEqual([
      'ip tuntap add dev x0 mode tap',
      'ip link set x0 address 02:00:00:00:00:01',
      'ip link set x0 mtu 1400',
      'ip link set x0 master br0',
    ]);
  });

  test('says that a name follows where ip would take it for a keyword', () => {
    expect(added({ kind: 'dummy' }, 'd', { mtu: 1400 })).toEqual([
      'ip link add name d type dummy',
      'ip link set dev d mtu 1400',
    ]);
  });
});

describe('the command for a device that goes', () => {
  const gone = (device: Device): readonly string[] =>
    commands({
      kind: 'remove-device',
      namespace: 'h1',
      name: 'x0',
      device,
      mac: null,
      mtu: null,
      master: null,
      contents: [],
    });

  test('is that of its kind', () => {
    expect(gone({ kind: 'dummy' })).toEqual(['ip netns exec h1 ip link del x0']);
    expect(gone({ kind: 'tun', owner: null, group: null, multiQueue: true })).toEqual([
      'ip netns exec h1 ip tuntap del dev x0 mode tun multi_queue',
    ]);
  });
});

describe('the commands for a bridge and its ports', () => {
  test('say times in hundredths of a second', () => {
    expect(
      commands({
        kind: 'add-bridge',
        namespace: null,
        name: 'br0',
        mac: null,
        mtu: 1400,
        settings: {
          stp: true,
          priority: 4096,
          forwardDelay: 2.5,
          helloTime: 1,
          maximumAge: 6,
          ageingTime: 10,
          multicastSnooping: false,
          vlanFiltering: true,
        },
      }),
    ).toEqual([
      'ip link add br0 type bridge forward_delay 250 hello_time 100 max_age 600 ' +
        'ageing_time 1000 stp_state 1 priority 4096 mcast_snooping 0 vlan_filtering 1',
      'ip link set br0 mtu 1400',
    ]);
  });

  test('set a bridge before it takes ports, a port after that', () => {
    expect(
      commands({
        kind: 'change-link',
        namespace: 'r1',
        name: 'p1',
        before: { master: null, port: { isolated: false, cost: 2, priority: 32 } },
        after: { master: 'br0', port: { isolated: true, cost: 50, priority: 8 } },
      }),
    ).toEqual([
      'ip netns exec r1 ip link set p1 master br0',
      'ip netns exec r1 ip link set p1 type bridge_slave cost 50 priority 8 isolated on',
    ]);
    expect(
      commands({
        kind: 'change-link',
        namespace: null,
        name: 'br0',
        before: { bridge: { stp: true } },
        after: { bridge: { stp: false } },
      }),
    ).toEqual(['ip link set br0 type bridge stp_state 0']);
  });

  test('change only the VLANs that differ, of a port or of the bridge itself', () => {
    const tagged = (id: number): VlanEntry => ({ id, pvid: false, untagged: false });
    const own: VlanEntry = { id: 1, pvid: true, untagged: true };
    expect(
      commands({
        kind: 'change-vlans',
        namespace: 'r1',
        name: 'p1',
        self: false,
        before: [own, tagged(20)],
        after: [tagged(20), { id: 10, pvid: true, untagged: true }],
      }),
    ).toEqual([
      'ip netns exec r1 bridge vlan del dev p1 vid 1',
      'ip netns exec r1 bridge vlan add dev p1 vid 10 pvid untagged',
    ]);
    expect(
      commands({
        kind: 'change-vlans',
        namespace: null,
        name: 'br0',
        self: true,
        before: [own],
        after: [own, tagged(10)],
      }),
    ).toEqual(['bridge vlan add dev br0 vid 10 self']);
  });
});

describe('the commands for an impairment', () => {
  const none: Impairment = {
    rate: null,
    delay: 0,
    jitter: 0,
    loss: 0,
    duplicate: 0,
    reorder: 0,
    corrupt: 0,
  };
  const slow: Impairment = { ...none, rate: 10_000_000 };
  const late: Impairment = { ...none, delay: 20, jitter: 2.5, loss: 0.5 };
  const change = (before: Impairment | null, after: Impairment | null): readonly string[] =>
    commands({ kind: 'change-impairment', namespace: 'h1', name: 'eth0', before, after });

  test('set, replace in place, change the kind and take away', () => {
    expect(change(null, slow)).toEqual([
      'ip netns exec h1 tc qdisc replace dev eth0 root handle 4e: tbf rate 10000000bit burst 10000 limit 72500',
    ]);
    expect(change(null, late)).toEqual([
      'ip netns exec h1 tc qdisc replace dev eth0 root handle 4e: netem limit 1000 delay 20000us 2500us loss 0.5%',
    ]);
    expect(change({ ...late, corrupt: 1, rate: 8000 }, late)).toEqual([
      'ip netns exec h1 tc qdisc replace dev eth0 root handle 4e: netem limit 1000 delay 20000us 2500us loss 0.5% corrupt 0% rate 0bit',
    ]);
    expect(change(slow, late)).toEqual([
      'ip netns exec h1 tc qdisc del dev eth0 root',
      'ip netns exec h1 tc qdisc replace dev eth0 root handle 4e: netem limit 1000 delay 20000us 2500us loss 0.5%',
    ]);
    expect(change(late, null)).toEqual(['ip netns exec h1 tc qdisc del dev eth0 root']);
  });
});

describe('the commands for a namespace', () => {
  test('write the files of forwarding', () => {
    const forwarding = (family: 'ipv4' | 'ipv6', after: boolean): readonly string[] =>
      commands({ kind: 'change-forwarding', namespace: 'r1', family, before: !after, after });
    expect(forwarding('ipv4', true)).toEqual([
      "ip netns exec r1 sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
    ]);
    expect(forwarding('ipv6', false)).toEqual([
      "ip netns exec r1 sh -c 'echo 0 > /proc/sys/net/ipv6/conf/all/forwarding'",
    ]);
  });

  test('take the table of rules away', () => {
    expect(commands({ kind: 'change-rules', namespace: 'r1', before: '[]', after: null })).toEqual([
      'ip netns exec r1 nft delete table inet netloom',
    ]);
  });

  test('start a process apart from the terminal, and end those with its command line', () => {
    const process = { namespace: 'r1', name: 'web', command: ['sh', '-c', 'sleep 1; exit'] };
    expect(commands({ kind: 'start-process', ...process })).toEqual([
      `ip netns exec r1 sh -c 'setsid sh -c '\\''sleep 1; exit'\\'' </dev/null >/dev/null 2>&1 &'`,
    ]);
    expect(
      commands({
        kind: 'stop-process',
        namespace: 'r1',
        name: 'web',
        command: ['python3', '-m', 'http.server'],
      }),
    ).toEqual([
      'for pid in $(ip netns pids r1); do ' +
        `tr '\\0' ' ' </proc/$pid/cmdline | grep -q '^python3 -m http\\.server $' && kill $pid; done`,
    ]);
  });
});
