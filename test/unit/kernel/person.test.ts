import { describe, expect, it } from 'vitest';
import { droppingChains } from '../../../agent/kernel/bridge-filter.ts';
import { commandAs, parseAccount } from '../../../agent/kernel/person.ts';
import { uidOfConfined } from '../../../agent/kernel/runs.ts';
import {
  relayOf,
  relayOnDescriptor,
  tunnelProcess,
  tunnelProcessName,
} from '../../../agent/lab/tunnel.ts';

describe('an account', () => {
  it('is read from a line of passwd(5)', () => {
    expect(parseAccount('ann:x:1000:1001:Ann,,,:/home/ann:/bin/bash')).toEqual({
      uid: 1000,
      gid: 1001,
      name: 'ann',
      home: '/home/ann',
      shell: '/bin/bash',
    });
  });

  it('without a home or shell gets those that everybody has', () => {
    expect(parseAccount('ann:x:1000:1001:::')).toMatchObject({ home: '/', shell: '/bin/sh' });
  });

  it.each(['', 'ann', 'ann:x:-1:0::/:', 'ann:x:1000:root::/:'])('is not %j', (line) => {
    expect(parseAccount(line)).toBeUndefined();
  });
});

describe('a command as a person', () => {
  const ann = { uid: 1000, gid: 1001, name: 'ann', home: '/home/ann', shell: '/bin/sh' };

  it('has their groups and no capability, and its words are words', () => {
    const words = commandAs(ann, 'as-logged-in', ['--reuid', '0']);
    expect(words.slice(0, 6)).toEqual([
      ...['setpriv', '--reuid', '1000', '--regid', '1001', '--init-groups'],
    ]);
    expect(words).toContain('--inh-caps=-all');
    expect(words).toContain('--ambient-caps=-all');
    expect(words.slice(words.indexOf('--'))).toEqual(['--', '--reuid', '0']);
    expect(words).not.toContain('--no-new-privs');
  });

  it('of a lab gains none either', () => {
    const words = commandAs(ann, 'no-new-rights', ['true']);
    expect(words).toContain('--no-new-privs');
    expect(words).toContain('--bounding-set=-all');
  });
});

describe('a process of a person', () => {
  const status = (uids: string, sealed: string): string =>
    `Name:\tcat\nUid:\t${uids}\nGid:\t5\t5\t5\t5\nNoNewPrivs:\t${sealed}\nSeccomp:\t0\n`;

  it('is one that can gain no rights', () => {
    expect(uidOfConfined(status('1000\t1000\t1000\t1000', '1'))).toBe(1000);
  });

  it.each([
    ['may gain rights', '1000\t1000\t1000\t1000', '0'],
    ['is root’s', '0\t0\t0\t0', '1'],
    ['has root’s rights', '1000\t0\t0\t0', '1'],
    ['is another person’s too', '1000\t1001\t1000\t1000', '1'],
  ])('is none that %s', (_what, uids, sealed) => {
    expect(uidOfConfined(status(uids, sealed))).toBeUndefined();
  });

  it('is none of which nothing is known', () => {
    expect(uidOfConfined('')).toBeUndefined();
  });
});

describe('the relay of a tunnel', () => {
  const words = tunnelProcess('tap', 'tap0', '10.0.0.1', '10.0.0.2');

  it('is known by what a document cannot name', () => {
    expect(relayOf(tunnelProcessName('tap0'), words)).toEqual({ device: 'tap0', kind: 'tap' });
    expect(relayOf('tap0', words)).toBeNull();
    expect(relayOf(tunnelProcessName('tap1'), words)).toBeNull();
    expect(relayOf(tunnelProcessName('tap0'), ['sh', '-c', 'id'])).toBeNull();
  });

  it('takes its device from a descriptor', () => {
    expect(relayOnDescriptor(words, 3)).toEqual([...words.slice(0, 2), 'FD:3']);
  });
});

describe('a firewall that drops what crosses a bridge', () => {
  const chain = (family: string, hook: string, policy: string) => ({
    chain: { family, table: 'fw', name: 'c', handle: 1, type: 'filter', hook, prio: 0, policy },
  });
  const ruleset = (...entries: readonly unknown[]): string =>
    JSON.stringify({ nftables: [{ metainfo: { version: '1' } }, ...entries] });
  const ipv4 = new Set(['ip', 'inet']);

  it('is a chain at the forward hook with the policy drop', () => {
    expect(droppingChains(ruleset(chain('inet', 'forward', 'drop')), ipv4)).toEqual(['inet fw c']);
  });

  it.each([
    ['accepts', chain('ip', 'forward', 'accept')],
    ['is at another hook', chain('ip', 'input', 'drop')],
    ['is of another family', chain('ip6', 'forward', 'drop')],
    ['is no base chain', { chain: { family: 'ip', table: 'fw', name: 'c' } }],
  ])('is none that %s', (_what, entry) => {
    expect(droppingChains(ruleset(entry), ipv4)).toEqual([]);
  });

  it('is not read out of what is no ruleset', () => {
    expect(droppingChains('nft: command failed', ipv4)).toEqual([]);
  });
});
