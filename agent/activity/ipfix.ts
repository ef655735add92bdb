/**
 * IPFIX (RFC 7011): a header of 16 bytes and sets of templates (id 2), templates of options (3) and data (from 256 on).
 * Fields may be of a length that each record says, and of an enterprise. A template without fields takes one back, or
 * with the id of a set all of its kind (8.1).
 */
import { ByteReader } from './byte-reader.ts';
import { type DecodedExport, Decoding, type ExportArrival } from './export-decoding.ts';
import {
  type ExportTemplates,
  maximumFieldsOfTemplate,
  readSets,
  readSpecifier,
  scopeOf,
  type TemplateField,
  type TimeBase,
} from './export-templates.ts';

const templateSet = 2;
const optionsTemplateSet = 3;

/** Never throws, whatever the bytes are. `templates` is kept from one datagram to the next. */
export function decodeIpfix(
  bytes: Uint8Array,
  arrival: ExportArrival,
  templates: ExportTemplates,
): DecodedExport {
  const decoding = new Decoding('ipfix', arrival);
  const header = new ByteReader(bytes);
  const version = header.uint16();
  const length = header.uint16();
  const seconds = header.uint32();
  const sequence = header.uint32();
  const domain = header.uint32();
  if (header.failed) {
    decoding.problem('truncated', bytes.length);
    return decoding.done();
  }
  decoding.sequence = sequence;
  decoding.domain = domain;
  decoding.header = [
    { name: 'Version', value: version },
    { name: 'Length', value: length },
    { name: 'Export Time', value: seconds },
    { name: 'Sequence Number', value: sequence },
    { name: 'Observation Domain ID', value: domain },
  ];
  if (length < 16) {
    decoding.problem('bad-length', 2);
    return decoding.done();
  }
  if (length > bytes.length) decoding.problem('truncated', bytes.length);
  const reader = new ByteReader(bytes, header.at, length);
  const base: TimeBase = { exported: seconds * 1000, uptime: null };
  readSets(decoding, reader, templates, base, (id, set) => {
    if (id !== templateSet && id !== optionsTemplateSet) return;
    readTemplates(decoding, set, templates, id === optionsTemplateSet);
  });
  return decoding.done();
}

function readTemplates(
  decoding: Decoding,
  set: ByteReader,
  templates: ExportTemplates,
  options: boolean,
): void {
  while (set.left >= 4) {
    const start = set.at;
    const id = set.uint16();
    const count = set.uint16();
    if (count === 0) {
      if (id >= 256) templates.remove(scopeOf(decoding), id);
      else if (id === templateSet || id === optionsTemplateSet) {
        // It looks at all of them, and a datagram has room for many such.
        if (!decoding.spend(templates.size, start)) return;
        templates.removeAll(scopeOf(decoding), options);
      } else return;
      decoding.templates += 1;
      continue;
    }
    if (id < 256) return;
    const scopeCount = options ? set.uint16() : 0;
    if (!set.has(count * 4) || !decoding.spend(count, start)) {
      if (!set.has(count * 4)) decoding.problem('truncated', start);
      return;
    }
    const fields = Array.from({ length: count }, (_, index): TemplateField => {
      const field = readSpecifier(set, true);
      return index < scopeCount ? { ...field, name: `scope ${field.name}` } : field;
    });
    if (set.failed) {
      decoding.problem('truncated', start);
      return;
    }
    if (fields.length > maximumFieldsOfTemplate) {
      decoding.problem('too-much', start, id);
      continue;
    }
    decoding.templates += 1;
    templates.set(scopeOf(decoding), id, { fields, options });
  }
}
