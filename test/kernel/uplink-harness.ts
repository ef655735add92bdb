/** A stand-in for a NIC of the machine, made by hand, and the lab that takes it as its uplink. */
import { execFileSync, spawnSync } from 'node:child_process';
import { ip } from './apply-harness.ts';

export const nic = 'enp1s0';

export const runHere = (command: readonly string[]): string => {
  const [file = '', ...args] = command;
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
};

/** Addresses of several sorts, a default route with a metric, and others as DHCP clients and people make them. */
export function makeNic(): void {
  ip('netns', 'add', 'outside');
  ip('link', 'add', nic, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside');
  ip('-n', 'outside', 'addr', 'add', '192.168.0.1/24', 'dev', 'eth0');
  ip('-n', 'outside', 'addr', 'add', 'fd00:1::1/64', 'dev', 'eth0', 'nodad');
  ip('-n', 'outside', 'addr', 'add', '203.0.113.1/32', 'dev', 'lo');
  ip('-n', 'outside', 'link', 'set', 'lo', 'up');
  ip('-n', 'outside', 'link', 'set', 'eth0', 'up');
  ip('link', 'set', nic, 'up');
  ip('addr', 'add', '192.168.0.97/24', 'brd', '+', 'dev', nic);
  ip('addr', 'add', '192.168.0.98/24', 'dev', nic, 'label', `${nic}:1`);
  ip('addr', 'add', '172.31.0.1/16', 'dev', nic, 'metric', '50');
  ip('addr', 'add', '172.30.0.1/16', 'dev', nic, 'noprefixroute');
  ip('addr', 'add', 'fd00:1::97/64', 'dev', nic, 'nodad');
  ip('addr', 'add', 'fd00:1::98/64', 'dev', nic, 'nodad');
  ip('addr', 'change', 'fd00:1::98/64', 'dev', nic);
  ip(
    'route',
    'add',
    '172.30.0.0/16',
    'dev',
    nic,
    'proto',
    'kernel',
    'scope',
    'link',
    'metric',
    '100',
  );
  ip(
    'route',
    'add',
    'default',
    'via',
    '192.168.0.1',
    'dev',
    nic,
    'proto',
    'dhcp',
    'src',
    '192.168.0.97',
    'metric',
    '100',
  );
  ip('route', 'add', '10.1.0.0/16', 'via', '192.168.0.1', 'dev', nic);
  ip('route', 'add', '10.2.0.0/16', 'dev', nic, 'proto', '99');
  ip(
    '-6',
    'route',
    'add',
    'default',
    'via',
    'fd00:1::1',
    'dev',
    nic,
    'metric',
    '512',
    'src',
    'fd00:1::97',
  );
  ip('-6', 'route', 'add', 'fd00:9::/48', 'via', 'fd00:1::1', 'dev', nic);
}

export function removeNic(): void {
  spawnSync('ip', ['link', 'delete', nic]);
  spawnSync('ip', ['link', 'delete', 'br-ex']);
  spawnSync('ip', ['netns', 'delete', 'outside']);
}

/** Whether what lies beyond the gateway answers, by both families' default routes. */
export function answers(): boolean {
  const ping = (address: string): boolean =>
    spawnSync('ping', ['-c', '1', '-W', '2', address]).status === 0;
  return ping('203.0.113.1') && ping('fd00:1::1');
}

/** With everything that iproute2 tells of them, in its order; without the kernel's own link-local one. */
export function addressesOf(link: string): unknown {
  const [shown] = JSON.parse(ip('-j', '-d', 'addr', 'show', 'dev', link)) as {
    readonly addr_info: readonly Readonly<Record<string, unknown>>[];
  }[];
  return (shown?.addr_info ?? [])
    .filter(({ scope }) => scope !== 'link')
    .map((address) => ({
      ...address,
      label: String(address['label'] ?? '').replace(link, 'LINK'),
    }));
}

export function routesThrough(link: string): unknown {
  return ['-4', '-6'].flatMap((family) => {
    const routes = JSON.parse(
      ip('-j', '-d', family, 'route', 'show', 'dev', link),
    ) as readonly Readonly<Record<string, unknown>>[];
    return routes
      .filter(({ dst }) => !String(dst).startsWith('fe80:'))
      .map((route) => JSON.stringify(route))
      .sort();
  });
}

/** The notes' bridge with its uplink, in the realm's own namespace. */
export function lab(name = 'uplink'): string {
  return `netloom: 1
name: ${name}
topology:
  nodes:
    br-ex:
      kind: bridge
      uplink: ${nic}
`;
}
