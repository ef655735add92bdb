/** Requests and answers for devices, queueing, VLAN tables and forwarding; the bytes are written by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Device, Impairment } from '../../../agent/api/device.ts';
import { impairmentWords, normaliseImpairment } from '../../../agent/api/impairment.ts';
import { decodeVlans, vlansRequest } from '../../../agent/kernel/bridge-vlans.ts';
import { bondMemberOf, deviceOf, writeDevice } from '../../../agent/kernel/devices.ts';
import { MessageWriter } from '../../../agent/kernel/netlink-codec.ts';
import { decodeRootQueueing, impairmentRequest } from '../../../agent/kernel/queueing.ts';
import {
  decodeForwarding,
  decodeLink,
  decodeMessage,
  decodeQueueingDiscipline,
  getForwardingRequest,
  type Link,
  type NetlinkRequest,
} from '../../../agent/kernel/rtnetlink.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const plain = (text: string): string => text.replaceAll(/\s/g, '');

function written(write: (writer: MessageWriter) => void): string {
  const writer = new MessageWriter();
  write(writer);
  return writer.buffer.toString('hex', 0, writer.length);
}

function body(request: NetlinkRequest): string {
  return written((writer) => {
    request.encode(writer);
  });
}

/** struct nlattr around a payload given as hex. */
function attribute(type: number, payload: string): string {
  const bytes = hex(payload);
  const header = Buffer.alloc(4);
  header.writeUInt16LE(bytes.length + 4, 0);
  header.writeUInt16LE(type, 2);
  return Buffer.concat([header, bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]).toString('hex');
}

const textOf = (text: string): string => `${Buffer.from(text).toString('hex')}00`;

/** struct ifinfomsg of link 9, a name, IFLA_LINK where given, and IFLA_LINKINFO. */
function linkOf(kind: string, data: string, extra = ''): Link {
  const bytes = hex(
    `00000100 09000000 00000000 00000000${attribute(3, textOf('x'))}${extra}` +
      attribute(18, attribute(1, textOf(kind)) + attribute(2, data)),
  );
  const link = decodeLink(bytes, 0, bytes.length);
  if (link === undefined) throw new Error('no link');
  return link;
}

const nameOf = (index: number): string | undefined => (index === 4 ? 'below' : undefined);

