import fc from 'fast-check';
import { isIP } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  formatIpAddress,
  formatMac,
  maskAddress,
  parseIpAddress,
  parseIpPrefix,
  parseMac,
} from '../../../agent/kernel/ip-address.ts';

describe('IP address text', () => {
  it('writes IPv6 as RFC 5952 asks', () => {
    const pairs = [
      ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
      ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['::1', '::1'],
      ['fe80::', 'fe80::'],
      ['2001:DB8::ABCD', '2001:db8::abcd'],
      ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
      ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ] as const;
    for (const [text, expected] of pairs) {
      const address = parseIpAddress(text);
      expect(address && formatIpAddress(address.bytes)).toBe(expected);
    }
  });

  it('refuses what is no address', () => {
    for (const text of [
      '',
      '1',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '01.2.3.4',
      '1.2.3.4 ',
      ':',
      ':::',
      '1:2',
      '1::2::3',
      '12345::',
      'g::',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      'fe80::1%eth0',
    ]) {
      expect(parseIpAddress(text), text).toBeUndefined();
    }
    for (const text of ['1.2.3.4/33', '1.2.3.4/', '1.2.3.4/-1', '::/129', '::/08']) {
      expect(parseIpPrefix(text), text).toBeUndefined();
    }
  });

  it('takes what it writes, and agrees with Node about what is an address', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc
        .array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 })
        .map((values) => Uint8Array.from(values)),
    );
    fc.assert(
      fc.property(bytes, (value) => {
        const text = formatIpAddress(value) ?? '';
        expect(isIP(text)).toBe(value.length === 4 ? 4 : 6);
        expect(parseIpAddress(text)?.bytes).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f:.]{0,24}$/), (text) => {
        expect(parseIpAddress(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 5000 },
    );
  });

  it('masks and formats', () => {
    expect(maskAddress(Uint8Array.of(10, 1, 255, 255), 18)).toEqual(Uint8Array.of(10, 1, 192, 0));
    expect(formatMac(parseMac('02:AB:00:00:00:ff') ?? new Uint8Array())).toBe('02:ab:00:00:00:ff');
    expect(parseMac('02:ab:00:00:00')).toBeUndefined();
  });
});
