/** Whom the list, the fields and the flows ask for packets: the agent that captures them, or a file that is open in this window. */
import type {
  CapturedBytes,
  CaptureFlows,
  CaptureRows,
  CaptureRowsArguments,
  PacketSightings,
  RealmName,
  Result,
} from '../../agent/api/index.ts';
import { succeed } from '../../agent/api/index.ts';
import type { PacketFile } from '../../agent/packets/packet-file.ts';
import type { useBridge } from '../bridge/bridge.ts';

export interface PacketSource {
  readonly rows: (asked: Omit<CaptureRowsArguments, 'capture'>) => Promise<Result<CaptureRows>>;
  readonly packet: (number: number) => Promise<Result<CapturedBytes>>;
  readonly sightings: (number: number) => Promise<Result<PacketSightings>>;
  /** At most `count` of them. */
  readonly flows: (count: number) => Promise<Result<CaptureFlows>>;
}

export function agentSource(
  bridge: ReturnType<typeof useBridge>,
  place: { readonly realm: RealmName; readonly capture: string },
): PacketSource {
  return {
    rows: (asked) => bridge.call('capture.rows', { ...place, ...asked }),
    packet: (number) => bridge.call('capture.packet', { ...place, number }),
    sightings: (number) => bridge.call('capture.sightings', { ...place, number }),
    flows: (count) => bridge.call('capture.flows', { ...place, count }),
  };
}

export function fileSource({ kept }: PacketFile): PacketSource {
  return {
    rows: (asked) => kept.rows(asked),
    packet: (number) => Promise.resolve(kept.packet(number)),
    sightings: (number) => kept.sightings(number),
    flows: (count) => Promise.resolve(succeed(kept.flows(count))),
  };
}
