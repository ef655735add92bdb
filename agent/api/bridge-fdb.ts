import { z } from 'zod';

/**
 * Why a bridge knows where an address is: `learned` from a frame that came in, `local` its own or a port's, `static`
 * set by hand, `external` put there by another program that learns for it.
 */
export const fdbEntryKinds = ['learned', 'local', 'static', 'external'] as const;

/** One line of a bridge's forwarding database. */
export const FdbEntrySchema = z.strictObject({
  mac: z.string(),
  /** Interface index, in the bridge's namespace, of the port that it is behind; the bridge's own for its own. */
  index: z.number().int(),
  /** Null for what holds in every VLAN. */
  vlan: z.number().int().nullable(),
  kind: z.enum(fdbEntryKinds),
  /** Seconds since a frame from it came in last; null where nothing ages. */
  age: z.number().nullable(),
});
export type FdbEntry = z.infer<typeof FdbEntrySchema>;

/** More are counted, not sent. */
export const maximumFdbEntries = 2000;

export const FdbSchema = z.strictObject({
  /** What was learned first, then by port, address and VLAN. */
  entries: z.array(FdbEntrySchema).max(maximumFdbEntries),
  total: z.number().int(),
});
export type Fdb = z.infer<typeof FdbSchema>;
