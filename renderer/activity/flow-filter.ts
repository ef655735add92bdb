/** The flows of a capture as rows of a table, and the display filter that means one of them. Pure. */
import type { CaptureFlow } from '../../agent/api/index.ts';
import type { Dissection } from '../../agent/dissect/core/dissection.ts';
import { compareValues } from '../app/sorting.ts';
import { titleOf } from './protocol-hue.ts';

export const flowColumns = [
  'namespace',
  'protocol',
  'one',
  'other',
  'packets',
  'bytes',
  'onward',
  'backward',
  'state',
  'roundTrip',
  'process',
  'last',
] as const;
export type FlowColumn = (typeof flowColumns)[number];
export const numericFlowColumns: ReadonlySet<FlowColumn> = new Set([
  'packets',
  'bytes',
  'onward',
  'backward',
  'roundTrip',
  'last',
]);

export interface FlowRow {
  readonly key: string;
  readonly flow: CaptureFlow;
  /** Null where there is nothing to say. */
  readonly cells: Readonly<Record<FlowColumn, string | number | null>>;
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `10.0.0.1`. */
export function endText({ address, port }: CaptureFlow['ends'][number]): string {
  if (port === null) return address;
  return address.includes(':') ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
}

/** `curl (412)`, of both ends where both are in the flow's namespace; null where nobody is known. */
export function processText({ ends }: Pick<CaptureFlow, 'ends'>): string | null {
  const known = ends.flatMap(({ process }) => process ?? []);
  return known.length === 0
    ? null
    : known.map(({ name, pid }) => `${name} (${String(pid)})`).join(' → ');
}

/** `titles` are names of namespaces by their ids; the realm's own has none. */
export function flowRows(
  flows: readonly CaptureFlow[],
  titles: ReadonlyMap<string, string | null>,
): readonly FlowRow[] {
  return flows.flatMap((flow) => {
    const [one, other] = flow.ends;
    if (one === undefined || other === undefined) return [];
    const ends = [endText(one), endText(other)] as const;
    return [
      {
        key: `${flow.namespace} ${String(flow.ipProtocol)} ${ends[0]} ${ends[1]}`,
        flow,
        cells: {
          namespace: titles.get(flow.namespace) ?? null,
          protocol: titleOf(flow.protocol),
          one: ends[0],
          other: ends[1],
          packets: flow.packets,
          bytes: flow.bytes,
          onward: one.sent.bytes,
          backward: other.sent.bytes,
          state: flow.tcp?.state ?? null,
          roundTrip: flow.tcp?.roundTrip ?? null,
          process: processText(flow),
          last: flow.last,
        },
      },
    ];
  });
}

/** What nobody can say comes last, whichever way it is sorted. */
export function sortFlowRows(
  rows: readonly FlowRow[],
  column: FlowColumn,
  descending: boolean,
): readonly FlowRow[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [one.cells[column], other.cells[column]];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    return sign * compareValues(a, b) || one.key.localeCompare(other.key);
  });
}

type Conversation = Pick<CaptureFlow, 'ipProtocol'> & {
  readonly ends: readonly Pick<CaptureFlow['ends'][number], 'address' | 'port'>[];
};

/** What is between two ends, both ways; null where these are not known. */
export function filterOfFlow({ ends, ipProtocol }: Conversation): string | null {
  const [one, other] = ends;
  if (one === undefined || other === undefined || one.address === '') return null;
  const address = ipProtocol === null ? 'eth' : one.address.includes(':') ? 'ipv6' : 'ip';
  const hosts = [one, other].map((end) => `${address}.addr == ${end.address}`);
  const transport = ipProtocol === 6 ? 'tcp' : ipProtocol === 17 ? 'udp' : null;
  const ports = [one, other].flatMap(({ port }) =>
    port === null || transport === null ? [] : [`${transport}.port == ${String(port)}`],
  );
  return [...hosts, ...ports].join(' && ');
}

/** The display filter that means the conversation that a packet belongs to. */
export function filterOfPacket(packet: Dissection): string | null {
  const { source, destination, sourcePort, destinationPort, ipProtocol, networkAt } = packet;
  const portOf = (port: number): number | null => (port < 0 ? null : port);
  return filterOfFlow({
    ipProtocol: networkAt < 0 ? null : ipProtocol,
    ends: [
      { address: source, port: portOf(sourcePort) },
      { address: destination, port: portOf(destinationPort) },
    ],
  });
}
