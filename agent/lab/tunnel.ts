/** Two taps or two tuns of two nodes, joined over UDP by a relay at each end: the program socat. */
import { parseHostAddress } from './address.ts';

const defaultPort = 5555;

/** Ethernet, without a tag (IEEE 802.3). */
const ethernetHeader = 14;
const udpHeader = 8;
const ipHeader = { ipv4: 20, ipv6: 40 } as const;

/** Largest packet that goes through in one piece: the underlay's MTU less what is put around it. */
export function tunnelMtu(device: 'tap' | 'tun', underlay: string, underlayMtu: number): number {
  const family = parseHostAddress(underlay)?.family ?? 'ipv4';
  const inner = device === 'tap' ? ethernetHeader : 0;
  return underlayMtu - ipHeader[family] - udpHeader - inner;
}

/** No name that a document can give to a process. */
export function tunnelProcessName(device: string): string {
  return `tunnel:${device}`;
}

const processNamePattern = /^tunnel:(?<device>.+)$/;
const tunWords = /^TUN,tun-name=(?<name>[^,]+),tun-type=(?<kind>tap|tun),iff-no-pi$/;

/** What the process of a tunnel attaches to; null for a process that a document asks for. */
export function relayOf(
  processName: string,
  command: readonly string[],
): { readonly device: string; readonly kind: 'tap' | 'tun' } | null {
  const device = processNamePattern.exec(processName)?.groups?.['device'];
  const groups = tunWords.exec(command.at(-1) ?? '')?.groups;
  const kind = groups?.['kind'];
  if (device === undefined || groups?.['name'] !== device) return null;
  return kind === 'tap' || kind === 'tun' ? { device, kind } : null;
}

/** The relay's command where the device is attached to already, on descriptor `number`. */
export function relayOnDescriptor(command: readonly string[], number: number): readonly string[] {
  return [...command.slice(0, -1), `FD:${number}`];
}

/** The relay of one end. It attaches to the device, which is there already and stays when the relay ends. */
export function tunnelProcess(
  device: 'tap' | 'tun',
  name: string,
  local: string,
  remote: string,
  port: number = defaultPort,
): readonly string[] {
  const [near, far] = [local, remote].map((address) => {
    const parsed = parseHostAddress(address);
    const text = parsed?.text ?? address;
    return parsed?.family === 'ipv6' ? `[${text}]` : text;
  });
  const family = parseHostAddress(local)?.family === 'ipv6' ? 'UDP6' : 'UDP4';
  return [
    'socat',
    `${family}-DATAGRAM:${far}:${port},bind=${near}:${port}`,
    `TUN,tun-name=${name},tun-type=${device},iff-no-pi`,
  ];
}
