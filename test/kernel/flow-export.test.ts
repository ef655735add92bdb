/**
 * Real exporters: a private Open vSwitch (NetFlow v5, IPFIX, sFlow v5) and softflowd (NetFlow v9, IPFIX), whose datagrams
 * the decoders read, and tshark beside them, field by field.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type {
  CounterRecord,
  ExportRecord,
  FlowExportProtocol,
  FlowRecord,
} from '../../agent/api/flow-export.ts';
import { ExportTemplates } from '../../agent/activity/export-templates.ts';
import { decodeFlowExport } from '../../agent/activity/flow-export.ts';
import { probeEcho } from '../../agent/kernel/echo.ts';
import {
  closeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
} from '../../agent/kernel/namespaces.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';

const directory = mkdtempSync(join(tmpdir(), 'netloom-export-'));
const handles = new Map<string, NamespaceHandle>();
const ports = { netflow: 2055, ipfix: 4739, sflow: 6343 } as const;
const collectorAddress = '192.0.2.2';
const exporterAddress = '192.0.2.1';

interface Received {
  readonly port: number;
  readonly from: string;
  readonly bytes: Uint8Array;
}
const received: Received[] = [];
const listeners: ChildProcess[] = [];

function run(line: string): void {
  const [file = '', ...words] = line.trim().split(/\s+/);
  execFileSync(file, words, { stdio: 'pipe', env: environment });
}

const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  OVS_RUNDIR: directory,
  OVS_DBDIR: directory,
  OVS_LOGDIR: directory,
};
const database = `unix:${directory}/db.sock`;

function vsctl(...words: readonly string[]): void {
  execFileSync('ovs-vsctl', [`--db=${database}`, ...words], { stdio: 'pipe', env: environment });
}

/** Prints every datagram as a line: port, sender and bytes in base64. */
const listenerScript = `
  const { createSocket } = require('node:dgram');
  let open = 0;
  const ports = process.argv.slice(1).map(Number);
  for (const port of ports) {
    const socket = createSocket('udp4');
    socket.on('message', (bytes, { address }) =>
      console.log([port, address, bytes.toString('base64')].join(' ')),
    );
    socket.bind(port, () => (open += 1) === ports.length && console.log('open'));
  }
`;

/** Keeps what comes to a host from then on. */
async function listen(host: string, at: readonly number[]): Promise<void> {
  const words = ['netns', 'exec', host, process.execPath, '-e', listenerScript, ...at.map(String)];
  const listener = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
  listeners.push(listener);
  const lines = createInterface({ input: listener.stdout });
  await new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      if (line === 'open') return resolve();
      const [port = '', from = '', bytes = ''] = line.split(' ');
      received.push({ port: Number(port), from, bytes: Buffer.from(bytes, 'base64') });
    });
  });
}

function startSwitch(): void {
  run(`ovsdb-tool create ${directory}/conf.db /usr/share/openvswitch/vswitch.ovsschema`);
  run(
    `ovsdb-server ${directory}/conf.db --remote=p${database} --unixctl=${directory}/database.ctl
    --pidfile=${directory}/database.pid --log-file=${directory}/database.log --detach`,
  );
  vsctl('--no-wait', 'init');
  run(
    `ovs-vswitchd ${database} --disable-system --unixctl=${directory}/switch.ctl
    --pidfile=${directory}/switch.pid --log-file=${directory}/switch.log --detach`,
  );
}

async function endSwitch(): Promise<void> {
  for (const name of ['switch', 'database']) {
    const file = `${directory}/${name}.pid`;
    if (!existsSync(file)) continue;
    const pid = Number(readFileSync(file, 'utf8'));
    process.kill(pid, 'SIGKILL');
    await vi.waitUntil(() => !existsSync(`/proc/${pid}`), { timeout: 10_000 });
  }
}

