import { describe, expect, test } from 'vitest';
import type { LabCheck, LabDocument } from '../../../agent/api/index.ts';
import { checkSentences, rateText, resolveCheck, sayCheck } from '../../../agent/lab/index.ts';
import { judgeRate } from '../../../agent/services/lab-checks.ts';

const lab: LabDocument = {
  netloom: 1,
  name: 'checks',
  topology: {
    nodes: {
      a: { kind: 'namespace', interfaces: { e0: { addresses: ['10.0.0.1/24'] } } },
      b: {
        kind: 'namespace',
        interfaces: { e0: { addresses: ['10.0.0.2/24'] }, e1: { addresses: ['2001:DB8::2/64'] } },
      },
      sw: { kind: 'bridge', addresses: ['10.0.0.9/24'] },
    },
  },
};

function resolved(check: LabCheck, language: 'en' | 'zh' = 'en') {
  const result = resolveCheck(lab, check, language);
  return result.ok ? result.value : result.failure.code;
}

describe('a check', () => {
  test('of a round trip has its bounds in milliseconds', () => {
    const check: LabCheck = { check: 'reach', from: 'a', to: 'b', roundTrip: { atLeast: 10 } };
    expect(resolved(check)).toEqual({
      kind: 'reach',
      fromNamespace: 'a',
      destination: '10.0.0.2',
      family: 'ipv4',
      expect: 'reachable',
      timeoutMilliseconds: 2000,
      roundTrip: { atLeast: 10, atMost: null },
      label: 'a reaches b, round trip ≥ 10 ms',
    });
    expect(resolved(check, 'zh')).toMatchObject({ label: 'a 能到达 b，往返时延 ≥ 10 ms' });
    expect(resolved({ check: 'reach', from: 'a', to: 'b' })).toMatchObject({ roundTrip: null });
  });

  test('of a connection may name an address or an interface', () => {
    const check: LabCheck = { check: 'connect', from: 'a', to: 'b:e1', port: 80, timeout: 0.5 };
    expect(resolved(check)).toEqual({
      kind: 'connect',
      fromNamespace: 'a',
      destination: '2001:db8::2',
      family: 'ipv6',
      port: 80,
      expect: 'reachable',
      timeoutMilliseconds: 500,
      label: 'a connects to TCP port 80 of b:e1',
    });
    expect(resolved({ ...check, expect: 'unreachable' }, 'zh')).toMatchObject({
      label: 'a 不能连接 b:e1 的 TCP 端口 80',
    });
    expect(resolved({ ...check, to: '192.0.2.1' })).toMatchObject({ destination: '192.0.2.1' });
  });

  test('of a rate has a namespace at both ends and its bounds in bit/s', () => {
    const check: LabCheck = {
      check: 'rate',
      from: 'a',
      to: 'b:e0',
      atLeast: '9.5mbit',
      atMost: '10mbit',
    };
    expect(resolved(check)).toEqual({
      kind: 'rate',
      fromNamespace: 'a',
      toNamespace: 'b',
      destination: '10.0.0.2',
      family: 'ipv4',
      atLeast: 9_500_000,
      atMost: 10_000_000,
      label: 'Rate from a to b:e0 ≥ 9.5mbit, ≤ 10mbit',
    });
    expect(resolved(check, 'zh')).toMatchObject({ label: 'a 到 b:e0 的速率 ≥ 9.5mbit, ≤ 10mbit' });
    for (const to of ['sw', '10.0.0.2', 'nobody', '2001:db8::2']) {
      expect(resolved({ ...check, to })).toBe('check-target-no-node');
    }
    expect(resolved({ ...check, to: 'b:e9' })).toBe('check-target-without-address');
    expect(resolved({ ...check, from: 'sw' })).toBe('check-from-bridge');
  });
});

describe('the verdict on a rate', () => {
  const check = {
    kind: 'rate',
    fromNamespace: 'a',
    toNamespace: 'b',
    destination: '10.0.0.2',
    family: 'ipv4',
    label: '',
    atLeast: 9e6,
    atMost: 10e6,
  } as const;

  test.each([
    ['between the bounds', 9.6e6, 15e6, false, 'passed', 'rate-within'],
    ['more than may come', 12e6, 15e6, false, 'failed', 'rate-outside'],
    ['less than must come', 5e6, 15e6, false, 'failed', 'rate-outside'],
    ['less, and no more was sent', 5e6, 5e6, false, 'skipped', 'rate-not-offered'],
    [
      'as much as was sent, below the upper bound',
      9.6e6,
      9.6e6,
      false,
      'skipped',
      'rate-not-offered',
    ],
    ['as much as a full queue took', 9.6e6, 9.6e6, true, 'passed', 'rate-within'],
  ] as const)('%s', (_case, bitsPerSecond, sentBitsPerSecond, heldBack, outcome, code) => {
    expect(judgeRate(check, { bitsPerSecond, sentBitsPerSecond, heldBack })).toMatchObject({
      outcome,
      code,
    });
  });

  test('is said with SI prefixes', () => {
    expect(
      judgeRate(check, { bitsPerSecond: 9.61e6, sentBitsPerSecond: 15e6, heldBack: false }),
    ).toMatchObject({
      values: { rate: '9.61 Mbit/s', bounds: '≥ 9 Mbit/s, ≤ 10 Mbit/s' },
      sentence: '9.61 Mbit/s arrived at 10.0.0.2 from a, which is ≥ 9 Mbit/s, ≤ 10 Mbit/s.',
    });
    expect([0, 999, 1000, 64_250, 999_900, 1_999_000_000].map(rateText)).toEqual([
      '0 bit/s',
      '999 bit/s',
      '1 kbit/s',
      '64.3 kbit/s',
      '1 Mbit/s',
      '2 Gbit/s',
    ]);
  });
});

test('what a check saw is said with the names that it has', () => {
  const said = sayCheck('refused-unexpectedly', { from: 'a', to: '10.0.0.2', port: 80 });
  expect(said.sentence).toBe('TCP port 80 of 10.0.0.2 refused a, although it should be reachable.');
  expect(checkSentences['check-not-done']).toBe('{reason}');
});
