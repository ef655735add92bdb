/** A bridge's forwarding database on the wire; the bytes are written by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFdbEntry, dumpFdbRequest } from '../../../agent/kernel/bridge-fdb.ts';
import { MessageWriter } from '../../../agent/kernel/netlink-codec.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** struct ndmsg of port 9 with the state and flags given as hex, then attributes. */
function entry(state: string, flags: string, attributes: string) {
  const bytes = hex(`07000000 09000000 ${state} ${flags} 00 ${attributes}`);
  return decodeFdbEntry(bytes, 0, bytes.length, 5);
}

const address = '0a00 0200 0200c0ffee01 0000';
const ofFive = '0800 0900 05000000';
/** confirmed 0, used 700, updated 1250 hundredths of a second, no references. */
const times = '1400 0300 00000000 bc020000 e2040000 00000000';
const vlan7 = '0600 0500 0700 0000';

describe('the forwarding database', () => {
  it('is asked for by the bridge', () => {
    const request = dumpFdbRequest(5, 'br0');
    const writer = new MessageWriter();
    request.encode(writer);
    expect([request.type, request.flags]).toEqual([30, 0x301]);
    expect(writer.buffer.toString('hex', 0, writer.length)).toBe(
      '070000000000000000000000' + '0800090005000000',
    );
  });

  it('tells what was learned from what was set, and how long ago', () => {
    const learned = { mac: '02:00:c0:ff:ee:01', index: 9, vlan: null, kind: 'learned', age: 12.5 };
    // NUD_REACHABLE and, when it has outlived the ageing time, NUD_STALE
    expect(entry('0200', '00', address + ofFive + times)).toEqual(learned);
    expect(entry('0400', '00', address + ofFive + times)).toEqual(learned);
    expect(entry('0200', '00', address + ofFive + times + vlan7)).toEqual({ ...learned, vlan: 7 });
    expect(entry('8000', '00', address + ofFive + times)).toMatchObject({
      kind: 'local',
      age: null,
    });
    expect(entry('4000', '00', address + ofFive + times)).toMatchObject({
      kind: 'static',
      age: null,
    });
    expect(entry('0200', '10', address + ofFive + times)).toMatchObject({
      kind: 'external',
      age: null,
    });
  });

  it('leaves out what is no entry of the bridge', () => {
    // The address filter of a port (`self`), an entry of another bridge, one without an address.
    expect(entry('8000', '02', address)).toBeUndefined();
    expect(entry('0200', '00', `${address} 0800 0900 06000000`)).toBeUndefined();
    expect(entry('0200', '00', ofFive)).toBeUndefined();
    const inet = hex(`02000000 09000000 0200 00 00 ${address} ${ofFive}`);
    expect(decodeFdbEntry(inet, 0, inet.length, 5)).toBeUndefined();
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const buffer = Buffer.from([7, ...bytes]);
        decodeFdbEntry(buffer, 0, buffer.length, 5);
        decodeFdbEntry(buffer, 0, buffer.length + 4, 5);
      }),
    );
  });
});
