/**
 * NetFlow version 5: a header of 24 bytes and up to 30 records of 48, of IPv4 flows in one direction. Source: Cisco,
 * "NetFlow Export Datagram Format", tables B-3 and B-4. Times of flows are milliseconds since the exporter started.
 */
import type { ExportField } from '../api/flow-export.ts';
import { addressText, ByteReader } from './byte-reader.ts';
import {
  type DecodedExport,
  Decoding,
  type ExportArrival,
  timeOfUptime,
} from './export-decoding.ts';

const headerLength = 24;
const recordLength = 48;

/** Never throws, whatever the bytes are. */
export function decodeNetflowV5(bytes: Uint8Array, arrival: ExportArrival): DecodedExport {
  const decoding = new Decoding('netflow-v5', arrival);
  const reader = new ByteReader(bytes);
  const version = reader.uint16();
  const count = reader.uint16();
  const systemUptime = reader.uint32();
  const seconds = reader.uint32();
  const nanoseconds = reader.uint32();
  const sequence = reader.uint32();
  const engineType = reader.uint8();
  const engineId = reader.uint8();
  const sampling = reader.uint16();
  if (reader.failed) {
    decoding.problem('truncated', bytes.length);
    return decoding.done();
  }
  decoding.sequence = sequence;
  decoding.domain = engineType * 256 + engineId;
  decoding.header = [
    { name: 'version', value: version },
    { name: 'count', value: count },
    { name: 'SysUptime', value: systemUptime },
    { name: 'unix_secs', value: seconds },
    { name: 'unix_nsecs', value: nanoseconds },
    { name: 'flow_sequence', value: sequence },
    { name: 'engine_type', value: engineType },
    { name: 'engine_id', value: engineId },
    { name: 'sampling_interval', value: sampling },
  ];
  // The upper two bits are the mode, the rest is the interval.
  const interval = sampling & 0x3fff;
  const exported = seconds * 1000 + Math.floor(nanoseconds / 1e6);
  for (let index = 0; index < count; index += 1) {
    if (!reader.has(recordLength)) {
      decoding.problem('truncated', headerLength + index * recordLength);
      break;
    }
    if (!decoding.spend(20, reader.at)) break;
    const fields = readRecord(reader.part(recordLength));
    const value = (name: string): number => {
      const found = fields.find((field) => field.name === name)?.value;
      return typeof found === 'number' ? found : 0;
    };
    const text = (name: string): string => String(fields.find((f) => f.name === name)?.value);
    decoding.addFlow(
      {
        source: text('srcaddr'),
        destination: text('dstaddr'),
        sourcePort: value('srcport'),
        destinationPort: value('dstport'),
        ipProtocol: value('prot'),
        tcpFlags: value('tcp_flags'),
        typeOfService: value('tos'),
        packets: value('dPkts'),
        bytes: value('dOctets'),
        start: timeOfUptime(exported, systemUptime, value('First')),
        end: timeOfUptime(exported, systemUptime, value('Last')),
        input: value('input'),
        output: value('output'),
        etherType: 0x0800,
        sampling: interval > 0 ? interval : null,
      },
      fields,
    );
  }
  return decoding.done();
}

function readRecord(reader: ByteReader): readonly ExportField[] {
  const fields: ExportField[] = [];
  const address = (name: string): void => {
    fields.push({ name, value: addressText(reader.slice(4)) });
  };
  const number = (name: string, value: number): void => {
    fields.push({ name, value });
  };
  address('srcaddr');
  address('dstaddr');
  address('nexthop');
  number('input', reader.uint16());
  number('output', reader.uint16());
  number('dPkts', reader.uint32());
  number('dOctets', reader.uint32());
  number('First', reader.uint32());
  number('Last', reader.uint32());
  number('srcport', reader.uint16());
  number('dstport', reader.uint16());
  reader.skip(1);
  number('tcp_flags', reader.uint8());
  number('prot', reader.uint8());
  number('tos', reader.uint8());
  number('src_as', reader.uint16());
  number('dst_as', reader.uint16());
  number('src_mask', reader.uint8());
  number('dst_mask', reader.uint8());
  return fields;
}
