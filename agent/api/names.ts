import { z } from 'zod';

/**
 * Names that Netloom gives to kernel objects. Narrower than what the kernel takes (dev_valid_name() also accepts
 * `-x`, `a;b` and rewrites `a%d`), so that a name is always a word of a command line and reads back as asked.
 * IFNAMSIZ leaves 15 bytes.
 */
export const interfaceNamePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/;

/** Names that the kernel or iproute2 give a meaning of their own. */
export const reservedInterfaceNames: ReadonlySet<string> = new Set(['all', 'default', 'lo']);

/** Namespace names become file names in /run/netns; a bridge's node name is its interface name. */
export const nodeNamePattern = interfaceNamePattern;

export const labNamePattern = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

export const LabNameSchema = z
  .string()
  .regex(labNamePattern, 'a lab name has 1 to 32 lower-case letters, digits and inner hyphens');

/** `host`, or `sandbox:NAME`; a lab's own sandbox bears the lab's name. */
export const RealmNameSchema = z
  .string()
  .regex(
    /^(?:host|sandbox:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)$/,
    'a realm is `host` or `sandbox:NAME`',
  );
export type RealmName = z.infer<typeof RealmNameSchema>;

/** Alias that marks a kernel object as belonging to a lab. */
export function ownershipMark(lab: string): string {
  return `netloom:${lab}`;
}

/** The lab named by an alias, or null if the alias is not our mark. */
export function labOfMark(alias: string | null): string | null {
  const match = alias === null ? null : /^netloom:(?<lab>.+)$/.exec(alias);
  const lab = match?.groups?.['lab'];
  return lab !== undefined && labNamePattern.test(lab) ? lab : null;
}

/** IFA_PROTO value (kernel 5.18) and rtm_protocol of the addresses and routes that Netloom adds. */
export const ownershipProtocol = 78;