/** Hosts a and b at ports of br0 in VLAN 7; c, which collects, beside the switch. */
beforeAll(async () => {
  requirePrivateNamespaces();
  for (const name of ['a', 'b', 'c']) {
    run(`ip netns add ${name}`);
    handles.set(name, must(openNamespaceByName(name)));
  }
  run('ip link set lo up');
  for (const [port, host, name, address] of [
    ['pa', 'a', 'e0', '10.0.0.1/24'],
    ['pb', 'b', 'e0', '10.0.0.2/24'],
    ['x0', 'c', 'x1', `${collectorAddress}/24`],
  ] as const) {
    run(`ip link add ${port} type veth peer name ${name} netns ${host}`);
    run(`ip -n ${host} address add ${address} dev ${name}`);
    run(`ip -n ${host} link set ${name} up`);
    run(`ip link set ${port} up`);
  }
  run(`ip address add ${exporterAddress}/24 dev x0`);
  await listen('c', Object.values(ports));
  startSwitch();
  vsctl(
    ...'add-br br0 -- set Bridge br0 datapath_type=netdev'.split(' '),
    ...'-- add-port br0 pa tag=7 -- add-port br0 pb tag=7'.split(' '),
    ...'-- --id=@n create NetFlow active-timeout=1 engine-id=3 engine-type=2'.split(' '),
    `targets="${collectorAddress}:${ports.netflow}"`,
    ...'-- --id=@s create sFlow agent=x0 sampling=1 polling=2 header=128'.split(' '),
    `targets="${collectorAddress}:${ports.sflow}"`,
    ...'-- --id=@i create IPFIX sampling=1 obs_domain_id=11 obs_point_id=12'.split(' '),
    'cache_active_timeout=1',
    `targets="${collectorAddress}:${ports.ipfix}"`,
    ...'-- set Bridge br0 netflow=@n sflow=@s ipfix=@i'.split(' '),
  );
  // A trunk: what is flooded leaves there with a tag.
  run('ip link set br0 up');
}, 60_000);

function linksHere(): readonly string[] {
  const links = JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as {
    ifname: string;
  }[];
  return links.map(({ ifname }) => ifname).filter((name) => name !== 'lo');
}

afterAll(async () => {
  for (const listener of listeners) listener.kill('SIGKILL');
  await endSwitch();
  for (const [name, handle] of handles) {
    closeNamespace(handle);
    run(`ip netns del ${name}`);
  }
  // The switch's own taps outlive it, and the end of a namespace takes the kernel a moment.
  await vi.waitFor(
    () => {
      for (const name of linksHere()) {
        try {
          run(`ip link del ${name}`);
        } catch {
          // It went with its other end.
        }
      }
      expect(linksHere()).toEqual([]);
    },
    { timeout: 20_000, interval: 50 },
  );
  rmSync(directory, { recursive: true, force: true });
});

/** A question for b's MAC, which every port of the VLAN hears; an echo from a to b, then a datagram to a port of b. */
async function talk(): Promise<void> {
  run('ip -n a neighbour flush dev e0');
  const echo = await probeEcho({
    namespaceFd: handles.get('a')?.fd ?? -1,
    destination: '10.0.0.2',
    timeoutMilliseconds: 5000,
    signal: new AbortController().signal,
  });
  expect(must(echo).kind).toBe('reply');
  const script =
    "const s = require('node:dgram').createSocket('udp4');" +
    "s.bind(4000, () => s.send('0123456789', 5001, '10.0.0.2', () => s.close()));";
  execFileSync('ip', ['netns', 'exec', 'a', process.execPath, '-e', script], {
    stdio: 'pipe',
    env: environment,
  });
}

function decodeAll(datagrams: readonly Received[]): readonly ExportRecord[] {
  const templates = new ExportTemplates();
  return datagrams.flatMap(({ bytes, from }) => {
    const decoded = decodeFlowExport(bytes, { exporter: from, time: Date.now() }, templates);
    expect(decoded.problems).toEqual([]);
    return decoded.records;
  });
}

function flowsOf(
  records: readonly ExportRecord[],
  protocol: FlowExportProtocol,
): readonly FlowRecord[] {
  return records.filter(
    (record): record is FlowRecord => record.kind === 'flow' && record.protocol === protocol,
  );
}

const ethernetLink = 1;
const rawIpLink = 101;

