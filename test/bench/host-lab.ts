/** What all contestants bring up: hosts on one bridge, each a namespace with a veth into the bridge and an address. */

export interface Host {
  readonly name: string;
  readonly port: string;
  /** With its prefix. */
  readonly address: string;
}

export function hostsOf(count: number): readonly Host[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `h${String(index)}`,
    port: `p${String(index)}`,
    address: `10.${String(100 + Math.floor(index / 60_000))}.${String(Math.floor(index / 250) % 240)}.${String((index % 250) + 1)}/8`,
  }));
}

/** A lab document; of its own size a thousand hosts have all that a thousand nodes need. */
export function labOf(name: string, count: number): string {
  const hosts = hostsOf(count);
  return [
    'netloom: 1',
    `name: ${name}`,
    'topology:',
    '  nodes:',
    '    hub: { kind: bridge }',
    ...hosts.map(
      (host) =>
        `    ${host.name}: { kind: namespace, interfaces: { eth0: { addresses: [${host.address}] } } }`,
    ),
    '  links:',
    ...hosts.map((host) => `    - endpoints: [${host.name}:eth0, hub:${host.port}]`),
    '',
  ].join('\n');
}
