import { z } from 'zod';
import { LabNameSchema } from './names.ts';

export const interfaceStates = ['up', 'down'] as const;
export type InterfaceState = (typeof interfaceStates)[number];

/** Sets an interface of a lab up or down in the kernel alone: the document stays, and the lab differs from it. */
export const InterfaceStateChangeSchema = z.strictObject({
  lab: LabNameSchema,
  node: z.string().min(1).max(15),
  interface: z.string().min(1).max(15),
  state: z.enum(interfaceStates),
  /** After so long it is set back; null leaves it. What is set back differs from the document no more. */
  forMilliseconds: z.number().int().min(10).max(600_000).nullable(),
});
export type InterfaceStateChange = z.infer<typeof InterfaceStateChangeSchema>;
