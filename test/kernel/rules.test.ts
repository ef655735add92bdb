import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FilterRule, NamespaceNode, NatRule } from '../../agent/api/document.ts';
import { readRules, RuleReader, writeRules } from '../../agent/kernel/nftables.ts';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
} from '../../agent/kernel/namespaces.ts';
import { canonicalRules, ruleCommand, rulesOf } from '../../agent/lab/rules.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

type Asked = Pick<NamespaceNode, 'nat' | 'filter'>;

/** client (10.1.0.2) – router (10.1.0.1, 10.2.0.1) – server (10.2.0.2), which has no way back to the client. */
const names = ['rule-client', 'rule-router', 'rule-server'] as const;
let router: NamespaceHandle;

function inside(name: string, ...command: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', name, ...command], { encoding: 'utf8' });
}

/** What nft itself says of the router's table, in its own words. */
function listing(): string {
  return inside('rule-router', 'nft', 'list', 'table', 'inet', 'netloom');
}

beforeAll(() => {
  requirePrivateNamespaces();
  const run = (line: string): void => {
    execFileSync('ip', line.split(' '));
  };
  for (const name of names) {
    run(`netns add ${name}`);
    run(`-n ${name} link set lo up`);
  }
  run('link add c0 netns rule-client type veth peer name r0 netns rule-router');
  run('link add s0 netns rule-server type veth peer name r1 netns rule-router');
  for (const [name, link, v4, v6] of [
    ['rule-client', 'c0', '10.1.0.2/24', '2001:db8:1::2/64'],
    ['rule-router', 'r0', '10.1.0.1/24', '2001:db8:1::1/64'],
    ['rule-router', 'r1', '10.2.0.1/24', '2001:db8:2::1/64'],
    ['rule-server', 's0', '10.2.0.2/24', '2001:db8:2::2/64'],
  ] as const) {
    run(`-n ${name} link set ${link} up`);
    run(`-n ${name} addr add ${v4} dev ${link}`);
    run(`-n ${name} addr add ${v6} dev ${link} nodad`);
  }
  for (const forwarding of ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']) {
    inside('rule-router', 'sysctl', '-qw', forwarding);
  }
  run('-n rule-client route add default via 10.1.0.1');
  run('-n rule-client route add default via 2001:db8:1::1');
  router = must(openNamespaceByName('rule-router'));
});

afterAll(() => {
  closeNamespace(router);
  for (const name of names) execFileSync('ip', ['netns', 'del', name]);
});

/** Every combination of what a filter rule may say. */
function everyFilterRule(): FilterRule[] {
  const found: FilterRule[] = [];
  const peers: readonly (readonly (string | undefined)[])[] = [
    [undefined, '10.0.0.1', '10.0.0.0/8', '10.0.0.0/9', '10.0.0.0/31', '0.0.0.0/0'],
    ['fd00::1', 'fd00::/8', 'fc00::/7', '2001:db8:1:2::/64', '2001:db8::/127', '::/0'],
  ];
  const targets: readonly Partial<FilterRule>[] = [
    {},
    { protocol: 'icmp' },
    { protocol: 'icmpv6' },
    { protocol: 'tcp' },
    { protocol: 'udp' },
    { protocol: 'tcp', port: 80 },
    { protocol: 'udp', port: 53 },
    { protocol: 'tcp', port: '8000-8100' },
    { protocol: 'udp', port: '1-65535' },
  ];
  const states: readonly FilterRule['state'][] = [
    undefined,
    ['new'],
    ['invalid'],
    ['related', 'established'],
    ['new', 'established', 'related', 'invalid'],
  ];
  const interfaces: readonly Partial<FilterRule>[] = [
    {},
    { in: 'r0' },
    { out: 'r1' },
    { in: 'r0.5_a-b', out: 'a23456789012345' },
  ];
  for (const action of ['accept', 'drop', 'reject'] as const) {
    for (const [position, family] of peers.entries()) {
      for (const from of family) {
        for (const to of family) {
          for (const target of targets) {
            // An address of one family and the ICMP of the other is no rule.
            if (target.protocol === (position === 0 ? 'icmpv6' : 'icmp') && (from ?? to)) continue;
            for (const state of states) {
              found.push({
                action,
                ...interfaces[found.length % interfaces.length],
                ...(from === undefined ? {} : { from }),
                ...(to === undefined ? {} : { to }),
                ...target,
                ...(state === undefined ? {} : { state }),
              });
            }
          }
        }
      }
    }
  }
  return found;
}

