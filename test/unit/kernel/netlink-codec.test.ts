import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeAcknowledgement,
  locateAttribute,
  type MessageHeader,
  MessageWriter,
  readString,
  visitAttributes,
  visitMessages,
} from '../../../agent/kernel/netlink-codec.ts';
import { newBridgeRequest, setLinkRequest } from '../../../agent/kernel/rtnetlink.ts';
import { errorMessages, linkMessages } from './netlink-fixtures.ts';

function headersOf(bytes: Buffer, length = bytes.length): MessageHeader[] {
  const headers: MessageHeader[] = [];
  visitMessages(bytes, length, (header) => {
    headers.push(header);
    return true;
  });
  return headers;
}

describe('the netlink codec', () => {
  it('writes a message as the kernel documents it', () => {
    const writer = new MessageWriter(16);
    writer.begin(19, 5, 7);
    for (const word of [0, 3, 1, 1]) writer.rawU32(word);
    writer.string(3, 'eth0');
    const nested = writer.beginNested(18);
    writer.u8(1, 9);
    writer.u16BigEndian(15, 4789);
    writer.endNested(nested);
    writer.end();
    expect(writer.buffer.toString('hex', 0, writer.length)).toBe(
      '40000000' +
        '1300' +
        '0500' +
        '07000000' +
        '00000000' +
        '00000000' +
        '03000000' +
        '01000000' +
        '01000000' +
        '09000300' +
        '6574683000000000' +
        '14001280' +
        '05000100' +
        '09000000' +
        '06000f00' +
        '12b50000',
    );
  });

  it('reads the kernel’s sentence and the place of the offending attribute', () => {
    const bytes = Buffer.from(errorMessages.mtu, 'hex');
    const [header] = headersOf(bytes);
    expect(header && decodeAcknowledgement(bytes, header)).toMatchObject({
      errno: 22,
      message: 'mtu greater than device maximum',
    });
    const kind = Buffer.from(errorMessages.kind, 'hex');
    const [kindHeader] = headersOf(kind);
    expect(kindHeader && decodeAcknowledgement(kind, kindHeader)).toMatchObject({
      errno: 95,
      message: 'Unknown device type',
    });
  });

  it('names the way to an attribute by its offset', () => {
    const writer = new MessageWriter();
    const request = newBridgeRequest({ name: 'br0' }, { priority: 5, stp: true });
    writer.begin(request.type, request.flags, 1);
    request.encode(writer);
    writer.end();
    // nlmsghdr 16, ifinfomsg 16, name 8, nest 4, kind 12, nest 4: the priority.
    const offset = 16 + 16 + 8 + 4 + 12 + 4;
    expect(locateAttribute(writer.buffer, 0, writer.length, 16, offset)).toBe('18.2.6');
    expect(locateAttribute(writer.buffer, 0, writer.length, 16, 9999)).toBeUndefined();
  });

  it('reads names that are no UTF-8 as Latin-1', () => {
    expect(readString(Buffer.from('c3a900', 'hex'), 0, 3)).toBe('é');
    expect(readString(Buffer.from('e900', 'hex'), 0, 2)).toBe('é');
  });

  it('finds every message and attribute it wrote, whatever the sizes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.array(
            fc.record({
              type: fc.integer({ min: 1, max: 0x3fff }),
              value: fc.uint8Array({ maxLength: 300 }),
            }),
            { maxLength: 8 },
          ),
          { minLength: 1, maxLength: 6 },
        ),
        (messages) => {
          const writer = new MessageWriter(16);
          for (const [sequence, attributes] of messages.entries()) {
            writer.begin(16, 1, sequence);
            for (const { type, value } of attributes) writer.binary(type, value);
            writer.end();
          }
          const headers = headersOf(writer.buffer, writer.length);
          const read = headers.map(({ bodyStart, bodyEnd }) => {
            const found: { type: number; value: Uint8Array }[] = [];
            visitAttributes(writer.buffer, bodyStart, bodyEnd, (type, start, end) => {
              found.push({ type, value: Uint8Array.from(writer.buffer.subarray(start, end)) });
            });
            return found;
          });
          expect(read).toEqual(messages);
        },
      ),
    );
  });

  it('never throws on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        const bytes = Buffer.from(data);
        for (const header of headersOf(bytes)) decodeAcknowledgement(bytes, header);
        visitAttributes(bytes, 0, bytes.length, () => undefined);
        locateAttribute(bytes, 0, bytes.length, 0, 16);
      }),
    );
  });

  it('says when bytes are left over', () => {
    const bytes = Buffer.from(linkMessages.lo, 'hex');
    expect(visitMessages(bytes, bytes.length, () => true)).toBe(true);
    expect(visitMessages(bytes, bytes.length - 1, () => true)).toBe(false);
  });

  it('merges all changes to a link into one message', () => {
    const writer = new MessageWriter();
    const request = setLinkRequest(4, { up: true, mtu: 1400, alias: 'x', master: null });
    writer.begin(request.type, request.flags, 1);
    request.encode(writer);
    writer.end();
    expect(headersOf(writer.buffer, writer.length)).toHaveLength(1);
    expect(writer.buffer.toString('hex', 16, writer.length)).toBe(
      '00000000' +
        '04000000' +
        '01000000' +
        '01000000' +
        '08000400' +
        '78050000' +
        '08000a00' +
        '00000000' +
        '05001400' +
        '78000000',
    );
  });
});
