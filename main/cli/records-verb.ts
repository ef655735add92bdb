/** records: what a node's collector has received of flow export. collect: the collector itself, here. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  assertNever,
  type ExportRecord,
  type ExportTotal,
  type FlowRecord,
} from '../../agent/api/index.ts';
import { findApplicationRoot } from '../start/application-root.ts';
import { type Context, labOf } from './context.ts';
import { type ExitCode, printable, printFailure, printJson, printResult } from './output.ts';
import { agentOf } from './process-verbs.ts';

export interface RecordsOptions {
  readonly limit: number;
  readonly json?: boolean;
}

/** IANA protocol numbers that have a name that everybody knows. */
const protocolNames: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  6: 'tcp',
  17: 'udp',
  47: 'gre',
  58: 'icmpv6',
  89: 'ospf',
  132: 'sctp',
};

function endOf(address: string | null, port: number | null, mac: string | null): string {
  if (address === null) return mac ?? '?';
  if (port === null || port === 0) return address;
  return address.includes(':') ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
}

function describeFlow(flow: FlowRecord): readonly string[] {
  const word = (name: string, value: number | null): string[] =>
    value === null ? [] : [`${name} ${String(value)}`];
  const { ipProtocol, etherType } = flow;
  return [
    `${endOf(flow.source, flow.sourcePort, flow.sourceMac)} → ` +
      endOf(flow.destination, flow.destinationPort, flow.destinationMac),
    ...(ipProtocol === null
      ? etherType === null
        ? []
        : [`type 0x${etherType.toString(16).padStart(4, '0')}`]
      : [protocolNames[ipProtocol] ?? `protocol ${String(ipProtocol)}`]),
    ...word('packets', flow.packets),
    ...word('bytes', flow.bytes),
    ...word('vlan', flow.vlan),
    ...word('in', flow.input),
    ...word('out', flow.output),
    ...(flow.sampling === null || flow.sampling === 1 ? [] : [`1 in ${String(flow.sampling)}`]),
  ];
}

function describeRecord(record: ExportRecord): string {
  const words = [
    new Date(record.time).toISOString(),
    record.protocol,
    record.exporter,
    ...describeContent(record),
  ];
  return printable(words.join('  '));
}

function describeContent(record: ExportRecord): readonly string[] {
  switch (record.kind) {
    case 'flow':
      return describeFlow(record);
    case 'counters': {
      const { inBytes, inPackets, outBytes, outPackets } = record;
      if (record.interface === null) return ['counters of the exporter'];
      const counted = (bytes: number | null, packets: number | null): string =>
        `${String(bytes ?? '?')} bytes ${String(packets ?? '?')} packets`;
      return [
        `counters of interface ${String(record.interface)}`,
        `in ${counted(inBytes, inPackets)}`,
        `out ${counted(outBytes, outPackets)}`,
      ];
    }
    case 'options':
      return record.fields.map(({ name, value }) => `${name}=${String(value)}`);
    default:
      return assertNever(record);
  }
}

function describeTotal(total: ExportTotal): string {
  const { protocol, exporter, datagrams, flows, counters, options, packets, bytes } = total;
  const problems = Object.entries(total.problems).map(
    ([code, count]) => `${String(count)} ${code}`,
  );
  return printable(
    [
      `${protocol} from ${exporter}: ${String(datagrams)} datagrams`,
      `${String(flows)} flows (${String(packets)} packets, ${String(bytes)} bytes)`,
      ...(counters > 0 ? [`${String(counters)} of counters`] : []),
      ...(options > 0 ? [`${String(options)} of options`] : []),
      ...problems,
    ].join(', '),
  );
}

export async function records(
  context: Context,
  word: string,
  node: string,
  options: RecordsOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const agent = await agentOf(context, lab.value);
  if (!agent.ok) return printFailure(agent.failure, json);
  const { limit } = options;
  const found = await agent.value.call('collector.records', { lab: lab.value, node, limit });
  if (!found.ok) return printFailure(found.failure, json);
  if (json) {
    printJson(found.value);
    return 0;
  }
  // The latest last, as one reads a log.
  for (const record of [...found.value.records].reverse()) printResult(describeRecord(record));
  const { totals, running } = found.value;
  for (const total of totals) printResult(describeTotal(total));
  if (totals.length === 0) printResult('Nothing has come yet.');
  if (!running) printResult('The collector does not run.');
  return 0;
}

/** Goes on until it is ended. The program is the one that runs in nodes, which knows its own arguments. */
export async function collect(words: readonly string[]): Promise<number> {
  const file = path.join(findApplicationRoot(), 'dist/agent/collector.js');
  if (!existsSync(file)) {
    return printFailure({
      kind: 'unsupported',
      code: 'program-missing',
      object: file,
      reason: 'The collector is not built.',
      next: 'Run npm run build, or install Netloom again.',
      values: { program: 'collector.js' },
    });
  }
  const program: unknown = await import(pathToFileURL(file).href);
  if (!hasCollect(program)) throw new Error(`${file} is no collector`);
  await program.collect(words);
  return new Promise<never>(() => undefined);
}

function hasCollect(
  value: unknown,
): value is { readonly collect: (words: readonly string[]) => Promise<void> } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'collect' in value &&
    typeof value.collect === 'function'
  );
}
