/**
 * TCP and UDP sockets of a network namespace. Sources: sock_diag(7), include/uapi/linux/inet_diag.h,
 * net/ipv4/inet_diag.c (inet_sk_diag_fill), net/ipv6/af_inet6.c (V6ONLY).
 */
import { type Result, succeed } from '../api/result.ts';
import { formatIpv4, formatIpv6 } from './ip-address.ts';
import { NLM_F_DUMP, NLM_F_REQUEST, visitAttributes } from './netlink-codec.ts';
import { RequestSocket } from './netlink-socket.ts';
import type { NetlinkRequest } from './rtnetlink.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const AF_INET = 2;
const AF_INET6 = 10;
const INET_DIAG_SKV6ONLY = 11;
/** struct inet_diag_req_v2, and struct inet_diag_sockid in it. */
const requestLength = 56;
const identityLength = 48;
/** struct inet_diag_msg. */
const answerLength = 72;

export const transports = { tcp: 6, udp: 17 } as const;
export type Transport = keyof typeof transports;

export interface SocketEnd {
  /** Canonical text, of IPv4 also where an IPv6 socket speaks it; null for any address. */
  readonly address: string | null;
  readonly port: number;
}

export interface InternetSocket {
  /** Of IPv6 sockets that speak IPv4 too, both. */
  readonly families: readonly (4 | 6)[];
  readonly local: SocketEnd;
  /** Null where it is not connected. */
  readonly remote: SocketEnd | null;
  /** In sockfs; 0 where no process holds it any more (TIME_WAIT). */
  readonly inode: number;
}

function dumpSocketsRequest(family: number, transport: Transport, object: string): NetlinkRequest {
  return {
    type: SOCK_DIAG_BY_FAMILY,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object,
    headerLength: requestLength,
    encode(writer) {
      writer.rawU8(family);
      writer.rawU8(transports[transport]);
      // No extensions, a byte of padding, every state.
      writer.rawU16(0);
      writer.rawU32(0xffff_ffff);
      for (let place = 0; place < identityLength; place += 4) writer.rawU32(0);
    },
  };
}

/** Pure: body of an answer; undefined where it is malformed. */
export function decodeInternetSocket(
  bytes: Buffer,
  start: number,
  end: number,
): InternetSocket | undefined {
  if (end > bytes.length || end - start < answerLength) return undefined;
  const family = bytes[start];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  let isSixAlone = false;
  visitAttributes(bytes, start + answerLength, end, (type, valueStart) => {
    if (type === INET_DIAG_SKV6ONLY) isSixAlone = bytes[valueStart] !== 0;
  });
  const local = endAt(bytes, family, start + 8, start + 4);
  const remote = endAt(bytes, family, start + 24, start + 6);
  const isConnected = remote.port !== 0;
  const spoken = local.address ?? (isConnected ? remote.address : null);
  return {
    families:
      family === AF_INET
        ? [4]
        : spoken === null
          ? isSixAlone
            ? [6]
            : [4, 6]
          : [spoken.includes(':') ? 6 : 4],
    local,
    remote: isConnected ? remote : null,
    inode: bytes.readUInt32LE(start + 68),
  };
}

function endAt(bytes: Buffer, family: number, address: number, port: number): SocketEnd {
  return { address: addressAt(bytes, family, address), port: bytes.readUInt16BE(port) };
}

function addressAt(bytes: Buffer, family: number, start: number): string | null {
  const length = family === AF_INET ? 4 : 16;
  const address = bytes.subarray(start, start + length);
  if (address.every((byte) => byte === 0)) return null;
  if (family === AF_INET) return formatIpv4(bytes, start);
  // ::ffff:0:0/96 (RFC 4291, 2.5.5.2).
  const isMapped =
    address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff &&
    address[11] === 0xff;
  if (!isMapped) return formatIpv6(bytes, start);
  const four = formatIpv4(bytes, start + 12);
  return four === '0.0.0.0' ? null : four;
}

/** All of one kind in the namespace behind the descriptor. */
export function listInternetSockets(
  namespaceFd: number,
  transport: Transport,
  object: string,
): Result<readonly InternetSocket[]> {
  const opened = RequestSocket.openDiagnosis(namespaceFd, object);
  if (!opened.ok) return opened;
  const socket = opened.value;
  try {
    const found: InternetSocket[] = [];
    for (const family of [AF_INET, AF_INET6]) {
      const request = dumpSocketsRequest(family, transport, object);
      const listed = socket.list(request, decodeInternetSocket);
      if (!listed.ok) return listed;
      found.push(...listed.value);
    }
    return succeed(found);
  } finally {
    socket.close();
  }
}