/** A file of captured packets (pcap-savefile(5)), a second between them. */
function writePackets(name: string, link: number, packets: readonly Uint8Array[]): string {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(link, 20);
  const parts = packets.flatMap((packet, index) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000 + index, 0);
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    return [record, packet];
  });
  const file = join(directory, `${name}.pcap`);
  writeFileSync(file, Buffer.concat([head, ...parts]));
  return file;
}

/** Each datagram as it was sent, below headers of IPv4 and UDP. */
function writeCapture(datagrams: readonly Received[]): string {
  const packets = datagrams.map(({ port, from, bytes }) => {
    const packet = Buffer.alloc(28 + bytes.length);
    packet[0] = 0x45;
    packet.writeUInt16BE(packet.length, 2);
    packet[8] = 64;
    packet[9] = 17;
    packet.set(from.split('.').map(Number), 12);
    packet.set(collectorAddress.split('.').map(Number), 16);
    packet.writeUInt16BE(40_000, 20);
    packet.writeUInt16BE(port, 22);
    packet.writeUInt16BE(8 + bytes.length, 24);
    packet.set(bytes, 28);
    return packet;
  });
  return writePackets(`datagrams-${datagrams[0]?.port ?? 0}`, rawIpLink, packets);
}

/** All values that tshark finds of each field, in their order. */
function tshark(
  datagrams: readonly Received[],
  fields: readonly string[],
): Readonly<Record<string, readonly string[]>> {
  const text = execFileSync(
    'tshark',
    [
      ...['-n', '-r', writeCapture(datagrams), '-T', 'fields', '-E', 'separator=/t'],
      ...['-d', `udp.port==${ports.netflow},cflow`, '-d', `udp.port==${ports.ipfix},cflow`],
      ...['-d', `udp.port==${ports.sflow},sflow`],
      ...['-d', 'udp.port==9995,cflow', '-d', 'udp.port==9996,cflow'],
      ...fields.flatMap((field) => ['-e', field]),
    ],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...environment, HOME: directory },
    },
  );
  const found: Record<string, string[]> = Object.fromEntries(fields.map((field) => [field, []]));
  for (const line of text.split('\n').filter((each) => each !== '')) {
    for (const [index, cell] of line.split('\t').entries()) {
      if (cell !== '') found[fields[index] ?? '']?.push(...cell.split(','));
    }
  }
  return found;
}

/** Of the port of that name. */
function countersOf(records: readonly ExportRecord[], name: string): readonly CounterRecord[] {
  return records.filter(
    (record): record is CounterRecord =>
      record.kind === 'counters' && record.fields.some(({ value }) => value === name),
  );
}

/** What was decoded of each element, in its order, as tshark writes it. */
function valuesOf(records: readonly ExportRecord[], name: string): readonly string[] {
  return records.flatMap(({ fields }) =>
    fields.filter((field) => field.name === name).map(({ value }) => String(value)),
  );
}

/**
 * What sFlow sent without counters: tshark 4.0 loses its place behind a structure that it does not know, as Open vSwitch's
 * counters have them.
 */
function sampledOnly(): readonly Received[] {
  return received.filter(
    (each) => each.port === ports.sflow && decodeAll([each]).every(({ kind }) => kind === 'flow'),
  );
}

