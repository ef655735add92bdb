/**
 * Templates of NetFlow v9 and IPFIX: what the fields of data records are. They hold for one exporter and one observation
 * domain (RFC 3954, 5.1; RFC 7011, 8), come again every so often, and the last one of an id counts.
 */
import type { ExportField, FlowRecord } from '../api/flow-export.ts';
import {
  addressText,
  type ByteReader,
  exactAt,
  hexText,
  macText,
  plainText,
  unsignedAt,
} from './byte-reader.ts';
import { type Decoding, FieldIndex, timeOfUptime } from './export-decoding.ts';
import { elementOf, type ElementType } from './information-elements.ts';

/** Length of a field that says its own in each record (RFC 7011, 7). */
export const variableLength = 0xffff;

export interface TemplateField {
  readonly name: string;
  readonly type: ElementType;
  /** Bytes, or `variableLength`. */
  readonly length: number;
}

export interface ExportTemplate {
  readonly fields: readonly TemplateField[];
  /** Whether it is of options: its data tell of the exporter. */
  readonly options: boolean;
}

/** Templates and their fields that are kept; the one that was used longest ago goes first. */
const maximumTemplates = 4096;
const maximumFieldsKept = 65_536;
/** More fields than any exporter has; one record of them is not worth reading. */
export const maximumFieldsOfTemplate = 1024;

export class ExportTemplates {
  /** By exporter, protocol, domain and id; the one that was used last is last. */
  private readonly templates = new Map<string, ExportTemplate>();
  private fields = 0;

  get size(): number {
    return this.templates.size;
  }

  set(scope: string, id: number, template: ExportTemplate): void {
    this.remove(scope, id);
    this.templates.set(`${scope} ${id}`, template);
    this.fields += template.fields.length;
    for (const [key, oldest] of this.templates) {
      if (this.templates.size <= maximumTemplates && this.fields <= maximumFieldsKept) break;
      this.templates.delete(key);
      this.fields -= oldest.fields.length;
    }
  }

  get(scope: string, id: number): ExportTemplate | undefined {
    const key = `${scope} ${id}`;
    const found = this.templates.get(key);
    if (found === undefined) return undefined;
    this.templates.delete(key);
    this.templates.set(key, found);
    return found;
  }

  remove(scope: string, id: number): void {
    const key = `${scope} ${id}`;
    this.fields -= this.templates.get(key)?.fields.length ?? 0;
    this.templates.delete(key);
  }

  removeAll(scope: string, options: boolean): void {
    for (const [key, template] of this.templates) {
      if (!key.startsWith(`${scope} `) || template.options !== options) continue;
      this.fields -= template.fields.length;
      this.templates.delete(key);
    }
  }
}

export function scopeOf({ protocol, arrival, domain }: Decoding): string {
  return `${arrival.exporter} ${protocol} ${domain}`;
}

/** One field specifier; `enterprises` as in IPFIX, where the first bit says that the number of an enterprise follows. */
export function readSpecifier(reader: ByteReader, enterprises: boolean): TemplateField {
  const id = reader.uint16();
  const length = reader.uint16();
  const own = enterprises && id >= 0x8000;
  const enterprise = own ? reader.uint32() : 0;
  return { ...elementOf(enterprise, own ? id - 0x8000 : id), length };
}

/** The value of a field, by its type and as long as it came. */
function valueOf(type: ElementType, bytes: Uint8Array): number | string {
  const { length } = bytes;
  switch (type) {
    case 'unsigned':
      return length >= 1 && length <= 16 ? exactAt(bytes, 0, length) : hexText(bytes);
    case 'float': {
      const view = new DataView(bytes.buffer, bytes.byteOffset, length);
      const value =
        length === 4 ? view.getFloat32(0) : length === 8 ? view.getFloat64(0) : Number.NaN;
      // JSON has neither infinity nor NaN.
      return Number.isFinite(value) ? value : hexText(bytes);
    }
    case 'address':
      return length === 4 || length === 16 ? addressText(bytes) : hexText(bytes);
    case 'mac':
      return length === 6 ? macText(bytes) : hexText(bytes);
    case 'string':
      return plainText(bytes);
    case 'octets':
      return hexText(bytes);
    case 'seconds':
      return length >= 1 && length <= 6 ? unsignedAt(bytes, 0, length) * 1000 : hexText(bytes);
    case 'milliseconds':
      return length >= 1 && length <= 8 ? exactAt(bytes, 0, length) : hexText(bytes);
    case 'ntp': {
      if (length !== 8) return hexText(bytes);
      const seconds = unsignedAt(bytes, 0, 4) - secondsTo1970;
      return seconds * 1000 + (unsignedAt(bytes, 4, 4) / 2 ** 32) * 1000;
    }
  }
}

/** From 1900, where NTP begins (RFC 5905). */
const secondsTo1970 = 2_208_988_800;

/** Reads one record, or null when it does not end within the set. */
export function readTemplateRecord(
  reader: ByteReader,
  template: ExportTemplate,
): readonly ExportField[] | null {
  const fields: ExportField[] = [];
  for (const { name, type, length } of template.fields) {
    let actual = length;
    if (length === variableLength) {
      actual = reader.uint8();
      if (actual === 255) actual = reader.uint16();
    }
    const bytes = reader.slice(actual);
    if (reader.failed) return null;
    fields.push({ name, value: valueOf(type, bytes) });
  }
  return fields;
}

