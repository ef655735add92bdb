/** The flows of a capture as they are told. Pure. */
import type { Flow, FlowTable } from '../activity/flow-table.ts';
import type { CaptureFlow, CaptureFlows } from '../api/traffic.ts';

/** At most `count` flows and talkers, those that moved most bytes first. */
export function flowsView(table: FlowTable, count: number): CaptureFlows {
  return {
    flows: table.flows(count).map(flowView),
    total: table.size,
    forgotten: table.forgotten,
    talkers: table.talkers(count).map(({ namespace, address, sent, received, flows }) => ({
      ...{ namespace, address, sent, received, flows },
    })),
    protocols: [...table.protocols()],
  };
}

function flowView(flow: Flow): CaptureFlow {
  const { namespace, protocol, ipProtocol, packets, bytes, first, last, tcp } = flow;
  return {
    ...{ namespace, protocol, ipProtocol, packets, bytes, first, last },
    ends: [...flow.ends],
    interfaces: flow.interfaces.map((sighting) => sighting.interface),
    tcp:
      tcp === null
        ? null
        : {
            state: tcp.state,
            connections: tcp.connections,
            roundTrip: tcp.roundTrip,
            roundTrips: [...tcp.roundTrips],
          },
  };
}
