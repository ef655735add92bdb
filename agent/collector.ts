/**
 * Collects flow export in a node, as `netloom collect`:
 *
 *     node collector.js [--netflow PORT] [--ipfix PORT] [--sflow PORT] [--keep FD,FD]
 *
 * Listens at the UDP ports; what comes may be any of the protocols, whatever the port. Prints the records, one JSON
 * object a line. With `--keep` it writes them into the two files behind these descriptors instead
 * (`activity/export-ring.ts`). Ends with 1 when it cannot listen, with 2 when its arguments are wrong.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { ftruncateSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ExportRing, type RingFile } from './activity/export-ring.ts';
import { ExportTemplates } from './activity/export-templates.ts';
import { countsOf } from './activity/export-totals.ts';
import { decodeFlowExport } from './activity/flow-export.ts';

const usage =
  'usage: netloom collect [--netflow PORT] [--ipfix PORT] [--sflow PORT]; at least one port\n';

const protocols = ['netflow', 'ipfix', 'sflow'] as const;

/** Bytes that wait to be read; the kernel gives as many as net.core.rmem_max allows. */
const receiveBuffer = 4 * 1024 * 1024;

interface Settings {
  readonly ports: readonly number[];
  readonly keep: readonly [number, number] | null;
  /** As it is called. */
  readonly words: readonly string[];
}

function readSettings(args: readonly string[]): Settings | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        netflow: { type: 'string' },
        ipfix: { type: 'string' },
        sflow: { type: 'string' },
        keep: { type: 'string' },
      },
    });
    const named = protocols.flatMap((protocol) => {
      const port = values[protocol];
      return port === undefined ? [] : [{ protocol, port }];
    });
    const ports = named.map(({ port }) => (/^\d{1,5}$/.test(port) ? Number(port) : 0));
    if (ports.length === 0 || ports.some((port) => port < 1 || port > 65535)) return null;
    const [one, other] = (values.keep ?? '').split(',').map(Number);
    const keep =
      values.keep !== undefined && one !== undefined && other !== undefined
        ? ([one, other] as const)
        : null;
    if (values.keep !== undefined && keep === null) return null;
    const words = named.flatMap(({ protocol, port }) => [`--${protocol}`, port]);
    return { ports: [...new Set(ports)], keep, words };
  } catch {
    return null;
  }
}

/** Opened for appending, so that what is written goes behind what is left of it. */
function ringFile(descriptor: number): RingFile {
  return {
    clear: () => {
      ftruncateSync(descriptor);
    },
    append: (text) => {
      writeSync(descriptor, text);
    },
  };
}

/** IPv4 has its own form, whichever socket it came by. */
function exporterOf({ address }: RemoteInfo): string {
  return address.replace(/^::ffff:(?=[\d.]+$)/, '').replace(/%.*$/, '');
}

function open(type: 'udp4' | 'udp6', port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type, ipv6Only: false });
    socket.once('error', reject);
    socket.bind({ port, exclusive: true }, () => {
      socket.off('error', reject);
      try {
        socket.setRecvBufferSize(receiveBuffer);
      } catch {
        // The kernel's own size does.
      }
      resolve(socket);
    });
  });
}

/** For IPv6 and IPv4; for the latter alone where there is no IPv6. */
async function listen(port: number): Promise<Socket> {
  try {
    return await open('udp6', port);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return open('udp4', port);
    throw error;
  }
}

/** Ends the process when it cannot collect; otherwise goes on until the process is ended. */
export async function collect(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  if (settings === null) {
    process.stderr.write(usage);
    process.exit(2);
  }
  const { keep, ports, words } = settings;
  // So it is called, wherever it is installed: a list of processes shows what the lab says.
  process.title = ['netloom', 'collect', ...words].join(' ');
  const templates = new ExportTemplates();
  const ring =
    keep === null
      ? null
      : new ExportRing([ringFile(keep[0]), ringFile(keep[1])], (text) => Buffer.byteLength(text));
  const receive = (bytes: Uint8Array, from: RemoteInfo): void => {
    const arrival = { exporter: exporterOf(from), time: Date.now() };
    const decoded = decodeFlowExport(bytes, arrival, templates);
    const counts = countsOf(decoded, arrival);
    if (ring === null) {
      for (const record of decoded.records) process.stdout.write(`${JSON.stringify(record)}\n`);
    } else if (counts !== null) {
      try {
        ring.write(counts, decoded.records);
      } catch {
        // No room on the disk: what came is lost, what comes may not be.
      }
    }
  };
  try {
    for (const port of ports) {
      const socket = await listen(port);
      socket.on('message', receive);
      socket.on('error', (error) => {
        process.stderr.write(`netloom collect: ${error.message}\n`);
      });
    }
  } catch (error) {
    process.stderr.write(
      `netloom collect: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exit(1);
  }
}

// As `netloom collect` it is imported (main/cli).
if (process.argv[1]?.endsWith('/collector.js') === true) await collect(process.argv.slice(2));
