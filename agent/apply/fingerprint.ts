/** What two lists of operations have in common when they mean the same. Pure. */
import { createHash } from 'node:crypto';
import { treeTimes } from '../api/device.ts';
import type { LinkSettings, Operation } from '../lab/operation.ts';

/** Equal for equal sets of operations: the order in which a kernel lists equal things is nobody's doing. */
export function fingerprint(operations: readonly Operation[]): string {
  const hash = createHash('sha256');
  const seen = operations.flatMap((operation) => withoutTreeTimes(operation) ?? []);
  for (const text of seen.map(textOf).sort()) hash.update(text).update('\n');
  return hash.digest('hex');
}

/**
 * Whether a bridge shows its own times depends on whether it is the root of its spanning tree just now. Null when there is
 * nothing else to an operation.
 */
function withoutTreeTimes(operation: Operation): Operation | null {
  if (operation.kind !== 'change-link' || operation.after.bridge === undefined) return operation;
  const after = withoutTimes(operation.after);
  if (Object.keys(after).length === 0) return null;
  return { ...operation, before: withoutTimes(operation.before), after };
}

function withoutTimes({ bridge, ...others }: LinkSettings): LinkSettings {
  const left = Object.entries(bridge ?? {}).filter(([field]) => !times.has(field));
  return left.length === 0 ? others : { ...others, bridge: Object.fromEntries(left) };
}

const times: ReadonlySet<string> = new Set(treeTimes);

function textOf(operation: Operation): string {
  const { contents, ...rest }: { contents?: readonly Operation[] } & Record<string, unknown> =
    operation;
  const ordered = Object.entries({ ...rest, ...endsOf(operation) }).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const inner = contents === undefined ? [] : contents.map(textOf).sort();
  return JSON.stringify([ordered, inner]);
}

/** Which end of a pair comes first is as little anybody's doing. */
function endsOf(operation: Operation): { readonly ends?: readonly string[] } {
  return 'ends' in operation
    ? { ends: operation.ends.map((end) => JSON.stringify(end)).sort() }
    : {};
}
