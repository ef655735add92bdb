import { z } from 'zod';
import { LabDocumentSchema } from '../api/document.ts';

/** JSON Schema (draft 2020-12) of the lab document, for editors; from the same source as the validator. */
export function documentJsonSchema(): Readonly<Record<string, unknown>> {
  return {
    ...z.toJSONSchema(LabDocumentSchema, { io: 'input' }),
    $id: 'https://netloom.dev/schema/lab-1.json',
    title: 'Netloom lab document',
  };
}