describe('Open vSwitch', () => {
  let records: readonly ExportRecord[] = [];

  beforeAll(async () => {
    await vi.waitUntil(
      async () => {
        await talk();
        records = decodeAll(received);
        const told = (protocol: FlowExportProtocol): boolean =>
          flowsOf(records, protocol).some(({ ipProtocol }) => ipProtocol === 1) &&
          flowsOf(records, protocol).some(({ destinationPort }) => destinationPort === 5001);
        return (
          told('netflow-v5') &&
          told('ipfix') &&
          told('sflow-v5') &&
          flowsOf(records, 'ipfix').some(({ vlan }) => vlan === 7) &&
          countersOf(records, 'pa').some(({ inPackets }) => (inPackets ?? 0) > 0) &&
          decodeAll(sampledOnly()).length > 1
        );
      },
      { timeout: 40_000, interval: 500 },
    );
  }, 60_000);

  it.each(['netflow-v5', 'ipfix', 'sflow-v5'] as const)('tells of its flows by %s', (protocol) => {
    const flows = flowsOf(records, protocol);
    const echo = flows.find(({ ipProtocol, source }) => ipProtocol === 1 && source === '10.0.0.1');
    expect(echo).toMatchObject({
      exporter: exporterAddress,
      destination: '10.0.0.2',
      etherType: 0x0800,
      sourcePort: null,
    });
    expect(echo?.packets).toBeGreaterThanOrEqual(1);
    expect(flows.find(({ destinationPort }) => destinationPort === 5001)).toMatchObject({
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 4000,
      ipProtocol: 17,
    });
  });

  it('says where it looks and how often', () => {
    expect(new Set(flowsOf(records, 'ipfix').map(({ domain }) => domain))).toEqual(new Set([11]));
    expect(valuesOf(flowsOf(records, 'ipfix'), 'observationPointId')).toContain('12');
    expect(flowsOf(records, 'netflow-v5')[0]?.domain).toBe(2 * 256 + 3);
    expect(flowsOf(records, 'sflow-v5')[0]).toMatchObject({ sampling: 1, packets: 1 });
    // Frames have no tag but where they leave by the trunk.
    expect(new Set(flowsOf(records, 'ipfix').map(({ vlan }) => vlan))).toEqual(new Set([null, 7]));
  });

  it('counts its interfaces by their index and name', () => {
    const link = JSON.parse(
      execFileSync('ip', ['-j', 'link', 'show', 'pa'], { encoding: 'utf8' }),
    ) as readonly { readonly ifindex: number }[];
    const counters = countersOf(records, 'pa');
    expect(counters.length).toBeGreaterThan(0);
    expect(counters.at(-1)?.interface).toBe(link[0]?.ifindex);
    expect(counters.some(({ inPackets }) => (inPackets ?? 0) > 0)).toBe(true);
  });

  it('is read as tshark reads NetFlow v5', () => {
    const datagrams = received.filter(({ port }) => port === ports.netflow);
    const flows = decodeAll(datagrams);
    const names = {
      'cflow.srcaddr': 'srcaddr',
      'cflow.dstaddr': 'dstaddr',
      'cflow.srcport': 'srcport',
      'cflow.dstport': 'dstport',
      'cflow.protocol': 'prot',
      'cflow.packets': 'dPkts',
      'cflow.octets': 'dOctets',
      'cflow.inputint': 'input',
      'cflow.outputint': 'output',
    };
    const seen = tshark(datagrams, Object.keys(names));
    expect(flows.length).toBeGreaterThan(1);
    for (const [field, name] of Object.entries(names)) {
      expect([field, seen[field]]).toEqual([field, valuesOf(flows, name)]);
    }
  });

  it('is read as tshark reads IPFIX', () => {
    const datagrams = received.filter(({ port }) => port === ports.ipfix);
    const found = decodeAll(datagrams);
    const names = {
      'cflow.srcaddr': 'sourceIPv4Address',
      'cflow.dstaddr': 'destinationIPv4Address',
      'cflow.srcaddrv6': 'sourceIPv6Address',
      'cflow.srcport': 'sourceTransportPort',
      'cflow.dstport': 'destinationTransportPort',
      'cflow.protocol': 'protocolIdentifier',
      'cflow.packets': 'packetDeltaCount',
      'cflow.octets': 'octetDeltaCount',
      'cflow.srcmac': 'sourceMacAddress',
      'cflow.dstmac': 'destinationMacAddress',
      'cflow.inputint': 'ingressInterface',
      'cflow.outputint': 'egressInterface',
      'cflow.observation_point_id': 'observationPointId',
    };
    const seen = tshark(datagrams, Object.keys(names));
    expect(valuesOf(found, 'sourceIPv4Address').length).toBeGreaterThan(1);
    for (const [field, name] of Object.entries(names)) {
      expect([field, seen[field]]).toEqual([field, valuesOf(found, name)]);
    }
  });

  it('is read as tshark reads sFlow', () => {
    const datagrams = sampledOnly();
    const found = decodeAll(datagrams);
    const names = {
      'sflow_245.header': 'header',
      'sflow_245.vlan.in': 'src_vlan',
      'sflow_245.vlan.out': 'dst_vlan',
      'sflow_245.pri.in': 'src_priority',
    };
    expect(found.length).toBeGreaterThan(1);
    const own = (name: string): readonly string[] => valuesOf(found, name);
    const seen = tshark(datagrams, Object.keys(names));
    for (const [field, name] of Object.entries(names)) {
      // It shows the bytes of a header with those that fill it up to four.
      const within = (seen[field] ?? []).map((value, index) =>
        name === 'header' ? value.slice(0, own(name)[index]?.length) : value,
      );
      expect([field, within]).toEqual([field, own(name)]);
    }
  });

  it('counts by sFlow what its database says', async () => {
    const statistic = (name: string): number =>
      Number(
        execFileSync(
          'ovs-vsctl',
          [`--db=${database}`, 'get', 'Interface', 'pb', `statistics:${name}`],
          { encoding: 'utf8', env: environment },
        ),
      );
    // Nobody talks any more; the database follows every five seconds, sFlow every two.
    await expect
      .poll(
        () => {
          const told = countersOf(decodeAll(received), 'pb').at(-1);
          return told !== undefined &&
            told.outBytes !== null &&
            told.outBytes > 0 &&
            told.inBytes === statistic('rx_bytes') &&
            told.outBytes === statistic('tx_bytes')
            ? 'the same'
            : [told, statistic('rx_bytes'), statistic('tx_bytes')];
        },
        { timeout: 50_000, interval: 500 },
      )
      .toBe('the same');
  }, 60_000);
});

