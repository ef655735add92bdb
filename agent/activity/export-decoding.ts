/** What the decoders of flow export have in common. */
import type {
  ExportField,
  ExportProblemCode,
  ExportRecord,
  FlowExportProtocol,
  FlowRecord,
} from '../api/flow-export.ts';
import { approximate } from './byte-reader.ts';

/** Where a datagram came from and when: milliseconds since the epoch. */
export interface ExportArrival {
  readonly exporter: string;
  readonly time: number;
}

export interface ExportProblem {
  readonly code: ExportProblemCode;
  /** Byte of the datagram where it was seen. */
  readonly offset: number;
  /** Id of the template that has not come. */
  readonly template?: number;
}

export interface DecodedExport {
  /** Null when it is none of the protocols. */
  readonly protocol: FlowExportProtocol | null;
  readonly domain: number;
  /** As the protocol counts: datagrams (sFlow, NetFlow v9), or the records before this one (NetFlow v5, IPFIX). */
  readonly sequence: number;
  /** Of the header, as exported. */
  readonly header: readonly ExportField[];
  /** What was read before the first problem that ends it is kept. */
  readonly records: readonly ExportRecord[];
  /** Templates that it brought or took back. */
  readonly templates: number;
  /** At most `maximumProblems`. */
  readonly problems: readonly ExportProblem[];
}

export const maximumProblems = 16;

/** A datagram has at most 64 KiB, but a template may ask for many fields of no length at all. */
export const maximumFieldsOfDatagram = 65_536;
export const maximumRecordsOfDatagram = 8192;

/** Collects what a datagram says, within the limits. */
export class Decoding {
  readonly protocol: FlowExportProtocol;
  readonly arrival: ExportArrival;
  domain = 0;
  sequence = 0;
  templates = 0;
  header: readonly ExportField[] = [];
  private readonly records: ExportRecord[] = [];
  private readonly problems: ExportProblem[] = [];
  private fields = 0;

  constructor(protocol: FlowExportProtocol, arrival: ExportArrival) {
    this.protocol = protocol;
    this.arrival = arrival;
  }

  problem(code: ExportProblemCode, offset: number, template?: number): void {
    if (this.problems.length >= maximumProblems) return;
    this.problems.push({ code, offset, ...(template === undefined ? {} : { template }) });
  }

  /** False when there is enough: says so once, and the decoder ends. */
  spend(fields: number, offset: number): boolean {
    this.fields += fields;
    const within =
      this.fields <= maximumFieldsOfDatagram && this.records.length < maximumRecordsOfDatagram;
    if (!within && this.problems.at(-1)?.code !== 'too-much') this.problem('too-much', offset);
    return within;
  }

  get common(): Pick<ExportRecord, 'protocol' | 'exporter' | 'domain' | 'time'> {
    const { exporter, time } = this.arrival;
    return { protocol: this.protocol, exporter, domain: this.domain, time };
  }

  add(record: ExportRecord): void {
    this.records.push(record);
  }

  /** A flow of which only what is given is known. */
  addFlow(known: Partial<FlowRecord>, fields: readonly ExportField[]): void {
    // Exporters put type and code of ICMP in the place of the port.
    const isIcmp = known.ipProtocol === 1 || known.ipProtocol === 58;
    this.records.push({
      kind: 'flow',
      ...this.common,
      source: null,
      destination: null,
      sourcePort: null,
      destinationPort: null,
      ipProtocol: null,
      tcpFlags: null,
      typeOfService: null,
      packets: null,
      bytes: null,
      start: null,
      end: null,
      input: null,
      output: null,
      vlan: null,
      sourceMac: null,
      destinationMac: null,
      etherType: null,
      sampling: null,
      ...known,
      ...(isIcmp ? { sourcePort: null, destinationPort: null } : {}),
      fields: [...fields],
    });
  }

  done(): DecodedExport {
    const { protocol, domain, sequence, header, records, templates, problems } = this;
    return { protocol, domain, sequence, header, records, templates, problems };
  }
}

/**
 * When an exporter's clock of milliseconds since its start showed `then`, that shows `uptime` at `exported` (milliseconds
 * since the epoch). The clock has 32 bits, so it is the nearer of the times that it may be: what lies before the start has
 * wrapped.
 */
export function timeOfUptime(exported: number, uptime: number, then: number): number {
  return exported - ((uptime - then) | 0);
}

/** Fields by name: the first of a name counts. */
export class FieldIndex {
  private readonly values = new Map<string, number | string>();

  constructor(fields: readonly ExportField[]) {
    for (const { name, value } of fields) if (!this.values.has(name)) this.values.set(name, value);
  }

  /** The first of the names that is there, as a number. */
  number(...names: readonly string[]): number | null {
    for (const name of names) {
      const value = this.values.get(name);
      if (value === undefined) continue;
      const number = approximate(value);
      if (Number.isFinite(number)) return number;
    }
    return null;
  }

  text(...names: readonly string[]): string | null {
    for (const name of names) {
      const value = this.values.get(name);
      if (typeof value === 'string') return value;
    }
    return null;
  }
}
