/** What two lists of operations have in common when they mean the same. Pure. */
import { createHash } from 'node:crypto';
import type { Operation } from '../lab/operation.ts';

/** Equal for equal sets of operations: the order in which a kernel lists equal things is nobody's doing. */
export function fingerprint(operations: readonly Operation[]): string {
  const hash = createHash('sha256');
  for (const text of operations.map(textOf).sort()) hash.update(text).update('\n');
  return hash.digest('hex');
}

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
