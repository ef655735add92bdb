/** Sockets as the kernel tells them; the bytes are written by hand after struct inet_diag_msg. */
import { describe, expect, it } from 'vitest';
import { decodeInternetSocket } from '../../../agent/kernel/internet-sockets.ts';

const zeros = (bytes: number): string => '00'.repeat(bytes);

/** `source` and `destination` are 16 octets, ports in the network's order. */
function socket(
  family: string,
  ports: string,
  source: string,
  destination: string,
  attributes = '',
) {
  const text = `${family}010000${ports}${source}${destination}${zeros(12)}${zeros(12)}e8030000d2040000`;
  const bytes = Buffer.from(text + attributes, 'hex');
  return decodeInternetSocket(bytes, 0, bytes.length);
}
const four = (address: string): string => address + zeros(12);
const mapped = (address: string): string => `${zeros(10)}ffff${address}`;

describe('a socket of the kernel', () => {
  it('has two ends when it is connected', () => {
    expect(socket('02', '0050c350', four('0a000001'), four('0a000002'))).toEqual({
      families: [4],
      local: { address: '10.0.0.1', port: 80 },
      remote: { address: '10.0.0.2', port: 50_000 },
      inode: 1234,
    });
  });

  it('speaks IPv4 through IPv6 unless it says that it does not', () => {
    const open = socket('0a', '00350000', zeros(16), zeros(16));
    expect(open).toMatchObject({ families: [4, 6], local: { address: null }, remote: null });
    const alone = socket('0a', '00350000', zeros(16), zeros(16), '05000b0001000000');
    expect(alone?.families).toEqual([6]);
    const through = socket('0a', '0035c350', mapped('0a000001'), mapped('0a000002'));
    expect(through).toMatchObject({ families: [4], local: { address: '10.0.0.1' } });
    const six = socket('0a', '0035c350', `fd${zeros(14)}01`, `fd${zeros(14)}02`);
    expect(six).toMatchObject({ families: [6], local: { address: 'fd00::1' } });
  });

  it('is none where it is cut short or of another family', () => {
    expect(socket('01', '00000000', zeros(16), zeros(16))).toBeUndefined();
    const bytes = Buffer.alloc(72);
    bytes[0] = 2;
    for (let length = 0; length < 72; length += 1) {
      expect(decodeInternetSocket(bytes, 0, length)).toBeUndefined();
    }
  });
});
