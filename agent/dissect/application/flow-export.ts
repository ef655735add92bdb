/**
 * Datagrams of flow export: their headers and sets with the bytes, and how many records they have, as the decoders of
 * `agent/activity` read them. Templates that came in other datagrams are not known to one packet.
 */
import { decodeFlowExport } from '../../activity/flow-export.ts';
import { ExportTemplates } from '../../activity/export-templates.ts';
import type { Protocol } from '../core/dissection.ts';
import { group, hexadecimal, ipv4, ipv6, meaningsOf, octets, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { uint16 } from '../core/octets.ts';

const version = unsigned('cflow.version', 'Version');
const count = unsigned('cflow.count', 'Count');
const length = unsigned('cflow.len', 'Length', { unit: 'bytes' });
const uptime = unsigned('cflow.uptime', 'Uptime', { unit: 'ms' });
const exported = unsigned('cflow.exporttime', 'Exported', { unit: 's' });
const seconds = unsigned('cflow.unix_secs', 'Exported', { unit: 's' });
const nanoseconds = unsigned('cflow.unix_nsecs', 'Exported, fraction', { unit: 'ns' });
const sequence = unsigned('cflow.sequence', 'Sequence number');
const engineType = unsigned('cflow.engine_type', 'Kind of engine');
const engine = unsigned('cflow.engine_id', 'Engine');
const samplingMode = unsigned('cflow.samplingmode', 'Sampling mode');
const samplingRate = unsigned('cflow.samplerate', 'Sampling rate');
const sourceId = unsigned('cflow.source_id', 'Source');
const domain = unsigned('cflow.od_id', 'Observation domain');
const flow = group('cflow.flow', 'Flow');
const flowSource = ipv4('cflow.srcaddr', 'Source');
const flowDestination = ipv4('cflow.dstaddr', 'Destination');
const flowNext = ipv4('cflow.nexthop', 'Next hop');
const flowInput = unsigned('cflow.inputint', 'Input interface');
const flowOutput = unsigned('cflow.outputint', 'Output interface');
const flowPackets = unsigned('cflow.packets', 'Packets');
const flowOctets = unsigned('cflow.octets', 'Bytes', { unit: 'bytes' });
const flowFirst = unsigned('cflow.first', 'First packet', { unit: 'ms' });
const flowLast = unsigned('cflow.last', 'Last packet', { unit: 'ms' });
const flowSourcePort = unsigned('cflow.srcport', 'Source port');
const flowDestinationPort = unsigned('cflow.dstport', 'Destination port');
const flowFlags = hexadecimal('cflow.tcpflags', 'TCP flags');
const flowProtocol = unsigned('cflow.protocol', 'Protocol');
const flowService = hexadecimal('cflow.tos', 'Type of service');
const set = group('cflow.set', 'Set');
const setId = unsigned('cflow.flowset_id', 'Set', {
  meanings: (value) =>
    value >= 256
      ? 'data'
      : { 0: 'templates', 1: 'options templates', 2: 'templates', 3: 'options templates' }[value],
});
const setLength = unsigned('cflow.flowset_length', 'Length', { unit: 'bytes' });
const setData = octets('cflow.set.data', 'Records');

function describeV5(tree: FieldTree): void {
  const flows = tree.unsigned(count, 2);
  tree.unsigned(uptime, 4);
  tree.unsigned(seconds, 4);
  tree.unsigned(nanoseconds, 4);
  tree.unsigned(sequence, 4);
  tree.unsigned(engineType, 1);
  tree.unsigned(engine, 1);
  const at = tree.at;
  tree.bits(samplingMode, at, 2, 0xc000);
  tree.bits(samplingRate, at, 2, 0x3fff);
  tree.skip(2);
  for (let index = 0; index < flows && !tree.failed; index += 1) {
    tree.group(flow, () => {
      tree.ipv4(flowSource);
      tree.ipv4(flowDestination);
      tree.ipv4(flowNext);
      tree.unsigned(flowInput, 2);
      tree.unsigned(flowOutput, 2);
      tree.unsigned(flowPackets, 4);
      tree.unsigned(flowOctets, 4);
      tree.unsigned(flowFirst, 4);
      tree.unsigned(flowLast, 4);
      tree.unsigned(flowSourcePort, 2);
      tree.unsigned(flowDestinationPort, 2);
      tree.skip(1);
      tree.unsigned(flowFlags, 1);
      tree.unsigned(flowProtocol, 1);
      tree.unsigned(flowService, 1);
      // Systems, prefix lengths and filling.
      tree.skip(8);
    });
  }
}

function describeSets(tree: FieldTree): void {
  while (tree.left >= 4) {
    tree.group(set, () => {
      tree.unsigned(setId, 2);
      const size = tree.unsigned(setLength, 2);
      if (tree.failed) return;
      if (size < 4) {
        tree.malformed(tree.at - 2);
        return;
      }
      tree.within(size - 4, () => {
        tree.octets(setData, tree.left);
      });
    });
  }
}

/** Records of a datagram, in words. */
function recordsText(bytes: Uint8Array): string {
  const { records, templates } = decodeFlowExport(
    bytes,
    { exporter: '', time: 0 },
    new ExportTemplates(),
  );
  const numbers = new Map<string, number>();
  for (const { kind } of records) numbers.set(kind, (numbers.get(kind) ?? 0) + 1);
  if (templates > 0) numbers.set('template', templates);
  const plural: Readonly<Record<string, string>> = {
    flow: 'flows',
    template: 'templates',
    counters: 'of counters',
    options: 'of options',
  };
  const words = [...numbers].map(([kind, number]) => {
    const name = number === 1 && (kind === 'flow' || kind === 'template') ? kind : plural[kind];
    return `${String(number)} ${name ?? kind}`;
  });
  return words.length === 0 ? 'no record whose template is known' : words.join(', ');
}

const titles: Readonly<Record<number, string>> = { 5: 'NetFlow v5', 9: 'NetFlow v9', 10: 'IPFIX' };

/** NetFlow and IPFIX. */
export const flowRecords: Protocol = {
  name: 'cflow',
  title: 'NetFlow',
  minimum: 16,
  fields: [
    version,
    count,
    length,
    uptime,
    exported,
    seconds,
    nanoseconds,
    sequence,
    engineType,
    engine,
    samplingMode,
    samplingRate,
    sourceId,
    domain,
    flow,
    flowSource,
    flowDestination,
    flowNext,
    flowInput,
    flowOutput,
    flowPackets,
    flowOctets,
    flowFirst,
    flowLast,
    flowSourcePort,
    flowDestinationPort,
    flowFlags,
    flowProtocol,
    flowService,
    set,
    setId,
    setLength,
    setData,
  ],
  titleOf: ({ bytes }, { start }) => titles[uint16(bytes, start)] ?? 'NetFlow',
  enter: () => undefined,
  describe(tree) {
    const which = tree.unsigned(version, 2);
    if (which === 5) {
      describeV5(tree);
    } else if (which === 9) {
      tree.unsigned(count, 2);
      tree.unsigned(uptime, 4);
      tree.unsigned(seconds, 4);
      tree.unsigned(sequence, 4);
      tree.unsigned(sourceId, 4);
      describeSets(tree);
    } else if (which === 10) {
      tree.unsigned(length, 2);
      tree.unsigned(exported, 4);
      tree.unsigned(sequence, 4);
      tree.unsigned(domain, 4);
      describeSets(tree);
    }
  },
  info: ({ bytes }, { start, end }) => recordsText(bytes.subarray(start, end)),
};

const sflowVersion = unsigned('sflow_245.version', 'Version');
const agentType = unsigned('sflow_245.agenttype', 'Kind of address', {
  meanings: meaningsOf({ 1: 'IPv4', 2: 'IPv6' }),
});
const agent = ipv4('sflow_245.agent', 'Agent');
const agent6 = ipv6('sflow_245.agent.v6', 'Agent');
const subAgent = unsigned('sflow_245.sub_agent_id', 'Sub-agent');
const sflowSequence = unsigned('sflow_245.sequence_number', 'Sequence number');
const sflowUptime = unsigned('sflow_245.sysuptime', 'Uptime', { unit: 'ms' });
const sampleCount = unsigned('sflow_245.numsamples', 'Samples');
const sampleFormats = meaningsOf({
  1: 'flow',
  2: 'counters',
  3: 'expanded flow',
  4: 'expanded counters',
});
const sample = group('sflow.sample', 'Sample');
const sampleType = unsigned('sflow.sample.type', 'Type', { meanings: sampleFormats });
const sampleLength = unsigned('sflow.sample.length', 'Length', { unit: 'bytes' });
const sampleSequence = unsigned('sflow.flow_sample.sequence_number', 'Sequence number');
const samplingInterval = unsigned('sflow.flow_sample.sampling_rate', 'Sampling rate');
const samplePool = unsigned('sflow.flow_sample.sample_pool', 'Packets to sample from');
const dropped = unsigned('sflow.flow_sample.dropped_packets', 'Dropped');
const source = hexadecimal('sflow.flow_sample.source', 'Source');
const countersSequence = unsigned('sflow.counters_sample.sequence_number', 'Sequence number');
const sampleData = octets('sflow.sample.data', 'Records');

function describeSample(tree: FieldTree): void {
  const type = tree.unsigned(sampleType, 4);
  tree.name(null, sampleFormats.get(type) ?? `type ${String(type)}`);
  tree.within(tree.unsigned(sampleLength, 4), () => {
    if (type === 1) {
      tree.unsigned(sampleSequence, 4);
      tree.unsigned(source, 4);
      tree.unsigned(samplingInterval, 4);
      tree.unsigned(samplePool, 4);
      tree.unsigned(dropped, 4);
    } else if (type === 2) {
      tree.unsigned(countersSequence, 4);
    }
    tree.octets(sampleData, tree.left);
  });
}

export const sampledFlow: Protocol = {
  name: 'sflow',
  title: 'sFlow',
  minimum: 8,
  fields: [
    sflowVersion,
    agentType,
    agent,
    agent6,
    subAgent,
    sflowSequence,
    sflowUptime,
    sampleCount,
    sample,
    sampleType,
    sampleLength,
    sampleSequence,
    samplingInterval,
    samplePool,
    dropped,
    source,
    countersSequence,
    sampleData,
  ],
  enter: () => undefined,
  describe(tree) {
    if (tree.unsigned(sflowVersion, 4) !== 5) return;
    const type = tree.unsigned(agentType, 4);
    if (type === 2) tree.ipv6(agent6);
    else tree.ipv4(agent);
    tree.unsigned(subAgent, 4);
    tree.unsigned(sflowSequence, 4);
    tree.unsigned(sflowUptime, 4);
    const samples = tree.unsigned(sampleCount, 4);
    for (let index = 0; index < samples && !tree.failed; index += 1) {
      tree.group(sample, () => {
        describeSample(tree);
      });
    }
  },
  info: ({ bytes }, { start, end }) => recordsText(bytes.subarray(start, end)),
};