const everyNatRule: readonly NatRule[] = [
  { kind: 'masquerade', out: 'r1' },
  { kind: 'masquerade', out: 'r1', from: '10.1.0.0/24' },
  { kind: 'masquerade', out: 'r1', from: '10.1.0.2' },
  { kind: 'masquerade', out: 'r1', from: '0.0.0.0/0' },
  { kind: 'masquerade', out: 'r1', from: 'fd00::/8' },
  { kind: 'masquerade', out: 'r1', from: '::/0' },
  { kind: 'snat', out: 'r1', to: '10.2.0.1' },
  { kind: 'snat', out: 'r1', to: '2001:db8:2::1' },
  { kind: 'snat', out: 'r1', from: '10.1.0.0/25', to: '10.2.0.1' },
  { kind: 'snat', out: 'r1', from: '0.0.0.0/0', to: '10.2.0.1' },
  { kind: 'snat', out: 'r1', from: 'fd00::/8', to: '2001:db8:2::1' },
  { kind: 'snat', out: 'r1', from: '::/0', to: '2001:db8:2::1' },
  { kind: 'dnat', in: 'r0', protocol: 'tcp', port: 80, to: '10.2.0.2' },
  { kind: 'dnat', in: 'r0', protocol: 'udp', port: 53, to: '10.2.0.2', toPort: 5353 },
  { kind: 'dnat', in: 'r0', protocol: 'udp', port: 53, to: '2001:db8:2::2' },
  { kind: 'dnat', in: 'r0', protocol: 'tcp', port: 80, to: '2001:db8:2::2', toPort: 8080 },
];

/** Items that two texts do not share, the first few: nobody finds one among thousands. */
function differences(back: string | null, asked: string | null): unknown[] {
  if (back === asked) return [];
  const itemsOf = (text: string | null): string[] => {
    const list: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(list) ? list.map((item) => JSON.stringify(item)) : [];
  };
  const [there, wanted] = [itemsOf(back), itemsOf(asked)];
  const different = wanted
    .map((item, position) => [item, there[position]])
    .filter(([item, other]) => item !== other);
  return [`${there.length} for ${wanted.length} items`, ...different.slice(0, 5)];
}

describe('rules', () => {
  it('read back as they are asked for, in every shape', () => {
    const filters = everyFilterRule();
    expect(filters.length).toBeGreaterThan(6000);
    const shapes: Asked[] = [
      { filter: { input: {} } },
      { filter: { forward: { policy: 'drop' }, output: { policy: 'accept', rules: [] } } },
      { nat: [...everyNatRule] },
      ...everyNatRule.map((rule) => ({ nat: [rule] })),
    ];
    for (let start = 0; start < filters.length; start += 1000) {
      const rules = filters.slice(start, start + 1000);
      for (const chain of ['input', 'forward', 'output']) {
        shapes.push({ filter: { [chain]: { policy: 'drop', rules } } });
      }
    }
    for (const asked of shapes) {
      const rules = rulesOf(asked);
      must(writeRules(router.fd, rules));
      expect(differences(must(readRules(router.fd)), rules)).toEqual([]);
    }
  }, 120_000);

  it('are the same when their commands are run', () => {
    const run = (commands: readonly string[]): void => {
      for (const command of commands) inside('rule-router', 'sh', '-c', command);
    };
    const every = everyFilterRule();
    const some: FilterRule[] = every.filter((_, position) => position % 97 === 0);
    const asked = rulesOf({
      nat: [...everyNatRule],
      filter: { input: { policy: 'accept', rules: some }, output: {} },
    });
    const before = must(readRules(router.fd));
    run(ruleCommand(asked, before));
    expect(differences(must(readRules(router.fd)), asked)).toEqual([]);
    const short = rulesOf({ nat: [{ kind: 'masquerade', out: 'r1', from: '10.1.0.0/24' }] });
    run(ruleCommand(short, asked));
    expect(must(readRules(router.fd))).toBe(short);
    run(ruleCommand(null, short));
    expect(must(readRules(router.fd))).toBeNull();
    expect(() => listing()).toThrow();
  }, 60_000);

  it('of other tables are left alone', () => {
    inside('rule-router', 'nft', 'add table ip other; add chain ip other kept');
    must(writeRules(router.fd, rulesOf({ filter: { input: {} } })));
    must(writeRules(router.fd, null));
    must(writeRules(router.fd, null));
    expect(inside('rule-router', 'nft', 'list', 'tables').trim()).toBe('table ip other');
    expect(must(readRules(router.fd))).toBeNull();
    inside('rule-router', 'nft', 'delete', 'table', 'ip', 'other');
  });

  it('that somebody edited by hand come back as they were', () => {
    const reader = new RuleReader();
    expect(must(reader.read(router.fd))).toBeNull();
    must(writeRules(router.fd, rulesOf({ filter: { input: { policy: 'accept' } } })));
    inside(
      'rule-router',
      'nft',
      'add set inet netloom hosts { type ipv4_addr; flags interval; elements = { 10.9.0.0/16 } }; ' +
        'add rule inet netloom input ip saddr @hosts counter drop comment "it\'s mine"; ' +
        'add rule inet netloom input tcp dport { 80, 443 } ct state { new, established } log accept',
    );
    const edited = must(reader.read(router.fd));
    const words = listing();
    must(writeRules(router.fd, null));
    expect(must(reader.read(router.fd))).toBeNull();
    must(writeRules(router.fd, edited));
    expect(must(reader.read(router.fd))).toBe(edited);
    expect(listing()).toBe(words);
    for (const command of ruleCommand(edited, edited)) inside('rule-router', 'sh', '-c', command);
    expect(listing()).toBe(words);
    const own: unknown = JSON.parse(
      inside('rule-router', 'nft', '-j', '-p', 'list', 'table', 'inet', 'netloom'),
    );
    expect(canonicalRules(own)).toBe(edited);
    // Counted packets are no change.
    inside('rule-client', 'ping', '-c', '1', '-W', '2', '10.1.0.1');
    expect(must(readRules(router.fd))).toBe(edited);
    must(writeRules(router.fd, null));
  });

  it('that nft refuses leave what was there', () => {
    const before = rulesOf({ nat: [{ kind: 'masquerade', out: 'r1' }] });
    must(writeRules(router.fd, before));
    // An address of one family translated to one of the other.
    const refused = writeRules(
      router.fd,
      rulesOf({ nat: [{ kind: 'snat', out: 'r1', from: 'fd00::/8', to: '10.2.0.1' }] }),
    );
    expect(refused).toMatchObject({ ok: false, failure: { kind: 'process', code: 'nft-refused' } });
    expect(must(readRules(router.fd))).toBe(before);
    must(writeRules(router.fd, null));
  });
});

