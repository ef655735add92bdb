/** UDP sockets of a network namespace, as its /proc/net tells them (proc(5)). */
import { readFileSync } from 'node:fs';

/** Local ports of the UDP sockets in the network namespace of a process; none once that has gone. */
export function udpPortsAround(pid: number): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const file of ['udp', 'udp6']) {
    let text = '';
    try {
      text = readFileSync(`/proc/${String(pid)}/net/${file}`, 'utf8');
    } catch {
      // The process has ended, or there is no IPv6.
    }
    for (const line of text.split('\n').slice(1)) {
      // `sl local_address …`, of which the latter ends with the port in hexadecimal.
      const port = /^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s/.exec(line)?.[1];
      if (port !== undefined) ports.add(Number.parseInt(port, 16));
    }
  }
  return ports;
}
