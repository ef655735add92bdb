import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEngine, stopEngine } from '../../agent/ovs/private-engine.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';
import { must } from './netlink-private.ts';
import { freshDirectory } from './ovs-private.ts';

/** This tier runs in namespaces of its own: everything here is private to the run. */
const run = (command: readonly string[]): string => {
  const [file = '', ...args] = command;
  return execFileSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
};
const sh = (command: string): string => run(['sh', '-ec', command]);

function base(): void {
  sh(`
    ip netns add cmp1; ip netns add cmp2
    ip link add cmpbr type bridge
    ip link add v1 netns cmp1 type veth peer name v2 netns cmp2
    ip link add w1 netns cmp1 type veth peer name w2
    ip link set w2 master cmpbr up
    ip link set cmpbr up
    ip -n cmp1 addr add 10.9.0.1/24 dev v1
    ip -n cmp1 link set v1 up; ip -n cmp2 link set v2 up; ip -n cmp1 link set lo up
    ip -n cmp1 route add 10.8.0.0/16 via 10.9.0.2
  `);
}

function clean(): void {
  sh(
    'ip netns del cmp1 2>/dev/null || true; ip netns del cmp2 2>/dev/null || true; ip link del cmpbr 2>/dev/null || true; ip link del w2 2>/dev/null || true; ip netns del cmp3 2>/dev/null || true',
  );
}

describe('the comparator of networks', () => {
  let before: NetworkState;
  beforeEach(() => {
    clean();
    base();
    before = readNetworkState(run);
    return clean;
  });

  it('calls a network made anew the same', () => {
    clean();
    base();
    expect(networkDifferences(before, readNetworkState(run))).toEqual([]);
  });

  it('sees who is wired to whom', () => {
    expect(before['cmp1']?.links['v1']).toMatchObject({ peer: 'cmp2/v2', kind: 'veth' });
    expect(before['']?.links['w2']).toMatchObject({ peer: 'cmp1/w1', master: 'cmpbr' });
  });

  const changes: readonly [string, string][] = [
    ['a namespace', 'ip netns add cmp3'],
    ['an address', 'ip -n cmp2 addr add 10.9.0.2/24 dev v2'],
    ['an address taken away', 'ip -n cmp1 addr del 10.9.0.1/24 dev v1'],
    [
      'a prefix length',
      'ip -n cmp1 addr del 10.9.0.1/24 dev v1; ip -n cmp1 addr add 10.9.0.1/25 dev v1',
    ],
    ['a link state', 'ip -n cmp2 link set v2 down'],
    ['the loopback', 'ip -n cmp2 link set lo up'],
    ['an MTU', 'ip -n cmp2 link set v2 mtu 1400'],
    ['a pinned MAC', 'ip -n cmp2 link set v2 address 02:00:00:00:00:07'],
    ['a bridge port taken out', 'ip link set w2 nomaster'],
    ['spanning tree', 'ip link set cmpbr type bridge stp_state 1'],
    ['a name', 'ip -n cmp2 link set v2 name v9'],
    ['a route', 'ip -n cmp1 route del 10.8.0.0/16'],
    ['a gateway', 'ip -n cmp1 route replace 10.8.0.0/16 via 10.9.0.3'],
    [
      'a metric',
      'ip -n cmp1 route del 10.8.0.0/16; ip -n cmp1 route add 10.8.0.0/16 via 10.9.0.2 metric 7',
    ],
    ['a setting', 'ip netns exec cmp1 sysctl -qw net.ipv4.ip_forward=1'],
    [
      'a queueing discipline',
      'tc -n cmp1 qdisc add dev v1 root tbf rate 1mbit burst 10kb latency 50ms',
    ],
    ['an nftables rule', 'ip netns exec cmp1 nft add table inet cmp'],
    [
      'the other end of a wire',
      'ip -n cmp1 link del v1; ip link add v1 netns cmp1 type veth peer name v2; ip -n cmp1 addr add 10.9.0.1/24 dev v1; ip -n cmp1 link set v1 up; ip link set v2 up',
    ],
    ['a proxy setting', 'ip netns exec cmp1 sysctl -qw net.ipv4.conf.v1.proxy_arp=1'],
    ['port isolation', 'bridge link set dev w2 isolated on'],
  ];
  for (const [what, command] of changes) {
    it(`notices ${what}`, () => {
      sh(command);
      expect(networkDifferences(before, readNetworkState(run))).not.toEqual([]);
      sh('ip link del v2 2>/dev/null || true');
    });
  }

  it('notices a process that lives in a namespace', async () => {
    const { spawn } = await import('node:child_process');
    const child = spawn('ip', ['netns', 'exec', 'cmp1', 'sleep', '100']);
    try {
      await expect
        .poll(() => networkDifferences(before, readNetworkState(run)).join())
        .toContain('sleep 100');
    } finally {
      child.kill();
    }
  });

  it('does not mind marks, counters and unpinned MACs', () => {
    sh(
      'ip -n cmp1 link set v1 alias netloom:x; ip -n cmp1 addr del 10.9.0.1/24 dev v1; ip -n cmp1 addr add 10.9.0.1/24 dev v1; ip -n cmp1 route add 10.8.0.0/16 via 10.9.0.2 proto 78',
    );
    expect(networkDifferences(before, readNetworkState(run))).toEqual([]);
  });
});

