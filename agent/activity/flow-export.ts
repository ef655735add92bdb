/** Any of the protocols by the version that a datagram begins with: exporters are pointed at whatever port. */
import { type DecodedExport, type ExportArrival } from './export-decoding.ts';
import type { ExportTemplates } from './export-templates.ts';
import { decodeIpfix } from './ipfix.ts';
import { decodeNetflowV5 } from './netflow-v5.ts';
import { decodeNetflowV9 } from './netflow-v9.ts';
import { decodeSflowV5 } from './sflow-v5.ts';

/** Never throws, whatever the bytes are. `templates` is kept from one datagram to the next. */
export function decodeFlowExport(
  bytes: Uint8Array,
  arrival: ExportArrival,
  templates: ExportTemplates,
): DecodedExport {
  const [first, second, third, fourth] = bytes;
  if (first === 0 && second === 5) return decodeNetflowV5(bytes, arrival);
  if (first === 0 && second === 9) return decodeNetflowV9(bytes, arrival, templates);
  if (first === 0 && second === 10) return decodeIpfix(bytes, arrival, templates);
  // Its version has four bytes.
  if (first === 0 && second === 0 && third === 0 && fourth === 5) {
    return decodeSflowV5(bytes, arrival);
  }
  return {
    protocol: null,
    domain: 0,
    sequence: 0,
    header: [],
    records: [],
    templates: 0,
    problems: [{ code: 'unknown-version', offset: 0 }],
  };
}
