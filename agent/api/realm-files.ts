import { z } from 'zod';
import { RealmNameSchema } from './names.ts';

/** The realm's way out, as the person has allowed it. */
export const OutsideRecordSchema = z.strictObject({
  program: z.enum(['pasta', 'slirp4netns']),
  /** The process outside that waits for the program; it ends with it. */
  pid: z.number().int(),
  startTime: z.string(),
});
export type OutsideRecord = z.infer<typeof OutsideRecordSchema>;

/** `keeper.json` in a realm's runtime directory, written by whoever started the keeper. */
export const KeeperRecordSchema = z.strictObject({
  realm: RealmNameSchema,
  /** Pid of the keeper as seen outside. */
  pid: z.number().int(),
  /** Start time of that pid in clock ticks since boot (/proc/PID/stat, field 22): tells it from a later namesake. */
  startTime: z.string(),
  /** Whether the realm has user namespaces (nsenter then needs -U --preserve-credentials). */
  userNamespace: z.boolean(),
  createdAt: z.string(),
  /** Missing where nobody has allowed it. */
  outside: OutsideRecordSchema.optional(),
});
export type KeeperRecord = z.infer<typeof KeeperRecordSchema>;

/** `enrolled.json`: who may speak to the agent. A key alone is not enough, nor a uid alone. */
export const EnrolmentSchema = z.strictObject({
  clients: z.array(
    z.strictObject({
      /** CURVE public key, Z85. */
      key: z.string().length(40),
      /** Uid as the agent sees it in its own user namespace. */
      uid: z.number().int(),
      name: z.string().max(64),
      access: z.enum(['read', 'write']),
    }),
  ),
});
export type Enrolment = z.infer<typeof EnrolmentSchema>;

/** File names in a realm's runtime directory (0700, owned by the person; /run/netloom/host for the host realm). */
export const realmFiles = {
  keeper: 'keeper.json',
  enrolment: 'enrolled.json',
  /** CURVE key pair of the agent as JSON { publicKey, secretKey }, 0600. */
  agentKeys: 'agent-keys.json',
  /** The agent's public key alone, for clients. */
  agentPublicKey: 'agent.pub',
  callSocket: 'call',
  streamSocket: 'stream',
  /** The agent's log, JSON lines. */
  log: 'agent.log',
  /** What the program of the realm's way out says. */
  internetLog: 'internet.log',
} as const;

/** File and directory names in a realm's state directory. */
export const stateFiles = {
  /** Directory with one directory a lab. */
  labs: 'labs',
  /** In a lab's directory: its LabRecord. */
  record: 'record.json',
  /** In a lab's directory: revision documents, `1.yaml`, `2.yaml` … */
  revisions: 'revisions',
  /** In a lab's directory: processes that a person has bound to its CPU groups. */
  bindings: 'bindings.json',
  /** The open transaction, if any. */
  journal: 'journal.json',
  /** Directory with one directory a change that waits to be confirmed. */
  deadlines: 'deadlines',
} as const;

/**
 * Environment of the host's agent: a control group that was set aside for Netloom, such as
 * `/system.slice/netloom-cpu.service`; in every hierarchy.
 */
export const cpuPlaceVariable = 'NETLOOM_CPU_CGROUP';