describe('the comparator of networks, of an Open vSwitch', () => {
  const directory = freshDirectory();
  const vsctl = (words: string): string => sh(`ovs-vsctl --db=unix:${directory}/db.sock ${words}`);
  const openFlow = (words: string): string =>
    sh(`ovs-ofctl -O OpenFlow13 ${words.replace(' sw1', ` unix:${directory}/sw1.mgmt`)}`);
  let before: NetworkState;

  beforeAll(async () => {
    must(await startEngine({ directory, datapath: 'netdev' }));
    vsctl(`add-br sw1 -- set Bridge sw1 datapath_type=netdev \\
      -- add-port sw1 q1 -- set Interface q1 type=internal \\
      -- add-port sw1 q2 -- set Interface q2 type=internal \\
      -- add-bond sw1 q0 q3 q4 -- set Interface q3 type=internal -- set Interface q4 type=internal \\
      -- add-port sw1 t1 -- set Interface t1 type=gre options:remote_ip=192.0.2.1 options:key=1`);
  });
  afterAll(async () => {
    must(await stopEngine(directory));
  });
  beforeEach(() => {
    before = readNetworkState(run);
  });

  it.each([
    ['a tag', 'set Port q1 tag=7'],
    ['what a trunk carries', 'set Port q2 trunks=7,8'],
    ['the mode of a trunk', 'set Port q2 tag=7 vlan_mode=native-tagged'],
    ['the mode of a bond', 'set Port q0 bond_mode=balance-slb'],
    ['LACP', 'set Port q0 lacp=passive'],
    ['a tunnel’s key', 'set Interface t1 options:key=2'],
    ['a mirror', '-- --id=@m create Mirror name=m select_all=true -- set Bridge sw1 mirrors=@m'],
    [
      'a queue',
      '-- --id=@q create Queue other_config:max-rate=1000000 -- --id=@s create QoS type=linux-htb queues:1=@q -- set Port q1 qos=@s',
    ],
    ['policing', 'set Interface q1 ingress_policing_rate=1000'],
    ['NetFlow', `-- --id=@e create NetFlow targets='"127.0.0.1:1"' -- set Bridge sw1 netflow=@e`],
    ['sFlow', `-- --id=@e create sFlow targets='"127.0.0.1:1"' -- set Bridge sw1 sflow=@e`],
    ['IPFIX', `-- --id=@e create IPFIX targets='"127.0.0.1:1"' -- set Bridge sw1 ipfix=@e`],
    ['a controller', 'set-controller sw1 ptcp:6653:127.0.0.1'],
    ['RSTP', 'set Bridge sw1 rstp_enable=true'],
    ['a port that is gone', 'del-port sw1 q2'],
  ])('notices %s', (_what, words) => {
    vsctl(words);
    expect(networkDifferences(before, readNetworkState(run)).join('\n')).toMatch(/^\/\/switches/m);
  });

  it.each([
    ['a flow', 'add-flow sw1 priority=7,in_port=1,actions=drop'],
    ['a group', 'add-group sw1 group_id=1,type=all,bucket=output:1'],
    ['a meter', 'add-meter sw1 meter=1,kbps,band=type=drop,rate=1000'],
  ])('notices %s', (_what, words) => {
    openFlow(words);
    expect(networkDifferences(before, readNetworkState(run)).join('\n')).toMatch(/^\/\/switches/m);
  });

  it('does not mind whose a bridge is', () => {
    vsctl('set Bridge sw1 external_ids:netloom=x -- set Port q1 external_ids:netloom=x');
    expect(networkDifferences(before, readNetworkState(run))).toEqual([]);
  });
});
