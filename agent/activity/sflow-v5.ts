/**
 * sFlow version 5 (sflow.org, "sFlow Version 5", July 2004; XDR, RFC 4506): flow samples, which carry the beginning of one
 * packet, and counter samples, both also in the expanded form. Structures that are not known are shown by their number.
 */
import type { CounterRecord, ExportField, FlowRecord } from '../api/flow-export.ts';
import { addressText, ByteReader, hexText, macText, plainText } from './byte-reader.ts';
import { type DecodedExport, Decoding, type ExportArrival, FieldIndex } from './export-decoding.ts';
import { type FrameHeader, readFrameHeader, readPacketHeader } from './frame-header.ts';

/** Octets of an unknown structure that are shown. */
const shownOctets = 64;

/** Never throws, whatever the bytes are. */
export function decodeSflowV5(bytes: Uint8Array, arrival: ExportArrival): DecodedExport {
  const decoding = new Decoding('sflow-v5', arrival);
  const reader = new ByteReader(bytes);
  const version = reader.uint32();
  const agent = readAddress(reader);
  const subAgent = reader.uint32();
  const sequence = reader.uint32();
  const uptime = reader.uint32();
  const count = reader.uint32();
  if (reader.failed) {
    decoding.problem('truncated', bytes.length);
    return decoding.done();
  }
  decoding.domain = subAgent;
  decoding.sequence = sequence;
  decoding.header = [
    { name: 'version', value: version },
    { name: 'agent_address', value: agent ?? '' },
    { name: 'sub_agent_id', value: subAgent },
    { name: 'sequence_number', value: sequence },
    { name: 'uptime', value: uptime },
    { name: 'samples', value: count },
  ];
  const origin = [{ name: 'agent_address', value: agent ?? '' }];
  for (let index = 0; index < count; index += 1) {
    const start = reader.at;
    if (!decoding.spend(1, start)) break;
    const { enterprise, format, body } = readStructure(reader);
    if (body === null) {
      decoding.problem('truncated', start);
      break;
    }
    if (enterprise !== 0) continue;
    if (format === 1 || format === 3) readFlowSample(decoding, body, format === 3, origin);
    else if (format === 2 || format === 4) readCounterSample(decoding, body, format === 4, origin);
    if (body.failed) decoding.problem('truncated', start);
  }
  return decoding.done();
}

interface Structure {
  readonly enterprise: number;
  readonly format: number;
  /** Null where its header is cut off. It is `failed` where the structure itself is. */
  readonly body: ByteReader | null;
}

/** A data format (20 bits enterprise, 12 bits format), a length and so many bytes, filled up to four. */
function readStructure(reader: ByteReader): Structure {
  const word = reader.uint32();
  const length = reader.uint32();
  const [enterprise, format] = [Math.floor(word / 4096), word % 4096];
  if (reader.failed) return { enterprise, format, body: null };
  const whole = reader.has(length);
  const body = reader.part(length);
  if (!whole) body.failed = true;
  else reader.skip(Math.min(reader.left, -length & 3));
  return { enterprise, format, body };
}

/** Type (1 IPv4, 2 IPv6) and address; null for another or none. */
function readAddress(reader: ByteReader): string | null {
  const type = reader.uint32();
  if (type !== 1 && type !== 2) return null;
  const bytes = reader.slice(type === 1 ? 4 : 16);
  return reader.failed ? null : addressText(bytes);
}

/** Format in the two upper bits: 0 an ifIndex, 1 a reason for which it was dropped, 2 several interfaces. */
function readInterface(reader: ByteReader, expanded: boolean): [format: number, value: number] {
  if (expanded) return [reader.uint32(), reader.uint32()];
  const word = reader.uint32();
  return [word >>> 30, word % 2 ** 30];
}

/** Index of an interface; null where it is none, or not known (0, or all bits set). */
function interfaceIndex([format, value]: readonly [number, number]): number | null {
  return format === 0 && value !== 0 && value !== 0x3fffffff && value !== 0xffffffff ? value : null;
}

function readSource(reader: ByteReader, expanded: boolean): [type: number, index: number] {
  if (expanded) return [reader.uint32(), reader.uint32()];
  const word = reader.uint32();
  return [word >>> 24, word & 0xffffff];
}

