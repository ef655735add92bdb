/**
 * NetFlow version 9 (RFC 3954): a header of 20 bytes and flow sets of templates (id 0), templates of options (1) and data
 * (from 256 on). The lengths of an options template are in bytes, those of an ordinary one in fields.
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

/** What the options of a scope are about (RFC 3954, 6.1). */
const scopes: ReadonlyMap<number, string> = new Map([
  [1, 'System'],
  [2, 'Interface'],
  [3, 'Line Card'],
  [4, 'Cache'],
  [5, 'Template'],
]);

/** Never throws, whatever the bytes are. `templates` is kept from one datagram to the next. */
export function decodeNetflowV9(
  bytes: Uint8Array,
  arrival: ExportArrival,
  templates: ExportTemplates,
): DecodedExport {
  const decoding = new Decoding('netflow-v9', arrival);
  const reader = new ByteReader(bytes);
  const version = reader.uint16();
  const count = reader.uint16();
  const systemUptime = reader.uint32();
  const seconds = reader.uint32();
  const sequence = reader.uint32();
  const source = reader.uint32();
  if (reader.failed) {
    decoding.problem('truncated', bytes.length);
    return decoding.done();
  }
  decoding.sequence = sequence;
  decoding.domain = source;
  decoding.header = [
    { name: 'Version', value: version },
    { name: 'Count', value: count },
    { name: 'sysUpTime', value: systemUptime },
    { name: 'UNIX Secs', value: seconds },
    { name: 'Sequence Number', value: sequence },
    { name: 'Source ID', value: source },
  ];
  const exported = seconds * 1000;
  const base: TimeBase = { exported, uptime: systemUptime };
  readSets(decoding, reader, templates, base, (id, set) => {
    if (id === 0) readTemplates(decoding, set, templates);
    else if (id === 1) readOptionsTemplates(decoding, set, templates);
  });
  return decoding.done();
}

function readTemplates(decoding: Decoding, set: ByteReader, templates: ExportTemplates): void {
  while (set.left >= 4) {
    const start = set.at;
    const id = set.uint16();
    const count = set.uint16();
    // What is left is padding.
    if (id < 256 || count === 0) return;
    if (!set.has(count * 4)) {
      decoding.problem('truncated', start);
      return;
    }
    if (!decoding.spend(count, start)) return;
    const fields = Array.from({ length: count }, () => readSpecifier(set, false));
    keep(decoding, templates, id, fields, false);
  }
}

function readOptionsTemplates(
  decoding: Decoding,
  set: ByteReader,
  templates: ExportTemplates,
): void {
  while (set.left >= 6) {
    const start = set.at;
    const id = set.uint16();
    const [scopeLength, optionLength] = [set.uint16(), set.uint16()];
    if (id < 256) return;
    const [scopeCount, optionCount] = [scopeLength >> 2, optionLength >> 2];
    if (!set.has(scopeLength + optionLength)) {
      decoding.problem('truncated', start);
      return;
    }
    if (!decoding.spend(scopeCount + optionCount, start)) return;
    const scoped = Array.from({ length: scopeCount }, (): TemplateField => {
      const type = set.uint16();
      const name = `scope ${scopes.get(type) ?? String(type)}`;
      return { name, type: 'unsigned', length: set.uint16() };
    });
    const fields = Array.from({ length: optionCount }, () => readSpecifier(set, false));
    keep(decoding, templates, id, [...scoped, ...fields], true);
    // Lengths that are no multiple of four leave us somewhere within.
    if ((scopeLength | optionLength) & 3) return;
  }
}

function keep(
  decoding: Decoding,
  templates: ExportTemplates,
  id: number,
  fields: readonly TemplateField[],
  options: boolean,
): void {
  if (fields.length > maximumFieldsOfTemplate) {
    decoding.problem('too-much', 0, id);
    return;
  }
  decoding.templates += 1;
  templates.set(scopeOf(decoding), id, { fields, options });
}
