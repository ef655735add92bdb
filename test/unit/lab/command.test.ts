import { describe, expect, test } from 'vitest';
import { cautiousContext, commandsOf, word } from '../../../agent/lab/command.ts';
import { inverseOf } from '../../../agent/lab/inverse.ts';
import {
  broadcastOf,
  isInSubnet,
  parseHostAddress,
  parsePrefix,
  parseSubnetAddress,
} from '../../../agent/lab/address.ts';

describe('commands', () => {
  test('quote what a shell would read as more than a word', () => {
    expect(word('br-ex')).toBe('br-ex');
    expect(word('a;b')).toBe("'a;b'");
    expect(word("it's")).toBe("'it'\\''s'");
    expect(word('')).toBe("''");
    expect(
      commandsOf(
        { kind: 'remove-bridge', namespace: '-x y', name: '$(id)', contents: [] },
        cautiousContext,
      ),
    ).toEqual(["ip netns exec '-x y' ip link del dev '$(id)'"]);
  });

  test('say every setting of a link, down first and up last', () => {
    expect(
      commandsOf(
        {
          kind: 'change-link',
          namespace: null,
          name: 'veth1',
          before: { up: false, mtu: 1500, master: 'br0' },
          after: { up: true, mtu: 9000, master: null },
        },
        cautiousContext,
      ),
    ).toEqual(['ip link set veth1 mtu 9000', 'ip link set veth1 nomaster', 'ip link set veth1 up']);
  });

  test('name routes as a person would', () => {
    const route = { to: '0.0.0.0/0', via: '10.0.0.254', dev: 'eth0', metric: 50 };
    expect(commandsOf({ kind: 'add-route', namespace: 'h1', route }, cautiousContext)).toEqual([
      'ip netns exec h1 ip route add default via 10.0.0.254 dev eth0 metric 50',
    ]);
  });
});

describe('inverses', () => {
  test('of a removal begin with the object and end with its contents', () => {
    const contents = [
      {
        kind: 'change-link',
        namespace: 'r1',
        name: 'lo',
        before: { up: false },
        after: { up: true },
      },
    ] as const;
    expect(inverseOf({ kind: 'remove-namespace', name: 'r1', contents })).toEqual([
      { kind: 'add-namespace', name: 'r1' },
      ...contents,
    ]);
  });

  test('of a change swap before and after', () => {
    const change = {
      kind: 'change-address',
      namespace: null,
      interface: 'e',
      before: '1.0.0.1/8',
      after: '2.0.0.1/8',
    } as const;
    expect(inverseOf(change)).toEqual([{ ...change, before: '2.0.0.1/8', after: '1.0.0.1/8' }]);
  });
});

describe('addresses', () => {
  test('are written as RFC 5952 asks', () => {
    expect(parseSubnetAddress('FD00:0:0:1:0:0:0:1/64')).toMatchObject({
      text: 'fd00:0:0:1::1/64',
      subnet: 'fd00:0:0:1::/64',
    });
    expect(parsePrefix('10.1.2.3/8')?.text).toBe('10.0.0.0/8');
    expect(parseSubnetAddress('10.0.0.1')).toBeNull();
    expect(parseHostAddress('fe80::1%eth0')).toBeNull();
  });

  test('lie in a subnet or not', () => {
    const subnet = parseSubnetAddress('172.16.0.1/20');
    const [inside, outside] = [parseHostAddress('172.16.15.255'), parseHostAddress('172.16.16.0')];
    if (subnet === null || inside === null || outside === null) throw new Error('unreadable');
    expect([isInSubnet(inside, subnet), isInSubnet(outside, subnet)]).toEqual([true, false]);
    expect(broadcastOf(subnet)).toBe('172.16.15.255');
  });
});