function readFlowSample(
  decoding: Decoding,
  reader: ByteReader,
  expanded: boolean,
  origin: readonly ExportField[],
): void {
  const start = reader.at;
  const sequence = reader.uint32();
  const [sourceType, sourceIndex] = readSource(reader, expanded);
  const rate = reader.uint32();
  const pool = reader.uint32();
  const drops = reader.uint32();
  const input = readInterface(reader, expanded);
  const output = readInterface(reader, expanded);
  const count = reader.uint32();
  if (reader.failed) return;
  const fields: ExportField[] = [
    ...origin,
    { name: 'sequence_number', value: sequence },
    { name: 'source_id_type', value: sourceType },
    { name: 'source_id_index', value: sourceIndex },
    { name: 'sampling_rate', value: rate },
    { name: 'sample_pool', value: pool },
    { name: 'drops', value: drops },
    { name: 'input', value: input[1] },
    { name: 'output', value: output[1] },
  ];
  let known: Partial<FlowRecord> = {
    packets: 1,
    sampling: rate > 0 ? rate : null,
    input: interfaceIndex(input),
    output: interfaceIndex(output),
  };
  for (let index = 0; index < count; index += 1) {
    if (!decoding.spend(1, reader.at)) break;
    const { enterprise, format, body } = readStructure(reader);
    if (body === null) break;
    const said = enterprise === 0 ? flowStructures.get(format) : undefined;
    if (said === undefined) fields.push(unknownStructure('flow', enterprise, format, body));
    else known = { ...known, ...said(body, fields, known) };
    if (body.failed) {
      reader.failed = true;
      break;
    }
  }
  if (!decoding.spend(fields.length, start)) return;
  decoding.addFlow(known, fields);
}

function unknownStructure(
  kind: string,
  enterprise: number,
  format: number,
  body: ByteReader,
): ExportField {
  const octets = body.slice(Math.min(shownOctets, body.left));
  return { name: `${kind} structure ${enterprise}:${format}`, value: hexText(octets) };
}

/** Reads a structure, adds its fields and gives what it tells of the flow. */
type FlowStructure = (
  reader: ByteReader,
  fields: ExportField[],
  known: Partial<FlowRecord>,
) => Partial<FlowRecord>;

/** header_protocol of a sampled header: whole frames, and packets of IPv4 and IPv6. */
const ethernetHeader = 1;
const ipHeaders: ReadonlySet<number> = new Set([11, 12]);

const flowStructures: ReadonlyMap<number, FlowStructure> = new Map<number, FlowStructure>([
  [
    1,
    (reader, fields, known) => {
      const protocol = reader.uint32();
      const frameLength = reader.uint32();
      const stripped = reader.uint32();
      const length = reader.uint32();
      const header = reader.slice(Math.min(length, reader.left));
      if (length > header.length) reader.failed = true;
      fields.push(
        { name: 'header_protocol', value: protocol },
        { name: 'frame_length', value: frameLength },
        { name: 'stripped', value: stripped },
        { name: 'header', value: hexText(header) },
      );
      const found: FrameHeader | null =
        protocol === ethernetHeader
          ? readFrameHeader(header)
          : ipHeaders.has(protocol)
            ? readPacketHeader(header)
            : null;
      if (found === null) return { bytes: frameLength };
      // The switch knows the VLAN of a frame without a tag.
      return { ...found, vlan: found.vlan ?? known.vlan ?? null, bytes: frameLength };
    },
  ],
  [
    2,
    (reader, fields, known) => {
      const length = reader.uint32();
      const sourceMac = macText(reader.slice(6));
      reader.skip(2);
      const destinationMac = macText(reader.slice(6));
      reader.skip(2);
      const etherType = reader.uint32();
      if (reader.failed) return {};
      fields.push(
        { name: 'ethernet_length', value: length },
        { name: 'src_mac', value: sourceMac },
        { name: 'dst_mac', value: destinationMac },
        { name: 'type', value: etherType },
      );
      return { sourceMac, destinationMac, etherType, bytes: known.bytes ?? length };
    },
  ],
  [3, (reader, fields, known) => readIpSample(reader, fields, known, 4)],
  [4, (reader, fields, known) => readIpSample(reader, fields, known, 16)],
  [
    1001,
    (reader, fields, known) => {
      const names = ['src_vlan', 'src_priority', 'dst_vlan', 'dst_priority'];
      const values = names.map((name) => ({ name, value: reader.uint32() }));
      if (reader.failed) return {};
      fields.push(...values);
      // 0 where the frame had no tag on that side.
      const tagged = [values[0], values[2]].find(
        (each) => each !== undefined && each.value > 0 && each.value <= 4094,
      );
      return { vlan: known.vlan ?? tagged?.value ?? null };
    },
  ],
  [
    1002,
    (reader, fields) => {
      const nextHop = readAddress(reader);
      fields.push(
        { name: 'nexthop', value: nextHop ?? '' },
        { name: 'src_mask', value: reader.uint32() },
        { name: 'dst_mask', value: reader.uint32() },
      );
      return {};
    },
  ],
  // Tunnels (sflow.org, "sFlow Tunnel Structures"): the outer addresses on the way out and in, then the identifier.
  [1023, tunnel('tunnel_egress')],
  [1024, tunnel('tunnel_ingress')],
  [1029, one('vni_egress')],
  [1030, one('vni_ingress')],
]);