/** Fewest bytes of a record. */
function shortestRecord({ fields }: ExportTemplate): number {
  let sum = 0;
  for (const { length } of fields) sum += length === variableLength ? 1 : length;
  return sum;
}

export interface TimeBase {
  /** Milliseconds since the epoch at which the datagram was exported. */
  readonly exported: number;
  /** Milliseconds since the exporter started; null where it does not say. */
  readonly uptime: number | null;
}

/**
 * Reads sets one after the other, as NetFlow v9 and IPFIX have them: an id, the length of the whole, and records. Ids below 256
 * are the protocol's own, and `define` knows which of them define templates; the others are those of templates.
 */
export function readSets(
  decoding: Decoding,
  reader: ByteReader,
  templates: ExportTemplates,
  base: TimeBase,
  define: (id: number, set: ByteReader) => void,
): void {
  while (reader.left >= 4) {
    const start = reader.at;
    const id = reader.uint16();
    const length = reader.uint16();
    if (length < 4) {
      decoding.problem('bad-length', start);
      return;
    }
    const set = reader.part(length - 4);
    if (reader.failed) decoding.problem('truncated', start);
    if (id < 256) {
      define(id, set);
      continue;
    }
    const template = templates.get(scopeOf(decoding), id);
    if (template === undefined) decoding.problem('unknown-template', start, id);
    else if (!readDataSet(decoding, set, template, base)) return;
  }
}

/** Reads the records of a data set: as many as fit, what is shorter than one is padding (RFC 7011, 3.3.1). */
function readDataSet(
  decoding: Decoding,
  reader: ByteReader,
  template: ExportTemplate,
  base: TimeBase,
): boolean {
  const shortest = shortestRecord(template);
  if (shortest === 0) {
    decoding.problem('bad-length', reader.at);
    return true;
  }
  while (reader.left >= shortest) {
    if (!decoding.spend(template.fields.length, reader.at)) return false;
    const start = reader.at;
    const fields = readTemplateRecord(reader, template);
    if (fields === null) {
      // Three bytes or fewer may be padding that looks like a field without an end.
      if (reader.end - start > 3) decoding.problem('truncated', start);
      return true;
    }
    if (template.options)
      decoding.add({ kind: 'options', ...decoding.common, fields: [...fields] });
    else decoding.addFlow(flowOf(fields, base), fields);
  }
  return true;
}

/** What the elements of a flow are in the common shape. */
function flowOf(fields: readonly ExportField[], base: TimeBase): Partial<FlowRecord> {
  const index = new FieldIndex(fields);
  const since = (milliseconds: number | null): number | null =>
    milliseconds === null || base.uptime === null
      ? null
      : timeOfUptime(base.exported, base.uptime, milliseconds);
  // Before the time of the header (RFC 5102, 5.9.9).
  const before = (microseconds: number | null): number | null =>
    microseconds === null ? null : base.exported - microseconds / 1000;
  const probability = index.number('samplingProbability');
  const start =
    index.number(
      'flowStartMilliseconds',
      'flowStartSeconds',
      'flowStartMicroseconds',
      'flowStartNanoseconds',
    ) ??
    since(index.number('flowStartSysUpTime')) ??
    before(index.number('flowStartDeltaMicroseconds'));
  const end =
    index.number(
      'flowEndMilliseconds',
      'flowEndSeconds',
      'flowEndMicroseconds',
      'flowEndNanoseconds',
    ) ??
    since(index.number('flowEndSysUpTime')) ??
    before(index.number('flowEndDeltaMicroseconds'));
  const version = index.number('ipVersion');
  return {
    source: index.text('sourceIPv4Address', 'sourceIPv6Address'),
    destination: index.text('destinationIPv4Address', 'destinationIPv6Address'),
    sourcePort: index.number('sourceTransportPort', 'tcpSourcePort', 'udpSourcePort'),
    destinationPort: index.number(
      'destinationTransportPort',
      'tcpDestinationPort',
      'udpDestinationPort',
    ),
    ipProtocol: index.number('protocolIdentifier'),
    tcpFlags: index.number('tcpControlBits'),
    typeOfService: index.number('ipClassOfService'),
    packets: index.number('packetDeltaCount', 'packetTotalCount'),
    bytes: index.number(
      'octetDeltaCount',
      'octetTotalCount',
      'layer2OctetDeltaCount',
      'layer2OctetTotalCount',
    ),
    start,
    end,
    input: index.number('ingressInterface', 'ingressPhysicalInterface'),
    output: index.number('egressInterface', 'egressPhysicalInterface'),
    vlan: index.number('dot1qVlanId', 'vlanId'),
    sourceMac: index.text('sourceMacAddress', 'postSourceMacAddress'),
    destinationMac: index.text('destinationMacAddress', 'postDestinationMacAddress'),
    etherType:
      index.number('ethernetType') ?? (version === 4 ? 0x0800 : version === 6 ? 0x86dd : null),
    sampling:
      index.number('samplingInterval') ??
      (probability === null || probability <= 0 ? null : Math.round(1 / probability)),
  };
}
