/** Settings of links compared: of bridges, of ports and of VLANs. */
import {
  type BridgeSettings,
  initialBridge,
  initialPort,
  type PortSettings,
  type SomeBridgeSettings,
  treeTimes,
  type VlanEntry,
} from '../api/device.ts';
import type { LinkView } from '../api/inventory.ts';

/** The fields in which `other` differs, as `one` has them. */
export function differing<T extends object>(
  one: { readonly [K in keyof T]?: T[K] | undefined },
  other: T,
): Partial<T> {
  const entries = Object.entries(one).filter(
    ([key, value]) => value !== undefined && value !== (other as Record<string, unknown>)[key],
  );
  return Object.fromEntries(entries) as Partial<T>;
}

/** The fields of `one` that `fields` has. */
export function pick<T extends object>(one: T, fields: object): Partial<T> {
  return Object.fromEntries(
    Object.entries(one).filter(([key]) => Object.hasOwn(fields, key)),
  ) as Partial<T>;
}

/** The times that a spanning tree takes from its root, of a bridge that is its own. */
export const ownTimes: Pick<BridgeSettings, (typeof treeTimes)[number]> = initialBridge;

/**
 * What a bridge shows but for what its spanning tree makes of it: the root's times, and the shorter ageing of a topology
 * change (__br_set_topology_change). Instead of those what the bridge was given, where that is known.
 */
export function lastingSettings(
  { bridge, follower }: LinkView,
  given: BridgeSettings | null,
): SomeBridgeSettings {
  const observed = bridge ?? {};
  const passing = new Set<string>(follower === true ? treeTimes : []);
  if (observed.stp === true && observed.ageingTime === 2 * (observed.forwardDelay ?? 0)) {
    passing.add('ageingTime');
  }
  return Object.fromEntries(
    Object.entries(observed).flatMap(([field, value]) => {
      if (!passing.has(field)) return [[field, value]];
      return given === null ? [] : [[field, given[field as keyof BridgeSettings]]];
    }),
  );
}

/** Of a new port; the cost is that of what does not say how fast it is, unless it is a veth pair (port_cost). */
export function initialPortOf(kind: string): PortSettings {
  return kind === 'veth' ? initialPort : { ...initialPort, cost: 100 };
}

export function sameVlans(one: readonly VlanEntry[], other: readonly VlanEntry[]): boolean {
  const text = (entries: readonly VlanEntry[]): string =>
    entries.map(({ id, pvid, untagged }) => `${id} ${pvid} ${untagged}`).join();
  return text(one) === text(other);
}
