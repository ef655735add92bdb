/** Forwarding of IP packets between the links of a namespace. */
import { type Result, succeed } from '../api/result.ts';
import type { IpFamily } from './ip-address.ts';
import { isErrno } from './kernel-failure.ts';
import type { RequestSocket } from './netlink-socket.ts';
import { getForwardingRequest } from './rtnetlink.ts';
import { writeSetting } from './sysctl.ts';

export interface Forwarding {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

function readFamily(socket: RequestSocket, family: IpFamily): Result<boolean> {
  const answer = socket.query(getForwardingRequest(family));
  if (!answer.ok) {
    // A kernel without IPv6, or that was told at boot to have none (ipv6.disable=1), forwards none of it.
    const absent = isErrno(answer.failure, 'EOPNOTSUPP', 'EAFNOSUPPORT', 'ENOTSUPP');
    return family === 6 && absent ? succeed(false) : answer;
  }
  return succeed(answer.value?.kind === 'forwarding' && answer.value.state.forwarding);
}

/** What `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding` are in the socket's namespace, by netlink. */
export function readForwarding(socket: RequestSocket): Result<Forwarding> {
  const ipv4 = readFamily(socket, 4);
  if (!ipv4.ok) return ipv4;
  const ipv6 = readFamily(socket, 6);
  if (!ipv6.ok) return ipv6;
  return succeed({ ipv4: ipv4.value, ipv6: ipv6.value });
}

/**
 * Sets it for all links of the namespace behind the descriptor, present and future (netlink cannot). Fails with ENOENT
 * in a kernel without that family.
 */
export function writeForwarding(
  namespaceFd: number | undefined,
  family: 'ipv4' | 'ipv6',
  on: boolean,
): Result<void> {
  const setting = family === 'ipv4' ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding';
  return writeSetting(namespaceFd, setting, on ? '1' : '0');
}