describe('devices', () => {
  it('are written as the kernel wants them, ports and keys in network order', () => {
    const cases: readonly (readonly [Parameters<typeof writeDevice>[1], string])[] = [
      [
        { kind: 'vlan', parent: 'below', id: 5, protocol: '802.1ad' },
        '0600 0500 88a8 0000  0600 0100 0500 0000',
      ],
      [
        {
          kind: 'vxlan',
          id: 42,
          local: null,
          remote: '2001:db8::2',
          port: 4789,
          parent: 'below',
        },
        `0800 0100 2a000000  1400 1000 20010db8 00000000 00000000 00000002
         0800 0300 04000000  0500 0700 01000000  0600 0f00 12b5 0000`,
      ],
      [
        { kind: 'gre', local: '192.0.2.1', remote: null, key: 7 },
        `0800 0400 00000007  0800 0500 00000007  0600 0200 2000 0000  0600 0300 2000 0000
         0800 0600 c0000201  0500 0a00 01000000  0500 0800 00000000  0500 0900 00000000`,
      ],
      [
        { kind: 'ipip', local: null, remote: '192.0.2.2' },
        `0800 0300 c0000202  0500 0400 00000000  0500 0500 00000000
         0500 0a00 01000000  0500 0900 00000000`,
      ],
      [
        { kind: 'geneve', id: 9, remote: '192.0.2.2', port: 6081 },
        '0800 0100 09000000  0800 0200 c0000202  0600 0500 17c1 0000',
      ],
      [
        { kind: 'bond', mode: '802.3ad', monitorInterval: 100, hashPolicy: 'layer2+3' },
        '0500 0100 04000000  0800 0300 64000000  0500 0e00 02000000',
      ],
      [{ kind: 'macvlan', parent: 'below', mode: 'passthru' }, '0800 0100 08000000'],
      [{ kind: 'vrf', table: 1077 }, '0800 0100 35040000'],
      [{ kind: 'dummy' }, ''],
    ];
    for (const [device, bytes] of cases) {
      const parent = 'parent' in device ? 4 : undefined;
      const found = written((writer) => {
        writeDevice(writer, device, parent);
      });
      expect(found, device.kind).toBe(plain(bytes));
    }
  });

  it('are read from what the kernel says', () => {
    const below = attribute(5, '04000000');
    const cases: readonly (readonly [string, string, string, Device | null])[] = [
      ['dummy', '', '', { kind: 'dummy' }],
      [
        'vlan',
        '0600 0500 8100 0000  0600 0100 fe0f 0000  0c00 0200 01000000 ffffffff',
        below,
        { kind: 'vlan', parent: 'below', id: 4094, protocol: '802.1Q' },
      ],
      // Loose binding; a parent in another namespace; none that is known.
      ['vlan', '0600 0100 0500 0000  0c00 0200 05000000 ffffffff', below, null],
      ['vlan', '0600 0100 0500 0000', below + attribute(37, '01000000'), null],
      ['vlan', '0600 0100 0500 0000', attribute(5, '05000000'), null],
      [
        'bond',
        '0500 0100 01000000  0800 0300 64000000  0500 0e00 01000000  0800 0400 00000000',
        '',
        { kind: 'bond', mode: 'active-backup', monitorInterval: 100, hashPolicy: 'layer3+4' },
      ],
      // With a delay before a member counts as up.
      ['bond', '0500 0100 01000000  0500 0e00 01000000  0800 0400 c8000000', '', null],
      [
        'vxlan',
        '0800 0100 2a000000  0800 0200 c0000202  0800 0400 c0000201  0600 0f00 12b5 0000',
        '',
        {
          kind: 'vxlan',
          id: 42,
          local: '192.0.2.1',
          remote: '192.0.2.2',
          port: 4789,
          parent: null,
        },
      ],
      ['vxlan', '0800 0100 2a000000  0600 0f00 12b5 0000  0500 0700 00000000', '', null],
      [
        'gretap',
        `0600 0200 2000 0000  0600 0300 2000 0000  0800 0400 ee6b2800  0800 0500 ee6b2800
         0800 0600 00000000  0800 0700 c0000202  0500 0a00 01000000`,
        '',
        { kind: 'gretap', local: null, remote: '192.0.2.2', key: 4_000_000_000 },
      ],
      // Different keys; a checksum as well.
      ['gre', '0600 0200 2000 0000  0600 0300 2000 0000  0800 0400 00000001', '', null],
      ['gre', '0600 0200 8000 0000  0600 0300 8000 0000', '', null],
      [
        'ipip',
        '0800 0200 c0000201  0800 0300 c0000202  0500 0900 04000000  0500 0a00 01000000',
        '',
        { kind: 'ipip', local: '192.0.2.1', remote: '192.0.2.2' },
      ],
      ['ipip', '0800 0300 c0000202  0500 0900 89000000', '', null],
      [
        'geneve',
        '0800 0100 09000000  0800 0200 c0000202  0600 0500 17c1 0000',
        '',
        { kind: 'geneve', id: 9, remote: '192.0.2.2', port: 6081 },
      ],
      [
        'macvlan',
        '0800 0100 04000000  0600 0200 0000 0000',
        below,
        { kind: 'macvlan', parent: 'below', mode: 'bridge' },
      ],
      ['vrf', '0800 0100 35040000', '', { kind: 'vrf', table: 1077 }],
      [
        'tun',
        '0800 0100 e8030000  0500 0300 02000000  0500 0700 01000000',
        '',
        { kind: 'tap', owner: 1000, group: null, multiQueue: true },
      ],
      [
        'tun',
        '0800 0200 00000000  0500 0300 01000000  0500 0700 00000000',
        '',
        { kind: 'tun', owner: null, group: 0, multiQueue: false },
      ],
      ['tun', '', '', null],
      ['wireguard', '', '', null],
    ];
    for (const [kind, data, extra, device] of cases) {
      expect(deviceOf(linkOf(kind, plain(data), extra), nameOf), `${kind} ${data}`).toEqual(device);
    }
  });

  it('tell what a bond thinks of its member', () => {
    const member = (port: string, kind = 'bond'): ReturnType<typeof bondMemberOf> => {
      const bytes = hex(
        '00000100 09000000 00000000 00000000' +
          attribute(18, attribute(4, textOf(kind)) + attribute(5, plain(port))),
      );
      const link = decodeLink(bytes, 0, bytes.length);
      if (link === undefined) throw new Error('no link');
      return bondMemberOf(link);
    };
    expect(member('0500 0100 00000000  0500 0200 00000000')).toEqual({
      state: 'active',
      linkUp: true,
    });
    expect(member('0500 0100 01000000  0500 0200 02000000')).toEqual({
      state: 'backup',
      linkUp: false,
    });
    expect(member('', 'bridge')).toBeNull();
  });
});