describe('address translation', () => {
  const answers = (destination: string): boolean => {
    try {
      inside('rule-client', 'ping', '-c', '1', '-W', '1', destination);
      return true;
    } catch {
      return false;
    }
  };

  it('lets a client reach a server that has no way back to it, in both families', () => {
    expect(answers('10.2.0.2')).toBe(false);
    must(writeRules(router.fd, rulesOf({ nat: [{ kind: 'masquerade', out: 'r1' }] })));
    expect(answers('10.2.0.2')).toBe(true);
    expect(answers('2001:db8:2::2')).toBe(true);
    must(
      writeRules(
        router.fd,
        rulesOf({ nat: [{ kind: 'snat', out: 'r1', from: '10.1.0.0/24', to: '10.2.0.1' }] }),
      ),
    );
    expect(answers('10.2.0.2')).toBe(true);
    expect(answers('2001:db8:2::2')).toBe(false);
    must(writeRules(router.fd, null));
  });

  it('hands a port of the router on to a server, and only what is meant for the router', async () => {
    const serve = (name: string, port: number, answer: string): ReturnType<typeof spawn> =>
      spawn(
        'ip',
        [
          ...['netns', 'exec', name, process.execPath, '-e'],
          `require('node:net').createServer((socket) => socket.end('${answer}')).listen(${port}, '0.0.0.0', () => console.log('ready'))`,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
    const ask = (address: string, port: number): string =>
      inside(
        'rule-client',
        process.execPath,
        '-e',
        `require('node:net').connect(${port}, '${address}').on('error', (error) => console.log(error.code)).on('data', (data) => console.log(String(data)))`,
      ).trim();
    const servers = [
      serve('rule-server', 8080, 'eighty-eighty'),
      serve('rule-server', 80, 'eighty'),
    ];
    try {
      for (const server of servers) {
        if (server.stdout === null) throw new Error('no output');
        await once(server.stdout, 'data');
      }
      must(
        writeRules(
          router.fd,
          rulesOf({
            nat: [
              { kind: 'masquerade', out: 'r1' },
              { kind: 'dnat', in: 'r0', protocol: 'tcp', port: 80, to: '10.2.0.2', toPort: 8080 },
            ],
          }),
        ),
      );
      expect(ask('10.1.0.1', 80)).toBe('eighty-eighty');
      expect(ask('10.2.0.2', 80)).toBe('eighty');
      expect(ask('10.1.0.1', 81)).toBe('ECONNREFUSED');
    } finally {
      for (const server of servers) server.kill('SIGKILL');
      must(writeRules(router.fd, null));
    }
  });
});