function readIpSample(
  reader: ByteReader,
  fields: ExportField[],
  known: Partial<FlowRecord>,
  addressLength: 4 | 16,
): Partial<FlowRecord> {
  const length = reader.uint32();
  const ipProtocol = reader.uint32();
  const source = addressText(reader.slice(addressLength));
  const destination = addressText(reader.slice(addressLength));
  const sourcePort = reader.uint32();
  const destinationPort = reader.uint32();
  const tcpFlags = reader.uint32();
  const typeOfService = reader.uint32();
  if (reader.failed) return {};
  fields.push(
    { name: 'ip_length', value: length },
    { name: 'protocol', value: ipProtocol },
    { name: 'src_ip', value: source },
    { name: 'dst_ip', value: destination },
    { name: 'src_port', value: sourcePort },
    { name: 'dst_port', value: destinationPort },
    { name: 'tcp_flags', value: tcpFlags },
    { name: addressLength === 4 ? 'tos' : 'priority', value: typeOfService },
  );
  const ports = { source, destination, ipProtocol, sourcePort, destinationPort };
  return { ...ports, tcpFlags, typeOfService, bytes: known.bytes ?? length };
}

function tunnel(prefix: string): FlowStructure {
  return (reader, fields) => {
    const own: ExportField[] = [];
    readIpSample(reader, own, {}, 4);
    fields.push(...own.map(({ name, value }) => ({ name: `${prefix}.${name}`, value })));
    return {};
  };
}

function one(name: string): FlowStructure {
  return (reader, fields) => {
    fields.push({ name, value: reader.uint32() });
    return {};
  };
}

function readCounterSample(
  decoding: Decoding,
  reader: ByteReader,
  expanded: boolean,
  origin: readonly ExportField[],
): void {
  const start = reader.at;
  const sequence = reader.uint32();
  const [sourceType, sourceIndex] = readSource(reader, expanded);
  const count = reader.uint32();
  if (reader.failed) return;
  const fields: ExportField[] = [
    ...origin,
    { name: 'sequence_number', value: sequence },
    { name: 'source_id_type', value: sourceType },
    { name: 'source_id_index', value: sourceIndex },
  ];
  for (let index = 0; index < count; index += 1) {
    if (!decoding.spend(1, reader.at)) break;
    const { enterprise, format, body } = readStructure(reader);
    if (body === null) break;
    const layout = enterprise === 0 ? counterStructures.get(format) : undefined;
    if (layout === undefined) fields.push(unknownStructure('counter', enterprise, format, body));
    else readLayout(body, layout, fields);
    if (body.failed) {
      reader.failed = true;
      break;
    }
  }
  if (!decoding.spend(fields.length, start)) return;
  decoding.add({
    kind: 'counters',
    ...decoding.common,
    ...countersOf(fields),
    fields,
  });
}

function countersOf(
  fields: readonly ExportField[],
): Pick<
  CounterRecord,
  'interface' | 'inBytes' | 'inPackets' | 'outBytes' | 'outPackets' | 'speed'
> {
  const index = new FieldIndex(fields);
  const sum = (...names: readonly string[]): number | null => {
    const [first, ...others] = names.map((name) => index.number(name));
    if (first === undefined || first === null) return null;
    // All bits set: not counted.
    return others.reduce<number>((total, value) => total + counted(value), counted(first));
  };
  return {
    interface: index.number('ifIndex'),
    inBytes: told(index.number('ifInOctets')),
    inPackets: sum('ifInUcastPkts', 'ifInMulticastPkts', 'ifInBroadcastPkts'),
    outBytes: told(index.number('ifOutOctets')),
    outPackets: sum('ifOutUcastPkts', 'ifOutMulticastPkts', 'ifOutBroadcastPkts'),
    speed: index.number('ifSpeed'),
  };
}

/** As `counted`, of 64 bits. */
function told(value: number | null): number | null {
  return value !== null && value < 2 ** 64 - 1 ? value : null;
}

function counted(value: number | null): number {
  return value === null || value === 0xffffffff ? 0 : value;
}

