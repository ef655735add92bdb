import { execFileSync } from 'node:child_process';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

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