describe.each([
  { version: '9', protocol: 'netflow-v9', port: 9995 },
  { version: '10', protocol: 'ipfix', port: 9996 },
] as const)('softflowd with version $version', ({ version, protocol, port }) => {
  it('is read, and as tshark reads it', async () => {
    await listen('c', [port]);
    // What the switch has sampled, as a capture that softflowd reads.
    const frames = flowsOf(decodeAll(received), 'sflow-v5').flatMap(({ fields }) =>
      fields.flatMap(({ name, value }) =>
        name === 'header' ? [Buffer.from(String(value), 'hex')] : [],
      ),
    );
    const capture = writePackets(`frames-${version}`, ethernetLink, frames);
    const program = spawn(
      'softflowd',
      [
        ...['-d', '-r', capture, '-v', version, '-n', `${collectorAddress}:${port}`],
        // With a control socket and a file it may wait for a connection there for ever.
        ...['-p', '/run/softflowd.pid', '-c', 'none'],
      ],
      { stdio: 'ignore', env: environment },
    );
    const own = (): readonly Received[] => received.filter((each) => each.port === port);
    try {
      await expect
        .poll(
          () =>
            flowsOf(decodeAll(own()), protocol).some(
              ({ destinationPort }) => destinationPort === 5001,
            ),
          { timeout: 15_000 },
        )
        .toBe(true);
    } finally {
      program.kill('SIGKILL');
    }
    const datagrams = own();
    const found = decodeAll(datagrams);
    expect(
      flowsOf(found, protocol).find(({ destinationPort }) => destinationPort === 5001),
    ).toMatchObject({
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 4000,
      ipProtocol: 17,
    });
    const names = {
      'cflow.srcaddr': 'sourceIPv4Address',
      'cflow.dstaddr': 'destinationIPv4Address',
      'cflow.srcport': 'sourceTransportPort',
      'cflow.dstport': 'destinationTransportPort',
      'cflow.protocol': 'protocolIdentifier',
      'cflow.packets': 'packetDeltaCount',
      'cflow.octets': 'octetDeltaCount',
    };
    // softflowd counts flows alone in the header of version 9; tshark reads no more sets than that.
    const asRead = datagrams.map((each) => {
      const bytes = Uint8Array.from(each.bytes);
      if (version === '9') bytes.set([0xff, 0xff], 2);
      return { ...each, bytes };
    });
    const seen = tshark(asRead, Object.keys(names));
    for (const [field, name] of Object.entries(names)) {
      expect([field, seen[field]]).toEqual([field, valuesOf(found, name)]);
    }
  }, 60_000);
});
