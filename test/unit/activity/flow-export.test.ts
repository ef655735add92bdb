/** Datagrams written by hand from the documents of the protocols. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExportRecordSchema } from '../../../agent/api/flow-export.ts';
import { addressText } from '../../../agent/activity/byte-reader.ts';
import type { DecodedExport } from '../../../agent/activity/export-decoding.ts';
import {
  maximumFieldsOfDatagram,
  maximumRecordsOfDatagram,
} from '../../../agent/activity/export-decoding.ts';
import { ExportTemplates } from '../../../agent/activity/export-templates.ts';
import { decodeFlowExport } from '../../../agent/activity/flow-export.ts';

/** Bytes of hexadecimal text; blanks are for the reader, `#` begins a remark. */
function bytesOf(text: string): Uint8Array {
  const digits = text.replaceAll(/#[^\n]*/g, '').replaceAll(/\s/g, '');
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function word(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** A set of IPFIX: id and length, then what it holds. */
function set(id: number, body: string): string {
  return `${word(id, 4)} ${word(bytesOf(body).length + 4, 4)} ${body}`;
}

/** A structure of sFlow: format and length, then what it holds, filled up to four. */
function structure(format: number, body: string): string {
  const { length } = bytesOf(body);
  return `${word(format, 8)} ${word(length, 8)} ${body} ${'00'.repeat(-length & 3)}`;
}

const arrival = { exporter: '192.0.2.1', time: 1_700_000_000_000 };

function decode(text: string | Uint8Array, templates = new ExportTemplates()): DecodedExport {
  return decodeFlowExport(typeof text === 'string' ? bytesOf(text) : text, arrival, templates);
}

function fieldsOf(record: DecodedExport['records'][number] | undefined): Record<string, unknown> {
  return Object.fromEntries((record?.fields ?? []).map(({ name, value }) => [name, value]));
}

const netflow5 = `
  0005 0001  00002710  6553f100  1dcd6500  00000007  02 03 4064
  0a000001 0a000002 0a0000fe  0003 0004  00000005 000001a4
  00000fa0 00001f40  0050 c000  00 1b 06 10  fde8 fde9  18 10 0000
`;

describe('NetFlow v5', () => {
  it('reads header and record', () => {
    const { protocol, domain, sequence, records, problems } = decode(netflow5);
    expect(problems).toEqual([]);
    expect({ protocol, domain, sequence }).toEqual({
      protocol: 'netflow-v5',
      domain: 2 * 256 + 3,
      sequence: 7,
    });
    expect(records).toHaveLength(1);
    const exported = 0x6553f100 * 1000 + 500;
    expect(records[0]).toMatchObject({
      kind: 'flow',
      exporter: '192.0.2.1',
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 80,
      destinationPort: 0xc000,
      ipProtocol: 6,
      tcpFlags: 0x1b,
      typeOfService: 0x10,
      packets: 5,
      bytes: 420,
      // The exporter had run for 10 s; the flow began after 4 s and ended after 8 s.
      start: exported - 10_000 + 4000,
      end: exported - 10_000 + 8000,
      input: 3,
      output: 4,
      sampling: 100,
    });
    expect(fieldsOf(records[0])).toMatchObject({
      nexthop: '10.0.0.254',
      src_as: 0xfde8,
      dst_as: 0xfde9,
      src_mask: 24,
      dst_mask: 16,
    });
  });

  it('keeps whole records of one that is cut off', () => {
    const bytes = bytesOf(netflow5);
    const two = Uint8Array.from([...bytes, ...bytes.subarray(24, 60)]);
    two[3] = 2;
    const { records, problems } = decode(two);
    expect(records).toHaveLength(1);
    expect(problems).toEqual([{ code: 'truncated', offset: 72 }]);
  });
});

const netflow9Header = '0009 0002 00002710 6553f100 00000001 0000002a';
const netflow9Template = `
  0000 0024  0100 0007
  0008 0004  000c 0004  0004 0001  0007 0002  000b 0002  0002 0004  0001 0004
`;
// One record of 21 bytes, filled up to four.
const netflow9Data = `
  0100 001c  0a000001 0a000002 11 0035 a000 00000002 00000080 000000
`;

describe('NetFlow v9', () => {
  it('needs the template that came before, of the same exporter and source', () => {
    const templates = new ExportTemplates();
    const early = decode(netflow9Header + netflow9Data, templates);
    expect(early.records).toEqual([]);
    expect(early.problems).toEqual([{ code: 'unknown-template', offset: 20, template: 256 }]);
    expect(decode(netflow9Header + netflow9Template, templates).templates).toBe(1);
    const late = decode(netflow9Header + netflow9Data, templates);
    expect(late.problems).toEqual([]);
    expect(late.domain).toBe(42);
    expect(late.records).toMatchObject([
      {
        protocol: 'netflow-v9',
        source: '10.0.0.1',
        destination: '10.0.0.2',
        ipProtocol: 17,
        sourcePort: 53,
        destinationPort: 0xa000,
        packets: 2,
        bytes: 128,
      },
    ]);
    const other = { ...arrival, exporter: '192.0.2.2' };
    const elsewhere = decodeFlowExport(bytesOf(netflow9Header + netflow9Data), other, templates);
    expect(elsewhere.problems).toMatchObject([{ code: 'unknown-template' }]);
    const anotherSource = netflow9Header.replace('2a', '2b') + netflow9Data;
    expect(decode(anotherSource, templates).problems).toMatchObject([{ code: 'unknown-template' }]);
  });

  it('reads options with their scope', () => {
    const { records, problems, templates } = decode(`${netflow9Header}
      0001 0018  0101 0004 0008   0002 0004   0022 0004  0052 0008  0000
      0101 0014  00000007 00000064 65746830 00000000
    `);
    expect(problems).toEqual([]);
    expect(templates).toBe(1);
    expect(records).toMatchObject([{ kind: 'options' }]);
    expect(fieldsOf(records[0])).toEqual({
      'scope Interface': 7,
      samplingInterval: 100,
      interfaceName: 'eth0',
    });
  });
});

function ipfix(body: string): Uint8Array {
  const bytes = bytesOf(`000a 0000 6553f100 00000009 00000001 ${body}`);
  bytes[2] = bytes.length >> 8;
  bytes[3] = bytes.length & 0xff;
  return bytes;
}

describe('IPFIX', () => {
  it('reads fields of every length, of Open vSwitch and of others', () => {
    const templates = new ExportTemplates();
    const { records, problems } = decode(
      ipfix(
        set(
          2,
          `0100 000c
          001b 0010  001c 0010  0038 0006  0050 0006  00f3 0002  0002 0008  0160 0003
          009e 0004  0052 ffff
          837b 0001 00001adc   837c ffff 00001adc   8001 0002 00000009`,
        ) +
          set(
            256,
            `20010db8000000000000000000000001  20010db8000000000000000000000002
            020000000001 020000000002  000a  ffffffffffffffff  000180  000f4240
            06 6e6574313007
            01  03 00002a  beef
            0000000000`,
          ),
      ),
      templates,
    );
    expect(problems).toEqual([]);
    expect(records).toMatchObject([
      {
        protocol: 'ipfix',
        domain: 1,
        source: '2001:db8::1',
        destination: '2001:db8::2',
        sourceMac: '02:00:00:00:00:01',
        destinationMac: '02:00:00:00:00:02',
        vlan: 10,
        bytes: 384,
        // A second before the export.
        start: 0x6553f100 * 1000 - 1000,
      },
    ]);
    expect(fieldsOf(records[0])).toMatchObject({
      packetDeltaCount: '18446744073709551615',
      // The control character is left out.
      interfaceName: 'net10',
      'tunnelType (6876/891)': 1,
      'tunnelKey (6876/892)': '00002a',
      'element 9/1': 'beef',
    });
  });

  it('reads a length of three bytes', () => {
    const { records, problems } = decode(
      ipfix(`0002 0010 0100 0002 0052 ffff 0007 0002   0100 000e ff 0004 65746839 0050 00`),
    );
    expect(problems).toEqual([]);
    expect(fieldsOf(records[0])).toEqual({ interfaceName: 'eth9', sourceTransportPort: 80 });
  });

  it('reads options, and forgets templates that are taken back', () => {
    const templates = new ExportTemplates();
    const first = decode(
      ipfix(`
        0003 0016  0101 0003 0001  000a 0004  0052 0004  0137 0008
        0101 0014  00000003 65746833 3fb999999999999a
      `),
      templates,
    );
    expect(first.problems).toEqual([]);
    expect(fieldsOf(first.records[0])).toEqual({
      'scope ingressInterface': 3,
      interfaceName: 'eth3',
      samplingProbability: 0.1,
    });
    decode(ipfix('0002 000c 0100 0001 0007 0002'), templates);
    expect(templates.size).toBe(2);
    decode(ipfix('0003 0008 0003 0000'), templates);
    expect(templates.size).toBe(1);
    decode(ipfix('0002 0008 0100 0000'), templates);
    expect(templates.size).toBe(0);
  });

  it('says what does not fit', () => {
    expect(decode(ipfix('0002 0002')).problems).toEqual([{ code: 'bad-length', offset: 16 }]);
    expect(decode(ipfix('0002 0040 0100 0002 0007 0002')).problems).toMatchObject([
      { code: 'truncated' },
      { code: 'truncated' },
    ]);
    // A template whose records have no byte would have as many as one likes.
    const endless = decode(ipfix('0002 000c 0100 0001 0007 0000   0100 0008 00000000'));
    expect(endless.records).toEqual([]);
    expect(endless.problems).toMatchObject([{ code: 'bad-length' }]);
  });
});

// Ethernet, a tag of VLAN 100, IPv4, TCP from 10.0.0.1:1234 to 10.0.0.2:80 with SYN.
const frame = `
  020000000002 020000000001 8100 0064 0800
  45 00 0028 0000 0000 40 06 0000 0a000001 0a000002
  04d2 0050 00000000 00000000 50 02 0000 0000 0000
`;
const sampledFrame = structure(1, `00000001 00000042 00000004 0000003a ${frame} 0000`);
const sflowHeader = '00000005 00000001 c0000209 00000001 00000002 00001000';

describe('sFlow v5', () => {
  it('reads a sampled frame and what the switch says of it', () => {
    const { records, problems, domain, sequence } = decode(
      `${sflowHeader} 00000001 ${structure(
        1,
        `00000005 00000003 00000040 00001000 00000000  00000003 c0000001  00000002
        ${sampledFrame}
        ${structure(1001, '00000064 00000000 000000c8 00000000')}`,
      )}`,
    );
    expect(problems).toEqual([]);
    expect({ domain, sequence }).toEqual({ domain: 1, sequence: 2 });
    expect(records).toMatchObject([
      {
        kind: 'flow',
        source: '10.0.0.1',
        destination: '10.0.0.2',
        sourcePort: 1234,
        destinationPort: 80,
        ipProtocol: 6,
        tcpFlags: 2,
        packets: 1,
        bytes: 66,
        input: 3,
        // Format 3: no interface.
        output: null,
        vlan: 100,
        sampling: 64,
        sourceMac: '02:00:00:00:00:01',
        etherType: 0x0800,
      },
    ]);
    expect(fieldsOf(records[0])).toMatchObject({
      agent_address: '192.0.2.9',
      sample_pool: 0x1000,
      dst_vlan: 200,
    });
  });

  it('reads the expanded forms and counters', () => {
    const { records, problems } = decode(
      `${sflowHeader} 00000002
      ${structure(
        3,
        `00000001 00000000 00000003 00000001 00000000 00000000
        00000000 00000003 00000000 00000004  00000001
        ${structure(4, '00000001 00000002 00000003 00000004 00000005')}`,
      )}
      ${structure(
        4,
        `00000001 00000000 00000003 00000005
        ${structure(
          1,
          `00000003 00000006 00000002540be400 00000001 00000003
          0000000000001000 00000001 00000002 00000003 00000000 00000000 ffffffff
          0000000000002000 00000004 ffffffff 00000005 00000000 00000000 00000000`,
        )}
        ${structure(5, '00000064 0000000000000800 00000001 00000002 00000003 00000004')}
        ${structure(1001, '000003e8 00000064 00000032 0000000100000000 0000000080000000')}
        ${structure(1005, '00000004 65746833')}
        ${structure(0x7fffffff, '01020304')}`,
      )}`,
    );
    expect(records[0]).toMatchObject({ kind: 'flow', input: 3, output: 4, source: null });
    expect(records[1]).toMatchObject({
      kind: 'counters',
      interface: 3,
      inBytes: 0x1000,
      inPackets: 6,
      outBytes: 0x2000,
      outPackets: 9,
      speed: 10_000_000_000,
    });
    expect(fieldsOf(records[1])).toMatchObject({
      vlan_id: 100,
      octets: 0x800,
      '5s_cpu': 1000,
      total_memory: 2 ** 32,
      port_name: 'eth3',
      'counter structure 524287:4095': '01020304',
    });
    // The sample of IPv6 has 20 bytes, which is not enough for one.
    expect(problems).toEqual([{ code: 'truncated', offset: 28 }]);
  });
});

describe('whatever the bytes are', () => {
  const samples = [
    bytesOf(netflow5),
    bytesOf(netflow9Header + netflow9Template + netflow9Data),
    ipfix('0002 0010 0100 0002 0052 ffff 0007 0002   0100 000e ff 0004 65746839 0050 00'),
    bytesOf(
      `${sflowHeader} 00000001 ${structure(
        1,
        `00000005 00000003 00000040 00001000 00000000  00000003 c0000001  00000001 ${sampledFrame}`,
      )}`,
    ),
  ];

  function expectBounded(decoded: DecodedExport): void {
    expect(decoded.records.length).toBeLessThanOrEqual(maximumRecordsOfDatagram);
    expect(decoded.problems.length).toBeLessThanOrEqual(16);
    let fields = 0;
    for (const record of decoded.records) {
      fields += record.fields.length;
      expect(ExportRecordSchema.safeParse(record).error).toBeUndefined();
      // It is written and read as JSON.
      expect(JSON.parse(JSON.stringify(record))).toEqual(record);
    }
    expect(fields).toBeLessThanOrEqual(maximumFieldsOfDatagram + 1024);
  }

  it('reads every sample, and something or nothing of it cut at any byte', () => {
    for (const sample of samples) {
      const whole = decode(sample);
      expect(whole.problems).toEqual([]);
      expect(whole.records.length).toBeGreaterThan(0);
      for (let length = 0; length < sample.length; length += 1) {
        const cut = decode(sample.subarray(0, length));
        expectBounded(cut);
        expect(cut.records.length).toBeLessThanOrEqual(whole.records.length);
      }
    }
  });

  it('reads nothing outside of the bytes that it is given', () => {
    for (const sample of samples) {
      for (let length = 4; length < sample.length; length += 1) {
        const around = new Uint8Array(sample.length + 512).fill(0xff);
        around.set(sample, 256);
        const inside = decode(around.subarray(256, 256 + length));
        expect(inside).toEqual(decode(sample.slice(0, length)));
      }
    }
  });

  it('stays within its limits when bytes are changed', () => {
    const changed = fc.tuple(
      fc.constantFrom(...samples),
      fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 255 })), { maxLength: 12 }),
    );
    const templates = new ExportTemplates();
    fc.assert(
      fc.property(changed, ([sample, changes]) => {
        const bytes = sample.slice();
        // The version stays, so that it is a decoder that is tried.
        for (const [at, value] of changes) if (at >= 4) bytes[at % bytes.length] = value;
        expectBounded(decode(bytes, templates));
      }),
      { numRuns: 3000 },
    );
  });

  it('stays within its limits with any bytes behind a version', () => {
    const behind = fc.tuple(
      fc.constantFrom('0005', '0009', '000a', '00000005'),
      fc.uint8Array({ maxLength: 600 }),
    );
    const templates = new ExportTemplates();
    fc.assert(
      fc.property(behind, ([version, rest]) => {
        expectBounded(decode(Uint8Array.from([...bytesOf(version), ...rest]), templates));
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps a bounded number of templates', () => {
    const templates = new ExportTemplates();
    for (let domain = 0; domain < 200; domain += 1) {
      const sets = Array.from({ length: 60 }, (_, index) => {
        const id = (256 + index).toString(16).padStart(4, '0');
        return `0002 0010 ${id} 0002 0008 0004 000c 0004`;
      });
      const message = ipfix(sets.join(' '));
      message[15] = domain;
      expect(decode(message, templates).templates).toBe(60);
    }
    expect(templates.size).toBeLessThanOrEqual(4096);
    // The latest are those that are kept.
    const latest = ipfix('0100 000c 0a000001 0a000002');
    latest[15] = 199;
    expect(decode(latest, templates).records).toMatchObject([{ source: '10.0.0.1' }]);
  });

  it('does not let fields without a length multiply', () => {
    // 1000 fields of no byte and one of one: each byte of data would be a thousand fields.
    const fields = `${'0007 0000'.repeat(1000)} 0004 0001`;
    const template = `0002 ${(8 + 1001 * 4).toString(16).padStart(4, '0')} 0100 03e9 ${fields}`;
    const data = `0100 ea64 ${'06'.repeat(60_000)}`;
    const decoded = decode(ipfix(`${template} ${data}`));
    expectBounded(decoded);
    expect(decoded.problems).toMatchObject([{ code: 'too-much' }]);
  });

  it('says that something else is none of them', () => {
    for (const text of ['', '00', '0001', '00000004', '48656c6c6f']) {
      expect(decode(text)).toMatchObject({
        protocol: null,
        records: [],
        problems: [{ code: 'unknown-version' }],
      });
    }
  });
});

it('writes IPv6 addresses as RFC 5952 asks', () => {
  const written = (text: string): string => addressText(bytesOf(text));
  expect(written('00000000000000000000000000000000')).toBe('::');
  expect(written('00000000000000000000000000000001')).toBe('::1');
  expect(written('20010db8000000010001000100010001')).toBe('2001:db8:0:1:1:1:1:1');
  expect(written('20010db8000000000001000000000000')).toBe('2001:db8:0:0:1::');
  expect(written('00000000000000000000ffffc0000201')).toBe('::ffff:192.0.2.1');
});
