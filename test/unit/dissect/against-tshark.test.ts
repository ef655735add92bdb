/** Every field of every sample beside tshark's of the same bytes: name, place, length and value. */
import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../../agent/dissect/capture/capture-reader.ts';
import type { CapturedPacket } from '../../../agent/dissect/capture/captured-packet.ts';
import { dissect } from '../../../agent/dissect/dissect.ts';
import { fieldCatalogue } from '../../../agent/dissect/field-catalogue.ts';
import { packetJson, type PacketJson } from '../../../agent/dissect/packet-json.ts';
import {
  differences,
  dissectByTshark,
  flatFields,
  sharkFieldNames,
  type SharkPacket,
} from '../../harness/tshark.ts';
import { sampleCapture } from './sample-capture.ts';
import { samples } from './samples.ts';

const capture = sampleCapture();

function readAll(file: Uint8Array): PacketJson[] {
  const reader = new CaptureReader();
  const packets: PacketJson[] = [];
  const show = (packet: CapturedPacket): void => {
    const { bytes, wireLength } = packet;
    packets.push(packetJson(packet, dissect(bytes, packet.interface.linkType, wireLength)));
  };
  for (const item of [...reader.push(file), ...reader.end()]) {
    if (item.kind === 'fault') throw new Error(JSON.stringify(item.fault));
    show(item.packet);
  }
  return packets;
}

const ours = readAll(capture);
const known = sharkFieldNames();
const shark = dissectByTshark(capture);

/** What display filters have no name for, or what is read otherwise there. */
const notThere = fieldCatalogue()
  .map(({ name }) => name)
  .filter((name) => !known.has(name));

describe('beside tshark', () => {
  it('has as many packets as there are samples', () => {
    expect(ours).toHaveLength(samples.length);
    expect(shark).toHaveLength(samples.length);
  });

  it('names fields as display filters do, but for those that these have no name for', () => {
    expect(notThere).toMatchInlineSnapshot(`
      [
        "ip.options",
        "ip.opt",
        "ip.opt.data",
        "ieee8021ad.etype",
        "ieee8021ad.len",
        "lldp.tlv",
        "lldp.mgn.obj.octets",
        "lldp.orgtlv.subtype",
        "lldp.orgtlv.data",
        "lldp.tlv.data",
        "stp.instances",
        "igmp.record",
        "tcp.option",
        "tcp.options.data",
        "icmpv6.opt.data",
        "ospf.auth.data",
        "ospf.hello.options",
        "dns.question",
        "dns.record",
        "dhcp.option.data",
        "rip.entry",
        "rip.auth.data",
        "dhcpv6.option",
        "dhcpv6.iaid.octets",
        "dhcpv6.search_domain",
        "dhcpv6.option.data",
        "cflow.uptime",
        "cflow.flow",
        "cflow.first",
        "cflow.last",
        "cflow.set",
        "cflow.set.data",
        "geneve.tlv",
        "sflow.sample",
        "sflow.sample.type",
        "sflow.sample.length",
        "sflow.flow_sample.source",
        "sflow.sample.data",
        "bgp.message",
        "bgp.open.parameters",
        "bgp.notify.subcode",
        "bgp.notify.data",
        "bgp.update.attributes",
        "openflow.message",
        "openflow.type",
        "openflow.body",
        "tls.handshake.extension",
        "http.header",
        "http.header.name",
        "http.header.value",
      ]
    `);
  });

  it.each(samples.map(({ name }, index) => ({ name, index })))('$name', ({ index }) => {
    const differs = ['data.data', ...(samples[index]?.differs ?? [])];
    const [packet, theirs] = [ours[index], shark[index]];
    if (packet === undefined || theirs === undefined) throw new Error('not there');
    expect(
      differences(packet, theirs, (name) => !known.has(name) || differs.includes(name)),
    ).toEqual([]);
    expect(packet.faults).toEqual([]);
  });

  it('finds the protocols that tshark finds', () => {
    const alike = samples.flatMap(({ name, differs = [] }, index) =>
      differs.includes('protocols') ? [] : [{ name, index }],
    );
    const found = alike.map(({ name, index }) => `${name}: ${protocolsOf(ours[index])}`);
    const theirs = alike.map(({ name, index }) => `${name}: ${sharkProtocolsOf(shark[index])}`);
    expect(found).toEqual(theirs);
  });

  it('gives each field that it may give in some sample', () => {
    const given = new Set(ours.flatMap((packet) => flatFields(packet).map(({ name }) => name)));
    const never = fieldCatalogue().filter(({ name }) => !given.has(name));
    expect(never.map(({ name }) => name)).toEqual([]);
  });
});

function protocolsOf(packet: PacketJson | undefined): string {
  return (packet?.layers ?? [])
    .map(({ protocol }) => protocol)
    .filter((name) => name !== 'data')
    .join(' ');
}

/** Those of its own accounting left out; extension headers are within IPv6 there, and quoted ones within ICMP. */
const accounting = ['geninfo', 'frame', 'fake-field-wrapper', 'data', 'raw'];
function sharkProtocolsOf(packet: SharkPacket | undefined): string {
  return (packet?.protocols ?? []).filter((name) => !accounting.includes(name)).join(' ');
}