const none: Impairment = {
  rate: null,
  delay: 0,
  jitter: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
};

describe('impairments', () => {
  it('are written as netem and tbf want them', () => {
    // 10 ms are 156,250 ticks of 64 ns; half of all is 0x80000000 of 0xffffffff.
    expect(body(impairmentRequest(3, { ...none, delay: 10, loss: 50, rate: 8_000_000 }, 'x'))).toBe(
      plain(`
        00000000 03000000 00004e00 ffffffff 00000000
        0a00 0100 6e657465 6d00 0000
        6000 0280 5a620200 e8030000 00000080 00000000 00000000 00000000
        0c00 0300 00000000 00000000
        0c00 0400 00000000 00000000
        1400 0600 40420f00 00000000 00000000 00000000
        0c00 0a00 80969800 00000000
        0c00 0b00 00000000 00000000`),
    );
    // 1 MB/s; 10,000 bytes take 10 ms; 50,000 more may wait.
    expect(body(impairmentRequest(3, { ...none, rate: 8_000_000 }, 'x'))).toBe(
      plain(`
        00000000 03000000 00004e00 ffffffff 00000000
        0800 0100 74626600
        3400 0280
        2800 0100 00010000 00000000 40420f00 00000000 00000000 00000000 60ea0000 5a620200 00000000
        0800 0600 10270000`),
    );
  });

  it('are read only where they are ours and at the root', () => {
    const read = (text: string): unknown => {
      const bytes = hex(text);
      const discipline = decodeQueueingDiscipline(bytes, 0, bytes.length);
      return discipline === undefined ? 'malformed' : decodeRootQueueing(discipline, bytes);
    };
    const head = (handle: string, parent = 'ffffffff'): string =>
      `00000000 03000000 ${handle} ${parent} 02000000`;
    const tbf = attribute(1, textOf('tbf'));
    const parameters = attribute(2, attribute(1, `00010000 00000000 40420f00 ${'00'.repeat(24)}`));
    expect(read(head('00004e00') + tbf + parameters)).toEqual({
      impairment: { ...none, rate: 8_000_000 },
      foreign: null,
    });
    expect(read(head('00000700') + tbf + parameters)).toEqual({ impairment: null, foreign: 'tbf' });
    expect(read(head('00004e00', '01000700') + tbf + parameters)).toBeUndefined();
    expect(read(head('00000000') + attribute(1, textOf('pfifo_fast')))).toBeUndefined();
    expect(read(head('00004e00') + attribute(1, textOf('htb')) + attribute(2, ''))).toEqual({
      impairment: null,
      foreign: 'htb',
    });
    // Ticks count where no nanoseconds are given (before Linux 4.15).
    const netem = `5a620200 e8030000 ffffffff 00000000 66666626 00000000`;
    expect(read(head('00004e00') + attribute(1, textOf('netem')) + attribute(2, netem))).toEqual({
      impairment: { ...none, delay: 10, loss: 100, duplicate: 15 },
      foreign: null,
    });
    expect(read('00000000 03000000')).toBe('malformed');
  });

  it('are rounded to what reads back equal', () => {
    expect(
      normaliseImpairment({
        rate: 10_000_007,
        delay: 1.23456,
        jitter: 99_999,
        loss: 0.00004,
        duplicate: 33.33335,
        reorder: 120,
        corrupt: -1,
      }),
    ).toEqual({
      rate: 10_000_000,
      delay: 1.235,
      jitter: 2147.483,
      loss: 0,
      duplicate: 33.3334,
      reorder: 100,
      corrupt: 0,
    });
    const percentage = fc.integer({ min: 0, max: 1_000_000 }).map((value) => value / 10_000);
    const delay = fc.integer({ min: 0, max: 2_000_000 }).map((value) => value / 1000);
    const rate = fc.option(fc.integer({ min: 1, max: 50_000_000_000 }).map((value) => value * 8));
    const any = fc.record({
      rate,
      delay,
      jitter: delay,
      loss: percentage,
      duplicate: percentage,
      reorder: percentage,
      corrupt: percentage,
    });
    fc.assert(
      fc.property(any, (impairment) => {
        expect(normaliseImpairment(impairment)).toEqual(impairment);
        const bytes = Buffer.from(body(impairmentRequest(3, impairment, 'x')), 'hex');
        const discipline = decodeQueueingDiscipline(bytes, 0, bytes.length);
        if (discipline === undefined) throw new Error('malformed');
        expect(decodeRootQueueing(discipline, bytes)).toEqual({ impairment, foreign: null });
      }),
    );
  });

  it('are said in the words of tc', () => {
    expect(impairmentWords({ ...none, rate: 10_000_000 })).toBe(
      'tbf rate 10000000bit burst 10000 limit 72500',
    );
    const full = { rate: 8000, delay: 1.5, jitter: 0.25, loss: 1, duplicate: 2 };
    const words =
      'netem limit 1000 delay 1500us 250us loss 1% duplicate 2% reorder 3% corrupt 0.0001%';
    expect(impairmentWords({ ...full, reorder: 3, corrupt: 0.0001 })).toBe(`${words} rate 8000bit`);
    // In place, netem keeps what it is not told.
    expect(impairmentWords({ ...none, delay: 1 }, { ...full, reorder: 3, corrupt: 4 })).toBe(
      'netem limit 1000 delay 1000us reorder 0% corrupt 0% rate 0bit',
    );
  });
});