/** Text is preceded by its length, a MAC filled up to eight bytes. */
type CounterKind = 'uint32' | 'uint64' | 'text' | 'mac';
type CounterLayout = readonly (readonly [name: string, kind: CounterKind])[];

function words(...names: readonly string[]): CounterLayout {
  return names.map((name) => [name, 'uint32'] as const);
}

const counterStructures: ReadonlyMap<number, CounterLayout> = new Map<number, CounterLayout>([
  // Generic interface (RFC 2863)
  [
    1,
    [
      ...words('ifIndex', 'ifType'),
      ['ifSpeed', 'uint64'],
      ...words('ifDirection', 'ifStatus'),
      ['ifInOctets', 'uint64'],
      ...words(
        'ifInUcastPkts',
        'ifInMulticastPkts',
        'ifInBroadcastPkts',
        'ifInDiscards',
        'ifInErrors',
        'ifInUnknownProtos',
      ),
      ['ifOutOctets', 'uint64'],
      ...words(
        'ifOutUcastPkts',
        'ifOutMulticastPkts',
        'ifOutBroadcastPkts',
        'ifOutDiscards',
        'ifOutErrors',
        'ifPromiscuousMode',
      ),
    ],
  ],
  // Ethernet (RFC 2358)
  [
    2,
    words(
      'dot3StatsAlignmentErrors',
      'dot3StatsFCSErrors',
      'dot3StatsSingleCollisionFrames',
      'dot3StatsMultipleCollisionFrames',
      'dot3StatsSQETestErrors',
      'dot3StatsDeferredTransmissions',
      'dot3StatsLateCollisions',
      'dot3StatsExcessiveCollisions',
      'dot3StatsInternalMacTransmitErrors',
      'dot3StatsCarrierSenseErrors',
      'dot3StatsFrameTooLongs',
      'dot3StatsInternalMacReceiveErrors',
      'dot3StatsSymbolErrors',
    ),
  ],
  // VLAN
  [
    5,
    [
      ['vlan_id', 'uint32'],
      ['octets', 'uint64'],
      ...words('ucastPkts', 'multicastPkts', 'broadcastPkts', 'discards'),
    ],
  ],
  // LACP (sflow.org, "sFlow LAG Counters Structure")
  [
    7,
    [
      ['dot3adAggPortActorSystemID', 'mac'],
      ['dot3adAggPortPartnerOperSystemID', 'mac'],
      ...words(
        'dot3adAggPortAttachedAggID',
        'dot3adAggPortState',
        'dot3adAggPortStatsLACPDUsRx',
        'dot3adAggPortStatsMarkerPDUsRx',
        'dot3adAggPortStatsMarkerResponsePDUsRx',
        'dot3adAggPortStatsUnknownRx',
        'dot3adAggPortStatsIllegalRx',
        'dot3adAggPortStatsLACPDUsTx',
        'dot3adAggPortStatsMarkerPDUsTx',
        'dot3adAggPortStatsMarkerResponsePDUsTx',
      ),
    ],
  ],
  // Processor: hundredths of a percent, bytes
  [
    1001,
    [...words('5s_cpu', '1m_cpu', '5m_cpu'), ['total_memory', 'uint64'], ['free_memory', 'uint64']],
  ],
  // OpenFlow port and port name (sflow.org, "sFlow OpenFlow Structures")
  [
    1004,
    [
      ['datapath_id', 'uint64'],
      ['port_no', 'uint32'],
    ],
  ],
  [1005, [['port_name', 'text']]],
  // Resources of the switch's process: milliseconds, bytes, counts (sflow.org, "sFlow Application Structures")
  [
    2203,
    [
      ...words('user_time', 'system_time'),
      ['mem_used', 'uint64'],
      ['mem_max', 'uint64'],
      ...words('fd_open', 'fd_max', 'conn_open', 'conn_max'),
    ],
  ],
  // Open vSwitch's datapath
  [2207, words('dp_hits', 'dp_misses', 'dp_lost', 'dp_mask_hits', 'dp_flows', 'dp_masks')],
]);

function readLayout(reader: ByteReader, layout: CounterLayout, fields: ExportField[]): void {
  for (const [name, kind] of layout) {
    const value = readCounter(reader, kind);
    if (reader.failed) return;
    fields.push({ name, value });
  }
}

function readCounter(reader: ByteReader, kind: CounterKind): number | string {
  switch (kind) {
    case 'uint32':
      return reader.uint32();
    case 'uint64':
      return reader.uint64();
    case 'mac': {
      const text = macText(reader.slice(6));
      reader.skip(2);
      return text;
    }
    case 'text': {
      const length = reader.uint32();
      return plainText(reader.slice(length));
    }
  }
}
