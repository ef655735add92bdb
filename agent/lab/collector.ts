/** Collectors of flow export: the process that one is in its node. It is Netloom's own program. */
import type { CollectorSettings } from '../api/document.ts';

/** What is listened for where the document says `true`: NetFlow's usual port, and those of RFC 7011 and sflow.org. */
export const collectorPorts = { netflow: 2055, ipfix: 4739, sflow: 6343 } as const;

const protocols = ['netflow', 'ipfix', 'sflow'] as const;

/** No name that a document can give to a process. */
export const collectorProcessName = 'collector:flows';

/** UDP ports by protocol; those that are not asked for are missing. */
export function portsOfCollector(
  collector: CollectorSettings,
): Readonly<Partial<Record<(typeof protocols)[number], number>>> {
  if (collector === true) return collectorPorts;
  const ports: Partial<Record<(typeof protocols)[number], number>> = {};
  for (const protocol of protocols) {
    const port = collector[protocol];
    if (port !== undefined) ports[protocol] = port === true ? collectorPorts[protocol] : port;
  }
  return ports;
}

/** The program and its arguments; where it is installed is found out when it starts. */
export function collectorProcess(collector: CollectorSettings): readonly string[] {
  const ports = portsOfCollector(collector);
  return [
    'netloom',
    'collect',
    ...protocols.flatMap((protocol) => {
      const port = ports[protocol];
      return port === undefined ? [] : [`--${protocol}`, String(port)];
    }),
  ];
}

/** Whether a process is a collector; its arguments are what follows its two words. */
export function isCollector(name: string, command: readonly string[]): boolean {
  return name === collectorProcessName && command[0] === 'netloom' && command[1] === 'collect';
}

/** The ports that a collector's command names. */
export function portsInCommand(command: readonly string[]): readonly number[] {
  return command.filter((_, at) => command[at - 1]?.startsWith('--') === true).map(Number);
}
