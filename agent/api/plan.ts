import { z } from 'zod';
import { LabNameSchema, RealmNameSchema } from './names.ts';
import { FailureSchema } from './result.ts';

export const objectKinds = [
  'namespace',
  'bridge',
  'veth',
  'device',
  'interface',
  'address',
  'route',
  'rules',
  'process',
  'machine',
  'uplink',
  'engine',
  'ovs-bridge',
  'openflow',
  'cpu-group',
  'cpu-holder',
] as const;
export type ObjectKind = (typeof objectKinds)[number];

export const StepChangeSchema = z.strictObject({
  field: z.enum([
    'state',
    'mtu',
    'mac',
    'master',
    'stp',
    'loopback',
    'bridge-netfilter',
    'address',
    'route',
    // Of bridges and their ports
    'priority',
    'forward-delay',
    'hello-time',
    'maximum-age',
    'ageing-time',
    'multicast-snooping',
    'vlan-filtering',
    'isolated',
    'cost',
    'port-priority',
    'vlans',
    // Of the others
    'forwarding-ipv4',
    'forwarding-ipv6',
    'impairment',
    'rules',
    'device',
    'command',
    // Of Open vSwitch
    'ovs-port',
    'mirror',
    'datapath',
    'datapath-id',
    'fail-mode',
    'protocols',
    'controllers',
    'out-of-band',
    'rstp',
    'netflow',
    'sflow',
    'ipfix',
    'flows',
    'groups',
    'meters',
    // Of CPU groups
    'cpu-group',
    'holds-groups',
    'cap',
    'burst',
    'weight',
    'idle',
    'pins',
    'partition',
  ]),
  before: z.string().nullable(),
  after: z.string().nullable(),
});
export type StepChange = z.infer<typeof StepChangeSchema>;

/** Where in the drawing a step shows: a node, and an interface of it where there is one. */
export const StepTargetSchema = z.strictObject({
  node: z.string(),
  interface: z.string().nullable(),
});
export type StepTarget = z.infer<typeof StepTargetSchema>;

/** One operation of a plan as a person reads it. */
export const PlanStepSchema = z.strictObject({
  id: z.number().int(),
  verb: z.enum(['add', 'remove', 'change']),
  object: z.enum(objectKinds),
  /** The object's name as `r1`, `r1:veth1.1`, `r1:veth1.1 — r2:veth1.2`, `172.16.0.1/24 on r1:veth1.1`. */
  label: z.string(),
  targets: z.array(StepTargetSchema),
  changes: z.array(StepChangeSchema),
  /** The standard commands that do the same, one line each. */
  commands: z.array(z.string()),
});
export type PlanStep = z.infer<typeof PlanStepSchema>;

export const WarningSchema = z.strictObject({
  /** Stable key of the sentence, kebab-case. */
  code: z.string(),
  object: z.string(),
  sentence: z.string(),
  values: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});
export type Warning = z.infer<typeof WarningSchema>;

/** Seconds that a change which could cut people off is open to be confirmed, unless the apply says otherwise. */
export const defaultConfirmWithin = 60;

export const ConfirmWithinSchema = z.number().int().min(5).max(3600);

/** That a change must be confirmed in time or is taken back, and why. */
export const PlanConfirmSchema = z.strictObject({
  /** Seconds. */
  within: ConfirmWithinSchema,
  reason: WarningSchema,
});
export type PlanConfirm = z.infer<typeof PlanConfirmSchema>;

/** What a plan leads to. */
export const PlanGoalSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('document') }),
  z.strictObject({ kind: z.literal('revision'), revision: z.number().int() }),
  z.strictObject({ kind: z.literal('down') }),
]);
export type PlanGoal = z.infer<typeof PlanGoalSchema>;

export const PlanSchema = z.strictObject({
  /** Over document, base revision and observed state; null when planned against nothing. */
  id: z.string().nullable(),
  lab: LabNameSchema,
  realm: RealmNameSchema,
  goal: PlanGoalSchema,
  /** Revision in force, null when the lab is not up. */
  base: z.number().int().nullable(),
  /** The document that the plan leads to; null when the lab goes down. */
  document: z.string().nullable(),
  steps: z.array(PlanStepSchema),
  warnings: z.array(WarningSchema),
  /** Reasons why it may not be applied; empty when it may. */
  refusals: z.array(FailureSchema),
  /** Null when nothing in it can cut anyone off. */
  confirm: PlanConfirmSchema.nullable(),
});
export type Plan = z.infer<typeof PlanSchema>;

/** A plan's equivalent commands as a shell transcript. */
export function transcriptOf(plan: Pick<Plan, 'steps'>): string {
  return (
    plan.steps.flatMap((step) => step.commands).join('\n') + (plan.steps.length > 0 ? '\n' : '')
  );
}
