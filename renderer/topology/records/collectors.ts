/** Collectors of a lab: which nodes have one, and which bridges export to them. Pure. */
import type { CollectorSettings, LabDocument, LabNode } from '../../../agent/api/index.ts';
import { parseHostAddress } from '../../../agent/lab/address.ts';
import { collectorPorts, portsOfCollector } from '../../../agent/lab/collector.ts';
import { addressesOf } from '../document/devices.ts';

export const collectorProtocols = ['netflow', 'ipfix', 'sflow'] as const;
export type CollectorProtocol = (typeof collectorProtocols)[number];

export function collectorOf(node: LabNode | undefined): CollectorSettings | null {
  return node?.kind === 'namespace' ? (node.collector ?? null) : null;
}

export function collectorsOf(document: LabDocument | null): readonly string[] {
  return Object.entries(document?.topology.nodes ?? {})
    .filter(([, node]) => collectorOf(node) !== null)
    .map(([name]) => name);
}

export interface ExportTo {
  readonly bridge: string;
  readonly protocol: CollectorProtocol;
  readonly target: string;
}

/** `10.0.0.1:2055`, `[fd00::1]:2055`. */
function splitTarget(target: string): { readonly host: string; readonly port: number } | null {
  const found = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d+)$/.exec(target);
  const host = parseHostAddress(found?.groups?.['six'] ?? found?.groups?.['four'] ?? '');
  return host === null ? null : { host: host.text, port: Number(found?.groups?.['port']) };
}

/** What the bridges of a lab send to an address of a node, and to a port that its collector listens at. */
export function exportsTo(document: LabDocument, node: string): readonly ExportTo[] {
  const collector = collectorOf(document.topology.nodes[node]);
  if (collector === null) return [];
  const ports = portsOfCollector(collector);
  const hosts = new Set(addressesOf(document, node).map(({ address }) => address.host.text));
  return Object.entries(document.topology.nodes).flatMap(([bridge, settings]) => {
    if (settings.kind !== 'ovs-bridge') return [];
    return collectorProtocols.flatMap((protocol) =>
      (settings[protocol]?.targets ?? []).flatMap((target) => {
        const found = splitTarget(target);
        const fits = found !== null && hosts.has(found.host) && found.port === ports[protocol];
        return fits ? [{ bridge, protocol, target }] : [];
      }),
    );
  });
}

/** Where a bridge would send to: the first collector that listens for the protocol; null where none has an address. */
export function collectorTarget(document: LabDocument, protocol: CollectorProtocol): string | null {
  for (const node of collectorsOf(document)) {
    const collector = collectorOf(document.topology.nodes[node]);
    const port = collector === null ? undefined : portsOfCollector(collector)[protocol];
    const [held] = addressesOf(document, node);
    if (port === undefined || held === undefined) continue;
    const { text, family } = held.address.host;
    return `${family === 'ipv6' ? `[${text}]` : text}:${port}`;
  }
  return null;
}

/** The settings with another port for a protocol, null for none; undefined where nothing is listened for any more. */
export function withPort(
  collector: CollectorSettings,
  protocol: CollectorProtocol,
  port: number | null,
): CollectorSettings | undefined {
  const ports = { ...portsOfCollector(collector), [protocol]: port ?? undefined };
  if (collectorProtocols.every((each) => ports[each] === collectorPorts[each])) return true;
  const entries = collectorProtocols.flatMap((each) => {
    const wanted = ports[each];
    if (wanted === undefined) return [];
    return [[each, wanted === collectorPorts[each] ? (true as const) : wanted] as const];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
