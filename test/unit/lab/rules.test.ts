import { describe, expect, it } from 'vitest';
import type { NamespaceNode } from '../../../agent/api/document.ts';
import { canonicalRules, describeRules, ruleCommand, rulesOf } from '../../../agent/lab/rules.ts';

type Asked = Pick<NamespaceNode, 'nat' | 'filter'>;

const masquerading: Asked = { nat: [{ kind: 'masquerade', out: 'eth0', from: '10.0.0.7/24' }] };

const everything: Asked = {
  nat: [
    { kind: 'snat', out: 'eth0', from: 'fd00::/8', to: 'fd01:0::1' },
    { kind: 'dnat', in: 'eth0', protocol: 'tcp', port: 80, to: '10.0.0.2', toPort: 8080 },
    { kind: 'dnat', in: 'eth0', protocol: 'udp', port: 53, to: 'fd00::2', toPort: 5353 },
    { kind: 'dnat', in: 'eth0', protocol: 'tcp', port: 22, to: '10.0.0.3' },
    { kind: 'masquerade', out: 'eth1' },
  ],
  filter: {
    input: {
      policy: 'drop',
      rules: [
        { action: 'accept', state: ['related', 'established'] },
        { action: 'reject', in: 'eth0', from: '10.0.0.1', protocol: 'tcp', port: '8000-8100' },
        { action: 'accept', from: '::/0', protocol: 'icmpv6' },
        { action: 'drop', to: '0.0.0.0/0', protocol: 'udp' },
      ],
    },
    forward: { rules: [{ action: 'drop', in: 'eth0', out: 'eth1', to: '10.1.0.0/16' }] },
  },
};