describe('VLAN tables', () => {
  const tagged = (id: number) => ({ id, pvid: false, untagged: false });

  it('are written as ranges, a PVID alone', () => {
    const entries = [
      tagged(12),
      { id: 9, pvid: true, untagged: true },
      tagged(10),
      tagged(11),
      { id: 13, pvid: false, untagged: true },
    ];
    expect(body(vlansRequest('set', 7, { self: false }, entries, 'x'))).toBe(
      plain(`
        07000000 07000000 00000000 00000000
        2400 1a80
        0800 0200 0600 0900  0800 0200 0800 0a00  0800 0200 1000 0c00  0800 0200 0400 0d00`),
    );
    expect(body(vlansRequest('delete', 7, { self: true }, entries.slice(1, 3), 'x'))).toBe(
      plain(`
        07000000 07000000 00000000 00000000
        1c00 1a80
        0600 0000 0200 0000  0800 0200 0800 0900  0800 0200 1000 0a00`),
    );
  });

  it('are read with and without ranges', () => {
    const head = '07000100 07000000 00000000 00000000';
    const vlan = (flags: string, id: string): string => attribute(2, flags + id);
    const bytes = hex(
      head +
        attribute(
          26,
          vlan('0600', '0100') + vlan('0c00', '0500') + vlan('1400', '0700') + vlan('2000', 'fe0f'),
        ),
    );
    expect(decodeVlans(bytes, 0, bytes.length)).toEqual({
      index: 7,
      vlans: [
        { id: 1, pvid: true, untagged: true },
        ...[5, 6, 7].map((id) => ({ id, pvid: false, untagged: true })),
        tagged(4094),
      ],
    });
    const none = hex(head);
    expect(decodeVlans(none, 0, none.length)).toEqual({ index: 7, vlans: [] });
    const other = hex('00000100 07000000 00000000 00000000');
    expect(decodeVlans(other, 0, other.length)).toBeUndefined();
  });
});

describe('forwarding', () => {
  it('is asked for and read for a namespace as a whole', () => {
    expect(body(getForwardingRequest(6))).toBe(plain('0a000000  0800 0100 ffffffff'));
    const all = hex(`02000000${attribute(1, 'ffffffff')}${attribute(2, '01000000')}`);
    expect(decodeForwarding(all, 0, all.length)).toEqual({ family: 4, forwarding: true });
    const one = hex(`02000000${attribute(1, '03000000')}${attribute(2, '01000000')}`);
    expect(decodeMessage(80, one, 0, one.length)).toBeUndefined();
  });
});

describe('hostile bytes', () => {
  it('are never more than undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = Buffer.from(noise);
        const discipline = decodeQueueingDiscipline(bytes, 0, bytes.length);
        if (discipline !== undefined) {
          decodeRootQueueing({ ...discipline, handle: 0x4e0000, kind: 'netem' }, bytes);
          decodeRootQueueing({ ...discipline, handle: 0x4e0000, kind: 'tbf' }, bytes);
        }
        decodeForwarding(bytes, 0, bytes.length);
        decodeVlans(Buffer.concat([hex('07'), bytes]), 0, bytes.length + 1);
        for (const kind of ['vlan', 'bond', 'vxlan', 'gre', 'ipip', 'geneve', 'macvlan', 'tun']) {
          deviceOf(linkOf(kind, bytes.toString('hex')), nameOf);
        }
      }),
    );
  });
});
