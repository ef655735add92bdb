/** What a bridge has learned, for whoever looks at it right now: it changes with every frame and is no part of the inventory. */
import { type Fdb, maximumFdbEntries } from '../api/bridge-fdb.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import { listFdb } from '../kernel/bridge-fdb.ts';
import { getLink } from '../kernel/links.ts';

/** Fails with `unknown-object` when there is no such namespace or no bridge of that name in it. */
export function readFdb(
  tracker: InventoryTracker,
  namespace: string | null,
  bridge: string,
): Result<Fdb> {
  const place = tracker.namespaceHandle(namespace);
  if (!place.ok) return place;
  const { socket } = place.value;
  const link = getLink(socket, { name: bridge });
  if (!link.ok || link.value.kind !== 'bridge') {
    return fail({
      kind: 'unknown-object',
      code: 'unknown-bridge',
      object: bridge,
      reason: `There is no bridge ${bridge} in ${namespace ?? 'the realm’s own namespace'}.`,
      next: 'Look at what exists, then try again.',
      values: { bridge },
    });
  }
  const entries = listFdb(socket, link.value.index, bridge);
  if (!entries.ok) return entries;
  return succeed({
    entries: entries.value.slice(0, maximumFdbEntries),
    total: entries.value.length,
  });
}