describe('rules of a node', () => {
  it('are none for a node that asks for none', () => {
    expect(rulesOf({})).toBeNull();
    expect(rulesOf({ nat: [], filter: {} })).toBeNull();
    expect(ruleCommand(null, null)).toEqual([]);
    expect(describeRules(null)).toEqual([]);
  });

  it('are one table with the chains that are asked for', () => {
    expect(rulesOf(masquerading)).toBe(
      '[{"table":{"family":"inet","name":"netloom"}},' +
        '{"chain":{"family":"inet","hook":"postrouting","name":"postrouting","policy":"accept","prio":100,"table":"netloom","type":"nat"}},' +
        '{"rule":{"chain":"postrouting","expr":[' +
        '{"match":{"left":{"meta":{"key":"oifname"}},"op":"==","right":"eth0"}},' +
        '{"match":{"left":{"payload":{"field":"saddr","protocol":"ip"}},"op":"==","right":{"prefix":{"addr":"10.0.0.0","len":24}}}},' +
        '{"masquerade":null}],"family":"inet","table":"netloom"}}]',
    );
    const chains = [...(rulesOf(everything) ?? '').matchAll(/"hook":"([a-z]+)"/g)];
    expect(chains.map(([, name]) => name)).toEqual([
      'input',
      'forward',
      'prerouting',
      'postrouting',
    ]);
  });

  it('do not depend on how a document writes the same thing', () => {
    const one: Asked = {
      filter: {
        input: {
          policy: 'accept',
          rules: [
            { action: 'drop', from: 'FD00:0::1/128', state: ['new', 'invalid'] },
            { action: 'drop', protocol: 'tcp', port: '80-80' },
          ],
        },
      },
    };
    const other: Asked = {
      filter: {
        input: {
          rules: [
            { action: 'drop', from: 'fd00::1', state: ['invalid', 'new'] },
            { action: 'drop', protocol: 'tcp', port: 80 },
          ],
        },
      },
    };
    expect(rulesOf(one)).toBe(rulesOf(other));
  });

  it('are said as commands of nft', () => {
    expect(ruleCommand(rulesOf(masquerading), null)).toEqual([
      "nft 'add table inet netloom; add chain inet netloom postrouting { type nat hook postrouting priority 100; policy accept; }; " +
        'add rule inet netloom postrouting oifname "eth0" ip saddr 10.0.0.0/24 masquerade\'',
    ]);
    expect(ruleCommand(rulesOf(everything), rulesOf(masquerading))).toEqual([
      'nft delete table inet netloom',
      "nft 'add table inet netloom'",
      "nft 'add chain inet netloom input { type filter hook input priority 0; policy drop; }'",
      "nft 'add chain inet netloom forward { type filter hook forward priority 0; policy accept; }'",
      "nft 'add chain inet netloom prerouting { type nat hook prerouting priority -100; policy accept; }'",
      "nft 'add chain inet netloom postrouting { type nat hook postrouting priority 100; policy accept; }'",
      "nft 'add rule inet netloom input ct state established,related accept'",
      'nft \'add rule inet netloom input iifname "eth0" ip saddr 10.0.0.1 tcp dport 8000-8100 reject with icmpx port-unreachable\'',
      "nft 'add rule inet netloom input meta l4proto ipv6-icmp accept'",
      "nft 'add rule inet netloom input meta nfproto ipv4 meta l4proto udp drop'",
      'nft \'add rule inet netloom forward iifname "eth0" oifname "eth1" ip daddr 10.1.0.0/16 drop\'',
      'nft \'add rule inet netloom prerouting iifname "eth0" fib daddr type local tcp dport 80 dnat ip to 10.0.0.2:8080\'',
      'nft \'add rule inet netloom prerouting iifname "eth0" fib daddr type local udp dport 53 dnat ip6 to [fd00::2]:5353\'',
      'nft \'add rule inet netloom prerouting iifname "eth0" fib daddr type local tcp dport 22 dnat ip to 10.0.0.3\'',
      'nft \'add rule inet netloom postrouting oifname "eth0" ip6 saddr fd00::/8 snat ip6 to fd01::1\'',
      'nft \'add rule inet netloom postrouting oifname "eth1" masquerade\'',
    ]);
    expect(ruleCommand(null, rulesOf(everything))).toEqual(['nft delete table inet netloom']);
  });

  it('are described in one line each', () => {
    expect(describeRules(rulesOf(masquerading))).toEqual(['masquerade out eth0 from 10.0.0.0/24']);
    expect(describeRules(rulesOf(everything))).toEqual([
      'input: accept state established,related',
      'input: reject in eth0 from 10.0.0.1 tcp 8000-8100',
      'input: accept icmpv6',
      'input: drop ipv4 udp',
      'input: drop otherwise',
      'forward: drop in eth0 out eth1 to 10.1.0.0/16',
      'forward: accept otherwise',
      'dnat in eth0 tcp 80 to 10.0.0.2:8080',
      'dnat in eth0 udp 53 to [fd00::2]:5353',
      'dnat in eth0 tcp 22 to 10.0.0.3',
      'snat out eth0 from fd00::/8 to fd01::1',
      'masquerade out eth1',
    ]);
  });
});

describe('rules that somebody else has put into the table', () => {
  const edited = canonicalRules({
    nftables: [
      { metainfo: { version: '1.0.6', json_schema_version: 1 } },
      { table: { family: 'inet', name: 'netloom', handle: 7 } },
      {
        rule: {
          family: 'inet',
          table: 'netloom',
          chain: 'input',
          handle: 9,
          comment: "it's mine",
          expr: [{ counter: { packets: 5, bytes: 320 } }, { log: null }],
        },
      },
    ],
  });

  it('are kept without what counts', () => {
    expect(edited).toBe(
      '[{"table":{"family":"inet","name":"netloom"}},' +
        '{"rule":{"chain":"input","comment":"it\'s mine","expr":[{"counter":{"bytes":0,"packets":0}},{"log":null}],"family":"inet","table":"netloom"}}]',
    );
    expect(canonicalRules({ nothing: [] })).toBeNull();
    expect(canonicalRules('text')).toBeNull();
  });

  it('are restored from JSON and shown as they are', () => {
    const [command] = ruleCommand(edited, null);
    expect(command).toMatch(/^nft -j '\{"nftables":\[/);
    expect(command).toContain(`it'\\''s mine`);
    expect(describeRules(edited)).toEqual([expect.stringContaining('"counter"')]);
  });
});
