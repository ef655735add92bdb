/** Counters of struct rtnl_link_stats64; from a namespace's own view of the link. */
export interface LinkCounters {
  readonly receivedPackets: number;
  readonly transmittedPackets: number;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly receiveErrors: number;
  readonly transmitErrors: number;
  readonly receiveDropped: number;
  readonly transmitDropped: number;
}

export const linkCounterNames = [
  'receivedPackets',
  'transmittedPackets',
  'receivedBytes',
  'transmittedBytes',
  'receiveErrors',
  'transmitErrors',
  'receiveDropped',
  'transmitDropped',
] as const satisfies readonly (keyof LinkCounters)[];
export type LinkCounterName = (typeof linkCounterNames)[number];
